//! The journal: what happened in every run, durable before anything rests on it.
//!
//! One SQLite database in the state directory holds all runs. The journal stores entries in order
//! and does not look into them. It also keeps the locks of environments, the right to control a run,
//! and a reserve of disk space. Nothing else in deployrun sees SQLite.
//!
//! - **An append is durable when it returns.** It is one transaction in the write-ahead log with
//!   `synchronous=FULL`: one sync of the log.
//! - **After a failed write nothing more is written** until `Journal::recover_after_failure`. Only a
//!   full disk is known to have written nothing; after any other failed commit the entries may be
//!   there or not, and only reading the journal again tells.
//! - **Closing leaves the log in place**, so the database is `journal.db` *and* `journal.db-wal`; a
//!   backup needs both.
//! - **Damage is found when it is read**: every row carries a sum, entries are chained and counted.

mod append;
mod checksum;
mod connection;
mod error;
#[cfg(feature = "faults")]
mod faults;
mod files;
mod holder;
mod ids;
mod lock;
mod owner;
mod read;
mod reader;
mod record;
mod reserve;
mod schema;
mod storage;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

pub use error::{AppendError, FindError, JournalError};
pub use holder::{Alive, Holder};
pub use ids::{NotARunId, RunId};
pub use lock::{LockError, LockHeld, LockWish};
pub use owner::{OwnedBy, OwnerError, OwnerLock};
pub use reader::Reader;
pub use record::{Entry, Filter, NewRun, RunRow, RunUpdate, StoredEntry};
pub use reserve::{MIN_FREE_BYTES, RESERVE_BYTES, Reserve, free_space};
pub use storage::Storage;

use append::Failure;
use files::Files;
use read::View;
use schema::{MIGRATIONS, Standing};

/// How long another process is waited for.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const DATABASE: &str = "journal.db";
/// Its presence means that a write failed and has not been recovered from. It need not be durable:
/// see `append::mark_suspect`.
const SUSPECT: &str = "journal.suspect";

/// What can be chosen when the journal is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long another process is waited for.
    pub busy_timeout: Duration,
    /// Bytes kept in reserve.
    pub reserve_bytes: u64,
    /// Bytes that must be free for a run to be started.
    pub min_free_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            busy_timeout: BUSY_TIMEOUT,
            reserve_bytes: RESERVE_BYTES,
            min_free_bytes: MIN_FREE_BYTES,
        }
    }
}

/// The journal, opened for writing. Several processes may have it open at once; their appends take
/// turns.
#[derive(Debug)]
pub struct Journal {
    /// `None` only after a failed recovery.
    connection: Option<Connection>,
    state_dir: PathBuf,
    path: PathBuf,
    options: Options,
    storage: Storage,
    reserve: Reserve,
    /// The numbers of the runs that were written to.
    numbers: HashMap<String, i64>,
    failure: Option<Failure>,
    files: Files,
}

impl Journal {
    /// Opens the journal in the state directory, and makes both if they are missing.
    ///
    /// # Errors
    /// One for each reason why a run could not be recorded there; nothing has been started then.
    pub fn open(state_dir: &Path) -> Result<Self, JournalError> {
        Self::open_with(state_dir, Options::default())
    }

