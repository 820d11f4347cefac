//! Two reports of one run.

use crate::words::event::Stamped;
use crate::words::report::Report;

/// Tells both. The first comes to its end before the second is waited for.
pub struct Beside<A, B> {
    first: A,
    second: B,
}

impl<A: Report, B: Report> Beside<A, B> {
    /// `first` with `second` beside it.
    #[must_use]
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Report, B: Report> Report for Beside<A, B> {
    fn event(&mut self, event: &Stamped) {
        self.first.event(event);
        self.second.event(event);
    }

    fn unwritten(&mut self, event: &Stamped) {
        self.first.unwritten(event);
        self.second.unwritten(event);
    }
}
