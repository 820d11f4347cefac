//! The one place that writes to standard output and standard error. A closed pipe or terminal is
//! no reason to stop anything.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::target::facts::io_words;
use crate::target::terminal::Keeper;

use super::area;

/// What stands on the terminal beside the lines that were written to it.
struct Standing {
    /// The question behind which the cursor stands.
    question: Option<String>,
    /// The rows of the live area, below the cursor.
    area: Vec<String>,
    /// Tidies up after a process that was killed.
    keeper: Option<Keeper>,
}

static STANDING: Mutex<Standing> = Mutex::new(Standing {
    question: None,
    area: Vec::new(),
    keeper: None,
});

/// Is standard output kept for a document? Then people are told everything on standard error.
static KEPT: AtomicBool = AtomicBool::new(false);

/// From here on lines and questions go to standard error, and only documents to standard output.
pub fn keep_for_document() {
    KEPT.store(true, Ordering::Relaxed);
}

/// Why something could not be written to standard output, the first time.
static LOST: OnceLock<String> = OnceLock::new();

/// Why something that was to be read from standard output was lost, if it was: the disk of a file may be full.
/// Who reads no more has lost nothing.
#[must_use]
pub fn lost() -> Option<&'static str> {
    LOST.get().map(String::as_str)
}

fn told(written: std::io::Result<()>) {
    use std::io::ErrorKind::{BrokenPipe, WouldBlock};
    if let Err(error) = written
        && !matches!(error.kind(), BrokenPipe | WouldBlock)
    {
        let _ = LOST.set(io_words(&error));
    }
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
    told(bytes(text.as_bytes()));
}

/// A line on standard output.
pub fn line(text: &str) {
    lines(std::iter::once(text));
}

/// Lines on standard output, written at once. They stand above the live area, if there is one.
pub fn lines<'t>(texts: impl IntoIterator<Item = &'t str>) {
    standing().write(texts, None);
}

/// Lines on standard output, and below them the live area as it is from now on; without rows there
/// is none any more. Nothing is written when nothing changes, unless the area is `disturbed`.
pub fn lines_and_area<'t>(
    texts: impl IntoIterator<Item = &'t str>,
    rows: Vec<String>,
    disturbed: bool,
) {
    let mut standing = standing();
    if disturbed && !rows.is_empty() && rows == standing.area {
        standing.area.push(String::new());
    }
    standing.write(texts, Some(rows));
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
    let mut standing = standing();
    let before = standing.question.replace(question.to_owned());
    let mut text = String::new();
    if !standing.area.is_empty() {
        area::erase(&mut text);
    } else if before.is_some() {
        text.push('\n');
    }
    text.push_str(&format!("{question} "));
    if !standing.area.is_empty() {
        area::draw(&mut text, &standing.area);
        text = area::at_once(&text);
    }
    put(&text);
}

/// The person has typed an answer, and with it a newline.
pub fn answered() {
    standing().question = None;
}

/// Nobody needs an answer to the question any more. Where there is a live area it vanishes.
pub fn withdraw() {
    let mut standing = standing();
    if standing.area.is_empty() || standing.question.take().is_none() {
        return;
    }
    let mut text = String::new();
    area::erase(&mut text);
    area::draw(&mut text, &standing.area);
    put(&area::at_once(&text));
}

/// A line on standard error.
pub fn error_line(text: &str) {
    let standing = standing();
    // It may be the same terminal.
    if !standing.area.is_empty() {
        let mut erased = String::new();
        area::erase(&mut erased);
        put(&erased);
    }
    let _ = writeln!(std::io::stderr().lock(), "{text}");
    if !standing.area.is_empty() {
        let mut again = String::new();
        standing.draw_again(&mut again);
        put(&area::at_once(&again));
    }
}

fn standing() -> MutexGuard<'static, Standing> {
    STANDING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Standing {
    /// Lines, and the area as it was or as it is from now on.
    fn write<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>, rows: Option<Vec<String>>) {
        let mut all = String::new();
        for text in texts {
            all.push_str(text);
            all.push('\n');
        }
        let had_area = !self.area.is_empty();
        let has_area = match &rows {
            Some(rows) => !rows.is_empty(),
            None => had_area,
        };
        if all.is_empty() && rows.as_ref().is_none_or(|rows| *rows == self.area) {
            return;
        }
        if !has_area && !had_area {
            if self.question.take().is_some() {
                all.insert(0, '\n');
            }
            return put(&all);
        }
        let mut text = String::new();
        if had_area && (!all.is_empty() || !has_area) {
            area::erase(&mut text);
        } else if !all.is_empty() && self.question.is_some() {
            text.push('\n');
        }
        text.push_str(&all);
        let only_area = all.is_empty();
        if let Some(rows) = rows {
            self.area = rows;
        }
        if only_area && has_area {
            // The question and what is typed behind it stay where they are.
            area::draw(&mut text, &self.area);
        } else {
            self.draw_again(&mut text);
        }
        if has_area && self.keeper.is_none() {
            self.keeper = Keeper::start();
        }
        put(&area::at_once(&text));
        if !has_area {
            self.keeper = None;
        }
    }

    /// The question and the area, where lines were written.
    fn draw_again(&self, text: &mut String) {
        if let Some(question) = &self.question {
            text.push_str(&format!("{question} "));
        }
        if !self.area.is_empty() {
            area::draw(text, &self.area);
        }
    }
}

fn put(text: &str) {
    let mut out = people();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if !KEPT.load(Ordering::Relaxed) {
        told(written);
    }
}
