//! What the journal knows of the calls of a run: the answers that a replay gives again.

use std::collections::HashMap;

use crate::words::call::{Answer, Call, CallId};
use crate::words::event::{Event, LimitBy};

use super::core::answer_of;

/// One call in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedCall {
    /// What was asked, secrets masked.
    pub call: Call,
    /// What was answered, if it was.
    pub answer: Option<Answer>,
}

/// All calls in the journal of a run.
#[derive(Debug, Default)]
pub struct Recorded {
    calls: HashMap<CallId, RecordedCall>,
    limits: HashMap<CallId, LimitBy>,
}

impl Recorded {
    /// Reads the calls out of a run's events.
    pub fn from_events<'e>(events: impl IntoIterator<Item = &'e Event>) -> Self {
        let mut recorded = Self::default();
        for event in events {
            recorded.take(event);
        }
        recorded
    }

    /// The call with this id, if it is in the journal.
    #[must_use]
    pub fn get(&self, id: &CallId) -> Option<&RecordedCall> {
        self.calls.get(id)
    }

    /// The last call of a fiber, if it made any.
    #[must_use]
    pub fn last_of(&self, fiber: &str) -> Option<&CallId> {
        let calls = self.calls.keys().filter(|id| id.fiber == fiber);
        calls.max_by_key(|id| id.number)
    }

    /// How many calls there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Called {
                id, call, answer, ..
            } => {
                let answer = Some(answer.clone());
                self.calls.insert(
                    id.clone(),
                    RecordedCall {
                        call: call.clone(),
                        answer,
                    },
                );
            }
            Event::CallBegan { id, call, .. } => {
                self.calls.insert(
                    id.clone(),
                    RecordedCall {
                        call: call.clone(),
                        answer: None,
                    },
                );
            }
            Event::CallEnded { id, answer } => {
                if let Some(recorded) = self.calls.get_mut(id) {
                    recorded.answer = Some(answer.clone());
                }
            }
            Event::StepStarted {
                id, step, limit_by, ..
            } => {
                let call = Call::Step(step.clone());
                self.calls
                    .insert(id.clone(), RecordedCall { call, answer: None });
                self.limits.insert(id.clone(), *limit_by);
            }
            Event::StepEnded {
                id,
                outcome,
                end,
                again: false,
                ..
            } => {
                let by = self.limits.get(id).copied().unwrap_or(LimitBy::Timeout);
                let Some(recorded) = self.calls.get_mut(id) else {
                    return;
                };
                if let Call::Step(step) = &recorded.call {
                    recorded.answer = answer_of(step, end, *outcome, by);
                }
            }
            _ => {}
        }
    }
}
