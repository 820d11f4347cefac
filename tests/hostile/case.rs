//! A case: its files, its commands, what is told, and what lies there afterwards.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::scene::{Scene, told};

struct Case {
    name: String,
    files: BTreeMap<String, String>,
    before: Vec<String>,
    commands: Vec<String>,
}

impl Case {
    fn read(path: &Path, usual: &str) -> Self {
        let name = path.file_stem().expect("a name").to_string_lossy();
        let text = std::fs::read_to_string(path).expect("a case");
        let mut case = Self {
            name: name.into_owned(),
            files: BTreeMap::new(),
            before: Vec::new(),
            commands: Vec::new(),
        };
        let mut file = "plan.rhai".to_owned();
        for line in text.split_inclusive('\n') {
            if let Some(name) = line.strip_prefix("//=== ") {
                name.trim().clone_into(&mut file);
            } else if let Some(command) = line.strip_prefix("//% ") {
                case.before.push(command.trim_end().to_owned());
            } else if let Some(args) = line.strip_prefix("//$ ") {
                case.commands.push(args.trim_end().to_owned());
            } else {
                case.files.entry(file.clone()).or_default().push_str(line);
            }
        }
        if case.commands.is_empty() {
            case.commands.push(usual.to_owned());
        }
        case
    }

    /// A place with its files, in which its commands of before have been run.
    fn scene(&self) -> Scene {
        let scene = Scene::new("");
        std::fs::remove_file(scene.path("plan.rhai")).expect("an empty plan");
        for (name, text) in &self.files {
            let dir = scene.path(name).parent().expect("a folder").to_owned();
            std::fs::create_dir_all(dir).expect("a folder");
            scene.write(name, text);
        }
        for command in &self.before {
            let done = told(&mut shell(&scene, command));
            assert_eq!(
                done.status,
                Some(0),
                "{}: {command}: {}",
                self.name,
                done.err
            );
        }
        scene
    }

    /// Does what it says; everything that is told, and what lies there then.
    fn play(&self) -> String {
        let scene = self.scene();
        let at_first = files(&scene.path(""));
        let mut shown = String::new();
        for args in &self.commands {
            let end = told(&mut shell(
                &scene,
                &format!("timeout -s KILL 120 deployrun {args}"),
            ));
            let _ = writeln!(shown, "$ deployrun {args}");
            shown.push_str(&self.without_chance(&scene.normal(&end.out)));
            if !end.err.is_empty() {
                let _ = write!(shown, "[standard error]\n{}", scene.normal(&end.err));
            }
            let status = end.status.map_or("none".to_owned(), |s| s.to_string());
            let _ = writeln!(shown, "status {status}");
        }
        let left: Vec<PathBuf> = files(&scene.path(""))
            .into_iter()
            .filter(|file| !at_first.contains(file))
            .collect();
        for file in left {
            let text = std::fs::read(&file).unwrap_or_default();
            let name = file.strip_prefix(scene.path("")).expect("in the scene");
            let _ = writeln!(shown, "{}: {} bytes", name.display(), text.len());
        }
        shown
    }
}

impl Case {
    /// The names of closures differ from build to build, and where a script that grows is seen to
    /// grow is left to chance.
    fn without_chance(&self, text: &str) -> String {
        let name = regex::Regex::new(r"anon\$[0-9a-f]+").expect("a pattern");
        let text = &name.replace_all(text, "anon$$NAME");
        let grows = ["nested_", "memory_", "huge_"];
        if !grows.iter().any(|begin| self.name.starts_with(begin)) {
            return text.to_string();
        }
        let place = regex::Regex::new(r"plan\.rhai:\d+:\d+$").expect("a pattern");
        let excerpt = regex::Regex::new(r"^ +\d* \|").expect("a pattern");
        let mut shown = String::new();
        for line in text.lines().filter(|line| !excerpt.is_match(line)) {
            shown.push_str(&place.replace(line, "plan.rhai:PLACE"));
            shown.push('\n');
        }
        shown
    }
}

/// A command of the shell that finds the program.
fn shell(scene: &Scene, command: &str) -> std::process::Command {
    let like = scene.command(&[]);
    let mut shell = std::process::Command::new("sh");
    let program = Path::new(env!("CARGO_BIN_EXE_deployrun"));
    let bin = program.parent().expect("a folder").to_string_lossy();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    shell.args(["-c", command]).current_dir(scene.path(""));
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.env("PATH", path).stdin(std::process::Stdio::null());
    shell
}

/// All files below `dir`, those of the journal left out.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name == "state") {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The places of all cases of a directory, by name.
pub fn scenes(dir: &str) -> BTreeMap<String, Scene> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/hostile")
        .join(dir);
    let cases = read(&dir, "");
    cases
        .iter()
        .map(|case| (case.name.clone(), case.scene()))
        .collect()
}

fn read(dir: &Path, usual: &str) -> Vec<Case> {
    let one = std::env::var("DEPLOYRUN_CASE").ok();
    let mut cases: Vec<Case> = std::fs::read_dir(dir)
        .expect("the cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "rhai"))
        .map(|path| Case::read(&path, usual))
        .filter(|case| one.as_ref().is_none_or(|one| case.name == *one))
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Was one case asked for?
pub fn is_one() -> bool {
    std::env::var_os("DEPLOYRUN_CASE").is_some()
}

/// Plays all cases of a directory and compares what they tell; gives it by name.
#[track_caller]
pub fn all(dir: &str, usual: &str) -> BTreeMap<String, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/hostile")
        .join(dir);
    let cases = read(&dir, usual);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let shown = case.play();
                    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
                        let path = dir.join(format!("{}.out", case.name));
                        std::fs::write(path, &shown).expect("a snapshot can be written");
                    }
                    done.lock()
                        .expect("no panic")
                        .insert(case.name.clone(), shown);
                }
            });
        }
    });
    let done = done.into_inner().expect("no panic");
    let mut differ = String::new();
    for (name, shown) in &done {
        let path = dir.join(format!("{name}.out"));
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if expected != *shown {
            let path = path.display();
            let _ = write!(
                differ,
                "{path}\n--- expected\n{expected}\n--- told\n{shown}\n"
            );
        }
    }
    assert!(
        differ.is_empty(),
        "UPDATE_SNAPSHOTS=1 rewrites what differs\n{differ}"
    );
    done
}
