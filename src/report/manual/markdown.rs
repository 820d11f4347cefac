//! The manual as Markdown: the generated pages of docs/, and a page for each module.

use std::fmt::Write as _;
use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Tag};

use crate::words::hidden::visible;
use crate::words::manual::{Function, Manual, Module, Part, Taken, Target};

use super::links::{Way, way};
use super::parsed::{events, label};
use super::{is_of_deployrun, part_of};

/// The page of the functions of plans, as it is in docs/.
#[must_use]
pub fn functions_page(part: &Part) -> String {
    host_page(part, "src/script/api/")
}

/// The page of the functions of tests, as it is in docs/.
#[must_use]
pub fn testing_page(part: &Part) -> String {
    host_page(part, "src/script/api/testing/")
}

fn host_page(part: &Part, made_from: &str) -> String {
    let mut page = format!(
        "# {}\n\n<!-- Made from the table in {made_from}; `UPDATE_SNAPSHOTS=1 cargo test --test manual` \
         writes it. -->\n\n",
        part.title
    );
    host(&mut page, part, &|text| text.to_owned());
    page
}

fn host(page: &mut String, part: &Part, linked: &dyn Fn(&str) -> String) {
    page.push_str(&linked(part.about.text()));
    for module in &part.modules {
        let _ = write!(page, "\n## {}\n", module.path);
        for function in &module.functions {
            let calls = function.forms.iter().flat_map(|form| &form.calls);
            let calls: Vec<&str> = calls.map(String::as_str).collect();
            let _ = write!(
                page,
                "\n### `{}`\n\n`{}`\n",
                function.name,
                calls.join(" or ")
            );
            for form in &function.forms {
                let _ = write!(page, "\n{}\n", linked(form.comment.text()));
            }
            taken(page, &function.takes, linked);
        }
    }
}

fn taken(page: &mut String, takes: &[Taken], linked: &dyn Fn(&str) -> String) {
    if takes.is_empty() {
        return;
    }
    page.push_str("\n| | takes | |\n|---|---|---|\n");
    for one in takes {
        let word = if one.is_option { "option " } else { "" };
        let wants = one.wants.replace('|', "\\|");
        let doc = linked(&one.doc);
        let _ = writeln!(page, "| {word}`{}` | {wants} | {doc} |", one.name);
    }
}

/// The list of the modules of a part with their functions, in a sentence each, as it is in docs/.
#[must_use]
pub fn list_of_modules(part: &Part) -> String {
    let mut list = String::new();
    for module in &part.modules {
        let _ = write!(
            list,
            "### `{}`\n\n{}\n\n| | |\n|---|---|\n",
            module.path,
            module.about.summary()
        );
        for function in &module.functions {
            for form in &function.forms {
                let about = form.comment.summary();
                // Forms with options are told with the plain ones.
                if !about.starts_with("The same with") {
                    let _ = writeln!(list, "| `{}` | {about} |", form.calls.join("` or `"));
                }
            }
        }
        list.push('\n');
    }
    list
}

/// Every page: its file, and its text. The first is the index.
#[must_use]
pub fn pages(manual: &Manual) -> Vec<(String, String)> {
    let mut pages = vec![("README.md".to_owned(), index(manual))];
    for part in &manual.parts {
        if is_of_deployrun(part) {
            let mut page = format!("# {}\n\n", part.title);
            let file = file_of(manual, &Target::Part(part));
            let teller = Teller {
                manual,
                part,
                module: None,
                file: &file,
            };
            host(&mut page, part, &|text| teller.linked(text));
            pages.push((file, page));
        } else {
            for module in &part.modules {
                let file = file_of(manual, &Target::Module(module));
                let teller = Teller {
                    manual,
                    part,
                    module: Some(module),
                    file: &file,
                };
                let page = teller.page(module);
                pages.push((file, page));
            }
        }
    }
    pages
}

fn index(manual: &Manual) -> String {
    let mut page = format!("# {}: what its plans can call\n", visible(&manual.title));
    for part in &manual.parts {
        let file = "README.md";
        let teller = Teller {
            manual,
            part,
            module: None,
            file,
        };
        if is_of_deployrun(part) {
            let to = file_of(manual, &Target::Part(part));
            let _ = write!(page, "\n## [{}]({to})\n", part.title);
            continue;
        }
        let _ = write!(page, "\n## {}\n", visible(&part.title));
        if !part.about.is_empty() {
            let _ = write!(page, "\n{}\n", teller.linked(part.about.text()));
        }
        if !part.facts.is_empty() {
            page.push_str("\n| | |\n|---|---|\n");
            for (name, value) in &part.facts {
                let _ = writeln!(page, "| {name} | `{}` |", visible(value));
            }
        }
        page.push_str("\n| | |\n|---|---|\n");
        for module in &part.modules {
            let to = file_of(manual, &Target::Module(module));
            let teller = Teller {
                module: Some(module),
                ..teller
            };
            let about = cell(&teller.linked(&module.about.summary()));
            let _ = writeln!(page, "| [`{}`]({to}) | {about} |", visible(&module.path));
        }
    }
    page
}

