//! Putting a tree back where it was: what is as before is left alone, so that whoever has it open
//! keeps it, and so that a disk that is full is no obstacle.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Trouble;
use super::build::{Content, build};
use super::dir::{Descent, Dir};
use super::entry::{Entry, Kind, set_mode};
use super::place::{beside, remove, swap_in};
use super::store::{copy, digest};

/// Puts a tree back.
pub(super) struct Reconcile<'r> {
    /// What was there.
    pub(super) entries: &'r [Entry],
    /// Was its content kept too?
    pub(super) has_content: bool,
    pub(super) content: Content,
    /// Where it was, as it is now.
    pub(super) live: Descent,
    /// The step's first directory, for names beside others.
    pub(super) step: &'r Path,
}

/// How what is there compares with what was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// It is the same.
    Same,
    /// Only owner, mode, time or attributes differ.
    Undressed,
    /// It is the same file with other content, and has names elsewhere.
    Rewritten,
    /// It is something else, or not there.
    Other,
}

impl Reconcile<'_> {
    pub(super) fn run(mut self) -> Result<(), Trouble> {
        self.clear()?;
        let mut skip: Option<PathBuf> = None;
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get(at) else {
                break;
            };
            let path = &entry.path.0;
            if skip.as_ref().is_some_and(|made| path.starts_with(made)) {
                continue;
            }
            if self.put_back(at)? {
                skip = Some(path.clone());
            }
        }
        for entry in self.entries.iter().rev().filter(|e| e.is_directory()) {
            let wrong = Trouble::at(&entry.path.0);
            let (dir, name) = self.live.place(&entry.path.0).map_err(&wrong)?;
            if self.has_content || dir.look(&name).map_err(&wrong)?.is_some() {
                dress(entry, dir, &name, self.has_content).map_err(&wrong)?;
            }
        }
        let (dir, _) = self.live.place(Path::new("")).map_err(Trouble::at(""))?;
        dir.sync().map_err(Trouble::at(""))
    }

    /// Removes what was not there, first of all: it may take the very space that is needed.
    fn clear(&mut self) -> Result<(), Trouble> {
        if !self.has_content {
            return Ok(());
        }
        let mut wanted: BTreeMap<&Path, BTreeSet<&OsStr>> = BTreeMap::new();
        for entry in self.entries {
            let path = entry.path.0.as_path();
            if entry.is_directory() {
                wanted.entry(path).or_default();
            }
            if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
                wanted.entry(parent).or_default().insert(name);
            }
        }
        for (path, names) in wanted {
            let wrong = Trouble::at(path);
            let Ok((dir, name)) = self.live.place(path) else {
                continue;
            };
            let Some(facts) = dir.look(&name).map_err(&wrong)? else {
                continue;
            };
            if !facts.is_dir() {
                continue;
            }
            if facts.mode() & 0o700 != 0o700 && !rustix::process::geteuid().is_root() {
                set_mode(dir, &name, facts.mode() & 0o7777 | 0o700).map_err(&wrong)?;
            }
            let below = dir.enter(&name).map_err(&wrong)?;
            for name in below.names().map_err(&wrong)? {
                if !names.contains(name.as_os_str()) {
                    remove(&below, &name).map_err(Trouble::at(&path.join(&name)))?;
                }
            }
        }
        self.live.forget();
        Ok(())
    }

    /// Puts one entry back. Returns whether it did so with all that is in it.
    fn put_back(&mut self, at: usize) -> Result<bool, Trouble> {
        let Some(entry) = self.entries.get(at) else {
            return Ok(false);
        };
        let wrong = Trouble::at(&entry.path.0);
        match self.stands(entry).map_err(&wrong)? {
            Stands::Same => return Ok(false),
            Stands::Undressed => {
                // A directory is dressed when all in it is as before.
                if !entry.is_directory() {
                    let (dir, name) = self.live.place(&entry.path.0).map_err(&wrong)?;
                    dress(entry, dir, &name, self.has_content).map_err(&wrong)?;
                }
                return Ok(false);
            }
            Stands::Rewritten => {
                self.write_in_place(entry)?;
                return Ok(false);
            }
            Stands::Other => {}
        }
        if !self.has_content {
            let text = "it is not what it was, and its content was not kept";
            return Err(wrong(io::Error::other(text)));
        }
        let below = self.entries.get(at..).unwrap_or_default();
        let end = below
            .iter()
            .position(|e| !e.path.0.starts_with(&entry.path.0))
            .unwrap_or(below.len());
        let part = below.get(..end).unwrap_or_default();
        match self.make_anew(entry, part) {
            Err(trouble) if is_full(&trouble.error) && self.would_fit(entry, part) => {
                // What is there goes in any case; without it there is the space that is needed.
                let (dir, name) = self.live.place(&entry.path.0).map_err(&wrong)?;
                remove(dir, &name).map_err(&wrong)?;
                self.make_anew(entry, part)?;
            }
            other => other?,
        }
        self.live.forget();
        Ok(true)
    }

    fn make_anew(&mut self, entry: &Entry, part: &[Entry]) -> Result<(), Trouble> {
        let wrong = Trouble::at(&entry.path.0);
        let (dir, name) = self.live.place(&entry.path.0).map_err(&wrong)?;
        let new = beside(&name, self.step);
        remove(dir, &new).map_err(&wrong)?;
        let here = dir.again().map_err(&wrong)?;
        let mut target = Descent::new(dir.again().map_err(&wrong)?, new.clone());
        let base = &entry.path.0;
        let made = build(
            part,
            base,
            &mut self.content,
            &mut target,
            Some(&mut self.live),
        )
        .and_then(|()| swap_in(&here, &new, &name).map_err(&wrong))
        .and_then(|()| here.sync().map_err(&wrong));
        if made.is_err() {
            // It may hold the very space that the next back-out needs.
            let _ = remove(&here, &new);
        }
        made
    }

    /// Is there space for `part` once what is in its place is gone?
    fn would_fit(&mut self, entry: &Entry, part: &[Entry]) -> bool {
        let needed: u64 = part.iter().map(size_of).sum();
        let Ok((dir, name)) = self.live.place(&entry.path.0) else {
            return false;
        };
        let Ok(Some(facts)) = dir.look(&name) else {
            return false;
        };
        let free = rustix::fs::fstatvfs(dir).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize));
        let freed = match facts.is_dir() {
            true => used(dir, &name),
            false if facts.nlink() > 1 => 0,
            false => facts.blocks().saturating_mul(512),
        };
        free.saturating_add(freed) >= needed
    }

    fn stands(&mut self, entry: &Entry) -> io::Result<Stands> {
        let (dir, name) = self.live.place(&entry.path.0)?;
        let Some(facts) = dir.look(&name)? else {
            return Ok(Stands::Other);
        };
        let now = Entry::read(dir, &name, &facts, &entry.path.0)?;
        let dressed = if now.is_dressed_like(entry) {
            Stands::Same
        } else {
            Stands::Undressed
        };
        Ok(match (&entry.kind, &now.kind) {
            (Kind::SameAs { path }, _) => {
                let (dir, name) = self.live.place(&path.0)?;
                let first = dir.look(&name)?;
                let same = first.is_some_and(|f| (f.dev(), f.ino()) == (facts.dev(), facts.ino()));
                if same { Stands::Same } else { Stands::Other }
            }
            (Kind::File { inode, outside, .. }, Kind::File { inode: there, .. }) => {
                if !self.has_content || self.same_content(entry)? {
                    dressed
                } else if *outside && inode == there {
                    Stands::Rewritten
                } else {
                    Stands::Other
                }
            }
            (was, is) if was == is => dressed,
            _ => Stands::Other,
        })
    }

    fn same_content(&mut self, entry: &Entry) -> io::Result<bool> {
        let Kind::File { size, sha256, .. } = &entry.kind else {
            return Ok(false);
        };
        let (dir, name) = self.live.place(&entry.path.0)?;
        let mut file = dir.file(&name)?;
        Ok(file.metadata()?.len() == *size && Some(digest(&mut file)?) == *sha256)
    }

    /// Writes the former content into the file that is there: it has names that lead to it from
    /// elsewhere.
    fn write_in_place(&mut self, entry: &Entry) -> Result<(), Trouble> {
        let wrong = Trouble::at(&entry.path.0);
        let (from, of) = self.content.tree().place(&entry.path.0).map_err(&wrong)?;
        let mut source = from.file(&of).map_err(&wrong)?;
        let (dir, name) = self.live.place(&entry.path.0).map_err(&wrong)?;
        let handle = dir.handle(&name).map_err(&wrong)?;
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        let mut file = OpenOptions::new().write(true).open(path).map_err(&wrong)?;
        copy(&mut source, &mut file, false).map_err(&wrong)?;
        file.sync_all().map_err(&wrong)?;
        dress(entry, dir, &name, true).map_err(&wrong)
    }
}

/// Dresses what is there, unless it is dressed like that already. Where content was not kept the time
/// belongs to whoever has written it.
fn dress(entry: &Entry, dir: &Dir, name: &OsStr, with_time: bool) -> io::Result<()> {
    let Some(facts) = dir.look(name)? else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let now = Entry::read(dir, name, &facts, &entry.path.0)?;
    let mut entry = entry.clone();
    if !with_time {
        entry.mtime = now.mtime;
    }
    if now.is_dressed_like(&entry) {
        return Ok(());
    }
    entry.dress(dir, name)
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn size_of(entry: &Entry) -> u64 {
    match &entry.kind {
        Kind::File { size, .. } => *size,
        _ => 0,
    }
}

/// Bytes that are free when a directory goes, roughly.
fn used(dir: &Dir, name: &OsString) -> u64 {
    let Ok(below) = dir.enter(name) else {
        return 0;
    };
    let names = below.names().unwrap_or_default();
    names
        .iter()
        .filter_map(|name| Some((name, below.look(name).ok()??)))
        .map(|(name, facts)| match facts.is_dir() {
            true => used(&below, name),
            false if facts.nlink() > 1 => 0,
            false => facts.blocks().saturating_mul(512),
        })
        .fold(0, u64::saturating_add)
}
