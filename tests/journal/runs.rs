//! Runs, entries, finding and following.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use deployrun::journal::{
    AppendError, Filter, FindError, Journal, JournalError, Reader, RunId, RunUpdate,
};

use crate::scene::{MINUTE, assert_sound, entry, new_run, open, writer};

#[test]
fn entries_come_back_in_order_with_dense_seqs() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let a = journal
        .create_run(&new_run(1, "production"), &[entry(1, 10)])
        .unwrap();
    let b = journal.create_run(&new_run(2, "staging"), &[]).unwrap();
    assert_eq!(journal.read(b.as_str()).unwrap(), []);
    for seq in 2..50 {
        journal.append(a.as_str(), &[entry(seq, 10)]).unwrap();
        journal
            .append(b.as_str(), &[entry(2 * seq - 3, 5), entry(2 * seq - 2, 5)])
            .unwrap();
    }
    journal.append(a.as_str(), &[]).unwrap();
    drop(journal);
    let journal = open(dir.path());
    let found = journal.read(a.as_str()).unwrap();
    assert_eq!(found.len(), 49);
    assert_sound(&found, 10);
    assert_sound(&journal.read(b.as_str()).unwrap(), 5);
    for from in [0, 1, 2, 30, 49, 50, 51, 1_000_000, u64::MAX] {
        let tail = journal.read_from(a.as_str(), from).unwrap();
        let skipped = usize::try_from(from.clamp(1, 50) - 1).unwrap();
        assert_eq!(tail, found[skipped..], "from {from}");
    }
}

#[test]
fn any_text_survives() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let run = journal
        .create_run(&new_run(1, "produção \u{1f680}"), &[])
        .unwrap();
    let mut odd = entry(1, 0);
    odd.call = None;
    odd.kind = "a\0b".to_owned();
    odd.data = format!("\"{}\u{ffff}é\0\"", "\u{1f600}".repeat(100_000));
    odd.at_ms = i64::MIN;
    journal
        .append(run.as_str(), std::slice::from_ref(&odd))
        .unwrap();
    assert_eq!(journal.read(run.as_str()).unwrap()[0].entry, odd);
    assert_eq!(
        journal.runs(&Filter::default()).unwrap()[0].environment,
        "produção \u{1f680}"
    );
}

#[test]
fn a_run_keeps_what_was_frozen_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let new = new_run(1, "production");
    let run = journal.create_run(&new, &[]).unwrap();
    assert_eq!(journal.frozen(run.as_str()).unwrap(), new.frozen);
    // The order of keys as well: arguments are shown as they were given.
    assert_eq!(
        journal.frozen(run.as_str()).unwrap().to_string(),
        new.frozen.to_string()
    );
}

#[test]
fn an_update_stands_with_its_entries_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let run = journal.create_run(&new_run(1, "production"), &[]).unwrap();
    let update = RunUpdate {
        release_lock: None,
        phase: Some("review".to_owned()),
        outcome: None,
    };
    journal
        .append_with(run.as_str(), &[entry(7, 0)], &update)
        .unwrap();
    let update = RunUpdate {
        release_lock: None,
        phase: None,
        outcome: Some("released".to_owned()),
    };
    journal.append_with(run.as_str(), &[], &update).unwrap();
    let row = journal.runs(&Filter::default()).unwrap().remove(0);
    assert_eq!(row.phase.as_deref(), Some("review"));
    assert_eq!(row.outcome.as_deref(), Some("released"));
    assert_eq!((row.created_ms, row.updated_ms), (MINUTE, 7));
    for known in ["20260321-2200-zzzz", "", "x"] {
        let error = journal
            .append_with(known, &[entry(1, 0)], &update)
            .unwrap_err();
        assert!(matches!(error, AppendError::NoSuchRun { .. }), "{error}");
        let error = journal.append(known, &[entry(1, 0)]).unwrap_err();
        assert!(matches!(error, AppendError::NoSuchRun { .. }), "{error}");
    }
    // Such a refusal closes nothing.
    journal.append(run.as_str(), &[entry(8, 0)]).unwrap();
}

