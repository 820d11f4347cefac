//! The process of a step that changes files dies in any of its system calls, or finds the disk full in
//! any of them; so does the back-out. Done again, both do what they should, and the back-out leaves what
//! was there before, with nothing beside it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::files::{marked, tree};
use super::support::sweep::{each, is_full};
use super::support::tree::{Tree, difference};
use super::support::{need, need_root};
use super::whole_tree;

/// The calls that leave a trace on a disk; between two of them a kill leaves what a kill before the
/// second leaves.
const CALLS: &[&str] = &[
    "openat",
    "write",
    "ftruncate",
    "fsync",
    "syncfs",
    "mkdir",
    "mkdirat",
    "mknodat",
    "symlink",
    "symlinkat",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "lsetxattr",
    "lremovexattr",
    "utimensat",
    "copy_file_range",
    "sendfile",
];

/// Those of them that a full disk refuses.
const SPACE: &[&str] = &[
    "openat",
    "write",
    "mkdir",
    "mkdirat",
    "mknodat",
    "symlink",
    "symlinkat",
    "linkat",
    "renameat2",
    "lsetxattr",
    "copy_file_range",
    "fsync",
];

/// What a step does in a state.
struct Case {
    name: &'static str,
    make: fn(&Path),
    change: fn(&Path) -> Value,
}

fn at(root: &Path, name: &str) -> Value {
    json!(root.join("production").join(name))
}

fn change(root: &Path, change: Value) -> Value {
    json!({ "path": at(root, "thing"), "change": change, "max_size": 1 << 30 })
}

const CASES: &[Case] = &[
    Case {
        name: "keep a tree, which is removed",
        make: |root| tree(root, "production/thing"),
        change: |root| change(root, json!({ "keep": { "content": true } })),
    },
    Case {
        name: "remove a tree",
        make: |root| tree(root, "production/thing"),
        change: |root| change(root, json!("remove")),
    },
    Case {
        name: "remove a file",
        make: |root| marked(root, "production/thing", "former\n"),
        change: |root| change(root, json!("remove")),
    },
    Case {
        name: "put a link in place of another",
        make: |root| std::os::unix::fs::symlink("a", root.join("production/thing")).expect("link"),
        change: |root| change(root, json!({ "link": { "to": "b" } })),
    },
    Case {
        name: "make directories",
        make: |_| {},
        change: |root| {
            let path = at(root, "thing/deep/down");
            let made = json!({ "directory": { "mode": 0o750, "owner": "1:2" } });
            json!({ "path": path, "change": made, "max_size": 1 << 30 })
        },
    },
    Case {
        name: "give a directory another mode and owner",
        make: |root| tree(root, "production/thing"),
        change: |root| {
            change(
                root,
                json!({ "directory": { "mode": 0o700, "owner": "5:60" } }),
            )
        },
    },
    Case {
        name: "give a tree to somebody else",
        make: |root| tree(root, "production/thing"),
        change: |root| change(root, json!({ "owner": { "owner": "5:60", "below": true } })),
    },
    Case {
        name: "copy a tree over another",
        make: |root| {
            tree(root, "production/thing");
            tree(root, "source");
            fs::write(root.join("source/conf/more"), "more\n").expect("written");
            fs::remove_file(root.join("source/pipe")).expect("removed");
        },
        change: |root| change(root, json!({ "copy": { "from": root.join("source") } })),
    },
    Case {
        name: "unpack an archive over a tree",
        make: |root| {
            tree(root, "production/thing");
            tree(root, "in");
            let pack = "rm in/pipe in/null && tar -C in -czf archive .";
            let packed = Command::new("sh")
                .args(["-c", pack])
                .current_dir(root)
                .status();
            assert!(packed.expect("sh").success());
        },
        change: |root| {
            let archive = root.join("archive");
            let limits = json!({ "archive": archive, "strip": 0, "max_unpacked": 1 << 20 });
            change(root, json!({ "unpack": limits }))
        },
    },
    Case {
        name: "move a tree",
        make: |root| tree(root, "production/from"),
        change: |root| change(root, json!({ "move": { "from": at(root, "from") } })),
    },
];

struct Scene {
    dir: tempfile::TempDir,
    change: Value,
    from: Option<Value>,
}

