//! What is kept of the output: the spool on disk, bounded copies in memory, the tail for people.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::publish::private;
use crate::words::hidden::push_visible;
use crate::words::step::Captured;

/// Name of the spool's first file; those behind a gap carry the offset of their first byte.
pub(crate) const OUT: &str = "out";

const CAPTURE_HEAD: usize = 64 * 1024;
const CAPTURE_TAIL: usize = 192 * 1024;
const TAIL_BYTES: usize = 64 * 1024;
const TAIL_LINES: usize = 200;
/// So much of the disk is left to the journal, in bytes: a step that prints and prints must not be the
/// end of its release.
const LEFT_FREE: u64 = 4 << 20;
/// The free space is looked at again after so many bytes.
const LOOK_EVERY: usize = 256 << 10;
/// After a failed write (disk full) the spool is left alone for this time.
const PAUSE: Duration = Duration::from_millis(100);
/// More segments than this are only there when a disk is full again and again.
const MOST_SEGMENTS: usize = 8;

/// Name of the segment that begins at `offset` of the output.
pub(crate) fn segment_name(offset: u64) -> String {
    format!("{OUT}.{offset:016}")
}

/// One file of the spool.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Segment {
    start: u64,
    len: u64,
}

/// What a spool must know to be carried on by another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SpoolState {
    max: u64,
    total: u64,
    head: u64,
    segments: VecDeque<Segment>,
}

/// All output in order of arrival, bounded: `out` holds the first half of the limit, and files
/// `out.OFFSET` of a quarter each hold the end; older ones are removed. Plain files, so that it
/// works on any file system, and a reader who knows an offset finds it whatever was removed.
/// A write that fails (disk full, or nearly) loses those bytes and nothing else.
pub(crate) struct Spool {
    dir: PathBuf,
    state: SpoolState,
    /// The file that is written to: the head if there are no segments, else the last of these.
    file: Option<File>,
    /// Set after a failed write: the current file must not be continued, for its offsets would lie.
    broken: Option<Instant>,
    /// Bytes that may be written before the free space is looked at again.
    allowed: usize,
}

impl Spool {
    pub fn new(dir: &Path, max: u64) -> Self {
        let state = SpoolState {
            max,
            total: 0,
            head: 0,
            segments: VecDeque::new(),
        };
        Self {
            dir: dir.to_owned(),
            state,
            file: None,
            broken: None,
            allowed: 0,
        }
    }

    /// Goes on where another process stopped.
    pub fn resume(dir: &Path, state: SpoolState) -> Self {
        let mut spool = Self {
            dir: dir.to_owned(),
            state,
            file: None,
            broken: None,
            allowed: 0,
        };
        let state = &spool.state;
        let last = state
            .segments
            .back()
            .map_or(OUT.to_owned(), |s| segment_name(s.start));
        spool.file = private().append(true).open(spool.dir.join(last)).ok();
        // A file that is gone must not be begun anew: its offsets would lie.
        spool.broken = spool.file.is_none().then(Instant::now);
        spool
    }

    pub fn state(&self) -> &SpoolState {
        &self.state
    }

    pub fn total(&self) -> u64 {
        self.state.total
    }

    pub fn dropped(&self) -> u64 {
        let kept: u64 = self.state.segments.iter().map(|s| s.len).sum();
        self.state.total - self.state.head - kept
    }

