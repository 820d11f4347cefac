//! How the values of options are read.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::words::duration;

pub(super) fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|e| e.to_string())
}

pub(super) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("say why".into())
    } else {
        Ok(text.trim().to_owned())
    }
}

/// A flag, as variables set it.
pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "on" => Ok(true),
        "0" | "false" | "no" | "n" | "off" => Ok(false),
        _ => Err("write 1 or 0, yes or no, true or false".into()),
    }
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("write a whole number, 1 or more".into()),
    }
}

pub(super) fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "write a whole number".into())
}

/// An instant of the past, as people name it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Since {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(Timestamp),
    /// Then, where the reader is.
    Local(DateTime),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(zoned) = text.parse::<jiff::Zoned>() {
            return Ok(Self::At(zoned.timestamp()));
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(Self::At(instant));
        }
        if let Ok(local) = text.parse::<DateTime>() {
            return Ok(Self::Local(local));
        }
        if let Ok(ago) = duration::parse(text) {
            return Ok(Self::Ago(ago));
        }
        Err(
            "write how long ago, such as 2d or 12h; a date, such as 2026-03-21; or an instant, \
             such as 2026-03-21T22:00 or 2026-03-21T21:00:00Z"
                .into(),
        )
    }
}

impl Since {
    /// Milliseconds since 1970, seen from `now_ms` in the reader's zone.
    ///
    /// # Errors
    /// When the calendar has no such instant.
    pub(super) fn resolve(&self, now_ms: i64, zone: &TimeZone) -> Result<i64, String> {
        match self {
            Self::Ago(time) => {
                let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                Ok(now_ms.saturating_sub(ms))
            }
            Self::At(at) => Ok(at.as_millisecond()),
            Self::Local(at) => match at.to_zoned(zone.clone()) {
                Ok(at) => Ok(at.timestamp().as_millisecond()),
                Err(error) => Err(format!("{at} is no time here: {error}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_named_in_several_ways() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-03-21T21:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2d", "2026-03-19T21:00:00Z"),
            ("1h30m", "2026-03-21T19:30:00Z"),
            ("2026-03-20", "2026-03-19T23:00:00Z"),
            ("2026-03-20T12:00", "2026-03-20T11:00:00Z"),
            ("2026-03-20 12:00", "2026-03-20T11:00:00Z"),
            ("2026-03-20T12:00:00Z", "2026-03-20T12:00:00Z"),
            ("2026-03-20T12:00:00+05:00", "2026-03-20T07:00:00Z"),
        ] {
            let since: Since = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            let at = since.resolve(now.as_millisecond(), &zone).unwrap();
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(at, expected.as_millisecond(), "{text}");
        }
        for text in ["", "soon", "2026-13-01", "yesterday", "-2d", "22:00"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}
