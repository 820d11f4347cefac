use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::entry::Name;
use super::*;
use crate::target::attributes;

/// All that is at a path, which file is which left out.
fn seen(path: &Path) -> Vec<(Entry, Option<String>)> {
    let entries = scan(path, Extent::WHOLE).expect("looked at").entries;
    entries
        .into_iter()
        .map(|mut entry| {
            let Kind::File {
                device,
                inode,
                sparse,
                ..
            } = &mut entry.kind
            else {
                return (entry, None);
            };
            (*device, *inode, *sparse) = (0, 0, false);
            let content = fs::read(path.join(&entry.path.0).components().collect::<PathBuf>());
            let digest = crate::target::files::sha256_of(&content.expect("read"));
            (entry, Some(digest))
        })
        .collect()
}

fn at_time(path: &Path, seconds: u64) {
    let time = UNIX_EPOCH + Duration::new(seconds, 123_456_789);
    File::open(path)
        .expect("open")
        .set_modified(time)
        .expect("set");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("mode");
}

/// A tree with one of everything that this user can make.
fn tree(path: &Path) {
    fs::create_dir_all(path.join("conf/empty")).expect("made");
    fs::create_dir(path.join("closed")).expect("made");
    fs::write(path.join("conf/app.conf"), "listen 80\n").expect("written");
    fs::write(path.join("conf/other"), "x\n").expect("written");
    fs::hard_link(path.join("conf/app.conf"), path.join("same")).expect("linked");
    fs::hard_link(path.join("conf/app.conf"), path.join("closed/same")).expect("linked");
    symlink("conf/app.conf", path.join("link")).expect("linked");
    symlink("/nowhere/\u{e4}", path.join("dangling")).expect("linked");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )
    .expect("made");
    let bytes = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"no\xffutf8");
    fs::write(path.join(bytes), "odd").expect("written");
    let sparse = File::create(path.join("sparse")).expect("made");
    sparse.set_len(8 << 20).expect("long");
    sparse.write_all_at(b"middle", 4 << 20).expect("written");
    let note = [("user.note".to_owned(), b"kept".to_vec())].into();
    attributes::set_at(&path.join("conf"), &note).expect("set");
    attributes::set_at(&path.join("conf/other"), &note).expect("set");
    mode(&path.join("conf/other"), 0o4750);
    mode(&path.join("closed"), 0o500);
    for name in ["conf/app.conf", "conf/other", "conf", "closed", ""] {
        at_time(&path.join(name), 1_000_000_000);
    }
}

fn open_again(path: &Path) {
    let _ = fs::set_permissions(path.join("closed"), Permissions::from_mode(0o700));
}

type Do = fn(&Path);

const SETUPS: &[(&str, Do)] = &[
    ("nothing", |_| {}),
    ("a file", |path| {
        fs::write(path, "former\n").expect("written");
        mode(path, 0o640);
        at_time(path, 999_999_999);
    }),
    ("a link", |path| {
        symlink("/nowhere/else", path).expect("linked")
    }),
    ("an empty directory", |path| {
        fs::create_dir(path).expect("made");
        at_time(path, 999_999_999);
    }),
    ("a tree", tree),
];

