//! Calls, steps, groups and back-outs.

use serde_json::Value;

use crate::report::line::{Tone, Weight, first_line};
use crate::words::call::{Answer, Call, CallId, Step, Undo};
use crate::words::event::{Event, LimitBy};
use crate::words::outcome::Outcome;
use crate::words::place::Place;
use crate::words::step::{End, ProcessFact, StepEnd, end_words};

use super::{Activity, Group, Lines, StepStory, Undone, limit_words, show_ms, thrown, took};

/// Lines of a step's output that are told where it was not shown as it came.
const TAIL: usize = 10;
/// Characters of a fact that are told.
const LONGEST_FACT: usize = 120;

impl Lines {
    pub(super) fn on_called(
        &mut self,
        id: &CallId,
        call: &Call,
        place: &Place,
        answer: &Answer,
        took_ms: u64,
    ) {
        let depth = self.depth(id);
        match call {
            Call::Step(step) => {
                if let Some(problem) = thrown(answer) {
                    let text = format!("[{id}] {}: {problem}", first_line(&step.title));
                    self.say_at(depth, Tone::Bad, Weight::Always, "FAILED", &text);
                    self.failed_for_good(id, first_line(problem));
                }
            }
            _ if thrown(answer).is_some() => self.on_thrown(id, call, place, answer),
            Call::Read { name, args } => {
                let args: Vec<String> = args.iter().map(Value::to_string).collect();
                let value = match answer {
                    Answer::Value(value) => short(&value.to_string()),
                    Answer::Throw(_) | Answer::Stop => return,
                };
                let took = took(took_ms);
                let text = format!("{name}({}) = {value}, {took}", short(&args.join(", ")));
                self.say_at(depth, Tone::Dim, Weight::Detail, "fact", &text);
            }
            Call::StepBegin {
                title,
                timeout_ms,
                retries,
            } => {
                let limit = timeout_ms.map_or(String::new(), |ms| {
                    format!(", at most {} as a whole", show_ms(ms))
                });
                let text = format!("{}{limit}", first_line(title));
                self.say_at(depth, Tone::Heading, Weight::Normal, "group", &text);
                let group = Group {
                    title: title.clone(),
                    at_ms: self.now_ms,
                    retries: *retries,
                    attempt: 1,
                    failed_before: self.failed_steps.len(),
                };
                self.groups.entry(id.fiber.clone()).or_default().push(group);
            }
            Call::StepEnd { failed, .. } => self.on_group_end(id, failed.as_deref(), answer),
            Call::BackOut(back_out) => {
                self.armed.push(id.clone());
                self.back_outs.insert(id.clone(), (back_out.clone(), 0));
                let text = format!("back-out by hand: `{}`", first_line(&back_out.title));
                self.say_at(depth, Tone::Plain, Weight::Normal, "armed", &text);
                self.follow(depth, Weight::Normal, Tone::Dim, &place.to_string());
            }
            Call::Watch(watch) => self.on_watch(id, watch),
            Call::Note { warning, text } => self.on_note(*warning, text, depth),
            Call::Check { .. }
            | Call::Plan { .. }
            | Call::PointOfNoReturn { .. }
            | Call::Verify { .. }
            | Call::Soak { .. }
            | Call::Sleep { .. }
            | Call::WaitForWindow { .. }
            | Call::WaitForApproval { .. }
            | Call::Abort { .. } => {}
        }
    }

    /// A call that throws; the plan may handle it, and a loop that waits for something may do so
    /// often.
    fn on_thrown(&mut self, id: &CallId, call: &Call, place: &Place, answer: &Answer) {
        let (name, weight) = match call {
            Call::Read { name, .. } => (name.as_str(), Weight::Detail),
            // Its finding has been told.
            Call::Check { .. } => return,
            _ => ("call", Weight::Normal),
        };
        let text = format!("{name} at {place}: {}", thrown(answer).unwrap_or_default());
        let depth = self.depth(id);
        self.say_at(depth, Tone::Warn, weight, "error", &first_line(&text));
    }

