//! A comment as HTML. Nothing in it is taken for HTML.

use std::sync::LazyLock;

use maud::{Markup, PreEscaped, Render as _, html};
use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};
use regex::Regex;

use crate::report::html::text::{long, t};
use crate::words::manual::{Manual, Module, Part, Target};

use super::anchor;
use super::links::{Way, way};
use super::parsed::events;

/// Whose comments are shown, and in what.
#[derive(Clone, Copy)]
pub(super) struct Teller<'m> {
    pub(super) manual: &'m Manual,
    pub(super) part: &'m Part,
    pub(super) module: Option<&'m Module>,
    /// The level of a heading in a comment.
    pub(super) level: u8,
}

/// A node of a comment that is open, with what is in it so far.
struct Open<'t> {
    tag: Option<Tag<'t>>,
    inner: String,
}

impl Teller<'_> {
    /// A comment.
    pub(super) fn comment(&self, text: &str) -> Markup {
        let root = Open {
            tag: None,
            inner: String::new(),
        };
        let mut open = vec![root];
        let mut is_head = false;
        for (event, _) in events(text) {
            let shown = match event {
                Event::Start(tag) => {
                    is_head = is_head || matches!(tag, Tag::TableHead);
                    open.push(Open {
                        tag: Some(tag),
                        inner: String::new(),
                    });
                    continue;
                }
                Event::End(end) => {
                    let Some(Open {
                        tag: Some(tag),
                        inner,
                    }) = open.pop()
                    else {
                        continue;
                    };
                    let shown = self.node(&tag, &inner, is_head);
                    is_head = is_head && end != TagEnd::TableHead;
                    shown
                }
                Event::Text(text) => match open.last().and_then(|open| open.tag.as_ref()) {
                    // Shown when it is whole.
                    Some(Tag::CodeBlock(_)) => PreEscaped(text.into_string()),
                    _ => long(&text).render(),
                },
                Event::Code(text) => html! { code { (t(&text)) } },
                Event::Html(text) | Event::InlineHtml(text) => long(&text).render(),
                Event::SoftBreak => PreEscaped("\n".to_owned()),
                Event::HardBreak => html! { br; },
                Event::Rule => html! { hr; },
                // What is not switched on does not come.
                _ => continue,
            };
            if let Some(last) = open.last_mut() {
                last.inner.push_str(&shown.0);
            }
        }
        let root = open.into_iter().next();
        PreEscaped(root.map(|root| root.inner).unwrap_or_default())
    }

    /// A node with what is in it.
    fn node(&self, tag: &Tag<'_>, inner: &str, is_head: bool) -> Markup {
        let content = PreEscaped(inner);
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => html! { p { (content) } },
            Tag::Heading { .. } => match self.level {
                ..=4 => html! { h4 { (content) } },
                _ => html! { h5 { (content) } },
            },
            Tag::BlockQuote(_) => html! { blockquote { (content) } },
            Tag::CodeBlock(kind) => {
                let is_rhai =
                    matches!(kind, CodeBlockKind::Fenced(info) if info.starts_with("rhai"));
                let code = inner.trim_end();
                html! {
                    pre.out tabindex="0" {
                        code { @if is_rhai { (self.code(code)) } @else { (long(code)) } }
                    }
                }
            }
            Tag::List(None) => html! { ul.items { (content) } },
            Tag::List(Some(1)) => html! { ol.items { (content) } },
            Tag::List(Some(start)) => html! { ol.items start=(start) { (content) } },
            Tag::Item => html! { li { (content) } },
            Tag::Table(_) => html! { div.scroll { table { (content) } } },
            Tag::TableHead => html! { thead { tr { (content) } } },
            Tag::TableRow => html! { tr { (content) } },
            Tag::TableCell if is_head => html! { th scope="col" { (content) } },
            Tag::TableCell => html! { td { (content) } },
            Tag::Emphasis => html! { em { (content) } },
            Tag::Strong => html! { strong { (content) } },
            Tag::Link { dest_url: to, .. } => self.link(to, &content),
            // Nothing is loaded.
            Tag::Image { dest_url: to, .. } => {
                let content = html! { (content) @if inner.is_empty() { (t(to)) } };
                self.link(to, &PreEscaped(&*content.0))
            }
            _ => html! { (content) },
        }
    }

    fn link(&self, to: &str, label: &PreEscaped<&str>) -> Markup {
        match way(self.manual, self.part, self.module, to) {
            Way::Inside(target) => {
                let anchor = anchor(self.manual, &target);
                html! { a href={ "#" (anchor) } { (label) } }
            }
            Way::Web => html! { a href=(to) rel="noreferrer" { (label) } },
            Way::Page => {
                let name = to.strip_suffix(".md").unwrap_or(to);
                let name = if name == "stdlib" { "std" } else { name };
                let part = self.manual.parts.iter().find(|part| part.name == name);
                html! {
                    @match part {
                        Some(part) => a href={ "#" (anchor(self.manual, &Target::Part(part))) } { (label) },
                        None => (label),
                    }
                }
            }
            Way::Nowhere(_) => html! { (label) },
        }
    }

    /// Code in which calls lead to what is called.
    fn code(&self, code: &str) -> Markup {
        static IMPORT: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r#"import\s+"([^"]+)"\s+as\s+(\w+)"#).ok());
        static CALL: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"\b(?:([A-Za-z_]\w*)::)?([A-Za-z_]\w*)\(").ok());
        let imports: Vec<(&str, &str)> = IMPORT
            .iter()
            .flat_map(|pattern| pattern.captures_iter(code))
            .map(|found| {
                let (_, [path, name]) = found.extract();
                (name, path)
            })
            .collect();
        let mut shown = String::new();
        let mut at = 0;
        for found in CALL.iter().flat_map(|pattern| pattern.captures_iter(code)) {
            let Some(name) = found.get(2) else { continue };
            let begin = found.get(1).map_or(name.start(), |alias| alias.start());
            let is_method = code[..begin].ends_with('.');
            let target = match found.get(1) {
                Some(alias) => {
                    let of = imports.iter().find(|(name, _)| *name == alias.as_str());
                    of.and_then(|(_, path)| {
                        let link = format!("{path}::{}", name.as_str());
                        self.manual.find(self.part, None, &link).ok()
                    })
                }
                None if is_method => None,
                None => self.of_deployrun(name.as_str()),
            };
            let Some(target) = target else { continue };
            shown.push_str(&long(&code[at..begin]).render().0);
            let anchor = anchor(self.manual, &target);
            let link = html! { a href={ "#" (anchor) } { (t(&code[begin..name.end()])) } };
            shown.push_str(&link.0);
            at = name.end();
        }
        shown.push_str(&long(&code[at..]).render().0);
        PreEscaped(shown)
    }

    fn of_deployrun(&self, name: &str) -> Option<Target<'_>> {
        let mut modules = self.manual.modules();
        modules.find_map(|(part, module)| {
            let function = module.functions.iter().find(|f| f.name == name)?;
            super::is_of_deployrun(part).then_some(Target::Name(module, &function.name))
        })
    }
}
