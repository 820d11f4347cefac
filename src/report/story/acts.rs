//! Steps, groups and back-outs.

use crate::words::call::{BackOut, CallId, Step, Undo};
use crate::words::event::{Event, LimitBy};
use crate::words::outcome::{Outcome, StopCause};
use crate::words::place::Place;
use crate::words::step::StepEnd;

use super::{RemarkKind, Span, Story};

/// A step.
#[derive(Clone, Debug)]
pub struct StepStory {
    /// Which call.
    pub id: CallId,
    /// What it does.
    pub step: Box<Step>,
    /// Where it stands in the plan.
    pub place: Place,
    /// The innermost group it belongs to, by its place in [`Story::groups`].
    pub group: Option<usize>,
    /// Its tries; at least one.
    pub tries: Vec<TryStory>,
}

/// One try of a step.
#[derive(Clone, Debug)]
pub struct TryStory {
    /// Which, from 1.
    pub attempt: u32,
    /// When it began, milliseconds since 1970.
    pub begin_ms: i64,
    /// Milliseconds it is given.
    pub limit_ms: u64,
    /// By which limit.
    pub limit_by: LimitBy,
    /// How it ended.
    pub end: TryEnd,
}

/// How a try ended.
#[derive(Clone, Debug)]
pub enum TryEnd {
    /// Nothing has told of its end.
    Open,
    /// It never acted.
    Void {
        /// When that was known.
        at_ms: i64,
        /// Why.
        reason: String,
    },
    /// It ended.
    Ended {
        /// When.
        at_ms: i64,
        /// How.
        outcome: Outcome,
        /// What was seen of it, without what it printed but for the last lines.
        end: Box<StepEnd>,
        /// Is it tried again?
        again: bool,
    },
}

impl TryStory {
    /// From when to when.
    #[must_use]
    pub fn span(&self) -> Span {
        let end_ms = match &self.end {
            TryEnd::Open => None,
            TryEnd::Void { at_ms, .. } | TryEnd::Ended { at_ms, .. } => Some(*at_ms),
        };
        Span {
            begin_ms: self.begin_ms,
            end_ms,
        }
    }
}

impl StepStory {
    /// How its last try ended; `None` while it goes on, and when it never acted.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.tries.last().map(|t| &t.end) {
            Some(TryEnd::Ended { outcome, .. }) => Some(*outcome),
            _ => None,
        }
    }

    /// Does a try of it go on, as far as was told?
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.tries.last().map(|t| &t.end), Some(TryEnd::Open))
    }

    /// What was seen of its last try.
    #[must_use]
    pub fn end(&self) -> Option<&StepEnd> {
        match self.tries.last().map(|t| &t.end) {
            Some(TryEnd::Ended { end, .. }) => Some(end),
            _ => None,
        }
    }

    /// How long it took: a single try as long as its process, several from the first to the last.
    #[must_use]
    pub fn ms(&self, now_ms: i64) -> u64 {
        match (self.tries.as_slice(), self.end()) {
            ([_], Some(end)) => end.duration_ms,
            _ => self.span().ms(now_ms),
        }
    }

    /// From the begin of its first try to the end of its last.
    #[must_use]
    pub fn span(&self) -> Span {
        Span {
            begin_ms: self.tries.first().map_or(0, |t| t.begin_ms),
            end_ms: self.tries.last().and_then(|t| t.span().end_ms),
        }
    }
}

/// A group of calls under a title.
#[derive(Clone, Debug)]
pub struct Group {
    /// The call that began it.
    pub id: CallId,
    /// Its title.
    pub title: String,
    /// Where it stands in the plan.
    pub place: Place,
    /// From when to when.
    pub span: Span,
    /// The group around it.
    pub within: Option<usize>,
    /// How many attempts there were.
    pub attempts: u32,
    /// How often it may be tried again.
    pub retries: u32,
    /// The error that left it, if one did.
    pub failed: Option<String>,
}

/// A try to undo a step.
#[derive(Clone, Debug)]
pub struct BackOutStory {
    /// The call that it undoes.
    pub id: CallId,
    /// What it does.
    pub title: String,
    /// Is it a command, a closure, a file that is put back?
    pub undo: Option<Undo>,
    /// The title of the step that it undoes; armed by hand, it has none.
    pub of: Option<String>,
    /// Which try, from 1.
    pub attempt: u32,
    /// From when to when.
    pub span: Span,
    /// Milliseconds it is given.
    pub limit_ms: u64,
    /// How the step ended that it undoes.
    pub step_outcome: Option<Outcome>,
    /// How it ended, if that was told.
    pub end: Option<BackOutEnd>,
    /// Was the run stopping then? Else a group is tried again.
    pub is_final: bool,
}

