//! How a run ended: what happened and why, what stands now, what to type next.

use serde_json::Value;

use crate::report::line::{Line, Tone, first_line};
use crate::words::call::{CallId, FORMER_IS_GONE, Undo, shell_word};
use crate::words::event::{RunEnd, StillChanged, Unwritten};
use crate::words::outcome::{Phase, RunOutcome, StopCause};

use super::steps::process_words;
use super::{Lines, Start, positive, show_ms, whole_commands};

/// Columns of the names in the recap.
const NAMES: usize = 11;
/// Runs that took less than this, in milliseconds, are not told phase by phase.
const LONG_RUN_MS: u64 = 10_000;
/// Steps that took less than this, in milliseconds, are not told as slow.
const SLOW_MS: u64 = 5_000;
/// How many of the slowest steps are told.
const SLOWEST: usize = 3;
/// So many that were undone are told, each in a line; of more, the verdict would leave the screen.
const UNDONE_WHOLE: usize = 10;
/// How many are told of more.
const UNDONE_SHOWN: usize = 5;
/// How many failures that the plan has caught are told.
const CAUGHT_SHOWN: usize = 5;
/// Lines of a failed command's output that the recap repeats.
const TAIL: usize = 15;

impl Lines {
    pub(super) fn tell_recap(&mut self) {
        let Some(end) = self.end.clone() else { return };
        self.blank();
        self.tell_outcome(&end);
        self.tell_cause(&end);
        if end.outcome == RunOutcome::Refused {
            self.tell_failed_findings();
        }
        // What a person has to see to comes before what is well.
        for item in &end.still_changed {
            self.tell_still_changed(item);
        }
        for item in &end.unwritten {
            self.tell_unwritten(item);
        }
        for process in &end.survivors {
            self.named(Tone::Bad, "lives on", &process_words(process));
        }
        self.tell_undone(&end);
        self.tell_other_failures(&end);
        self.tell_left_running();
        self.tell_loud_facts();
        self.tell_what_next(&end);
    }

    fn tell_outcome(&mut self, end: &RunEnd) {
        let what = self.release();
        let place = match self.header.environment.as_str() {
            "" | "default" => "everything".to_owned(),
            name => first_line(name),
        };
        let (tone, text) = match end.outcome {
            RunOutcome::Released => (Tone::Good, format!("released: {what}")),
            RunOutcome::Refused => (Tone::Bad, format!("refused, nothing was changed: {what}")),
            RunOutcome::BackedOut if end.without_back_out.is_empty() => (
                Tone::Warn,
                format!("backed out, {place} is as before: {what}"),
            ),
            RunOutcome::BackedOut => {
                let steps = match end.without_back_out.len() {
                    1 => "a step that has no back-out".to_owned(),
                    n => format!("{n} steps that have no back-out"),
                };
                let text = format!("backed out, except for {steps}: {what}");
                (Tone::Bad, text)
            }
            RunOutcome::Stuck => (Tone::Bad, format!("STUCK, a person is needed: {what}")),
        };
        self.margin(tone, text);
    }

    fn tell_cause(&mut self, end: &RunEnd) {
        let Some(cause) = end.cause else { return };
        let text = match cause {
            StopCause::Refused => whole_commands(&end.reason, &self.look.program),
            cause => format!("{}: {}", cause.words(), end.reason),
        };
        self.named(Tone::Plain, "why", &text);
        let Some(stop) = self.stop.clone() else {
            return;
        };
        if let Some(place) = &stop.place {
            self.named(Tone::Plain, "", &format!("at {place}"));
        }
        let failed = stop.step.and_then(|id| self.steps.get(&id).cloned());
        if let Some(step) = failed {
            self.last_lines(&step.tail);
        }
    }

    fn last_lines(&mut self, tail: &str) {
        let lines: Vec<&str> = tail.lines().collect();
        let skipped = lines.len().saturating_sub(TAIL);
        for line in lines.get(skipped..).unwrap_or_default() {
            self.named(Tone::Dim, "", &format!("| {line}"));
        }
    }

    fn tell_failed_findings(&mut self) {
        for (name, detail) in self.failed_findings.clone() {
            let gap = if detail.is_empty() { "" } else { ": " };
            self.named(Tone::Bad, "FAILED", &format!("{name}{gap}{detail}"));
        }
    }

