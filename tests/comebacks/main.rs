//! Losing a run and coming back to it: deployrun killed, its terminal gone, interrupted again and
//! again, a second run beside it.

#[path = "../support/mod.rs"]
mod support;
mod surroundings;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use support::another_plan::with_another_plan;
use support::live::{Finished, Live, PATIENCE};
use support::site::Site;
use support::tree::difference;
use support::{effects, journal, need, processes};

/// Waits until something is so that no event tells of.
fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_for(path: &Path) {
    until(&path.display().to_string(), || path.exists());
}

fn plan(body: &str) -> String {
    format!("plan(#{{ name: \"back\", version: \"1\", environment: \"test\" }});\n{body}")
}

fn kinds(finished: &Finished) -> Vec<&str> {
    finished
        .events
        .iter()
        .map(|e| e["event"].as_str().unwrap_or_default())
        .collect()
}

/// A step that acts, waits for the file `go`, and acts again.
const WAITS: &str = r#"
let out = run("./act do a; : > ready; while ! test -e go; do sleep 0.05; done; ./act do b; echo done", #{
    back_out: "./act undo b; ./act undo a", grace: "1s",
});
run(["./act", "do", out.stdout.split("\n")[0]], #{ back_out: "./act undo done" });
"#;

/// Starts the plan, waits until its step is in flight, and kills deployrun.
fn killed_in_flight(body: &str) -> (Site, Finished) {
    let site = Site::new(&plan(body));
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    live.wait_for_kind("step-started");
    wait_for(&site.path("ready"));
    let killed = live.kill();
    assert!(killed.was_killed());
    (site, killed)
}

fn in_flight(site: &Site) -> bool {
    !processes::supervisors(site.state()).is_empty()
}

#[test]
fn a_step_outlives_deployrun_and_is_adopted() {
    let (site, _) = killed_in_flight(WAITS);
    assert!(in_flight(&site), "the step died with deployrun");
    let mut live = Live::start(site.command(&["resume", "2"]));
    live.wait_for_kind("run-resumed");
    site.write("go", "");
    let finished = live.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\ndo b\ndo done"));
    let journal = site.journal();
    assert_eq!(
        journal::of_kind(&journal, "step-started").len(),
        2,
        "{}",
        site.told()
    );
}

#[test]
fn a_step_that_ends_while_nobody_looks_is_believed() {
    let (site, _) = killed_in_flight(WAITS);
    site.write("go", "");
    until("the end of the step", || !in_flight(&site));
    let finished = site.finish(&["resume", "2"]);
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\ndo b\ndo done"));
}

#[test]
fn a_step_that_fails_while_nobody_looks_is_backed_out() {
    let body = WAITS.replace("echo done", "echo done; exit 7");
    let (site, _) = killed_in_flight(&body);
    site.write("go", "");
    until("the end of the step", || !in_flight(&site));
    let finished = site.finish(&["resume", "2"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\ndo b\nundo b\nundo a"));
    let journal = site.journal();
    assert_eq!(
        journal::end(&journal).expect("an end")["cause"],
        "failed-step"
    );
}

#[test]
fn a_step_in_flight_is_ended_before_it_is_backed_out() {
    let (site, _) = killed_in_flight(WAITS);
    let before = Instant::now();
    let finished = site.finish(&["back-out", "--yes", "2"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\nundo b\nundo a"));
    assert!(
        before.elapsed() < Duration::from_secs(30),
        "it waited for the step"
    );
    assert!(!in_flight(&site));
}

#[test]
fn the_timeout_of_a_step_needs_nobody() {
    let body = WAITS.replace("grace: \"1s\"", "grace: \"1s\", timeout: \"2s\"");
    let (site, _) = killed_in_flight(&body);
    until("the end of the step", || !in_flight(&site));
    let finished = site.finish(&["resume", "2"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    let ended = journal::of_kind(&site.journal(), "step-ended")[0].clone();
    assert_eq!(ended["end"]["cut_off"]["why"], "timeout", "{ended}");
}

#[test]
fn an_adopted_step_has_the_time_that_was_left() {
    let body = WAITS.replace("grace: \"1s\"", "grace: \"1s\", timeout: \"4s\"");
    let (site, killed) = killed_in_flight(&body);
    let finished = site.finish(&["resume", "2"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    let at = |events: &[Value], kind: &str| -> i64 {
        let event = events.iter().find(|e| e["event"] == kind).expect(kind);
        event["at_ms"].as_i64().expect("a time")
    };
    let took = at(&finished.events, "step-ended") - at(&killed.events, "step-started");
    assert!(
        (4_000..8_000).contains(&took),
        "{took} ms: {}",
        finished.told()
    );
    let ended = journal::of_kind(&site.journal(), "step-ended")[0].clone();
    assert_eq!(ended["end"]["cut_off"]["why"], "timeout", "{ended}");
}

#[test]
fn a_terminal_that_goes_away_does_not_end_a_run() {
    need("script", "bsdutils");
    let site = Site::new(&plan(WAITS));
    let mut command = site.command_of(Path::new("script"), &[]);
    let program = env!("CARGO_BIN_EXE_deployrun");
    command.args(["-q", "-c", &format!("{program} run plan.rhai"), "/dev/null"]);
    command.env("SHELL", "/bin/sh");
    let live = Live::start(command);
    wait_for(&site.path("ready"));
    // With `script` the terminal is gone, and nobody reads what is printed any more.
    live.kill();
    until("word of the terminal", || {
        !journal::of_kind(&site.journal(), "hung-up").is_empty()
    });
    site.write("go", "");
    until("the end of the run", || {
        journal::end(&site.journal()).is_some()
    });
    let journal = site.journal();
    assert_eq!(
        journal::end(&journal).expect("an end")["outcome"],
        "released"
    );
    assert_eq!(site.effects(), effects::lines("do a\ndo b\ndo done"));
}

#[test]
fn nobody_reads_the_output_any_more() {
    // A closed pipe in place of the terminal: `deployrun plan.rhai | head -1`.
    let site = Site::new(&plan(WAITS));
    let program = env!("CARGO_BIN_EXE_deployrun");
    let mut command = site.command_of(Path::new("sh"), &[]);
    command.args(["-c", &format!("exec {program} run plan.rhai | head -n 1")]);
    let finished = {
        let live = Live::start(command);
        wait_for(&site.path("ready"));
        site.write("go", "");
        live.finish()
    };
    assert_eq!(finished.events.len(), 1, "{}", finished.told());
    until("the end of the run", || {
        journal::end(&site.journal()).is_some()
    });
    assert_eq!(site.effects(), effects::lines("do a\ndo b\ndo done"));
}

/// A step that ignores TERM, with a grace that no test waits for.
const STUBBORN: &str = r#"
run("trap '' TERM; ./act do a; : > ready; while ! test -e never; do sleep 0.05; done", #{
    grace: "10m", back_out: "./act undo a; : > undoing; while ! test -e go; do sleep 0.05; done",
});
"#;

/// Signals that come so close together are one: a terminal sends to the whole group.
fn let_the_debounce_pass() {
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn interrupted_once_twice_and_a_third_time() {
    let site = Site::new(&plan(STUBBORN));
    let before = site.tree();
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    wait_for(&site.path("ready"));
    live.signal(Signal::INT);
    // The same keystroke, delivered twice.
    live.signal(Signal::INT);
    let first = live.wait_for_kind("interrupted");
    assert_eq!(first["count"], 1);
    live.wait_for_kind("stopping");
    let_the_debounce_pass();
    live.signal(Signal::INT);
    let second = live.wait_for_kind("interrupted");
    assert_eq!(second["count"], 2);
    let ended = live.wait_for_kind("step-ended");
    assert_eq!(ended["outcome"], "cut-off", "{ended}");
    wait_for(&site.path("undoing"));
    let_the_debounce_pass();
    live.signal(Signal::INT);
    let left = live.wait_for_kind("left");
    let finished = live.finish();
    assert_eq!(finished.code, Some(4), "{left} {}", finished.told());
    assert!(journal::end(&site.journal()).is_none(), "{}", site.told());
    // The back-out goes on without deployrun, and whoever comes back waits for it.
    let mut live = Live::start(site.command(&["back-out", "--yes", "2"]));
    live.wait_for_kind("run-resumed");
    site.write("go", "");
    let finished = live.finish();
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\nundo a"));
    assert_eq!(difference(&before, &site.tree()), "");
}

#[test]
fn a_run_that_lives_can_be_taken_up_by_nobody() {
    let site = Site::new(&plan(WAITS));
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    let run = live.wait_for_kind("step-started")["run"].clone();
    let run = run.as_str().expect("an id");
    for command in [&["resume", run][..], &["back-out", "--yes", run]] {
        let refused = site.finish(command);
        assert_eq!(refused.code, Some(5), "{}", refused.told());
        assert!(refused.stderr.contains(run), "{}", refused.told());
        assert!(
            refused.stderr.contains(&live.pid().to_string()),
            "who has it is not said: {}",
            refused.told()
        );
    }
    site.write("go", "");
    let finished = live.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let refused = site.finish(&["resume", run]);
    assert_eq!(refused.code, Some(1), "{}", refused.told());
    assert!(
        refused.stderr.contains("has ended: released"),
        "{}",
        refused.told()
    );
}

const OTHER: &str = "plan(#{ name: \"other\", version: \"2\", environment: \"test\" });
run([\"./act\", \"do\", \"other\"], #{ back_out: [\"./act\", \"undo\", \"other\"] });";

#[test]
fn a_second_run_is_refused_while_the_first_one_lives() {
    let site = Site::new(&plan(WAITS));
    site.write("other.rhai", OTHER);
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    let run = live.wait_for_kind("step-started")["run"].clone();
    let refused = site.finish(&["run", "other.rhai"]);
    let told = refused.told();
    assert_eq!(refused.code, Some(1), "{told}");
    for word in [
        run.as_str().expect("an id"),
        "--lock-wait",
        "release of back 1; since 2",
    ] {
        assert!(told.contains(word), "`{word}` is missing: {told}");
    }
    // Or it waits.
    let mut waits = Live::start(site.command(&["run", "other.rhai", "--lock-wait", "10m"]));
    waits.wait_for_kind("lock-waited");
    site.write("go", "");
    let finished = live.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.told());
    let waited = waits.finish();
    assert_eq!(waited.code, Some(0), "{}", waited.told());
    assert_eq!(
        site.effects(),
        effects::lines("do a\ndo b\ndo done\ndo other")
    );
    assert!(kinds(&waited).contains(&"lock-taken"));
}

#[test]
fn a_second_run_is_refused_until_the_dead_one_is_recovered() {
    let (site, _) = killed_in_flight(WAITS);
    site.write("other.rhai", OTHER);
    let run = journal::unfinished(site.state()).remove(0);
    let refused = site.finish(&["run", "other.rhai"]);
    let told = refused.told();
    assert_eq!(refused.code, Some(1), "{told}");
    for word in [
        format!("deployrun resume {run}"),
        format!("deployrun back-out {run}"),
    ] {
        assert!(told.contains(&word), "`{word}` is missing: {told}");
    }
    // To wait would be in vain.
    let refused = site.finish(&["run", "other.rhai", "--lock-wait", "1h"]);
    assert_eq!(refused.code, Some(1), "{}", refused.told());
    assert!(!kinds(&refused).contains(&"lock-waited"));
    assert!(refused.told().contains(&format!("deployrun resume {run}")));
    let recovered = site.finish(&["back-out", "--yes", &run]);
    assert_eq!(recovered.code, Some(3), "{}", recovered.told());
    let next = site.finish(&["run", "other.rhai"]);
    assert_eq!(next.code, Some(0), "{}", next.told());
    assert_eq!(
        site.effects(),
        effects::lines("do a\nundo b\nundo a\ndo other")
    );
}

#[test]
fn of_several_that_come_back_at_once_one_has_the_run() {
    let (site, _) = killed_in_flight(WAITS);
    let all: Vec<Live> = (0..4)
        .map(|_| Live::start(site.command(&["resume", "2"])))
        .collect();
    until("one that has the run", || {
        !journal::of_kind(&site.journal(), "run-resumed").is_empty()
    });
    site.write("go", "");
    let all: Vec<Finished> = all.into_iter().map(Live::finish).collect();
    let with = |code| all.iter().filter(|f| f.code == Some(code)).count();
    let told = || {
        all.iter()
            .map(Finished::told)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(with(0), 1, "{}", told());
    // One that comes late finds a run that has ended.
    assert_eq!(with(5) + with(1), 3, "{}", told());
    assert_eq!(site.effects(), effects::lines("do a\ndo b\ndo done"));
}

#[test]
fn an_answer_that_comes_after_the_stop_is_not_acted_upon() {
    // The step ignores TERM and ends well, after the stop: nothing of the plan follows.
    let body = r#"
        try {
            run("trap '' TERM; ./act do a; : > ready; while ! test -e go; do sleep 0.05; done", #{
                grace: "10m", back_out: "./act undo a",
            });
        } catch { run("./act do caught"); }
        run("./act do next");
    "#;
    let site = Site::new(&plan(body));
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    wait_for(&site.path("ready"));
    live.signal(Signal::TERM);
    live.wait_for_kind("stopping");
    site.write("go", "");
    let finished = live.finish();
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\nundo a"));
}

#[test]
fn a_reading_call_that_hangs_does_not_hold_up_a_stop() {
    let body = r#"
        run("./act do a", #{ back_out: "./act undo a" });
        try { probe(": > ready; sleep 600", #{ timeout: "20m" }); } catch { run("./act do caught"); }
        run("./act do next");
    "#;
    let site = Site::new(&plan(body));
    let live = Live::start(site.command(&["run", "plan.rhai"]));
    wait_for(&site.path("ready"));
    let before = Instant::now();
    live.signal(Signal::INT);
    let finished = live.finish();
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert!(
        before.elapsed() < Duration::from_secs(20),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(site.effects(), effects::lines("do a\nundo a"));
}

#[test]
fn stopped_in_the_review_nothing_has_changed() {
    let site = Site::new(&plan(
        "probe(\": > ready; sleep 600\"); run(\"./act do a\");",
    ));
    let live = Live::start(site.command(&["run", "plan.rhai"]));
    wait_for(&site.path("ready"));
    live.signal(Signal::TERM);
    let finished = live.finish();
    assert_eq!(finished.code, Some(1), "{}", finished.told());
    assert_eq!(site.effects(), effects::Effects::new());
}

#[test]
fn nohup_is_respected() {
    // Started with SIGHUP ignored, and sent one: the run goes on.
    need("nohup", "coreutils");
    let site = Site::new(&plan(WAITS));
    let program = env!("CARGO_BIN_EXE_deployrun");
    let command: Command = site.command_of(Path::new("nohup"), &[program, "run", "plan.rhai"]);
    let live = Live::start(command);
    wait_for(&site.path("ready"));
    live.signal(Signal::HUP);
    site.write("go", "");
    let finished = live.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.told());
}

#[test]
fn a_plan_that_ends_before_what_it_had_done_is_backed_out() {
    let (site, _) = killed_in_flight(WAITS);
    site.write("go", "");
    until("the end of the step", || !in_flight(&site));
    // Of the calls in the journal only the header is made again.
    let site = with_another_plan(site, |text| {
        text.lines().next().expect("the header").to_owned()
    });
    let finished = site.finish(&["resume", "2"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\ndo b\nundo b\nundo a"));
    let journal = site.journal();
    let end = journal::end(&journal).expect("an end");
    assert_eq!(end["cause"], "diverged", "{}", site.told());
    assert_eq!(
        end["reason"],
        "on replay, the script ended before call 2, which is in the journal"
    );
}

#[test]
fn a_closure_that_ends_before_what_it_had_done_has_not_undone_it() {
    let body = r#"
run("./act do a", #{ back_out: || { run("./act undo a");
    run(": > ready; while ! test -e go; do sleep 0.05; done"); } });
abort("enough");
"#;
    let site = Site::new(&plan(body));
    let live = Live::start(site.command(&["run", "plan.rhai"]));
    wait_for(&site.path("ready"));
    live.kill();
    site.write("go", "");
    until("the end of the step", || !in_flight(&site));
    let site = with_another_plan(site, |text| {
        let second = text
            .lines()
            .find(|line| line.contains("ready"))
            .expect("it");
        text.replace(second, "} });")
    });
    let finished = site.finish(&["resume", "2"]);
    assert_eq!(finished.code, Some(4), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\nundo a"));
    let journal = site.journal();
    let end = journal::end(&journal).expect("an end");
    let why = end["still_changed"][0]["why"].as_str().expect("a reason");
    assert!(
        why.ends_with("on replay, the script ended before call b2/2, which is in the journal"),
        "{why}"
    );
}

#[test]
fn a_run_whose_secret_is_gone_is_not_taken_up() {
    let body = r#"
let key = secret("key", #{ file: "key" });
run("./act do a; : > ready; while ! test -e go; do sleep 0.05; done", #{
    env: #{ KEY: key }, back_out: || { run("./act undo $KEY", #{ env: #{ KEY: key } }); }, grace: "1s",
});
"#;
    let site = Site::new(&plan(body));
    site.write("key", "hidden-a\n");
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    live.wait_for_kind("step-started");
    wait_for(&site.path("ready"));
    assert!(live.kill().was_killed());
    std::fs::rename(site.path("key"), site.path("key.away")).expect("renamed");
    let before = site.journal().len();
    for command in [["back-out", "2", "-y"].as_slice(), &["resume", "2"]] {
        let refused = site.finish(command);
        assert_eq!(refused.code, Some(1), "{}", refused.told());
        assert!(
            refused.stderr.contains("the secret `key`: ")
                && refused
                    .stderr
                    .contains("was not taken up, and nothing was done"),
            "{}",
            refused.told()
        );
    }
    assert_eq!(site.journal().len(), before, "the run went on");
    assert_eq!(site.effects(), effects::lines("do a"));
    std::fs::rename(site.path("key.away"), site.path("key")).expect("renamed");
    let finished = site.finish(&["back-out", "2", "-y"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\nundo hidden-a"));
}

#[test]
fn a_step_whose_directory_is_removed_is_not_run_again() {
    let body = r#"
run("./act do a; rm -rf \"$RUNS/$DEPLOYRUN_RUN\"/step-*", #{ env: #{ RUNS: args.runs }, back_out: "./act undo a" });
"#;
    let site = Site::new(&plan(body));
    let runs = format!("runs={}", site.state().join("runs").display());
    let finished = site.finish(&["run", "plan.rhai", "-e", &runs]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\nundo a"));
    assert!(
        finished.told().contains("its directory was removed"),
        "{}",
        finished.told()
    );
}

#[test]
fn a_step_whose_directory_is_removed_while_nobody_looks_is_not_run_again() {
    let (site, _) = killed_in_flight(WAITS);
    site.write("go", "");
    until("the end of the step", || !in_flight(&site));
    let directories = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).expect("a directory").flatten();
        entries
            .map(|e| e.path())
            .filter(|path| path.is_dir())
            .collect()
    };
    for run in directories(&site.state().join("runs")) {
        for step in directories(&run) {
            std::fs::remove_dir_all(step).expect("removed");
        }
    }
    let finished = site.finish(&["resume", "2"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\ndo b\nundo b\nundo a"));
}

#[test]
fn a_journal_that_is_removed_is_a_journal_that_failed() {
    for name in ["journal.db", "journal.db-wal"] {
        let body = r#"
run("./act do a; : > ready; while ! test -e go; do sleep 0.05; done", #{ back_out: "./act undo a", grace: "1s" });
run("./act do b", #{ back_out: "./act undo b" });
"#;
        let site = Site::new(&plan(body));
        let live = Live::start(site.command(&["run", "plan.rhai"]));
        wait_for(&site.path("ready"));
        std::fs::remove_file(site.state().join(name)).expect("removed");
        site.write("go", "");
        let finished = live.finish();
        assert_eq!(finished.code, Some(4), "{name}: {}", finished.told());
        assert_eq!(site.effects(), effects::lines("do a\nundo a"), "{name}");
        let why = format!("{name} was removed while it was in use");
        assert!(finished.told().contains(&why), "{}", finished.told());
    }
}

#[test]
fn a_run_whose_files_were_removed_does_not_claim_to_be_as_before() {
    let body = r#"
write_file("app.conf", "new");
run("./act do a; : > ready; while ! test -e go; do sleep 0.05; done", #{ back_out: "./act undo a" });
"#;
    let site = Site::new(&plan(body));
    let mut live = Live::start(site.command(&["run", "plan.rhai"]));
    live.wait_for_kind("step-ended");
    wait_for(&site.path("ready"));
    assert!(live.kill().was_killed());
    site.write("go", "");
    until("the end of the step", || !in_flight(&site));
    std::fs::remove_dir_all(site.state().join("runs")).expect("removed");
    let finished = site.finish(&["resume", "2"]);
    assert_eq!(finished.code, Some(4), "{}", finished.told());
    assert_eq!(site.effects(), effects::lines("do a\nundo a"));
    assert!(
        finished.told().contains("what was there before is gone"),
        "{}",
        finished.told()
    );
}

/// The plan, whoever starts it and whoever takes it up are in three different directories.
#[test]
fn a_state_directory_is_found_again_from_anywhere() {
    let body = r#"
write_file("production/old.conf", "changed\n");
run(": > ready; while ! test -e go; do sleep 0.05; done", #{ back_out: (), grace: "1s" });
"#;
    let site = Site::new("");
    let before = site.tree();
    let (outside, name) = (
        site.path("").parent().expect("a parent").to_owned(),
        site.path("").file_name().expect("a name").to_owned(),
    );
    site.write("plan.rhai", &plan(body));
    let mut command = site.command(&["run"]);
    command
        .arg(Path::new(&name).join("plan.rhai"))
        .env("DEPLOYRUN_STATE", Path::new(&name).join("state"))
        .current_dir(&outside);
    let live = Live::start(command);
    wait_for(&site.path("ready"));
    live.kill();
    assert_ne!(difference(&before, &site.tree()), "");
    let finished = site.finish(&["back-out", "--yes", "2"]);
    assert_eq!(finished.code, Some(3), "{}", finished.told());
    assert_eq!(difference(&before, &site.tree()), "", "{}", finished.told());
}
