//! What a probe is told to do, and how it ended. Durations are in milliseconds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A short command that only reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProbeSpec {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The complete environment.
    pub env: BTreeMap<String, String>,
    /// Directory in which it starts.
    pub cwd: PathBuf,
    /// Text on standard input; without it `/dev/null`.
    pub stdin: Option<String>,
    /// It is killed after this time.
    pub timeout_ms: u64,
    /// It is killed when it has printed more bytes than this, both streams together.
    pub max_output: u64,
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeEnd {
    /// Exit or the reason for its being ended.
    pub how: ProbeExit,
    /// What it printed on stdout, as far as it was read; invalid UTF-8 replaced.
    pub stdout: String,
    /// What it printed on stderr, likewise.
    pub stderr: String,
    /// From start to end.
    pub duration_ms: u64,
}

/// Exit of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum ProbeExit {
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
    /// It never ran.
    NotStarted {
        /// What was wrong, for a person.
        error: String,
    },
    /// It was killed because its time was over.
    TimedOut,
    /// It was killed because the caller cancelled it.
    Cancelled,
    /// It was killed because it printed more than allowed.
    TooMuchOutput,
}
