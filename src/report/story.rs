//! A run as its events tell it: what JUnit, HTML and whoever else shows a run whole read.
//!
//! A story is told event by event and can be read at any moment: of a run that goes on, that was
//! left, taken up again, or has ended. It takes events as they come; what does not fit to what was
//! told before is passed over, and only [`Event::RunEnded`] ends it.

mod acts;
mod calls;
mod gate;
mod recap;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::words::call::{BackOut, Call, CallId};
use crate::words::event::{Actor, Event, RunEnd, Stamped};
use crate::words::header::Header;
use crate::words::outcome::{Phase, RunOutcome, StopCause};
use crate::words::place::Place;

use super::line::first_line;
use super::lines::plan_name;

pub use acts::{BackOutEnd, BackOutStory, Group, StepStory, TryEnd, TryStory};
pub use calls::{CallKind, CallStory, Finding, LineMark, Mark, Stretch, Watching};
pub use gate::{Approval, LockStory, WindowStory};
pub use recap::{LeftRunning, Undone};

/// From when to when something went on, milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its begin.
    pub begin_ms: i64,
    /// Its end; `None` while nothing has told of one.
    pub end_ms: Option<i64>,
}

impl Span {
    fn from(begin_ms: i64) -> Self {
        Self {
            begin_ms,
            end_ms: None,
        }
    }

    /// How long it took or, seen at `now_ms`, has taken.
    #[must_use]
    pub fn ms(&self, now_ms: i64) -> u64 {
        let end = self.end_ms.unwrap_or(now_ms);
        u64::try_from(end.saturating_sub(self.begin_ms)).unwrap_or(0)
    }
}

/// How a run began.
#[derive(Clone, Debug)]
pub struct Start {
    /// Who started it.
    pub by: Actor,
    /// The plan's file.
    pub plan: String,
    /// SHA-256 over the plan's sources.
    pub fingerprint: String,
    /// The version of deployrun.
    pub deployrun: String,
    /// What the plan saw as `args`.
    pub args: serde_json::Map<String, serde_json::Value>,
    /// Are all times of the run made up?
    pub clock_injected: bool,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
}

/// Another process that went on with the run.
#[derive(Clone, Debug)]
pub struct TakenUp {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// Who.
    pub by: Actor,
    /// `resume` or `back-out`.
    pub command: String,
    /// How long nobody had had it, as far as the journal tells: since the event before.
    pub after_ms: u64,
}

/// A reason to stop.
#[derive(Clone, Debug)]
pub struct StopStory {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// Why.
    pub cause: StopCause,
    /// In words.
    pub reason: String,
    /// Where the plan stood.
    pub place: Option<Place>,
    /// The last lines of what failed, or the error with its excerpt.
    pub detail: String,
    /// The step that it is about, if it is about one.
    pub step: Option<CallId>,
}

/// What is said beside the steps: notes, signals, what was given up.
#[derive(Clone, Debug)]
pub struct Remark {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What kind it is.
    pub kind: RemarkKind,
    /// Its words.
    pub text: String,
}

/// What kind of remark it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemarkKind {
    /// `info`.
    Note,
    /// `warn`.
    Warning,
    /// A signal, or the loss of the terminal.
    Signal,
    /// Back-outs were given up.
    Disarmed,
    /// A point of no return.
    NoReturn,
    /// The window was set aside.
    Override,
    /// A process left the run.
    Left,
}

