//! Copying the content of files.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Trouble;
use super::dir::Descent;
use super::entry::{Entry, Kind};
use crate::target::files::hex;

const CHUNK: usize = 64 * 1024;

/// From so many things on, the whole file system is made durable at once.
pub(in crate::target) const MANY: usize = 64;

/// Copies one file, holes as holes if it has any, and returns the SHA-256 of what it read.
pub(super) fn copy(from: &mut File, to: &mut File, sparse: bool) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut length = 0_u64;
    loop {
        let chunk = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => buffer.get(..n).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        digest.update(chunk);
        length += chunk.len() as u64;
        if sparse && chunk.iter().all(|byte| *byte == 0) {
            to.seek(SeekFrom::Start(length))?;
        } else {
            to.write_all(chunk)?;
        }
    }
    // A hole at the end has not been written.
    to.set_len(length)?;
    Ok(hex(&digest.finalize()))
}

/// The SHA-256 of what is left to read.
pub(super) fn digest(file: &mut File) -> io::Result<String> {
    let mut digest = Sha256::new();
    crate::target::files::copy(file, &mut io::sink(), &mut digest)?;
    Ok(hex(&digest.finalize()))
}

/// Copies the content of all files of a tree into a tree that has nothing else, for this user alone,
/// and reads it again.
pub(super) fn store(
    entries: &mut [Entry],
    from: &mut Descent,
    to: &mut Descent,
) -> Result<(), Trouble> {
    let few = entries.len() < MANY;
    for entry in &mut *entries {
        let wrong = Trouble::at(&entry.path.0);
        match &mut entry.kind {
            Kind::Directory => {
                let (dir, name) = to.place(&entry.path.0).map_err(&wrong)?;
                let path = dir.at(&name);
                fs::create_dir(&path).map_err(&wrong)?;
                fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(&wrong)?;
            }
            Kind::File { sha256, sparse, .. } => {
                let (dir, name) = from.place(&entry.path.0).map_err(&wrong)?;
                let mut source = dir.file(&name).map_err(&wrong)?;
                if !source.metadata().map_err(&wrong)?.is_file() {
                    return Err(wrong(io::Error::other("it is no file any more")));
                }
                let (dir, name) = to.place(&entry.path.0).map_err(&wrong)?;
                let mut kept = create(dir, &name).map_err(&wrong)?;
                let read = copy(&mut source, &mut kept, *sparse).map_err(&wrong)?;
                if few {
                    kept.sync_all().map_err(&wrong)?;
                }
                let mut again = dir.file(&name).map_err(&wrong)?;
                if digest(&mut again).map_err(&wrong)? != read {
                    let text = "what was written of it is not what was read";
                    return Err(wrong(io::Error::other(text)));
                }
                *sha256 = Some(read);
            }
            _ => {}
        }
    }
    sync(entries, Path::new(""), to)
}

/// Makes the names of a tree durable; when it is large, its files too.
pub(super) fn sync(entries: &[Entry], base: &Path, tree: &mut Descent) -> Result<(), Trouble> {
    if entries.len() >= MANY {
        let wrong = Trouble::at(base);
        let (dir, _) = tree.place(Path::new("")).map_err(&wrong)?;
        return rustix::fs::syncfs(dir).map_err(|e| wrong(e.into()));
    }
    for entry in entries.iter().filter(|entry| entry.is_directory()) {
        let wrong = Trouble::at(&entry.path.0);
        let path = entry.path.0.strip_prefix(base).unwrap_or(&entry.path.0);
        let (dir, name) = tree.place(path).map_err(&wrong)?;
        dir.enter(&name)
            .and_then(|dir| dir.sync())
            .map_err(&wrong)?;
    }
    Ok(())
}

/// A new file that nobody else may read.
pub(in crate::target) fn create(dir: &super::dir::Dir, name: &std::ffi::OsStr) -> io::Result<File> {
    let file = File::create_new(dir.at(name))?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}
