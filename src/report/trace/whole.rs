//! The span of the run itself, and what is waited for at its gate.

use crate::words::event::{Event, RunEnd, Stamped, json_text};
use crate::words::outcome::{Phase, RunOutcome, StopCause};

use super::otlp::{KeyValue, OK, SERVER, Status, attribute};
use super::spans::{Key, Spans, Under, cut};

/// Characters of a note that are sent.
const LONGEST_NOTE: usize = 400;

impl Spans {
    pub(super) fn begin_run(&mut self, stamped: &Stamped, by: &str) {
        let Event::RunStarted {
            deployrun,
            plan,
            fingerprint,
            clock_injected,
            ..
        } = &stamped.event
        else {
            return;
        };
        self.run.clone_from(&stamped.run);
        let parent = self.ids.as_ref().and_then(|ids| ids.parent);
        if let Some(span) = self.begin(Key::Run, "run", "RUN", Under::Run) {
            span.kind = SERVER;
            span.parent_span_id = parent.map_or_else(Vec::new, |id| id.to_vec());
            span.set("deployrun.kind", "run");
            span.set("cicd.pipeline.action.name", "RUN");
            span.set("cicd.pipeline.run.id", stamped.run.as_str());
            span.set("deployment.id", stamped.run.as_str());
            span.set_text("deployrun.version", deployrun);
            span.set_text("deployrun.plan", plan);
            span.set_text("deployrun.fingerprint", fingerprint);
            span.set_text("deployrun.by", by);
            if *clock_injected {
                span.set("deployrun.clock_injected", true);
            }
        }
        self.begin_phase(Phase::Review);
    }

    pub(super) fn end_run(&mut self, end: &RunEnd) {
        let header = self.header.clone();
        self.end(&Key::Run, |span| {
            if !header.name.is_empty() {
                span.name = format!("RUN {}", cut(&header.name, 100));
            }
            span.set_text("cicd.pipeline.name", &header.name);
            span.set_text("deployment.name", &header.release());
            span.set("deployment.environment.name", header.environment.as_str());
            span.set_text("deployrun.release.version", &header.version);
            span.set_text("deployrun.owner", &header.owner);
            span.set("deployrun.outcome", end.outcome.word());
            span.set("cicd.pipeline.result", result(end));
            let status = if end.outcome == RunOutcome::Released {
                "succeeded"
            } else {
                "failed"
            };
            span.set("deployment.status", status);
            if !end.still_changed.is_empty() {
                span.set("deployrun.still_changed", end.still_changed.len());
            }
            if !end.survivors.is_empty() {
                span.set("deployrun.survivors", end.survivors.len());
            }
            if !end.without_back_out.is_empty() {
                span.set("deployrun.without_back_out", end.without_back_out.len());
            }
            if !end.unwritten.is_empty() {
                span.set("deployrun.unwritten_tries", end.unwritten.len());
            }
            if end.outcome == RunOutcome::Released {
                span.status = Some(Status {
                    message: String::new(),
                    code: OK,
                });
                return;
            }
            let cause = end
                .cause
                .map_or_else(|| end.outcome.word().to_owned(), cause_word);
            span.set("deployrun.cause", cause.as_str());
            let words = end.cause.map_or(end.outcome.word(), StopCause::words);
            let message = match (end.outcome, end.cause) {
                (RunOutcome::Refused, Some(StopCause::Refused) | None) => {
                    format!("refused: {}", end.reason)
                }
                (outcome, _) => format!("{}, {words}: {}", outcome.word(), end.reason),
            };
            span.fail(&cause, message.trim_end_matches([' ', ':']));
        });
    }

