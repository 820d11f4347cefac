//! Writing: one transaction an append, and what follows when one fails.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::connection::{exec_to_done, is_busy};
use super::error::{AppendError, JournalError, describe};
#[cfg(feature = "faults")]
use super::faults::Write;
use super::ids::{IDS_PER_MINUTE, RunId};
use super::lock::{self, LockError, LockHeld, LockWish};
use super::read::{Meta, RunRecord, SEQ_MAX, View, entry_sum, frozen_sum, place};
use super::record::{Entry, NewRun, RunRow, RunUpdate};
use super::{Journal, connect};

/// Why nothing more is written.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) detail: String,
    kind: FailureKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    /// The disk was full, and that was all: rolling back leaves everything as it was.
    Full,
    /// A file of the journal is not the one any more that was opened.
    Removed,
    Other,
}

/// Why a transaction was not brought to its commit.
enum Stop {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// What was asked for cannot be done; the journal is in order.
    Refused(AppendError),
    /// A row that was read is not what was written.
    Broken(JournalError),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::Broken(error)
    }
}

impl Journal {
    /// Creates a run with its first entries, durably. Returns its id: the wanted one, or the next
    /// free one of the same minute.
    ///
    /// # Errors
    /// As `append`.
    pub fn create_run(&mut self, run: &NewRun, entries: &[Entry]) -> Result<RunId, AppendError> {
        self.create_run_with(run, entries, &RunUpdate::default())
    }

    /// Makes a run that stands already where its first entries say.
    ///
    /// # Errors
    /// As `create_run`.
    pub fn create_run_with(
        &mut self,
        run: &NewRun,
        entries: &[Entry],
        update: &RunUpdate,
    ) -> Result<RunId, AppendError> {
        let (id, _) = self.create_run_locked(run, entries, update, None)?;
        Ok(id)
    }

    /// Makes a run and takes the lock of its environment for it, in one write. The run is made even
    /// if another one has the lock; who that is comes back beside the id.
    ///
    /// # Errors
    /// As `create_run`.
    pub fn create_run_locked(
        &mut self,
        run: &NewRun,
        entries: &[Entry],
        update: &RunUpdate,
        lock: Option<&LockWish>,
    ) -> Result<(RunId, Option<LockHeld>), AppendError> {
        let (id, number, held) = self.transact(|connection, path| {
            let (id, number) = create_run(connection, path, run, entries, update)?;
            let held = match lock {
                Some(lock) => take_lock(connection, path, id.as_str(), lock)?,
                None => None,
            };
            Ok((id, number, held))
        })?;
        self.numbers.insert(id.as_str().to_owned(), number);
        Ok((id, held))
    }

    /// Appends entries to a run, all or none. They are durable when it returns.
    ///
    /// # Errors
    /// See `AppendError`: after `Full`, `Unknown` and `Other` the journal takes no more appends
    /// until it has recovered.
    pub fn append(&mut self, run: &str, entries: &[Entry]) -> Result<(), AppendError> {
        self.append_with(run, entries, &RunUpdate::default())
    }

    /// Appends entries and changes the run's row in the same transaction.
    ///
    /// # Errors
    /// As `append`.
    pub fn append_with(
        &mut self,
        run: &str,
        entries: &[Entry],
        update: &RunUpdate,
    ) -> Result<(), AppendError> {
        let known = self.numbers.get(run).copied();
        let number = self.transact(|connection, path| {
            let record = match known {
                Some(_) if *update == RunUpdate::default() => None,
                _ => Some(find(connection, path, run)?),
            };
            let number = record
                .as_ref()
                .map(|record| record.number)
                .or(known)
                .unwrap_or_default();
            let last = append(connection, path, number, entries)?;
            if let Some(record) = record
                && *update != RunUpdate::default()
            {
                write_update(connection, record, last, entries, update)?;
                if let Some(environment) = &update.release_lock {
                    lock::delete(connection, environment, run)?;
                }
            }
            Ok(number)
        })?;
        self.numbers.entry(run.to_owned()).or_insert(number);
        Ok(())
    }

    /// Takes an environment's lock for a run. The run that has it may take it again, for another
    /// process.
    ///
    /// # Errors
    /// `Held` with who has it; or as `append`.
    pub fn take_lock(&mut self, run: &str, lock: &LockWish) -> Result<(), LockError> {
        let held = self.transact(|connection, path| take_lock(connection, path, run, lock))?;
        held.map_or(Ok(()), |held| Err(LockError::Held(Box::new(held))))
    }

