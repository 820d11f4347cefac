//! What each event means for the spans of a run.

use serde_json::Value;

use crate::words::call::{Answer, Call, CallId, Step, Undo};
use crate::words::event::{Event, LimitBy, Stamped, Verdict, json_text};
use crate::words::outcome::{Outcome, Phase};
use crate::words::place::Place;
use crate::words::step::{CutOff, End, StepEnd, end_words};

use super::ids::Ids;
use super::otlp::{Span, attribute};
use super::spans::{Key, Spans, Under, cut, nanos, step_name};

/// Milliseconds from which on a fact is worth a span of its own.
const SLOW_FACT_MS: u64 = 100;

impl Spans {
    pub(super) fn on(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::RunStarted { by, .. } => {
                self.ids = Some(Ids::of_run(stamped));
                self.begin_run(stamped, &by.to_string());
            }
            Event::RunResumed { by, command, .. } => {
                // Both are asked anew by whoever takes the run up.
                self.stop(|key| matches!(key, Key::Lock | Key::Window));
                self.happened(
                    "taken up",
                    vec![
                        attribute("deployrun.command", command.as_str()),
                        attribute("deployrun.by", by.to_string()),
                        attribute("process.pid", by.pid),
                    ],
                );
            }
            Event::Header { header } => self.header = header.clone(),
            Event::Phase { phase } => self.on_phase(*phase),
            Event::Called {
                id,
                call,
                place,
                answer,
                took_ms,
            } => self.on_called(id, call, place, answer, *took_ms),
            Event::CallBegan { id, call, place } => self.on_call_began(id, call, place),
            Event::CallEnded { id, answer } => self.on_call_ended(id, answer),
            Event::Finding {
                id,
                name,
                ok,
                detail,
            } => self.on_finding(id, name, *ok, detail),
            Event::StepStarted { .. }
            | Event::StepEnded { .. }
            | Event::StepVoid { .. }
            | Event::BackOutStarted { .. }
            | Event::BackOutVoid { .. }
            | Event::BackOutEnded { .. } => self.on_step(&stamped.event),
            Event::Sampled {
                id, verdict, bad, ..
            } => self.on_sample(id, verdict, *bad),
            Event::Tried { id, verdict } => {
                let now_ms = self.now_ms;
                if let Some(span) = self.open.get_mut(&Key::Call(id.clone())) {
                    let verdict = cut(verdict.words(), 200);
                    let attributes = vec![attribute("deployrun.verdict", verdict)];
                    span.happened(now_ms, "tried", attributes);
                }
            }
            Event::RunEnded { end } => {
                self.stop(|key| *key != Key::Run);
                self.end_run(end);
            }
            other => self.on_waiting(other, stamped.seq),
        }
    }

    fn on_phase(&mut self, phase: Phase) {
        if matches!(phase, Phase::BackingOut) || phase.ended().is_some() {
            // The plan's own script is over.
            self.stop(|key| match key {
                Key::Watch(_) | Key::Lock | Key::Window | Key::Approval(_) => true,
                Key::Group(id) | Key::Call(id) => !id.is_in_back_out(),
                _ => false,
            });
        }
        let before = self.open.get(&Key::Phase).map(|span| span.span_id.clone());
        self.end(&Key::Phase, |_| {});
        if phase.ended().is_none() {
            self.begin_phase(phase);
        }
        // The call that is about to be answered has led to this phase, and belongs to it.
        let Some(now) = self.open.get(&Key::Phase).cloned() else {
            return;
        };
        for (key, span) in &mut self.open {
            if matches!(key, Key::Call(_)) && Some(&span.parent_span_id) == before.as_ref() {
                span.parent_span_id.clone_from(&now.span_id);
                span.start_time_unix_nano = now.start_time_unix_nano;
            }
        }
    }

    pub(super) fn begin_phase(&mut self, phase: Phase) {
        self.phases += 1;
        let id = format!("phase {}", self.phases);
        if let Some(span) = self.begin(Key::Phase, &id, phase.word(), Under::Run) {
            span.set("deployrun.kind", "phase");
        }
    }

    fn on_called(
        &mut self,
        id: &CallId,
        call: &Call,
        place: &Place,
        answer: &Answer,
        took_ms: u64,
    ) {
        match call {
            Call::Read { name, args } => {
                let is_slow = took_ms >= SLOW_FACT_MS;
                if is_slow || name == "probe" || name == "http_get" {
                    let title = read_title(name, args);
                    self.on_read(id, &title, "fact", place, answer, took_ms);
                }
            }
            Call::Check { name } => {
                // Its finding was told before.
                let Some(mut span) = self.open.remove(&Key::Call(id.clone())) else {
                    return self.on_read(
                        id,
                        &format!("check {name}"),
                        "check",
                        place,
                        answer,
                        took_ms,
                    );
                };
                span.at(place);
                span.started_ago(self.now_ms, took_ms);
                self.finish(span);
            }
            Call::StepBegin { title, .. } if *answer != Answer::Stop => {
                self.groups
                    .entry(id.fiber.clone())
                    .or_default()
                    .push(id.clone());
                self.begin_group(id, title, Some(place), 1);
            }
            Call::StepEnd { begin, failed } => {
                self.on_group_end(id, *begin, failed.as_deref(), answer);
            }
            Call::Watch(watch) => {
                let name = format!("watch {}", watch.name);
                let key = Key::Watch(id.clone());
                if let Some(span) = self.begin(key, &format!("watch {id}"), &name, Under::Run) {
                    span.set("deployrun.kind", "watch");
                    span.set("deployrun.call", id.to_string());
                    span.at(place);
                    span.set("deployrun.watch.every_ms", watch.every_ms);
                    span.set("deployrun.watch.failures", watch.failures);
                    span.set("deployrun.watch.observe", watch.observe);
                }
            }
            Call::Note { warning, text } => {
                let name = if *warning { "warning" } else { "note" };
                let text = attribute("deployrun.text", cut(text, 400));
                self.happened(name, vec![text]);
            }
            Call::Step(step) => {
                // A step that was not begun.
                if let Answer::Throw(failure) = answer {
                    let name = format!("call {id}");
                    if let Some(mut span) = self.make(&name, &step.title, Under::Call(id)) {
                        span.set("deployrun.kind", "step");
                        span.set("deployrun.call", id.to_string());
                        span.at(place);
                        span.fail("refused", &failure.message);
                        self.finish(span);
                    }
                }
            }
            _ => {}
        }
    }

    /// A call that only reads, and is done.
    fn on_read(
        &mut self,
        id: &CallId,
        name: &str,
        kind: &str,
        place: &Place,
        answer: &Answer,
        took_ms: u64,
    ) {
        let Some(mut span) = self.make(&format!("call {id}"), name, Under::Call(id)) else {
            return;
        };
        span.set("deployrun.kind", kind);
        span.set("deployrun.call", id.to_string());
        span.at(place);
        span.started_ago(self.now_ms, took_ms);
        if let Answer::Throw(failure) = answer {
            span.fail("thrown", &failure.message);
        }
        self.finish(span);
    }

    fn on_finding(&mut self, id: &CallId, name: &str, ok: bool, detail: &str) {
        let title = format!("check {name}");
        let key = Key::Call(id.clone());
        if let Some(span) = self.begin(key, &format!("call {id}"), &title, Under::Call(id)) {
            span.set("deployrun.kind", "check");
            span.set("deployrun.call", id.to_string());
            span.set("deployrun.check.ok", ok);
            if !ok {
                let message = if detail.is_empty() { "not so" } else { detail };
                span.fail("failed-check", message);
            }
        }
    }

    fn begin_group(&mut self, id: &CallId, title: &str, place: Option<&Place>, attempt: u32) {
        self.tries.insert(id.clone(), attempt);
        // Its own place in the stack is no parent for it.
        let group = self.groups.get_mut(&id.fiber).and_then(Vec::pop);
        let name = format!("group {id} {attempt}");
        let key = Key::Group(id.clone());
        if let Some(span) = self.begin(key, &name, title, Under::Call(id)) {
            span.set("deployrun.kind", "group");
            span.set("deployrun.call", id.to_string());
            span.set("deployrun.try", attempt);
            if let Some(place) = place {
                span.at(place);
            }
        }
        let stack = self.groups.entry(id.fiber.clone()).or_default();
        stack.extend(group);
    }

    fn on_group_end(&mut self, id: &CallId, begin: u32, failed: Option<&str>, answer: &Answer) {
        let group = CallId {
            fiber: id.fiber.clone(),
            number: begin,
        };
        let again = *answer == Answer::Value(Value::Bool(true));
        let mut title = String::new();
        self.end(&Key::Group(group.clone()), |span| {
            title.clone_from(&span.name);
            if let Some(error) = failed {
                span.fail("failed-step", error);
            }
            if again {
                span.set("deployrun.again", true);
            }
        });
        if again {
            let attempt = self.tries.get(&group).map_or(2, |n| n + 1);
            self.begin_group(&group, &title, None, attempt);
        } else if let Some(stack) = self.groups.get_mut(&id.fiber) {
            stack.retain(|open| *open != group);
        }
    }

    fn on_call_began(&mut self, id: &CallId, call: &Call, place: &Place) {
        let (name, kind) = match call {
            Call::Verify { name, .. } => (format!("verify {name}"), "verify"),
            Call::Soak { .. } => ("soak".to_owned(), "soak"),
            Call::Sleep { .. } => ("sleep".to_owned(), "sleep"),
            Call::Read { name, args } => (read_title(name, args), "fact"),
            Call::Check { name } => (format!("check {name}"), "check"),
            // These have events of their own, and end with them.
            _ => {
                self.began.insert(id.clone(), call.clone());
                return;
            }
        };
        let key = Key::Call(id.clone());
        if let Some(span) = self.begin(key, &format!("call {id}"), &name, Under::Call(id)) {
            span.set("deployrun.kind", kind);
            span.set("deployrun.call", id.to_string());
            span.at(place);
            match call {
                Call::Verify { within_ms, .. } => span.set("deployrun.within_ms", *within_ms),
                Call::Soak { ms } | Call::Sleep { ms } => span.set("deployrun.ms", *ms),
                _ => {}
            }
        }
    }

    fn on_call_ended(&mut self, id: &CallId, answer: &Answer) {
        if let Some(Call::StepEnd { begin, failed }) = self.began.remove(id) {
            return self.on_group_end(id, begin, failed.as_deref(), answer);
        }
        self.end(&Key::Call(id.clone()), |span| match answer {
            Answer::Throw(failure) => {
                let kind = json_text(&failure.kind);
                span.fail(kind.trim_matches('"'), &failure.message);
            }
            Answer::Stop => span.set("deployrun.outcome", "stopped"),
            Answer::Value(_) => {}
        });
    }

    fn on_sample(&mut self, id: &CallId, verdict: &Verdict, bad: u32) {
        let now_ms = self.now_ms;
        let (all, all_bad) = self.samples.entry(id.clone()).or_default();
        *all += 1;
        *all_bad += u64::from(bad > 0);
        // Good samples are as many as the run is long: they are counted.
        if bad > 0
            && let Some(span) = self.open.get_mut(&Key::Watch(id.clone()))
        {
            let attributes = vec![
                attribute("deployrun.verdict", cut(verdict.words(), 200)),
                attribute("deployrun.watch.bad", bad),
            ];
            span.happened(now_ms, "bad sample", attributes);
        }
    }

    fn on_step(&mut self, event: &Event) {
        match event {
            Event::StepStarted {
                id,
                attempt,
                step,
                place,
                limit_ms,
                limit_by,
            } => {
                self.tries.insert(id.clone(), *attempt);
                self.limits.insert(id.clone(), *limit_by);
                let run = self.run.clone();
                let key = Key::Step(id.clone(), *attempt);
                let name = step_name(id, *attempt);
                if let Some(span) = self.begin(key, &name, &step.title, Under::Call(id)) {
                    span.set("deployrun.kind", "step");
                    span.task(&run, id, *attempt, &step.title);
                    span.at(place);
                    span.limits(*limit_ms, *limit_by);
                    span.set_text("deployrun.step.back_out", &back_out_words(step));
                    span.set("deployrun.step.idempotent", step.idempotent);
                }
            }
            Event::StepEnded {
                id,
                attempt,
                outcome,
                end,
                again,
            } => {
                let by = self.limits.get(id).copied().unwrap_or(LimitBy::Timeout);
                self.end(&Key::Step(id.clone(), *attempt), |span| {
                    span.ended(*outcome, Some(end), by, "");
                    if *again {
                        span.set("deployrun.again", true);
                    }
                });
            }
            Event::StepVoid {
                id,
                attempt,
                reason,
            } => self.end(&Key::Step(id.clone(), *attempt), |span| span.void(reason)),
            Event::BackOutStarted {
                id,
                title,
                limit_ms,
                step_outcome,
                attempt,
            } => {
                let link = self.link_to_step(id);
                let run = self.run.clone();
                let key = Key::BackOut(id.clone(), *attempt);
                let name = format!("back-out {id} {attempt}");
                let shown = format!("back out: {title}");
                if let Some(span) = self.begin(key, &name, &shown, Under::Call(id)) {
                    span.set("deployrun.kind", "back-out");
                    span.task(&run, id, *attempt, &shown);
                    span.limits(*limit_ms, LimitBy::BackOut);
                    if let Some(outcome) = step_outcome {
                        span.set("deployrun.step.outcome", outcome.word());
                    }
                    span.links.extend(link);
                }
            }
            Event::BackOutVoid {
                id,
                attempt,
                reason,
                ..
            } => self.end(&Key::BackOut(id.clone(), *attempt), |s| s.void(reason)),
            Event::BackOutEnded {
                id,
                outcome,
                end,
                detail,
                ..
            } => {
                let is_its = |key: &&Key| matches!(key, Key::BackOut(of, _) if of == id);
                if let Some(key) = self.open.keys().find(is_its).cloned() {
                    self.end(&key, |span| {
                        span.ended(*outcome, end.as_deref(), LimitBy::BackOut, detail);
                    });
                }
            }
            _ => {}
        }
    }
}

