//! Faults at a chosen write of the journal, for tests of what survives them. Only built with the
//! feature `faults`.
//!
//! `DEPLOYRUN_FAULT` names one of these; writes are counted from 1, over the life of the process:
//!
//! | | |
//! |---|---|
//! | `kill-before-write:N` | the process kills itself before the N-th write |
//! | `kill-after-write:N` | … after it, when it is durable |
//! | `fail-write:N` | the N-th write fails, and nothing of it is there |
//! | `fail-writes-from:N` | the N-th write and all that follow fail |

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::ffi;
use rustix::process::{Signal, getpid, kill_process};

/// The variable that names the fault.
const VARIABLE: &str = "DEPLOYRUN_FAULT";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    KillBefore(u64),
    KillAfter(u64),
    Fail(u64),
    FailFrom(u64),
}

/// A write that has begun.
#[derive(Debug)]
pub(super) struct Write {
    number: u64,
}

impl Write {
    /// Counts a write that is about to begin; the error is the one it is to fail with.
    pub(super) fn begin() -> Result<Self, rusqlite::Error> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let number = WRITES.fetch_add(1, Ordering::SeqCst) + 1;
        match fault() {
            Some(Fault::KillBefore(n)) if n == number => die(),
            Some(Fault::Fail(n)) if n == number => return Err(refused()),
            Some(Fault::FailFrom(n)) if n <= number => return Err(refused()),
            _ => {}
        }
        Ok(Self { number })
    }

    /// The write is durable.
    pub(super) fn durable(&self) {
        if fault() == Some(Fault::KillAfter(self.number)) {
            die();
        }
    }
}

fn fault() -> Option<Fault> {
    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
    *FAULT.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?))
}

fn parse(text: &str) -> Option<Fault> {
    let (what, number) = text.split_once(':')?;
    let number = number.parse().ok()?;
    Some(match what {
        "kill-before-write" => Fault::KillBefore(number),
        "kill-after-write" => Fault::KillAfter(number),
        "fail-write" => Fault::Fail(number),
        "fail-writes-from" => Fault::FailFrom(number),
        _ => return None,
    })
}

fn refused() -> rusqlite::Error {
    let error = ffi::Error::new(ffi::SQLITE_IOERR_WRITE);
    rusqlite::Error::SqliteFailure(error, Some("injected by DEPLOYRUN_FAULT".into()))
}

fn die() {
    // Nothing may run between this and the end: no destructor, no other thread's next write.
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_strictly() {
        assert_eq!(parse("kill-before-write:3"), Some(Fault::KillBefore(3)));
        assert_eq!(parse("kill-after-write:1"), Some(Fault::KillAfter(1)));
        assert_eq!(parse("fail-write:20"), Some(Fault::Fail(20)));
        assert_eq!(parse("fail-writes-from:7"), Some(Fault::FailFrom(7)));
        for wrong in ["", "kill", "kill-after-write", "kill-after-write:x", ":3"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
