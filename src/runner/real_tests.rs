//! Tests of plans that act on this machine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Runner;
use crate::script::testing::real::{RealRun, RealRuns};
use crate::script::testing::whole_plan::Ran;
use crate::supervisor::driver::Report;
use crate::words::event::{Event, Stamped};

/// Runs for tests that act on this machine. When one of them was interrupted, none follows.
pub(crate) fn real_runs() -> RealRuns {
    let interrupted = Arc::new(AtomicBool::new(false));
    Arc::new(move |run: RealRun| {
        if interrupted.load(Ordering::SeqCst) {
            return Err("it was interrupted before".to_owned());
        }
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let summary = Runner::new(run.state_dir)
            .args(run.how.args)
            .override_window(run.how.override_window)
            .report(Box::new(Listener(events.clone())))
            .handle_signals()
            .for_test(run.stage, run.functions, run.entry)
            .run(run.plan)
            .map_err(|error| error.to_string())?;
        let events = events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let is_signal = |event: &Event| matches!(event, Event::Interrupted { .. });
        interrupted.fetch_or(events.iter().any(is_signal), Ordering::SeqCst);
        let end = summary.end.ok_or("the run was left before its end")?;
        Ok(Ran { end, events })
    })
}

/// A report that keeps what it hears.
struct Listener(Arc<Mutex<Vec<Event>>>);

impl Report for Listener {
    fn event(&mut self, event: &Stamped) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(event.event.clone());
    }

    fn unwritten(&mut self, event: &Stamped) {
        self.event(event);
    }
}
