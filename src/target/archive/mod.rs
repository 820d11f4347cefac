//! Unpacking archives: tar, alone or packed with gzip, zstd or xz, and zip.
//!
//! An archive is read twice: first to see what is in it and whether it may be unpacked, then to unpack
//! just that.

mod judge;
mod read;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use judge::{Judged, Part, What, judge, path_of, shown};
use read::members;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, linkat, mkdirat, utimensat};

use super::facts::io_words;
use super::files::sha256;
use super::former::{Descent, Dir, Entry, Extent, Kind, MANY, create, scan, set_mode};
use super::step_supervisor::memory_file;

/// How an archive is unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unpacking {
    /// The digest that it must have.
    pub(super) sha256: Option<String>,
    /// How many directories are taken from the begin of each path.
    pub(super) strip: u32,
    /// Bytes that it may hold.
    pub(super) max_unpacked: u64,
    /// User and group of what is made; whoever makes it when absent.
    pub(super) owner: Option<(u32, u32)>,
}

/// An archive that may be unpacked.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    file: File,
    judged: Judged,
    unpacking: Unpacking,
}

impl Archive {
    /// Opens an archive and judges it.
    pub(super) fn open(path: &Path, unpacking: &Unpacking) -> Result<Self, String> {
        let wrong = |problem: String| format!("{} can't be unpacked: {problem}", path.display());
        if let Some(wanted) = &unpacking.sha256 {
            let digest = sha256(path)?;
            if !digest.eq_ignore_ascii_case(wanted) {
                return Err(wrong(format!("its digest is {digest}, not {wanted}")));
            }
        }
        let file = File::open(path).map_err(|e| wrong(io_words(&e)))?;
        let facts = file.metadata().map_err(|e| wrong(io_words(&e)))?;
        if !facts.is_file() {
            return Err(wrong("it is not a file".into()));
        }
        let judged = judge(&file, unpacking.strip, unpacking.max_unpacked).map_err(wrong)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            judged,
            unpacking: unpacking.clone(),
        })
    }

    /// Unpacks it as the directory `name` in `dir`, which is not there yet.
    pub(super) fn unpack(&self, dir: &Dir, name: &std::ffi::OsStr) -> Result<(), String> {
        let wrong =
            |problem: String| format!("{} can't be unpacked: {problem}", self.path.display());
        let again = dir.again().map_err(|e| wrong(io_words(&e)))?;
        let mut target = Descent::new(again, name.to_owned());
        for (path, part) in &self.judged.parts {
            if part.what == What::Directory {
                let made = target.place(path).and_then(|(dir, name)| {
                    Ok(mkdirat(dir, &name, rustix::fs::Mode::from_raw_mode(0o700))?)
                });
                made.map_err(|e| wrong(format!("{}: {}", path.display(), io_words(&e))))?;
            }
        }
        let mut made = 0;
        members(&self.file, &mut |member, content| {
            let path = path_of(&member.name, self.unpacking.strip)?.unwrap_or_default();
            let Some(part) = self.judged.parts.get(&path) else {
                return Ok(());
            };
            if part.what == What::Directory {
                return Ok(());
            }
            made += 1;
            let wrong = |e: io::Error| format!("{}: {}", shown(&member.name), io_words(&e));
            self.make(&mut target, &path, part, content).map_err(wrong)
        })
        .map_err(wrong)?;
        let parts = self.judged.parts.iter();
        if made
            != parts
                .clone()
                .filter(|(_, p)| p.what != What::Directory)
                .count()
        {
            return Err(wrong("it has changed while it was unpacked".into()));
        }
        // What is made in a directory changes its time.
        for (path, part) in parts.rev().filter(|(_, part)| part.what == What::Directory) {
            self.dress(&mut target, path, part)
                .map_err(|e| wrong(format!("{}: {}", path.display(), io_words(&e))))?;
        }
        if self.judged.parts.len() < MANY {
            return Ok(());
        }
        rustix::fs::syncfs(dir).map_err(|e| wrong(io_words(&e.into())))
    }

    fn make(
        &self,
        target: &mut Descent,
        path: &Path,
        part: &Part,
        content: &mut dyn io::Read,
    ) -> io::Result<()> {
        match &part.what {
            What::Directory => return Ok(()),
            What::File { size, sha256 } => {
                let (dir, name) = target.place(path)?;
                let mut file = create(dir, &name)?;
                let mut content = io::Read::take(content, size.saturating_add(1));
                let mut digest = sha2::Digest::new();
                super::files::copy(&mut content, &mut file, &mut digest)?;
                if super::files::hex(&sha2::Digest::finalize(digest)) != *sha256 {
                    return Err(io::Error::other("it has changed while it was unpacked"));
                }
                if self.judged.parts.len() < MANY {
                    file.sync_all()?;
                }
            }
            What::Link { to } => {
                let (dir, name) = target.place(path)?;
                symlink(to, dir.at(&name))?;
            }
            What::SameAs { path: first } => {
                let (dir, name) = target.place(first)?;
                let handle = dir.handle(&name)?;
                let first = format!("/proc/self/fd/{}", handle.as_raw_fd());
                let (dir, name) = target.place(path)?;
                linkat(CWD, first, dir, &name, AtFlags::SYMLINK_FOLLOW)?;
                return Ok(());
            }
        }
        self.dress(target, path, part)
    }

    /// Gives what was made its owner, mode and time.
    fn dress(&self, target: &mut Descent, path: &Path, part: &Part) -> io::Result<()> {
        let (dir, name) = target.place(path)?;
        if let Some(owner) = self.unpacking.owner {
            super::changes::give(dir, &name, owner)?;
        }
        if !matches!(part.what, What::Link { .. }) {
            set_mode(dir, &name, mode_of(part))?;
        }
        let Some(tv_sec) = part.mtime else {
            return Ok(());
        };
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec { tv_sec, tv_nsec: 0 },
        };
        Ok(utimensat(dir, &name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Is this what is in the directory at `path`? Times do not count.
    pub(super) fn is_at(&self, path: &Path) -> Result<bool, String> {
        let wrong = |problem: String| format!("{} can't be compared: {problem}", path.display());
        let seen = scan(path, Extent::WHOLE).map_err(|t| wrong(t.words(path)))?;
        if seen.entries.len() != self.judged.parts.len() {
            return Ok(false);
        }
        let (dir, name) = super::former::parent_of(path).map_err(|e| wrong(io_words(&e)))?;
        let mut live = Descent::new(dir, name);
        for entry in &seen.entries {
            let Some(part) = self.judged.parts.get(&entry.path.0) else {
                return Ok(false);
            };
            let content = match &part.what {
                What::SameAs { path } => self.judged.parts.get(path).map(|part| &part.what),
                what => Some(what),
            };
            let same = match (&entry.kind, content) {
                (Kind::Directory, Some(What::Directory)) => true,
                (Kind::Link { to }, Some(What::Link { to: wanted })) => to.0 == *wanted,
                (Kind::File { .. } | Kind::SameAs { .. }, Some(What::File { size, sha256 })) => {
                    let there = live
                        .digest(&entry.path.0)
                        .map_err(|e| wrong(io_words(&e)))?;
                    size_fits(entry, *size) && there == *sha256
                }
                _ => false,
            };
            let moded = matches!(entry.kind, Kind::Link { .. }) || entry.mode == mode_of(part);
            let owner = self.unpacking.owner;
            if !same || !moded || owner.is_some_and(|owner| owner != (entry.uid, entry.gid)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// One thing that an archive holds, with its content.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// From where it is unpacked; empty for the directory itself.
    pub(super) path: PathBuf,
    pub(super) content: Content,
    pub(super) mode: u32,
    /// When it was modified, in seconds since 1970.
    pub(super) mtime: Option<i64>,
}

/// What it is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    File(Vec<u8>),
    Directory,
    Link(PathBuf),
}

/// All that unpacking an archive would make, directories before what is in them; nothing is made.
pub(super) fn held(bytes: &[u8], strip: u32, max_unpacked: u64) -> Result<Vec<Held>, String> {
    let file = memory_file("archive", bytes).map_err(|e| io_words(&e))?;
    let judged = judge(&file, strip, max_unpacked)?;
    let mut contents = std::collections::BTreeMap::new();
    members(&file, &mut |member, content| {
        let path = path_of(&member.name, strip)?.unwrap_or_default();
        let part = judged.parts.get(&path);
        if part.is_some_and(|part| matches!(part.what, What::File { .. })) {
            let mut bytes = Vec::new();
            io::Read::read_to_end(content, &mut bytes).map_err(|e| io_words(&e))?;
            contents.insert(path, bytes);
        }
        Ok(())
    })?;
    let held = judged.parts.iter().map(|(path, part)| Held {
        path: path.clone(),
        content: match &part.what {
            What::Directory => Content::Directory,
            What::Link { to } => Content::Link(to.clone()),
            What::File { .. } => Content::File(contents.get(path).cloned().unwrap_or_default()),
            What::SameAs { path } => Content::File(contents.get(path).cloned().unwrap_or_default()),
        },
        mode: mode_of(part),
        mtime: part.mtime,
    });
    Ok(held.collect())
}

fn size_fits(entry: &Entry, wanted: u64) -> bool {
    match &entry.kind {
        Kind::File { size, .. } => *size == wanted,
        _ => true,
    }
}

/// Permission bits of what is made: nothing that is unpacked runs as somebody else.
fn mode_of(part: &Part) -> u32 {
    let otherwise = match part.what {
        What::Directory => 0o755,
        _ => 0o644,
    };
    part.mode.map_or(otherwise, |mode| mode & 0o777)
}
