//! What is at a path, for plans that look, and whether it is what they want.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::archive::{Archive, Unpacking};
use super::facts::{io_words, read_file};
use super::files::sha256;
use super::former::{Descent, Entry, Extent, Kind, parent_of, scan};
use super::owners;

/// Names of a directory that are listed at most.
const LISTED_MAX: usize = 10_000;

/// What a plan wants at a path. What is not said may be anything.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A file with this content.
    pub content: Option<String>,
    /// A file with the content of this one.
    pub source: Option<PathBuf>,
    /// The same as there, with all that is in it; times do not count.
    pub like: Option<PathBuf>,
    /// A directory with what is in this archive; times do not count.
    pub archive: Option<PathBuf>,
    /// The digest that the archive must have.
    pub archive_sha256: Option<String>,
    /// How many directories are taken from the begin of each path in the archive.
    pub strip: u32,
    /// Bytes that the archive may hold.
    pub max_unpacked: u64,
    /// A symbolic link that leads here.
    pub target: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// With these permission bits.
    pub mode: Option<u32>,
    /// With this owner: `user` or `user:group`.
    pub owner: Option<String>,
    /// All that is in it has this owner too.
    pub below: bool,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        let texts = [&self.content, &self.target, &self.kind, &self.owner];
        let paths = [&self.source, &self.like, &self.archive];
        texts.iter().all(|t| t.is_none())
            && paths.iter().all(|p| p.is_none())
            && self.mode.is_none()
    }
}

/// What is at `path`; `null` when there is nothing. With something wanted, `same` says whether it is
/// so. `text` and `sha256` ask for the content too.
pub fn info(path: &Path, wanted: &Wanted, text: bool, digest: bool) -> Result<Value, String> {
    let unread = |e: &io::Error| format!("{} can't be looked at: {}", path.display(), io_words(e));
    let facts = match fs::symlink_metadata(path) {
        Ok(facts) => facts,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Value::Null),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(Value::Null),
        Err(e) => return Err(unread(&e)),
    };
    let mut told = tell(path, &facts).map_err(|e| unread(&e))?;
    if text && facts.is_file() {
        told.insert("text".into(), read_file(path)?.into());
    }
    if digest && facts.is_file() {
        told.insert("sha256".into(), sha256(path)?.into());
    }
    if !wanted.is_empty() {
        told.insert("same".into(), is_as(path, &facts, wanted)?.into());
    }
    Ok(Value::Object(told))
}

fn tell(path: &Path, facts: &fs::Metadata) -> io::Result<Map<String, Value>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut told = Map::new();
    told.insert("name".into(), name.into());
    told.insert("kind".into(), kind_of(facts).into());
    told.insert("size".into(), facts.len().into());
    told.insert(
        "mode".into(),
        format!("{:04o}", facts.mode() & 0o7777).into(),
    );
    told.insert("owner".into(), owners::user(facts.uid()).into());
    told.insert("group".into(), owners::group(facts.gid()).into());
    told.insert("mtime".into(), facts.mtime().into());
    if facts.is_symlink() {
        let target = fs::read_link(path)?;
        told.insert("target".into(), target.to_string_lossy().into());
    }
    Ok(told)
}

/// The word for a kind.
fn kind_of(facts: &fs::Metadata) -> &'static str {
    let kind = facts.file_type();
    match () {
        () if kind.is_file() => "file",
        () if kind.is_dir() => "directory",
        () if kind.is_symlink() => "link",
        () if kind.is_fifo() => "pipe",
        () if kind.is_socket() => "socket",
        () => "device",
    }
}

