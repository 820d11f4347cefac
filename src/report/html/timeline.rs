//! The timeline: an axis that is true to time, phases as bands, steps and back-outs as bars,
//! watches as lanes.
//!
//! Each row is a line of text with a drawing behind it that says the same, so that the rows can be
//! listened to. All places in the drawings are attributes in percents: no style is needed.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::report::lines::show_ms;
use crate::report::story::{CallKind, StepStory, TryEnd, Watching};
use crate::words::event::Verdict;
use crate::words::outcome::Outcome;

use super::scale::Scale;
use super::text::{Page, outcome, span_words, step_id, t, title};

/// Rows of steps and of back-outs; of more, the worst and the longest are shown.
const MOST_ROWS: usize = 80;
/// Parts of the row that stands for all steps.
const BINS: usize = 240;
/// Samples that are drawn one by one in a lane.
const MOST_MARKS: usize = 300;
/// Bars are at least so wide, in percents.
const NARROWEST: f64 = 0.3;

pub(super) fn section(page: &Page<'_>) -> Option<Markup> {
    let story = page.story;
    if story.last_ms <= story.first_ms {
        return None;
    }
    let scale = Scale::of(story, until(page));
    Some(html! {
        (legend(page))
        svg.defs width="0" height="0" aria-hidden="true" focusable="false" {
            defs { symbol id="grid" { (grid(page, &scale)) } }
        }
        ol.timeline {
            li.axis aria-hidden="true" {
                span.label {}
                (axis(page, &scale))
                span.meta {}
            }
            (phases(page, &scale))
            (gate(page, &scale))
            (steps(page, &scale))
            (waits(page, &scale))
            (watches(page, &scale))
            (back_outs(page, &scale))
        }
        (limits(page))
    })
}

/// The end of the axis: that of the run, or a limit that is not much later.
fn until(page: &Page<'_>) -> i64 {
    let story = page.story;
    let end = story.last_ms;
    let near = end.saturating_add(end.saturating_sub(story.first_ms) / 5);
    let closes = story.windows.last().map(|w| w.closes_ms);
    let limits = [story.deadline_ms(), closes].into_iter().flatten();
    limits.filter(|at| *at <= near).fold(end, i64::max)
}

fn legend(page: &Page<'_>) -> Markup {
    let story = page.story;
    html! {
        ul.legend {
            @for (phase, span) in &story.phases {
                li { span.swatch.(phase.word()) {} (phase.word()) " " span.dim { (span_words(span.ms(story.last_ms))) } }
            }
        }
    }
}

/// Said in words too, for a limit may lie behind the end of the axis.
fn limits(page: &Page<'_>) -> Markup {
    let story = page.story;
    let left = |at: i64| {
        let from_end = at.saturating_sub(story.last_ms);
        let words = show_ms(from_end.unsigned_abs() / 1000 * 1000);
        match from_end >= 0 {
            true => format!("{words} after the end of what is shown"),
            false => format!("{words} before the end of what is shown"),
        }
    };
    let deadline = story.deadline_ms();
    let window = story.windows.last().filter(|w| w.open_ms.is_some());
    let is_endless = |at: i64| page.local(at, "%Y") == "9999" || page.local(at, "%Y") == "?";
    let window = window.filter(|w| !is_endless(w.closes_ms));
    html! {
        @if deadline.is_some() || window.is_some() {
            ul.limits {
                @if let Some(at) = deadline { li { span.swatch.deadline {} "deadline " (page.clock(at)) span.dim { ", " (left(at)) } } }
                @if let Some(window) = window {
                    li { span.swatch.window {} "window closes " (page.clock(window.closes_ms)) span.dim { ", " (left(window.closes_ms)) } }
                }
            }
        }
    }
}

fn percent(at: f64) -> String {
    format!("{at:.2}%")
}

/// What stands behind every row: phases, hours, limits, stops.
fn grid(page: &Page<'_>, scale: &Scale) -> Markup {
    let story = page.story;
    let line = |at: i64, class: &str| {
        let x = percent(scale.at(at));
        html! { line.(class) x1=(x) x2=(x) y1="0" y2="100%" {} }
    };
    let shown = |at: i64| scale.parts.last().is_some_and(|part| at <= part.to);
    html! {
        @for (phase, span) in &story.phases {
            @let (x, width) = extent(scale, span.begin_ms, span.end_ms.unwrap_or(story.last_ms), 0.0);
            rect.band.(phase.word()) x=(percent(x)) width=(percent(width)) y="0" height="100%" {}
        }
        @for part in scale.parts.iter().filter(|part| part.cut) {
            rect.gap x=(percent(part.left)) width=(percent(part.right - part.left)) y="0" height="100%" {}
        }
        @for tick in scale.ticks().0 { (line(tick, "tick")) }
        @for window in &story.windows {
            @if let Some(open) = window.open_ms { (line(open, "window")) }
            @if shown(window.closes_ms) { (line(window.closes_ms, "window")) }
        }
        @if let Some(at) = story.deadline_ms().filter(|at| shown(*at)) { (line(at, "deadline")) }
        @for taken in story.taken_up.iter().take(50) { (line(taken.at_ms, "taken")) }
        @for stop in story.stops.iter().take(5) { (line(stop.at_ms, "stop")) }
    }
}

