//! What must hold in every run, told from its events alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::words::call::{Answer, BackOut, Call, CallId, Step, Undo};
use crate::words::clock::Now;
use crate::words::event::{Event, RunEnd};
use crate::words::header::Header;
use crate::words::outcome::{Outcome, Phase, RunOutcome, StopCause};
use crate::words::step::{End, StepEnd};
use crate::words::window::Window;

use super::plan::{UNKNOWN_MAX, VOIDS_MAX};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Status {
    Armed,
    Running,
    Done,
    Failed,
    Void,
    GivenUp,
}

#[derive(Debug)]
pub(super) struct ArmedFact {
    pub(super) id: CallId,
    pub(super) status: Status,
    attempts: u32,
    own: bool,
    about: Option<String>,
    late: bool,
}

#[derive(Debug)]
struct StepFact {
    attempt: u32,
    in_flight: bool,
    idempotent: bool,
    outcome: Option<Outcome>,
    again: bool,
    acted: bool,
    unknown: u32,
    /// Starts that came to nothing, in a row.
    voids: u32,
}

#[derive(Debug)]
struct GroupFact {
    ends: Option<i64>,
    armed_before: usize,
    /// Points of no return that the run had passed when its attempt began.
    no_return_before: usize,
    /// Success criteria that had not been met then.
    failed_before: usize,
    /// What its attempt did is being undone.
    unwinding: bool,
}

/// Reads a run's events and holds them against the promises.
#[derive(Debug, Default)]
pub(super) struct Checker {
    header: Header,
    phase: Phase,
    pub(super) stop: Option<StopCause>,
    pub(super) end: Option<RunEnd>,
    gate_open: bool,
    opened: Option<i64>,
    closes: Option<i64>,
    window_settled: bool,
    lock: bool,
    approved: BTreeSet<String>,
    failed_findings: u32,
    steps: BTreeMap<CallId, StepFact>,
    pub(super) armed: Vec<ArmedFact>,
    groups: Vec<GroupFact>,
    survivors: bool,
    no_returns: usize,
    verifies: BTreeSet<CallId>,
    failed_verifies: usize,
    by_hand: bool,
    without_back_out: Vec<(CallId, String)>,
    back_out_until: Option<i64>,
    /// What a call still owes to the journal before it may be answered.
    pub(super) owed: Option<&'static str>,
    resumed: u32,
    /// Calls whose answer is known from a record.
    pub(super) answered: BTreeSet<CallId>,
}

type Checked = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

