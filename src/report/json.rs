//! Events as JSON, one a line.

use std::time::Duration;

use crate::words::event::{Stamped, json_text};
use crate::words::report::Report;

use super::out;
use super::thread::{Reporter, Screen};

/// Prints every event as it is in the journal.
pub struct JsonReport(Reporter<JsonScreen>);

impl JsonReport {
    /// A report that prints from its first event on.
    #[must_use]
    pub fn new() -> Self {
        Self(Reporter::new(JsonScreen))
    }
}

impl Default for JsonReport {
    fn default() -> Self {
        Self::new()
    }
}

impl Report for JsonReport {
    fn event(&mut self, event: &Stamped) {
        self.0.event(event);
    }

    fn unwritten(&mut self, event: &Stamped) {
        self.0.unwritten(event);
    }
}

struct JsonScreen;

impl Screen for JsonScreen {
    fn events(&mut self, events: &[Stamped]) {
        let texts: Vec<String> = events.iter().map(json_text).collect();
        out::lines(texts.iter().map(String::as_str));
    }

    fn unwritten(&mut self, event: &Stamped) {
        out::error_line(&json_text(event));
    }

    fn tick(&mut self) -> Option<Duration> {
        None
    }
}
