//! What the live area knows of a run: a fold of its events.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::line::first_line;
use crate::words::call::{Answer, BackOut, Call, CallId, Undo, Watch};
use crate::words::event::{Event, LimitBy, Stamped, Verdict};
use crate::words::header::Header;
use crate::words::outcome::{Outcome, Phase, StopCause};
use crate::words::step::End;

/// Something that goes on.
#[derive(Clone, Debug)]
pub struct Doing {
    /// Which call; for a back-out, the call that it undoes.
    pub id: CallId,
    /// What.
    pub deed: Deed,
    /// Its title.
    pub title: String,
    /// The group around it.
    pub group: Option<String>,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
    /// How long it may take, in milliseconds.
    pub limit_ms: Option<u64>,
    /// By which limit.
    pub limit_by: LimitBy,
    /// After how many milliseconds without output it is ended.
    pub idle_ms: Option<u64>,
    /// Which try, and of how many at most.
    pub tries: (u32, u32),
    /// The directory of its output, in the run's.
    pub directory: Option<String>,
    /// What was seen last, if it is looked at again and again.
    pub last: Option<Verdict>,
}

/// What kind of thing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A step.
    Step,
    /// A back-out.
    Undo,
    /// A success criterion that is not met yet.
    Verify,
    /// The watches look on.
    Soak,
    /// The plan waits.
    Sleep,
}

/// A watch and its last sample.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The watch.
    pub watch: Watch,
    /// What it saw last, and when, milliseconds since 1970.
    pub last: Option<(Verdict, i64)>,
    /// Bad samples in a row.
    pub bad: u32,
}

/// Why the run stops.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The cause.
    pub cause: StopCause,
    /// In words.
    pub reason: String,
}

/// A run as far as its live area needs it.
#[derive(Debug, Default)]
pub struct Board {
    /// Its id.
    pub run: String,
    /// Its plan's file.
    pub plan: String,
    /// When it began, milliseconds since 1970; absent before its first event.
    pub started_ms: Option<i64>,
    /// The plan's header.
    pub header: Header,
    /// Where it stands.
    pub phase: Phase,
    /// Where it stood before, in order.
    pub passed: Vec<Phase>,
    /// When the gate opened, milliseconds since 1970.
    pub opened_ms: Option<i64>,
    /// When the window that is waited for opens, milliseconds since 1970.
    pub opens_ms: Option<i64>,
    /// When the window closes, milliseconds since 1970, if it does.
    pub closes_ms: Option<i64>,
    /// Who has the lock that is waited for.
    pub lock_holder: Option<String>,
    /// The approvals that are asked for and not given.
    pub approvals: Vec<String>,
    /// What goes on.
    pub doing: Vec<Doing>,
    /// The watches.
    pub watches: BTreeMap<CallId, Watched>,
    /// Back-outs by the call that armed them.
    pub back_outs: BTreeMap<CallId, BackOut>,
    /// Titles of steps.
    pub steps: BTreeMap<CallId, String>,
    /// Why it stops, if it does.
    pub stop: Option<Stopped>,
    /// How many back-outs the back-out has in all.
    pub to_undo: usize,
    /// How many of them are done.
    pub undone: usize,
    /// The calls whose back-out failed.
    pub not_undone: Vec<CallId>,
    /// How often it was interrupted.
    pub interrupts: u32,
    /// Was there a point of no return?
    pub no_return: bool,
    /// Has this process left it?
    pub left: bool,
    /// Has it ended?
    pub ended: bool,
    /// What was armed and is not undone, the oldest first.
    armed: Vec<CallId>,
    /// Steps of which a try acted.
    acted: BTreeSet<CallId>,
    /// Steps that never acted: there is nothing to undo.
    void: BTreeSet<CallId>,
    groups: BTreeMap<String, Vec<String>>,
}

