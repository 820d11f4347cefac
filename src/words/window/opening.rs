//! An opening: from when to when a window is open, and what the clock does to it.

use std::{fmt, time::Duration};

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use super::rule::show_offset;
use crate::words::duration;

/// A stretch of time in which a window is open: from `start` until just before `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The first instant. [`Timestamp::MIN`] when it has been open for ever.
    pub start: Timestamp,
    /// The first instant behind it. [`Timestamp::MAX`] when it never closes.
    pub end: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Note>,
}

impl Opening {
    /// An opening without notes.
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp) -> Self {
        Self {
            start,
            end,
            notes: Vec::new(),
        }
    }

    pub(super) fn with_notes(mut self, notes: Vec<Note>) -> Self {
        self.notes = notes;
        self
    }

    /// Its real length, as a stop watch would measure it; not the difference of what the clock on
    /// the wall shows at its edges.
    #[must_use]
    pub fn length(&self) -> Duration {
        between(self.start, self.end)
    }

    /// What is left of it at `instant`; zero when it is over.
    #[must_use]
    pub fn left(&self, instant: Timestamp) -> Duration {
        between(instant.max(self.start), self.end)
    }

    /// Is `instant` in it?
    #[must_use]
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.start <= instant && instant < self.end
    }

    /// It never closes.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        self.end == Timestamp::MAX
    }

    /// What a reader of the window would not expect: clock changes in it, edges that were moved by
    /// one, and edges that an exception made.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// For people, in the clock of `zone`:
    /// `Sat 2026-12-05 22:00 +01:00 to Sun 2026-12-06 02:00 +01:00 Europe/Berlin, 4h`.
    #[must_use]
    pub fn show(&self, zone: &TimeZone) -> String {
        let edge = |at| show_instant(at, zone);
        let name = zone
            .iana_name()
            .map(|name| format!(" {name}"))
            .unwrap_or_default();
        match (self.start == Timestamp::MIN, self.is_endless()) {
            (true, true) => "always open".to_owned(),
            (true, false) => format!("until {}{name}", edge(self.end)),
            (false, true) => format!("from {}{name}, without end", edge(self.start)),
            (false, false) => {
                let length = duration::show(self.length());
                format!("{} to {}{name}, {length}", edge(self.start), edge(self.end))
            }
        }
    }
}

/// Zero when `end` is not later.
pub(super) fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(start.duration_until(end)).unwrap_or(Duration::ZERO)
}

/// `Sat 2026-12-05 22:00 +01:00`, with seconds only where there are any.
fn show_instant(at: Timestamp, zone: &TimeZone) -> String {
    let local = zone.to_datetime(at);
    let format = if local.second() == 0 {
        "%a %Y-%m-%d %H:%M"
    } else {
        "%a %Y-%m-%d %H:%M:%S"
    };
    format!(
        "{} {}",
        local.strftime(format),
        show_offset(zone.to_offset(at))
    )
}

/// One of the two edges of an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// Where it opens.
    Start,
    /// Where it closes.
    End,
}

impl Edge {
    fn verb(self) -> &'static str {
        match self {
            Self::Start => "opens",
            Self::End => "closes",
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::End => "end",
        })
    }
}

/// Something about an opening that its text does not tell. [`fmt::Display`] says it in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// The clock goes forward inside the opening, which is shorter than its times suggest.
    Forward {
        /// By how many seconds.
        seconds: u32,
        /// When.
        at: Timestamp,
        /// Whose clock.
        zone: String,
    },
    /// The clock goes back inside the opening, which is longer than its times suggest.
    Back {
        /// By how many seconds.
        seconds: u32,
        /// When.
        at: Timestamp,
        /// Whose clock.
        zone: String,
    },
    /// The clock never shows the time of an edge on that date.
    Skipped {
        /// Which edge.
        edge: Edge,
        /// The time as written.
        time: Time,
        /// The date.
        date: Date,
        /// Whose clock.
        zone: String,
        /// What the clock shows when the edge takes place: behind the jump for a start, before it
        /// for an end.
        shown: Time,
    },
    /// The clock shows the time of an edge twice on that date.
    Twice {
        /// Which edge.
        edge: Edge,
        /// The time as written.
        time: Time,
        /// The date.
        date: Date,
        /// Whose clock.
        zone: String,
        /// The offset from UTC that was taken, such as `+01:00`.
        offset: String,
    },
    /// An exception makes the edge.
    Excepted {
        /// Which edge.
        edge: Edge,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward { seconds, zone, .. } => {
                write!(
                    f,
                    "clock goes forward by {} inside, in {zone}",
                    by(*seconds)
                )
            }
            Self::Back { seconds, zone, .. } => {
                write!(f, "clock goes back by {} inside, in {zone}", by(*seconds))
            }
            Self::Skipped {
                edge,
                time,
                date,
                zone,
                shown,
            } => {
                let (time, shown, verb) = (hours(*time), hours(*shown), edge.verb());
                write!(
                    f,
                    "{edge} {time} does not exist on {date} in {zone}, {verb} at {shown}"
                )
            }
            Self::Twice {
                edge,
                time,
                date,
                zone,
                offset,
            } => {
                let which = match edge {
                    Edge::Start => "second",
                    Edge::End => "first",
                };
                let (time, verb) = (hours(*time), edge.verb());
                write!(
                    f,
                    "{edge} {time} comes twice on {date} in {zone}, {verb} the {which} time ({offset})"
                )
            }
            Self::Excepted { edge } => {
                write!(
                    f,
                    "{} because of an exception",
                    match edge {
                        Edge::Start => "opens later",
                        Edge::End => "closes earlier",
                    }
                )
            }
        }
    }
}

fn by(seconds: u32) -> String {
    duration::show(Duration::from_secs(u64::from(seconds)))
}

fn hours(time: Time) -> String {
    time.strftime(if time.second() == 0 {
        "%H:%M"
    } else {
        "%H:%M:%S"
    })
    .to_string()
}

/// Does something that takes a while fit into a window?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// The window is open, and long enough.
    Open {
        /// When it closes.
        until: Timestamp,
        /// What is left until then.
        left: Duration,
    },
    /// The window is open, but closes too early.
    TooShort {
        /// When it closes.
        until: Timestamp,
        /// What is left until then.
        left: Duration,
    },
    /// The window is closed.
    Closed {
        /// When it opens, if it does within ten years.
        next: Option<Opening>,
    },
}
