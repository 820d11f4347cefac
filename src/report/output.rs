//! The output of a step, read as it grows, cut into lines, in bounded memory.

use std::collections::VecDeque;

use crate::target::local::{OutputPart, StepDir};
use crate::target::step_supervisor::visible;

/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;
/// Bytes of a line that are shown; what lies behind them is counted.
const LONGEST_LINE: usize = 4096;

/// A part of an output, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A line without its end, safe on a terminal.
    Line(String),
    /// So many bytes were left out.
    Gap(u64),
}

/// Cuts bytes into lines. Of a line that was rewritten with `\r` only its last state is kept.
#[derive(Debug, Default)]
pub struct Cutter {
    line: Vec<u8>,
    over: u64,
    /// The rest of a line whose begin was left out is left out too.
    skip_rest: bool,
    /// The last byte was a `\r`: what comes next begins the line anew, unless it is its end.
    returned: bool,
}

impl Cutter {
    /// Takes bytes, and gives the lines that are complete.
    pub fn push(&mut self, bytes: &[u8], lines: &mut VecDeque<Piece>) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(lines);
            } else if byte == b'\r' {
                self.returned = true;
            } else {
                if std::mem::take(&mut self.returned) {
                    self.line.clear();
                    self.over = 0;
                }
                if self.line.len() < LONGEST_LINE {
                    self.line.push(byte);
                } else {
                    self.over += 1;
                }
            }
        }
    }

    /// Gives what there is of a line that has no end.
    pub fn finish(&mut self, lines: &mut VecDeque<Piece>) {
        if !self.line.is_empty() {
            self.end_line(lines);
        }
    }

    /// What there is of a line that has no end yet: a progress bar, a question.
    #[must_use]
    pub fn unfinished(&self) -> Option<String> {
        let text = visible(&String::from_utf8_lossy(&self.line));
        let text = text.trim();
        (!text.is_empty() && !self.skip_rest).then(|| text.to_owned())
    }

    /// Some bytes are left out here.
    pub(super) fn skip(&mut self) {
        self.line.clear();
        self.over = 0;
        self.returned = false;
        self.skip_rest = true;
    }

    fn end_line(&mut self, lines: &mut VecDeque<Piece>) {
        self.returned = false;
        let over = std::mem::take(&mut self.over);
        if !std::mem::take(&mut self.skip_rest) {
            let mut text = visible(&String::from_utf8_lossy(&self.line));
            if over > 0 {
                text.push_str(&format!(" … {over} more bytes"));
            }
            lines.push_back(Piece::Line(text));
        }
        self.line.clear();
    }
}

/// Follows the output of one try of a step.
#[derive(Debug)]
pub struct Follower {
    dir: StepDir,
    offset: u64,
    cutter: Cutter,
    ready: VecDeque<Piece>,
    /// Bytes that were left out since the last piece.
    skipped: u64,
}

impl Follower {
    /// A follower at the begin of an output.
    #[must_use]
    pub fn new(dir: StepDir) -> Self {
        Self {
            dir,
            offset: 0,
            cutter: Cutter::default(),
            ready: VecDeque::new(),
            skipped: 0,
        }
    }

    /// Where it is: so many bytes have been read or left out.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next piece, if there is one now.
    pub fn next_piece(&mut self) -> Option<Piece> {
        while self.ready.is_empty() {
            if !self.fill() {
                break;
            }
        }
        if self.skipped > 0 && !self.ready.is_empty() {
            return Some(Piece::Gap(std::mem::take(&mut self.skipped)));
        }
        self.ready.pop_front()
    }

    /// What is left, the line without an end included; the output is complete. Of much, only the
    /// last lines are given.
    pub fn rest(&mut self, most: usize) -> Vec<Piece> {
        let mut pieces = VecDeque::new();
        let mut dropped = 0;
        self.skip_all_but(u64::try_from(2 * BLOCK).unwrap_or(u64::MAX));
        while let Some(piece) = self.next_piece() {
            pieces.push_back(piece);
            if pieces.len() > most {
                dropped += pieces.pop_front().map_or(0, |piece| size(&piece));
            }
        }
        self.cutter.finish(&mut self.ready);
        if self.skipped > 0 && self.ready.is_empty() {
            pieces.push_back(Piece::Gap(std::mem::take(&mut self.skipped)));
        }
        while let Some(piece) = self.next_piece() {
            pieces.push_back(piece);
        }
        if dropped > 0 {
            pieces.push_front(Piece::Gap(dropped));
        }
        pieces.into()
    }

    /// Leaves out what lies further back than the last `keep` bytes, if that is much.
    pub fn skip_all_but(&mut self, keep: u64) {
        let Ok(len) = self.dir.output_len() else {
            return;
        };
        let from = len.saturating_sub(keep);
        if from > self.offset.saturating_add(keep) {
            self.skipped += self.ready.drain(..).map(|piece| size(&piece)).sum::<u64>();
            self.skipped += from - self.offset;
            self.offset = from;
            self.cutter.skip();
        }
    }

    /// What there is of a line that has no end yet.
    #[must_use]
    pub fn unfinished(&self) -> Option<String> {
        self.cutter.unfinished()
    }

    /// Reads a block; says whether there was one.
    fn fill(&mut self) -> bool {
        let Ok(part) = self.dir.read_output(self.offset, BLOCK) else {
            return false;
        };
        if part.bytes.is_empty() {
            return false;
        }
        if part.offset > self.offset {
            self.skipped += part.offset - self.offset;
            self.cutter.skip();
        }
        self.offset = part.offset + part.bytes.len() as u64;
        self.cutter.push(&part.bytes, &mut self.ready);
        true
    }
}

