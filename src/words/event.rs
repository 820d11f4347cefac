//! Events: what the journal holds, and all that reports may show.

#[cfg(test)]
mod schema;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::{Answer, Call, CallId};
use super::header::Header;
use super::notice::Occasion;
use super::outcome::{Outcome, Phase, RunOutcome, StopCause};
use super::place::Place;
use super::step::{ProcessFact, StepEnd};

/// Which of several limits a step is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LimitBy {
    /// Its own timeout.
    Timeout,
    /// The timeout of its group.
    Group,
    /// The run's deadline, less the time reserved for the back-out.
    Deadline,
    /// The window's end, less the time reserved for the back-out.
    Window,
    /// The timeout of the back-out it belongs to.
    BackOut,
}

/// What a watch or a verify saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "detail")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// The closure threw, or took too long.
    Error(String),
    /// There was nothing to judge: the closure returned `()`.
    NoData,
}

impl Verdict {
    /// The word for reports.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error(text) => text,
            Self::NoData => "no data",
        }
    }
}

/// Who started, resumed or approved something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Actor {
    /// The login name.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.host)
    }
}

/// A change that stands at the end of a run that is stuck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StillChanged {
    /// The call that made the change.
    pub call: CallId,
    /// Its title.
    pub title: String,
    /// Why it still stands.
    pub why: String,
    /// The last lines of the back-out that failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
    /// The command to try again, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// A try of a step or a back-out that acted although the journal does not have it: it was carried
/// out from memory when nothing more could be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unwritten {
    /// The call, or the call whose back-out it is.
    pub call: CallId,
    /// Which try, from 1.
    pub attempt: u32,
    /// Is it the back-out of the call?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backs_out: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The same in words that follow a title.
    pub how: String,
    /// The last lines of its output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Why it stopped early, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<StopCause>,
    /// The reason in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is still changed; only when stuck.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_changed: Vec<StillChanged>,
    /// Processes that could not be ended; only when stuck.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub survivors: Vec<ProcessFact>,
    /// Steps that acted and had no back-out, by title; nothing vouches for them after a back-out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_back_out: Vec<String>,
    /// What the run's directory holds and the journal does not; only when stuck.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unwritten: Vec<Unwritten>,
}

