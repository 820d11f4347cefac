use std::fs;
use std::io::Write as _;
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::super::former::parent_of;
use super::*;

const PLAIN: Unpacking = Unpacking {
    sha256: None,
    strip: 0,
    max_unpacked: 1 << 20,
    owner: None,
};

/// A member of a tar archive, whatever may be wrong with it.
fn member(builder: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, to: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o4755);
    header.set_mtime(1_000_000_000);
    // Written as it is: what makes archives honestly refuses some of these.
    header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_gnu_mut().expect("gnu").linkname[..to.len()].copy_from_slice(to.as_bytes());
    header.set_cksum();
    builder.append(&header, content).expect("appended");
}

fn tar(members: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, to) in members {
        let content: &[u8] = if *kind == EntryType::Regular {
            b"text\n"
        } else {
            b""
        };
        member(&mut builder, name, *kind, to, content);
    }
    builder.into_inner().expect("whole")
}

struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new(archive: &[u8]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("archive"), archive).expect("written");
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    fn unpack(&self, unpacking: &Unpacking) -> Result<PathBuf, String> {
        let archive = Archive::open(&self.path(), unpacking)?;
        let to = self.dir.path().join("to");
        let (dir, name) = parent_of(&to).expect("opened");
        archive.unpack(&dir, &name)?;
        assert_eq!(archive.is_at(&to), Ok(true));
        Ok(to)
    }

    fn refusal(&self) -> String {
        let refused = self.unpack(&PLAIN).expect_err("refused");
        assert_eq!(fs::read_dir(self.dir.path()).expect("listed").count(), 1);
        let path = format!("{} can't be unpacked: ", self.path().display());
        refused.strip_prefix(&path).unwrap_or(&refused).to_owned()
    }
}

use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};

/// An entry: its path, what it is, and where it leads.
type Told = (&'static str, EntryType, &'static str);

#[test]
fn nothing_lies_or_leads_outside() {
    let cases: &[(&[Told], &str)] = &[
        (&[("../x", Regular, "")], "../x: its path has `..` in it"),
        (
            &[("a/../../x", Regular, "")],
            "a/../../x: its path has `..` in it",
        ),
        (&[("/etc/x", Regular, "")], "/etc/x: its path is absolute"),
        (&[("dev", Char, "")], "dev: it is a device"),
        (&[("dev", Block, "")], "dev: it is a device"),
        (&[("pipe", Fifo, "")], "pipe: it is a pipe"),
        (
            &[("l", Symlink, "/etc")],
            "l: it is a link to /etc, which leads outside",
        ),
        (
            &[("l", Symlink, "..")],
            "l: it is a link to .., which leads outside",
        ),
        (
            &[("d/l", Symlink, "../..")],
            "d/l: it is a link to ../.., which leads outside",
        ),
        (&[("l", Symlink, "")], "l: it is a link to nowhere"),
        // A link that leads outside only through another one.
        (
            &[("a/b/up", Symlink, "../.."), ("out", Symlink, "a/b/up/..")],
            "out: it is a link to a/b/up/.., which leads outside",
        ),
        (
            &[("a", Symlink, "b"), ("b", Symlink, "a")],
            "a: it is a link to b, which leads in circles",
        ),
        // What would be written through a link.
        (
            &[("d", Symlink, "e"), ("d/x", Regular, "")],
            "d: something lies in it, and it is no directory",
        ),
        (
            &[("h", Link, "../x")],
            "h: it is a hard link, and its path has `..` in it",
        ),
        (
            &[("h", Link, "/etc/passwd")],
            "h: it is a hard link, and its path is absolute",
        ),
        (
            &[("h", Link, "later"), ("later", Regular, "")],
            "h: it is a hard link to what is no file before it",
        ),
        (
            &[("l", Symlink, "x"), ("h", Link, "l")],
            "h: it is a hard link to what is no file before it",
        ),
        (
            &[("x", Regular, ""), ("./x", Regular, "")],
            "./x: it is in there twice",
        ),
        (
            &[("x", Symlink, "y"), ("x", Directory, "")],
            "x: it is in there twice",
        ),
        (
            &[("x", EntryType::new(b'Z'), "")],
            "x: it is of a kind that is not known",
        ),
    ];
    for (members, why) in cases {
        assert_eq!(Scene::new(&tar(members)).refusal(), *why);
    }
}

