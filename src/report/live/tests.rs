//! The panel in every phase, at three sizes: `tests/snapshots/panel`; `UPDATE_SNAPSHOTS=1` rewrites
//! them.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::board::Board;
use super::panel::{Output, Sight, panel};
use crate::report::Style;
use crate::words::event::{Event, Stamped};

const BEGIN: i64 = 1_774_126_800_000; // 2026-03-21T21:00:00Z

/// A run that is told, and the ends of its outputs.
#[derive(Default)]
struct Story {
    board: Board,
    outputs: BTreeMap<String, Output>,
    at_s: i64,
}

impl Story {
    fn begun() -> Self {
        let mut story = Self::default();
        story.tell(0, json!({
            "event": "run-started", "by": { "user": "ann", "host": "web1", "pid": 7 },
            "deployrun": "0.1.0", "plan": "/srv/plan.rhai", "fingerprint": "0123", "boot_id": "b",
        }));
        story.tell(
            0,
            json!({
                "event": "header",
                "header": { "name": "shop-web", "version": "2.4.0", "environment": "production",
                            "expected_ms": 1_200_000, "deadline_ms": 3_600_000,
                            "back_out_within_ms": 600_000, "approvals": ["the DBA's go"] },
            }),
        );
        story
    }

    fn released() -> Self {
        let mut story = Self::begun();
        story.phase(2, "waiting");
        story.tell(
            2,
            json!({ "event": "lock-taken", "environment": "production" }),
        );
        story.tell(
            2,
            json!({ "event": "window-open", "window": "w", "closes_ms": BEGIN + 5 * 3_600_000 }),
        );
        story.tell(2, json!({ "event": "gate-opened" }));
        story.phase(2, "release");
        story.watch(2, "3", "front page", false);
        story.watch(2, "4", "error rate below 1 %", false);
        story.watch(2, "5", "queue", true);
        story.step(3, "6", "upload assets", json!({}));
        story.ended(10, "6", 0);
        story
    }

    fn tell(&mut self, at_s: i64, event: Value) {
        let event: Event = serde_json::from_value(event).unwrap();
        self.at_s = at_s;
        self.board.tell(&Stamped {
            run: "20260321-2100-0007".into(),
            seq: 1,
            at_ms: BEGIN + 1000 * at_s,
            event,
        });
    }

    fn phase(&mut self, at_s: i64, phase: &str) {
        self.tell(at_s, json!({ "event": "phase", "phase": phase }));
    }

    fn watch(&mut self, at_s: i64, id: &str, name: &str, observe: bool) {
        self.tell(at_s, json!({
            "event": "called", "id": id, "place": { "file": "p", "line": 1, "column": 1 },
            "answer": { "value": null },
            "call": { "function": "watch", "name": name, "every_ms": 5000, "failures": 3,
                      "grace_ms": 0, "timeout_ms": 5000, "no_data_is_bad": true, "observe": observe },
        }));
    }

    fn sampled(&mut self, at_s: i64, id: &str, verdict: Value, bad: u32) {
        let mut event = json!({
            "event": "sampled", "id": id, "name": "", "bad": bad, "took_ms": 3,
        });
        event
            .as_object_mut()
            .unwrap()
            .extend(verdict.as_object().unwrap().clone());
        self.tell(at_s, event);
    }

    fn step(&mut self, at_s: i64, id: &str, title: &str, more: Value) {
        let mut step = json!({
            "deed": { "command": "act" }, "title": title, "timeout_ms": 600_000, "grace_ms": 1,
            "codes": [0], "max_output": 1,
            "back_out": { "undo": { "command": "undo" }, "title": format!("undo {title}"), "timeout_ms": 300_000 },
        });
        let step_map = step.as_object_mut().unwrap();
        step_map.extend(more.as_object().unwrap().clone());
        let limit = step["timeout_ms"].clone();
        self.tell(at_s, json!({
            "event": "step-started", "id": id, "attempt": 1, "limit_ms": limit, "limit_by": "timeout",
            "place": { "file": "plan.rhai", "line": 3, "column": 1 }, "step": step,
        }));
    }

    fn ended(&mut self, at_s: i64, id: &str, code: i32) {
        let outcome = if code == 0 { "succeeded" } else { "failed" };
        self.tell(
            at_s,
            json!({
                "event": "step-ended", "id": id, "attempt": 1, "outcome": outcome, "end": end(code),
            }),
        );
    }

