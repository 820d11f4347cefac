//! What a window is made of, and its canonical text.

use std::fmt::{self, Write as _};

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time, Weekday},
    tz::Offset,
};

use super::zone::{Choose, Place, Zone};

/// Minutes of a day.
pub(super) const DAY: u16 = 24 * 60;

/// The short names of the days, Monday first.
pub(super) const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A set of weekdays; bit 0 is Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Days(u8);

impl Days {
    pub(super) const ALL: Self = Self(0b111_1111);

    /// `day` counts from Monday = 0.
    pub(super) fn has(self, day: usize) -> bool {
        self.0 & (1 << (day % 7)) != 0
    }

    pub(super) fn add(&mut self, day: usize) {
        self.0 |= 1 << (day % 7);
    }

    pub(super) fn on(self, date: Date) -> bool {
        self.has(index(date.weekday()))
    }
}

fn index(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

/// `daily`, `Mon-Fri`, `Fri-Mon`, `Mon,Wed`: a run of three or more days is a range.
impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("daily");
        }
        let begins = |day: usize| self.has(day) && !self.has(day + 6);
        let mut between = "";
        for first in (0..7).filter(|day| begins(*day)) {
            let length = (0..7).take_while(|more| self.has(first + more)).count();
            let last = DAYS[(first + length - 1) % 7];
            f.write_str(between)?;
            match length {
                1 => f.write_str(last)?,
                2 => write!(f, "{},{last}", DAYS[first])?,
                _ => write!(f, "{}-{last}", DAYS[first])?,
            }
            between = ",";
        }
        Ok(())
    }
}

/// A window that comes again every week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weekly {
    /// The days on which it starts.
    pub(super) days: Days,
    /// Minutes from midnight, below [`DAY`].
    pub(super) start: u16,
    /// Minutes from the same midnight, above `start`; beyond [`DAY`] it ends on the next day.
    pub(super) end: u16,
    pub(super) zone: Zone,
}

/// One occurrence of a weekly window, with its edges as they fell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occurrence {
    pub(super) start: Place,
    pub(super) end: Place,
}

impl Weekly {
    /// From 00:00 to 24:00: the days are whole, and the midnight between two of them is no edge.
    pub(super) fn whole_days(&self) -> bool {
        self.start == 0 && self.end == DAY
    }

    /// Open at all times, in whatever zone.
    pub(super) fn always(&self) -> bool {
        self.whole_days() && self.days == Days::ALL
    }

    /// The occurrence that belongs to `date`: `None` when the day is not one of its days or the
    /// clock change leaves nothing of it.
    ///
    /// An edge that comes twice is taken so that the window is the shorter one.
    pub(super) fn occurrence(&self, date: Date) -> Option<Occurrence> {
        if !self.days.on(date) {
            return None;
        }
        let start = self
            .zone
            .place(local_edge(date, self.start)?, Choose::Later)?;
        let inner = self.whole_days() && self.days.has(index(date.weekday()) + 1);
        let choose = if inner {
            Choose::Later
        } else {
            Choose::Earlier
        };
        let end = self.zone.place(local_edge(date, self.end)?, choose)?;
        (start.at < end.at).then_some(Occurrence { start, end })
    }
}

/// The local time of an edge that lies some minutes behind the midnight of `date`.
pub(super) fn local_edge(date: Date, minutes: u16) -> Option<DateTime> {
    let date = if minutes >= DAY {
        date.tomorrow().ok()?
    } else {
        date
    };
    Some(date.to_datetime(clock(minutes)))
}

/// The time of day of some minutes from midnight, whole days taken off.
fn clock(minutes: u16) -> Time {
    let minutes = minutes % DAY;
    let part = |value: u16| i8::try_from(value).unwrap_or_default();
    Time::new(part(minutes / 60), part(minutes % 60), 0, 0).unwrap_or_else(|_| Time::midnight())
}

/// `22:00`, or `24:00` for a whole day.
pub(super) fn show_minutes(minutes: u16) -> String {
    let minutes = if minutes > DAY {
        minutes - DAY
    } else {
        minutes
    };
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

impl fmt::Display for Weekly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (show_minutes(self.start), show_minutes(self.end));
        write!(f, "{} {start}-{end} {}", self.days, self.zone.name)
    }
}

