//! Steps and back-outs, one by one, with what they printed.

use std::cell::Cell;

use maud::{Markup, html};

use crate::report::lines::show_ms;
use crate::report::output::{Follower, Piece, show_bytes};
use crate::report::story::{BackOutEnd, BackOutStory, StepStory, TryEnd, TryStory};
use crate::target::local::StepDir;
use crate::words::call::{Change, Deed, FileChange, PutFile, Step, Undo};
use crate::words::event::LimitBy;
use crate::words::outcome::Outcome;
use crate::words::step::{StepEnd, end_words};

use super::text::{Page, command, long, outcome, plate, span_words, step_id, t, title};

/// Steps that are shown with all there is to say of them; of more, those that only succeeded get a
/// line each.
const MOST_WHOLE: usize = 400;
/// Steps that get a line.
const MOST_LINES: usize = 20_000;
/// Bytes of output in the whole page.
const OUTPUT: usize = 640 * 1024;
/// Lines of the output of a step that succeeded; of another, all that was kept for reports.
const LINES_GOOD: usize = 30;
const LINES_BAD: usize = 200;
/// Lines of the begin of an output of which more than the end is wanted.
const LINES_BEGIN: usize = 10;
/// Bytes of the text of a file that a step puts in place.
const FILE: usize = 4096;

pub(super) fn section(page: &Page<'_>) -> Option<Markup> {
    let steps = || page.story.steps.iter().filter(|s| !s.id.is_in_back_out());
    let count = steps().count();
    if count == 0 {
        return None;
    }
    let bad = steps()
        .filter(|s| s.outcome() != Some(Outcome::Succeeded))
        .count();
    let open = steps().filter(|s| s.is_open()).count();
    let budget = Cell::new(OUTPUT);
    let mut room = MOST_WHOLE;
    let mut spare = MOST_WHOLE.saturating_sub(bad);
    let (mut whole, mut brief) = (Vec::new(), Vec::new());
    for step in steps() {
        let good = step.outcome() == Some(Outcome::Succeeded);
        let room = if good { &mut spare } else { &mut room };
        if *room > 0 {
            *room -= 1;
            whole.push(step_item(page, step, &budget));
        } else {
            brief.push(step);
        }
    }
    Some(html! {
        p {
            (count) @if count == 1 { " step" } @else { " steps" }
            @if bad > open { ", " strong.bad { (bad - open) " did not succeed" } }
            @if open > 0 { ", of " (open) " " (page.open_words()) } "."
        }
        (filter())
        div.list data-list="" { @for item in &whole { (item) } }
        @if !brief.is_empty() { (lines(page, &brief)) }
    })
}

/// It is of use only with the script, which shows it.
fn filter() -> Markup {
    html! {
        form.filter hidden role="search" aria-label="Filter the steps" {
            label { "Filter " input type="search" name="text" placeholder="title, command, output" autocomplete="off"; }
            label.check { input type="checkbox" name="bad"; " only what did not succeed" }
            label.check { input type="checkbox" name="keys" checked; " keys " kbd { "j" } " " kbd { "k" } " go to the next and previous one" }
            button type="button" name="fold" { "Open all" }
            output name="count" aria-live="polite" {}
        }
    }
}

fn lines(page: &Page<'_>, steps: &[&StepStory]) -> Markup {
    html! {
        details.brief {
            summary { (steps.len()) " more steps, in a line each" }
            div.scroll tabindex="0" role="region" aria-label="More steps, a table" {
                table {
                    caption.vh { "More steps" }
                    thead { tr { th scope="col" { "Step" } th scope="col" { "Title" } th scope="col" { "Began" } th scope="col" { "Took" } th scope="col" { "Outcome" } } }
                    tbody {
                        @for step in steps.iter().take(MOST_LINES) {
                            tr id=(step_id(&step.id)) {
                                th scope="row" { (step.id) }
                                td { (title(&step.step.title)) }
                                td { (page.local(step.span().begin_ms, "%H:%M:%S")) }
                                td { (span_words(step.ms(page.story.last_ms))) }
                                td { (outcome(step.outcome(), page.open_words()).1) }
                            }
                        }
                    }
                }
            }
            @if steps.len() > MOST_LINES {
                p.cut { "… and " (steps.len() - MOST_LINES) " more, which are not shown here." }
            }
        }
    }
}

