//! Times, places and answers in words.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::words::call::Answer;
use crate::words::duration;
use crate::words::event::LimitBy;
use crate::words::window::Window;

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

/// An edge of a window, in the window's zone, and in the reader's own where the clock shows something
/// else there. `None` when the window has no such edge.
pub(in crate::report) fn window_edge(
    window: &str,
    at_ms: i64,
    reader: &TimeZone,
) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at_ms).ok()?;
    let is_last = at.as_millisecond() == jiff::Timestamp::MAX.as_millisecond();
    if is_last || at == jiff::Timestamp::MIN {
        return None;
    }
    let zone = Window::parse(window)
        .ok()
        .and_then(|w| w.zone())
        .unwrap_or_else(|| reader.clone());
    let (there, here) = (at.to_zoned(zone.clone()), at.to_zoned(reader.clone()));
    let name = zone
        .iana_name()
        .map_or(String::new(), |name| format!(" {name}"));
    let mut text = format!("{}{name}", there.strftime("%a %Y-%m-%d %H:%M %:z"));
    if there.offset() != here.offset() {
        let local = here.strftime("%a %H:%M %:z");
        text.push_str(&format!(" (here {local})"));
    }
    Some(text)
}

/// Milliseconds for people.
#[must_use]
pub fn show_ms(ms: u64) -> String {
    duration::show(Duration::from_millis(ms))
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

/// What sets the limit of a step; its own timeout goes without saying.
pub(in crate::report) fn limit_words(by: LimitBy) -> &'static str {
    match by {
        LimitBy::Timeout => "",
        LimitBy::Group => ", by its group",
        LimitBy::Deadline => ", by the deadline",
        LimitBy::Window => ", by the window's end",
        LimitBy::BackOut => ", by the back-out",
    }
}
