//! Findings about a plan's text, for people.

use crate::words::diagnostic::{Diagnostic, Level};

use super::Style;
use super::line::Tone;

/// A finding with its place, in a style.
#[must_use]
pub fn show(found: &Diagnostic, style: Style) -> String {
    let text = found.in_columns(style.columns).to_string();
    let mut tone = match found.level {
        Level::Error => Tone::Bad,
        Level::Warning => Tone::Warn,
    };
    let mut out = String::new();
    for (n, line) in text.lines().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        let shown = match line.split_once(": ") {
            Some((level, message)) if n == 0 => {
                let message = style.paint(Tone::Heading, message);
                format!("{}: {message}", style.paint(tone, level))
            }
            Some(("note", message)) => {
                tone = Tone::Heading;
                format!("{}: {message}", style.paint(Tone::Heading, "note"))
            }
            _ if is_caret(line) => style.paint(tone, line),
            _ => line.to_owned(),
        };
        out.push_str(&shown);
    }
    out
}

fn is_caret(line: &str) -> bool {
    let line = line.trim_start();
    line.strip_prefix('|').is_some_and(|rest| {
        let rest = rest.trim();
        !rest.is_empty() && rest.bytes().all(|b| b == b'^')
    })
}

/// Where more is said about these findings; `None` when there are none.
#[must_use]
pub fn more(found: &[Diagnostic], style: Style) -> Option<String> {
    let mut codes: Vec<&str> = found.iter().map(|problem| problem.code.name()).collect();
    codes.sort_unstable();
    codes.dedup();
    let text = match codes.as_slice() {
        [] => return None,
        [code] => format!("For more about it: deployrun explain {code}"),
        [code, ..] => format!("For more about a finding: deployrun explain CODE, such as {code}"),
    };
    Some(style.paint(Tone::Dim, &text))
}

/// `2 errors, 1 warning`; `no findings`.
#[must_use]
pub fn count(found: &[Diagnostic]) -> String {
    let count = |level: Level, word: &str| match found.iter().filter(|d| d.level == level).count() {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let parts: Vec<String> = [
        count(Level::Error, "error"),
        count(Level::Warning, "warning"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        "no findings".to_owned()
    } else {
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::code::Code;
    use crate::words::place::Place;

    #[test]
    fn findings_are_counted_by_level() {
        let error = Diagnostic::new(Code::Syntax, Place::default(), "x");
        let warning = Diagnostic::new(Code::NoTimeout, Place::default(), "y");
        assert_eq!(count(&[]), "no findings");
        assert_eq!(count(std::slice::from_ref(&warning)), "1 warning");
        assert_eq!(
            count(&[error.clone(), warning, error]),
            "2 errors, 1 warning"
        );
    }

    #[test]
    fn colours_change_no_letter() {
        let mut found = Diagnostic::new(
            Code::UnknownFunction,
            Place::new("p.rhai", 1, 1),
            "no: such",
        )
        .with_hint("run");
        found.find_lines(|_| Some("rnu(1);"));
        assert_eq!(show(&found, Style::default()), found.to_string());
        let painted = show(
            &found,
            Style {
                color: true,
                columns: None,
            },
        );
        let codes = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
        assert_eq!(codes.replace_all(&painted, ""), found.to_string());
        assert!(painted.starts_with("\x1b[1;31merror[unknown-function]\x1b[0m: "));
    }
}
