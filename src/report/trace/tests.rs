//! Whatever events come, and wherever they break off.

use super::spans::Spans;
use crate::words::call::{Answer, Call, CallId};
use crate::words::event::{Actor, Event, RunEnd, Stamped, Verdict};
use crate::words::outcome::{Outcome, Phase, RunOutcome, StopCause};
use crate::words::place::Place;

fn stamped(seq: u64, at_ms: i64, event: Event) -> Stamped {
    Stamped {
        run: "20260321-2100-0007".into(),
        seq,
        at_ms,
        event,
    }
}

fn started() -> Event {
    Event::RunStarted {
        by: Actor::default(),
        deployrun: String::new(),
        plan: String::new(),
        fingerprint: String::new(),
        args: serde_json::Map::new(),
        boot_id: String::new(),
        clock_injected: false,
        approved: None,
        trace_parent: None,
    }
}

fn ended(outcome: RunOutcome, cause: Option<StopCause>) -> Event {
    Event::RunEnded {
        end: RunEnd {
            outcome,
            cause,
            reason: String::new(),
            still_changed: Vec::new(),
            survivors: Vec::new(),
            without_back_out: Vec::new(),
            unwritten: Vec::new(),
        },
    }
}

fn phase(phase: Phase) -> Event {
    Event::Phase { phase }
}

fn back_out(began: bool) -> Event {
    let id = CallId::main(3);
    if began {
        Event::BackOutStarted {
            id,
            title: "down".into(),
            limit_ms: 1000,
            step_outcome: None,
            attempt: 1,
        }
    } else {
        Event::BackOutEnded {
            id,
            title: "down".into(),
            outcome: Outcome::Unknown,
            end: None,
            detail: "nobody saw its end".into(),
        }
    }
}

fn names(spans: &mut Spans) -> Vec<String> {
    spans.take().into_iter().map(|span| span.name).collect()
}

#[test]
fn what_comes_without_a_begin_makes_no_span() {
    let mut spans = Spans::default();
    for (n, event) in [
        back_out(true),
        back_out(false),
        phase(Phase::Release),
        ended(RunOutcome::Stuck, None),
    ]
    .into_iter()
    .enumerate()
    {
        spans.tell(&stamped(n as u64, 0, event));
    }
    assert!(spans.take().is_empty());
}

#[test]
fn a_clock_that_is_set_back_makes_no_span_that_ends_before_it_begins() {
    let mut spans = Spans::default();
    spans.tell(&stamped(1, 5_000, started()));
    spans.tell(&stamped(2, 3_000, phase(Phase::Waiting)));
    spans.tell(&stamped(
        3,
        1_000,
        ended(RunOutcome::Refused, Some(StopCause::Refused)),
    ));
    for span in spans.take() {
        assert!(
            span.start_time_unix_nano <= span.end_time_unix_nano,
            "{span:?}"
        );
    }
}

#[test]
fn what_is_open_at_the_end_ends_with_it() {
    let mut spans = Spans::default();
    let events = [
        started(),
        phase(Phase::BackingOut),
        back_out(true),
        ended(RunOutcome::Stuck, Some(StopCause::JournalFailed)),
    ];
    for (n, event) in events.into_iter().enumerate() {
        spans.tell_unwritten(&stamped(n as u64, n as i64, event));
    }
    let all = spans.take();
    let names: Vec<&str> = all.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["review", "backing-out", "back out: down", "RUN"]);
    // A journal that failed has none of it, and the trace says so.
    for span in &all {
        let unwritten = span
            .attributes
            .iter()
            .any(|a| a.key == "deployrun.unwritten");
        assert!(unwritten, "{span:?}");
    }
}

#[test]
fn only_what_an_earlier_process_may_have_kept_is_given_again() {
    let before = [
        stamped(1, 0, started()),
        stamped(2, 60_000, phase(Phase::Waiting)),
        stamped(3, 70_000, phase(Phase::Release)),
        stamped(4, 80_000, Event::HungUp),
    ];
    let mut spans = Spans::default();
    spans.recall(&before, 15_000);
    assert_eq!(names(&mut spans), ["waiting"]);
    let left = Event::Left {
        reason: String::new(),
    };
    let mut spans = Spans::default();
    spans.recall(&[&before[..], &[stamped(5, 80_000, left)]].concat(), 15_000);
    assert_eq!(names(&mut spans), [""; 0]);
}

#[test]
fn bad_samples_are_told_but_not_without_end() {
    let mut spans = Spans::default();
    spans.tell(&stamped(1, 0, started()));
    let watch = Call::Watch(crate::words::call::Watch {
        name: "page".into(),
        every_ms: 1,
        failures: 1000,
        grace_ms: 0,
        timeout_ms: 1,
        no_data_is_bad: true,
        observe: true,
    });
    let id = CallId::main(1);
    spans.tell(&stamped(
        2,
        0,
        Event::Called {
            id: id.clone(),
            call: watch,
            place: Place::default(),
            answer: Answer::Value(serde_json::Value::Null),
            took_ms: 0,
        },
    ));
    for bad in 0..300 {
        spans.tell(&stamped(
            3,
            1,
            Event::Sampled {
                id: id.clone(),
                name: "page".into(),
                verdict: Verdict::Fail,
                bad,
                took_ms: 0,
            },
        ));
    }
    spans.tell(&stamped(4, 2, ended(RunOutcome::Released, None)));
    let all = spans.take();
    let watch = all.iter().find(|span| span.name == "watch page").unwrap();
    assert_eq!((watch.events.len(), watch.dropped_events_count), (128, 171));
}