    /// Gives an environment's lock back. Nothing happens if another run has it or none.
    ///
    /// # Errors
    /// As `append`.
    pub fn release_lock(&mut self, environment: &str, run: &str) -> Result<(), AppendError> {
        self.transact(|connection, _| Ok(lock::delete(connection, environment, run)?))
    }

    /// Makes the journal writable again after a failed write. Afterwards it is settled whether the
    /// entries of an `Unknown` append are there; the caller has to read to know. After `Full`, free
    /// some space first: `reserve().release()`.
    ///
    /// # Errors
    /// If the journal still cannot be written; it stays closed then.
    pub fn recover_after_failure(&mut self) -> Result<(), JournalError> {
        match &self.failure {
            None => Ok(()),
            Some(failure) if failure.kind == FailureKind::Full => self.probe(),
            // What was durable is in a file that nobody finds: nothing can be joined to it.
            Some(failure) if failure.kind == FailureKind::Removed => Err(JournalError::Halted {
                path: self.path.clone(),
                detail: failure.detail.clone(),
            }),
            Some(_) => {
                // Dropped before the next is opened: with its last connection SQLite forgets what
                // it knew of the log and reads it anew.
                self.connection = None;
                self.connection = Some(connect(&self.path, self.options.busy_timeout)?);
                self.settle()
            }
        }?;
        self.failure = None;
        Ok(())
    }