fn step_item(page: &Page<'_>, step: &StepStory, budget: &Cell<usize>) -> Markup {
    let story = page.story;
    let void = matches!(step.tries.last().map(|t| &t.end), Some(TryEnd::Void { .. }));
    let (class, word) = match void {
        true => ("warn", "not started"),
        false => outcome(step.outcome(), page.open_words()),
    };
    let group = step.group.and_then(|at| story.groups.get(at));
    let several = step.tries.len() > 1;
    html! {
        details.step.(class) id=(step_id(&step.id)) open[class != "good"] {
            summary {
                span.no { "[" (step.id) "]" } " "
                span.title { bdi { (title(&step.step.title)) } @if several { span.dim { ", " (step.tries.len()) " tries" } } }
                " " (plate((class, word))) " "
                span.took { (span_words(step.ms(story.last_ms))) }
            }
            div.body {
                dl.facts {
                    dt { "What" } dd { (deed(&step.step)) }
                    dt { "Where" } dd { (page.place(&step.place)) @if let Some(group) = group { span.dim { ", in the group " bdi { (title(&group.title)) } } } }
                    (settings(&step.step))
                    dt { "Back-out" }
                    dd { (undo(step)) }
                }
                @for told in &step.tries { (try_item(page, step, told, several, budget)) }
            }
        }
    }
}

fn undo(step: &StepStory) -> Markup {
    html! {
        @match &step.step.back_out {
            _ if step.id.is_in_back_out() => "none: it is part of one",
            None => span.warn { "none of its own" },
            Some(back_out) => @match &back_out.undo {
                Undo::Nothing => "nothing to undo",
                Undo::Command(command) => code.wrap { (t(&command.to_string())) },
                Undo::Restore => "the former file is put back",
                Undo::Closure => { "a closure of the plan: " bdi { (title(&back_out.title)) } },
            },
        }
    }
}

fn deed(step: &Step) -> Markup {
    html! {
        @match &step.deed {
            Deed::Command(text) => (command(&text.to_string())),
            Deed::PutFile(file) => (put_file(file)),
            Deed::ChangeFile(change) => (change_file(change)),
            Deed::Own { name, args } => code.wrap {
                (t(name)) "("
                @for (n, arg) in args.iter().enumerate() { @if n > 0 { ", " } (t(&arg.to_string())) }
                ")"
            },
        }
    }
}

fn change_file(change: &FileChange) -> Markup {
    let path = html! { code.wrap { (t(&change.path)) } };
    let code = |text: &str| html! { code.wrap { (t(text)) } };
    match &change.change {
        Change::Keep { .. } => html! { "keeps what is at " (path) },
        Change::Remove => html! { "removes " (path) },
        Change::Link { to } => html! { "makes " (path) " a symbolic link to " (code(to)) },
        Change::Directory { mode, owner } => html! {
            "makes the directory " (path)
            @if let Some(mode) = mode { ", mode " (code(&format!("{mode:04o}"))) }
            @if let Some(owner) = owner { ", owner " (code(owner)) }
        },
        Change::Mode { mode } => {
            html! { "gives " (path) " the mode " (code(&format!("{mode:04o}"))) }
        }
        Change::Owner { owner, below } => html! {
            "gives " (path) @if *below { " and all below it" } " the owner " (code(owner))
        },
        Change::Copy { from } => html! { "makes " (path) " a copy of " (code(from)) },
        Change::Unpack { archive, .. } => html! {
            "makes " (path) " what is in the archive " (code(archive))
        },
        Change::Move { from } => html! { "moves " (code(from)) " to " (path) },
    }
}

fn put_file(file: &PutFile) -> Markup {
    html! {
        "puts " code.wrap { (t(&file.path)) } " in place"
        @if let Some(source) = &file.source { ", from " code.wrap { (t(source)) } }
        @if let Some(mode) = file.mode { ", mode " code { (format!("{mode:04o}")) } }
        @if let Some(owner) = &file.owner { ", owner " code { (t(owner)) } }
        span.dim { ", SHA-256 " code.wrap { (t(&file.sha256)) } }
        @if let Some(text) = &file.text {
            @let (shown, rest) = begin_of(text, FILE);
            pre.out tabindex="0" { (long(shown)) @if rest > 0 { span.cut { "\n… " (show_bytes(rest as u64)) " more" } } }
        }
    }
}

/// At most so many bytes of the begin, and how many are left.
fn begin_of(text: &str, most: usize) -> (&str, usize) {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let begin = text.get(..end).unwrap_or_default();
    (begin, text.len() - begin.len())
}

fn settings(step: &Step) -> Markup {
    let mut all: Vec<(&str, String)> = Vec::new();
    if let Some(cwd) = &step.cwd {
        all.push(("Directory", cwd.clone()));
    }
    if let Some(user) = &step.user {
        all.push(("User", user.clone()));
    }
    if !step.env.is_empty() {
        let env: Vec<String> = step.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        all.push(("Environment", env.join(" ")));
    }
    if let Some(stdin) = &step.stdin {
        all.push(("Standard input", begin_of(stdin, 500).0.to_owned()));
    }
    if step.codes != [0] {
        let codes: Vec<String> = step.codes.iter().map(i32::to_string).collect();
        all.push(("Good exit statuses", codes.join(", ")));
    }
    if let Some(ms) = step.idle_timeout_ms {
        all.push(("Idle timeout", show_ms(ms)));
    }
    if !step.abort_on.is_empty() {
        all.push(("Aborts on", step.abort_on.join("  ")));
    }
    if step.retries > 0 {
        let text = format!("{}, {} apart", step.retries, show_ms(step.retry_delay_ms));
        all.push(("Retries", text));
    }
    if step.idempotent {
        all.push((
            "Idempotent",
            "may be run again when nobody saw its end".to_owned(),
        ));
    }
    html! { @for (name, value) in &all { dt { (name) } dd { code.wrap { (t(value)) } } } }
}