impl Span {
    /// Where it stands in the plan.
    fn at(&mut self, place: &Place) {
        self.set_text("code.file.path", &place.file);
        if place.line > 0 {
            self.set("code.line.number", place.line);
            self.set("code.column.number", place.column);
        }
    }

    /// It began so many milliseconds before now.
    fn started_ago(&mut self, now_ms: i64, took_ms: u64) {
        let took = i64::try_from(took_ms).unwrap_or(i64::MAX);
        self.start_time_unix_nano = nanos(now_ms.saturating_sub(took));
    }

    fn task(&mut self, run: &str, id: &CallId, attempt: u32, title: &str) {
        let kind = if self.name.starts_with("back out: ") {
            "back-out/"
        } else {
            ""
        };
        self.set("deployrun.call", id.to_string());
        self.set("deployrun.try", attempt);
        self.set("cicd.pipeline.task.name", cut(title, 200));
        self.set("cicd.pipeline.task.type", "deploy");
        let task = format!("{run}/{kind}{id}/{attempt}");
        self.set("cicd.pipeline.task.run.id", task);
    }

    fn limits(&mut self, limit_ms: u64, by: LimitBy) {
        self.set("deployrun.limit_ms", limit_ms);
        let by = json_text(&by);
        self.set("deployrun.limit_by", by.trim_matches('"'));
    }

