//! The examples in comments.

use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::manual::{Comment, Manual};
use crate::words::place::Place;

use super::comments;
use super::parsed::events;

/// An example in a comment of the project.
#[derive(Clone, Debug)]
pub struct Example<'m> {
    /// The module.
    pub module: &'m str,
    /// The name that the comment is about.
    pub of: &'m str,
    /// What it says.
    pub code: String,
    /// Is it a part of a test file?
    pub is_test: bool,
    /// Where each of its lines begins.
    begins: Vec<Place>,
}

impl Example<'_> {
    /// The finding that tells of a fault in the example, at its place in the comment.
    #[must_use]
    pub fn finding(&self, fault: Diagnostic) -> Diagnostic {
        let line = usize::try_from(fault.place.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let begin = self.begins.get(line).or(self.begins.last()).cloned();
        let mut place = begin.unwrap_or_default();
        let right = fault.place.column.saturating_sub(1);
        let length = fault.end_column.saturating_sub(fault.place.column);
        place.column = place.column.saturating_add(right);
        let end = place.column.saturating_add(length);
        let text = format!(
            "the example of `{}` is none that `check` passes: {} [{}]",
            self.of, fault.message, fault.code
        );
        let mut found = Diagnostic::new(Code::BrokenExample, place, text);
        found.hint = fault.hint;
        if length > 0 {
            found.end_column = end;
        }
        found
    }
}

/// What an example's fence says: is it one of the language, and one of a test?
fn kind(info: &str) -> Option<bool> {
    let mut words = info.split([',', ' ']).map(str::trim);
    (words.next() == Some("rhai")).then(|| words.any(|word| word == "test"))
}

/// The examples of the project's own comments.
#[must_use]
pub fn examples(manual: &Manual) -> Vec<Example<'_>> {
    let mut found = Vec::new();
    for part in manual.parts.iter().filter(|part| part.is_own) {
        for (module, of, comment) in comments(part) {
            for (code, is_test, begins) in of_comment(comment) {
                found.push(Example {
                    module: &module.path,
                    of,
                    code,
                    is_test,
                    begins,
                });
            }
        }
    }
    found
}

fn of_comment(comment: &Comment) -> Vec<(String, bool, Vec<Place>)> {
    let mut found = Vec::new();
    let mut open: Option<(String, bool, Vec<Place>)> = None;
    for (event, range) in events(comment.text()) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                open = kind(&info).map(|is_test| (String::new(), is_test, Vec::new()));
            }
            Event::Text(text) => {
                let Some((code, _, begins)) = &mut open else {
                    continue;
                };
                let mut at = range.start;
                for line in text.split_inclusive('\n') {
                    if code.is_empty() || code.ends_with('\n') {
                        begins.push(comment.place(at));
                    }
                    code.push_str(line);
                    at += line.len();
                }
            }
            Event::End(TagEnd::CodeBlock) => found.extend(open.take()),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_examples_know_where_they_stand() {
        let mut comment = Comment::within("a.rhai");
        for (line, text) in (7..).zip([
            "Text.",
            "",
            "* in a list:",
            "  ```rhai,check",
            "  let a = 1;",
            "    b();",
            "  ```",
            "",
            "```rhai,test",
            "c();",
            "```",
            "```sh",
            "ls",
            "```",
        ]) {
            comment.push(text, line, 5);
        }
        let shown: Vec<String> = of_comment(&comment)
            .into_iter()
            .map(|(code, is_test, begins)| {
                let begins: Vec<String> = begins.iter().map(ToString::to_string).collect();
                format!("{code:?} {is_test} {}", begins.join(" "))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "\"let a = 1;\\n  b();\\n\" false a.rhai:11:7 a.rhai:12:7",
                "\"c();\\n\" true a.rhai:16:5",
            ]
        );
    }
}
