use serde_json::json;

use super::*;
use crate::words::event::StillChanged;
use crate::words::outcome::{RunOutcome, StopCause};

const BEGIN: i64 = 1_774_126_800_000; // 2026-03-21T21:00:00Z

fn lines(verbosity: i8) -> Lines {
    Lines::new(Look {
        verbosity,
        zone: jiff::tz::TimeZone::UTC.into(),
        program: "deployrun".into(),
        state_dir: "/state".into(),
        tails: true,
    })
}

fn at(seconds: i64, event: Event) -> Stamped {
    Stamped {
        run: "20260321-2100-0007".into(),
        seq: 1,
        at_ms: BEGIN + 1000 * seconds,
        event,
    }
}

fn event(value: serde_json::Value) -> Event {
    serde_json::from_value(value).unwrap()
}

fn start() -> Event {
    event(json!({
        "event": "run-started", "by": { "user": "ann", "host": "web1", "pid": 7 },
        "deployrun": "0.1.0", "plan": "/srv/plan.rhai", "fingerprint": "0123456789abcdef",
        "boot_id": "b",
    }))
}

fn header() -> Event {
    event(json!({
        "event": "header",
        "header": { "name": "shop", "version": "2", "environment": "production",
                    "owner": "web team", "support": "call 4711" },
    }))
}

fn phase(phase: Phase) -> Event {
    Event::Phase { phase }
}

fn step(id: &str) -> Event {
    event(json!({
        "event": "step-started", "id": id, "attempt": 1, "place": { "file": "plan.rhai", "line": 3, "column": 1 },
        "limit_ms": 60_000, "limit_by": "timeout",
        "step": { "deed": { "command": "act" }, "title": format!("act {id}"), "timeout_ms": 60_000,
                  "grace_ms": 1, "codes": [0], "max_output": 1,
                  "back_out": { "undo": { "command": "undo" }, "title": "undo", "timeout_ms": 1000 } },
    }))
}

fn step_end(id: &str, code: i32, tail: &str) -> Event {
    let outcome = if code == 0 { "succeeded" } else { "failed" };
    event(json!({
        "event": "step-ended", "id": id, "attempt": 1, "outcome": outcome,
        "end": { "end": { "how": "exited", "code": code }, "cut_off": null, "duration_ms": 1500,
                 "stdout": { "text": "", "cut": false }, "stderr": { "text": "", "cut": false },
                 "tail": tail, "output_bytes": tail.len(), "dropped_bytes": 0,
                 "left_running": [], "killed": [], "survivors": [] },
    }))
}

fn end(outcome: RunOutcome) -> RunEnd {
    RunEnd {
        outcome,
        cause: Some(StopCause::FailedStep),
        reason: "`act 2` failed with exit status 3 after 1.5s".into(),
        still_changed: Vec::new(),
        survivors: Vec::new(),
        without_back_out: Vec::new(),
        unwritten: Vec::new(),
    }
}

fn told(lines: &mut Lines, events: impl IntoIterator<Item = Stamped>) -> String {
    let mut text = String::new();
    for event in events {
        for line in lines.tell(&event) {
            text.push_str(&line.plain());
            text.push('\n');
        }
    }
    text
}

/// What is told of the event behind a begun run.
fn after_begin(verbosity: i8, events: Vec<Event>) -> String {
    let mut lines = lines(verbosity);
    told(&mut lines, [at(0, start()), at(0, header())]);
    lines.heading = None;
    told(&mut lines, events.into_iter().map(|event| at(1, event)))
}

#[test]
fn a_heading_comes_with_the_first_line_under_it() {
    let text = after_begin(
        0,
        vec![phase(Phase::Waiting), phase(Phase::Release), step("2")],
    );
    assert_eq!(
        text,
        "\n== release ==\n\
         21:00:01  step    [2] act 2\n                  \
         plan.rhai:3:1; at most 1m; back-out: `undo`\n"
    );
}

