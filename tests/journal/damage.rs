//! Truncated and altered databases. Each copy is refused, or what is read from it was true at some
//! time: the entries of a run are a beginning of what was written, its row is one that it had.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use deployrun::journal::{
    AppendError, Filter, Holder, Journal, JournalError, Reader, RunRow, RunUpdate, StoredEntry,
};

use crate::scene::{Random, entry, new_run, small, wish};

const COPIES: usize = 3_000;
const SEED: u64 = 0x5eed;

/// A journal, and everything that was ever true of it.
struct Original {
    database: Vec<u8>,
    log: Vec<u8>,
    runs: Vec<(String, Vec<StoredEntry>)>,
    /// Every state of the list of runs.
    lists: Vec<Vec<RunRow>>,
    /// Every state of the lock of production: the run that had it.
    locks: BTreeSet<Option<String>>,
    frozen: serde_json::Value,
}

/// Some of it is in the database, some only in the log.
fn original(dir: &Path) -> Original {
    let mut journal = Journal::open_with(dir, small()).unwrap();
    let mut lists = vec![Vec::new()];
    let mut runs = Vec::new();
    let holder = Holder::this_process("web team");
    let mut locks = BTreeSet::from([None]);
    for random in 0..6 {
        let run = journal
            .create_run(&new_run(random, "production"), &[])
            .unwrap()
            .to_string();
        lists.push(journal.runs(&Filter::default()).unwrap());
        for seq in (1..=40).step_by(2) {
            let length = [20, 300, 3_000, 9_000][(seq as usize / 2 + random as usize) % 4];
            let entries = [entry(seq, length), entry(seq + 1, 50)];
            if seq % 5 == 0 {
                let update = RunUpdate {
                    release_lock: None,
                    phase: Some(format!("phase {seq}")),
                    outcome: None,
                };
                journal.append_with(&run, &entries, &update).unwrap();
                lists.push(journal.runs(&Filter::default()).unwrap());
            } else {
                journal.append(&run, &entries).unwrap();
            }
        }
        if random == 4 {
            journal
                .take_lock(&run, &wish("production", &holder, "release", 1))
                .unwrap();
            locks.insert(Some(run.clone()));
        }
        runs.push((run.clone(), journal.read(&run).unwrap()));
    }
    let frozen = journal.frozen(&runs[0].0).unwrap();
    drop(journal);
    let database = fs::read(dir.join("journal.db")).unwrap();
    let log = fs::read(dir.join("journal.db-wal")).unwrap();
    assert!(
        database.len() > 100_000 && log.len() > 50_000,
        "{} {}",
        database.len(),
        log.len()
    );
    Original {
        database,
        log,
        runs,
        lists,
        locks,
        frozen,
    }
}

/// What was done to a copy.
#[derive(Debug, Clone, Copy)]
enum Kind {
    TruncatedDatabase,
    TruncatedLog,
    DatabaseBits,
    HeaderBits,
    LogBits,
    ZeroedPage,
    SwappedPages,
    NoLog,
    Noise,
}

const KINDS: [Kind; 9] = [
    Kind::TruncatedDatabase,
    Kind::TruncatedLog,
    Kind::DatabaseBits,
    Kind::HeaderBits,
    Kind::LogBits,
    Kind::ZeroedPage,
    Kind::SwappedPages,
    Kind::NoLog,
    Kind::Noise,
];

