//! The gate: lock, approvals, window.

use super::*;

#[test]
fn a_window_can_be_set_aside_when_a_run_is_taken_up() {
    let header = || Header {
        window: Some("2026-03-21T20:00:00Z/2026-03-21T22:00:00Z".to_owned()),
        ..Header::default()
    };
    let mut run = Run::released_from(header());
    run.again_with(Settings {
        override_window: Some("it must end".to_owned()),
        ..Settings::default()
    });
    let actions = run.after(3 * 3600 * SECOND);
    let set_aside = |a: &Action| matches!(a, Action::Record(Event::WindowOverridden { .. }));
    assert!(has(&actions, set_aside));
    assert_eq!(run.core.stopping(), None);

    let mut run = Run::released_from(header());
    run.again();
    run.after(3 * 3600 * SECOND);
    let stop = run.core.stopping().map(|stop| stop.cause);
    assert_eq!(stop, Some(StopCause::WindowClosed));
}

#[test]
fn an_approval_or_a_lock_after_the_stop_opens_nothing() {
    let mut run = Run::new();
    let header = Header {
        approvals: vec!["go".to_owned()],
        ..Header::default()
    };
    run.call("1", Call::Plan { header });
    run.call("2", plain("switch"));
    run.give(Input::Lock(Ok(())));
    assert!(run.core.awaits_approval());
    run.give(interrupt());
    assert!(!run.core.awaits_approval());
    run.give(Input::Approved {
        name: "go".to_owned(),
        by: Actor::default(),
        given_ms: None,
        comment: String::new(),
    });
    assert_eq!(run.core.phase(), Phase::Waiting);

    let mut run = Run::new();
    run.call("1", plain("switch"));
    run.give(interrupt());
    run.give(Input::Lock(Ok(())));
    assert_eq!(run.core.phase(), Phase::Waiting);
    assert!(run.core.has_lock());
}

#[test]
fn a_lock_that_nobody_gives_back_is_not_waited_for() {
    let no = |in_vain| {
        Input::Lock(Err(NoLock {
            holder: "run r has it".to_owned(),
            in_vain,
        }))
    };
    let mut run = Run::new();
    run.core = Core::new(Settings {
        lock_wait_ms: 600_000,
        ..Settings::default()
    });
    run.call("1", plain("switch"));
    run.give(no(false));
    assert_eq!(run.core.stopping(), None);
    // Its process dies while it is waited for.
    run.after(SECOND);
    run.give(no(true));
    let stop = run.core.stopping().expect("it stops");
    assert_eq!(
        (stop.cause, stop.reason.as_str()),
        (StopCause::Refused, "run r has it")
    );
}

#[test]
fn who_waited_for_a_lock_is_not_told_to_wait_for_it() {
    let reason = |lock_wait_ms| {
        let mut run = Run::new();
        run.core = Core::new(Settings {
            lock_wait_ms,
            ..Settings::default()
        });
        run.call("1", plain("switch"));
        for _ in 0..2 {
            run.give(Input::Lock(Err(NoLock {
                holder: format!("run r has it{LOCK_ADVICE}"),
                in_vain: false,
            })));
            run.after(2 * SECOND);
        }
        run.core.stopping().expect("it stops").reason.clone()
    };
    assert_eq!(reason(2_000), "run r has it, still after 2s");
    assert_eq!(reason(0), format!("run r has it{LOCK_ADVICE}"));
}