impl Scene {
    fn new(case: &Case) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("production")).expect("made");
        fs::create_dir(dir.path().join("step")).expect("made");
        (case.make)(dir.path());
        let change = (case.change)(dir.path());
        let from = change["change"]["move"]["from"].clone();
        let from = (!from.is_null()).then_some(from);
        Self { dir, change, from }
    }

    fn production(&self) -> PathBuf {
        self.dir.path().join("production")
    }

    fn look(&self) -> Tree {
        whole_tree::look(&self.production())
    }

    fn act(&self, strace: &[String]) -> Output {
        let task = json!({ "change": self.change, "keep": self.dir.path().join("step") });
        self.run("__change-file", &task, strace)
    }

    fn restore(&self, strace: &[String]) -> Output {
        let mut task = json!({
            "path": self.change["path"],
            "dirs": [self.dir.path().join("step")],
        });
        if let Some(from) = &self.from {
            task["from"] = from.clone();
        }
        self.run("__restore-file", &task, strace)
    }

    fn run(&self, name: &str, task: &Value, strace: &[String]) -> Output {
        let input = self.dir.path().join("task");
        fs::write(&input, task.to_string()).expect("written");
        let program = env!("CARGO_BIN_EXE_deployrun");
        let mut command = if strace.is_empty() {
            Command::new(program)
        } else {
            let mut command = Command::new("strace");
            command.args(["-q", "-q"]).args(strace).arg(program);
            command
        };
        // A library path of the test runner's makes the loader try many names.
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .arg(name)
            .stdin(fs::File::open(input).expect("opened"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("it runs")
    }

    /// How often each call is made that leaves a trace.
    fn calls(&self, run: impl Fn(&Self, &[String]) -> Output) -> Vec<(&'static str, u64)> {
        let table = self.dir.path().join("calls");
        let options = ["-c", "-U", "name,calls", "-o", &table.display().to_string()];
        let done = run(self, &options.map(str::to_owned));
        assert!(done.status.success(), "{done:?}");
        let text = fs::read_to_string(table).expect("a table");
        let rows = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, count) = (words.next()?, words.next()?.parse().ok()?);
            Some((*CALLS.iter().find(|call| **call == name)?, count))
        });
        rows.collect()
    }
}

/// What happens to a process in its n-th call of this name.
#[derive(Clone, Copy, Debug)]
struct Fault {
    call: &'static str,
    n: u64,
    full: bool,
}

impl Fault {
    fn options(self) -> Vec<String> {
        let Self { call, n, full } = self;
        let fault = if full {
            "error=ENOSPC"
        } else {
            "signal=SIGKILL"
        };
        let inject = format!("--inject={call}:{fault}:when={n}");
        ["-o", "/dev/null", &format!("--trace={call}"), &inject]
            .map(str::to_owned)
            .to_vec()
    }
}

fn faults(calls: &[(&'static str, u64)], stride: usize) -> Vec<Fault> {
    let all = calls.iter().flat_map(|(call, count)| {
        let kills = (1..=*count).map(|n| Fault {
            call,
            n,
            full: false,
        });
        let space = SPACE.contains(call);
        let full = (1..=*count).filter(move |_| space).map(|n| Fault {
            call,
            n,
            full: true,
        });
        kills.chain(full)
    });
    all.step_by(if is_full() { 1 } else { stride }).collect()
}

fn succeeded(output: &Output, told: &str) {
    assert!(output.status.success(), "{told}: {output:?}");
}

/// The fault struck, or the call had been too early or too late to matter.
fn struck(output: &Output) -> bool {
    output.status.signal() == Some(9)
        || output.status.code() == Some(137)
        || !output.status.success()
}

#[test]
fn a_step_that_dies_or_finds_the_disk_full_is_undone_or_done_again() {
    need("strace", "strace");
    need_root("it makes devices and gives files away");
    let hit = AtomicUsize::new(0);
    let mut points = Vec::new();
    for case in CASES {
        let scene = Scene::new(case);
        for fault in faults(&scene.calls(Scene::act), 5) {
            points.push((case, false, fault));
        }
        meanwhile(&scene, case);
        for fault in faults(&scene.calls(Scene::restore), 5) {
            points.push((case, true, fault));
        }
    }
    let numbers: Vec<usize> = (0..points.len()).collect();
    each("steps and back-outs that die", &numbers, |at| {
        let (case, backs_out, fault) = &points[*at];
        let told = format!(
            "{}, {} {fault:?}",
            case.name,
            if *backs_out { "back-out" } else { "step" }
        );
        let scene = Scene::new(case);
        let before = scene.look();
        if *backs_out {
            succeeded(&scene.act(&[]), &told);
            meanwhile(&scene, case);
            let ended = scene.restore(&fault.options());
            hit.fetch_add(usize::from(struck(&ended)), Ordering::SeqCst);
        } else {
            let ended = scene.act(&fault.options());
            hit.fetch_add(usize::from(struck(&ended)), Ordering::SeqCst);
            if at % 2 == 0 {
                succeeded(&scene.act(&[]), &format!("{told}, done again"));
                meanwhile(&scene, case);
            }
        }
        succeeded(&scene.restore(&[]), &told);
        assert_eq!(difference(&before, &scene.look()), "", "{told}");
    });
    let hit = hit.into_inner();
    println!("{} of {} points struck", hit, points.len());
    assert!(
        hit * 4 > points.len() * 3,
        "only {hit} of {} faults struck",
        points.len()
    );
}

/// What a step that follows does to what was kept.
fn meanwhile(scene: &Scene, case: &Case) {
    if case.name.starts_with("keep") {
        fs::remove_dir_all(scene.production().join("thing")).expect("removed");
        fs::write(scene.production().join("thing"), "a file\n").expect("written");
    }
}
