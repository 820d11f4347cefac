//! Time as the runtime sees it: injected, so that tests decide what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

/// One reading of both clocks.
///
/// Durations are measured on the boot clock, which also counts while the machine sleeps; calendars
/// (windows) are read from the wall clock, which may be stepped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Milliseconds since the machine was started (`CLOCK_BOOTTIME`).
    pub boot_ms: i64,
    /// Milliseconds since 1970-01-01T00:00Z.
    pub wall_ms: i64,
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Now;

    /// Is this the machine's own clock? Anything else is stated in every report.
    fn is_real(&self) -> bool {
        true
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Now {
            boot_ms: millis(boot),
            wall_ms: millis(wall),
        }
    }
}

fn millis(t: rustix::time::Timespec) -> i64 {
    t.tv_sec
        .saturating_mul(1000)
        .saturating_add(t.tv_nsec / 1_000_000)
}

/// The machine's boot clock under a wall clock that began at an instant of one's choice.
#[derive(Clone, Copy, Debug)]
pub struct ShiftedClock {
    shift_ms: i64,
}

impl ShiftedClock {
    /// A clock whose wall reads `wall_ms` now and runs at the usual speed.
    #[must_use]
    pub fn starting_at(wall_ms: i64) -> Self {
        Self {
            shift_ms: wall_ms.saturating_sub(SystemClock.now().wall_ms),
        }
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Now {
        let now = SystemClock.now();
        Now {
            wall_ms: now.wall_ms.saturating_add(self.shift_ms),
            ..now
        }
    }

    fn is_real(&self) -> bool {
        false
    }
}

/// A clock that stands still until it is moved; for tests.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    boot_ms: Arc<AtomicI64>,
    wall_ms: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that reads `now`.
    #[must_use]
    pub fn at(now: Now) -> Self {
        let clock = Self::default();
        clock.boot_ms.store(now.boot_ms, Ordering::SeqCst);
        clock.wall_ms.store(now.wall_ms, Ordering::SeqCst);
        clock
    }

    /// Sets the wall clock alone, as an administrator does.
    pub fn set_wall(&self, wall_ms: i64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }

    /// Moves both clocks forward.
    pub fn advance(&self, ms: u64) {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        self.boot_ms.fetch_add(ms, Ordering::SeqCst);
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        Now {
            boot_ms: self.boot_ms.load(Ordering::SeqCst),
            wall_ms: self.wall_ms.load(Ordering::SeqCst),
        }
    }

    fn is_real(&self) -> bool {
        false
    }
}
