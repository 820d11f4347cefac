//! Events as JSON, one a line.

use crate::words::event::{Stamped, json_text};
use crate::words::report::Report;

use super::out;

/// Prints every event as it is in the journal.
#[derive(Debug, Default)]
pub struct JsonReport;

impl Report for JsonReport {
    fn event(&mut self, event: &Stamped) {
        out::line(&json_text(event));
    }

    fn unwritten(&mut self, event: &Stamped) {
        out::error_line(&json_text(event));
    }
}
