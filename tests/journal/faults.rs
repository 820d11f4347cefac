//! A disk that fails at every single system call in turn, by strace's fault injection.

use std::fs;
use std::path::Path;
use std::process::Command;

use deployrun::journal::{Filter, Journal, Reader};

use crate::scene::{acknowledged, assert_sound, run_of, small, writer};

const PAD: usize = 3_000;
const COUNT: &str = "24";
/// Entries in the journal before the fault.
const EXISTING: u64 = 8;

/// The system calls by which the writer touches the disk, and the errors that a disk gives to them.
const FAULTS: [(&str, &str); 12] = [
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("fdatasync", "EIO"),
    ("fdatasync", "ENOSPC"),
    ("fsync", "EIO"),
    ("fsync", "ENOSPC"),
    ("write", "EIO"),
    ("write", "ENOSPC"),
    ("ftruncate", "EIO"),
    ("fallocate", "ENOSPC"),
    ("pread64", "EIO"),
    ("openat", "EIO"),
];

#[derive(Default, Debug)]
struct Tally {
    points: usize,
    refused_at_open: usize,
    full: usize,
    unknown_absent: usize,
    unknown_present: usize,
    other: usize,
    unnoticed: usize,
    recovered: usize,
}

fn need_strace() {
    let found = Command::new("strace").arg("-V").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "this test needs strace: install it (apt-get install strace)"
    );
}

/// A run of the writer in which one system call failed.
struct Injected {
    /// What it printed.
    said: String,
    /// The line of the trace that failed.
    line: String,
    /// The write or sync of the log before it.
    before: String,
}

impl Injected {
    /// Whether it was a sync of a checkpoint (of the log or the database), which SQLite does not report.
    /// It comes after the sync of the commit with nothing written to the log in between, so no entry hangs on it: the
    /// checkpoint is given up, and a later one does all of its work again.
    fn is_checkpoint_sync(&self) -> bool {
        let is_sync = |line: &str| line.starts_with("fdatasync(") || line.starts_with("fsync(");
        is_sync(&self.line) && is_sync(&self.before)
    }
}

