//! Release windows: when production may be changed.
//!
//! A window is a text such as `Sat 22:00-02:00 Europe/Berlin` that says when it is open. It has no
//! clock of its own: every question comes with the instant it is about. The grammar and the rules
//! for clock changes are told at [`Window::parse`].

mod days;
mod error;
mod moment;
mod occurrence;
mod opening;
mod parse;
mod rule;
mod settle;
#[cfg(test)]
mod tests;
mod zone;

use std::{fmt, str::FromStr, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use error::{WindowError, WindowProblem};
pub use opening::{Edge, Fit, Note, Opening};

use occurrence::Timeline;
use rule::{Exception, Item};

/// When production may be changed.
#[derive(Debug, Clone)]
pub struct Window {
    items: Vec<Item>,
    exceptions: Vec<Exception>,
    /// The exceptions in time, sorted and disjoint.
    excepted: Vec<(Timestamp, Timestamp)>,
}

/// Windows are equal when they are written alike, capitals, spaces and short forms aside.
impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items && self.exceptions == other.exceptions
    }
}

impl Eq for Window {}

impl Window {
    /// Reads a window.
    ///
    /// ```text
    /// window     = opening { (";" | "," | "and") opening } [ "except" exception { "," exception } ]
    /// opening    = days time "-" time [ zone ]             Sat 22:00-02:00 Europe/Berlin
    ///            | moment "/" (moment | length) [ zone ]   2026-12-01T22:00:00Z/PT4H
    /// days       = "daily" | day [ "-" day ] { "," day [ "-" day ] }
    /// moment     = date "T" time [ "Z" | offset ] [ "[" zone "]" ]
    /// exception  = date [ "/" date ] [ zone ]              the last date is excepted too
    ///            | moment "/" (moment | length) [ zone ]
    /// ```
    ///
    /// - Zones are IANA names. There is no default. If the text names a single zone, it holds for
    ///   every local time in it; if it names several, every local time needs its own.
    /// - A weekly opening whose end is not later than its start ends on the next day and belongs to
    ///   the day it starts on. `24:00` may be an end.
    /// - An edge that the clock skips takes place when it jumps. An edge that it shows twice is
    ///   taken so that the opening is the **shorter** one: a start the second time, an end the
    ///   first time. Where that leaves nothing, it does not open that day. Whole days
    ///   (`00:00-24:00`) that follow one another have no edge at the midnight between them.
    /// - Openings that overlap or touch are one. Exceptions hold for all openings and take away
    ///   what they overlap; their own edges are taken so that they are the longer ones.
    ///
    /// # Errors
    /// [`WindowError`] with the place in the text, what is wrong, and what to write instead.
    pub fn parse(spec: &str) -> Result<Self, WindowError> {
        let (items, exceptions, excepted) = settle::settle(parse::read(spec)?)?;
        Ok(Self {
            items,
            exceptions,
            excepted,
        })
    }

    fn timeline(&self) -> Timeline<'_> {
        Timeline {
            items: &self.items,
            excepted: &self.excepted,
        }
    }

    /// The opening that `instant` lies in; its start belongs to it, its end does not.
    #[must_use]
    pub fn opening_at(&self, instant: Timestamp) -> Option<Opening> {
        self.timeline().at(instant)
    }

    /// The first opening that ends later than `after`: the current one, or else the next.
    /// `None` when none begins within ten years.
    #[must_use]
    pub fn next_opening(&self, after: Timestamp) -> Option<Opening> {
        self.timeline().next(after)
    }

    /// Every opening that ends later than `from`, in order; they neither overlap nor touch. It ends
    /// when none begins within ten years of the one before.
    pub fn openings(&self, from: Timestamp) -> impl Iterator<Item = Opening> + '_ {
        let next = move |after: Timestamp| {
            if after == Timestamp::MAX {
                None
            } else {
                self.next_opening(after)
            }
        };
        std::iter::successors(next(from), move |opening| next(opening.end))
    }

    /// Can something that takes `needed` be done from `instant` on?
    #[must_use]
    pub fn fits(&self, instant: Timestamp, needed: Duration) -> Fit {
        let Some(opening) = self.opening_at(instant) else {
            return Fit::Closed {
                next: self.next_opening(instant),
            };
        };
        let (until, left) = (opening.end, opening.left(instant));
        if left >= needed {
            Fit::Open { until, left }
        } else {
            Fit::TooShort { until, left }
        }
    }

    /// The zone in which its openings are best shown: the first one it names. `None` when it is
    /// written with offsets only.
    #[must_use]
    pub fn zone(&self) -> Option<TimeZone> {
        self.items
            .iter()
            .find_map(Item::zone)
            .map(|zone| zone.tz.clone())
    }

    /// Its canonical text, which reads back as an equal window: every zone is written out, lengths
    /// are replaced by ends, `;` separates openings and `,` exceptions.
    #[must_use]
    pub fn normalised(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for item in &self.items {
            write!(f, "{between}{item}")?;
            between = "; ";
        }
        let mut between = " except ";
        for exception in &self.exceptions {
            write!(f, "{between}{exception}")?;
            between = ", ";
        }
        Ok(())
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(spec: &str) -> Result<Self, WindowError> {
        Self::parse(spec)
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spec = String::deserialize(deserializer)?;
        Self::parse(&spec).map_err(de::Error::custom)
    }
}
