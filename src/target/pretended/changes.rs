//! Changes of what is at a path, and what was there before, in a tree that is only pretended.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::words::call::{Change, FileChange};

use super::super::files::sha256_of;
use super::super::likeness::Wanted;
use super::tree::whole_owner;
use super::{Entry, Kind, Tree};

/// What is said of archives.
pub(super) const NO_ARCHIVES: &str =
    "a pretended host unpacks no archives; a test with `//! real` does";

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
            Change::Unpack { .. } => Err(NO_ARCHIVES.to_owned()),
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
        let above: Vec<PathBuf> = path
            .ancestors()
            .skip(1)
            .filter(|above| tree.followed(above).is_none())
            .map(Path::to_owned)
            .collect();
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
        for above in above.iter().rev() {
            self.add(tree, above, Extent::IfEmpty, false);
            tree.set(above, Some(Entry::directory(DIRECTORY_MODE, None, now_ms)));
        }
        needs_parent(tree, path, "made")?;
        self.add(tree, path, Extent::Bits, false);
        let entry = Entry::directory(mode.unwrap_or(DIRECTORY_MODE), owner, now_ms);
        tree.set(path, Some(entry));
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
fn is_like(tree: &Tree, path: &Path, other: &Path) -> bool {
    let of = |from: &Path| {
        let mut all = entries_at(tree, from, Path::new("/"));
        for (_, entry) in &mut all {
            entry.mtime_ms = 0;
        }
        all
    };
    tree.entry(path).is_some() && of(path) == of(other)
}

/// What is at a path, as `file_info` tells it.
pub(super) fn info(
    tree: &Tree,
    path: &Path,
    wanted: &Wanted,
    text: bool,
    digest: bool,
) -> Result<Value, String> {
    let Some(entry) = tree.entry(path) else {
        return Ok(Value::Null);
    };
    let mut told = tell(path, &entry);
    if let Kind::File(content) = &entry.kind {
        if text {
            let text = String::from_utf8(content.to_vec())
                .map_err(|_| format!("{} can't be read: it is not valid UTF-8", path.display()))?;
            told.insert("text".into(), text.into());
        }
        if digest {
            told.insert("sha256".into(), sha256_of(content).into());
        }
    }
    if !wanted.is_empty() {
        told.insert("same".into(), is_as(tree, path, &entry, wanted)?.into());
    }
    Ok(Value::Object(told))
}

fn kind_of(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::File(_) => "file",
        Kind::Directory => "directory",
        Kind::Link(_) => "link",
    }
}

fn tell(path: &Path, entry: &Entry) -> Map<String, Value> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (user, group) = entry
        .owner
        .split_once(':')
        .unwrap_or((&entry.owner, &entry.owner));
    let size = match &entry.kind {
        Kind::File(content) => content.len(),
        Kind::Directory => 4096,
        Kind::Link(to) => to.len(),
    };
    let mut told = Map::new();
    told.insert("name".into(), name.into());
    told.insert("kind".into(), kind_of(entry).into());
    told.insert("size".into(), size.into());
    told.insert("mode".into(), format!("{:04o}", entry.mode).into());
    told.insert("owner".into(), user.into());
    told.insert("group".into(), group.into());
    told.insert("mtime".into(), entry.mtime_ms.div_euclid(1000).into());
    if let Kind::Link(to) = &entry.kind {
        told.insert("target".into(), to.clone().into());
    }
    told
}

fn is_as(tree: &Tree, path: &Path, entry: &Entry, wanted: &Wanted) -> Result<bool, String> {
    let content = match &entry.kind {
        Kind::File(content) => Some(content),
        Kind::Directory | Kind::Link(_) => None,
    };
    let is_owned = |owner: &String| {
        let owner = whole_owner(Some(owner));
        let paths = if wanted.below {
            tree.below(path)
        } else {
            vec![path.to_owned()]
        };
        let mut all = paths.iter().filter_map(|path| tree.entry(path));
        all.all(|entry| entry.owner == owner)
    };
    let source = match &wanted.source {
        Some(source) => {
            let read = tree.read(source);
            Some(read.map_err(|e| format!("{} can't be read: {e}", source.display()))?)
        }
        None => None,
    };
    let asked = [
        wanted.kind.as_ref().map(|kind| kind == kind_of(entry)),
        wanted.mode.map(|mode| mode == entry.mode),
        wanted.owner.as_ref().map(is_owned),
        wanted
            .target
            .as_ref()
            .map(|to| entry.kind == Kind::Link(to.clone())),
        wanted
            .content
            .as_ref()
            .map(|text| content.is_some_and(|content| **content == *text.as_bytes())),
        source.map(|source| content.is_some_and(|content| **content == *source)),
        wanted.like.as_ref().map(|like| is_like(tree, path, like)),
    ];
    Ok(asked.into_iter().flatten().all(|same| same))
}

/// What is in a directory, sorted by name, as `list_files` tells it.
pub(super) fn list(tree: &Tree, dir: &Path) -> Result<Value, String> {
    if !tree.is_dir(dir) {
        let problem = match tree.followed(dir) {
            None => "no such file",
            Some(_) => "it is no directory",
        };
        return Err(format!("{} can't be listed: {problem}", dir.display()));
    }
    let listed = tree.list(dir).into_iter().filter_map(|name| {
        let path = dir.join(name);
        let entry = tree.entry(&path)?;
        Some(Value::Object(tell(&path, &entry)))
    });
    Ok(json!(listed.collect::<Vec<Value>>()))
}
