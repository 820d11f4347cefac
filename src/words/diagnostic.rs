//! A finding about a plan's text, and how it is shown: where, the line, a caret, a hint, notes.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::code::Code;
use super::hidden::visible;
use super::place::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Worth a thought.
    Warning,
    /// The plan does not run.
    Error,
}

impl Level {
    /// The word for reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A finding about a plan's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// Its name, for tools: `unknown-function`, ….
    pub code: Code,
    /// Where.
    pub place: Place,
    /// The column behind what is meant, in characters from 1; 0 when it is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub end_column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What else belongs to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// The source line, without its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// What else belongs to a finding: another place, or who made it an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What there is to say.
    pub message: String,
    /// Where.
    pub place: Place,
    /// As in [`Diagnostic`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub end_column: u32,
    /// The source line; without it, the place is only named. A note without a file has no place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

impl std::fmt::Display for Note {
    /// In a line: what there is to say, and where.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place.file.as_str() {
            "" => f.write_str(&self.message),
            _ => write!(f, "{}: {}", self.message, self.place),
        }
    }
}

impl Diagnostic {
    /// A finding at `place`, as bad as its code is.
    #[must_use]
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self {
            level: code.level(),
            code,
            place,
            end_column: 0,
            message: message.into(),
            hint: None,
            notes: Vec::new(),
            line: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with another place that belongs to it.
    #[must_use]
    pub fn with_note(mut self, message: impl Into<String>, place: Place) -> Self {
        self.notes.push(Note {
            message: message.into(),
            place,
            end_column: 0,
            line: None,
        });
        self
    }

    /// Takes the lines it is about, and those of its notes, from the sources, where it has none.
    pub fn find_lines<'s>(&mut self, source: impl Fn(&str) -> Option<&'s str>) {
        let notes = self.notes.iter_mut();
        let notes = notes.map(|note| (&note.place, &mut note.end_column, &mut note.line));
        let own = (&self.place, &mut self.end_column, &mut self.line);
        for (place, end_column, line) in std::iter::once(own).chain(notes) {
            if line.is_none() {
                *line = source(&place.file).and_then(|text| line_of(text, place.line));
            }
            if let (0, Some(line), Some(before)) = (*end_column, line, place.column.checked_sub(1))
            {
                let before = usize::try_from(before).unwrap_or(usize::MAX);
                let rest: String = line.chars().skip(before).collect();
                let length = u32::try_from(word_length(&rest).max(1)).unwrap_or(u32::MAX);
                *end_column = place.column.saturating_add(length);
            }
        }
    }

