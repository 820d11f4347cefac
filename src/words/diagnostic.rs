//! A finding about a plan's text, and how it is shown: where, the line, a caret, a hint.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

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
        self.line = line_of(source, self.place.line);
        self
    }
}

/// Line `number` of `source`, counted from 1.
#[must_use]
pub fn line_of(source: &str, number: u32) -> Option<String> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    source
        .lines()
        .nth(index)
        .map(|line| line.trim_end().to_owned())
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]: {}", self.level.word(), self.code, self.message)?;
        write!(f, "\n{}", excerpt(&self.place, self.line.as_deref()))?;
        if let Some(hint) = &self.hint {
            write!(f, "\n   = hint: {hint}")?;
        }
        Ok(())
    }
}

/// The place, and under it the source line with a caret under the word that is meant.
#[must_use]
pub fn excerpt(place: &Place, line: Option<&str>) -> String {
    let mut text = format!("  --> {place}");
    let Some(line) = line.filter(|_| place.line > 0) else {
        return text;
    };
    let number = place.line.to_string();
    let gap = " ".repeat(number.len());
    let shown = line.replace('\t', "    ");
    let _ = write!(text, "\n {gap} |\n {number} | {shown}");
    if place.column > 0 {
        let before = usize::try_from(place.column - 1).unwrap_or(0);
        let pad: usize = line
            .chars()
            .take(before)
            .map(|c| if c == '\t' { 4 } else { 1 })
            .sum();
        let rest: String = line.chars().skip(before).collect();
        let carets = "^".repeat(word_length(&rest).max(1));
        let _ = write!(text, "\n {gap} | {}{carets}", " ".repeat(pad));
    }
    text
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
    fn a_caret_covers_a_text_with_its_quotes() {
        assert_eq!(word_length(r#""a \" b" + c"#), 8);
        assert_eq!(word_length("+ c"), 1);
        assert_eq!(word_length(""), 1);
    }
}
