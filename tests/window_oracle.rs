//! Release windows against an independent oracle: `tests/oracles/window_oracle.py` works out by
//! brute force, with Python's zoneinfo, when windows are open around every clock change of eleven
//! years in nineteen zones, and every opening must be the same here.
//!
//! Both sides must read the same time zone data. jiff takes them from `TZDIR`, else from the
//! directory of the system, else from the copy that is built in; Python is pointed at the same
//! directory. Before any opening is compared, all changes of all offsets are: where they differ the
//! test fails and says that the data differ, so that it is not taken for a fault of the windows.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use deployrun::words::window::{Window, WindowProblem};
use jiff::{Timestamp, tz::TimeZone};

/// Where jiff looks for the data of the system, in its order.
const DIRECTORIES: [&str; 3] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/zoneinfo",
];

fn data_directory() -> Option<PathBuf> {
    let named = std::env::var_os("TZDIR").map(PathBuf::from);
    named
        .into_iter()
        .chain(DIRECTORIES.map(PathBuf::from))
        .find(|directory| directory.is_dir())
}

fn oracle() -> (String, String) {
    let directory = data_directory();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/window_oracle.py");
    // Without a directory Python is left with its package tzdata, as jiff is with its own copy.
    let path = directory.clone().unwrap_or_default();
    let output = Command::new("python3")
        .arg(&script)
        .env("PYTHONTZPATH", &path)
        .output()
        .unwrap_or_else(|error| {
            panic!("this test needs python3 (3.9 or later) for its oracle, and it does not run: {error}")
        });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the oracle {} failed:\n{stderr}",
        script.display()
    );
    let data = match directory {
        Some(directory) => format!("{} on both sides", directory.display()),
        None => "jiff's own copy here, the package tzdata in Python".to_owned(),
    };
    (
        String::from_utf8(output.stdout).expect("the oracle prints ASCII"),
        data,
    )
}

fn second(text: &str) -> Timestamp {
    let seconds = text
        .parse()
        .unwrap_or_else(|error| panic!("{text:?}: {error}"));
    Timestamp::from_second(seconds).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The changes of the offset that jiff knows, in the words of the oracle.
fn changes(zone: &str) -> Vec<String> {
    let tz = TimeZone::get(zone).unwrap_or_else(|error| panic!("{zone}: {error}"));
    let start: Timestamp = "2024-01-01T00:00:00Z".parse().expect("a timestamp");
    let end: Timestamp = "2035-01-01T00:00:00Z".parse().expect("a timestamp");
    let mut offset = tz.to_offset(start);
    let mut changes = Vec::new();
    for change in tz
        .following(start)
        .take_while(|change| change.timestamp() < end)
    {
        if change.offset() != offset {
            let (at, after) = (change.timestamp().as_second(), change.offset());
            changes.push(format!("{at}\t{}\t{}", offset.seconds(), after.seconds()));
            offset = after;
        }
    }
    changes
}

/// What the window opens between two instants, clipped to them, in the words of the oracle.
fn openings(spec: &str, low: Timestamp, high: Timestamp) -> Vec<String> {
    let window = match Window::parse(spec) {
        Ok(window) => window,
        // A window that the clock change swallows is refused; for the oracle it just never opens.
        Err(error) if error.problem == WindowProblem::NeverOpens => return Vec::new(),
        Err(error) => panic!("{spec}: {error}"),
    };
    window
        .openings(low)
        .take_while(|opening| opening.start < high)
        .map(|opening| {
            let (start, end) = (opening.start.max(low), opening.end.min(high));
            assert_eq!(start.subsec_nanosecond(), 0, "{spec}");
            assert_eq!(
                window.opening_at(start).as_ref(),
                Some(&opening),
                "{spec} at {start}"
            );
            format!("{}-{}", start.as_second(), end.as_second())
        })
        .collect()
}

#[test]
fn every_opening_is_that_of_the_oracle() {
    let (table, data) = oracle();
    let mut known: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut cases = Vec::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields.as_slice() {
            ["zone", zone] => drop(known.entry(zone).or_default()),
            ["change", zone, change @ ..] => {
                known.entry(zone).or_default().push(change.join("\t"));
            }
            ["case", spec, low, high, openings] => {
                cases.push((*spec, second(low), second(high), *openings));
            }
            _ => panic!("the oracle printed a line that is no case: {line:?}"),
        }
    }
    for (zone, expected) in &known {
        assert_eq!(
            &changes(zone),
            expected,
            "the time zone data differ for {zone} ({data}), so openings cannot be compared; \
             point TZDIR at one directory of compiled time zone data"
        );
    }

    let mut compared = 0;
    let mut wrong = Vec::new();
    for (spec, low, high, expected) in &cases {
        let found = openings(spec, *low, *high);
        let expected: Vec<&str> = expected.split_whitespace().collect();
        compared += expected.len();
        if found != expected {
            wrong.push(format!(
                "{spec} from {low}:\n  here   {found:?}\n  oracle {expected:?}"
            ));
        }
    }
    let (shown, all) = (wrong.iter().take(5), wrong.len());
    assert!(
        wrong.is_empty(),
        "{all} of {} cases differ, the first of them:\n{}",
        cases.len(),
        shown.cloned().collect::<Vec<_>>().join("\n")
    );
    let changes: usize = known.values().map(Vec::len).sum();
    println!(
        "{compared} openings of {} cases are the same, around {changes} clock changes in {} zones ({data})",
        cases.len(),
        known.len(),
    );
    // The numbers are held, so that a table that shrinks does not pass for a good one.
    assert!(known.len() >= 19 && changes >= 250 && cases.len() >= 12_000 && compared >= 50_000);
}
