//! Probes, with real processes.

use std::time::{Duration, Instant};

use crate::scene::Scene;
use deployrun::target::probe::{Cancel, run};
use deployrun::words::probe::{ProbeExit, ProbeSpec};

fn sh(scene: &Scene, script: &str) -> ProbeSpec {
    ProbeSpec {
        argv: vec!["sh".into(), "-c".into(), script.replace("TAG", &scene.tag)],
        env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        cwd: scene.tmp.path().to_owned(),
        stdin: None,
        timeout_ms: 30_000,
        max_output: 1 << 20,
    }
}

#[test]
fn ends_and_output() {
    let (scene, cancel) = (Scene::new(), Cancel::new().expect("a cancel"));
    let mut spec = sh(&scene, "cat; echo err >&2; exit 4");
    spec.stdin = Some("in\n".into());
    let end = run(&spec, &cancel);
    assert_eq!(end.how, ProbeExit::Exited { code: 4 });
    assert_eq!(
        (end.stdout.as_str(), end.stderr.as_str()),
        ("in\n", "err\n")
    );
    assert_eq!(
        run(&sh(&scene, "kill -9 $$"), &cancel).how,
        ProbeExit::Signaled { signal: 9 }
    );
    // All of it, also when much is still in the pipe at the exit.
    let end = run(&sh(&scene, "head -c 500000 /dev/zero"), &cancel);
    assert_eq!(
        (end.how, end.stdout.len()),
        (ProbeExit::Exited { code: 0 }, 500_000)
    );
}

#[test]
fn what_cannot_start_says_why() {
    let (scene, cancel) = (Scene::new(), Cancel::new().expect("a cancel"));
    let mut spec = sh(&scene, "");
    spec.argv = vec!["no-such-tool".into()];
    let ProbeExit::NotStarted { error } = run(&spec, &cancel).how else {
        panic!()
    };
    assert!(error.contains("no-such-tool"), "{error}");
    spec.argv = vec![];
    assert!(matches!(
        run(&spec, &cancel).how,
        ProbeExit::NotStarted { .. }
    ));
    let mut spec = sh(&scene, "");
    spec.cwd = "/no/dir".into();
    assert!(matches!(
        run(&spec, &cancel).how,
        ProbeExit::NotStarted { .. }
    ));
}

#[test]
fn time_and_size_are_bounded_for_the_whole_group() {
    let (scene, cancel) = (Scene::new(), Cancel::new().expect("a cancel"));
    let mut spec = sh(&scene, "trap '' TERM; sleep 300.TAG & sleep 300.TAG");
    spec.timeout_ms = 200;
    let end = run(&spec, &cancel);
    assert_eq!(end.how, ProbeExit::TimedOut);
    assert!((200..5_000).contains(&end.duration_ms), "{end:?}");
    crate::scene::until("the group's end", || scene.alive().is_empty());
    let mut spec = sh(&scene, "yes TAG");
    spec.max_output = 1000;
    let end = run(&spec, &cancel);
    assert_eq!(end.how, ProbeExit::TooMuchOutput);
    assert!(end.stdout.len() < 200_000);
    crate::scene::until("the group's end", || scene.alive().is_empty());
}

#[test]
fn a_cancel_ends_it_at_once() {
    let (scene, cancel) = (Scene::new(), Cancel::new().expect("a cancel"));
    let other = cancel.clone();
    let begun = Instant::now();
    let end = std::thread::scope(|s| {
        s.spawn(|| {
            scene.until_alive(1);
            other.cancel();
        });
        run(&sh(&scene, "exec sleep 300.TAG"), &cancel)
    });
    assert_eq!(end.how, ProbeExit::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(scene.alive(), [0; 0]);
    assert_eq!(
        run(&sh(&scene, "exec sleep 300.TAG"), &cancel).how,
        ProbeExit::Cancelled
    );
}

#[test]
fn a_held_pipe_keeps_nobody_waiting() {
    let (scene, cancel) = (Scene::new(), Cancel::new().expect("a cancel"));
    for script in ["sleep 300.TAG & echo hi", "setsid sleep 300.TAG & echo hi"] {
        let end = run(&sh(&scene, script), &cancel);
        assert_eq!(
            (end.how, end.stdout.as_str()),
            (ProbeExit::Exited { code: 0 }, "hi\n")
        );
        assert!(
            (200..3_000).contains(&end.duration_ms),
            "{}",
            end.duration_ms
        );
    }
}