    /// After the disk failed to sync, what the system shows may not be what is on the disk, and the
    /// system will not try again (a second fsync returns success for the pages that were dropped).
    /// So everything in the log is written anew, into the database; the log begins from nothing, so
    /// that nothing durable comes to stand behind a frame that is not; and a commit is tried.
    pub(super) fn settle(&mut self) -> Result<(), JournalError> {
        let busy = {
            let connection = self.open_connection()?;
            let mut statement = connection
                .prepare("PRAGMA wal_checkpoint(TRUNCATE)")
                .map_err(|error| self.failed(&error))?;
            let mut rows = statement.query([]).map_err(|error| self.failed(&error))?;
            let mut busy = 0_i64;
            while let Some(row) = rows.next().map_err(|error| self.failed(&error))? {
                busy = row.get(0).map_err(|error| self.failed(&error))?;
            }
            busy
        };
        if busy != 0 {
            let waited = self.options.busy_timeout;
            return Err(JournalError::Locked {
                path: self.path.clone(),
                waited,
            });
        }
        self.probe()?;
        match fs::remove_file(self.suspect_path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(JournalError::io(&self.suspect_path(), "remove", error))
            }
            _ => Ok(()),
        }
    }

    /// Commits a counter. A commit that failed may have left its frames behind the end of the log;
    /// the next one overwrites them, and this makes sure that there is a next one before anybody
    /// reads and decides.
    fn probe(&mut self) -> Result<(), JournalError> {
        #[cfg(feature = "faults")]
        Write::begin().map_err(|error| self.failed(&error))?;
        let connection = self.open_connection()?;
        let write = || {
            if !connection.is_autocommit() {
                exec_to_done(connection, "ROLLBACK", [])?;
            }
            exec_to_done(connection, "BEGIN IMMEDIATE", [])
        };
        write().map_err(|error| self.failed(&error))?;
        let mut meta = Meta::read(connection, &self.path)?;
        meta.recoveries += 1;
        meta.write(connection)
            .and_then(|()| exec_to_done(connection, "COMMIT", []))
            .map_err(|error| self.failed(&error))
    }

    fn open_connection(&self) -> Result<&Connection, JournalError> {
        self.connection
            .as_ref()
            .ok_or_else(|| JournalError::Halted {
                path: self.path.clone(),
                detail: "it could not be opened again".to_owned(),
            })
    }

    fn failed(&self, error: &rusqlite::Error) -> JournalError {
        JournalError::sqlite(&self.path, "write", self.options.busy_timeout, error)
    }

    /// Runs `body` in a transaction and commits it.
    fn transact<T>(
        &mut self,
        body: impl FnOnce(&Connection, &Path) -> Result<T, Stop>,
    ) -> Result<T, AppendError> {
        if self.failure.is_none() && self.connection.is_some() {
            self.look_at_files()?;
        }
        let (None, Some(connection)) = (&self.failure, &self.connection) else {
            let detail = self
                .failure
                .as_ref()
                .map_or_else(String::new, |known| known.detail.clone());
            return Err(AppendError::Halted {
                path: self.path.clone(),
                detail,
            });
        };
        #[cfg(feature = "faults")]
        let write = match Write::begin() {
            Ok(write) => write,
            Err(error) => return Err(self.fail(&error, false)),
        };
        if let Err(error) = exec_to_done(connection, "BEGIN IMMEDIATE", []) {
            return Err(self.fail(&error, false));
        }
        let value = match body(connection, &self.path) {
            Ok(value) => value,
            Err(Stop::Sqlite(error)) => return Err(self.fail(&error, false)),
            Err(Stop::Refused(refused)) => {
                return match exec_to_done(connection, "ROLLBACK", []) {
                    Ok(()) => Err(refused),
                    Err(error) => Err(self.fail(&error, false)),
                };
            }
            Err(Stop::Broken(broken)) => {
                // The words of `Corrupt` are for a command that has not begun.
                let detail = match broken {
                    JournalError::Corrupt { detail, .. } => format!("it is damaged: {detail}"),
                    other => other.to_string(),
                };
                self.halt(detail.clone(), false);
                return Err(AppendError::Other {
                    path: self.path.clone(),
                    detail,
                });
            }
        };
        match exec_to_done(connection, "COMMIT", []) {
            Ok(()) => {
                #[cfg(feature = "faults")]
                write.durable();
                Ok(value)
            }
            Err(error) => Err(self.fail(&error, true)),
        }
    }

    /// Closes the journal if somebody has removed it: commits would go on into a file without a name.
    fn look_at_files(&mut self) -> Result<(), AppendError> {
        let Err(detail) = self.files.are_still_there(&self.path) else {
            return Ok(());
        };
        self.failure = Some(Failure {
            detail: detail.clone(),
            kind: FailureKind::Removed,
        });
        Err(AppendError::Other {
            path: self.path.clone(),
            detail,
        })
    }

    /// Classifies a failure of SQLite, and closes the journal unless it was only busy.
    fn fail(&mut self, error: &rusqlite::Error, committing: bool) -> AppendError {
        let path = self.path.clone();
        let detail = describe(error);
        if is_busy(error) && self.roll_back() {
            return AppendError::Busy {
                path,
                waited: self.options.busy_timeout,
            };
        }
        let code = error.sqlite_error_code();
        let full = code == Some(ErrorCode::DiskFull);
        if code == Some(ErrorCode::SystemIoFailure) || committing && !full {
            mark_suspect(&self.suspect_path());
        }
        self.halt(detail.clone(), full);
        match (full, committing) {
            (true, _) => AppendError::Full { path },
            (false, true) => AppendError::Unknown { path, detail },
            (false, false) => AppendError::Other { path, detail },
        }
    }

    fn halt(&mut self, detail: String, full: bool) {
        let kind = if self.roll_back() && full {
            FailureKind::Full
        } else {
            FailureKind::Other
        };
        self.failure = Some(Failure { detail, kind });
    }

    /// Whether no transaction is left open.
    fn roll_back(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| {
            connection.is_autocommit() || exec_to_done(connection, "ROLLBACK", []).is_ok()
        })
    }
}

/// Tells whoever opens the journal next that it has to be settled. The danger lies in pages that
/// the system holds and the disk does not; they are lost with the power, and so may this file be.
/// Therefore it needs no sync, and therefore a failure to make it is not told: the failure at hand is.
fn mark_suspect(path: &Path) {
    let _ = fs::write(path, b"");
}

/// Takes a lock, or tells which other run has it.
fn take_lock(
    connection: &Connection,
    path: &Path,
    run: &str,
    wish: &LockWish,
) -> Result<Option<LockHeld>, Stop> {
    match lock::look(View { connection, path }, &wish.environment)? {
        Some(held) if held.run != run => Ok(Some(held)),
        ours => {
            let since_ms = ours.map_or(wish.now_ms, |held| held.since_ms);
            lock::write(connection, run, wish, since_ms)?;
            Ok(None)
        }
    }
}

fn find(connection: &Connection, path: &Path, run: &str) -> Result<RunRecord, Stop> {
    RunRecord::find(connection, path, run)?.ok_or_else(|| {
        Stop::Refused(AppendError::NoSuchRun {
            path: path.to_owned(),
            run: run.to_owned(),
        })
    })
}

