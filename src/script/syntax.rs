//! What the parser says, with what to do about it: its own words are made for people who know the
//! language, and plans are written by people who know others.

use rhai::ParseErrorType;

use crate::words::code::Code;
use crate::words::diagnostic::{Diagnostic, line_of};
use crate::words::place::Place;

use super::engine::DISABLED;

/// Words of other languages, and what plans have instead.
const FOREIGN: &[(&[&str], &str)] = &[
    (&["elif", "elseif", "elsif"], "write else if"),
    (&["not"], "write ! for not"),
    (&["and"], "write && for and"),
    (&["or"], "write || for or"),
    (
        &["None", "nil", "null", "undefined", "NULL"],
        "write () for nothing",
    ),
    (&["True", "TRUE"], "write true"),
    (&["False", "FALSE"], "write false"),
    (
        &["def", "function", "func", "sub", "proc"],
        "write fn name(…) { … }",
    ),
    (&["var", "local"], "write let name = …;"),
    (&["foreach"], "write for x in list { … }"),
    (&["then"], "write { … } around what is done"),
    (&["unless"], "write if !(…) { … }"),
    (
        &["raise"],
        "write throw …, or abort(reason) to stop and back out",
    ),
    (
        &["sudo", "systemctl", "service", "bash", "sh", "cp", "mv"],
        "a command of the system is started with run([\"…\", \"…\"])",
    ),
];

/// Parts of what the parser says, and what to do.
const HINTS: &[(&str, &str)] = &[
    (
        "maximum complexity",
        "give parts of it names of their own, with let or fn",
    ),
    (
        "typo of '=='",
        "write == to compare; = sets a variable, in a statement of its own",
    ),
    (
        "Invalid escape sequence",
        "write \\\\ for a backslash; in back-ticks (`…`) a backslash is a backslash",
    ),
    (
        "Invalid character",
        "a text stands between double quotes: \"…\"; single quotes hold one character",
    ),
    ("Open string", "a closing quote is missing"),
    (
        "Expecting '}' to terminate this block",
        "a `}` is missing: each `{` wants one",
    ),
    (
        "Unexpected '}'",
        "there is a `}` too much, or its `{` is missing",
    ),
    (
        "Unexpected 'try'",
        "try is a statement and gives no value: set the variable in its block",
    ),
    (
        "to separate the arguments",
        "a `,` is missing before this, or the closing `)`",
    ),
    (
        "to separate the items of this array",
        "a `,` is missing before this, or the closing `]`",
    ),
    (
        "to separate the parameters",
        "parameters are names alone, with `,` between them; options are handed over as a map",
    ),
    (
        "to follow the property",
        "write name: value, with `,` between the entries",
    ),
    (
        "Function definitions must be at global level",
        "move it out of the block; a closure, such as |x| …, may stand here",
    ),
    ("already exists", "give one of the two another name"),
    ("Duplicated property", "a map holds one value by each name"),
    (
        "Cannot assign to constant",
        "declare it with let if it is to change",
    ),
    (
        "should only be used inside a loop",
        "break and continue stand in loops; return ends a function",
    ),
    ("'++'", "write x += 1;"),
    ("'--'", "write x -= 1;"),
    ("'?'", "write if … { … } else { … }; it gives a value"),
    (
        "'$'",
        "write env(\"NAME\"), or `…${name}…` in a text in back-ticks",
    ),
    ("'#'", "a comment begins with //, a map with #{"),
    ("'“'", "write straight quotes: \""),
    ("'”'", "write straight quotes: \""),
    ("'’'", "write straight quotes: \""),
    (
        "'\u{a0}'",
        "this is a no-break space (U+00A0): write a plain one",
    ),
    (
        "is a reserved keyword",
        "the language keeps this word for itself: take another name",
    ),
    (
        "start a statement block",
        "a block stands between { and }, also when it is one statement",
    ),
];

/// What to write instead of a word of another language.
#[must_use]
pub fn foreign(word: &str) -> Option<&'static str> {
    let found = FOREIGN.iter().find(|(words, _)| words.contains(&word));
    found.map(|(_, hint)| *hint)
}

/// An error of the parser as a finding.
#[must_use]
pub fn syntax_error(error: &ParseErrorType, place: Place, source: &str) -> Diagnostic {
    let text = error.to_string();
    let line = line_of(source, place.line).unwrap_or_default();
    let column = usize::try_from(place.column).unwrap_or(0);
    let before: String = line.chars().take(column.saturating_sub(1)).collect();
    let rest: String = line.chars().skip(column.saturating_sub(1)).collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = rest.split(|c| !is_word(c)).next().unwrap_or_default();
    for (closed, hint) in DISABLED {
        if text.contains(&format!("'{closed}'")) || word == *closed {
            let text = format!("`{closed}` is not there in plans");
            return Diagnostic::new(Code::Closed, place, text).with_hint(*hint);
        }
    }
    let found = Diagnostic::new(Code::Syntax, place, text.clone());
    if ["<<<<<<<", "=======", ">>>>>>>"]
        .iter()
        .any(|mark| line.starts_with(mark))
    {
        return found.with_hint("a merge left a conflict in the file: settle it");
    }
    if let Some(hint) = foreign(word) {
        return found.with_hint(hint);
    }
    if text.contains("Expecting ';'") {
        return found.with_hint(missing_semicolon(&before, &rest));
    }
    if text.contains("to separate the arguments") && rest.starts_with('=') {
        return found.with_hint("options are handed over in a map: #{ name: value }");
    }
    match HINTS.iter().find(|(part, _)| text.contains(part)) {
        Some((_, hint)) => found.with_hint(*hint),
        None => match rest.chars().next().filter(|c| !c.is_ascii()) {
            Some(c) => found.with_hint(format!(
                "this is U+{:04X}: names and operators are written in ASCII",
                u32::from(c)
            )),
            None => found,
        },
    }
}

/// The parser misses a `;` wherever something does not belong.
fn missing_semicolon(before: &str, rest: &str) -> &'static str {
    let last = before
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .rfind(|word| !word.is_empty());
    if rest.starts_with("=>") {
        "a closure is written |x| …"
    } else if rest.starts_with(':') && before.trim_start().starts_with("let ") {
        "variables have no types: write let name = value;"
    } else if rest.starts_with(':') {
        "a map begins with #{, and an entry is written name: value"
    } else if let Some(hint) = last.and_then(foreign) {
        hint
    } else {
        "a `;` is missing before this, or this does not belong here"
    }
}