/// How a back-out ended.
#[derive(Clone, Debug)]
pub enum BackOutEnd {
    /// It never acted, for this reason.
    Void(String),
    /// It ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// What was seen of it, if it was a process.
        end: Option<Box<StepEnd>>,
        /// What went wrong.
        detail: String,
    },
}

impl BackOutStory {
    /// What was seen of its process, if it was one and has ended.
    #[must_use]
    pub fn process(&self) -> Option<&StepEnd> {
        match &self.end {
            Some(BackOutEnd::Ended { end, .. }) => end.as_deref(),
            _ => None,
        }
    }

    /// How it ended; `None` while it goes on, and when it never acted.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.end {
            Some(BackOutEnd::Ended { outcome, .. }) => Some(*outcome),
            _ => None,
        }
    }
}

/// What was seen of a process, without the copies of what it printed that scripts get.
fn lean(end: &StepEnd) -> Box<StepEnd> {
    let StepEnd {
        end,
        cut_off,
        duration_ms,
        tail,
        output_bytes,
        dropped_bytes,
        left_running,
        killed,
        survivors,
        stdout: _,
        stderr: _,
    } = end;
    Box::new(StepEnd {
        end: end.clone(),
        cut_off: cut_off.clone(),
        duration_ms: *duration_ms,
        tail: tail.clone(),
        output_bytes: *output_bytes,
        dropped_bytes: *dropped_bytes,
        left_running: left_running.clone(),
        killed: killed.clone(),
        survivors: survivors.clone(),
        stdout: Default::default(),
        stderr: Default::default(),
    })
}

impl Story {
    /// The step of this call.
    #[must_use]
    pub fn step(&self, id: &CallId) -> Option<&StepStory> {
        self.steps.get(*self.step_at.get(id)?)
    }

    /// What would be undone by a back-out now, the newest first.
    pub fn armed(&self) -> impl Iterator<Item = &CallId> {
        self.armed.iter().rev()
    }

    /// What undoes a call, if something does.
    #[must_use]
    pub fn back_out_of(&self, id: &CallId) -> Option<&BackOut> {
        let own = self.step(id).and_then(|s| s.step.back_out.as_ref());
        own.or_else(|| self.by_hand.get(id))
    }

    pub(super) fn on_step(&mut self, event: &Event, at_ms: i64) {
        match event {
            Event::StepStarted {
                id,
                attempt,
                step,
                place,
                limit_ms,
                limit_by,
            } => {
                let told = TryStory {
                    attempt: *attempt,
                    begin_ms: at_ms,
                    limit_ms: *limit_ms,
                    limit_by: *limit_by,
                    end: TryEnd::Open,
                };
                let known = self.step_at.get(id).copied();
                if let Some(story) = known.and_then(|at| self.steps.get_mut(at)) {
                    story.tries.push(told);
                    return;
                }
                self.step_at.insert(id.clone(), self.steps.len());
                self.steps.push(StepStory {
                    id: id.clone(),
                    step: step.clone(),
                    place: place.clone(),
                    group: self.innermost(&id.fiber),
                    tries: vec![told],
                });
                let undo = step.back_out.as_ref().map(|b| &b.undo);
                let arms = undo.is_some_and(|undo| *undo != Undo::Nothing);
                if arms && !id.is_in_back_out() {
                    self.armed.push(id.clone());
                }
            }
            Event::StepEnded {
                id,
                attempt,
                outcome,
                end,
                again,
            } => {
                let ended = TryEnd::Ended {
                    at_ms,
                    outcome: *outcome,
                    end: lean(end),
                    again: *again,
                };
                self.end_try(id, *attempt, ended);
            }
            Event::StepVoid {
                id,
                attempt,
                reason,
            } => {
                let reason = reason.clone();
                self.end_try(id, *attempt, TryEnd::Void { at_ms, reason });
            }
            _ => {}
        }
    }

