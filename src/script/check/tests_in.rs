//! Test files: what looks like a test and is none.

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;

use super::Notes;
use super::outline::Source;

pub(super) fn check(source: &Source<'_>, notes: &mut Notes) {
    for def in &source.functions {
        let why = match (def.private, def.params.is_empty()) {
            _ if !def.name.starts_with("test_") => continue,
            (true, _) => "is private",
            (false, false) => "takes parameters",
            (false, true) => continue,
        };
        let place = notes.place(super::names::position_of_name(source.text, def));
        let text = format!("`{}` {why}: it can't be run as a test", def.name);
        let hint = "a test is not private and takes no parameters; give a function that tests call \
                    another name";
        notes.push(Diagnostic::new(Code::NoTest, place, text).with_hint(hint));
    }
}
