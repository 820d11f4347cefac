//! What can be wrong with the text of a window.

use thiserror::Error;

/// What is wrong with the text of a window, where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("window: {problem} (at byte {start}){}", .hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct WindowError {
    /// First byte of the offending part of the text.
    pub start: usize,
    /// The byte behind its last one; equal to `start` where something is missing.
    pub end: usize,
    /// What is wrong.
    pub problem: WindowProblem,
    /// What to write instead, or what was probably meant.
    pub hint: Option<String>,
}

impl WindowError {
    pub(super) fn new(span: (usize, usize), problem: WindowProblem) -> Self {
        Self {
            start: span.0,
            end: span.1,
            problem,
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The kinds of mistakes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WindowProblem {
    /// Nothing but white space.
    #[error("the text is empty")]
    Empty,
    /// Something that cannot stand where it stands.
    #[error("{expected} is expected instead of {found:?}")]
    Unexpected {
        /// What is there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// The text ends too early.
    #[error("{expected} is missing")]
    Missing {
        /// What must follow.
        expected: &'static str,
    },
    /// No day of this name.
    #[error("day {day:?} is unknown")]
    UnknownDay {
        /// The day as written.
        day: String,
    },
    /// The same day twice in one list.
    #[error("{day} is named twice")]
    RepeatedDay {
        /// Its short name.
        day: &'static str,
    },
    /// A day range such as `Mon-Mon`.
    #[error("the range of days begins and ends with {day}")]
    DayRange {
        /// Its short name.
        day: &'static str,
    },
    /// Days without a time range.
    #[error("the days {days:?} have no times")]
    NoTimes {
        /// The days as written.
        days: String,
    },
    /// A time range without days.
    #[error("the times have no days")]
    NoDays,
    /// A time of day that does not exist.
    #[error("{text:?} is no time of day")]
    Time {
        /// The time as written.
        text: String,
    },
    /// `24:00` as a start.
    #[error("24:00 can only be an end")]
    StartAtMidnight,
    /// Start and end are the same.
    #[error("the times begin and end at {at}")]
    NoLength {
        /// The time of day.
        at: String,
    },
    /// No zone of this name.
    #[error("time zone {zone:?} is unknown")]
    UnknownZone {
        /// The zone as written.
        zone: String,
    },
    /// Local times without a zone.
    #[error("local times need a time zone, and the window names none")]
    NoZone,
    /// Local times without a zone of their own, where several are named.
    #[error("the window names several time zones ({zones}), so it is unclear which is meant here")]
    UnclearZone {
        /// The zones, joined by commas.
        zones: String,
    },
    /// An offset and a zone that contradict one another.
    #[error("{zone} is not at {written} then, but at {actual}")]
    Offset {
        /// The zone.
        zone: String,
        /// The offset as written.
        written: String,
        /// The offset that the zone has.
        actual: String,
    },
    /// A date, or a date and time, that is malformed or does not exist.
    #[error("{text:?} is no date and time")]
    Moment {
        /// As written.
        text: String,
    },
    /// A date alone where an opening must stand.
    #[error("{text:?} is a date without a time")]
    DateAlone {
        /// As written.
        text: String,
    },
    /// A length behind the slash that is malformed, empty or negative.
    #[error("{text:?} is no length of time")]
    Length {
        /// As written.
        text: String,
    },
    /// An interval whose end is not later than its start.
    #[error("the end is not later than the start")]
    Backwards,
    /// An interval that the clock change swallows.
    #[error("it never opens: the clock change leaves nothing of it")]
    NeverOpens,
    /// An interval of a date and a date-time.
    #[error("one end is a date and the other a date and time")]
    Mixed,
    /// A window behind the exceptions.
    #[error("a window stands behind the exceptions")]
    ExceptNotLast,
    /// An instant that no clock of ours can hold.
    #[error("{text:?} is beyond the years that can be counted")]
    Beyond {
        /// As written.
        text: String,
    },
}
