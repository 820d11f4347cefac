//! What the script asks for.

use serde_json::{Value, json};

use crate::words::call::{Answer, Call, CallId, Failure, FailureKind, Step, Undo};
use crate::words::event::{Actor, Event, Verdict};
use crate::words::outcome::{Phase, StopCause};
use crate::words::place::Place;

use super::limits::show;
use super::state::{Gate, Waiting};
use super::{Action, Core, null};

impl Core {
    pub(super) fn on_call(&mut self, id: CallId, call: Call, place: Place) {
        self.go_live();
        if !self.is_allowed(&id) {
            return self.answer(&id, Answer::Stop);
        }
        if let Some(refusal) = self.out_of_place(&id, &call) {
            return self.called(id, call, place, Answer::Throw(Failure::new(refusal)));
        }
        if needs_gate(&call) && !self.gate_open {
            self.waiting.insert(
                id,
                Waiting::Gate {
                    call: Box::new(call),
                    place,
                },
            );
            return self.approach_gate();
        }
        self.perform(id, call, place);
    }

    /// Carries out a call for which the gate is open, or which does not need it.
    pub(super) fn perform(&mut self, id: CallId, call: Call, place: Place) {
        match call {
            Call::Plan { ref header } => {
                let header = header.clone();
                self.record_call(&id, call, place, null(), 0);
                self.record(Event::Header { header });
                self.answer(&id, null());
            }
            Call::Step(step) => self.on_step(id, *step, place),
            Call::BackOut(_) | Call::Watch(_) | Call::Note { .. } => {
                self.called(id, call, place, null());
            }
            Call::StepBegin { .. } => {
                let number = json!(id.number);
                self.called(id, call, place, Answer::Value(number));
            }
            Call::StepEnd { begin, ref failed } => {
                let failed = failed.is_some();
                self.on_group_end(id, begin, failed, call, place);
            }
            Call::PointOfNoReturn { ref reason } => {
                let reason = reason.clone();
                self.record_call(&id, call, place, null(), 0);
                let ids = self.armed_ids();
                self.record(Event::Disarmed {
                    ids,
                    reason,
                    no_return: true,
                });
                self.answer(&id, null());
            }
            Call::Verify {
                ref name,
                within_ms,
                every_ms,
            } => {
                let name = name.clone();
                self.begin(&id, &call, &place);
                if self.phase == Phase::Release {
                    self.record(Event::Phase {
                        phase: Phase::Verify,
                    });
                }
                let until = self.now.boot_ms.saturating_add_unsigned(within_ms);
                let until = self.group_over(&id, until).map_or(until, |(ends, ..)| ends);
                let within_ms = within_ms.min(self.until(until));
                let last = Verdict::NoData;
                let verify = Waiting::Verify {
                    name,
                    within_ms,
                    every_ms,
                    until,
                    next: None,
                    last,
                };
                self.waiting.insert(id.clone(), verify);
                self.act(Action::Try { id });
            }
            Call::Soak { ms } => {
                // A soak that was interrupted begins anew: nobody watched in between.
                self.begin(&id, &call, &place);
                let since = self.now.boot_ms;
                let soak = Waiting::Soak {
                    since,
                    until: since.saturating_add_unsigned(ms),
                    prolonged: false,
                };
                self.waiting.insert(id, soak);
            }
            Call::Sleep { ms } => {
                let since = self
                    .began
                    .get(&id)
                    .map_or(self.now.boot_ms, |(since, _)| *since);
                self.begin(&id, &call, &place);
                self.wait_until(id, since.saturating_add_unsigned(ms));
            }
            Call::WaitForWindow { .. } => {
                let closes = self.closes_ms.map_or(Value::Null, |ms| json!(ms));
                let answer = Answer::Value(closes);
                if self.began.contains_key(&id) {
                    self.ended(&id, answer);
                } else {
                    self.called(id, call, place, answer);
                }
            }
            Call::WaitForApproval {
                ref name,
                timeout_ms,
            } => {
                let name = name.clone();
                let since = self
                    .began
                    .get(&id)
                    .map_or(self.now.boot_ms, |(since, _)| *since);
                self.begin(&id, &call, &place);
                if self.approved.contains(&name) {
                    return self.ended(&id, Answer::Value(Value::Bool(true)));
                }
                self.ask_approval(&name);
                let until = timeout_ms.map(|ms| since.saturating_add_unsigned(ms));
                let over = self.group_over(&id, until.unwrap_or(i64::MAX));
                let until = over.map(|(ends, ..)| ends).or(until);
                self.waiting.insert(id, Waiting::Approval { name, until });
            }
            Call::Abort { ref reason } => {
                let reason = reason.clone();
                self.record_call(&id, call, place.clone(), Answer::Stop, 0);
                self.stop(StopCause::Aborted, reason, Some(place), String::new());
                self.answer(&id, Answer::Stop);
            }
            // Reading calls come with their result, as `Input::Read`.
            Call::Read { .. } | Call::Check { .. } => self.answer(&id, null()),
        }
    }