impl Checker {
    /// Takes the next event. `live` is false for what another process had recorded.
    pub(super) fn take(&mut self, event: &Event, now: Now, live: bool) -> Checked {
        ensure(self.end.is_none(), || {
            format!("a record after the run's end: {}", event.kind())
        })?;
        match event {
            Event::RunResumed { .. } => self.resumed += 1,
            Event::Header { header } => {
                self.header = header.clone();
                self.owed = None;
            }
            Event::Phase { phase } => self.phase(*phase)?,
            Event::Called {
                id, call, answer, ..
            } => self.called(id, call, answer, now)?,
            Event::CallBegan {
                id,
                call: Call::Verify { .. },
                ..
            } => drop(self.verifies.insert(id.clone())),
            Event::CallEnded { id, answer } => {
                let failed = self.verifies.remove(id) && matches!(answer, Answer::Throw(_));
                self.failed_verifies += usize::from(failed);
                self.answered.insert(id.clone());
            }
            Event::Finding { ok, .. } => self.failed_findings += u32::from(!ok),
            Event::StepStarted {
                id,
                attempt,
                step,
                limit_ms,
                ..
            } => {
                self.may_start(id, *attempt)?;
                if live {
                    self.limits(id, *limit_ms, step.timeout_ms, now)?;
                }
                self.started(id, *attempt, step);
            }
            Event::StepEnded {
                id,
                attempt,
                outcome,
                end,
                again,
            } => {
                self.answered.insert(id.clone());
                self.step_ended(id, *attempt, *outcome, end, *again)?;
            }
            Event::StepVoid { id, attempt, .. } => {
                self.answered.insert(id.clone());
                let step = self.in_flight(id, *attempt)?;
                step.in_flight = false;
                step.voids += 1;
                if !step.acted {
                    self.void(id);
                }
            }
            Event::LockTaken { .. } => self.lock = true,
            Event::Approved { name, .. } => drop(self.approved.insert(name.clone())),
            Event::WindowOpen { window, closes_ms } => {
                self.closes = Some(*closes_ms);
                self.window_settled = true;
                if live {
                    self.window_open(window, *closes_ms, now)?;
                }
            }
            Event::WindowOverridden { .. } => {
                self.closes = None;
                self.window_settled = true;
            }
            Event::GateOpened => self.gate_opened(now)?,
            Event::Stopping { cause, .. } => {
                let stronger = self.stop.is_none_or(|old| old < *cause);
                ensure(stronger, || {
                    format!("the stop cause went from {:?} to {cause:?}", self.stop)
                })?;
                self.stop = Some(*cause);
                self.owed = None;
            }
            Event::Disarmed { ids, no_return, .. } => {
                self.no_returns += usize::from(*no_return);
                self.owed = None;
                for armed in &mut self.armed {
                    if ids.contains(&armed.id) && armed.status == Status::Armed {
                        armed.status = Status::GivenUp;
                    }
                }
                let left = self.armed.iter().any(|a| a.status == Status::Armed);
                ensure(!left, || {
                    "a back-out is still armed after the point of no return".into()
                })?;
            }
            Event::BackOutStarted {
                id,
                attempt,
                limit_ms,
                ..
            } => {
                self.back_out_started(id, *attempt)?;
                // One that is taken up by another process has all its time again.
                self.back_out_until = live.then(|| now.boot_ms.saturating_add_unsigned(*limit_ms));
            }
            Event::BackOutVoid { id, attempt, .. } => {
                let armed = self.running(id)?;
                ensure(armed.attempts == *attempt, || {
                    format!("void end of try {attempt} of the back-out of {id}")
                })?;
                armed.status = Status::Armed;
            }
            Event::BackOutEnded {
                id, outcome, end, ..
            } => {
                self.survivors |= end.as_ref().is_some_and(|e| !e.survivors.is_empty());
                let done = *outcome == Outcome::Succeeded;
                self.running(id)?.status = if done { Status::Done } else { Status::Failed };
            }
            Event::RunEnded { end } => self.run_ended(end)?,
            _ => {}
        }
        Ok(())
    }

    fn phase(&mut self, phase: Phase) -> Checked {
        let stopped = matches!(
            phase,
            Phase::Refused | Phase::BackingOut | Phase::BackedOut | Phase::Stuck
        );
        ensure(stopped == self.stop.is_some(), || {
            format!("phase {phase:?} with stop {:?}", self.stop)
        })?;
        let order = |p: Phase| match p {
            Phase::Review => 0,
            Phase::Waiting => 1,
            Phase::Release | Phase::Verify => 2,
            Phase::BackingOut => 3,
            _ => 4,
        };
        ensure(order(phase) >= order(self.phase), || {
            format!("phase {:?}, then {phase:?}", self.phase)
        })?;
        ensure(phase != self.phase, || format!("phase {phase:?} twice"))?;
        self.phase = phase;
        Ok(())
    }

