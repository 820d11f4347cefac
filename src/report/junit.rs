//! A run as JUnit XML, for continuous integration.
//!
//! A released run has no failure and no error; every other run has at least one.

mod cases;
mod tested;
mod xml;

pub use tested::tested;

use crate::words::diagnostic::Diagnostic;
use crate::words::duration;
use crate::words::event::Stamped;
use crate::words::outcome::{RunOutcome, StopCause};
use crate::words::report::Report;

use super::line::first_line;
use super::out;
use super::story::{Standing, Story};
use super::thread::{Reporter, Screen};

use cases::{Case, Result, Suite};

/// The document that tells of a run.
#[must_use]
pub fn document(story: &Story, program: &str) -> String {
    let mut suites = vec![run_suite(story, program)];
    suites.extend(cases::suites(story, program));
    xml::written(&suites)
}

/// The document that tells why no run was started or taken up.
#[must_use]
pub fn refused(problem: &str, findings: &[Diagnostic]) -> String {
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let case = Case {
        name: "the run is started".to_owned(),
        class: "deployrun".to_owned(),
        result: Result::Failure {
            kind: "refused".to_owned(),
            message: problem.to_owned(),
            text: texts.join("\n\n"),
        },
        ..Case::default()
    };
    xml::written(&[Suite {
        name: "deployrun".to_owned(),
        cases: vec![case],
        ..Suite::default()
    }])
}

/// The run as a whole: the one case that decides.
fn run_suite(story: &Story, program: &str) -> Suite {
    let environment = match story.environment() {
        "" => String::new(),
        name => format!(" → {}", first_line(name)),
    };
    let name = format!("{}{environment} is released", story.release());
    let mut case = Case {
        name,
        class: cases::class(story, "run"),
        ms: Some(story.span().ms(story.last_ms)),
        result: Result::Passed,
        ..Case::default()
    };
    let whole = format!("the whole run: `{program} show {}`", story.run);
    case.result = match story.standing() {
        Standing::Ended(end) if end.outcome == RunOutcome::Released => Result::Passed,
        Standing::Ended(end) => {
            let outcome = end.outcome.word();
            let why = match &end.cause {
                Some(StopCause::Refused) if !end.reason.is_empty() => format!(": {}", end.reason),
                Some(cause) if !end.reason.is_empty() => {
                    format!(": {}: {}", cause.words(), end.reason)
                }
                Some(cause) => format!(": {}", cause.words()),
                None => String::new(),
            };
            let message = format!("{outcome}{why}");
            let text = [cases::end_text(story, end), whole].join("\n");
            let kind = outcome.to_owned();
            match end.outcome {
                RunOutcome::Stuck => Result::Error {
                    kind,
                    message,
                    text,
                },
                _ => Result::Failure {
                    kind,
                    message,
                    text,
                },
            }
        }
        Standing::Left(reason) => Result::Error {
            kind: "left".to_owned(),
            message: format!("the run has not ended and was left: {reason}"),
            text: format!("{}\n{whole}", come_back(story, program)),
        },
        Standing::Open => Result::Error {
            kind: "not-ended".to_owned(),
            message: format!("the run has not ended; phase: {}", story.phase().word()),
            text: format!("{}\n{whole}", come_back(story, program)),
        },
    };
    Suite {
        name: "run".to_owned(),
        begin_ms: Some(story.first_ms),
        ms: Some(story.span().ms(story.last_ms)),
        file: None,
        host: story.start.as_ref().map(|s| s.by.host.clone()),
        properties: properties(story),
        cases: vec![case],
    }
}

fn come_back(story: &Story, program: &str) -> String {
    let run = &story.run;
    let resume = match story.stops.is_empty() {
        true => format!("\nto go on, if no process has it: `{program} resume {run}`"),
        false => String::new(),
    };
    format!("to back out, if no process has it: `{program} back-out {run}`{resume}")
}

fn properties(story: &Story) -> Vec<(&'static str, String)> {
    let mut all = vec![("run", story.run.clone())];
    all.push(("outcome", story.outcome_word().to_owned()));
    if let Some(end) = story.end() {
        all.push(("exit-status", end.outcome.exit_status().to_string()));
        if let Some(cause) = end.cause {
            all.push(("cause", cases::word_of(&cause)));
        }
    }
    if let Some(start) = &story.start {
        all.push(("plan", start.plan.clone()));
        all.push(("fingerprint", start.fingerprint.clone()));
        all.push(("started-by", start.by.to_string()));
        all.push(("deployrun", start.deployrun.clone()));
        if start.clock_injected {
            all.push(("clock", "injected: all times are made up".to_owned()));
        }
    }
    if let Some(header) = &story.header {
        all.push(("name", header.name.clone()));
        all.push(("version", header.version.clone()));
        all.push(("environment", header.environment.clone()));
        all.push(("window", header.window.clone().unwrap_or_default()));
        if let Some(ms) = header.deadline_ms {
            let time = std::time::Duration::from_millis(ms);
            all.push(("deadline", duration::show(time)));
        }
    }
    all.retain(|(_, value)| !value.is_empty());
    all
}

/// Collects the events of a run, and prints the document at its end on standard output.
pub struct JunitReport(Reporter<JunitScreen>);

impl JunitReport {
    /// A report of a run that other processes have told so much of; `program` is how this one is
    /// called in commands to type.
    #[must_use]
    pub fn new(program: &str, before: &[Stamped]) -> Self {
        Self(Reporter::new(JunitScreen {
            program: program.to_owned(),
            story: Story::of(before),
        }))
    }
}

impl Report for JunitReport {
    fn event(&mut self, event: &Stamped) {
        self.0.event(event);
    }

    /// The document tells what is in the journal; without an end there it tells of an error.
    fn unwritten(&mut self, _: &Stamped) {}
}

struct JunitScreen {
    program: String,
    story: Story,
}

impl Screen for JunitScreen {
    fn events(&mut self, events: &[Stamped]) {
        for event in events {
            self.story.tell(event);
        }
    }

    fn unwritten(&mut self, _: &Stamped) {}

    fn tick(&mut self) -> Option<std::time::Duration> {
        None
    }
}

impl Drop for JunitScreen {
    fn drop(&mut self) {
        // Before its first event there is no run to tell of.
        if self.story.events > 0 {
            out::document(&document(&self.story, &self.program));
        }
    }
}