    fn on_group_end(&mut self, id: &CallId, failed: Option<&str>, answer: &Answer) {
        let again = *answer == Answer::Value(Value::Bool(true));
        let now_ms = self.now_ms;
        let Some(groups) = self.groups.get_mut(&id.fiber) else {
            return;
        };
        let Some(group) = groups.last_mut() else {
            return;
        };
        let title = first_line(&group.title);
        let took = took(super::positive(now_ms.saturating_sub(group.at_ms)));
        if again {
            // What is done anew says how it goes.
            let mut nth = 0..;
            self.failed_steps.retain(|(step, _)| {
                nth.next().is_some_and(|n: usize| n < group.failed_before) || step.fiber != id.fiber
            });
            group.attempt += 1;
            let (attempt, tries) = (group.attempt, group.retries.saturating_add(1));
            let depth = self.depth(id).saturating_sub(1);
            let text = format!("{title} is tried again: attempt {attempt} of {tries}");
            return self.say_at(depth, Tone::Warn, Weight::Normal, "again", &text);
        }
        groups.pop();
        let depth = self.depth(id);
        match failed {
            None => {
                let text = format!("{title}, {took}");
                self.say_at(depth, Tone::Good, Weight::Normal, "ok", &text);
            }
            Some(problem) => {
                let text = format!("{title}, after {took}: {}", first_line(problem));
                self.say_at(depth, Tone::Bad, Weight::Always, "FAILED", &text);
            }
        }
    }

    pub(super) fn on_step(&mut self, event: &Event) {
        match event {
            Event::StepStarted {
                id,
                attempt,
                step,
                place,
                limit_ms,
                limit_by,
            } => self.on_step_started(id, *attempt, step, place, (*limit_ms, *limit_by)),
            Event::StepEnded {
                id,
                attempt,
                outcome,
                end,
                again,
            } => self.on_step_ended(id, *attempt, *outcome, end, *again),
            Event::StepVoid {
                id,
                attempt,
                reason,
            } => {
                self.end_activity(&id.directory(*attempt, false));
                let title = self.step_title(id);
                let text = format!("[{id}] {title} was not started: {reason}");
                let depth = self.depth(id);
                self.say_at(depth, Tone::Warn, Weight::Always, "void", &text);
                self.disarm_void(id);
            }
            _ => {}
        }
    }

    fn on_step_started(
        &mut self,
        id: &CallId,
        attempt: u32,
        step: &Step,
        place: &Place,
        limit: (u64, LimitBy),
    ) {
        let depth = self.depth(id);
        let title = first_line(&step.title);
        let tries = step.retries.saturating_add(1);
        let text = match attempt {
            1 => format!("[{id}] {title}"),
            n if n <= tries => format!("[{id}] {title}, try {n} of {tries}"),
            n => format!("[{id}] {title}, try {n}"),
        };
        self.say_at(depth, Tone::Heading, Weight::Normal, "step", &text);
        let at_most = format!("at most {}{}", show_ms(limit.0), limit_words(limit.1));
        let facts = match undo_words(id, step) {
            Some(undo) => format!("{place}; {at_most}; {undo}"),
            None => format!("{place}; {at_most}"),
        };
        self.follow(depth, Weight::Normal, Tone::Dim, &facts);
        let story = StepStory {
            title: step.title.clone(),
            limit_by: limit.1,
            codes: step.codes.clone(),
            outcome: None,
            tail: String::new(),
            left_running: Vec::new(),
            took_ms: self.steps.get(id).map_or(0, |before| before.took_ms),
            acted: self.steps.get(id).is_some_and(|before| before.acted),
        };
        self.steps.insert(id.clone(), story);
        if let Some(back_out) = &step.back_out
            && back_out.undo != Undo::Nothing
            && !id.is_in_back_out()
        {
            let entry = (back_out.clone(), 0);
            if self.back_outs.insert(id.clone(), entry).is_none() {
                self.armed.push(id.clone());
            }
        }
        self.begin_step(id.directory(attempt, false), &title, limit.0, depth);
    }

