//! Findings, facts, and what was said along the way.

use maud::{Markup, html};

use crate::report::lines::{coarse, show_ms};
use crate::report::story::{CallKind, RemarkKind};
use crate::words::outcome::Phase;

use super::text::{Page, plate, span_words, t};

/// Rows of a table.
const MOST: usize = 1000;
/// Facts are many, and of little interest one by one.
const MOST_FACTS: usize = 400;

pub(super) fn findings(page: &Page<'_>) -> Option<Markup> {
    let story = page.story;
    if story.findings.is_empty() {
        return None;
    }
    let failed = story.findings.iter().filter(|f| !f.ok).count();
    let has_details = story.findings.iter().any(|found| !found.detail.is_empty());
    // Of very many the failed ones are shown first.
    let mut shown: Vec<_> = story.findings.iter().collect();
    if shown.len() > MOST {
        shown.sort_by_key(|found| found.ok);
        shown.truncate(MOST);
    }
    Some(html! {
        p { (story.findings.len()) " checked" @if failed > 0 { ", " strong.bad { (failed) " failed" } } "." }
        div.scroll tabindex="0" role="region" aria-label="Findings, a table" {
            table {
                caption.vh { "What the checks found" }
                thead { tr { th scope="col" { "Result" } th scope="col" { "Check" } @if has_details { th scope="col" { "Seen" } } th scope="col" { "Where" } } }
                tbody {
                    @for found in &shown {
                        tr {
                            td { @if found.ok { (plate(("good", "ok"))) } @else { (plate(("bad", "failed"))) } }
                            th scope="row" { (t(&found.name)) }
                            @if has_details { td { (t(&found.detail)) } }
                            td { @if let Some(call) = story.call(&found.id) { (page.place(&call.place)) } }
                        }
                    }
                }
            }
        }
        (cut(story.findings.len(), shown.len(), "findings"))
    })
}

fn cut(all: usize, shown: usize, what: &str) -> Markup {
    html! { @if all > shown { p.cut { "… and " (all - shown) " more " (what) ", which are not shown here." } } }
}

/// What the plan asked for and was told.
pub(super) fn facts(page: &Page<'_>) -> Option<Markup> {
    let reads = page
        .story
        .calls
        .iter()
        .filter(|call| call.kind == CallKind::Read);
    let count = reads.clone().count();
    if count == 0 {
        return None;
    }
    Some(html! {
        details {
            summary { (count) @if count == 1 { " fact" } @else { " facts" } ", each as the plan saw it" }
            div.scroll tabindex="0" role="region" aria-label="Facts, a table" {
                table {
                    caption.vh { "What the plan read" }
                    thead { tr {
                        th scope="col" { "Call" } th scope="col" { "Asked" } th scope="col" { "Answer" }
                        th scope="col" { "Took" } th scope="col" { "Where" }
                    } }
                    tbody {
                        @for call in reads.take(MOST_FACTS) {
                            tr {
                                th scope="row" { "[" (call.id) "]" }
                                td { code { (t(&call.function)) "(" (t(&call.what)) ")" } }
                                td { @match &call.answer {
                                    Some(Ok(value)) => code { (t(value)) },
                                    Some(Err(problem)) => span.bad { (t(problem)) },
                                    None => span.dim { "no answer is known" },
                                } }
                                td { (span_words(call.took_ms)) }
                                td { (page.place(&call.place)) }
                            }
                        }
                    }
                }
            }
            (cut(count, MOST_FACTS.min(count), "facts"))
        }
    })
}

struct Entry {
    at_ms: i64,
    class: &'static str,
    what: &'static str,
    text: Markup,
}

