//! How long a step may take.

use crate::words::call::CallId;
use crate::words::event::LimitBy;
use crate::words::outcome::StopCause;

use super::Core;

impl Core {
    /// The smallest of a step's own timeout, its groups', the deadline's and the window's, each of
    /// the last two less the time reserved for the back-out. Milliseconds; 0 when it is over.
    pub(super) fn limit(&self, id: &CallId, timeout_ms: u64) -> (u64, LimitBy) {
        if id.is_in_back_out() {
            let left = self
                .back_out_until
                .map_or(u64::MAX, |until| self.until(until));
            return if left < timeout_ms {
                (left, LimitBy::BackOut)
            } else {
                (timeout_ms, LimitBy::Timeout)
            };
        }
        let mut limit = (timeout_ms, LimitBy::Timeout);
        let groups = self.groups.get(&id.fiber).into_iter().flatten();
        for ends in groups.filter_map(|g| g.ends_boot_ms) {
            limit = smaller(limit, (self.until(ends), LimitBy::Group));
        }
        if let Some(left) = self.deadline_left() {
            limit = smaller(limit, (left, LimitBy::Deadline));
        }
        if let Some(left) = self.window_left() {
            limit = smaller(limit, (left, LimitBy::Window));
        }
        limit
    }

    /// The group around a call whose time is over first, if that is before `until`: when, its title
    /// and its time in milliseconds.
    pub(super) fn group_over(&self, id: &CallId, until: i64) -> Option<(i64, String, u64)> {
        let groups = self.groups.get(&id.fiber).into_iter().flatten();
        groups
            .filter_map(|g| Some((g.ends_boot_ms?, g.title.clone(), g.timeout_ms?)))
            .filter(|(ends, ..)| *ends < until)
            .min()
    }

    /// Milliseconds until an instant on the boot clock.
    pub(super) fn until(&self, boot_ms: i64) -> u64 {
        u64::try_from(boot_ms.saturating_sub(self.now.boot_ms)).unwrap_or(0)
    }

    /// Milliseconds until the release must stop for its deadline.
    pub(super) fn deadline_left(&self) -> Option<u64> {
        let deadline = self.header.deadline_ms.filter(|_| self.gate_open)?;
        let stop = deadline.saturating_sub(self.header.reserved_ms());
        Some(self.until(self.opened_boot_ms.saturating_add_unsigned(stop)))
    }

    /// Milliseconds until the release must stop for the window's end.
    pub(super) fn window_left(&self) -> Option<u64> {
        let closes = self.closes_ms.filter(|_| self.gate_open)?;
        let left = closes.saturating_sub(self.now.wall_ms);
        Some(
            u64::try_from(left)
                .unwrap_or(0)
                .saturating_sub(self.header.reserved_ms()),
        )
    }

    /// By how much the end of the run misses its deadline and its window, in words.
    pub(super) fn overruns(&self) -> Vec<String> {
        let reserved = show(self.header.reserved_ms());
        let mut told = Vec::new();
        let mut tell = |late_ms: i64, what: &str| {
            if let Ok(late) = u64::try_from(late_ms)
                && late >= TOLD_FROM_MS
            {
                let late = show(late / TOLD_FROM_MS * TOLD_FROM_MS);
                told.push(format!(
                    "{what} was missed by {late}: {reserved} were reserved for the back-out"
                ));
            }
        };
        if let Some(deadline) = self.header.deadline_ms.filter(|_| self.gate_open) {
            let ends = self.opened_boot_ms.saturating_add_unsigned(deadline);
            let late = self.now.boot_ms.saturating_sub(ends);
            tell(late, &format!("the deadline of {}", show(deadline)));
        }
        if let Some(closes) = self.closes_ms.filter(|_| self.gate_open) {
            tell(
                self.now.wall_ms.saturating_sub(closes),
                "the end of the window",
            );
        }
        told
    }

    /// Stops the run if its deadline has come or its window closes; says whether it did.
    pub(super) fn stop_if_over(&mut self) -> bool {
        if self.deadline_left() == Some(0) {
            let reason = format!(
                "the deadline of {} less {} reserved for the back-out has come",
                show(self.header.deadline_ms.unwrap_or(0)),
                show(self.header.reserved_ms()),
            );
            self.stop(StopCause::Deadline, reason, None, String::new());
            return true;
        }
        if self.window_left() == Some(0) {
            let reason = format!(
                "the window closes in less than the {} reserved for the back-out",
                show(self.header.reserved_ms()),
            );
            self.stop(StopCause::WindowClosed, reason, None, String::new());
            return true;
        }
        false
    }
}

/// Less than this, in milliseconds, is not worth a word.
const TOLD_FROM_MS: u64 = 1000;

fn smaller(a: (u64, LimitBy), b: (u64, LimitBy)) -> (u64, LimitBy) {
    if b.0 < a.0 { b } else { a }
}

/// Milliseconds for people.
pub(super) fn show(ms: u64) -> String {
    crate::words::duration::show(std::time::Duration::from_millis(ms))
}