    fn end_try(&mut self, id: &CallId, attempt: u32, end: TryEnd) {
        let known = self.step_at.get(id).copied();
        let Some(step) = known.and_then(|at| self.steps.get_mut(at)) else {
            return;
        };
        let told = step.tries.iter_mut().rev().find(|t| t.attempt == attempt);
        if let Some(told) = told {
            told.end = end;
        }
    }

    fn innermost(&self, fiber: &str) -> Option<usize> {
        self.open_groups.get(fiber)?.last().copied()
    }

    pub(super) fn begin_group(
        &mut self,
        id: &CallId,
        (title, retries): (&str, u32),
        place: &Place,
        at_ms: i64,
    ) {
        let within = self.innermost(&id.fiber);
        let open = self.open_groups.entry(id.fiber.clone()).or_default();
        open.push(self.groups.len());
        self.groups.push(Group {
            id: id.clone(),
            title: title.to_owned(),
            place: place.clone(),
            span: Span::from(at_ms),
            within,
            attempts: 1,
            retries,
            failed: None,
        });
    }

    pub(super) fn end_group(&mut self, id: &CallId, failed: Option<&str>, again: bool, at_ms: i64) {
        let Some(at) = self.innermost(&id.fiber) else {
            return;
        };
        let Some(group) = self.groups.get_mut(at) else {
            return;
        };
        if again {
            group.attempts += 1;
            return;
        }
        group.span.end_ms = Some(at_ms);
        group.failed = failed.map(str::to_owned);
        if let Some(open) = self.open_groups.get_mut(&id.fiber) {
            open.pop();
        }
    }

    pub(super) fn arm_by_hand(&mut self, id: &CallId, back_out: &BackOut) {
        self.armed.push(id.clone());
        self.by_hand.insert(id.clone(), back_out.clone());
    }

    pub(super) fn on_back_out(&mut self, event: &Event, at_ms: i64) {
        match event {
            Event::BackOutStarted {
                id,
                title,
                limit_ms,
                step_outcome,
                attempt,
            } => {
                let told = BackOutStory {
                    id: id.clone(),
                    title: title.clone(),
                    undo: self.back_out_of(id).map(|b| b.undo.clone()),
                    of: self.step(id).map(|s| s.step.title.clone()),
                    attempt: *attempt,
                    span: Span::from(at_ms),
                    limit_ms: *limit_ms,
                    step_outcome: *step_outcome,
                    end: None,
                    is_final: !self.stops.is_empty(),
                };
                self.back_outs.push(told);
            }
            Event::BackOutVoid { id, reason, .. } => {
                self.end_back_out(id, at_ms, BackOutEnd::Void(reason.clone()));
            }
            Event::BackOutEnded {
                id,
                outcome,
                end,
                detail,
                ..
            } => {
                if *outcome == Outcome::Succeeded {
                    self.armed.retain(|armed| armed != id);
                }
                let ended = BackOutEnd::Ended {
                    outcome: *outcome,
                    end: end.as_deref().map(lean),
                    detail: detail.clone(),
                };
                self.end_back_out(id, at_ms, ended);
            }
            _ => {}
        }
    }

    fn end_back_out(&mut self, id: &CallId, at_ms: i64, end: BackOutEnd) {
        let mut open = self.back_outs.iter_mut().rev();
        if let Some(told) = open.find(|b| b.id == *id && b.end.is_none()) {
            told.span.end_ms = Some(at_ms);
            told.end = Some(end);
        }
    }

    pub(super) fn on_disarmed(
        &mut self,
        ids: &[CallId],
        reason: &str,
        no_return: bool,
        at_ms: i64,
    ) {
        self.armed.retain(|armed| !ids.contains(armed));
        let kind = match no_return {
            true => RemarkKind::NoReturn,
            false => RemarkKind::Disarmed,
        };
        self.remark(kind, at_ms, reason.to_owned());
    }

    /// The step that a stop is about: the last one that did not succeed.
    pub(super) fn failed_step(&self, cause: StopCause, reason: &str) -> Option<CallId> {
        let about_steps = matches!(
            cause,
            StopCause::FailedStep | StopCause::Deadline | StopCause::WindowClosed
        );
        let mut bad = self.steps.iter().rev().filter(|step| {
            !step.id.is_in_back_out()
                && step.outcome().is_some_and(|o| o != Outcome::Succeeded)
                && reason.contains(&format!("`{}`", step.step.title))
        });
        bad.next().filter(|_| about_steps).map(|s| s.id.clone())
    }
}
