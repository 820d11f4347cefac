//! How things end: phases and outcomes of runs, outcomes of steps, stop causes.

use serde::{Deserialize, Serialize};

/// What the holder of a lock is told with, to those who did not wait for it.
pub const LOCK_ADVICE: &str = "; wait for it with --lock-wait";

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Only reading calls; nothing has changed.
    #[default]
    Review,
    /// At the gate: for the lock, for approvals, for the window.
    Waiting,
    /// Steps act.
    Release,
    /// Success criteria are being looked at.
    Verify,
    /// Ended: done.
    Released,
    /// Ended: nothing was changed.
    Refused,
    /// Steps are being undone.
    BackingOut,
    /// Ended: what was armed is undone.
    BackedOut,
    /// Ended: a person is needed.
    Stuck,
}

impl Phase {
    /// The word for reports and the journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Waiting => "waiting",
            Self::Release => "release",
            Self::Verify => "verify",
            Self::Released => "released",
            Self::Refused => "refused",
            Self::BackingOut => "backing-out",
            Self::BackedOut => "backed-out",
            Self::Stuck => "stuck",
        }
    }

    /// The outcome of the run if this phase is its last one.
    #[must_use]
    pub fn ended(self) -> Option<RunOutcome> {
        match self {
            Self::Released => Some(RunOutcome::Released),
            Self::Refused => Some(RunOutcome::Refused),
            Self::BackedOut => Some(RunOutcome::BackedOut),
            Self::Stuck => Some(RunOutcome::Stuck),
            Self::Review | Self::Waiting | Self::Release | Self::Verify | Self::BackingOut => None,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// The plan reached its end and every `verify` passed.
    Released,
    /// It never began to act.
    Refused,
    /// Every armed back-out is done.
    BackedOut,
    /// Something is still changed, or still running.
    Stuck,
}

impl RunOutcome {
    /// The word for reports and the journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.phase().word()
    }

    /// The phase that a run with this outcome ends in.
    #[must_use]
    pub fn phase(self) -> Phase {
        match self {
            Self::Released => Phase::Released,
            Self::Refused => Phase::Refused,
            Self::BackedOut => Phase::BackedOut,
            Self::Stuck => Phase::Stuck,
        }
    }

    /// The exit status of `run`, `resume` and `back-out`.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Released => 0,
            Self::Refused => 1,
            Self::BackedOut => 3,
            Self::Stuck => 4,
        }
    }
}

/// How a step or a back-out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It ended by itself, with an exit status that counts as success.
    Succeeded,
    /// It ended by itself, otherwise; or it could not be started.
    Failed,
    /// We ended it.
    CutOff,
    /// Nobody saw its end.
    Unknown,
}

impl Outcome {
    /// The word for reports, the journal and `DEPLOYRUN_STEP_OUTCOME`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::CutOff => "cut-off",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a run stops early. Ordered: a stronger cause replaces a weaker one, never the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// A finding of the review, the lock, or the window said no.
    Refused,
    /// The script threw an error nobody caught.
    ScriptError,
    /// A check failed after the first step.
    FailedCheck,
    /// A step failed or timed out, and the plan did not handle it.
    FailedStep,
    /// A success criterion was not met in time.
    FailedVerify,
    /// The plan called `abort`.
    Aborted,
    /// On replay the plan asked for something else than the journal says.
    Diverged,
    /// A watch tripped.
    TrippedWatch,
    /// The run's deadline, less the time reserved for the back-out, has come.
    Deadline,
    /// The window's end, less the time reserved for the back-out, has come.
    WindowClosed,
    /// Ctrl-C, SIGTERM, or `deployrun back-out`.
    Operator,
    /// A second Ctrl-C or SIGTERM.
    SecondInterrupt,
    /// The journal could not be written.
    JournalFailed,
}

impl StopCause {
    /// The words for reports.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ScriptError => "script error",
            Self::FailedCheck => "failed check",
            Self::FailedStep => "failed step",
            Self::FailedVerify => "failed verify",
            Self::Aborted => "aborted by the plan",
            Self::Diverged => "the plan is not deterministic",
            Self::TrippedWatch => "tripped watch",
            Self::Deadline => "deadline",
            Self::WindowClosed => "window closed",
            Self::Operator => "operator",
            Self::SecondInterrupt => "operator, second interrupt",
            Self::JournalFailed => "journal failed",
        }
    }
}