    /// What happens to the run as a whole.
    pub(super) fn on_waiting(&mut self, event: &Event, seq: u64) {
        match event {
            Event::LockWaited { holder } => {
                let id = format!("lock {seq}");
                self.wait(
                    Key::Lock,
                    &id,
                    "wait for the lock",
                    "deployrun.holder",
                    holder,
                );
            }
            Event::LockTaken { environment } => {
                self.end(&Key::Lock, |_| {});
                let environment = attribute("deployment.environment.name", environment.as_str());
                self.happened("lock taken", vec![environment]);
            }
            Event::ApprovalAsked { name } => {
                let id = format!("approval {seq}");
                let title = format!("approval {name}");
                let key = Key::Approval(name.clone());
                self.wait(key, &id, &title, "deployrun.approval", name);
            }
            Event::Approved {
                name, by, comment, ..
            } => {
                let (key, by) = (Key::Approval(name.clone()), by.to_string());
                if self.open.contains_key(&key) {
                    self.end(&key, |span| {
                        span.set("deployrun.approved_by", by);
                        span.set_text("deployrun.comment", comment);
                    });
                } else {
                    let name = attribute("deployrun.approval", name.as_str());
                    let by = attribute("deployrun.approved_by", by);
                    self.happened("approved", vec![name, by]);
                }
            }
            Event::WindowAwaited { window, .. } => {
                let id = format!("window {seq}");
                self.wait(
                    Key::Window,
                    &id,
                    "wait for the window",
                    "deployrun.window",
                    window,
                );
            }
            Event::WindowOpen { window, .. } => {
                self.end(&Key::Window, |_| {});
                let window = attribute("deployrun.window", window.as_str());
                self.happened("window open", vec![window]);
            }
            Event::WindowOverridden { window, reason } => {
                self.end(&Key::Window, |_| {});
                let window = attribute("deployrun.window", window.as_str());
                self.happened(
                    "window set aside",
                    vec![window, said("deployrun.reason", reason)],
                );
            }
            Event::GateOpened => self.happened("gate opened", Vec::new()),
            Event::Stopping {
                cause,
                reason,
                place,
                ..
            } => {
                let mut attributes = vec![
                    attribute("deployrun.cause", cause_word(*cause)),
                    said("deployrun.reason", reason),
                ];
                attributes.extend(
                    place
                        .as_ref()
                        .map(|p| attribute("deployrun.place", p.to_string())),
                );
                self.happened("stopping", attributes);
                // Nothing of this is waited for any more.
                self.stop(|key| match key {
                    Key::Lock | Key::Window | Key::Approval(_) => true,
                    Key::Call(id) => !id.is_in_back_out(),
                    _ => false,
                });
            }
            Event::Disarmed {
                ids,
                reason,
                no_return,
            } => {
                let name = if *no_return {
                    "point of no return"
                } else {
                    "disarmed"
                };
                let count = attribute("deployrun.disarmed", ids.len());
                self.happened(name, vec![count, said("deployrun.reason", reason)]);
            }
            Event::Interrupted { signal, count } => {
                let signal = attribute("deployrun.signal", signal.as_str());
                self.happened(
                    "interrupted",
                    vec![signal, attribute("deployrun.count", *count)],
                );
            }
            Event::HungUp => self.happened("hung up", Vec::new()),
            Event::Left { reason } => {
                self.happened("left", vec![said("deployrun.reason", reason)]);
            }
            Event::Note { warning, text } => {
                let name = if *warning { "warning" } else { "note" };
                self.happened(name, vec![said("deployrun.text", text)]);
            }
            Event::Notified {
                on, to, problem, ..
            } => {
                let mut said_of = vec![
                    attribute("deployrun.event", on.word()),
                    said("deployrun.told", to),
                ];
                if !problem.is_empty() {
                    said_of.push(said("deployrun.problem", problem));
                }
                self.happened("told", said_of);
            }
            _ => {}
        }
    }

    fn wait(&mut self, key: Key, id: &str, name: &str, what: &str, value: &str) {
        if self.open.contains_key(&key) {
            return;
        }
        if let Some(span) = self.begin(key, id, name, Under::Phase) {
            span.set("deployrun.kind", "wait");
            span.set_text(what, value);
        }
    }
}

fn said(key: &str, text: &str) -> KeyValue {
    attribute(key, cut(text, LONGEST_NOTE))
}

fn cause_word(cause: StopCause) -> String {
    json_text(&cause).trim_matches('"').to_owned()
}

/// `cicd.pipeline.result`, which has fewer words than runs have ends.
fn result(end: &RunEnd) -> &'static str {
    match (end.outcome, end.cause) {
        (RunOutcome::Released, _) => "success",
        (_, Some(StopCause::Operator | StopCause::SecondInterrupt)) => "cancellation",
        (RunOutcome::Refused, _) => "skip",
        (_, Some(StopCause::Deadline | StopCause::WindowClosed)) => "timeout",
        (_, Some(StopCause::JournalFailed | StopCause::Diverged)) => "error",
        _ => "failure",
    }
}
