//! Who is told of events.

use super::event::Stamped;

/// Where the events of a run go beside the journal.
pub trait Report: Send {
    /// An event that is in the journal.
    fn event(&mut self, event: &Stamped);
    /// The journal can no longer be written: this is told on standard error only.
    fn unwritten(&mut self, event: &Stamped);
}

impl<R: Report + ?Sized> Report for Box<R> {
    fn event(&mut self, event: &Stamped) {
        (**self).event(event);
    }

    fn unwritten(&mut self, event: &Stamped) {
        (**self).unwritten(event);
    }
}