/// Where the last `lines` lines of an output begin, in bytes. What was not kept ends them, too.
///
/// # Errors
/// When the output cannot be read.
pub fn begin_of_last(dir: &StepDir, lines: usize) -> std::io::Result<u64> {
    let end = dir.output_len()?;
    let mut begin = end;
    let mut left = lines;
    while begin > 0 && left > 0 {
        let from = begin.saturating_sub(BLOCK as u64);
        let block = read_to(dir, from, begin)?;
        let bytes = block.bytes.as_slice();
        // The newline at the very end ends the last line, it does not begin another.
        let ends_it = begin == end && bytes.last() == Some(&b'\n');
        let inner = bytes
            .get(..bytes.len() - usize::from(ends_it))
            .unwrap_or_default();
        for at in memchr::memrchr_iter(b'\n', inner) {
            left -= 1;
            if left == 0 {
                return Ok(block.offset + at as u64 + 1);
            }
        }
        begin = block.offset;
        if block.offset > from {
            break;
        }
    }
    Ok(begin)
}

/// What was kept without a gap just before `end`, back to `from` at most.
fn read_to(dir: &StepDir, from: u64, end: u64) -> std::io::Result<OutputPart> {
    let mut found = OutputPart {
        offset: from,
        bytes: Vec::new(),
    };
    loop {
        let at = found.offset + found.bytes.len() as u64;
        let most = usize::try_from(end.saturating_sub(at)).unwrap_or(0);
        let part = dir.read_output(at, most)?;
        if most == 0 || part.bytes.is_empty() || part.offset >= end {
            return Ok(found);
        }
        if part.offset > at {
            found = part;
        } else {
            found.bytes.extend(part.bytes);
        }
    }
}

/// About how many bytes of output a piece stands for.
fn size(piece: &Piece) -> u64 {
    match piece {
        Piece::Line(text) => text.len() as u64 + 1,
        Piece::Gap(bytes) => *bytes,
    }
}

/// Bytes for people: `12 bytes`, `3.4 KiB`, `1.0 GiB`.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Piece> {
        let mut cutter = Cutter::default();
        let mut lines = VecDeque::new();
        for chunk in chunks {
            cutter.push(chunk, &mut lines);
        }
        cutter.finish(&mut lines);
        lines.into()
    }

    fn line(text: &str) -> Piece {
        Piece::Line(text.to_owned())
    }

    fn written(bytes: &[u8]) -> (tempfile::TempDir, Follower) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("out"), bytes).unwrap();
        let follower = Follower::new(StepDir::new(dir.path()));
        (dir, follower)
    }

    #[test]
    fn lines_are_cut_wherever_the_blocks_end() {
        let all = b"one\r\n 10%\r 20%\r100%\n\n\xc3\xa4 \x1b[31m\xff\nlast";
        let expected = vec![
            line("one"),
            line("100%"),
            line(""),
            line("ä \\x1b[31m\u{fffd}"),
            line("last"),
        ];
        assert_eq!(cut(&[all]), expected);
        for size in 1..all.len() {
            let chunks: Vec<&[u8]> = all.chunks(size).collect();
            assert_eq!(cut(&chunks), expected, "{size}");
        }
    }

    #[test]
    fn a_line_without_end_stays_small() {
        let mut cutter = Cutter::default();
        let mut lines = VecDeque::new();
        for _ in 0..100 {
            cutter.push(&[b'x'; 10_000], &mut lines);
        }
        assert!(cutter.line.capacity() <= 2 * LONGEST_LINE);
        cutter.push(b"\n", &mut lines);
        let Some(Piece::Line(text)) = lines.pop_front() else {
            panic!("no line")
        };
        assert!(text.ends_with(" … 995904 more bytes"), "{}", text.len());
    }

    #[test]
    fn much_is_left_out_and_said_so() {
        let all: String = (0..200_000).map(|n| format!("line {n}\n")).collect();
        let (_dir, mut follower) = written(all.as_bytes());
        assert_eq!(follower.next_piece(), Some(line("line 0")));
        let rest = follower.rest(10);
        let Some(Piece::Gap(bytes)) = rest.first() else {
            panic!("{rest:?}")
        };
        let shown: usize = rest.iter().skip(1).map(|p| size(p) as usize).sum();
        assert_eq!(rest.last(), Some(&line("line 199999")));
        assert_eq!(rest.len(), 11);
        // Lines that were cut by the gap are counted with it, more or less.
        let told = *bytes as usize + shown + "line 0\n".len();
        assert!(all.len() - told < 20, "{told} of {}", all.len());
    }

    #[test]
    fn little_is_shown_whole() {
        let (_dir, mut follower) = written(b"a\nb\nc");
        assert_eq!(follower.rest(10), [line("a"), line("b"), line("c")]);
        assert_eq!(follower.rest(10), []);
    }

    #[test]
    fn bytes_for_people() {
        assert_eq!(show_bytes(1023), "1023 bytes");
        assert_eq!(show_bytes(1536), "1.5 KiB");
        assert_eq!(show_bytes(1 << 30), "1.0 GiB");
        assert_eq!(show_bytes(u64::MAX), "16777215.9 TiB");
    }
}