    pub(super) fn on_read(
        &mut self,
        id: CallId,
        call: Call,
        place: Place,
        answer: Answer,
        detail: String,
        took_ms: u64,
    ) {
        self.go_live();
        if !self.is_allowed(&id) {
            return self.answer(&id, Answer::Stop);
        }
        let Call::Check { name } = &call else {
            return self.called_taking(id, call, place, answer, took_ms);
        };
        let ok = answer == Answer::Value(Value::Bool(true));
        self.record(Event::Finding {
            id: id.clone(),
            name: name.clone(),
            ok,
            detail: detail.clone(),
        });
        let answer = if ok || !self.acted {
            Answer::Value(Value::Bool(ok))
        } else {
            let gap = if detail.is_empty() { "" } else { ": " };
            Answer::Throw(Failure::of(
                FailureKind::Check,
                format!("check failed: {name}{gap}{detail}"),
            ))
        };
        self.called_taking(id, call, place, answer, took_ms);
    }

    pub(super) fn on_diverged(&mut self, id: &CallId, place: Place, detail: String) {
        let reason = format!("on replay, call {id} is not the one in the journal");
        self.stop(StopCause::Diverged, reason, Some(place), detail);
        self.answer(id, Answer::Stop);
    }

    pub(super) fn on_tried(&mut self, id: &CallId, verdict: Verdict) {
        let Some(Waiting::Verify {
            name,
            within_ms,
            every_ms,
            until,
            next,
            last,
        }) = self.waiting.get_mut(id)
        else {
            return self.answer(id, Answer::Stop);
        };
        let boot_ms = self.now.boot_ms;
        let passed = verdict == Verdict::Pass;
        let over = boot_ms >= *until;
        *last = verdict.clone();
        *next = Some(
            boot_ms
                .saturating_add_unsigned(*every_ms)
                .min((*until).max(boot_ms)),
        );
        let text = format!(
            "`{name}` did not turn true within {}: {}",
            show(*within_ms),
            last.words()
        );
        self.record(Event::Tried {
            id: id.clone(),
            verdict,
        });
        if passed {
            self.ended(id, Answer::Value(Value::Bool(true)));
        } else if over {
            self.ended(id, Answer::Throw(Failure::of(FailureKind::Verify, text)));
        }
    }

    pub(super) fn on_approved(
        &mut self,
        name: &str,
        by: Actor,
        given_ms: Option<i64>,
        comment: String,
    ) {
        if self.approved.contains(name) {
            return;
        }
        self.record(Event::Approved {
            name: name.to_owned(),
            by,
            given_ms,
            comment,
        });
        let waiting: Vec<CallId> = self
            .waiting
            .iter()
            .filter(|(_, w)| matches!(w, Waiting::Approval { name: n, .. } if n == name))
            .map(|(id, _)| id.clone())
            .collect();
        for id in waiting {
            self.ended(&id, Answer::Value(Value::Bool(true)));
        }
        if self.gate == Gate::Approvals {
            self.approach_gate();
        }
    }