    fn tell_undone(&mut self, end: &RunEnd) {
        if !matches!(end.outcome, RunOutcome::BackedOut | RunOutcome::Stuck) {
            return;
        }
        for title in end.without_back_out.iter().rev() {
            let text = format!(
                "{} (it has no back-out: nothing vouches for it)",
                first_line(title)
            );
            self.named(Tone::Bad, "NOT undone", &text);
        }
        // The last one to be undone was the first one to be done.
        let all = self.undone.len();
        let shown = if all > UNDONE_WHOLE && self.look.verbosity <= 0 {
            UNDONE_SHOWN
        } else {
            all
        };
        for undone in self.undone.clone().into_iter().take(shown) {
            let text = format!("{} (by: `{}`)", undone.title, undone.by);
            self.named(Tone::Good, "undone", &text);
        }
        if shown < all {
            let text = format!("and {} more, before these; -v lists them all", all - shown);
            self.named(Tone::Good, "undone", &text);
        }
    }

    fn tell_still_changed(&mut self, item: &StillChanged) {
        let title = first_line(&item.title);
        self.named(Tone::Bad, "NOT undone", &format!("[{}] {title}", item.call));
        self.named(Tone::Plain, "", &item.why);
        self.last_lines(&item.tail);
        if let Some(command) = &item.command {
            let dir = self.start.as_ref().and_then(|s| s.plan.rsplit_once('/'));
            let dir = dir.map_or("/", |(dir, _)| dir);
            self.named(Tone::Warn, "", &format!("to undo it, in {dir}:"));
            self.named(Tone::Warn, "", &format!("  {command}"));
        } else if let Some((back_out, _)) = self.back_outs.get(&item.call)
            && back_out.undo == Undo::Restore
            && !item.why.contains(FORMER_IS_GONE)
        {
            let dir = format!(
                "{}/runs/{}/{}",
                self.look.state_dir,
                self.run,
                item.call.directory(1, false)
            );
            let command = format!("{} put-back {} {}", self.look.program, self.run, item.call);
            self.named(Tone::Warn, "", "to undo it, as often as it takes:");
            self.named(Tone::Warn, "", &format!("  {command}"));
            let text = format!("what was there before is in {}", shell_word(&dir));
            self.named(Tone::Plain, "", &text);
        }
    }

    /// What was done when nothing more could be written.
    fn tell_unwritten(&mut self, item: &Unwritten) {
        let id = &item.call;
        let title = match (item.backs_out, self.back_outs.get(id), self.steps.get(id)) {
            (true, Some((back_out, _)), _) => format!("`{}`", first_line(&back_out.title)),
            (false, _, Some(step)) => format!("`{}`", first_line(&step.title)),
            _ => "it".to_owned(),
        };
        let what = if item.backs_out { "back-out of " } else { "" };
        let text = format!("[{what}{id}] {title} {}", item.how);
        self.named(Tone::Bad, "UNWRITTEN", &text);
        self.last_lines(&item.tail);
    }

    /// What failed and was not the reason to stop: the plan has caught it.
    fn tell_other_failures(&mut self, end: &RunEnd) {
        let reason = self.stop.as_ref().and_then(|stop| stop.step.clone());
        let named = |id: &CallId| {
            let title = self.steps.get(id).map(|step| format!("`{}`", step.title));
            title.is_some_and(|title| end.reason.contains(&title))
        };
        let told = |(id, problem): &(CallId, String)| {
            Some(id) == reason.as_ref() || named(id) || end.reason.contains(problem)
        };
        let other = self.failed_steps.iter().filter(|failed| !told(failed));
        self.failed_steps = other.cloned().collect();
        let all = self.failed_steps.len();
        let shown = match self.look.verbosity {
            1.. => all,
            _ => CAUGHT_SHOWN,
        };
        for (id, problem) in self.failed_steps.clone().into_iter().take(shown) {
            self.named(Tone::Warn, "caught", &format!("[{id}] {problem}"));
        }
        if shown < all {
            let text = format!("and {} more; -v lists them all", all - shown);
            self.named(Tone::Warn, "caught", &text);
        }
    }

