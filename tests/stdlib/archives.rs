//! `std/archives`, with archives that the real tools made.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::files::{marked, tree};
use super::harness::{Helper, Module, State, Then, prove};
use super::support::site::Site;
use super::support::{need, need_root};

use Then::{Acts, Refuses, Rests};

fn shell(dir: &Path, script: &str) {
    let status = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .status();
    assert!(status.expect("sh").success(), "{script}");
}

/// A release with a directory, modes, links and a file of some size, packed in each way.
const PACK: &str = "
mkdir -p in/app-1/bin in/app-1/empty
printf 'run\\n' > in/app-1/bin/run
chmod 755 in/app-1/bin/run
ln -s run in/app-1/bin/start
seq 1 20000 > in/app-1/numbers
chmod 640 in/app-1/numbers
chmod 750 in/app-1/empty
tar -C in -cf app.tar app-1
tar -C in -czf app.tar.gz app-1
tar -C in -c app-1 | zstd -q > app.tar.zst
tar -C in -cJf app.tar.xz app-1
(cd in && zip -qry ../app.zip app-1)
tar -C in -c app-1 --transform 's,numbers,../numbers,' -P -f evil.tar 2> /dev/null
head -c 9000 app.tar.gz > cut.tar.gz
python3 -W ignore -c 'import zipfile
with zipfile.ZipFile(\"twice.zip\", \"w\") as z: z.writestr(\"a\", \"x\"); z.writestr(\"a\", \"y\")'
";

fn surroundings(site: &Site) {
    shell(&site.path(""), PACK);
}

/// The release, as it is when it has been unpacked.
fn released(root: &Path) {
    shell(root, "cp -a in/app-1 production/app");
}

const fn state(name: &'static str, make: fn(&Path), then: Then) -> State {
    State { name, make, then }
}

const STATES: &[State] = &[
    state("absent", |_| {}, Acts),
    state("the same", released, Rests),
    state(
        "the same with one more file",
        |root| {
            released(root);
            fs::write(root.join("production/app/bin/more"), "").expect("written");
        },
        Acts,
    ),
    state(
        "the same with other content",
        |root| {
            released(root);
            shell(root, "sed -i s/1999/2999/ production/app/numbers");
        },
        Acts,
    ),
    state("another", |root| tree(root, "production/app"), Acts),
    state(
        "a file",
        |root| marked(root, "production/app", "former\n"),
        Refuses("is there and is no directory"),
    ),
];

const FEW: &[State] = &[
    state("absent", |_| {}, Acts),
    state("the same", released, Rests),
];

const fn helper(call: &'static str, states: &'static [State]) -> Helper {
    Helper {
        call,
        holds: r#"file_info("production/app/bin/run").mode == "0755"
            && file_info("production/app/bin/start").target == "run"
            && file_info("production/app/empty").mode == "0750"
            && sha256("production/app/numbers") == sha256("in/app-1/numbers")"#,
        looks: 1,
        states,
    }
}

const HELPERS: &[Helper] = &[
    helper(
        r#"archives::unpack("app.tar.gz", "production/app", #{ strip: 1, sha256: digest })"#,
        STATES,
    ),
    helper(
        r#"archives::unpack("app.tar", "production/app", #{ strip: 1 })"#,
        FEW,
    ),
    helper(
        r#"archives::unpack("app.tar.zst", "production/app", #{ strip: 1 })"#,
        FEW,
    ),
    helper(
        r#"archives::unpack("app.tar.xz", "production/app", #{ strip: 1 })"#,
        FEW,
    ),
    helper(
        r#"archives::unpack("app.zip", "production/app", #{ strip: 1 })"#,
        FEW,
    ),
];

#[test]
fn archives_are_unpacked_and_taken_back() {
    need_root("it gives files to other users and makes devices");
    for (program, package) in [
        ("tar", "tar"),
        ("zstd", "zstd"),
        ("xz", "xz-utils"),
        ("zip", "zip"),
    ] {
        need(program, package);
    }
    prove(&Module {
        path: "std/archives",
        name: "archives",
        surroundings,
        prelude: "let digest = sha256(\"app.tar.gz\");",
        state: |_| String::new(),
        helpers: HELPERS,
    });
}

#[test]
fn what_may_not_be_unpacked_is_refused_before_anything_is_touched() {
    need("zip", "zip");
    for (call, why) in [
        (r#""evil.tar", "production/app""#, "its path has `..` in it"),
        (r#""cut.tar.gz", "production/app""#, "can't be unpacked"),
        (
            r#""app.tar", "production/app", #{ sha256: "00" }"#,
            ", not 00",
        ),
        (
            r#""app.tar", "production/app", #{ max_unpacked: "1 KiB" }"#,
            "holds more than 1024 bytes",
        ),
        (
            r#""app.tar", "production/app", #{ strap: 1 }"#,
            "has no option \\\"strap\\\"",
        ),
        (r#""none.tar", "production/app""#, "no such file"),
        (
            r#""twice.zip", "production/app""#,
            "a name is in there twice",
        ),
    ] {
        let site = Site::bare(&format!(
            "import \"std/archives\" as archives;\n\
             plan(#{{ name: \"a\", version: \"1\", environment: \"test\" }});\n\
             archives::unpack({call});\n"
        ));
        surroundings(&site);
        let finished = site.finish(&["run", "plan.rhai"]);
        let told = finished.told();
        assert!(
            told.contains(why) && finished.code != Some(0),
            "`{why}`: {told}"
        );
        assert_eq!(
            fs::read_dir(site.production()).expect("listed").count(),
            0,
            "{told}"
        );
    }
}
