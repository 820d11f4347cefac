//! The exit status of every command and every end of a run, in one table.

use super::scene::{Scene, told};

const HEAD: &str = "plan(#{ name: \"a\", environment: \"one\" });\n";

/// Plans, what they are run with, and the status: 0 stands for a release and for nothing else.
const RUNS: &[(&str, &str, &[&str], i32)] = &[
    ("nothing to do", "", &[], 0),
    ("released", "run(\"true\");", &[], 0),
    (
        "a failure that is handled",
        "try { run(\"false\"); } catch {}",
        &[],
        0,
    ),
    (
        "in no window, set aside",
        "wait_for_window(\"2020-01-01T00:00Z/PT1H\"); run(\"true\");",
        &["--override-window", "a test"],
        0,
    ),
    (
        "a failed check",
        "check(\"no\", false); run(\"true\");",
        &[],
        1,
    ),
    (
        "a failed check and nothing else",
        "check(\"no\", false);",
        &[],
        1,
    ),
    (
        "an error before the first step",
        "throw \"no\"; run(\"true\");",
        &[],
        1,
    ),
    ("aborted before the first step", "abort(\"no\");", &[], 1),
    (
        "no window left",
        "wait_for_window(\"2020-01-01T00:00Z/PT1H\"); run(\"true\");",
        &[],
        1,
    ),
    (
        "a watch that trips in the review",
        "watch(\"w\", #{ every: \"10ms\", failures: 1 }, || false); sleep(\"1m\"); run(\"true\");",
        &[],
        1,
    ),
    (
        "nobody approves in the review",
        "wait_for_approval(\"go\", #{ timeout: \"50ms\" }); run(\"true\");",
        &[],
        1,
    ),
    ("errors in the plan", "rnu(\"true\");", &[], 1),
    (
        "a failed step",
        "run(\"true\", #{ back_out: \"true\" }); run(\"false\");",
        &[],
        3,
    ),
    (
        "a failed step and nothing to undo",
        "run(\"false\");",
        &[],
        3,
    ),
    (
        "a step that cannot be started",
        "run([\"/no/such/program\"]);",
        &[],
        3,
    ),
    (
        "a check after the first step",
        "run(\"true\"); check(\"no\", false);",
        &[],
        3,
    ),
    (
        "an error after the first step",
        "run(\"true\"); throw \"no\";",
        &[],
        3,
    ),
    (
        "aborted after the first step",
        "run(\"true\"); abort(\"no\");",
        &[],
        3,
    ),
    (
        "a failed verify, caught",
        "run(\"true\"); try { verify(\"v\", #{ within: \"0s\" }, || false); } catch {}",
        &[],
        3,
    ),
    (
        "a tripped watch",
        "run(\"true\"); watch(\"w\", #{ every: \"10ms\", failures: 1 }, || false); soak(\"1m\");",
        &[],
        3,
    ),
    (
        "a back-out that fails",
        "run(\"true\", #{ back_out: \"false\" }); abort(\"no\");",
        &[],
        4,
    ),
    (
        "a back-out closure that throws",
        "run(\"true\", #{ back_out: || { throw \"no\" } }); abort(\"no\");",
        &[],
        4,
    ),
    (
        "behind the point of no return",
        "run(\"true\", #{ back_out: \"true\" }); point_of_no_return(\"gone\"); abort(\"no\");",
        &[],
        4,
    ),
];