/// What happened in a run. One event is one row of the journal and one line of `--format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A run began.
    RunStarted {
        /// Who started it.
        by: Actor,
        /// The version of deployrun.
        deployrun: String,
        /// The plan's file.
        plan: String,
        /// SHA-256 over the plan's sources, in hex.
        fingerprint: String,
        /// What the plan sees as `args`.
        #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
        args: serde_json::Map<String, Value>,
        /// The id of the machine's boot.
        boot_id: String,
        /// Is the time the machine's own?
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        clock_injected: bool,
        /// The fingerprint that was approved, in hex, if one was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approved: Option<String>,
        /// The span that the run's trace continues, as a `traceparent` of W3C Trace Context.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace_parent: Option<String>,
    },
    /// Another process goes on with the run.
    RunResumed {
        /// Who.
        by: Actor,
        /// `resume` or `back-out`.
        command: String,
        /// The id of the machine's boot.
        boot_id: String,
    },
    /// The plan's header was read.
    Header {
        /// It.
        header: Header,
    },
    /// The run stands in another phase.
    Phase {
        /// The new one.
        phase: Phase,
    },
    /// A call was answered at once, or a reading call was performed.
    Called {
        /// Which.
        id: CallId,
        /// What was asked.
        call: Call,
        /// Where.
        place: Place,
        /// What was answered.
        answer: Answer,
        /// Milliseconds it took.
        #[serde(default)]
        took_ms: u64,
    },
    /// A call that takes time began.
    CallBegan {
        /// Which.
        id: CallId,
        /// What is asked.
        call: Call,
        /// Where.
        place: Place,
    },
    /// A call that took time ended.
    CallEnded {
        /// Which.
        id: CallId,
        /// What was answered.
        answer: Answer,
    },
    /// The answer to a check.
    Finding {
        /// Which call.
        id: CallId,
        /// What was asked for.
        name: String,
        /// Was it so?
        ok: bool,
        /// What was seen.
        detail: String,
    },
    /// A step is about to act; from here on its back-out is armed.
    StepStarted {
        /// Which.
        id: CallId,
        /// Which try, from 1.
        attempt: u32,
        /// What it does.
        step: Box<Step>,
        /// Where.
        place: Place,
        /// Milliseconds it is given.
        limit_ms: u64,
        /// By which limit.
        limit_by: LimitBy,
    },
    /// A step ended.
    StepEnded {
        /// Which.
        id: CallId,
        /// Which try.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// What was seen of it.
        end: Box<StepEnd>,
        /// Will it be tried again?
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// A step that was about to act never did.
    StepVoid {
        /// Which.
        id: CallId,
        /// Which try.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// The run waits for the environment's lock.
    LockWaited {
        /// Who has it.
        holder: String,
    },
    /// The environment's lock was taken.
    LockTaken {
        /// Of which environment.
        environment: String,
    },
    /// Someone must approve.
    ApprovalAsked {
        /// What.
        name: String,
    },
    /// Someone approved.
    Approved {
        /// What.
        name: String,
        /// Who.
        by: Actor,
        /// When, milliseconds since 1970; the run may have learned of it later.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        given_ms: Option<i64>,
        /// Their words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// The run waits for the window.
    WindowAwaited {
        /// The window.
        window: String,
        /// When it opens, milliseconds since 1970.
        opens_ms: i64,
        /// When it closes.
        closes_ms: i64,
    },
    /// The window is open.
    WindowOpen {
        /// The window.
        window: String,
        /// When it closes, milliseconds since 1970.
        closes_ms: i64,
    },
    /// The window was set aside.
    WindowOverridden {
        /// The window.
        window: String,
        /// Why, in the operator's words.
        reason: String,
    },
    /// The gate is open: steps may act.
    GateOpened,
    /// A watch was sampled.
    Sampled {
        /// Which.
        id: CallId,
        /// Its name.
        name: String,
        /// What it saw.
        #[serde(flatten)]
        verdict: Verdict,
        /// Bad samples in a row, with this one.
        bad: u32,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// A success criterion was looked at.
    Tried {
        /// Which call.
        id: CallId,
        /// What it saw.
        #[serde(flatten)]
        verdict: Verdict,
    },
    /// The run stops early, or for a stronger cause than before.
    Stopping {
        /// Why.
        cause: StopCause,
        /// In words.
        reason: String,
        /// Where the plan stood.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
        /// The last lines of what failed, or the error with its excerpt.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// Back-outs are no longer armed.
    Disarmed {
        /// Whose.
        ids: Vec<CallId>,
        /// Why.
        reason: String,
        /// Is it a point of no return?
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        no_return: bool,
    },
    /// A back-out is about to act.
    BackOutStarted {
        /// Of which call.
        id: CallId,
        /// Its title.
        title: String,
        /// Milliseconds it is given.
        limit_ms: u64,
        /// How the step ended that it undoes.
        step_outcome: Option<Outcome>,
        /// Which try, from 1.
        attempt: u32,
    },
    /// A back-out is armed again: it never acted, or it puts files back, which can be done again.
    BackOutVoid {
        /// Of which call.
        id: CallId,
        /// Its title.
        title: String,
        /// Which try.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// A back-out ended.
    BackOutEnded {
        /// Of which call.
        id: CallId,
        /// Its title.
        title: String,
        /// How.
        outcome: Outcome,
        /// What was seen of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end: Option<Box<StepEnd>>,
        /// What went wrong.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// A signal came.
    Interrupted {
        /// Its name.
        signal: String,
        /// How many came so far.
        count: u32,
    },
    /// The terminal went away; the run goes on without it.
    HungUp,
    /// The process leaves a run that has not ended.
    Left {
        /// Why.
        reason: String,
    },
    /// Something the plan or the host has to say.
    Note {
        /// Is it a warning?
        warning: bool,
        /// It.
        text: String,
    },
    /// The run ended.
    RunEnded {
        /// How.
        end: RunEnd,
    },
    /// Somebody whom the header names was told of the run, or could not be. Of an end they are told
    /// when it is in the journal: this event stands behind `run-ended` then.
    Notified {
        /// Which of those that the header names, from 1.
        number: usize,
        /// What of.
        on: Occasion,
        /// By which way, without anything secret.
        to: String,
        /// Why it is not known that they have heard.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        problem: String,
        /// Milliseconds it took.
        took_ms: u64,
    },
}

use super::call::Step;

impl Event {
    /// The word in the journal's `kind` column.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run-started",
            Self::RunResumed { .. } => "run-resumed",
            Self::Header { .. } => "header",
            Self::Phase { .. } => "phase",
            Self::Called { .. } => "called",
            Self::CallBegan { .. } => "call-began",
            Self::CallEnded { .. } => "call-ended",
            Self::Finding { .. } => "finding",
            Self::StepStarted { .. } => "step-started",
            Self::StepEnded { .. } => "step-ended",
            Self::StepVoid { .. } => "step-void",
            Self::LockWaited { .. } => "lock-waited",
            Self::LockTaken { .. } => "lock-taken",
            Self::ApprovalAsked { .. } => "approval-asked",
            Self::Approved { .. } => "approved",
            Self::WindowAwaited { .. } => "window-awaited",
            Self::WindowOpen { .. } => "window-open",
            Self::WindowOverridden { .. } => "window-overridden",
            Self::GateOpened => "gate-opened",
            Self::Sampled { .. } => "sampled",
            Self::Tried { .. } => "tried",
            Self::Stopping { .. } => "stopping",
            Self::Disarmed { .. } => "disarmed",
            Self::BackOutStarted { .. } => "back-out-started",
            Self::BackOutVoid { .. } => "back-out-void",
            Self::BackOutEnded { .. } => "back-out-ended",
            Self::Interrupted { .. } => "interrupted",
            Self::HungUp => "hung-up",
            Self::Left { .. } => "left",
            Self::Note { .. } => "note",
            Self::RunEnded { .. } => "run-ended",
            Self::Notified { .. } => "notified",
        }
    }

    /// The call it belongs to.
    #[must_use]
    pub fn call(&self) -> Option<&CallId> {
        match self {
            Self::Called { id, .. }
            | Self::CallBegan { id, .. }
            | Self::CallEnded { id, .. }
            | Self::Finding { id, .. }
            | Self::StepStarted { id, .. }
            | Self::StepEnded { id, .. }
            | Self::StepVoid { id, .. }
            | Self::Sampled { id, .. }
            | Self::Tried { id, .. }
            | Self::BackOutStarted { id, .. }
            | Self::BackOutVoid { id, .. }
            | Self::BackOutEnded { id, .. } => Some(id),
            Self::RunStarted { .. }
            | Self::RunResumed { .. }
            | Self::Header { .. }
            | Self::Phase { .. }
            | Self::LockWaited { .. }
            | Self::LockTaken { .. }
            | Self::ApprovalAsked { .. }
            | Self::Approved { .. }
            | Self::WindowAwaited { .. }
            | Self::WindowOpen { .. }
            | Self::WindowOverridden { .. }
            | Self::GateOpened
            | Self::Stopping { .. }
            | Self::Disarmed { .. }
            | Self::Interrupted { .. }
            | Self::HungUp
            | Self::Left { .. }
            | Self::Note { .. }
            | Self::RunEnded { .. }
            | Self::Notified { .. } => None,
        }
    }

    /// Must it be on the disk before anything else happens?
    ///
    /// What has no effect of its own may wait for the next event that must; order is kept, so
    /// nothing later is ever durable without it.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::StepStarted { .. }
            | Self::StepEnded { .. }
            | Self::StepVoid { .. }
            | Self::Approved { .. }
            | Self::WindowOverridden { .. }
            | Self::Stopping { .. }
            | Self::Disarmed { .. }
            | Self::BackOutStarted { .. }
            | Self::BackOutVoid { .. }
            | Self::BackOutEnded { .. }
            | Self::Interrupted { .. }
            | Self::Left { .. }
            | Self::RunEnded { .. } => true,
            Self::RunStarted { .. }
            | Self::RunResumed { .. }
            | Self::Header { .. }
            | Self::Phase { .. }
            | Self::Called { .. }
            | Self::CallBegan { .. }
            | Self::CallEnded { .. }
            | Self::Finding { .. }
            | Self::LockWaited { .. }
            | Self::LockTaken { .. }
            | Self::ApprovalAsked { .. }
            | Self::WindowAwaited { .. }
            | Self::WindowOpen { .. }
            | Self::GateOpened
            | Self::Sampled { .. }
            | Self::Tried { .. }
            | Self::HungUp
            | Self::Note { .. }
            | Self::Notified { .. } => false,
        }
    }
}

/// An event with its place in the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stamped {
    /// The run.
    pub run: String,
    /// Its number in the run, from 1, without gaps.
    pub seq: u64,
    /// When it happened, milliseconds since 1970.
    pub at_ms: i64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Any value as JSON text, for digests and comparisons.
#[must_use]
pub fn json_text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| Value::Null.to_string())
}
