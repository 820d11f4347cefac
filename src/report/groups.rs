//! Marks by which the logs of GitHub and GitLab fold what a step prints.

use crate::words::call::CallId;
use crate::words::event::{Event, Stamped};

use super::line::{Line, first_line};

/// Whose log the lines are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ci {
    /// [Workflow commands](https://docs.github.com/actions/reference/workflow-commands-for-github-actions#grouping-log-lines).
    GitHub,
    /// [Custom sections](https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections).
    GitLab,
}

impl Ci {
    /// That of this process's environment: both say so in a variable.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        let says_so = |name| std::env::var_os(name).is_some_and(|v| v == "true");
        if says_so("GITHUB_ACTIONS") {
            Some(Self::GitHub)
        } else if says_so("GITLAB_CI") {
            Some(Self::GitLab)
        } else {
            None
        }
    }
}

/// The groups of a log: one for each step and back-out. What must be seen stands outside.
#[derive(Debug)]
pub(super) struct Groups {
    ci: Ci,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    id: CallId,
    backs_out: bool,
    section: String,
}

impl Groups {
    pub(super) fn new(ci: Ci) -> Self {
        Self { ci, open: None }
    }

    /// Puts its marks before the lines of an event, but behind the heading of a phase.
    pub(super) fn mark(&mut self, event: &Stamped, lines: &mut Vec<Line>) {
        let begins = matches!(
            event.event,
            Event::StepStarted { .. } | Event::BackOutStarted { .. }
        );
        let head = lines.iter().position(|line| line.in_column);
        let at = head.filter(|_| begins).unwrap_or(0);
        lines.splice(at..at, self.before(event));
    }

    fn before(&mut self, event: &Stamped) -> Vec<Line> {
        match &event.event {
            Event::StepStarted {
                id, attempt, step, ..
            } => self.begin(event.at_ms, id, *attempt, false, &step.title),
            Event::BackOutStarted {
                id, attempt, title, ..
            } => self.begin(event.at_ms, id, *attempt, true, title),
            Event::StepEnded { id, .. } | Event::StepVoid { id, .. } => {
                self.end_of(event.at_ms, id, false)
            }
            Event::BackOutEnded { id, .. } | Event::BackOutVoid { id, .. } => {
                self.end_of(event.at_ms, id, true)
            }
            // Nobody unfolds a group to see this.
            Event::Stopping { .. }
            | Event::Interrupted { .. }
            | Event::ApprovalAsked { .. }
            | Event::Left { .. }
            | Event::RunEnded { .. } => self.end(event.at_ms),
            _ => Vec::new(),
        }
    }

    fn begin(
        &mut self,
        at_ms: i64,
        id: &CallId,
        attempt: u32,
        backs_out: bool,
        title: &str,
    ) -> Vec<Line> {
        // GitHub has no groups in groups.
        let mut marks = self.end(at_ms);
        let what = if backs_out { "undo" } else { "step" };
        let attempt_words = match attempt {
            1 => String::new(),
            n => format!(", try {n}"),
        };
        let title = format!("{what} [{id}] {}{attempt_words}", first_line(title));
        let section = format!("deployrun_{}", id.directory(attempt, backs_out));
        marks.push(mark(match self.ci {
            Ci::GitHub => format!("::group::{}", title.replace('%', "%25")),
            Ci::GitLab => format!(
                "\x1b[0Ksection_start:{}:{section}[collapsed=true]\r\x1b[0K{title}",
                at_ms / 1000
            ),
        }));
        self.open = Some(Open {
            id: id.clone(),
            backs_out,
            section,
        });
        marks
    }

    fn end_of(&mut self, at_ms: i64, id: &CallId, backs_out: bool) -> Vec<Line> {
        let is_it = |open: &Open| open.id == *id && open.backs_out == backs_out;
        match self.open.as_ref().is_some_and(is_it) {
            true => self.end(at_ms),
            false => Vec::new(),
        }
    }

    fn end(&mut self, at_ms: i64) -> Vec<Line> {
        let Some(open) = self.open.take() else {
            return Vec::new();
        };
        vec![mark(match self.ci {
            Ci::GitHub => "::endgroup::".to_owned(),
            Ci::GitLab => format!(
                "\x1b[0Ksection_end:{}:{}\r\x1b[0K",
                at_ms / 1000,
                open.section
            ),
        })]
    }
}

/// A mark as it is: it must stand at the margin, and it is meant to be obeyed.
fn mark(text: String) -> Line {
    Line {
        text,
        ..Line::default()
    }
}
