//! What is said of a run: events in, lines out. It prints nothing and reads nothing.
//!
//! The same lines are said while a run goes on and when it is shown afterwards.

mod activity;
mod head;
mod phrases;
mod recap;
mod steps;
#[cfg(test)]
mod tests;
mod waits;
mod zone;

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::words::call::{BackOut, Call, CallId, Watch};
use crate::words::event::{Actor, Event, LimitBy, RunEnd, Stamped, Verdict};
use crate::words::header::Header;
use crate::words::notice::Occasion;
use crate::words::outcome::{Outcome, Phase};
use crate::words::place::Place;
use crate::words::step::ProcessFact;

use super::line::{Line, Tone, Weight, first_line};

pub use activity::Activity;
pub use phrases::{coarse, quoted, show_instant, show_ms, whole_commands};
pub use zone::Zone;

pub(super) use crate::words::duration::took;
pub(super) use phrases::{limit_words, plan_name, window_edge};
pub(super) use recap::again;
pub(super) use steps::process_words;

use phrases::{positive, thrown};

/// For whom the lines are.
#[derive(Clone, Debug)]
pub struct Look {
    /// -1: only failures and the recap; 0; 1: samples and facts too; from 2 on: each event too.
    pub verbosity: i8,
    /// In whose clock times are told.
    pub zone: Zone,
    /// How this program is called in commands to type: `deployrun`, perhaps with `--state DIR`.
    pub program: String,
    /// Where the journal is.
    pub state_dir: String,
    /// Say the last lines of each step's output? Not while they are shown as they come.
    pub tails: bool,
}

/// A step, as far as the lines after its begin need it.
#[derive(Clone, Debug)]
struct StepStory {
    title: String,
    limit_by: LimitBy,
    codes: Vec<i32>,
    outcome: Option<Outcome>,
    tail: String,
    left_running: Vec<ProcessFact>,
    /// Of all its tries together.
    took_ms: u64,
    /// Did one of them act?
    acted: bool,
}

#[derive(Clone, Debug)]
struct Began {
    call: Call,
    at_ms: i64,
    tries: u32,
    last: Option<Verdict>,
}

#[derive(Clone, Debug)]
struct Group {
    title: String,
    at_ms: i64,
    retries: u32,
    attempt: u32,
    /// How many failures were told before it began.
    failed_before: usize,
}

#[derive(Clone, Debug)]
struct Stop {
    place: Option<Place>,
    /// The step whose failure is the cause, if it was one.
    step: Option<CallId>,
}

#[derive(Clone, Debug)]
struct Start {
    by: Actor,
    plan: String,
    fingerprint: String,
    deployrun: String,
    /// What the plan was given as `args`.
    args: serde_json::Map<String, serde_json::Value>,
    clock_injected: bool,
    approved: Option<String>,
    at_ms: i64,
}

#[derive(Clone, Debug)]
struct Undone {
    title: String,
    by: String,
}

/// A run as it has been told so far.
#[derive(Debug)]
pub struct Lines {
    look: Look,
    run: String,
    start: Option<Start>,
    header: Header,
    head_told: bool,
    heading: Option<&'static str>,
    phase: Phase,
    /// The phases that it has come to, and when.
    phases: Vec<(Phase, i64)>,
    day: Option<Date>,
    now_ms: i64,
    failed_findings: Vec<(String, String)>,
    /// Steps that failed for good, outside back-outs, and why: if the run goes on, the plan has caught that.
    failed_steps: Vec<(CallId, String)>,
    steps: BTreeMap<CallId, StepStory>,
    back_outs: BTreeMap<CallId, (BackOut, i64)>,
    began: BTreeMap<CallId, Began>,
    groups: BTreeMap<String, Vec<Group>>,
    watches: BTreeMap<CallId, (Watch, u32)>,
    activities: Vec<Activity>,
    armed: Vec<CallId>,
    stop: Option<Stop>,
    undone: Vec<Undone>,
    /// What back-outs have left running, with their titles.
    left_by_back_outs: Vec<(ProcessFact, String)>,
    no_return: Vec<String>,
    override_reason: Option<String>,
    lock_waited: bool,
    approvals: Vec<(String, bool)>,
    interrupts: u32,
    left: Option<String>,
    end: Option<RunEnd>,
    has_said: bool,
    out: Vec<Line>,
}

