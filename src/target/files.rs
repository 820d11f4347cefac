//! Putting a file in place.
//!
//! What changes files runs as a process of its own (`deployrun __put-file`, `__change-file`,
//! `__restore-file`) under a step supervisor like any command: it can be ended, and found again.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::words::call::PutFile;

use super::attributes;
use super::changes::{self, ChangeTask, RestoreTask};
use super::facts::io_words;
use super::former::{Dir, Extent, beside, forget, keep, real};
use super::owners::ids;

/// SHA-256 of a file, in hex.
pub fn sha256(path: &Path) -> Result<String, String> {
    let wrong = |e: &io::Error| format!("{} can't be read: {}", path.display(), io_words(e));
    // What is no file may have no end, or block in the opening.
    if !fs::metadata(path).map_err(|e| wrong(&e))?.is_file() {
        return Err(format!(
            "{} can't be read: it is not a file",
            path.display()
        ));
    }
    let mut file = File::open(path).map_err(|e| wrong(&e))?;
    let mut digest = Sha256::new();
    copy(&mut file, &mut io::sink(), &mut digest).map_err(|e| wrong(&e))?;
    Ok(hex(&digest.finalize()))
}

/// SHA-256 of bytes, in hex.
#[must_use]
pub fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    digest: &mut Sha256,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                let chunk = buffer.get(..n).unwrap_or_default();
                digest.update(chunk);
                to.write_all(chunk)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Puts a file in place; `dir` keeps the former one. Returns whether anything changed.
pub fn put(file: &PutFile, dir: &Path) -> Result<bool, String> {
    let path = real(Path::new(&file.path));
    let path = path.as_path();
    let wrong = |what: &str, e: &io::Error| format!("{what} {}: {}", path.display(), io_words(e));
    let parent = path
        .parent()
        .ok_or_else(|| format!("{} is no file's path", path.display()))?;
    if !parent.is_dir() {
        let text = "its directory is not there; make it first, with make_directory(…)";
        return Err(format!("{} can't be put in place: {text}", path.display()));
    }
    let facts = look(path).map_err(|e| wrong("can't look at", &e))?;
    if facts
        .as_ref()
        .is_some_and(|f| !f.is_file() && !f.is_symlink())
    {
        return Err(format!("{} is there and is not a file", path.display()));
    }
    let plain = facts.as_ref().filter(|f| f.is_file());
    let owner = match &file.owner {
        Some(owner) => Some(ids(owner)?),
        None => plain.map(|f| (f.uid(), f.gid())),
    };
    let mode = file
        .mode
        .or_else(|| plain.map(|f| f.mode() & 0o7777))
        .unwrap_or(0o644);
    let same = plain.is_some_and(|f| {
        f.mode() & 0o7777 == mode
            && owner.is_none_or(|(uid, gid)| f.uid() == uid && f.gid() == gid)
            && sha256(path).is_ok_and(|digest| digest == file.sha256)
    });
    keep(path, dir, Extent::WHOLE)?;
    if same {
        return Ok(false);
    }
    let listed = (plain.is_some() && file.mode.is_none()).then_some(path);
    let beside = temporary(path, dir);
    let done = forget(path, dir)
        .map_err(|e| wrong("can't put in place", &e))
        .and_then(|()| write_beside(file, &beside, mode, owner, listed))
        .and_then(|()| fs::rename(&beside, path).map_err(|e| wrong("can't put in place", &e)))
        .and_then(|()| {
            let parent = Dir::open(parent).and_then(|parent| parent.sync());
            parent.map_err(|e| wrong("can't put in place", &e))
        });
    if done.is_err() {
        let _ = fs::remove_file(&beside);
    }
    done?;
    match sha256(path)? {
        digest if digest == file.sha256 => Ok(true),
        digest => Err(format!(
            "{} has the digest {digest} after it was put in place",
            path.display()
        )),
    }
}

