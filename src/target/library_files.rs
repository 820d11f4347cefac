//! The files of a library: their digest, and copies of them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::words::digest::hex;

/// Files that a library may have, and bytes in all of them. Far above any library.
const FILES_MAX: usize = 10_000;
const BYTES_MAX: u64 = 64 << 20;

/// SHA-256, in hex, over all files below `dir`: their paths, kinds and contents, in the order of
/// their paths. What git keeps for itself does not belong to it.
///
/// # Errors
/// When something can't be read, or is neither file, directory nor symbolic link.
pub fn digest(dir: &Path) -> Result<String, String> {
    let mut all = Sha256::new();
    let mut bytes = 0u64;
    for path in files(dir)? {
        let whole = dir.join(&path);
        let wrong = |e: io::Error| format!("{}: {e}", whole.display());
        let facts = fs::symlink_metadata(&whole).map_err(wrong)?;
        let (kind, digest) = if facts.is_symlink() {
            let to = fs::read_link(&whole).map_err(wrong)?;
            (b'l', Sha256::digest(to.as_os_str().as_bytes()))
        } else {
            bytes = bytes.saturating_add(facts.len());
            if bytes > BYTES_MAX {
                let max = BYTES_MAX >> 20;
                return Err(format!("{} has more than {max} MiB", dir.display()));
            }
            let is_program = facts.permissions().mode() & 0o100 != 0;
            let mut content = Vec::new();
            let file = File::open(&whole).map_err(wrong)?;
            file.take(BYTES_MAX + 1)
                .read_to_end(&mut content)
                .map_err(wrong)?;
            (
                if is_program { b'x' } else { b'f' },
                Sha256::digest(&content),
            )
        };
        let name = path.as_os_str().as_bytes();
        all.update([kind]);
        all.update((name.len() as u64).to_be_bytes());
        all.update(name);
        all.update(digest);
    }
    Ok(hex(&all.finalize()))
}

/// Copies the files below `from` into `to`, which takes the place of what is there only when all of
/// them are copied.
///
/// # Errors
/// When something can't be read or written; `to` is as before then.
pub fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let parent = to.parent().unwrap_or(Path::new("/"));
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let beside = parent.join(format!(".{name}.new"));
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |e: io::Error| format!("{}: {e}", path.display())
    };
    let _ = fs::remove_dir_all(&beside);
    fs::create_dir_all(&beside).map_err(wrong(&beside))?;
    let copied = files(from).and_then(|paths| {
        for path in paths {
            let (source, target) = (from.join(&path), beside.join(&path));
            let dir = target.parent().unwrap_or(&beside);
            fs::create_dir_all(dir).map_err(wrong(dir))?;
            let facts = fs::symlink_metadata(&source).map_err(wrong(&source))?;
            if facts.is_symlink() {
                let to = fs::read_link(&source).map_err(wrong(&source))?;
                std::os::unix::fs::symlink(to, &target).map_err(wrong(&target))?;
            } else {
                fs::copy(&source, &target).map_err(wrong(&target))?;
            }
        }
        if to.exists() {
            fs::remove_dir_all(to).map_err(wrong(to))?;
        }
        fs::rename(&beside, to).map_err(wrong(to))
    });
    if copied.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    copied
}

/// The files below `dir`, by their paths in it, in order.
fn files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut to_do = vec![PathBuf::new()];
    while let Some(below) = to_do.pop() {
        let whole = dir.join(&below);
        let wrong = |e: io::Error| format!("{}: {e}", whole.display());
        for entry in fs::read_dir(&whole).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let path = below.join(entry.file_name());
            let kind = entry.file_type().map_err(wrong)?;
            if path == Path::new(".git") {
            } else if kind.is_dir() {
                to_do.push(path);
            } else if kind.is_file() || kind.is_symlink() {
                found.push(path);
            } else {
                let path = entry.path();
                return Err(format!("{} is no file and no directory", path.display()));
            }
            if found.len() > FILES_MAX {
                return Err(format!("{} has more than {FILES_MAX} files", dir.display()));
            }
        }
    }
    found.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_digest_sees_names_contents_and_kinds_but_not_git() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(dir, "a.rhai", "1");
        write(dir, "sub/b.rhai", "2");
        let first = digest(dir).unwrap();
        write(dir, ".git/HEAD", "x");
        assert_eq!(digest(dir).unwrap(), first);
        write(dir, "a.rhai", "2");
        let changed = digest(dir).unwrap();
        assert_ne!(changed, first);
        write(dir, "a.rhai", "1");
        assert_eq!(digest(dir).unwrap(), first);
        fs::rename(dir.join("a.rhai"), dir.join("c.rhai")).unwrap();
        assert_ne!(digest(dir).unwrap(), first);
        fs::rename(dir.join("c.rhai"), dir.join("a.rhai")).unwrap();
        fs::set_permissions(dir.join("a.rhai"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(digest(dir).unwrap(), first);
    }

    #[test]
    fn a_copy_has_the_same_digest_and_replaces_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        write(&from, "a.rhai", "1");
        write(&from, "sub/b.rhai", "2");
        std::os::unix::fs::symlink("a.rhai", from.join("link")).unwrap();
        write(&to, "old", "x");
        copy(&from, &to).unwrap();
        assert_eq!(digest(&from), digest(&to));
        assert!(!to.join("old").exists());
        assert!(copy(&dir.path().join("nowhere"), &to).is_err());
        assert_eq!(digest(&from), digest(&to));
    }
}
