//! What stands at the end.

use crate::words::outcome::Outcome;
use crate::words::step::ProcessFact;

use super::{BackOutEnd, Remark, RemarkKind, StopStory, Story};

/// A step that was undone for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Undone<'a> {
    /// Its title; armed by hand, a back-out has none.
    pub title: Option<&'a str>,
    /// What undid it.
    pub by: &'a str,
}

/// A process that was left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftRunning<'a> {
    /// It.
    pub process: &'a ProcessFact,
    /// The title of the step or back-out that left it.
    pub by: &'a str,
}

impl Story {
    /// The strongest reason to stop, with its details.
    #[must_use]
    pub fn stop(&self) -> Option<&StopStory> {
        self.stops.last()
    }

    /// What was undone when the run stopped, in the order in which it was undone.
    pub fn undone(&self) -> impl Iterator<Item = Undone<'_>> {
        let done = self.back_outs.iter().filter(|b| {
            b.is_final
                && matches!(
                    b.end,
                    Some(BackOutEnd::Ended {
                        outcome: Outcome::Succeeded,
                        ..
                    })
                )
        });
        done.map(|b| Undone {
            title: b.of.as_deref(),
            by: &b.title,
        })
    }

    /// Processes that successful steps and back-outs left behind.
    pub fn left_running(&self) -> impl Iterator<Item = LeftRunning<'_>> {
        let steps = self.steps.iter().map(|s| (s.end(), &s.step.title));
        let back_outs = self.back_outs.iter().map(|b| (b.process(), &b.title));
        steps.chain(back_outs).flat_map(|(end, by)| {
            let left = end.map(|end| end.left_running.iter());
            let left = left.into_iter().flatten();
            left.map(|process| LeftRunning { process, by })
        })
    }

    /// Remarks of a kind.
    pub fn remarks_of(&self, kind: RemarkKind) -> impl Iterator<Item = &Remark> {
        self.remarks.iter().filter(move |r| r.kind == kind)
    }
}