/// Begin and width in percents.
fn extent(scale: &Scale, from: i64, to: i64, least: f64) -> (f64, f64) {
    let left = scale.at(from);
    let width = (scale.at(to) - left).max(least);
    (left.min(100.0 - least), width)
}

fn axis(page: &Page<'_>, scale: &Scale) -> Markup {
    let (ticks, step) = scale.ticks();
    let origin = page.story.first_ms;
    // Names that would stand in one another are left out.
    let mut last = -100.0;
    let mut named = Vec::new();
    for tick in ticks {
        let x = scale.at(tick);
        if x - last >= 9.0 && x < 96.0 {
            last = x;
            named.push((x, tick));
        }
    }
    let name = |at: i64| match step {
        ..15_000 => {
            let ms = u64::try_from(at.saturating_sub(origin)).unwrap_or(0);
            match ms {
                0 => "0".to_owned(),
                ms => format!("+{}", show_ms(ms)),
            }
        }
        15_000..60_000 => page.local(at, "%H:%M:%S"),
        60_000..43_200_000 => page.local(at, "%H:%M"),
        _ => page.local(at, "%a %m-%d"),
    };
    html! {
        svg.track width="100%" height="20" focusable="false" {
            @for part in scale.parts.iter().filter(|part| part.cut) {
                text.gap x=(percent((part.left + part.right) / 2.0)) y="14" text-anchor="middle" { "⋯" title { (show_ms(u64::try_from(part.to - part.from).unwrap_or(0) / 1000 * 1000)) " are drawn shorter" } }
            }
            @for (n, (x, at)) in named.iter().enumerate() {
                @let anchor = if *x < 3.0 { "start" } else { "middle" };
                text.tick.(if n % 2 == 1 { "odd" } else { "even" }) x=(percent(*x)) y="14" text-anchor=(anchor) { (name(*at)) }
            }
        }
    }
}

/// A row: its name, its drawing, a few words.
fn row(class: &str, label: &Markup, drawing: &Markup, meta: &Markup) -> Markup {
    html! {
        li.(class) {
            span.label { (label) }
            svg.track width="100%" height="22" aria-hidden="true" focusable="false" {
                use href="#grid" width="100%" height="100%" {}
                (drawing)
            }
            span.meta { (meta) }
        }
    }
}

fn bar(scale: &Scale, (from, to): (i64, i64), class: &str, tip: &str) -> Markup {
    let (x, width) = extent(scale, from, to, NARROWEST);
    html! {
        rect.bar.(class) x=(percent(x)) width=(percent(width)) y="5" height="12" rx="2" { title { (t(tip)) } }
    }
}

fn phases(page: &Page<'_>, scale: &Scale) -> Markup {
    let story = page.story;
    let drawing = html! {
        @for (phase, span) in &story.phases {
            @let (x, width) = extent(scale, span.begin_ms, span.end_ms.unwrap_or(story.last_ms), NARROWEST);
            rect.phase.(phase.word()) x=(percent(x)) width=(percent(width)) y="3" height="16" {
                title { (phase.word()) ", " (span_words(span.ms(story.last_ms))) }
            }
            @if width > 12.0 { text.phase x=(percent(x + width / 2.0)) y="15" text-anchor="middle" { (phase.word()) } }
        }
    };
    let label = html! { "phases" span.vh { @for (phase, span) in &story.phases {
        ", " (phase.word()) " " (span_words(span.ms(story.last_ms)))
    } } };
    let meta = html! { (span_words(story.span().ms(story.last_ms))) };
    row("phases", &label, &drawing, &meta)
}

