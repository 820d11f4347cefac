//! Steps that fail, are lost, or come late.

use super::*;

#[test]
fn what_follows_from_a_call_is_recorded_before_its_answer() {
    let mut run = Run::new();
    let header = Header::default();
    let actions = run.call("1", Call::Plan { header });
    let answered = at(&actions, |a| matches!(a, Action::Answer { .. }));
    assert!(
        at(&actions, |a| matches!(
            a,
            Action::Record(Event::Header { .. })
        )) < answered
    );

    let mut run = Run::released_from(Header::default());
    let reason = "moved".to_owned();
    let actions = run.call("3", Call::PointOfNoReturn { reason });
    let answered = at(&actions, |a| matches!(a, Action::Answer { .. }));
    assert!(
        at(&actions, |a| matches!(
            a,
            Action::Record(Event::Disarmed { .. })
        )) < answered
    );

    let reason = "enough".to_owned();
    let actions = run.call("4", Call::Abort { reason });
    let answered = at(&actions, |a| matches!(a, Action::Answer { .. }));
    assert!(
        at(&actions, |a| matches!(
            a,
            Action::Record(Event::Stopping { .. })
        )) < answered
    );
}

#[test]
fn a_step_that_ended_before_the_replay_came_to_it_is_not_run_again() {
    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("switch"));
    run.again();
    run.ended("3", 1, false, exited(0));
    let actions = run.call("3", with_undo("switch"));
    assert!(!starts(&actions));
    assert!(matches!(
        answer_to(&actions, "3"),
        Some(Answer::Value(value)) if value["code"] == json!(0)
    ));
}

#[test]
fn a_late_failure_is_thrown_and_a_late_loss_stops_the_run() {
    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("switch"));
    run.again();
    run.ended("3", 1, false, exited(1));
    let actions = run.call("3", with_undo("switch"));
    assert!(matches!(
        answer_to(&actions, "3"),
        Some(Answer::Throw(failure)) if failure.kind == FailureKind::Step
    ));

    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("switch"));
    run.again();
    run.ended("3", 1, false, lost());
    let stop = run.core.stopping().map(|stop| stop.cause);
    assert_eq!(stop, Some(StopCause::FailedStep));
}

#[test]
fn a_start_that_came_to_nothing_uses_up_no_retry() {
    let mut run = Run::released_from(Header::default());
    let once = Call::Step(Box::new(Step {
        retries: 1,
        ..step("flaky")
    }));
    run.call("3", once);
    assert!(starts(&run.ended("3", 1, false, void())));
    run.ended("3", 2, false, exited(1));
    assert!(starts(&run.after(0)));
    let actions = run.ended("3", 3, false, exited(1));
    assert!(matches!(answer_to(&actions, "3"), Some(Answer::Throw(_))));
}

#[test]
fn an_idempotent_step_that_is_lost_again_and_again_stops_the_run() {
    let mut run = Run::released_from(Header::default());
    let again = Call::Step(Box::new(Step {
        idempotent: true,
        ..step("sync")
    }));
    run.call("3", again);
    for attempt in 1..=3 {
        run.ended("3", attempt, false, lost());
        assert!(starts(&run.after(0)), "after loss {attempt}");
    }
    run.ended("3", 4, false, lost());
    let stop = run.core.stopping().unwrap();
    assert_eq!(stop.cause, StopCause::FailedStep);
    assert_eq!(stop.reason, "nobody saw how `sync` ended, 4 times");
}

#[test]
fn a_lost_idempotent_step_whose_next_start_came_to_nothing_is_still_due() {
    let mut run = Run::released_from(Header::default());
    let sync = || {
        Call::Step(Box::new(Step {
            idempotent: true,
            ..step("sync")
        }))
    };
    run.call("3", sync());
    run.ended("3", 1, false, lost());
    run.after(0);
    run.again();
    run.ended("3", 2, false, void());
    assert!(starts(&run.call("3", sync())));
}

#[test]
fn a_step_without_back_out_is_named_when_only_its_second_start_acted() {
    let mut run = Run::released_from(Header::default());
    run.call("3", plain("migrate"));
    run.ended("3", 1, false, void());
    run.ended("3", 2, false, exited(1));
    run.give(interrupt());
    run.script_ends();
    let end = run.core.end().unwrap();
    assert_eq!(end.without_back_out, ["migrate"]);

    let mut run = Run::released_from(Header::default());
    run.call("3", plain("migrate"));
    run.give(interrupt());
    run.ended("3", 1, false, void());
    run.script_ends();
    let end = run.core.end().unwrap();
    assert!(end.without_back_out.is_empty());
}

#[test]
fn a_script_is_answered_when_its_stopped_step_leaves_survivors() {
    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("switch"));
    run.give(interrupt());
    let actions = run.ended("3", 1, false, survived());
    assert_eq!(answer_to(&actions, "3"), Some(&Answer::Stop));
    run.script_ends();
    assert_eq!(run.outcome(), Some(RunOutcome::Stuck));
}
