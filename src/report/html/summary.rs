//! First what happened and why, and what to do.

use maud::{Markup, html};

use crate::report::lines::{again, process_words, quoted, show_ms, whole_commands};
use crate::report::story::{CallKind, RemarkKind, Standing, StepStory, StopStory};
use crate::words::call::{Undo, shell_word};
use crate::words::event::{RunEnd, StillChanged, Unwritten};
use crate::words::outcome::{Outcome, RunOutcome, StopCause};

use super::text::{Page, command, long, outcome, plate, span_words, step_id, t, title};

/// Lines of a failed command's output that stand here once more.
const TAIL: usize = 15;
/// Items of a list here; the whole list stands further down.
const MOST: usize = 200;

/// How the run stands, in a word and a sentence.
pub(super) struct Status {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    sentence: String,
}

pub(super) fn status(page: &Page<'_>) -> Status {
    let story = page.story;
    let phase = story.phase().word();
    let place = match story.environment() {
        "" | "default" => "everything",
        name => name,
    };
    let (class, word, sentence) = match story.standing() {
        Standing::Ended(end) => match end.outcome {
            RunOutcome::Released => ("good", "Released", released_words(page)),
            RunOutcome::Refused => ("bad", "Refused", "Nothing was changed.".to_owned()),
            RunOutcome::BackedOut if end.without_back_out.is_empty() => {
                ("warn", "Backed out", format!("As before: {place}."))
            }
            RunOutcome::BackedOut => {
                let steps = match end.without_back_out.len() {
                    1 => "a step that has no back-out".to_owned(),
                    n => format!("{n} steps that have no back-out"),
                };
                (
                    "bad",
                    "Backed out",
                    format!("As before: {place}, except for {steps}."),
                )
            }
            RunOutcome::Stuck => (
                "bad",
                "Stuck",
                format!("A person is needed: {place} is not known to be released or as before."),
            ),
        },
        Standing::Left(_) if !page.is_live() => (
            "bad",
            "Left",
            "The run has not ended, and nobody goes on with it.".to_owned(),
        ),
        _ if page.is_live() => ("live", "Going on", format!("In phase {phase}.")),
        _ => (
            "bad",
            "Not ended",
            format!("No process has the run; it was in phase {phase}."),
        ),
    };
    Status {
        class,
        word,
        sentence,
    }
}

fn released_words(page: &Page<'_>) -> String {
    let criteria = page.story.calls.iter();
    let criteria = criteria.filter(|c| matches!(c.kind, CallKind::Verify { .. }));
    match criteria.count() {
        0 => "The plan reached its end; it has no success criterion.".to_owned(),
        1 => "The plan reached its end, and its success criterion was met.".to_owned(),
        n => format!("The plan reached its end, and its {n} success criteria were met."),
    }
}

pub(super) fn banner(page: &Page<'_>, status: &Status) -> Markup {
    let story = page.story;
    let ms = story.span().ms(story.last_ms);
    let sign = match status.class {
        "good" => "✓",
        "warn" => "↩",
        "live" => "▶",
        _ if status.word == "Backed out" => "↩",
        _ => "✗",
    };
    html! {
        header.banner.(status.class) {
            p.kicker { "deployrun · run " code { (t(&story.run)) } }
            h1 {
                span.status { span aria-hidden="true" { (sign) " " } (status.word) }
                span.subject { bdi { (title(&page.subject())) } }
            }
            p.lede {
                (t(&status.sentence)) " "
                span.dim {
                    @if story.end().is_some() { "Took " } @else { "Seen for " }
                    (span_words(ms)) ", from " (page.instant(story.first_ms)) "."
                }
            }
            @if let Some(header) = story.header.as_ref().filter(|h| !h.why.is_empty()) {
                p.dim { (t(&header.why)) }
            }
            @if story.start.as_ref().is_some_and(|s| s.clock_injected) {
                p.loud { strong { "Clock injected:" } " all times of this run are made up." }
            }
            @for remark in story.remarks_of(RemarkKind::Override) {
                p.loud { strong { "Window set aside:" } " " (t(&remark.text)) }
            }
            @for remark in story.remarks_of(RemarkKind::NoReturn) {
                p.loud { strong { "Point of no return:" } " " (t(&remark.text)) }
            }
        }
    }
}