impl Board {
    /// Takes an event, told now or before.
    pub fn tell(&mut self, event: &Stamped) {
        self.run.clone_from(&event.run);
        let at_ms = event.at_ms;
        match &event.event {
            Event::RunStarted { plan, .. } => {
                self.started_ms = Some(at_ms);
                self.plan.clone_from(plan);
            }
            Event::RunResumed { .. } => self.on_resumed(at_ms),
            Event::Header { header } => self.header = header.clone(),
            Event::Phase { phase } => {
                let before = std::mem::replace(&mut self.phase, *phase);
                if before != *phase && !self.passed.contains(&before) {
                    self.passed.push(before);
                }
                if *phase == Phase::BackingOut {
                    self.to_undo = self.armed().count() + self.undone + self.not_undone.len();
                }
            }
            Event::LockWaited { holder } => self.lock_holder = Some(holder.clone()),
            Event::LockTaken { .. } => self.lock_holder = None,
            Event::ApprovalAsked { name } => {
                if !self.approvals.contains(name) {
                    self.approvals.push(name.clone());
                }
            }
            Event::Approved { name, .. } => self.approvals.retain(|n| n != name),
            Event::WindowAwaited {
                opens_ms,
                closes_ms,
                ..
            } => {
                self.opens_ms = Some(*opens_ms);
                self.closes_ms = Some(*closes_ms).filter(|at| *at < FOR_EVER);
            }
            Event::WindowOpen { closes_ms, .. } => {
                self.opens_ms = None;
                self.closes_ms = Some(*closes_ms).filter(|at| *at < FOR_EVER);
            }
            Event::WindowOverridden { .. } => (self.opens_ms, self.closes_ms) = (None, None),
            Event::GateOpened => {
                self.opened_ms = Some(at_ms);
                self.lock_holder = None;
            }
            Event::Sampled {
                id, verdict, bad, ..
            } => {
                if let Some(watched) = self.watches.get_mut(id) {
                    watched.last = Some((verdict.clone(), at_ms));
                    watched.bad = *bad;
                }
            }
            Event::Stopping { cause, reason, .. } => {
                self.stop = Some(Stopped {
                    cause: *cause,
                    reason: reason.clone(),
                });
                self.doing.retain(|d| d.directory.is_some());
                self.approvals.clear();
                (self.opens_ms, self.lock_holder) = (None, None);
            }
            Event::Disarmed { ids, no_return, .. } => {
                self.armed.retain(|id| !ids.contains(id));
                self.no_return |= *no_return;
            }
            Event::Interrupted { count, .. } => self.interrupts = *count,
            Event::Left { .. } => self.left = true,
            Event::RunEnded { .. } => self.ended = true,
            Event::Called { id, call, .. } => self.on_called(id, call),
            Event::CallBegan { id, call, .. } => self.on_call_began(id, call, at_ms),
            Event::CallEnded { id, .. } => {
                self.doing.retain(|d| d.id != *id || d.directory.is_some());
            }
            Event::Tried { id, verdict } => {
                for doing in self.doing.iter_mut().filter(|d| d.id == *id) {
                    doing.tries.0 = doing.tries.0.saturating_add(1);
                    doing.last = Some(verdict.clone());
                }
            }
            Event::StepStarted { .. }
            | Event::StepEnded { .. }
            | Event::StepVoid { .. }
            | Event::BackOutStarted { .. }
            | Event::BackOutVoid { .. }
            | Event::BackOutEnded { .. } => self.on_process(&event.event, at_ms),
            Event::Finding { .. } | Event::HungUp | Event::Note { .. } | Event::Notified { .. } => {
            }
        }
        self.on_group(&event.event);
    }

    /// `shop-web 2.4.0 → production`.
    #[must_use]
    pub fn release(&self) -> String {
        let file = self.plan.rsplit('/').next().unwrap_or_default();
        let name = match self.header.name.as_str() {
            "" => file.strip_suffix(".rhai").unwrap_or(file).to_owned(),
            _ => self.header.release(),
        };
        match self.header.environment.as_str() {
            "" => first_line(&name),
            environment => first_line(&format!("{name} → {environment}")),
        }
    }

    /// What would be undone by a back-out now, the oldest first.
    pub fn armed(&self) -> impl DoubleEndedIterator<Item = &CallId> {
        let is_open = |id: &&CallId| !self.void.contains(id) && !self.not_undone.contains(id);
        self.armed.iter().filter(is_open)
    }

    /// The title of a step, or of what was armed by hand.
    #[must_use]
    pub fn title(&self, id: &CallId) -> String {
        let by_hand = || self.back_outs.get(id).map(|b| b.title.clone());
        let title = self.steps.get(id).cloned().or_else(by_hand);
        first_line(&title.unwrap_or_default())
    }

    /// Another process goes on: what it waits for begins anew, and it has not been interrupted.
    fn on_resumed(&mut self, at_ms: i64) {
        self.left = false;
        self.interrupts = 0;
        (self.opens_ms, self.lock_holder) = (None, None);
        for doing in &mut self.doing {
            if matches!(doing.deed, Deed::Verify | Deed::Soak) {
                doing.since_ms = at_ms;
            }
        }
    }

    fn on_called(&mut self, id: &CallId, call: &Call) {
        match call {
            Call::Watch(watch) => {
                let watched = Watched {
                    watch: watch.clone(),
                    last: None,
                    bad: 0,
                };
                self.watches.insert(id.clone(), watched);
            }
            Call::BackOut(back_out) => {
                self.back_outs.insert(id.clone(), back_out.clone());
                self.armed.push(id.clone());
            }
            _ => {}
        }
    }

