//! Archives that are unpacked into a tree that is only pretended: they are really read, and nothing is
//! really made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::archive::{self, Content};
use super::super::files::sha256_of;
use super::changes::entries_at;
use super::tree::whole_owner;
use super::{Entry, Tree};

/// An archive, and how it is unpacked.
pub(super) struct Packed<'p> {
    pub(super) archive: &'p Path,
    pub(super) sha256: Option<&'p str>,
    pub(super) strip: u32,
    pub(super) owner: Option<&'p str>,
    pub(super) max_unpacked: u64,
}

impl Packed<'_> {
    /// What it holds, as it would be at and below a path; directories first.
    pub(super) fn entries(
        &self,
        tree: &Tree,
        to: &Path,
        now_ms: i64,
    ) -> Result<Vec<(PathBuf, Entry)>, String> {
        let wrong = |problem: String| {
            let archive = self.archive.display();
            format!("{archive} can't be unpacked: {problem}")
        };
        let bytes = tree.read(self.archive).map_err(wrong)?;
        if let Some(wanted) = self.sha256 {
            let digest = sha256_of(&bytes);
            if !digest.eq_ignore_ascii_case(wanted) {
                return Err(wrong(format!("its digest is {digest}, not {wanted}")));
            }
        }
        let held = archive::held(&bytes, self.strip, self.max_unpacked).map_err(wrong)?;
        let entries = held.into_iter().map(|held| {
            let at = if held.path.as_os_str().is_empty() {
                to.to_owned()
            } else {
                to.join(&held.path)
            };
            let mtime_ms = held.mtime.map_or(now_ms, |s| s.saturating_mul(1000));
            let entry = match held.content {
                Content::File(content) => Entry::file(content, held.mode, self.owner, mtime_ms),
                Content::Directory => Entry::directory(held.mode, self.owner, mtime_ms),
                Content::Link(to) => Entry {
                    owner: whole_owner(self.owner),
                    ..Entry::link(to.to_string_lossy().into_owned(), mtime_ms)
                },
            };
            (at, entry)
        });
        Ok(entries.collect())
    }
}

/// Is just this in a directory? Times do not count, and owners only where they are said.
pub(super) fn is_what_is_held(
    tree: &Tree,
    path: &Path,
    held: &[(PathBuf, Entry)],
    owned: bool,
) -> bool {
    let plain = |all: &[(PathBuf, Entry)]| -> BTreeMap<PathBuf, Entry> {
        let all = all.iter().map(|(path, entry)| {
            let mut entry = entry.clone();
            entry.mtime_ms = 0;
            if !owned {
                entry.owner.clear();
            }
            (path.clone(), entry)
        });
        all.collect()
    };
    plain(&entries_at(tree, path, path)) == plain(held)
}
