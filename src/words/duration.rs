//! Durations as people write them in plans (`"1h30m"`) and read them in reports.

use std::{fmt::Write as _, time::Duration};

use thiserror::Error;

const MS_PER_SECOND: u64 = 1000;
const MS_PER_MINUTE: u64 = 60 * MS_PER_SECOND;
const MS_PER_HOUR: u64 = 60 * MS_PER_MINUTE;
const MS_PER_DAY: u64 = 24 * MS_PER_HOUR;

/// The longest duration a plan may write: 365 days. Timers of the operating system and of
/// runtimes overflow somewhere beyond it, and a longer one in a plan is a slip of the pen.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The units, longest first, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", MS_PER_DAY),
    ("h", MS_PER_HOUR),
    ("m", MS_PER_MINUTE),
    ("s", MS_PER_SECOND),
    ("ms", 1),
];

/// Other spellings of the units. They are refused, but the right one is named.
const SPELLINGS: [(&str, &str); 24] = [
    ("day", "d"),
    ("days", "d"),
    ("hour", "h"),
    ("hours", "h"),
    ("hr", "h"),
    ("hrs", "h"),
    ("std", "h"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("mn", "m"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("msec", "ms"),
    ("msecs", "ms"),
    ("millis", "ms"),
    ("millisecond", "ms"),
    ("milliseconds", "ms"),
    ("us", "ms"),
    ("µs", "ms"),
    ("ns", "ms"),
];

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Nothing but white space.
    #[error("a duration is missing; write one such as \"90s\", \"5m\" or \"1h30m\"")]
    Empty,
    /// A minus sign in front.
    #[error("duration {text:?} is negative; a duration is zero or more")]
    Negative {
        /// The duration as written.
        text: String,
    },
    /// A decimal point or comma.
    #[error("duration {text:?} has a fraction, which is not understood; {hint}")]
    Fraction {
        /// The duration as written.
        text: String,
        /// What to write instead.
        hint: String,
    },
    /// A number with nothing behind it, among others that have a unit.
    #[error(
        "{number} in duration {text:?} has no unit; write ms, s, m, h or d right behind the number"
    )]
    NoUnit {
        /// The duration as written.
        text: String,
        /// The number that lacks a unit.
        number: String,
    },
    /// Something that is not a number where one must stand.
    #[error(
        "{found:?} in duration {text:?} stands where a number must; write one such as \"90s\", \"5m\" or \"1h30m\""
    )]
    NoNumber {
        /// The duration as written.
        text: String,
        /// What stands there.
        found: String,
    },
    /// A unit that does not exist.
    #[error("unit {unit:?} in duration {text:?} is unknown; {}", unit_hint(*nearest))]
    UnknownUnit {
        /// The duration as written.
        text: String,
        /// The unit as written.
        unit: String,
        /// The unit that is probably meant.
        nearest: Option<&'static str>,
    },
    /// The same unit twice.
    #[error("unit {unit:?} stands twice in duration {text:?}; add the two numbers up")]
    Repeated {
        /// The duration as written.
        text: String,
        /// The unit.
        unit: &'static str,
    },
    /// A longer unit behind a shorter one.
    #[error(
        "unit {unit:?} stands behind the shorter {after:?} in duration {text:?}; write the longest unit first (d, h, m, s, ms)"
    )]
    OutOfOrder {
        /// The duration as written.
        text: String,
        /// The unit that comes too late.
        unit: &'static str,
        /// The shorter unit in front of it.
        after: &'static str,
    },
    /// More than [`LONGEST`], or more than a number can hold.
    #[error("duration {text:?} is longer than a year (365d), the longest that timers keep")]
    TooLong {
        /// The duration as written.
        text: String,
    },
}

fn unit_hint(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(unit) => format!("did you mean {unit:?}? (known are ms, s, m, h and d)"),
        None => "known are ms, s, m, h and d".to_owned(),
    }
}

/// Reads a duration: numbers with the units `d`, `h`, `m`, `s`, `ms`, longest unit first, white
/// space allowed between the parts (`"1d 12h 30m"`); or a bare whole number, which counts seconds
/// (`"90"`).
///
/// # Errors
/// [`DurationError`] says what is wrong and what to write instead: nothing at all, a sign, a
/// fraction, a number without unit, an unknown, repeated or out-of-order unit, or more than
/// [`LONGEST`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(DurationError::Empty);
    }
    let written = || trimmed.to_owned();
    if trimmed.starts_with(['-', '−']) {
        return Err(DurationError::Negative { text: written() });
    }
    if trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        let ms = number(trimmed)
            .and_then(|seconds| seconds.checked_mul(MS_PER_SECOND))
            .ok_or_else(|| DurationError::TooLong { text: written() })?;
        return capped(ms, trimmed);
    }
    let mut rest = trimmed;
    let mut total: u64 = 0;
    let mut last: Option<usize> = None;
    while !rest.is_empty() {
        let (digits, unit, after) = part(rest, trimmed)?;
        let rank = rank_of(unit, trimmed)?;
        if let Some(previous) = last {
            in_order(previous, rank, trimmed)?;
        }
        last = Some(rank);
        total = number(digits)
            .and_then(|count| count.checked_mul(UNITS[rank].1))
            .and_then(|ms| total.checked_add(ms))
            .ok_or_else(|| DurationError::TooLong { text: written() })?;
        rest = after.trim_start();
    }
    capped(total, trimmed)
}