fn is_as(path: &Path, facts: &fs::Metadata, wanted: &Wanted) -> Result<bool, String> {
    if wanted
        .kind
        .as_ref()
        .is_some_and(|kind| kind != kind_of(facts))
        || wanted
            .mode
            .is_some_and(|mode| mode != facts.mode() & 0o7777)
    {
        return Ok(false);
    }
    if let Some(owner) = &wanted.owner {
        let owner = owners::ids(owner)?;
        let extent = Extent {
            below: wanted.below,
            content: false,
            ..Extent::WHOLE
        };
        let seen = scan(path, extent)
            .map_err(|t| format!("{} can't be looked at: {}", path.display(), t.words(path)))?;
        if seen.entries.iter().any(|e| (e.uid, e.gid) != owner) {
            return Ok(false);
        }
    }
    if let Some(target) = &wanted.target
        && !fs::read_link(path).is_ok_and(|there| there == Path::new(target))
    {
        return Ok(false);
    }
    if let Some(content) = &wanted.content {
        let same = facts.is_file()
            && facts.len() == content.len() as u64
            && sha256(path)? == super::files::sha256_of(content.as_bytes());
        if !same {
            return Ok(false);
        }
    }
    if let Some(source) = &wanted.source {
        let size = fs::metadata(source).map(|f| f.len());
        let size =
            size.map_err(|e| format!("{} can't be read: {}", source.display(), io_words(&e)))?;
        let same = facts.is_file() && facts.len() == size && sha256(path)? == sha256(source)?;
        if !same {
            return Ok(false);
        }
    }
    if let Some(archive) = &wanted.archive {
        let unpacking = Unpacking {
            sha256: None,
            strip: wanted.strip,
            max_unpacked: wanted.max_unpacked,
            owner: wanted.owner.as_deref().map(owners::ids).transpose()?,
        };
        if let Some(wanted) = &wanted.archive_sha256
            && !sha256(archive)?.eq_ignore_ascii_case(wanted)
        {
            return Ok(false);
        }
        if !facts.is_dir() || !Archive::open(archive, &unpacking)?.is_at(path)? {
            return Ok(false);
        }
    }
    match &wanted.like {
        Some(like) => is_like(path, like),
        None => Ok(true),
    }
}

/// Is the same at both paths: kinds, content, owners, modes, attributes, links, with all that is in
/// directories? Times do not count.
pub(super) fn is_like(path: &Path, other: &Path) -> Result<bool, String> {
    let look = |path: &Path| {
        scan(path, Extent::WHOLE)
            .map_err(|t| format!("{} can't be looked at: {}", path.display(), t.words(path)))
    };
    let (here, there) = (look(path)?.entries, look(other)?.entries);
    if here.len() != there.len() || !here.iter().zip(&there).all(|(a, b)| is_alike(a, b)) {
        return Ok(false);
    }
    let tree = |path: &Path| parent_of(path).map(|(dir, name)| Descent::new(dir, name));
    let wrong = |e: io::Error| format!("{} can't be compared: {}", path.display(), io_words(&e));
    let (mut one, mut two) = (tree(path).map_err(wrong)?, tree(other).map_err(wrong)?);
    for entry in here {
        if let Kind::File { .. } = entry.kind {
            let a = one.digest(&entry.path.0).map_err(wrong)?;
            if a != two.digest(&entry.path.0).map_err(wrong)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn is_alike(a: &Entry, b: &Entry) -> bool {
    let kinds = match (&a.kind, &b.kind) {
        (Kind::File { size: a, .. }, Kind::File { size: b, .. }) => a == b,
        (a, b) => a == b,
    };
    kinds
        && a.path == b.path
        && (a.mode, a.uid, a.gid) == (b.mode, b.uid, b.gid)
        && a.attributes == b.attributes
}

/// What is in a directory, sorted by name.
pub fn list(dir: &Path) -> Result<Value, String> {
    let wrong = |problem: String| format!("{} can't be listed: {problem}", dir.display());
    let io = |e: io::Error| wrong(io_words(&e));
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let text = name.to_str().map(str::to_owned).ok_or_else(|| {
            wrong(format!(
                "the name {} is not valid UTF-8",
                name.to_string_lossy()
            ))
        })?;
        names.push(text);
        if names.len() > LISTED_MAX {
            return Err(wrong(format!("it has more than {LISTED_MAX} entries")));
        }
    }
    names.sort();
    let mut listed = Vec::new();
    for name in names {
        let path = dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(facts) => listed.push(Value::Object(tell(&path, &facts).map_err(io)?)),
            // Gone since.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
    }
    Ok(json!(listed))
}