#[test]
fn a_plan_that_fails_before_its_header_has_a_head() {
    let mut lines = lines(0);
    let stop = Event::Stopping {
        cause: StopCause::ScriptError,
        reason: "oh".into(),
        place: None,
        detail: String::new(),
    };
    let text = told(&mut lines, [at(0, start()), at(0, stop)]);
    assert!(
        text.starts_with("run 20260321-2100-0007: plan\n  started"),
        "{text}"
    );
    assert!(
        text.ends_with("21:00:00  STOP    script error: oh\n"),
        "{text}"
    );
}

#[test]
fn another_day_is_said() {
    let mut lines = lines(0);
    told(&mut lines, [at(0, start()), at(0, header())]);
    lines.heading = None;
    let text = told(
        &mut lines,
        [at(3 * 3600, Event::HungUp), at(3 * 3600, Event::HungUp)],
    );
    let line = "00:00:00  note    the terminal went away; the run goes on\n";
    assert_eq!(text, format!("-- Sun 2026-03-22 --\n{line}{line}"));
}

#[test]
fn quiet_says_failures_alone() {
    let events = vec![
        phase(Phase::Release),
        step("2"),
        step_end("2", 0, "fine"),
        step("3"),
        step_end("3", 3, "bad"),
    ];
    let text = after_begin(-1, events);
    assert_eq!(
        text,
        "21:00:01  FAILED  [3] act 3: failed with exit status 3 after 1.5s\n"
    );
}

#[test]
fn only_what_was_undone_is_as_before() {
    let mut end = end(RunOutcome::BackedOut);
    let text = after_begin(0, vec![Event::RunEnded { end: end.clone() }]);
    assert!(
        text.contains("backed out, production is as before: shop 2 → production\n"),
        "{text}"
    );
    end.without_back_out = vec!["first".into(), "second".into()];
    let text = after_begin(0, vec![Event::RunEnded { end }]);
    assert!(!text.contains("as before"), "{text}");
    assert!(
        text.contains("backed out, except for 2 steps that have no back-out"),
        "{text}"
    );
    let second = text.find("NOT undone second (it has no back-out: nothing vouches for it)");
    let first = text.find("NOT undone first (it has no back-out: nothing vouches for it)");
    assert!(second.is_some() && second < first, "{text}");
}

#[test]
fn stuck_says_what_stands_and_whom_to_call() {
    let mut end = end(RunOutcome::Stuck);
    end.still_changed = vec![StillChanged {
        call: CallId::main(2),
        title: "act 2".into(),
        why: "its back-out failed".into(),
        tail: "one\ntwo".into(),
        command: Some("undo".into()),
    }];
    end.survivors = vec![ProcessFact {
        pid: 4711,
        state: 'D',
        command: "dd if=/dev/sda".into(),
        holds_output: true,
    }];
    let stop = Event::Stopping {
        cause: StopCause::FailedStep,
        reason: end.reason.clone(),
        place: Some(Place::new("plan.rhai", 3, 1)),
        detail: String::new(),
    };
    let events = vec![
        step("2"),
        step_end("2", 3, "oh\nno"),
        stop,
        Event::RunEnded { end },
    ];
    let text = after_begin(0, events);
    let recap = text.split_once("\n\n").unwrap().1;
    assert_eq!(
        recap,
        "STUCK, a person is needed: shop 2 → production
  why        failed step: `act 2` failed with exit status 3 after 1.5s
             at plan.rhai:3:1
             | oh
             | no
  NOT undone [2] act 2
             its back-out failed
             | one
             | two
             to undo it, in /srv:
               undo
  lives on   pid 4711, state D, holds the step's output open: dd if=/dev/sda
  owner      web team
  support    call 4711
  run        20260321-2100-0007, took 1s
  output     deployrun logs 20260321-2100-0007
  whole      deployrun show 20260321-2100-0007
  next       put right by hand what is not undone, with the commands above
"
    );
}