    fn called(&mut self, id: &CallId, call: &Call, answer: &Answer, now: Now) -> Checked {
        let abort = matches!(call, Call::Abort { .. });
        self.owed = match (call, answer) {
            (Call::Abort { .. }, _) if self.stop.is_none() => Some("its stop"),
            (Call::Plan { .. }, Answer::Value(_)) => Some("the header"),
            (Call::PointOfNoReturn { .. }, Answer::Value(_)) => Some("what is given up"),
            _ => None,
        };
        let fine = self.stop.is_none() || id.is_in_back_out() || abort;
        ensure(fine, || format!("call {id} was answered after the stop"))?;
        self.answered.insert(id.clone());
        if !matches!(answer, Answer::Value(_)) {
            return Ok(());
        }
        match call {
            Call::BackOut(back_out) => {
                self.by_hand = true;
                self.arm(id, back_out, false);
            }
            Call::StepBegin { timeout_ms, .. } => self.groups.push(GroupFact {
                ends: timeout_ms.map(|ms| now.boot_ms.saturating_add_unsigned(ms)),
                armed_before: self.armed.len(),
                no_return_before: self.no_returns,
                failed_before: self.failed_verifies,
                unwinding: false,
            }),
            Call::StepEnd { .. } if *answer == Answer::Value(Value::Bool(true)) => {
                let before = self.groups.last().map_or(0, |g| g.armed_before);
                let left = self.armed[before..]
                    .iter()
                    .find(|a| matches!(a.status, Status::Armed | Status::Running | Status::Failed));
                ensure(left.is_none(), || {
                    format!("a group begins anew while {left:?} is not undone")
                })?;
                let passed = self.groups.last().map_or(0, |g| g.no_return_before);
                ensure(passed == self.no_returns, || {
                    "a group begins anew behind a point of no return".into()
                })?;
                let armed_before = self.armed.len();
                if let Some(group) = self.groups.last_mut() {
                    self.failed_verifies = group.failed_before;
                    group.armed_before = armed_before;
                    group.unwinding = false;
                }
            }
            Call::StepEnd { .. } => {
                let half = self.groups.pop().is_some_and(|g| g.unwinding);
                ensure(!half, || {
                    "a group is given up while it is being undone".into()
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn may_start(&mut self, id: &CallId, attempt: u32) -> Checked {
        let busy = self
            .steps
            .iter()
            .find(|(other, s)| s.in_flight && other.fiber == id.fiber);
        ensure(busy.is_none(), || {
            format!("step {id} begins while {busy:?} acts")
        })?;
        if id.is_in_back_out() {
            let its = self
                .armed
                .iter()
                .find(|a| a.id.back_out_fiber() == id.fiber);
            let runs = its.is_some_and(|a| a.status == Status::Running);
            ensure(runs, || {
                format!("step {id} begins while its back-out does not run")
            })?;
        } else {
            ensure(self.stop.is_none(), || {
                format!("step {id} begins after the stop")
            })?;
            ensure(self.gate_open, || {
                format!("step {id} begins before the gate is open")
            })?;
            ensure(self.phase == Phase::Release, || {
                format!("step {id} begins in phase {:?}", self.phase)
            })?;
            let undoing = self.armed.iter().any(|a| a.status == Status::Running);
            ensure(!undoing, || {
                format!("step {id} begins while a back-out runs")
            })?;
            ensure(
                self.failed_findings == 0 || self.steps.values().any(|s| s.attempt > 0),
                || format!("step {id} begins although a check of the review failed"),
            )?;
        }
        let Some(step) = self.steps.get(id) else {
            return ensure(attempt == 1, || {
                format!("the first try of {id} is {attempt}")
            });
        };
        ensure(attempt == step.attempt + 1, || {
            format!("try {attempt} of {id} follows try {}", step.attempt)
        })?;
        // Each process that takes the run up may try once more.
        ensure(step.voids < VOIDS_MAX + self.resumed, || {
            format!("step {id} is started again and again")
        })?;
        let Some(outcome) = step.outcome else {
            return Ok(());
        };
        ensure(outcome != Outcome::Unknown || step.idempotent, || {
            format!("step {id} is run again, and its end is unknown")
        })?;
        ensure(step.unknown <= UNKNOWN_MAX, || {
            format!("step {id} is lost again and again")
        })?;
        ensure(step.again, || {
            format!("step {id} is run again after its end: {outcome:?}")
        })
    }

    fn limits(&self, id: &CallId, limit_ms: u64, timeout_ms: u64, now: Now) -> Checked {
        let mut ends = vec![(
            "its timeout",
            now.boot_ms.saturating_add_unsigned(timeout_ms),
        )];
        if id.is_in_back_out() {
            ends.extend(
                self.back_out_until
                    .map(|at| ("the time of the back-out", at)),
            );
        } else {
            let reserved = self.header.reserved_ms();
            ends.extend(
                self.groups
                    .iter()
                    .filter_map(|g| g.ends)
                    .map(|at| ("the group", at)),
            );
            if let (Some(deadline), Some(opened)) = (self.header.deadline_ms, self.opened) {
                ends.push((
                    "the deadline",
                    opened.saturating_add_unsigned(deadline.saturating_sub(reserved)),
                ));
            }
            if let Some(closes) = self.closes {
                let closes = closes.saturating_sub_unsigned(reserved);
                ends.push(("the window", now.boot_ms + (closes - now.wall_ms)));
            }
        }
        let until = now.boot_ms.saturating_add_unsigned(limit_ms);
        let over = ends.iter().find(|(_, at)| *at < until);
        ensure(over.is_none(), || {
            format!("step {id} is given {limit_ms} ms, more than {over:?} at {now:?}")
        })?;
        ensure(limit_ms > 0, || format!("step {id} begins without time"))
    }

    fn started(&mut self, id: &CallId, attempt: u32, step: &Step) {
        let (idempotent, back_out) = (step.idempotent, step.back_out.as_ref());
        if !id.is_in_back_out()
            && !std::mem::take(&mut self.by_hand)
            && attempt == 1
            && back_out.is_none()
        {
            self.without_back_out.push((id.clone(), step.title.clone()));
        }
        let old = self.steps.remove(id);
        if !id.is_in_back_out() {
            match self.armed.iter_mut().find(|a| a.id == *id) {
                Some(armed) if armed.status == Status::Void => armed.status = Status::Armed,
                Some(_) => {}
                None => {
                    if let Some(back_out) = back_out.filter(|b| b.undo != Undo::Nothing) {
                        self.arm(id, back_out, true);
                    }
                }
            }
        }
        let step = StepFact {
            attempt,
            in_flight: true,
            idempotent,
            outcome: old.as_ref().and_then(|o| o.outcome),
            again: old.as_ref().is_some_and(|o| o.again),
            acted: old.as_ref().is_some_and(|o| o.acted),
            unknown: old.as_ref().map_or(0, |o| o.unknown),
            voids: old.as_ref().map_or(0, |o| o.voids),
        };
        self.steps.insert(id.clone(), step);
    }

    fn arm(&mut self, id: &CallId, back_out: &BackOut, own: bool) {
        self.armed.push(ArmedFact {
            id: id.clone(),
            status: Status::Armed,
            attempts: 0,
            own,
            about: back_out.about.clone(),
            late: back_out.late,
        });
    }

    fn void(&mut self, id: &CallId) {
        if let Some(armed) = self.armed.iter_mut().find(|a| a.id == *id && a.own) {
            armed.status = Status::Void;
        }
    }

    fn in_flight(&mut self, id: &CallId, attempt: u32) -> Result<&mut StepFact, String> {
        let step = self
            .steps
            .get_mut(id)
            .filter(|s| s.in_flight && s.attempt == attempt);
        step.ok_or_else(|| format!("try {attempt} of step {id} ended, but did not run"))
    }

    fn step_ended(
        &mut self,
        id: &CallId,
        attempt: u32,
        outcome: Outcome,
        end: &StepEnd,
        again: bool,
    ) -> Checked {
        let stopped = self.stop.is_some() && !id.is_in_back_out();
        ensure(!(again && stopped), || {
            format!("step {id} is to be run again after the stop")
        })?;
        let step = self.in_flight(id, attempt)?;
        step.in_flight = false;
        step.outcome = Some(outcome);
        step.voids = 0;
        step.again = again;
        step.unknown += u32::from(outcome == Outcome::Unknown);
        step.acted |= !matches!(end.end, End::NotStarted { .. });
        let never = !step.acted && !again;
        self.survivors |= !end.survivors.is_empty();
        if never {
            self.void(id);
        }
        Ok(())
    }

    fn window_open(&self, window: &str, closes_ms: i64, now: Now) -> Checked {
        let window = Window::parse(window).map_err(|e| e.to_string())?;
        let at = Timestamp::from_millisecond(now.wall_ms).map_err(|e| e.to_string())?;
        let opening = window
            .opening_at(at)
            .ok_or("the window is said to be open, but is not")?;
        ensure(opening.end.as_millisecond() == closes_ms, || {
            "the window closes at another time".into()
        })?;
        let needed = i64::try_from(self.header.needed_ms()).unwrap_or(i64::MAX);
        ensure(closes_ms - now.wall_ms >= needed, || {
            "too little is left of the window".into()
        })
    }

    fn gate_opened(&mut self, now: Now) -> Checked {
        ensure(!self.gate_open, || "the gate opens twice".into())?;
        ensure(self.stop.is_none(), || {
            "the gate opens after the stop".into()
        })?;
        ensure(self.failed_findings == 0, || {
            "the gate opens although a check failed".into()
        })?;
        ensure(self.lock, || "the gate opens without the lock".into())?;
        let missing = self
            .header
            .approvals
            .iter()
            .find(|a| !self.approved.contains(*a));
        ensure(missing.is_none(), || {
            format!("the gate opens without the approval {missing:?}")
        })?;
        let windowed = self.header.window.is_some();
        ensure(!windowed || self.window_settled, || {
            "the gate opens outside the window".into()
        })?;
        self.gate_open = true;
        self.opened = Some(now.boot_ms);
        Ok(())
    }

    fn running(&mut self, id: &CallId) -> Result<&mut ArmedFact, String> {
        let armed = self
            .armed
            .iter_mut()
            .find(|a| a.id == *id && a.status == Status::Running);
        armed.ok_or_else(|| format!("the back-out of {id} ended, but did not run"))
    }

    fn back_out_started(&mut self, id: &CallId, attempt: u32) -> Checked {
        let acting = self.steps.iter().find(|(_, s)| s.in_flight);
        ensure(acting.is_none(), || {
            format!("the back-out of {id} begins while {acting:?} acts")
        })?;
        ensure(!self.survivors, || {
            format!("the back-out of {id} begins beside a survivor")
        })?;
        let from = match (self.stop, self.groups.last_mut()) {
            (Some(_), _) => 0,
            (None, Some(group)) => {
                group.unwinding = true;
                group.armed_before
            }
            (None, None) => return Err(format!("the back-out of {id} begins without a reason")),
        };
        let at = self.armed.iter().position(|a| a.id == *id);
        let at = at.ok_or_else(|| format!("the back-out of {id} was never armed"))?;
        ensure(at >= from, || {
            format!("the back-out of {id} belongs to what was before the group")
        })?;
        let sooner = (from..self.armed.len()).find(|other| self.comes_before(*other, at));
        let sooner = sooner.map(|other| &self.armed[other]);
        ensure(sooner.is_none(), || {
            format!("the back-out of {id} begins before that of {sooner:?}")
        })?;
        let runs = self.armed.iter().find(|a| a.status == Status::Running);
        ensure(runs.is_none(), || {
            format!("the back-out of {id} begins beside that of {runs:?}")
        })?;
        let armed = &mut self.armed[at];
        ensure(armed.status == Status::Armed, || {
            format!("the back-out of {id} begins: {armed:?}")
        })?;
        ensure(attempt == armed.attempts + 1, || {
            format!("try {attempt} of the back-out {armed:?}")
        })?;
        armed.status = Status::Running;
        armed.attempts = attempt;
        Ok(())
    }

    /// Must the back-out at `one` run before that at `other`? Only said of those that are still armed.
    fn comes_before(&self, one: usize, other: usize) -> bool {
        let (first, second) = (&self.armed[one], &self.armed[other]);
        if one == other || first.status != Status::Armed {
            return false;
        }
        match (first.late, second.late) {
            (false, false) => one > other,
            (false, true) => self.waits_for(other, one),
            (true, false) => !self.waits_for(one, other),
            (true, true) => {
                let (waits, is_awaited) = (self.reach(one), self.reach(other));
                waits > is_awaited || waits == is_awaited && one < other
            }
        }
    }

    /// Does the late back-out at `late` wait for the one at `other`, which is not late?
    fn waits_for(&self, late: usize, other: usize) -> bool {
        self.reach(late).is_none_or(|reach| other > reach)
    }

    /// The place before which a late back-out stops to wait.
    fn reach(&self, late: usize) -> Option<usize> {
        let about = self.armed[late].about.as_ref()?;
        (0..late).rev().find(|at| {
            let other = &self.armed[*at];
            other.status == Status::Armed && other.about.as_ref() == Some(about)
        })
    }

    fn run_ended(&mut self, end: &RunEnd) -> Checked {
        let acts = self.steps.iter().find(|(_, s)| s.in_flight);
        ensure(acts.is_none(), || {
            format!("the run ends while {acts:?} acts")
        })?;
        ensure(end.cause == self.stop, || {
            format!(
                "the run ends with {:?}, stopped by {:?}",
                end.cause, self.stop
            )
        })?;
        ensure(end.outcome.phase() == self.phase, || {
            format!("the run ends {:?} in phase {:?}", end.outcome, self.phase)
        })?;
        let open = self
            .armed
            .iter()
            .find(|a| matches!(a.status, Status::Armed | Status::Running));
        let undone = self
            .armed
            .iter()
            .all(|a| matches!(a.status, Status::Done | Status::Void));
        if matches!(end.outcome, RunOutcome::BackedOut | RunOutcome::Stuck) {
            let acted = self
                .without_back_out
                .iter()
                .filter(|(id, _)| self.steps.get(id).is_some_and(|s| s.acted));
            let acted: Vec<&String> = acted.map(|(_, title)| title).collect();
            let listed: Vec<&String> = end.without_back_out.iter().collect();
            ensure(acted == listed, || {
                format!("without a back-out {acted:?} acted, and {listed:?} are listed")
            })?;
        }
        match end.outcome {
            RunOutcome::Released => {
                ensure(self.stop.is_none(), || "released after a stop".into())?;
                ensure(self.failed_verifies == 0, || {
                    "released although a verify failed".into()
                })?;
                ensure(!self.survivors, || "released with survivors".into())?;
            }
            RunOutcome::Refused => {
                let acted = self.steps.iter().find(|(_, s)| s.acted);
                ensure(acted.is_none(), || format!("refused, but {acted:?} acted"))?;
            }
            RunOutcome::BackedOut => {
                ensure(undone, || format!("backed out, but {:?}", self.armed))?;
                ensure(!self.survivors, || "backed out with survivors".into())?;
            }
            RunOutcome::Stuck => {
                let is_whole = end.unwritten.is_empty();
                ensure(!is_whole || self.survivors || open.is_none(), || {
                    format!("the run ends before {open:?}")
                })?;
                for armed in &self.armed {
                    let listed = end.still_changed.iter().any(|c| c.call == armed.id);
                    let last = end.unwritten.iter().rev();
                    let last = last.clone().find(|u| u.backs_out && u.call == armed.id);
                    let unwritten = matches!(armed.status, Status::Armed | Status::Running)
                        && last.is_some_and(|u| u.outcome == Outcome::Succeeded);
                    let is_done = unwritten || matches!(armed.status, Status::Done | Status::Void);
                    ensure(listed != is_done, || {
                        format!("listed as still changed: {listed}, {armed:?}")
                    })?;
                }
            }
        }
        self.end = Some(end.clone());
        Ok(())
    }
}
