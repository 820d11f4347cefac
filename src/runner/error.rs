//! Why a run could not be started or taken up.

use crate::journal::{FindError, JournalError, OwnerError};
use crate::script::plan::ReadError;
use crate::supervisor::unwritten::LookError;
use crate::words::diagnostic::Diagnostic;

/// Why a run could not be started or taken up again. Nothing was done then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The plan has errors.
    #[error("the plan has errors")]
    Check(Vec<Diagnostic>),
    /// The journal could not be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The plan is not the one that was approved.
    #[error(
        "the plan is not what was approved: approved was {approved}, its fingerprint is {now} now; \
         the plan, a module, an argument or a file that it uploads has changed; look at what it would \
         do now with `deployrun preview`; nothing was done"
    )]
    NotApproved {
        /// The fingerprint that was given.
        approved: String,
        /// The fingerprint that it has.
        now: String,
    },
    /// No run, or several, have an id that begins so.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Another process has the run.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The run has ended.
    #[error("run {run} has ended: {outcome}")]
    Ended {
        /// Which.
        run: String,
        /// How.
        outcome: &'static str,
    },
    /// A secret that the run has had can't be had now.
    #[error(
        "{problem}; run {run} was not taken up, and nothing was done: its back-outs may need what \
         the plan had; put it where it was, and come again"
    )]
    Secret {
        /// Which run.
        run: String,
        /// Which secret, and why.
        problem: String,
    },
    /// The directory of the plan is gone.
    #[error(
        "the directory of the plan, {}, is not there; run {run} was not taken up, and nothing was done: \
         the commands of its steps and back-outs work there; make it again with what they need of it, \
         and come again",
        root.display()
    )]
    Root {
        /// Which run.
        run: String,
        /// Which directory.
        root: std::path::PathBuf,
    },
    /// There is nothing to put back of a run.
    #[error("nothing of run {run} was put back: {problem}")]
    NothingToPutBack {
        /// Which run.
        run: String,
        /// Why.
        problem: String,
    },
    /// What the journal has of a run cannot be understood.
    #[error("run {run} can't be read: {problem}")]
    Unreadable {
        /// Which.
        run: String,
        /// Why.
        problem: String,
    },
    /// What the journal does not have of a run cannot be told now.
    #[error("run {run} can't be taken up: {source}")]
    Unwritten {
        /// Which.
        run: String,
        /// Why.
        source: LookError,
    },
    /// The system refused something the runtime needs.
    #[error("the runtime can't be started: {0}")]
    System(#[from] std::io::Error),
}
