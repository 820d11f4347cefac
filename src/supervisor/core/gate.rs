//! The gate between the review and the release.

use crate::words::call::{Call, CallId};
use crate::words::event::Event;
use crate::words::outcome::{LOCK_ADVICE, Phase, StopCause};
use crate::words::place::Place;
use crate::words::window::Window;

use super::limits::show;
use super::state::{Gate, Waiting};
use super::{Action, Core, NoLock};

/// Milliseconds between two attempts to take a lock that somebody else has.
const LOCK_RETRY_MS: u64 = 1_000;
/// From this age on, in milliseconds, the review is told to be old when the gate opens.
const OLD_REVIEW_MS: u64 = 10 * MINUTE_MS;
const MINUTE_MS: u64 = 60_000;
/// Openings that are looked at for one that is long enough.
const OPENINGS_MAX: usize = 1_000;

impl Core {
    /// Goes as far towards the open gate as it can, in the order of the gate's questions.
    pub(super) fn approach_gate(&mut self) {
        if let Some(window) = self.waiting.values().find_map(asked_window) {
            self.window = Some(window);
        }
        if self.gate == Gate::Closed {
            if self.refuse_failed_findings() {
                return;
            }
            if self.phase == Phase::Review {
                self.record(Event::Phase {
                    phase: Phase::Waiting,
                });
            }
            let now = self.now.boot_ms;
            let until = now.saturating_add_unsigned(self.settings.lock_wait_ms);
            self.gate = Gate::Lock {
                until,
                next: now,
                asked: false,
                told: false,
            };
        }
        self.ask_lock();
        if self.lock_taken && matches!(self.gate, Gate::Lock { .. }) {
            self.gate = Gate::Approvals;
        }
        if self.gate == Gate::Approvals && self.approvals_given() {
            self.gate = Gate::Window { awaited: None };
        }
        self.look_at_window();
    }

    /// Refuses the run if the review found something wrong; says whether it did.
    pub(super) fn refuse_failed_findings(&mut self) -> bool {
        let failed = self.findings.iter().filter(|f| !f.ok).count();
        if failed == 0 || self.acted {
            return false;
        }
        let reason = match failed {
            1 => "1 check failed in the review".to_owned(),
            n => format!("{n} checks failed in the review"),
        };
        self.stop(StopCause::Refused, reason, None, String::new());
        true
    }

    fn ask_lock(&mut self) {
        let boot_ms = self.now.boot_ms;
        let environment = self.header.environment.clone();
        let Gate::Lock { next, asked, .. } = &mut self.gate else {
            return;
        };
        if !self.lock_taken && !*asked && *next <= boot_ms {
            *asked = true;
            self.act(Action::TakeLock { environment });
        }
    }

    pub(super) fn on_lock(&mut self, answer: Result<(), NoLock>) {
        let boot_ms = self.now.boot_ms;
        let Gate::Lock {
            until,
            next,
            asked,
            told,
        } = &mut self.gate
        else {
            // The run stopped while it waited for the answer.
            if answer.is_ok() {
                let environment = self.header.environment.clone();
                self.record(Event::LockTaken { environment });
            }
            return;
        };
        match answer {
            Ok(()) => {
                let environment = self.header.environment.clone();
                self.record(Event::LockTaken { environment });
                self.approach_gate();
            }
            Err(no) if no.in_vain || *until <= boot_ms => {
                let reason = match no.holder.strip_suffix(LOCK_ADVICE) {
                    Some(holder) if *told => {
                        format!("{holder}, still after {}", show(self.settings.lock_wait_ms))
                    }
                    _ => no.holder,
                };
                self.stop(StopCause::Refused, reason, None, String::new());
            }
            Err(NoLock { holder, .. }) => {
                *asked = false;
                *next = boot_ms.saturating_add_unsigned(LOCK_RETRY_MS).min(*until);
                if !std::mem::replace(told, true) {
                    self.record(Event::LockWaited { holder });
                }
            }
        }
    }

    fn approvals_given(&mut self) -> bool {
        let missing: Vec<String> = self
            .header
            .approvals
            .iter()
            .filter(|name| !self.approved.contains(*name))
            .cloned()
            .collect();
        for name in &missing {
            self.ask_approval(name);
        }
        missing.is_empty()
    }

