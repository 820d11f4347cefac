//! The control sequences of the live area.
//!
//! The cursor stays on the row above the area, at the end of the lines. So nothing has to be counted
//! to come back to where the area begins, whatever a resized terminal has made of its rows, and what
//! is typed, or written by others, stands above the area and not in it. Nothing is set that a killed
//! process would leave set: no raw mode, no hidden cursor, no other screen.

use crossterm::Command;
use crossterm::cursor::{MoveUp, RestorePosition, SavePosition};
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};

/// One row down, scrolling at the last one, in the same column.
const DOWN: char = '\x0b';

/// Erases the area and the row above it, where the cursor then stands in the first column.
pub(super) fn erase(out: &mut String) {
    out.push('\r');
    put(out, Clear(ClearType::FromCursorDown));
}

/// Draws the rows below the cursor, which stays where it is. What stands behind it is erased.
pub(super) fn draw(out: &mut String, rows: &[String]) {
    put(out, Clear(ClearType::UntilNewLine));
    // First there must be room: a screen that scrolls later moves away from where the cursor was
    // saved.
    let count = u16::try_from(rows.len()).unwrap_or(u16::MAX);
    out.extend(std::iter::repeat_n(DOWN, count.into()));
    put(out, MoveUp(count));
    put(out, SavePosition);
    for row in rows {
        out.push_str("\r\n");
        put(out, Clear(ClearType::UntilNewLine));
        out.push_str(row);
    }
    put(out, Clear(ClearType::FromCursorDown));
    put(out, RestorePosition);
}

/// What is to be shown at once, for terminals that know how.
pub(super) fn at_once(out: &str) -> String {
    let mut all = String::new();
    put(&mut all, BeginSynchronizedUpdate);
    all.push_str(out);
    put(&mut all, EndSynchronizedUpdate);
    all
}

fn put(out: &mut String, command: impl Command) {
    // Writing into a string cannot fail.
    let _ = command.write_ansi(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_comes_back_to_where_it_was() {
        let mut terminal = vt100::Parser::new(5.try_into().unwrap(), 20.try_into().unwrap(), 0);
        terminal.process(b"1\r\n2\r\n3\r\n4\r\nquestion ");
        let mut out = String::new();
        draw(&mut out, &["a".into(), "b".into()]);
        terminal.process(at_once(&out).as_bytes());
        assert_eq!(terminal.screen().contents(), "3\n4\nquestion \na\nb");
        assert_eq!(terminal.screen().cursor_position(), (2, 9));
        out.clear();
        erase(&mut out);
        terminal.process(out.as_bytes());
        assert_eq!(terminal.screen().contents(), "3\n4");
        assert_eq!(terminal.screen().cursor_position(), (2, 0));
    }
}
