//! Changing what is at a path: each change keeps what was there before it acts.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, RenameFlags, Uid, chownat, mkdirat, renameat_with};
use serde::{Deserialize, Serialize};

use crate::words::call::{Change, FileChange};

use super::archive::{Archive, Unpacking};
use super::facts::io_words;
use super::former::{
    Content, Descent, Dir, Entry, Extent, Kind, beside, build, drop_content, forget, keep, kept_at,
    note, parent_of, real, remove, restore, scan, set_mode, swap_in,
};
use super::likeness::is_like;
use super::owners::ids;

/// Permission bits of a directory when the plan does not say.
const DIRECTORY_MODE: u32 = 0o755;
/// The directory, in that of a step, that keeps the other end of a move.
const MOVED: &str = "moved";
/// The file in there that says which file or directory was moved.
const WHICH: &str = "which.json";

/// What changes something at a path reads on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeTask {
    /// What.
    pub change: FileChange,
    /// The directory that keeps what was there: that of the step's first try.
    pub keep: PathBuf,
}

/// What puts back what was there reads on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub struct RestoreTask {
    /// The path that was changed.
    pub path: PathBuf,
    /// From where something was moved there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// The directories of the step's tries, oldest first.
    pub dirs: Vec<PathBuf>,
}

/// Makes a change; `step` keeps what was there. Returns whether anything changed; for what is only
/// kept, whether there is anything.
pub fn change(change: &FileChange, step: &Path) -> Result<bool, String> {
    let path = &real(Path::new(&change.path));
    let max_size = change.max_size;
    let whole = Extent {
        max_size,
        ..Extent::WHOLE
    };
    match &change.change {
        Change::Keep { content } => {
            let extent = Extent {
                content: *content,
                ..whole
            };
            Ok(!keep(path, step, extent)?.is_empty())
        }
        Change::Remove => {
            keep(path, step, whole)?;
            take_away(path).map_err(|e| wrong(path, "removed", &e))
        }
        Change::Link { to } => link(path, to, step),
        Change::Directory { mode, owner } => directory(path, *mode, owner.as_deref(), step),
        Change::Mode { mode } => {
            let entry = one(path, step, whole, false)?;
            if let Kind::Link { .. } = entry.kind {
                return Err(format!(
                    "{} is a symbolic link, which has no mode of its own",
                    path.display()
                ));
            }
            let changed = entry.mode != *mode;
            let (dir, name) = parent_of(path).map_err(|e| wrong(path, "changed", &e))?;
            set_mode(&dir, &name, *mode).map_err(|e| wrong(path, "changed", &e))?;
            Ok(changed)
        }
        Change::Owner { owner, below } => {
            one(path, step, whole, *below)?;
            own(path, ids(owner)?, *below, whole)
        }
        Change::Unpack {
            archive,
            sha256,
            strip,
            owner,
            max_unpacked,
        } => {
            let unpacking = Unpacking {
                sha256: sha256.clone(),
                strip: *strip,
                max_unpacked: *max_unpacked,
                owner: owner.as_deref().map(ids).transpose()?,
            };
            unpack(path, Path::new(archive), &unpacking, step, whole)
        }
        Change::Copy { from } => copy(path, Path::new(from), step, whole),
        Change::Move { from } => go(path, &real(Path::new(from)), step, whole),
    }
}

/// Removes the content that a step kept in its directory; it can't be put back any more.
pub fn drop_former(step: &Path) {
    for dir in [step.to_owned(), step.join(MOVED)] {
        // What can't be removed now is as good as what a run that was killed has left.
        let _ = drop_content(&dir);
    }
}

/// Puts back what was there before a step changed it.
pub fn put_back(task: &RestoreTask) -> Result<String, String> {
    let Some(from) = &task.from else {
        return restore(&task.path, &task.dirs);
    };
    let dirs: Vec<PathBuf> = task.dirs.iter().map(|dir| dir.join(MOVED)).collect();
    if task.dirs.first().is_some_and(|dir| dir.is_dir()) && !dirs.iter().any(|d| d.is_dir()) {
        return Ok(format!("{} was not touched\n", task.path.display()));
    }
    move_back(
        &kept_at(&task.path, &task.dirs)?,
        &kept_at(from, &dirs)?,
        &dirs,
    )?;
    let first = restore(from, &dirs)?;
    Ok(format!("{first}{}", restore(&task.path, &task.dirs)?))
}

