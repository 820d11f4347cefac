//! What is a test case, and how it went.

use crate::report::line::first_line;
use crate::report::lines::{process_words, show_ms};
use crate::report::story::{
    BackOutEnd, BackOutStory, CallKind, CallStory, StepStory, Story, TryEnd, TryStory, Watching,
};
use crate::words::event::{RunEnd, Verdict};
use crate::words::outcome::{Outcome, RunOutcome, StopCause};
use crate::words::step::end_words;

/// Bytes of output of steps that succeeded; what is beyond is left out, and said so.
const OUTPUT: usize = 2 * 1024 * 1024;

/// A part of the run.
#[derive(Clone, Debug, Default)]
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) begin_ms: Option<i64>,
    pub(super) ms: Option<u64>,
    pub(super) host: Option<String>,
    pub(super) file: Option<String>,
    pub(super) properties: Vec<(&'static str, String)>,
    pub(super) cases: Vec<Case>,
}

/// One thing that went well or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) class: String,
    /// Where it stands: file, and line from 1.
    pub(super) place: Option<(String, u32)>,
    pub(super) ms: Option<u64>,
    pub(super) result: Result,
    /// Tries before the last: how each ended, and its last lines.
    pub(super) before: Vec<(String, String)>,
    pub(super) output: String,
    /// When it began, milliseconds since 1970.
    pub(super) at_ms: i64,
}

/// How it went.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Result {
    #[default]
    Passed,
    /// It has not ended, or it does not count.
    Skipped { message: String },
    /// It was not as it should be.
    Failure {
        kind: String,
        message: String,
        text: String,
    },
    /// Nobody knows, or production is not as it should be.
    Error {
        kind: String,
        message: String,
        text: String,
    },
}