#[test]
fn the_same_output_is_not_told_twice_in_a_row() {
    let detail = "`act 2` failed\n  --> plan.rhai:3:1\n   = the last lines of its output:\n     | oh\n   = hint: x";
    let stop = Event::Stopping {
        cause: StopCause::FailedStep,
        reason: "`act 2` failed".into(),
        place: None,
        detail: detail.into(),
    };
    let text = after_begin(0, vec![step("2"), step_end("2", 3, "oh"), stop.clone()]);
    assert_eq!(text.matches("| oh").count(), 1, "{text}");
    assert!(text.ends_with(" = hint: x\n"), "{text}");
    let text = after_begin(-1, vec![step("2"), step_end("2", 3, "oh"), stop]);
    assert_eq!(text.matches("| oh").count(), 1, "{text}");
}

#[test]
fn a_second_interrupt_is_told_what_a_third_one_does() {
    let signal = |count| Event::Interrupted {
        signal: "SIGTERM".into(),
        count,
    };
    let text = after_begin(0, vec![phase(Phase::Review), signal(1)]);
    assert_eq!(
        text,
        "21:00:01  signal  SIGTERM: stopping; nothing has been changed\n"
    );
    let text = after_begin(
        0,
        vec![phase(Phase::BackingOut), signal(1), signal(2), signal(3)],
    );
    for part in [
        "SIGTERM: the back-out is under way and goes on\n",
        "again: kill what is being ended; a third time: leave it half backed out\n",
        "come back with `deployrun back-out 20260321-2100-0007`\n",
        "SIGTERM, number 3: leaving the run as it is\n",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn who_takes_a_run_up_is_asked_what_is_open() {
    let mut lines = lines(0);
    let asked = Event::ApprovalAsked { name: "go".into() };
    let awaited = event(json!({
        "event": "window-awaited", "window": "daily 22:00-23:00 UTC",
        "opens_ms": BEGIN + 3_600_000, "closes_ms": BEGIN + 7_200_000,
    }));
    let before = [
        start(),
        header(),
        phase(Phase::Waiting),
        asked,
        awaited,
        step("2"),
    ];
    for event in before {
        lines.recall(&at(0, event));
    }
    let resumed = event(json!({
        "event": "run-resumed", "by": { "user": "ben", "host": "web1", "pid": 8 },
        "command": "resume", "boot_id": "b",
    }));
    let text = told(&mut lines, [at(60, resumed)]);
    assert_eq!(
        text,
        "run 20260321-2100-0007 is taken up again by ben@web1: shop 2 → production
  at         Sat 2026-03-21 21:01:00 +00:00
  started    Sat 2026-03-21 21:00:00 +00:00 by ann@web1

== waiting ==
21:01:00  step    act 2 was not seen to end; its end is looked for
21:01:00  approve somebody must approve `go`:
                  deployrun approve 20260321-2100-0007 'go'
"
    );
    let keys: Vec<&str> = lines.activities().iter().map(|a| a.key.as_str()).collect();
    assert_eq!(keys, ["step-2-1", "approval go"]);
}

#[test]
fn a_sign_of_life_says_how_much_of_how_much() {
    let mut lines = lines(0);
    told(
        &mut lines,
        [at(0, start()), at(0, header()), at(0, step("2"))],
    );
    let [activity] = lines.activities() else {
        panic!("{:?}", lines.activities())
    };
    assert_eq!(
        activity.sign_of_life(BEGIN + 40_900),
        "still running: act 2, 40s of 1m"
    );
    // A clock that was set back.
    assert_eq!(
        activity.sign_of_life(BEGIN - 5_000),
        "still running: act 2, 0s of 1m"
    );
    told(&mut lines, [at(50, step_end("2", 0, ""))]);
    assert!(lines.activities().is_empty());
}

#[test]
fn notes_of_several_lines_stay_in_their_column() {
    let note = Event::Note {
        warning: true,
        text: "one\n\x1b[2Jtwo".into(),
    };
    let text = after_begin(0, vec![note]);
    assert_eq!(
        text,
        "21:00:01  WARNING one\n                  \\x1b[2Jtwo\n"
    );
}

#[test]
fn the_tail_of_a_long_output_is_told_with_the_gap() {
    let tail: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let tail = tail.join("\n");
    let text = after_begin(0, vec![step("2"), step_end("2", 0, &tail)]);
    assert!(
        text.contains("| ... 20 lines before\n            | 20\n"),
        "{text}"
    );
    let text = after_begin(1, vec![step("2"), step_end("2", 0, &tail)]);
    assert!(text.contains("            | 0\n"), "{text}");
}

#[test]
fn long_times_are_told_in_minutes() {
    assert_eq!(coarse(59_999), "59s");
    assert_eq!(coarse(3 * 3_600_000 - 1), "2h59m");
    assert_eq!(quoted("it's"), r"'it'\''s'");
}

#[test]
fn past_the_point_of_no_return_nobody_is_sent_back_blindly() {
    let gone = event(json!({
        "event": "disarmed", "ids": ["2"], "reason": "data is gone", "no_return": true,
    }));
    let end = event(json!({
        "event": "run-ended",
        "end": {
            "outcome": "stuck", "cause": "failed-step", "reason": "no",
            "still_changed": [{ "call": "2", "title": "act 2", "why": "before", "command": "undo" }],
        },
    }));
    let text = after_begin(0, vec![step("2"), step_end("2", 0, ""), gone, end]);
    assert!(
        text.ends_with(
            "  next       go forward, or put right by hand: the commands above were made for the \
             time before the point of no return\n"
        ),
        "{text}"
    );
}

#[test]
fn a_long_run_is_told_phase_by_phase_and_with_its_slowest_steps() {
    let mut lines = lines(0);
    told(&mut lines, [at(0, start()), at(0, header())]);
    let slow = |id: &str, ms: u64| {
        let Event::StepEnded {
            id,
            attempt,
            outcome,
            mut end,
            again,
        } = step_end(id, 0, "")
        else {
            panic!("no end")
        };
        end.duration_ms = ms;
        Event::StepEnded {
            id,
            attempt,
            outcome,
            end,
            again,
        }
    };
    let events = vec![
        at(0, phase(Phase::Waiting)),
        at(3_600, phase(Phase::Release)),
        at(3_600, step("2")),
        at(3_606, slow("2", 6_000)),
        at(3_606, step("3")),
        at(3_610, slow("3", 4_000)),
        at(3_610, step("4")),
        at(3_700, slow("4", 90_000)),
        at(3_700, phase(Phase::Verify)),
        at(3_720, phase(Phase::Released)),
    ];
    told(&mut lines, events);
    let end = RunEnd {
        cause: None,
        reason: String::new(),
        ..end(RunOutcome::Released)
    };
    let recap = told(&mut lines, [at(3_720, Event::RunEnded { end })]);
    assert_eq!(
        recap,
        "
released: shop 2 → production
  run        20260321-2100-0007, took 1h2m
  phases     review <1s, waiting 1h, release 1m40s, verify 20s
  slowest    [4] act 4, 1m30s
             [2] act 2, 6s
  output     deployrun logs 20260321-2100-0007
"
    );
}

#[test]
fn what_a_plan_has_caught_is_told_at_its_end() {
    let released = RunEnd {
        cause: None,
        reason: String::new(),
        ..end(RunOutcome::Released)
    };
    let group = |text: &str| {
        event(json!({
            "event": "called", "id": "4", "place": { "file": "plan.rhai", "line": 3, "column": 1 },
            "call": { "function": "step_begin", "title": text, "timeout_ms": null, "retries": 1 },
            "answer": { "value": null }, "took_ms": 0,
        }))
    };
    let tried_again = event(json!({
        "event": "called", "id": "6", "place": { "file": "plan.rhai", "line": 3, "column": 1 },
        "call": { "function": "step_end", "begin": 4, "failed": "no" },
        "answer": { "value": true }, "took_ms": 0,
    }));
    let events = vec![
        step("2"),
        step_end("2", 3, ""),
        group("both"),
        // Of a group that is tried again only the last try counts.
        step("5"),
        step_end("5", 3, ""),
        tried_again,
        Event::RunEnded { end: released },
    ];
    let text = after_begin(0, events);
    let (_, recap) = text.split_once("released: ").expect(&text);
    let caught: Vec<&str> = recap.lines().filter(|l| l.contains("caught")).collect();
    assert_eq!(
        caught,
        ["  caught     [2] act 2: failed with exit status 3 after 1.5s"],
        "{text}"
    );
    // What is the reason to stop is told as such.
    let stopping = Event::Stopping {
        cause: StopCause::FailedStep,
        reason: "`act 4` failed with exit status 3 after 1.5s".into(),
        place: None,
        detail: String::new(),
    };
    let events = vec![
        step("2"),
        step_end("2", 3, ""),
        step("4"),
        step_end("4", 3, ""),
        stopping,
        Event::RunEnded {
            end: RunEnd {
                reason: "`act 4` failed with exit status 3 after 1.5s".into(),
                ..end(RunOutcome::BackedOut)
            },
        },
    ];
    let text = after_begin(0, events);
    let caught: Vec<&str> = text.lines().filter(|l| l.contains("caught")).collect();
    assert_eq!(
        caught,
        ["  caught     [2] act 2: failed with exit status 3 after 1.5s"],
        "{text}"
    );
}

#[test]
fn a_watch_that_is_only_observed_is_told_when_it_turns_bad() {
    let watch = event(json!({
        "event": "called", "id": "2", "place": { "file": "plan.rhai", "line": 3, "column": 1 },
        "call": { "function": "watch", "name": "queue", "every_ms": 1000, "failures": 1, "grace_ms": 0,
                  "timeout_ms": 1000, "no_data_is_bad": true, "observe": true },
        "answer": { "value": null }, "took_ms": 0,
    }));
    let sampled = |bad: u32| {
        event(
            json!({ "event": "sampled", "id": "2", "name": "queue", "verdict": "fail", "bad": bad, "took_ms": 1 }),
        )
    };
    let told = |verbosity| {
        let text = after_begin(
            verbosity,
            vec![watch.clone(), sampled(1), sampled(2), sampled(3)],
        );
        text.lines().filter(|l| l.contains("in a row")).count()
    };
    assert_eq!((told(0), told(1)), (1, 3));
}

#[test]
fn who_wants_to_see_each_event_does() {
    let text = after_begin(2, vec![phase(Phase::Release), step("2")]);
    assert_eq!(
        text,
        "
== release ==
21:00:01  event   1 phase
21:00:01  step    [2] act 2
                  plan.rhai:3:1; at most 1m; back-out: `undo`
21:00:01  event   1 step-started [2]
"
    );
    assert!(!after_begin(1, vec![step("2")]).contains("event"));
}

#[test]
fn a_step_that_never_acted_is_not_armed() {
    let mut lines = lines(0);
    told(
        &mut lines,
        [at(0, start()), at(0, header()), at(0, step("2"))],
    );
    assert_eq!(lines.armed().count(), 1);
    let void = event(json!({ "event": "step-void", "id": "2", "attempt": 1, "reason": "no room" }));
    told(&mut lines, [at(0, void)]);
    assert_eq!(lines.armed().count(), 0);
    told(&mut lines, [at(0, step("2")), at(0, step_end("2", 0, ""))]);
    assert_eq!(lines.armed().count(), 1);
}
