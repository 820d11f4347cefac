//! What the journal costs. `journal_bench [DIR]` works in a new directory inside DIR (default: the
//! current one; name a real disk, not a tmpfs) and prints microseconds.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deployrun::journal::{Entry, Filter, Journal, NewRun, Reader, RunId, RunUpdate};

const COMMITS: usize = 1_000;
const REPLAY: usize = 20_000;
const RUNS: usize = 10_000;
/// When the first of them was created, milliseconds since 1970.
const FIRST: i64 = 1_774_130_400_000;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let parent = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = parent.join(format!("journal-bench-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let outcome = measure(&dir);
    fs::remove_dir_all(&dir)?;
    outcome
}

fn measure(dir: &Path) -> Outcome {
    let mut out = io::stdout().lock();
    for round in 0..3 {
        let raw = raw_appends(&dir.join(format!("raw-{round}")))?;
        let state = dir.join(format!("state-{round}"));
        let one = appends(&state, 1)?;
        let three = appends(&state, 3)?;
        writeln!(out, "append+fdatasync       {}", show(&raw))?;
        writeln!(
            out,
            "append of 1 entry      {}  x{:.2}",
            show(&one),
            mean(&one) / mean(&raw)
        )?;
        writeln!(
            out,
            "append of 3 entries    {}  x{:.2}",
            show(&three),
            mean(&three) / mean(&raw)
        )?;
        let open = opens(&state)?;
        writeln!(out, "open, existing         {}", show(&open))?;
    }
    lists(&dir.join("lists"), &mut out)?;
    replay(&dir.join("replay"), &mut out)
}

/// What `deployrun runs` reads of a journal with many runs.
fn lists(state: &Path, out: &mut impl Write) -> Outcome {
    let mut journal = Journal::open(state)?;
    for number in 0..RUNS {
        let day = i64::try_from(number)? * 3_600_000;
        let run = NewRun {
            id: RunId::new(FIRST + day, u32::try_from(number)?),
            plan: format!("plan-{}", number % 7),
            version: "2.4.0".to_owned(),
            environment: if number % 100 == 0 {
                "rare"
            } else {
                "production"
            }
            .to_owned(),
            fingerprint: "f".repeat(64),
            frozen: serde_json::json!({}),
            created_ms: FIRST + day,
        };
        let update = RunUpdate {
            phase: Some("released".to_owned()),
            outcome: Some("released".to_owned()),
            release_lock: None,
        };
        let entry = Entry {
            at_ms: FIRST + day,
            kind: "run-ended".to_owned(),
            call: None,
            data: "{}".to_owned(),
        };
        journal.create_run_locked(&run, &[entry], &update, None)?;
    }
    let last = Some(20);
    let kinds = [
        (
            "the newest 20",
            Filter {
                limit: last,
                ..Filter::default()
            },
        ),
        (
            "20 of a rare environment",
            Filter {
                environment: Some("rare".to_owned()),
                limit: last,
                ..Filter::default()
            },
        ),
        (
            "unfinished, none",
            Filter {
                unfinished: true,
                ..Filter::default()
            },
        ),
        ("all", Filter::default()),
    ];
    for (what, filter) in kinds {
        let start = Instant::now();
        let found = Reader::open(state)?.runs(&filter)?.len();
        let took = start.elapsed().as_secs_f64() * 1e3;
        writeln!(out, "of {RUNS} runs, {what}: {found} in {took:.1} ms")?;
    }
    Ok(())
}

fn raw_appends(path: &Path) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let line = vec![b'x'; 350];
    (0..COMMITS)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&line)?;
            file.sync_data()?;
            Ok(start.elapsed())
        })
        .collect()
}

fn appends(state: &Path, count: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut journal = Journal::open(state)?;
    let run = journal.create_run(&new_run(), &[])?;
    let entries: Vec<Entry> = (0..count).map(|_| entry()).collect();
    (0..COMMITS)
        .map(|_| {
            let start = Instant::now();
            journal.append(run.as_str(), &entries)?;
            Ok(start.elapsed())
        })
        .collect()
}

fn opens(state: &Path) -> Result<Vec<Duration>, Box<dyn Error>> {
    (0..200)
        .map(|_| {
            let start = Instant::now();
            let journal = Journal::open(state)?;
            let took = start.elapsed();
            drop(journal);
            Ok(took)
        })
        .collect()
}

fn replay(state: &Path, out: &mut impl Write) -> Outcome {
    let mut journal = Journal::open(state)?;
    let run = journal.create_run(&new_run(), &[])?;
    for _ in 0..REPLAY / 100 {
        journal.append(run.as_str(), &vec![entry(); 100])?;
    }
    drop(journal);
    for _ in 0..3 {
        let start = Instant::now();
        let journal = Journal::open(state)?;
        let opened = start.elapsed();
        let found = journal.read(run.as_str())?.len();
        writeln!(
            out,
            "open {} us, read {found} entries {} ms",
            opened.as_micros(),
            (start.elapsed() - opened).as_millis()
        )?;
        let reader = Reader::open(state)?;
        let start = Instant::now();
        let tail = reader.read_from(run.as_str(), REPLAY as u64)?.len();
        writeln!(
            out,
            "follow: {tail} new entry {} us",
            start.elapsed().as_micros()
        )?;
        let start = Instant::now();
        let runs = reader.runs(&Filter::default())?.len();
        writeln!(out, "list {runs} runs {} us", start.elapsed().as_micros())?;
    }
    Ok(())
}

fn new_run() -> NewRun {
    NewRun {
        id: RunId::new(1_774_130_400_000, 1),
        plan: "shop-web".to_owned(),
        version: "2.4.0".to_owned(),
        environment: "production".to_owned(),
        fingerprint: "f".repeat(64),
        frozen: serde_json::json!({ "sources": { "plan.rhai": "x".repeat(3_000) } }),
        created_ms: 1_774_130_400_000,
    }
}

fn entry() -> Entry {
    Entry {
        at_ms: 1_774_130_400_000,
        kind: "step-started".to_owned(),
        call: Some("0/17".to_owned()),
        data: format!(
            "{{\"title\":\"switch to 2.4.0\",\"pad\":\"{}\"}}",
            "x".repeat(260)
        ),
    }
}

fn mean(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() * 1e6 / times.len().max(1) as f64
}

fn show(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = |part: f64| {
        sorted
            .get((sorted.len() as f64 * part) as usize)
            .map_or(0, Duration::as_micros)
    };
    format!(
        "mean {:6.0}  p50 {:5}  p99 {:6}",
        mean(times),
        at(0.5),
        at(0.99)
    )
}
