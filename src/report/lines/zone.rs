//! In whose clock times are told.

use std::path::Path;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

/// A time zone. The machine's own is looked up when it is first needed.
#[derive(Clone, Debug, Default)]
pub struct Zone(OnceLock<TimeZone>);

impl Zone {
    /// That of this machine, or of `TZ`.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::default()
    }

    /// It.
    pub fn get(&self) -> &TimeZone {
        self.0.get_or_init(|| {
            let chosen = std::env::var_os("TZ").is_some();
            let local = (!chosen).then(|| of_file(Path::new("/etc/localtime")));
            local.flatten().unwrap_or_else(TimeZone::system)
        })
    }
}

/// The zone that a file holds. It is read directly, because to look a zone up by its name means to
/// read the names of all of them, which takes longer than a short step.
fn of_file(file: &Path) -> Option<TimeZone> {
    let data = std::fs::read(file).ok()?;
    let path = std::fs::canonicalize(file).ok()?;
    let (_, name) = path.to_str()?.split_once("/zoneinfo/")?;
    TimeZone::tzif(name, &data).ok()
}

impl From<TimeZone> for Zone {
    fn from(zone: TimeZone) -> Self {
        Self(zone.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_is_read_directly_is_the_one_of_its_name() {
        let berlin = of_file(Path::new("/usr/share/zoneinfo/Europe/Berlin")).unwrap();
        let named = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(berlin.iana_name(), Some("Europe/Berlin"));
        for second in (0..2_000_000_000).step_by(7_654_321) {
            let at = jiff::Timestamp::from_second(second).unwrap();
            assert_eq!(berlin.to_offset(at), named.to_offset(at), "{at}");
        }
        assert!(of_file(Path::new("/etc/passwd")).is_none());
    }
}
