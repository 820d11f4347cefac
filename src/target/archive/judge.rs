//! What an archive holds, and whether all of it may be unpacked: nothing in it may lie, or lead,
//! outside of where it is unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::read::{Member, Thing, members};
use crate::target::files::hex;

/// Members that an archive may have; each is held in memory.
const MEMBERS_MAX: usize = 1_000_000;
/// Directories that a path may have.
const DEPTH_MAX: usize = 256;
/// Symbolic links that may lie on one path.
const LINKS_MAX: usize = 40;

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    File { size: u64, sha256: String },
    Directory,
    Link { to: PathBuf },
    SameAs { path: PathBuf },
}

/// One thing that is unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) what: What,
    pub(super) mode: Option<u32>,
    pub(super) mtime: Option<i64>,
}

/// What an archive holds: by path, from where it is unpacked. The empty path is the directory itself.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) parts: BTreeMap<PathBuf, Part>,
}

/// The path of a member, without the first `strip` directories; `None` when nothing is left of it.
pub(super) fn path_of(name: &[u8], strip: u32) -> Result<Option<PathBuf>, &'static str> {
    if name.contains(&0) {
        return Err("its name has a NUL in it");
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("its path has `..` in it"),
            Component::RootDir | Component::Prefix(_) => return Err("its path is absolute"),
        }
    }
    let depth = path.components().count();
    if depth > DEPTH_MAX {
        return Err("it lies too deep");
    }
    let strip = usize::try_from(strip).unwrap_or(usize::MAX);
    if depth == 0 && strip == 0 {
        return Ok(Some(path));
    }
    Ok((depth > strip).then(|| path.components().skip(strip).collect()))
}

/// Reads an archive whole and says what is in it, or why it may not be unpacked.
pub(super) fn judge(file: &File, strip: u32, max: u64) -> Result<Judged, String> {
    let mut parts: BTreeMap<PathBuf, Part> = BTreeMap::new();
    let mut total = 0_u64;
    let mut count = 0;
    members(file, &mut |member, content| {
        let shown = shown(&member.name);
        count += 1;
        if count > MEMBERS_MAX {
            return Err(format!("it has more than {MEMBERS_MAX} members"));
        }
        let wrong = |why: &str| format!("{shown}: {why}");
        let path = path_of(&member.name, strip).map_err(wrong)?;
        let Some(path) = path else {
            if member.thing == Thing::Directory {
                return Ok(());
            }
            return Err(wrong("nothing is left of its path when it is stripped"));
        };
        let what = what_of(&member, content, strip, &mut total, max).map_err(|e| wrong(&e))?;
        if path.as_os_str().is_empty() && what != What::Directory {
            return Err(wrong("it has no name"));
        }
        if let What::SameAs { path: first } = &what {
            match parts.get(first).map(|part| &part.what) {
                Some(What::File { .. }) => {}
                _ => return Err(wrong("it is a hard link to what is no file before it")),
            }
        }
        let part = Part {
            mode: member.mode,
            mtime: member.mtime,
            what,
        };
        match parts.get(&path) {
            Some(earlier) if earlier.what == What::Directory && part.what == What::Directory => {}
            Some(_) => return Err(wrong("it is in there twice")),
            None => {}
        }
        parts.insert(path, part);
        Ok(())
    })?;
    let judged = Judged {
        parts: with_parents(parts)?,
    };
    for (path, part) in &judged.parts {
        if let What::Link { to } = &part.what {
            judged.follow(path, to)?;
        }
    }
    Ok(judged)
}

fn what_of(
    member: &Member,
    content: &mut dyn Read,
    strip: u32,
    total: &mut u64,
    max: u64,
) -> Result<What, String> {
    Ok(match &member.thing {
        Thing::Directory => What::Directory,
        Thing::File => {
            let (size, sha256) = digest(content, max.saturating_sub(*total)).map_err(|e| {
                let text = e.to_string();
                if e.kind() == io::ErrorKind::FileTooLarge {
                    format!("it holds more than {max} bytes; a larger `max_unpacked` allows it")
                } else {
                    text
                }
            })?;
            *total = total.saturating_add(size);
            What::File { size, sha256 }
        }
        Thing::Link(to) if to.is_empty() || to.contains(&0) => {
            return Err("it is a link to nowhere".into());
        }
        Thing::Link(to) => What::Link {
            to: OsStr::from_bytes(to).into(),
        },
        Thing::SameAs(name) => {
            let path =
                path_of(name, strip).map_err(|why| format!("it is a hard link, and {why}"))?;
            let path = path.ok_or("it is a hard link to what is stripped")?;
            What::SameAs { path }
        }
        Thing::Other(what) => return Err(format!("it is {what}")),
    })
}

/// Size and SHA-256 of what is read, of which there may be `max` bytes.
fn digest(from: &mut dyn Read, max: u64) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let mut size = 0_u64;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        size += read as u64;
        if size > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        digest.update(buffer.get(..read).unwrap_or_default());
    }
    Ok((size, hex(&digest.finalize())))
}

/// Adds the directories that are only said by the paths of what is in them.
fn with_parents(mut parts: BTreeMap<PathBuf, Part>) -> Result<BTreeMap<PathBuf, Part>, String> {
    let mut above = BTreeSet::from([PathBuf::new()]);
    for path in parts.keys() {
        above.extend(path.ancestors().skip(1).map(Path::to_owned));
    }
    for path in above {
        let part = parts.entry(path.clone()).or_insert(Part {
            what: What::Directory,
            mode: None,
            mtime: None,
        });
        if part.what != What::Directory {
            let text = "something lies in it, and it is no directory";
            return Err(format!("{}: {text}", path.display()));
        }
    }
    Ok(parts)
}

impl Judged {
    /// Says why a link would lead outside: what it passes through counts, links too.
    fn follow(&self, link: &Path, to: &Path) -> Result<(), String> {
        let wrong = |why: &str| {
            let (link, to) = (link.display(), to.display());
            Err(format!("{link}: it is a link to {to}, {why}"))
        };
        let mut here = link.parent().map(Path::to_owned).unwrap_or_default();
        let mut to_go: Vec<PathBuf> = vec![to.to_owned()];
        let mut links = 0;
        while let Some(path) = to_go.pop() {
            let mut components = path.components();
            let Some(component) = components.next() else {
                continue;
            };
            to_go.push(components.as_path().to_owned());
            match component {
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => {
                    return wrong("which leads outside");
                }
                Component::ParentDir => {
                    if !here.pop() {
                        return wrong("which leads outside");
                    }
                }
                Component::Normal(part) => {
                    here.push(part);
                    if let Some(Part {
                        what: What::Link { to },
                        ..
                    }) = self.parts.get(&here)
                    {
                        links += 1;
                        if links > LINKS_MAX {
                            return wrong("which leads in circles");
                        }
                        here.pop();
                        to_go.push(to.clone());
                    }
                }
            }
        }
        Ok(())
    }
}

/// The name of a member, for an error.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let plain = text.chars().map(|c| if c.is_control() { '?' } else { c });
    plain.take(200).collect()
}
