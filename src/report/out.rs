//! The one place that writes to standard output and standard error. A closed pipe or terminal is
//! no reason to stop anything.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Is standard output kept for a document? Then people are told everything on standard error.
static KEPT: AtomicBool = AtomicBool::new(false);
/// Does a question stand at the end of standard output, without a newline?
static ASKING: AtomicBool = AtomicBool::new(false);

/// From here on lines and questions go to standard error, and only documents to standard output.
pub fn keep_for_document() {
    KEPT.store(true, Ordering::Relaxed);
}

/// Where people are told.
fn people() -> Box<dyn Write> {
    if KEPT.load(Ordering::Relaxed) {
        Box::new(std::io::stderr().lock())
    } else {
        Box::new(std::io::stdout().lock())
    }
}

/// A document, on standard output.
pub fn document(text: &str) {
    let _ = bytes(text.as_bytes());
}

/// A line on standard output.
pub fn line(text: &str) {
    lines(std::iter::once(text));
}

/// Lines on standard output, written at once.
pub fn lines<'t>(texts: impl IntoIterator<Item = &'t str>) {
    let mut all = String::new();
    for text in texts {
        all.push_str(text);
        all.push('\n');
    }
    if all.is_empty() {
        return;
    }
    let mut out = people();
    if ASKING.swap(false, Ordering::Relaxed) {
        let _ = out.write_all(b"\n");
    }
    let _ = out.write_all(all.as_bytes());
    let _ = out.flush();
}

/// Bytes on standard output as they are. The error tells that nobody reads any more.
///
/// # Errors
/// When they could not be written.
pub fn bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// A question on standard output; the answer is typed behind it.
pub fn ask(question: &str) {
    let mut out = people();
    if ASKING.swap(true, Ordering::Relaxed) {
        let _ = out.write_all(b"\n");
    }
    let _ = write!(out, "{question} ");
    let _ = out.flush();
}

/// The person has typed an answer, and with it a newline.
pub fn answered() {
    ASKING.store(false, Ordering::Relaxed);
}

/// A line on standard error.
pub fn error_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
