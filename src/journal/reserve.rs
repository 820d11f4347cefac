//! Disk space kept for the worst moment.
//!
//! A ballast file of allocated blocks lies in the state directory. When the disk is full it is
//! removed, so that the stop and the back-out can still be written to the journal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::error::JournalError;
use super::storage;

/// Bytes kept in reserve: room for about 200 commits.
pub const RESERVE_BYTES: u64 = 1024 * 1024;
/// No run is started with fewer bytes free.
pub const MIN_FREE_BYTES: u64 = 16 * 1024 * 1024;

const NAME: &str = "reserve";

/// The ballast file of a state directory.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    dir: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// The reserve of a state directory, whose journal need not be open: on a full disk it may have
    /// to be released before the journal can be opened.
    #[must_use]
    pub fn new(state_dir: &Path, bytes: u64) -> Self {
        Self {
            path: state_dir.join(NAME),
            dir: state_dir.to_owned(),
            bytes,
        }
    }

    /// Whether the space is really allocated.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| {
            found.is_file() && found.len() >= self.bytes && found.blocks() * 512 >= self.bytes
        })
    }

    /// Makes the file if it is missing and as much again stays free, which leaves alone a disk on
    /// which another process has just given up the reserve. Returns whether the reserve is kept.
    ///
    /// # Errors
    /// If the file can neither be made nor removed; the journal works without it.
    pub fn keep(&self) -> io::Result<bool> {
        if self.is_kept() {
            return Ok(true);
        }
        let free =
            storage::free_bytes(&self.dir).map_err(|error| io::Error::other(error.to_string()))?;
        if free < self.bytes.saturating_mul(2) {
            return Ok(false);
        }
        self.release()?;
        match self.fill() {
            Ok(()) => Ok(self.is_kept()),
            Err(error) => {
                // Half a reserve only makes a full disk fuller.
                self.release()?;
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ok(false),
                    // Another process made it at the same moment.
                    io::ErrorKind::AlreadyExists => Ok(self.is_kept()),
                    _ => Err(error),
                }
            }
        }
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                write_zeros(&mut file, self.bytes)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the space back. Returns whether there was a reserve.
    ///
    /// # Errors
    /// If the file is there and cannot be removed.
    pub fn release(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// For file systems without fallocate.
fn write_zeros(file: &mut File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(zeros.len() as u64);
        file.write_all(&zeros[..usize::try_from(length).unwrap_or(zeros.len())])?;
        left -= length;
    }
    Ok(())
}

/// Bytes free in the file system of `dir`, if they are at least `needed`.
///
/// # Errors
/// `LittleSpace` if they are fewer.
pub fn free_space(dir: &Path, needed: u64) -> Result<u64, JournalError> {
    let free = storage::free_bytes(dir)?;
    if free < needed {
        return Err(JournalError::LittleSpace {
            path: dir.to_owned(),
            free,
            needed,
        });
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_released_and_kept_again() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(dir.path(), RESERVE_BYTES);
        assert!(!reserve.is_kept());
        assert!(reserve.keep().unwrap());
        let found = fs::metadata(reserve.path()).unwrap();
        assert!(
            found.blocks() * 512 >= RESERVE_BYTES,
            "{} blocks",
            found.blocks()
        );
        assert!(reserve.keep().unwrap());
        assert!(reserve.release().unwrap());
        assert!(!reserve.release().unwrap());
        assert!(reserve.keep().unwrap());
    }

    #[test]
    fn a_sparse_file_of_the_right_length_is_no_reserve() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(dir.path(), RESERVE_BYTES);
        File::create(reserve.path())
            .unwrap()
            .set_len(RESERVE_BYTES)
            .unwrap();
        assert!(!reserve.is_kept());
        assert!(reserve.keep().unwrap());
    }

    #[test]
    fn zeros_allocate_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(dir.path(), 200_000);
        write_zeros(&mut File::create(reserve.path()).unwrap(), 200_000).unwrap();
        File::open(reserve.path()).unwrap().sync_all().unwrap();
        assert_eq!(fs::metadata(reserve.path()).unwrap().len(), 200_000);
        assert!(reserve.is_kept());
    }

    #[test]
    fn more_than_there_is_cannot_be_kept_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(dir.path(), u64::MAX / 4);
        assert!(!reserve.keep().unwrap());
        assert!(!reserve.path().exists());
        let error = free_space(dir.path(), u64::MAX).unwrap_err();
        assert!(matches!(error, JournalError::LittleSpace { .. }), "{error}");
        assert!(free_space(dir.path(), 1).unwrap() > 1);
    }
}
