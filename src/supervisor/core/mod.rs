//! The pure heart of a run: what happens next.
//!
//! [`Core::step`] takes one input and the time, and returns actions in the order in which they must
//! be carried out. It does no I/O and reads no clock, so every history of a run, however unlikely,
//! can be played in a test. Records come before the effects they announce; whoever carries the
//! actions out must not go past a record that could not be written.

mod apply;
mod back_out;
mod calls;
mod gate;
mod limits;
mod notices;
#[cfg(test)]
pub(crate) mod simulation;
mod state;
mod steps;
mod stop;
#[cfg(test)]
mod tests;
mod watches;

pub use calls::{HEADER_FIRST, needs_gate};
pub use gate::long_enough;
pub use state::{Armed, ArmedStatus, Core, Finding, Stop};
pub use steps::{answer_of, outcome_of};

use serde_json::Value;

use crate::words::call::{Answer, Call, CallId};
use crate::words::event::{Actor, Event, Unwritten, Verdict};
use crate::words::outcome::{Outcome, StopCause};
use crate::words::place::Place;
use crate::words::step::StepEnd;

/// What the operator decided before the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What the plan is called when its header does not say.
    pub name: String,
    /// The reason for which the window is set aside.
    pub override_window: Option<String>,
    /// How long to wait for the environment's lock, in milliseconds.
    pub lock_wait_ms: u64,
}

/// One try of a step, or of a back-out that is a process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Try {
    /// The call of the step, or the call whose back-out it is.
    pub id: CallId,
    /// From 1.
    pub attempt: u32,
    /// Is it the back-out of the call rather than the call itself?
    pub backs_out: bool,
}

impl Try {
    /// The name of its directory in the run's.
    #[must_use]
    pub fn directory(&self) -> String {
        self.id.directory(self.attempt, self.backs_out)
    }
}

/// Why the plan's script ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ScriptEnd {
    /// It reached its end.
    Done,
    /// The host stopped it.
    Stopped,
    /// An error that nobody caught.
    Error {
        /// The cause that the error stands for.
        cause: StopCause,
        /// One line.
        reason: String,
        /// Where it was thrown.
        place: Option<Place>,
        /// The whole error: excerpt, chain of calls, last output.
        detail: String,
    },
}

/// What can be told of a step whose run was interrupted.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// Its end was seen.
    Seen(Box<StepEnd>),
    /// It never began to act, and never will.
    Void(String),
}

/// Why the environment's lock is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoLock {
    /// Who has it, in words that say what to do.
    pub holder: String,
    /// Will it not come free by itself? The run that has it is then to be recovered by a person.
    pub in_vain: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The script makes a call that is not in the journal.
    Call {
        /// Which.
        id: CallId,
        /// What it asks.
        call: Call,
        /// Where.
        place: Place,
    },
    /// The script made a reading call, and this is its result.
    Read {
        /// Which.
        id: CallId,
        /// What it asked.
        call: Call,
        /// Where.
        place: Place,
        /// What it saw.
        answer: Answer,
        /// For a check: what was seen, in words.
        detail: String,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// On replay, a call differs from the journal.
    Diverged {
        /// Which.
        id: CallId,
        /// Where.
        place: Place,
        /// What the journal has, and what the plan asked for.
        detail: String,
    },
    /// A try of a step or of a back-out ended.
    StepEnded {
        /// Which.
        key: Try,
        /// How.
        ended: Ended,
    },
    /// The closure of a back-out ended.
    ClosureEnded {
        /// The call whose back-out it is.
        id: CallId,
        /// The error that left it.
        error: Option<String>,
    },
    /// The closure of a verify was evaluated.
    Tried {
        /// Which call.
        id: CallId,
        /// What it saw.
        verdict: Verdict,
    },
    /// A watch was sampled.
    Sampled {
        /// Which.
        id: CallId,
        /// What it saw.
        verdict: Verdict,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// The script ended.
    ScriptEnded(ScriptEnd),
    /// The answer to [`Action::TakeLock`]: who has it, if somebody else does.
    Lock(Result<(), NoLock>),
    /// Somebody approved.
    Approved {
        /// What.
        name: String,
        /// Who.
        by: Actor,
        /// When, milliseconds since 1970, as far as that is known.
        given_ms: Option<i64>,
        /// Their words.
        comment: String,
    },
    /// SIGINT or SIGTERM.
    Interrupt {
        /// Its name.
        signal: String,
    },
    /// `deployrun back-out`.
    BackOutAsked {
        /// Who.
        by: Actor,
    },
    /// The run's directory tells of tries that the journal does not have.
    Unwritten {
        /// They.
        tries: Vec<Unwritten>,
    },
    /// The terminal went away.
    HangUp,
    /// The journal could not be written.
    JournalFailed {
        /// Why.
        detail: String,
    },
    /// Time has passed.
    Time,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a handful exist at a time, and not for long"
)]
pub enum Action {
    /// Write an event; nothing that follows may happen before it is durable.
    Record(Event),
    /// Start a step's process.
    StartStep {
        /// Which try.
        key: Try,
        /// Milliseconds it is given.
        limit_ms: u64,
    },
    /// End a step's process tree.
    EndStep {
        /// Which try.
        key: Try,
        /// Without waiting for the grace to pass.
        now: bool,
    },
    /// Run a back-out, as a process or as a closure.
    BackOut {
        /// Which.
        key: Try,
        /// Milliseconds it is given.
        limit_ms: u64,
        /// How the step ended that it undoes.
        step_outcome: Option<Outcome>,
    },
    /// End a back-out's closure: every further call of it is refused.
    EndClosure {
        /// The call whose back-out it is.
        id: CallId,
    },
    /// Give the script its answer.
    Answer {
        /// To which call.
        id: CallId,
        /// It.
        answer: Answer,
    },
    /// Let the script evaluate the closure of a verify.
    Try {
        /// Which call.
        id: CallId,
    },
    /// Evaluate the closure of a watch.
    Sample {
        /// Which.
        id: CallId,
        /// Milliseconds it may take.
        timeout_ms: u64,
    },
    /// Take the environment's lock.
    TakeLock {
        /// Of which environment.
        environment: String,
    },
    /// Refuse every further call of the script.
    StopScript,
    /// The run has ended, or this process leaves it.
    Finish,
}

fn null() -> Answer {
    Answer::Value(Value::Null)
}