fn limit_words(by: LimitBy) -> &'static str {
    match by {
        LimitBy::Timeout => "its timeout",
        LimitBy::Group => "by its group",
        LimitBy::Deadline => "by the deadline",
        LimitBy::Window => "by the window's end",
        LimitBy::BackOut => "by the back-out",
    }
}

fn try_item(
    page: &Page<'_>,
    step: &StepStory,
    told: &TryStory,
    several: bool,
    budget: &Cell<usize>,
) -> Markup {
    let dir = step.id.directory(told.attempt, false);
    html! {
        @if several { h3 { "Try " (told.attempt) } }
        p.when {
            (page.clock(told.begin_ms)) ": "
            @match &told.end {
                TryEnd::Open => (page.open_words()),
                TryEnd::Void { reason, .. } => { "was not started: " (t(reason)) },
                TryEnd::Ended { end, again, .. } => {
                    (t(&end_words(end, told.limit_by, &step.step.codes)))
                    @if *again { "; it was tried again" }
                },
            }
            span.dim { "; at most " (show_ms(told.limit_ms)) ", " (limit_words(told.limit_by)) }
        }
        @match &told.end {
            TryEnd::Ended { outcome, end, .. } => (output(page, (&dir, &step.id.to_string()), end, *outcome, budget)),
            TryEnd::Open => (so_far(page, &dir, budget)),
            TryEnd::Void { .. } => {},
        }
    }
}

/// What was printed: the end, of much the begin too, and what is left out.
fn output(
    page: &Page<'_>,
    (dir, id): (&str, &str),
    end: &StepEnd,
    outcome: Outcome,
    budget: &Cell<usize>,
) -> Markup {
    let most = match outcome {
        Outcome::Succeeded => LINES_GOOD,
        _ => LINES_BAD,
    };
    let lines: Vec<&str> = end.tail.lines().collect();
    let skipped = lines.len().saturating_sub(most);
    let shown = lines.get(skipped..).unwrap_or_default().join("\n");
    let logs = format!("{} logs {} {id}", page.program(), page.story.run);
    if shown.len() > budget.get() {
        return html! {
            p.cut { (show_bytes(end.output_bytes)) " of output, left out here: " code { (t(&logs)) } }
        };
    }
    budget.set(budget.get() - shown.len());
    let before = end.output_bytes.saturating_sub(shown.len() as u64 + 1);
    let is_whole = skipped == 0 && end.output_bytes < 64 * 1024 && lines.len() < 200;
    let begin = match is_whole {
        true => Vec::new(),
        false => begin(page, dir, before),
    };
    html! {
        @if shown.is_empty() && begin.is_empty() {
            @if end.output_bytes == 0 { p.dim { "It printed nothing." } }
        } @else {
            pre.out tabindex="0" {
                @for line in &begin { (long(line)) "\n" }
                @if !is_whole { span.cut { "… about " (show_bytes(before)) " left out here: " (t(&logs)) "\n" } }
                (long(&shown))
            }
        }
        @if end.dropped_bytes > 0 {
            p.cut { (show_bytes(end.dropped_bytes)) " of " (show_bytes(end.output_bytes)) " of its output were not kept." }
        }
        (processes("Left running, as the step succeeded", "", end.left_running.iter()))
        (processes("Ended with it", "dim", end.killed.iter()))
        (processes("Could not be ended", "bad", end.survivors.iter()))
    }
}

/// The first lines of an output of which `before` bytes are not shown otherwise.
fn begin(page: &Page<'_>, dir: &str, before: u64) -> Vec<String> {
    let mut follower = Follower::new(StepDir::new(page.run_dir().join(dir)));
    let mut left = usize::try_from(before).unwrap_or(usize::MAX).min(FILE);
    let mut lines = Vec::new();
    while let Some(Piece::Line(line)) = follower.next_piece() {
        if line.len() >= left || lines.len() >= LINES_BEGIN {
            break;
        }
        left -= line.len() + 1;
        lines.push(line);
    }
    lines
}