/// What a cell of a table can hold.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// The file of the page on which a target stands.
fn file_of(manual: &Manual, target: &Target<'_>) -> String {
    let of_part = |part: &Part| match is_of_deployrun(part) {
        true => format!("{}.md", part.name),
        false => "README.md".to_owned(),
    };
    match target {
        Target::Part(part) => of_part(part),
        Target::Module(module) | Target::Name(module, _) => match part_of(manual, module) {
            Some(part) if is_of_deployrun(part) => of_part(part),
            _ => format!("{}.md", module.path.trim_start_matches("./")),
        },
    }
}

/// What tells of a module on a page.
#[derive(Clone, Copy)]
struct Teller<'m> {
    manual: &'m Manual,
    part: &'m Part,
    module: Option<&'m Module>,
    file: &'m str,
}

impl Teller<'_> {
    fn page(&self, module: &Module) -> String {
        let mut page = format!("# `{}`\n", visible(&module.path));
        if !module.about.is_empty() {
            let _ = write!(page, "\n{}\n", self.linked(module.about.text().trim()));
        }
        page.push_str("\n| | |\n|---|---|\n");
        for function in &module.functions {
            let name = &function.name;
            let anchor = name.to_lowercase();
            let about = cell(&self.linked(&function.summary()));
            let _ = writeln!(page, "| [`{name}`](#{anchor}) | {about} |");
        }
        for constant in &module.constants {
            let (name, value) = (&constant.name, visible(&constant.value));
            let about = self.linked(constant.comment.text().trim());
            let _ = write!(
                page,
                "\n## `{name}`\n\n`const {name} = {value}`\n\n{about}\n"
            );
        }
        for function in &module.functions {
            self.function(&mut page, function);
        }
        page
    }

    fn function(&self, page: &mut String, function: &Function) {
        let _ = write!(page, "\n## `{}`\n", function.name);
        for form in &function.forms {
            let _ = write!(page, "\n```rhai\n{}\n```\n", form.calls.join("\n"));
            if !form.comment.is_empty() {
                let _ = write!(page, "\n{}\n", self.linked(form.comment.text().trim()));
            }
        }
        taken(page, &function.takes, &|text| self.linked(text));
    }

    /// A comment whose links lead to pages, and in which nothing is taken for HTML.
    fn linked(&self, text: &str) -> String {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        for (event, range) in events(text) {
            let Some(whole) = text.get(range.clone()) else {
                continue;
            };
            let edit = match event {
                Event::Html(_) | Event::InlineHtml(_) => Some(whole.replace('<', "&lt;")),
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    ..
                }) => self.link(whole, link_type, &dest_url),
                // Nothing is loaded.
                Event::Start(Tag::Image {
                    link_type,
                    dest_url,
                    ..
                }) => Some(
                    self.link(whole, link_type, &dest_url)
                        .unwrap_or_else(|| whole.trim_start_matches('!').to_owned()),
                ),
                _ => None,
            };
            if let Some(edit) = edit {
                // What stands within another is part of that.
                if edits.last().is_none_or(|(last, _)| last.end <= range.start) {
                    edits.push((range, edit));
                }
            }
        }
        let mut linked = text.to_owned();
        for (range, edit) in edits.into_iter().rev() {
            linked.replace_range(range, &edit);
        }
        visible(&linked)
    }

    /// The text of a link that has to be another one.
    fn link(&self, whole: &str, kind: LinkType, to: &str) -> Option<String> {
        let label = match label(whole, kind) {
            label if label.contains('`') => label.to_owned(),
            label => label.replace('<', "&lt;"),
        };
        match way(self.manual, self.part, self.module, to) {
            Way::Web => None,
            Way::Page => {
                let name = to.strip_suffix(".md").unwrap_or(to);
                let part = |name: &str| self.manual.parts.iter().find(|part| part.name == name);
                let is_here = name != "stdlib" && part(name).is_some();
                Some(match (is_here, name) {
                    (true, _) => return None,
                    (false, "stdlib") => format!("[{label}](README.md)"),
                    (false, _) => label,
                })
            }
            Way::Nowhere(_) => Some(label),
            Way::Inside(target) => {
                let file = file_of(self.manual, &target);
                let anchor = match target {
                    Target::Name(_, name) => format!("#{}", name.to_lowercase()),
                    _ => String::new(),
                };
                let up = self.file.matches('/').count();
                let path = match file == self.file && !anchor.is_empty() {
                    true => String::new(),
                    false => format!("{}{file}", "../".repeat(up)),
                };
                Some(format!("[{label}]({path}{anchor})"))
            }
        }
    }
}
