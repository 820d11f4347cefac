//! What the state directory lies on, and the directory itself.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;

use super::error::JournalError;

/// What the journal lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// The file system's name, or `"other"`.
    pub file_system: &'static str,
    /// False where a restart of the machine or of the container loses the journal (tmpfs, overlay).
    pub durable: bool,
    /// Bytes free for this user when the journal was opened.
    pub free_bytes: u64,
}

impl Storage {
    /// What the state directory lies on, or would lie on: `dir` need not exist.
    ///
    /// # Errors
    /// When it lies on a network file system, or cannot be looked at.
    pub fn of(dir: &Path) -> Result<Self, JournalError> {
        examine(dir)
    }

    /// What takes the journal away, and with it the way back; nothing where it is durable.
    #[must_use]
    pub fn lost_with(&self) -> Option<&'static str> {
        match self.file_system {
            _ if self.durable => None,
            "overlay" => Some("the end of this container"),
            _ => Some("a restart of this machine"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Durable,
    Lost,
    Network,
}

/// File systems by the magic number that statfs(2) gives, from Linux's `magic.h` and the sources of
/// those that are not in it.
#[rustfmt::skip]
const FILE_SYSTEMS: &[(u32, &str, Trust)] = &[
    (0x0000_ef53, "ext4", Trust::Durable),
    (0x5846_5342, "xfs", Trust::Durable),
    (0x9123_683e, "btrfs", Trust::Durable),
    (0x2fc1_2fc1, "zfs", Trust::Durable),
    (0xf2f5_2010, "f2fs", Trust::Durable),
    (0xca45_1a4e, "bcachefs", Trust::Durable),
    (0x0102_1994, "tmpfs", Trust::Lost),
    (0x8584_58f6, "ramfs", Trust::Lost),
    (0x794c_7630, "overlay", Trust::Lost),
    (0x0000_6969, "NFS", Trust::Network),
    (0x0000_517b, "SMB", Trust::Network),
    (0xff53_4d42, "CIFS", Trust::Network),
    (0xfe53_4d42, "SMB2", Trust::Network),
    (0x0102_1997, "9p", Trust::Network),
    (0x6573_5546, "FUSE", Trust::Network),
    (0x5346_414f, "AFS", Trust::Network),
    (0x6b41_4653, "kAFS", Trust::Network),
    (0x7375_7245, "Coda", Trust::Network),
    (0x00c3_6400, "Ceph", Trust::Network),
    (0x0bd0_0bd0, "Lustre", Trust::Network),
    (0x4750_4653, "GPFS", Trust::Network),
    (0x0116_1970, "GFS2", Trust::Network),
    (0x7461_636f, "OCFS2", Trust::Network),
    (0x1983_0326, "BeeGFS", Trust::Network),
    (0x786f_4256, "vboxsf", Trust::Network),
    (0xbacb_acbc, "vmhgfs", Trust::Network),
];

fn classify(magic: u32) -> (&'static str, Trust) {
    FILE_SYSTEMS
        .iter()
        .find(|(known, _, _)| *known == magic)
        .map_or(("other", Trust::Durable), |(_, name, trust)| (name, *trust))
}

#[cfg(target_os = "linux")]
fn magic_of(path: &Path) -> rustix::io::Result<u32> {
    // The magic number has 32 bits; the field is wider, and signed, on some architectures.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    rustix::fs::statfs(path).map(|fs| fs.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn magic_of(path: &Path) -> rustix::io::Result<u32> {
    // Only Linux identifies a file system by number; elsewhere it is taken for a local disk.
    statvfs(path).map(|_| 0)
}

/// Bytes that an unprivileged writer can still put into the file system of `path`.
pub(super) fn free_bytes(path: &Path) -> Result<u64, JournalError> {
    let fs = statvfs(path).map_err(|error| {
        JournalError::io(
            path,
            "ask for the free space of its file system",
            error.into(),
        )
    })?;
    Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// Looks at the file system before anything is made on it. `dir` need not exist.
pub(super) fn examine(dir: &Path) -> Result<Storage, JournalError> {
    let mut path = dir;
    let magic = loop {
        match magic_of(path) {
            Ok(magic) => break magic,
            Err(Errno::NOENT) => path = parent(path),
            Err(error) => return Err(directory_error(dir, "look at", error.into())),
        }
    };
    let (file_system, trust) = classify(magic);
    if trust == Trust::Network {
        return Err(JournalError::NetworkFileSystem {
            path: dir.to_owned(),
            file_system,
        });
    }
    Ok(Storage {
        file_system,
        durable: trust == Trust::Durable,
        free_bytes: free_bytes(path)?,
    })
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ if path.is_absolute() => Path::new("/"),
        _ => Path::new("."),
    }
}

/// Makes the state directory (mode 0700) and what is missing above it, and makes their names
/// durable. A directory that exists is only checked.
pub(super) fn ensure_directory(dir: &Path) -> Result<(), JournalError> {
    match fs::metadata(dir) {
        Ok(found) if !found.is_dir() => {
            return Err(JournalError::NotADirectory {
                path: dir.to_owned(),
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(dir)?,
        Err(error) => return Err(directory_error(dir, "look at", error)),
    }
    access(dir, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| directory_error(dir, "write to", error.into()))
}

fn create(dir: &Path) -> Result<(), JournalError> {
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut path = dir;
    while !path.exists() {
        missing.push(path.to_owned());
        path = parent(path);
    }
    let failed = |error| directory_error(dir, "make", error);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed)?;
    for made in &missing {
        sync_directory(parent(made)).map_err(failed)?;
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Says what is wrong with the state directory.
pub(super) fn directory_error(dir: &Path, doing: &'static str, error: io::Error) -> JournalError {
    let path = dir.to_owned();
    match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            JournalError::NotADirectory { path }
        }
        io::ErrorKind::PermissionDenied => JournalError::Unwritable {
            path,
            detail: error.to_string(),
        },
        io::ErrorKind::ReadOnlyFilesystem => JournalError::ReadOnlyFileSystem { path },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            JournalError::DiskFull { path }
        }
        _ => JournalError::io(dir, doing, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_refused_and_forgetful_ones_named() {
        assert_eq!(classify(0x6969), ("NFS", Trust::Network));
        assert_eq!(classify(0x6573_5546), ("FUSE", Trust::Network));
        assert_eq!(classify(0xfe53_4d42), ("SMB2", Trust::Network));
        assert_eq!(classify(0x0102_1994), ("tmpfs", Trust::Lost));
        assert_eq!(classify(0x794c_7630), ("overlay", Trust::Lost));
        assert_eq!(classify(0xef53), ("ext4", Trust::Durable));
        assert_eq!(classify(0x1234_5678), ("other", Trust::Durable));
    }

    #[test]
    fn the_directory_is_private_and_may_lie_deep() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("a/b/c");
        examine(&dir).unwrap();
        assert!(
            !temporary.path().join("a").exists(),
            "looking must not make anything"
        );
        ensure_directory(&dir).unwrap();
        assert_eq!(
            fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
            0o700
        );
        ensure_directory(&dir).unwrap();
    }
}
