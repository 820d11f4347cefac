//! The lock of an environment: at most one unfinished run changes it.
//!
//! The lock belongs to the run, not to the process: it stays when the controller dies, until the
//! run was recovered and releases it.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::checksum::Sum;
use super::connection::exec_to_done;
use super::error::{AppendError, JournalError};
use super::holder::{Alive, Holder};
use super::read::View;
use crate::words::outcome::LOCK_ADVICE;

/// Who has an environment's lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{environment} is locked by run {run} ({holder}; {why}; since {}){}", since(*since_ms), advice(*alive, run))]
pub struct LockHeld {
    /// The environment.
    pub environment: String,
    /// The run that has it.
    pub run: String,
    /// The process that took it, or took it over, for that run.
    pub holder: Holder,
    /// Since when: milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// What for.
    pub why: String,
    /// Whether that process lives.
    pub alive: Alive,
}

fn since(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(
        |_| format!("{at_ms} ms after 1970"),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

fn advice(alive: Alive, run: &str) -> String {
    match alive {
        Alive::Alive => LOCK_ADVICE.to_owned(),
        Alive::Dead => format!(
            ", and its process is dead; first recover it with `deployrun resume {run}` or `deployrun back-out {run}`"
        ),
        Alive::OtherHost => {
            "; whether that process lives cannot be seen from here, ask there".to_owned()
        }
    }
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another run has it.
    #[error(transparent)]
    Held(#[from] Box<LockHeld>),
    /// The journal could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

fn sum(environment: &str, run: &str, holder: &str, since_ms: i64, why: &str) -> i64 {
    Sum::new(6)
        .text(environment)
        .text(run)
        .text(holder)
        .int(since_ms)
        .text(why)
        .finish()
}

/// All locks, each checked. They are few, one for an environment; reading them all shows a damaged
/// row that would not be found under its name any more.
fn all(view: View<'_>) -> Result<Vec<LockHeld>, JournalError> {
    let sqlite =
        |error: rusqlite::Error| JournalError::sqlite(view.path, "read", Duration::ZERO, &error);
    let broken = || JournalError::corrupt(view.path, "a lock is not what was written");
    let mut statement = view
        .connection
        .prepare_cached("SELECT environment, run, holder, since_ms, why, sum FROM locks")
        .map_err(sqlite)?;
    let mut rows = statement.query([]).map_err(sqlite)?;
    let mut locks = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        let holder: String = row.get(2).map_err(sqlite)?;
        let lock = LockHeld {
            environment: row.get(0).map_err(sqlite)?,
            run: row.get(1).map_err(sqlite)?,
            holder: serde_json::from_str(&holder).map_err(|_| broken())?,
            since_ms: row.get(3).map_err(sqlite)?,
            why: row.get(4).map_err(sqlite)?,
            alive: Alive::Alive,
        };
        let stored: i64 = row.get(5).map_err(sqlite)?;
        if stored
            != sum(
                &lock.environment,
                &lock.run,
                &holder,
                lock.since_ms,
                &lock.why,
            )
        {
            return Err(broken());
        }
        locks.push(lock);
    }
    Ok(locks)
}

/// Who has which lock.
pub(super) fn held(view: View<'_>) -> Result<Vec<LockHeld>, JournalError> {
    let mut locks = all(view)?;
    for lock in &mut locks {
        lock.alive = lock.holder.alive();
    }
    Ok(locks)
}

/// Who has the lock of an environment.
pub(super) fn look(view: View<'_>, environment: &str) -> Result<Option<LockHeld>, JournalError> {
    let lock = all(view)?
        .into_iter()
        .find(|lock| lock.environment == environment);
    Ok(lock.map(|lock| LockHeld {
        alive: lock.holder.alive(),
        ..lock
    }))
}

/// A lock that a run wants to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockWish {
    /// The environment.
    pub environment: String,
    /// The process that takes it for the run.
    pub holder: Holder,
    /// What for.
    pub why: String,
    /// Now: milliseconds since 1970 UTC.
    pub now_ms: i64,
}

/// Writes the lock, inside a transaction. The same run may take its lock again, with another
/// process as its holder; it keeps the time since when.
pub(super) fn write(
    connection: &Connection,
    run: &str,
    wish: &LockWish,
    since_ms: i64,
) -> rusqlite::Result<()> {
    let holder = serde_json::to_string(&wish.holder)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let (environment, why) = (&wish.environment, &wish.why);
    let sum = sum(environment, run, &holder, since_ms, why);
    exec_to_done(
        connection,
        "INSERT OR REPLACE INTO locks (environment, run, holder, since_ms, why, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![environment, run, holder, since_ms, why, sum],
    )
}

/// Deletes the lock if this run has it, inside a transaction.
pub(super) fn delete(
    connection: &Connection,
    environment: &str,
    run: &str,
) -> rusqlite::Result<()> {
    exec_to_done(
        connection,
        "DELETE FROM locks WHERE environment = ?1 AND run = ?2",
        [environment, run],
    )
}
