//! The gate, watches, success criteria, waits, and stops.

use crate::report::line::{Tone, Weight, first_line};
use crate::words::call::{Answer, Call, CallId, Watch};
use crate::words::event::{Event, Verdict};
use crate::words::outcome::{LOCK_ADVICE, Outcome, Phase, StopCause};
use crate::words::place::Place;

use super::{
    Activity, Began, Lines, Stop, coarse, positive, quoted, show_ms, took, whole_commands,
    window_edge,
};

const LOCK: &str = "lock";
const WINDOW: &str = "window";

/// An approval that the run learns of so much later is told with its own time, in milliseconds.
const TOLD_LATE_MS: i64 = 60_000;

impl Lines {
    pub(super) fn on_gate(&mut self, event: &Event) {
        match event {
            Event::LockWaited { holder } => {
                self.lock_waited = true;
                let holder = holder.strip_suffix(LOCK_ADVICE).unwrap_or(holder);
                self.say(Tone::Warn, "lock", &format!("waiting: {holder}"));
                self.begin_wait(LOCK.into(), "still waiting for the lock", "", None);
            }
            Event::LockTaken { environment } => {
                self.end_activity(LOCK);
                let weight = if std::mem::take(&mut self.lock_waited) {
                    Weight::Normal
                } else {
                    Weight::Detail
                };
                let text = match environment.as_str() {
                    "" => "taken".to_owned(),
                    name => format!("{name} is ours"),
                };
                self.say_at(0, Tone::Good, weight, "lock", &text);
            }
            Event::ApprovalAsked { name } => self.on_approval_asked(name),
            Event::Approved {
                name,
                by,
                given_ms,
                comment,
            } => {
                self.end_activity(&approval_key(name));
                for (asked, given) in &mut self.approvals {
                    *given |= asked == name;
                }
                let gap = if comment.is_empty() { "" } else { ": " };
                let late = given_ms.filter(|at| self.now_ms.saturating_sub(*at) >= TOLD_LATE_MS);
                let when = late.map_or_else(String::new, |at| format!(" at {}", self.instant(at)));
                let text = format!("`{name}` is approved by {by}{when}{gap}{comment}");
                self.say(Tone::Good, "ok", &text);
            }
            Event::WindowAwaited {
                window,
                opens_ms,
                closes_ms,
            } => self.on_window_awaited(window, *opens_ms, *closes_ms),
            Event::WindowOpen { window, closes_ms } => {
                self.end_activity(WINDOW);
                let left = coarse(positive(closes_ms.saturating_sub(self.now_ms)));
                let (_, closes) = self.window_edges(window, self.now_ms, *closes_ms);
                let text = match closes {
                    Some(closes) => format!("open until {closes}, {left} left"),
                    None => "open, without end".to_owned(),
                };
                self.say(Tone::Good, "window", &text);
            }
            Event::WindowOverridden { window, reason } => {
                self.end_activity(WINDOW);
                self.override_reason = Some(reason.clone());
                let text = format!("SET ASIDE ({window}): {reason}");
                self.say_at(0, Tone::Bad, Weight::Always, "window", &text);
            }
            _ => {}
        }
    }

    /// Another process goes on: what was waited for is asked anew by it, or begins anew.
    pub(super) fn take_up(&mut self) {
        self.activities.retain(|a| a.key != LOCK && a.key != WINDOW);
        for activity in self.activities.clone() {
            if activity.directory.is_some() {
                let text = format!(
                    "{} was not seen to end; its end is looked for",
                    activity.what
                );
                self.say(Tone::Warn, "step", &text);
            }
        }
        let now_ms = self.now_ms;
        for (id, began) in &mut self.began {
            let ms = match &began.call {
                Call::Soak { ms } | Call::Verify { within_ms: ms, .. } => *ms,
                _ => continue,
            };
            began.at_ms = now_ms;
            let key = format!("call {id}");
            for activity in self.activities.iter_mut().filter(|a| a.key == key) {
                activity.since_ms = now_ms;
                activity.until_ms = Some(now_ms.saturating_add_unsigned(ms));
            }
        }
        let wanted: Vec<String> = self.wanted_approvals().map(str::to_owned).collect();
        for name in wanted {
            self.on_approval_asked(&name);
        }
    }

