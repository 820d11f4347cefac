//! What is of no use to the plan, and so is likely meant otherwise.

use crate::words::diagnostic::Diagnostic;

use super::modules::is_seen_through;
use super::outline::Source;
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
            notes.push(Diagnostic::warning("unused-variable", place, text).with_hint(hint));
        }
    }
    for (pos, word) in &source.unreachable {
        let text = format!("this is never reached: `{word}` comes before it");
        notes.push(Diagnostic::warning("unreachable", notes.place(*pos), text));
    }
    for (pos, name) in &source.kept_in_loop {
        let text = format!("every closure that is kept here sees the last value of `{name}`");
        let hint = format!("write let one = {name}; in the loop, and use `one` in the closure");
        let place = notes.place(*pos);
        notes.push(Diagnostic::warning("loop-capture", place, text).with_hint(hint));
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
        let found = Diagnostic::warning("unused-import", notes.place(pos), text);
        notes.push(if alias.is_empty() {
            found.with_hint("write import \"…\" as name; to call its functions as name::f()")
        } else {
            found
        });
    }
}