/// What may happen to it meanwhile.
const MEANWHILE: &[(&str, Do)] = &[
    ("nothing happens", |_| {}),
    ("it is removed", |path| {
        open_again(path);
        let (dir, name) = parent_of(path).expect("opened");
        remove(&dir, &name).expect("removed");
    }),
    ("a file stands there", |path| {
        MEANWHILE[1].1(path);
        fs::write(path, "another\n").expect("written");
    }),
    ("a link stands there", |path| {
        MEANWHILE[1].1(path);
        symlink("/etc", path).expect("linked");
    }),
    ("another tree stands there", |path| {
        MEANWHILE[1].1(path);
        fs::create_dir_all(path.join("conf/app.conf/deep")).expect("made");
        fs::write(path.join("link"), "no link").expect("written");
        fs::create_dir(path.join("pipe")).expect("made");
    }),
    ("it grows and changes", |path| {
        if !path.is_dir() || path.is_symlink() {
            let _ = fs::write(path, "grown\n".repeat(10_000));
            return;
        }
        open_again(path);
        fs::write(path.join("new"), "new").expect("written");
        fs::create_dir_all(path.join("conf/new/deeper")).expect("made");
        if path.join("same").exists() {
            // Written through one of its names, then one of them is replaced.
            fs::write(path.join("same"), "listen 81\n").expect("written");
            fs::remove_file(path.join("closed/same")).expect("removed");
            fs::write(path.join("closed/same"), "listen 80\n").expect("written");
            fs::remove_file(path.join("link")).expect("removed");
            symlink("conf", path.join("link")).expect("linked");
            mode(&path.join("conf/other"), 0o600);
            attributes::set_at(&path.join("conf"), &attributes::Attributes::new()).expect("set");
            fs::remove_file(path.join("pipe")).expect("removed");
            fs::remove_dir(path.join("conf/empty")).expect("removed");
        }
    }),
];

struct Scene {
    dir: tempfile::TempDir,
    path: PathBuf,
    step: PathBuf,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, step) = (dir.path().join("srv/app"), dir.path().join("step"));
    fs::create_dir(dir.path().join("srv")).expect("made");
    fs::create_dir(&step).expect("made");
    Scene { path, step, dir }
}

impl Drop for Scene {
    fn drop(&mut self) {
        open_again(&self.path);
        let _ = &self.dir;
    }
}

#[test]
fn whatever_happens_meanwhile_the_former_comes_back() {
    let mut cases = 0;
    for (before, setup) in SETUPS {
        for (what, happens) in MEANWHILE {
            let told = format!("{before}, {what}");
            let scene = scene();
            setup(&scene.path);
            let was = seen(&scene.path);
            keep(&scene.path, &scene.step, Extent::WHOLE).expect(&told);
            assert_eq!(seen(&scene.path), was, "{told}: kept");
            happens(&scene.path);
            restore(&scene.path, std::slice::from_ref(&scene.step)).expect(&told);
            assert_eq!(seen(&scene.path), was, "{told}");
            restore(&scene.path, std::slice::from_ref(&scene.step)).expect(&told);
            assert_eq!(seen(&scene.path), was, "{told}: again");
            let beside = fs::read_dir(scene.path.parent().expect("one")).expect("listed");
            assert_eq!(beside.count(), usize::from(!was.is_empty()), "{told}");
            cases += 1;
        }
    }
    assert_eq!(cases, SETUPS.len() * MEANWHILE.len());
}

#[test]
fn what_is_as_before_is_left_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let scene = scene();
    tree(&scene.path);
    let inode = |name: &str| {
        fs::symlink_metadata(scene.path.join(name))
            .expect("there")
            .ino()
    };
    let before = ["", "conf", "conf/other", "link"].map(inode);
    keep(&scene.path, &scene.step, Extent::WHOLE).expect("kept");
    fs::write(scene.path.join("sparse"), "short").expect("written");
    restore(&scene.path, std::slice::from_ref(&scene.step)).expect("put back");
    assert_eq!(["", "conf", "conf/other", "link"].map(inode), before);
    let facts = fs::metadata(scene.path.join("sparse")).expect("there");
    assert!(facts.len() == 8 << 20 && facts.blocks() < 1024, "no holes");
}

#[test]
fn names_outside_of_the_tree_stay_names_of_the_same_file() {
    let scene = scene();
    fs::create_dir(&scene.path).expect("made");
    fs::write(scene.path.join("data"), "former\n").expect("written");
    let outside = scene.dir.path().join("outside");
    fs::hard_link(scene.path.join("data"), &outside).expect("linked");
    keep(&scene.path, &scene.step, Extent::WHOLE).expect("kept");
    fs::write(&outside, "written through the other name, and longer\n").expect("written");
    restore(&scene.path, std::slice::from_ref(&scene.step)).expect("put back");
    assert_eq!(fs::read_to_string(&outside).expect("read"), "former\n");
    fs::write(&outside, "still the same file").expect("written");
    let inside = fs::read_to_string(scene.path.join("data")).expect("read");
    assert_eq!(inside, "still the same file");
}

