//! A tree of files that is only pretended. Below one directory, files of the machine can be seen as
//! long as nothing else is said of them; nothing is ever written there.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::target::owners;

/// Directories that every host has.
const OF_EVERY_HOST: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// Bytes of a file of the machine that are read.
const FILE_MAX: u64 = 16 << 20;
/// Links that are followed for one path.
const LINKS_MAX: usize = 40;

/// Below it is nothing.
const NOWHERE: &str = "/proc/none";

/// Who owns what nobody has been named for.
const OWNER: &str = "root:root";

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with this content.
    File(Arc<[u8]>),
    /// A directory.
    Directory,
    /// A symbolic link to this path.
    Link(String),
}

/// What is at a path, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
    /// When it was changed last, in milliseconds since 1970.
    pub mtime_ms: i64,
}

impl Entry {
    /// A file.
    #[must_use]
    pub fn file(content: Vec<u8>, mode: u32, owner: Option<&str>, mtime_ms: i64) -> Self {
        Self {
            kind: Kind::File(content.into()),
            mode,
            owner: whole_owner(owner),
            mtime_ms,
        }
    }

    /// A directory.
    #[must_use]
    pub fn directory(mode: u32, owner: Option<&str>, mtime_ms: i64) -> Self {
        Self {
            kind: Kind::Directory,
            mode,
            owner: whole_owner(owner),
            mtime_ms,
        }
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(to: String, mtime_ms: i64) -> Self {
        Self {
            kind: Kind::Link(to),
            mode: 0o777,
            owner: OWNER.into(),
            mtime_ms,
        }
    }
}

/// `user:group`, the group of the user's name where none is named.
pub(super) fn whole_owner(owner: Option<&str>) -> String {
    match owner {
        None => OWNER.into(),
        Some(owner) if owner.contains(':') => owner.to_owned(),
        Some(owner) => format!("{owner}:{owner}"),
    }
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub what: String,
    /// What it was.
    pub was: String,
    /// What it is.
    pub is: String,
}

/// A tree of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// `None` where a file of the machine is as if removed.
    entries: BTreeMap<PathBuf, Option<Entry>>,
    /// Below it, files of the machine can be seen.
    root: PathBuf,
}