    fn on_step_ended(
        &mut self,
        id: &CallId,
        attempt: u32,
        outcome: Outcome,
        end: &StepEnd,
        again: bool,
    ) {
        self.end_activity(&id.directory(attempt, false));
        let depth = self.depth(id);
        let (title, words) = match self.steps.get_mut(id) {
            Some(story) => {
                let words = end_words(end, story.limit_by, &story.codes);
                story.outcome = Some(outcome);
                story.acted |= !matches!(end.end, End::NotStarted { .. });
                story.took_ms = story.took_ms.saturating_add(end.duration_ms);
                story.tail.clone_from(&end.tail);
                story.left_running.clone_from(&end.left_running);
                (first_line(&story.title), words)
            }
            None => (String::new(), end_words(end, LimitBy::Timeout, &[0])),
        };
        let succeeded = outcome == Outcome::Succeeded;
        self.tell_tail(depth, end, succeeded);
        if succeeded {
            let text = format!("[{id}] {title}, {}", took(end.duration_ms));
            self.say_at(depth, Tone::Good, Weight::Normal, "ok", &text);
        } else {
            let text = format!("[{id}] {title}: {words}");
            let mark = match outcome {
                Outcome::Unknown => "UNKNOWN",
                Outcome::CutOff => "CUT OFF",
                Outcome::Failed | Outcome::Succeeded => "FAILED",
            };
            self.say_at(depth, Tone::Bad, Weight::Always, mark, &text);
            if !again {
                self.failed_for_good(id, format!("{title}: {words}"));
            }
        }
        if end.dropped_bytes > 0 {
            let text = format!(
                "{} of {} bytes of its output were not kept",
                end.dropped_bytes, end.output_bytes
            );
            self.follow(depth, Weight::Normal, Tone::Warn, &text);
        }
        self.tell_processes(
            depth,
            "left running, as the step succeeded",
            &end.left_running,
        );
        if !end.killed.is_empty() {
            let text = match end.killed.len() {
                1 => "1 process was ended".to_owned(),
                n => format!("{n} processes were ended"),
            };
            self.follow(depth, Weight::Detail, Tone::Dim, &text);
        }
        for process in &end.survivors {
            let text = format!("COULD NOT BE ENDED: {}", process_words(process));
            self.follow(depth, Weight::Always, Tone::Bad, &text);
        }
        if again {
            self.follow(depth, Weight::Normal, Tone::Warn, "it is tried again");
        } else {
            self.disarm_void(id);
        }
    }

    fn failed_for_good(&mut self, id: &CallId, problem: String) {
        // What ends behind a stop is cut off by it.
        if !id.is_in_back_out() && self.stop.is_none() {
            self.failed_steps.push((id.clone(), problem));
        }
    }

    /// Without a try that acted there is nothing to undo. A step that is tried all the same is armed
    /// anew.
    fn disarm_void(&mut self, id: &CallId) {
        if self.steps.get(id).is_some_and(|step| !step.acted) {
            self.armed.retain(|other| other != id);
            self.back_outs.remove(id);
        }
    }

    fn tell_processes(&mut self, depth: usize, what: &str, processes: &[ProcessFact]) {
        for process in processes {
            let text = format!("{what}: {}", process_words(process));
            self.follow(depth, Weight::Normal, Tone::Warn, &text);
        }
    }

    /// The last lines of a step's output, where they were not shown as they came.
    fn tell_tail(&mut self, depth: usize, end: &StepEnd, succeeded: bool) {
        if !self.look.tails {
            return;
        }
        let most = match (self.look.verbosity > 0, succeeded) {
            (true, _) => usize::MAX,
            (false, true) => TAIL,
            (false, false) => 2 * TAIL,
        };
        let lines: Vec<&str> = end.tail.lines().collect();
        let skipped = lines.len().saturating_sub(most);
        if skipped > 0 {
            let text = format!("... {skipped} lines before");
            self.tail(depth, Weight::Normal, &[text.as_str()]);
        }
        self.tail(
            depth,
            Weight::Normal,
            lines.get(skipped..).unwrap_or_default(),
        );
    }

    pub(super) fn on_back_out(&mut self, event: &Event) {
        match event {
            Event::BackOutStarted {
                id,
                title,
                limit_ms,
                step_outcome,
                attempt,
            } => {
                let by = first_line(title);
                let text = match self.steps.get(id) {
                    Some(step) => format!("[{id}] {}", first_line(&step.title)),
                    None => format!("[{id}] {by}"),
                };
                let depth = self.undo_depth(id);
                self.say_at(depth, Tone::Heading, Weight::Normal, "undo", &text);
                let ended = step_outcome.map_or(String::new(), |outcome| {
                    format!("; the step's outcome: {}", outcome.word())
                });
                let text = format!("by: `{by}`; at most {}{ended}", show_ms(*limit_ms));
                self.follow(depth, Weight::Normal, Tone::Dim, &text);
                if let Some((_, since)) = self.back_outs.get_mut(id) {
                    *since = self.now_ms;
                }
                self.begin_step(id.directory(*attempt, true), &by, *limit_ms, depth);
            }
            Event::BackOutVoid {
                id,
                attempt,
                reason,
                ..
            } => {
                self.end_activity(&id.directory(*attempt, true));
                let text = format!("[{id}] its back-out is tried again: {reason}");
                self.say_at(0, Tone::Warn, Weight::Always, "void", &text);
            }
            Event::BackOutEnded {
                id,
                title,
                outcome,
                end,
                detail,
            } => {
                let prefix = format!("back-out-{}-", id.to_string().replace('/', "_"));
                self.activities.retain(|a| !a.key.starts_with(&prefix));
                self.on_back_out_ended(id, title, *outcome, end.as_deref(), detail);
            }
            _ => {}
        }
    }

