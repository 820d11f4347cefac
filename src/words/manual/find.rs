//! What the name in a link stands for.

use crate::words::suggest::nearest;

use super::{Manual, Module, Owner, Part};

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'m> {
    /// A part: a library, the stdlib, ….
    Part(&'m Part),
    /// A module.
    Module(&'m Module),
    /// A function or a constant of a module.
    Name(&'m Module, &'m str),
}

/// A link that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Why.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The name that a link is about, if it can be one: `put`, `files::put`, `std/files`,
/// `std/files::put`, `./lib/site`; with or without back-ticks and `()`.
#[must_use]
pub fn name_in(link: &str) -> Option<&str> {
    let name = link.trim();
    let name = name
        .strip_prefix('`')
        .and_then(|name| name.strip_suffix('`'))
        .unwrap_or(name);
    let name = name.strip_suffix("()").unwrap_or(name);
    let (path, function) = match name.split_once("::") {
        Some((path, function)) => (path, Some(function)),
        None => (name, None),
    };
    let is_word = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next();
        first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    let path = path.strip_suffix(".rhai").unwrap_or(path);
    let mut steps = path.split('/').peekable();
    while steps.next_if(|step| matches!(*step, "." | "..")).is_some() {}
    let is_path = steps.peek().is_some() && steps.all(is_word);
    let is_name = |name: &str| is_word(name) && !name.contains('-');
    let is_bare = !path.contains('/');
    let fits = is_path && function.is_none_or(is_name) && (!is_bare || is_word(path));
    fits.then_some(name)
}

impl Manual {
    /// All modules.
    pub fn modules(&self) -> impl Iterator<Item = (&Part, &Module)> {
        self.parts
            .iter()
            .flat_map(|part| part.modules.iter().map(move |module| (part, module)))
    }

    /// What a name in the comments of a module stands for.
    ///
    /// # Errors
    /// When nothing is called so.
    pub fn find<'m>(
        &'m self,
        part: &'m Part,
        module: Option<&'m Module>,
        name: &str,
    ) -> Result<Target<'m>, Lost> {
        match name.split_once("::") {
            Some((path, name)) => {
                let module = self.module(part, module, path)?;
                own(module, name)
                    .map(|name| Target::Name(module, name))
                    .ok_or_else(|| has_not(module, name))
            }
            None if name.contains('/') => self.module(part, module, name).map(Target::Module),
            None => self.bare(part, module, name),
        }
    }

    /// A name with nothing before it: of the module itself, of deployrun, a module, a part.
    fn bare<'m>(
        &'m self,
        part: &'m Part,
        module: Option<&'m Module>,
        name: &str,
    ) -> Result<Target<'m>, Lost> {
        if let Some(module) = module
            && let Some(name) = own(module, name)
        {
            return Ok(Target::Name(module, name));
        }
        if let Some(module) = module.filter(|module| module.private.iter().any(|p| p == name)) {
            return Err(has_not(module, name));
        }
        for (_, module) in self.of_deployrun() {
            if let Some(name) = own(module, name) {
                return Ok(Target::Name(module, name));
            }
        }
        if let Ok(module) = self.module(part, module, name) {
            return Ok(Target::Module(module));
        }
        if let Some(part) = self.parts.iter().find(|part| part.name == name) {
            return Ok(Target::Part(part));
        }
        let of_deployrun = self.of_deployrun().map(|(_, module)| module);
        let names = module.into_iter().chain(of_deployrun).flat_map(names);
        let hint = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "a link names a function (`put`, `files::put`) or a module (`std/files`); write \
                 \\[{name}] for the brackets themselves"
            ),
        };
        Err(Lost {
            problem: format!("there is no function and no module `{name}`"),
            hint: Some(hint),
        })
    }

    fn of_deployrun(&self) -> impl Iterator<Item = (&Part, &Module)> {
        self.modules()
            .filter(|(part, _)| matches!(part.owner, Owner::Plans | Owner::Tests))
    }

    /// The module of this path, or of this name: what the module imports so, one beside it, one of
    /// the stdlib.
    fn module<'m>(
        &'m self,
        part: &'m Part,
        from: Option<&'m Module>,
        path: &str,
    ) -> Result<&'m Module, Lost> {
        let path = path.strip_suffix(".rhai").unwrap_or(path);
        let imported = from.and_then(|from| from.imports.get(path));
        let wanted = imported.map_or(path, String::as_str);
        let of_path = |path: &str| {
            let mut all = self.modules();
            all.find(|(_, module)| module.path == path)
                .map(|(_, module)| module)
        };
        if let Some(found) = of_path(&beside(from, wanted)).or_else(|| of_path(wanted)) {
            return Ok(found);
        }
        if !wanted.contains('/') {
            let of_part = |part: &'m Part| part.modules.iter().find(|m| m.stem() == wanted);
            let std = self.parts.iter().find(|part| part.owner == Owner::Std);
            if let Some(found) = of_part(part).or_else(|| std.and_then(of_part)) {
                return Ok(found);
            }
        }
        let all: Vec<&str> = self.modules().map(|(_, module)| &*module.path).collect();
        let stems = all
            .iter()
            .map(|path| path.rsplit('/').next().unwrap_or(path));
        let near = nearest(wanted, all.iter().copied().chain(stems));
        Err(Lost {
            problem: format!("there is no module `{wanted}`"),
            hint: near.map(|near| format!("did you mean `{near}`?")),
        })
    }
}