    fn undo(&mut self, at_s: i64, id: &str) {
        self.tell(
            at_s,
            json!({
                "event": "back-out-started", "id": id, "title": "undo", "limit_ms": 300_000,
                "step_outcome": "succeeded", "attempt": 1,
            }),
        );
    }

    fn undone(&mut self, at_s: i64, id: &str, code: i32) {
        let outcome = if code == 0 { "succeeded" } else { "failed" };
        self.tell(at_s, json!({
            "event": "back-out-ended", "id": id, "title": "undo", "outcome": outcome, "end": end(code),
        }));
    }

    fn stop(&mut self, at_s: i64, cause: &str, reason: &str) {
        self.tell(
            at_s,
            json!({ "event": "stopping", "cause": cause, "reason": reason }),
        );
    }

    fn printed(&mut self, at_s: i64, directory: &str, lines: &[&str]) {
        let output = Output {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            grew_ms: Some(BEGIN + 1000 * at_s),
        };
        self.outputs.insert(directory.into(), output);
        self.at_s = at_s;
    }

    fn shown(&self, columns: usize, rows: usize, style: Style) -> String {
        let sight = Sight {
            outputs: &self.outputs,
            now_ms: BEGIN + 1000 * self.at_s,
            zone: &TimeZone::UTC,
            program: "deployrun",
        };
        let rows = panel(&self.board, &sight, columns, rows);
        rows.iter().map(|row| row.painted(style) + "\n").collect()
    }

    /// Compares what is shown at three sizes, and what it looks like in colours, with a snapshot.
    #[track_caller]
    fn snapshot(&self, name: &str) {
        let mut all = String::new();
        for (columns, rows) in [(80, 24), (120, 40), (40, 20)] {
            all.push_str(&format!("{columns}x{rows}\n"));
            all.push_str(&self.shown(columns, rows, Style::default()));
            all.push('\n');
        }
        let colours = self.shown(
            80,
            24,
            Style {
                color: true,
                columns: None,
            },
        );
        all.push_str(&format!(
            "80x24 in colours\n{}",
            colours.replace('\x1b', "^")
        ));
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/snapshots/panel")
            .join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, all).unwrap();
            return;
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            all == expected,
            "{} differs (UPDATE_SNAPSHOTS=1 rewrites it)\n--- expected\n{expected}\n--- shown\n{all}",
            path.display()
        );
    }
}

fn end(code: i32) -> Value {
    json!({
        "end": { "how": "exited", "code": code }, "cut_off": null, "duration_ms": 1500,
        "stdout": { "text": "", "cut": false }, "stderr": { "text": "", "cut": false },
        "tail": "", "output_bytes": 0, "dropped_bytes": 0,
        "left_running": [], "killed": [], "survivors": [],
    })
}

const PLACE: &str = r#"{ "file": "p", "line": 1, "column": 1 }"#;

fn began(id: &str, call: Value) -> Value {
    let place: Value = serde_json::from_str(PLACE).unwrap();
    json!({ "event": "call-began", "id": id, "place": place, "call": call })
}

#[test]
fn before_the_first_event_and_after_the_last_there_is_none() {
    let mut story = Story::default();
    assert_eq!(story.shown(80, 24, Style::default()), "");
    story = Story::released();
    assert!(!story.shown(80, 24, Style::default()).is_empty());
    story.tell(
        20,
        json!({ "event": "run-ended", "end": { "outcome": "released" } }),
    );
    assert_eq!(story.shown(80, 24, Style::default()), "");
}

#[test]
fn review() {
    Story::begun().snapshot("review");
}

#[test]
fn waiting_for_the_lock() {
    let mut story = Story::begun();
    story.phase(2, "waiting");
    let holder = "ben on web2, pid 4711, run 20260321-2055-0003, since 20:55 (shop-web 2.3.9)";
    story.tell(2, json!({ "event": "lock-waited", "holder": holder }));
    story.at_s = 65;
    story.snapshot("waiting_lock");
}

#[test]
fn waiting_for_approvals() {
    let mut story = Story::begun();
    story.phase(2, "waiting");
    story.tell(
        2,
        json!({ "event": "approval-asked", "name": "the DBA's go" }),
    );
    story.tell(
        2,
        json!({ "event": "approval-asked", "name": "change board" }),
    );
    story.at_s = 65;
    story.snapshot("waiting_approvals");
}