#[test]
fn what_is_within_is_unpacked_as_it_is() {
    let archive = tar(&[
        ("./", Directory, ""),
        ("app/bin/run", Regular, ""),
        ("app/current", Symlink, "bin"),
        ("app/bin/same", Link, "app/bin/run"),
        ("app/over", Symlink, "../app/./bin/run"),
        ("app/dangling", Symlink, "not/there"),
        ("app/empty", Directory, ""),
    ]);
    let scene = Scene::new(&archive);
    let to = scene.unpack(&PLAIN).expect("unpacked");
    use std::os::unix::fs::MetadataExt as _;
    let facts = |name: &str| fs::symlink_metadata(to.join(name)).expect(name);
    assert_eq!(
        fs::read_to_string(to.join("app/over")).expect("read"),
        "text\n"
    );
    assert_eq!(facts("app/bin/run").ino(), facts("app/bin/same").ino());
    assert_eq!(
        facts("app/bin/run").mode() & 0o7777,
        0o755,
        "nothing runs as somebody else"
    );
    for name in ["app/bin/run", "app/current", "app/empty", ""] {
        assert_eq!(facts(name).mtime(), 1_000_000_000, "{name}");
    }
    fs::write(to.join("app/more"), "").expect("written");
    let archive = Archive::open(&scene.path(), &PLAIN).expect("opened");
    assert_eq!(archive.is_at(&to), Ok(false));
}

#[test]
fn paths_are_stripped() {
    let strip = Unpacking { strip: 1, ..PLAIN };
    let archive = tar(&[
        ("app-1", Directory, ""),
        ("app-1/run", Regular, ""),
        ("app-1/same", Link, "app-1/run"),
    ]);
    let to = Scene::new(&archive);
    let to = to.unpack(&strip).map(|to| {
        (
            fs::read_to_string(to.join("same")),
            fs::read_dir(&to).expect("listed").count(),
        )
    });
    assert!(matches!(to, Ok((Ok(text), 2)) if text == "text\n"));
    let flat = Scene::new(&tar(&[("run", Regular, "")]))
        .unpack(&strip)
        .expect_err("refused");
    assert!(flat.contains("nothing is left of its path"), "{flat}");
    // A link that is within before it is stripped, and not after.
    let deep = Scene::new(&tar(&[("app/l", Symlink, "../x")]));
    assert!(
        deep.unpack(&strip)
            .expect_err("refused")
            .contains("leads outside")
    );
}

#[test]
fn what_is_damaged_or_too_large_is_refused_and_nothing_is_made() {
    let good = tar(&[("x", Regular, "")]);
    for (archive, why) in [
        (b"".to_vec(), "it is empty"),
        (
            b"no archive at all".repeat(100),
            "it is neither a tar archive, packed or not, nor a zip archive",
        ),
        (b"BZh91AY&SY".to_vec(), "it is packed with bzip2"),
        (good[..1024].to_vec(), "it is cut off"),
        (good[..700].to_vec(), "unexpected EOF"),
    ] {
        let refused = Scene::new(&archive).refusal();
        assert!(refused.contains(why), "`{why}`: {refused}");
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&good).expect("packed");
    let packed = packed.finish().expect("packed");
    for cut in [packed.len() - 1, packed.len() - 9, 20] {
        Scene::new(&packed[..cut]).refusal();
    }
    let mut wrong = packed.clone();
    let at = wrong.len() - 6;
    wrong[at] ^= 1;
    assert!(Scene::new(&wrong).refusal().contains("corrupt"));
    let small = Unpacking {
        max_unpacked: 4,
        ..PLAIN
    };
    let large = Scene::new(&packed).unpack(&small).expect_err("too large");
    assert!(large.contains("x: it holds more than 4 bytes"), "{large}");
    let digest = Unpacking {
        sha256: Some("00".into()),
        ..PLAIN
    };
    let other = Scene::new(&packed).unpack(&digest).expect_err("another");
    assert!(
        other.contains("its digest is") && other.ends_with(", not 00"),
        "{other}"
    );
}

#[test]
fn an_archive_that_changes_meanwhile_is_not_unpacked() {
    let scene = Scene::new(&tar(&[("x", Regular, "")]));
    let archive = Archive::open(&scene.path(), &PLAIN).expect("opened");
    for other in [
        tar(&[("x", Symlink, "/etc")]),
        tar(&[("y", Regular, "")]),
        tar(&[("x", Regular, ""), ("x", Regular, "")]),
    ] {
        fs::write(scene.path(), other).expect("written");
        let to = scene.dir.path().join("to");
        let (dir, name) = parent_of(&to).expect("opened");
        let refused = archive.unpack(&dir, &name).expect_err("it has changed");
        assert!(
            refused.contains("has changed") || refused.contains("exists"),
            "{refused}"
        );
        fs::remove_dir_all(&to).expect("made so far");
    }
    let _ = Path::new("");
}