#[test]
fn directories_that_were_made_above_go_unless_they_hold_something_else() {
    for busy in [false, true] {
        let scene = scene();
        let deep = scene.path.join("a/b/c");
        keep(&deep, &scene.step, Extent::WHOLE).expect("kept");
        fs::create_dir_all(deep.join("d")).expect("made");
        if busy {
            fs::write(scene.path.join("a/mine"), "").expect("written");
        }
        let told = restore(&deep, std::slice::from_ref(&scene.step)).expect("put back");
        let above = scene.path.join("a");
        let stays = format!("{} was made for it and stays", above.display());
        assert_eq!((scene.path.exists(), told.contains(&stays)), (busy, busy));
        assert!(!scene.path.join("a/b").exists());
    }
}

#[test]
fn a_detour_over_what_is_not_there_makes_nothing() {
    let scene = scene();
    let made = real(&scene.path.join("none/../other/x"));
    assert_eq!(made, real(&scene.path).join("other/x"));
    // Where something is there, only the system knows where it leads.
    fs::create_dir(&scene.path).expect("made");
    let there = real(&scene.path.join("../app/none/../x"));
    assert_eq!(there, real(&scene.path).join("x"));
    std::os::unix::fs::symlink("nowhere", scene.path.join("link")).expect("a link");
    let link = scene.path.join("link/../x");
    assert_eq!(real(&link), link);
}

#[test]
fn what_is_too_large_is_refused_before_anything_is_written() {
    let scene = scene();
    tree(&scene.path);
    let extent = Extent {
        max_size: 5_000,
        ..Extent::WHOLE
    };
    let error = keep(&scene.path, &scene.step, extent).expect_err("too large");
    assert!(error.contains("more than 5000 bytes"), "{error}");
    assert_eq!(fs::read_dir(&scene.step).expect("listed").count(), 0);
    let untouched = restore(&scene.path, std::slice::from_ref(&scene.step)).expect("fine");
    assert!(untouched.contains("was not touched"), "{untouched}");
}

#[test]
fn what_a_killed_try_had_stored_is_no_obstacle() {
    let scene = scene();
    tree(&scene.path);
    fs::create_dir_all(scene.step.join("former/conf")).expect("made");
    fs::write(scene.step.join("former/conf/app.conf"), "half").expect("written");
    let was = seen(&scene.path);
    keep(&scene.path, &scene.step, Extent::WHOLE).expect("kept");
    MEANWHILE[1].1(&scene.path);
    // A back-out that was killed has left this.
    let (_, name) = parent_of(&scene.path).expect("opened");
    let half = scene.path.with_file_name(beside(&name, &scene.step));
    fs::create_dir_all(half.join("conf")).expect("made");
    restore(&scene.path, std::slice::from_ref(&scene.step)).expect("put back");
    assert_eq!(seen(&scene.path), was);
}

#[test]
fn damage_to_what_was_kept_is_told() {
    let scene = scene();
    fs::create_dir(&scene.path).expect("made");
    fs::write(scene.path.join("data"), "former\n").expect("written");
    keep(&scene.path, &scene.step, Extent::WHOLE).expect("kept");
    fs::write(scene.step.join("former/data"), "damaged").expect("written");
    fs::write(scene.path.join("data"), "new\n").expect("written");
    let error = restore(&scene.path, std::slice::from_ref(&scene.step)).expect_err("damaged");
    assert!(
        error.contains("srv/app/data: what was kept of it is damaged"),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(scene.path.join("data")).expect("read"),
        "new\n"
    );
}

#[test]
fn a_name_that_is_no_text_is_written_and_read() {
    let odd = Name(PathBuf::from(
        <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"a\xff"),
    ));
    for name in [odd, Name("plain".into()), Name("".into())] {
        let json = serde_json::to_string(&name).expect("written");
        let read: Name = serde_json::from_str(&json).expect("read");
        assert_eq!(read, name, "{json}");
    }
}
