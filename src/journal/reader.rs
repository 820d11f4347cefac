//! The journal for those who only look.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::{FindError, JournalError};
use super::read::View;
use super::record::{Filter, RunRow, StoredEntry};
use super::schema::{self, MIGRATIONS, Standing};
use super::{DATABASE, connection, storage};

/// Reads the journal beside the process that writes it. It makes no directory and no journal, takes
/// no lock that a writer would wait for, and sees every entry as soon as its append has returned.
/// (If a journal was copied without its `-wal` and `-shm` companions, SQLite makes these.)
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens the journal in the state directory for reading.
    ///
    /// # Errors
    /// `NoJournal` if there is none, else as `Journal::open`.
    pub fn open(state_dir: &Path) -> Result<Self, JournalError> {
        let none = || JournalError::NoJournal {
            path: state_dir.to_owned(),
        };
        let path = state_dir.join(DATABASE);
        if let Some(error) = super::lost_database(&path) {
            return Err(error);
        }
        match std::fs::metadata(&path) {
            Ok(found) if found.len() > 0 => {}
            Ok(_) => return Err(none()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
            Err(error) => return Err(storage::directory_error(state_dir, "look into", error)),
        }
        storage::examine(state_dir)?;
        let connection = connection::reader(&path, super::BUSY_TIMEOUT)?;
        match schema::standing(&connection, &path, MIGRATIONS)? {
            Standing::Current => Ok(Self { connection, path }),
            Standing::Empty => Err(none()),
            Standing::Older(found) => {
                let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
                Err(JournalError::Older { path, found, known })
            }
        }
    }

    fn view(&self) -> View<'_> {
        View {
            connection: &self.connection,
            path: &self.path,
        }
    }

    /// See `Journal::read`.
    ///
    /// # Errors
    /// `NoSuchRun`, `Damaged`, or a failure to read.
    pub fn read(&self, run: &str) -> Result<Vec<StoredEntry>, JournalError> {
        self.view().entries(run, 1)
    }

    /// See `Journal::read_from`.
    ///
    /// # Errors
    /// `NoSuchRun`, `Damaged`, or a failure to read.
    pub fn read_from(&self, run: &str, seq: u64) -> Result<Vec<StoredEntry>, JournalError> {
        self.view().entries(run, seq)
    }

    /// See `Journal::frozen`.
    ///
    /// # Errors
    /// `NoSuchRun`, `Corrupt`, or a failure to read.
    pub fn frozen(&self, run: &str) -> Result<serde_json::Value, JournalError> {
        self.view().frozen(run)
    }

    /// See `Journal::runs`.
    ///
    /// # Errors
    /// `Corrupt`, or a failure to read.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<RunRow>, JournalError> {
        self.view().runs(filter)
    }

    /// See `Journal::find`.
    ///
    /// # Errors
    /// If no run or several begin so.
    pub fn find(&self, prefix: &str) -> Result<String, FindError> {
        self.view().find(prefix)
    }

    /// All locks of environments that are held.
    ///
    /// # Errors
    /// `Corrupt`, or a failure to read.
    pub fn locks(&self) -> Result<Vec<super::LockHeld>, JournalError> {
        super::lock::held(self.view())
    }

    /// See `Journal::lock`.
    ///
    /// # Errors
    /// `Corrupt`, or a failure to read.
    pub fn lock(&self, environment: &str) -> Result<Option<super::LockHeld>, JournalError> {
        super::lock::look(self.view(), environment)
    }
}
