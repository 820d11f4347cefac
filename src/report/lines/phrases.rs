//! Times, places and answers in words.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::words::call::Answer;
use crate::words::duration;

/// An instant for people: `Sat 2026-03-21 22:00:00 +01:00`.
#[must_use]
pub fn show_instant(at_ms: i64, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(at_ms) {
        Ok(at) => {
            let at = at.to_zoned(zone.clone());
            at.strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string()
        }
        Err(_) => format!("{at_ms} ms since 1970"),
    }
}

/// Milliseconds for people.
#[must_use]
pub fn show_ms(ms: u64) -> String {
    duration::show(Duration::from_millis(ms))
}

/// How long something took.
pub(in crate::report) fn took(ms: u64) -> String {
    if ms == 0 {
        "<1ms".to_owned()
    } else {
        show_ms(ms)
    }
}

/// A time that is far off, in whole minutes; never more than it is.
#[must_use]
pub fn coarse(ms: u64) -> String {
    let unit = if ms >= 10 * 60_000 { 60_000 } else { 1_000 };
    show_ms(ms / unit * unit)
}

pub(super) fn positive(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// What a plan is called that does not say: its file, without the ending.
pub(in crate::report) fn plan_name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(".rhai").unwrap_or(file)
}

/// `text` between single quotes, as a shell reads it.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What an answer throws, if it does.
pub(super) fn thrown(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Throw(failure) => Some(&failure.message),
        Answer::Value(_) | Answer::Stop => None,
    }
}

/// A text with commands in it, as they are to be typed where `deployrun` alone would not find the
/// same journal.
#[must_use]
pub fn whole_commands(text: &str, program: &str) -> String {
    text.replace("`deployrun ", &format!("`{program} "))
}