    fn on_approval_asked(&mut self, name: &str) {
        if !self.approvals.iter().any(|(asked, _)| asked == name) {
            self.approvals.push((name.to_owned(), false));
        }
        let text = format!("somebody must approve `{name}`:");
        self.say_at(0, Tone::Warn, Weight::Always, "approve", &text);
        let text = self.approve_command(name);
        self.follow(0, Weight::Always, Tone::Heading, &text);
        let verb = "still waiting for the approval of";
        self.begin_wait(approval_key(name), verb, &first_line(name), None);
    }

    /// The command that approves.
    pub(super) fn approve_command(&self, name: &str) -> String {
        format!(
            "{} approve {} {}",
            self.look.program,
            self.run,
            quoted(name)
        )
    }

    fn on_window_awaited(&mut self, window: &str, opens_ms: i64, closes_ms: i64) {
        self.end_activity(WINDOW);
        let wait = coarse(positive(opens_ms.saturating_sub(self.now_ms)));
        let (opens, closes) = self.window_edges(window, opens_ms, closes_ms);
        let opens = opens.unwrap_or_default();
        let text = format!("opens in {wait}: {opens}");
        self.say(Tone::Plain, "window", &text);
        let length = show_ms(positive(closes_ms.saturating_sub(opens_ms)));
        let closes = match closes {
            Some(closes) => format!("closes {closes}, {length} later"),
            None => "without end".to_owned(),
        };
        self.follow(0, Weight::Normal, Tone::Dim, &closes);
        let verb = "still waiting for the window";
        self.begin_wait(WINDOW.into(), verb, "", Some(opens_ms));
    }

    /// When it opens and closes, in the zone of the window, and in the reader's own where the clock
    /// shows something else there. `None` for an edge that does not exist.
    fn window_edges(
        &self,
        window: &str,
        opens_ms: i64,
        closes_ms: i64,
    ) -> (Option<String>, Option<String>) {
        let edge = |at_ms| window_edge(window, at_ms, self.look.zone.get());
        (edge(opens_ms), edge(closes_ms))
    }

    fn begin_wait(&mut self, key: String, verb: &'static str, what: &str, until: Option<i64>) {
        self.end_activity(&key);
        self.activities.push(Activity {
            key,
            verb,
            what: what.to_owned(),
            since_ms: self.now_ms,
            until_ms: until,
            directory: None,
            depth: 0,
        });
    }

    pub(super) fn on_call_began(&mut self, id: &CallId, call: &Call, place: &Place) {
        let depth = self.depth(id);
        let began = Began {
            call: call.clone(),
            at_ms: self.now_ms,
            tries: 0,
            last: None,
        };
        self.began.insert(id.clone(), began);
        let (mark, text, ms) = match call {
            Call::Verify {
                name, within_ms, ..
            } => {
                if self.phase == Phase::Release {
                    // Its event follows.
                    self.on_phase(Phase::Verify);
                }
                let text = format!("{}, within {}", first_line(name), show_ms(*within_ms));
                ("verify", text, Some(*within_ms))
            }
            Call::Soak { ms } => {
                let watches = match self.watches.len() {
                    0 => "nothing watches".to_owned(),
                    1 => "1 watch looks on".to_owned(),
                    n => format!("{n} watches look on"),
                };
                ("soak", format!("{}: {watches}", show_ms(*ms)), Some(*ms))
            }
            Call::Sleep { ms } => ("sleep", show_ms(*ms), Some(*ms)),
            Call::WaitForApproval {
                timeout_ms: Some(ms),
                name,
            } => {
                let text = format!("`{name}` within {}", show_ms(*ms));
                self.say_at(depth, Tone::Plain, Weight::Normal, "wait", &text);
                return;
            }
            _ => return,
        };
        self.say_at(depth, Tone::Plain, Weight::Normal, mark, &text);
        self.follow(depth, Weight::Detail, Tone::Dim, &place.to_string());
        let key = format!("call {id}");
        let until = ms.map(|ms| self.now_ms.saturating_add_unsigned(ms));
        let (verb, what) = match call {
            Call::Verify { name, .. } => ("still not met", first_line(name)),
            Call::Soak { .. } => ("still soaking", String::new()),
            _ => ("still sleeping", String::new()),
        };
        self.begin_wait(key, verb, &what, until);
    }

