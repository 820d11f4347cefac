//! A journal that can't be written any more.

use super::*;

#[test]
fn a_run_whose_journal_is_gone_is_stuck_even_when_all_is_undone() {
    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("switch"));
    run.ended("3", 1, false, exited(0));
    run.core.journal_is_gone();
    let detail = "no space".to_owned();
    run.give(Input::JournalFailed { detail });
    run.script_ends();
    run.ended("3", 1, true, exited(0));
    let end = run.core.end().unwrap();
    assert_eq!(end.outcome, RunOutcome::Stuck);
    assert!(end.still_changed.is_empty());
    let undone = |(event, _): &(Event, Now)| {
        matches!(
            event,
            Event::BackOutEnded {
                outcome: Outcome::Succeeded,
                ..
            }
        )
    };
    assert!(run.events.iter().any(undone));
}

fn unwritten(call: &str, backs_out: bool, outcome: Outcome) -> Unwritten {
    Unwritten {
        call: id_of(call),
        attempt: 1,
        backs_out,
        outcome,
        how: "ended".to_owned(),
        tail: String::new(),
    }
}

#[test]
fn what_was_done_without_the_journal_is_told_and_nothing_acts_any_more() {
    let mut run = Run::released_from(Header::default());
    for (id, call) in [
        ("3", with_undo("one")),
        ("4", with_undo("two")),
        ("5", with_closure("three")),
        ("6", with_undo("four")),
    ] {
        run.call(id, call);
        run.ended(id, 1, false, exited(0));
    }
    run.again();
    let tries = vec![
        unwritten("4", true, Outcome::Failed),
        unwritten("6", true, Outcome::Succeeded),
        unwritten("b5/1", false, Outcome::Succeeded),
    ];
    let actions = run.give(Input::Unwritten {
        tries: tries.clone(),
    });
    let acts = |a: &Action| matches!(a, Action::StartStep { .. } | Action::BackOut { .. });
    assert!(!has(&actions, acts), "{actions:?}");
    let end = run.core.end().unwrap();
    assert_eq!(end.outcome, RunOutcome::Stuck);
    assert_eq!(end.cause, Some(StopCause::JournalFailed));
    assert_eq!(end.unwritten, tries);
    let stands: Vec<(String, &str)> = end
        .still_changed
        .iter()
        .map(|item| (item.call.to_string(), item.why.as_str()))
        .collect();
    assert_eq!(
        stands,
        [
            (
                "5".to_owned(),
                "the journal does not know how far its back-out `undo` came"
            ),
            (
                "4".to_owned(),
                "its back-out `undo`, which the journal does not know, ended"
            ),
            ("3".to_owned(), "its back-out was not started"),
        ]
    );
}

#[test]
fn a_step_in_flight_ends_before_a_run_that_is_not_known_whole() {
    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("one"));
    run.again();
    let tries = vec![unwritten("b2/1", false, Outcome::Succeeded)];
    let actions = run.give(Input::Unwritten { tries });
    assert!(has(&actions, |a| matches!(a, Action::EndStep { .. })));
    assert_eq!(run.outcome(), None);
    run.ended("3", 1, false, exited(0));
    assert_eq!(run.outcome(), Some(RunOutcome::Stuck));
}
