//! What goes into the journal and what comes out of it.

use super::RunId;

/// One entry to be appended. The journal does not look into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it happened: milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// What it is.
    pub kind: String,
    /// The call that it belongs to, if any.
    pub call: Option<String>,
    /// Its content, JSON.
    pub data: String,
}

/// An entry as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its place in its run: 1, 2, 3, … without gaps.
    pub seq: u64,
    /// What was appended.
    pub entry: Entry,
}

/// What a run is created with.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// The wanted id. If another run has it, the next free one is used.
    pub id: RunId,
    /// The plan's name.
    pub plan: String,
    /// The version that it releases.
    pub version: String,
    /// The environment that it changes.
    pub environment: String,
    /// The plan's fingerprint.
    pub fingerprint: String,
    /// What is frozen with the run: sources, arguments, infrastructure, controls.
    pub frozen: serde_json::Value,
    /// Milliseconds since 1970 UTC.
    pub created_ms: i64,
}

/// What an append changes in the run's own row, in the same transaction. `None` leaves a column as
/// it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunUpdate {
    /// Where the run stands now.
    pub phase: Option<String>,
    /// How the run ended.
    pub outcome: Option<String>,
    /// The environment whose lock the run gives back.
    pub release_lock: Option<String>,
}

/// A run's own row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub id: String,
    /// The plan's name.
    pub plan: String,
    /// The version that it releases.
    pub version: String,
    /// The environment that it changes.
    pub environment: String,
    /// The plan's fingerprint.
    pub fingerprint: String,
    /// Milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// The time of the last entry that came with an update of this row; milliseconds since 1970 UTC.
    pub updated_ms: i64,
    /// Where the run stands.
    pub phase: Option<String>,
    /// How it ended; `None` while it has not.
    pub outcome: Option<String>,
}

/// Which runs to list. The newest run comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only runs of this environment.
    pub environment: Option<String>,
    /// Only runs of the plan with this name.
    pub plan: Option<String>,
    /// Only runs without an outcome.
    pub unfinished: bool,
    /// Only runs with one of these outcomes; all, when there are none.
    pub outcomes: Vec<String>,
    /// Only runs created then or later: milliseconds since 1970 UTC.
    pub since_ms: Option<i64>,
    /// At most so many.
    pub limit: Option<usize>,
}

impl Filter {
    /// Every row is read and its sum checked before this looks at it, so that a damaged row is an
    /// error rather than one that does not fit.
    pub(super) fn keeps(&self, row: &RunRow) -> bool {
        self.environment
            .as_ref()
            .is_none_or(|wanted| *wanted == row.environment)
            && self.plan.as_ref().is_none_or(|wanted| *wanted == row.plan)
            && !(self.unfinished && row.outcome.is_some())
            && (self.outcomes.is_empty()
                || row
                    .outcome
                    .as_ref()
                    .is_some_and(|outcome| self.outcomes.contains(outcome)))
            && self.since_ms.is_none_or(|since| row.created_ms >= since)
    }
}
