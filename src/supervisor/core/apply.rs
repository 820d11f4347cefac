//! What each event means for what is known of a run.

use crate::words::call::{Answer, Call, CallId, Step, Undo};
use crate::words::event::Event;
use crate::words::outcome::Outcome;
use crate::words::step::End;

use super::state::{Armed, ArmedStatus, Core, Finding, Gate, Group, StepState, Stop, WatchState};

impl Core {
    /// Takes an event into what is known. Told live and told again, it has the same effect.
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Header { header } => {
                self.window.clone_from(&header.window);
                self.header = header.clone();
            }
            Event::Phase { phase } => self.phase = *phase,
            Event::Called {
                id, call, answer, ..
            } => self.apply_called(id, call, answer),
            Event::CallBegan { id, call, .. } => {
                let verify = match call {
                    Call::Verify { name, .. } => Some(name.clone()),
                    _ => None,
                };
                self.began.insert(id.clone(), (self.now.boot_ms, verify));
                if let Call::WaitForWindow {
                    window: Some(window),
                } = call
                {
                    self.window = Some(window.clone());
                }
            }
            Event::CallEnded { id, answer } => {
                if let (Some((_, Some(name))), Answer::Throw(_)) = (self.began.remove(id), answer) {
                    self.failed_verifies.push(name);
                }
            }
            Event::Finding {
                name, ok, detail, ..
            } => {
                self.reviewed_ms.get_or_insert(self.now.wall_ms);
                self.findings.push(Finding {
                    name: name.clone(),
                    ok: *ok,
                    detail: detail.clone(),
                });
            }
            Event::StepStarted { .. } | Event::StepEnded { .. } | Event::StepVoid { .. } => {
                self.apply_step(event);
            }
            Event::LockTaken { .. } => self.lock_taken = true,
            Event::ApprovalAsked { name } => {
                self.asked.insert(name.clone());
            }
            Event::Approved { name, .. } => {
                self.approved.insert(name.clone());
            }
            Event::WindowOpen { closes_ms, .. } => self.closes_ms = Some(*closes_ms),
            Event::WindowOverridden { .. } => self.closes_ms = None,
            Event::GateOpened => {
                self.gate_open = true;
                self.gate = Gate::Open;
                self.opened_boot_ms = self.now.boot_ms;
            }
            Event::Sampled { id, bad, .. } => {
                if let Some(watch) = self.watches.get_mut(id) {
                    watch.bad = *bad;
                }
            }
            Event::Stopping { cause, reason, .. } => {
                self.stop = Some(Stop {
                    cause: *cause,
                    reason: reason.clone(),
                });
            }
            Event::Disarmed {
                ids,
                reason,
                no_return,
            } => self.apply_disarmed(ids, reason, *no_return),
            Event::BackOutStarted { id, attempt, .. } => {
                let group = self.groups.get_mut("").and_then(|groups| groups.last_mut());
                if let Some(group) = group.filter(|_| self.stop.is_none()) {
                    group.unwinding = true;
                }
                if let Some(armed) = self.armed_mut(id) {
                    armed.status = ArmedStatus::Running;
                    armed.attempts = *attempt;
                }
            }
            Event::BackOutVoid { id, .. } => {
                if let Some(armed) = self.armed_mut(id) {
                    armed.status = ArmedStatus::Armed;
                }
            }
            Event::BackOutEnded {
                id,
                outcome,
                detail,
                end,
                ..
            } => {
                if let Some(end) = end {
                    self.survivors.extend(end.survivors.iter().cloned());
                }
                let tail = end.as_ref().map(|e| e.tail.clone()).unwrap_or_default();
                if let Some(armed) = self.armed_mut(id) {
                    armed.status = if *outcome == Outcome::Succeeded {
                        ArmedStatus::Done
                    } else {
                        ArmedStatus::Failed {
                            detail: detail.clone(),
                            tail,
                        }
                    };
                }
            }
            Event::Interrupted { count, .. } => self.interrupts = *count,
            Event::RunEnded { end } => self.end = Some(end.clone()),
            Event::Notified { number, on, .. } => {
                self.told.insert((*number, *on));
            }
            Event::RunStarted { .. }
            | Event::RunResumed { .. }
            | Event::LockWaited { .. }
            | Event::WindowAwaited { .. }
            | Event::Tried { .. }
            | Event::HungUp
            | Event::Left { .. }
            | Event::Note { .. } => {}
        }
    }

    fn apply_called(&mut self, id: &CallId, call: &Call, answer: &Answer) {
        if !matches!(answer, Answer::Value(_)) {
            return;
        }
        match call {
            Call::BackOut(back_out) => {
                self.armed.push(Armed {
                    id: id.clone(),
                    back_out: back_out.clone(),
                    own: false,
                    status: ArmedStatus::Armed,
                    attempts: 0,
                });
                self.last_armed_by_hand = true;
            }
            Call::Watch(watch) => {
                let state = WatchState {
                    watch: watch.clone(),
                    since_boot_ms: self.now.boot_ms,
                    bad: 0,
                    next_boot_ms: self.now.boot_ms,
                    sampling: None,
                    looked: None,
                };
                self.watches.insert(id.clone(), state);
            }
            Call::StepBegin {
                title,
                timeout_ms,
                retries,
            } => {
                let group = Group {
                    begin: id.clone(),
                    title: title.clone(),
                    ends_boot_ms: timeout_ms.map(|ms| self.now.boot_ms.saturating_add_unsigned(ms)),
                    timeout_ms: *timeout_ms,
                    retries: *retries,
                    attempt: 1,
                    armed_before: self.armed.len(),
                    no_return_before: self.no_return.len(),
                    failed_before: self.failed_verifies.len(),
                    unwinding: false,
                };
                self.groups.entry(id.fiber.clone()).or_default().push(group);
            }
            Call::StepEnd { .. } => {
                let again = *answer == Answer::Value(true.into());
                let (armed_before, no_return_before) = (self.armed.len(), self.no_return.len());
                let Some(groups) = self.groups.get_mut(&id.fiber) else {
                    return;
                };
                if again {
                    if let Some(group) = groups.last_mut() {
                        group.attempt += 1;
                        group.armed_before = armed_before;
                        group.no_return_before = no_return_before;
                        self.failed_verifies.truncate(group.failed_before);
                        group.unwinding = false;
                    }
                } else {
                    groups.pop();
                }
            }
            Call::Plan { .. }
            | Call::Read { .. }
            | Call::Check { .. }
            | Call::Step(_)
            | Call::PointOfNoReturn { .. }
            | Call::Verify { .. }
            | Call::Soak { .. }
            | Call::Sleep { .. }
            | Call::WaitForWindow { .. }
            | Call::WaitForApproval { .. }
            | Call::Note { .. }
            | Call::Abort { .. } => {}
        }
    }

    fn apply_step(&mut self, event: &Event) {
        match event {
            Event::StepStarted {
                id,
                attempt,
                step,
                place,
                limit_by,
                ..
            } => {
                if !id.is_in_back_out() {
                    self.acted = true;
                    self.arm_own(id, step, *attempt);
                }
                let old = self.steps.remove(id);
                let state = StepState {
                    step: (**step).clone(),
                    place: place.clone(),
                    attempt: *attempt,
                    limit_by: *limit_by,
                    in_flight: true,
                    outcome: old.as_ref().and_then(|o| o.outcome),
                    acted: old.as_ref().is_some_and(|o| o.acted),
                    voids: old.as_ref().map_or(0, |o| o.voids),
                    failures: old.as_ref().map_or(0, |o| o.failures),
                    lost: old.as_ref().map_or(0, |o| o.lost),
                    again: old.as_ref().is_some_and(|o| o.again),
                };
                self.steps.insert(id.clone(), state);
            }
            Event::StepEnded {
                id,
                outcome,
                end,
                again,
                ..
            } => {
                self.changed_boot_ms = self.now.boot_ms;
                self.survivors.extend(end.survivors.iter().cloned());
                let never = matches!(end.end, End::NotStarted { .. });
                if let Some(step) = self.steps.get_mut(id) {
                    step.in_flight = false;
                    step.outcome = Some(*outcome);
                    step.acted |= !never;
                    step.again = *again;
                    step.voids = 0;
                    match outcome {
                        Outcome::Succeeded => {}
                        Outcome::Failed | Outcome::CutOff => step.failures += 1,
                        Outcome::Unknown => step.lost += 1,
                    }
                    if !*again && !step.acted {
                        self.void_own(id);
                    }
                }
            }
            Event::StepVoid { id, .. } => {
                if let Some(step) = self.steps.get_mut(id) {
                    step.in_flight = false;
                    step.voids += 1;
                    // Without a try that acted there is nothing to undo, unless it is tried again.
                    if !step.acted {
                        self.void_own(id);
                    }
                }
            }
            _ => {}
        }
    }

    /// Arms the back-out of a step itself, or notes that it has none.
    fn arm_own(&mut self, id: &CallId, step: &Step, attempt: u32) {
        let by_hand = std::mem::take(&mut self.last_armed_by_hand);
        if let Some(armed) = self.armed_mut(id) {
            if armed.status == ArmedStatus::Void {
                armed.status = ArmedStatus::Armed;
            }
            return;
        }
        match &step.back_out {
            Some(back_out) if back_out.undo != Undo::Nothing => self.armed.push(Armed {
                id: id.clone(),
                back_out: back_out.clone(),
                own: true,
                status: ArmedStatus::Armed,
                attempts: 0,
            }),
            Some(_) => {}
            None if by_hand || attempt > 1 => {}
            None => self.without_back_out.push((id.clone(), step.title.clone())),
        }
    }

    fn void_own(&mut self, id: &CallId) {
        if let Some(armed) = self.armed_mut(id).filter(|a| a.own) {
            armed.status = ArmedStatus::Void;
        }
    }

    fn apply_disarmed(&mut self, ids: &[CallId], reason: &str, no_return: bool) {
        for armed in &mut self.armed {
            if ids.contains(&armed.id) && armed.status == ArmedStatus::Armed {
                armed.status = ArmedStatus::GivenUp;
            }
        }
        if no_return {
            self.no_return.push(reason.to_owned());
        }
    }
}
