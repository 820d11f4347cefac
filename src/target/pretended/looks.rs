//! What a plan sees of what is at a path, in a tree that is only pretended.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::files::sha256_of;
use super::super::likeness::Wanted;
use super::changes::is_like;
use super::packed::{Packed, is_what_is_held};
use super::tree::whole_owner;
use super::{Entry, Kind, Tree};

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
    let digest = match (&wanted.archive, &wanted.archive_sha256) {
        (Some(archive), Some(digest)) => {
            let bytes = tree.read(archive);
            let bytes = bytes.map_err(|e| format!("{} can't be read: {e}", archive.display()))?;
            Some(sha256_of(&bytes).eq_ignore_ascii_case(digest))
        }
        _ => None,
    };
    let packed = match wanted.archive.as_ref().filter(|_| digest != Some(false)) {
        Some(archive) => {
            let from = Packed {
                archive,
                sha256: None,
                strip: wanted.strip,
                owner: wanted.owner.as_deref(),
                max_unpacked: wanted.max_unpacked,
            };
            let held = from.entries(tree, path, 0)?;
            Some(is_what_is_held(tree, path, &held, wanted.owner.is_some()))
        }
        None => None,
    };
    let asked = [
        digest,
        packed,
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
