//! The manual as one HTML file that needs no other: no network, no fonts, no images.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, Render as _, html};
use sha2::{Digest as _, Sha256};

use crate::report::html::STYLE as COMMON_STYLE;
use crate::report::html::text::{long, t};
use crate::words::manual::{Constant, Function, Manual, Module, Owner, Part, Target};

use super::text::Teller;
use super::{anchor, is_of_deployrun};

const STYLE: &str = include_str!("manual.css");
const SCRIPT: &str = include_str!("manual.js");

/// The document.
#[must_use]
pub fn document(manual: &Manual) -> String {
    let style = format!("{COMMON_STYLE}\n{STYLE}");
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(&style));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "deployrun " (env!("CARGO_PKG_VERSION")) };
                title { (t(&manual.title)) ": what its plans can call" }
                style { (PreEscaped(&style)) }
            }
            body.manual {
                a.skip href="#content" { "Skip to the functions" }
                header.banner.live {
                    p.kicker { "What plans can call" }
                    h1 { (t(&manual.title)) }
                    p.at { (counted(manual)) }
                    (search())
                }
                div.columns {
                    (contents(manual))
                    main #content tabindex="-1" {
                        @for part in &manual.parts { (section(manual, part)) }
                    }
                }
                footer { p { "Made by deployrun " (env!("CARGO_PKG_VERSION")) " from the comments of the sources." } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

/// Nothing is loaded, and only the style and the script of this file count.
fn policy(style: &str) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        hash(style),
        hash(SCRIPT)
    )
}

fn counted(manual: &Manual) -> String {
    let many = |n: usize, word: &str| match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    };
    let of = |is: &dyn Fn(&Part) -> bool| {
        let modules = manual.modules().filter(|(part, _)| is(part));
        let functions = modules.map(|(_, module)| module.functions.len());
        let (modules, functions) =
            functions.fold((0, 0), |(modules, all), n| (modules + 1, all + n));
        (modules, many(functions, "function"))
    };
    let (modules, functions) = of(&|part| !is_of_deployrun(part));
    let (_, own) = of(&is_of_deployrun);
    let modules = many(modules, "module");
    format!("{functions} in {modules}, and {own} of deployrun itself")
}

/// The search; without the script it would be of no use.
fn search() -> Markup {
    html! {
        search hidden {
            form {
                label {
                    span.vh { "Search" }
                    input type="search" name="text" placeholder="Search" autocomplete="off"
                        spellcheck="false" aria-controls="found" aria-describedby="keys";
                }
                span #keys.dim { kbd { "/" } " to search, " kbd { "↓" } " to go through what is found, " kbd { "Esc" } " to end" }
                output name="count" aria-live="polite" {}
            }
            ol #found.found aria-label="Found" hidden {}
        }
    }
}

fn contents(manual: &Manual) -> Markup {
    html! {
        nav aria-label="Modules" {
            @for part in &manual.parts {
                p { a href={ "#" (anchor(manual, &Target::Part(part))) } { (t(&part.title)) } }
                ul {
                    @for module in &part.modules {
                        li { a href={ "#" (anchor(manual, &Target::Module(module))) } { (t(&module.path)) } }
                    }
                }
            }
        }
    }
}

fn section(manual: &Manual, part: &Part) -> Markup {
    let id = anchor(manual, &Target::Part(part));
    let word = match part.owner {
        Owner::Project if part.facts.is_empty() => "project",
        Owner::Project | Owner::Library => "library",
        Owner::Plans | Owner::Tests | Owner::Std => "deployrun",
    };
    let teller = Teller {
        manual,
        part,
        module: None,
        level: 3,
    };
    html! {
        section id=(id) aria-labelledby={ "h-" (id) } {
            h2 id={ "h-" (id) } { (t(&part.title)) " " span.kind { (word) } }
            (teller.comment(part.about.text()))
            @if !part.facts.is_empty() {
                dl.facts {
                    @for (name, value) in &part.facts { dt { (name) } dd { code { (t(value)) } } }
                }
            }
            @if part.modules.is_empty() { p.dim { "It has no modules." } }
            @for module in &part.modules { (module_of(manual, part, module)) }
        }
    }
}

