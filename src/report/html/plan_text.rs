//! The plan's text, with a mark on each line that was executed.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::report::story::{LineMark, Mark};

use super::text::{Page, line_id, step_id, t};

/// Lines of a source; of a longer one only the begin is shown.
const MOST_LINES: usize = 4000;
/// Bytes of all sources.
const MOST_BYTES: usize = 1024 * 1024;

pub(super) fn section(page: &Page<'_>) -> Option<Markup> {
    let sources = &page.around.sources;
    if sources.is_empty() {
        return None;
    }
    let marks = page.story.marks();
    let none = BTreeMap::new();
    let mut left = MOST_BYTES;
    let parts: Vec<Markup> = sources
        .iter()
        .enumerate()
        .map(|(n, (name, text))| {
            let marks = marks.get(name.as_str()).unwrap_or(&none);
            let lines = lines((n, name), text, marks, &mut left);
            match n {
                0 => html! { h3.file { code { (t(name)) } } (lines) },
                _ => html! {
                    details.module {
                        summary { code { (t(name)) } span.dim { " " (called(marks)) } }
                        (lines)
                    }
                },
            }
        })
        .collect();
    Some(html! {
        p.dim {
            "As it was frozen when the run began. Lines that were executed have a mark: "
            span.mark.good { "✓" } " went well, "
            span.mark.bad { "✗" } " did not, "
            span.mark.live { "…" } " has no known end."
        }
        @for part in &parts { (part) }
    })
}

fn called(marks: &BTreeMap<u32, LineMark>) -> String {
    match marks.values().map(|mark| mark.calls).sum::<u64>() {
        0 => "nothing in it was called".to_owned(),
        1 => "1 call".to_owned(),
        n => format!("{n} calls"),
    }
}

fn lines(
    (source, name): (usize, &str),
    text: &str,
    marks: &BTreeMap<u32, LineMark>,
    left: &mut usize,
) -> Markup {
    let count = text.lines().count();
    let mut shown = 0;
    let all: Vec<(u32, &str)> = text
        .lines()
        .take(MOST_LINES)
        .take_while(|line| {
            let fits = line.len() <= *left;
            *left = left.saturating_sub(line.len() + 1);
            fits
        })
        .map(|line| {
            shown += 1;
            (shown, line)
        })
        .collect();
    html! {
        div.code tabindex="0" role="region" aria-label={ "Text of " (t(name)) } {
            @for (number, line) in &all {
                @let mark = marks.get(number);
                @let class = mark.map(|mark| class(mark.mark));
                div.line.(class.unwrap_or_default()) id=(line_id(source, *number)) {
                    span.no { (number) }
                    span.mark { @if let Some(mark) = mark { (sign(mark)) } }
                    code { (t(line)) }
                }
            }
        }
        @if count > all.len() {
            p.cut { "… and " (count - all.len()) " more lines, which are not shown here." }
        }
    }
}

fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "good",
        Mark::Open => "live",
        Mark::Bad => "bad",
    }
}

fn sign(mark: &LineMark) -> Markup {
    let sign = match mark.mark {
        Mark::Good => "✓",
        Mark::Open => "…",
        Mark::Bad => "✗",
    };
    let words = match mark.calls {
        1 => mark.words.clone(),
        n => format!("{n} calls: {}", mark.words),
    };
    let shown = html! { (sign) @if mark.calls > 1 { span.times { (mark.calls) "×" } } };
    html! {
        @match &mark.step {
            Some(step) => a href={ "#" (step_id(step)) } aria-label=(t(&words)) title=(t(&words)) { (shown) },
            None => span role="img" aria-label=(t(&words)) title=(t(&words)) { (shown) },
        }
    }
}
