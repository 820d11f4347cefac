//! What was there before a file was put: kept in the directory of the step, and put back.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::attributes::{self, Attributes};
use super::facts::io_words;
use super::files::{copy, forget, look, sync_dir, temporary};

/// The name, in the directory of a step, of what was there before.
const FORMER: &str = "former.json";
/// The name of the former file's content.
const FORMER_CONTENT: &str = "former";

/// What was there before a file was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Former {
    Nothing,
    Link {
        to: PathBuf,
    },
    File {
        mode: u32,
        uid: u32,
        gid: u32,
        mtime_ns: i128,
        #[serde(default, skip_serializing_if = "Attributes::is_empty")]
        attributes: Attributes,
    },
}

/// Is what was at `path` before in `dir`?
pub(super) fn is_kept(dir: &Path) -> bool {
    dir.join(FORMER).exists()
}

/// Keeps in `dir` what is at `path`.
pub(super) fn keep(path: &Path, facts: Option<&fs::Metadata>, dir: &Path) -> io::Result<()> {
    let former = match facts {
        None => Former::Nothing,
        Some(f) if f.is_symlink() => Former::Link {
            to: fs::read_link(path)?,
        },
        Some(f) => {
            let mut from = File::open(path)?;
            let mut to = File::create(dir.join(FORMER_CONTENT))?;
            to.set_permissions(Permissions::from_mode(0o600))?;
            io::copy(&mut from, &mut to)?;
            to.sync_all()?;
            file_facts(f, attributes::of(&from)?)
        }
    };
    let json = serde_json::to_vec(&former).map_err(io::Error::other)?;
    let beside = dir.join("former.json.new");
    let mut file = File::create(&beside)?;
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&beside, dir.join(FORMER))?;
    sync_dir(dir)
}

/// Puts back what was at `path` before; `dirs` are those of the step's tries, oldest first.
pub fn restore(path: &Path, dirs: &[PathBuf]) -> Result<String, String> {
    let wrong = |e: &io::Error| format!("{} can't be put back: {}", path.display(), io_words(e));
    for dir in dirs {
        // What a try that was killed had begun to write.
        forget(&temporary(path, dir)).map_err(|e| wrong(&e))?;
    }
    if !dirs.first().is_some_and(|dir| dir.is_dir()) {
        // A step that acted has had one, and the first keeps what was there before.
        return Err(format!(
            "{} can't be put back: what was there before is gone, with {}",
            path.display(),
            dirs.first()
                .map_or_else(String::new, |dir| dir.display().to_string())
        ));
    }
    let Some(dir) = dirs.iter().find(|dir| is_kept(dir)) else {
        return Ok(format!("{} was not touched\n", path.display()));
    };
    let json = fs::read(dir.join(FORMER)).map_err(|e| wrong(&e))?;
    let former: Former = serde_json::from_slice(&json)
        .map_err(|e| format!("{} is damaged: {e}", dir.join(FORMER).display()))?;
    let content = dir.join(FORMER_CONTENT);
    if stands(path, &former, &content).unwrap_or(false) {
        return Ok(format!("{} is as before\n", path.display()));
    }
    let beside = temporary(path, dir);
    let done = match &former {
        Former::Nothing => forget(path),
        Former::Link { to } => {
            std::os::unix::fs::symlink(to, &beside).and_then(|()| fs::rename(&beside, path))
        }
        Former::File { .. } => {
            restore_file(&former, &content, &beside).and_then(|()| fs::rename(&beside, path))
        }
    };
    if done.is_err() {
        // It may hold the very space that the next back-out needs.
        let _ = forget(&beside);
    }
    done.map_err(|e| wrong(&e))?;
    sync_dir(path.parent().unwrap_or(Path::new("/"))).map_err(|e| wrong(&e))?;
    Ok(format!("{} is as before\n", path.display()))
}

/// Is there what was there before? Then nothing is written: the disk may be full, and whoever has
/// the file open keeps it.
fn stands(path: &Path, former: &Former, content: &Path) -> io::Result<bool> {
    let Some(facts) = look(path)? else {
        return Ok(*former == Former::Nothing);
    };
    if facts.is_symlink() {
        let to = fs::read_link(path)?;
        return Ok(*former == Former::Link { to });
    }
    if !facts.is_file() || !matches!(former, Former::File { .. }) {
        return Ok(false);
    }
    let (mut now, mut then) = (File::open(path)?, File::open(content)?);
    Ok(*former == file_facts(&facts, attributes::of(&now)?) && same_bytes(&mut now, &mut then)?)
}

fn file_facts(facts: &fs::Metadata, attributes: Attributes) -> Former {
    Former::File {
        mode: facts.mode() & 0o7777,
        uid: facts.uid(),
        gid: facts.gid(),
        mtime_ns: i128::from(facts.mtime()) * 1_000_000_000 + i128::from(facts.mtime_nsec()),
        attributes,
    }
}

fn same_bytes(one: &mut File, other: &mut File) -> io::Result<bool> {
    let digest = |file: &mut File| {
        let mut digest = Sha256::new();
        copy(file, &mut io::sink(), &mut digest).map(|()| digest.finalize())
    };
    Ok(one.metadata()?.len() == other.metadata()?.len() && digest(one)? == digest(other)?)
}

fn restore_file(former: &Former, content: &Path, beside: &Path) -> io::Result<()> {
    let Former::File {
        mode,
        uid,
        gid,
        mtime_ns,
        attributes,
    } = former
    else {
        return Ok(());
    };
    let mut from = File::open(content)?;
    let mut to = File::create_new(beside)?;
    to.set_permissions(Permissions::from_mode(0o600))?;
    io::copy(&mut from, &mut to)?;
    let now = to.metadata()?;
    if (now.uid(), now.gid()) != (*uid, *gid) {
        std::os::unix::fs::fchown(&to, Some(*uid), Some(*gid))?;
    }
    to.set_permissions(Permissions::from_mode(*mode))?;
    // After the owner: a change of owner takes capabilities away.
    attributes::set(&to, attributes)?;
    let away = Duration::from_nanos(u64::try_from(mtime_ns.unsigned_abs()).unwrap_or(0));
    to.set_modified(match *mtime_ns < 0 {
        true => UNIX_EPOCH - away,
        false => UNIX_EPOCH + away,
    })?;
    to.sync_all()
}
