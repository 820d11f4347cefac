//! A run for people, while it goes on: its lines, the output of its steps, and signs of life.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::target::local::StepDir;
use crate::words::event::{Event, Stamped};
use crate::words::report::Report;
use crate::words::step::StepEnd;

use super::groups::{Ci, Groups};
use super::line::Line;
use super::lines::{Activity, Lines, Look};
use super::output::{Follower, Piece, show_bytes};
use super::thread::{Reporter, Screen};
use super::{Style, out};

/// How often the output of running steps is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Lines of output that are shown in a second.
const LINES_A_SECOND: usize = 200;
/// Lines that are shown of the output that is left when a step has ended.
const LAST_LINES: usize = 40;
/// Output that is left out when it comes faster than it can be shown: all but so many bytes.
const KEPT_OF_MUCH: u64 = 64 * 1024;
/// The tail that comes with the end of a step is the whole output below these.
const WHOLE_BYTES: u64 = 64 * 1024;
const WHOLE_LINES: usize = 200;
/// Characters of an unfinished line that a sign of life shows.
const UNFINISHED: usize = 60;

/// Prints what happens, as it happens.
pub struct HumanReport(Reporter<HumanScreen>);

/// Somebody who wants to know what has been shown.
pub type Listener = Box<dyn FnMut(&Stamped) + Send>;

impl HumanReport {
    /// A report in this style; the runs and their output are in the look's state directory.
    #[must_use]
    pub fn new(style: Style, look: Look) -> Self {
        Self(Reporter::new(HumanScreen {
            style,
            quiet: look.verbosity < 0,
            state_dir: PathBuf::from(&look.state_dir),
            lines: Lines::new(look),
            recalled: Vec::new(),
            followed: HashMap::new(),
            budget: Budget::full(Instant::now()),
            heard: Instant::now(),
            groups: None,
            listener: None,
        }))
    }

    /// Folds what steps print in the log of `ci`; to be called before the first event.
    pub fn fold(&mut self, ci: Ci) {
        if let Some(screen) = self.0.screen() {
            screen.groups = (!screen.quiet).then(|| Groups::new(ci));
        }
    }

    /// Events of the run that were told by another process; to be called before the first event.
    pub fn recall(&mut self, events: Vec<Stamped>) {
        if let Some(screen) = self.0.screen() {
            screen.recalled = events;
        }
    }

    /// Calls `listener` after each event has been shown; to be called before the first event.
    pub fn listen(&mut self, listener: Listener) {
        if let Some(screen) = self.0.screen() {
            screen.listener = Some(listener);
        }
    }
}

impl Report for HumanReport {
    fn event(&mut self, event: &Stamped) {
        self.0.event_without_streams(event);
    }

    fn unwritten(&mut self, event: &Stamped) {
        self.0.unwritten(event);
    }
}

struct HumanScreen {
    style: Style,
    quiet: bool,
    state_dir: PathBuf,
    lines: Lines,
    recalled: Vec<Stamped>,
    followed: HashMap<String, Followed>,
    budget: Budget,
    /// When the last event was told; together with its own time this is the present time.
    heard: Instant,
    groups: Option<Groups>,
    listener: Option<Listener>,
}

/// An activity that is looked at.
struct Followed {
    activity: Activity,
    output: Option<Follower>,
    since: Instant,
    /// When something was last said of it.
    said: Instant,
}

impl Screen for HumanScreen {
    fn events(&mut self, events: &[Stamped]) {
        for event in std::mem::take(&mut self.recalled) {
            self.lines.recall(&event);
        }
        let mut shown = Vec::new();
        for event in events {
            if let Some((prefix, end)) = ended(&event.event) {
                self.show_rest(&prefix, end, &mut shown);
            }
            let mut told = self.lines.tell(event);
            if let Some(groups) = &mut self.groups {
                groups.mark(event, &mut told);
            }
            shown.append(&mut told);
            self.heard = Instant::now();
            self.follow();
            if self.listener.is_some() {
                self.print(&std::mem::take(&mut shown));
                if let Some(listener) = &mut self.listener {
                    listener(event);
                }
            }
        }
        self.print(&shown);
    }

    fn unwritten(&mut self, event: &Stamped) {
        for line in self.lines.tell(event) {
            let text = format!("not in the journal: {}", line.plain());
            out::error_line(text.trim_end());
        }
    }

    fn tick(&mut self) -> Option<Duration> {
        if self.quiet || self.followed.is_empty() {
            return None;
        }
        let now = Instant::now();
        let mut shown = Vec::new();
        self.show_output(now, &mut shown);
        self.show_life(now, &mut shown);
        self.print(&shown);
        let has_output = self.followed.values().any(|f| f.output.is_some());
        Some(if has_output {
            LOOK_AGAIN
        } else {
            10 * LOOK_AGAIN
        })
    }
}

impl HumanScreen {
    fn print(&self, lines: &[Line]) {
        let texts: Vec<String> = lines.iter().map(|line| line.painted(self.style)).collect();
        out::lines(texts.iter().map(String::as_str));
    }

    /// Begins and ends to look at activities, as they begin and end.
    fn follow(&mut self) {
        if self.quiet {
            return;
        }
        let now = Instant::now();
        let activities = self.lines.activities();
        self.followed
            .retain(|key, _| activities.iter().any(|a| a.key == *key));
        for activity in activities {
            if self.followed.contains_key(&activity.key) {
                continue;
            }
            let run_dir = self.state_dir.join("runs").join(self.lines.run());
            let output = activity.directory.as_ref();
            let output = output.map(|name| Follower::new(StepDir::new(run_dir.join(name))));
            let followed = Followed {
                activity: activity.clone(),
                output,
                since: now,
                said: now,
            };
            self.followed.insert(activity.key.clone(), followed);
        }
    }

