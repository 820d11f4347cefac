//! What the fuzz targets do, on their seeds and on mutations of them that are the same each time.
//!
//! `DEPLOYRUN_FUZZ=N` makes N mutations a target instead; a failure prints its seed, and
//! `DEPLOYRUN_SEED=n` plays that one again. CONTRIBUTING.md has the command for the real fuzzer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[path = "../fuzz/fuzz_targets/target.rs"]
mod target;

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("it is below")
    }
}

/// What one mutation puts in: what parsers stumble over.
const PIECES: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "#{",
    "`",
    "\"",
    "'",
    "${",
    "\\",
    ";",
    ",",
    ":",
    "::",
    "|",
    "||",
    "/*",
    "*/",
    "//",
    "\n",
    "\r",
    "\0",
    "\u{202e}",
    "\u{feff}",
    "ä",
    "🚀",
    "=",
    "=>",
    "..",
    "-",
    "!",
    "this",
    "fn ",
    "let ",
    "import ",
    "switch ",
    "loop ",
    "try ",
    "catch ",
    "return ",
    "throw ",
    "private ",
    "export ",
    "const ",
    "curry",
    "0x",
    "9e99",
    "99999999999999999999",
    "-0",
    "Sat",
    "Mon-Fri",
    "22:00",
    "24:00",
    "25:00",
    "-",
    "/",
    "P",
    "T",
    "Z",
    "+14:00",
    "2026-02-30",
    "9999-12-31",
    "-9999-01-01",
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "daily ",
    "except ",
    " ",
    "\t",
];

fn mutate(seeds: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    random.next();
    let mut data = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(data.len() + 1);
        let end = (at + random.below(20)).min(data.len());
        match random.below(5) {
            0 => drop(data.drain(at..end)),
            1 => drop(data.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
            2 => drop(data.splice(at..end, PIECES[random.below(PIECES.len())].bytes())),
            3 => {
                let part = data[at..end].to_vec();
                let to = random.below(data.len() + 1);
                data.splice(to..to, part);
            }
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(60)).min(other.len());
                data.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    data
}

fn fuzz(name: &str, mutations: u64, target: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .expect("seeds")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths
        .iter()
        .map(|p| std::fs::read(p).expect("a seed"))
        .collect();
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (first, count) = match number("DEPLOYRUN_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("DEPLOYRUN_FUZZ").unwrap_or(mutations)),
    };
    seeds.iter().for_each(|seed| target(seed));
    for seed in first..first + count {
        let data = mutate(&seeds, seed);
        let result = catch_unwind(AssertUnwindSafe(|| target(&data)));
        assert!(
            result.is_ok(),
            "DEPLOYRUN_SEED={seed} plays it again\n{}",
            String::from_utf8_lossy(&data)
        );
    }
}

#[test]
fn plans() {
    fuzz("plan", 5_000, target::plan);
}

#[test]
fn windows() {
    fuzz("window", 3_000, target::window);
}