    /// Appends; never fails, never waits longer than the disk does.
    pub fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.write_to_current(now);
            bytes = later;
        }
    }

    /// Room in the current file, which is another one when there is none in this; never 0.
    fn room(&mut self) -> u64 {
        let SpoolState {
            max,
            head,
            segments,
            ..
        } = &self.state;
        let (len, cap) = match segments.back() {
            None => (*head, max / 2),
            Some(s) => (s.len, (max / 4).max(1)),
        };
        if len < cap {
            return cap - len;
        }
        self.file = None;
        self.state.segments.push_back(Segment {
            start: self.state.total,
            len: 0,
        });
        (self.state.max / 4).max(1)
    }

    fn write_to_current(&mut self, bytes: &[u8]) {
        let written = self.try_write(bytes);
        if written < bytes.len() {
            self.broken = Some(Instant::now());
            self.file = None;
        }
        match self.state.segments.back_mut() {
            None => self.state.head += written as u64,
            Some(s) => s.len += written as u64,
        }
        self.state.total += bytes.len() as u64;
        self.shed();
    }

    /// Returns how many bytes reached the file.
    fn try_write(&mut self, bytes: &[u8]) -> usize {
        if let Some(since) = self.broken {
            if since.elapsed() < PAUSE {
                return 0;
            }
            self.broken = None;
            self.begin_after_gap();
        }
        if self.file.is_none() {
            let start = self.state.segments.back().map(|s| s.start);
            let name = start.map_or(OUT.to_owned(), segment_name);
            self.file = private()
                .append(true)
                .create(true)
                .open(self.dir.join(name))
                .ok();
        }
        let Some(file) = &mut self.file else { return 0 };
        if self.allowed < bytes.len() {
            if rustix::fs::fstatvfs(&*file).is_ok_and(|s| s.f_bavail * s.f_frsize < LEFT_FREE) {
                return 0;
            }
            self.allowed = LOOK_EVERY.max(bytes.len());
        }
        self.allowed -= bytes.len();
        let mut written = 0;
        while written < bytes.len() {
            match file.write(&bytes[written..]) {
                Ok(0) => break,
                Ok(n) => written += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        written
    }

    /// After a loss the next byte's offset is no longer that of the current file's end.
    fn begin_after_gap(&mut self) {
        let start = self.state.total;
        match self.state.segments.back_mut() {
            Some(last) if last.len == 0 => {
                let _ = std::fs::remove_file(self.dir.join(segment_name(last.start)));
                last.start = start;
            }
            _ => self.state.segments.push_back(Segment { start, len: 0 }),
        }
        self.file = None;
    }

    /// Removes the oldest segments beyond the limit.
    fn shed(&mut self) {
        let state = &mut self.state;
        let mut kept: u64 = state.segments.iter().map(|s| s.len).sum();
        while state.segments.len() > 1
            && (kept > state.max / 2 || state.segments.len() > MOST_SEGMENTS)
        {
            if let Some(first) = state.segments.pop_front() {
                kept -= first.len;
                let _ = std::fs::remove_file(self.dir.join(segment_name(first.start)));
            }
        }
    }
}

/// The last bytes of a stream.
pub(crate) struct Ring {
    bytes: Vec<u8>,
    cap: usize,
    /// Where the oldest byte is once `bytes` is full.
    at: usize,
}

impl Ring {
    pub fn new(cap: usize) -> Self {
        Self {
            bytes: Vec::new(),
            cap,
            at: 0,
        }
    }

    pub fn push(&mut self, new: &[u8]) {
        let new = &new[new.len().saturating_sub(self.cap)..];
        let (fill, wrap) = new.split_at(new.len().min(self.cap - self.bytes.len()));
        self.bytes.extend_from_slice(fill);
        let (to_end, rest) = wrap.split_at(wrap.len().min(self.cap - self.at));
        self.bytes[self.at..self.at + to_end.len()].copy_from_slice(to_end);
        self.bytes[..rest.len()].copy_from_slice(rest);
        self.at = (self.at + wrap.len()) % self.cap;
    }

    pub fn to_vec(&self) -> Vec<u8> {
        [&self.bytes[self.at..], &self.bytes[..self.at]].concat()
    }
}

/// Head and tail of one stream, in memory.
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: Ring,
    total: u64,
}