/// How a run stands by what was told of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing<'a> {
    /// It has ended.
    Ended(&'a RunEnd),
    /// The process that had it has left it, for this reason.
    Left(&'a str),
    /// It goes on, or whoever had it is gone; the journal does not know which.
    Open,
}

/// A run as it has been told so far.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Its id; empty before the first event.
    pub run: String,
    /// How it began.
    pub start: Option<Start>,
    /// The plan's header, once it was read.
    pub header: Option<Header>,
    /// Who went on with it.
    pub taken_up: Vec<TakenUp>,
    /// The phases it went through, without those that are ends.
    pub phases: Vec<(Phase, Span)>,
    /// What the checks found.
    pub findings: Vec<Finding>,
    /// The steps, in the order in which they began.
    pub steps: Vec<StepStory>,
    /// The groups, in the order in which they began.
    pub groups: Vec<Group>,
    /// All other calls, in order.
    pub calls: Vec<CallStory>,
    /// The back-outs, in the order in which they began.
    pub back_outs: Vec<BackOutStory>,
    /// The approvals that were asked for.
    pub approvals: Vec<Approval>,
    /// The windows that were waited for or opened.
    pub windows: Vec<WindowStory>,
    /// The environment's lock.
    pub locks: Vec<LockStory>,
    /// When steps could act from, milliseconds since 1970.
    pub gate_opened_ms: Option<i64>,
    /// Why it stops, the last one being the strongest.
    pub stops: Vec<StopStory>,
    /// What is said beside the steps.
    pub remarks: Vec<Remark>,
    /// When the first event happened.
    pub first_ms: i64,
    /// When the last event happened.
    pub last_ms: i64,
    /// How many events were told.
    pub events: u64,
    end: Option<RunEnd>,
    left: Option<String>,
    watches: Vec<Watching>,
    armed: Vec<CallId>,
    by_hand: BTreeMap<CallId, BackOut>,
    open_groups: BTreeMap<String, Vec<usize>>,
    step_at: BTreeMap<CallId, usize>,
    call_at: BTreeMap<CallId, usize>,
    watch_at: BTreeMap<CallId, usize>,
}