#[test]
fn waiting_for_the_window() {
    let mut story = Story::begun();
    story.phase(2, "waiting");
    story.tell(
        2,
        json!({
            "event": "window-awaited", "window": "w", "opens_ms": BEGIN + 3_600_000,
            "closes_ms": BEGIN + 5 * 3_600_000,
        }),
    );
    story.at_s = 3_600 - 12;
    story.snapshot("waiting_window");
}

#[test]
fn release() {
    let mut story = Story::released();
    story.step(11, "7", "bin/migrate up", json!({}));
    let lines = [
        "begin",
        "0001-shop.up.sql",
        "0002-order-state.up.sql",
        "0003-checkouts.up.sql",
        "12000 of 48000 rows",
    ];
    story.printed(80, "step-7-1", &lines);
    story.sampled(75, "3", json!({ "verdict": "pass" }), 0);
    story.sampled(
        79,
        "4",
        json!({ "verdict": "error", "detail": "0.7 is above 0.5" }),
        2,
    );
    story.sampled(80, "5", json!({ "verdict": "fail" }), 7);
    story.at_s = 83;
    story.snapshot("release");
}

#[test]
fn a_silent_step_near_its_limits() {
    let mut story = Story::released();
    let more = json!({ "timeout_ms": 120_000, "idle_timeout_ms": 60_000 });
    story.step(2_800, "7", "wait for the index 検索 → ready", more);
    story.printed(2_803, "step-7-1", &["building"]);
    story.at_s = 2_900;
    story.snapshot("silent");
}

#[test]
fn between_steps() {
    let mut story = Story::released();
    story.at_s = 15;
    story.snapshot("between");
}

#[test]
fn verify() {
    let mut story = Story::released();
    story.phase(30, "verify");
    let call = json!({ "function": "verify", "name": "checkout answers", "within_ms": 60_000, "every_ms": 1_000 });
    story.tell(30, began("8", call));
    story.tell(
        31,
        json!({ "event": "tried", "id": "8", "verdict": "fail" }),
    );
    story.tell(
        32,
        json!({ "event": "tried", "id": "8", "verdict": "error", "detail": "connection refused" }),
    );
    story.at_s = 42;
    story.snapshot("verify");
    story.tell(
        43,
        json!({ "event": "call-ended", "id": "8", "answer": { "value": true } }),
    );
    story.tell(43, began("9", json!({ "function": "soak", "ms": 120_000 })));
    story.at_s = 90;
    story.snapshot("soak");
}

#[test]
fn stopping_and_backing_out() {
    let mut story = Story::released();
    story.step(11, "7", "switch the link", json!({}));
    story.ended(12, "7", 0);
    story.step(13, "8", "bin/migrate up", json!({}));
    story.stop(
        20,
        "tripped-watch",
        "watch `front page` tripped: 3 bad samples in a row, last: fail",
    );
    story.at_s = 21;
    story.snapshot("stopping");
    story.ended(22, "8", 1);
    story.phase(22, "backing-out");
    story.undo(22, "8");
    story.undone(25, "8", 0);
    story.undo(25, "7");
    story.undone(26, "7", 1);
    story.undo(26, "6");
    story.printed(27, "back-out-6-1", &["deleting 1200 files"]);
    story.snapshot("backing_out");
    let signal = |count| json!({ "event": "interrupted", "signal": "SIGINT", "count": count });
    story.tell(28, signal(1));
    let text = story.shown(80, 24, Style::default());
    assert!(
        text.ends_with("Ctrl-C  again kills what is being ended, without grace\n"),
        "{text}"
    );
    story.tell(29, signal(2));
    let text = story.shown(80, 24, Style::default());
    assert!(
        text.ends_with("Ctrl-C  once more leaves the run half backed out\n"),
        "{text}"
    );
}

#[test]
fn a_step_that_never_acted_is_not_armed() {
    let mut story = Story::released();
    story.step(11, "7", "switch the link", json!({}));
    assert!(
        story
            .shown(80, 24, Style::default())
            .contains("backs out 2 steps")
    );
    story.tell(
        12,
        json!({ "event": "step-void", "id": "7", "attempt": 1, "reason": "no room" }),
    );
    assert!(
        story
            .shown(80, 24, Style::default())
            .contains("backs out 1 step\n")
    );
}