fn wrong(path: &Path, what: &str, error: &io::Error) -> String {
    format!("{} can't be {what}: {}", path.display(), io_words(error))
}

/// Keeps what stat says of what is at `path`, which must be there.
fn one(path: &Path, step: &Path, extent: Extent, below: bool) -> Result<Entry, String> {
    let extent = Extent {
        content: false,
        below,
        ..extent
    };
    let kept = keep(path, step, extent)?;
    let top = kept.into_iter().next();
    top.ok_or_else(|| format!("{} is not there", path.display()))
}

/// The directory that `path` lies in, which must be there.
fn place_of(path: &Path) -> Result<(Dir, std::ffi::OsString), String> {
    parent_of(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!(
            "{} can't be put in place: its directory is not there; make it first, with \
             make_directory(…)",
            path.display()
        ),
        _ => wrong(path, "put in place", &e),
    })
}

fn take_away(path: &Path) -> io::Result<bool> {
    let (dir, name) = match parent_of(path) {
        Ok(place) => place,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    if dir.look(&name)?.is_none() {
        return Ok(false);
    }
    remove(&dir, &name)?;
    dir.sync()?;
    Ok(true)
}

fn link(path: &Path, to: &str, step: &Path) -> Result<bool, String> {
    let io = |e: io::Error| wrong(path, "put in place", &e);
    let (dir, name) = place_of(path)?;
    let there = dir.look(&name).map_err(io)?;
    if let Some(facts) = &there
        && !facts.is_symlink()
    {
        return Err(format!(
            "{} is there and is no symbolic link; remove it first",
            path.display()
        ));
    }
    keep(path, step, Extent::WHOLE)?;
    if there.is_some() && fs::read_link(dir.at(&name)).is_ok_and(|now| now == Path::new(to)) {
        return Ok(false);
    }
    let new = beside(&name, step);
    forget(path, step)
        .and_then(|()| symlink(to, dir.at(&new)))
        .and_then(|()| swap_in(&dir, &new, &name))
        .and_then(|()| dir.sync())
        .map_err(io)?;
    Ok(true)
}

fn directory(
    path: &Path,
    mode: Option<u32>,
    owner: Option<&str>,
    step: &Path,
) -> Result<bool, String> {
    let io = |e: io::Error| wrong(path, "made", &e);
    let owner = owner.map(ids).transpose()?;
    let extent = Extent {
        below: false,
        content: false,
        ..Extent::WHOLE
    };
    let there = match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => Some(facts),
        Ok(_) => {
            return Err(format!(
                "{} is there and is no directory; remove it first",
                path.display()
            ));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(io(e)),
    };
    keep(path, step, extent)?;
    if let Some(facts) = there {
        let moded = mode.is_some_and(|mode| mode != facts.mode() & 0o7777);
        let owned = owner.is_some_and(|owner| owner != (facts.uid(), facts.gid()));
        let (dir, name) = parent_of(path).map_err(io)?;
        if let Some(owner) = owner.filter(|_| owned) {
            give(&dir, &name, owner).map_err(io)?;
        }
        // After the owner: a change of owner may take bits away.
        if let Some(mode) = mode.filter(|_| moded || owned) {
            set_mode(&dir, &name, mode).map_err(io)?;
        }
        return Ok(moded || owned);
    }
    make_above(path)?;
    let (dir, name) = parent_of(path).map_err(io)?;
    let new = beside(&name, step);
    forget(path, step)
        .and_then(|()| Ok(mkdirat(&dir, &new, Mode::from_raw_mode(0o700))?))
        .and_then(|()| owner.map_or(Ok(()), |owner| give(&dir, &new, owner)))
        .and_then(|()| set_mode(&dir, &new, mode.unwrap_or(DIRECTORY_MODE)))
        .and_then(|()| swap_in(&dir, &new, &name))
        .and_then(|()| dir.sync())
        .map_err(io)?;
    Ok(true)
}

/// Makes the directories above a path that are not there.
fn make_above(path: &Path) -> Result<(), String> {
    for above in path.ancestors().skip(1).collect::<Vec<_>>().iter().rev() {
        match make(above, DIRECTORY_MODE) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(wrong(above, "made", &e)),
        }
    }
    Ok(())
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    let Ok((dir, name)) = parent_of(path) else {
        // The root.
        return Ok(());
    };
    mkdirat(&dir, &name, Mode::from_raw_mode(0o700))?;
    set_mode(&dir, &name, mode)?;
    dir.sync()
}