    fn tell_left_running(&mut self) {
        let mut left = Vec::new();
        for step in self.steps.values() {
            for process in &step.left_running {
                let title = first_line(&step.title);
                left.push(format!("{} (by: {title})", process_words(process)));
            }
        }
        for (process, title) in &self.left_by_back_outs {
            left.push(format!("{} (by: {title})", process_words(process)));
        }
        for text in left {
            self.named(Tone::Plain, "left", &text);
        }
    }

    /// What stands in every recap if it happened.
    fn tell_loud_facts(&mut self) {
        if let Some(reason) = self.override_reason.clone() {
            self.named(Tone::Bad, "WINDOW", &format!("set aside: {reason}"));
        }
        for reason in self.no_return.clone() {
            self.named(Tone::Bad, "NO RETURN", &reason);
        }
        if self.start.as_ref().is_some_and(|s| s.clock_injected) {
            self.named(
                Tone::Bad,
                "CLOCK",
                "injected: all times of this run are made up",
            );
        }
    }

    fn tell_what_next(&mut self, end: &RunEnd) {
        let (program, run) = (self.look.program.clone(), self.run.clone());
        if end.outcome == RunOutcome::Stuck {
            let (owner, support) = (self.header.owner.clone(), self.header.support.clone());
            self.named(Tone::Warn, "owner", &owner);
            self.named(Tone::Warn, "support", &support);
        }
        if let Some(start) = self.start.clone() {
            let took = positive(self.now_ms.saturating_sub(start.at_ms));
            let text = format!("{run}, took {}", show_ms(took));
            self.named(Tone::Plain, "run", &text);
            self.tell_durations(start.at_ms, took);
        }
        let again = self.start.as_ref().map(|s| s.again(&program));
        match end.outcome {
            RunOutcome::Released => {
                self.named(Tone::Plain, "output", &format!("{program} logs {run}"));
            }
            RunOutcome::Refused => {
                let next = again.unwrap_or_default();
                self.named(Tone::Plain, "again", &next);
            }
            RunOutcome::BackedOut => {
                self.named(Tone::Plain, "output", &format!("{program} logs {run}"));
                let next = again.unwrap_or_default();
                self.named(Tone::Plain, "again", &next);
            }
            RunOutcome::Stuck => {
                self.named(Tone::Plain, "output", &format!("{program} logs {run}"));
                self.named(Tone::Plain, "whole", &format!("{program} show {run}"));
                if !end.unwritten.is_empty() {
                    let hint = "nothing was done now: what is UNWRITTEN was done without the \
                                journal, and must not be done twice";
                    self.named(Tone::Warn, "look", hint);
                }
                let hint = if !self.no_return.is_empty() {
                    "go forward, or put right by hand: the commands above were made for the time \
                     before the point of no return"
                } else if end.still_changed.iter().any(|i| i.command.is_some()) {
                    "put right by hand what is not undone, with the commands above"
                } else {
                    "put right by hand what is not undone"
                };
                self.named(Tone::Warn, "next", hint);
            }
        }
    }

    /// How long each phase took, and the slowest steps, where somebody had to wait for them.
    fn tell_durations(&mut self, began_ms: i64, took_ms: u64) {
        if took_ms >= LONG_RUN_MS {
            let first = (Phase::Review, began_ms);
            let phases = std::iter::once(first).chain(self.phases.iter().copied());
            let ends = self.phases.iter().map(|(_, at_ms)| *at_ms);
            let words: Vec<String> = phases
                .zip(ends.chain([self.now_ms]))
                .filter(|((phase, _), _)| phase.ended().is_none())
                .map(|((phase, from), to)| {
                    let ms = positive(to.saturating_sub(from));
                    let seconds = match ms / 1000 {
                        0 => "<1s".to_owned(),
                        s => show_ms(s * 1000),
                    };
                    format!("{} {seconds}", phase.word())
                })
                .collect();
            self.named(Tone::Plain, "phases", &words.join(", "));
        }
        let mut slow: Vec<(u64, String)> = self
            .steps
            .iter()
            .filter(|(id, step)| step.took_ms >= SLOW_MS && !id.is_in_back_out())
            .map(|(id, step)| {
                let took = show_ms(step.took_ms);
                (
                    step.took_ms,
                    format!("[{id}] {}, {took}", first_line(&step.title)),
                )
            })
            .collect();
        slow.sort_by_key(|(ms, _)| std::cmp::Reverse(*ms));
        for (n, (_, text)) in slow.into_iter().take(SLOWEST).enumerate() {
            let name = if n == 0 { "slowest" } else { "" };
            self.named(Tone::Plain, name, &text);
        }
    }

