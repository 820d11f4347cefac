//! The files of a step directory.
//!
//! | file | meaning |
//! |---|---|
//! | `lock` | held (flock) by the supervisor for as long as the step lasts; its lines say more |
//! | `out`, `out.OFFSET` | the spool; there is none before the first byte of output |
//! | `.exit.new` | space kept for `exit` |
//! | `exit` | how the step ended; appears whole, by rename |
//! | `panic` | the supervisor had a defect; for a person |
//!
//! The first line of `lock` says that somebody took the step on, or that nobody ever may; the second
//! names the command's process. They are written under the lock, the first one before the command
//! is started. A line counts once its newline is there: without it the command was not started.
//!
//! A file more costs more than anything else a supervisor does, so there are no others.
//!
//! Nothing is synced: after a power cut the boot id differs, and the step's end is unknown anyhow.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::words::step::StepEnd;

pub(crate) const LOCK: &str = "lock";
pub(crate) const EXIT: &str = "exit";
pub(crate) const PANIC: &str = "panic";

/// First line of `lock`.
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

/// Second line of `lock`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChildFact {
    pub pid: i32,
    pub starttime: u64,
}

/// What stands in `lock`.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub started: Option<Started>,
    pub child: Option<ChildFact>,
}

/// The lock file, open but not locked.
pub(crate) fn lock_file(dir: &Path) -> io::Result<File> {
    private()
        .read(true)
        .create(true)
        .truncate(false)
        .open(dir.join(LOCK))
}

/// Whether anything at all stands in the lock file: then the step must not be begun.
pub(crate) fn is_written(lock: &File) -> io::Result<bool> {
    Ok(lock.metadata()?.len() > 0)
}

/// Says in the lock file, which must be empty, who took the step on. To be called under the lock,
/// before the command is started. After a failure nothing stands there.
pub(crate) fn say_started(lock: &File, started: &Started) -> io::Result<()> {
    add_line(lock, started)
}

/// Says in the lock file that nobody may take the step on any more. To be called under the lock,
/// when there is no whole line.
pub(crate) fn say_void(lock: &File, void: &Started) -> io::Result<()> {
    lock.set_len(0)?;
    add_line(lock, void)
}

/// Names the command's process. The line is only a help: a reader can do without it.
pub(crate) fn say_child(lock: &File, child: &ChildFact) -> io::Result<()> {
    add_line(lock, child)
}

fn add_line<T: Serialize>(lock: &File, value: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let at = lock.metadata()?.len();
    let written = lock.write_all_at(&line, at);
    if written.is_err() {
        // The newline comes last, so half a line is none; but nobody shall have to wonder.
        let _ = lock.set_len(at);
    }
    written
}

/// Reads the lock file, which may be locked by somebody else. A line without its newline is taken
/// for none, and so is a damaged second line.
///
/// # Errors
/// `InvalidData` for a first line that is whole and damaged, as a power cut can leave it.
pub(crate) fn read_lines(dir: &Path) -> io::Result<Lines> {
    let bytes = match std::fs::read(dir.join(LOCK)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let mut whole = bytes
        .split_inclusive(|&b| b == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    let Some(first) = whole.next() else {
        return Ok(Lines::default());
    };
    let started =
        serde_json::from_slice(first).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(Lines {
        started: Some(started),
        child: whole.next().and_then(|l| serde_json::from_slice(l).ok()),
    })
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

/// Reads a file that was published; `None` if there is no such file.
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
    // No process outlives its boot.
    static KNOWN: OnceLock<String> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(KNOWN.get_or_init(|| text.trim().to_owned()).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(pid: i32) -> Started {
        Started {
            void: false,
            pid,
            starttime: 9,
            boot_id: "b".into(),
            mark: "m".into(),
            grace_ms: 1,
        }
    }

    #[test]
    fn a_torn_end_is_told_from_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read::<StepEnd>(dir.path(), EXIT).unwrap().is_none());
        std::fs::write(dir.path().join(EXIT), b"").unwrap();
        let err = read::<StepEnd>(dir.path(), EXIT).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_line_counts_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let lines = || read_lines(dir.path()).unwrap();
        assert!(lines().started.is_none());
        let lock = lock_file(dir.path()).unwrap();
        assert!(lines().started.is_none() && !is_written(&lock).unwrap());
        let whole = format!("{}\n", serde_json::to_string(&started(7)).unwrap());
        for n in 0..whole.len() {
            std::fs::write(dir.path().join(LOCK), &whole[..n]).unwrap();
            assert!(lines().started.is_none(), "{n}");
        }
        // Half a line of somebody who died is no obstacle to saying that it is void.
        assert!(is_written(&lock).unwrap());
        say_void(&lock, &started(8)).unwrap();
        assert_eq!(lines().started.map(|s| s.pid), Some(8));
        assert!(lines().child.is_none());
        let child = ChildFact {
            pid: 10,
            starttime: 11,
        };
        say_child(&lock, &child).unwrap();
        assert_eq!(lines().child.map(|c| c.pid), Some(10));
        assert_eq!(lines().started.map(|s| s.pid), Some(8));
        std::fs::write(dir.path().join(LOCK), b"\0\0\0\n").unwrap();
        let err = read_lines(dir.path()).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::InvalidData);
    }
}
