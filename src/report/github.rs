//! Findings as annotations of GitHub Actions: commands in the log that GitHub shows at the lines of a
//! pull request.

use std::path::Path;

use crate::words::diagnostic::{Diagnostic, Level};
use crate::words::hidden::visible;

use super::sarif::below;

/// A finding as a workflow command. Paths in findings count from `base`, an absolute directory; GitHub
/// wants them to count from `workspace`.
#[must_use]
pub fn annotation(found: &Diagnostic, base: &Path, workspace: Option<&Path>) -> String {
    let command = match found.level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let place = &found.place;
    let named = |file: &str| {
        let (Ok(named) | Err(named)) = match workspace {
            Some(workspace) => below(&base.join(file).to_string_lossy(), workspace),
            None => below(file, base),
        };
        named
    };
    let file = named(&place.file);
    let mut properties = vec![format!("file={}", property(&file))];
    for (name, number) in [
        ("line", place.line),
        ("endLine", place.line),
        ("col", place.column),
        ("endColumn", found.end_column),
    ] {
        if number > 0 {
            properties.push(format!("{name}={number}"));
        }
    }
    properties.push(format!("title={}", property(found.code.name())));
    let mut text = found.message.clone();
    if let Some(hint) = &found.hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    for note in &found.notes {
        text.push_str("\nnote: ");
        let mut note = note.clone();
        if !note.place.file.is_empty() {
            note.place.file = named(&note.place.file);
        }
        text.push_str(&note.to_string());
    }
    format!(
        "::{command} {}::{}",
        properties.join(","),
        data(&visible(&text))
    )
}

/// What follows the second `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The value of a property, of which `:` and `,` would be the end.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::code::Code;
    use crate::words::place::Place;

    #[test]
    fn what_would_end_a_part_of_a_command_is_escaped() {
        let place = Place::new("a,b: 50%.rhai", 3, 7);
        let mut found = Diagnostic::new(Code::NoTimeout, place, "100%: no\n::error::time, out")
            .with_hint("add one")
            .with_note("denied by --deny warnings", Place::default());
        found.end_column = 10;
        found.level = Level::Error;
        assert_eq!(
            annotation(&found, Path::new("/w"), None),
            "::error file=a%2Cb%3A 50%25.rhai,line=3,endLine=3,col=7,endColumn=10,title=no-timeout::\
             100%25: no%0A::error::time, out%0Ahint: add one%0Anote: denied by --deny warnings"
        );
        let found = Diagnostic::new(Code::Unreadable, Place::new("/p.rhai", 0, 0), "no");
        assert_eq!(
            annotation(&found, Path::new("/w"), None),
            "::error file=/p.rhai,title=unreadable::no"
        );
        let found = Diagnostic::new(Code::Unreadable, Place::new("p.rhai", 0, 0), "no");
        assert_eq!(
            annotation(&found, Path::new("/w/deploy"), Some(Path::new("/w"))),
            "::error file=deploy/p.rhai,title=unreadable::no"
        );
    }
}