/// Writes the file under the name it has before it takes its place. `listed`: who has the access
/// list it takes over.
fn write_beside(
    file: &PutFile,
    beside: &Path,
    mode: u32,
    owner: Option<(u32, u32)>,
    listed: Option<&Path>,
) -> Result<(), String> {
    let wrong = |e: &io::Error| format!("{} can't be written: {}", beside.display(), io_words(e));
    let mut out = File::create_new(beside).map_err(|e| wrong(&e))?;
    // Nobody reads it before it is whole and has its owner.
    out.set_permissions(Permissions::from_mode(0o600))
        .map_err(|e| wrong(&e))?;
    let mut digest = Sha256::new();
    match (&file.text, &file.source) {
        (Some(text), _) => {
            copy(&mut text.as_bytes(), &mut out, &mut digest).map_err(|e| wrong(&e))?;
        }
        (None, Some(source)) => {
            let mut from = File::open(source)
                .map_err(|e| format!("{source} can't be read: {}", io_words(&e)))?;
            copy(&mut from, &mut out, &mut digest).map_err(|e| wrong(&e))?;
        }
        (None, None) => return Err("there is nothing to put in place".into()),
    }
    let digest = hex(&digest.finalize());
    if digest != file.sha256 {
        let source = file.source.as_deref().unwrap_or("the text");
        return Err(format!(
            "{source} has changed since the plan looked at it: its digest is {digest}"
        ));
    }
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(&out, Some(uid), Some(gid)).map_err(|e| wrong(&e))?;
    }
    if let Some(former) = listed {
        File::open(former)
            .and_then(|former| attributes::carry_access_list(&former, &out))
            .map_err(|e| wrong(&e))?;
    }
    out.set_permissions(Permissions::from_mode(mode))
        .map_err(|e| wrong(&e))?;
    out.sync_all().map_err(|e| wrong(&e))
}

