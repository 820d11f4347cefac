//! `kill -9` at every write of the journal, before and after it; then `resume`, and `back-out`.
//!
//! Every step of the plans appends a line to a log when it acts, so what is asserted is not only what
//! the journal says but what really happened: a resumed run has acted exactly like one that was
//! never disturbed, and a run that was backed out has left the production tree as it was.

mod support;

use support::crash::{
    Reference, assert_announced, assert_as_before, assert_free, assert_like_undisturbed,
    assert_sound, left_by, reference, site, take_up, take_up_after_failure, unwritten,
};
use support::journal;
use support::sweep::{Point, sweep};
use support::tree::difference;

const FAULT: &str = "DEPLOYRUN_FAULT";

/// Kill, `resume`: as if nothing had happened.
fn resumed(reference: &Reference, fault: &str) -> Point {
    let site = site(&reference.plan);
    let killed = site.finish_with(&["run", "plan.rhai"], FAULT, fault);
    if !killed.was_killed() {
        assert_eq!(killed.code, reference.code, "{}", killed.told());
        return Point::Beyond;
    }
    match take_up(&site, &["resume", "2"], &killed) {
        Some(finished) => {
            assert_eq!(finished.code, reference.code, "{}", finished.told());
            assert_sound(&site, &[&killed, &finished]);
            assert_like_undisturbed(&site, reference);
        }
        None if site.journal().is_empty() => {}
        None => assert_like_undisturbed(&site, reference),
    }
    assert_free(&site);
    Point::Tried
}

/// Kill, `back-out`: as before.
fn backed_out(reference: &Reference, fault: &str) -> Point {
    let site = site(&reference.plan);
    let killed = site.finish_with(&["run", "plan.rhai"], FAULT, fault);
    if !killed.was_killed() {
        return Point::Beyond;
    }
    match take_up(&site, &["back-out", "--yes", "2"], &killed) {
        Some(finished) => {
            let acted = !journal::of_kind(&site.journal(), "step-started").is_empty();
            let code = if acted { 3 } else { 1 };
            assert_eq!(
                finished.code,
                Some(code),
                "{}\n{}",
                finished.told(),
                site.told()
            );
            assert_sound(&site, &[&killed, &finished]);
            assert_as_before(&site, reference);
        }
        None if site.journal().is_empty() => {}
        None => assert_like_undisturbed(&site, reference),
    }
    assert_free(&site);
    Point::Tried
}

/// Kill, kill again while it is taken up, `resume`.
fn resumed_twice(reference: &Reference, first: &str, command: &[&str], second: &str) -> Point {
    let site = site(&reference.plan);
    let killed = site.finish_with(&["run", "plan.rhai"], FAULT, first);
    assert!(killed.was_killed(), "{}", killed.told());
    let again = site.finish_with(command, FAULT, second);
    if !again.was_killed() {
        return Point::Beyond;
    }
    let backs_out =
        command[0] == "back-out" && !journal::of_kind(&site.journal(), "stopping").is_empty();
    if let Some(finished) = take_up(&site, &["resume", "2"], &again) {
        assert_sound(&site, &[&killed, &again, &finished]);
        let code = if backs_out { Some(3) } else { reference.code };
        assert_eq!(finished.code, code, "{}\n{}", finished.told(), site.told());
    }
    if backs_out {
        assert_as_before(&site, reference);
    } else {
        assert_like_undisturbed(&site, reference);
    }
    assert_free(&site);
    Point::Tried
}

/// One write fails and the next does not: the run stops, and is backed out and recorded.
fn write_failed(reference: &Reference, n: u64) -> Point {
    let site = site(&reference.plan);
    let finished = site.finish_with(&["run", "plan.rhai"], FAULT, &format!("fail-write:{n}"));
    if finished.code == Some(0) {
        assert_like_undisturbed(&site, reference);
        // The last write of all has failed and was made up for, or there is no such write.
        assert_free(&site);
        return Point::Beyond;
    }
    let acted =
        !site.effects().is_empty() || !journal::of_kind(&site.journal(), "step-started").is_empty();
    let code = if acted { 3 } else { 1 };
    assert_eq!(
        finished.code,
        Some(code),
        "{}\n{}",
        finished.told(),
        site.told()
    );
    assert_announced(&site, &finished);
    assert_as_before(&site, reference);
    if let Some(end) = journal::end(&site.journal()) {
        assert_eq!(end["cause"], "journal-failed", "{}", site.told());
    }
    assert_free(&site);
    Point::Tried
}

/// No write succeeds any more: everything is undone from memory and told on standard error.
fn writes_failed(reference: &Reference, n: u64) -> Point {
    let site = site(&reference.plan);
    let fault = format!("fail-writes-from:{n}");
    let finished = site.finish_with(&["run", "plan.rhai"], FAULT, &fault);
    if finished.code == Some(0) {
        assert_like_undisturbed(&site, reference);
        assert_free(&site);
        return Point::Beyond;
    }
    assert_announced(&site, &finished);
    let wrong = difference(left_by(reference, &finished), &site.tree());
    assert_eq!(wrong, "", "{}\n{}", finished.told(), site.told());
    if site.effects().is_empty() {
        assert!(matches!(finished.code, Some(1 | 4)), "{}", finished.told());
    } else {
        assert_eq!(
            finished.code,
            Some(4),
            "{}\n{}",
            finished.told(),
            site.told()
        );
        assert!(
            finished.stderr.contains("\"run-ended\""),
            "{}",
            finished.told()
        );
    }
    // What the journal has not is told later, and not done again.
    let journal = site.journal();
    if !journal.is_empty() && journal::end(&journal).is_none() {
        let command = if n.is_multiple_of(2) {
            "resume"
        } else {
            "back-out"
        };
        let is_known = unwritten(&site).is_empty();
        let later = take_up_after_failure(&site, "2", command);
        let told = || format!("{}\n{}", later.told(), site.told());
        match later.code {
            // Nothing had been done without the journal, so it can go on.
            Some(0) => {
                assert!(is_known && command == "resume", "{}", told());
                assert_like_undisturbed(&site, reference);
                assert_free(&site);
                return Point::Tried;
            }
            Some(1 | 3) => assert!(is_known, "{}", told()),
            _ => assert!(!is_known, "{}", told()),
        }
        let wrong = difference(&reference.before, &site.tree());
        assert_eq!(wrong, "", "{}", site.told());
    }
    assert_free(&site);
    Point::Tried
}