fn flip(bytes: &mut [u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
}

fn alter(kind: Kind, database: &mut Vec<u8>, log: &mut Vec<u8>, random: &mut Random) {
    let pages = database.len() / 4096;
    match kind {
        Kind::TruncatedDatabase => database.truncate(random.below(database.len())),
        Kind::TruncatedLog => log.truncate(random.below(log.len())),
        Kind::DatabaseBits => flip(database, random),
        Kind::HeaderBits => {
            // The log holds a newer copy of the first page, which would stand before this one.
            log.clear();
            flip(&mut database[..100], random);
        }
        Kind::LogBits => flip(log, random),
        Kind::ZeroedPage => {
            let page = random.below(pages);
            database[page * 4096..(page + 1) * 4096].fill(0);
        }
        Kind::SwappedPages => {
            let (a, b) = (random.below(pages), random.below(pages));
            for at in 0..4096 {
                database.swap(a * 4096 + at, b * 4096 + at);
            }
        }
        Kind::NoLog => {
            log.clear();
            if random.below(2) == 0 {
                flip(database, random);
            }
        }
        Kind::Noise => {
            let start = random.below(database.len() - 64);
            for byte in &mut database[start..start + 64] {
                *byte = random.next() as u8;
            }
        }
    }
}

#[derive(Default, Debug)]
struct Tally {
    refused_at_open: usize,
    refused_later: usize,
    whole: usize,
    earlier: usize,
}

/// Reads everything and compares; returns whether something was refused, and whether all is there.
fn compare(original: &Original, journal: &Journal) -> (bool, bool) {
    let mut refused = false;
    let mut whole = true;
    match journal.runs(&Filter::default()) {
        Ok(rows) => {
            assert!(
                original.lists.contains(&rows),
                "a list of runs that never was: {rows:?}"
            );
            whole &= original.lists.last() == Some(&rows);
        }
        Err(error) => refused |= fits(&error),
    }
    for (run, written) in &original.runs {
        match journal.read(run) {
            Ok(found) => {
                assert!(
                    written.starts_with(&found),
                    "entries of {run} that were never written"
                );
                whole &= found.len() == written.len();
            }
            Err(JournalError::Damaged { good, .. }) => {
                assert!(good <= written.len() as u64);
                refused = true;
            }
            Err(JournalError::NoSuchRun { .. }) => whole = false,
            Err(error) => refused |= fits(&error),
        }
    }
    match journal.lock("production") {
        Ok(lock) => {
            let lock = lock.map(|lock| lock.run);
            assert!(
                original.locks.contains(&lock),
                "{lock:?} never had the lock"
            );
            whole &= original.locks.last() == Some(&lock);
        }
        Err(error) => refused |= fits(&error),
    }
    match journal.frozen(&original.runs[0].0) {
        Ok(frozen) => assert_eq!(frozen, original.frozen),
        Err(JournalError::NoSuchRun { .. }) => whole = false,
        Err(error) => refused |= fits(&error),
    }
    (refused, whole)
}

/// Damage is told as damage.
fn fits(error: &JournalError) -> bool {
    assert!(
        matches!(
            error,
            JournalError::Corrupt { .. }
                | JournalError::Damaged { .. }
                | JournalError::Newer { .. }
                | JournalError::NoJournal { .. }
                | JournalError::Io { .. }
        ),
        "{error:?}"
    );
    true
}

/// An append to a damaged journal is refused or can be read back.
fn append(original: &Original, journal: &mut Journal) {
    let (run, _) = &original.runs[2];
    let before = journal.read(run).map(|found| found.len());
    match journal.append(run, &[entry(4711, 10)]) {
        Ok(()) => {
            let (Ok(before), Ok(after)) = (before, journal.read(run)) else {
                return;
            };
            assert_eq!(after.len(), before + 1);
            assert_eq!(after[before].entry, entry(4711, 10));
        }
        Err(AppendError::Busy { .. } | AppendError::Full { .. }) => panic!("not the disk's fault"),
        Err(_) => {}
    }
}

fn examine(original: &Original, dir: &Path, tally: &mut Tally) {
    let reader = Reader::open(dir);
    if let Err(error) = &reader {
        fits(error);
    }
    drop(reader);
    match Journal::open_with(dir, small()) {
        Err(error) => {
            fits(&error);
            tally.refused_at_open += 1;
        }
        Ok(mut journal) => {
            let (refused, whole) = compare(original, &journal);
            match (refused, whole) {
                (true, _) => tally.refused_later += 1,
                (false, true) => tally.whole += 1,
                (false, false) => tally.earlier += 1,
            }
            append(original, &mut journal);
        }
    }
}

#[test]
fn altered_copies_are_refused_or_tell_what_once_was_true() {
    let dir = tempfile::tempdir().unwrap();
    let original = original(&dir.path().join("original"));
    let mut random = Random::new(SEED);
    let mut tallies: Vec<Tally> = KINDS.iter().map(|_| Tally::default()).collect();
    for copy in 0..COPIES {
        let at = copy % KINDS.len();
        let (mut database, mut log) = (original.database.clone(), original.log.clone());
        alter(KINDS[at], &mut database, &mut log, &mut random);
        let state = dir.path().join("copy");
        fs::create_dir(&state).unwrap();
        fs::write(state.join("journal.db"), &database).unwrap();
        fs::write(state.join("journal.db-wal"), &log).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            examine(&original, &state, &mut tallies[at]);
        }));
        assert!(
            outcome.is_ok(),
            "copy {copy}, {:?}, seed {SEED:#x}",
            KINDS[at]
        );
        fs::remove_dir_all(&state).unwrap();
    }
    for (kind, tally) in KINDS.iter().zip(&tallies) {
        eprintln!("{kind:?}: {tally:?}");
    }
    let refused: usize = tallies
        .iter()
        .map(|tally| tally.refused_at_open + tally.refused_later)
        .sum();
    let earlier: usize = tallies.iter().map(|tally| tally.earlier).sum();
    assert!(
        refused > COPIES / 4 && earlier > 100,
        "{refused} refused, {earlier} earlier"
    );
}