/// Everything with a time that is no step: phases, waits, notes, signals, stops.
pub(super) fn log(page: &Page<'_>) -> Option<Markup> {
    let story = page.story;
    let mut all: Vec<Entry> = Vec::new();
    let mut say = |at_ms, class, what, text| {
        all.push(Entry {
            at_ms,
            class,
            what,
            text,
        });
    };
    if let Some(start) = &story.start {
        let text = html! { "by " (t(&start.by.to_string())) };
        say(start.at_ms, "", "started", text);
    }
    for (phase, span) in &story.phases {
        let took = span.end_ms.map(|_| span_words(span.ms(story.last_ms)));
        let text = html! {
            @if *phase != Phase::Waiting { (phase.word()) @if took.is_some() { ", " } }
            @if let Some(took) = took { span.dim { (took) } }
        };
        if *phase != Phase::Review || story.phases.len() > 1 {
            let what = match phase {
                Phase::Waiting => "waiting",
                _ => "phase",
            };
            say(span.begin_ms, "phase", what, text);
        }
    }
    for taken in &story.taken_up {
        let text = html! { (t(&taken.command)) " by " (t(&taken.by.to_string())) };
        say(taken.at_ms, "", "taken up", text);
    }
    for lock in &story.locks {
        if !lock.holder.is_empty() {
            let text = html! { (t(&lock.holder)) " has the lock" };
            say(lock.span.begin_ms, "warn", "lock", text);
        }
        if let (Some(environment), Some(at_ms)) = (&lock.environment, lock.span.end_ms) {
            let text = html! { "taken: " (t(environment)) };
            say(at_ms, "", "lock", text);
        }
    }
    for approval in &story.approvals {
        let text = html! { (t(&approval.name)) " must be approved" };
        say(approval.asked_ms, "warn", "approval", text);
        if let (Some(by), Some(at_ms)) = (&approval.by, approval.given_ms) {
            let text = html! {
                (t(&approval.name)) " approved by " (t(&by.to_string()))
                @if !approval.comment.is_empty() { ": " (t(&approval.comment)) }
            };
            say(at_ms, "good", "approval", text);
        }
    }
    for window in &story.windows {
        if let (Some(at_ms), Some(opens)) = (window.awaited_ms, window.opens_ms) {
            let wait = u64::try_from(opens.saturating_sub(at_ms)).unwrap_or(0);
            let text = html! { (t(&window.window)) " opens in " (coarse(wait)) ", " (page.instant(opens)) };
            say(at_ms, "", "window", text);
        }
        if let Some(at_ms) = window.open_ms {
            let text = html! { "open until " (page.instant(window.closes_ms)) };
            say(at_ms, "good", "window", text);
        }
    }
    for call in &story.calls {
        let (CallKind::Verify { .. } | CallKind::Wait(_)) = call.kind else {
            continue;
        };
        if call.function == "wait_for_window" || call.function == "wait_for_approval" {
            continue;
        }
        let class = match &call.answer {
            Some(Ok(_)) => "good",
            Some(Err(_)) => "bad",
            None => "",
        };
        let text = html! {
            @if call.function != call.what { (t(&call.what)) " " }
            @match &call.kind {
                CallKind::Verify { within_ms, tries, last } => span.dim {
                    "within " (show_ms(*within_ms)) ", tries: " (tries)
                    @if let Some(last) = last { ", seen last: " (t(last.words())) }
                },
                CallKind::Wait(Some(ms)) => span.dim { (show_ms(*ms)) },
                _ => {},
            }
            @if let Some(Err(problem)) = &call.answer { " " (t(problem)) }
        };
        let what = match call.function.as_str() {
            "verify" => "verify",
            "soak" => "soak",
            _ => "sleep",
        };
        say(call.span.begin_ms, class, what, text);
    }
    for remark in &story.remarks {
        let (class, what) = match remark.kind {
            RemarkKind::Note => ("", "note"),
            RemarkKind::Warning => ("warn", "warning"),
            RemarkKind::Signal => ("warn", "signal"),
            RemarkKind::Disarmed => ("warn", "given up"),
            RemarkKind::NoReturn => ("bad", "no return"),
            RemarkKind::Override => ("bad", "window set aside"),
            RemarkKind::Left => ("bad", "left"),
        };
        say(remark.at_ms, class, what, html! { (t(&remark.text)) });
    }
    for stop in &story.stops {
        let text = html! { (stop.cause.words()) ": " (t(&stop.reason)) };
        say(stop.at_ms, "bad", "stop", text);
    }
    if let Some(end) = story.end() {
        let text = html! { (end.outcome.word()) };
        let class = match story.is_released() {
            true => "good",
            false => "bad",
        };
        say(story.last_ms, class, "ended", text);
    }
    // Of one millisecond: what is waited for belongs to the phase of waiting, and ends it.
    all.sort_by_key(|entry| {
        let rank = match entry.what {
            "started" | "taken up" => 0,
            "waiting" => 1,
            "lock" | "approval" | "window" => 2,
            "phase" => 3,
            _ => 4,
        };
        (entry.at_ms, rank)
    });
    let count = all.len();
    (count > 0).then(|| {
        html! {
            ol.log {
                @for entry in all.iter().take(MOST) {
                    li { (page.clock(entry.at_ms)) " " span.what.(entry.class) { (entry.what) } " " span.text { (entry.text) } }
                }
            }
            (cut(count, MOST.min(count), "entries"))
        }
    })
}
