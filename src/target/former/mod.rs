//! What was there before a step changed it: kept in the directory of the step, and put back.
//!
//! `former.json` says what was there, and `former` holds the content of its files. The first is
//! written when all of the second is there, and makes the step a step that may act.

mod build;
mod dir;
mod entry;
mod place;
mod reconcile;
mod scan;
mod store;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::facts::io_words;
use crate::words::call::FORMER_IS_GONE;

pub(super) use build::{Content, build};
pub(super) use dir::{Descent, Dir, parent_of};
use entry::Name;
pub(super) use entry::{Entry, Kind, set_mode};
pub(super) use place::{beside, forget, real, remove, swap_in};
use reconcile::Reconcile;
pub(super) use scan::{Extent, Seen, scan};
pub(super) use store::{MANY, create};

/// The name, in the directory of a step, of what was there before.
const FORMER: &str = "former.json";
/// The name of the content of the former files.
const CONTENT: &str = "former";
/// How often a tree is kept anew that changes meanwhile.
const TRIES: u32 = 3;
/// Bytes that stay free where the former content is kept: the journal is there too.
const LEFT_FREE: u64 = 16 << 20;

/// What was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Former {
    /// Where it was: the path without symbolic links on the way to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    real: Option<Name>,
    /// Parents stand before what is in them; empty when there was nothing.
    entries: Vec<Entry>,
    /// Was the content of files kept, and all that is in directories?
    content: bool,
    /// How many of the directories above it were not there either.
    #[serde(default)]
    missing_above: usize,
}

/// What went wrong, and where.
#[derive(Debug)]
pub(super) struct Trouble {
    path: PathBuf,
    error: io::Error,
}

impl Trouble {
    /// Makes a trouble of an error that was met at `path`.
    pub(super) fn at(path: impl AsRef<Path>) -> impl Fn(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |error| Self {
            path: path.clone(),
            error,
        }
    }

    /// The trouble in words; `top` is the path that was asked for.
    pub(super) fn words(&self, top: &Path) -> String {
        let words = io_words(&self.error);
        if self.path.as_os_str().is_empty() || self.path == top {
            return words;
        }
        format!("{}: {words}", top.join(&self.path).display())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), io_words(&self.error))
    }
}

/// Is what was there before in `step`?
pub(super) fn is_kept(step: &Path) -> bool {
    step.join(FORMER).exists()
}

/// Keeps what is at `path` in `step`, the directory of a step's first try, and returns what is kept. A
/// try before this one may have done so: that one counts. The path is [`real`].
pub(super) fn keep(path: &Path, step: &Path, extent: Extent) -> Result<Vec<Entry>, String> {
    if let Some((former, _)) = read(&[step.to_owned()], path)? {
        return match former.real {
            Some(kept) if kept.0 != path => Err(format!(
                "the path leads to {} now, and led to {} when the step first tried",
                path.display(),
                kept.0.display()
            )),
            _ => Ok(former.entries),
        };
    }
    let wrong = |t: &Trouble| format!("{} can't be kept: {}", path.display(), t.words(path));
    let io = |e: io::Error| wrong(&Trouble::at(step)(e));
    let mut tries = 0;
    let seen = loop {
        let mut seen = scan(path, extent).map_err(|t| wrong(&t))?;
        room_for(&seen, step)
            .map_err(|problem| format!("{} can't be kept: {problem}", path.display()))?;
        if !extent.content {
            break seen;
        }
        let before = seen.clone();
        let stored = store_in(step, path, &mut seen);
        let after = scan(path, extent).map_err(|t| wrong(&t))?;
        if before == after {
            stored.map_err(|t| wrong(&t))?;
            break seen;
        }
        tries += 1;
        if tries == TRIES {
            let at = first_difference(&before, &after).unwrap_or_default();
            return Err(format!(
                "{} can't be kept: {} changes meanwhile; stop first what writes there, or keep less",
                path.display(),
                path.join(at).display()
            ));
        }
    };
    let former = Former {
        real: Some(Name(path.to_owned())),
        entries: seen.entries.clone(),
        content: extent.content,
        missing_above: missing_above(path),
    };
    note(step, FORMER, &former).map_err(io)?;
    Ok(seen.entries)
}

fn store_in(step: &Path, path: &Path, seen: &mut Seen) -> Result<(), Trouble> {
    let wrong = Trouble::at(step);
    let here = Dir::open(step).map_err(&wrong)?;
    // What a try that was killed has left, or one that met a change.
    remove(&here, CONTENT.as_ref()).map_err(&wrong)?;
    if seen.entries.is_empty() {
        return Ok(());
    }
    let (parent, name) = parent_of(path).map_err(Trouble::at(path))?;
    let mut from = Descent::new(parent, name);
    let mut to = Descent::new(here.again().map_err(&wrong)?, CONTENT.into());
    store::store(&mut seen.entries, &mut from, &mut to)
}

/// Says why there is no room for what is to be kept.
fn room_for(seen: &Seen, step: &Path) -> Result<(), String> {
    let Ok(facts) = rustix::fs::statvfs(step) else {
        return Ok(());
    };
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    // Small things are kept as long as it goes at all.
    if seen.size < LEFT_FREE || seen.size.saturating_add(LEFT_FREE) <= free {
        return Ok(());
    }
    Err(format!(
        "{} bytes are to be kept in {}, where {free} are free, {LEFT_FREE} of which are left to the \
         journal",
        seen.size,
        step.display()
    ))
}

