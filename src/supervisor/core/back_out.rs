//! Backing out: the reverse of what was armed.

use std::cmp::Reverse;

use crate::words::call::{CallId, Undo};
use crate::words::event::{Event, LimitBy};
use crate::words::outcome::Outcome;
use crate::words::step::{End, end_words};

use super::state::{Armed, ArmedStatus};
use super::steps::outcome_of;
use super::{Action, Core, Ended, Try};

impl Core {
    /// Starts the back-out that is next, of those at `from` and after: the youngest, but for those that
    /// wait.
    pub(super) fn start_back_out(&mut self, from: usize) {
        let is_armed = |at: &usize| self.armed[*at].status == ArmedStatus::Armed;
        let next = (from..self.armed.len())
            .filter(is_armed)
            .max_by_key(|at| (self.turn(*at), Reverse(*at)));
        let Some(armed) = next.and_then(|at| self.armed.get(at)) else {
            return;
        };
        let (id, back_out, attempt) =
            (armed.id.clone(), armed.back_out.clone(), armed.attempts + 1);
        let step_outcome = if armed.own {
            self.steps.get(&id).and_then(|step| step.outcome)
        } else {
            None
        };
        let limit_ms = back_out.timeout_ms;
        self.record(Event::BackOutStarted {
            id: id.clone(),
            title: back_out.title,
            limit_ms,
            step_outcome,
            attempt,
        });
        self.run_back_out(
            id,
            limit_ms,
            step_outcome,
            attempt,
            back_out.undo == Undo::Closure,
        );
    }

    /// When it is the turn of the back-out at `at`: the higher, the sooner. One that is late comes just
    /// before the youngest of those armed before it that is about the same, and behind all others if
    /// there is none. What has been undone, or never acted, holds no place.
    fn turn(&self, at: usize) -> usize {
        let back_out = &self.armed[at].back_out;
        if !back_out.late {
            return 2 * at + 1;
        }
        let about_the_same = |other: &Armed| {
            other.status == ArmedStatus::Armed
                && back_out.about.is_some()
                && other.back_out.about == back_out.about
        };
        let before = self.armed[..at].iter().rposition(about_the_same);
        before.map_or(0, |before| 2 * before + 2)
    }

    fn run_back_out(
        &mut self,
        id: CallId,
        limit_ms: u64,
        step_outcome: Option<Outcome>,
        attempt: u32,
        is_closure: bool,
    ) {
        if is_closure {
            self.back_out_until = Some(self.now.boot_ms.saturating_add_unsigned(limit_ms));
            self.closure = Some(id.clone());
            self.closure_late = false;
        }
        let key = Try {
            id,
            attempt,
            backs_out: true,
        };
        self.act(Action::BackOut {
            key,
            limit_ms,
            step_outcome,
        });
    }

    pub(super) fn on_back_out_ended(&mut self, key: &Try, ended: Ended) {
        let Some(armed) = self.armed_mut(&key.id) else {
            return;
        };
        if armed.status != ArmedStatus::Running || armed.attempts != key.attempt {
            return;
        }
        let title = armed.back_out.title.clone();
        // What puts files back can be done again, whatever was done of it.
        let again = armed.back_out.undo == Undo::Restore && key.attempt < 3;
        match ended {
            Ended::Seen(end) if again && end.end == End::Unseen && end.survivors.is_empty() => {
                self.record(Event::BackOutVoid {
                    id: key.id.clone(),
                    title,
                    attempt: key.attempt,
                    reason: "nobody saw its end".into(),
                });
            }
            Ended::Seen(end) => {
                let outcome = outcome_of(&end, &[0]);
                let detail = match outcome {
                    Outcome::Succeeded => String::new(),
                    Outcome::Failed | Outcome::CutOff | Outcome::Unknown => {
                        format!(
                            "its back-out `{title}` {}",
                            end_words(&end, LimitBy::Timeout, &[0])
                        )
                    }
                };
                let id = key.id.clone();
                let end = Some(end);
                self.record(Event::BackOutEnded {
                    id,
                    title,
                    outcome,
                    end,
                    detail,
                });
            }
            Ended::Void(reason) if key.attempt < 3 => {
                // It never acted: it is started again.
                self.record(Event::BackOutVoid {
                    id: key.id.clone(),
                    title,
                    attempt: key.attempt,
                    reason,
                });
            }
            Ended::Void(reason) => {
                let detail = format!("its back-out `{title}` could not be started: {reason}");
                let outcome = Outcome::Failed;
                let id = key.id.clone();
                self.record(Event::BackOutEnded {
                    id,
                    title,
                    outcome,
                    end: None,
                    detail,
                });
            }
        }
    }

    pub(super) fn on_closure_ended(&mut self, id: &CallId, error: Option<String>) {
        if self.closure.as_ref() != Some(id) {
            return;
        }
        self.closure = None;
        self.back_out_until = None;
        let fiber = id.back_out_fiber();
        self.waiting.retain(|other, _| other.fiber != fiber);
        self.retry_at.retain(|other, _| other.fiber != fiber);
        let Some(armed) = self.armed_mut(id) else {
            return;
        };
        let title = armed.back_out.title.clone();
        let (outcome, detail) = match error {
            None => (Outcome::Succeeded, String::new()),
            Some(error) => (
                Outcome::Failed,
                format!("its back-out `{title}` failed: {error}"),
            ),
        };
        self.record(Event::BackOutEnded {
            id: id.clone(),
            title,
            outcome,
            end: None,
            detail,
        });
    }

    /// Ends a back-out's closure whose time is over, once.
    pub(super) fn end_late_closure(&mut self) {
        let over = !self.closure_late && !self.back_out_time_left();
        let Some(id) = self.closure.clone().filter(|_| over) else {
            return;
        };
        self.closure_late = true;
        self.act(Action::EndClosure { id: id.clone() });
        let fiber = id.back_out_fiber();
        self.retry_at.retain(|other, _| other.fiber != fiber);
        let waiting: Vec<CallId> = self
            .waiting
            .keys()
            .filter(|other| other.fiber == fiber)
            .filter(|other| !self.steps.get(*other).is_some_and(|s| s.in_flight))
            .cloned()
            .collect();
        for other in waiting {
            self.answer(&other, crate::words::call::Answer::Stop);
        }
    }

    /// Goes on with the closure of a back-out that another process had begun; says whether there
    /// was one. Its plan must have been replayed before: the closure comes from there.
    pub(super) fn resume_closure(&mut self) -> bool {
        if self.closure.is_some() {
            return false;
        }
        let running = self
            .armed
            .iter()
            .find(|a| a.status == ArmedStatus::Running && a.back_out.undo == Undo::Closure);
        let Some(armed) = running else { return false };
        let (id, attempt, limit_ms) = (armed.id.clone(), armed.attempts, armed.back_out.timeout_ms);
        let outcome = self.steps.get(&id).and_then(|step| step.outcome);
        self.run_back_out(id, limit_ms, outcome, attempt, true);
        true
    }
}
