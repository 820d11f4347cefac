//! Groups: their tries, their time, what a failed try leaves.

use super::*;

#[test]
fn a_group_that_is_half_undone_is_undone_whole_though_its_time_is_over() {
    let mut run = Run::released_from(Header::default());
    let begin = Call::StepBegin {
        title: "switch".to_owned(),
        timeout_ms: Some(60_000),
        retries: 1,
    };
    run.call("3", begin);
    for id in ["4", "5"] {
        run.call(id, with_undo("one"));
        run.ended(id, 1, false, exited(0));
    }
    let fails = || Call::StepEnd {
        begin: 3,
        failed: Some("no".to_owned()),
    };
    run.call("6", fails());
    run.again();
    run.after(120 * SECOND);
    run.ended("5", 1, true, exited(0));
    let actions = run.call("6", fails());
    let undoes = |a: &Action| matches!(a, Action::BackOut { key, .. } if key.id == id_of("4"));
    assert!(has(&actions, undoes));
    let actions = run.ended("4", 1, true, exited(0));
    assert_eq!(answer_to(&actions, "6"), Some(&Answer::Value(json!(true))));
}

#[test]
fn a_group_is_not_tried_again_behind_a_point_of_no_return() {
    let begin = || Call::StepBegin {
        title: "migrate".to_owned(),
        timeout_ms: None,
        retries: 2,
    };
    let failed = |begin| Call::StepEnd {
        begin,
        failed: Some("it failed".to_owned()),
    };
    let is_told = |actions: &[Action]| {
        has(actions, |a| {
            matches!(a, Action::Record(Event::Note { warning: true, text })
                if text == "`migrate` is not tried again: it passed a point of no return: dropped")
        })
    };
    let mut run = Run::released_from(Header::default());
    run.call("3", begin());
    run.call("4", with_undo("expand"));
    run.ended("4", 1, false, exited(0));
    let reason = "dropped".to_owned();
    run.call("5", Call::PointOfNoReturn { reason });
    run.call("6", plain("contract"));
    run.ended("6", 1, false, exited(1));
    let actions = run.call("7", failed(3));
    assert_eq!(answer_to(&actions, "7"), Some(&Answer::Value(json!(false))));
    assert!(is_told(&actions), "{actions:?}");
    // The same when another process comes to the end of the group.
    run.events.truncate(run.events.len() - 2);
    run.again();
    let actions = run.call("7", failed(3));
    assert_eq!(answer_to(&actions, "7"), Some(&Answer::Value(json!(false))));

    // One that lies before the group's attempt is no reason against another one.
    let mut run = Run::released_from(Header::default());
    let reason = "dropped".to_owned();
    run.call("3", Call::PointOfNoReturn { reason });
    run.call("4", begin());
    run.call("5", plain("contract"));
    run.ended("5", 1, false, exited(1));
    let actions = run.call("6", failed(4));
    assert_eq!(answer_to(&actions, "6"), Some(&Answer::Value(json!(true))));
    assert!(!is_told(&actions));
}

#[test]
fn the_time_of_a_group_is_that_of_its_waits_too() {
    let waits = [
        (
            Call::Sleep { ms: 60_000 },
            "the 10s of the step `switch` are over",
        ),
        (
            Call::Soak { ms: 60_000 },
            "the 10s of the step `switch` are over",
        ),
        (
            Call::WaitForApproval {
                name: "go".to_owned(),
                timeout_ms: None,
            },
            "nobody approved `go` in time",
        ),
    ];
    for (call, text) in waits {
        let mut run = Run::released_from(Header::default());
        run.call(
            "3",
            Call::StepBegin {
                title: "switch".to_owned(),
                timeout_ms: Some(10_000),
                retries: 0,
            },
        );
        run.after(4 * SECOND);
        run.call("4", call.clone());
        assert_eq!(run.core.next_wake(), Some(run.now.boot_ms + 6 * SECOND));
        let early = run.after(5 * SECOND);
        assert_eq!(answer_to(&early, "4"), None, "{call:?}");
        let late = run.after(SECOND);
        assert!(
            matches!(answer_to(&late, "4"), Some(Answer::Throw(failure)) if failure.message == text),
            "{call:?}: {late:?}"
        );
    }

    // One that is over before the group is has all its time.
    let mut run = Run::released_from(Header::default());
    run.call(
        "3",
        Call::StepBegin {
            title: "switch".to_owned(),
            timeout_ms: Some(10_000),
            retries: 0,
        },
    );
    run.call("4", Call::Sleep { ms: 9_000 });
    let actions = run.after(9 * SECOND);
    assert_eq!(answer_to(&actions, "4"), Some(&Answer::Value(json!(null))));

    // A verify is looked at once more when the time is over.
    run.call(
        "5",
        Call::Verify {
            name: "answers".to_owned(),
            within_ms: 60_000,
            every_ms: 20_000,
        },
    );
    let look = |a: &Action| matches!(a, Action::Try { .. });
    let verdict = Verdict::Fail;
    run.give(Input::Tried {
        id: id_of("5"),
        verdict: verdict.clone(),
    });
    assert!(has(&run.after(SECOND), look));
    let actions = run.give(Input::Tried {
        id: id_of("5"),
        verdict,
    });
    assert!(matches!(answer_to(&actions, "5"), Some(Answer::Throw(_))));
}

#[test]
fn what_a_failed_attempt_of_a_group_did_not_meet_the_next_one_may() {
    let verify = || Call::Verify {
        name: "answers".to_owned(),
        within_ms: 0,
        every_ms: 1_000,
    };
    let looked = |id: &str, verdict| Input::Tried {
        id: id_of(id),
        verdict,
    };
    // Tried again, it is forgotten; without another try it is not, even if the plan goes on.
    for (retries, outcome) in [(1, RunOutcome::Released), (0, RunOutcome::BackedOut)] {
        let mut run = Run::released_from(Header::default());
        let begin = Call::StepBegin {
            title: "switch".to_owned(),
            timeout_ms: None,
            retries,
        };
        run.call("3", begin);
        run.call("4", with_undo("switch"));
        run.ended("4", 1, false, exited(0));
        run.call("5", verify());
        run.give(looked("5", Verdict::Fail));
        let failed = Call::StepEnd {
            begin: 3,
            failed: Some("not met".to_owned()),
        };
        run.call("6", failed);
        run.ended("4", 1, true, exited(0));
        run.call("7", verify());
        run.give(looked("7", Verdict::Pass));
        // The same for a process that only hears of it.
        run.again();
        run.give(Input::Time);
        run.give(Input::ScriptEnded(ScriptEnd::Done));
        if run.outcome().is_none() {
            run.ended("4", 1, true, exited(0));
        }
        assert_eq!(run.outcome(), Some(outcome), "{retries}");
    }
}
