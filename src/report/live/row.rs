//! A row of the live area: pieces of text in tones, never wider than it may be.

use unicode_width::UnicodeWidthChar as _;

use crate::report::Style;
use crate::report::line::{Tone, on_one_line};

/// What stands where something was cut off.
const CUT: char = '…';

/// One row, without its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(Vec<(Tone, String)>);

impl Row {
    /// An empty row.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The row with a text behind it. No text drives the terminal or has a width of its own choice.
    #[must_use]
    pub fn with(mut self, tone: Tone, text: &str) -> Self {
        let text = on_one_line(text).replace('\t', " ");
        if !text.is_empty() {
            self.0.push((tone, text));
        }
        self
    }

    /// The row with all pieces of another behind it.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// How many columns it takes at most, on whatever terminal.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| width(text)).sum()
    }

    /// The row in at most `columns`; where it is cut, a sign says so.
    #[must_use]
    pub fn cut(self, columns: usize) -> Self {
        if self.width() <= columns {
            return self;
        }
        let sign = of_char(CUT);
        let Some(mut left) = columns.checked_sub(sign) else {
            return Self::new();
        };
        let mut kept = Vec::new();
        'pieces: for (tone, text) in self.0 {
            let mut part = String::new();
            for c in text.chars() {
                let Some(rest) = left.checked_sub(of_char(c)) else {
                    part.push(CUT);
                    kept.push((tone, part));
                    break 'pieces;
                };
                left = rest;
                part.push(c);
            }
            kept.push((tone, part));
        }
        Self(kept)
    }

    /// The row, and `right` at the right edge of so many columns; if both do not fit, this one is
    /// cut.
    #[must_use]
    pub fn against(self, right: Self, columns: usize) -> Self {
        let right = right.cut(columns);
        let taken = right.width();
        if taken == 0 {
            return self.cut(columns);
        }
        let this = self.cut(columns.saturating_sub(taken + 1));
        let gap = columns.saturating_sub(taken + this.width());
        this.with(Tone::Plain, &" ".repeat(gap)).and(right)
    }

    /// The row without colours and without blanks at its end.
    #[must_use]
    pub fn plain(&self) -> String {
        self.painted(Style::default())
    }

    /// The row in a style.
    #[must_use]
    pub fn painted(&self, style: Style) -> String {
        let mut out = String::new();
        for (tone, text) in &self.0 {
            out.push_str(&style.paint(*tone, text));
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// How many columns a text takes at most. Terminals do not agree: some draw `→` in two columns, and
/// some do not join what should be one emoji.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(of_char).sum()
}

fn of_char(c: char) -> usize {
    c.width_cjk().unwrap_or(0).max(c.width().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Row {
        Row::new().with(Tone::Plain, text)
    }

    #[test]
    fn a_row_is_cut_where_its_columns_end() {
        let row = row("ab").with(Tone::Good, "cdef");
        assert_eq!(row.clone().cut(6).plain(), "abcdef");
        assert_eq!(row.clone().cut(5).plain(), "abc…");
        assert_eq!(row.clone().cut(2).plain(), "…");
        assert_eq!(row.cut(1).plain(), "");
        assert_eq!(super::tests::row("日本語").cut(5).plain(), "日…");
    }

    #[test]
    fn what_stands_right_is_kept() {
        let right = row("1s of 5m");
        assert_eq!(
            row("left").against(right.clone(), 14).plain(),
            "left  1s of 5m"
        );
        assert_eq!(
            row("much left").against(right.clone(), 14).plain(),
            "muc… 1s of 5m"
        );
        assert_eq!(row("left").against(right, 4).plain(), "1s…");
    }

    #[test]
    fn nothing_drives_the_terminal() {
        assert_eq!(row("a\x1b[2J\tb\nc").plain(), "a\\x1b[2J b\\nc");
    }
}