/// Splits `12h 30m` into `12`, `h` and ` 30m`.
fn part<'a>(rest: &'a str, text: &str) -> Result<(&'a str, &'a str, &'a str), DurationError> {
    let (digits, behind) = split_where(rest, |c| !c.is_ascii_digit());
    if digits.is_empty() {
        let (found, _) = split_where(rest, |c| c.is_whitespace() || c.is_ascii_digit());
        return Err(DurationError::NoNumber {
            text: text.to_owned(),
            found: found.to_owned(),
        });
    }
    if behind.starts_with(['.', ',']) {
        return Err(DurationError::Fraction {
            text: text.to_owned(),
            hint: fraction_hint(digits, &behind[1..]),
        });
    }
    let (unit, after) = split_where(behind, |c| c.is_whitespace() || c.is_ascii_digit());
    if unit.is_empty() {
        return Err(DurationError::NoUnit {
            text: text.to_owned(),
            number: digits.to_owned(),
        });
    }
    Ok((digits, unit, after))
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// None when the number does not fit.
fn number(digits: &str) -> Option<u64> {
    digits.parse().ok()
}

fn rank_of(unit: &str, text: &str) -> Result<usize, DurationError> {
    if let Some(rank) = UNITS.iter().position(|(name, _)| *name == unit) {
        return Ok(rank);
    }
    Err(DurationError::UnknownUnit {
        text: text.to_owned(),
        unit: unit.to_owned(),
        nearest: nearest_unit(unit),
    })
}

fn nearest_unit(unit: &str) -> Option<&'static str> {
    let lower = unit.to_lowercase();
    let names = UNITS
        .iter()
        .map(|(name, _)| (*name, *name))
        .chain(SPELLINGS);
    names
        .map(|(spelling, name)| (strsim::damerau_levenshtein(spelling, &lower), name))
        .filter(|(distance, _)| *distance * 2 <= lower.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn in_order(previous: usize, rank: usize, text: &str) -> Result<(), DurationError> {
    if rank == previous {
        let unit = UNITS[rank].0;
        return Err(DurationError::Repeated {
            text: text.to_owned(),
            unit,
        });
    }
    if rank < previous {
        return Err(DurationError::OutOfOrder {
            text: text.to_owned(),
            unit: UNITS[rank].0,
            after: UNITS[previous].0,
        });
    }
    Ok(())
}

fn capped(ms: u64, text: &str) -> Result<Duration, DurationError> {
    let duration = Duration::from_millis(ms);
    if duration > LONGEST {
        return Err(DurationError::TooLong {
            text: text.to_owned(),
        });
    }
    Ok(duration)
}

/// `1` and `5h` of `1.5h` give `write "1h30m"`; what is no whole millisecond gets general advice.
fn fraction_hint(whole: &str, behind: &str) -> String {
    exact_fraction(whole, behind).map_or_else(
        || "write whole numbers in smaller units, such as \"1h30m\"".to_owned(),
        |exact| format!("write {exact:?}"),
    )
}

fn exact_fraction(whole: &str, behind: &str) -> Option<String> {
    let (digits, unit) = split_where(behind, |c| !c.is_ascii_digit());
    let name = if unit.is_empty() { "s" } else { unit };
    let (_, ms) = UNITS.iter().find(|(known, _)| *known == name)?;
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(digits.len()).ok()?);
    let count = number(whole)?
        .checked_mul(scale)?
        .checked_add(number(digits)?)?;
    let scaled = count.checked_mul(*ms)?;
    (scaled % scale == 0).then(|| exact(Duration::from_millis(scaled / scale)))
}

/// The exact text of a duration down to the millisecond, which [`parse`] reads back: `"1h30m"`,
/// `"1m500ms"`, `"0s"`. What is below a millisecond is dropped.
#[must_use]
pub fn exact(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (unit, ms) in UNITS {
        let ms = u128::from(ms);
        if rest >= ms {
            // Writing into a string cannot fail.
            let _ = write!(text, "{}{unit}", rest / ms);
            rest %= ms;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// A duration for people: `"1h30m"`, `"1d12h"`, `"1m30s"`, `"1.2s"`, `"250ms"`, `"<1ms"`.
///
/// From a minute on it is given in whole seconds, from a second on in tenths, always rounded down,
/// so that a report never claims more time than has passed. Use [`exact`] for text to be read back.
#[must_use]
pub fn show(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    if duration < Duration::from_millis(1) {
        return "<1ms".to_owned();
    }
    if duration < Duration::from_secs(1) {
        return format!("{}ms", duration.as_millis());
    }
    if duration < Duration::from_secs(60) {
        let tenths = duration.subsec_millis() / 100;
        return match tenths {
            0 => format!("{}s", duration.as_secs()),
            _ => format!("{}.{tenths}s", duration.as_secs()),
        };
    }
    exact(Duration::from_secs(duration.as_secs()))
}

/// How long something took that was measured in whole milliseconds: never `0s`.
#[must_use]
pub fn took(ms: u64) -> String {
    if ms == 0 {
        return "<1ms".to_owned();
    }
    show(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(text: &str) -> u128 {
        parse(text)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .as_millis()
    }

    #[test]
    fn reads_what_plans_write() {
        let cases = [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d 12h 30m", 131_400_000),
            ("1d12h30m", 131_400_000),
            ("500ms", 500),
            ("1s500ms", 1_500),
            ("90", 90_000),
            (" 90 ", 90_000),
            ("0", 0),
            ("0s", 0),
            ("007s", 7_000),
            ("90m", 5_400_000),
            ("1h 90m", 9_000_000),
            ("365d", 31_536_000_000),
            ("8760h", 31_536_000_000),
            ("31536000", 31_536_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(ms(text), expected, "{text}");
        }
    }

    /// Every refusal, word for word: a person reads them in the output of `check`.
    #[test]
    fn refuses_with_advice() {
        let cases = [
            ("", "a duration is missing"),
            ("  \t", "a duration is missing"),
            ("-5s", "is negative"),
            ("-90", "is negative"),
            ("−5s", "is negative"),
            ("1.5h", "write \"1h30m\""),
            ("1,5h", "write \"1h30m\""),
            ("0.25s", "write \"250ms\""),
            ("2.5", "write \"2s500ms\""),
            ("1.3ms", "whole numbers in smaller units"),
            ("1.h", "whole numbers in smaller units"),
            (
                ".5s",
                "\".\" in duration \".5s\" stands where a number must",
            ),
            ("1h30", "30 in duration \"1h30\" has no unit"),
            ("5 m", "5 in duration \"5 m\" has no unit"),
            (
                "soon",
                "\"soon\" in duration \"soon\" stands where a number must",
            ),
            ("+5s", "stands where a number must"),
            ("5x", "unit \"x\" in duration \"5x\" is unknown; known are"),
            ("5min", "did you mean \"m\"?"),
            ("5mins", "did you mean \"m\"?"),
            ("5M", "did you mean \"m\"?"),
            ("2hours", "did you mean \"h\"?"),
            ("2huors", "did you mean \"h\"?"),
            ("10SEC", "did you mean \"s\"?"),
            ("10us", "did you mean \"ms\"?"),
            ("5m5m", "unit \"m\" stands twice"),
            ("30m1h", "unit \"h\" stands behind the shorter \"m\""),
            ("5ms1s", "unit \"s\" stands behind the shorter \"ms\""),
            ("366d", "longer than a year"),
            ("365d1ms", "longer than a year"),
            ("31536001", "longer than a year"),
            ("18446744073709551615s", "longer than a year"),
            ("18446744073709551616", "longer than a year"),
            ("99999999999999999999999d", "longer than a year"),
            ("٥s", "stands where a number must"),
            ("1h,30m", "unit \"h,\""),
        ];
        for (text, expected) in cases {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn shows_for_people() {
        let cases = [
            (Duration::ZERO, "0s"),
            (Duration::from_micros(999), "<1ms"),
            (Duration::from_millis(250), "250ms"),
            (Duration::from_millis(999), "999ms"),
            (Duration::from_millis(1000), "1s"),
            (Duration::from_millis(1040), "1s"),
            (Duration::from_millis(1250), "1.2s"),
            (Duration::from_millis(59_999), "59.9s"),
            (Duration::from_secs(60), "1m"),
            (Duration::from_secs(90), "1m30s"),
            (Duration::from_millis(90_900), "1m30s"),
            (Duration::from_secs(5400), "1h30m"),
            (Duration::from_secs(129_600), "1d12h"),
            (Duration::from_secs(3605), "1h5s"),
        ];
        for (duration, expected) in cases {
            assert_eq!(show(duration), expected);
        }
        assert!(show(Duration::MAX).ends_with('s'));
        assert_eq!(exact(Duration::from_millis(60_500)), "1m500ms");
    }

    proptest! {
        #[test]
        fn exact_text_reads_back(ms in 0..=31_536_000_000_u64) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&exact(duration)), Ok(duration));
        }

        /// What is shown reads back too, unless it has tenths, and is never more than the truth.
        #[test]
        fn shown_text_is_not_more(ms in 1..=31_536_000_000_u64) {
            let duration = Duration::from_millis(ms);
            let shown = show(duration);
            if !shown.contains('.') {
                let back = parse(&shown).unwrap();
                prop_assert!(back <= duration && duration - back < Duration::from_secs(1));
            }
        }

        #[test]
        fn any_text_is_answered(text in "[0-9dhms.,µ x−-]{0,24}") {
            if let Err(error) = parse(&text) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
