//! What happens once a run stops.

use super::*;

#[test]
fn a_stop_lets_the_replay_go_on_until_it_asks_for_something_new() {
    let stops = |a: &Action| matches!(a, Action::StopScript);
    let mut run = Run::released_from(Header::default());
    run.call("3", with_closure("switch"));
    run.ended("3", 1, false, exited(0));
    run.again();
    assert!(!has(&run.give(interrupt()), stops));
    let actions = run.call("4", plain("more"));
    assert!(has(&actions, stops));
    assert_eq!(answer_to(&actions, "4"), Some(&Answer::Stop));
}

#[test]
fn a_step_in_flight_is_ended_by_the_process_that_comes_back_to_a_stop() {
    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("switch"));
    run.give(interrupt());
    run.again();
    let ends = |a: &Action| matches!(a, Action::EndStep { .. });
    assert!(has(&run.give(Input::Time), ends));
}

#[test]
fn a_second_interrupt_shortens_the_grace_and_a_third_one_leaves() {
    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("switch"));
    let ends = |at_once: bool| move |a: &Action| matches!(a, Action::EndStep { now, .. } if *now == at_once);
    assert!(has(&run.give(interrupt()), ends(false)));
    // The same signal, sent to the whole process group.
    assert_eq!(run.give(interrupt()), []);
    run.after(SECOND);
    assert!(has(&run.give(interrupt()), ends(true)));
    run.after(SECOND);
    let actions = run.give(interrupt());
    assert!(has(&actions, |a| matches!(
        a,
        Action::Record(Event::Left { .. })
    )));
    assert_eq!(actions.last(), Some(&Action::Finish));
    assert_eq!(run.outcome(), None);
}

#[test]
fn no_watch_is_sampled_once_the_run_stops() {
    let mut run = Run::released_from(Header::default());
    let watch = Watch {
        name: "page".to_owned(),
        every_ms: 1_000,
        failures: 1,
        grace_ms: 0,
        timeout_ms: 1_000,
        no_data_is_bad: true,
        observe: false,
    };
    let samples = |a: &Action| matches!(a, Action::Sample { .. });
    assert!(has(&run.call("3", Call::Watch(watch)), samples));
    run.give(Input::Sampled {
        id: id_of("3"),
        verdict: Verdict::Fail,
        took_ms: 1,
    });
    let stop = run.core.stopping().map(|stop| stop.cause);
    assert_eq!(stop, Some(StopCause::TrippedWatch));
    assert!(!has(&run.after(5 * SECOND), samples));
    run.script_ends();
    assert_eq!(run.outcome(), Some(RunOutcome::Refused));
}
