//! Calls that may not be made where they stand, whatever happens.

use rhai::Expr;

use crate::script::functions::{Function, Handler, Kind, When};
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::place::Place;

use super::outline::{Call, Role, Source};
use super::reach::{Reached, certainly, certainly_by_name};
use super::{Known, Notes};

/// Functions that may always be called, and yet do more than look.
const MORE_THAN_LOOK: &[&str] = &[
    "info",
    "warn",
    "abort",
    "sleep",
    "watch",
    "wait_for_approval",
    "wait_for_window",
    "plan",
];

/// What the closure of a back-out may call, beside what looks.
const IN_BACK_OUT: &[&str] = &[
    "run",
    "upload",
    "write_file",
    "keep",
    "remove_file",
    "make_link",
    "make_directory",
    "set_mode",
    "set_owner",
    "copy_file",
    "move_file",
    "unpack_archive",
    "sleep",
    "info",
    "warn",
];

/// Does it only look?
pub(super) fn only_looks(function: &Function) -> bool {
    function.when == When::Any && !MORE_THAN_LOOK.contains(&function.name)
}

fn may_undo(function: &Function) -> bool {
    let own = matches!(function.handler, Handler::Own(_));
    only_looks(function) || own || IN_BACK_OUT.contains(&function.name)
}

pub(super) fn check(source: &Source<'_>, known: &Known<'_>, notes: &mut Notes) {
    for call in &source.calls {
        let Some(host) = &call.host else {
            let found = through_function(source, call, known, notes);
            notes.found.extend(found);
            continue;
        };
        let found = by_name(source, call, known, notes);
        notes.found.extend(found);
        let found = in_module(source, call, notes)
            .or_else(|| in_reader(source, call, host.function, notes))
            .or_else(|| in_undo(source, call, host.function, notes));
        notes.found.extend(found);
    }
}

/// The body of a module runs when it is imported; what it does would escape the order of the plan.
fn in_module(source: &Source<'_>, call: &Call<'_>, notes: &Notes) -> Option<Diagnostic> {
    if source.is_main || call.body != 0 {
        return None;
    }
    let text = format!("`{}` is called by the body of a module", call.name);
    let hint = "put the call into a function, and call that from the plan";
    Some(Diagnostic::new(Code::ModuleActs, notes.place(call.pos), text).with_hint(hint))
}

fn in_reader(
    source: &Source<'_>,
    call: &Call<'_>,
    function: &Function,
    notes: &Notes,
) -> Option<Diagnostic> {
    if only_looks(function) {
        return None;
    }
    let mut reader = None;
    source.within(call.body, |body| match body.role {
        Role::Reads(name) => {
            reader = Some(name);
            true
        }
        // What is armed or watched in there is another matter, and told on its own.
        Role::Undoes => true,
        _ => false,
    });
    let reader = reader?;
    let text = format!(
        "`{}` may not be called in the closure of a `{reader}`, which only reads",
        call.name
    );
    let found = Diagnostic::new(Code::ActsInCheck, notes.place(call.pos), text);
    Some(match function.name {
        "run" => found.with_hint("write probe(…) for a command that changes nothing"),
        _ => found,
    })
}

fn in_undo(
    source: &Source<'_>,
    call: &Call<'_>,
    function: &Function,
    notes: &Notes,
) -> Option<Diagnostic> {
    let undoes = |body: &super::outline::Body<'_>| body.role == Role::Undoes;
    let reads = |body: &super::outline::Body<'_>| matches!(body.role, Role::Reads(_));
    if !source.within(call.body, undoes) || source.within(call.body, reads) {
        return None;
    }
    let aligned = call.host.as_ref().and_then(|host| host.aligned.as_ref());
    if function.name == "run"
        && let Some(value) = aligned.and_then(|a| a.option("back_out"))
    {
        let text = "a step of a back-out can't have a back-out of its own";
        let place = notes.place(value.start_position());
        return Some(Diagnostic::new(Code::ActsInBackOut, place, text));
    }
    if may_undo(function) {
        return None;
    }
    let text = format!("`{}` may not be called in a back-out", call.name);
    Some(Diagnostic::new(Code::ActsInBackOut, notes.place(call.pos), text).with_hint(UNDOES))
}

const UNDOES: &str = "a back-out may read, run steps, sleep and say something";

/// A function of the plan or a module that does, whenever it is called, what may not be done there.
fn through_function(
    source: &Source<'_>,
    call: &Call<'_>,
    known: &Known<'_>,
    notes: &Notes,
) -> Option<Diagnostic> {
    let mut role = None;
    source.within(call.body, |body| {
        if matches!(body.role, Role::Reads(_) | Role::Undoes) {
            role = Some(body.role);
        }
        role.is_some()
    });
    let role = role?;
    let reached = match role {
        Role::Undoes => certainly(source, call, known, &|function| !may_undo(function))?,
        _ => certainly(source, call, known, &|function| !only_looks(function))?,
    };
    let path = call.path.iter().map(|ident| format!("{}::", ident.name));
    let name = format!("{}{}", path.collect::<String>(), call.name);
    let start = call.path.first().map_or(call.pos, |ident| ident.pos);
    Some(misplaced(role, &name, &reached, notes.place(start)))
}

/// The same for a function that is handed over by its name.
fn by_name(
    source: &Source<'_>,
    call: &Call<'_>,
    known: &Known<'_>,
    notes: &Notes,
) -> Option<Diagnostic> {
    let host = call.host.as_ref()?;
    let aligned = host.aligned.as_ref()?;
    aligned.all().find_map(|(param, value)| {
        let role = match (param.kind, host.function.name) {
            (Kind::BackOut, _) => Role::Undoes,
            (Kind::Closure | Kind::Condition, "check" | "watch" | "verify") => {
                Role::Reads(host.function.name)
            }
            _ => return None,
        };
        let reached = match role {
            Role::Undoes => certainly_by_name(source, value, known, &|f| !may_undo(f))?,
            _ => certainly_by_name(source, value, known, &|f| !only_looks(f))?,
        };
        let name = match value {
            Expr::Variable(parts, ..) => parts.1.as_str(),
            _ => "",
        };
        let place = notes.place(value.start_position());
        Some(misplaced(role, name, &reached, place))
    })
}

fn misplaced(role: Role, name: &str, reached: &Reached<'_>, place: Place) -> Diagnostic {
    let host = reached.host;
    let found = match role {
        Role::Reads(reader) => {
            let text = format!(
                "`{name}` may not be called in the closure of a `{reader}`, which only reads: it calls `{host}`"
            );
            Diagnostic::new(Code::ActsInCheck, place, text)
        }
        _ => {
            let text = format!("`{name}` may not be called in a back-out: it calls `{host}`");
            Diagnostic::new(Code::ActsInBackOut, place, text).with_hint(UNDOES)
        }
    };
    if reached.place.file.starts_with("std/") {
        return found;
    }
    found.with_note("it does so here", reached.place.clone())
}
