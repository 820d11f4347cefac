//! What a call leads to through the functions of a plan and of its modules.

use std::collections::HashSet;

use rhai::Expr;

use crate::script::functions::Function;
use crate::script::modules::place_of;
use crate::words::place::Place;

use super::Known;
use super::modules::{Target, target};
use super::outline::{Call, Role, Source};

/// A function of a source, told from others of its name by how many parameters it has.
type Id<'p> = (&'p str, &'p str, usize);

/// A call of a host function, found through a function.
pub(super) struct Reached<'p> {
    pub(super) host: &'p str,
    pub(super) place: Place,
}

/// The function of a plan or module that a call calls, and the source in which it stands.
fn callee<'k>(
    from: &Source<'_>,
    call: &Call<'_>,
    known: &Known<'k>,
) -> Option<(&'k Source<'k>, Id<'k>)> {
    if call.host.is_some() || call.receiver.is_some() {
        return None;
    }
    let path: Vec<&str> = call.path.iter().map(|ident| ident.name.as_str()).collect();
    let source = if path.is_empty() {
        known.sources.get(from.id)?
    } else {
        match target(from, &path, known) {
            Target::Source(source) => source,
            Target::Missing { .. } | Target::Unknown => return None,
        }
    };
    function(source, call.name, call.args.len())
}

fn function<'k>(
    source: &'k Source<'k>,
    name: &str,
    params: usize,
) -> Option<(&'k Source<'k>, Id<'k>)> {
    let is = |def: &&&super::outline::Definition| def.name == name && def.params.len() == params;
    let def = source.functions.iter().find(is)?;
    Some((source, (source.id, def.name.as_str(), params)))
}

/// The function in which a call stands, closures in it included.
fn stands_in<'p>(source: &Source<'p>, call: &Call<'p>) -> Option<Id<'p>> {
    let mut found = None;
    source.within(call.body, |body| {
        if body.role == Role::Function {
            found = Some((source.id, body.name, body.params));
        }
        false
    });
    found
}

/// The first call of such a host function that is made whenever the callee of `call` is called.
pub(super) fn certainly<'k>(
    from: &Source<'_>,
    call: &Call<'_>,
    known: &Known<'k>,
    is: &dyn Fn(&Function) -> bool,
) -> Option<Reached<'k>> {
    let (source, id) = callee(from, call, known)?;
    in_function(source, id, known, is, &mut HashSet::new())
}

/// The same for a function that is handed over by its name.
pub(super) fn certainly_by_name<'k>(
    from: &Source<'_>,
    value: &Expr,
    known: &Known<'k>,
    is: &dyn Fn(&Function) -> bool,
) -> Option<Reached<'k>> {
    let Expr::Variable(parts, ..) = value else {
        return None;
    };
    let name = parts.1.as_str();
    if !parts.2.path.is_empty() || from.variables.iter().any(|v| v.name == name) {
        return None;
    }
    let source = known.sources.get(from.id)?;
    let (source, id) = [0, 1]
        .into_iter()
        .find_map(|params| function(source, name, params))?;
    in_function(source, id, known, is, &mut HashSet::new())
}

fn in_function<'k>(
    source: &'k Source<'k>,
    id: Id<'k>,
    known: &Known<'k>,
    is: &dyn Fn(&Function) -> bool,
    seen: &mut HashSet<Id<'k>>,
) -> Option<Reached<'k>> {
    if !seen.insert(id) {
        return None;
    }
    let own = source.calls.iter().filter(|call| {
        let body = source.bodies.get(call.body);
        call.certain
            && body.is_some_and(|body| {
                body.role == Role::Function && (source.id, body.name, body.params) == id
            })
    });
    for call in own {
        match &call.host {
            Some(host) if is(host.function) => {
                return Some(Reached {
                    host: call.name,
                    place: place_of(source.id, call.pos),
                });
            }
            Some(_) => {}
            None => {
                let found = callee(source, call, known)
                    .and_then(|(source, id)| in_function(source, id, known, is, seen));
                if found.is_some() {
                    return found;
                }
            }
        }
    }
    None
}

/// The functions that a plan may call, directly or through others.
pub(super) fn functions_in_use<'k>(known: &Known<'k>, main: &str) -> HashSet<Id<'k>> {
    let mut found = HashSet::new();
    let mut open: Vec<(&Source<'k>, Option<Id<'k>>)> = Vec::new();
    open.extend(known.sources.get(main).map(|source| (source, None)));
    while let Some((source, id)) = open.pop() {
        for call in source
            .calls
            .iter()
            .filter(|call| stands_in(source, call) == id)
        {
            let Some((source, id)) = callee(source, call, known) else {
                continue;
            };
            if found.insert(id) {
                open.push((source, Some(id)));
            }
        }
    }
    found
}

/// Is a call made by the plan, as far as one can see?
pub(super) fn is_in_use<'p>(
    source: &Source<'p>,
    call: &Call<'p>,
    main: &str,
    in_use: &HashSet<Id<'_>>,
) -> bool {
    stands_in(source, call).map_or(source.id == main, |id| in_use.contains(&id))
}