pub(super) fn give(dir: &Dir, name: &std::ffi::OsStr, (uid, gid): (u32, u32)) -> io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    Ok(chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn own(path: &Path, owner: (u32, u32), below: bool, extent: Extent) -> Result<bool, String> {
    let extent = Extent {
        content: false,
        below,
        ..extent
    };
    let shown = |at: &Path| {
        if at.as_os_str().is_empty() {
            path.to_owned()
        } else {
            path.join(at)
        }
    };
    let seen = scan(path, extent)
        .map_err(|t| format!("{} can't be changed: {}", path.display(), t.words(path)))?;
    let (parent, name) = parent_of(path).map_err(|e| wrong(path, "changed", &e))?;
    let mut live = Descent::new(parent, name);
    let mut changed = false;
    for entry in seen.entries.iter().filter(|e| (e.uid, e.gid) != owner) {
        live.place(&entry.path.0)
            .and_then(|(dir, name)| give(dir, &name, owner))
            .map_err(|e| wrong(&shown(&entry.path.0), "changed", &e))?;
        changed = true;
    }
    Ok(changed)
}

fn copy(path: &Path, from: &Path, step: &Path, extent: Extent) -> Result<bool, String> {
    let unread = |problem: String| format!("{} can't be copied: {problem}", from.display());
    let io = |e: io::Error| wrong(path, "put in place", &e);
    let all = Extent::WHOLE;
    let mut source = scan(from, all).map_err(|t| unread(t.words(from)))?.entries;
    let Some(top) = source.first() else {
        return Err(unread("it is not there".into()));
    };
    let (dir, name) = place_of(path)?;
    let there = dir.look(&name).map_err(io)?;
    if let Some(facts) = &there
        && facts.is_dir() != top.is_directory()
    {
        let what = if facts.is_dir() { "a" } else { "no" };
        return Err(format!(
            "{} is there and is {what} directory; remove it first",
            path.display()
        ));
    }
    keep(path, step, extent)?;
    if there.is_some() && is_like(path, from)? {
        return Ok(false);
    }
    let user = rustix::process::geteuid();
    if !user.is_root() {
        // Nobody else may give files away.
        for entry in source.iter_mut().filter(|e| e.uid != user.as_raw()) {
            entry.uid = user.as_raw();
            entry.gid = rustix::process::getegid().as_raw();
            entry.mode &= 0o777;
        }
    }
    make_copy(path, from, &source, step)?;
    Ok(true)
}

fn make_copy(path: &Path, from: &Path, source: &[Entry], step: &Path) -> Result<(), String> {
    let unread = |problem: String| format!("{} can't be copied: {problem}", from.display());
    let io = |e: io::Error| wrong(path, "put in place", &e);
    let (dir, name) = parent_of(path).map_err(io)?;
    let new = beside(&name, step);
    forget(path, step).map_err(io)?;
    let (source_dir, source_name) = parent_of(from).map_err(|e| unread(io_words(&e)))?;
    let mut content = Content::Live(Descent::new(source_dir, source_name));
    let (here, _) = parent_of(path).map_err(io)?;
    let mut target = Descent::new(here, new.clone());
    let made = build(source, Path::new(""), &mut content, &mut target, None)
        .map_err(|t| unread(t.words(from)))
        .and_then(|()| swap_in(&dir, &new, &name).map_err(io))
        .and_then(|()| dir.sync().map_err(io));
    if made.is_err() {
        let _ = remove(&dir, &new);
    }
    made
}

fn unpack(
    path: &Path,
    archive: &Path,
    unpacking: &Unpacking,
    step: &Path,
    extent: Extent,
) -> Result<bool, String> {
    let io = |e: io::Error| wrong(path, "put in place", &e);
    // All that may be wrong with it is known before anything is touched.
    let archive = Archive::open(archive, unpacking)?;
    let there = match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => true,
        Ok(_) => {
            return Err(format!(
                "{} is there and is no directory; remove it first",
                path.display()
            ));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(io(e)),
    };
    keep(path, step, extent)?;
    if there && archive.is_at(path)? {
        return Ok(false);
    }
    make_above(path)?;
    let (dir, name) = parent_of(path).map_err(io)?;
    let new = beside(&name, step);
    forget(path, step).map_err(io)?;
    let made = archive
        .unpack(&dir, &new)
        .and_then(|()| swap_in(&dir, &new, &name).map_err(io))
        .and_then(|()| dir.sync().map_err(io));
    if made.is_err() {
        let _ = remove(&dir, &new);
    }
    made.map(|()| true)
}

/// Moves something from `from` to `path`.
fn go(path: &Path, from: &Path, step: &Path, extent: Extent) -> Result<bool, String> {
    let io = |e: io::Error| wrong(from, "moved", &e);
    let (source, old) = parent_of(from).map_err(io)?;
    let (target, new) = place_of(path)?;
    let coming = source.look(&old).map_err(io)?;
    let going = target
        .look(&new)
        .map_err(|e| wrong(path, "put in place", &e))?;
    let moved = step.join(MOVED);
    let begun = moved.is_dir();
    if coming.is_none() && going.is_some() && begun {
        // A try before this one has done it.
        return Ok(true);
    }
    if coming.is_none() {
        return Err(format!(
            "{} can't be moved: it is not there",
            from.display()
        ));
    }
    if going.is_some() && !begun {
        return Err(format!(
            "{} is there already; remove it first",
            path.display()
        ));
    }
    keep(path, step, extent)?;
    fs::create_dir(&moved)
        .or_else(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(e),
        })
        .map_err(io)?;
    let device = |dir: &Dir| rustix::fs::fstat(dir).map(|s| s.st_dev);
    let near = device(&source).ok() == device(&target).ok();
    // Only what leaves its file system is copied, and only of that the content is kept.
    let kept = Extent {
        content: !near,
        below: !near,
        ..extent
    };
    keep(from, &moved, kept)?;
    if near {
        let which = coming.map(|facts| (facts.dev(), facts.ino()));
        note(&moved, WHICH, &which).map_err(io)?;
        renameat_with(&source, &old, &target, &new, RenameFlags::NOREPLACE)
            .map_err(|e| io(e.into()))?;
    } else {
        let all = scan(from, Extent::WHOLE).map_err(|t| wrong_move(from, &t.words(from)))?;
        make_copy(path, from, &all.entries, step)?;
        remove(&source, &old).map_err(io)?;
    }
    source.sync().and_then(|()| target.sync()).map_err(io)?;
    Ok(true)
}

