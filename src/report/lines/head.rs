//! How a run begins: what, where, why, who.

use crate::report::line::{Line, Tone, first_line};
use crate::words::event::Event;
use crate::words::notice::Notify;

use super::{Lines, Start, show_ms};

/// Characters of a fingerprint that are shown.
const FINGERPRINT: usize = 12;
/// Columns of the names in the head.
const NAMES: usize = 11;

impl Lines {
    pub(super) fn on_begin(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                by,
                deployrun,
                plan,
                fingerprint,
                args,
                clock_injected,
                approved,
                ..
            } => {
                self.start = Some(Start {
                    by: by.clone(),
                    plan: plan.clone(),
                    fingerprint: fingerprint.chars().take(FINGERPRINT).collect(),
                    deployrun: deployrun.clone(),
                    args: args.clone(),
                    clock_injected: *clock_injected,
                    approved: approved.clone(),
                    at_ms: self.now_ms,
                });
            }
            Event::RunResumed { by, command, .. } => {
                let run = &self.run;
                let text = match command.as_str() {
                    "back-out" => format!("run {run} is backed out by {by}"),
                    _ => format!("run {run} is taken up again by {by}"),
                };
                let at = self.instant(self.now_ms);
                let what = self.release();
                if self.head_told {
                    self.blank_line();
                }
                self.line(Tone::Heading, format!("{text}: {what}"));
                self.fact("at", &at);
                if let Some(start) = self.start.clone() {
                    let begun = format!("{} by {}", self.instant(start.at_ms), start.by);
                    self.fact("started", &begun);
                }
                self.tell_clock();
                let phase = self.phase;
                self.heading = phase.ended().is_none().then(|| phase.word());
                self.head_told = true;
                self.left = None;
                self.interrupts = 0;
                self.take_up();
            }
            Event::Header { header } => {
                self.header = header.clone();
                self.tell_head();
            }
            _ => {}
        }
    }

    pub(super) fn tell_head(&mut self) {
        if std::mem::replace(&mut self.head_told, true) {
            return;
        }
        let Some(start) = self.start.clone() else {
            return;
        };
        let header = self.header.clone();
        let (run, what) = (self.run.clone(), self.release());
        self.line(Tone::Heading, format!("run {run}: {what}"));
        self.fact("why", &header.why);
        self.fact("new", &header.features.join("; "));
        self.fact("users", &header.users);
        self.fact("training", &header.training);
        self.fact("window", header.window.as_deref().unwrap_or_default());
        self.fact("time", &self.times());
        let begun = format!("{} by {}", self.instant(start.at_ms), start.by);
        self.fact("started", &begun);
        let plan = format!("{}, fingerprint {}", start.plan, start.fingerprint);
        self.fact("plan", &plan);
        let approved = start.approved.as_deref().unwrap_or_default();
        let approved: String = approved.chars().take(FINGERPRINT).collect();
        if !approved.is_empty() {
            let text = format!("fingerprint {approved} of the preview, and nothing else");
            self.fact("approved", &text);
        }
        self.fact("owner", &header.owner);
        self.fact("support", &header.support);
        let told: Vec<String> = header.notify.iter().map(Notify::words).collect();
        self.fact("told", &told.join("; "));
        if self.look.verbosity > 0 {
            let state = self.look.state_dir.clone();
            self.fact("state", &state);
            self.fact("deployrun", &start.deployrun);
        }
        self.tell_clock();
        self.day = self.local(start.at_ms).map(|at| at.date());
        self.heading = Some(self.phase.word());
    }

    fn tell_clock(&mut self) {
        if self.start.as_ref().is_some_and(|s| s.clock_injected) {
            let text = "  CLOCK INJECTED: all times of this run are made up";
            self.push(Line::margin(Tone::Bad, text));
        }
    }

    fn times(&self) -> String {
        let header = &self.header;
        let mut parts = Vec::new();
        if let Some(ms) = header.expected_ms {
            parts.push(format!("{} expected", show_ms(ms)));
        }
        if let Some(ms) = header.deadline_ms {
            parts.push(format!("deadline after {}", show_ms(ms)));
        }
        if header.deadline_ms.is_some() || header.window.is_some() {
            let reserved = show_ms(header.reserved_ms());
            parts.push(format!("{reserved} reserved for the back-out"));
        }
        parts.join(", ")
    }

    fn fact(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            let line = format!("  {name:NAMES$}{}", first_line(value));
            self.line(Tone::Plain, line);
        }
    }

    fn line(&mut self, tone: Tone, text: String) {
        self.push(Line::margin(tone, text));
    }

    fn blank_line(&mut self) {
        self.push(Line::blank());
    }
}
