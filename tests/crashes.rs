//! Crashes from outside, of the program as it is shipped: killed in one of its system calls, refused
//! one of them by a failing or full disk, its step supervisors killed.

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::crash::{
    Reference, assert_as_before, assert_free, assert_like_undisturbed, assert_sound, left_by,
    reference, site, take_up, take_up_after_failure, unwritten,
};
use support::live::{Finished, Live};
use support::site::Site;
use support::sweep::{Point, each, is_full, sweep};
use support::tree::difference;
use support::{effects, journal, need, need_root, processes};

const PROGRAM: &str = env!("CARGO_BIN_EXE_deployrun");

/// deployrun under strace, which follows neither its threads nor its children: the main thread
/// writes the journal and starts the steps.
fn strace(site: &Site, inject: &[String], args: &[&str]) -> Command {
    let mut all = vec!["-q", "-q", "-o", "/dev/null"];
    all.extend(inject.iter().map(String::as_str));
    all.push(PROGRAM);
    all.extend(args);
    site.command_of(Path::new("strace"), &all)
}

/// Killed in the n-th system call of this name; taken up by `resume` or `back-out`.
fn killed_in_call(reference: &Reference, call: &str, n: u64, backs_out: bool) -> Point {
    let site = site(&reference.plan);
    let inject = [
        format!("--trace={call}"),
        format!("--inject={call}:signal=SIGKILL:when={n}"),
    ];
    let killed = Live::start(strace(&site, &inject, &["run", "plan.rhai"])).finish();
    if !killed.was_killed() {
        assert_eq!(killed.code, reference.code, "{}", killed.told());
        return Point::Beyond;
    }
    let args = if backs_out {
        &["back-out", "--yes", "2"][..]
    } else {
        &["resume", "2"]
    };
    match take_up(&site, args, &killed) {
        Some(finished) => {
            assert_sound(&site, &[&killed, &finished]);
            let acted = !journal::of_kind(&site.journal(), "step-started").is_empty();
            let code = match (backs_out, acted) {
                (false, _) => reference.code,
                (true, true) => Some(3),
                (true, false) => Some(1),
            };
            assert_eq!(finished.code, code, "{}\n{}", finished.told(), site.told());
            if backs_out {
                assert_as_before(&site, reference);
            } else {
                assert_like_undisturbed(&site, reference);
            }
        }
        None if site.journal().is_empty() => {}
        None => assert_like_undisturbed(&site, reference),
    }
    assert_free(&site);
    Point::Tried
}

/// The system calls that the main thread makes in a run of the plan, and how many of each.
fn calls_of(reference: &Reference) -> Vec<(String, u64)> {
    let site = site(&reference.plan);
    let table = site.path("calls");
    let out = table.display().to_string();
    let all = [
        "-c",
        "-U",
        "name,calls",
        "-o",
        &out,
        PROGRAM,
        "run",
        "plan.rhai",
    ];
    let finished = Live::start(site.command_of(Path::new("strace"), &all)).finish();
    assert_eq!(finished.code, reference.code, "{}", finished.told());
    let text = fs::read_to_string(table).expect("the table of strace");
    let rows = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, count) = (words.next()?, words.next()?.parse().ok()?);
        (name != "total").then(|| (name.to_owned(), count))
    });
    rows.collect()
}

#[test]
fn killed_in_a_system_call() {
    need("strace", "strace");
    let mut tried = 0;
    for (name, code, most) in [("steps", 0, 3), ("fails", 3, 2)] {
        let reference = reference(name, code);
        let calls = calls_of(&reference);
        let total: u64 = calls.iter().map(|(_, count)| count).sum();
        let mut points = Vec::new();
        for (call, count) in &calls {
            let stride = if is_full() { 1 } else { count.div_ceil(most) };
            for n in (1..=*count)
                .rev()
                .step_by(usize::try_from(stride).expect("small"))
            {
                // What fails backs out anyhow; else both ways, in a sample in turns.
                let ways: &[bool] = match (name, is_full(), points.len() % 2 == 0) {
                    ("fails", ..) | ("steps", false, true) => &[false],
                    ("steps", false, false) => &[true],
                    _ => &[false, true],
                };
                points.extend(ways.iter().map(|backs_out| (call.as_str(), n, *backs_out)));
            }
        }
        let what = format!("{name}: killed in one of {total} system calls");
        each(&what, &points, |(call, n, backs_out)| {
            // How often a thread waits differs from run to run; then there may be no n-th call.
            let _ = killed_in_call(&reference, call, *n, *backs_out);
        });
        tried += points.len();
    }
    println!("killed in a system call: {tried} points in all");
    assert!(tried >= 80, "only {tried} points: were the calls found?");
}