    pub(super) fn tell_left(&mut self) {
        let reason = self.left.clone().unwrap_or_default();
        let what = self.release();
        let text = format!("LEFT, the run has not ended and nobody goes on with it: {what}");
        self.blank();
        self.margin(Tone::Bad, text);
        self.named(Tone::Plain, "why", &reason);
        self.tell_open();
    }

    /// What stands of a run that has not ended; `owner` names the process that has it, if one does.
    pub fn standing(&mut self, owner: Option<&str>) -> Vec<Line> {
        self.heading = None;
        if self.end.is_none() && self.left.is_none() {
            let phase = self.phase.word();
            let what = self.release();
            self.blank();
            match owner {
                Some(owner) => {
                    let text = format!("going on, in phase {phase}: {what}");
                    self.margin(Tone::Good, text);
                    self.named(Tone::Plain, "process", owner);
                    for name in self.open_approvals() {
                        let command = self.approve_command(&name);
                        self.named(Tone::Warn, "approve", &command);
                    }
                }
                None => {
                    let text = format!("NOT ENDED, and no process has it; phase {phase}: {what}");
                    self.margin(Tone::Bad, text);
                    self.tell_open();
                }
            }
        }
        std::mem::take(&mut self.out)
    }

    fn open_approvals(&self) -> Vec<String> {
        self.wanted_approvals().map(str::to_owned).collect()
    }

    /// What is not undone, and how to come back.
    fn tell_open(&mut self) {
        let running: Vec<String> = self
            .activities
            .iter()
            .filter(|a| a.directory.is_some())
            .map(|a| format!("{} (it may go on, until its time is over)", a.what))
            .collect();
        for text in running {
            self.named(Tone::Warn, "running", &text);
        }
        let armed: Vec<String> = self.armed().collect();
        for text in armed {
            self.named(Tone::Warn, "changed", &text);
        }
        self.tell_loud_facts();
        let (program, run) = (self.look.program.clone(), self.run.clone());
        self.named(
            Tone::Plain,
            "back out",
            &format!("{program} back-out {run}"),
        );
        if self.stop.is_none() {
            self.named(Tone::Plain, "go on", &format!("{program} resume {run}"));
        }
    }

    fn named(&mut self, tone: Tone, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let mut lines = value.lines();
        let first = lines.next().unwrap_or_default();
        self.margin(tone, format!("  {name:NAMES$}{first}"));
        for line in lines {
            self.margin(tone, format!("  {:NAMES$}{line}", ""));
        }
    }
}

impl Start {
    fn again(&self, program: &str) -> String {
        again(program, &self.plan, &self.args)
    }
}

/// The command that does the same again. What was set aside once, like the window, is not set
/// aside again without a person who says so.
pub(in crate::report) fn again(
    program: &str,
    plan: &str,
    args: &serde_json::Map<String, Value>,
) -> String {
    let mut words = vec![program.to_owned(), "run".to_owned()];
    let rest = args.get("rest").and_then(Value::as_array);
    let given: Vec<(&String, &str)> = args
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .collect();
    let rest: Vec<&str> = rest
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let texts = given
        .iter()
        .map(|(_, value)| *value)
        .chain(rest.iter().copied());
    if texts.clone().any(|text| text.contains(char::is_control)) {
        // A line could not be copied as it is.
        words.push(shell_word(plan));
        return format!("{} (with what was set and given before)", words.join(" "));
    }
    for (key, value) in given {
        if key.starts_with('-') {
            words.push(shell_word(&format!("--set={key}={value}")));
        } else {
            words.push("-e".to_owned());
            words.push(shell_word(&format!("{key}={value}")));
        }
    }
    words.push(shell_word(plan));
    if !rest.is_empty() {
        words.push("--".to_owned());
        words.extend(rest.into_iter().map(shell_word));
    }
    words.join(" ")
}