    fn show_output(&mut self, now: Instant, shown: &mut Vec<Line>) {
        self.budget.refill(now);
        for followed in self.followed.values_mut() {
            let Some(output) = &mut followed.output else {
                continue;
            };
            while self.budget.lines > 0 {
                let Some(piece) = output.next_piece() else {
                    break;
                };
                self.budget.lines -= 1;
                followed.said = now;
                shown.push(line_of(&self.lines, followed.activity.depth, &piece));
            }
            if self.budget.lines == 0 {
                output.skip_all_but(KEPT_OF_MUCH);
            }
        }
    }

    /// What has not been shown of the output of a step that has ended.
    fn show_rest(&mut self, prefix: &str, end: &StepEnd, shown: &mut Vec<Line>) {
        let key = self
            .followed
            .keys()
            .find(|key| key.starts_with(prefix))
            .cloned();
        let Some(mut followed) = key.and_then(|key| self.followed.remove(&key)) else {
            return;
        };
        let depth = followed.activity.depth;
        let Some(output) = followed.output.as_mut().filter(|_| end.output_bytes > 0) else {
            return;
        };
        self.budget.refill(Instant::now());
        let lines: Vec<&str> = end.tail.lines().collect();
        let is_whole = end.output_bytes < WHOLE_BYTES && lines.len() < WHOLE_LINES;
        if output.offset() == 0 && is_whole && lines.len() <= self.budget.lines {
            self.budget.lines -= lines.len();
            let lines = lines.iter().map(|text| self.lines.output_line(depth, text));
            return shown.extend(lines);
        }
        let rest = output.rest(self.budget.lines.max(LAST_LINES));
        self.budget.lines = self.budget.lines.saturating_sub(rest.len());
        let rest = rest.iter().map(|piece| line_of(&self.lines, depth, piece));
        shown.extend(rest);
    }

    /// Signs of life of what has been silent for a while.
    fn show_life(&mut self, now: Instant, shown: &mut Vec<Line>) {
        let passed = now.saturating_duration_since(self.heard);
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        let now_ms = self.lines.now_ms().saturating_add(passed);
        for followed in self.followed.values_mut() {
            let silent = now.saturating_duration_since(followed.said);
            let running = now.saturating_duration_since(followed.since);
            if silent < pace(running, followed.output.is_some()) {
                continue;
            }
            followed.said = now;
            let mut text = followed.activity.sign_of_life(now_ms);
            if let Some(line) = followed.output.as_ref().and_then(Follower::unfinished) {
                let line: String = line.chars().take(UNFINISHED).collect();
                text.push_str(&format!(": {line}"));
            }
            let depth = followed.activity.depth.saturating_sub(1);
            shown.push(self.lines.aside(depth, now_ms, text));
        }
    }
}

/// How long something may be silent: less while it is young.
fn pace(running: Duration, is_step: bool) -> Duration {
    let seconds = match (running.as_secs(), is_step) {
        (0..60, true) => 10,
        (60..600, true) => 30,
        (0..600, _) => 60,
        _ => 300,
    };
    Duration::from_secs(seconds)
}

fn line_of(lines: &Lines, depth: usize, piece: &Piece) -> Line {
    match piece {
        Piece::Line(text) => lines.output_line(depth, text),
        Piece::Gap(bytes) => {
            let text = format!("... {} are not shown here", show_bytes(*bytes));
            lines.output_line(depth, &text)
        }
    }
}

/// The begin of the directory, and the end, of a process that has ended.
fn ended(event: &Event) -> Option<(String, &StepEnd)> {
    let (id, end, backs_out) = match event {
        Event::StepEnded { id, end, .. } => (id, end, false),
        Event::BackOutEnded {
            id, end: Some(end), ..
        } => (id, end, true),
        _ => return None,
    };
    // One try is in flight at a time.
    let mut prefix = id.directory(0, backs_out);
    prefix.pop();
    Some((prefix, end))
}

/// How many lines of output may be shown now.
#[derive(Debug)]
struct Budget {
    lines: usize,
    filled: Instant,
}

impl Budget {
    fn full(now: Instant) -> Self {
        Self {
            lines: LINES_A_SECOND,
            filled: now,
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_millis();
        let earned = usize::try_from(passed)
            .unwrap_or(usize::MAX)
            .saturating_mul(LINES_A_SECOND)
            / 1000;
        if earned > 0 {
            self.lines = self.lines.saturating_add(earned).min(LINES_A_SECOND);
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_fills_with_time_and_no_further() {
        let start = Instant::now();
        let mut budget = Budget::full(start);
        budget.lines = 0;
        budget.refill(start + Duration::from_millis(4));
        assert_eq!(budget.lines, 0);
        budget.refill(start + Duration::from_millis(100));
        assert_eq!(budget.lines, 20);
        budget.refill(start + Duration::from_secs(60));
        assert_eq!(budget.lines, LINES_A_SECOND);
    }

    #[test]
    fn signs_of_life_grow_rarer() {
        let pace = |s, step| pace(Duration::from_secs(s), step).as_secs();
        assert_eq!(
            (pace(0, true), pace(59, true), pace(60, true)),
            (10, 10, 30)
        );
        assert_eq!(
            (pace(600, true), pace(0, false), pace(3600, false)),
            (300, 60, 300)
        );
    }
}
