//! Appends to a journal until it is told to stop or fails: what the tests of failing disks and
//! killed processes run.
//!
//! `journal_writer STATE RUN COUNT [pad]` prints `run ID`, then `seq N` after each append that
//! returned, then `done`; or `failed KIND: MESSAGE` and stops at the first failure (exit status 1).
//! RUN is `new` or the id of a run. `journal_writer STATE open` opens only. With a fifth argument
//! `recover` it recovers after a failure, prints `recovered N` (entries found) and goes on there.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use deployrun::journal::{AppendError, Entry, Journal, NewRun, RunId, RunUpdate};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = io::stdout().lock();
    match work(&arguments, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nobody may be reading any more.
            let _ = writeln!(out, "failed {message}");
            ExitCode::FAILURE
        }
    }
}

fn work(arguments: &[String], out: &mut impl Write) -> Result<(), String> {
    let mut say = |text: String| writeln!(out, "{text}").map_err(|error| error.to_string());
    let [state, run, rest @ ..] = arguments else {
        return Err("usage: journal_writer STATE (RUN COUNT [PAD] | open)".to_owned());
    };
    let mut journal = Journal::open(Path::new(state)).map_err(|error| format!("open: {error}"))?;
    say("opened".to_owned())?;
    if run == "open" {
        return Ok(());
    }
    let count: u64 = rest
        .first()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    let pad: usize = rest
        .get(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    let run = if run == "new" {
        create(&mut journal)?
    } else {
        run.clone()
    };
    say(format!("run {run}"))?;
    let first = journal
        .read(&run)
        .map_err(|error| format!("read: {error}"))?
        .len() as u64
        + 1;
    let recovers = rest.get(2).is_some_and(|text| text == "recover");
    let end = first + count;
    let mut seq = first;
    while seq < end {
        let entries = [entry(seq, pad)];
        let update = RunUpdate {
            release_lock: None,
            phase: Some(format!("phase {seq}")),
            outcome: None,
        };
        let appended = if seq.is_multiple_of(5) {
            journal.append_with(&run, &entries, &update)
        } else {
            journal.append(&run, &entries)
        };
        match appended {
            Ok(()) => say(format!("seq {seq}"))?,
            Err(error) if recovers => {
                say(format!("failure {}", named(&error)))?;
                journal
                    .recover_after_failure()
                    .map_err(|error| format!("recover: {error}"))?;
                let found = journal
                    .read(&run)
                    .map_err(|error| format!("read: {error}"))?;
                seq = found.len() as u64;
                say(format!("recovered {seq}"))?;
            }
            Err(error) => return Err(named(&error)),
        }
        seq += 1;
    }
    say("done".to_owned())
}

fn create(journal: &mut Journal) -> Result<String, String> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now_ms = i64::try_from(now.as_millis()).unwrap_or_default();
    let new = NewRun {
        id: RunId::new(now_ms, now.subsec_nanos() ^ std::process::id()),
        plan: "shop-web".to_owned(),
        version: "2.4.0".to_owned(),
        environment: "production".to_owned(),
        fingerprint: "f".repeat(64),
        frozen: serde_json::json!({ "sources": { "plan.rhai": "x".repeat(3_000) } }),
        created_ms: now_ms,
    };
    journal
        .create_run(&new, &[])
        .map(|id| id.to_string())
        .map_err(|error| named(&error))
}

/// The content tells its own seq, so that a reader can compare.
fn entry(seq: u64, pad: usize) -> Entry {
    Entry {
        at_ms: i64::try_from(seq).unwrap_or_default(),
        kind: "step".to_owned(),
        call: Some(format!("0/{seq}")),
        data: format!("{{\"seq\":{seq},\"pad\":\"{}\"}}", "p".repeat(pad)),
    }
}

fn named(error: &AppendError) -> String {
    let kind = match error {
        AppendError::Full { .. } => "Full",
        AppendError::Unknown { .. } => "Unknown",
        AppendError::Busy { .. } => "Busy",
        AppendError::NoSuchRun { .. } => "NoSuchRun",
        AppendError::Halted { .. } => "Halted",
        _ => "Other",
    };
    format!("{kind}: {error}")
}