/// What a step that goes on has printed so far.
fn so_far(page: &Page<'_>, dir: &str, budget: &Cell<usize>) -> Markup {
    let mut follower = Follower::new(StepDir::new(page.run_dir().join(dir)));
    let mut shown = String::new();
    for piece in follower.rest(LINES_GOOD) {
        match piece {
            Piece::Line(line) => shown.push_str(&line),
            Piece::Gap(bytes) => {
                shown.push_str(&format!("… {} left out here", show_bytes(bytes)));
            }
        }
        shown.push('\n');
    }
    budget.set(budget.get().saturating_sub(shown.len()));
    html! { @if !shown.is_empty() { pre.out tabindex="0" { (long(&shown)) } } }
}

fn processes<'p>(
    what: &str,
    class: &str,
    all: impl ExactSizeIterator<Item = &'p crate::words::step::ProcessFact>,
) -> Markup {
    const MOST: usize = 20;
    let count = all.len();
    html! {
        @if count > 0 {
            p.(class) { (what) ":" }
            ul.items {
                @for process in all.take(MOST) { li { code.wrap { (t(&crate::report::lines::process_words(process))) } } }
                @if count > MOST { li.cut { "… and " (count - MOST) " more" } }
            }
        }
    }
}

pub(super) fn back_outs(page: &Page<'_>) -> Option<Markup> {
    let all = &page.story.back_outs;
    if all.is_empty() {
        return None;
    }
    let budget = Cell::new(OUTPUT / 2);
    Some(html! {
        p { "In the order in which they were begun; the newest change is undone first." }
        div.list data-list="" {
            @for (n, told) in all.iter().enumerate().take(2 * MOST_WHOLE) { (back_out_item(page, n, told, &budget)) }
        }
        @if all.len() > 2 * MOST_WHOLE {
            p.cut { "… and " (all.len() - 2 * MOST_WHOLE) " more, which are not shown here." }
        }
    })
}

fn back_out_item(page: &Page<'_>, n: usize, told: &BackOutStory, budget: &Cell<usize>) -> Markup {
    let story = page.story;
    let (class, word) = match &told.end {
        Some(BackOutEnd::Void(_)) => ("warn", "not started"),
        Some(BackOutEnd::Ended {
            outcome: Outcome::Succeeded,
            ..
        }) => ("good", "undone"),
        _ => outcome(told.outcome(), page.open_words()),
    };
    let fiber = told.id.back_out_fiber();
    let own = || {
        story
            .steps
            .iter()
            .filter(|s| s.id.fiber == fiber)
            .take(MOST_WHOLE)
    };
    let is_closure = told.undo == Some(Undo::Closure);
    let dir = told.id.directory(told.attempt, true);
    html! {
        details.step.(class) id={ "back-out-" (n + 1) } open[class != "good"] {
            summary {
                span.no { "[" (told.id) "]" } " "
                span.title {
                    bdi { (title(told.of.as_deref().unwrap_or("armed by hand"))) }
                    @if told.attempt > 1 { span.dim { ", try " (told.attempt) } }
                }
                " " (plate((class, word))) " "
                span.took { (span_words(told.span.ms(story.last_ms))) }
            }
            div.body {
                dl.facts {
                    dt { "By" }
                    dd { @match &told.undo {
                        Some(Undo::Command(text)) => (command(&text.to_string())),
                        _ => bdi { (title(&told.title)) },
                    } }
                    dt { "Undoes" }
                    dd {
                        @if story.step(&told.id).is_some() { a href={ "#" (step_id(&told.id)) } { "step [" (told.id) "]" } }
                        @else { "call [" (told.id) "]" }
                        @if let Some(ended) = told.step_outcome { span.dim { ", which had " (match ended {
                            Outcome::Succeeded => "succeeded",
                            Outcome::Failed => "failed",
                            Outcome::CutOff => "been cut off",
                            Outcome::Unknown => "an unknown end",
                        }) } }
                    }
                    @if !told.is_final { dt { "Why" } dd { "its group was tried again, or had failed" } }
                }
                p.when {
                    (page.clock(told.span.begin_ms)) ": "
                    @match &told.end {
                        None => (page.open_words()),
                        Some(BackOutEnd::Void(reason)) => { "was tried again: " (t(reason)) },
                        Some(BackOutEnd::Ended { outcome: Outcome::Succeeded, .. }) => { "undone" },
                        Some(BackOutEnd::Ended { detail, .. }) => { strong.bad { "not undone" } ": " (t(detail)) },
                    }
                    span.dim { "; at most " (show_ms(told.limit_ms)) }
                }
                @match &told.end {
                    Some(BackOutEnd::Ended { outcome, end: Some(end), .. }) => (output(page, (&dir, &told.id.to_string()), end, *outcome, budget)),
                    None if !is_closure => (so_far(page, &dir, budget)),
                    _ => {},
                }
                @for step in own() { (step_item(page, step, budget)) }
            }
        }
    }
}