    fn arm(&mut self, id: &CallId, back_out: &BackOut) {
        let is_new = self
            .back_outs
            .insert(id.clone(), back_out.clone())
            .is_none();
        if is_new && back_out.undo != Undo::Nothing {
            self.armed.push(id.clone());
        }
    }

    fn on_group(&mut self, event: &Event) {
        let Event::Called {
            id, call, answer, ..
        } = event
        else {
            return;
        };
        let groups = self.groups.entry(id.fiber.clone()).or_default();
        match call {
            Call::StepBegin { title, .. } => groups.push(title.clone()),
            // An attempt that is followed by another one does not end the group.
            Call::StepEnd { .. } if *answer != Answer::Value(true.into()) => {
                groups.pop();
            }
            _ => {}
        }
    }

    fn on_call_began(&mut self, id: &CallId, call: &Call, at_ms: i64) {
        let (deed, title, ms) = match call {
            Call::Verify {
                name, within_ms, ..
            } => (Deed::Verify, name.as_str(), *within_ms),
            Call::Soak { ms } => (Deed::Soak, "", *ms),
            Call::Sleep { ms } => (Deed::Sleep, "", *ms),
            _ => return,
        };
        self.begin(Doing {
            id: id.clone(),
            deed,
            title: first_line(title),
            group: None,
            since_ms: at_ms,
            limit_ms: Some(ms),
            limit_by: LimitBy::Timeout,
            idle_ms: None,
            tries: (0, 0),
            directory: None,
            last: None,
        });
    }

    fn begin(&mut self, mut doing: Doing) {
        doing.group = self
            .groups
            .get(&doing.id.fiber)
            .and_then(|groups| groups.last())
            .map(|title| first_line(title));
        self.doing.push(doing);
    }

    fn on_process(&mut self, event: &Event, at_ms: i64) {
        match event {
            Event::StepStarted {
                id,
                attempt,
                step,
                limit_ms,
                limit_by,
                ..
            } => {
                self.steps.insert(id.clone(), step.title.clone());
                self.void.remove(id);
                if let Some(back_out) = &step.back_out
                    && !id.is_in_back_out()
                {
                    self.arm(id, back_out);
                }
                self.begin(Doing {
                    id: id.clone(),
                    deed: Deed::Step,
                    title: first_line(&step.title),
                    group: None,
                    since_ms: at_ms,
                    limit_ms: Some(*limit_ms),
                    limit_by: *limit_by,
                    idle_ms: step.idle_timeout_ms,
                    tries: (*attempt, step.retries.saturating_add(1)),
                    directory: Some(id.directory(*attempt, false)),
                    last: None,
                });
            }
            Event::StepEnded { id, end, again, .. } => {
                self.end(id, Deed::Step);
                if !matches!(end.end, End::NotStarted { .. }) {
                    self.acted.insert(id.clone());
                }
                self.void_unless(*again, id);
            }
            Event::StepVoid { id, .. } => {
                self.end(id, Deed::Step);
                self.void_unless(false, id);
            }
            Event::BackOutStarted {
                id,
                title,
                limit_ms,
                attempt,
                ..
            } => self.begin(Doing {
                id: id.clone(),
                deed: Deed::Undo,
                title: first_line(title),
                group: None,
                since_ms: at_ms,
                limit_ms: Some(*limit_ms),
                limit_by: LimitBy::Timeout,
                idle_ms: None,
                tries: (*attempt, 1),
                directory: Some(id.directory(*attempt, true)),
                last: None,
            }),
            Event::BackOutVoid { id, .. } => self.end(id, Deed::Undo),
            Event::BackOutEnded { id, outcome, .. } => {
                self.end(id, Deed::Undo);
                if *outcome != Outcome::Succeeded {
                    self.not_undone.push(id.clone());
                } else {
                    self.armed.retain(|other| other != id);
                    if self.stop.is_some() {
                        self.undone += 1;
                    }
                }
            }
            _ => {}
        }
    }

    /// Without a try that acted there is nothing to undo, unless it is tried again.
    fn void_unless(&mut self, again: bool, id: &CallId) {
        if !again && !self.acted.contains(id) {
            self.void.insert(id.clone());
        }
    }

    fn end(&mut self, id: &CallId, deed: Deed) {
        self.doing.retain(|d| d.id != *id || d.deed != deed);
    }
}

/// When windows without end close, milliseconds since 1970.
const FOR_EVER: i64 = 253_402_207_200_000;

#[cfg(test)]
mod tests {
    #[test]
    fn windows_without_end_close_at_the_end_of_time() {
        assert_eq!(
            jiff::Timestamp::MAX.as_millisecond() / 1000,
            super::FOR_EVER / 1000
        );
    }
}