/// A path that begins with `./` or `../`, as seen from a module.
fn beside(from: Option<&Module>, path: &str) -> String {
    if !path.starts_with("./") && !path.starts_with("../") {
        return path.to_owned();
    }
    let mut steps: Vec<&str> = match from {
        Some(from) => from.path.split('/').filter(|step| *step != ".").collect(),
        None => Vec::new(),
    };
    // What the project imports begins with a dot, what is in a library with its name.
    let is_own = from.is_none_or(|from| from.path.starts_with("./"));
    steps.pop();
    for step in path.split('/') {
        match step {
            "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    let dot = if is_own { "./" } else { "" };
    format!("{dot}{}", steps.join("/"))
}

fn names(module: &Module) -> impl Iterator<Item = &str> {
    let functions = module.functions.iter().map(|function| &*function.name);
    functions.chain(module.constants.iter().map(|constant| &*constant.name))
}

/// The name as the module has it, if it has it for others.
fn own<'m>(module: &'m Module, name: &str) -> Option<&'m str> {
    names(module).find(|own| *own == name)
}

fn has_not(module: &Module, name: &str) -> Lost {
    let path = &module.path;
    if module.private.iter().any(|private| private == name) {
        return Lost {
            problem: format!("`{name}` is private to `{path}`, and so it is not documented"),
            hint: Some("write it without brackets".into()),
        };
    }
    Lost {
        problem: format!("`{path}` has no function `{name}`"),
        hint: nearest(name, names(module)).map(|near| format!("did you mean `{near}`?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::manual::{Comment, Form, Function};
    use crate::words::place::Place;

    fn module(path: &str, functions: &[&str]) -> Module {
        let function = |name: &&str| Function {
            name: (*name).to_owned(),
            forms: vec![Form {
                calls: vec![format!("{name}()")],
                comment: Comment::default(),
                place: Place::default(),
            }],
            takes: Vec::new(),
        };
        Module {
            path: path.to_owned(),
            functions: functions.iter().map(function).collect(),
            private: vec!["hidden".to_owned()],
            ..Module::default()
        }
    }

    fn part(owner: Owner, name: &str, modules: Vec<Module>) -> Part {
        Part {
            owner,
            name: name.to_owned(),
            title: name.to_owned(),
            about: Comment::default(),
            facts: Vec::new(),
            is_own: false,
            modules,
        }
    }

    #[test]
    fn what_can_be_a_name_is_told_from_prose() {
        for (link, name) in [
            ("put", Some("put")),
            ("`files::put()`", Some("files::put")),
            ("std/files", Some("std/files")),
            ("./lib/a-b.rhai", Some("./lib/a-b.rhai")),
            ("../x", Some("../x")),
            ("0", None),
            ("a, b", None),
            ("", None),
            ("::put", None),
            ("./", None),
            ("a::b::c", None),
            ("http://x/y", None),
            ("x y", None),
        ] {
            assert_eq!(name_in(link), name, "{link}");
        }
    }

    #[test]
    fn names_are_found_where_they_are_looked_for() {
        let mut site = module("./lib/site", &["publish", "run"]);
        site.imports.insert("pg".into(), "platform/postgres".into());
        site.imports.insert("it".into(), "./log".into());
        let manual = Manual {
            title: String::new(),
            parts: vec![
                part(
                    Owner::Project,
                    "shop",
                    vec![site, module("./lib/log", &["say"])],
                ),
                part(
                    Owner::Library,
                    "platform",
                    vec![
                        module("platform/postgres", &["migrate"]),
                        module("platform/files", &["put"]),
                    ],
                ),
                part(
                    Owner::Plans,
                    "functions",
                    vec![module("release", &["run", "step"])],
                ),
                part(Owner::Std, "std", vec![module("std/files", &["put"])]),
            ],
        };
        let from = |part: usize, module: usize, name: &str| {
            let part = &manual.parts[part];
            match manual.find(part, part.modules.get(module), name) {
                Ok(Target::Part(part)) => format!("part {}", part.name),
                Ok(Target::Module(module)) => module.path.clone(),
                Ok(Target::Name(module, name)) => format!("{}::{name}", module.path),
                Err(lost) => format!("{}; {}", lost.problem, lost.hint.unwrap_or_default()),
            }
        };
        for (part, module, name, found) in [
            (0, 0, "publish", "./lib/site::publish"),
            // Its own comes first, then deployrun's.
            (0, 0, "run", "./lib/site::run"),
            (1, 0, "run", "release::run"),
            (0, 0, "pg::migrate", "platform/postgres::migrate"),
            (0, 0, "it::say", "./lib/log::say"),
            (0, 0, "./log", "./lib/log"),
            (0, 0, "../lib/log::say", "./lib/log::say"),
            (0, 0, "log::say", "./lib/log::say"),
            (0, 0, "files::put", "std/files::put"),
            (1, 0, "files::put", "platform/files::put"),
            (1, 0, "./files", "platform/files"),
            (1, 0, "std/files", "std/files"),
            (0, 0, "platform", "part platform"),
            (
                0,
                0,
                "pg::migrat",
                "`platform/postgres` has no function `migrat`; did you mean `migrate`?",
            ),
            (
                0,
                0,
                "hidden",
                "`hidden` is private to `./lib/site`, and so it is not documented; write it without brackets",
            ),
            (
                0,
                0,
                "std/fils",
                "there is no module `std/fils`; did you mean `std/files`?",
            ),
            (
                1,
                0,
                "stp",
                "there is no function and no module `stp`; did you mean `step`?",
            ),
        ] {
            assert_eq!(from(part, module, name), found, "{name}");
        }
    }
}