/// The n-th call of this name on the journal's files fails; with `all`, the later ones as well.
fn refused(reference: &Reference, call: &str, error: &str, n: u64, all: bool) -> Point {
    let site = site(&reference.plan);
    // The files must be there to be followed by their names.
    let first = site.finish(&["run", "next.rhai"]);
    assert_eq!(first.code, Some(0), "{}", first.told());
    let plus = if all { "+" } else { "" };
    let mut inject = vec![
        format!("--trace={call}"),
        format!("--inject={call}:error={error}:when={n}{plus}"),
    ];
    for name in ["journal.db", "journal.db-wal"] {
        inject.push(format!("-P{}", site.state().join(name).display()));
    }
    let finished = Live::start(strace(&site, &inject, &["run", "plan.rhai"])).finish();
    let told = || format!("{}\n{}", finished.told(), site.told());
    match finished.code {
        // There is no such call, or SQLite can do without.
        Some(0) => {
            assert_like_undisturbed(&site, reference);
            assert_free(&site);
            return if stopped(&site) {
                Point::Tried
            } else {
                Point::Beyond
            };
        }
        Some(1) => assert!(site.effects().is_empty(), "{}", told()),
        Some(3) => assert_as_before(&site, reference),
        Some(4) => {
            let list = finished.stderr.contains("\"run-ended\"");
            assert!(list, "the end is not told: {}", told());
        }
        _ => panic!("{}", told()),
    }
    assert_nothing_after_the_failure(&site, &finished);
    let wrong = difference(left_by(reference, &finished), &site.tree());
    assert_eq!(wrong, "", "{}", told());
    // The fate of the last commit is unknown when it fails: the process says `stuck`, and whoever comes
    // later may read `released`. Then it is.
    let entries = site.journal();
    let ends = journal::of_kind(&entries, "run-ended");
    // The first one is that of the run before.
    if finished.code == Some(4)
        && ends
            .iter()
            .skip(1)
            .any(|end| end["end"]["outcome"] == "released")
    {
        assert!(unfinished(&site).is_empty(), "{}", told());
        let wrong = difference(&reference.after, &site.tree());
        assert_eq!(wrong, "", "{}", told());
        assert_free(&site);
        return Point::Tried;
    }
    // What the journal has not is told later, or made up for; then the environment is free.
    for run in unfinished(&site) {
        let is_known = unwritten(&site).is_empty();
        let later = take_up_after_failure(&site, &run, "back-out");
        let fits = matches!(
            (later.code, is_known),
            (Some(1 | 3), true) | (Some(4), false)
        );
        assert!(fits, "{}\n{}", later.told(), told());
    }
    let wrong = difference(&reference.before, &site.tree());
    assert_eq!(wrong, "", "{}", told());
    assert_free(&site);
    Point::Tried
}

fn stopped(site: &Site) -> bool {
    !journal::of_kind(&site.journal(), "stopping").is_empty()
}

/// Ids of the runs that have no end.
fn unfinished(site: &Site) -> Vec<String> {
    journal::unfinished(site.state())
}