fn create_run(
    connection: &Connection,
    path: &Path,
    run: &NewRun,
    entries: &[Entry],
    update: &RunUpdate,
) -> Result<(RunId, i64), Stop> {
    let id = free_id(connection, path, &run.id)?;
    let mut meta = Meta::read(connection, path)?;
    meta.runs += 1;
    meta.last_run += 1;
    meta.write(connection)?;
    let number = meta.last_run;
    let data = run.frozen.to_string();
    exec_to_done(
        connection,
        "INSERT INTO frozen (run, data, sum) VALUES (?1, ?2, ?3)",
        params![number, data, frozen_sum(number, &data)],
    )?;
    let last = append(connection, path, number, entries)?;
    let record = RunRecord {
        number,
        entries: last,
        row: RunRow {
            id: id.as_str().to_owned(),
            plan: run.plan.clone(),
            version: run.version.clone(),
            environment: run.environment.clone(),
            fingerprint: run.fingerprint.clone(),
            created_ms: run.created_ms,
            updated_ms: entries.last().map_or(run.created_ms, |entry| entry.at_ms),
            phase: update.phase.clone(),
            outcome: update.outcome.clone(),
        },
    };
    let row = &record.row;
    exec_to_done(
        connection,
        "INSERT INTO runs (number, id, plan, version, environment, fingerprint, created_ms, updated_ms, entries, phase, outcome, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            number,
            row.id,
            row.plan,
            row.version,
            row.environment,
            row.fingerprint,
            row.created_ms,
            row.updated_ms,
            record.entries,
            row.phase,
            row.outcome,
            record.sum()
        ],
    )?;
    Ok((id, number))
}

fn free_id(connection: &Connection, path: &Path, wanted: &RunId) -> Result<RunId, Stop> {
    let mut id = wanted.clone();
    for _ in 0..IDS_PER_MINUTE {
        let taken = connection
            .prepare_cached("SELECT 1 FROM runs WHERE id = ?1")?
            .query_row([id.as_str()], |_| Ok(()))
            .optional()?;
        if taken.is_none() {
            return Ok(id);
        }
        id = id.next();
    }
    Err(Stop::Refused(AppendError::Other {
        path: path.to_owned(),
        detail: format!("every id of the minute of {wanted} is taken; try again in a minute"),
    }))
}

/// Appends behind the last entry and returns the new last seq. The last one is read inside the
/// transaction, because another process may append to the same run.
fn append(
    connection: &Connection,
    path: &Path,
    number: i64,
    entries: &[Entry],
) -> Result<i64, Stop> {
    let last: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT place, sum FROM entries WHERE place BETWEEN ?1 AND ?2 ORDER BY place DESC LIMIT 1",
        )?
        .query_row([place(number, 1), place(number, SEQ_MAX)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (mut at, mut sum) = last.unwrap_or((place(number, 0), 0));
    for entry in entries {
        if at == place(number, SEQ_MAX) {
            return Err(Stop::Refused(AppendError::Other {
                path: path.to_owned(),
                detail: format!("the run has {SEQ_MAX} entries, which is the limit"),
            }));
        }
        at += 1;
        sum = entry_sum(sum, at, entry);
        exec_to_done(
            connection,
            "INSERT INTO entries (place, at_ms, kind, call, data, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![at, entry.at_ms, entry.kind, entry.call, entry.data, sum],
        )?;
    }
    Ok(at - place(number, 0))
}

fn write_update(
    connection: &Connection,
    mut record: RunRecord,
    last: i64,
    entries: &[Entry],
    update: &RunUpdate,
) -> rusqlite::Result<()> {
    record.entries = last;
    if let Some(entry) = entries.last() {
        record.row.updated_ms = entry.at_ms;
    }
    if update.phase.is_some() {
        record.row.phase.clone_from(&update.phase);
    }
    if update.outcome.is_some() {
        record.row.outcome.clone_from(&update.outcome);
    }
    exec_to_done(
        connection,
        "UPDATE runs SET updated_ms = ?2, entries = ?3, phase = ?4, outcome = ?5, sum = ?6 WHERE number = ?1",
        params![
            record.number,
            record.row.updated_ms,
            record.entries,
            record.row.phase,
            record.row.outcome,
            record.sum()
        ],
    )
}