    /// Opens the journal with other options.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_with(state_dir: &Path, options: Options) -> Result<Self, JournalError> {
        let storage = storage::examine(state_dir)?;
        storage::ensure_directory(state_dir)?;
        let path = state_dir.join(DATABASE);
        let has_log = log_length(&path).is_some();
        ensure_file(state_dir, &path)?;
        let connection = connect(&path, options.busy_timeout)?;
        if !has_log {
            // SQLite syncs the directory as well, but does not look whether that succeeded.
            storage::sync_directory(state_dir)
                .map_err(|error| storage::directory_error(state_dir, "sync", error))?;
        }
        let reserve = Reserve::new(state_dir, options.reserve_bytes);
        // The journal works without; `preflight` insists on it before a run is started.
        let _ = reserve.keep();
        let mut journal = Self {
            connection: Some(connection),
            state_dir: state_dir.to_owned(),
            path,
            options,
            storage,
            reserve,
            numbers: HashMap::new(),
            failure: None,
            files: Files::default(),
        };
        if journal.is_suspect() {
            journal.settle()?;
        }
        Ok(journal)
    }

    /// What the journal lies on.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The state directory.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The space kept for the back-out.
    #[must_use]
    pub fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    /// Whether there is space to start a run: `Options::min_free_bytes` free, and the reserve kept.
    /// Returns the free bytes. It is not asked for when a run comes back, which must be possible on a
    /// full disk.
    ///
    /// # Errors
    /// `LittleSpace`, or a reserve that cannot be made.
    pub fn preflight(&self) -> Result<u64, JournalError> {
        let free = free_space(&self.state_dir, self.options.min_free_bytes)?;
        match self.reserve.keep() {
            Ok(true) => Ok(free),
            Ok(false) => Err(JournalError::LittleSpace {
                path: self.state_dir.clone(),
                free,
                needed: self.options.reserve_bytes.saturating_mul(2),
            }),
            Err(error) => Err(storage::directory_error(
                &self.state_dir,
                "keep a reserve of space in",
                error,
            )),
        }
    }

    /// All entries of a run.
    ///
    /// # Errors
    /// `NoSuchRun`; `Damaged` if an entry is missing or altered; `Halted` after a failed write.
    pub fn read(&self, run: &str) -> Result<Vec<StoredEntry>, JournalError> {
        self.view()?.entries(run, 1)
    }

    /// The entries of a run from `seq` on; 1 is the first. Empty if there are none yet.
    ///
    /// # Errors
    /// As `read`.
    pub fn read_from(&self, run: &str, seq: u64) -> Result<Vec<StoredEntry>, JournalError> {
        self.view()?.entries(run, seq)
    }

    /// What was frozen with the run when it was created.
    ///
    /// # Errors
    /// `NoSuchRun`; `Corrupt` if it was altered; `Halted` after a failed write.
    pub fn frozen(&self, run: &str) -> Result<serde_json::Value, JournalError> {
        self.view()?.frozen(run)
    }

    /// The runs that the filter keeps, the newest first.
    ///
    /// # Errors
    /// `Corrupt` if a row is missing or altered; `Halted` after a failed write.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<RunRow>, JournalError> {
        self.view()?.runs(filter)
    }

    /// The one run whose id begins with what was typed (capitals are taken for small letters).
    ///
    /// # Errors
    /// If no run or several begin so.
    pub fn find(&self, prefix: &str) -> Result<String, FindError> {
        self.view()?.find(prefix)
    }

    /// Who has an environment's lock.
    ///
    /// # Errors
    /// `Corrupt` if a lock was altered; `Halted` after a failed write.
    pub fn lock(&self, environment: &str) -> Result<Option<LockHeld>, JournalError> {
        lock::look(self.view()?, environment)
    }

    fn view(&self) -> Result<View<'_>, JournalError> {
        match (&self.failure, &self.connection) {
            (None, Some(connection)) => Ok(View {
                connection,
                path: &self.path,
            }),
            (failure, _) => Err(JournalError::Halted {
                path: self.path.clone(),
                detail: failure
                    .as_ref()
                    .map_or_else(String::new, |known| known.detail.clone()),
            }),
        }
    }

    fn suspect_path(&self) -> PathBuf {
        self.state_dir.join(SUSPECT)
    }

    fn is_suspect(&self) -> bool {
        self.suspect_path().exists()
    }
}

/// Opens the database and brings its tables up to date.
fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection, JournalError> {
    let connection = connection::writer(path, busy_timeout)?;
    if schema::standing(&connection, path, MIGRATIONS)? != Standing::Current {
        schema::migrate(&connection, path, busy_timeout, MIGRATIONS)?;
    }
    Ok(connection)
}

/// Makes the database file, readable by its owner alone, if it is missing.
fn ensure_file(state_dir: &Path, path: &Path) -> Result<(), JournalError> {
    if let Some(error) = lost_database(path) {
        return Err(error);
    }
    if path.exists() {
        return Ok(());
    }
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(storage::directory_error(
            state_dir,
            "make a journal in",
            error,
        )),
    }
}

/// Two cases in which SQLite would take the file for a new, empty database: a log with content beside
/// a database that is missing or empty, which it would throw away; and a file of one byte. The log is
/// looked at first, for another process may be making the journal.
fn lost_database(path: &Path) -> Option<JournalError> {
    let log = log_length(path).unwrap_or(0);
    let database = fs::metadata(path).map_or(0, |found| found.len());
    let detail = match database {
        0 if log > 0 => "it is missing or empty, but its write-ahead log is not",
        1..512 => "it is shorter than any database",
        _ => return None,
    };
    Some(JournalError::corrupt(path, detail))
}

fn log_length(path: &Path) -> Option<u64> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).ok().map(|found| found.len())
}
