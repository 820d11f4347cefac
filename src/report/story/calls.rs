//! Calls that are no steps: facts, checks, watches, waits; and what was called on which line.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::words::call::{Answer, Call, CallId};
use crate::words::event::{Event, Verdict};
use crate::words::outcome::Outcome;
use crate::words::place::Place;

use super::{Span, Story};

/// Characters that are kept of a value in words.
const LONGEST_VALUE: usize = 200;
/// Stretches of samples that are kept of a watch; between two of them its verdict changed.
const MOST_STRETCHES: usize = 2000;

/// What a check found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which call.
    pub id: CallId,
    /// What was asked for.
    pub name: String,
    /// Was it so?
    pub ok: bool,
    /// What was seen.
    pub detail: String,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
}

/// A call that is no step.
#[derive(Clone, Debug)]
pub struct CallStory {
    /// Which.
    pub id: CallId,
    /// Where it stands in the plan.
    pub place: Place,
    /// The function in the plan.
    pub function: String,
    /// What it is about, in words.
    pub what: String,
    /// From when to when.
    pub span: Span,
    /// Milliseconds it took, where that was measured.
    pub took_ms: u64,
    /// The kind of it, with what only that kind has.
    pub kind: CallKind,
    /// What it answered, in words; `None` before it has answered.
    pub answer: Option<Result<String, String>>,
    /// The last lines that came with an error.
    pub tail: String,
}

/// What a call is, as far as reports tell calls apart.
#[derive(Clone, Debug, PartialEq)]
pub enum CallKind {
    /// It reads a fact.
    Read,
    /// A check; the finding has the same id.
    Check,
    /// A success criterion.
    Verify {
        /// Milliseconds in which it must turn true.
        within_ms: u64,
        /// How often it was looked at.
        tries: u32,
        /// What was seen last.
        last: Option<Verdict>,
    },
    /// A watch.
    Watch,
    /// A wait of so many milliseconds, if that is known.
    Wait(Option<u64>),
    /// A step that was not begun.
    NoStep,
    /// Everything else.
    Other,
}

/// Samples of a watch in a row that saw the same.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// The first one, milliseconds since 1970.
    pub begin_ms: i64,
    /// The last one.
    pub end_ms: i64,
    /// How many.
    pub count: u64,
    /// What they saw.
    pub verdict: Verdict,
    /// Bad samples in a row at its end; 0 when they do not count.
    pub bad: u32,
}

/// A watch and its samples.
#[derive(Clone, Debug)]
pub struct Watching {
    /// Which call.
    pub id: CallId,
    /// Its name.
    pub name: String,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
    /// Its rule, if its begin was told.
    pub rule: Option<crate::words::call::Watch>,
    /// All samples, in order.
    pub stretches: Vec<Stretch>,
    /// Stretches that are not kept.
    pub stretches_dropped: u64,
    /// How many samples.
    pub samples: u64,
    /// How many of them were neither pass nor without data.
    pub bad_samples: u64,
    /// Did it trip?
    pub tripped: bool,
    /// When the last sample was taken.
    pub last_ms: i64,
}

/// How a call went, the worst one last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// As it should be.
    Good,
    /// It has not ended.
    Open,
    /// It was not as it should be.
    Bad,
}

/// What was called on a line of the plan.
#[derive(Clone, Debug)]
pub struct LineMark {
    /// The worst of them.
    pub mark: Mark,
    /// How many.
    pub calls: u64,
    /// The step to look at: the first of the worst ones.
    pub step: Option<CallId>,
    /// The worst one, in words.
    pub words: String,
}

impl Story {
    /// The watches, in the order in which they began.
    #[must_use]
    pub fn watches(&self) -> &[Watching] {
        &self.watches
    }

    /// The call that is no step and has this id.
    #[must_use]
    pub fn call(&self, id: &CallId) -> Option<&CallStory> {
        self.calls.get(*self.call_at.get(id)?)
    }