    pub(super) fn on_call_ended(&mut self, id: &CallId, answer: &Answer) {
        self.end_activity(&format!("call {id}"));
        let Some(began) = self.began.remove(id) else {
            return;
        };
        let depth = self.depth(id);
        let took = took(positive(self.now_ms.saturating_sub(began.at_ms)));
        if let Answer::Throw(failure) = answer {
            let text = failure.message.clone();
            return self.say_at(depth, Tone::Bad, Weight::Always, "FAILED", &text);
        }
        match (&began.call, answer) {
            (Call::Verify { name, .. }, Answer::Value(_)) => {
                let tries = match began.tries {
                    0 | 1 => String::new(),
                    n => format!(", try {n}"),
                };
                let text = format!("{}, {took}{tries}", first_line(name));
                self.say_at(depth, Tone::Good, Weight::Normal, "ok", &text);
            }
            (Call::Soak { .. }, Answer::Value(_)) => {
                self.say_at(
                    depth,
                    Tone::Good,
                    Weight::Normal,
                    "ok",
                    &format!("soaked {took}"),
                );
            }
            _ => {}
        }
    }

    pub(super) fn on_tried(&mut self, id: &CallId, verdict: &Verdict) {
        let depth = self.depth(id);
        let Some(began) = self.began.get_mut(id) else {
            return;
        };
        began.tries += 1;
        let changed = began.last.as_ref() != Some(verdict);
        began.last = Some(verdict.clone());
        let tries = began.tries;
        let weight = if changed && *verdict != Verdict::Pass {
            Weight::Normal
        } else {
            Weight::Detail
        };
        let text = format!("try {tries}: {}", first_line(verdict.words()));
        self.say_at(depth + 1, Tone::Dim, weight, "verify", &text);
    }

    pub(super) fn on_watch(&mut self, id: &CallId, watch: &Watch) {
        let every = show_ms(watch.every_ms);
        let rule = match (watch.observe, watch.failures.max(1)) {
            (true, _) => "only observed".to_owned(),
            (false, 1) => "trips at the first bad sample".to_owned(),
            (false, n) => format!("trips at {n} bad samples in a row"),
        };
        let grace = match watch.grace_ms {
            0 => String::new(),
            ms => format!(", not in its first {}", show_ms(ms)),
        };
        let text = format!("{}: every {every}, {rule}{grace}", first_line(&watch.name));
        let depth = self.depth(id);
        self.say_at(depth, Tone::Plain, Weight::Normal, "watch", &text);
        self.watches.insert(id.clone(), (watch.clone(), 0));
    }

    pub(super) fn on_sampled(&mut self, id: &CallId, name: &str, verdict: &Verdict, bad: u32) {
        let (observe, failures, before) = match self.watches.get_mut(id) {
            Some((watch, before)) => {
                let before = std::mem::replace(before, bad);
                (watch.observe, watch.failures.max(1), before)
            }
            None => (false, 1, 0),
        };
        let words = first_line(verdict.words());
        let name = first_line(name);
        let (tone, weight, mark, text) = match verdict {
            Verdict::Pass if before > 0 => {
                let text = format!("{name}: passes again");
                (Tone::Good, Weight::Normal, "ok", text)
            }
            Verdict::Pass => (Tone::Dim, Weight::Detail, "sample", format!("{name}: pass")),
            _ if bad == 0 => {
                let text = format!("{name}: {words}, does not count");
                (Tone::Dim, Weight::Detail, "sample", text)
            }
            _ if observe => {
                let text = format!("{name}: {words}, {bad} in a row; only observed");
                // It may be so all along, and nothing follows from it.
                let weight = match before {
                    0 => Weight::Normal,
                    _ => Weight::Detail,
                };
                (Tone::Warn, weight, "bad", text)
            }
            _ => {
                let text = format!("{name}: {words}, {bad} of {failures}");
                (Tone::Warn, Weight::Normal, "bad", text)
            }
        };
        self.say_at(0, tone, weight, mark, &text);
    }

