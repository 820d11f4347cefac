//! What is known of a run: built from its events alone, and a few things that do not outlive the
//! process.

use std::collections::{BTreeMap, BTreeSet};

use crate::words::call::{Answer, BackOut, Call, CallId, Step, Undo};
use crate::words::clock::Now;
use crate::words::event::{Event, LimitBy, RunEnd, Unwritten, Verdict};
use crate::words::header::Header;
use crate::words::notice::Occasion;
use crate::words::outcome::{Outcome, Phase, StopCause};
use crate::words::place::Place;
use crate::words::step::{ProcessFact, StepEnd};

use super::{Action, Input, Settings, Try};

/// A finding of the review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was asked for.
    pub name: String,
    /// Was it so?
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// Why the run stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The cause.
    pub cause: StopCause,
    /// In words.
    pub reason: String,
}

/// Where a back-out stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArmedStatus {
    /// It will run if the run stops.
    Armed,
    /// It is running.
    Running,
    /// It has run and succeeded.
    Done,
    /// It has run and did not succeed.
    Failed {
        /// What went wrong.
        detail: String,
        /// The last lines of its output.
        tail: String,
    },
    /// It will not run: its step never acted.
    Void,
    /// It will not run: the plan passed the point of no return.
    GivenUp,
}

/// A back-out that was armed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Armed {
    /// The call that armed it.
    pub id: CallId,
    /// It.
    pub back_out: BackOut,
    /// Does it undo the very call that armed it?
    pub own: bool,
    /// Where it stands.
    pub status: ArmedStatus,
    /// Its tries so far.
    pub attempts: u32,
}

/// A step of which at least one try was started.
#[derive(Clone, Debug)]
pub(super) struct StepState {
    pub step: Step,
    pub place: Place,
    pub attempt: u32,
    /// When the present try must end.
    pub limit_by: LimitBy,
    /// A try was started and its end is not recorded.
    pub in_flight: bool,
    /// How the last try ended.
    pub outcome: Option<Outcome>,
    /// Did any try begin to act?
    pub acted: bool,
    /// Tries that were void, in a row.
    pub voids: u32,
    /// Tries that failed or were cut off.
    pub failures: u32,
    /// Tries whose end nobody saw.
    pub lost: u32,
    /// After the last try that acted, another one is due.
    pub again: bool,
}

/// A group that has begun and not ended.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub begin: CallId,
    pub title: String,
    pub ends_boot_ms: Option<i64>,
    pub timeout_ms: Option<u64>,
    pub retries: u32,
    pub attempt: u32,
    /// How many back-outs were armed when the present attempt began.
    pub armed_before: usize,
    /// How many points of no return the run had passed then.
    pub no_return_before: usize,
    /// How many success criteria had not been met then: what a failed attempt did not meet, the
    /// next one may.
    pub failed_before: usize,
    /// What the present attempt did is being undone, for the next one.
    pub unwinding: bool,
}

/// A watch that was set.
#[derive(Clone, Debug)]
pub(super) struct WatchState {
    pub watch: crate::words::call::Watch,
    pub since_boot_ms: i64,
    pub bad: u32,
    pub next_boot_ms: i64,
    /// Since when a sample is being taken.
    pub sampling: Option<i64>,
    /// When the last sample that has ended began, on the boot clock, and whether it was good.
    pub looked: Option<(i64, bool)>,
}

/// A call the script waits for.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    /// A step, until it has ended.
    Step,
    /// A sleep or soak, until an instant on the boot clock; with the title of a group and its time
    /// when that is over first.
    Until(i64, Option<(String, u64)>),
    /// A soak: since when, and until when if all watches are good then.
    Soak {
        since: i64,
        until: i64,
        /// Was it said that it goes on?
        prolonged: bool,
    },
    /// A verify: until when, and when to look next; `None` while the script looks.
    Verify {
        name: String,
        within_ms: u64,
        every_ms: u64,
        until: i64,
        next: Option<i64>,
        last: Verdict,
    },
    /// Somebody's approval, and until when.
    Approval { name: String, until: Option<i64> },
    /// The gate: the call is made once it is open.
    Gate { call: Box<Call>, place: Place },
    /// The end of a group, until what its attempt armed is undone.
    Unwind {
        armed_before: usize,
        call: Box<Call>,
        place: Place,
    },
}

/// How far the gate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Closed,
    /// Waiting for the lock: until when, when to ask next, and whether an answer is due.
    Lock {
        until: i64,
        next: i64,
        asked: bool,
        told: bool,
    },
    Approvals,
    Window {
        awaited: Option<i64>,
    },
    Open,
}

