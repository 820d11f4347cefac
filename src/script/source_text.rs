//! What may not stand in a source at all: characters that a reviewer does not see, and more lines or
//! columns than the language counts.

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::hidden::hidden;
use crate::words::place::Place;

/// Lines of a source, and characters of a line: Rhai counts no further.
const COUNTED_MAX: usize = 65_534;
/// Findings that are told of one source.
const TOLD_MAX: usize = 20;

/// Says so if a place of the source is beyond what the language counts.
#[must_use]
pub fn too_long(id: &str, text: &str) -> Option<Diagnostic> {
    let mut count = 0;
    for (index, line) in text.split('\n').enumerate() {
        count = index + 1;
        // Bytes are counted first: they are at least as many.
        if line.len() > COUNTED_MAX && line.chars().count() > COUNTED_MAX {
            let place = Place::new(id, u32::try_from(count).unwrap_or(u32::MAX), 1);
            let text = format!("this line has more than {COUNTED_MAX} characters");
            let hint = "break it; keep long data in a file, and read it with read_file(path)";
            // The line itself is not shown: it is too long for that.
            let found = Diagnostic::new(Code::TooLong, place, text).with_hint(hint);
            return Some(Diagnostic {
                line: Some("…".into()),
                ..found
            });
        }
    }
    if count > COUNTED_MAX {
        let text = format!("the source has {count} lines; at most {COUNTED_MAX} can be counted");
        let hint = "split it into modules; keep data in files, and read them with read_file(path)";
        return Some(Diagnostic::new(Code::TooLong, Place::new(id, 0, 0), text).with_hint(hint));
    }
    None
}

/// The characters that a reviewer does not see, or sees elsewhere than they stand.
#[must_use]
pub fn hidden_characters(id: &str, text: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        // A line may end with a carriage return and a line feed.
        let line = line.strip_suffix('\r').unwrap_or(line);
        for (at, c) in line.chars().enumerate() {
            let Some(what) = hidden(c) else { continue };
            let number = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
            let place = Place::new(id, number(index), number(at));
            let message = format!("{what} (U+{:04X}) stands here", u32::from(c));
            let hint = match c {
                '\r' => "some editors show a new line there, the language sees none: take it away"
                    .to_owned(),
                c => format!(
                    "take it away; if a text must hold it, write {} between double quotes",
                    escape(c)
                ),
            };
            found.push(Diagnostic::new(Code::HiddenCharacter, place, message).with_hint(hint));
            if found.len() >= TOLD_MAX {
                return found;
            }
        }
    }
    found
}

/// How the language writes a character by its number.
fn escape(c: char) -> String {
    match u32::from(c) {
        n @ 0..=0xff => format!("\\x{n:02x}"),
        n @ 0x100..=0xffff => format!("\\u{n:04x}"),
        n => format!("\\U{n:08x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<String> {
        let found = hidden_characters("p", text);
        found.iter().map(|d| d.place.to_string()).collect()
    }

    #[test]
    fn only_the_carriage_return_of_a_line_end_may_stand() {
        assert_eq!(places("a\r\nb\r\n"), Vec::<String>::new());
        assert_eq!(places("// a\rrun(1);\nb\r\r\n"), ["p:1:5", "p:2:2"]);
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        assert!(too_long("p", &"\n".repeat(COUNTED_MAX - 1)).is_none());
        assert!(too_long("p", &"\n".repeat(COUNTED_MAX)).is_some());
        assert!(too_long("p", &"ä".repeat(COUNTED_MAX)).is_none());
        assert!(too_long("p", &"ä".repeat(COUNTED_MAX + 1)).is_some());
    }
}
