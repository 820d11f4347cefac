//! The static check: what can be said of a plan before anything runs, all at once.
//!
//! Errors are certain: the plan could not run past the place. Everything else is a warning.

mod arguments;
mod back_ticks;
mod commands;
mod habits;
mod header;
mod leftovers;
mod modules;
mod names;
mod outline;
mod phases;
mod reach;
mod rhai_names;
mod tests_in;
mod this_in_loops;
mod walk;

use std::collections::{BTreeMap, HashMap};

use rhai::{Position, Stmt};

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::place::Place;

use super::api;
use super::functions::{Function, When};
use super::modules::place_of;
use super::plan::Plan;
use super::testing::is_test_file;

use outline::{Definition, Source, definitions};

/// All that is wrong with a plan or doubtful in it, the plan's own file first.
#[must_use]
pub fn check(plan: &Plan, functions: &[Function]) -> Vec<Diagnostic> {
    let mut found = plan.problems().to_vec();
    let definitions: BTreeMap<&str, Vec<Definition>> = plan
        .trees()
        .map(|(id, ast)| (id, definitions(ast)))
        .collect();
    // What only tests may call is not there for anything else.
    let is_for_all = |function: &&Function| function.when != When::Test;
    let of_all: Vec<Function> = functions.iter().filter(is_for_all).cloned().collect();
    let mut of_tests = of_all.clone();
    if plan.trees().any(|(id, _)| is_test_file(id)) {
        of_tests.extend(api::testing::functions());
    }
    let host_of_all: HashMap<&str, &Function> = of_all.iter().map(|f| (f.name, f)).collect();
    let host: HashMap<&str, &Function> = of_tests.iter().map(|f| (f.name, f)).collect();
    let sources: BTreeMap<&str, Source<'_>> = plan
        .trees()
        .filter_map(|(id, ast)| {
            let text = plan.sources().get(id)?;
            let own = definitions.get(id)?;
            Some((
                id,
                Source::new(
                    id,
                    text,
                    id == plan.main(),
                    ast,
                    own,
                    if is_test_file(id) {
                        &host
                    } else {
                        &host_of_all
                    },
                ),
            ))
        })
        .collect();
    let closures = definitions.iter().flat_map(|(id, all)| {
        let closures = all.iter().filter(|def| def.is_closure());
        closures.map(|def| ((*id, def.name.as_str()), def.params.len()))
    });
    let closures: HashMap<_, _> = closures.collect();
    let known_to_tests = Known {
        functions: &of_tests,
        host,
        sources: &sources,
        closures: closures.clone(),
    };
    let known_to_all = Known {
        functions: &of_all,
        host: host_of_all,
        sources: &sources,
        closures,
    };
    for source in sources.values().filter(|source| is_checked(source, plan)) {
        let is_test = is_test_file(source.id);
        let known = if is_test {
            &known_to_tests
        } else {
            &known_to_all
        };
        let mut notes = Notes {
            id: source.id,
            found: Vec::new(),
        };
        names::check(source, known, &mut notes);
        arguments::check(source, known, &mut notes);
        modules::check(source, known, &mut notes);
        phases::check(source, known, &mut notes);
        commands::check(source, &mut notes);
        leftovers::check(source, known, &mut notes);
        if is_test {
            tests_in::check(source, &mut notes);
        } else {
            header::check(source, &mut notes);
            habits::check(source, &mut notes);
        }
        for (_, ast) in plan.trees().filter(|(id, _)| *id == source.id) {
            back_ticks::check(source, ast, &mut notes);
            this_in_loops::check(ast, &mut notes);
        }
        found.extend(notes.found);
    }
    if !is_test_file(plan.main()) {
        found.extend(habits::of_the_plan(&known_to_all, plan.main()));
    }
    found.extend(empty(plan));
    order(found, plan)
}

/// A plan with nothing in it would be released at once: more likely its text was lost.
fn empty(plan: &Plan) -> Option<Diagnostic> {
    let ast = plan.asts().get(plan.main())?;
    let nothing = ast.statements().iter().all(|s| matches!(s, Stmt::Noop(_)));
    (nothing && ast.iter_functions().next().is_none()).then(|| {
        let place = Place::new(plan.main(), 0, 0);
        Diagnostic::new(Code::EmptyPlan, place, "the plan is empty")
            .with_hint("a plan begins with plan(#{ name: \"…\", … })")
    })
}

/// The modules of deployrun itself are checked by its tests, not again with every plan.
fn is_checked(source: &Source<'_>, plan: &Plan) -> bool {
    source.is_main || !source.id.starts_with("std/") || plan.main().starts_with("std/")
}

/// By file and place, the plan's own file first; each finding once.
fn order(mut found: Vec<Diagnostic>, plan: &Plan) -> Vec<Diagnostic> {
    for problem in &mut found {
        problem.find_lines(|file| plan.sources().get(file).map(String::as_str));
    }
    let key = |d: &Diagnostic| (d.place.file != plan.main(), d.place.clone(), d.code);
    found.sort_by_cached_key(key);
    found.dedup_by(|again, kept| {
        let same =
            again.place == kept.place && again.code == kept.code && again.message == kept.message;
        if same && kept.hint.is_none() {
            kept.hint = again.hint.take();
        }
        if same && kept.notes.is_empty() {
            kept.notes = std::mem::take(&mut again.notes);
        }
        same
    });
    found
}

/// What one source can know of the others and of the host.
struct Known<'p> {
    functions: &'p [Function],
    host: HashMap<&'p str, &'p Function>,
    sources: &'p BTreeMap<&'p str, Source<'p>>,
    /// How many parameters each closure of each source has.
    closures: HashMap<(&'p str, &'p str), usize>,
}

impl Known<'_> {
    /// How many parameters a closure of a source has.
    fn closure_params(&self, id: &str, name: &str) -> Option<usize> {
        self.closures.get(&(id, name)).copied()
    }

    /// May a map hold a closure under this name?
    fn is_map_key(&self, name: &str) -> bool {
        self.sources
            .values()
            .any(|source| source.map_keys.contains(name))
    }
}

/// The findings in one source.
struct Notes<'p> {
    id: &'p str,
    found: Vec<Diagnostic>,
}

impl Notes<'_> {
    fn place(&self, pos: Position) -> Place {
        place_of(self.id, pos)
    }

    fn push(&mut self, found: Diagnostic) {
        self.found.push(found);
    }
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;