#[test]
fn a_run_ends_with_the_status_of_its_outcome() {
    let mut wrong = Vec::new();
    for (name, body, args, status) in RUNS {
        let scene = Scene::new(&format!("{HEAD}{body}\n"));
        let told = scene.run(&[&["run", "plan.rhai"], *args].concat());
        let outcome = match status {
            0 => "released",
            1 => "refused",
            3 => "backed-out",
            _ => "stuck",
        };
        let runs = scene.run(&["runs", "--format", "json"]).out;
        let known = runs.contains(&format!("\"outcome\":\"{outcome}\""));
        // A plan with errors is no run.
        if told.status != Some(*status) || (!known && !runs.is_empty()) {
            wrong.push(format!(
                "{name}: {:?} instead of {status}\n{}{}{runs}",
                told.status, told.out, told.err
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Variables that are set.
type Env = &'static [(&'static str, &'static str)];

#[test]
fn wrong_usage_starts_nothing() {
    let scene = Scene::new(&format!(
        "{HEAD}run(\"touch acted\", #{{ back_out: () }});\n"
    ));
    let plain: Env = &[];
    let cases: &[(&[&str], Env)] = &[
        (&[], plain),
        (&["frobnicate"], plain),
        (&["run"], plain),
        (&["run", "plan.rhai", "--frobnicate"], plain),
        (&["run", "plan.rhai", "-e", "novalue"], plain),
        (&["run", "plan.rhai", "-e", "=value"], plain),
        (&["run", "plan.rhai", "--lock-wait", "soon"], plain),
        (&["run", "plan.rhai", "--override-window", " "], plain),
        (&["run", "plan.rhai", "--format", "yaml"], plain),
        (&["run", "plan.rhai", "-q", "-v"], plain),
        (&["resume"], plain),
        (&["back-out", "--yes"], plain),
        (&["runs", "--limit", "many"], plain),
        (&["window"], plain),
        (&["window", "sometimes"], plain),
        (&["run", "plan.rhai"], &[("DEPLOYRUN_FORMAT", "yaml")]),
        (&["run", "plan.rhai"], &[("DEPLOYRUN_LOCK_WAIT", "soon")]),
        (&["run", "plan.rhai"], &[("DEPLOYRUN_TEST_NOW", "soon")]),
        (
            &["run", "plan.rhai"],
            &[("DEPLOYRUN_TEST_NOW", "2026-03-21T21:00")],
        ),
        (&["run", "plan.rhai"], &[("DEPLOYRUN_TEST_NOW", "")]),
        (&["resume", "2026"], &[("DEPLOYRUN_TEST_NOW", "soon")]),
        (&["run", "plan.rhai"], &[("DEPLOYRUN_TEST_RANDOM", "dice")]),
    ];
    for (args, env) in cases {
        let told = told(scene.command(args).envs(env.iter().copied()));
        assert_eq!(
            told.status,
            Some(2),
            "{args:?} {env:?}\n{}{}",
            told.out,
            told.err
        );
        assert!(!told.err.is_empty(), "{args:?} {env:?}: it says nothing");
        assert!(!scene.path("acted").exists(), "{args:?} {env:?}: it acted");
    }
    let bad = told(
        scene
            .command(&["run", "plan.rhai"])
            .env("DEPLOYRUN_TEST_NOW", "soon"),
    );
    assert_eq!(
        bad.err,
        "error: DEPLOYRUN_TEST_NOW is `soon`, not an instant in RFC 3339, such as \
         2026-03-21T21:00:00Z; nothing was started\n"
    );
    for args in [&["--help"][..], &["--version"], &["run", "--help"]] {
        scene.run(args).expect(0);
    }
}

#[test]
fn what_is_not_there_or_over_is_refused() {
    let scene = Scene::new(&format!("{HEAD}run(\"true\", #{{ back_out: () }});\n"));
    for args in [
        &["run", "nowhere.rhai"][..],
        &["run", "plan.rhai", "--state", "plan.rhai"],
        &["resume", "2026"],
        &["back-out", "--yes", "2026"],
        &["show", "2026"],
        &["logs", "2026"],
        &["approve", "2026", "go"],
        &["check", "nowhere.rhai"],
    ] {
        scene.run(args).expect(1);
    }
    scene.run(&["run", "plan.rhai"]).expect(0);
    for (args, status) in [
        (&["resume", "2026"][..], 1),
        (&["back-out", "--yes", "2026"], 1),
        (&["approve", "2026", "go"], 1),
        (&["logs", "2026", "7"], 1),
        (&["resume", "3"], 1),
        (&["check", "plan.rhai"], 0),
        (&["runs"], 0),
        (&["show", "2026"], 0),
        (&["logs", "2026"], 0),
        (&["window", "daily 01:00-02:00 UTC"], 0),
    ] {
        scene.run(args).expect(status);
    }
}

#[test]
fn a_run_that_lives_one_that_was_left_and_one_that_is_taken_up() {
    let scene = Scene::new(&format!(
        "{HEAD}run(\": > ready; while ! test -e go; do sleep 0.05; done\", #{{ back_out: \"true\" }});\n\
         wait_for_approval(\"go\");\n"
    ));
    let mut going = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    going.wait_for("step    [2]");
    for args in [&["resume", "2026"][..], &["back-out", "--yes", "2026"]] {
        scene.run(args).expect(5);
    }
    scene.run(&["approve", "2026", "go"]).expect(1);
    going.kill();
    // Without a terminal to ask at.
    scene.run(&["back-out", "2026"]).expect(1);
    scene.write("go", "");
    let mut going = scene.start(&mut scene.command(&["resume", "2026"]));
    going.wait_for("  deployrun approve");
    scene.run(&["approve", "2026", "stop"]).expect(1);
    scene.run(&["approve", "2026", "go"]).expect(0);
    going.end().expect(0);

    let mut command = scene.command(&["run", "plan.rhai"]);
    let mut going = scene.start(command.env("DEPLOYRUN_TEST_RANDOM", "8"));
    going.wait_for("  deployrun approve");
    going.kill();
    scene
        .run(&["back-out", "--yes", "20260321-2100-0008"])
        .expect(3);
}
