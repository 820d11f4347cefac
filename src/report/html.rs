//! A run as one HTML file that needs no other: no network, no fonts, no images.
//!
//! Every text goes through `text::t`, which shows what nobody would see; the templates escape.

mod about;
mod calls;
mod plan_text;
mod scale;
mod steps;
mod summary;
#[cfg(test)]
mod tests;
pub(super) mod text;
mod timeline;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::lines::Look;
use super::story::Story;

use text::{Page, t};

pub(super) const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// What a report needs beside the story.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// For whom it is. Of its output, what lies in the state directory is shown.
    pub look: Look,
    /// The process that has the run now, in words, if one does.
    pub owner: Option<String>,
    /// The sources of the plan by name, the plan itself first.
    pub sources: Vec<(String, String)>,
}

/// The document that tells of a run. It holds a few MiB at most, whatever the run did.
#[must_use]
pub fn document(story: &Story, surroundings: &Surroundings) -> String {
    let page = Page::new(story, surroundings);
    let status = summary::status(&page);
    let title = format!("{}: {}", status.word, page.subject());
    let parts = [
        ("timeline", "Timeline", timeline::section(&page)),
        ("findings", "Findings", calls::findings(&page)),
        ("steps", "Steps", steps::section(&page)),
        ("back-outs", "Back-outs", steps::back_outs(&page)),
        ("log", "Along the way", calls::log(&page)),
        ("plan", "The plan", plan_text::section(&page)),
        ("facts", "What the plan read", calls::facts(&page)),
        ("run", "The run", about::section(&page)),
    ];
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "deployrun " (env!("CARGO_PKG_VERSION")) };
                meta name="deployrun:run" content=(t(&story.run));
                meta name="deployrun:outcome" content=(story.outcome_word());
                title { (t(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#what" { "Skip to what happened" }
                (summary::banner(&page, &status))
                nav aria-label="Parts of this report" {
                    ul {
                        li { a href="#what" { "What happened" } }
                        @for (id, title, part) in &parts {
                            @if part.is_some() { li { a href={ "#" (id) } { (title) } } }
                        }
                    }
                }
                main {
                    (summary::what(&page))
                    @for (id, title, part) in &parts {
                        @if let Some(part) = part { (section(id, title, part)) }
                    }
                }
                footer {
                    p {
                        "Read from the journal of deployrun: " (story.events) " events, the last one at "
                        (page.instant(story.last_ms)) ". Times are those of the zone "
                        (t(&page.zone_name())) "."
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

fn section(id: &str, title: &str, content: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ "h-" (id) } {
            h2 id={ "h-" (id) } { (title) }
            (content)
        }
    }
}

/// Nothing is loaded, and only the style and the script of this file count.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}