fn first_difference(before: &Seen, after: &Seen) -> Option<PathBuf> {
    let (a, b) = (&before.entries, &after.entries);
    let differs = a.iter().zip(b).find(|(a, b)| a != b).map(|(a, _)| a);
    let longer = if a.len() > b.len() { a } else { b };
    differs
        .or_else(|| longer.get(a.len().min(b.len())))
        .map(|e| e.path.0.clone())
}

/// How many directories above `path` are not there.
fn missing_above(path: &Path) -> usize {
    let above = path.ancestors().skip(1);
    above
        .take_while(|dir| fs::symlink_metadata(dir).is_err())
        .count()
}

/// Writes a file of what was there before into the directory of a step: it is there whole and for good, or not
/// at all.
pub(super) fn note(step: &Path, name: &str, what: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(what).map_err(io::Error::other)?;
    let beside = step.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&beside, step.join(name))?;
    Dir::open(step)?.sync()
}

/// What was at `path` before, as the first of these directories has it that has it.
fn read(steps: &[PathBuf], path: &Path) -> Result<Option<(Former, PathBuf)>, String> {
    if !steps.first().is_some_and(|dir| dir.is_dir()) {
        // A step that acted has had one, and the first keeps what was there before.
        return Err(format!(
            "{} can't be put back: {FORMER_IS_GONE}, with {}",
            path.display(),
            steps
                .first()
                .map_or_else(String::new, |dir| dir.display().to_string())
        ));
    }
    let Some(step) = steps.iter().find(|step| is_kept(step)) else {
        return Ok(None);
    };
    let file = step.join(FORMER);
    let json = fs::read(&file).map_err(|e| {
        let words = io_words(&e);
        format!(
            "{} can't be put back: {}: {words}",
            path.display(),
            file.display()
        )
    })?;
    let former =
        serde_json::from_slice(&json).map_err(|e| format!("{} is damaged: {e}", file.display()))?;
    Ok(Some((former, step.clone())))
}

/// Removes the content that was kept in `step`.
pub(super) fn drop_content(step: &Path) -> io::Result<()> {
    remove(&Dir::open(step)?, CONTENT.as_ref())
}

/// Where a step found what it kept, which was called `path`; `steps` are the directories of its tries.
pub(super) fn kept_at(path: &Path, steps: &[PathBuf]) -> Result<PathBuf, String> {
    let kept = read(steps, path)?.and_then(|(former, _)| former.real);
    Ok(kept.map_or_else(|| real(path), |name| name.0))
}

/// Puts back what was at `path` before, where it was; `steps` are the directories of the step's tries,
/// oldest first. It may be done again, whatever was done of it.
pub fn restore(path: &Path, steps: &[PathBuf]) -> Result<String, String> {
    let wrong = |t: &Trouble| format!("{} can't be put back: {}", path.display(), t.words(path));
    let io = |e: io::Error| wrong(&Trouble::at(path)(e));
    let kept = read(steps, path);
    let known = kept.as_ref().ok().and_then(|kept| kept.as_ref());
    let known = known.and_then(|(former, _)| former.real.as_ref());
    let leads_to = real(path);
    let place = known.map_or_else(|| leads_to.clone(), |name| name.0.clone());
    for step in steps {
        // What a try that was killed had begun to make.
        forget(&place, step).map_err(io)?;
    }
    let Some((former, step)) = kept? else {
        return Ok(format!("{} was not touched\n", path.display()));
    };
    let left = if former.entries.is_empty() {
        take_away(&place, former.missing_above).map_err(io)?
    } else {
        put_back(&place, &former, &step).map_err(|t| wrong(&t))?;
        None
    };
    let left = left.map_or_else(String::new, |dir| {
        format!(
            "{} was made for it and stays: something else is in it\n",
            dir.display()
        )
    });
    Ok(if place == leads_to {
        format!("{} is as before\n{left}", path.display())
    } else {
        format!(
            "{} is as before; {} leads elsewhere now\n{left}",
            place.display(),
            path.display()
        )
    })
}

/// There was nothing: nor shall there be, nor the directories that were made for it, unless they hold
/// something else. Returns the one that does.
fn take_away(path: &Path, missing_above: usize) -> io::Result<Option<PathBuf>> {
    match parent_of(path) {
        Ok((dir, name)) => {
            // A path that cannot be holds nothing.
            if let Ok(Some(_)) = dir.look(&name) {
                remove(&dir, &name)?;
                dir.sync()?;
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {}
        Err(e) => return Err(e),
    }
    for dir in path.ancestors().skip(1).take(missing_above) {
        match fs::remove_dir(dir) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Ok(Some(dir.to_owned()));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

fn put_back(path: &Path, former: &Former, step: &Path) -> Result<(), Trouble> {
    let wrong = Trouble::at(path);
    let (parent, name) = parent_of(path).map_err(&wrong)?;
    let kept = Dir::open(step).map_err(Trouble::at(step))?;
    Reconcile {
        entries: &former.entries,
        has_content: former.content,
        content: Content::Kept(Descent::new(kept, OsString::from(CONTENT))),
        live: Descent::new(parent, name),
        step,
    }
    .run()
}
