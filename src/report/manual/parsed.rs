//! Comments as Markdown events, with the names in brackets as links.

use std::ops::Range;

use pulldown_cmark::{BrokenLink, CowStr, Event, LinkType, Options, Parser};

use crate::words::manual::name_in;

/// The events of a comment, and the bytes that each is about. `[put]` is a link to `put`.
pub(super) fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    let named = |link: BrokenLink<'_>| {
        let name = name_in(&link.reference)?.to_owned();
        Some((CowStr::from(name), CowStr::from("")))
    };
    Parser::new_with_broken_link_callback(text, Options::ENABLE_TABLES, Some(named))
        .into_offset_iter()
}

/// The label of a link whose whole text this is.
pub(super) fn label(whole: &str, kind: LinkType) -> &str {
    let whole = whole.strip_prefix('!').unwrap_or(whole);
    let inner = whole.strip_prefix('[').unwrap_or(whole);
    let cut = |end: &str| inner.rfind(end).and_then(|at| inner.get(..at));
    let label = match kind {
        LinkType::Inline => cut("]("),
        LinkType::Reference | LinkType::ReferenceUnknown => cut("]["),
        LinkType::Collapsed | LinkType::CollapsedUnknown => inner.strip_suffix("][]"),
        _ => inner.strip_suffix(']'),
    };
    label.unwrap_or(inner)
}
