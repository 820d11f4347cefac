//! What can go wrong with the journal, and what SQLite's codes mean for it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;
use rustix::fs::{StatVfsMountFlags, statvfs};

/// Why the journal could not be opened, read or kept ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The state directory, or something above it, is no directory.
    #[error(
        "cannot keep the journal in {}: it is not a directory; nothing was started; name a directory with --state DIR",
        path.display()
    )]
    NotADirectory {
        /// The state directory.
        path: PathBuf,
    },
    /// The permissions do not allow it.
    #[error(
        "cannot write to {} ({detail}); nothing was started; correct the owner or the mode, or choose another directory with --state DIR",
        path.display()
    )]
    Unwritable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The file system is mounted read-only.
    #[error(
        "cannot write to {}: its file system is read-only; nothing was started; remount it for writing or choose another directory with --state DIR",
        path.display()
    )]
    ReadOnlyFileSystem {
        /// The directory or file.
        path: PathBuf,
    },
    /// No space at all.
    #[error(
        "cannot write to {}: the disk is full; nothing was started; free some space or choose another directory with --state DIR",
        path.display()
    )]
    DiskFull {
        /// The directory or file.
        path: PathBuf,
    },
    /// Less space than a run needs to be started.
    #[error(
        "only {free} bytes are free for the journal in {}, and {needed} are needed to start a run; nothing was started; free some space or choose another directory with --state DIR",
        path.display()
    )]
    LittleSpace {
        /// The state directory.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// The file is no journal, or is damaged.
    #[error(
        "{} is not a journal of deployrun, or is damaged ({detail}); nothing was started; restore it from a backup together with {}-wal, or begin a new journal elsewhere with --state DIR",
        path.display(), path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A row is missing or is not what was written.
    #[error(
        "run {run} is damaged in {} ({detail}); its first {good} entries are sound; restore the file from a backup together with {}-wal",
        path.display(), path.display()
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// The run.
        run: String,
        /// So many entries from the first on are sound.
        good: u64,
        /// What was found.
        detail: String,
    },
    /// Another process holds the database.
    #[error(
        "{} is locked by another process for more than {} s; wait for it or end it (`fuser {}` names it), and try again",
        path.display(), waited.as_secs_f32(), path.display()
    )]
    Locked {
        /// The database file.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// Locks and the write-ahead log cannot be trusted there.
    #[error(
        "cannot keep the journal in {}: it lies on {file_system}, where file locks and shared memory cannot be trusted; nothing was started; choose a directory on a local disk with --state DIR",
        path.display()
    )]
    NetworkFileSystem {
        /// The state directory.
        path: PathBuf,
        /// The file system's name.
        file_system: &'static str,
    },
    /// The schema is of a later version.
    #[error(
        "{} was made by a newer deployrun (schema {found}, this one knows {known}); nothing was started; use that deployrun, or another directory with --state DIR",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The latest version known here.
        known: i64,
    },
    /// A reader cannot bring an older schema up to date.
    #[error(
        "{} was made by an older deployrun (schema {found}, this one knows {known}) and is brought up to date by the next run; until then read it with the older one",
        path.display()
    )]
    Older {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The version wanted here.
        known: i64,
    },
    /// There is nothing to read.
    #[error("there is no journal in {}: nothing was run there yet, or --state names another directory", path.display())]
    NoJournal {
        /// The state directory.
        path: PathBuf,
    },
    /// The run is not in the journal.
    #[error("there is no run {run} in {}; `deployrun runs` lists them", path.display())]
    NoSuchRun {
        /// The database file.
        path: PathBuf,
        /// What was asked for.
        run: String,
    },
    /// SQLite did not take a setting on which durability rests.
    #[error(
        "cannot keep the journal in {}: SQLite's {setting} is {found} instead of {wanted} there, so an entry would not be durable; nothing was started; choose another directory with --state DIR",
        path.display()
    )]
    Setting {
        /// The database file.
        path: PathBuf,
        /// The setting.
        setting: &'static str,
        /// What was wanted.
        wanted: &'static str,
        /// What SQLite has.
        found: String,
    },
    /// A write failed before, and what is in the journal is not known until it has recovered.
    #[error("the journal {} is closed since a write to it failed ({detail})", path.display())]
    Halted {
        /// The database file.
        path: PathBuf,
        /// The failure.
        detail: String,
    },
    /// The system failed to read or write.
    #[error("cannot {doing} {} ({detail}); look at the disk (`dmesg`), or choose another directory with --state DIR", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        detail: String,
    },
}