/// A run, as far as its next move depends on it.
#[derive(Debug)]
pub struct Core {
    pub(super) settings: Settings,
    pub(super) header: Header,
    pub(super) phase: Phase,
    pub(super) stop: Option<Stop>,
    pub(super) findings: Vec<Finding>,
    /// When the first of them was made, milliseconds since 1970.
    pub(super) reviewed_ms: Option<i64>,
    pub(super) failed_verifies: Vec<String>,
    pub(super) steps: BTreeMap<CallId, StepState>,
    pub(super) armed: Vec<Armed>,
    pub(super) groups: BTreeMap<String, Vec<Group>>,
    pub(super) watches: BTreeMap<CallId, WatchState>,
    /// When the last step ended, on the boot clock.
    pub(super) changed_boot_ms: i64,
    /// Was it said that the end of the run waits for a watch?
    pub(super) end_waits: bool,
    /// Calls that take time and have not ended: since when, and the name of a verify.
    pub(super) began: BTreeMap<CallId, (i64, Option<String>)>,
    pub(super) approved: BTreeSet<String>,
    pub(super) asked: BTreeSet<String>,
    pub(super) window: Option<String>,
    pub(super) closes_ms: Option<i64>,
    pub(super) lock_taken: bool,
    pub(super) gate_open: bool,
    pub(super) opened_boot_ms: i64,
    pub(super) acted: bool,
    /// Steps that have no back-out, whether they acted or not.
    pub(super) without_back_out: Vec<(CallId, String)>,
    pub(super) last_armed_by_hand: bool,
    pub(super) no_return: Vec<String>,
    pub(super) survivors: Vec<ProcessFact>,
    pub(super) interrupts: u32,
    pub(super) end: Option<RunEnd>,
    /// Whom of the header somebody tried to tell, and what of.
    pub(super) told: BTreeSet<(usize, Occasion)>,
    // What follows does not outlive the process.
    pub(super) gate: Gate,
    pub(super) waiting: BTreeMap<CallId, Waiting>,
    pub(super) retry_at: BTreeMap<CallId, i64>,
    /// Steps of another process that ended before the replay came to them.
    pub(super) late_ends: BTreeMap<CallId, (Outcome, Box<StepEnd>)>,
    pub(super) script_ended: bool,
    /// Until when the script is waited for after a stop, on the boot clock.
    pub(super) script_due: Option<i64>,
    pub(super) live: bool,
    /// The run comes from another process, and nothing was done about that yet.
    pub(super) came_back: bool,
    pub(super) journal_gone: bool,
    pub(super) left: bool,
    /// What an earlier process did and the journal does not have.
    pub(super) unwritten: Vec<Unwritten>,
    pub(super) back_out_until: Option<i64>,
    pub(super) closure: Option<CallId>,
    /// The closure was told to end.
    pub(super) closure_late: bool,
    pub(super) last_interrupt: Option<i64>,
    pub(super) actions: Vec<Action>,
    pub(super) now: Now,
}