#[test]
fn runs_of_one_minute_get_different_ids() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let mut ids = BTreeSet::new();
    for _ in 0..40 {
        ids.insert(journal.create_run(&new_run(31, "production"), &[]).unwrap());
    }
    assert_eq!(ids.len(), 40);
    assert!(
        ids.iter()
            .all(|id| id.as_str().starts_with("20260321-2200-")),
        "{ids:?}"
    );
    assert!(ids.contains(&RunId::new(MINUTE, 31)));
    // The newest comes first although its id does not sort last.
    let last = journal.create_run(&new_run(0, "production"), &[]).unwrap();
    assert_eq!(
        journal.runs(&Filter::default()).unwrap()[0].id,
        last.as_str()
    );
}

#[test]
fn filters_choose() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    for random in 0..30 {
        let environment = if random % 3 == 0 {
            "production"
        } else {
            "staging"
        };
        let mut new = new_run(random, environment);
        new.plan = format!("plan-{}", random % 2);
        new.created_ms = MINUTE + i64::from(random);
        let run = journal.create_run(&new, &[]).unwrap();
        if random < 27 {
            let update = RunUpdate {
                release_lock: None,
                phase: None,
                outcome: Some(if random == 5 { "stuck" } else { "released" }.to_owned()),
            };
            journal.append_with(run.as_str(), &[], &update).unwrap();
        }
    }
    let count = |filter: &Filter| journal.runs(filter).unwrap().len();
    let production = Filter {
        environment: Some("production".to_owned()),
        ..Filter::default()
    };
    assert_eq!(count(&Filter::default()), 30);
    assert_eq!(count(&production), 10);
    assert_eq!(
        count(&Filter {
            limit: Some(4),
            ..production.clone()
        }),
        4
    );
    assert_eq!(
        count(&Filter {
            limit: Some(0),
            ..production.clone()
        }),
        0
    );
    assert_eq!(
        count(&Filter {
            plan: Some("plan-1".to_owned()),
            ..production.clone()
        }),
        5
    );
    assert_eq!(
        count(&Filter {
            unfinished: true,
            ..Filter::default()
        }),
        3
    );
    assert_eq!(
        count(&Filter {
            unfinished: true,
            ..production
        }),
        1
    );
    for (outcomes, expected) in [
        (&["stuck"][..], 1),
        (&["released", "stuck"], 27),
        (&["x"], 0),
    ] {
        let filter = Filter {
            outcomes: outcomes.iter().map(|&o| o.to_owned()).collect(),
            ..Filter::default()
        };
        assert_eq!(count(&filter), expected, "{outcomes:?}");
    }
    for (since, expected) in [(0, 30), (20, 10), (29, 1), (30, 0)] {
        let filter = Filter {
            since_ms: Some(MINUTE + since),
            ..Filter::default()
        };
        assert_eq!(count(&filter), expected, "since {since}");
    }
    let newest = journal
        .runs(&Filter {
            limit: Some(1),
            ..Filter::default()
        })
        .unwrap();
    assert_eq!(newest[0].id, RunId::new(MINUTE, 29).as_str());
}

