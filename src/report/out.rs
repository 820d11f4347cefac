//! The one place that writes to standard output and standard error. A closed pipe or terminal is
//! no reason to stop anything.

use std::io::Write as _;

/// A line on standard output.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A line on standard error.
pub fn error_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
