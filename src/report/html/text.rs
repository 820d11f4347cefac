//! Texts, times and anchors of the page.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use maud::{Markup, Render, html};

use crate::report::lines::{show_instant, took};
use crate::report::story::Story;
use crate::words::call::CallId;
use crate::words::hidden::push_visible;
use crate::words::outcome::Outcome;
use crate::words::place::Place;

use super::Surroundings;

/// Characters of a text in a sentence or a cell.
const LONGEST: usize = 2000;

/// A text of the run, as it may stand in the page.
pub(in crate::report) struct Text<'t> {
    text: &'t str,
    most: usize,
}

/// A text: what nobody sees is written out, and very much is cut.
pub(in crate::report) fn t(text: &str) -> Text<'_> {
    Text {
        text,
        most: LONGEST,
    }
}

/// A text of which more is shown.
pub(in crate::report) fn long(text: &str) -> Text<'_> {
    Text {
        text,
        most: 256 * 1024,
    }
}

/// A title: its first line, and little of it.
pub(super) fn title(text: &str) -> Text<'_> {
    Text {
        text: text.trim().lines().next().unwrap_or_default(),
        most: 160,
    }
}

impl Render for Text<'_> {
    fn render_to(&self, out: &mut String) {
        let mut shown = String::new();
        let mut chars = self.text.chars();
        for c in chars.by_ref().take(self.most) {
            match c {
                // Neither is a character; HTML forbids them.
                '\u{fffe}' | '\u{ffff}' => shown.extend(c.escape_unicode()),
                c => push_visible(&mut shown, c),
            }
        }
        let rest = chars.count();
        if rest > 0 {
            shown.push_str(&format!("… ({rest} more characters)"));
        }
        shown.as_str().render_to(out);
    }
}

/// A story and its surroundings.
pub(super) struct Page<'a> {
    pub(super) story: &'a Story,
    pub(super) around: &'a Surroundings,
    zone: TimeZone,
}

impl<'a> Page<'a> {
    pub(super) fn new(story: &'a Story, around: &'a Surroundings) -> Self {
        Self {
            story,
            around,
            zone: around.look.zone.get().clone(),
        }
    }

    /// `shop-web 2.4.0 → production`.
    pub(super) fn subject(&self) -> String {
        match self.story.environment() {
            "" => self.story.release(),
            environment => format!("{} → {environment}", self.story.release()),
        }
    }

    pub(super) fn program(&self) -> &str {
        &self.around.look.program
    }

    pub(super) fn run_dir(&self) -> PathBuf {
        Path::new(&self.around.look.state_dir)
            .join("runs")
            .join(&self.story.run)
    }

    pub(super) fn plan_dir(&self) -> &str {
        let plan = self.story.start.as_ref().map(|s| s.plan.as_str());
        let dir = plan.and_then(|plan| plan.rsplit_once('/'));
        dir.map_or("/", |(dir, _)| if dir.is_empty() { "/" } else { dir })
    }

    pub(super) fn zone_name(&self) -> String {
        match self.zone.iana_name() {
            Some(name) => name.to_owned(),
            None => self.local(self.story.first_ms, "%:z"),
        }
    }

    pub(super) fn local(&self, at_ms: i64, format: &str) -> String {
        jiff::Timestamp::from_millisecond(at_ms).map_or_else(
            |_| "?".to_owned(),
            |at| {
                let at = at.to_zoned(self.zone.clone());
                at.strftime(format).to_string()
            },
        )
    }

    /// The time of day, with the date on another day than that of the begin.
    pub(super) fn clock(&self, at_ms: i64) -> Markup {
        let day = self.local(at_ms, "%Y-%m-%d");
        let other_day = day != self.local(self.story.first_ms, "%Y-%m-%d");
        let format = if other_day {
            "%a %m-%d %H:%M:%S"
        } else {
            "%H:%M:%S"
        };
        time(at_ms, &self.local(at_ms, format))
    }

    /// `Sat 2026-03-21 22:00:00 +01:00`.
    pub(super) fn instant(&self, at_ms: i64) -> Markup {
        time(at_ms, &show_instant(at_ms, &self.zone))
    }

    /// A place in the plan, linked to its line.
    pub(super) fn place(&self, place: &Place) -> Markup {
        let source = self
            .around
            .sources
            .iter()
            .position(|(name, _)| *name == place.file);
        let text = place.to_string();
        html! {
            @match (source, place.line) {
                (Some(source), 1..) => a.place href={ "#" (line_id(source, place.line)) } { (t(&text)) },
                _ => span.place { (t(&text)) },
            }
        }
    }

    /// Is the run in the hands of a process now?
    pub(super) fn is_live(&self) -> bool {
        self.around.owner.is_some() && self.story.end().is_none()
    }

    /// What is said of something whose end was not told.
    pub(super) fn open_words(&self) -> &'static str {
        if self.is_live() {
            "goes on"
        } else {
            "no end is known"
        }
    }
}

fn time(at_ms: i64, shown: &str) -> Markup {
    let utc = jiff::Timestamp::from_millisecond(at_ms).map(|at| at.to_string());
    html! {
        @match utc {
            Ok(utc) => time datetime=(utc) { (shown) },
            Err(_) => span { (shown) },
        }
    }
}

/// The anchor of a line of a source.
pub(super) fn line_id(source: usize, line: u32) -> String {
    match source {
        0 => format!("L{line}"),
        n => format!("m{n}-L{line}"),
    }
}

/// The anchor of a step.
pub(super) fn step_id(id: &CallId) -> String {
    format!("step-{}", id.to_string().replace('/', "_"))
}

/// A class and a word for how something ended.
pub(super) fn outcome(
    outcome: Option<Outcome>,
    open: &'static str,
) -> (&'static str, &'static str) {
    match outcome {
        Some(Outcome::Succeeded) => ("good", "succeeded"),
        Some(Outcome::Failed) => ("bad", "failed"),
        Some(Outcome::CutOff) => ("bad", "cut off"),
        Some(Outcome::Unknown) => ("bad", "unknown"),
        None => ("live", open),
    }
}

/// How it ended, as a small plate. Its sign tells without colour.
pub(super) fn plate((class, word): (&str, &str)) -> Markup {
    let sign = match class {
        "good" => "✓",
        "bad" => "✗",
        "warn" => "!",
        _ => "…",
    };
    html! { span class={ "plate " (class) } { span aria-hidden="true" { (sign) " " } (word) } }
}

/// A duration.
pub(super) fn span_words(ms: u64) -> String {
    took(ms)
}

/// A command to type.
pub(super) fn command(text: &str) -> Markup {
    html! { pre.cmd { code { (long(text)) } } }
}