impl Tree {
    /// A tree without files, but for those of the machine below `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            entries: BTreeMap::new(),
            root: root.to_owned(),
        }
    }

    /// All that is in a directory of the machine, as it is now.
    #[must_use]
    pub fn of_directory(dir: &Path) -> Self {
        let live = Self::new(dir);
        let entries = live.below(dir).into_iter().map(|path| {
            let entry = of_machine(&path);
            (path, entry)
        });
        Self {
            entries: entries.collect(),
            root: PathBuf::from(NOWHERE),
        }
    }

    /// What is at a path whose links are resolved.
    fn at(&self, path: &Path) -> Option<Entry> {
        if let Some(known) = self.entries.get(path) {
            return known.clone();
        }
        if path.starts_with(&self.root) {
            return of_machine(path);
        }
        let is_there = self.root.starts_with(path)
            || path.to_str().is_some_and(|p| OF_EVERY_HOST.contains(&p));
        is_there.then(|| Entry::directory(0o755, None, 0))
    }

    /// The path without `.`, `..` and links on the way; the last part is followed if asked for.
    fn resolve(&self, path: &Path, follow_last: bool) -> Result<PathBuf, String> {
        let whole = self.root.join(path);
        let mut rest: VecDeque<OsString> = parts(&whole);
        let mut found = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                found.pop();
                continue;
            }
            let next = found.join(&part);
            if rest.is_empty() && !follow_last {
                return Ok(next);
            }
            match self.at(&next).map(|entry| entry.kind) {
                Some(Kind::Link(to)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err("its links lead in a circle".into());
                    }
                    if to.starts_with('/') {
                        found = PathBuf::from("/");
                    }
                    for part in parts(Path::new(&to)).into_iter().rev() {
                        rest.push_front(part);
                    }
                }
                _ => found = next,
            }
        }
        Ok(found)
    }

    /// What is at a path; a link there is not followed.
    #[must_use]
    pub fn entry(&self, path: &Path) -> Option<Entry> {
        self.at(&self.resolve(path, false).ok()?)
    }

    /// What is at a path, or where a link there leads.
    #[must_use]
    pub fn followed(&self, path: &Path) -> Option<Entry> {
        self.at(&self.resolve(path, true).ok()?)
    }

    /// Is it a directory, or does it lead to one?
    #[must_use]
    pub fn is_dir(&self, path: &Path) -> bool {
        self.followed(path)
            .is_some_and(|entry| entry.kind == Kind::Directory)
    }

    /// The content of a file.
    ///
    /// # Errors
    /// When there is none, in words.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        match self.followed(path).map(|entry| entry.kind) {
            Some(Kind::File(content)) => Ok(content.to_vec()),
            Some(Kind::Directory) => Err("it is a directory".into()),
            Some(Kind::Link(_)) | None => Err("no such file".into()),
        }
    }

    /// Sets what is at a path, or takes it away; directories on the way are not looked at.
    pub fn set(&mut self, path: &Path, entry: Option<Entry>) {
        let path = self
            .resolve(path, false)
            .unwrap_or_else(|_| self.root.join(path));
        match entry {
            None if !path.starts_with(&self.root) => {
                self.entries.remove(&path);
            }
            entry => {
                // What is as on the machine is not said again.
                if path.starts_with(&self.root) && of_machine(&path) == entry {
                    self.entries.remove(&path);
                } else {
                    self.entries.insert(path, entry);
                }
            }
        }
    }

    /// The same, with the directories that lead there.
    pub fn give(&mut self, path: &Path, entry: Entry) {
        self.set(path, Some(entry));
        let path = self
            .resolve(path, false)
            .unwrap_or_else(|_| path.to_owned());
        for parent in path.ancestors().skip(1) {
            if self.at(parent).is_none() {
                let directory = Entry::directory(0o755, None, 0);
                self.entries.insert(parent.to_owned(), Some(directory));
            }
        }
    }

    /// Puts a file in place like `write_file`; says whether anything changed.
    ///
    /// # Errors
    /// When it cannot be put there, in words.
    pub fn put(
        &mut self,
        path: &Path,
        content: Vec<u8>,
        mode: Option<u32>,
        owner: Option<&str>,
        now_ms: i64,
    ) -> Result<bool, String> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        if !self.is_dir(parent) {
            let text =
                "its directory is not there; make it first, for example with run([\"mkdir\", …])";
            return Err(format!("{} can't be put in place: {text}", path.display()));
        }
        let former = self.entry(path);
        if former.as_ref().is_some_and(|e| e.kind == Kind::Directory) {
            return Err(format!("{} is there and is not a file", path.display()));
        }
        let plain = former.as_ref().filter(|e| matches!(e.kind, Kind::File(_)));
        let entry = Entry {
            kind: Kind::File(content.into()),
            mode: mode.or(plain.map(|e| e.mode)).unwrap_or(0o644),
            owner: match owner {
                Some(owner) => whole_owner(Some(owner)),
                None => plain.map_or_else(|| OWNER.to_owned(), |e| e.owner.clone()),
            },
            mtime_ms: now_ms,
        };
        let same = plain.is_some_and(|e| {
            (&e.kind, e.mode, &e.owner) == (&entry.kind, entry.mode, &entry.owner)
        });
        if !same {
            self.set(path, Some(entry));
        }
        Ok(!same)
    }

    /// The names in a directory, in order.
    #[must_use]
    pub fn list(&self, path: &Path) -> Vec<String> {
        let Ok(dir) = self.resolve(path, true) else {
            return Vec::new();
        };
        let mut names: BTreeMap<String, bool> = BTreeMap::new();
        if dir.starts_with(&self.root) {
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                names.insert(entry.file_name().to_string_lossy().into_owned(), true);
            }
        }
        for (path, entry) in &self.entries {
            if path.parent() == Some(&dir)
                && let Some(name) = path.file_name()
            {
                names.insert(name.to_string_lossy().into_owned(), entry.is_some());
            }
        }
        let there = names.into_iter().filter(|(_, there)| *there);
        there.map(|(name, _)| name).collect()
    }

    /// Everything below a directory, and itself; the deepest first.
    #[must_use]
    pub fn below(&self, path: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        if self
            .entry(path)
            .is_some_and(|entry| entry.kind == Kind::Directory)
        {
            for name in self.list(path) {
                found.extend(self.below(&path.join(name)));
            }
        }
        found.push(path.to_owned());
        found
    }

    /// What is another in `now`. When directories were changed does not count: no back-out of a
    /// file puts that back.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<Difference> {
        let mut paths: Vec<&PathBuf> = self.entries.keys().chain(now.entries.keys()).collect();
        paths.sort();
        paths.dedup();
        let mut found = Vec::new();
        for path in paths {
            let (was, is) = (self.at(path), now.at(path));
            let name = path.display();
            let (was, is) = match (was, is) {
                (None, None) => continue,
                (Some(was), Some(is)) => (was, is),
                (was, is) => {
                    found.push(Difference {
                        what: name.to_string(),
                        was: was.map_or_else(|| "absent".into(), |e| described(&e)),
                        is: is.map_or_else(|| "absent".into(), |e| described(&e)),
                    });
                    continue;
                }
            };
            let mut differ = |what: &str, was: String, is: String| {
                if was != is {
                    let what = format!("{name}{what}");
                    found.push(Difference { what, was, is });
                }
            };
            let is_directory = was.kind == Kind::Directory && is.kind == Kind::Directory;
            if was.kind != is.kind {
                let (was, is) = match (&was.kind, &is.kind) {
                    (Kind::File(_), Kind::File(_)) => (content(&was), content(&is)),
                    _ => (described(&was), described(&is)),
                };
                differ("", was, is);
            }
            differ(
                ", mode",
                format!("{:04o}", was.mode),
                format!("{:04o}", is.mode),
            );
            differ(", owner", was.owner.clone(), is.owner.clone());
            if !is_directory {
                differ(", changed", instant(was.mtime_ms), instant(is.mtime_ms));
            }
        }
        found
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

