//! Steps and groups of steps.

use serde_json::{Value, json};

use crate::words::call::{Answer, Call, CallId, Deed, Failure, FailureKind, Step};
use crate::words::event::{Event, LimitBy};
use crate::words::outcome::{Outcome, Phase, StopCause};
use crate::words::place::Place;
use crate::words::step::{CutOff, End, StepEnd, end_words};

use super::limits::show;
use super::state::{ArmedStatus, Waiting};
use super::{Action, Core, Ended, Try};

/// Tries of one step that may come to nothing before the run stops.
const VOIDS_MAX: u32 = 3;
/// Tries of one idempotent step whose end nobody saw before the run stops.
const LOST_MAX: u32 = 3;

impl Core {
    pub(super) fn on_step(&mut self, id: CallId, step: Step, place: Place) {
        if self.refuse_failed_findings() {
            return self.answer(&id, Answer::Stop);
        }
        if let Some(known) = self.steps.get(&id) {
            // Another process began it: it still runs, it has ended since the journal was read, it
            // is due again, or it never was.
            let (in_flight, attempt, limit_by) = (known.in_flight, known.attempt, known.limit_by);
            let lost = known.outcome == Some(Outcome::Unknown) && !known.again;
            self.waiting.insert(id.clone(), Waiting::Step);
            if in_flight {
                return;
            }
            if let Some((outcome, end)) = self.late_ends.remove(&id) {
                return self.conclude(&id, &step, place, &end, outcome, limit_by);
            }
            if lost {
                return self.stop_for_unknown(&id);
            }
            return self.start_step(&id, step, place, attempt + 1);
        }
        self.waiting.insert(id.clone(), Waiting::Step);
        self.start_step(&id, step, place, 1);
    }

    fn start_step(&mut self, id: &CallId, step: Step, place: Place, attempt: u32) {
        if !id.is_in_back_out() && self.stop_if_over() {
            return;
        }
        let (limit_ms, limit_by) = self.limit(id, step.timeout_ms);
        if limit_ms == 0 {
            let failure = Failure::of(FailureKind::Step, self.over_words(id, limit_by));
            return self.called(
                id.clone(),
                Call::Step(Box::new(step)),
                place,
                Answer::Throw(failure),
            );
        }
        if self.phase == Phase::Verify {
            self.record(Event::Phase {
                phase: Phase::Release,
            });
        }
        let step = Box::new(step);
        self.record(Event::StepStarted {
            id: id.clone(),
            attempt,
            step,
            place,
            limit_ms,
            limit_by,
        });
        let key = Try {
            id: id.clone(),
            attempt,
            backs_out: false,
        };
        self.act(Action::StartStep { key, limit_ms });
    }

    fn over_words(&self, id: &CallId, by: LimitBy) -> String {
        let group = self
            .groups
            .get(&id.fiber)
            .into_iter()
            .flatten()
            .find(|g| g.ends_boot_ms.is_some_and(|ends| ends <= self.now.boot_ms));
        match (by, group) {
            (LimitBy::Group, Some(group)) => {
                let time = show(group.timeout_ms.unwrap_or(0));
                format!(
                    "not started: the {time} of the step `{}` are over",
                    group.title
                )
            }
            (LimitBy::BackOut, _) => "not started: the time of the back-out is over".to_owned(),
            _ => "not started: no time is left".to_owned(),
        }
    }

    pub(super) fn on_step_ended(&mut self, key: &Try, ended: Ended) {
        let Some(state) = self.steps.get(&key.id) else {
            return;
        };
        if !state.in_flight || state.attempt != key.attempt {
            return;
        }
        let (step, place, limit_by) = (state.step.clone(), state.place.clone(), state.limit_by);
        let end = match ended {
            Ended::Seen(end) => end,
            Ended::Void(reason) => return self.on_step_void(key, &step, place, reason),
        };
        let outcome = outcome_of(&end, &step.codes);
        let again = self.goes_again(&key.id, &end, outcome);
        self.record(Event::StepEnded {
            id: key.id.clone(),
            attempt: key.attempt,
            outcome,
            end: end.clone(),
            again,
        });
        if !end.survivors.is_empty() {
            self.stop_for_survivors(&step.title, &place);
            // A stop that was under way does not answer again.
            return self.answer(&key.id, Answer::Stop);
        }
        if !self.waiting.contains_key(&key.id) {
            // On replay the script has not come this far yet.
            if !again {
                self.late_ends.insert(key.id.clone(), (outcome, end));
            }
            return self.look_at_orphan(&key.id, again, outcome);
        }
        if self.stop.is_some() && !key.id.is_in_back_out() {
            return self.answer(&key.id, Answer::Stop);
        }
        if again {
            let at = self
                .now
                .boot_ms
                .saturating_add_unsigned(step.retry_delay_ms);
            self.retry_at.insert(key.id.clone(), at);
            return;
        }
        self.conclude(&key.id, &step, place, &end, outcome, limit_by);
    }