fn wrong_move(from: &Path, problem: &str) -> String {
    format!("{} can't be moved: {problem}", from.display())
}

/// Moves back what was moved within a file system; what left it is made anew from what was kept.
fn move_back(path: &Path, from: &Path, moved: &[PathBuf]) -> Result<(), String> {
    let io = |e: io::Error| wrong(from, "moved back", &e);
    let which = moved.iter().find_map(|dir| fs::read(dir.join(WHICH)).ok());
    let Some(which) = which else { return Ok(()) };
    let which: Option<(u64, u64)> = serde_json::from_slice(&which).map_err(|e| io(e.into()))?;
    let (source, old) = parent_of(from).map_err(io)?;
    let (target, new) = parent_of(path).map_err(io)?;
    let back = source.look(&old).map_err(io)?;
    if back.as_ref().map(|facts| (facts.dev(), facts.ino())) == which {
        return Ok(());
    }
    let flags = match (&back, target.look(&new).map_err(io)?) {
        // It was moved back, and is another one because a later step had been undone.
        (Some(_), None) => return Ok(()),
        (Some(_), Some(_)) => RenameFlags::EXCHANGE,
        (None, Some(_)) => RenameFlags::NOREPLACE,
        (None, None) => {
            return Err(format!(
                "{} can't be moved back: it is not at {} any more",
                from.display(),
                path.display()
            ));
        }
    };
    renameat_with(&target, &new, &source, &old, flags).map_err(|e| io(e.into()))?;
    source.sync().and_then(|()| target.sync()).map_err(io)
}
