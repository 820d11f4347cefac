//! A finding about a plan's text, and how it is shown: where, the line, a caret, a hint.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

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
    pub code: String,
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
    /// The source line, without its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

impl Diagnostic {
    /// An error at `place`.
    #[must_use]
    pub fn error(code: &str, place: Place, message: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            code: code.to_owned(),
            place,
            end_column: 0,
            message: message.into(),
            hint: None,
            line: None,
        }
    }

    /// A warning at `place`.
    #[must_use]
    pub fn warning(code: &str, place: Place, message: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(code, place, message)
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with the line it is about, taken from the whole source.
    #[must_use]
    pub fn in_source(mut self, source: &str) -> Self {
        self.find_line(source);
        self
    }

    /// Takes the line it is about from the whole source, unless it has one.
    pub fn find_line(&mut self, source: &str) {
        if self.line.is_none() {
            self.line = line_of(source, self.place.line);
        }
        if let (0, Some(line), Some(before)) = (
            self.end_column,
            &self.line,
            self.place.column.checked_sub(1),
        ) {
            let before = usize::try_from(before).unwrap_or(usize::MAX);
            let rest: String = line.chars().skip(before).collect();
            let length = u32::try_from(word_length(&rest).max(1)).unwrap_or(u32::MAX);
            self.end_column = self.place.column.saturating_add(length);
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
        let message = visible(&self.message);
        write!(f, "{}[{}]: {message}", self.level.word(), self.code)?;
        write!(
            f,
            "\n{}",
            excerpt(&self.place, self.end_column, self.line.as_deref())
        )?;
        if let Some(hint) = &self.hint {
            write!(f, "\n   = hint: {}", visible(hint))?;
        }
        Ok(())
    }
}

/// Characters of a line that are shown, and how many of them stand before the place.
const SHOWN_MAX: usize = 160;
const SHOWN_BEFORE: usize = 80;

/// The place, and under it the source line with carets up to `end`, the column behind what is
/// meant; 0 for the word that stands there.
#[must_use]
pub fn excerpt(place: &Place, end: u32, line: Option<&str>) -> String {
    let mut text = format!("  --> {}", visible(&place.to_string()));
    let Some(line) = line.filter(|_| place.line > 0) else {
        return text;
    };
    let number = place.line.to_string();
    let gap = " ".repeat(number.len());
    let column = usize::try_from(place.column).unwrap_or(0);
    let (line, column) = around(line, column);
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

/// The part of a long line around a column, and the column in it.
fn around(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    if length <= SHOWN_MAX {
        return (line.to_owned(), column);
    }
    let start = column.saturating_sub(SHOWN_BEFORE).min(length - SHOWN_MAX);
    let (head, tail) = (start > 0, start + SHOWN_MAX < length);
    let part: String = line.chars().skip(start).take(SHOWN_MAX).collect();
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
        Some(c) if c.is_alphanumeric() || c == '_' => text
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .count(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_whole_word() {
        let place = Place::new("plan.rhai", 2, 3);
        let found = Diagnostic::error("unknown-function", place, "no such function")
            .with_hint("run")
            .in_source("first\n\trun(1);\n");
        let shown = "error[unknown-function]: no such function\n  --> plan.rhai:2:3\n   |\n 2 |     run(1);\n   |      ^^\n   = hint: run";
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
    }

    #[test]
    fn a_caret_covers_a_text_with_its_quotes() {
        assert_eq!(word_length(r#""a \" b" + c"#), 8);
        assert_eq!(word_length("+ c"), 1);
        assert_eq!(word_length(""), 1);
    }
}