    /// Tells the script how its step ended, or stops the run for it.
    fn conclude(
        &mut self,
        id: &CallId,
        step: &Step,
        place: Place,
        end: &StepEnd,
        outcome: Outcome,
        limit_by: LimitBy,
    ) {
        match stop_cause(outcome, end, limit_by) {
            Some(StopCause::FailedStep) => return self.stop_for_unknown(id),
            Some(cause) if !id.is_in_back_out() => {
                let reason = format!("`{}` was cut off: no time is left", step.title);
                return self.stop(cause, reason, Some(place), end.tail.clone());
            }
            Some(_) | None => {}
        }
        self.answer(id, answer_to_script(step, end, outcome, limit_by));
    }

    fn on_step_void(&mut self, key: &Try, step: &Step, place: Place, reason: String) {
        self.record(Event::StepVoid {
            id: key.id.clone(),
            attempt: key.attempt,
            reason: reason.clone(),
        });
        let voids = self.steps.get(&key.id).map_or(0, |s| s.voids);
        if !self.waiting.contains_key(&key.id) {
            return;
        }
        if self.stop.is_some() && !key.id.is_in_back_out() {
            return self.answer(&key.id, Answer::Stop);
        }
        if voids < VOIDS_MAX {
            self.start_step(&key.id, step.clone(), place, key.attempt + 1);
        } else {
            let reason = format!("`{}` could not be started: {reason}", step.title);
            if key.id.is_in_back_out() {
                return self.answer(&key.id, Answer::Throw(Failure::new(reason)));
            }
            self.stop(StopCause::FailedStep, reason, Some(place), String::new());
        }
    }

    /// Is the step tried again? Only what may simply be repeated is: a failure, a timeout of its
    /// own, and an unknown end if the plan says that the step is idempotent.
    fn goes_again(&self, id: &CallId, end: &StepEnd, outcome: Outcome) -> bool {
        if !end.survivors.is_empty() || (self.stop.is_some() && !id.is_in_back_out()) {
            return false;
        }
        let Some(state) = self.steps.get(id) else {
            return false;
        };
        let tries_left = state.failures < state.step.retries;
        match outcome {
            Outcome::Succeeded => false,
            Outcome::Failed => tries_left,
            Outcome::CutOff => {
                tries_left
                    && state.limit_by == LimitBy::Timeout
                    && end.cut_off != Some(CutOff::Stopped)
            }
            Outcome::Unknown => state.step.idempotent && state.lost < LOST_MAX,
        }
    }

    fn look_at_orphan(&mut self, id: &CallId, again: bool, outcome: Outcome) {
        if outcome == Outcome::Unknown && !again && !id.is_in_back_out() {
            self.stop_for_unknown(id);
        }
    }

    fn stop_for_unknown(&mut self, id: &CallId) {
        let Some(state) = self.steps.get(id) else {
            return;
        };
        let (title, place) = (state.step.title.clone(), state.place.clone());
        let (idempotent, lost) = (state.step.idempotent, state.lost);
        if id.is_in_back_out() {
            let text = format!("nobody saw how `{title}` ended");
            return self.answer(id, Answer::Throw(Failure::new(text)));
        }
        let reason = if idempotent {
            format!("nobody saw how `{title}` ended, {lost} times")
        } else {
            format!("nobody saw how `{title}` ended, and it is not idempotent")
        };
        self.stop(StopCause::FailedStep, reason, Some(place), String::new());
        self.answer(id, Answer::Stop);
    }

    fn stop_for_survivors(&mut self, title: &str, place: &Place) {
        let pids: Vec<String> = self.survivors.iter().map(|p| p.pid.to_string()).collect();
        let reason = format!(
            "`{title}` could not be ended: pid {} lives on",
            pids.join(", ")
        );
        self.stop(
            StopCause::FailedStep,
            reason,
            Some(place.clone()),
            String::new(),
        );
    }