impl Story {
    /// The story of these events.
    pub fn of<'e>(events: impl IntoIterator<Item = &'e Stamped>) -> Self {
        let mut story = Self::default();
        for event in events {
            story.tell(event);
        }
        story
    }

    /// Takes an event.
    pub fn tell(&mut self, event: &Stamped) {
        if self.events == 0 {
            self.first_ms = event.at_ms;
            self.last_ms = event.at_ms;
            self.phases.push((Phase::Review, Span::from(event.at_ms)));
        }
        self.events += 1;
        self.run.clone_from(&event.run);
        let before = self.last_ms;
        // A wall clock may be set back.
        self.first_ms = self.first_ms.min(event.at_ms);
        if self.end.is_none() {
            self.last_ms = self.last_ms.max(event.at_ms);
        }
        let at_ms = event.at_ms;
        match &event.event {
            Event::RunStarted {
                by,
                deployrun,
                plan,
                fingerprint,
                args,
                clock_injected,
                ..
            } => {
                self.start = Some(Start {
                    by: by.clone(),
                    plan: plan.clone(),
                    fingerprint: fingerprint.clone(),
                    deployrun: deployrun.clone(),
                    args: args.clone(),
                    clock_injected: *clock_injected,
                    at_ms,
                });
            }
            Event::RunResumed { by, command, .. } => {
                self.left = None;
                self.taken_up.push(TakenUp {
                    at_ms,
                    by: by.clone(),
                    command: command.clone(),
                    after_ms: u64::try_from(at_ms.saturating_sub(before)).unwrap_or(0),
                });
            }
            Event::Header { header } => self.header = Some(header.clone()),
            Event::Phase { phase } => self.on_phase(*phase, at_ms),
            Event::Called {
                id, call, place, ..
            }
            | Event::CallBegan { id, call, place } => {
                self.on_call(&event.event, (id, call, place), at_ms);
            }
            Event::CallEnded { .. }
            | Event::Finding { .. }
            | Event::Sampled { .. }
            | Event::Tried { .. } => self.on_seen(&event.event, at_ms),
            Event::StepStarted { .. } | Event::StepEnded { .. } | Event::StepVoid { .. } => {
                self.on_step(&event.event, at_ms);
            }
            Event::BackOutStarted { .. }
            | Event::BackOutVoid { .. }
            | Event::BackOutEnded { .. } => self.on_back_out(&event.event, at_ms),
            Event::LockWaited { .. }
            | Event::LockTaken { .. }
            | Event::ApprovalAsked { .. }
            | Event::Approved { .. }
            | Event::WindowAwaited { .. }
            | Event::WindowOpen { .. }
            | Event::WindowOverridden { .. } => self.on_gate(&event.event, at_ms),
            Event::GateOpened => self.gate_opened_ms = Some(at_ms),
            Event::Stopping {
                cause,
                reason,
                place,
                detail,
            } => {
                let stop = StopStory {
                    at_ms,
                    cause: *cause,
                    reason: reason.clone(),
                    place: place.clone(),
                    detail: detail.clone(),
                    step: self.failed_step(*cause, reason),
                };
                self.stops.push(stop);
            }
            Event::Disarmed {
                ids,
                reason,
                no_return,
            } => self.on_disarmed(ids, reason, *no_return, at_ms),
            Event::Interrupted { signal, count } => {
                let text = match count {
                    1 => signal.clone(),
                    n => format!("{signal}, number {n}"),
                };
                self.remark(RemarkKind::Signal, at_ms, text);
            }
            Event::HungUp => {
                let text = "the terminal went away; the run goes on without it";
                self.remark(RemarkKind::Signal, at_ms, text.to_owned());
            }
            Event::Left { reason } => {
                self.left = Some(reason.clone());
                self.remark(RemarkKind::Left, at_ms, reason.clone());
            }
            Event::Note { warning, text } => self.note(*warning, text, at_ms),
            Event::Notified {
                on, to, problem, ..
            } => {
                let on = on.word();
                match problem.as_str() {
                    "" => self.note(false, &format!("told {to}: {on}"), at_ms),
                    _ => {
                        let text = format!("{to} could not be told of `{on}`: {problem}");
                        self.note(true, &text, at_ms);
                    }
                }
            }
            Event::RunEnded { end } => {
                self.end = Some(end.clone());
                self.close_phase(at_ms);
            }
        }
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing<'_> {
        match (&self.end, &self.left) {
            (Some(end), _) => Standing::Ended(end),
            (None, Some(reason)) => Standing::Left(reason),
            (None, None) => Standing::Open,
        }
    }

    /// How it stands, in a word for tools: an outcome, `left`, or `not-ended`.
    #[must_use]
    pub fn outcome_word(&self) -> &'static str {
        match self.standing() {
            Standing::Ended(end) => end.outcome.word(),
            Standing::Left(_) => "left",
            Standing::Open => "not-ended",
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<&RunEnd> {
        self.end.as_ref()
    }

    /// Has it ended as released?
    #[must_use]
    pub fn is_released(&self) -> bool {
        let outcome = self.end.as_ref().map(|end| end.outcome);
        outcome == Some(RunOutcome::Released)
    }

    /// The phase it is in, or was in before its end.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phases
            .last()
            .map_or(Phase::Review, |(phase, _)| *phase)
    }

    /// The environment; empty before it is known.
    #[must_use]
    pub fn environment(&self) -> &str {
        self.header.as_ref().map_or("", |h| h.environment.as_str())
    }

    /// `shop-web 2.4.0`; before the header is known, the plan's file.
    #[must_use]
    pub fn release(&self) -> String {
        let plan = || self.start.as_ref().map_or("?", |s| plan_name(&s.plan));
        match &self.header {
            Some(header) if !header.name.is_empty() => first_line(&header.release()),
            _ => first_line(plan()),
        }
    }

    /// The whole of it: from its first event to its end or its last event.
    #[must_use]
    pub fn span(&self) -> Span {
        Span {
            begin_ms: self.first_ms,
            end_ms: self.end.is_some().then_some(self.last_ms),
        }
    }

    /// When the deadline is, the time reserved for the back-out included; milliseconds since 1970.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<i64> {
        let deadline = self.header.as_ref()?.deadline_ms?;
        Some(self.gate_opened_ms?.saturating_add_unsigned(deadline))
    }

    fn on_phase(&mut self, phase: Phase, at_ms: i64) {
        if phase.ended().is_some() || self.phase() == phase {
            return;
        }
        self.close_phase(at_ms);
        self.phases.push((phase, Span::from(at_ms)));
    }

    fn close_phase(&mut self, at_ms: i64) {
        if let Some((_, span)) = self.phases.last_mut() {
            span.end_ms.get_or_insert(at_ms);
        }
    }

    fn remark(&mut self, kind: RemarkKind, at_ms: i64, text: String) {
        self.remarks.push(Remark { at_ms, kind, text });
    }

    fn note(&mut self, warning: bool, text: &str, at_ms: i64) {
        let kind = match warning {
            true => RemarkKind::Warning,
            false => RemarkKind::Note,
        };
        self.remark(kind, at_ms, text.to_owned());
    }

    fn on_call(&mut self, event: &Event, call: (&CallId, &Call, &Place), at_ms: i64) {
        if let Call::Note { warning, text } = call.1 {
            self.note(*warning, text, at_ms);
        }
        self.take_call(event, call, at_ms);
    }
}
