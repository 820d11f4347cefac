//! Every way to end a step against every kind of process tree: nothing may survive.

use std::time::{Duration, Instant};

use crate::scene::{Scene, kill, until};
use deployrun::target::local::{Ending, Found, Lost};
use deployrun::words::step::{CutOff, StepSpec};

/// Name, script, number of its `sleep`s.
const KINDS: &[(&str, &str, usize)] = &[
    ("plain child", "echo BOOM; exec sleep 300.TAG", 1),
    (
        "background grandchild",
        "sleep 300.TAG & sleep 300.TAG & echo BOOM; wait",
        2,
    ),
    (
        "setsid",
        "setsid sleep 300.TAG & echo BOOM; sleep 300.TAG",
        2,
    ),
    (
        "double fork daemon",
        "( (setsid sleep 300.TAG </dev/null >/dev/null 2>&1 &) & ); echo BOOM; sleep 300.TAG",
        2,
    ),
    (
        "ignores TERM",
        "trap '' TERM; sleep 300.TAG & echo BOOM; while :; do sleep 300.TAG; done",
        2,
    ),
    (
        "holds the pipe",
        "( (setsid sleep 300.TAG &) & ); echo BOOM; sleep 300.TAG",
        2,
    ),
    (
        "fork storm of 200",
        "i=0; while [ $i -lt 200 ]; do sleep 300.TAG & i=$((i+1)); done; echo BOOM; wait",
        200,
    ),
    (
        "daemon with env -i",
        "(env -i setsid sleep 300.TAG </dev/null >/dev/null 2>&1 &); echo BOOM; sleep 300.TAG",
        2,
    ),
    (
        "stopped by SIGSTOP",
        "sleep 300.TAG & sleep 0.1; kill -STOP $!; echo BOOM; wait",
        1,
    ),
    (
        "hops from session to session",
        "printf '#!/bin/sh\\nsetsid \"$0\" TAG &\\n' > hop; chmod +x hop; ./hop TAG; echo BOOM; sleep 300.TAG",
        1,
    ),
];

const GRACE: u64 = 500;
/// Allowance for a loaded machine. Without load the tree is gone within 1 s after the grace.
const SLACK: Duration = Duration::from_secs(4);

/// Ends each kind of tree by `event`, which returns when the end began.
fn matrix(
    name: &str,
    shape: impl Fn(&mut StepSpec),
    event: impl Fn(&Scene, &deployrun::target::local::Running, usize) -> Instant,
    cut_off: &dyn Fn(&CutOff) -> bool,
) {
    let mut worst = Duration::ZERO;
    for (kind, script, processes) in KINDS {
        let scene = Scene::new();
        let mut spec = scene.sh(script);
        spec.grace_ms = GRACE;
        shape(&mut spec);
        let running = scene.start(&spec);
        let begun = event(&scene, &running, *processes);
        let end = scene.end_of(&running);
        let took = begun.elapsed();
        let alive = if kind.contains("hops") {
            scene.alive_in_many_looks()
        } else {
            scene.alive()
        };
        assert_eq!(alive, [0; 0], "{name}, {kind}: survivors; {end:?}");
        assert!(
            end.cut_off.as_ref().is_some_and(cut_off),
            "{name}, {kind}: {end:?}"
        );
        assert!(
            end.survivors.is_empty() && end.left_running.is_empty(),
            "{name}, {kind}: {end:?}"
        );
        assert!(!end.killed.is_empty(), "{name}, {kind}: {end:?}");
        assert!(
            took < Duration::from_millis(GRACE) + SLACK,
            "{name}, {kind}: {took:?}"
        );
        worst = worst.max(took);
    }
    eprintln!(
        "{name}: {} kinds, slowest {worst:?} (grace {GRACE} ms)",
        KINDS.len()
    );
}

fn settled(scene: &Scene, processes: usize) -> Instant {
    scene.until_asleep(processes);
    Instant::now()
}

#[test]
fn timeout() {
    let at = 700;
    matrix(
        "timeout",
        |s| s.timeout_ms = at,
        |_, _, _| Instant::now() + Duration::from_millis(at),
        &|c| *c == CutOff::Timeout,
    );
}

#[test]
fn idle_timeout() {
    matrix(
        "idle timeout",
        |s| s.idle_timeout_ms = Some(400),
        |_, _, _| Instant::now() + Duration::from_millis(400),
        &|c| *c == CutOff::IdleTimeout,
    );
}

