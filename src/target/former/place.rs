//! Putting what was made beside a path in its place, and taking away what is there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, RenameFlags, renameat_with, unlinkat};
use rustix::io::Errno;

use super::dir::{Dir, parent_of};
use super::entry::set_mode;
use crate::target::files::sha256_of;

/// Bytes of a name that stand in the name that is used beside it; file systems allow 255.
const NAME_SHOWN: usize = 200;

/// The name under which something is made before it is called `name`. It follows from the directory
/// of the step's first try, so that whoever comes after one that was killed can remove it.
pub(in crate::target) fn beside(name: &OsStr, step: &Path) -> OsString {
    let digest = sha256_of(step.as_os_str().as_bytes());
    let mark = digest.get(..16).unwrap_or_default();
    let shown = name.as_bytes();
    let mut made = b".".to_vec();
    made.extend(shown.get(..NAME_SHOWN).unwrap_or(shown));
    made.extend(format!(".deployrun-{mark}").bytes());
    OsString::from_vec(made)
}

/// The path with the symbolic links on the way to it resolved. The link that led there may lead elsewhere
/// when what was changed is put back.
pub(in crate::target) fn real(path: &Path) -> PathBuf {
    for above in path.ancestors().skip(1) {
        match fs::canonicalize(above) {
            Ok(found) => {
                let rest = path.strip_prefix(above).unwrap_or(path);
                return match without_detours(&found, rest) {
                    Some(plain) => real(&plain),
                    None => found.join(rest),
                };
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            // Whoever uses the path says what is wrong with it.
            Err(_) => break,
        }
    }
    path.to_owned()
}

/// `new/../app` is `app` where there is no `new`: that would be made only to be left again.
fn without_detours(found: &Path, rest: &Path) -> Option<PathBuf> {
    let mut parts = rest.components();
    let first = found.join(parts.next()?);
    if !rest.components().any(|part| part == Component::ParentDir)
        || fs::symlink_metadata(first).is_ok()
    {
        return None;
    }
    let mut plain = found.to_owned();
    for part in rest.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    Some(plain)
}

/// Removes what a killed try of the step has left beside `path`.
pub(in crate::target) fn forget(path: &Path, step: &Path) -> io::Result<()> {
    let Ok((dir, name)) = parent_of(path) else {
        return Ok(());
    };
    let name = beside(&name, step);
    match dir.look(&name) {
        Ok(Some(_)) => remove(&dir, &name),
        // A name that cannot be has not been made.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Calls `new` by the name `name`, and removes what had it, which may be of any kind.
pub(in crate::target) fn swap_in(dir: &Dir, new: &OsStr, name: &OsStr) -> io::Result<()> {
    let (Some(coming), going) = (dir.look(new)?, dir.look(name)?) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let Some(going) = going else {
        return Ok(renameat_with(dir, new, dir, name, RenameFlags::empty())?);
    };
    if !coming.is_dir() && !going.is_dir() {
        return Ok(renameat_with(dir, new, dir, name, RenameFlags::empty())?);
    }
    match renameat_with(dir, new, dir, name, RenameFlags::EXCHANGE) {
        Ok(()) => remove(dir, new),
        // A file system that cannot exchange.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            remove(dir, name)?;
            Ok(renameat_with(dir, new, dir, name, RenameFlags::empty())?)
        }
        Err(e) => Err(e.into()),
    }
}

/// Removes what is called `name`, with all that is in it. What is mounted there is left alone.
pub(in crate::target) fn remove(dir: &Dir, name: &OsStr) -> io::Result<()> {
    let Some(facts) = dir.look(name)? else {
        return Ok(());
    };
    if !facts.is_dir() {
        return Ok(unlinkat(dir, name, AtFlags::empty())?);
    }
    if facts.dev() != fs::metadata(dir.at(OsStr::new(".")))?.dev() {
        let text = "another file system is mounted there";
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
    }
    if facts.mode() & 0o700 != 0o700 && !rustix::process::geteuid().is_root() {
        set_mode(dir, name, facts.mode() & 0o7777 | 0o700)?;
    }
    let below = dir.enter(name)?;
    for inner in below.names()? {
        remove(&below, &inner)?;
    }
    Ok(unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}