pub(super) fn what(page: &Page<'_>) -> Markup {
    let story = page.story;
    html! {
        section id="what" aria-labelledby="h-what" {
            h2 id="h-what" { "What happened" }
            @match story.standing() {
                Standing::Ended(end) => (ended(page, end)),
                Standing::Left(reason) => {
                    p.why { strong { "Left" } ": " (t(reason)) }
                    (unfinished(page))
                },
                Standing::Open => (unfinished(page)),
            }
            (next(page))
        }
    }
}

fn ended(page: &Page<'_>, end: &RunEnd) -> Markup {
    let story = page.story;
    let undone: Vec<_> = story.undone().collect();
    html! {
        @if let Some(cause) = end.cause {
            @let reason = whole_commands(&end.reason, page.program());
            p.why { strong { (cause.words()) } @if !reason.is_empty() { ": " (t(&reason)) } }
            @if let Some(stop) = story.stop() { (stop_details(page, cause, stop)) }
        }
        @if end.outcome == RunOutcome::Refused { (failed_findings(page)) }
        @if end.outcome == RunOutcome::Stuck {
            @if let Some(header) = &story.header {
                @if !header.owner.is_empty() || !header.support.is_empty() {
                    h3 { "Whom to call" }
                    dl.facts {
                        @if !header.owner.is_empty() { dt { "Owner" } dd { (t(&header.owner)) } }
                        @if !header.support.is_empty() { dt { "Support" } dd { (t(&header.support)) } }
                    }
                }
            }
        }
        @if !end.still_changed.is_empty() {
            h3.bad { "Still changed" }
            ul.items {
                @for item in &end.still_changed { li { (still_changed(page, item)) } }
            }
        }
        @if !end.unwritten.is_empty() {
            h3.bad { "Done without the journal" }
            p { "Nothing more could be written; this was done from memory, and must not be done twice." }
            ul.items { @for item in &end.unwritten { li { (unwritten(page, item)) } } }
        }
        @if !end.survivors.is_empty() {
            h3.bad { "Processes that live on" }
            ul.items { @for process in &end.survivors { li { code { (t(&process_words(process))) } } } }
        }
        @if !end.without_back_out.is_empty() {
            h3.bad { "Not undone" }
            p { "These steps acted and have no back-out; nothing vouches for them." }
            ul.items { @for step in &end.without_back_out { li { bdi { (title(step)) } } } }
        }
        @if !undone.is_empty() {
            h3 { "Undone, in this order" }
            ol.items {
                @for item in undone.iter().take(MOST) {
                    li {
                        bdi { (title(item.title.unwrap_or("armed by hand"))) }
                        span.dim { " by " code { (title(item.by)) } }
                    }
                }
            }
            (more(undone.len(), "#back-outs"))
        }
        @if end.outcome == RunOutcome::Released { (done(page)) }
        (left_running(page))
    }
}

