//! Back-outs that wait until what came before their step is undone.

use super::*;

/// In which order these are undone: each with what it is about, and whether it is late.
fn order(steps: &[(Option<&str>, bool)]) -> Vec<String> {
    let mut run = Run::released_from(Header::default());
    for (at, (about, late)) in steps.iter().enumerate() {
        let back_out = BackOut {
            about: about.map(str::to_owned),
            late: *late,
            ..undo(Undo::Command(Command::Shell("undo".to_owned())))
        };
        let id = (at + 3).to_string();
        let back_out = Some(back_out);
        run.call(
            &id,
            Call::Step(Box::new(Step {
                back_out,
                ..step("s")
            })),
        );
        run.ended(&id, 1, false, exited(0));
    }
    run.give(interrupt());
    let mut actions = run.script_ends();
    let mut order = Vec::new();
    while let Some(Action::BackOut { key, .. }) =
        actions.iter().find(|a| matches!(a, Action::BackOut { .. }))
    {
        let id = key.id.to_string();
        actions = run.ended(&id, 1, true, exited(0));
        order.push(id);
    }
    assert_eq!(run.outcome(), Some(RunOutcome::BackedOut));
    order
}

#[test]
fn a_late_back_out_waits_until_what_came_before_its_step_is_undone() {
    let web = Some("web");
    // A file, a migration, a reload: the reload comes behind the file.
    assert_eq!(
        order(&[(None, false), (None, false), (web, true)]),
        ["4", "3", "5"]
    );
    // A service that was started before is reloaded before it is stopped.
    assert_eq!(
        order(&[(web, false), (None, false), (web, true)]),
        ["4", "5", "3"]
    );
    // Two changes, each with its reload.
    let twice = [(None, false), (web, true), (None, false), (web, true)];
    assert_eq!(order(&twice), ["5", "6", "3", "4"]);
    // Two that wait for the same place run in the order of their steps.
    let two = [(None, false), (None, true), (web, true)];
    assert_eq!(order(&two), ["3", "4", "5"]);
    // What is about something else, or about nothing, does not keep it.
    let others = [(Some("db"), false), (None, true), (web, true), (None, true)];
    assert_eq!(order(&others), ["3", "4", "5", "6"]);
    // Nothing waits for a late one: what comes after it is undone before it all the same.
    assert_eq!(
        order(&[(web, true), (web, false), (None, false)]),
        ["5", "4", "3"]
    );
}

#[test]
fn a_late_back_out_in_a_group_waits_for_its_attempt_only_and_marks_nothing_once_it_is_done() {
    let about = |late| {
        let back_out = BackOut {
            about: Some("web".to_owned()),
            late,
            ..undo(Undo::Command(Command::Shell("undo".to_owned())))
        };
        let back_out = Some(back_out);
        Call::Step(Box::new(Step {
            back_out,
            ..step("s")
        }))
    };
    let undoes = |actions: &[Action], id: &str| {
        has(
            actions,
            |a| matches!(a, Action::BackOut { key, .. } if key.id == id_of(id)),
        )
    };
    let mut run = Run::released_from(Header::default());
    run.call("3", with_undo("file"));
    run.ended("3", 1, false, exited(0));
    let begin = Call::StepBegin {
        title: "switch".to_owned(),
        timeout_ms: None,
        retries: 1,
    };
    run.call("4", begin);
    run.call("5", with_undo("another file"));
    run.ended("5", 1, false, exited(0));
    run.call("6", about(true));
    run.ended("6", 1, false, exited(0));
    let failed = Some("no".to_owned());
    let actions = run.call("7", Call::StepEnd { begin: 4, failed });
    assert!(undoes(&actions, "5"));
    assert!(undoes(&run.ended("5", 1, true, exited(0)), "6"));
    run.ended("6", 1, true, exited(0));
    // The second attempt reloads again: what is undone already does not keep it from waiting for 3.
    run.call("8", about(true));
    run.ended("8", 1, false, exited(0));
    run.give(interrupt());
    assert!(undoes(&run.script_ends(), "3"));
    assert!(undoes(&run.ended("3", 1, true, exited(0)), "8"));
}