/// The word of a stop cause in JSON.
pub(super) fn word_of(cause: &StopCause) -> String {
    serde_json::to_value(cause)
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The class that cases of a part have: dots part packages there.
pub(super) fn class(story: &Story, part: &str) -> String {
    let name = story.header.as_ref().map(|h| h.name.as_str());
    let name = match name {
        Some(name) if !name.is_empty() => first_line(name),
        _ => story.release(),
    };
    format!("deployrun.{}.{part}", name.replace('.', "_"))
}

/// All parts but the run as a whole; those without cases are left out.
pub(super) fn suites(story: &Story, program: &str) -> Vec<Suite> {
    let mut budget = OUTPUT;
    let mut release: Vec<Case> = story
        .steps
        .iter()
        .filter(|step| !step.id.is_in_back_out())
        .map(|step| step_case(story, step, program, &mut budget))
        .collect();
    release.extend(story.calls.iter().filter_map(|call| not_begun(story, call)));
    let calls = |kind: fn(&CallKind) -> bool| story.calls.iter().filter(move |c| kind(&c.kind));
    let verify = calls(|kind| matches!(kind, CallKind::Verify { .. }));
    let mut undo: Vec<Case> = story
        .back_outs
        .iter()
        .map(|told| back_out_case(story, told))
        .collect();
    undo.extend(
        story
            .steps
            .iter()
            .filter(|step| step.id.is_in_back_out())
            .map(|step| {
                let mut case = step_case(story, step, program, &mut budget);
                case.class = class(story, "back-out");
                case
            }),
    );
    let parts = [
        ("review", review(story)),
        ("gate", gate(story)),
        ("release", release),
        ("verify", verify.map(|c| verify_case(story, c)).collect()),
        (
            "watches",
            story
                .watches()
                .iter()
                .map(|w| watch_case(story, w))
                .collect(),
        ),
        ("back-out", undo),
    ];
    let suite = |(name, cases): (&str, Vec<Case>)| Suite {
        name: name.to_owned(),
        begin_ms: cases.iter().map(|case| case.at_ms).min(),
        ms: Some(cases.iter().filter_map(|case| case.ms).sum()),
        file: None,
        host: None,
        properties: Vec::new(),
        cases,
    };
    parts
        .into_iter()
        .filter(|(_, cases)| !cases.is_empty())
        .map(suite)
        .collect()
}

/// A failure; in a run that is released nothing is one, for the plan has handled it.
fn failure(story: &Story, kind: &str, message: String, text: String) -> Result {
    if story.is_released() {
        return Result::Skipped {
            message: format!("{message}; the run went on, and is released"),
        };
    }
    Result::Failure {
        kind: kind.to_owned(),
        message,
        text,
    }
}

fn error(story: &Story, kind: &str, message: String, text: String) -> Result {
    match failure(story, kind, message, text) {
        Result::Failure {
            kind,
            message,
            text,
        } => Result::Error {
            kind,
            message,
            text,
        },
        other => other,
    }
}

fn not_ended(what: &str) -> Result {
    Result::Skipped {
        message: what.to_owned(),
    }
}

fn review(story: &Story) -> Vec<Case> {
    let cases = story.findings.iter().map(|found| {
        let call = story.call(&found.id);
        let result = if found.ok {
            Result::Passed
        } else {
            let message = match found.detail.as_str() {
                "" => "it is not so".to_owned(),
                detail => detail.to_owned(),
            };
            let text = call.map_or_else(String::new, |call| format!("at {}", call.place));
            failure(story, "check", message, text)
        };
        Case {
            name: first_line(&found.name),
            class: class(story, "review"),
            ms: Some(call.map_or(0, |call| call.took_ms)),
            result,
            at_ms: found.at_ms,
            output: match found.ok {
                true => found.detail.clone(),
                false => String::new(),
            },
            ..Case::default()
        }
    });
    cases.collect()
}

/// The lock, the approvals, the window.
fn gate(story: &Story) -> Vec<Case> {
    let now_ms = story.last_ms;
    let open = |done: bool, what: &str| match done {
        true => Result::Passed,
        false => not_ended(what),
    };
    let case = |name: String, at_ms: i64, until: Option<i64>, result| Case {
        name,
        class: class(story, "gate"),
        ms: Some(u64::try_from(until.unwrap_or(now_ms).saturating_sub(at_ms)).unwrap_or(0)),
        result,
        at_ms,
        ..Case::default()
    };
    let mut cases = Vec::new();
    for lock in &story.locks {
        let name = match lock.environment.as_deref() {
            Some(environment) => format!("the lock of {}", first_line(environment)),
            None => "the environment's lock".to_owned(),
        };
        let what = format!("not taken: {} has it", lock.holder);
        let result = open(lock.environment.is_some(), &what);
        cases.push(case(name, lock.span.begin_ms, lock.span.end_ms, result));
    }
    for approval in &story.approvals {
        let name = format!("approval: {}", first_line(&approval.name));
        let result = open(approval.by.is_some(), "nobody has approved it");
        let mut case = case(name, approval.asked_ms, approval.given_ms, result);
        if let Some(by) = &approval.by {
            case.output = format!("approved by {by}");
            if !approval.comment.is_empty() {
                case.output.push_str(&format!(": {}", approval.comment));
            }
        }
        cases.push(case);
    }
    for window in &story.windows {
        let name = format!("window: {}", first_line(&window.window));
        let begin = window.awaited_ms.or(window.open_ms).unwrap_or(now_ms);
        let result = open(window.open_ms.is_some(), "it has not opened");
        cases.push(case(name, begin, window.open_ms, result));
    }
    cases
}

fn step_case(story: &Story, step: &StepStory, program: &str, budget: &mut usize) -> Case {
    let mut class = class(story, "release");
    if let Some(group) = step.group.and_then(|at| story.groups.get(at)) {
        class.push('.');
        class.push_str(&first_line(&group.title).replace('.', "_"));
    }
    let (last, before) = match step.tries.split_last() {
        Some((last, before)) => (Some(last), before),
        None => (None, &[][..]),
    };
    let mut case = Case {
        name: format!("[{}] {}", step.id, first_line(&step.step.title)),
        class,
        ms: Some(step.ms(story.last_ms)),
        at_ms: step.span().begin_ms,
        before: before.iter().map(|t| how(step, t)).collect(),
        ..Case::default()
    };
    let Some(last) = last else { return case };
    let (message, tail) = how(step, last);
    let text = || format!("at {}\n{tail}", step.place);
    case.result = match &last.end {
        TryEnd::Open => not_ended("no end of it is known"),
        TryEnd::Void { .. } => not_ended(&message),
        TryEnd::Ended { outcome, .. } => match outcome {
            Outcome::Succeeded => Result::Passed,
            Outcome::Failed => failure(story, "failed", message, text()),
            Outcome::CutOff => failure(story, "cut-off", message, text()),
            Outcome::Unknown => error(story, "unknown", message, text()),
        },
    };
    if case.result == Result::Passed {
        case.output = if tail.len() <= *budget {
            *budget -= tail.len();
            tail
        } else {
            format!("left out here: `{program} logs {} {}`", story.run, step.id)
        };
    }
    case
}

/// How a try ended, and its last lines.
fn how(step: &StepStory, told: &TryStory) -> (String, String) {
    match &told.end {
        TryEnd::Open => ("no end of it is known".to_owned(), String::new()),
        TryEnd::Void { reason, .. } => (format!("it was not started: {reason}"), String::new()),
        TryEnd::Ended { end, .. } => {
            let words = end_words(end, told.limit_by, &step.step.codes);
            (words, end.tail.clone())
        }
    }
}

/// A step that the host would not begin.
fn not_begun(story: &Story, call: &CallStory) -> Option<Case> {
    let Some(Err(problem)) = &call.answer else {
        return None;
    };
    (call.kind == CallKind::NoStep).then(|| Case {
        name: format!("[{}] {}", call.id, first_line(&call.what)),
        class: class(story, "release"),
        ms: Some(0),
        result: failure(
            story,
            "not-begun",
            problem.clone(),
            format!("at {}", call.place),
        ),
        at_ms: call.span.begin_ms,
        ..Case::default()
    })
}

fn verify_case(story: &Story, call: &CallStory) -> Case {
    let place = format!("at {}", call.place);
    let (mut output, mut seen) = (String::new(), String::new());
    if let CallKind::Verify {
        within_ms,
        tries,
        last,
    } = &call.kind
    {
        output = format!("within {}, tries: {tries}", show_ms(*within_ms));
        if let Some(last) = last {
            seen = format!("; seen last: {}", last.words());
        }
    }
    Case {
        name: first_line(&call.what),
        class: class(story, "verify"),
        ms: Some(call.span.ms(story.last_ms)),
        result: match &call.answer {
            None => not_ended(&format!("not met yet{seen}")),
            Some(Ok(_)) => Result::Passed,
            Some(Err(problem)) => failure(story, "verify", format!("{problem}{seen}"), place),
        },
        at_ms: call.span.begin_ms,
        output,
        ..Case::default()
    }
}

fn watch_case(story: &Story, watch: &Watching) -> Case {
    let last_bad = watch.stretches.iter().rev().find(|s| s.bad > 0);
    let seen = last_bad.map_or_else(String::new, |s| {
        format!(": {} bad samples in a row: {}", s.bad, s.verdict.words())
    });
    let rule = match &watch.rule {
        Some(rule) if rule.observe => format!("every {}, only observed", show_ms(rule.every_ms)),
        Some(rule) => format!(
            "every {}, trips at {} in a row",
            show_ms(rule.every_ms),
            rule.failures.max(1)
        ),
        None => String::new(),
    };
    let place = story.call(&watch.id).map(|call| call.place.to_string());
    let text = format!("at {}\n{rule}", place.unwrap_or_default());
    let worst = match last_bad.map(|s| &s.verdict) {
        Some(Verdict::Error(_)) => "error",
        Some(Verdict::NoData) => "no-data",
        _ => "fail",
    };
    Case {
        name: first_line(&watch.name),
        class: class(story, "watches"),
        ms: Some(u64::try_from(watch.last_ms.saturating_sub(watch.since_ms)).unwrap_or(0)),
        result: match watch.tripped {
            true => failure(story, worst, format!("tripped{seen}"), text),
            false => Result::Passed,
        },
        at_ms: watch.since_ms,
        output: format!(
            "{rule}\nsamples: {}, of them bad: {}",
            watch.samples, watch.bad_samples
        ),
        ..Case::default()
    }
}

fn back_out_case(story: &Story, told: &BackOutStory) -> Case {
    let by = first_line(&told.title);
    let title = match &told.of {
        Some(title) => format!("{} (by: `{by}`)", first_line(title)),
        None => format!("`{by}`"),
    };
    let attempt = match told.attempt {
        1 => String::new(),
        n => format!(", try {n}"),
    };
    let mut output = String::new();
    let result = match &told.end {
        None => not_ended("no end of it is known"),
        Some(BackOutEnd::Void(reason)) => not_ended(&format!("it was tried again: {reason}")),
        Some(BackOutEnd::Ended {
            outcome,
            end,
            detail,
        }) => {
            let tail = end.as_ref().map_or("", |end| end.tail.as_str());
            if *outcome == Outcome::Succeeded {
                tail.clone_into(&mut output);
                Result::Passed
            } else {
                error(story, outcome.word(), detail.clone(), tail.to_owned())
            }
        }
    };
    Case {
        name: format!("[{}] undone: {title}{attempt}", told.id),
        class: class(story, "back-out"),
        ms: Some(told.span.ms(story.last_ms)),
        result,
        at_ms: told.span.begin_ms,
        output,
        ..Case::default()
    }
}

/// What there is to say of an end beside its reason.
pub(super) fn end_text(story: &Story, end: &RunEnd) -> String {
    let mut lines = Vec::new();
    if let Some(stop) = story.stop() {
        if let Some(place) = &stop.place {
            lines.push(format!("at {place}"));
        }
        if !stop.detail.is_empty() {
            lines.push(stop.detail.clone());
        }
    }
    for found in story.findings.iter().filter(|f| !f.ok) {
        lines.push(format!("failed: {}: {}", found.name, found.detail));
    }
    for undone in story.undone() {
        let title = undone.title.unwrap_or("armed by hand");
        lines.push(format!("undone: {title} (by: `{}`)", undone.by));
    }
    for title in &end.without_back_out {
        lines.push(format!(
            "NOT undone: {title} (it has no back-out: nothing vouches for it)"
        ));
    }
    for item in &end.still_changed {
        lines.push(format!(
            "NOT undone: [{}] {}: {}",
            item.call, item.title, item.why
        ));
        if let Some(command) = &item.command {
            lines.push(format!("  to undo it: {command}"));
        }
    }
    for item in &end.unwritten {
        let what = if item.backs_out { "back-out of " } else { "" };
        lines.push(format!("UNWRITTEN: {what}[{}] {}", item.call, item.how));
    }
    for process in &end.survivors {
        lines.push(format!("lives on: {}", process_words(process)));
    }
    if end.outcome == RunOutcome::Stuck
        && let Some(header) = &story.header
    {
        let people = [("owner", &header.owner), ("support", &header.support)];
        let people = people.iter().filter(|(_, name)| !name.is_empty());
        lines.extend(people.map(|(what, name)| format!("{what}: {name}")));
    }
    lines.join("\n")
}