impl Core {
    /// A run of which nothing has happened yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let header = Header {
            name: settings.name.clone(),
            ..Header::default()
        };
        Self {
            settings,
            header,
            phase: Phase::Review,
            stop: None,
            findings: Vec::new(),
            reviewed_ms: None,
            failed_verifies: Vec::new(),
            steps: BTreeMap::new(),
            armed: Vec::new(),
            groups: BTreeMap::new(),
            watches: BTreeMap::new(),
            changed_boot_ms: i64::MIN,
            end_waits: false,
            began: BTreeMap::new(),
            approved: BTreeSet::new(),
            asked: BTreeSet::new(),
            window: None,
            closes_ms: None,
            lock_taken: false,
            gate_open: false,
            opened_boot_ms: 0,
            acted: false,
            without_back_out: Vec::new(),
            last_armed_by_hand: false,
            no_return: Vec::new(),
            survivors: Vec::new(),
            interrupts: 0,
            end: None,
            told: BTreeSet::new(),
            gate: Gate::Closed,
            waiting: BTreeMap::new(),
            retry_at: BTreeMap::new(),
            late_ends: BTreeMap::new(),
            script_ended: false,
            script_due: None,
            live: true,
            came_back: false,
            journal_gone: false,
            left: false,
            unwritten: Vec::new(),
            back_out_until: None,
            closure: None,
            closure_late: false,
            last_interrupt: None,
            actions: Vec::new(),
            now: Now::default(),
        }
    }

    /// A run that another process began: its events, with the time of each, are told again.
    pub fn restore<'e>(
        settings: Settings,
        events: impl IntoIterator<Item = (&'e Event, Now)>,
    ) -> Self {
        let mut core = Self::new(settings);
        for (event, at) in events {
            core.now = at;
            core.apply(event);
        }
        // Interrupts were meant for the process that is gone.
        core.interrupts = 0;
        core.live = false;
        core.came_back = true;
        core.gate = if core.gate_open {
            Gate::Open
        } else {
            Gate::Closed
        };
        for watch in core.watches.values_mut() {
            watch.bad = 0;
        }
        core
    }

    /// Takes one input and returns what must be done, in order.
    #[must_use]
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Action> {
        self.now = now;
        self.take(input);
        self.settle();
        std::mem::take(&mut self.actions)
    }

    fn take(&mut self, input: Input) {
        if self.end.is_some() || self.left {
            return;
        }
        match input {
            Input::Call { id, call, place } => self.on_call(id, call, place),
            Input::Read {
                id,
                call,
                place,
                answer,
                detail,
                took_ms,
            } => {
                self.on_read(id, call, place, answer, detail, took_ms);
            }
            Input::Diverged { id, place, detail } => self.on_diverged(&id, place, detail),
            Input::StepEnded { key, ended } if key.backs_out => self.on_back_out_ended(&key, ended),
            Input::StepEnded { key, ended } => self.on_step_ended(&key, ended),
            Input::ClosureEnded { id, error } => self.on_closure_ended(&id, error),
            Input::Tried { id, verdict } => self.on_tried(&id, verdict),
            Input::Sampled {
                id,
                verdict,
                took_ms,
            } => {
                self.on_sampled(&id, verdict, took_ms);
                self.wake_calls();
            }
            Input::ScriptEnded(end) => self.on_script_ended(end),
            Input::Lock(answer) => self.on_lock(answer),
            Input::Approved {
                name,
                by,
                given_ms,
                comment,
            } => self.on_approved(&name, by, given_ms, comment),
            Input::Interrupt { signal } => self.on_interrupt(signal),
            Input::BackOutAsked { by } => self.on_back_out_asked(&by),
            Input::Unwritten { tries } => self.on_unwritten(tries),
            Input::HangUp => self.record(Event::HungUp),
            Input::JournalFailed { detail } => self.on_journal_failed(&detail),
            Input::Time => self.on_time(),
        }
    }

    /// Adds an event to the actions and to what is known.
    pub(super) fn record(&mut self, event: Event) {
        self.apply(&event);
        self.actions.push(Action::Record(event));
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn answer(&mut self, id: &CallId, answer: Answer) {
        self.waiting.remove(id);
        self.act(Action::Answer {
            id: id.clone(),
            answer,
        });
    }

    /// Where the run stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Why it stops, if it does.
    #[must_use]
    pub fn stopping(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<&RunEnd> {
        self.end.as_ref()
    }

    /// Has this process left a run that goes on?
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// May the script not even be told again, because the journal does not have all that was done?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// The back-outs that were armed, oldest first.
    #[must_use]
    pub fn armed(&self) -> &[Armed] {
        &self.armed
    }

    /// The header, as far as it is known.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Does the environment's lock belong to the run?
    #[must_use]
    pub fn has_lock(&self) -> bool {
        self.lock_taken
    }

    /// Tries whose end is not recorded: what a process that comes back must find out.
    #[must_use]
    pub fn in_flight(&self) -> Vec<Try> {
        let steps = self
            .steps
            .iter()
            .filter(|(_, s)| s.in_flight)
            .map(|(id, s)| Try {
                id: id.clone(),
                attempt: s.attempt,
                backs_out: false,
            });
        let back_outs = self
            .armed
            .iter()
            .filter(|a| a.status == ArmedStatus::Running && a.back_out.undo != Undo::Closure)
            .map(|a| Try {
                id: a.id.clone(),
                attempt: a.attempts,
                backs_out: true,
            });
        steps.chain(back_outs).collect()
    }

    /// The step of a call, as it was recorded.
    #[must_use]
    pub fn step_of(&self, id: &CallId) -> Option<&Step> {
        self.steps.get(id).map(|s| &s.step)
    }

    /// Is the limit of a step the run's own: the deadline, or the window's end?
    #[must_use]
    pub fn stops_at_limit(&self, id: &CallId) -> bool {
        let by = self.steps.get(id).map(|step| step.limit_by);
        matches!(by, Some(LimitBy::Deadline | LimitBy::Window))
    }

    /// How many tries of a step were started.
    #[must_use]
    pub fn attempts_of(&self, id: &CallId) -> u32 {
        self.steps.get(id).map_or(0, |s| s.attempt)
    }

    /// The names of the directories in which steps that change files by themselves kept what was there.
    pub fn directories_of_changes(&self) -> impl Iterator<Item = String> + '_ {
        let changes = self
            .steps
            .iter()
            .filter(|(_, s)| s.step.deed.changes().is_some());
        changes.flat_map(|(id, s)| (1..=s.attempt).map(|n| id.directory(n, false)))
    }

    /// Does somebody have to approve?
    #[must_use]
    pub fn awaits_approval(&self) -> bool {
        self.gate == Gate::Approvals
            || self
                .waiting
                .values()
                .any(|w| matches!(w, Waiting::Approval { .. }))
    }

    pub(super) fn armed_mut(&mut self, id: &CallId) -> Option<&mut Armed> {
        self.armed.iter_mut().rev().find(|a| a.id == *id)
    }
}