    pub(super) fn ask_approval(&mut self, name: &str) {
        if !self.asked.contains(name) {
            self.record(Event::ApprovalAsked {
                name: name.to_owned(),
            });
        }
    }

    /// Sleeps, verifies and approvals whose time has come.
    pub(super) fn wake_calls(&mut self) {
        let boot_ms = self.now.boot_ms;
        let mut done = Vec::new();
        let mut look = Vec::new();
        for (id, waiting) in &mut self.waiting {
            match waiting {
                Waiting::Until(until, over) if *until <= boot_ms => {
                    let answer = over
                        .as_ref()
                        .map_or_else(null, |(title, ms)| Answer::Throw(group_is_over(title, *ms)));
                    done.push((id.clone(), answer));
                }
                Waiting::Verify { next, .. } if next.is_some_and(|at| at <= boot_ms) => {
                    *next = None;
                    look.push(id.clone());
                }
                Waiting::Approval {
                    name,
                    until: Some(until),
                } if *until <= boot_ms => {
                    let text = format!("nobody approved `{name}` in time");
                    done.push((id.clone(), Answer::Throw(Failure::new(text))));
                }
                _ => {}
            }
        }
        self.wake_soaks(&mut done);
        for (id, answer) in done {
            self.ended(&id, answer);
        }
        for id in look {
            self.act(Action::Try { id });
        }
    }

    /// Soaks that are over: all watches have looked in them, and none is bad. Else they go on, until the
    /// watch passes or trips.
    fn wake_soaks(&mut self, done: &mut Vec<(CallId, Answer)>) {
        let soaks = self
            .waiting
            .iter()
            .filter_map(|(id, waiting)| match waiting {
                Waiting::Soak { since, until, .. } => Some((id.clone(), *since, *until)),
                _ => None,
            });
        for (id, since, until) in soaks.collect::<Vec<_>>() {
            let now = self.now.boot_ms;
            let group = self.group_over(&id, i64::MAX);
            let group = group.filter(|(ends, ..)| *ends <= now);
            // Who wakes late finds both over: the soak, if it was first.
            let is_over = until <= now && group.as_ref().is_none_or(|(ends, ..)| until <= *ends);
            let doubt = if is_over {
                self.in_doubt(since)
            } else {
                Some(None)
            };
            match (doubt, group) {
                (None, _) => done.push((id, null())),
                (Some(_), Some((_, title, ms))) => {
                    done.push((id, Answer::Throw(group_is_over(&title, ms))));
                }
                (Some(Some(name)), None) => self.prolong(&id, &name),
                (Some(None), None) => {}
            }
        }
    }

    /// Says, once, that a soak goes on.
    fn prolong(&mut self, id: &CallId, watch: &str) {
        if let Some(Waiting::Soak { prolonged, .. }) = self.waiting.get_mut(id)
            && !std::mem::replace(prolonged, true)
        {
            let text =
                format!("the soak goes on: watch `{watch}` is bad, and passes or trips first");
            let warning = true;
            self.record(Event::Note { warning, text });
        }
    }

    /// The next instant, on the boot clock, at which a waiting call wants to be looked at.
    pub(super) fn next_call_wake(&self) -> Option<i64> {
        self.waiting
            .iter()
            .filter_map(|(id, waiting)| match waiting {
                Waiting::Until(until, _) => Some(*until),
                Waiting::Verify { next, .. } => *next,
                Waiting::Approval { until, .. } => *until,
                Waiting::Soak { until, .. } => {
                    // One that goes on waits for samples, which have a time of their own.
                    let until = Some(*until).filter(|until| *until > self.now.boot_ms);
                    let group = self.group_over(id, i64::MAX).map(|(ends, ..)| ends);
                    until.into_iter().chain(group).min()
                }
                Waiting::Step | Waiting::Gate { .. } | Waiting::Unwind { .. } => None,
            })
            .min()
    }

    fn wait_until(&mut self, id: CallId, until: i64) {
        let over = self.group_over(&id, until);
        let waiting = match over {
            Some((ends, title, ms)) => Waiting::Until(ends, Some((title, ms))),
            None => Waiting::Until(until, None),
        };
        self.waiting.insert(id, waiting);
    }

