//! What a run has done, as far as tests ask for it.

use crate::words::call::{Call, CallId, Deed, Step, Undo};
use crate::words::event::Event;
use crate::words::outcome::Outcome;
use crate::words::place::Place;

use super::perform::deed_text;

/// A step that was started.
#[derive(Clone, Debug)]
pub struct Done {
    /// Which.
    pub id: CallId,
    /// What it does, in one line.
    pub text: String,
    /// The step.
    pub step: Step,
    /// Where it stands.
    pub place: Place,
    /// How its last try ended, if it has.
    pub outcome: Option<Outcome>,
    /// Its tries.
    pub attempts: u32,
}

/// A back-out that was started.
#[derive(Clone, Debug)]
pub struct Undone {
    /// The call that it undoes.
    pub id: CallId,
    /// What it does, in one line: its title or its command.
    pub text: String,
    /// For a closure, the steps that it ran.
    pub steps: Vec<Done>,
    /// How it ended, if it has.
    pub outcome: Option<Outcome>,
}

impl Undone {
    /// What it did: the steps of a closure, else itself.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        if self.steps.is_empty() {
            vec![self.text.clone()]
        } else {
            self.steps.iter().map(|step| step.text.clone()).collect()
        }
    }
}

/// What was done and undone.
#[derive(Clone, Debug, Default)]
pub struct Deeds {
    /// The steps, in the order in which they were started.
    pub steps: Vec<Done>,
    /// The back-outs, likewise.
    pub back_outs: Vec<Undone>,
    /// What was read, such as `probe(["nginx","-v"])`.
    pub reads: Vec<String>,
    /// All calls, one line for each.
    pub calls: Vec<String>,
}

impl Deeds {
    /// Reads them out of events.
    #[must_use]
    pub fn of<'e>(events: impl IntoIterator<Item = &'e Event>) -> Self {
        let mut deeds = Self::default();
        for event in events {
            deeds.take(event);
        }
        deeds
    }

    /// The first back-out that did not succeed, nor a later try of it.
    #[must_use]
    pub fn not_undone(&self) -> Option<&Undone> {
        let succeeded = |undone: &&Undone| undone.outcome == Some(Outcome::Succeeded);
        self.back_outs.iter().find(|undone| {
            let tries = self.back_outs.iter().filter(|other| other.id == undone.id);
            !tries.rev().take(1).any(|last| succeeded(&last))
        })
    }

    fn find(&mut self, id: &CallId) -> Option<&mut Done> {
        let nested = self.back_outs.iter_mut().flat_map(|b| b.steps.iter_mut());
        let mut all: Vec<&mut Done> = self.steps.iter_mut().chain(nested).collect();
        let at = all.iter().rposition(|done| done.id == *id)?;
        Some(all.swap_remove(at))
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::StepStarted {
                id,
                attempt,
                step,
                place,
                ..
            } => {
                if *attempt > 1
                    && let Some(done) = self.find(id)
                {
                    done.attempts = *attempt;
                    return;
                }
                let done = Done {
                    id: id.clone(),
                    text: deed_text(&step.deed),
                    step: (**step).clone(),
                    place: place.clone(),
                    outcome: None,
                    attempts: *attempt,
                };
                let undone = self
                    .back_outs
                    .iter_mut()
                    .rev()
                    .find(|b| b.id.back_out_fiber() == id.fiber);
                match undone {
                    Some(undone) => undone.steps.push(done),
                    None => self.steps.push(done),
                }
            }
            Event::StepEnded {
                id, outcome, end, ..
            } => {
                let (outcome, code) = (*outcome, &end.end);
                let code = match code {
                    crate::words::step::End::Exited { code } if *code != 0 => {
                        format!(" with exit status {code}")
                    }
                    _ => String::new(),
                };
                let Some(done) = self.find(id) else { return };
                done.outcome = Some(outcome);
                let word = match &done.step.deed {
                    Deed::Command(_) => "run ",
                    Deed::PutFile(_) | Deed::ChangeFile(_) | Deed::Own { .. } => "",
                };
                let line = format!("{id} {word}{}: {}{code}", done.text, outcome.word());
                self.calls.push(line);
            }
            Event::BackOutStarted { id, title, .. } => self.back_outs.push(Undone {
                id: id.clone(),
                text: title.clone(),
                steps: Vec::new(),
                outcome: None,
            }),
            Event::BackOutEnded { id, outcome, .. } => {
                let undone = self.back_outs.iter_mut().rev().find(|b| b.id == *id);
                if let Some(undone) = undone {
                    undone.outcome = Some(*outcome);
                    let line = format!("back-out of {id}: {}: {}", undone.text, outcome.word());
                    self.calls.push(line);
                }
            }
            Event::Called {
                id, call, answer, ..
            } => {
                if let (Call::Read { .. }, Some(text)) = (call, call_text(call)) {
                    self.reads.push(text);
                }
                if let Some(text) = call_text(call) {
                    let end = match answer {
                        crate::words::call::Answer::Throw(failure) => {
                            format!(": {}", failure.message.lines().next().unwrap_or_default())
                        }
                        _ => String::new(),
                    };
                    self.calls.push(format!("{id} {text}{end}"));
                }
            }
            Event::CallBegan { id, call, .. } => {
                if let Some(text) = call_text(call) {
                    self.calls.push(format!("{id} {text}"));
                }
            }
            Event::Stopping { cause, reason, .. } => {
                self.calls
                    .push(format!("the run stops: {}: {reason}", cause.words()));
            }
            _ => {}
        }
    }
}

/// A call in one line; `None` for one that says nothing.
fn call_text(call: &Call) -> Option<String> {
    Some(match call {
        Call::Plan { .. } => "plan".into(),
        Call::Read { name, args } => {
            let args: Vec<String> = args.iter().map(short).collect();
            format!("{name}({})", args.join(", "))
        }
        Call::Check { name } => format!("check {name}"),
        Call::Step(step) => deed_text(&step.deed),
        Call::StepBegin { title, .. } => format!("group {title}"),
        Call::StepEnd { .. } => return None,
        Call::BackOut(back_out) => match back_out.undo {
            Undo::Nothing => return None,
            _ => format!("back_out {}", back_out.title),
        },
        Call::PointOfNoReturn { reason } => format!("point_of_no_return {reason}"),
        Call::Watch(watch) => format!("watch {}", watch.name),
        Call::Verify { name, .. } => format!("verify {name}"),
        Call::Soak { ms } => format!("soak {}s", ms / 1000),
        Call::Sleep { ms } => format!("sleep {}s", ms / 1000),
        Call::WaitForWindow { .. } => "wait_for_window".into(),
        Call::WaitForApproval { name, .. } => format!("wait_for_approval {name}"),
        Call::Note { warning, text } => {
            format!("{} {text}", if *warning { "warn" } else { "info" })
        }
        Call::Abort { reason } => format!("abort {reason}"),
    })
}

fn short(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 {
        let head: String = text.chars().take(60).collect();
        format!("{head}…")
    } else {
        text
    }
}