#[test]
fn a_run_is_found_by_any_unique_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let FindError::None { nearest: None, .. } = journal.find("2026").unwrap_err() else {
        panic!("an empty journal has no nearest run")
    };
    for (minute, random) in [(0, 1), (0, 40), (7, 3)] {
        let mut new = new_run(random, "production");
        new.id = RunId::new(MINUTE + minute * 60_000, random);
        journal.create_run(&new, &[]).unwrap();
    }
    let find = |prefix: &str| journal.find(prefix);
    assert_eq!(find("20260321-2207").unwrap(), "20260321-2207-0003");
    assert_eq!(find("20260321-2200-001").unwrap(), "20260321-2200-0018");
    assert_eq!(find(" 20260321-2200-0018 ").unwrap(), "20260321-2200-0018");
    let FindError::Ambiguous { runs, .. } = find("20260321-2200").unwrap_err() else {
        panic!("two runs begin so")
    };
    assert_eq!(runs, ["20260321-2200-0018", "20260321-2200-0001"]);
    for (typed, near) in [
        ("20260321-2201", Some("20260321-2207-0003")),
        ("0018", Some("20260321-2200-0018")),
        ("", Some("20260321-2207-0003")),
        ("20260321-2200-0O18", Some("20260321-2200-0018")),
        ("shop-web", None),
        ("%", None),
        ("_", None),
    ] {
        let FindError::None { nearest, .. } = find(typed).unwrap_err() else {
            panic!("{typed:?} is the beginning of no run, or says nothing")
        };
        assert_eq!(nearest.as_deref(), near, "{typed:?}");
    }
    let message = find("0018").unwrap_err().to_string();
    assert!(
        message.contains("did you mean 20260321-2200-0018?"),
        "{message}"
    );
}

#[test]
fn a_reader_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let error = Reader::open(&state).unwrap_err();
    assert!(matches!(error, JournalError::NoJournal { .. }), "{error}");
    assert!(!state.exists());
    std::fs::create_dir(&state).unwrap();
    let error = Reader::open(&state).unwrap_err();
    assert!(matches!(error, JournalError::NoJournal { .. }), "{error}");
    assert_eq!(names(&state), [""; 0]);
    let run = {
        let mut journal = open(&state);
        journal
            .create_run(&new_run(1, "production"), &[entry(1, 0)])
            .unwrap()
    };
    let before = names(&state);
    let reader = Reader::open(&state).unwrap();
    assert_eq!(reader.read(run.as_str()).unwrap().len(), 1);
    assert_eq!(
        reader.frozen(run.as_str()).unwrap(),
        new_run(1, "production").frozen
    );
    assert_eq!(reader.find("2026").unwrap(), run.as_str());
    assert_eq!(reader.lock("production").unwrap(), None);
    drop(reader);
    assert_eq!(names(&state), before);
    assert_eq!(
        before,
        ["journal.db", "journal.db-shm", "journal.db-wal", "reserve"]
    );
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every entry can be read by another process as soon as its append has returned.
#[test]
fn a_reader_follows_a_live_writer() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let reader = Reader::open(dir.path()).unwrap();
    let mut child = Command::new(writer())
        .arg(dir.path())
        .args(["new", "300", "150"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut run = String::new();
    let mut seen = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(id) = line.strip_prefix("run ") {
            id.clone_into(&mut run);
        } else if let Some(seq) = line.strip_prefix("seq ") {
            let seq: u64 = seq.parse().unwrap();
            seen.extend(reader.read_from(&run, seen.len() as u64 + 1).unwrap());
            assert!(
                seen.len() as u64 >= seq,
                "{seq} was acknowledged, {} are seen",
                seen.len()
            );
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(seen.len(), 300);
    assert_sound(&seen, 150);
    assert_eq!(
        reader.runs(&Filter::default()).unwrap()[0].phase.as_deref(),
        Some("phase 300")
    );
}

/// Two processes may append to one run: one controls it, the other approves.
#[test]
fn two_writers_share_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut a = open(dir.path());
    let mut b = open(dir.path());
    let run = a.create_run(&new_run(1, "production"), &[]).unwrap();
    for seq in 0..60 {
        let writer: &mut Journal = if seq % 3 == 0 { &mut b } else { &mut a };
        writer.append(run.as_str(), &[entry(seq + 1, 0)]).unwrap();
    }
    assert_sound(&a.read(run.as_str()).unwrap(), 0);
    assert_eq!(b.read(run.as_str()).unwrap().len(), 60);
}
