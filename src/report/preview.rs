//! A preview, for people and for tools.

mod shown;

use serde_json::{Value, json};

use crate::words::code::Code;
use crate::words::hidden::visible;
use crate::words::notice::Notify;
use crate::words::preview::{Certainty, Followed, GateLook, Item, LockLook, Preview};

use shown::{DIGEST, shown};

use super::line::{Line, Tone, Weight, first_line};
use super::lines::{Look, coarse, show_instant, show_ms, whole_commands, window_edge};

/// Columns of the names of facts.
const NAMES: usize = 13;
/// Columns of what is known of a line, with the gap behind it.
const CERTAINTIES: usize = 11;
/// Columns of what a line is, with the gap behind it.
const KINDS: usize = 10;

/// A preview as one JSON object, with what the command line adds up.
#[must_use]
pub fn json(preview: &Preview, command: &str) -> String {
    let mut value = serde_json::to_value(preview).unwrap_or(Value::Null);
    let numbers =
        |items: Vec<&Item>| -> Vec<u32> { items.iter().filter_map(|item| item.number).collect() };
    if let Some(map) = value.as_object_mut() {
        map.insert("steps".into(), preview.steps().count().into());
        let without = numbers(preview.without_back_out().collect());
        map.insert("steps_without_back_out".into(), json!(without));
        map.insert("reserved_ms".into(), preview.header.reserved_ms().into());
        map.insert("back_outs_ms".into(), preview.back_outs_ms().into());
        map.insert("objections".into(), json!(preview.objections()));
        map.insert("command".into(), command.into());
    }
    value.to_string()
}

/// A preview in lines. `command` runs exactly what was previewed.
#[must_use]
pub fn lines(preview: &Preview, look: &Look, command: &str) -> Vec<Line> {
    let mut told = Told {
        preview,
        look,
        lines: Vec::new(),
    };
    told.head();
    told.body();
    told.end();
    told.summary(command);
    let least = match look.verbosity {
        ..=-1 => Weight::Always,
        0 => Weight::Normal,
        1.. => Weight::Detail,
    };
    told.lines.retain(|line| line.weight >= least);
    told.lines
}

struct Told<'p> {
    preview: &'p Preview,
    look: &'p Look,
    lines: Vec<Line>,
}

