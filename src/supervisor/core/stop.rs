//! Stopping, and how a run ends.

use crate::words::call::{Answer, CallId, Undo};
use crate::words::event::{Actor, Event, RunEnd, StillChanged, Unwritten};
use crate::words::outcome::{Outcome, Phase, RunOutcome, StopCause};
use crate::words::place::Place;

use super::state::{Armed, ArmedStatus, Gate, Stop, Waiting};
use super::{Action, Core, ScriptEnd, Try};

/// How long a script that was stopped is waited for. It may sit in a read that cannot be broken off;
/// whatever it asks for later is refused.
const SCRIPT_WAIT_MS: u64 = 2_000;

/// Signals closer than this to the one before are the same one, sent to a whole process group.
const DEBOUNCE_MS: i64 = 200;

impl Core {
    /// Stops the run, or gives a stop that is under way a stronger cause.
    pub(super) fn stop(
        &mut self,
        cause: StopCause,
        reason: String,
        place: Option<Place>,
        detail: String,
    ) {
        let first = self.stop.is_none();
        if self.stop.as_ref().is_some_and(|stop| stop.cause >= cause) {
            return;
        }
        self.stop = Some(Stop {
            cause,
            reason: reason.clone(),
        });
        self.record(Event::Stopping {
            cause,
            reason,
            place,
            detail,
        });
        if !first {
            return;
        }
        if self.live {
            self.stop_script();
        }
        // Before that, the replay goes on to where the plan stood: it brings the closures of
        // back-outs, and does nothing else.
        if !self.gate_open {
            self.gate = Gate::Closed;
        }
        self.end_steps(false);
        self.retry_at.retain(|id, _| id.is_in_back_out());
        let waiting: Vec<CallId> = self
            .waiting
            .iter()
            .filter(|(id, waiting)| {
                let held = match waiting {
                    Waiting::Step => self.steps.get(*id).is_some_and(|s| s.in_flight),
                    // The script looks; its answer to that comes first.
                    Waiting::Verify { next: None, .. } => true,
                    Waiting::Verify { .. }
                    | Waiting::Until(..)
                    | Waiting::Soak { .. }
                    | Waiting::Approval { .. }
                    | Waiting::Gate { .. }
                    | Waiting::Unwind { .. } => false,
                };
                !held && !id.is_in_back_out()
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in waiting {
            self.answer(&id, Answer::Stop);
        }
        self.waiting
            .retain(|_, w| !matches!(w, Waiting::Verify { .. }));
    }

    /// Refuses every further call of the script, and waits for it only so long.
    pub(super) fn stop_script(&mut self) {
        self.act(Action::StopScript);
        self.script_due = Some(self.now.boot_ms.saturating_add_unsigned(SCRIPT_WAIT_MS));
    }

    /// Ends the steps in flight, except those of a back-out.
    fn end_steps(&mut self, now: bool) {
        for key in self.in_flight() {
            if !key.backs_out && !key.id.is_in_back_out() {
                self.act(Action::EndStep { key, now });
            }
        }
    }

    pub(super) fn on_interrupt(&mut self, signal: String) {
        let boot_ms = self.now.boot_ms;
        let last = self.last_interrupt.replace(boot_ms);
        if last.is_some_and(|last| boot_ms.saturating_sub(last) < DEBOUNCE_MS) {
            return;
        }
        let count = self.interrupts + 1;
        self.record(Event::Interrupted {
            signal: signal.clone(),
            count,
        });
        match count {
            1 => self.stop(
                StopCause::Operator,
                format!("{signal} received"),
                None,
                String::new(),
            ),
            2 => {
                let reason = format!("{signal} received for the second time");
                self.stop(StopCause::SecondInterrupt, reason, None, String::new());
                self.end_steps(true);
            }
            _ => {
                self.record(Event::Left {
                    reason: format!("{signal} received {count} times"),
                });
                self.left = true;
                self.act(Action::StopScript);
                self.act(Action::Finish);
            }
        }
    }

    pub(super) fn on_back_out_asked(&mut self, by: &Actor) {
        let reason = format!("{by} asked for the back-out");
        self.stop(StopCause::Operator, reason, None, String::new());
    }

    pub(super) fn on_journal_failed(&mut self, detail: &str) {
        let reason = format!("the journal could not be written: {detail}");
        self.stop(StopCause::JournalFailed, reason, None, String::new());
    }

    /// An earlier process went on after its journal had failed. What it did can neither be told again
    /// nor done again: nothing acts any more, and people are told what is known.
    pub(super) fn on_unwritten(&mut self, tries: Vec<Unwritten>) {
        let what = match tries.len() {
            1 => "1 try".to_owned(),
            n => format!("{n} tries"),
        };
        let reason = format!(
            "an earlier process went on when the journal could not be written: the run's directory \
             has {what} of steps or back-outs that the journal does not know"
        );
        self.unwritten = tries;
        self.script_ended = true;
        self.stop(StopCause::JournalFailed, reason, None, String::new());
    }

    /// Nothing more will be written: what is left of the run is told on standard error only.
    pub fn journal_is_gone(&mut self) {
        self.journal_gone = true;
    }

    pub(super) fn on_script_ended(&mut self, end: ScriptEnd) {
        self.go_live();
        self.script_ended = true;
        self.script_due = None;
        self.waiting.retain(|id, _| id.is_in_back_out());
        match end {
            ScriptEnd::Done => {
                if !self.acted && self.refuse_failed_findings() {
                    return;
                }
                if let Some(name) = self.failed_verifies.first() {
                    let reason = format!("`{name}` was not met");
                    self.stop(StopCause::FailedVerify, reason, None, String::new());
                }
            }
            ScriptEnd::Stopped => {
                // Without a stop this is a script that ended itself in a way it must not.
                let reason = "the script ended before its end".to_owned();
                if self.stop.is_none() {
                    self.stop(StopCause::ScriptError, reason, None, String::new());
                }
            }
            ScriptEnd::Error {
                cause,
                reason,
                place,
                detail,
            } => {
                self.stop(cause, reason, place, detail);
            }
        }
    }

    /// What a process does first with a run that another one had.
    fn come_back(&mut self) {
        if self.stop.is_some() {
            // The other one may have died before it could tell the steps.
            return self.end_steps(false);
        }
        let overridden = self.settings.override_window.clone();
        if let (Some(reason), Some(window), Some(_)) =
            (overridden, self.window.clone(), self.closes_ms)
        {
            self.record(Event::WindowOverridden { window, reason });
        }
    }

    pub(super) fn on_time(&mut self) {
        if std::mem::take(&mut self.came_back) {
            self.come_back();
        }
        if self.stop.is_none() && matches!(self.phase, Phase::Release | Phase::Verify) {
            self.stop_if_over();
        }
        if self.stop.is_none() {
            self.wake_gate();
        }
        if self.script_due.is_some_and(|due| due <= self.now.boot_ms) {
            self.script_due = None;
            self.script_ended = true;
        }
        self.wake_calls();
        self.retry_due();
        self.end_late_closure();
    }

    /// What follows from where things stand, after every input.
    pub(super) fn settle(&mut self) {
        if self.end.is_some() || self.left {
            return;
        }
        self.unwind();
        self.sample_due();
        let idle = self.in_flight().is_empty() && self.closure.is_none();
        if self.script_ended && idle {
            if self.is_closed() {
                return self.finish(RunOutcome::Stuck);
            }
            if self.survivors.is_empty() && self.resume_closure() {
                return;
            }
            if self.stop.is_some() {
                self.go_on_backing_out();
            } else if let Some(name) = self.in_doubt(self.changed_boot_ms) {
                if let Some(name) = name
                    && !std::mem::replace(&mut self.end_waits, true)
                {
                    let text = format!(
                        "the plan is done, and the run goes on: watch `{name}` is bad, and passes or trips first"
                    );
                    self.record(Event::Note {
                        warning: true,
                        text,
                    });
                }
                self.sample_due();
            } else {
                self.record(Event::Phase {
                    phase: Phase::Released,
                });
                self.finish(RunOutcome::Released);
            }
        }
    }

    fn go_on_backing_out(&mut self) {
        if !self.survivors.is_empty() {
            // A half-dead release beside its back-out is the worst of all: stop here.
            return self.finish(RunOutcome::Stuck);
        }
        if !self.acted && self.armed.is_empty() {
            return self.finish(RunOutcome::Refused);
        }
        if self.phase != Phase::BackingOut {
            self.record(Event::Phase {
                phase: Phase::BackingOut,
            });
        }
        if self.armed.iter().any(|a| a.status == ArmedStatus::Armed) {
            return self.start_back_out(0);
        }
        let failed = self.armed.iter().any(|a| {
            matches!(
                a.status,
                ArmedStatus::Failed { .. } | ArmedStatus::GivenUp | ArmedStatus::Running
            )
        });
        if failed || self.journal_gone || !self.no_return.is_empty() {
            self.finish(RunOutcome::Stuck);
        } else {
            self.finish(RunOutcome::BackedOut);
        }
    }

    fn finish(&mut self, outcome: RunOutcome) {
        for text in self.overruns() {
            let warning = true;
            self.record(Event::Note { warning, text });
        }
        if outcome != RunOutcome::Released {
            self.record(Event::Phase {
                phase: outcome.phase(),
            });
        }
        let backed_out = matches!(outcome, RunOutcome::BackedOut | RunOutcome::Stuck);
        let end = RunEnd {
            outcome,
            cause: self.stop.as_ref().map(|stop| stop.cause),
            reason: self
                .stop
                .as_ref()
                .map(|stop| stop.reason.clone())
                .unwrap_or_default(),
            still_changed: match outcome {
                RunOutcome::Stuck => self.still_changed(),
                RunOutcome::Released | RunOutcome::Refused | RunOutcome::BackedOut => Vec::new(),
            },
            survivors: self.survivors.clone(),
            unwritten: self.unwritten.clone(),
            without_back_out: if backed_out {
                self.without_back_out
                    .iter()
                    .filter(|(id, _)| self.steps.get(id).is_some_and(|step| step.acted))
                    .map(|(_, title)| title.clone())
                    .collect()
            } else {
                Vec::new()
            },
        };
        self.record(Event::RunEnded { end });
        self.act(Action::Finish);
    }

    fn still_changed(&self) -> Vec<StillChanged> {
        self.armed
            .iter()
            .rev()
            .filter_map(|armed| {
                let (why, tail) = match &self.status_of(armed) {
                    ArmedStatus::Failed { detail, tail } => (detail.clone(), tail.clone()),
                    ArmedStatus::Armed => {
                        ("its back-out was not started".to_owned(), String::new())
                    }
                    ArmedStatus::Running => {
                        ("its back-out has not ended".to_owned(), String::new())
                    }
                    ArmedStatus::GivenUp => {
                        let reason = self.no_return.last().cloned().unwrap_or_default();
                        (
                            format!("it lies before the point of no return: {reason}"),
                            String::new(),
                        )
                    }
                    ArmedStatus::Done | ArmedStatus::Void => return None,
                };
                Some(StillChanged {
                    call: armed.id.clone(),
                    title: self
                        .steps
                        .get(&armed.id)
                        .map_or_else(|| armed.back_out.title.clone(), |s| s.step.title.clone()),
                    why,
                    tail,
                    command: match &armed.back_out.undo {
                        Undo::Command(command) => Some(command.to_string()),
                        Undo::Closure | Undo::Restore | Undo::Nothing => None,
                    },
                })
            })
            .collect()
    }

    /// Where a back-out stands, by the journal and by what was carried out without it.
    fn status_of(&self, armed: &Armed) -> ArmedStatus {
        if !matches!(armed.status, ArmedStatus::Armed | ArmedStatus::Running) {
            return armed.status.clone();
        }
        let title = &armed.back_out.title;
        let mut tries = self.unwritten.iter().rev();
        if let Some(last) = tries.clone().find(|u| u.backs_out && u.call == armed.id) {
            if last.outcome == Outcome::Succeeded {
                return ArmedStatus::Done;
            }
            return ArmedStatus::Failed {
                detail: format!(
                    "its back-out `{title}`, which the journal does not know, {}",
                    last.how
                ),
                tail: last.tail.clone(),
            };
        }
        let fiber = armed.id.back_out_fiber();
        if tries.any(|u| u.call.fiber == fiber) {
            return ArmedStatus::Failed {
                detail: format!("the journal does not know how far its back-out `{title}` came"),
                tail: String::new(),
            };
        }
        armed.status.clone()
    }

    /// The next instant, on the boot clock, at which [`super::Input::Time`] should come.
    #[must_use]
    pub fn next_wake(&self) -> Option<i64> {
        if self.end.is_some() || self.left {
            return None;
        }
        let deadline = [self.deadline_left(), self.window_left()]
            .into_iter()
            .flatten()
            .filter(|_| self.stop.is_none())
            .map(|left| self.now.boot_ms.saturating_add_unsigned(left))
            .min();
        let gate = self.next_gate_wake().filter(|_| self.stop.is_none());
        let retry = self.retry_at.values().copied().min();
        let closure = self
            .back_out_until
            .filter(|_| self.closure.is_some() && !self.closure_late);
        [
            deadline,
            gate,
            retry,
            closure,
            self.script_due,
            self.next_call_wake(),
            self.next_sample(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn armed_ids(&self) -> Vec<CallId> {
        let armed = self.armed.iter().filter(|a| a.status == ArmedStatus::Armed);
        armed.map(|a| a.id.clone()).collect()
    }

    /// Is a try of this kind still awaited?
    #[must_use]
    pub fn awaits(&self, key: &Try) -> bool {
        self.in_flight().contains(key)
    }
}
