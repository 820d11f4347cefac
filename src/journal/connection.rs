//! How SQLite is opened and spoken to.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection, OpenFlags, Params};

use super::error::{JournalError, unwritable};

/// After so many pages in the write-ahead log a commit also carries them over into the database
/// (a checkpoint). Small, because the first process to open the journal reads the whole log (about
/// 2 µs a page); large enough that the further fsyncs are shared by many commits.
///
/// SQLite does not report a checkpoint that fails, and need not: what was committed is durable in the
/// log, the log is kept until a checkpoint succeeds, and the next one writes every page again.
const CHECKPOINT_PAGES: &str = "PRAGMA wal_autocheckpoint=128";

/// Runs one statement to its end. Stepping until there is no further row is what makes every error
/// appear: `execute_batch`, `query_row` and `pragma_update_and_check` were seen to swallow an EIO.
pub(super) fn exec_to_done<P: Params>(
    connection: &Connection,
    sql: &str,
    parameters: P,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Runs several statements, each to its end.
pub(super) fn exec_all_to_done(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut batch = Batch::new(connection, sql);
    while let Some(mut statement) = batch.next()? {
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}

/// Runs `body` within one read transaction, so that all its statements see the same state. The first
/// error is the one to tell; SQLite may have ended the transaction with it.
pub(super) fn snapshot<T>(
    connection: &Connection,
    sqlite: impl Fn(rusqlite::Error) -> JournalError,
    body: impl FnOnce() -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    exec_to_done(connection, "BEGIN", []).map_err(&sqlite)?;
    let outcome = body();
    let ended = if connection.is_autocommit() {
        Ok(())
    } else {
        exec_to_done(connection, "ROLLBACK", [])
    };
    let value = outcome?;
    ended.map_err(sqlite)?;
    Ok(value)
}

/// The first column of the first row, the statement being run to its end.
pub(super) fn value<T: rusqlite::types::FromSql>(
    connection: &Connection,
    sql: &str,
) -> rusqlite::Result<T> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let value = rows
        .next()?
        .ok_or(rusqlite::Error::QueryReturnedNoRows)?
        .get(0)?;
    while rows.next()?.is_some() {}
    Ok(value)
}

/// Opens the database for writing. The file must exist; an empty one becomes a database.
pub(super) fn writer(path: &Path, busy_timeout: Duration) -> Result<Connection, JournalError> {
    let failed = |doing| {
        move |error: rusqlite::Error| JournalError::sqlite(path, doing, busy_timeout, &error)
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed("open"))?;
    // SQLite opens a file that cannot be written for reading, without a word.
    if connection.is_readonly("main").map_err(failed("open"))? {
        return Err(unwritable(
            path.to_owned(),
            "the file cannot be written".to_owned(),
        ));
    }
    prepare(&connection, busy_timeout).map_err(failed("set up"))?;
    set_wal(&connection, path, busy_timeout)?;
    exec_to_done(&connection, "PRAGMA synchronous=FULL", []).map_err(failed("set up"))?;
    exec_to_done(&connection, CHECKPOINT_PAGES, []).map_err(failed("set up"))?;
    let synchronous: i64 = value(&connection, "PRAGMA synchronous").map_err(failed("set up"))?;
    if synchronous != 2 {
        return Err(JournalError::Setting {
            path: path.to_owned(),
            setting: "synchronous",
            wanted: "2",
            found: synchronous.to_string(),
        });
    }
    Ok(connection)
}

/// Opens the database for reading.
pub(super) fn reader(path: &Path, busy_timeout: Duration) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            prepare(&connection, busy_timeout)?;
            Ok(connection)
        })
        .map_err(|error| JournalError::sqlite(path, "open", busy_timeout, &error))
}

fn prepare(connection: &Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy_timeout)?;
    // Closing does not carry the log over into the database, which would cost a short run two
    // fsyncs, and leaves the log where it is. That is safe: with synchronous=FULL every commit is
    // durable in the log before it returns, and whoever opens the database next reads the log with
    // its checksums. The one consequence is that a copy of the database needs its log beside it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

/// Asks for the write-ahead log and reads back whether it is in use. Two processes that make the
/// journal at the same moment are in each other's way here, and SQLite does not wait by itself.
fn set_wal(
    connection: &Connection,
    path: &Path,
    busy_timeout: Duration,
) -> Result<(), JournalError> {
    let end = Instant::now() + busy_timeout;
    loop {
        let outcome = exec_to_done(connection, "PRAGMA journal_mode=WAL", [])
            .and_then(|()| value::<String>(connection, "PRAGMA journal_mode"));
        match outcome {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(found) => {
                return Err(JournalError::Setting {
                    path: path.to_owned(),
                    setting: "journal_mode",
                    wanted: "wal",
                    found,
                });
            }
            Err(error) if is_busy(&error) && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => {
                return Err(JournalError::sqlite(path, "set up", busy_timeout, &error));
            }
        }
    }
}

/// Whether another connection was in the way.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}
