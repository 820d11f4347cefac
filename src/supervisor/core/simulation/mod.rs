//! A simulation of runs: random plans in a random world, under every fault at every point.
//!
//! A seed decides everything; nothing reads a clock or waits. `DEPLOYRUN_SEEDS=100000 cargo test
//! --release simulation` tries more of them, `DEPLOYRUN_SEED=7` shows one from its begin to its
//! end.

mod invariants;
mod plan;
mod random;
mod script;
mod world;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Counts, World};

const SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
    )
}

fn simulate(seed: u64) -> Result<Counts, String> {
    let mut world = World::new(seed, false);
    world.run()?;
    Ok(world.counts)
}

/// Shows something whether the test fails or not: a seed that was asked for, what was tried.
fn show(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What the journal holds of a simulated run; for those who read journals.
pub(crate) fn journal(seed: u64) -> Vec<crate::words::event::Stamped> {
    let mut world = World::new(seed, false);
    // Whether every promise was kept is another test's matter.
    let _ = world.run();
    world.journal()
}

/// One run, told from its begin to its end.
fn told(seed: u64) -> (String, Result<(), String>) {
    let mut world = World::new(seed, true);
    let result = world.run();
    (format!("{}\n{}", world.plan, world.trace()), result)
}

#[test]
fn every_promise_holds_in_every_world() {
    if let Some(seed) = number("DEPLOYRUN_SEED") {
        let (story, result) = told(seed);
        show(&story);
        if let Err(what) = result {
            panic!("seed {seed}: {what}");
        }
        return;
    }
    let seeds = number("DEPLOYRUN_SEEDS").unwrap_or(SEEDS);
    let first = number("DEPLOYRUN_FIRST_SEED").unwrap_or(0);
    let next = AtomicU64::new(first);
    let failures: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::default();
    let counts: Mutex<Vec<Counts>> = Mutex::default();
    let work = || {
        let mut mine = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= first + seeds {
                break;
            }
            match simulate(seed) {
                Ok(count) => mine.push(count),
                Err(what) => {
                    let mut failures = failures.lock().unwrap();
                    let kind = kind_of(&what);
                    let known = failures.entry(kind).or_insert((seed, 0));
                    known.0 = known.0.min(seed);
                    known.1 += 1;
                }
            }
        }
        counts.lock().unwrap().append(&mut mine);
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    let counts = counts.into_inner().unwrap();
    show(&summary(&counts));
    if failures.is_empty() {
        assert!(
            seeds < SEEDS || unseen(&counts).is_empty(),
            "never seen: {:?}",
            unseen(&counts)
        );
        return;
    }
    let mut kinds: Vec<_> = failures.iter().collect();
    kinds.sort_by_key(|(_, (_, times))| std::cmp::Reverse(*times));
    let lines: Vec<String> = kinds
        .iter()
        .map(|(kind, (seed, times))| {
            format!("{times:>6} times, first DEPLOYRUN_SEED={seed}: {kind}")
        })
        .collect();
    panic!("promises were broken:\n{}", lines.join("\n"));
}

/// A failure without the numbers in it, so that like ones are counted together.
fn kind_of(what: &str) -> String {
    let mut kind = String::new();
    for c in what.lines().next().unwrap_or_default().chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if !(c == '#' && kind.ends_with('#')) {
            kind.push(c);
        }
        if kind.len() > 160 {
            break;
        }
    }
    kind
}

/// What should have happened in one of so many runs, and did not.
fn unseen(counts: &[Counts]) -> Vec<&'static str> {
    let all = [
        "run-started",
        "run-resumed",
        "header",
        "phase",
        "called",
        "call-began",
        "call-ended",
        "finding",
        "step-started",
        "step-ended",
        "step-void",
        "lock-waited",
        "lock-taken",
        "approval-asked",
        "approved",
        "window-awaited",
        "window-open",
        "window-overridden",
        "gate-opened",
        "sampled",
        "tried",
        "disarmed",
        "back-out-started",
        "back-out-void",
        "back-out-ended",
        "interrupted",
        "hung-up",
        "left",
        "run-ended",
        "Refused",
        "ScriptError",
        "FailedCheck",
        "FailedStep",
        "FailedVerify",
        "Aborted",
        "Diverged",
        "TrippedWatch",
        "Deadline",
        "WindowClosed",
        "Operator",
        "SecondInterrupt",
        "JournalFailed",
    ];
    all.into_iter()
        .filter(|what| !counts.iter().any(|c| c.seen.contains(*what)))
        .collect()
}

fn summary(counts: &[Counts]) -> String {
    let total = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for count in counts {
        let outcome = count.outcome.map_or("left for good", |o| o.word());
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
    }
    format!(
        "{} runs {outcomes:?}: {} inputs, {} steps, {} back-outs, {} crashes, {} journal failures, {} signals",
        counts.len(),
        total(|c| c.inputs),
        total(|c| c.steps),
        total(|c| c.back_outs),
        total(|c| c.crashes),
        total(|c| c.journal_failures),
        total(|c| c.signals),
    )
}