    pub(super) fn on_stopping(
        &mut self,
        cause: StopCause,
        reason: &str,
        place: Option<&Place>,
        detail: &str,
    ) {
        let reason = &match cause {
            // The journal does not know where it is; who reads it must be told.
            StopCause::Refused => whole_commands(reason, &self.look.program),
            _ => reason.to_owned(),
        };
        let step = self.failed_step(cause, reason);
        let tail = step.as_ref().and_then(|id| self.steps.get(id));
        // The output stands just above, unless it was not shown at all.
        let told = self.look.verbosity >= 0 && tail.is_some_and(|s| !s.tail.is_empty());
        self.say_at(
            0,
            Tone::Bad,
            Weight::Always,
            "STOP",
            &format!("{}: {reason}", cause.words()),
        );
        let shown = if told {
            without_output(detail)
        } else {
            detail.to_owned()
        };
        let mut lines = shown.lines().peekable();
        // Its first line is the reason once more.
        if lines.peek().is_some_and(|first| reason.starts_with(*first)) {
            lines.next();
        } else if let Some(place) = place.filter(|_| detail.is_empty()) {
            self.follow(0, Weight::Always, Tone::Plain, &format!("--> {place}"));
        }
        for line in lines {
            let line = line.strip_prefix("  ").unwrap_or(line);
            self.follow(0, Weight::Always, Tone::Plain, line);
        }
        self.activities.retain(|a| a.directory.is_some());
        self.stop = Some(Stop {
            place: place.cloned(),
            step,
        });
    }

    /// The step that a stop is about: the last one that did not succeed.
    fn failed_step(&self, cause: StopCause, reason: &str) -> Option<CallId> {
        let about_steps = matches!(
            cause,
            StopCause::FailedStep | StopCause::Deadline | StopCause::WindowClosed
        );
        let mut bad = self.steps.iter().filter(|(id, story)| {
            !id.is_in_back_out()
                && story.outcome.is_some_and(|o| o != Outcome::Succeeded)
                && reason.contains(&format!("`{}`", story.title))
        });
        bad.next_back()
            .filter(|_| about_steps)
            .map(|(id, _)| id.clone())
    }

    pub(super) fn on_interrupted(&mut self, signal: &str, count: u32) {
        self.interrupts = count;
        let backing_out = self.phase == Phase::BackingOut || self.stop.is_some();
        let nothing_changed = matches!(self.phase, Phase::Review | Phase::Waiting);
        let text = match (count, backing_out) {
            (1, false) if nothing_changed => {
                format!("{signal}: stopping; nothing has been changed")
            }
            (1, false) => {
                format!("{signal}: stopping; what runs is ended, then everything is backed out")
            }
            (1, true) => format!("{signal}: the back-out is under way and goes on"),
            (2, _) => format!("{signal}, the second: what is being ended is killed now"),
            (n, _) => format!("{signal}, number {n}: leaving the run as it is"),
        };
        if signal == "SIGINT" {
            // A terminal shows `^C` where the cursor was.
            self.blank();
        }
        self.say_at(0, Tone::Bad, Weight::Always, "signal", &text);
        let next = match (count, backing_out) {
            (1, false) => "again: kill without grace; a third time: leave without backing out",
            (1, true) => "again: kill what is being ended; a third time: leave it half backed out",
            (2, _) => "the back-out goes on; once more: leave, and come back with",
            _ => return,
        };
        if nothing_changed && !backing_out {
            return;
        }
        let next = match count {
            2 => format!("{next} `{} back-out {}`", self.look.program, self.run),
            _ => next.to_owned(),
        };
        self.follow(0, Weight::Always, Tone::Warn, &next);
    }
}

fn approval_key(name: &str) -> String {
    format!("approval {name}")
}

/// The detail of an error without the last lines of output in it.
fn without_output(detail: &str) -> String {
    let mut kept = Vec::new();
    let mut in_output = false;
    for line in detail.lines() {
        in_output = line.starts_with("   = the last lines of its output")
            || (in_output && line.starts_with("     | "));
        if !in_output {
            kept.push(line);
        }
    }
    kept.join("\n")
}