    pub(super) fn take_call(
        &mut self,
        event: &Event,
        (id, call, place): (&CallId, &Call, &Place),
        at_ms: i64,
    ) {
        let (answer, took_ms) = match event {
            Event::Called {
                answer, took_ms, ..
            } => (Some(answer), *took_ms),
            _ => (None, 0),
        };
        let (function, what, kind) = described(call);
        match call {
            Call::StepBegin { title, retries, .. } if !is_throw(answer) => {
                self.begin_group(id, (title, *retries), place, at_ms);
            }
            Call::StepEnd { failed, .. } => {
                let again = answer == Some(&Answer::Value(Value::Bool(true)));
                return self.end_group(id, failed.as_deref(), again, at_ms);
            }
            Call::BackOut(back_out) if !is_throw(answer) => self.arm_by_hand(id, back_out),
            Call::Watch(rule) if !is_throw(answer) => {
                let at = self.watching(id, &rule.name, at_ms);
                if let Some(watch) = self.watches.get_mut(at) {
                    watch.rule = Some(rule.clone());
                }
            }
            _ => {}
        }
        let began_ms = at_ms.saturating_sub_unsigned(took_ms);
        let mut told = CallStory {
            id: id.clone(),
            place: place.clone(),
            function,
            what,
            span: Span::from(began_ms),
            took_ms,
            kind,
            answer: None,
            tail: String::new(),
        };
        if let Some(answer) = answer {
            told.span.end_ms = Some(at_ms);
            told.take_answer(answer);
        }
        self.call_at.insert(id.clone(), self.calls.len());
        self.calls.push(told);
    }

    pub(super) fn on_seen(&mut self, event: &Event, at_ms: i64) {
        match event {
            Event::CallEnded { id, answer } => {
                if let Some(call) = self.call_mut(id) {
                    call.span.end_ms = Some(at_ms);
                    call.took_ms = call.span.ms(at_ms);
                    call.take_answer(answer);
                }
            }
            Event::Finding {
                id,
                name,
                ok,
                detail,
            } => self.findings.push(Finding {
                id: id.clone(),
                name: name.clone(),
                ok: *ok,
                detail: detail.clone(),
                at_ms,
            }),
            Event::Tried { id, verdict } => {
                if let Some(CallStory {
                    kind: CallKind::Verify { tries, last, .. },
                    ..
                }) = self.call_mut(id)
                {
                    *tries += 1;
                    *last = Some(verdict.clone());
                }
            }
            Event::Sampled {
                id,
                name,
                verdict,
                bad,
                ..
            } => {
                let at = self.watching(id, name, at_ms);
                if let Some(watch) = self.watches.get_mut(at) {
                    watch.take(verdict, *bad, at_ms);
                }
            }
            _ => {}
        }
    }

    fn call_mut(&mut self, id: &CallId) -> Option<&mut CallStory> {
        self.calls.get_mut(*self.call_at.get(id)?)
    }

    fn watching(&mut self, id: &CallId, name: &str, at_ms: i64) -> usize {
        if let Some(at) = self.watch_at.get(id) {
            return *at;
        }
        let at = self.watches.len();
        self.watch_at.insert(id.clone(), at);
        self.watches.push(Watching {
            id: id.clone(),
            name: name.to_owned(),
            since_ms: at_ms,
            rule: None,
            stretches: Vec::new(),
            stretches_dropped: 0,
            samples: 0,
            bad_samples: 0,
            tripped: false,
            last_ms: at_ms,
        });
        at
    }

    /// What was called on the lines of the plan's sources, by source and line.
    #[must_use]
    pub fn marks<'a>(&'a self) -> BTreeMap<&'a str, BTreeMap<u32, LineMark>> {
        let mut all: BTreeMap<&'a str, BTreeMap<u32, LineMark>> = BTreeMap::new();
        let mut put = |place: &'a Place, mark, step: Option<&CallId>, words: &str| {
            let lines = all.entry(place.file.as_str()).or_default();
            let line = lines.entry(place.line).or_insert_with(|| LineMark {
                mark,
                calls: 0,
                step: step.cloned(),
                words: words.to_owned(),
            });
            line.calls += 1;
            if mark > line.mark {
                line.mark = mark;
                line.step = step.cloned();
                words.clone_into(&mut line.words);
            } else if mark == line.mark && line.step.is_none() {
                line.step = step.cloned();
            }
        };
        for step in &self.steps {
            let (mark, words) = match (step.outcome(), step.is_open()) {
                (Some(Outcome::Succeeded), _) => (Mark::Good, "succeeded"),
                (Some(outcome), _) => (Mark::Bad, outcome.word()),
                (None, true) => (Mark::Open, "no end is known"),
                (None, false) => (Mark::Bad, "was not started"),
            };
            put(&step.place, mark, Some(&step.id), words);
        }
        let failed: BTreeSet<&CallId> = self
            .findings
            .iter()
            .filter(|f| !f.ok)
            .map(|f| &f.id)
            .collect();
        for call in &self.calls {
            let tripped = self.watch_at.get(&call.id);
            let tripped = tripped.and_then(|at| self.watches.get(*at));
            let (mark, words) = match &call.answer {
                _ if tripped.is_some_and(|w| w.tripped) => (Mark::Bad, "tripped"),
                _ if failed.contains(&call.id) => (Mark::Bad, "failed"),
                None => (Mark::Open, "no end is known"),
                Some(Ok(_)) => (Mark::Good, "ok"),
                Some(Err(_)) => (Mark::Bad, "failed"),
            };
            put(&call.place, mark, None, words);
        }
        all
    }
}

