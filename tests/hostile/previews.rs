//! A preview changes nothing, whatever the plan does: all plans of the tests and examples are
//! previewed under `strace`, which sees each program that is started and each file that is opened.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::case;
use crate::scene::{Scene, told};

/// System calls that start programs, or change what lies on a disk.
const CALLS: &str = "trace=execve,execveat,open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,\
                     unlink,unlinkat,rmdir,rename,renameat,renameat2,link,linkat,symlink,symlinkat,\
                     truncate,ftruncate,fallocate,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,\
                     utime,utimes,utimensat,setxattr,fsetxattr,lsetxattr,kill,connect,bind";

/// All plans below a directory, each in a copy of it.
fn plans(dir: &str, found: &mut BTreeMap<String, (Scene, PathBuf)>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rhai") {
                let scene = Scene::new("");
                let from = format!("{}/.", root.display());
                let copied = Command::new("cp")
                    .arg("-r")
                    .arg(from)
                    .arg(scene.path(""))
                    .status();
                assert!(copied.expect("cp").success(), "{}", path.display());
                let plan = path.strip_prefix(&root).expect("below").to_owned();
                found.insert(path.display().to_string(), (scene, plan));
            }
        }
    }
}

/// Everything below a directory: kind, length, and when it was changed. Some of it has no end, so that
/// it is not read.
fn all_there(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            let facts = path.symlink_metadata().expect("facts");
            if facts.is_dir() {
                dirs.push(path.clone());
            }
            let changed = (
                facts.mtime(),
                facts.mtime_nsec(),
                facts.ctime(),
                facts.ctime_nsec(),
            );
            let what = format!("{:o} {} {changed:?}", facts.mode(), facts.len());
            found.insert(path, what);
        }
    }
    found
}

/// What is wrong with the preview of a plan.
fn look(name: &str, scene: &Scene, plan: &Path) -> Vec<String> {
    let traced = tempfile::NamedTempFile::new().expect("a file");
    let before = all_there(&scene.path(""));
    let mut command = scene.command_of("strace", &["-f", "-qq", "-s", "300", "-e", CALLS, "-o"]);
    command.arg(traced.path());
    command.args([env!("CARGO_BIN_EXE_deployrun"), "preview"]);
    command.arg(plan);
    let end = told(&mut command);
    let mut wrong = Vec::new();
    let all = format!("{}{}", end.out, end.err);
    if !matches!(end.status, Some(0 | 1)) {
        wrong.push(format!("{name}: status {:?}\n{all}", end.status));
    }
    if all.contains("panicked") || all.contains("has a defect") {
        wrong.push(format!("{name}: {all}"));
    }
    let after = all_there(&scene.path(""));
    if before != after {
        wrong.push(format!("{name}: {before:#?}\n{after:#?}"));
    }
    let path = scene.path("").join(plan);
    let is_text = path
        .metadata()
        .is_ok_and(|facts| facts.is_file() && facts.len() < 10 << 20);
    let text = is_text.then(|| std::fs::read_to_string(path).unwrap_or_default());
    let text = text.unwrap_or_default();
    let looks = ["probe(", "check_installed(", "secret("];
    let may_look = looks.iter().any(|call| text.contains(call));
    let trace = std::fs::read_to_string(traced.path()).expect("a trace");
    assert!(
        trace.contains("execve(") && trace.contains("openat("),
        "nothing was traced"
    );
    let mut programs = 0;
    for line in trace.lines().filter(|line| !line.contains(" = -1 E")) {
        let is_start = line.contains("execve(") || line.contains("execveat(");
        let writes = ["O_CREAT", "O_WRONLY", "O_RDWR"];
        let is_write = line.contains("open")
            && writes.iter().any(|flag| line.contains(flag))
            && !line.contains("\"/dev/null\"");
        let is_look = line.contains("openat(") || line.contains("open(");
        // What a probe does is its own.
        let of_a_probe = may_look && programs > 1;
        if is_start {
            // The program itself, and what the plan looks with.
            programs += 1;
        }
        let is_wrong = match (is_start, is_look) {
            (true, _) => programs > 1 && !may_look,
            (false, true) => is_write && !of_a_probe,
            (false, false) => {
                !line.contains("+++")
                    && !line.contains("---")
                    && !of_a_probe
                    && !is_for_a_probe(line)
            }
        };
        if is_wrong {
            wrong.push(format!("{name}: {line}"));
        }
    }
    wrong
}

/// A probe that is out of time is ended, and the name service may be asked who we are.
fn is_for_a_probe(line: &str) -> bool {
    line.contains("kill(")
        || line.contains("connect(")
        || line.contains("resumed>")
        || line.contains("<unfinished")
}

#[test]
fn previews_change_nothing() {
    let mut all = BTreeMap::new();
    for dir in ["cases", "bad_input"] {
        let scenes = case::scenes(dir).into_iter();
        all.extend(scenes.map(|(name, scene)| (name, (scene, PathBuf::from("plan.rhai")))));
    }
    if !case::is_one() {
        plans("examples", &mut all);
        plans("tests/plans", &mut all);
        assert!(all.len() >= 300, "{} plans", all.len());
    }
    let all: Vec<_> = all.into_iter().collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((name, (scene, plan))) =
                    all.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let found = look(name, scene, plan);
                    wrong.lock().expect("no panic").extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
