//! Back-outs that are closures of the plan.

use super::*;

/// A run that backs out by a closure, at the closure's first call.
fn in_closure() -> Run {
    let mut run = Run::released_from(Header::default());
    run.call("3", with_closure("switch"));
    run.ended("3", 1, false, exited(0));
    run.give(interrupt());
    let actions = run.script_ends();
    assert!(has(&actions, |a| matches!(a, Action::BackOut { .. })));
    run.call("b3/1", plain("switch back"));
    run
}

#[test]
fn a_closure_whose_time_is_over_is_told_once() {
    let mut run = in_closure();
    let ends = |a: &Action| matches!(a, Action::EndClosure { .. });
    assert!(has(&run.after(10 * SECOND), ends));
    assert_eq!(run.core.next_wake(), None);
    assert!(!has(&run.after(SECOND), ends));
    let actions = run.ended("b3/1", 1, false, exited(1));
    assert!(matches!(
        answer_to(&actions, "b3/1"),
        Some(Answer::Throw(_))
    ));
    let actions = run.call("b3/2", plain("more"));
    assert_eq!(answer_to(&actions, "b3/2"), Some(&Answer::Stop));
    run.give(Input::ClosureEnded {
        id: id_of("3"),
        error: Some("its time was over".to_owned()),
    });
    assert_eq!(run.outcome(), Some(RunOutcome::Stuck));
}

#[test]
fn a_retry_in_a_closure_is_dropped_when_its_time_is_over() {
    let mut run = in_closure();
    run.ended("b3/1", 1, false, exited(0));
    let patient = Call::Step(Box::new(Step {
        retries: 9,
        retry_delay_ms: 60_000,
        ..step("restart")
    }));
    run.call("b3/2", patient);
    run.ended("b3/2", 1, false, exited(1));
    let actions = run.after(10 * SECOND);
    assert_eq!(answer_to(&actions, "b3/2"), Some(&Answer::Stop));
    assert!(!starts(&run.after(60 * SECOND)));
}

#[test]
fn a_closure_is_not_taken_up_again_beside_a_survivor() {
    let mut run = in_closure();
    run.again();
    run.give(Input::Time);
    run.ended("b3/1", 1, false, survived());
    let actions = run.script_ends();
    assert!(!has(&actions, |a| matches!(a, Action::BackOut { .. })));
    assert_eq!(run.outcome(), Some(RunOutcome::Stuck));
}

#[test]
fn a_back_out_that_never_began_is_armed_again_also_when_told_again() {
    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("switch"));
    run.ended("3", 1, false, exited(0));
    run.give(interrupt());
    run.script_ends();
    let actions = run.ended("3", 1, true, void());
    let second = |a: &Action| matches!(a, Action::BackOut { key, .. } if key.attempt == 2);
    assert!(has(&actions, second));
    let key = Try {
        id: id_of("3"),
        attempt: 2,
        backs_out: true,
    };
    assert_eq!(run.core.in_flight(), [key]);
    let live = run.core.armed().to_vec();
    run.again();
    assert_eq!(run.core.armed(), live);
}
