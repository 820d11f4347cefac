//! Events as lines for people.

use crate::words::event::{Stamped, json_text};
use crate::words::report::Report;

use super::{Style, out};

/// Prints what happens, as it happens.
#[derive(Debug)]
pub struct HumanReport {
    style: Style,
}

impl HumanReport {
    /// A report in this style.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self { style }
    }
}

impl Report for HumanReport {
    fn event(&mut self, event: &Stamped) {
        let _ = self.style;
        out::line(&json_text(event));
    }

    fn unwritten(&mut self, event: &Stamped) {
        out::error_line(&json_text(event));
    }
}