impl CallStory {
    fn take_answer(&mut self, answer: &Answer) {
        self.answer = Some(match answer {
            Answer::Value(Value::Null) => Ok(String::new()),
            Answer::Value(Value::String(text)) => Ok(short(text)),
            Answer::Value(value) => Ok(short(&value.to_string())),
            Answer::Throw(failure) => {
                self.tail.clone_from(&failure.tail);
                Err(failure.message.clone())
            }
            Answer::Stop => Err("the run had stopped".to_owned()),
        });
    }
}

impl Watching {
    fn take(&mut self, verdict: &Verdict, bad: u32, at_ms: i64) {
        self.samples += 1;
        self.last_ms = at_ms;
        if matches!(verdict, Verdict::Fail | Verdict::Error(_)) {
            self.bad_samples += 1;
        }
        let limit = self.rule.as_ref().filter(|rule| !rule.observe);
        self.tripped |= limit.is_some_and(|rule| bad >= rule.failures.max(1));
        let last = self.stretches.last_mut();
        if let Some(last) =
            last.filter(|last| last.verdict == *verdict && (last.bad > 0) == (bad > 0))
        {
            last.end_ms = at_ms;
            last.count += 1;
            last.bad = bad;
            return;
        }
        if self.stretches.len() >= MOST_STRETCHES {
            self.stretches_dropped += 1;
            return;
        }
        self.stretches.push(Stretch {
            begin_ms: at_ms,
            end_ms: at_ms,
            count: 1,
            verdict: verdict.clone(),
            bad,
        });
    }
}

fn is_throw(answer: Option<&Answer>) -> bool {
    matches!(answer, Some(Answer::Throw(_) | Answer::Stop))
}

/// The function in the plan, what the call is about, and its kind.
fn described(call: &Call) -> (String, String, CallKind) {
    let other = |function: &str, what: &str| (function.to_owned(), short(what), CallKind::Other);
    let kind = |function: &str, what: &str, kind| (function.to_owned(), short(what), kind);
    match call {
        Call::Plan { header } => other("plan", &header.release()),
        Call::Read { name, args } => {
            let args: Vec<String> = args.iter().map(Value::to_string).collect();
            (name.clone(), short(&args.join(", ")), CallKind::Read)
        }
        Call::Check { name } => kind("check", name, CallKind::Check),
        Call::Step(step) => kind("step", &step.title, CallKind::NoStep),
        Call::StepBegin { title, .. } => other("step", title),
        Call::StepEnd { .. } => other("step", ""),
        Call::BackOut(back_out) => other("back_out", &back_out.title),
        Call::PointOfNoReturn { reason } => other("point_of_no_return", reason),
        Call::Watch(watch) => kind("watch", &watch.name, CallKind::Watch),
        Call::Verify {
            name, within_ms, ..
        } => {
            let verify = CallKind::Verify {
                within_ms: *within_ms,
                tries: 0,
                last: None,
            };
            kind("verify", name, verify)
        }
        Call::Soak { ms } => kind("soak", "", CallKind::Wait(Some(*ms))),
        Call::Sleep { ms } => kind("sleep", "", CallKind::Wait(Some(*ms))),
        Call::WaitForWindow { window } => {
            let what = window.as_deref().unwrap_or_default();
            kind("wait_for_window", what, CallKind::Wait(None))
        }
        Call::WaitForApproval { name, timeout_ms } => {
            kind("wait_for_approval", name, CallKind::Wait(*timeout_ms))
        }
        Call::Note { warning, text } => other(if *warning { "warn" } else { "info" }, text),
        Call::Abort { reason } => other("abort", reason),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
