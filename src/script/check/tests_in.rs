//! Test files: what looks like a test and is none.

use crate::words::diagnostic::Diagnostic;

use super::Notes;
use super::outline::Source;

pub(super) fn check(source: &Source<'_>, notes: &mut Notes) {
    for def in &source.functions {
        if !def.name.starts_with("test_") {
            continue;
        }
        let place = notes.place(super::names::position_of_name(source.text, def));
        if def.private {
            let text = format!("`{}` is private: it is not run as a test", def.name);
            let hint = "take `private` away, or give it a name that does not begin with test_";
            notes.push(Diagnostic::warning("no-test", place, text).with_hint(hint));
        } else if !def.params.is_empty() {
            let text = format!("`{}` takes parameters: it is not run as a test", def.name);
            let hint = "a test takes none; give a function that tests call another name";
            notes.push(Diagnostic::error("no-test", place, text).with_hint(hint));
        }
    }
}
