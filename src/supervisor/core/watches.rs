//! Watches: monitors that are sampled beside the script.

use crate::words::call::CallId;
use crate::words::event::{Event, Verdict};
use crate::words::outcome::{Phase, StopCause};

use super::{Action, Core};

impl Core {
    /// From the first call that is not in the journal, watches are sampled and a stop holds for the
    /// script.
    pub(super) fn go_live(&mut self) {
        if !std::mem::replace(&mut self.live, true) {
            for watch in self.watches.values_mut() {
                watch.next_boot_ms = self.now.boot_ms;
            }
            if self.stop.is_some() {
                self.stop_script();
            }
        }
    }

    fn watching(&self) -> bool {
        self.live
            && self.stop.is_none()
            && self.end.is_none()
            && matches!(
                self.phase,
                Phase::Review | Phase::Waiting | Phase::Release | Phase::Verify
            )
    }

    /// Takes the samples that are due.
    pub(super) fn sample_due(&mut self) {
        if !self.watching() {
            return;
        }
        let boot_ms = self.now.boot_ms;
        let mut due = Vec::new();
        for (id, state) in &mut self.watches {
            if state.sampling.is_none() && state.next_boot_ms <= boot_ms {
                state.sampling = Some(boot_ms);
                let every = state.watch.every_ms.max(1);
                state.next_boot_ms = boot_ms.saturating_add_unsigned(every);
                due.push(Action::Sample {
                    id: id.clone(),
                    timeout_ms: state.watch.timeout_ms,
                });
            }
        }
        for action in due {
            self.act(action);
        }
    }

    pub(super) fn on_sampled(&mut self, id: &CallId, verdict: Verdict, took_ms: u64) {
        let watching = self.watching();
        let boot_ms = self.now.boot_ms;
        let Some(state) = self.watches.get_mut(id) else {
            return;
        };
        let began = state.sampling.take();
        if !watching {
            return;
        }
        let watch = state.watch.clone();
        let is_bad = match verdict {
            Verdict::Pass => false,
            Verdict::Fail | Verdict::Error(_) => true,
            Verdict::NoData => watch.no_data_is_bad,
        };
        state.looked = began.map(|began| (began, !is_bad));
        let in_grace = boot_ms < state.since_boot_ms.saturating_add_unsigned(watch.grace_ms);
        let bad = match (&verdict, is_bad && !in_grace) {
            (_, true) => state.bad + 1,
            // No data that does not count neither adds nor clears.
            (Verdict::NoData, false) => state.bad,
            (_, false) => 0,
        };
        let words = verdict.words().to_owned();
        let name = watch.name.clone();
        self.record(Event::Sampled {
            id: id.clone(),
            name,
            verdict,
            bad,
            took_ms,
        });
        if bad >= watch.failures.max(1) && !watch.observe {
            let times = if bad == 1 {
                "sample"
            } else {
                "samples in a row"
            };
            let reason = format!(
                "watch `{}` tripped: {bad} bad {times}, last: {words}",
                watch.name
            );
            self.stop(StopCause::TrippedWatch, reason, None, String::new());
        }
    }

    /// Is there a watch that has not looked since then, or was bad when it looked last? What is in doubt may
    /// not be called good, and a short while may end between two samples. Gives the name of one that is bad, and
    /// sees to it that one that has not looked does so at once. One that only observes is not asked.
    pub(super) fn in_doubt(&mut self, since: i64) -> Option<Option<String>> {
        if !self.watching() {
            return None;
        }
        let mut doubt = None;
        for state in self
            .watches
            .values_mut()
            .filter(|state| !state.watch.observe)
        {
            match state.looked {
                Some((_, false)) => return Some(Some(state.watch.name.clone())),
                Some((began, true)) if began >= since => {}
                _ => {
                    doubt = Some(None);
                    state.next_boot_ms = state.next_boot_ms.min(self.now.boot_ms);
                }
            }
        }
        doubt
    }

    /// The next instant, on the boot clock, at which a sample is due.
    pub(super) fn next_sample(&self) -> Option<i64> {
        if !self.watching() {
            return None;
        }
        self.watches
            .values()
            .filter(|state| state.sampling.is_none())
            .map(|state| state.next_boot_ms)
            .min()
    }
}