/// What the run waited for before it acted: the lock, approvals, the window.
fn gate(page: &Page<'_>, scale: &Scale) -> Markup {
    let story = page.story;
    let locks = story.locks.iter().filter(|lock| !lock.holder.is_empty());
    let locks = locks.map(|lock| {
        let environment = lock.environment.as_deref().unwrap_or_default();
        ("lock", environment, lock.span.begin_ms, lock.span.end_ms)
    });
    let approvals = story.approvals.iter();
    let approvals = approvals.map(|a| ("approval", a.name.as_str(), a.asked_ms, a.given_ms));
    let windows = story.windows.iter().filter_map(|window| {
        let name = window.window.as_str();
        Some(("window", name, window.awaited_ms?, window.open_ms))
    });
    html! {
        @for (kind, name, from, to) in locks.chain(approvals).chain(windows).take(MOST_ROWS / 2) {
            @let class = if to.is_some() { "wait" } else { "live" };
            @let until = to.unwrap_or(story.last_ms);
            @let took = span_words(u64::try_from(until.saturating_sub(from)).unwrap_or(0));
            @let label = html! { span.kind { (kind) } " " bdi { (title(name)) } };
            @let meta = html! { (took) @if to.is_none() { ", " strong.live { "waiting" } } };
            (row("wait", &label, &bar(scale, (from, until), class, &format!("{kind} {name}: {took}")), &meta))
        }
    }
}

/// Success criteria and soaks.
fn waits(page: &Page<'_>, scale: &Scale) -> Markup {
    let story = page.story;
    let calls = story.calls.iter().filter(|call| {
        let is_long = call.span.ms(story.last_ms) > 0;
        matches!(call.kind, CallKind::Verify { .. }) || call.function == "soak" && is_long
    });
    html! {
        @for call in calls.take(MOST_ROWS / 2) {
            @let (class, word) = match &call.answer {
                Some(Ok(_)) => ("wait", "ok"),
                Some(Err(_)) => ("bad", "failed"),
                None => ("live", page.open_words()),
            };
            @let took = span_words(call.span.ms(story.last_ms));
            @let to = call.span.end_ms.unwrap_or(story.last_ms);
            @let label = html! { span.kind { (t(&call.function)) } " " @if call.function != "soak" { bdi { (title(&call.what)) } } };
            @let meta = html! { (took) @if class != "wait" { ", " (word) } };
            (row("wait", &label, &bar(scale, (call.span.begin_ms, to), class, &format!("{} {}: {word}, {took}", call.function, call.what)), &meta))
        }
    }
}

/// The steps to be drawn in rows of their own: all, or those that did not succeed and the longest.
fn chosen<'a>(page: &Page<'a>) -> Vec<&'a StepStory> {
    let story = page.story;
    let mut all: Vec<&StepStory> = story
        .steps
        .iter()
        .filter(|s| !s.id.is_in_back_out())
        .collect();
    if all.len() <= MOST_ROWS {
        return all;
    }
    let mut ranked = all.clone();
    ranked.sort_by_key(|step| {
        let bad = step.outcome() != Some(Outcome::Succeeded);
        std::cmp::Reverse((bad, step.span().ms(story.last_ms)))
    });
    let kept: BTreeSet<_> = ranked.iter().take(MOST_ROWS).map(|s| &s.id).collect();
    all.retain(|step| kept.contains(&step.id));
    all
}

fn steps(page: &Page<'_>, scale: &Scale) -> Markup {
    let story = page.story;
    let count = story
        .steps
        .iter()
        .filter(|s| !s.id.is_in_back_out())
        .count();
    let shown = chosen(page);
    html! {
        @if count > shown.len() {
            @let label = html! { "all " (count) " steps" };
            @let meta = html! { (shown.len()) " follow" };
            (row("all", &label, &density(page, scale), &meta))
        }
        @for step in &shown {
            @let (class, word) = outcome(step.outcome(), page.open_words());
            @let took = span_words(step.ms(story.last_ms));
            @let label = html! { a href={ "#" (step_id(&step.id)) } { span.no { "[" (step.id) "]" } " " bdi { (title(&step.step.title)) } } };
            @let drawing = html! {
                @for told in &step.tries {
                    @let (class, word) = match &told.end {
                        TryEnd::Ended { outcome: ended, .. } => outcome(Some(ended.to_owned()), ""),
                        TryEnd::Void { .. } => ("wait", "not started"),
                        TryEnd::Open => ("live", page.open_words()),
                    };
                    @let to = told.span().end_ms.unwrap_or(story.last_ms);
                    @let took = span_words(told.span().ms(story.last_ms));
                    (bar(scale, (told.begin_ms, to), class, &format!("[{}] {}: {word}, {took}", step.id, step.step.title)))
                }
            };
            @let meta = html! { (took) @if class != "good" { ", " strong.(class) { (word) } } @else { span.vh { ", " (word) } } };
            (row("act", &label, &drawing, &meta))
        }
    }
}

