//! Changes of what is at a path, and what was there before, in a tree that is only pretended.

use std::path::{Path, PathBuf};

use crate::words::call::{Change, FileChange};

use super::packed::{Packed, is_what_is_held};
use super::tree::whole_owner;
use super::{Entry, Kind, Tree};

/// Permission bits of a directory when the plan does not say.
const DIRECTORY_MODE: u32 = 0o755;

/// What was at a path before a step changed it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    path: PathBuf,
    entries: Vec<(PathBuf, Option<Entry>)>,
    how: Extent,
}

/// How much of it is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All that was there, with all that was in it.
    Whole,
    /// Owner and mode alone; what was absent is taken away.
    Bits,
    /// Nothing; it was absent, and is taken away if nothing is in it.
    IfEmpty,
}

/// What one step has kept, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Store(Vec<Kept>);

impl Store {
    /// Keeps all that is at a path; what was kept of it first counts.
    pub(super) fn keep(&mut self, tree: &Tree, path: &Path) {
        self.add(tree, path, Extent::Whole, true);
    }

    fn add(&mut self, tree: &Tree, path: &Path, how: Extent, below: bool) {
        if self.0.iter().any(|kept| kept.path == path) {
            return;
        }
        let mut paths = if below {
            tree.below(path)
        } else {
            vec![path.to_owned()]
        };
        paths.reverse();
        let entries = paths.into_iter().map(|path| {
            let entry = tree.entry(&path);
            (path, entry)
        });
        self.0.push(Kept {
            path: path.to_owned(),
            entries: entries.collect(),
            how,
        });
    }

    /// Puts back what was kept, the youngest first; says what came of it.
    pub(super) fn put_back(&self, tree: &mut Tree) -> String {
        for kept in self.0.iter().rev() {
            match kept.how {
                Extent::Whole => {
                    take_away(tree, &kept.path);
                    for (path, entry) in &kept.entries {
                        tree.set(path, entry.clone());
                    }
                }
                Extent::Bits => {
                    for (path, entry) in &kept.entries {
                        match (entry, tree.entry(path)) {
                            (None, _) => take_away(tree, path),
                            (Some(_), None) => {}
                            (Some(former), Some(mut now)) => {
                                (now.mode, now.owner) = (former.mode, former.owner.clone());
                                tree.set(path, Some(now));
                            }
                        }
                    }
                }
                Extent::IfEmpty => {
                    if tree.list(&kept.path).is_empty() {
                        tree.set(&kept.path, None);
                    }
                }
            }
        }
        match self.0.first() {
            Some(kept) => format!("{} is as it was\n", kept.path.display()),
            None => "it was not touched\n".into(),
        }
    }

    /// Makes a change; says whether anything changed, or, for what is only kept, whether there is
    /// anything.
    pub(super) fn change(
        &mut self,
        tree: &mut Tree,
        change: &FileChange,
        now_ms: i64,
    ) -> Result<bool, String> {
        let path = Path::new(&change.path);
        let shown = path.display();
        match &change.change {
            Change::Keep { content } => {
                let how = if *content {
                    Extent::Whole
                } else {
                    Extent::Bits
                };
                self.add(tree, path, how, true);
                Ok(tree.entry(path).is_some())
            }
            Change::Remove => {
                self.keep(tree, path);
                let there = tree.entry(path).is_some();
                take_away(tree, path);
                Ok(there)
            }
            Change::Link { to } => {
                needs_parent(tree, path, "put in place")?;
                let there = tree.entry(path);
                if there
                    .as_ref()
                    .is_some_and(|entry| !matches!(entry.kind, Kind::Link(_)))
                {
                    return Err(format!(
                        "{shown} is there and is no symbolic link; remove it first"
                    ));
                }
                self.keep(tree, path);
                if there.is_some_and(|entry| entry.kind == Kind::Link(to.clone())) {
                    return Ok(false);
                }
                tree.set(path, Some(Entry::link(to.clone(), now_ms)));
                Ok(true)
            }
            Change::Directory { mode, owner } => {
                self.directory(tree, path, *mode, owner.as_deref(), now_ms)
            }
            Change::Mode { mode } => {
                let Some(mut entry) = tree.entry(path) else {
                    return Err(format!("{shown} is not there"));
                };
                self.add(tree, path, Extent::Bits, false);
                if let Kind::Link(_) = entry.kind {
                    return Err(format!(
                        "{shown} is a symbolic link, which has no mode of its own"
                    ));
                }
                let changed = entry.mode != *mode;
                entry.mode = *mode;
                tree.set(path, Some(entry));
                Ok(changed)
            }
            Change::Owner { owner, below } => {
                if tree.entry(path).is_none() {
                    return Err(format!("{shown} is not there"));
                }
                self.add(tree, path, Extent::Bits, *below);
                let owner = whole_owner(Some(owner));
                let paths = if *below {
                    tree.below(path)
                } else {
                    vec![path.to_owned()]
                };
                let mut changed = false;
                for path in paths {
                    if let Some(mut entry) = tree.entry(&path)
                        && entry.owner != owner
                    {
                        entry.owner.clone_from(&owner);
                        tree.set(&path, Some(entry));
                        changed = true;
                    }
                }
                Ok(changed)
            }
            Change::Copy { from } => self.copy(tree, path, Path::new(from)),
            Change::Move { from } => self.go(tree, path, Path::new(from)),
            Change::Unpack {
                archive,
                sha256,
                strip,
                owner,
                max_unpacked,
            } => {
                let from = Packed {
                    archive: Path::new(archive),
                    sha256: sha256.as_deref(),
                    strip: *strip,
                    owner: owner.as_deref(),
                    max_unpacked: *max_unpacked,
                };
                self.unpack(tree, path, &from, now_ms)
            }
        }
    }