    fn begin(&mut self, id: &CallId, call: &Call, place: &Place) {
        if !self.began.contains_key(id) {
            self.record(Event::CallBegan {
                id: id.clone(),
                call: call.clone(),
                place: place.clone(),
            });
        }
    }

    pub(super) fn ended(&mut self, id: &CallId, answer: Answer) {
        self.record(Event::CallEnded {
            id: id.clone(),
            answer: answer.clone(),
        });
        self.answer(id, answer);
    }

    pub(super) fn called(&mut self, id: CallId, call: Call, place: Place, answer: Answer) {
        self.called_taking(id, call, place, answer, 0);
    }

    fn called_taking(
        &mut self,
        id: CallId,
        call: Call,
        place: Place,
        answer: Answer,
        took_ms: u64,
    ) {
        self.record_call(&id, call, place, answer.clone(), took_ms);
        self.answer(&id, answer);
    }

    /// Records a call that is answered later: whatever else follows from it is recorded before the
    /// script goes on.
    fn record_call(&mut self, id: &CallId, call: Call, place: Place, answer: Answer, took_ms: u64) {
        self.record(Event::Called {
            id: id.clone(),
            call,
            place,
            answer,
            took_ms,
        });
    }

    /// May this call still be made?
    fn is_allowed(&self, id: &CallId) -> bool {
        if id.is_in_back_out() {
            let fiber = self.closure.as_ref().map(CallId::back_out_fiber);
            fiber.as_deref() == Some(id.fiber.as_str()) && !self.left && self.back_out_time_left()
        } else {
            self.stop.is_none()
        }
    }

    pub(super) fn back_out_time_left(&self) -> bool {
        self.back_out_until
            .is_none_or(|until| until > self.now.boot_ms)
    }

    /// Why a call may not be made where it stands.
    fn out_of_place(&self, id: &CallId, call: &Call) -> Option<String> {
        let first = id.fiber.is_empty() && id.number == 1;
        if id.is_in_back_out() {
            return match call {
                Call::Step(step) if undoes_itself_otherwise(step) => {
                    Some("a step of a back-out can't have a back-out of its own".to_owned())
                }
                Call::Step(_) | Call::Sleep { .. } | Call::Note { .. } => None,
                other => {
                    let name = match other {
                        Call::StepBegin { .. } => "step",
                        other => other.function(),
                    };
                    Some(format!(
                        "`{name}` may not be called in a back-out, which may only read, run steps, sleep \
                         and say something"
                    ))
                }
            };
        }
        match call {
            Call::Plan { .. } if !first => Some(HEADER_FIRST.to_owned()),
            _ => None,
        }
    }
}

/// What is wrong with a header that stands elsewhere.
pub const HEADER_FIRST: &str = "`plan` must be the first call of the plan, and be called once";

/// Calls of the release phase: the first of them opens the gate.
#[must_use]
pub fn needs_gate(call: &Call) -> bool {
    match call {
        Call::Step(_)
        | Call::StepBegin { .. }
        | Call::BackOut(_)
        | Call::PointOfNoReturn { .. }
        | Call::Verify { .. }
        | Call::Soak { .. }
        | Call::WaitForWindow { .. } => true,
        Call::Plan { .. }
        | Call::Read { .. }
        | Call::Check { .. }
        | Call::StepEnd { .. }
        | Call::Watch(_)
        | Call::Sleep { .. }
        | Call::WaitForApproval { .. }
        | Call::Note { .. }
        | Call::Abort { .. } => false,
    }
}

/// Has the step a back-out of the plan's own? A file that is put keeps the former one in any case.
fn undoes_itself_otherwise(step: &Step) -> bool {
    step.back_out
        .as_ref()
        .is_some_and(|back_out| back_out.undo != Undo::Restore)
}

fn group_is_over(title: &str, ms: u64) -> Failure {
    let text = format!("the {} of the step `{title}` are over", show(ms));
    Failure::of(FailureKind::Step, text)
}
