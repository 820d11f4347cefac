//! Time zones by name, and where on the clock of a zone an edge falls.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase},
};

/// Names in the files of a system that mean another thing on another machine, or no place at all.
const NO_PLACES: [&str; 5] = ["localtime", "posixrules", "Factory", "Etc/Unknown", "local"];

/// Abbreviations that people write for zones. They are ambiguous or are no zones, so they are
/// refused, but a zone that is probably meant is named.
const ABBREVIATIONS: [(&str, &str); 14] = [
    ("Z", "UTC"),
    ("CEST", "Europe/Berlin"),
    ("BST", "Europe/London"),
    ("WEST", "Europe/Lisbon"),
    ("EEST", "Europe/Athens"),
    ("MSK", "Europe/Moscow"),
    ("EDT", "America/New_York"),
    ("CDT", "America/Chicago"),
    ("MDT", "America/Denver"),
    ("PDT", "America/Los_Angeles"),
    ("PST", "America/Los_Angeles"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("AEST", "Australia/Sydney"),
];

/// A time zone and the name it goes by.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) tz: TimeZone,
}

/// Two zones are the same when they are called the same: their rules come from one database.
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Zone {
    /// Finds a zone by its IANA name, in any mixture of capitals. Without one, the second value is
    /// the name that is probably meant.
    pub(super) fn find(name: &str) -> Result<Self, Option<String>> {
        let database = jiff::tz::db();
        if NO_PLACES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
        {
            return Err(None);
        }
        match database.get(name) {
            Ok(tz) => {
                let name = tz.iana_name().unwrap_or(name).to_owned();
                Ok(Self { name, tz })
            }
            Err(_) => Err(nearest(name, database)),
        }
    }

    /// Local date and time of an instant.
    pub(super) fn local(&self, at: Timestamp) -> DateTime {
        self.tz.to_datetime(at)
    }

    /// Where the local time `local` falls. `None` when it is beyond the range of instants.
    pub(super) fn place(&self, local: DateTime, choose: Choose) -> Option<Place> {
        match self.tz.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => Some(Place {
                at: offset.to_timestamp(local).ok()?,
                how: How::Once,
            }),
            AmbiguousOffset::Gap { before, after } => Some(Place {
                at: self.transition(local, before, after)?,
                how: How::Gap,
            }),
            AmbiguousOffset::Fold { before, after } => {
                let offset = match choose {
                    Choose::Earlier => before,
                    Choose::Later => after,
                };
                Some(Place {
                    at: offset.to_timestamp(local).ok()?,
                    how: How::Fold,
                })
            }
        }
    }

    /// The instant at which the clock jumps over `local`.
    fn transition(&self, local: DateTime, before: Offset, after: Offset) -> Option<Timestamp> {
        // Read with the offset of the other side, a local time in the gap lies on this side of it.
        let low = after.to_timestamp(local).ok()?;
        let high = before.to_timestamp(local).ok()?;
        let found = self
            .tz
            .following(low)
            .take_while(|change| change.timestamp() <= high)
            .find(|change| change.offset() == after)
            .map(|change| change.timestamp());
        // A zone that has a gap has its transition. Without one the later reading is the safe one.
        Some(found.unwrap_or(high))
    }

    /// The first instant of a local date: its midnight, the first of two, or the end of the gap
    /// that swallows midnight.
    pub(super) fn day_begins(&self, date: Date) -> Option<Timestamp> {
        self.place(
            date.to_datetime(jiff::civil::Time::midnight()),
            Choose::Earlier,
        )
        .map(|place| place.at)
    }

    /// The instant behind the last one of a local date, also when the clock goes back over
    /// midnight and the date comes a second time.
    pub(super) fn day_ends(&self, date: Date) -> Option<Timestamp> {
        let midnight = date
            .tomorrow()
            .ok()?
            .to_datetime(jiff::civil::Time::midnight());
        let later = self.place(midnight, Choose::Later)?.at;
        let just_before = later
            .checked_sub(jiff::SignedDuration::from_nanos(1))
            .ok()?;
        if self.local(just_before).date() <= date {
            Some(later)
        } else {
            Some(self.place(midnight, Choose::Earlier)?.at)
        }
    }

    /// The changes of the clock after `start` and before `end`: when, and the offsets around it.
    pub(super) fn changes(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Vec<(Timestamp, Offset, Offset)> {
        let mut offset = self.tz.to_offset(start);
        let mut changes = Vec::new();
        for change in self
            .tz
            .following(start)
            .take_while(|change| change.timestamp() < end)
        {
            // Some transitions change the abbreviation only.
            if change.offset() != offset {
                changes.push((change.timestamp(), offset, change.offset()));
                offset = change.offset();
            }
        }
        changes
    }
}

/// Which of the two instants is taken when the clock shows a local time twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choose {
    Earlier,
    Later,
}

/// The instant of a local time, and how it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: Timestamp,
    pub(super) how: How,
}

/// How often the clock shows a local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Once,
    /// Never: the instant is that of the jump.
    Gap,
    /// Twice.
    Fold,
}

/// The zone that is probably meant by a name that is none.
fn nearest(name: &str, database: &TimeZoneDatabase) -> Option<String> {
    if let Some((_, zone)) = ABBREVIATIONS
        .iter()
        .find(|(short, _)| short.eq_ignore_ascii_case(name))
    {
        return Some((*zone).to_owned());
    }
    let wanted = name.to_ascii_lowercase().replace(' ', "_");
    let mut best: Option<(usize, String)> = None;
    for known in database.available() {
        let known = known.as_str();
        let lower = known.to_ascii_lowercase();
        let place = lower.rsplit('/').next().unwrap_or(&lower);
        let distance = strsim::damerau_levenshtein(&lower, &wanted)
            .min(strsim::damerau_levenshtein(place, &wanted));
        // Equally near names: the first in the alphabet, so that the answer is always the same.
        let nearer = best
            .as_ref()
            .is_none_or(|(least, so_far)| (distance, known) < (*least, so_far.as_str()));
        if nearer {
            best = Some((distance, known.to_owned()));
        }
    }
    best.filter(|(distance, _)| *distance <= 3 && *distance * 3 <= wanted.len())
        .map(|(_, known)| known)
}