/// What the machine has at a path.
fn of_machine(path: &Path) -> Option<Entry> {
    let facts = path.symlink_metadata().ok()?;
    let kind = if facts.is_symlink() {
        Kind::Link(
            std::fs::read_link(path)
                .ok()?
                .to_string_lossy()
                .into_owned(),
        )
    } else if facts.is_dir() {
        Kind::Directory
    } else if facts.is_file() && facts.len() <= FILE_MAX {
        Kind::File(std::fs::read(path).ok()?.into())
    } else {
        return None;
    };
    Some(Entry {
        kind,
        mode: facts.permissions().mode() & 0o7777,
        owner: format!(
            "{}:{}",
            owners::user(facts.uid()),
            owners::group(facts.gid())
        ),
        mtime_ms: facts.mtime() * 1000 + facts.mtime_nsec() / 1_000_000,
    })
}

/// An entry in a few words.
#[must_use]
pub(crate) fn described(entry: &Entry) -> String {
    match &entry.kind {
        Kind::Directory => "a directory".into(),
        Kind::Link(to) => format!("a link to {to}"),
        Kind::File(content) => match std::str::from_utf8(content) {
            Ok(text) if text.lines().count() <= 1 && text.len() <= 60 => {
                format!("a file with {:?}", text)
            }
            Ok(text) => format!(
                "a file with {} lines, {} bytes",
                text.lines().count(),
                text.len()
            ),
            Err(_) => format!("a file with {} bytes", content.len()),
        },
    }
}

/// The whole of what is at a path, for a comparison of two that look alike.
fn content(entry: &Entry) -> String {
    match &entry.kind {
        Kind::File(content) => String::from_utf8_lossy(content).into_owned(),
        Kind::Directory | Kind::Link(_) => described(entry),
    }
}

fn instant(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}