impl Capture {
    pub fn new() -> Self {
        Self {
            head: Vec::new(),
            tail: Ring::new(CAPTURE_TAIL),
            total: 0,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (head, tail) = bytes.split_at(bytes.len().min(CAPTURE_HEAD - self.head.len()));
        self.head.extend_from_slice(head);
        if !tail.is_empty() {
            self.tail.push(tail);
        }
    }

    pub fn captured(&self) -> Captured {
        let tail = self.tail.to_vec();
        let gap = self.total - (self.head.len() + tail.len()) as u64;
        if gap == 0 {
            let all = [self.head.as_slice(), &tail].concat();
            return Captured {
                text: lossy(all),
                cut: false,
            };
        }
        // The cuts may lie within a character, which is then left out rather than shown as damage.
        let head = &self.head[..whole_chars(&self.head)];
        let skip = tail
            .iter()
            .take(3)
            .take_while(|&&b| b & 0xc0 == 0x80)
            .count();
        let gap = gap + (self.head.len() - head.len() + skip) as u64;
        let newline = if head.ends_with(b"\n") { "" } else { "\n" };
        let text = format!(
            "{}{newline}[… {gap} bytes left out here …]\n{}",
            String::from_utf8_lossy(head),
            String::from_utf8_lossy(&tail[skip..])
        );
        Captured { text, cut: true }
    }
}

/// Copies only where something has to be replaced.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Length without a character that is cut off at the end.
fn whole_chars(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(4);
    match std::str::from_utf8(&bytes[last..]) {
        Err(e) if e.error_len().is_none() => last + e.valid_up_to(),
        _ => (last..bytes.len())
            .rev()
            .find(|&i| bytes[i] >= 0xc0)
            .filter(|&i| std::str::from_utf8(&bytes[i..]).is_err_and(|e| e.error_len().is_none()))
            .unwrap_or(bytes.len()),
    }
}

/// Last lines of both streams.
pub(crate) struct Tail(Ring);

impl Tail {
    pub fn new() -> Self {
        Self(Ring::new(TAIL_BYTES))
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    /// At most 200 lines and 64 KiB. Of a line that was rewritten by `\r` only its last state is
    /// shown.
    pub fn text(&self) -> String {
        let text = lossy(self.0.to_vec());
        let lines: Vec<&str> = text.lines().collect();
        let mut shown = Vec::new();
        let mut bytes = 0;
        for line in lines.iter().rev().take(TAIL_LINES) {
            let line = line.trim_end_matches('\r');
            let line = visible(line.rsplit('\r').next().unwrap_or(line));
            bytes += line.len() + 1;
            if bytes > TAIL_BYTES {
                let over = bytes - TAIL_BYTES;
                let cut = (over.min(line.len())..=line.len()).find(|&i| line.is_char_boundary(i));
                shown.push(line[cut.unwrap_or(line.len())..].to_owned());
                break;
            }
            shown.push(line);
        }
        shown.reverse();
        shown.join("\n")
    }
}

/// Control characters except tab and newline as `\xNN`, so that a terminal cannot be driven by them,
/// and what nobody would see as its number.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' && c != '\n' {
            out.push_str(&format!("\\x{:02x}", u32::from(c)));
        } else {
            push_visible(&mut out, c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spooled(dir: &Path) -> Vec<(u64, Vec<u8>)> {
        let mut found: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap())
            .map(|e| {
                let name = e.file_name().into_string().unwrap();
                let start = name.strip_prefix("out.").map_or(0, |n| n.parse().unwrap());
                (start, std::fs::read(e.path()).unwrap())
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn the_spool_keeps_head_and_tail_at_their_offsets() {
        let all: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
        for chunk in [1, 7, 100, 999, 40_000] {
            let dir = tempfile::tempdir().unwrap();
            let mut spool = Spool::new(dir.path(), 1000);
            for part in all.chunks(chunk) {
                spool.write(part);
            }
            assert_eq!(spool.total(), 40_000);
            let files = spooled(dir.path());
            let mut kept = 0;
            for (start, bytes) in &files {
                let start = usize::try_from(*start).unwrap();
                assert_eq!(bytes[..], all[start..start + bytes.len()]);
                kept += bytes.len();
            }
            assert_eq!(files[0].1.len(), 500);
            let (start, bytes) = files.last().unwrap();
            assert_eq!(
                usize::try_from(*start).unwrap() + bytes.len(),
                40_000,
                "ends with the end"
            );
            assert!((750..=1000).contains(&kept), "{kept}");
            assert_eq!(spool.dropped(), 40_000 - kept as u64);
        }
    }

    #[test]
    fn a_limit_of_nothing_keeps_nothing_much() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path(), 0);
        spool.write(b"some bytes");
        assert!(spool.dropped() >= 9);
    }

    #[test]
    fn a_spool_is_carried_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Spool::new(dir.path(), 1000);
        first.write(&[b'a'; 600]);
        let mut second = Spool::resume(dir.path(), first.state().clone());
        second.write(&[b'b'; 10]);
        assert_eq!(second.total(), 610);
        assert_eq!(second.dropped(), 0);
        let last = spooled(dir.path()).pop().unwrap();
        assert_eq!(last, (500, [[b'a'; 100].as_slice(), &[b'b'; 10]].concat()));
    }

    #[test]
    fn a_spool_that_cannot_write_counts() {
        let mut spool = Spool::new(Path::new("/nonexistent/dir"), 1000);
        for _ in 0..50 {
            spool.write(&[0; 100]);
        }
        assert_eq!((spool.total(), spool.dropped()), (5000, 5000));
    }

    #[test]
    fn the_ring_keeps_the_last_bytes() {
        for cap in [1, 5, 8] {
            for chunk in 1..12 {
                let mut ring = Ring::new(cap);
                let all: Vec<u8> = (0..50).collect();
                for (i, part) in all.chunks(chunk).enumerate() {
                    ring.push(part);
                    let end = (i * chunk + part.len()).min(50);
                    assert_eq!(ring.to_vec(), &all[end.saturating_sub(cap)..end]);
                }
            }
        }
    }

    #[test]
    fn a_capture_says_what_it_left_out() {
        let mut capture = Capture::new();
        capture.push(b"short \xff");
        assert_eq!(
            capture.captured(),
            Captured {
                text: "short \u{fffd}".into(),
                cut: false
            }
        );
        let mut capture = Capture::new();
        let text = "ä".repeat(300_000);
        capture.push(b"x");
        capture.push(text.as_bytes());
        let got = capture.captured();
        assert!(got.cut && !got.text.contains('\u{fffd}'));
        let kept = got.text.matches('ä').count() * 2 + 1;
        let gap: usize = got
            .text
            .split_whitespace()
            .skip_while(|w| !w.contains('…'))
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(kept + gap, 600_001);
        assert!(got.text.len() <= CAPTURE_HEAD + CAPTURE_TAIL + 100);
    }

    #[test]
    fn the_tail_is_short_and_harmless() {
        let mut tail = Tail::new();
        tail.push(b"10%\r20%\r100%\r\n\x1b[31mred\xff\x00\n");
        assert_eq!(tail.text(), "100%\n\\x1b[31mred\u{fffd}\\x00");
        for i in 0..1000 {
            tail.push(format!("{i}\n").as_bytes());
        }
        let text = tail.text();
        assert_eq!(
            (text.lines().count(), text.lines().next()),
            (200, Some("800"))
        );
        let mut tail = Tail::new();
        tail.push(&[0; 100_000]);
        let text = tail.text();
        assert!(
            text.len() <= TAIL_BYTES && text.len() > TAIL_BYTES - 10,
            "{}",
            text.len()
        );
    }
}
