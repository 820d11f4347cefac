//! The model of a script's thread: it runs a program, makes calls, and obeys the answers, as
//! `supervisor/fiber.rs` does. It asks the journal first.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::supervisor::core::{Input, ScriptEnd};
use crate::supervisor::recorded::Recorded;
use crate::words::call::{Answer, Call, CallId, Failure, FailureKind};
use crate::words::event::json_text;
use crate::words::outcome::StopCause;
use crate::words::place::Place;

use super::plan::{Op, Plan};
use super::random::Random;

/// The closures that undo, by the call that armed them: the program of each.
pub(super) type Undos = BTreeMap<CallId, Option<usize>>;

#[derive(Clone, Debug)]
enum Frame {
    Try {
        handler: usize,
    },
    Group {
        begin: u32,
        start: usize,
    },
    /// The end of a group whose body threw this.
    Failing {
        begin: u32,
        start: usize,
        error: Failure,
    },
}

#[derive(Clone, Debug)]
enum State {
    Ready,
    /// It looks at something; its call is made afterwards.
    Looking {
        id: CallId,
        call: Call,
        pass: u64,
    },
    /// It waits for the answer.
    Asked {
        id: CallId,
        call: Call,
    },
    Ended,
}

/// What a thread does next.
#[derive(Debug)]
pub(super) enum Does {
    /// It goes on in a moment.
    GoesOn,
    /// It looks at something for so long.
    Looks(u64),
    /// It makes a call and waits.
    Asks(Box<Input>),
    /// It ends.
    Ends(ScriptEnd),
    /// It waits.
    Waits,
}

#[derive(Debug)]
pub(super) struct Script {
    pub(super) fiber: String,
    /// Which start of a thread it is, among all of the world.
    pub(super) generation: u64,
    /// Every further call is refused.
    pub(super) stop: bool,
    program: usize,
    at: usize,
    number: u32,
    last: u64,
    frames: Vec<Frame>,
    throwing: Option<Failure>,
    state: State,
}

impl Script {
    pub(super) fn new(fiber: String, program: usize, generation: u64) -> Self {
        Self {
            fiber,
            generation,
            stop: false,
            program,
            at: 0,
            number: 0,
            last: 0,
            frames: Vec::new(),
            throwing: None,
            state: State::Ready,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Does it wait for the answer to this call?
    pub(super) fn awaits(&self, id: &CallId) -> bool {
        matches!(&self.state, State::Asked { id: other, .. } if other == id)
    }

    /// Does it wait for the answer to a verify? Then how probable is it that it is met?
    pub(super) fn verifies(&self, plan: &Plan) -> Option<u64> {
        let State::Asked {
            call: Call::Verify { name, .. },
            ..
        } = &self.state
        else {
            return None;
        };
        plan.programs.iter().flatten().find_map(|op| match op {
            Op::Verify {
                name: other, pass, ..
            } if other == name => Some(*pass),
            _ => None,
        })
    }

    /// Runs until it must wait.
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        recorded: &Recorded,
        undos: &mut Undos,
        random: &mut Random,
    ) -> Does {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Ended => {
                self.state = State::Ended;
                return Does::Waits;
            }
            asked @ State::Asked { .. } => {
                self.state = asked;
                return Does::Waits;
            }
            State::Looking { id, call, pass } => return self.looked(id, call, pass, random),
            State::Ready => {}
        }
        if let Some(error) = self.throwing.take() {
            return self.unwind(error, recorded);
        }
        let Some(op) = plan.programs[self.program].get(self.at).cloned() else {
            return self.end(if self.stop {
                ScriptEnd::Stopped
            } else {
                ScriptEnd::Done
            });
        };
        match op {
            Op::Try { handler } => {
                self.frames.push(Frame::Try { handler });
                self.go_on(self.at + 1)
            }
            Op::TryEnd { to } => {
                self.frames.pop();
                self.go_on(to)
            }
            Op::Jump { to } => self.go_on(to),
            Op::Branch { to } => self.go_on(if self.last % 2 == 1 { to } else { self.at + 1 }),
            Op::Raise => {
                self.throwing = Some(Failure::new("the script threw"));
                Does::GoesOn
            }
            Op::Read { ms } => self.look(
                Call::Read {
                    name: "probe".into(),
                    args: vec![json!(self.at)],
                },
                ms,
                0,
                recorded,
            ),
            Op::Check { pass, ms } => self.look(
                Call::Check {
                    name: format!("check {}", self.at),
                },
                ms,
                pass,
                recorded,
            ),
            Op::GroupEnd => {
                let begin = match self.frames.last() {
                    Some(Frame::Group { begin, .. }) => *begin,
                    _ => 0,
                };
                self.call(
                    Call::StepEnd {
                        begin,
                        failed: None,
                    },
                    None,
                    recorded,
                    undos,
                )
            }
            other => {
                let (call, closure) = call_of(&self.fiber, plan, other);
                self.call(call, closure, recorded, undos)
            }
        }
    }