    /// Calls every file that it names by another name.
    pub fn rename_files(&mut self, rename: impl Fn(&str) -> String) {
        let notes = self.notes.iter_mut().map(|note| &mut note.place);
        for place in std::iter::once(&mut self.place).chain(notes) {
            place.file = rename(&place.file);
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Line `number` of `source`, counted from 1.
#[must_use]
pub fn line_of(source: &str, number: u32) -> Option<String> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    source
        .lines()
        .nth(index)
        .map(|line| line.trim_end_matches([' ', '\t', '\r']).to_owned())
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.in_columns(None).fmt(f)
    }
}

impl Diagnostic {
    /// As it is shown where there are so many columns: source lines are cut to them, so that carets
    /// stand below what they mean.
    pub fn in_columns(&self, columns: Option<usize>) -> impl std::fmt::Display {
        std::fmt::from_fn(move |f| {
            let message = visible(&self.message);
            write!(f, "{}[{}]: {message}", self.level.word(), self.code)?;
            let line = self.line.as_deref();
            let shown = excerpt_in(&self.place, self.end_column, line, columns);
            write!(f, "\n{shown}")?;
            if let Some(hint) = &self.hint {
                write!(f, "\n   = hint: {}", visible(hint))?;
            }
            let (shown, named): (Vec<&Note>, Vec<&Note>) =
                self.notes.iter().partition(|note| note.line.is_some());
            for note in named {
                write!(f, "\n   = note: {}", visible(&note.to_string()))?;
            }
            for note in shown {
                let line = note.line.as_deref();
                let shown = excerpt_in(&note.place, note.end_column, line, columns);
                write!(f, "\nnote: {}\n{shown}", visible(&note.message))?;
            }
            Ok(())
        })
    }
}

/// Characters of a line that are shown at most, and at least however few columns there are.
const SHOWN_MAX: usize = 160;
const SHOWN_MIN: usize = 16;

/// The place, and under it the source line with carets up to `end`, the column behind what is
/// meant; 0 for the word that stands there.
#[must_use]
pub fn excerpt(place: &Place, end: u32, line: Option<&str>) -> String {
    excerpt_in(place, end, line, None)
}

fn excerpt_in(place: &Place, end: u32, line: Option<&str>, columns: Option<usize>) -> String {
    let mut text = format!("  --> {}", visible(&place.to_string()));
    let Some(line) = line.filter(|_| place.line > 0) else {
        return text;
    };
    let number = place.line.to_string();
    let gap = " ".repeat(number.len());
    let column = usize::try_from(place.column).unwrap_or(0);
    // Beside the number, the bar and two dots that say that the line was cut.
    let fits = columns.map_or(SHOWN_MAX, |columns| {
        columns.saturating_sub(number.len() + 6)
    });
    let (line, column) = around(line, column, fits.clamp(SHOWN_MIN, SHOWN_MAX));
    let _ = write!(text, "\n {gap} |\n {number} | {}", shown(&line));
    if let Some(before) = column.checked_sub(1) {
        let head: String = line.chars().take(before).collect();
        let rest: String = line.chars().skip(before).collect();
        let meant = match end.checked_sub(place.column) {
            Some(length) if length > 0 => usize::try_from(length).unwrap_or(usize::MAX),
            _ => word_length(&rest).max(1),
        };
        let word: String = rest.chars().take(meant).collect();
        let length = |text: &str| shown(text).chars().count();
        let (pad, carets) = (" ".repeat(length(&head)), "^".repeat(length(&word).max(1)));
        let _ = write!(text, "\n {gap} | {pad}{carets}");
    }
    text
}

/// The part of a long line around a column, of at most `most` characters, and the column in it.
fn around(line: &str, column: usize, most: usize) -> (String, usize) {
    let length = line.chars().count();
    if length <= most {
        return (line.to_owned(), column);
    }
    let start = column.saturating_sub(most / 2).min(length - most);
    let (head, tail) = (start > 0, start + most < length);
    let part: String = line.chars().skip(start).take(most).collect();
    let dots = |cut: bool| if cut { "…" } else { "" };
    let at = if column == 0 {
        0
    } else {
        column - start + usize::from(head)
    };
    (format!("{}{part}{}", dots(head), dots(tail)), at)
}

/// A part of a source line as it is shown: nothing in it is hidden, and a tab is four wide.
fn shown(line: &str) -> String {
    visible(line).replace('\t', "    ")
}

/// How many characters the token at the begin of `text` has.
fn word_length(text: &str) -> usize {
    let mut chars = text.chars();
    match chars.next() {
        Some(quote @ ('"' | '`')) => {
            let mut escaped = false;
            for (n, c) in chars.enumerate() {
                match c {
                    '\\' if !escaped => escaped = true,
                    c if c == quote && !escaped => return n + 2,
                    _ => escaped = false,
                }
            }
            text.chars().count()
        }
        Some(c) if is_of_name(c) => {
            let length = text.chars().take_while(|c| is_of_name(*c)).count();
            // `module::function` is one word.
            let rest: String = text.chars().skip(length).collect();
            match rest.strip_prefix("::") {
                Some(rest) if rest.starts_with(is_of_name) => length + 2 + word_length(rest),
                _ => length,
            }
        }
        _ => 1,
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_whole_word() {
        let place = Place::new("plan.rhai", 2, 3);
        let mut found = Diagnostic::new(Code::UnknownFunction, place, "no such function")
            .with_hint("run")
            .with_note("it is like the first", Place::new("plan.rhai", 1, 1))
            .with_note("denied here", Place::new("deployrun.toml", 3, 0));
        found.find_lines(|file| (file == "plan.rhai").then_some("first\n\trun(1);\n"));
        let shown = "error[unknown-function]: no such function\n  --> plan.rhai:2:3\n   |\n 2 |     run(1);\n   |      ^^\n   = hint: run\n   = note: denied here: deployrun.toml:3\nnote: it is like the first\n  --> plan.rhai:1:1\n   |\n 1 | first\n   | ^^^^^";
        assert_eq!(found.to_string(), shown);
    }

    #[test]
    fn what_nobody_sees_is_written_out_and_long_lines_are_cut() {
        let line = format!("a\u{202e}b{}", "c".repeat(200));
        let shown = excerpt(&Place::new("p", 1, 3), 0, Some(&line));
        let expected = format!(
            "  --> p:1:3\n   |\n 1 | a\\u{{202e}}b{}…\n   |          ^",
            "c".repeat(157)
        );
        assert!(shown.starts_with(&expected), "{shown}");
        let end = excerpt(&Place::new("p", 1, 203), 0, Some(&line));
        let expected = format!(
            "  --> p:1:203\n   |\n 1 | …{}\n   | {}^",
            "c".repeat(160),
            " ".repeat(160)
        );
        assert_eq!(end, expected);
        // At the width of a terminal the carets stand below what they mean.
        let narrow = |columns| excerpt_in(&Place::new("p", 1, 203), 0, Some(&line), Some(columns));
        let expected = format!(
            "  --> p:1:203\n   |\n 1 | …{}\n   | {}^",
            "c".repeat(33),
            " ".repeat(33)
        );
        assert_eq!(narrow(40), expected);
        assert!(narrow(0).ends_with(&format!("…{}\n   | {}^", "c".repeat(16), " ".repeat(16))));
    }

    #[test]
    fn a_caret_covers_a_text_with_its_quotes() {
        assert_eq!(word_length(r#""a \" b" + c"#), 8);
        assert_eq!(word_length("web::reload(1)"), 11);
        assert_eq!(word_length("web::{"), 3);
        assert_eq!(word_length("+ c"), 1);
        assert_eq!(word_length(""), 1);
    }
}