fn module_of(manual: &Manual, part: &Part, module: &Module) -> Markup {
    let teller = Teller {
        manual,
        part,
        module: Some(module),
        level: 4,
    };
    let id = anchor(manual, &Target::Module(module));
    let name = |name: &str| anchor(manual, &Target::Name(module, name));
    html! {
        section.of-module id=(id) aria-labelledby={ "h-" (id) } {
            @if is_of_deployrun(part) {
                h3 id={ "h-" (id) } { (t(&module.path)) }
            } @else {
                h3 id={ "h-" (id) } { code { (t(&module.path)) } }
                (teller.comment(module.about.text()))
                pre.cmd { code { (t(&import_of(module))) } }
            }
            @if !module.functions.is_empty() {
                div.scroll {
                    table.brief {
                        caption.vh { "Functions of " (t(&module.path)) }
                        @for function in &module.functions {
                            tr {
                                th scope="row" { a href={ "#" (name(&function.name)) } { code { (t(&function.name)) } } }
                                td { (brief(&teller, function)) }
                            }
                        }
                    }
                }
            }
            @for constant in &module.constants { (constant_of(&teller, constant, &name(&constant.name))) }
            @for function in &module.functions { (function_of(&teller, function, &name(&function.name))) }
        }
    }
}

/// The first sentence, without the paragraph around it.
fn brief(teller: &Teller<'_>, function: &Function) -> Markup {
    let shown = teller.comment(&function.summary()).0;
    let inner = shown
        .strip_prefix("<p>")
        .and_then(|shown| shown.strip_suffix("</p>"));
    PreEscaped(inner.unwrap_or(&shown).to_owned())
}

/// How it is imported.
fn import_of(module: &Module) -> String {
    let stem: String = module
        .stem()
        .chars()
        .map(|c| if c == '-' { '_' } else { c })
        .collect();
    format!("import \"{}\" as {stem};", module.path)
}

/// A heading with a link to itself.
fn heading(name: &str, id: &str) -> Markup {
    html! {
        h4 {
            code { (t(name)) }
            " "
            a.self href={ "#" (id) } aria-label={ "Link to " (t(name)) } { "#" }
        }
    }
}

fn constant_of(teller: &Teller<'_>, constant: &Constant, id: &str) -> Markup {
    html! {
        article id=(id) data-name=(called(teller, &constant.name)) {
            (heading(&constant.name, id))
            pre.sig { code { "const " (t(&constant.name)) " = " (long(&constant.value)) } }
            (teller.comment(constant.comment.text()))
        }
    }
}

fn function_of(teller: &Teller<'_>, function: &Function, id: &str) -> Markup {
    let teller = Teller {
        level: 5,
        ..*teller
    };
    html! {
        article id=(id) data-name=(called(&teller, &function.name)) {
            (heading(&function.name, id))
            @for form in &function.forms {
                pre.sig {
                    code {
                        @for (n, call) in form.calls.iter().enumerate() {
                            @if n > 0 { "\n" }
                            (t(call))
                        }
                    }
                }
                @if form.comment.is_empty() && function.forms.len() == 1 { p.dim { "It has no comment." } }
                (teller.comment(form.comment.text()))
            }
            (taken(&teller, function))
        }
    }
}

/// What the search calls it: `files::put`, `run`.
fn called(teller: &Teller<'_>, name: &str) -> String {
    match teller.module {
        Some(module) if !is_of_deployrun(teller.part) => {
            t(&format!("{}::{name}", module.path)).render().0
        }
        _ => name.to_owned(),
    }
}

fn taken(teller: &Teller<'_>, function: &Function) -> Markup {
    if function.takes.is_empty() {
        return html! {};
    }
    html! {
        div.scroll {
            table {
                caption.vh { "What " (t(&function.name)) " takes" }
                thead { tr { th scope="col" { "Name" } th scope="col" { "Takes" } th scope="col" { "For" } } }
                tbody {
                    @for one in &function.takes {
                        tr {
                            th scope="row" { @if one.is_option { span.kind { "option " } } code { (t(&one.name)) } }
                            td { (t(&one.wants)) }
                            td { (teller.comment(&one.doc)) }
                        }
                    }
                }
            }
        }
    }
}
