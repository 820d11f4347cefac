//! In whose clock times are told.

use std::sync::OnceLock;

use jiff::tz::TimeZone;

/// A time zone. The machine's own is looked up when it is first needed: that means reading all the
/// names of zones, which a run need not wait for.
#[derive(Clone, Debug, Default)]
pub struct Zone(OnceLock<TimeZone>);

impl Zone {
    /// That of this machine, or of `TZ`.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::default()
    }

    pub(super) fn get(&self) -> &TimeZone {
        self.0.get_or_init(TimeZone::system)
    }
}

impl From<TimeZone> for Zone {
    fn from(zone: TimeZone) -> Self {
        Self(zone.into())
    }
}