impl JournalError {
    pub(super) fn io(path: &Path, doing: &'static str, error: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            doing,
            detail: error.to_string(),
        }
    }

    pub(super) fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            detail: detail.into(),
        }
    }

    /// Translates an error of SQLite met while `doing` something with the database at `path`.
    pub(super) fn sqlite(
        path: &Path,
        doing: &'static str,
        waited: Duration,
        error: &rusqlite::Error,
    ) -> Self {
        let detail = describe(error);
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            // The shared memory beside the log cannot be made on a full disk, which SQLite does not
            // tell from any other failure.
            Some(ErrorCode::SystemIoFailure) if is_full(&path) => Self::DiskFull { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Locked { path, waited }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => unwritable(path, detail),
            Some(ErrorCode::CannotOpen) if !readable(&path) => unwritable(path, detail),
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::OperationInterrupted,
            ) => Self::Io {
                path,
                doing,
                detail,
            },
            // Every statement is ours and fits the schema. One that SQLite refuses, or a column of
            // another type, means that the file is not what was written.
            _ => Self::Corrupt { path, detail },
        }
    }
}

/// Which of the two reasons not to be allowed to write holds.
pub(super) fn unwritable(path: PathBuf, detail: String) -> JournalError {
    match statvfs(&path) {
        Ok(fs) if fs.f_flag.contains(StatVfsMountFlags::RDONLY) => {
            JournalError::ReadOnlyFileSystem { path }
        }
        _ => JournalError::Unwritable { path, detail },
    }
}

/// Whether less is free than SQLite's shared memory takes.
fn is_full(path: &Path) -> bool {
    path.parent()
        .and_then(|dir| super::storage::free_bytes(dir).ok())
        .is_some_and(|free| free < 32 * 1024)
}

fn readable(path: &Path) -> bool {
    // Not by opening it: closing it again would end the locks that SQLite has on it in this process.
    rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok()
}

/// SQLite's words with its extended code, which says which operation failed.
pub(super) fn describe(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            let words = message.clone().unwrap_or_else(|| code.to_string());
            format!("{words}, SQLite code {}", code.extended_code)
        }
        other => other.to_string(),
    }
}

/// Why entries were not appended. After `Full`, `Unknown` and `Other` nothing further is written
/// until `Journal::recover_after_failure`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The disk is full. The entries are certainly not in the journal.
    #[error("cannot write to {}: the disk is full; the entry was not written", path.display())]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// The disk failed while the entries were made durable. They may be in the journal or not; it
    /// must not be tried again, for the system reports such a failure only once.
    #[error(
        "the disk failed while an entry was written to {} ({detail}); whether it was written is not known",
        path.display()
    )]
    Unknown {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// Another process wrote all the time. The entries are not in the journal; it may be tried again.
    #[error("{} is locked by another process for more than {} s; the entry was not written", path.display(), waited.as_secs_f32())]
    Busy {
        /// The database file.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The run is not in the journal. Nothing was written.
    #[error("there is no run {run} in {}; the entry was not written", path.display())]
    NoSuchRun {
        /// The database file.
        path: PathBuf,
        /// The run.
        run: String,
    },
    /// An earlier write failed. Nothing was written.
    #[error("{} is not written to any more since a write failed ({detail}); the entry was not written", path.display())]
    Halted {
        /// The database file.
        path: PathBuf,
        /// The failure.
        detail: String,
    },
    /// Anything else, before the write was begun. The entries are not in the journal.
    #[error("cannot write to {} ({detail}); the entry was not written", path.display())]
    Other {
        /// The database file.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
}

/// Why a prefix names no run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// No run's id begins so.
    #[error("no run begins with {prefix:?}{}; `deployrun runs` lists them", suggestion(nearest.as_deref()))]
    None {
        /// What was typed.
        prefix: String,
        /// The run that is most like it.
        nearest: Option<String>,
    },
    /// Several do.
    #[error("{prefix:?} is the beginning of several runs ({}); type more of it", runs.join(", "))]
    Ambiguous {
        /// What was typed.
        prefix: String,
        /// The runs, the newest first, at most ten.
        runs: Vec<String>,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |run| format!("; did you mean {run}?"))
}