impl Lines {
    /// Lines of a run of which nothing has been told.
    #[must_use]
    pub fn new(look: Look) -> Self {
        Self {
            look,
            run: String::new(),
            start: None,
            // Until it is read nothing is known of it, its environment included.
            header: Header {
                environment: String::new(),
                ..Header::default()
            },
            head_told: false,
            heading: None,
            phase: Phase::Review,
            phases: Vec::new(),
            day: None,
            now_ms: 0,
            failed_findings: Vec::new(),
            failed_steps: Vec::new(),
            steps: BTreeMap::new(),
            back_outs: BTreeMap::new(),
            began: BTreeMap::new(),
            groups: BTreeMap::new(),
            watches: BTreeMap::new(),
            activities: Vec::new(),
            armed: Vec::new(),
            stop: None,
            undone: Vec::new(),
            left_by_back_outs: Vec::new(),
            no_return: Vec::new(),
            override_reason: None,
            lock_waited: false,
            approvals: Vec::new(),
            interrupts: 0,
            left: None,
            end: None,
            has_said: false,
            out: Vec::new(),
        }
    }

    /// Takes an event that was told before, by another process.
    pub fn recall(&mut self, event: &Stamped) {
        let _ = self.tell(event);
        self.head_told = false;
        self.has_said = false;
        self.left = None;
        self.interrupts = 0;
    }

    /// What there is to say of an event.
    pub fn tell(&mut self, event: &Stamped) -> Vec<Line> {
        self.run.clone_from(&event.run);
        self.now_ms = event.at_ms;
        let is_last = matches!(event.event, Event::RunEnded { .. } | Event::Left { .. });
        if is_last {
            self.tell_event(event);
        }
        self.on_event(&event.event);
        if !is_last {
            self.tell_event(event);
        }
        std::mem::take(&mut self.out)
    }