/// Very many steps, drawn as what went on in each part of the axis.
fn density(page: &Page<'_>, scale: &Scale) -> Markup {
    let mut bins = [(0_u32, false); BINS];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a percent is a small positive number"
    )]
    let bin = |at: i64| ((scale.at(at) / 100.0 * BINS as f64) as usize).min(BINS - 1);
    for step in page.story.steps.iter().filter(|s| !s.id.is_in_back_out()) {
        let span = step.span();
        let bad = step.outcome() != Some(Outcome::Succeeded);
        for at in bin(span.begin_ms)..=bin(span.end_ms.unwrap_or(page.story.last_ms)) {
            if let Some((count, is_bad)) = bins.get_mut(at) {
                *count += 1;
                *is_bad |= bad;
            }
        }
    }
    let width = 100.0 / f64::from(u16::try_from(BINS).unwrap_or(1));
    html! {
        @for (n, (count, bad)) in bins.iter().enumerate().filter(|(_, (count, _))| *count > 0) {
            @let x = width * f64::from(u16::try_from(n).unwrap_or(0));
            rect.bar.(if *bad { "bad" } else { "good" }) x=(percent(x)) width=(percent(width)) y="5" height="12" {
                title { (count) " steps" }
            }
        }
    }
}

fn watches(page: &Page<'_>, scale: &Scale) -> Markup {
    html! {
        @for watch in page.story.watches().iter().take(MOST_ROWS) {
            @let observed = watch.rule.as_ref().is_some_and(|rule| rule.observe);
            @let label = html! { span.kind { @if observed { "observe" } @else { "watch" } } " " bdi { (title(&watch.name)) } };
            @let meta = html! {
                @match (watch.bad_samples, watch.tripped) {
                    (0, _) => { (watch.samples) " ok" },
                    (bad, true) => strong.bad { "tripped" span.vh { ", " (bad) " of " (watch.samples) " bad" } },
                    (bad, false) => strong.warn { (bad) " of " (watch.samples) " bad" },
                }
            };
            (row("watch", &label, &lane(page, scale, watch), &meta))
        }
    }
}

fn lane(page: &Page<'_>, scale: &Scale, watch: &Watching) -> Markup {
    let (x, width) = extent(scale, watch.since_ms, watch.last_ms, NARROWEST);
    let observed = watch.rule.as_ref().is_some_and(|rule| rule.observe);
    let marks = watch
        .stretches
        .iter()
        .filter(|s| s.verdict != Verdict::Pass);
    html! {
        rect.lane x=(percent(x)) width=(percent(width)) y="10" height="2" {
            title { (t(&watch.name)) }
        }
        @for stretch in marks.take(MOST_MARKS) {
            @let class = match (&stretch.verdict, stretch.bad) {
                (_, 0) => "ignored",
                (Verdict::NoData, _) => "warn",
                _ if observed => "warn",
                _ => "bad",
            };
            @let (x, width) = extent(scale, stretch.begin_ms, stretch.end_ms, 0.5);
            rect.sample.(class) x=(percent(x)) width=(percent(width)) y="4" height="14" rx="1" {
                title {
                    (page.local(stretch.begin_ms, "%H:%M:%S")) ": " (t(stretch.verdict.words()))
                    @if stretch.count > 1 { ", " (stretch.count) " samples" }
                }
            }
        }
    }
}

fn back_outs(page: &Page<'_>, scale: &Scale) -> Markup {
    let story = page.story;
    html! {
        @for (n, told) in story.back_outs.iter().enumerate().take(MOST_ROWS) {
            @let (class, word) = match outcome(told.outcome(), page.open_words()) {
                ("good", _) => ("undo", "undone"),
                other => other,
            };
            @let took = span_words(told.span.ms(story.last_ms));
            @let name = told.of.as_deref().unwrap_or("armed by hand");
            @let label = html! { a href={ "#back-out-" (n + 1) } { span.kind { "undo" } " " span.no { "[" (told.id) "]" } " " bdi { (title(name)) } } };
            @let to = told.span.end_ms.unwrap_or(story.last_ms);
            @let drawing = bar(scale, (told.span.begin_ms, to), class, &format!("back-out of [{}] {name}: {word}, {took}", told.id));
            @let meta = html! { (took) @if class != "undo" { ", " strong.(class) { (word) } } @else { span.vh { ", " (word) } } };
            (row("undo", &label, &drawing, &meta))
        }
        @if story.back_outs.len() > MOST_ROWS {
            li.cut { "… and " (story.back_outs.len() - MOST_ROWS) " more back-outs, which are not drawn." }
        }
    }
}
