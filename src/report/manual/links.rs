//! Where the links of comments lead.

use pulldown_cmark::{Event, Tag};

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::manual::{Lost, Manual, Module, Part, Target, name_in};

use super::parsed::events;
use super::{comments, is_of_deployrun};

/// Where a link leads.
pub(super) enum Way<'m> {
    /// To what is documented.
    Inside(Target<'m>),
    /// To the web.
    Web,
    /// To a page of deployrun's own documentation.
    Page,
    /// Nowhere.
    Nowhere(Lost),
}

/// Where a link in a comment of this module leads.
pub(super) fn way<'m>(
    manual: &'m Manual,
    part: &'m Part,
    module: Option<&'m Module>,
    to: &str,
) -> Way<'m> {
    let lower = to.to_ascii_lowercase();
    if ["https://", "http://", "mailto:"]
        .iter()
        .any(|begin| lower.starts_with(begin))
    {
        return Way::Web;
    }
    if is_of_deployrun(part) && to.ends_with(".md") {
        return Way::Page;
    }
    match name_in(to) {
        Some(name) => match manual.find(part, module, name) {
            Ok(target) => Way::Inside(target),
            Err(lost) => Way::Nowhere(lost),
        },
        None => Way::Nowhere(Lost {
            problem: format!("the link to `{to}` leads nowhere"),
            hint: Some(
                "a link leads to a function (`put`, `files::put`), to a module (`std/files`), or to \
                 an address that begins with https://"
                    .into(),
            ),
        }),
    }
}

/// The links of the project's own comments that lead nowhere.
#[must_use]
pub fn broken_links(manual: &Manual) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for part in manual.parts.iter().filter(|part| part.is_own) {
        for (module, _, comment) in comments(part) {
            for (event, range) in events(comment.text()) {
                let Event::Start(Tag::Link { dest_url: to, .. } | Tag::Image { dest_url: to, .. }) =
                    event
                else {
                    continue;
                };
                let Way::Nowhere(lost) = way(manual, part, Some(module), &to) else {
                    continue;
                };
                let whole = comment.text().get(range.clone()).unwrap_or_default();
                let within = whole.rfind(&*to).unwrap_or(0);
                let place = comment.place(range.start + within);
                let length = u32::try_from(to.chars().count()).unwrap_or(0);
                let end = place.column.saturating_add(length);
                let mut one = Diagnostic::new(Code::BrokenLink, place, lost.problem);
                one.hint = lost.hint;
                one.end_column = end;
                found.push(one);
            }
        }
    }
    found
}
