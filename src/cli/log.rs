//! `DEPLOYRUN_LOG`: diagnostics for developers, on standard error.
//!
//! A run must not wait for whoever reads them, nor end with them: lines go through a thread of its
//! own, and what it cannot take is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

const VARIABLE: &str = "DEPLOYRUN_LOG";
/// Lines that wait for a standard error that is slow.
const WAITING: usize = 4096;
/// How long the end of the program waits for the last lines to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes the last lines when it is dropped.
pub(super) struct Log(Option<SyncSender<Told>>);

enum Told {
    Line(Vec<u8>),
    End(SyncSender<()>),
}

/// Starts diagnostics if the variable asks for them.
///
/// # Errors
/// When its value is no filter.
pub(super) fn start() -> Result<Log, String> {
    let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(Log(None));
    };
    let wrong = |problem: &str| {
        format!(
            "{VARIABLE}: {problem}; write a level (error, warn, info, debug, trace) or a filter \
             such as deployrun::supervisor=debug"
        )
    };
    let value = value.to_str().ok_or_else(|| wrong("it is not UTF-8"))?;
    let filter = EnvFilter::try_new(value).map_err(|e| wrong(&e.to_string()))?;
    let (to, from) = sync_channel(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    let lines = Lines {
        to: to.clone(),
        dropped: dropped.clone(),
    };
    let thread = std::thread::Builder::new().name("log".into());
    let started = thread.spawn(move || write_all(&from, &dropped));
    // Without its thread there are no diagnostics; everything else goes on.
    if started.is_err() {
        return Ok(Log(None));
    }
    // Fails only when a subscriber is set already; that one will do.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines)
        .try_init();
    Ok(Log(Some(to)))
}

impl Drop for Log {
    fn drop(&mut self) {
        let Some(to) = self.0.take() else {
            return;
        };
        let (written, all_written) = sync_channel(1);
        let mut end = Told::End(written);
        let since = std::time::Instant::now();
        // A queue that is full belongs to a reader that is gone or asleep.
        while let Err(TrySendError::Full(back)) = to.try_send(end) {
            if since.elapsed() > PATIENCE {
                return;
            }
            end = back;
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = all_written.recv_timeout(PATIENCE.saturating_sub(since.elapsed()));
    }
}

fn write_all(from: &Receiver<Told>, dropped: &AtomicU64) {
    for told in from {
        match told {
            Told::Line(line) => {
                let _ = io::stderr().lock().write_all(&line);
                let lost = dropped.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let _ = writeln!(io::stderr().lock(), "{lost} lines of diagnostics were lost");
                }
            }
            Told::End(written) => {
                let _ = written.send(());
            }
        }
    }
}

/// Where the subscriber writes: one call of `write` is one line.
#[derive(Clone)]
struct Lines {
    to: SyncSender<Told>,
    dropped: Arc<AtomicU64>,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.to.try_send(Told::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