    fn go_on(&mut self, at: usize) -> Does {
        self.at = at;
        Does::GoesOn
    }

    fn end(&mut self, end: ScriptEnd) -> Does {
        self.state = State::Ended;
        Does::Ends(end)
    }

    fn halt(&mut self) -> Does {
        let error = || ScriptEnd::Error {
            cause: StopCause::ScriptError,
            reason: "stopped".into(),
            place: None,
            detail: String::new(),
        };
        self.end(if self.stop {
            ScriptEnd::Stopped
        } else {
            error()
        })
    }

    fn next_id(&mut self) -> CallId {
        self.number += 1;
        CallId {
            fiber: self.fiber.clone(),
            number: self.number,
        }
    }

    fn place(&self) -> Place {
        Place::new("plan.rhai", u32::try_from(self.at).unwrap_or(0) + 1, 1)
    }

    /// The error leaves what it is in.
    fn unwind(&mut self, error: Failure, recorded: &Recorded) -> Does {
        match self.frames.pop() {
            None => {
                let cause = match error.kind {
                    FailureKind::Step => StopCause::FailedStep,
                    FailureKind::Check => StopCause::FailedCheck,
                    FailureKind::Verify => StopCause::FailedVerify,
                    FailureKind::Call => StopCause::ScriptError,
                };
                let (reason, place) = (error.message, Some(self.place()));
                if self.stop {
                    return self.end(ScriptEnd::Stopped);
                }
                self.end(ScriptEnd::Error {
                    cause,
                    reason,
                    place,
                    detail: String::new(),
                })
            }
            Some(Frame::Try { handler }) => self.go_on(handler),
            Some(Frame::Group { begin, start }) => {
                if self.stop {
                    return self.halt();
                }
                let failed = Some(error.message.clone());
                self.frames.push(Frame::Failing {
                    begin,
                    start,
                    error,
                });
                self.call(
                    Call::StepEnd { begin, failed },
                    None,
                    recorded,
                    &mut Undos::new(),
                )
            }
            // The end of the group was itself refused.
            Some(Frame::Failing { .. }) => {
                self.throwing = Some(error);
                Does::GoesOn
            }
        }
    }

    fn look(&mut self, call: Call, ms: u64, pass: u64, recorded: &Recorded) -> Does {
        if self.stop {
            return self.halt();
        }
        let id = self.next_id();
        if let Some(does) = self.replay(&id, &call, recorded) {
            return does;
        }
        self.state = State::Looking { id, call, pass };
        Does::Looks(ms)
    }

    fn looked(&mut self, id: CallId, call: Call, pass: u64, random: &mut Random) -> Does {
        if self.stop {
            return self.halt();
        }
        let answer = match call {
            Call::Check { .. } => Answer::Value(json!(random.chance(pass))),
            _ if random.chance(2) => Answer::Throw(Failure::new("it could not be read")),
            _ => Answer::Value(json!(random.below(4))),
        };
        let place = self.place();
        self.state = State::Asked {
            id: id.clone(),
            call: call.clone(),
        };
        Does::Asks(Box::new(Input::Read {
            id,
            call,
            place,
            answer,
            detail: String::new(),
            took_ms: 1,
        }))
    }