impl Told<'_> {
    fn line(&mut self, tone: Tone, weight: Weight, text: impl AsRef<str>) {
        self.lines.push(Line::margin(tone, text).weighing(weight));
    }

    fn heading(&mut self, text: &str) {
        self.lines.push(Line::blank());
        self.line(Tone::Heading, Weight::Normal, text);
    }

    fn fact(&mut self, tone: Tone, name: &str, text: &str) {
        if !text.is_empty() {
            let text = format!("  {name:NAMES$}{}", visible(text));
            self.line(tone, Weight::Normal, text);
        }
    }

    fn instant(&self, at_ms: i64) -> String {
        show_instant(at_ms, self.look.zone.get())
    }

    fn head(&mut self) {
        let header = &self.preview.header;
        let what = visible(&header.release());
        let to = visible(&header.environment);
        let text = format!("preview: {what} to {to}; nothing of it acts");
        self.line(Tone::Heading, Weight::Normal, text);
        self.fact(Tone::Plain, "why", &first_line(&header.why));
        self.fact(Tone::Plain, "new", &first_line(&header.features.join("; ")));
        let mut times = Vec::new();
        if let Some(ms) = header.expected_ms {
            times.push(format!("{} expected", show_ms(ms)));
        }
        if let Some(ms) = header.deadline_ms {
            times.push(format!("deadline after {}", show_ms(ms)));
        }
        self.fact(Tone::Plain, "time", &times.join(", "));
        let told: Vec<String> = header.notify.iter().map(Notify::words).collect();
        self.fact(Tone::Plain, "would be told", &told.join("; "));
        let at = self.instant(self.preview.at_ms);
        self.fact(Tone::Plain, "looked at", &at);
        self.fact(Tone::Plain, "plan", &self.preview.plan);
        for (name, value) in &self.preview.args {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            self.fact(
                Tone::Plain,
                "args",
                &first_line(&format!("{name} = {value}")),
            );
        }
        if self.preview.clock_injected {
            let text = "  CLOCK INJECTED: all times of this preview are made up";
            self.line(Tone::Bad, Weight::Normal, text);
        }
        let count = self.preview.warnings.len();
        if count > 0 {
            let warnings = if count == 1 { "warning" } else { "warnings" };
            let program = &self.look.program;
            let plan = self.preview.plan.rsplit('/').next().unwrap_or_default();
            let text = format!("{count} {warnings}, which `{program} check {plan}` tells");
            self.fact(Tone::Warn, "check", &text);
        }
        for warning in &self.preview.warnings {
            // What the gate would stumble over is told in any case.
            let weight = match warning.code {
                Code::ShortWindow => Weight::Normal,
                _ => Weight::Detail,
            };
            let text = format!(
                "{}: {} [{}]",
                warning.place,
                warning.message,
                warning.code.name()
            );
            let text = format!("  {:NAMES$}{}", "warning", visible(&text));
            self.line(Tone::Warn, weight, text);
        }
    }

    fn body(&mut self) {
        let gate = &self.preview.gate;
        let at = gate.at.unwrap_or(self.preview.lines.len());
        let (before, behind) = self
            .preview
            .lines
            .split_at(at.min(self.preview.lines.len()));
        self.heading("review, done now");
        let shown = self.lines.len();
        before.iter().for_each(|item| self.item(item));
        let is_silent = self
            .lines
            .iter()
            .skip(shown)
            .all(|line| line.weight == Weight::Detail);
        if is_silent {
            self.line(Tone::Dim, Weight::Normal, "  no checks");
        }
        if gate.at.is_some() {
            self.heading("gate, not waited for");
            self.gate(gate);
            self.heading("release, nothing of it done");
            behind.iter().for_each(|item| self.item(item));
        }
    }

    fn gate(&mut self, gate: &GateLook) {
        match &gate.window {
            None => self.fact(Tone::Plain, "window", "none: at any time"),
            Some(look) => {
                let needed = show_ms(look.needed_ms);
                let window = &look.window;
                let (tone, text) = match (&look.set_aside, look.opening) {
                    (Some(reason), _) => (Tone::Bad, format!("SET ASIDE ({window}): {reason}")),
                    (None, None) => (
                        Tone::Bad,
                        format!("{window}: no opening is left that {needed} fit into"),
                    ),
                    (None, Some((opens_ms, closes_ms))) => {
                        let now_ms = self.preview.at_ms;
                        let zone = self.look.zone.get();
                        let edge = |at_ms| window_edge(window, at_ms, zone);
                        let left = closes_ms.saturating_sub(opens_ms.max(now_ms));
                        let left = coarse(u64::try_from(left).unwrap_or(0));
                        if opens_ms <= now_ms {
                            let text = match edge(closes_ms) {
                                Some(closes) => format!("open until {closes}, {left} left"),
                                None => "open, without end".to_owned(),
                            };
                            (Tone::Good, format!("{window}: {text}; {needed} needed"))
                        } else {
                            let wait = opens_ms.saturating_sub(now_ms);
                            let wait = coarse(u64::try_from(wait).unwrap_or(0));
                            let opens = edge(opens_ms).unwrap_or_default();
                            let length = match edge(closes_ms) {
                                Some(_) => format!("for {left}"),
                                None => "without end".to_owned(),
                            };
                            let text = format!(
                                "{window}: opens {opens}, in {wait}, {length}; {needed} needed"
                            );
                            (Tone::Warn, text)
                        }
                    }
                };
                self.fact(tone, "window", &text);
            }
        }
        let environment = &self.preview.header.environment;
        match &gate.lock {
            LockLook::Free => self.fact(Tone::Plain, "lock", &format!("{environment} is free")),
            LockLook::Held { holder } => {
                let text = whole_commands(holder, &self.look.program);
                self.fact(Tone::Bad, "lock", &text);
            }
            LockLook::NotSeen { problem } => {
                self.fact(Tone::Warn, "lock", &format!("can't be seen: {problem}"));
            }
        }
        for name in &gate.approvals {
            self.fact(Tone::Warn, "approval", &format!("`{name}` is asked for"));
        }
    }

    fn item(&mut self, item: &Item) {
        let shown = shown(item, self.preview.most_ms(), self.look.verbosity);
        let certainty = item.certainty.words();
        let indent = "  ".repeat(usize::try_from(item.depth).unwrap_or(0).min(12));
        let kind = shown.kind;
        let text = format!(
            "  {certainty:CERTAINTIES$}{indent}{kind:KINDS$}{}",
            first_line(&shown.text)
        );
        let tone = match item.certainty {
            Certainty::Unknown if shown.tone == Tone::Plain => Tone::Warn,
            _ => shown.tone,
        };
        self.line(tone, shown.weight, text.trim_end());
        let gap = " ".repeat(2 + CERTAINTIES + indent.len() + KINDS);
        let mut details = shown.details;
        if let Some(depends_on) = &item.depends_on {
            details.insert(0, format!("depends on {}", visible(depends_on)));
        }
        if !item.not_known.is_empty() {
            details.push(format!("not known: {}", item.not_known.join(", ")));
        }
        if shown.weight == Weight::Detail && details.is_empty() {
            return;
        }
        let place = format!("{gap}{}", visible(&item.place.to_string()));
        let details = details.join("; ");
        let colon = if details.is_empty() { "" } else { ": " };
        self.line(Tone::Dim, shown.weight, format!("{place}{colon}{details}"));
        for (name, text) in shown.more {
            let weight = if name == "back-out" {
                shown.weight
            } else {
                Weight::Detail
            };
            self.line(
                Tone::Dim,
                weight,
                format!("{gap}{name}: {}", first_line(&text)),
            );
        }
        for text in &item.undoes_by {
            self.line(
                Tone::Dim,
                shown.weight,
                format!("{gap}  | {}", first_line(text)),
            );
        }
    }

    fn end(&mut self) {
        match &self.preview.followed {
            // An abort is a line of its own.
            Followed::Whole | Followed::Aborts { .. } => {}
            Followed::Fails { reason, detail, .. } => {
                let text = if detail.is_empty() { reason } else { detail };
                self.lines.push(Line::blank());
                self.line(Tone::Bad, Weight::Normal, "the plan fails here:");
                for line in text.lines() {
                    self.line(Tone::Plain, Weight::Normal, format!("  {}", visible(line)));
                }
            }
            Followed::Lost { reason, place } => {
                let place = place
                    .as_ref()
                    .map_or_else(String::new, |p| format!(" past {p}"));
                let text = format!("the plan could not be followed{place}: {}", visible(reason));
                self.lines.push(Line::blank());
                self.line(Tone::Warn, Weight::Normal, text);
                let text = "  what is written as unknown behind that was read from its text";
                self.line(Tone::Dim, Weight::Normal, text);
            }
        }
    }

    fn summary(&mut self, command: &str) {
        let preview = self.preview;
        self.heading("summary");
        let all = preview.steps().count();
        let unknown = preview
            .steps()
            .filter(|item| item.certainty == Certainty::Unknown)
            .count();
        let mut text = format!("{all} in all");
        if unknown > 0 {
            text.push_str(&format!(", {unknown} of them not known whole"));
        }
        let written = preview.lines.iter().filter(|i| i.may_be_a_step()).count();
        if written > 0 {
            text.push_str(&format!("; {written} more in the text that may be run"));
        }
        self.fact(Tone::Plain, "steps", &text);
        let without: Vec<String> = preview
            .without_back_out()
            .map(|item| match (item.number, item.step()) {
                (Some(n), Some(step)) => format!("{n} ({})", first_line(&step.title)),
                _ => String::new(),
            })
            .collect();
        let (tone, text) = match without.len() {
            0 => (Tone::Plain, "none".to_owned()),
            n => (Tone::Warn, format!("{n}: {}", without.join(", "))),
        };
        self.fact(tone, "no back-out", &text);
        let (reserved, most) = (preview.header.reserved_ms(), preview.back_outs_ms());
        let is_bounded = preview.header.deadline_ms.is_some() || preview.gate.window.is_some();
        let mut text = match is_bounded {
            true => format!("{} are reserved", show_ms(reserved)),
            false => "no time needs to be reserved".to_owned(),
        };
        match most {
            0 => text.push_str(", nothing is armed"),
            _ => text.push_str(&format!(
                ", what is armed may take {} together",
                show_ms(most)
            )),
        }
        let is_short = is_bounded && most > reserved;
        let tone = if is_short { Tone::Warn } else { Tone::Plain };
        self.fact(tone, "back-out", &text);
        for file in &preview.files {
            let digest = file.sha256.as_deref().map_or_else(
                || "not there yet".to_owned(),
                |sha256| format!("sha256 {}", sha256.get(..DIGEST).unwrap_or(sha256)),
            );
            let covered = match (file.covered, &file.sha256) {
                (true, Some(_)) => "covered by the fingerprint",
                (true, None) => "only that is covered by the fingerprint",
                (false, _) => "NOT covered by the fingerprint: its name is computed",
            };
            let tone = if file.covered {
                Tone::Plain
            } else {
                Tone::Warn
            };
            self.fact(
                tone,
                "upload",
                &format!("{}: {digest}, {covered}", file.path),
            );
        }
        let text = format!("  {:NAMES$}{}", "fingerprint", preview.fingerprint);
        self.line(Tone::Plain, Weight::Always, text);
        let covers = "sources, arguments, and the uploads above that are covered; not what is read, nor \
                      what copy_file and move_file take";
        self.fact(Tone::Dim, "it covers", covers);
        let objections = preview.objections();
        self.lines.push(Line::blank().weighing(Weight::Always));
        if objections.is_empty() {
            self.line(Tone::Heading, Weight::Always, "to run exactly this:");
            self.line(Tone::Plain, Weight::Always, format!("  {command}"));
        } else {
            let text = "a run that began now would not be released:";
            self.line(Tone::Bad, Weight::Always, text);
            for objection in objections {
                let text = whole_commands(&objection, &self.look.program);
                self.line(Tone::Bad, Weight::Always, format!("  {}", visible(&text)));
            }
            let can_end = !matches!(
                preview.followed,
                Followed::Aborts { .. } | Followed::Fails { .. }
            );
            if can_end {
                let text = "if it is to run all the same, exactly like this:";
                self.line(Tone::Plain, Weight::Always, text);
                self.line(Tone::Plain, Weight::Always, format!("  {command}"));
            }
        }
    }
}