/// What a run did that went well.
fn done(page: &Page<'_>) -> Markup {
    let story = page.story;
    let count = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let steps = story.steps.iter().filter(|s| !s.id.is_in_back_out());
    let bad = steps
        .clone()
        .filter(|s| s.outcome() != Some(Outcome::Succeeded));
    let samples: u64 = story.watches().iter().map(|w| w.samples).sum();
    let parts = [
        count(
            story.findings.iter().filter(|f| f.ok).count(),
            "check",
            "checks",
        ),
        count(steps.clone().count(), "step", "steps"),
        count(story.watches().len(), "watch", "watches")
            .map(|watches| format!("{watches} with {samples} samples")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let criteria = story
        .calls
        .iter()
        .filter(|c| matches!(c.kind, CallKind::Verify { .. }));
    html! {
        @if !parts.is_empty() { p { (parts.join(", ")) "." } }
        @if criteria.clone().count() > 0 {
            ul.items {
                @for call in criteria.take(MOST) {
                    li { @match &call.answer {
                        Some(Err(_)) => (plate(("bad", "not met"))),
                        _ => (plate(("good", "met"))),
                    } " " strong { (t(&call.what)) } }
                }
            }
        }
        @if bad.clone().count() > 0 {
            h3 { "Did not succeed, and the plan went on" }
            ul.items {
                @for step in bad.take(MOST) {
                    li { a href={ "#" (step_id(&step.id)) } { "[" (step.id) "] " bdi { (title(&step.step.title)) } } " "
                        (plate(outcome(step.outcome(), page.open_words()))) }
                }
            }
        }
    }
}

fn more(count: usize, all: &str) -> Markup {
    html! {
        @if count > MOST { p.cut { "… and " (count - MOST) " more: " a href=(all) { "all of them" } } }
    }
}

/// Where the plan stood, and what was seen of it.
fn stop_details(page: &Page<'_>, cause: StopCause, stop: &StopStory) -> Markup {
    let step = stop.step.as_ref().and_then(|id| page.story.step(id));
    let cut = match step {
        Some(_) => "",
        // Each finding follows.
        None if cause == StopCause::Refused => "",
        None => stop.detail.as_str(),
    };
    html! {
        @if let Some(place) = &stop.place { p.at { "at " (page.place(place)) } }
        @if let Some(step) = step { (last_lines(page, step)) }
        @if !cut.trim().is_empty() { pre.out tabindex="0" { (long(cut)) } }
    }
}

fn last_lines(page: &Page<'_>, step: &StepStory) -> Markup {
    let tail = step.end().map_or("", |end| end.tail.as_str());
    html! {
        p.at {
            "the step " a href={ "#" (step_id(&step.id)) } { "[" (step.id) "] " bdi { (title(&step.step.title)) } } " "
            (plate(outcome(step.outcome(), page.open_words())))
        }
        (tail_lines(tail))
    }
}

fn tail_lines(tail: &str) -> Markup {
    let lines: Vec<&str> = tail.lines().collect();
    let skipped = lines.len().saturating_sub(TAIL);
    let shown = lines.get(skipped..).unwrap_or_default().join("\n");
    html! {
        @if !shown.trim().is_empty() {
            pre.out tabindex="0" {
                @if skipped > 0 { span.cut { "… " (skipped) " lines before\n" } }
                (long(&shown))
            }
        }
    }
}

fn failed_findings(page: &Page<'_>) -> Markup {
    let failed: Vec<_> = page.story.findings.iter().filter(|f| !f.ok).collect();
    html! {
        @if !failed.is_empty() {
            ul.items {
                @for found in failed.iter().take(MOST) {
                    li {
                        (plate(("bad", "failed"))) " " strong { (t(&found.name)) }
                        @if !found.detail.is_empty() { ": " (t(&found.detail)) }
                    }
                }
            }
            (more(failed.len(), "#findings"))
        }
    }
}

fn still_changed(page: &Page<'_>, item: &StillChanged) -> Markup {
    let restores = page.story.back_out_of(&item.call);
    let restores = restores.is_some_and(|back_out| back_out.undo == Undo::Restore);
    let former = page.run_dir().join(item.call.directory(1, false));
    html! {
        p {
            strong { bdi { (title(&item.title)) } } " "
            @if page.story.step(&item.call).is_some() {
                a href={ "#" (step_id(&item.call)) } { "[" (item.call) "]" }
            } @else { "[" (item.call) "]" }
            br; (t(&item.why))
        }
        (tail_lines(&item.tail))
        @if let Some(undo) = &item.command {
            p { "To undo it, in " code { (t(page.plan_dir())) } ":" }
            (command(undo))
        } @else if restores {
            p {
                "To undo it by hand: " code { "former.json" } " says what was there before, "
                code { "former" } " is the file, in"
            }
            (command(&shell_word(&former.to_string_lossy())))
        }
    }
}

fn unwritten(page: &Page<'_>, item: &Unwritten) -> Markup {
    let step = page.story.step(&item.call).map(|s| s.step.title.as_str());
    let by = page.story.back_out_of(&item.call).map(|b| b.title.as_str());
    let what = if item.backs_out { by } else { step };
    html! {
        p {
            @if item.backs_out { "back-out of " }
            "[" (item.call) "] " strong { bdi { (title(what.unwrap_or("it"))) } } " " (t(&item.how))
        }
        (tail_lines(&item.tail))
    }
}

fn left_running(page: &Page<'_>) -> Markup {
    let left: Vec<_> = page.story.left_running().collect();
    html! {
        @if !left.is_empty() {
            h3 { "Left running by steps that succeeded" }
            ul.items {
                @for item in left.iter().take(MOST) {
                    li { code { (t(&process_words(item.process))) } span.dim { " by " bdi { (title(item.by)) } } }
                }
            }
            (more(left.len(), "#steps"))
        }
    }
}

/// What stands of a run that has not ended.
fn unfinished(page: &Page<'_>) -> Markup {
    let story = page.story;
    let running: Vec<_> = story.steps.iter().filter(|s| s.is_open()).collect();
    let undoing: Vec<_> = story.back_outs.iter().filter(|b| b.end.is_none()).collect();
    let armed: Vec<_> = story.armed().collect();
    html! {
        @if let Some(owner) = &page.around.owner { p { "Process: " (t(owner)) } }
        @if let Some(stop) = story.stop() {
            p.why { strong { "Stopping, " (stop.cause.words()) } ": " (t(&stop.reason)) }
            (stop_details(page, stop.cause, stop))
        }
        @if !running.is_empty() || !undoing.is_empty() {
            h3 { "In flight" }
            ul.items {
                @for step in &running {
                    @let tried = step.tries.last();
                    li {
                        a href={ "#" (step_id(&step.id)) } { "[" (step.id) "] " bdi { (title(&step.step.title)) } }
                        @if let Some(tried) = tried {
                            span.dim { " since " (page.clock(tried.begin_ms)) ", at most " (show_ms(tried.limit_ms)) }
                        }
                        @if !page.is_live() { span.dim { "; it may go on until its time is over" } }
                    }
                }
                @for told in &undoing {
                    li { "back-out of [" (told.id) "] " code { (title(&told.title)) }
                        span.dim { " since " (page.clock(told.span.begin_ms)) } }
                }
            }
        }
        @if !armed.is_empty() {
            h3 { "Changed; a back-out would undo it in this order" }
            ol.items {
                @for id in armed.iter().take(MOST) {
                    li {
                        @if let Some(step) = story.step(id) { bdi { (title(&step.step.title)) } }
                        @else { "armed by hand" }
                        @if let Some(by) = story.back_out_of(id) { span.dim { " by " code { (title(&by.title)) } } }
                    }
                }
            }
            (more(armed.len(), "#steps"))
        }
    }
}

/// What to type next.
fn next(page: &Page<'_>) -> Markup {
    let story = page.story;
    let (program, run) = (page.program(), story.run.as_str());
    let logs = || ("All of the output", format!("{program} logs {run}"));
    let again = story
        .start
        .as_ref()
        .map(|start| ("The same again", again(program, &start.plan, &start.args)));
    let mut commands = Vec::new();
    match story.standing() {
        Standing::Ended(end) => match end.outcome {
            RunOutcome::Released | RunOutcome::Stuck => commands.push(logs()),
            RunOutcome::Refused => commands.extend(again),
            RunOutcome::BackedOut => {
                commands.push(logs());
                commands.extend(again);
            }
        },
        _ if page.is_live() => {
            for approval in story.approvals.iter().filter(|a| a.by.is_none()) {
                let text = format!("{program} approve {run} {}", quoted(&approval.name));
                commands.push(("Somebody must approve", text));
            }
            commands.push(("Follow it", format!("{program} logs {run} --follow")));
        }
        _ => {
            commands.push(("Back it out", format!("{program} back-out {run}")));
            if story.stops.is_empty() {
                commands.push(("Go on", format!("{program} resume {run}")));
            }
        }
    }
    html! {
        @if !commands.is_empty() {
            h3 { "Next" }
            dl.next { @for (what, text) in &commands { dt { (what) } dd { (command(text)) } } }
        }
    }
}