    fn directory(
        &mut self,
        tree: &mut Tree,
        path: &Path,
        mode: Option<u32>,
        owner: Option<&str>,
        now_ms: i64,
    ) -> Result<bool, String> {
        let there = tree.entry(path);
        if there
            .as_ref()
            .is_some_and(|entry| entry.kind != Kind::Directory)
        {
            let shown = path.display();
            return Err(format!(
                "{shown} is there and is no directory; remove it first"
            ));
        }
        if let Some(mut entry) = there {
            self.add(tree, path, Extent::Bits, false);
            let former = entry.clone();
            entry.mode = mode.unwrap_or(entry.mode);
            if let Some(owner) = owner {
                entry.owner = whole_owner(Some(owner));
            }
            let changed = entry != former;
            tree.set(path, Some(entry));
            return Ok(changed);
        }
        self.make_above(tree, path, now_ms);
        needs_parent(tree, path, "made")?;
        self.add(tree, path, Extent::Bits, false);
        let entry = Entry::directory(mode.unwrap_or(DIRECTORY_MODE), owner, now_ms);
        tree.set(path, Some(entry));
        Ok(true)
    }

    /// Makes the directories above a path that are not there; they go again if nothing is in them.
    fn make_above(&mut self, tree: &mut Tree, path: &Path, now_ms: i64) {
        let above: Vec<PathBuf> = path
            .ancestors()
            .skip(1)
            .filter(|above| tree.followed(above).is_none())
            .map(Path::to_owned)
            .collect();
        for above in above.iter().rev() {
            self.add(tree, above, Extent::IfEmpty, false);
            tree.set(above, Some(Entry::directory(DIRECTORY_MODE, None, now_ms)));
        }
    }

    fn unpack(
        &mut self,
        tree: &mut Tree,
        path: &Path,
        from: &Packed<'_>,
        now_ms: i64,
    ) -> Result<bool, String> {
        let held = from.entries(tree, path, now_ms)?;
        let there = tree.entry(path);
        if there
            .as_ref()
            .is_some_and(|entry| entry.kind != Kind::Directory)
        {
            let shown = path.display();
            return Err(format!(
                "{shown} is there and is no directory; remove it first"
            ));
        }
        self.make_above(tree, path, now_ms);
        self.keep(tree, path);
        if there.is_some() && is_what_is_held(tree, path, &held, from.owner.is_some()) {
            return Ok(false);
        }
        take_away(tree, path);
        for (path, entry) in held {
            tree.set(&path, Some(entry));
        }
        Ok(true)
    }

    fn copy(&mut self, tree: &mut Tree, path: &Path, from: &Path) -> Result<bool, String> {
        let Some(top) = tree.entry(from) else {
            let from = from.display();
            return Err(format!("{from} can't be copied: it is not there"));
        };
        needs_parent(tree, path, "put in place")?;
        if let Some(there) = tree.entry(path) {
            let (is, wanted) = (there.kind == Kind::Directory, top.kind == Kind::Directory);
            if is != wanted {
                let what = if is { "a" } else { "no" };
                return Err(format!(
                    "{} is there and is {what} directory; remove it first",
                    path.display()
                ));
            }
        }
        self.keep(tree, path);
        if is_like(tree, path, from) {
            return Ok(false);
        }
        let copies = entries_at(tree, from, path);
        take_away(tree, path);
        for (path, entry) in copies {
            tree.set(&path, Some(entry));
        }
        Ok(true)
    }

    fn go(&mut self, tree: &mut Tree, path: &Path, from: &Path) -> Result<bool, String> {
        let begun = self.0.iter().any(|kept| kept.path == from);
        match (tree.entry(from), tree.entry(path)) {
            (None, Some(_)) if begun => return Ok(true),
            (None, _) => {
                let from = from.display();
                return Err(format!("{from} can't be moved: it is not there"));
            }
            (Some(_), Some(_)) => {
                let path = path.display();
                return Err(format!("{path} is there already; remove it first"));
            }
            (Some(_), None) => {}
        }
        needs_parent(tree, path, "put in place")?;
        self.keep(tree, path);
        self.keep(tree, from);
        let moved = entries_at(tree, from, path);
        take_away(tree, from);
        for (path, entry) in moved {
            tree.set(&path, Some(entry));
        }
        Ok(true)
    }
}

fn needs_parent(tree: &Tree, path: &Path, what: &str) -> Result<(), String> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    if tree.is_dir(parent) {
        Ok(())
    } else {
        Err(format!("{} can't be {what}: no such file", path.display()))
    }
}

fn take_away(tree: &mut Tree, path: &Path) {
    for path in tree.below(path) {
        tree.set(&path, None);
    }
}

/// All at and below `from`, as it would be at and below `to`; directories first.
pub(super) fn entries_at(tree: &Tree, from: &Path, to: &Path) -> Vec<(PathBuf, Entry)> {
    let mut all = tree.below(from);
    all.reverse();
    let copies = all.into_iter().filter_map(|path| {
        let entry = tree.entry(&path)?;
        let rest = path.strip_prefix(from).ok()?;
        let at = if rest.as_os_str().is_empty() {
            to.to_owned()
        } else {
            to.join(rest)
        };
        Some((at, entry))
    });
    copies.collect()
}

/// Is the same at both paths, with all that is in directories? Times do not count.
pub(super) fn is_like(tree: &Tree, path: &Path, other: &Path) -> bool {
    let of = |from: &Path| {
        let mut all = entries_at(tree, from, Path::new("/"));
        for (_, entry) in &mut all {
            entry.mtime_ms = 0;
        }
        all
    };
    tree.entry(path).is_some() && of(path) == of(other)
}
