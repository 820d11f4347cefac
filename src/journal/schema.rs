//! The tables and how they came to be.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::checksum::Sum;
use super::connection::{exec_all_to_done, exec_to_done, snapshot, value};
use super::error::JournalError;
use super::read::{META, Meta};

/// Says in the file's header that it is a journal of deployrun: the letters "dplr".
const APPLICATION_ID: i64 = 0x6470_6c72;

/// One step from a schema version to the next.
pub(super) struct Migration {
    /// The version that it leads to: 1, 2, 3, … without gaps.
    pub(super) version: i64,
    /// Several statements.
    pub(super) sql: &'static str,
}

/// Every migration since the first release. A released one is never changed.
pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    sql: VERSION_1,
}];

/// `entries.place` is the run's number times 2^32 plus the entry's seq: the entries of a run lie
/// together and in order, appending touches one page, and no second tree is needed.
/// `runs.entries` is the number of entries at the row's last update: there are at least so many.
/// `sum` is the checksum of its row; see `checksum.rs`.
const VERSION_1: &str = "
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    tables INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    last_run INTEGER NOT NULL,
    recoveries INTEGER NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL,
    version TEXT NOT NULL,
    environment TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    phase TEXT,
    outcome TEXT,
    sum INTEGER NOT NULL
) STRICT;
CREATE TABLE frozen (
    run INTEGER PRIMARY KEY,
    data TEXT NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE TABLE entries (
    place INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    call TEXT,
    data TEXT NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE TABLE locks (
    environment TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    holder TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    why TEXT NOT NULL,
    sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES (1, 0, 0, 0, 0, 0);
";

/// How a database's schema stands to the one that is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is in it yet.
    Empty,
    /// It is what is wanted.
    Current,
    /// It can be brought up to date from this version.
    Older(i64),
}

/// Looks at the version and at whether the tables are still what they were when they were made.
pub(super) fn standing(
    connection: &Connection,
    path: &Path,
    migrations: &[Migration],
) -> Result<Standing, JournalError> {
    let sqlite =
        |error: rusqlite::Error| JournalError::sqlite(path, "read", Duration::ZERO, &error);
    // One view of the file: another process may be bringing it up to date.
    snapshot(connection, sqlite, || look(connection, path, migrations))
}

fn look(
    connection: &Connection,
    path: &Path,
    migrations: &[Migration],
) -> Result<Standing, JournalError> {
    let sqlite =
        |error: rusqlite::Error| JournalError::sqlite(path, "read", Duration::ZERO, &error);
    let known = latest(migrations);
    let application: i64 = value(connection, "PRAGMA application_id").map_err(sqlite)?;
    let found: i64 = value(connection, "PRAGMA user_version").map_err(sqlite)?;
    let (tables, sum) = tables(connection).map_err(sqlite)?;
    if application == 0 && found == 0 && tables == 0 {
        return Ok(Standing::Empty);
    }
    if application != APPLICATION_ID {
        return Err(JournalError::corrupt(
            path,
            "it is a database of another program",
        ));
    }
    if found > known {
        return Err(JournalError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    if found < 1 {
        return Err(JournalError::corrupt(
            path,
            format!("its schema version is {found}"),
        ));
    }
    if Meta::read(connection, path)?.tables != sum {
        return Err(JournalError::corrupt(
            path,
            "its tables are not as they were made",
        ));
    }
    if found < known {
        Ok(Standing::Older(found))
    } else {
        Ok(Standing::Current)
    }
}

fn latest(migrations: &[Migration]) -> i64 {
    migrations.last().map_or(0, |migration| migration.version)
}

/// Brings the schema up to date; each migration in a transaction of its own.
pub(super) fn migrate(
    connection: &Connection,
    path: &Path,
    busy_timeout: Duration,
    migrations: &[Migration],
) -> Result<(), JournalError> {
    for migration in migrations {
        apply(connection, migration)
            .map_err(|error| JournalError::sqlite(path, "set up", busy_timeout, &error))?;
    }
    Ok(())
}

fn apply(connection: &Connection, migration: &Migration) -> rusqlite::Result<()> {
    exec_to_done(connection, "BEGIN IMMEDIATE", [])?;
    let outcome = (|| {
        // Read inside the transaction: another process may just have done the same.
        let version: i64 = value(connection, "PRAGMA user_version")?;
        if version >= migration.version {
            return Ok(());
        }
        exec_all_to_done(connection, migration.sql)?;
        exec_to_done(
            connection,
            &format!("PRAGMA user_version={}", migration.version),
            [],
        )?;
        exec_to_done(
            connection,
            &format!("PRAGMA application_id={APPLICATION_ID}"),
            [],
        )?;
        let (_, tables) = tables(connection)?;
        let mut meta = connection.query_row(META, [], Meta::from_row)?;
        meta.tables = tables;
        meta.write(connection)
    })();
    match outcome {
        Ok(()) => exec_to_done(connection, "COMMIT", []),
        Err(error) => {
            // The first error is the one to tell; a rollback that fails leaves the transaction to
            // be undone by the closing of the connection.
            let _ = exec_to_done(connection, "ROLLBACK", []);
            Err(error)
        }
    }
}

/// How many tables and indexes there are, and a sum over their definitions.
fn tables(connection: &Connection) -> rusqlite::Result<(u64, i64)> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut sum = Sum::new(5);
    let mut count = 0;
    while let Some(row) = rows.next()? {
        for column in 0..4 {
            sum = sum.maybe(row.get_ref(column)?.as_str_or_null()?);
        }
        count += 1;
    }
    Ok((count, sum.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::connection;

    const PATH: &str = "journal.db";
    const WAIT: Duration = Duration::from_secs(5);

    /// The text of a journal of version 1 as it was released.
    const FIXTURE_1: &str = include_str!("../../tests/fixtures/journal_version_1.sql");

    const NEXT: &[Migration] = &[
        Migration {
            version: 1,
            sql: VERSION_1,
        },
        Migration {
            version: 2,
            sql: "ALTER TABLE locks ADD COLUMN note TEXT; CREATE TABLE later (a INTEGER) STRICT;",
        },
        Migration {
            version: 3,
            sql: "INSERT INTO later VALUES (42);",
        },
    ];
    const BROKEN: &[Migration] = &[
        Migration {
            version: 1,
            sql: VERSION_1,
        },
        Migration {
            version: 2,
            sql: "CREATE TABLE later (a INTEGER) STRICT; INSERT INTO nowhere VALUES (1);",
        },
    ];

    fn fixture(dir: &Path) -> std::path::PathBuf {
        let path = dir.join(PATH);
        let connection = Connection::open(&path).unwrap();
        exec_all_to_done(&connection, FIXTURE_1).unwrap();
        path
    }

    #[test]
    fn a_released_version_1_is_brought_up_to_date_step_by_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture(dir.path());
        let connection = connection::writer(&path, WAIT).unwrap();
        assert_eq!(
            standing(&connection, &path, NEXT).unwrap(),
            Standing::Older(1)
        );
        migrate(&connection, &path, WAIT, NEXT).unwrap();
        assert_eq!(
            standing(&connection, &path, NEXT).unwrap(),
            Standing::Current
        );
        assert_eq!(
            value::<i64>(&connection, "SELECT a FROM later").unwrap(),
            42
        );
        let plan: String = value(&connection, "SELECT plan FROM runs").unwrap();
        assert_eq!(plan, "shop-web");
        // A second time changes nothing.
        migrate(&connection, &path, WAIT, NEXT).unwrap();
        assert_eq!(
            value::<i64>(&connection, "SELECT count(*) FROM later").unwrap(),
            1
        );
    }

    #[test]
    fn a_migration_that_fails_leaves_the_older_version_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture(dir.path());
        let connection = connection::writer(&path, WAIT).unwrap();
        migrate(&connection, &path, WAIT, BROKEN).unwrap_err();
        assert_eq!(
            standing(&connection, &path, MIGRATIONS).unwrap(),
            Standing::Current
        );
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture(dir.path());
        let connection = connection::writer(&path, WAIT).unwrap();
        migrate(&connection, &path, WAIT, NEXT).unwrap();
        let error = standing(&connection, &path, MIGRATIONS).unwrap_err();
        assert!(
            matches!(
                error,
                JournalError::Newer {
                    found: 3,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert!(
            error.to_string().contains("made by a newer deployrun"),
            "{error}"
        );
    }

    #[test]
    fn tables_that_were_altered_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture(dir.path());
        let connection = connection::writer(&path, WAIT).unwrap();
        exec_to_done(&connection, "CREATE TABLE other (a)", []).unwrap();
        let error = standing(&connection, &path, MIGRATIONS).unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn versions_have_no_gaps() {
        for (at, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, i64::try_from(at).unwrap() + 1);
        }
    }
}
