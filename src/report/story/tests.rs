//! What a story makes of events, on small cases; the property over all journals is in
//! `readings.rs`.

use serde_json::json;

use crate::words::event::{Event, Stamped};
use crate::words::outcome::Outcome;

use super::{Mark, Standing, Story};

/// Events as the journal has them, a second apart.
fn story(events: &[serde_json::Value]) -> Story {
    let mut at_ms = 0;
    let events: Vec<Stamped> = events
        .iter()
        .map(|event| {
            at_ms += 1000;
            let event: Event = serde_json::from_value(event.clone()).unwrap();
            Stamped {
                run: "r".into(),
                seq: 1,
                at_ms,
                event,
            }
        })
        .collect();
    Story::of(&events)
}

fn step_started(id: &str, attempt: u32) -> serde_json::Value {
    json!({
        "event": "step-started", "id": id, "attempt": attempt, "limit_ms": 1000, "limit_by": "timeout",
        "place": { "file": "p.rhai", "line": 3, "column": 1 },
        "step": {
            "deed": { "command": ["true"] }, "title": "migrate", "timeout_ms": 1000, "grace_ms": 1,
            "codes": [0], "max_output": 1, "back_out": {
                "undo": { "command": "false" }, "title": "false", "timeout_ms": 1,
            },
        },
    })
}

fn step_ended(id: &str, attempt: u32, outcome: &str) -> serde_json::Value {
    let stream = json!({ "text": "secret of nobody", "cut": false });
    json!({
        "event": "step-ended", "id": id, "attempt": attempt, "outcome": outcome,
        "end": {
            "end": { "how": "exited", "code": 0 }, "cut_off": null, "duration_ms": 5, "stdout": stream,
            "stderr": stream, "tail": "a\nb", "output_bytes": 3, "dropped_bytes": 0,
            "left_running": [], "killed": [], "survivors": [],
        },
    })
}

#[test]
fn tries_belong_to_their_step() {
    let told = story(&[
        step_started("7", 1),
        step_ended("7", 1, "failed"),
        step_started("7", 2),
        step_ended("7", 2, "succeeded"),
        step_started("8", 1),
    ]);
    let outcomes: Vec<_> = told.steps.iter().map(|s| s.outcome()).collect();
    assert_eq!(outcomes, [Some(Outcome::Succeeded), None]);
    assert_eq!(told.steps[0].tries.len(), 2);
    // Two tries took as long as from the begin of the first to the end of the last.
    assert_eq!(told.steps[0].ms(9000), 3000);
    assert_eq!(told.steps[1].ms(9000), 4000);
    assert_eq!(told.steps[0].end().unwrap().stdout.text, "");
    let marks = told.marks();
    let line = &marks["p.rhai"][&3];
    assert_eq!((line.mark, line.calls), (Mark::Open, 2));
    assert_eq!(line.step.as_ref().unwrap().to_string(), "8");
}

#[test]
fn what_is_armed_is_what_a_back_out_would_undo() {
    let told = story(&[
        step_started("1", 1),
        step_started("2", 1),
        step_started("3", 1),
        json!({ "event": "disarmed", "ids": ["2"], "reason": "given up" }),
        json!({
            "event": "back-out-started", "id": "3", "title": "false", "limit_ms": 1,
            "step_outcome": null, "attempt": 1,
        }),
        json!({ "event": "back-out-ended", "id": "3", "title": "false", "outcome": "succeeded" }),
    ]);
    let armed: Vec<String> = told.armed().map(ToString::to_string).collect();
    assert_eq!(armed, ["1"]);
    // Nothing stops the run: a group is tried again.
    assert_eq!(told.undone().count(), 0);
}

#[test]
fn a_run_that_was_left_is_left_until_it_is_taken_up() {
    let by = json!({ "user": "ada", "host": "web1", "pid": 1 });
    let left = json!({ "event": "left", "reason": "SIGINT, number 3" });
    let resumed = json!({ "event": "run-resumed", "by": by, "command": "resume", "boot_id": "" });
    let mut events = vec![json!({ "event": "gate-opened" }), left];
    assert_eq!(
        story(&events).standing(),
        Standing::Left("SIGINT, number 3")
    );
    events.push(resumed);
    let told = story(&events);
    assert_eq!(told.standing(), Standing::Open);
    assert_eq!(told.taken_up[0].after_ms, 1000);
    assert_eq!(told.outcome_word(), "not-ended");
}

#[test]
fn samples_that_see_the_same_are_one_stretch() {
    let sample = |verdict: &str, bad: u32| {
        json!({
            "event": "sampled", "id": "4", "name": "page", "verdict": verdict, "bad": bad,
            "took_ms": 1,
        })
    };
    let watch = json!({
        "event": "called", "id": "4", "place": { "file": "p.rhai", "line": 1, "column": 1 },
        "call": {
            "function": "watch", "name": "page", "every_ms": 1, "failures": 2, "grace_ms": 0,
            "timeout_ms": 1, "no_data_is_bad": false, "observe": false,
        },
        "answer": { "value": null },
    });
    let told = story(&[
        watch,
        sample("pass", 0),
        sample("pass", 0),
        sample("fail", 1),
        sample("fail", 2),
        sample("pass", 0),
    ]);
    let watch = &told.watches()[0];
    let counts: Vec<u64> = watch.stretches.iter().map(|s| s.count).collect();
    assert_eq!(counts, [2, 2, 1]);
    assert_eq!(
        (watch.samples, watch.bad_samples, watch.tripped),
        (5, 2, true)
    );
    assert_eq!(told.marks()["p.rhai"][&1].mark, Mark::Bad);
}
