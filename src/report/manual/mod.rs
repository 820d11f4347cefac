//! What is documented, as HTML and as Markdown; and what is broken in it.
//!
//! Comments are Markdown that others wrote: raw HTML in it is shown and not interpreted, images are
//! links, and a link leads to what is documented or to the web.

mod examples;
mod html;
mod links;
mod markdown;
mod parsed;
mod text;

pub use examples::{Example, examples};
pub use html::document;
pub use links::broken_links;
pub use markdown::{functions_page, list_of_modules, pages, testing_page};

use crate::words::manual::{Comment, Manual, Module, Owner, Part, Target};

/// Every comment of a part, with its module and the name that it is about.
fn comments(part: &Part) -> impl Iterator<Item = (&Module, &str, &Comment)> {
    part.modules.iter().flat_map(|module| {
        let about = std::iter::once((module, &*module.path, &module.about));
        let constants = module.constants.iter();
        let constants = constants.map(move |one| (module, &*one.name, &one.comment));
        let functions = module.functions.iter().flat_map(move |function| {
            let forms = function.forms.iter();
            forms.map(move |form| (module, &*function.name, &form.comment))
        });
        about.chain(constants).chain(functions)
    })
}

/// The part to which a module belongs.
fn part_of<'m>(manual: &'m Manual, module: &Module) -> Option<&'m Part> {
    let has = |part: &&Part| part.modules.iter().any(|own| std::ptr::eq(own, module));
    manual.parts.iter().find(has)
}

fn is_of_deployrun(part: &Part) -> bool {
    matches!(part.owner, Owner::Plans | Owner::Tests)
}

/// The name of a target in the page: letters, digits and a few signs.
fn anchor(manual: &Manual, target: &Target<'_>) -> String {
    let is_of_deployrun = |module: &Module| part_of(manual, module).is_some_and(is_of_deployrun);
    let name = match target {
        Target::Part(part) => format!("in-{}", part.name),
        Target::Module(module) if is_of_deployrun(module) => format!("when-{}", module.path),
        Target::Module(module) => module.path.clone(),
        Target::Name(module, name) if is_of_deployrun(module) => (*name).to_owned(),
        Target::Name(module, name) => format!("{}::{name}", module.path),
    };
    let mut anchor = String::new();
    for c in name.chars() {
        match c {
            ' ' => anchor.push('-'),
            c if c.is_ascii_alphanumeric() || "-_./:".contains(c) => anchor.push(c),
            c => anchor.push_str(&format!("~{:x}", u32::from(c))),
        }
    }
    anchor
}
