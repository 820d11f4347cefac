//! Calls that may not be made where they stand, whatever happens.

use crate::script::functions::{Function, When};
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;

use super::Notes;
use super::outline::{Call, Role, Source};

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

pub(super) fn check(source: &Source<'_>, notes: &mut Notes) {
    for call in &source.calls {
        let Some(host) = &call.host else { continue };
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
    let own = matches!(function.handler, crate::script::functions::Handler::Own(_));
    if only_looks(function) || own || IN_BACK_OUT.contains(&function.name) {
        return None;
    }
    let text = format!("`{}` may not be called in a back-out", call.name);
    let hint = "a back-out may read, run steps, sleep and say something";
    Some(Diagnostic::new(Code::ActsInBackOut, notes.place(call.pos), text).with_hint(hint))
}
