//! One line of a preview as it is shown.

use crate::report::line::{Tone, Weight};
use crate::report::lines::{coarse, limit_words, show_ms};
use crate::words::call::{BackOut, Call, Deed, Step, Undo};
use crate::words::event::LimitBy;
use crate::words::preview::{Item, What};

/// Characters of a digest that are shown beside others.
pub(super) const DIGEST: usize = 12;

/// The most that any step can get, and what sets it.
type Most = Option<(u64, LimitBy)>;

/// One line as it is shown.
pub(super) struct Shown {
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) tone: Tone,
    pub(super) weight: Weight,
    pub(super) details: Vec<String>,
    pub(super) more: Vec<(&'static str, String)>,
}

impl Shown {
    fn new(kind: &str, text: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            text: text.into(),
            tone: Tone::Plain,
            weight: Weight::Normal,
            details: Vec::new(),
            more: Vec::new(),
        }
    }

    fn with(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    fn toned(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    fn weighing(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }
}

pub(super) fn shown(item: &Item, most: Most, verbosity: i8) -> Shown {
    match &item.what {
        What::Finding { name, ok, detail } => {
            let gap = if detail.is_empty() { "" } else { ": " };
            let (kind, tone) = if *ok {
                ("ok", Tone::Good)
            } else {
                ("FAILED", Tone::Bad)
            };
            Shown::new(kind, format!("{name}{gap}{detail}")).toned(tone)
        }
        What::Written { calls, text, .. } => Shown::new(&format!("{calls}?"), text.clone()),
        What::Call { call } => shown_call(item, call, most, verbosity),
    }
}

fn shown_call(item: &Item, call: &Call, most: Most, verbosity: i8) -> Shown {
    match call {
        Call::Step(step) => shown_step(item, step, most, verbosity),
        Call::StepBegin {
            title,
            timeout_ms,
            retries,
        } => {
            let mut details = Vec::new();
            if let Some(ms) = timeout_ms {
                details.push(format!("at most {} together", show_ms(*ms)));
            }
            if *retries > 0 {
                details.push(format!("tried up to {} times", retries.saturating_add(1)));
            }
            Shown::new("group", title).with(details)
        }
        Call::BackOut(back_out) => {
            Shown::new("back-out", "armed by hand").with(vec![back_out_words(back_out)])
        }
        Call::PointOfNoReturn { reason } => {
            Shown::new("NO RETURN", format!("no way back from here on: {reason}")).toned(Tone::Bad)
        }
        Call::Watch(watch) => {
            let mut details = vec![format!("every {}", show_ms(watch.every_ms))];
            details.push(match (watch.observe, watch.failures) {
                (true, _) => "only reported".to_owned(),
                (false, 1) => "the first failure stops the run".to_owned(),
                (false, n) => format!("{n} failures in a row stop the run"),
            });
            if watch.grace_ms > 0 {
                details.push(format!("not in the first {}", show_ms(watch.grace_ms)));
            }
            Shown::new("watch", &watch.name).with(details)
        }
        Call::Verify {
            name, within_ms, ..
        } => Shown::new("verify", name).with(vec![format!(
            "must turn true within {}",
            show_ms(*within_ms)
        )]),
        Call::Soak { ms } => Shown::new("soak", show_ms(*ms)),
        Call::Sleep { ms } => Shown::new("sleep", show_ms(*ms)),
        Call::WaitForWindow { window } => Shown::new(
            "window",
            window.clone().unwrap_or_else(|| "the header's".into()),
        )
        .weighing(Weight::Detail),
        Call::WaitForApproval { name, timeout_ms } => {
            let limit = timeout_ms.map(|ms| format!("at most {}", show_ms(ms)));
            Shown::new("approval", format!("`{name}`")).with(limit.into_iter().collect())
        }
        Call::Note { warning, text } => {
            let tone = if *warning { Tone::Warn } else { Tone::Plain };
            Shown::new(if *warning { "warns" } else { "says" }, text).toned(tone)
        }
        Call::Abort { reason } => Shown::new("ABORT", reason).toned(Tone::Bad),
        Call::Check { name } => {
            Shown::new("check", name).with(vec!["a failure stops the run".into()])
        }
        Call::Read { name, args } => {
            let texts: Vec<String> = args.iter().map(ToString::to_string).collect();
            Shown::new("read", format!("{name}({})", texts.join(", "))).weighing(Weight::Detail)
        }
        Call::Plan { .. } | Call::StepEnd { .. } => Shown::new("", "").weighing(Weight::Detail),
    }
}

fn shown_step(item: &Item, step: &Step, most: Most, verbosity: i8) -> Shown {
    let number = item.number.map_or_else(String::new, |n| n.to_string());
    let mut shown = Shown::new(&format!("step {number}"), &step.title);
    let is_known = |name: &str| {
        let mut not_known = item.not_known.iter();
        !not_known.any(|n| n == name || n.starts_with("all "))
    };
    if is_known("timeout") {
        let own = show_ms(step.timeout_ms);
        shown.details.push(match most {
            Some((ms, by)) if ms < step.timeout_ms => {
                let ms = if by == LimitBy::Window {
                    coarse(ms)
                } else {
                    show_ms(ms)
                };
                format!("at most {ms}{} (its own limit is {own})", limit_words(by))
            }
            _ => format!("at most {own}"),
        });
    }
    if let Some(ms) = step.idle_timeout_ms {
        shown
            .details
            .push(format!("{} without output", show_ms(ms)));
    }
    if step.retries > 0 {
        let tries = step.retries.saturating_add(1);
        shown.details.push(format!("tried up to {tries} times"));
    }
    if let Some(user) = &step.user {
        shown.details.push(format!("as {user}"));
    }
    match &step.deed {
        Deed::Command(command) => {
            let command = command.to_string();
            if command != step.title {
                shown.more.push(("command", command));
            }
        }
        Deed::PutFile(file) => {
            let digest = file.sha256.get(..DIGEST).unwrap_or("not there yet");
            shown.more.push(("content", format!("sha256 {digest}")));
        }
        // Its title says all.
        Deed::ChangeFile(_) => {}
        Deed::Own { name, args } => {
            let texts: Vec<String> = args.iter().map(ToString::to_string).collect();
            shown
                .more
                .push(("calls", format!("{name}({})", texts.join(", "))));
        }
    }
    let undone = match &step.back_out {
        Some(back_out) => back_out_words(back_out),
        None if !is_known("back_out") => "not known".to_owned(),
        None => "NONE: it cannot be undone".to_owned(),
    };
    shown.more.insert(0, ("back-out", undone));
    if verbosity > 0 {
        let names: Vec<&str> = step.env.keys().map(String::as_str).collect();
        if !names.is_empty() {
            shown.more.push(("environment", names.join(", ")));
        }
        if let Some(cwd) = &step.cwd {
            shown.more.push(("directory", cwd.clone()));
        }
        if step.codes != [0] {
            let codes: Vec<String> = step.codes.iter().map(ToString::to_string).collect();
            shown.more.push(("succeeds with", codes.join(", ")));
        }
        if !step.abort_on.is_empty() {
            shown.more.push(("aborted by", step.abort_on.join(", ")));
        }
    }
    shown
}

fn back_out_words(back_out: &BackOut) -> String {
    let limit = show_ms(back_out.timeout_ms);
    match &back_out.undo {
        Undo::Command(command) => format!("{command}, at most {limit}"),
        Undo::Closure => format!("a closure, at most {limit}"),
        Undo::Restore => format!("what was there is put back, at most {limit}"),
        Undo::Nothing => "nothing to undo".to_owned(),
    }
}
