//! Trying something at point 1, 2, 3, … until there are no more points.
//!
//! By default a sample is tried, so that the tests stay quick; with `DEPLOYRUN_SWEEP=full`, all.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// It was there, and all was well.
    Tried,
    /// There is no such point, nor any after it.
    Beyond,
}

/// Is everything to be tried?
pub fn is_full() -> bool {
    std::env::var("DEPLOYRUN_SWEEP").is_ok_and(|v| v == "full")
}

/// How many points are tried at once: they mostly wait.
fn jobs() -> usize {
    let given = std::env::var("DEPLOYRUN_SWEEP_JOBS").ok();
    given.and_then(|v| v.parse().ok()).unwrap_or_else(|| {
        2 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
    })
}

/// Tries the points `first`, `first + stride`, … ; in full, every one from 1. `point` panics when
/// something is wrong. Returns how many were tried.
pub fn sweep(what: &str, first: u64, stride: u64, point: impl Fn(u64) -> Point + Sync) -> u64 {
    let (first, stride) = if is_full() { (1, 1) } else { (first, stride) };
    let next = AtomicU64::new(first);
    let beyond = AtomicU64::new(u64::MAX);
    let tried = AtomicU64::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs() {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(stride, Ordering::SeqCst);
                    let over = !wrong.lock().expect("no panic inside").is_empty();
                    if n >= beyond.load(Ordering::SeqCst) || over {
                        return;
                    }
                    let result =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| point(n)));
                    match result {
                        Ok(Point::Tried) => {
                            tried.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(Point::Beyond) => {
                            beyond.fetch_min(n, Ordering::SeqCst);
                        }
                        // The panic has been printed by its thread.
                        Err(_) => wrong.lock().expect("no panic inside").push(n),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic inside");
    assert!(wrong.is_empty(), "{what}: wrong at {wrong:?}, see above");
    let tried = tried.into_inner();
    let of = if stride == 1 {
        "every one".to_owned()
    } else {
        format!("1 in {stride}")
    };
    println!("{what}: {tried} points tried ({of})");
    tried
}

/// Tries every item, several at once. `point` panics when something is wrong.
pub fn each<T: Sync + std::fmt::Debug>(what: &str, items: &[T], point: impl Fn(&T) + Sync) {
    let next = AtomicU64::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs().min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = usize::try_from(next.fetch_add(1, Ordering::SeqCst));
                    let Some(item) = at.ok().and_then(|at| items.get(at)) else {
                        return;
                    };
                    let tried =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| point(item)));
                    if tried.is_err() {
                        wrong.lock().expect("no panic inside").push(item);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic inside");
    assert!(wrong.is_empty(), "{what}: wrong at {wrong:?}, see above");
    println!("{what}: {} tried", items.len());
}
