//! What is in doubt is neither soaked nor released.

use super::*;

/// A release in which a step has succeeded under a watch, every 10 s, that trips at two bad samples.
fn watched(observe: bool) -> Run {
    let mut run = Run::released_from(Header::default());
    let watch = Watch {
        name: "page".to_owned(),
        every_ms: 10_000,
        failures: 2,
        grace_ms: 0,
        timeout_ms: 1_000,
        no_data_is_bad: true,
        observe,
    };
    assert!(samples(&run.call("3", Call::Watch(watch))));
    sampled(&mut run, Verdict::Pass);
    run.after(SECOND);
    run.call("4", plain("change"));
    run.ended("4", 1, false, exited(0));
    run
}

fn samples(actions: &[Action]) -> bool {
    actions.iter().any(|a| matches!(a, Action::Sample { .. }))
}

fn sampled(run: &mut Run, verdict: Verdict) -> Vec<Action> {
    run.give(Input::Sampled {
        id: id_of("3"),
        verdict,
        took_ms: 1,
    })
}

fn answered(actions: &[Action], call: &str) -> bool {
    let id = id_of(call);
    actions
        .iter()
        .any(|a| matches!(a, Action::Answer { id: other, .. } if *other == id))
}

fn notes(run: &Run) -> Vec<String> {
    let text = |(event, _): &'_ (Event, Now)| match event {
        Event::Note { text, .. } => Some(text.clone()),
        _ => None,
    };
    run.events.iter().filter_map(text).collect()
}

#[test]
fn a_soak_that_is_shorter_than_a_watch_waits_for_a_look_of_it() {
    let mut run = watched(false);
    run.call("5", Call::Soak { ms: 2_000 });
    let over = run.after(2 * SECOND);
    assert!(samples(&over) && !answered(&over, "5"));
    assert!(answered(&sampled(&mut run, Verdict::Pass), "5"));
    assert!(notes(&run).is_empty());
}

#[test]
fn a_soak_goes_on_while_a_watch_is_bad() {
    let mut run = watched(false);
    run.call("5", Call::Soak { ms: 2_000 });
    run.after(2 * SECOND);
    assert!(!answered(&sampled(&mut run, Verdict::Fail), "5"));
    assert_eq!(
        notes(&run),
        ["the soak goes on: watch `page` is bad, and passes or trips first"]
    );
    // It has the time that it has between its samples.
    assert!(!samples(&run.after(5 * SECOND)));
    assert!(samples(&run.after(5 * SECOND)));
    assert!(answered(&sampled(&mut run, Verdict::Pass), "5"));
    assert_eq!(notes(&run).len(), 1);
    run.give(Input::ScriptEnded(ScriptEnd::Done));
    assert_eq!(run.outcome(), Some(RunOutcome::Released));
}

#[test]
fn a_soak_that_goes_on_ends_with_its_watch() {
    let mut run = watched(false);
    run.call("5", Call::Soak { ms: 2_000 });
    run.after(2 * SECOND);
    sampled(&mut run, Verdict::Fail);
    run.after(10 * SECOND);
    sampled(&mut run, Verdict::Fail);
    let stop = run.core.stopping().map(|stop| stop.cause);
    assert_eq!(stop, Some(StopCause::TrippedWatch));
}

#[test]
fn a_soak_that_goes_on_ends_with_its_group() {
    let mut run = watched(false);
    run.call(
        "5",
        Call::StepBegin {
            title: "canary".to_owned(),
            timeout_ms: Some(8_000),
            retries: 0,
        },
    );
    run.call("6", Call::Soak { ms: 2_000 });
    run.after(2 * SECOND);
    sampled(&mut run, Verdict::Fail);
    assert_eq!(run.core.next_wake(), Some(run.now.boot_ms + 6 * SECOND));
    assert!(answered(&run.after(6 * SECOND), "6"));
}

#[test]
fn a_soak_that_was_over_before_its_group_is_over_however_late_it_is_seen() {
    let mut run = Run::released_from(Header::default());
    let begin = |ms| Call::StepBegin {
        title: "canary".to_owned(),
        timeout_ms: Some(ms),
        retries: 0,
    };
    run.call("3", begin(8_000));
    run.call("4", Call::Soak { ms: 2_000 });
    let late = run.after(20 * SECOND);
    let good = |a: &Action| {
        matches!(
            a,
            Action::Answer {
                answer: Answer::Value(_),
                ..
            }
        )
    };
    assert!(answered(&late, "4") && late.iter().any(good));
    let mut run = Run::released_from(Header::default());
    run.call("3", begin(1_000));
    run.call("4", Call::Soak { ms: 2_000 });
    let late = run.after(20 * SECOND);
    assert!(answered(&late, "4") && !late.iter().any(good));
}

#[test]
fn nothing_is_released_before_each_watch_has_looked_since_the_last_step() {
    let mut run = watched(false);
    let done = run.give(Input::ScriptEnded(ScriptEnd::Done));
    assert!(samples(&done));
    assert_eq!(run.outcome(), None);
    sampled(&mut run, Verdict::Pass);
    assert_eq!(run.outcome(), Some(RunOutcome::Released));
}

#[test]
fn nothing_is_released_while_a_watch_is_bad() {
    let mut run = watched(false);
    run.give(Input::ScriptEnded(ScriptEnd::Done));
    sampled(&mut run, Verdict::Fail);
    assert_eq!(run.outcome(), None);
    assert_eq!(
        notes(&run),
        ["the plan is done, and the run goes on: watch `page` is bad, and passes or trips first"]
    );
    run.after(10 * SECOND);
    sampled(&mut run, Verdict::Fail);
    let stop = run.core.stopping().map(|stop| stop.cause);
    assert_eq!(stop, Some(StopCause::TrippedWatch));
}

#[test]
fn what_only_observes_is_not_waited_for() {
    let mut run = watched(true);
    run.call("5", Call::Soak { ms: 2_000 });
    assert!(answered(&run.after(2 * SECOND), "5"));
    run.give(Input::ScriptEnded(ScriptEnd::Done));
    assert_eq!(run.outcome(), Some(RunOutcome::Released));
}

/// A power cut in the middle of what puts files back is no reason to leave them as they are.
#[test]
fn what_puts_files_back_is_done_again_when_nobody_saw_its_end() {
    let mut run = Run::released_from(Header::default());
    run.call(
        "3",
        Call::Step(Box::new(Step {
            back_out: Some(undo(Undo::Restore)),
            ..step("write")
        })),
    );
    run.ended("3", 1, false, exited(0));
    run.give(interrupt());
    run.script_ends();
    for attempt in 1..=2 {
        run.ended("3", attempt, true, lost());
        assert_eq!(run.outcome(), None);
    }
    run.ended("3", 3, true, exited(0));
    assert_eq!(run.outcome(), Some(RunOutcome::BackedOut));
}
