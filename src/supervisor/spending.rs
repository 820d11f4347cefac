//! What a script may use up: operations, memory, depth of nesting. A script that uses more is ended
//! as a script error that it cannot catch.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::target::memory::Meter;

/// Operations of the script engine that one script may use. Far above what a plan needs, so that
/// only a loop that never ends meets it.
pub const OPERATIONS_MAX: u64 = 500_000_000;

/// Bytes by which the process may grow while a script runs.
pub const MEMORY_MAX: u64 = 1 << 30;

/// How deep values may be nested: arrays and maps in one another, closures that captured closures.
/// What is much deeper could not be taken apart again within a thread's stack.
pub const NESTING_MAX: usize = 1_000;

/// Values that one value may hold, what closures captured counted.
pub const VALUES_MAX: usize = 1_000_000;

/// The clock is looked at after so many operations…
const GLANCE: u64 = 32;
/// …and the memory when so many microseconds have passed: no operation fills memory faster than it
/// can write it, and looking costs a system call…
const PATIENCE_US: u64 = 5_000;
/// …or so many operations.
const LOOK: u64 = 4_096;

/// What a script has used too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// Operations of the engine.
    Operations = 1,
    /// Memory.
    Memory = 2,
    /// Depth of nesting.
    Nesting = 3,
    /// Values in one value.
    Values = 4,
}

impl Spent {
    /// It in words.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Operations => {
                format!(
                    "the script used more than {OPERATIONS_MAX} operations: does a loop never end?"
                )
            }
            Self::Memory => format!(
                "the script used more than {} MiB of memory: does it keep what it no longer needs?",
                MEMORY_MAX >> 20
            ),
            Self::Nesting => format!(
                "the script nested values more than {NESTING_MAX} deep: does a loop put a value \
                 into itself, or a closure into a closure?"
            ),
            Self::Values => format!(
                "a value of the script holds too many values, more than {VALUES_MAX} or too many in \
                 one array or map: does it keep what it no longer needs?"
            ),
        }
    }
}

/// What one script has used.
#[derive(Debug)]
pub struct Spending {
    operations: AtomicU64,
    spent: AtomicU8,
    since: Instant,
    looked_us: AtomicU64,
    /// None where memory cannot be measured.
    meter: Mutex<Option<Meter>>,
}

impl Default for Spending {
    fn default() -> Self {
        Self {
            operations: AtomicU64::new(0),
            spent: AtomicU8::new(0),
            since: Instant::now(),
            looked_us: AtomicU64::new(0),
            meter: Mutex::new(Meter::new().ok()),
        }
    }
}

impl Spending {
    /// Counts an operation; says what there is too much of.
    pub fn count(&self) -> Option<Spent> {
        if let Some(spent) = self.spent() {
            return Some(spent);
        }
        let operations = self.operations.fetch_add(1, Ordering::Relaxed);
        if operations > OPERATIONS_MAX {
            self.exhaust(Spent::Operations);
        } else if operations.is_multiple_of(GLANCE) && self.is_too_large(operations) {
            self.exhaust(Spent::Memory);
        }
        self.spent()
    }

    fn is_too_large(&self, operations: u64) -> bool {
        let now = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let passed = now.saturating_sub(self.looked_us.load(Ordering::Relaxed));
        if passed < PATIENCE_US && !operations.is_multiple_of(LOOK) {
            return false;
        }
        self.looked_us.store(now, Ordering::Relaxed);
        let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.as_ref().is_some_and(|m| m.grown() > MEMORY_MAX)
    }

    /// The script has used too much.
    pub fn exhaust(&self, spent: Spent) {
        self.spent.store(spent as u8, Ordering::SeqCst);
    }

    /// What the script has used too much of.
    #[must_use]
    pub fn spent(&self) -> Option<Spent> {
        match self.spent.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Spent::Operations),
            2 => Some(Spent::Memory),
            3 => Some(Spent::Nesting),
            _ => Some(Spent::Values),
        }
    }

    /// Begins anew.
    pub fn reset(&self) {
        self.operations.store(0, Ordering::Relaxed);
        self.spent.store(0, Ordering::SeqCst);
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        *meter = Meter::new().ok();
    }
}