    /// Retries whose time has come.
    pub(super) fn retry_due(&mut self) {
        let boot_ms = self.now.boot_ms;
        let due: Vec<CallId> = self
            .retry_at
            .iter()
            .filter(|(_, at)| **at <= boot_ms)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.retry_at.remove(&id);
            let Some(state) = self.steps.get(&id) else {
                continue;
            };
            let (step, place, attempt) = (state.step.clone(), state.place.clone(), state.attempt);
            self.start_step(&id, step, place, attempt + 1);
        }
    }

    pub(super) fn on_group_end(
        &mut self,
        id: CallId,
        begin: u32,
        failed: bool,
        call: Call,
        place: Place,
    ) {
        let group = self.groups.get(&id.fiber).and_then(|groups| groups.last());
        let Some(group) = group.filter(|g| g.begin.number == begin || g.attempt > 1) else {
            return self.called(id, call, place, Answer::Value(Value::Bool(false)));
        };
        let time_left = group
            .ends_boot_ms
            .is_none_or(|ends| ends > self.now.boot_ms);
        // What is half undone is undone whole, even if another process began it and the time is
        // over by now.
        let again = group.unwinding || (group.attempt <= group.retries && time_left);
        if !failed || !again {
            return self.called(id, call, place, Answer::Value(Value::Bool(false)));
        }
        if let Some(reason) = self
            .no_return
            .get(group.no_return_before..)
            .and_then(<[_]>::last)
        {
            // What the attempt did cannot be undone, so there is no place to begin again from.
            let text = format!(
                "`{}` is not tried again: it passed a point of no return: {reason}",
                group.title
            );
            self.record(Event::Note {
                warning: true,
                text,
            });
            return self.called(id, call, place, Answer::Value(Value::Bool(false)));
        }
        let armed_before = group.armed_before;
        self.waiting.insert(
            id,
            Waiting::Unwind {
                armed_before,
                call: Box::new(call),
                place,
            },
        );
    }

    /// Goes on undoing what a failed attempt of a group has armed, so that the next attempt begins
    /// where the first one began.
    pub(super) fn unwind(&mut self) {
        let unwinding = self.waiting.iter().find_map(|(id, waiting)| match waiting {
            Waiting::Unwind { armed_before, .. } => Some((id.clone(), *armed_before)),
            _ => None,
        });
        let Some((id, armed_before)) = unwinding else {
            return;
        };
        if self.stop.is_some() {
            return self.answer(&id, Answer::Stop);
        }
        if self.resume_closure() {
            return;
        }
        let armed = self.armed.get(armed_before..).unwrap_or_default();
        if armed.iter().any(|a| a.status == ArmedStatus::Running) {
            return;
        }
        if armed
            .iter()
            .any(|a| matches!(a.status, ArmedStatus::Failed { .. }))
        {
            let reason = "what a failed attempt had done could not be undone".to_owned();
            self.stop(StopCause::FailedStep, reason, None, String::new());
            return;
        }
        if armed.iter().any(|a| a.status == ArmedStatus::Armed) {
            return self.start_back_out(armed_before);
        }
        let Some(Waiting::Unwind { call, place, .. }) = self.waiting.remove(&id) else {
            return;
        };
        self.called(id, *call, place, Answer::Value(Value::Bool(true)));
    }
}

/// How a step ended, by what was seen of it.
#[must_use]
pub fn outcome_of(end: &StepEnd, codes: &[i32]) -> Outcome {
    match (&end.end, &end.cut_off) {
        (End::Unseen, _) => Outcome::Unknown,
        (End::NotStarted { .. }, _) => Outcome::Failed,
        (_, Some(_)) => Outcome::CutOff,
        (End::Exited { code }, None) if codes.contains(code) => Outcome::Succeeded,
        (End::Exited { .. } | End::Signaled { .. } | End::Failed { .. }, None) => Outcome::Failed,
    }
}

/// The cause for which the run stops when a step has ended like this; `None` when the plan may
/// handle it.
fn stop_cause(outcome: Outcome, end: &StepEnd, limit_by: LimitBy) -> Option<StopCause> {
    match (outcome, &end.cut_off, limit_by) {
        (Outcome::Unknown, ..) => Some(StopCause::FailedStep),
        (Outcome::CutOff, Some(CutOff::Timeout), LimitBy::Deadline) => Some(StopCause::Deadline),
        (Outcome::CutOff, Some(CutOff::Timeout), LimitBy::Window) => Some(StopCause::WindowClosed),
        _ => None,
    }
}

/// What the script gets for a step that ended; `None` when the run stops for it.
#[must_use]
pub fn answer_of(
    step: &Step,
    end: &StepEnd,
    outcome: Outcome,
    limit_by: LimitBy,
) -> Option<Answer> {
    if stop_cause(outcome, end, limit_by).is_some() || !end.survivors.is_empty() {
        return None;
    }
    Some(answer_to_script(step, end, outcome, limit_by))
}

fn answer_to_script(step: &Step, end: &StepEnd, outcome: Outcome, limit_by: LimitBy) -> Answer {
    if outcome == Outcome::Succeeded {
        return Answer::Value(output_of(end));
    }
    Answer::Throw(Failure {
        kind: FailureKind::Step,
        message: match (&step.deed, end.tail.lines().last(), outcome) {
            // What changes files says itself what went wrong, and its exit status says nothing.
            (Deed::PutFile(_) | Deed::ChangeFile(_), Some(why), Outcome::Failed) => {
                format!("`{}` failed: {why}", step.title)
            }
            _ => format!("`{}` {}", step.title, end_words(end, limit_by, &step.codes)),
        },
        outcome: Some(outcome),
        code: match end.end {
            End::Exited { code } => Some(code),
            End::Signaled { .. } | End::NotStarted { .. } | End::Failed { .. } | End::Unseen => {
                None
            }
        },
        tail: end.tail.clone(),
        hint: None,
    })
}

/// The `Output` of a command, as the script sees it.
fn output_of(end: &StepEnd) -> Value {
    let code = match end.end {
        End::Exited { code } => json!(code),
        End::Signaled { .. } | End::NotStarted { .. } | End::Failed { .. } | End::Unseen => {
            Value::Null
        }
    };
    json!({
        "stdout": end.stdout.text,
        "stderr": end.stderr.text,
        "code": code,
        "duration": std::time::Duration::from_millis(end.duration_ms).as_secs_f64(),
        "cut": end.stdout.cut || end.stderr.cut,
    })
}
