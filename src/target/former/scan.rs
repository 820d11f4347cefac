//! Looking at a tree, without its content.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Trouble;
use super::dir::{Dir, parent_of};
use super::entry::{Entry, Kind, Name};

/// What an entry counts for beside its content: what is written about it.
const ENTRY_BYTES: u64 = 1024;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(in crate::target) struct Extent {
    /// What is in a directory too?
    pub(in crate::target) below: bool,
    /// Bytes that it may take to keep it.
    pub(in crate::target) max_size: u64,
    /// Does content count?
    pub(in crate::target) content: bool,
}

impl Extent {
    /// All there is.
    pub(in crate::target) const WHOLE: Self = Self {
        below: true,
        max_size: u64::MAX,
        content: true,
    };
}

/// A tree as it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::target) struct Seen {
    /// Parents stand before what is in them; empty when there is nothing.
    pub(in crate::target) entries: Vec<Entry>,
    /// Bytes that it takes to keep it.
    pub(in crate::target) size: u64,
}

/// Looks at what is at `path`.
pub(in crate::target) fn scan(path: &Path, extent: Extent) -> Result<Seen, Trouble> {
    let wrong = Trouble::at(path);
    let (dir, name) = match parent_of(path) {
        Ok(place) => place,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Seen::default()),
        Err(e) => return Err(wrong(e)),
    };
    let Some(facts) = dir.look(&name).map_err(&wrong)? else {
        return Ok(Seen::default());
    };
    let mut walk = Walk {
        top: path,
        extent,
        device: facts.dev(),
        seen: Seen::default(),
        names: HashMap::new(),
    };
    walk.visit(&dir, &name, &facts, PathBuf::new())?;
    let Walk {
        mut seen, names, ..
    } = walk;
    for (first, left) in names.into_values() {
        if let Some(Entry {
            kind: Kind::File { outside, .. },
            ..
        }) = seen.entries.get_mut(first)
        {
            *outside = left > 0;
        }
    }
    Ok(seen)
}

struct Walk<'p> {
    top: &'p Path,
    extent: Extent,
    device: u64,
    seen: Seen,
    /// Things with several names: where the first stands, and how many names have not been met yet.
    names: HashMap<(u64, u64), (usize, u64)>,
}

impl Walk<'_> {
    fn visit(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        facts: &Metadata,
        path: PathBuf,
    ) -> Result<(), Trouble> {
        let shown = self.top.join(&path);
        let wrong = Trouble::at(&shown);
        let mut entry = Entry::read(dir, name, facts, &path).map_err(&wrong)?;
        let is_dir = entry.is_directory();
        if is_dir && facts.dev() != self.device {
            let text = "another file system is mounted there, and a tree is kept only within one";
            return Err(wrong(io::Error::other(text)));
        }
        if !is_dir && facts.nlink() > 1 {
            let at = self.seen.entries.len();
            let met = self.names.entry((facts.dev(), facts.ino()));
            let (first, left) = met.or_insert((at, facts.nlink()));
            *left = left.saturating_sub(1);
            if let Some(earlier) = self.seen.entries.get(*first) {
                let path = Name(earlier.path.0.clone());
                entry.kind = Kind::SameAs { path };
            }
        }
        let content = match &entry.kind {
            Kind::File { size, .. } if self.extent.content => {
                (*size).min(facts.blocks().saturating_mul(512).max(1))
            }
            _ => 0,
        };
        self.seen.entries.push(entry);
        self.seen.size = self.seen.size.saturating_add(content + ENTRY_BYTES);
        if self.seen.size > self.extent.max_size {
            let max = self.extent.max_size;
            let text = format!(
                "{} holds more than {max} bytes, at most of which are kept; a larger `max_size` \
                 allows it",
                self.top.display()
            );
            return Err(Trouble::at(self.top)(io::Error::other(text)));
        }
        if !is_dir || !self.extent.below {
            return Ok(());
        }
        let below = dir.enter(name).map_err(&wrong)?;
        for name in below.names().map_err(&wrong)? {
            // What goes away meanwhile is not there.
            let Some(facts) = below.look(&name).map_err(&wrong)? else {
                continue;
            };
            let path = path.join(&name);
            self.visit(&below, &name, &facts, path)?;
        }
        Ok(())
    }
}