/// Runs the writer with the n-th such call failing; `None` if there was no n-th call.
fn inject(
    (call, error): (&str, &str),
    nth: usize,
    state: &Path,
    arguments: &[&str],
) -> Option<Injected> {
    let log = state.with_extension("strace");
    let output = Command::new("strace")
        .args(["-y", "-o"])
        .arg(&log)
        .args(["-e", &format!("trace={call},pwrite64,fsync,fdatasync")])
        .args(["-e", &format!("inject={call}:error={error}:when={nth}")])
        .arg(writer())
        .arg(state)
        .args(arguments)
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    let log = fs::read_to_string(&log).unwrap();
    assert!(
        log.contains("+++ exited"),
        "strace did not work: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut before = "";
    for line in log.lines() {
        if line.contains("(INJECTED)") {
            return Some(Injected {
                said: String::from_utf8_lossy(&output.stdout).into_owned(),
                line: line.to_owned(),
                before: before.to_owned(),
            });
        }
        if line.contains("journal.db-wal>") {
            before = line;
        }
    }
    None
}

/// Reads the state as the next process finds it, and compares it with what the writer was told.
fn judge(state: &Path, run: &str, known: u64, injected: &Injected, tally: &mut Tally) {
    let Injected { said, line, .. } = injected;
    let context = format!("{line}\n{said}");
    let acknowledged = acknowledged(said).max(known);
    let failed = said.lines().find(|line| line.starts_with("failed "));
    if failed.is_some() {
        assert!(
            said.trim_end()
                .lines()
                .last()
                .unwrap()
                .starts_with("failed "),
            "went on: {context}"
        );
    }
    let unknown = failed.is_some_and(|failed| failed.starts_with("failed Unknown"));
    assert_eq!(
        state.join("journal.suspect").exists(),
        unknown && !line.contains("journal.suspect"),
        "{context}"
    );
    let mut journal =
        Journal::open_with(state, small()).unwrap_or_else(|error| panic!("{error}: {context}"));
    assert!(!state.join("journal.suspect").exists(), "{context}");
    let found = journal
        .read(run)
        .unwrap_or_else(|error| panic!("{error}: {context}"));
    assert_sound(&found, PAD);
    let count = found.len() as u64;
    match failed {
        Some(text) if text.starts_with("failed Unknown") => {
            assert!(
                (acknowledged..=acknowledged + 1).contains(&count),
                "{count}: {context}"
            );
            if count == acknowledged {
                tally.unknown_absent += 1
            } else {
                tally.unknown_present += 1
            }
        }
        Some(text) => {
            assert_eq!(count, acknowledged, "{context}");
            if text.starts_with("failed Full") {
                tally.full += 1;
            } else if text.starts_with("failed open") {
                tally.refused_at_open += 1;
            } else {
                tally.other += 1;
            }
        }
        // Standard output failed, or the failure did no harm.
        None => {
            assert!(
                (acknowledged..=acknowledged + 1).contains(&count),
                "{count}: {context}"
            );
            tally.unnoticed += 1;
            assert!(
                !line.contains("-wal>")
                    || line.starts_with("pread64(")
                    || injected.is_checkpoint_sync(),
                "a failed write of the log went unnoticed: {context}"
            );
        }
    }
    journal
        .append(run, &[crate::scene::entry(count + 1, PAD)])
        .unwrap();
}

fn existing(dir: &Path) -> (std::path::PathBuf, String) {
    let state = dir.join("state");
    let output = Command::new(writer())
        .arg(&state)
        .args(["new", &EXISTING.to_string(), &PAD.to_string()])
        .output()
        .unwrap();
    let run = run_of(&String::from_utf8_lossy(&output.stdout)).unwrap();
    (state, run)
}

#[test]
fn an_existing_journal_on_a_failing_disk_never_reports_what_is_not_there() {
    need_strace();
    let origin = tempfile::tempdir().unwrap();
    let (original, run) = existing(origin.path());
    let mut checkpoint_syncs = 0;
    for fault in FAULTS {
        let mut tally = Tally::default();
        for nth in 1.. {
            // A copy each time: the same calls in the same places, up to the one that fails.
            let dir = tempfile::tempdir().unwrap();
            let state = dir.path().join("state");
            fs::create_dir(&state).unwrap();
            for name in ["journal.db", "journal.db-wal"] {
                fs::copy(original.join(name), state.join(name)).unwrap();
            }
            let arguments = [run.as_str(), COUNT, &PAD.to_string()];
            let Some(injected) = inject(fault, nth, &state, &arguments) else {
                break;
            };
            tally.points += 1;
            checkpoint_syncs += usize::from(injected.is_checkpoint_sync());
            judge(&state, &run, EXISTING, &injected, &mut tally);
        }
        eprintln!("{fault:?}: {tally:?}");
        let noticed = tally.full + tally.unknown_absent + tally.unknown_present;
        if ["pwrite64", "fdatasync"].contains(&fault.0) {
            assert!(tally.points > 20 && noticed > 10, "{fault:?}: {tally:?}");
        }
    }
    eprintln!("{checkpoint_syncs} of these were syncs of a checkpoint");
    assert!(checkpoint_syncs > 0, "no checkpoint was met");
}

/// From nothing: a journal that could not be made can be made afterwards, and holds what was told.
#[test]
fn a_new_journal_on_a_failing_disk_never_reports_what_is_not_there() {
    need_strace();
    for fault in FAULTS {
        let mut tally = Tally::default();
        for nth in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let state = dir.path().join("state");
            let arguments = ["new", "2", &PAD.to_string()];
            let Some(injected) = inject(fault, nth, &state, &arguments) else {
                break;
            };
            tally.points += 1;
            if let Some(run) = run_of(&injected.said) {
                judge(&state, &run, 0, &injected, &mut tally);
                continue;
            }
            tally.refused_at_open += 1;
            let journal = Journal::open_with(&state, small())
                .unwrap_or_else(|error| panic!("{error}: {}\n{}", injected.line, injected.said));
            let runs = journal.runs(&Filter::default()).unwrap();
            assert!(runs.len() <= 1, "{}\n{}", injected.line, injected.said);
        }
        eprintln!("new, {fault:?}: {tally:?}");
    }
}

/// The writer recovers in place and goes on: every entry once, in order, none lost.
#[test]
fn recovery_after_a_failure_goes_on_without_a_gap() {
    need_strace();
    for fault in &FAULTS[..4] {
        let dir = tempfile::tempdir().unwrap();
        let (state, run) = existing(dir.path());
        let mut tally = Tally::default();
        let mut known = EXISTING;
        for nth in 1.. {
            let arguments = [run.as_str(), "4", &PAD.to_string(), "recover"];
            let Some(Injected { said, line, .. }) = inject(*fault, nth, &state, &arguments) else {
                break;
            };
            tally.points += 1;
            let context = format!("{line}\n{said}");
            if said.contains("recovered ") {
                tally.recovered += 1;
                assert!(said.ends_with("done\n"), "{context}");
            }
            let reader = Reader::open(&state).unwrap_or_else(|error| panic!("{error}: {context}"));
            let found = reader.read(&run).unwrap();
            assert_sound(&found, PAD);
            let count = found.len() as u64;
            if said.ends_with("done\n") {
                assert_eq!(count, known + 4, "{context}");
            } else {
                assert_eq!(count, acknowledged(&said).max(known), "{context}");
            }
            known = count;
        }
        eprintln!("recovery, {fault:?}: {tally:?}");
        assert!(tally.recovered > 3, "{tally:?}");
    }
}
