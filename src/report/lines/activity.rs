//! What goes on while nothing is said.

use std::time::Duration;

use crate::words::duration;

use super::phrases::{positive, show_ms};

/// Something that goes on, and of which a sign of life is due when it is silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// What tells it from others.
    pub key: String,
    /// What it does: `still running`.
    pub verb: &'static str,
    /// What it is, if that is to be said: `migrate`.
    pub what: String,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
    /// When it ends at the latest, if it is known; milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// The directory of its output, in the run's, for a step.
    pub directory: Option<String>,
    /// How deep its lines are nested.
    pub depth: usize,
}

impl Activity {
    /// The sign of life at an instant: `still running: migrate, 40s of 10m`.
    #[must_use]
    pub fn sign_of_life(&self, now_ms: i64) -> String {
        let whole = |ms: i64| duration::show(Duration::from_secs(positive(ms) / 1000));
        let gone = whole(now_ms.saturating_sub(self.since_ms));
        let gap = if self.what.is_empty() { "" } else { ": " };
        let text = format!("{}{gap}{}, {gone}", self.verb, self.what);
        match self.until_ms {
            Some(until) => {
                let all = show_ms(positive(until.saturating_sub(self.since_ms)));
                format!("{text} of {all}")
            }
            None => text,
        }
    }
}
