//! Imports, aliases, and what modules show.

use rhai::Stmt;

use crate::script::modules::{place_of, resolve};
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::place::Place;
use crate::words::suggest::nearest;

use super::outline::{Source, Variable};
use super::{Known, Notes};

/// What a path of aliases leads to.
pub(super) enum Target<'k> {
    /// To this source.
    Source(&'k Source<'k>),
    /// The alias at `at` is not there.
    Missing {
        at: usize,
        alias: String,
        near: Option<String>,
    },
    /// Nobody knows: the module could not be read, or is imported in several ways.
    Unknown,
}

/// Follows `a::b::` from a source.
pub(super) fn target<'k>(from: &Source<'_>, path: &[&str], known: &Known<'k>) -> Target<'k> {
    let mut source: Option<&'k Source<'k>> = None;
    for (at, alias) in path.iter().enumerate() {
        let ids = match source {
            None => imported(from, alias, false),
            // What a module imports is seen through it, unless a function of it does so.
            Some(source) => imported(source, alias, true),
        };
        let mut ids = ids.into_iter();
        match (ids.next(), ids.next()) {
            (None, _) => {
                let aliases = match source {
                    None => from.imports.iter().map(|i| i.alias).collect::<Vec<_>>(),
                    Some(source) => source.imports.iter().map(|i| i.alias).collect(),
                };
                let near = nearest(alias, aliases).map(str::to_owned);
                return Target::Missing {
                    at,
                    alias: (*alias).to_owned(),
                    near,
                };
            }
            (Some(Some(id)), None) => match known.sources.get(id.as_str()) {
                Some(found) => source = Some(found),
                None => return Target::Unknown,
            },
            _ => return Target::Unknown,
        }
    }
    source.map_or(Target::Unknown, Target::Source)
}

/// The sources that an alias stands for; `None` for one that cannot be told.
fn imported(source: &Source<'_>, alias: &str, at_top: bool) -> Vec<Option<String>> {
    let of_it = source
        .imports
        .iter()
        .filter(|i| i.alias == alias && (i.at_top || !at_top));
    let mut ids: Vec<Option<String>> = of_it
        .map(
            |import| match resolve(source.id, &import.path.map(str::to_owned)) {
                Ok(path) => Some(path.id()),
                Err(_) => None,
            },
        )
        .collect();
    ids.dedup();
    ids
}

/// Nothing is imported under this name.
pub(super) fn unknown_alias(alias: String, near: Option<String>, place: Place) -> Diagnostic {
    let text = format!("nothing is imported as `{alias}`");
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write import \"…\" as {alias}; at the top"),
    };
    let length = u32::try_from(alias.chars().count()).unwrap_or(u32::MAX);
    let end_column = place.column.saturating_add(length);
    Diagnostic {
        end_column,
        ..Diagnostic::new(Code::UnknownModule, place, text).with_hint(hint)
    }
}

pub(super) fn check(source: &Source<'_>, known: &Known<'_>, notes: &mut Notes) {
    aliases(source, known, notes);
    constants(source, known, notes);
}

fn aliases(source: &Source<'_>, known: &Known<'_>, notes: &mut Notes) {
    for (at, import) in source.imports.iter().enumerate() {
        let alias = import.alias;
        if alias.is_empty() {
            continue;
        }
        let place = notes.place(import.alias_pos);
        if known.host.contains_key(alias) {
            let text =
                format!("`{alias}` is a function of deployrun and can't be an import's name");
            let found = Diagnostic::new(Code::RedefinedFunction, place.clone(), text);
            notes.push(found.with_hint("give it another name after `as`"));
        }
        let earlier = source.imports.iter().take(at).find(|i| i.alias == alias);
        if let Some(earlier) = earlier.filter(|e| e.at_top && import.at_top) {
            let text =
                format!("`{alias}` is imported twice; the first is out of reach from here on");
            let found = Diagnostic::new(Code::RepeatedImport, place, text)
                .with_hint("give one of them another name")
                .with_note("the first is here", notes.place(earlier.alias_pos));
            notes.push(found);
        }
    }
}

/// `m::NAME` and `global::NAME`.
fn constants(source: &Source<'_>, known: &Known<'_>, notes: &mut Notes) {
    for used in &source.qualified {
        let path: Vec<&str> = used.path.iter().map(|ident| ident.name.as_str()).collect();
        let place = notes.place(used.pos);
        let name = used.name;
        if path == ["global"] {
            let there = |v: &&Variable<'_>| v.global && v.declared;
            let names: Vec<&str> = source
                .variables
                .iter()
                .filter(there)
                .map(|v| v.name)
                .collect();
            if !names.contains(&name) {
                let text = format!("there is no constant `{name}` at the top of this file");
                let found = Diagnostic::new(Code::UndefinedVariable, place, text);
                notes.found.push(hinted(found, nearest(name, names)));
            }
            continue;
        }
        match target(source, &path, known) {
            Target::Missing { at, alias, near } => {
                let pos = used.path.get(at).map_or(used.pos, |ident| ident.pos);
                notes.push(unknown_alias(alias, near, notes.place(pos)));
            }
            Target::Source(module) => {
                let own = module.variables.iter().filter(|v| v.global && v.declared);
                let shown: Vec<&str> = own.clone().filter(|v| v.exported).map(|v| v.name).collect();
                if shown.contains(&name) || exports_by_other_name(module, name) {
                    continue;
                }
                let text = format!("`{}` exports no `{name}`", module.id);
                let found = Diagnostic::new(Code::UndefinedVariable, place, text);
                notes.push(
                    if let Some(variable) = own.clone().find(|v| v.name == name) {
                        found
                            .with_hint(format!("write `export` before `{name}` there"))
                            .with_note("it is declared here", place_of(module.id, variable.pos))
                    } else {
                        hinted(found, nearest(name, shown))
                    },
                );
            }
            Target::Unknown => {}
        }
    }
}

fn hinted(found: Diagnostic, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => found.with_hint(format!("did you mean `{near}`?")),
        None => found,
    }
}

/// `export a as b;`
fn exports_by_other_name(module: &Source<'_>, name: &str) -> bool {
    module.top.iter().any(|statement| match statement {
        Stmt::Export(names, _) => names.1.name == name || names.0.name == name,
        _ => false,
    })
}

/// Is a module's alias of use in any other source, as `its::alias::name`?
pub(super) fn is_seen_through(source: &Source<'_>, alias: &str, known: &Known<'_>) -> bool {
    let through = |path: &[rhai::Ident]| path.iter().skip(1).any(|ident| ident.name == alias);
    let others = known.sources.values().filter(|other| other.id != source.id);
    others.into_iter().any(|other| {
        other.calls.iter().any(|call| through(call.path))
            || other.qualified.iter().any(|used| through(used.path))
    })
}