    /// The run's id; empty before its first event.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// When the last event happened, milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// How the run ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<&RunEnd> {
        self.end.as_ref()
    }

    /// What goes on now.
    #[must_use]
    pub fn activities(&self) -> &[Activity] {
        &self.activities
    }

    /// The approvals that are asked for and not given.
    pub fn wanted_approvals(&self) -> impl Iterator<Item = &str> {
        let open = self.approvals.iter().filter(|(_, given)| !given);
        open.map(|(name, _)| name.as_str())
    }

    /// `shop-web 2.4.0 → production`.
    #[must_use]
    pub fn release(&self) -> String {
        let name = match self.header.name.as_str() {
            "" => self.start.as_ref().map_or("?", |s| plan_name(&s.plan)),
            _ => &self.header.release(),
        };
        match self.header.environment.as_str() {
            "" => first_line(name),
            environment => first_line(&format!("{name} → {environment}")),
        }
    }

    /// What would be undone by a back-out now, the newest first.
    pub fn armed(&self) -> impl Iterator<Item = String> + '_ {
        self.armed.iter().rev().map(|id| self.armed_words(id))
    }

    fn armed_words(&self, id: &CallId) -> String {
        let by = self.back_outs.get(id).map(|(b, _)| first_line(&b.title));
        match (self.steps.get(id), by) {
            (Some(step), Some(by)) => format!("{} (by: `{by}`)", first_line(&step.title)),
            (Some(step), None) => first_line(&step.title),
            (None, by) => by.unwrap_or_default(),
        }
    }

    /// A line of a running step's output.
    #[must_use]
    pub fn output_line(&self, depth: usize, text: &str) -> Line {
        Line {
            in_column: true,
            depth,
            tone: Tone::Dim,
            text: format!("| {text}"),
            ..Line::default()
        }
    }

    /// A line of what this process sees and the journal does not have: signs of life, gaps.
    #[must_use]
    pub fn aside(&self, depth: usize, now_ms: i64, text: String) -> Line {
        Line {
            in_column: true,
            time: self.time(now_ms),
            depth,
            tone: Tone::Dim,
            mark: "...",
            text,
            ..Line::default()
        }
    }

    fn on_event(&mut self, event: &Event) {
        let untold = matches!(
            event,
            Event::RunStarted { .. }
                | Event::RunResumed { .. }
                | Event::Header { .. }
                | Event::Called {
                    call: Call::Plan { .. },
                    ..
                }
        );
        if !untold {
            self.tell_head();
        }
        match event {
            Event::RunStarted { .. } | Event::RunResumed { .. } | Event::Header { .. } => {
                self.on_begin(event);
            }
            Event::Phase { phase } => self.on_phase(*phase),
            Event::Called {
                id,
                call,
                place,
                answer,
                took_ms,
            } => self.on_called(id, call, place, answer, *took_ms),
            Event::CallBegan { id, call, place } => self.on_call_began(id, call, place),
            Event::CallEnded { id, answer } => self.on_call_ended(id, answer),
            Event::Finding {
                id,
                name,
                ok,
                detail,
            } => self.on_finding(id, name, *ok, detail),
            Event::StepStarted { .. } | Event::StepEnded { .. } | Event::StepVoid { .. } => {
                self.on_step(event);
            }
            Event::BackOutStarted { .. }
            | Event::BackOutVoid { .. }
            | Event::BackOutEnded { .. } => self.on_back_out(event),
            Event::LockWaited { .. }
            | Event::LockTaken { .. }
            | Event::ApprovalAsked { .. }
            | Event::Approved { .. }
            | Event::WindowAwaited { .. }
            | Event::WindowOpen { .. }
            | Event::WindowOverridden { .. } => self.on_gate(event),
            Event::GateOpened => self.detail("gate", "open: from here on steps act"),
            Event::Sampled {
                id,
                name,
                verdict,
                bad,
                ..
            } => self.on_sampled(id, name, verdict, *bad),
            Event::Tried { id, verdict } => self.on_tried(id, verdict),
            Event::Stopping {
                cause,
                reason,
                place,
                detail,
            } => self.on_stopping(*cause, reason, place.as_ref(), detail),
            Event::Disarmed {
                ids,
                reason,
                no_return,
            } => self.on_disarmed(ids, reason, *no_return),
            Event::Interrupted { signal, count } => self.on_interrupted(signal, *count),
            Event::HungUp => self.say(
                Tone::Warn,
                "note",
                "the terminal went away; the run goes on",
            ),
            Event::Left { reason } => {
                self.left = Some(reason.clone());
                self.tell_left();
            }
            Event::Note { warning, text } => self.on_note(*warning, text, 0),
            Event::Notified {
                on, to, problem, ..
            } => self.on_notified(*on, to, problem),
            Event::RunEnded { end } => {
                self.end = Some(end.clone());
                self.activities.clear();
                self.heading = None;
                self.tell_recap();
            }
        }
    }

    /// The event itself, for those who want to see each.
    fn tell_event(&mut self, event: &Stamped) {
        if self.look.verbosity > 1 && self.head_told {
            let id = event
                .event
                .call()
                .map_or_else(String::new, |id| format!(" [{id}]"));
            let text = format!("{} {}{id}", event.seq, event.event.kind());
            self.detail("event", &text);
        }
    }

    fn on_phase(&mut self, phase: Phase) {
        if std::mem::replace(&mut self.phase, phase) == phase {
            return;
        }
        self.phases.push((phase, self.now_ms));
        // An end has no lines of its own: the recap tells it.
        self.heading = phase.ended().is_none().then(|| phase.word());
    }

    fn on_finding(&mut self, id: &CallId, name: &str, ok: bool, detail: &str) {
        let gap = if detail.is_empty() { "" } else { ": " };
        let text = format!("{name}{gap}{detail}");
        let depth = self.depth(id);
        if ok {
            self.say_at(depth, Tone::Good, Weight::Normal, "ok", &text);
        } else {
            let found = (name.to_owned(), detail.to_owned());
            self.failed_findings.push(found);
            self.say_at(depth, Tone::Bad, Weight::Always, "FAILED", &text);
        }
    }

    fn on_note(&mut self, warning: bool, text: &str, depth: usize) {
        let (tone, mark) = match warning {
            true => (Tone::Warn, "WARNING"),
            false => (Tone::Plain, "note"),
        };
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        self.say_at(depth, tone, Weight::Normal, mark, &first);
        for line in lines {
            self.follow(depth, Weight::Normal, Tone::Plain, line);
        }
    }

    fn on_notified(&mut self, on: Occasion, to: &str, problem: &str) {
        let on = on.word();
        if problem.is_empty() {
            return self.say(Tone::Dim, "told", &format!("{to}: {on}"));
        }
        let text = format!("{to} could not be told of `{on}`: {problem}");
        self.say(Tone::Warn, "WARNING", &text);
    }

    /// How deep the lines of a call are nested.
    fn depth(&self, id: &CallId) -> usize {
        let groups = self.groups.get(&id.fiber).map_or(0, Vec::len);
        groups + usize::from(id.is_in_back_out())
    }

    // How lines are said.

    fn say(&mut self, tone: Tone, mark: &'static str, text: &str) {
        self.say_at(0, tone, Weight::Normal, mark, text);
    }

    fn detail(&mut self, mark: &'static str, text: &str) {
        self.say_at(0, Tone::Dim, Weight::Detail, mark, text);
    }

    fn say_at(&mut self, depth: usize, tone: Tone, weight: Weight, mark: &'static str, text: &str) {
        let time = self.time(self.now_ms);
        let text = super::line::on_one_line(text);
        self.push(Line {
            weight,
            tone,
            time,
            in_column: true,
            depth,
            mark,
            text,
        });
    }

    /// A line that goes on with the one above, under its text.
    fn follow(&mut self, depth: usize, weight: Weight, tone: Tone, text: &str) {
        // Four levels are as wide as a mark.
        self.push(Line {
            weight,
            tone,
            in_column: true,
            depth: depth + 4,
            text: super::line::on_one_line(text),
            ..Line::default()
        });
    }

    fn tail(&mut self, depth: usize, weight: Weight, lines: &[&str]) {
        for line in lines {
            let line = self.output_line(depth + 1, &super::line::on_one_line(line));
            self.push(line.weighing(weight));
        }
    }

    fn margin(&mut self, tone: Tone, text: impl AsRef<str>) {
        self.push(Line::margin(tone, text).weighing(Weight::Always));
    }

    /// An empty line, unless nothing stands above it.
    fn blank(&mut self) {
        if self.has_said {
            self.push(Line::blank().weighing(Weight::Always));
        }
    }

    fn push(&mut self, line: Line) {
        let shown = match line.weight {
            Weight::Detail => self.look.verbosity > 0,
            Weight::Normal => self.look.verbosity >= 0,
            Weight::Always => true,
        };
        if !shown {
            return;
        }
        if let Some(heading) = self.heading.take()
            && self.look.verbosity >= 0
        {
            self.out.push(Line::blank());
            let text = format!("== {heading} ==");
            self.out.push(Line::margin(Tone::Heading, text));
        }
        if line.in_column && !line.time.is_empty() {
            self.tell_day();
        }
        self.has_said = true;
        self.out.push(line);
    }

    /// Says the date when it is another one than that of the line before.
    fn tell_day(&mut self) {
        let Some(day) = self.local(self.now_ms).map(|at| at.date()) else {
            return;
        };
        if self.day.replace(day).is_some_and(|before| before != day) {
            let text = format!("-- {} --", day.strftime("%a %Y-%m-%d"));
            self.out.push(Line::margin(Tone::Dim, text));
        }
    }

    fn local(&self, at_ms: i64) -> Option<jiff::Zoned> {
        let at = jiff::Timestamp::from_millisecond(at_ms).ok()?;
        Some(at.to_zoned(self.look.zone.get().clone()))
    }

    fn time(&self, at_ms: i64) -> String {
        self.local(at_ms)
            .map_or_else(String::new, |at| at.strftime("%H:%M:%S").to_string())
    }

    /// `Sat 2026-03-21 22:00:00 +01:00`.
    fn instant(&self, at_ms: i64) -> String {
        show_instant(at_ms, self.look.zone.get())
    }
}
