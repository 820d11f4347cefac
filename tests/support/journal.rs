//! The journal as it lies on the disk, read without the program under test.

use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

/// A copy of the journal, opened; `None` if there is none. The original is left alone: to open a
/// journal after a crash repairs it, which is for the program to do.
fn copy(state: &Path) -> Option<Connection> {
    let path = state.join("journal.db");
    if !path.exists() {
        return None;
    }
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["journal.db", "journal.db-wal"] {
        let _ = std::fs::copy(state.join(name), copy.path().join(name));
    }
    let connection = Connection::open(copy.path().join("journal.db")).expect("the journal opens");
    let whole: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("the journal can be checked");
    assert_eq!(whole, "ok", "the journal is damaged");
    Some(connection)
}

/// The events of all runs of a state directory, in order; none if there is no journal yet.
pub fn events(state: &Path) -> Vec<Value> {
    let Some(connection) = copy(state) else {
        return Vec::new();
    };
    let Ok(mut statement) = connection.prepare("SELECT data FROM entries ORDER BY place") else {
        return Vec::new();
    };
    let rows = statement
        .query_map([], |row| row.get::<_, String>(0))
        .expect("the entries can be read");
    rows.map(|data| {
        let data = data.expect("an entry");
        serde_json::from_str(&data).expect("an entry is JSON")
    })
    .collect()
}

/// The events of this kind.
pub fn of_kind<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|e| e["event"] == kind).collect()
}

/// The `run-ended` of a run, if it has ended.
pub fn end(events: &[Value]) -> Option<&Value> {
    of_kind(events, "run-ended").last().map(|e| &e["end"])
}

/// Says what is wrong with the order of events: a try that begins twice, ends without a begin, or
/// ends twice; anything after the end.
pub fn disorder(events: &[Value]) -> Option<String> {
    let mut open: Vec<String> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (n, event) in events.iter().enumerate() {
        let kind = event["event"].as_str().unwrap_or_default();
        let id = format!("{} try {}", event["id"], event["attempt"]);
        match kind {
            "step-started" if seen.contains(&id) => return Some(format!("{id} began twice")),
            "step-started" => {
                seen.push(id.clone());
                open.push(id);
            }
            "step-ended" | "step-void" => match open.iter().position(|o| *o == id) {
                Some(at) => drop(open.remove(at)),
                None => return Some(format!("{id} ended without a begin, or twice")),
            },
            // Of an end people are told when it is written.
            "run-ended" => {
                let mut later = events[n + 1..].iter().map(|e| &e["event"]);
                if let Some(kind) = later.find(|kind| **kind != "notified") {
                    return Some(format!("{kind} after the end"));
                }
            }
            _ => {}
        }
    }
    None
}

/// Ids of the runs that have no end.
pub fn unfinished(state: &Path) -> Vec<String> {
    let Some(connection) = copy(state) else {
        return Vec::new();
    };
    let query = "SELECT id FROM runs WHERE outcome IS NULL ORDER BY number";
    let Ok(mut statement) = connection.prepare(query) else {
        return Vec::new();
    };
    let rows = statement.query_map([], |row| row.get(0)).expect("the runs");
    rows.map(|id| id.expect("an id")).collect()
}
