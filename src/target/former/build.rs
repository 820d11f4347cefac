//! Making a tree from what is known of it and the content of its files.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, linkat, mkdirat, mknodat};

use super::Trouble;
use super::dir::{Descent, Dir};
use super::entry::{Entry, Kind};
use super::store::{MANY, copy, create, sync};

/// Where the content of files comes from.
#[derive(Debug)]
pub(in crate::target) enum Content {
    /// From what was kept.
    Kept(Descent),
    /// From a tree that lives.
    Live(Descent),
}

impl Content {
    pub(super) fn tree(&mut self) -> &mut Descent {
        match self {
            Self::Kept(tree) | Self::Live(tree) => tree,
        }
    }
}

/// Makes the part of a tree that begins at `base`. `whole` is the tree it becomes a part of: what has
/// several names may have another one there already.
pub(in crate::target) fn build(
    entries: &[Entry],
    base: &Path,
    content: &mut Content,
    target: &mut Descent,
    mut whole: Option<&mut Descent>,
) -> Result<(), Trouble> {
    let within = |path: &Path| path.strip_prefix(base).map(Path::to_owned).ok();
    let few = entries.len() < MANY;
    for entry in entries {
        let wrong = Trouble::at(&entry.path.0);
        let path = within(&entry.path.0).unwrap_or_default();
        if let Kind::SameAs { path: first } = &entry.kind {
            let handle = match (within(&first.0), whole.as_deref_mut()) {
                (Some(first), _) => target
                    .place(&first)
                    .and_then(|(dir, name)| dir.handle(&name)),
                (None, Some(whole)) => whole
                    .place(&first.0)
                    .and_then(|(dir, name)| dir.handle(&name)),
                (None, None) => Err(io::ErrorKind::NotFound.into()),
            };
            let handle = handle.map_err(&wrong)?;
            let first = format!("/proc/self/fd/{}", handle.as_raw_fd());
            let (dir, name) = target.place(&path).map_err(&wrong)?;
            linkat(CWD, first, dir, name, AtFlags::SYMLINK_FOLLOW).map_err(|e| wrong(e.into()))?;
            continue;
        }
        let (dir, name) = target.place(&path).map_err(&wrong)?;
        make(entry, content, (dir, &name), few)?;
    }
    // What is made in a directory changes its time, and may need a mode that it is not to have.
    for entry in entries.iter().rev().filter(|e| e.is_directory()) {
        let wrong = Trouble::at(&entry.path.0);
        let path = within(&entry.path.0).unwrap_or_default();
        let (dir, name) = target.place(&path).map_err(&wrong)?;
        entry.dress(dir, &name).map_err(&wrong)?;
    }
    sync(entries, base, target)
}

fn make(
    entry: &Entry,
    content: &mut Content,
    (dir, name): (&Dir, &OsStr),
    sync: bool,
) -> Result<(), Trouble> {
    let wrong = Trouble::at(&entry.path.0);
    let node = |kind: FileType, number: u64| {
        mknodat(dir, name, kind, Mode::from_raw_mode(0o600), number).map_err(io::Error::from)
    };
    match &entry.kind {
        Kind::Directory => {
            return mkdirat(dir, name, Mode::from_raw_mode(0o700)).map_err(|e| wrong(e.into()));
        }
        Kind::File { .. } => write(entry, content, (dir, name), sync)?,
        Kind::Link { to } => symlink(&to.0, dir.at(name)).map_err(&wrong)?,
        Kind::Pipe => node(FileType::Fifo, 0).map_err(&wrong)?,
        Kind::Socket => node(FileType::Socket, 0).map_err(&wrong)?,
        Kind::Device {
            character: true,
            number,
        } => node(FileType::CharacterDevice, *number).map_err(&wrong)?,
        Kind::Device { number, .. } => node(FileType::BlockDevice, *number).map_err(&wrong)?,
        Kind::SameAs { .. } => return Ok(()),
    }
    entry.dress(dir, name).map_err(&wrong)
}

/// Writes the content of a file and says what is wrong with it.
fn write(
    entry: &Entry,
    content: &mut Content,
    (dir, name): (&Dir, &OsStr),
    sync: bool,
) -> Result<(), Trouble> {
    let wrong = Trouble::at(&entry.path.0);
    let Kind::File { sha256, sparse, .. } = &entry.kind else {
        return Ok(());
    };
    let kept = matches!(content, Content::Kept(_));
    let (from, of) = content.tree().place(&entry.path.0).map_err(&wrong)?;
    let mut source = from.file(&of).map_err(&wrong)?;
    let mut file = create(dir, name).map_err(&wrong)?;
    let digest = copy(&mut source, &mut file, *sparse).map_err(&wrong)?;
    if kept && sha256.as_ref().is_some_and(|sha256| *sha256 != digest) {
        let text = format!("what was kept of it is damaged: its digest is {digest}");
        return Err(wrong(io::Error::other(text)));
    }
    if !kept {
        let facts = fs::symlink_metadata(from.at(&of)).map_err(&wrong)?;
        let now = Entry::read(from, &of, &facts, &entry.path.0).map_err(&wrong)?;
        if now.mtime != entry.mtime {
            let text = "it has changed while it was copied";
            return Err(wrong(io::Error::other(text)));
        }
    }
    if sync {
        file.sync_all().map_err(&wrong)?;
    }
    Ok(())
}