fn look(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(facts) => Ok(Some(facts)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Where a file is written before it takes its place.
fn temporary(path: &Path, dir: &Path) -> PathBuf {
    path.with_file_name(beside(path.file_name().unwrap_or_default(), dir))
}

/// This program, as a step calls it.
pub const THIS_PROGRAM: &str = "/proc/self/exe";
/// The argument that makes this program put a file in place.
pub const PUT: &str = "__put-file";
/// The argument that makes this program change something else at a path.
pub const CHANGE: &str = "__change-file";
/// The argument that makes this program put back what was there before.
pub const RESTORE: &str = "__restore-file";

/// What [`PUT`] reads on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub struct PutTask {
    /// The file.
    pub file: PutFile,
    /// The directory that keeps the former one: that of the step's first try.
    pub keep: PathBuf,
}

/// Changes what is at a path, or puts back what was there, if `name` says so, and returns the status to exit with.
#[must_use]
pub fn dispatch(name: &str) -> Option<i32> {
    let result = match name {
        PUT => read_task().and_then(|task: PutTask| {
            let changed = put(&task.file, &task.keep)?;
            Ok(said(changed))
        }),
        CHANGE => read_task().and_then(|task: ChangeTask| {
            let changed = changes::change(&task.change, &task.keep)?;
            Ok(said(changed))
        }),
        RESTORE => read_task().and_then(|task: RestoreTask| changes::put_back(&task)),
        _ => return None,
    };
    // The step supervisor reads both; when it is gone there is nobody to tell.
    match result {
        Ok(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            Some(0)
        }
        Err(problem) => {
            let _ = writeln!(io::stderr(), "{problem}");
            Some(1)
        }
    }
}

/// What such a step prints; that something was changed goes without saying.
fn said(changed: bool) -> String {
    if changed { "" } else { "unchanged\n" }.to_owned()
}

fn read_task<T: serde::de::DeserializeOwned>() -> Result<T, String> {
    serde_json::from_reader(io::stdin().lock()).map_err(|e| format!("bad task: {e}"))
}

#[cfg(test)]
mod tests {
    use super::super::former::restore;
    use super::*;

    type Seen = (String, u32, i64, i64, attributes::Attributes);

    /// What can be seen of a path: kind, content, mode, modification time, attributes.
    fn seen(path: &Path) -> Option<Seen> {
        let facts = fs::symlink_metadata(path).ok()?;
        let content = if facts.is_symlink() {
            format!("-> {}", fs::read_link(path).expect("a link").display())
        } else {
            fs::read_to_string(path).expect("a file")
        };
        let time = if facts.is_symlink() {
            (0, 0)
        } else {
            (facts.mtime(), facts.mtime_nsec())
        };
        let attributes = match facts.is_symlink() {
            true => attributes::Attributes::new(),
            false => attributes::at(path).expect("attributes"),
        };
        Some((content, facts.mode() & 0o7777, time.0, time.1, attributes))
    }

    fn file(path: &Path, text: &str, mode: Option<u32>) -> PutFile {
        PutFile {
            path: path.to_string_lossy().into_owned(),
            text: Some(text.to_owned()),
            source: None,
            sha256: sha256_of(text.as_bytes()),
            mode,
            owner: None,
        }
    }

    #[test]
    fn what_was_there_comes_back_exactly() {
        type Setup = fn(&Path);
        let before: [(&str, Setup); 6] = [
            ("absent", |_| {}),
            ("other", |path| {
                fs::write(path, "former\n").expect("written")
            }),
            ("other mode", |path| {
                fs::write(path, "former\n").expect("written");
                fs::set_permissions(path, Permissions::from_mode(0o640)).expect("mode");
            }),
            ("link", |path| {
                std::os::unix::fs::symlink("/nowhere", path).expect("linked")
            }),
            ("attribute", |path| {
                fs::write(path, "former\n").expect("written");
                let note = [("user.note".to_owned(), b"kept".to_vec())].into();
                attributes::set_at(path, &note).expect("set");
            }),
            ("before 1970", |path| {
                fs::write(path, "former\n").expect("written");
                let then = std::time::UNIX_EPOCH - std::time::Duration::from_millis(1500);
                let file = File::options().append(true).open(path).expect("open");
                file.set_modified(then).expect("set");
            }),
        ];
        for (name, setup) in before {
            let dir = tempfile::tempdir().expect("a directory");
            let (path, keep) = (dir.path().join("app.conf"), dir.path().join("keep"));
            fs::create_dir(&keep).expect("a directory");
            setup(&path);
            let was = seen(&path);
            assert_eq!(put(&file(&path, "new\n", None), &keep), Ok(true), "{name}");
            assert_eq!(seen(&path).map(|s| s.0), Some("new\n".into()), "{name}");
            // Put again, as a second try would: the first former file counts.
            assert_eq!(
                put(&file(&path, "newer\n", None), &keep),
                Ok(true),
                "{name}"
            );
            restore(&path, std::slice::from_ref(&keep)).expect(name);
            assert_eq!(seen(&path), was, "{name}");
            restore(&path, &[keep]).expect("twice is as good as once");
            assert_eq!(seen(&path), was, "{name}");
        }
    }

    #[test]
    fn what_a_killed_try_left_beside_the_file_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, keep) = (dir.path().join("app.conf"), dir.path().join("keep"));
        fs::create_dir(&keep).expect("a directory");
        let names = || {
            let entries = fs::read_dir(dir.path()).expect("a directory");
            let mut names: Vec<_> = entries.map(|e| e.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        // A try that is killed before it renames leaves this.
        fs::write(temporary(&path, &keep), "ha").expect("written");
        assert_eq!(put(&file(&path, "new\n", None), &keep), Ok(true));
        assert_eq!(names(), ["app.conf", "keep"]);
        fs::write(temporary(&path, &keep), "ha").expect("written");
        restore(&path, std::slice::from_ref(&keep)).expect("restored");
        assert_eq!(names(), ["keep"]);
        // One that was killed before it kept the former file has written nothing.
        fs::remove_dir_all(&keep).expect("removed");
        fs::create_dir(&keep).expect("made");
        fs::write(temporary(&path, &keep), "ha").expect("written");
        restore(&path, std::slice::from_ref(&keep)).expect("nothing to do");
        assert_eq!(names(), ["keep"]);
        // Without the directory of the step nobody knows what was there.
        fs::remove_dir_all(&keep).expect("removed");
        let gone = restore(&path, &[keep]).expect_err("nobody knows");
        assert!(gone.contains("what was there before is gone"), "{gone}");
    }

    #[test]
    fn what_is_in_place_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, keep) = (dir.path().join("app.conf"), dir.path().join("keep"));
        fs::create_dir(&keep).expect("a directory");
        fs::write(&path, "same\n").expect("written");
        let was = seen(&path);
        assert_eq!(put(&file(&path, "same\n", None), &keep), Ok(false));
        assert_eq!(seen(&path), was);
        assert_eq!(put(&file(&path, "same\n", Some(0o600)), &keep), Ok(true));
        assert_eq!(seen(&path).map(|s| s.1), Some(0o600));
    }

    #[test]
    fn what_is_as_before_is_not_written_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, keep) = (dir.path().join("app.conf"), dir.path().join("keep"));
        fs::create_dir(&keep).expect("a directory");
        fs::write(&path, "same\n").expect("written");
        let inode = |path: &Path| fs::metadata(path).expect("there").ino();
        let before = inode(&path);
        assert_eq!(put(&file(&path, "same\n", None), &keep), Ok(false));
        restore(&path, std::slice::from_ref(&keep)).expect("nothing to do");
        assert_eq!(inode(&path), before);
        // Its time alone is set, in the file that is there.
        let was = seen(&path);
        let open = File::options().append(true).open(&path).expect("open");
        open.set_modified(std::time::UNIX_EPOCH).expect("set");
        restore(&path, &[keep]).expect("put back");
        assert_eq!((seen(&path), inode(&path)), (was, before));
    }

    #[test]
    fn a_back_out_that_fails_leaves_nothing_beside_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, keep) = (dir.path().join("app.conf"), dir.path().join("keep"));
        fs::create_dir(&keep).expect("a directory");
        fs::write(&path, "former\n").expect("written");
        put(&file(&path, "new\n", None), &keep).expect("put");
        fs::write(keep.join("former"), "damaged\n").expect("written");
        let error = restore(&path, std::slice::from_ref(&keep)).expect_err("damaged");
        assert!(error.contains("app.conf can't be put back"), "{error}");
        let entries = fs::read_dir(dir.path()).expect("a directory");
        let mut names: Vec<_> = entries.map(|e| e.expect("an entry").file_name()).collect();
        names.sort();
        assert_eq!(names, ["app.conf", "keep"]);
        // A directory that is in the way is none.
        fs::write(keep.join("former"), "former\n").expect("written");
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        restore(&path, &[keep]).expect("put back");
        assert_eq!(seen(&path).map(|s| s.0), Some("former\n".into()));
    }

    #[test]
    fn the_access_list_of_the_former_file_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, keep) = (dir.path().join("app.conf"), dir.path().join("keep"));
        fs::create_dir(&keep).expect("a directory");
        fs::write(&path, "former\n").expect("written");
        // user::rw-, user:1234:r--, group::---, mask::r--, other::---
        let entries: [(u16, u16, u32); 5] = [
            (0x01, 6, u32::MAX),
            (0x02, 4, 1234),
            (0x04, 0, u32::MAX),
            (0x10, 4, u32::MAX),
            (0x20, 0, u32::MAX),
        ];
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            list.extend(tag.to_le_bytes());
            list.extend(bits.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        let wanted = [("system.posix_acl_access".to_owned(), list)].into();
        attributes::set_at(&path, &wanted).expect("this file system has access lists");
        let was = seen(&path);
        put(&file(&path, "new\n", None), &keep).expect("put");
        let now = seen(&path).expect("there");
        assert_eq!((now.0.as_str(), now.1, now.4), ("new\n", 0o640, wanted));
        // Who says permission bits means them alone.
        put(&file(&path, "newer\n", Some(0o600)), &keep).expect("put");
        assert_eq!(seen(&path).expect("there").4, attributes::Attributes::new());
        restore(&path, &[keep]).expect("put back");
        assert_eq!(seen(&path), was);
    }

    #[test]
    fn a_source_without_end_is_no_file() {
        let error = sha256(Path::new("/dev/zero")).expect_err("refused");
        assert_eq!(error, "/dev/zero can't be read: it is not a file");
    }

    #[test]
    fn a_source_that_changed_is_refused_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, source) = (dir.path().join("to"), dir.path().join("from"));
        fs::write(&source, "one").expect("written");
        let mut task = file(&path, "", None);
        task.text = None;
        task.source = Some(source.to_string_lossy().into_owned());
        task.sha256 = sha256(&source).expect("a digest");
        fs::write(&source, "two").expect("written");
        let keep = dir.path().join("keep");
        fs::create_dir(&keep).expect("a directory");
        let error = put(&task, &keep).expect_err("refused");
        assert!(error.contains("has changed since"), "{error}");
        let names: Vec<_> = fs::read_dir(dir.path())
            .expect("a directory")
            .map(|e| e.expect("one").file_name())
            .collect();
        assert!(!path.exists() && names.len() == 2, "{names:?}");
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        let dir = tempfile::tempdir().expect("a directory");
        let keep = dir.path().join("keep");
        fs::create_dir(&keep).expect("made");
        let missing =
            put(&file(&dir.path().join("a/b"), "", None), &keep).expect_err("no directory");
        assert!(missing.contains("its directory is not there"), "{missing}");
        fs::create_dir(dir.path().join("d")).expect("made");
        let taken = put(&file(&dir.path().join("d"), "", None), &keep).expect_err("a directory");
        assert!(taken.contains("is not a file"), "{taken}");
        // What could not act has nothing to undo, even where nothing can be removed.
        let long = dir.path().join("n".repeat(300));
        fs::write(dir.path().join("plain"), "").expect("written");
        for path in [long, dir.path().join("plain/x")] {
            put(&file(&path, "", None), &keep).expect_err("no such path can be");
            let untouched = restore(&path, std::slice::from_ref(&keep)).expect("nothing to do");
            assert!(untouched.contains("was not touched"), "{untouched}");
        }
        let mut owned = file(&dir.path().join("f"), "", None);
        owned.owner = Some("nobody-of-that-name".into());
        let nobody = put(&owned, &keep).expect_err("no user");
        assert!(
            nobody.contains("there is no user `nobody-of-that-name`"),
            "{nobody}"
        );
        let untouched = restore(&dir.path().join("f"), &[keep]).expect("nothing to do");
        assert!(untouched.contains("was not touched"), "{untouched}");
    }
}