    fn look_at_window(&mut self) {
        let Gate::Window { awaited } = self.gate else {
            return;
        };
        let Some(spec) = self.window.clone() else {
            return self.open_gate();
        };
        if let Some(reason) = self.settings.override_window.clone() {
            self.record(Event::WindowOverridden {
                window: spec,
                reason,
            });
            return self.open_gate();
        }
        let window = match Window::parse(&spec) {
            Ok(window) => window,
            Err(error) => {
                return self.stop(StopCause::Refused, error.to_string(), None, String::new());
            }
        };
        let needed = self.header.needed_ms();
        let Some((opens_ms, closes_ms)) = long_enough(&window, self.now.wall_ms, needed) else {
            let needed = show(needed);
            let reason = format!("the window `{spec}` has no opening left that {needed} fit into");
            return self.stop(StopCause::Refused, reason, None, String::new());
        };
        if opens_ms <= self.now.wall_ms {
            self.record(Event::WindowOpen {
                window: spec,
                closes_ms,
            });
            self.open_gate();
        } else if awaited != Some(opens_ms) {
            self.gate = Gate::Window {
                awaited: Some(opens_ms),
            };
            self.record(Event::WindowAwaited {
                window: spec,
                opens_ms,
                closes_ms,
            });
        }
    }

    fn open_gate(&mut self) {
        self.record(Event::GateOpened);
        if let Some(reviewed) = self.reviewed_ms
            && let Ok(ago) = u64::try_from(self.now.wall_ms.saturating_sub(reviewed))
            && ago >= OLD_REVIEW_MS
        {
            let ago = show(ago / MINUTE_MS * MINUTE_MS);
            self.record(Event::Note {
                warning: true,
                text: format!(
                    "the review is {ago} old; what is checked behind wait_for_window() is looked at now"
                ),
            });
        }
        self.record(Event::Phase {
            phase: Phase::Release,
        });
        let waiting: Vec<CallId> = self
            .waiting
            .iter()
            .filter(|(_, w)| matches!(w, Waiting::Gate { .. }))
            .map(|(id, _)| id.clone())
            .collect();
        for id in waiting {
            let Some(Waiting::Gate { call, place }) = self.waiting.remove(&id) else {
                continue;
            };
            self.perform_after_gate(id, *call, place);
        }
    }

    fn perform_after_gate(&mut self, id: CallId, call: Call, place: Place) {
        if self.stop.is_none() {
            self.perform(id, call, place);
        } else {
            self.answer(&id, crate::words::call::Answer::Stop);
        }
    }

    /// What the gate waits for may have come.
    pub(super) fn wake_gate(&mut self) {
        let at_gate = matches!(self.gate, Gate::Lock { .. } | Gate::Window { .. });
        if at_gate && self.stop.is_none() {
            self.approach_gate();
        }
    }

    /// The next instant, on the boot clock, at which the gate wants to be looked at.
    pub(super) fn next_gate_wake(&self) -> Option<i64> {
        match self.gate {
            Gate::Lock {
                next, asked: false, ..
            } => Some(next),
            Gate::Window {
                awaited: Some(opens_ms),
            } => Some(
                self.now
                    .boot_ms
                    .saturating_add(opens_ms.saturating_sub(self.now.wall_ms)),
            ),
            Gate::Lock { asked: true, .. }
            | Gate::Window { awaited: None }
            | Gate::Closed
            | Gate::Approvals
            | Gate::Open => None,
        }
    }
}

fn asked_window(waiting: &Waiting) -> Option<String> {
    match waiting {
        Waiting::Gate { call, .. } => match &**call {
            Call::WaitForWindow { window } => window.clone(),
            _ => None,
        },
        _ => None,
    }
}

/// The first opening, now or later, of which at least `needed_ms` are left: when it opens and
/// closes, in milliseconds since 1970.
#[must_use]
pub fn long_enough(window: &Window, wall_ms: i64, needed_ms: u64) -> Option<(i64, i64)> {
    let now = jiff::Timestamp::from_millisecond(wall_ms).ok()?;
    window
        .openings(now)
        .take(OPENINGS_MAX)
        .map(|o| (o.start.as_millisecond(), o.end.as_millisecond()))
        .find(|(opens, closes)| {
            let left = closes.saturating_sub((*opens).max(wall_ms));
            u64::try_from(left).is_ok_and(|left| left >= needed_ms)
        })
}