/// One end of an absolute interval, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Moment {
    /// With an offset: one instant, whatever the clocks do.
    Fixed {
        at: Timestamp,
        offset: Offset,
        zone: Option<Zone>,
    },
    /// Without: what the clock of the zone shows.
    Local { local: DateTime, zone: Zone },
}

impl Moment {
    /// Its instant. `None` when it is beyond the range of instants.
    pub(super) fn place(&self, choose: Choose) -> Option<Place> {
        match self {
            Self::Fixed { at, .. } => Some(Place {
                at: *at,
                how: super::zone::How::Once,
            }),
            Self::Local { local, zone } => zone.place(*local, choose),
        }
    }

    pub(super) fn zone(&self) -> Option<&Zone> {
        match self {
            Self::Fixed { zone, .. } => zone.as_ref(),
            Self::Local { zone, .. } => Some(zone),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { at, offset, zone } => {
                f.write_str(&show_local(offset.to_datetime(*at)))?;
                match zone {
                    None if offset.is_zero() => f.write_char('Z'),
                    None => f.write_str(&show_offset(*offset)),
                    Some(zone) => write!(f, "{}[{}]", show_offset(*offset), zone.name),
                }
            }
            Self::Local { local, zone } => {
                write!(f, "{}[{}]", show_local(*local), zone.name)
            }
        }
    }
}

/// `2026-12-01T22:00`, with seconds only where there are any.
fn show_local(local: DateTime) -> String {
    let format = if local.second() == 0 {
        "%Y-%m-%dT%H:%M"
    } else {
        "%Y-%m-%dT%H:%M:%S"
    };
    local.strftime(format).to_string()
}

/// `+01:00`, with seconds only where there are any.
pub(super) fn show_offset(offset: Offset) -> String {
    let sign = if offset.is_negative() { '-' } else { '+' };
    let seconds = offset.seconds().unsigned_abs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if seconds == 0 {
        format!("{sign}{hours:02}:{minutes:02}")
    } else {
        format!("{sign}{hours:02}:{minutes:02}:{seconds:02}")
    }
}

/// A window that comes once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Absolute {
    pub(super) start: Moment,
    pub(super) end: Moment,
    /// The edges as they fall, start before end.
    pub(super) places: (Place, Place),
    /// A zone written behind it, for display.
    pub(super) zone: Option<Zone>,
}

impl fmt::Display for Absolute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.end)?;
        match &self.zone {
            Some(zone) => write!(f, " {}", zone.name),
            None => Ok(()),
        }
    }
}

/// One of the windows that are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Weekly(Weekly),
    Absolute(Absolute),
}

impl Item {
    /// The zone in which it is best shown.
    pub(super) fn zone(&self) -> Option<&Zone> {
        match self {
            Self::Weekly(weekly) => Some(&weekly.zone),
            Self::Absolute(absolute) => absolute
                .zone
                .as_ref()
                .or(absolute.start.zone())
                .or(absolute.end.zone()),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weekly(weekly) => weekly.fmt(f),
            Self::Absolute(absolute) => absolute.fmt(f),
        }
    }
}

/// A time in which the window stays closed, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exception {
    /// Whole local dates, the last one included.
    Dates {
        first: Date,
        last: Date,
        zone: Zone,
    },
    Between {
        start: Moment,
        end: Moment,
    },
}

impl Exception {
    /// From when to when, half open. An edge that comes twice is taken so that the exception is
    /// the longer one. `None` when it is beyond the range of instants.
    pub(super) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::Dates { first, last, zone } => {
                Some((zone.day_begins(*first)?, zone.day_ends(*last)?))
            }
            Self::Between { start, end } => Some((
                start.place(Choose::Earlier)?.at,
                end.place(Choose::Later)?.at,
            )),
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dates { first, last, zone } if first == last => {
                write!(f, "{first} {}", zone.name)
            }
            Self::Dates { first, last, zone } => write!(f, "{first}/{last} {}", zone.name),
            Self::Between { start, end } => write!(f, "{start}/{end}"),
        }
    }
}
