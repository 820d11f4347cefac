//! What the run was: the header of its plan, who, where, when, with what.

use std::time::Duration;

use maud::{Markup, html};

use crate::report::story::BackOutEnd;
use crate::words::duration;
use crate::words::notice::Notify;
use crate::words::outcome::Phase;

use super::text::{Page, span_words, t};

/// The header of the plan, who, where, with what.
pub(super) fn section(page: &Page<'_>) -> Option<Markup> {
    let story = page.story;
    let ms = |ms: Option<u64>| ms.map(|ms| duration::show(Duration::from_millis(ms)));
    let mut header: Vec<(&str, String)> = Vec::new();
    if let Some(plan) = &story.header {
        header = vec![
            ("Name", plan.name.clone()),
            ("Version", plan.version.clone()),
            ("Environment", plan.environment.clone()),
            ("Why", plan.why.clone()),
            ("New", plan.features.join("; ")),
            ("Users", plan.users.clone()),
            ("Training", plan.training.clone()),
            ("Owner", plan.owner.clone()),
            ("Support", plan.support.clone()),
            ("Window", plan.window.clone().unwrap_or_default()),
            ("Expected", ms(plan.expected_ms).unwrap_or_default()),
            ("Deadline", ms(plan.deadline_ms).unwrap_or_default()),
            ("Approvals", plan.approvals.join("; ")),
            (
                "Told",
                plan.notify
                    .iter()
                    .map(Notify::words)
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
        ];
        if plan.deadline_ms.is_some() || plan.window.is_some() {
            header.push((
                "For the back-out",
                ms(Some(plan.reserved_ms())).unwrap_or_default(),
            ));
        }
    }
    header.retain(|(_, value)| !value.is_empty());
    let steps = story
        .steps
        .iter()
        .filter(|s| !s.id.is_in_back_out())
        .count();
    let undone = story
        .back_outs
        .iter()
        .filter(|b| matches!(b.end, Some(BackOutEnd::Ended { .. })))
        .count();
    let of_phase = |wanted: Phase| -> u64 {
        let spans = story.phases.iter().filter(|(phase, _)| *phase == wanted);
        spans.map(|(_, span)| span.ms(story.last_ms)).sum()
    };
    Some(html! {
        dl.facts {
            @for (name, value) in &header { dt { (name) } dd { (t(value)) } }
            @if let Some(start) = &story.start {
                dt { "Plan" } dd { code { (t(&start.plan)) } }
                dt { "Fingerprint" } dd { code.wrap { (t(&start.fingerprint)) } }
                dt { "Started" } dd { (page.instant(start.at_ms)) " by " (t(&start.by.to_string())) }
                @for (key, value) in &start.args {
                    dt { "args." (t(key)) }
                    dd { code.wrap { @match value.as_str() { Some(text) => (t(text)), None => (t(&value.to_string())) } } }
                }
            }
            @for taken in &story.taken_up {
                dt { @if taken.command == "back-out" { "Backed out" } @else { "Taken up" } }
                dd { (page.instant(taken.at_ms)) " by " (t(&taken.by.to_string()))
                    span.dim { ", " (span_words(taken.after_ms)) " after the event before" } }
            }
            @if let Some(end) = story.end() {
                dt { "Ended" } dd { (page.instant(story.last_ms)) ", exit status " (end.outcome.exit_status()) }
            }
            dt { "Time" }
            dd {
                "whole " (span_words(story.span().ms(story.last_ms)))
                @for phase in [Phase::Review, Phase::Waiting, Phase::Release, Phase::Verify, Phase::BackingOut] {
                    @let took = of_phase(phase);
                    @if took > 0 { ", " (phase.word()) " " (span_words(took)) }
                }
            }
            dt { "Steps" } dd { (steps) @if undone > 0 { ", undone: " (undone) } }
            dt { "Run" } dd { code { (t(&story.run)) } }
            @if let Some(start) = &story.start { dt { "deployrun" } dd { (t(&start.deployrun)) } }
        }
    })
}