fn sweep_resume(name: &str, code: i32) {
    let reference = reference(name, code);
    for when in ["before", "after"] {
        let first = if when == "before" { 1 } else { 3 };
        sweep(
            &format!("{name}: killed {when} a write, resumed"),
            first,
            4,
            |n| resumed(&reference, &format!("kill-{when}-write:{n}")),
        );
    }
}

fn sweep_back_out(name: &str, code: i32) {
    let reference = reference(name, code);
    for when in ["before", "after"] {
        let first = if when == "before" { 2 } else { 4 };
        sweep(
            &format!("{name}: killed {when} a write, backed out"),
            first,
            4,
            |n| backed_out(&reference, &format!("kill-{when}-write:{n}")),
        );
    }
}

#[test]
fn steps_files_groups_and_waits_are_resumed() {
    sweep_resume("steps", 0);
}

#[test]
fn steps_files_groups_and_waits_are_backed_out() {
    sweep_back_out("steps", 0);
}

#[test]
fn retried_groups_and_handled_errors_are_resumed() {
    sweep_resume("retries", 0);
}

#[test]
fn retried_groups_and_handled_errors_are_backed_out() {
    sweep_back_out("retries", 0);
}

#[test]
fn closures_as_back_outs_are_resumed() {
    sweep_resume("closures", 3);
}

#[test]
fn a_crash_in_the_back_out_is_resumed() {
    sweep_resume("fails", 3);
}

#[test]
fn a_tripped_watch_is_resumed() {
    sweep_resume("tripped", 3);
}

#[test]
fn a_stuck_run_is_resumed() {
    sweep_resume("stuck", 4);
}

#[test]
fn a_failure_behind_the_point_of_no_return_is_resumed() {
    sweep_resume("no_return", 4);
}

#[test]
fn a_crash_during_the_recovery_is_resumed() {
    for (name, code) in [("steps", 0), ("fails", 3)] {
        let reference = reference(name, code);
        for (first, stride) in [(8, 5), (14, 5), (20, 4)] {
            for command in [&["resume", "2"][..], &["back-out", "--yes", "2"]] {
                if name == "fails" && command[0] == "back-out" {
                    continue;
                }
                let fault = format!("kill-after-write:{first}");
                for when in ["before", "after"] {
                    let what = format!("{name}: {fault}, {} killed {when} a write", command[0]);
                    sweep(&what, if when == "before" { 1 } else { 2 }, stride, |n| {
                        let second = format!("kill-{when}-write:{n}");
                        resumed_twice(&reference, &fault, command, &second)
                    });
                }
            }
        }
    }
}

#[test]
fn nothing_acts_after_a_failed_write() {
    for name in ["steps", "retries"] {
        let reference = reference(name, 0);
        sweep(&format!("{name}: one write fails"), 1, 3, |n| {
            write_failed(&reference, n)
        });
        sweep(&format!("{name}: all writes fail from one on"), 2, 3, |n| {
            writes_failed(&reference, n)
        });
    }
}

const UNDONE_WITHOUT: &str = r#"
plan(#{ name: "shop", version: "2", environment: "test" });
run("./act do one", #{ back_out: "./act undo one" });
run("./act do two", #{ back_out: || { run("./act undo two"); run("./act undo again"); } });
run("./act do three", #{ back_out: "./act undo three; echo half; exit 3" });
run("./act do four; exit 7");
"#;

#[test]
fn what_was_undone_without_the_journal_is_not_undone_again() {
    let mut met = 0;
    for n in 2.. {
        let site = site(UNDONE_WITHOUT);
        let fault = format!("fail-writes-from:{n}");
        let failed = site.finish_with(&["run", "plan.rhai"], FAULT, &fault);
        let gone = failed.stderr.contains("\"run-ended\"");
        if !gone && failed.code == Some(4) {
            // Every write had succeeded: the run is stuck because of its third back-out.
            break;
        }
        if unwritten(&site).is_empty() {
            continue;
        }
        met += 1;
        let command = if n % 2 == 0 { "resume" } else { "back-out" };
        let later = take_up_after_failure(&site, "2", command);
        let journal = site.journal();
        let end = journal::end(&journal).expect("an end");
        assert_eq!(end["cause"], "journal-failed", "{}", later.told());
        let run = journal::of_kind(&journal, "run-started").len();
        assert_eq!(run, 1, "{}", site.told());
        let shown = site
            .command(&["show", "2", "--format", "human"])
            .output()
            .expect("show");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        for words in ["UNWRITTEN  [", "nothing was done now", "STUCK"] {
            assert!(shown.contains(words), "`{words}` is missing:\n{shown}");
        }
        // Taken up once more it is what it is: an ended run.
        let again = site.finish(&["back-out", "--yes", "2"]);
        assert_eq!(again.code, Some(1), "{}", again.told());
        assert_free(&site);
    }
    assert!(met >= 4, "only {met} points had anything unwritten");
}
