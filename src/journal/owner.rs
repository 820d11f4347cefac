//! One controller for a run.
//!
//! The lock is the kernel's (flock) on `runs/<id>/owner`, so it ends with the process, however that
//! ends. What stands in the file is for messages only.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::holder::Holder;
use super::ids::{NotARunId, RunId};

/// How often the file is opened anew when somebody removed it meanwhile.
const ATTEMPTS: usize = 10;

/// The right to control a run, until it is dropped.
#[derive(Debug)]
pub struct OwnerLock {
    _file: File,
    path: PathBuf,
}

/// Another process controls the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {run} is already controlled by {}", holder.as_ref().map_or_else(|| "another process".to_owned(), holder_and_stop))]
pub struct OwnedBy {
    /// The run.
    pub run: String,
    /// The process; `None` if it has not said who it is.
    pub holder: Option<Holder>,
}

/// Who has the run, and how it is stopped from elsewhere.
fn holder_and_stop(holder: &Holder) -> String {
    format!(
        "{holder}; Ctrl-C there or `kill -TERM {}` stops it and backs it out",
        holder.pid
    )
}

/// Why a run cannot be controlled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// Another process does.
    #[error(transparent)]
    Owned(#[from] OwnedBy),
    /// That is no run.
    #[error(transparent)]
    NotARun(#[from] NotARunId),
    /// The system failed.
    #[error("cannot {doing} {}: {source}; the run was not touched", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OwnerLock {
    /// Becomes the controller of a run; `holder` is told to those who come later. It never waits.
    ///
    /// # Errors
    /// `Owned` while another process controls the run.
    pub fn take(state_dir: &Path, run: &str, holder: &Holder) -> Result<Self, OwnerError> {
        RunId::parse(run)?;
        let dir = state_dir.join("runs").join(run);
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| OwnerError::Io {
                doing,
                path,
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(io("make", &dir))?;
        let path = dir.join("owner");
        for _ in 0..ATTEMPTS {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(io("open", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let holder = read(&mut file);
                    return Err(OwnedBy {
                        run: run.to_owned(),
                        holder,
                    }
                    .into());
                }
                Err(TryLockError::Error(error)) => return Err(io("lock", &path)(error)),
            }
            // A lock on a file that was removed after it was opened would keep nobody out.
            if is_still(&file, &path) {
                // On a full disk the run must be controllable all the same; then nobody learns by whom.
                let _ = write(&mut file, holder);
                return Ok(Self { _file: file, path });
            }
        }
        Err(io("lock", &path)(io::Error::other(
            "it is removed again and again",
        )))
    }

    /// Who controls a run now, if anybody does. It never waits and makes nothing.
    #[must_use]
    pub fn current(state_dir: &Path, run: &str) -> Option<OwnedBy> {
        RunId::parse(run).ok()?;
        let mut file = File::open(state_dir.join("runs").join(run).join("owner")).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(OwnedBy {
                run: run.to_owned(),
                holder: read(&mut file),
            }),
            _ => None,
        }
    }

    /// The locked file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(named)) => ours.ino() == named.ino() && ours.dev() == named.dev(),
        _ => false,
    }
}

fn write(file: &mut File, holder: &Holder) -> io::Result<()> {
    let text = serde_json::to_vec(holder)?;
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&text)
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = Vec::new();
    file.take(64 * 1024).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "20260321-2200-k7f3";

    #[test]
    fn one_at_a_time_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let me = Holder::this_process("web team");
        assert_eq!(OwnerLock::current(dir.path(), RUN), None);
        let lock = OwnerLock::take(dir.path(), RUN, &me).unwrap();
        // flock belongs to the open file, so a second opening in this process competes as well.
        let other = Holder {
            who: "other".to_owned(),
            ..me.clone()
        };
        let error = OwnerLock::take(dir.path(), RUN, &other).unwrap_err();
        let OwnerError::Owned(owned) = error else {
            panic!("{error}")
        };
        assert_eq!(owned.holder.as_ref(), Some(&me));
        assert_eq!(OwnerLock::current(dir.path(), RUN), Some(owned));
        drop(lock);
        assert_eq!(OwnerLock::current(dir.path(), RUN), None);
        OwnerLock::take(dir.path(), RUN, &other).unwrap();
    }

    #[test]
    fn a_file_without_words_is_locked_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let me = Holder::this_process("me");
        let lock = OwnerLock::take(dir.path(), RUN, &me).unwrap();
        fs::write(lock.path(), b"{\"who\":").unwrap();
        let error = OwnerLock::take(dir.path(), RUN, &me).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
    }

    #[test]
    fn only_the_id_of_a_run_becomes_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let me = Holder::this_process("me");
        for run in ["", "..", "../../etc", "20260321-2200-k7f", "a/b"] {
            let error = OwnerLock::take(dir.path(), run, &me).unwrap_err();
            assert!(matches!(error, OwnerError::NotARun(_)), "{error}");
        }
        assert!(!dir.path().join("runs").exists());
    }
}
