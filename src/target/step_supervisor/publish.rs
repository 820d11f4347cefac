//! The files of a step directory and how they appear: whole, by rename.
//!
//! | file | meaning |
//! |---|---|
//! | `lock` | held (flock) by the supervisor for as long as it lives |
//! | `started` | somebody took this step on; it is never begun again |
//! | `child` | the command's process |
//! | `out`, `out.OFFSET` | the spool |
//! | `exit` | how the step ended |
//! | `panic` | the supervisor had a defect; for a person |
//!
//! Nothing is synced: after a power cut the boot id differs, and the step's end is unknown anyhow.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::words::step::StepEnd;

pub(crate) const LOCK: &str = "lock";
pub(crate) const STARTED: &str = "started";
pub(crate) const CHILD: &str = "child";
pub(crate) const EXIT: &str = "exit";
pub(crate) const PANIC: &str = "panic";

/// Content of `started`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    /// Nobody started it, and nobody may any more.
    pub void: bool,
    /// The supervisor, which is also the id of the session of the whole tree.
    pub pid: i32,
    /// In clock ticks since boot, as in `/proc/PID/stat`.
    pub starttime: u64,
    pub boot_id: String,
    /// Value of [`super::MARK`] in the environment of the tree.
    pub mark: String,
    pub grace_ms: u64,
}

/// Content of `child`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChildFact {
    pub pid: i32,
    pub starttime: u64,
}

/// Writes `value` to a file that appears whole or not at all. An existing one is replaced.
pub(crate) fn publish<T: Serialize>(dir: &Path, name: &str, value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    let temporary = dir.join(format!(".{name}.new"));
    let written = private()
        .create(true)
        .truncate(true)
        .open(&temporary)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| std::fs::rename(&temporary, dir.join(name)));
    if written.is_err() {
        // On a full disk the half-written file would keep the space that is missing.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Space that is taken at the start of a step for its end: a disk that fills up meanwhile, perhaps by
/// the very step, must not make the outcome unknown.
pub(crate) const RESERVE: usize = 4096;

fn reserved(dir: &Path) -> PathBuf {
    dir.join(format!(".{EXIT}.new"))
}

/// Takes the space for the end of a step.
pub(crate) fn reserve(dir: &Path) -> io::Result<()> {
    private()
        .create(true)
        .truncate(true)
        .open(reserved(dir))?
        .write_all(&[b' '; RESERVE])
}

/// Publishes the end of a step in the space that was taken for it. After a failure it can be tried
/// again; what has at most [`RESERVE`] bytes fits also on a full disk.
pub(crate) fn publish_end(dir: &Path, end: &StepEnd) -> io::Result<()> {
    let bytes = serde_json::to_vec(end)?;
    let mut file = private().create(true).truncate(false).open(reserved(dir))?;
    file.write_all(&bytes)?;
    file.set_len(bytes.len() as u64)?;
    std::fs::rename(reserved(dir), dir.join(EXIT))
}

/// Writes `value` in place, for a file whose absence does no harm: a reader takes half of it for none.
pub(crate) fn note<T: Serialize>(dir: &Path, name: &str, value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    private()
        .create(true)
        .truncate(true)
        .open(dir.join(name))?
        .write_all(&bytes)
}

/// Reads what [`publish`] wrote; `None` if there is no such file.
///
/// # Errors
/// `InvalidData` for a file that is not whole, as a power cut can leave it.
pub(crate) fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> io::Result<Option<T>> {
    match std::fs::read(dir.join(name)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The lock file, open but not locked.
pub(crate) fn lock_file(dir: &Path) -> io::Result<File> {
    private().create(true).truncate(false).open(dir.join(LOCK))
}

/// Output of a step may be confidential even when masked.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// The id of this boot; it tells a process of before a power cut from one of after it.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn boot_id() -> io::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_file_is_told_from_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read::<ChildFact>(dir.path(), CHILD).unwrap().is_none());
        publish(
            dir.path(),
            CHILD,
            &ChildFact {
                pid: 7,
                starttime: 9,
            },
        )
        .unwrap();
        assert_eq!(
            read::<ChildFact>(dir.path(), CHILD).unwrap().unwrap().pid,
            7
        );
        std::fs::write(dir.path().join(CHILD), b"").unwrap();
        let err = read::<ChildFact>(dir.path(), CHILD).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::InvalidData);
    }
}
