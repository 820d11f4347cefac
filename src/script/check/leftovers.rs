//! What is of no use to the plan, and so is likely meant otherwise.

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;

use super::modules::is_seen_through;
use super::outline::{Source, Unreachable};
use super::{Known, Notes};

pub(super) fn check(source: &Source<'_>, known: &Known<'_>, notes: &mut Notes) {
    imports(source, known, notes);
    for variable in &source.variables {
        let name = variable.name;
        let wanted = variable.declared && !variable.read && !variable.exported;
        if wanted && !name.starts_with('_') {
            let text = format!("`{name}` is never read");
            let place = notes.place(variable.pos);
            let hint = format!("take it away, or call it `_{name}`");
            notes.push(Diagnostic::new(Code::UnusedVariable, place, text).with_hint(hint));
        }
    }
    for Unreachable { pos, word, ended } in &source.unreachable {
        let text = format!("this is never reached: `{word}` comes before it");
        let found = Diagnostic::new(Code::Unreachable, notes.place(*pos), text)
            .with_note("the block ends here", notes.place(*ended));
        notes.push(found);
    }
    for (pos, name, declared) in &source.kept_in_loop {
        let text = format!("every closure that is kept here sees the last value of `{name}`");
        let hint = format!("write let one = {name}; in the loop, and use `one` in the closure");
        let place = notes.place(*pos);
        let found = Diagnostic::new(Code::LoopCapture, place, text)
            .with_hint(hint)
            .with_note(
                "all rounds of the loop share this one",
                notes.place(*declared),
            );
        notes.push(found);
    }
}

fn imports(source: &Source<'_>, known: &Known<'_>, notes: &mut Notes) {
    for import in &source.imports {
        let alias = import.alias;
        let first = |path: &[rhai::Ident]| path.first().is_some_and(|ident| ident.name == alias);
        let used = source.calls.iter().any(|call| first(call.path))
            || source.qualified.iter().any(|used| first(used.path))
            || !source.is_main && is_seen_through(source, alias, known);
        if used {
            continue;
        }
        let (pos, text) = match (alias, import.path) {
            ("", path) => (
                import.pos,
                format!("`{}` is imported without a name", path.unwrap_or("…")),
            ),
            _ => (
                import.alias_pos,
                format!("`{alias}` is imported and never used"),
            ),
        };
        let found = Diagnostic::new(Code::UnusedImport, notes.place(pos), text);
        notes.push(if alias.is_empty() {
            found.with_hint("write import \"…\" as name; to call its functions as name::f()")
        } else {
            found
        });
    }
}
