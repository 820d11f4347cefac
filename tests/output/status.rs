//! Where runs stand, at a glance.

use regex::Regex;

use deployrun::Stamped;
use deployrun::report::lines::{Look, Zone};
use deployrun::report::status::{Beside, Seen, Status};

use super::scene::{Scene, told};

/// The same text, with the times that differ from run to run made alike.
fn steady(scene: &Scene, text: &str) -> String {
    let text = scene.normal(text);
    let mut text = Regex::new(r"\b(?:\d+(?:\.\d+)?(?:ms|s|m|h))+ ago")
        .expect("a pattern")
        .replace_all(&text, "TIME ago")
        .into_owned();
    for (pattern, with) in [
        (r": (?:\d+(?:ms|s|m|h))+ of ", ": TIME of "),
        (r"(?m)in (?:\d+(?:ms|s|m|h))+(,|$)", "in TIME$1"),
        (r"\d+ in a row", "N in a row"),
        (r"\w+ on [\w-]+, process", "USER on HOST, process"),
        (r#""(\w+_ms|seq)":\d+"#, r#""$1":0"#),
    ] {
        let regex = Regex::new(pattern).expect("a pattern");
        text = regex.replace_all(&text, with).into_owned();
    }
    text
}

const PLAN: &str = r#"plan(#{
    name: "shop-web", version: "2.4.0", environment: "production",
    expected: "20m", deadline: "1h", back_out_within: "10m",
    window: "Sat 20:00-23:30 UTC",
});
watch("front page", #{ every: "10ms", failures: 3 }, || true);
watch("queue", #{ every: "10ms", failures: 2, observe: true }, || file_exists("drained"));
wait_for_window();
run("true", #{ title: "switch", timeout: "1m", back_out: "true" });
run("echo one; echo two; while [ ! -e go ]; do sleep 0.02; done", #{
    title: "migrate", timeout: "10m", back_out: "true",
});
wait_for_approval("go live");
"#;

#[test]
fn a_run_from_its_first_step_to_its_end() {
    let scene = Scene::new(PLAN);
    let nothing = scene.run(&["status"]).expect(0);
    assert_eq!(scene.normal(&nothing.out), "nothing goes on in DIR/state\n");
    let mut run = scene.start(&mut scene.command(&["run", "plan.rhai", "-v"]));
    run.wait_for("| two");
    run.wait_for("queue: fail");
    run.wait_for("front page: pass");
    let status = || {
        let mut status = scene.command_at("2026-03-21T21:02:00Z", &["status", "2026"]);
        told(&mut status)
    };
    // What was told last may be in the journal a moment before or after it was told here.
    scene.exact_snapshot("status_step", &steady(&scene, &status().expect(5).out));
    let all = scene.run(&["status"]).expect(5);
    scene.exact_snapshot("status_all", &steady(&scene, &all.out));
    scene.write("go", "");
    run.wait_for("deployrun approve");
    scene.exact_snapshot("status_approval", &steady(&scene, &status().expect(5).out));
    scene.run(&["approve", "2026", "go live"]).expect(0);
    run.end().expect(0);
    scene.exact_snapshot("status_released", &steady(&scene, &status().expect(0).out));
    scene.run(&["status"]).expect(0);
}

#[test]
fn a_run_that_nobody_has() {
    let scene = Scene::new(PLAN);
    let mut run = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    run.wait_for("| two");
    run.kill();
    let status = scene.run(&["status", "2026"]).expect(4);
    scene.exact_snapshot("status_dead", &steady(&scene, &status.out));
    let json = scene.run(&["status", "--format", "json"]).expect(4);
    let line: serde_json::Value = serde_json::from_str(&json.out).expect("one line of JSON");
    assert_eq!(line["owner"], "dead");
    assert_eq!(line["steps"][0]["acts"], true, "{line}");
    assert_eq!(line["steps"][0]["tail"], serde_json::json!(["one", "two"]));
    assert_eq!(line["resume"], "deployrun resume 20260321-2100-0007");
    scene.write("go", "");
    scene.run(&["back-out", "2026", "--yes"]).expect(3);
    let ended = scene.run(&["status", "2026"]).expect(3);
    scene.exact_snapshot("status_backed_out", &steady(&scene, &ended.out));
    scene.run(&["status"]).expect(0);
    after_any_number_of_events(&scene);
}

/// Whatever has been written so far of a run, its status can be told, and it has ended only with
/// its last event.
fn after_any_number_of_events(scene: &Scene) {
    let shown = scene.run(&["show", "2026", "--format", "json"]).expect(0);
    let events: Vec<Stamped> = shown
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event"))
        .collect();
    let look = Look {
        verbosity: 0,
        zone: Zone::of_this_machine(),
        program: "deployrun".to_owned(),
        state_dir: String::new(),
        tails: false,
    };
    for count in 0..=events.len() {
        let status = Status::of(look.clone(), &events[..count]);
        for owner in [None, Some("somebody".to_owned())] {
            let expected = match (count == events.len(), &owner) {
                (true, _) => 3,
                (false, Some(_)) => 5,
                (false, None) => 4,
            };
            assert_eq!(status.exit_status(owner.is_some()), expected, "{count}");
            let beside = Beside {
                now_ms: 0,
                owner,
                seen: &|_| Seen::default(),
            };
            assert!(!status.screen(&beside, false).is_empty());
            assert!(status.json(&beside).is_object());
        }
    }
}

#[test]
fn one_that_waits_for_another() {
    let scene = Scene::new(
        "plan(#{ name: \"a\", environment: \"one\" });\n\
         run(\"echo on; while [ ! -e go ]; do sleep 0.02; done\", #{ back_out: () });\n",
    );
    let mut first = scene.start(&mut scene.command(&["run", "plan.rhai"]));
    first.wait_for("| on");
    let args = ["run", "plan.rhai", "--lock-wait", "1h"];
    let mut second = scene.start(&mut scene.command_at("2026-03-21T21:01:00Z", &args));
    second.wait_for("waiting: one is locked");
    let waits = scene.run(&["status", "20260321-2101"]).expect(5);
    scene.exact_snapshot("status_lock", &steady(&scene, &waits.out));
    scene.write("go", "");
    first.end().expect(0);
    second.end().expect(0);
}
