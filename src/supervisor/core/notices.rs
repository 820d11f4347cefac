//! Who is to be told of the run now.

use crate::words::event::RunEnd;
use crate::words::notice::Occasion;

use super::Core;

impl Core {
    /// Somebody begins to tell them.
    pub fn are_being_told(&mut self, number: usize, occasion: Occasion) {
        self.told.insert((number, occasion));
    }

    /// Whom the header names and nobody has tried to tell: of the start while the release goes on,
    /// of the end when there is one. Numbers count from 1.
    #[must_use]
    pub fn to_be_told(&self, end: Option<&RunEnd>) -> Vec<(usize, Occasion)> {
        let occasion = match end {
            Some(end) => Occasion::of_end(end.outcome),
            None if self.gate_open && self.stop.is_none() => Occasion::Start,
            None => return Vec::new(),
        };
        let named = self.header.notify.iter().enumerate();
        let wanted = named.filter(|(_, notify)| notify.wants(occasion, self.gate_open));
        wanted
            .map(|(at, _)| (at + 1, occasion))
            .filter(|told| !self.told.contains(told))
            .collect()
    }
}
