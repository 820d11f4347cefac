//! Results of tests: for people, as JSON, and the coverage of lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::words::duration;
use crate::words::hidden::visible;
use crate::words::test_result::{LineCounts, Tally, TestResult};

use super::Style;
use super::line::Tone;

/// A test that takes longer than this is told with its time.
const SLOW: Duration = Duration::from_millis(500);

/// The line of a test that has ended.
#[must_use]
pub fn line(result: &TestResult, style: Style) -> String {
    let (tone, word) = match (&result.failure, result.skipped) {
        (Some(_), _) => (Tone::Bad, "FAIL"),
        (None, true) => (Tone::Warn, "skip"),
        (None, false) => (Tone::Good, "ok"),
    };
    let mut notes = Vec::new();
    if result.cases > 0 {
        notes.push(many(u64::from(result.cases), "case"));
    }
    if result.took >= SLOW {
        notes.push(duration::show(result.took));
    }
    let notes = if notes.is_empty() {
        String::new()
    } else {
        style.paint(Tone::Dim, &format!("  ({})", notes.join(", ")))
    };
    let mark = style.paint(tone, &format!("{word:4}"));
    format!("{mark}  {}  {}{notes}", visible(&result.file), result.name)
}

/// What went wrong with a test, whole; nothing for one that passed.
#[must_use]
pub fn failure(result: &TestResult, style: Style) -> Option<String> {
    let failure = result.failure.as_ref()?;
    let title = format!("FAIL  {}  {}", visible(&result.file), result.name);
    let mut text = style.paint(Tone::Bad, &title);
    for (n, line) in failure.detail.lines().enumerate() {
        let shown = match line.trim_start().chars().next() {
            _ if n == 0 => style.paint(Tone::Heading, line),
            Some('-') if line.trim_start().starts_with("- ") => style.paint(Tone::Bad, line),
            Some('+') => style.paint(Tone::Good, line),
            Some('=') => style.paint(Tone::Dim, line),
            _ => line.to_owned(),
        };
        text.push('\n');
        text.push_str(&shown);
    }
    Some(text)
}

/// How all ended, in one line.
#[must_use]
pub fn summary(tally: &Tally, style: Style) -> String {
    let mut parts = vec![format!("{} passed", tally.passed)];
    if tally.failed > 0 {
        parts.push(format!("{} failed", tally.failed));
    }
    if tally.faulty_files > 0 {
        let files = many(tally.faulty_files as u64, "file");
        parts.push(format!("{files} with errors"));
    }
    if tally.skipped > 0 {
        parts.push(format!("{} skipped", tally.skipped));
    }
    let cases = match tally.cases {
        0 => String::new(),
        n => format!(" ({} of tables)", many(n, "case")),
    };
    let tone = if tally.is_good() {
        Tone::Good
    } else {
        Tone::Bad
    };
    let tests = tally.passed + tally.failed + tally.skipped;
    let tests = many(tests as u64, "test");
    let time = duration::show(tally.took);
    let ended = style.paint(tone, &parts.join(", "));
    format!("{tests}{cases}: {ended} in {time}")
}

fn many(number: u64, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    }
}

/// A test that has ended, as one line of JSON.
#[must_use]
pub fn json_line(result: &TestResult) -> String {
    let mut value = json!({
        "test": result.name,
        "file": result.file,
        "line": result.line,
        "outcome": match (&result.failure, result.skipped) {
            (Some(_), _) => "failed",
            (None, true) => "skipped",
            (None, false) => "passed",
        },
        "duration_ms": millis(result.took),
    });
    if let Some(map) = value.as_object_mut() {
        if result.cases > 0 {
            map.insert("cases".into(), json!(result.cases));
        }
        if let Some(failure) = &result.failure {
            map.insert("message".into(), json!(failure.message));
            if let Some(place) = &failure.place {
                map.insert("place".into(), json!(place));
            }
            map.insert("detail".into(), json!(failure.detail));
        }
    }
    value.to_string()
}

/// How all ended, as one line of JSON.
#[must_use]
pub fn json_summary(tally: &Tally) -> String {
    json!({
        "passed": tally.passed,
        "failed": tally.failed,
        "skipped": tally.skipped,
        "faulty_files": tally.faulty_files,
        "cases": tally.cases,
        "duration_ms": millis(tally.took),
    })
    .to_string()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The coverage of lines as a table; `base` is left out of the names of files.
#[must_use]
pub fn coverage_table(files: &BTreeMap<String, LineCounts>, base: &str) -> String {
    let shown = |file: &str| file.strip_prefix(base).unwrap_or(file).to_owned();
    let width = files.keys().map(|file| shown(file).chars().count());
    let width = width.max().unwrap_or(0).max("all".len());
    let mut text = format!("{:width$}  lines    run  not run\n", "");
    let (mut all, mut all_hit) = (0, 0);
    for (file, lines) in files {
        let hit = lines.values().filter(|count| **count > 0).count();
        let missed: Vec<u32> = lines
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(line, _)| *line)
            .collect();
        let _ = writeln!(
            text,
            "{:width$}  {:5}  {:>5}  {}",
            shown(file),
            lines.len(),
            percent(hit, lines.len()),
            ranges(&missed, lines)
        );
        all += lines.len();
        all_hit += hit;
    }
    let _ = write!(
        text,
        "{:width$}  {all:5}  {:>5}",
        "all",
        percent(all_hit, all)
    );
    text
}

fn percent(part: usize, whole: usize) -> String {
    match (part * 100).checked_div(whole) {
        None => "-".into(),
        Some(percent) => format!("{percent}%"),
    }
}

/// Lines as ranges; those between them that hold no statement do not part them.
fn ranges(missed: &[u32], lines: &LineCounts) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in missed {
        match ranges.last_mut() {
            Some((_, end)) if lines.range(*end + 1..*line).next().is_none() => *end = *line,
            _ => ranges.push((*line, *line)),
        }
    }
    let words: Vec<String> = ranges
        .iter()
        .map(|(from, to)| match from == to {
            true => from.to_string(),
            false => format!("{from}-{to}"),
        })
        .collect();
    words.join(", ")
}

/// The coverage of lines in the format of lcov.
#[must_use]
pub fn lcov(files: &BTreeMap<String, LineCounts>) -> String {
    let mut text = String::new();
    for (file, lines) in files {
        let _ = writeln!(text, "TN:\nSF:{file}");
        for (line, count) in lines {
            let _ = writeln!(text, "DA:{line},{count}");
        }
        let hit = lines.values().filter(|count| **count > 0).count();
        let _ = writeln!(text, "LF:{}\nLH:{hit}\nend_of_record", lines.len());
    }
    text
}