#[test]
fn abort_on() {
    matrix(
        "abort_on",
        |s| s.abort_on = vec!["never".into(), "^BO+M$".into()],
        |_, _, _| Instant::now(),
        &|c| matches!(c, CutOff::AbortOn { pattern, line } if pattern == "^BO+M$" && line == "BOOM"),
    );
}

#[test]
fn stop_with_grace() {
    matrix(
        "TERM to the supervisor",
        |_| {},
        |scene, running, n| {
            let begun = settled(scene, n);
            running.end(Ending::WithGrace).expect("a signal");
            begun
        },
        &|c| *c == CutOff::Stopped,
    );
}

#[test]
fn stop_now() {
    matrix(
        "INT to the supervisor",
        |s| s.grace_ms = 60_000,
        |scene, running, n| {
            let begun = settled(scene, n);
            running.end(Ending::Now).expect("a signal");
            begun
        },
        &|c| *c == CutOff::Stopped,
    );
}

#[test]
fn grace_is_shortened() {
    matrix(
        "TERM, then INT",
        |s| s.grace_ms = 60_000,
        |scene, running, n| {
            let begun = settled(scene, n);
            running.end(Ending::WithGrace).expect("a signal");
            running.end(Ending::Now).expect("a signal");
            begun
        },
        &|c| *c == CutOff::Stopped,
    );
}

/// Without the supervisor there is no certain list of descendants. One kind is known to escape: a
/// daemon that has cut its ancestry and cleared its environment. One that hops faster than the
/// process table can be read may escape.
#[test]
fn supervisor_killed() {
    for (kind, script, processes) in KINDS {
        let scene = Scene::new();
        let mut spec = scene.sh(script);
        spec.grace_ms = GRACE;
        let running = scene.start(&spec);
        scene.until_asleep(*processes);
        let begun = Instant::now();
        kill(scene.supervisor(), "KILL");
        assert!(running.wait_for(Duration::from_secs(10)).expect("a wait"));
        let found = scene.find();
        let Found::Lost {
            why: Lost::SupervisorDied,
            killed,
            survivors,
        } = found
        else {
            panic!("{kind}: {found:?}");
        };
        let took = begun.elapsed();
        let left = scene.alive_in_many_looks();
        eprintln!(
            "supervisor killed, {kind}: {} left after {:?}",
            left.len(),
            took
        );
        match *kind {
            "hops from session to session" => {}
            "daemon with env -i" => {
                assert_eq!(left.len(), 1, "the documented gap has closed or widened")
            }
            _ => assert_eq!(left, [0; 0], "{kind}: survivors; {killed:?}"),
        }
        assert!(survivors.is_empty(), "{kind}: {survivors:?}");
        // A stopped group whose session ends is sent HUP by the kernel.
        assert!(!killed.is_empty() || kind.contains("SIGSTOP"), "{kind}");
        // Asked again, the answer is the same.
        let again = scene.find();
        assert!(
            matches!(
                again,
                Found::Lost {
                    why: Lost::SupervisorDied,
                    ..
                }
            ),
            "{kind}: {again:?}"
        );
    }
}

/// A failed command must not leave anything that races its back-out.
#[test]
fn failure_ends_what_is_left() {
    for (kind, script, _) in KINDS
        .iter()
        .filter(|k| !k.0.contains("plain") && !k.0.contains("stopped"))
    {
        let scene = Scene::new();
        let script = script.replace("echo BOOM; ", "sleep 0.1; exit 3; ");
        let end = scene.run(&scene.sh(&script));
        assert_eq!(
            end.end,
            deployrun::words::step::End::Exited { code: 3 },
            "{kind}: {end:?}"
        );
        assert_eq!(end.cut_off, None, "{kind}");
        assert_eq!(scene.alive(), [0; 0], "{kind}: survivors");
        assert!(!end.killed.is_empty(), "{kind}: {end:?}");
    }
}

/// Each process gets one TERM: programs take a second one as an order to hurry.
#[test]
fn term_comes_once_and_grace_is_kept() {
    let scene = Scene::new();
    let script = "trap 'echo got-term; sleep 0.2; echo cleaned; exit 7' TERM; echo up; \
                  while :; do sleep 0.05; : TAG; done";
    let mut spec = scene.sh(script);
    spec.grace_ms = 10_000;
    let running = scene.start(&spec);
    until("output", || scene.dir.output_len().is_ok_and(|n| n >= 3));
    running.end(Ending::WithGrace).expect("a signal");
    let end = scene.end_of(&running);
    assert_eq!(end.stdout.text, "up\ngot-term\ncleaned\n");
    assert_eq!(end.end, deployrun::words::step::End::Exited { code: 7 });
    assert_eq!(end.cut_off, Some(CutOff::Stopped));
}
