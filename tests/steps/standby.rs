//! Supervisors that have one step after the other.

use std::path::PathBuf;
use std::time::Duration;

use deployrun::target::local::{Ending, Found, Running, Standby, StepDir};
use deployrun::target::step_supervisor::boot_id;
use deployrun::words::step::{CutOff, End, StepEnd, StepSpec};

use crate::scene::{Scene, kill, until};

/// A zombie has no command line.
fn is_gone(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .unwrap_or_default()
        .is_empty()
}

/// Steps in a row, each in a directory of its own.
struct Row {
    scene: Scene,
    standby: Standby,
}

impl Row {
    fn new() -> Self {
        Self {
            scene: Scene::new(),
            standby: Standby::with_exe(env!("CARGO_BIN_EXE_deployrun")),
        }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.scene.tmp.path().join(name)
    }

    fn start(&mut self, name: &str, spec: &StepSpec) -> Running {
        let dir = self.dir(name);
        self.standby.start(&dir, spec).expect("a supervisor")
    }

    /// Waits for the end of a step, and gives its supervisor back.
    fn end_of(&mut self, name: &str, running: Running) -> StepEnd {
        assert!(running.wait_for(Duration::from_secs(60)).expect("a wait"));
        let found = StepDir::new(self.dir(name)).find(&boot_id().expect("a boot id"));
        let Ok(Found::Ended(end)) = found else {
            panic!("{found:?} {:?}", running.refusal())
        };
        self.standby.take_back(running);
        *end
    }

    fn run(&mut self, name: &str, script: &str) -> StepEnd {
        let spec = self.scene.sh(script);
        let running = self.start(name, &spec);
        self.end_of(name, running)
    }

    /// The supervisor that took a step on.
    fn supervisor(&self, name: &str) -> i32 {
        let lock = std::fs::read_to_string(self.dir(name).join("lock")).expect("a lock");
        let first: serde_json::Value =
            serde_json::from_str(lock.lines().next().expect("a line")).expect("json");
        i32::try_from(first["pid"].as_i64().expect("a pid")).expect("a pid")
    }
}

#[test]
fn one_supervisor_has_step_after_step() {
    let mut row = Row::new();
    row.standby.prepare();
    let ends = [
        row.run("1", "echo one"),
        row.run("2", "echo two >&2; exit 7"),
        row.run("3", "cd /; kill -9 $$"),
        row.run(
            "4",
            "pwd; echo ${A-unset}; sleep 300.TAG & sleep 300.TAG & exit 1",
        ),
        row.run("5", "echo five"),
    ];
    let how = ends.each_ref().map(|end| end.end.clone());
    assert_eq!(
        how,
        [
            End::Exited { code: 0 },
            End::Exited { code: 7 },
            End::Signaled { signal: 9 },
            End::Exited { code: 1 },
            End::Exited { code: 0 },
        ]
    );
    let said = ends.each_ref().map(|end| end.tail.trim_end().to_owned());
    let cwd = format!("{}\nunset", row.scene.tmp.path().display());
    assert_eq!(said, ["one", "two", "", cwd.as_str(), "five"]);
    // What a failed step has left is ended before the next one begins.
    assert_eq!(ends[3].killed.len(), 2);
    let first = row.supervisor("1");
    for name in ["2", "3", "4", "5"] {
        assert_eq!(row.supervisor(name), first, "{name}");
    }
}

#[test]
fn who_has_left_something_behind_has_no_other_step() {
    let mut row = Row::new();
    // A daemon without the pipes, and one that holds them.
    let first = row.run(
        "1",
        "setsid sleep 300.TAG </dev/null >/dev/null 2>&1 & exit 0",
    );
    assert_eq!(first.left_running.len(), 1);
    let second = row.run("2", "setsid sleep 300.TAG & exit 0");
    assert_eq!(second.left_running.len(), 1);
    assert!(second.left_running[0].holds_output);
    let third = row.run("3", "sleep 300.TAG & exit 1");
    assert_eq!(third.killed.len(), 1);
    let fourth = row.run("4", "echo four");
    assert_eq!(fourth.tail, "four");
    let by = ["1", "2", "3", "4"].map(|name| row.supervisor(name));
    assert!(by[0] != by[1] && by[1] != by[2] && by[2] == by[3], "{by:?}");
    // The end of a later step does not end the daemons of an earlier one.
    row.scene.until_asleep(2);
    assert_eq!(row.scene.alive().len(), 2);
}