    fn on_back_out_ended(
        &mut self,
        id: &CallId,
        title: &str,
        outcome: Outcome,
        end: Option<&StepEnd>,
        detail: &str,
    ) {
        let succeeded = outcome == Outcome::Succeeded;
        let depth = self.undo_depth(id);
        if let Some(end) = end {
            self.tell_tail(depth, end, succeeded);
        }
        if succeeded {
            let since = self.back_outs.get(id).map_or(0, |(_, since)| *since);
            let ms = match end {
                Some(end) => end.duration_ms,
                None => super::positive(self.now_ms.saturating_sub(since)),
            };
            self.armed.retain(|other| other != id);
            if self.stop.is_some() {
                let undone = Undone {
                    title: match self.steps.get(id) {
                        Some(step) => first_line(&step.title),
                        None => "armed by hand".to_owned(),
                    },
                    by: first_line(title),
                };
                self.undone.push(undone);
            }
            let text = format!("[{id}] undone, {}", took(ms));
            self.say_at(depth, Tone::Good, Weight::Normal, "ok", &text);
        } else {
            let text = format!("[{id}] NOT undone: {detail}");
            self.say_at(depth, Tone::Bad, Weight::Always, "FAILED", &text);
        }
        if let Some(end) = end {
            let what = "left running, as the back-out succeeded";
            self.tell_processes(depth, what, &end.left_running);
            let by = first_line(title);
            let left = end.left_running.iter().map(|p| (p.clone(), by.clone()));
            self.left_by_back_outs.extend(left);
        }
        for process in end.map(|end| &end.survivors).into_iter().flatten() {
            let text = format!("COULD NOT BE ENDED: {}", process_words(process));
            self.follow(0, Weight::Always, Tone::Bad, &text);
        }
    }

    pub(super) fn on_disarmed(&mut self, ids: &[CallId], reason: &str, no_return: bool) {
        let given_up: Vec<String> = ids.iter().rev().map(|id| self.armed_words(id)).collect();
        self.armed.retain(|id| !ids.contains(id));
        if no_return {
            self.no_return.push(reason.to_owned());
            let text = format!("POINT OF NO RETURN: {reason}");
            self.say_at(0, Tone::Bad, Weight::Always, "!!!", &text);
        } else {
            self.say(Tone::Warn, "disarm", &format!("given up: {reason}"));
        }
        for title in given_up {
            let text = format!("no way back any more for: {title}");
            self.follow(0, Weight::Always, Tone::Warn, &text);
        }
    }

    /// Between two attempts of a group its back-outs belong to it; groups that were cut short by a
    /// stop are left.
    fn undo_depth(&self, id: &CallId) -> usize {
        match self.stop {
            Some(_) => 0,
            None => self.depth(id),
        }
    }

    pub(super) fn step_title(&self, id: &CallId) -> String {
        self.steps
            .get(id)
            .map_or_else(String::new, |step| first_line(&step.title))
    }

    fn begin_step(&mut self, directory: String, title: &str, limit_ms: u64, depth: usize) {
        self.activities.push(Activity {
            key: directory.clone(),
            verb: "still running",
            what: title.to_owned(),
            since_ms: self.now_ms,
            until_ms: Some(self.now_ms.saturating_add_unsigned(limit_ms)),
            directory: Some(directory),
            depth: depth + 1,
        });
    }

    pub(super) fn end_activity(&mut self, key: &str) {
        self.activities.retain(|a| a.key != key);
    }
}

/// What undoes a step, in words.
fn undo_words(id: &CallId, step: &Step) -> Option<String> {
    if id.is_in_back_out() {
        return None;
    }
    Some(match &step.back_out {
        None => "no back-out of its own".to_owned(),
        Some(back_out) if back_out.undo == Undo::Nothing => "nothing to undo".to_owned(),
        Some(back_out) => format!("back-out: `{}`", first_line(&back_out.title)),
    })
}

/// A process for people: `pid 4711, state S: sleep 100`.
pub(in crate::report) fn process_words(process: &ProcessFact) -> String {
    let holds = if process.holds_output {
        ", holds the step's output open"
    } else {
        ""
    };
    format!(
        "pid {}, state {}{holds}: {}",
        process.pid, process.state, process.command
    )
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST_FACT) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
