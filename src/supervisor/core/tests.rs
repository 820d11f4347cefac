//! Histories that once went wrong, each as short as it can be told.

mod closures;
mod gate;
mod groups;
mod late;
mod steps;
mod stops;
mod unwritten;
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