#[test]
fn an_order_never_meets_the_step_after_the_one_that_was_meant() {
    let mut row = Row::new();
    for n in 0..20 {
        let (name, next) = (format!("{n}"), format!("{n}-next"));
        let spec = row.scene.sh("exit 0");
        let running = row.start(&name, &spec);
        running.wait().expect("a wait");
        // Too late for this step, and read by its supervisor only with the next one.
        running.end(Ending::WithGrace).expect("an order");
        running.end(Ending::Now).expect("an order");
        assert_eq!(row.end_of(&name, running).cut_off, None);
        let end = row.run(&next, "sleep 0.01; echo done");
        assert_eq!((end.cut_off, end.tail.as_str()), (None, "done"));
        assert_eq!(row.supervisor(&next), row.supervisor(&name));
        // In time.
        let spec = row.scene.sh("exec sleep 300.TAG");
        let running = row.start(&format!("{n}-ended"), &spec);
        running.end(Ending::WithGrace).expect("an order");
        let end = row.end_of(&format!("{n}-ended"), running);
        assert_eq!(end.cut_off, Some(CutOff::Stopped));
    }
}

#[test]
fn a_supervisor_that_died_while_it_stood_by_is_replaced() {
    let mut row = Row::new();
    row.run("1", "echo one");
    let first = row.supervisor("1");
    kill(first, "KILL");
    until("it is gone", || is_gone(first));
    assert_eq!(row.run("2", "echo two").tail, "two");
    assert_ne!(row.supervisor("2"), first);
}

/// A step directory that was used before, or a step that cannot be begun, costs the supervisor nothing.
#[test]
fn a_refused_step_is_told_and_the_next_one_runs() {
    let mut row = Row::new();
    row.run("1", "echo ran >> ran");
    let spec = row.scene.sh("echo ran >> ran");
    let running = row.start("1", &spec);
    running.wait().expect("a wait");
    assert_eq!(
        running.refusal(),
        Some("the step had been taken on or given up before")
    );
    row.standby.take_back(running);
    let mut spec = row.scene.sh("");
    spec.argv = vec!["no-such-program".into()];
    let running = row.start("2", &spec);
    let end = row.end_of("2", running).end;
    assert!(matches!(end, End::NotStarted { .. }), "{end:?}");
    row.run("3", "echo three");
    assert_eq!(row.supervisor("3"), row.supervisor("1"));
    let ran = std::fs::read_to_string(row.scene.file("ran")).expect("a file");
    assert_eq!(ran, "ran\n");
}

#[test]
fn without_a_controller_the_step_is_brought_to_its_end_and_no_other_begun() {
    let mut row = Row::new();
    row.run("1", "echo one");
    let supervisor = row.supervisor("1");
    let spec = row.scene.sh("echo two; sleep 0.3; echo end");
    let running = row.start("2", &spec);
    drop(running);
    let dir = StepDir::new(row.dir("2"));
    until("it has ended and its supervisor is gone", || {
        row.dir("2").join("exit").exists() && is_gone(supervisor)
    });
    let Ok(Found::Ended(end)) = dir.find(&boot_id().expect("a boot id")) else {
        panic!("no end")
    };
    assert_eq!(end.tail, "two\nend");
    // One that stands by goes with its controller too.
    row.run("3", "echo three");
    let supervisor = row.supervisor("3");
    row.standby = Standby::default();
    until("it is gone", || is_gone(supervisor));
}
