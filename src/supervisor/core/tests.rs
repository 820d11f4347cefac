//! Histories that once went wrong, each as short as it can be told.

mod watched;

use serde_json::json;

use crate::words::call::{
    Answer, BackOut, Call, CallId, Command, Deed, FailureKind, Step, Undo, Watch,
};
use crate::words::clock::Now;
use crate::words::event::{Actor, Event, Unwritten, Verdict};
use crate::words::header::Header;
use crate::words::outcome::{LOCK_ADVICE, Outcome, Phase, RunOutcome, StopCause};
use crate::words::place::Place;
use crate::words::step::{Captured, CutOff, End, ProcessFact, StepEnd};

use super::{Action, Core, Ended, Input, NoLock, ScriptEnd, Settings, Try};

const SECOND: i64 = 1_000;

/// A core, what it recorded, and a clock that is set by hand.
struct Run {
    core: Core,
    now: Now,
    events: Vec<(Event, Now)>,
}

impl Run {
    fn new() -> Self {
        Self {
            core: Core::new(Settings::default()),
            now: Now {
                boot_ms: 1_000,
                wall_ms: 1_774_126_800_000,
            },
            events: Vec::new(),
        }
    }

    /// A run at the first call of its release.
    fn released_from(header: Header) -> Self {
        let mut run = Self::new();
        let header = Call::Plan { header };
        run.call("1", header);
        run.call("2", Call::WaitForWindow { window: None });
        run.give(Input::Lock(Ok(())));
        assert_eq!(run.core.phase(), Phase::Release);
        run
    }

    fn give(&mut self, input: Input) -> Vec<Action> {
        let actions = self.core.step(self.now, input);
        for action in &actions {
            if let Action::Record(event) = action {
                self.events.push((event.clone(), self.now));
            }
        }
        actions
    }

    fn call(&mut self, id: &str, call: Call) -> Vec<Action> {
        let place = Place::new("plan.rhai", 1, 1);
        self.give(Input::Call {
            id: id_of(id),
            call,
            place,
        })
    }

    fn ended(&mut self, id: &str, attempt: u32, backs_out: bool, ended: Ended) -> Vec<Action> {
        let key = Try {
            id: id_of(id),
            attempt,
            backs_out,
        };
        self.give(Input::StepEnded { key, ended })
    }

    fn after(&mut self, ms: i64) -> Vec<Action> {
        self.now.boot_ms += ms;
        self.now.wall_ms += ms;
        self.give(Input::Time)
    }

    /// The process dies, and another one takes the run up.
    fn again(&mut self) {
        self.again_with(Settings::default());
    }

    fn again_with(&mut self, settings: Settings) {
        let told = self.events.iter().map(|(event, at)| (event, *at));
        self.core = Core::restore(settings, told);
    }

    fn script_ends(&mut self) -> Vec<Action> {
        self.give(Input::ScriptEnded(ScriptEnd::Stopped))
    }

    fn outcome(&self) -> Option<RunOutcome> {
        self.core.end().map(|end| end.outcome)
    }
}

fn id_of(id: &str) -> CallId {
    id.parse().unwrap()
}

fn step(title: &str) -> Step {
    Step {
        deed: Deed::Command(Command::Shell(title.to_owned())),
        title: title.to_owned(),
        timeout_ms: 60_000,
        idle_timeout_ms: None,
        grace_ms: 1_000,
        env: std::collections::BTreeMap::new(),
        cwd: None,
        stdin: None,
        user: None,
        codes: vec![0],
        retries: 0,
        retry_delay_ms: 0,
        abort_on: Vec::new(),
        idempotent: false,
        max_output: 1_000,
        back_out: None,
    }
}

fn undo(undo: Undo) -> BackOut {
    BackOut {
        undo,
        title: "undo".to_owned(),
        timeout_ms: 10_000,
        about: None,
        late: false,
    }
}

fn with_undo(title: &str) -> Call {
    let back_out = Some(undo(Undo::Command(Command::Shell("undo".to_owned()))));
    Call::Step(Box::new(Step {
        back_out,
        ..step(title)
    }))
}

fn with_closure(title: &str) -> Call {
    let back_out = Some(undo(Undo::Closure));
    Call::Step(Box::new(Step {
        back_out,
        ..step(title)
    }))
}

fn plain(title: &str) -> Call {
    Call::Step(Box::new(step(title)))
}

fn end(how: End) -> StepEnd {
    StepEnd {
        end: how,
        cut_off: None,
        duration_ms: 10,
        stdout: Captured::default(),
        stderr: Captured::default(),
        tail: String::new(),
        output_bytes: 0,
        dropped_bytes: 0,
        left_running: Vec::new(),
        killed: Vec::new(),
        survivors: Vec::new(),
    }
}

fn exited(code: i32) -> Ended {
    Ended::Seen(Box::new(end(End::Exited { code })))
}

fn lost() -> Ended {
    Ended::Seen(Box::new(end(End::Unseen)))
}

fn void() -> Ended {
    Ended::Void("it never began".to_owned())
}

fn survived() -> Ended {
    let mut end = end(End::Signaled { signal: 9 });
    end.cut_off = Some(CutOff::Stopped);
    end.survivors = vec![ProcessFact {
        pid: 7,
        state: 'D',
        command: "stuck".to_owned(),
        holds_output: false,
    }];
    Ended::Seen(Box::new(end))
}

fn interrupt() -> Input {
    Input::Interrupt {
        signal: "SIGINT".to_owned(),
    }
}

fn answer_to<'a>(actions: &'a [Action], to: &str) -> Option<&'a Answer> {
    actions.iter().find_map(|action| match action {
        Action::Answer { id, answer } if *id == id_of(to) => Some(answer),
        _ => None,
    })
}

fn starts(actions: &[Action]) -> bool {
    actions
        .iter()
        .any(|action| matches!(action, Action::StartStep { .. }))
}

fn has(actions: &[Action], what: impl Fn(&Action) -> bool) -> bool {
    actions.iter().any(what)
}

/// Where the first action of a kind stands.
fn at(actions: &[Action], what: impl Fn(&Action) -> bool) -> usize {
    actions.iter().position(what).unwrap()
}

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