/// Every step that acted had been told of as started, which is only done when that is durable; and
/// none was started after the journal failed.
fn assert_nothing_after_the_failure(site: &Site, finished: &Finished) {
    let kind = |e: &Value| e["event"].as_str().unwrap_or_default().to_owned();
    let failed = finished
        .events
        .iter()
        .position(|e| kind(e) == "stopping" && e["cause"] == "journal-failed")
        .unwrap_or(finished.events.len());
    let (before, after) = finished.events.split_at(failed);
    let titles = |events: &[Value]| -> Vec<String> {
        let started = events.iter().filter(|e| {
            kind(e) == "step-started" && !e["id"].as_str().is_some_and(|id| id.starts_with('b'))
        });
        started
            .map(|e| e["step"]["title"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(titles(after), Vec::<String>::new(), "{}", finished.told());
    let announced = titles(before);
    for line in site.effects().iter().filter(|l| l.starts_with("do ")) {
        let known = announced.iter().any(|title| title.contains(line.as_str()));
        assert!(known, "`{line}` acted unannounced: {}", finished.told());
    }
}

#[test]
fn a_disk_that_fails_or_is_full() {
    need("strace", "strace");
    let reference = reference("steps", 0);
    let mut points = 0;
    for (call, stride) in [("pwrite64", 9), ("fsync", 4), ("fdatasync", 4)] {
        for error in ["EIO", "ENOSPC"] {
            for all in [false, true] {
                let which = if all { "all from one on" } else { "one" };
                let what = format!("{error} in {call} of the journal, {which}");
                let first = 1 + u64::from(all) * stride / 2;
                points += sweep(&what, first, stride, |n| {
                    refused(&reference, call, error, n, all)
                });
            }
        }
    }
    println!("a disk that fails or is full: {points} points tried in all");
    assert!(points >= 30, "only {points} points: were the calls found?");
}

/// A small file system of its own.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> Self {
        need_root("a small tmpfs is mounted");
        fs::create_dir_all(&at).expect("a directory");
        let options = format!("size={size},mode=0700");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at)
            .status()
            .expect("mount");
        assert!(status.success(), "a tmpfs can't be mounted here");
        Self { at }
    }

    /// Leaves not one free block.
    fn fill(&self, name: &str) {
        let mut file = fs::File::create(self.at.join(name)).expect("a file");
        for size in [1 << 20, 64 << 10, 4 << 10, 1] {
            let block = vec![b'x'; size];
            while file.write_all(&block).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn wait_for_file(path: &Path) {
    let until = Instant::now() + support::live::PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < until, "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

const FILLED: &str = r#"
plan(#{ name: "filled", version: "1", environment: "test" });
run(["./act", "do", "one"], #{ back_out: ["./act", "undo", "one"] });
write_file("production/old.conf", "changed\n");
run("./act do two; while ! test -e filled; do sleep 0.02; done", #{ back_out: "./act undo two" });
run(["./act", "do", "never"]);
"#;

#[test]
fn the_disk_fills_up_while_a_step_runs() {
    let site = Site::new(FILLED);
    let before = site.tree();
    let disk = SmallDisk::mount(site.path("small"), "24m");
    let site = site.with_state(disk.at.clone());
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    live.wait_for("the second step", |e| {
        e["event"] == "step-started"
            && e["step"]["title"]
                .as_str()
                .is_some_and(|t| t.contains("two"))
    });
    wait_for_file(&site.path("production/two"));
    disk.fill("filler");
    site.write("filled", "");
    let finished = live.finish();
    let told = format!("{}\n{}", finished.told(), site.told());
    assert_eq!(finished.code, Some(3), "{told}");
    assert_eq!(difference(&before, &site.tree()), "", "{told}");
    assert_eq!(effects::count(&site.effects(), "do never"), 0, "{told}");
    assert!(journal::end(&site.journal()).is_some(), "{told}");
    assert!(
        !disk.at.join("reserve").exists(),
        "the reserve was not given up"
    );
    // A full disk is said before a run begins, and nothing is begun.
    let next = site.finish(&["run", "plan.rhai"]);
    assert_eq!(next.code, Some(1), "{}", next.told());
    assert!(next.stderr.contains("space"), "{}", next.told());
}

#[test]
fn the_disk_is_full_even_without_the_reserve() {
    let site = Site::new(FILLED);
    let before = site.tree();
    let disk = SmallDisk::mount(site.path("small"), "24m");
    let site = site.with_state(disk.at.clone());
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    live.wait_for("the second step", |e| {
        e["event"] == "step-started"
            && e["step"]["title"]
                .as_str()
                .is_some_and(|t| t.contains("two"))
    });
    wait_for_file(&site.path("production/two"));
    fs::remove_file(disk.at.join("reserve")).expect("the reserve");
    disk.fill("filler");
    site.write("filled", "");
    let finished = live.finish();
    let told = format!("{}\n{}", finished.told(), site.told());
    assert_eq!(finished.code, Some(4), "{told}");
    assert!(finished.stderr.contains("\"run-ended\""), "{told}");
    assert_eq!(effects::count(&site.effects(), "do never"), 0, "{told}");
    let stands = difference(&before, &site.tree());
    if !stands.is_empty() {
        assert!(
            finished.stderr.contains("still_changed"),
            "{stands}\n{told}"
        );
    }
    // With space again, the run is taken up: what was undone without the journal is told, and else
    // everything is undone now.
    fs::remove_file(disk.at.join("filler")).expect("the filler");
    let is_known = unwritten(&site).is_empty();
    let later = take_up_after_failure(&site, "2", "back-out");
    let told = format!("{}\n{}", later.told(), site.told());
    let code = if is_known { 3 } else { 4 };
    assert_eq!(later.code, Some(code), "{told}");
    if is_known {
        assert_eq!(difference(&before, &site.tree()), "", "{told}");
    }
}

/// Steps that act at their begin and at their end, so that a kill can fall between.
const SUPERVISED: &str = r#"
plan(#{ name: "supervised", version: "1", environment: "test" });
for name in ["a", "b", "c"] {
    run(`./act do ${name}1; sleep 0.02; ./act do ${name}2; sleep 0.02`, #{
        back_out: `./act undo ${name}2; ./act undo ${name}1`,
    });
    write_file("production/conf/" + name, name + "\n");
}
"#;

/// The step directory of the run's n-th step that is a command.
fn step_dir(site: &Site, event: &Value) -> PathBuf {
    let run = event["run"].as_str().expect("a run");
    let (id, attempt) = (event["id"].as_str().expect("an id"), &event["attempt"]);
    let name = format!("step-{id}-{attempt}");
    site.state().join("runs").join(run).join(name)
}

/// Kills the supervisor of a step: the one that its lock names, or, before it names one, one that
/// stands by. `None` if there is none, or the step is over.
fn kill_supervisor(dir: &Path, standing_by: &[i32]) -> Option<()> {
    if dir.join("exit").exists() {
        return None;
    }
    let taken_on = processes::supervisor(dir);
    let wanted: Vec<i32> = taken_on.map_or_else(|| standing_by.to_vec(), |pid| vec![pid]);
    let found = processes::with_command("__supervise");
    let own = found.iter().find(|p| wanted.contains(&p.pid))?;
    processes::kill(own.pid).then_some(())
}

/// Whether a random number below `bound`, from a seed.
fn random(seed: u64, bound: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % bound
}

/// Kills a step's supervisor at a random time after its start; every fourth time as soon as it has
/// taken the step on; with `controller` deployrun first.
fn supervisor_killed(reference: &Site, seed: u64, controller: bool) -> &'static str {
    let site = Site::new(SUPERVISED);
    let before = site.tree();
    let which = usize::try_from(random(seed, 3)).expect("small");
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    let mut seen = 0;
    let event = live.wait_for("a step", |e| {
        let is_command = e["event"] == "step-started" && e["step"]["deed"]["command"].is_string();
        seen += usize::from(is_command);
        is_command && seen == which + 1
    });
    let dir = step_dir(&site, &event);
    let standing_by = processes::children(live.pid());
    if seed % 4 == 1 {
        // At once: it may not have taken the step on yet.
        kill_supervisor(&dir, &standing_by);
    } else if seed.is_multiple_of(4) {
        let until = Instant::now() + support::live::PATIENCE;
        while !std::fs::read(dir.join("lock")).is_ok_and(|lock| lock.contains(&b'\n')) {
            assert!(Instant::now() < until, "the step is not taken on");
            std::hint::spin_loop();
        }
    } else {
        // The moment of the kill is what is chosen by chance; nothing is waited for.
        std::thread::sleep(Duration::from_micros(random(seed ^ 7, 60_000)));
    }
    let finished = if controller {
        let killed = live.kill();
        let there = kill_supervisor(&dir, &standing_by).is_some();
        let finished = site.finish(&["resume", "2"]);
        if !there && finished.stderr.contains("has ended") {
            killed
        } else {
            finished
        }
    } else {
        kill_supervisor(&dir, &standing_by);
        live.finish()
    };
    let told = || format!("seed {seed}\n{}\n{}", finished.told(), site.told());
    let journal = site.journal();
    for name in ["a1", "a2", "b1", "b2", "c1", "c2"] {
        let times = effects::count(&site.effects(), &format!("do {name}"));
        assert!(times <= 1, "{name} acted {times} times: {}", told());
    }
    let left = processes::with_command(&site.path("").display().to_string());
    assert_eq!(left, [], "{}", told());
    let supervisors = processes::supervisors(site.state());
    assert!(supervisors.is_empty(), "{supervisors:?} {}", told());
    // A file that is put in place is put there once more.
    let unknown = journal
        .iter()
        .any(|e| e["event"] == "step-ended" && e["outcome"] == "unknown" && e["again"] != true);
    if unknown {
        assert_eq!(finished.code, Some(3), "{}", told());
        assert_eq!(difference(&before, &site.tree()), "", "{}", told());
        return "unknown";
    }
    assert!(matches!(finished.code, Some(0) | None), "{}", told());
    let journal_end = journal::end(&journal).map(|end| end["outcome"].clone());
    assert_eq!(journal_end, Some("released".into()), "{}", told());
    assert_eq!(
        difference(&reference.tree(), &site.tree()),
        "",
        "{}",
        told()
    );
    "released"
}

#[test]
fn a_step_supervisor_is_killed() {
    let undisturbed = Site::new(SUPERVISED);
    let finished = undisturbed.finish(&["run", "plan.rhai"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let last = if is_full() { 400 } else { 48 };
    for controller in [false, true] {
        let unknown = std::sync::atomic::AtomicU64::new(0);
        let what = if controller {
            "deployrun and a step supervisor killed"
        } else {
            "a step supervisor killed"
        };
        let tried = sweep(what, 1, 1, |seed| {
            if seed > last {
                return Point::Beyond;
            }
            if supervisor_killed(&undisturbed, seed, controller) == "unknown" {
                unknown.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            Point::Tried
        });
        let unknown = unknown.into_inner();
        println!("{what}: {unknown} of {tried} ended unknown and were backed out");
        assert!(unknown > 0, "no kill met a step");
    }
}
