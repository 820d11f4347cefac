//! One line for people, before it is coloured.

use crate::target::step_supervisor::visible;

use super::Style;

/// What a line, or its mark, means to the eye.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Neither good nor bad.
    #[default]
    Plain,
    /// Beside the point.
    Dim,
    /// The begin of a part.
    Heading,
    /// As it should be.
    Good,
    /// Worth a thought.
    Warn,
    /// Not as it should be.
    Bad,
}

/// When a line is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Only with `-v`.
    Detail,
    /// Unless `-q`.
    #[default]
    Normal,
    /// Also with `-q`.
    Always,
}

/// A line: when, a mark of a few letters, a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// When it is shown.
    pub weight: Weight,
    /// How it looks.
    pub tone: Tone,
    /// The time of day, `22:00:00`; empty on lines that go on.
    pub time: String,
    /// Does it stand in the column of lines that have a time?
    pub in_column: bool,
    /// How deep it is nested.
    pub depth: usize,
    /// What it is about: `step`, `ok`, `FAILED`, ….
    pub mark: &'static str,
    /// What it says; one line.
    pub text: String,
}

/// Columns that the time takes, with the gap behind it.
const TIME_WIDTH: usize = 10;
/// Columns that a mark takes, with the gap behind it.
const MARK_WIDTH: usize = 8;

impl Line {
    /// A line at the margin.
    #[must_use]
    pub fn margin(tone: Tone, text: impl AsRef<str>) -> Self {
        Self {
            tone,
            text: on_one_line(text.as_ref()),
            ..Self::default()
        }
    }

    /// An empty line.
    #[must_use]
    pub fn blank() -> Self {
        Self::default()
    }

    /// The same with another weight.
    #[must_use]
    pub fn weighing(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// The line without colours and without blanks at its end.
    #[must_use]
    pub fn plain(&self) -> String {
        self.painted(Style::default())
    }

    /// The line in a style.
    #[must_use]
    pub fn painted(&self, style: Style) -> String {
        let mut out = String::new();
        if self.in_column {
            out.push_str(&style.paint(Tone::Dim, &self.time));
            let gap = TIME_WIDTH.saturating_sub(self.time.len()) + 2 * self.depth;
            out.push_str(&" ".repeat(gap));
        }
        if self.mark.is_empty() {
            out.push_str(&style.paint(self.tone, &self.text));
        } else {
            out.push_str(&style.paint(self.tone, self.mark));
            let gap = MARK_WIDTH.saturating_sub(self.mark.len()).max(1);
            out.push_str(&" ".repeat(gap));
            out.push_str(&self.text);
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// A text as a single line that no terminal obeys.
#[must_use]
pub fn on_one_line(text: &str) -> String {
    visible(text)
        .replace('\n', "\\n")
        .trim_end_matches("\\n")
        .to_owned()
}

/// The first line of a text, and a sign that there is more.
#[must_use]
pub fn first_line(text: &str) -> String {
    let text = text.trim();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim_end();
    let (shown, cut) = match first.char_indices().nth(LONGEST_TITLE) {
        Some((at, _)) => (first.get(..at).unwrap_or(first), true),
        None => (first, false),
    };
    let more = if cut || lines.next().is_some() {
        " …"
    } else {
        ""
    };
    format!("{}{more}", visible(shown))
}

/// Characters of a title that are shown.
const LONGEST_TITLE: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_in_its_columns() {
        let line = Line {
            in_column: true,
            time: "22:00:00".into(),
            depth: 1,
            mark: "ok",
            text: "done".into(),
            ..Line::default()
        };
        assert_eq!(line.plain(), "22:00:00    ok      done");
        let follows = Line {
            in_column: true,
            text: "| x".into(),
            ..Line::default()
        };
        assert_eq!(follows.plain(), "          | x");
        assert_eq!(Line::blank().plain(), "");
    }

    #[test]
    fn no_text_drives_the_terminal() {
        let line = Line::margin(Tone::Plain, "a\x1b[2Jb\nc\r\n");
        assert_eq!(line.plain(), "a\\x1b[2Jb\\nc\\x0d");
        assert_eq!(first_line("set -e\nrm x"), "set -e …");
        assert_eq!(first_line("\n one "), "one");
    }
}