    /// How a step or a back-out ended.
    fn ended(&mut self, outcome: Outcome, end: Option<&StepEnd>, by: LimitBy, detail: &str) {
        self.set("deployrun.outcome", outcome.word());
        let cut_off = end.and_then(|end| end.cut_off.as_ref());
        let (result, kind) = match (outcome, cut_off) {
            (Outcome::Succeeded, _) => ("success", ""),
            (_, Some(CutOff::Timeout)) => ("timeout", "timeout"),
            (_, Some(CutOff::IdleTimeout)) => ("timeout", "idle-timeout"),
            (_, Some(CutOff::AbortOn { .. })) => ("failure", "abort-on"),
            (_, Some(CutOff::Stopped)) => ("cancellation", "stopped"),
            (Outcome::Unknown, None) => ("error", "unknown"),
            (Outcome::Failed | Outcome::CutOff, None) => ("failure", outcome.word()),
        };
        self.set("cicd.pipeline.task.run.result", result);
        let mut how = detail.to_owned();
        if let Some(end) = end {
            match end.end {
                End::Exited { code } => self.set("process.exit.code", code),
                End::Signaled { signal } => self.set("deployrun.step.signal", signal),
                End::NotStarted { .. } | End::Failed { .. } | End::Unseen => {}
            }
            self.set("deployrun.step.output_bytes", end.output_bytes);
            if !end.left_running.is_empty() {
                self.set("deployrun.step.left_running", end.left_running.len());
            }
            if !end.survivors.is_empty() {
                self.set("deployrun.step.survivors", end.survivors.len());
            }
            if how.is_empty() {
                how = end_words(end, by, &[]);
            }
        }
        if outcome != Outcome::Succeeded {
            self.fail(kind, &how);
        }
    }

    /// It was announced, and did nothing.
    fn void(&mut self, reason: &str) {
        self.set("deployrun.outcome", "void");
        self.set("cicd.pipeline.task.run.result", "skip");
        self.set_text("deployrun.reason", reason);
    }
}

fn back_out_words(step: &Step) -> String {
    match &step.back_out {
        None => "none".to_owned(),
        Some(back_out) if back_out.undo == Undo::Nothing => "nothing to undo".to_owned(),
        Some(back_out) => back_out.title.clone(),
    }
}

/// `probe df -h`, `http_get http://host/path`. What stands in front of the host and behind the path
/// of a URL is left out: both are used for passwords.
fn read_title(name: &str, args: &[Value]) -> String {
    let first = match args.first() {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(words)) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            words.join(" ")
        }
        _ => String::new(),
    };
    let first = if name == "http_get" {
        plain_url(&first)
    } else {
        first
    };
    format!("{name} {first}").trim_end().to_owned()
}

/// A URL without user, password, query and fragment.
pub(super) fn plain_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{scheme}://{host}{path}")
}
