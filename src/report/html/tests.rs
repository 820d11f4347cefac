//! The page of a very long run.

use serde_json::json;

use crate::report::lines::Look;
use crate::report::story::Story;
use crate::words::event::{Event, Stamped};

use super::{Surroundings, document};

const COUNT: u64 = 10_000;

fn surroundings() -> Surroundings {
    Surroundings {
        look: Look {
            verbosity: 0,
            zone: jiff::tz::TimeZone::UTC.into(),
            program: "deployrun".into(),
            state_dir: "/nowhere".into(),
            tails: true,
        },
        owner: None,
        sources: vec![("plan.rhai".into(), "run(\"true\");\n".repeat(20_000))],
    }
}

/// Ten thousand steps that print, one in a hundred of which fails, as many facts, findings, notes
/// and samples.
fn long_story() -> Story {
    let mut story = Story::default();
    let mut seq = 0;
    let mut tell = |event: serde_json::Value| {
        let event: Event = serde_json::from_value(event).unwrap();
        seq += 1;
        story.tell(&Stamped {
            run: "20260321-2100-0007".into(),
            seq,
            at_ms: 1_774_126_800_000 + i64::try_from(seq).unwrap() * 10,
            event,
        });
    };
    let output = "a line of output that is neither short nor very long\n".repeat(100);
    let stream = json!({ "text": "", "cut": false });
    for n in 1..=COUNT {
        let place = json!({ "file": "plan.rhai", "line": n, "column": 1 });
        let id = (2 * n).to_string();
        tell(json!({
            "event": "step-started", "id": id, "attempt": 1, "limit_ms": 1000,
            "limit_by": "timeout", "place": place,
            "step": {
                "deed": { "command": format!("bin/deploy --host web{n} {}", "x".repeat(300)) },
                "title": format!("deploy to web{n}"), "timeout_ms": 1000, "grace_ms": 1,
                "codes": [0], "max_output": 1,
            },
        }));
        let (outcome, code) = if n % 100 == 0 {
            ("failed", 1)
        } else {
            ("succeeded", 0)
        };
        tell(json!({
            "event": "step-ended", "id": id, "attempt": 1, "outcome": outcome,
            "end": {
                "end": { "how": "exited", "code": code }, "cut_off": null, "duration_ms": 5,
                "stdout": stream, "stderr": stream, "tail": output,
                "output_bytes": output.len(), "dropped_bytes": 0,
                "left_running": [], "killed": [], "survivors": [],
            },
        }));
        let id = (2 * n + 1).to_string();
        tell(json!({
            "event": "called", "id": id, "place": place, "answer": { "value": "y".repeat(1000) },
            "call": { "function": "read", "name": "read_file", "args": ["/etc/hostname"] },
        }));
        tell(json!({
            "event": "finding", "id": id, "name": format!("check {n}"), "ok": true, "detail": "seen",
        }));
        tell(json!({ "event": "note", "warning": false, "text": format!("note {n}") }));
        let verdict = if n % 2 == 0 { "pass" } else { "fail" };
        tell(json!({
            "event": "sampled", "id": "1", "name": "page", "verdict": verdict, "bad": n % 2,
            "took_ms": 1,
        }));
    }
    story
}

#[test]
fn the_page_of_a_very_long_run_stays_small_and_says_what_is_left_out() {
    let story = long_story();
    let page = document(&story, &surroundings());
    assert!(page.len() < 4 * 1024 * 1024, "{} bytes", page.len());
    for said in [
        "9600 more steps, in a line each",
        "of output, left out here: ",
        "more lines, which are not shown here.",
        "more findings, which are not shown here.",
        "more facts, which are not shown here.",
        "more entries, which are not shown here.",
        "all 10000 steps",
    ] {
        assert!(page.contains(said), "{said}");
    }
    // Every step is there, and those that failed whole.
    for n in [1, 5_000, COUNT] {
        assert!(page.contains(&format!("id=\"step-{}\"", 2 * n)), "{n}");
    }
    assert_eq!(page.matches("<details class=\"step bad\"").count(), 100);
}