    fn call(
        &mut self,
        call: Call,
        closure: Option<usize>,
        recorded: &Recorded,
        undos: &mut Undos,
    ) -> Does {
        if self.stop {
            return self.halt();
        }
        let id = self.next_id();
        match &call {
            Call::Step(step) if step.back_out.is_some() => drop(undos.insert(id.clone(), closure)),
            Call::BackOut(_) => drop(undos.insert(id.clone(), closure)),
            _ => {}
        }
        if let Some(does) = self.replay(&id, &call, recorded) {
            return does;
        }
        let place = self.place();
        self.state = State::Asked {
            id: id.clone(),
            call: call.clone(),
        };
        Does::Asks(Box::new(Input::Call { id, call, place }))
    }

    fn replay(&mut self, id: &CallId, call: &Call, recorded: &Recorded) -> Option<Does> {
        let known = recorded.get(id)?;
        if known.call != *call {
            let detail = format!(
                "in the journal: {}, on replay: {}",
                json_text(&known.call),
                json_text(call)
            );
            self.state = State::Asked {
                id: id.clone(),
                call: call.clone(),
            };
            return Some(Does::Asks(Box::new(Input::Diverged {
                id: id.clone(),
                place: self.place(),
                detail,
            })));
        }
        let answer = known.answer.clone()?;
        self.state = State::Asked {
            id: id.clone(),
            call: call.clone(),
        };
        Some(self.take(answer))
    }

    /// Takes the answer to the call it waits for.
    pub(super) fn take(&mut self, answer: Answer) -> Does {
        let State::Asked { call, .. } = std::mem::replace(&mut self.state, State::Ready) else {
            self.state = State::Ended;
            return Does::Waits;
        };
        let value = match answer {
            Answer::Value(value) => value,
            Answer::Throw(failure) => {
                self.throwing = Some(failure);
                return Does::GoesOn;
            }
            Answer::Stop => return self.halt(),
        };
        match call {
            Call::Read { .. } => self.last = value.as_u64().unwrap_or(0),
            Call::StepBegin { .. } => {
                let begin = value
                    .as_u64()
                    .and_then(|n| u32::try_from(n).ok())
                    .unwrap_or(0);
                self.frames.push(Frame::Group {
                    begin,
                    start: self.at + 1,
                });
            }
            Call::StepEnd { .. } => {
                if let Some(Frame::Failing {
                    begin,
                    start,
                    error,
                }) = self.frames.pop()
                {
                    if value == Value::Bool(true) {
                        self.frames.push(Frame::Group { begin, start });
                        return self.go_on(start);
                    }
                    self.throwing = Some(error);
                    return Does::GoesOn;
                }
            }
            _ => {}
        }
        self.go_on(self.at + 1)
    }
}

fn call_of(fiber: &str, plan: &Plan, op: Op) -> (Call, Option<usize>) {
    let call = match op {
        Op::Step { step, closure } => return (Call::Step(step), closure),
        Op::BackOut { back_out, closure } => return (Call::BackOut(back_out), closure),
        Op::GroupBegin {
            title,
            timeout_ms,
            retries,
        } => Call::StepBegin {
            title,
            timeout_ms,
            retries,
        },
        Op::Watch(watch) => Call::Watch(watch),
        Op::Verify {
            name,
            within_ms,
            every_ms,
            ..
        } => Call::Verify {
            name,
            within_ms,
            every_ms,
        },
        Op::Soak { ms } => Call::Soak { ms },
        Op::Sleep { ms } => Call::Sleep { ms },
        Op::Window(window) => Call::WaitForWindow { window },
        Op::Approval { name, timeout_ms } => Call::WaitForApproval { name, timeout_ms },
        Op::NoReturn => Call::PointOfNoReturn {
            reason: "the data were moved".into(),
        },
        Op::Abort => Call::Abort {
            reason: "the plan said so".into(),
        },
        Op::Header => Call::Plan {
            header: plan.header.clone(),
        },
        _ => Call::Note {
            warning: false,
            text: format!("note of {fiber}"),
        },
    };
    (call, None)
}
