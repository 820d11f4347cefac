//! What a step is told to do, and how it ended.
//!
//! All durations are in milliseconds. A [`StepSpec`] may hold secrets and is therefore never
//! written to a disk; a [`StepEnd`] has been masked and may be.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::duration;
use super::event::LimitBy;

/// Everything a step supervisor must know; it has no other source.
#[derive(Clone, Serialize, Deserialize)]
pub struct StepSpec {
    /// Id of the run; for messages and the mark in the environment of the step.
    pub run: String,
    /// Place of the step in the run.
    pub step: String,
    /// Program and arguments; never empty. A program without `/` is looked up in `PATH` of `env`;
    /// a relative path is relative to `cwd`.
    pub argv: Vec<String>,
    /// The complete environment of the child. `DEPLOYRUN_STEP` is set over it.
    pub env: BTreeMap<String, String>,
    /// Directory in which the child starts.
    pub cwd: PathBuf,
    /// Text on the child's standard input; without it the child gets `/dev/null`.
    pub stdin: Option<String>,
    /// User the child runs as, with all their groups; without it the supervisor's own.
    pub user: Option<String>,
    /// The step is cut off after this time.
    pub timeout_ms: u64,
    /// The step is cut off when it has printed nothing for this time.
    pub idle_timeout_ms: Option<u64>,
    /// Time between TERM and KILL.
    pub grace_ms: u64,
    /// Patterns (syntax of the crate `regex`); a line of output that matches one cuts the step off.
    pub abort_on: Vec<String>,
    /// Exit statuses that mean success.
    pub success_codes: Vec<i32>,
    /// Bytes of output that are kept on disk: the first half and the last part.
    pub max_output: u64,
    /// Texts that must not appear in anything that is written.
    pub secrets: Vec<String>,
}

/// Debug output shows neither environment, stdin nor secrets: it must be safe to log.
impl std::fmt::Debug for StepSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepSpec")
            .field("run", &self.run)
            .field("step", &self.step)
            .field("program", &self.argv.first())
            .field("cwd", &self.cwd)
            .field("user", &self.user)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

/// How a step ended, as its supervisor published it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepEnd {
    /// How the command itself ended.
    pub end: End,
    /// Set when the supervisor ended the step; the step is then no success, whatever `end` says.
    pub cut_off: Option<CutOff>,
    /// From the start of the command to its exit.
    pub duration_ms: u64,
    /// What it printed on stdout.
    pub stdout: Captured,
    /// What it printed on stderr.
    pub stderr: Captured,
    /// Last lines of both streams in order of arrival: at most 200 lines and 64 KiB, invalid UTF-8
    /// replaced and control characters made visible, so that it is safe on a terminal.
    pub tail: String,
    /// Bytes of output after masking, both streams together.
    pub output_bytes: u64,
    /// Those of them that are not in the spool.
    pub dropped_bytes: u64,
    /// Processes a successful step left behind; they were let live.
    pub left_running: Vec<ProcessFact>,
    /// Processes that were alive when the supervisor ended the step (the first 256 of them).
    pub killed: Vec<ProcessFact>,
    /// Processes that could not be ended.
    pub survivors: Vec<ProcessFact>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum End {
    /// It exited by itself.
    Exited {
        /// Exit status, 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// Number of the signal.
        signal: i32,
    },
    /// It never ran; nothing can have been changed by it.
    NotStarted {
        /// What was wrong, for a person.
        error: String,
    },
    /// A function of the embedding program says that it failed.
    Failed {
        /// Its words.
        error: String,
    },
    /// Nobody saw its end.
    Unseen,
}

/// Why the supervisor ended a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum CutOff {
    /// Its time was over.
    Timeout,
    /// It had printed nothing for too long.
    IdleTimeout,
    /// A line of its output matched.
    AbortOn {
        /// The pattern as the plan has it.
        pattern: String,
        /// The line, masked, control characters made visible, at most 1 KiB.
        line: String,
    },
    /// Somebody asked for it.
    Stopped,
}

/// A bounded copy of a stream: its first 64 KiB and last 192 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Captured {
    /// The text, invalid UTF-8 replaced. Where something was left out, a line says how much.
    pub text: String,
    /// Whether something was left out.
    pub cut: bool,
}

/// What is worth knowing of a process that should not be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProcessFact {
    /// Process id.
    pub pid: i32,
    /// State letter of `/proc/PID/stat`, such as `S`, or `D` for one that cannot be killed now.
    pub state: char,
    /// Command line, masked, at most 256 characters.
    pub command: String,
    /// Whether it holds stdout or stderr of the step open.
    pub holds_output: bool,
}

/// How a step ended, in words that follow its title.
#[must_use]
pub fn end_words(end: &StepEnd, limit_by: LimitBy, codes: &[i32]) -> String {
    let time = duration::took(end.duration_ms);
    match (&end.cut_off, &end.end) {
        (_, End::Unseen) => "has an unknown end: nobody saw it".to_owned(),
        (_, End::NotStarted { error }) => format!("could not be started: {error}"),
        (Some(CutOff::Timeout), _) => {
            let by = match limit_by {
                LimitBy::Timeout => "its timeout",
                LimitBy::Group => "the timeout of its group",
                LimitBy::Deadline => "the deadline",
                LimitBy::Window => "the end of the window",
                LimitBy::BackOut => "the timeout of its back-out",
            };
            format!("was cut off by {by} after {time}")
        }
        (Some(CutOff::IdleTimeout), _) => {
            format!("was cut off after {time}: it had printed nothing for too long")
        }
        (Some(CutOff::AbortOn { pattern, line }), _) => {
            format!("was cut off after {time}: its output matches /{pattern}/: {line}")
        }
        (Some(CutOff::Stopped), _) => format!("was cut off after {time}"),
        (None, End::Failed { error }) => {
            let first = error.lines().next().unwrap_or_default();
            format!("failed after {time}: {first}")
        }
        (None, End::Exited { code }) if codes.contains(code) => format!("succeeded in {time}"),
        (None, End::Exited { code }) => format!("failed with exit status {code} after {time}"),
        (None, End::Signaled { signal }) => format!("was ended by signal {signal} after {time}"),
    }
}
