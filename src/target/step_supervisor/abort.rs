//! Finds lines of output that match a pattern.
//!
//! A line ends at `\n` or `\r`. Whole blocks are searched, and line ends are only looked for around
//! a hit, so that output without a hit costs no more than the search itself. Escape sequences are
//! taken out before, but only where the character ESC occurs. A line of 16 KiB and more is searched
//! in pieces that overlap by 8 KiB.

use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr2, memrchr2};
use regex::bytes::{Regex, RegexBuilder};

use super::output::visible;

const PIECE: usize = 16 * 1024;
const OVERLAP: usize = 8 * 1024;
/// Longest line that is reported, in bytes.
const SHOWN: usize = 1024;

/// A line that matched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub pattern: String,
    pub line: String,
}

/// The patterns of a step.
pub(crate) struct Patterns {
    /// For the search in blocks: all in one where this is possible.
    any: Vec<Regex>,
    each: Vec<(String, Regex)>,
    /// Whether a match within a line is also one within the block. Not so with `\A`, `\z` and flags
    /// that are switched off.
    blocks: bool,
}

impl Patterns {
    /// # Errors
    /// A sentence for a person, when a pattern is not valid.
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        let mut each = Vec::new();
        for pattern in patterns {
            let regex = build(pattern)
                .map_err(|e| format!("abort_on pattern {pattern:?} is not valid: {e}"))?;
            each.push((pattern.clone(), regex));
        }
        let joined: Vec<String> = patterns.iter().map(|p| format!("(?:{p})")).collect();
        // Names of groups may clash, and a comment of an (?x) pattern swallows the parenthesis.
        let any = match build(&joined.join("|")) {
            Ok(one) if each.len() > 1 => vec![one],
            _ => each.iter().map(|(_, r)| r.clone()).collect(),
        };
        Ok(Self {
            any,
            each,
            blocks: patterns.iter().all(|p| searches_blocks(p)),
        })
    }
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .multi_line(true)
        .crlf(true)
        .build()
}

fn searches_blocks(pattern: &str) -> bool {
    let flags_off = pattern.match_indices("(?").any(|(at, _)| {
        pattern[at + 2..]
            .chars()
            .take_while(|c| c.is_ascii_alphabetic() || *c == '-')
            .any(|c| c == '-')
    });
    !flags_off && !pattern.contains(r"\A") && !pattern.contains(r"\z")
}

/// Searches one stream.
pub(crate) struct Scanner {
    patterns: Arc<Patterns>,
    /// The unfinished line. From the second piece of a long one on, its end, preceded by one byte
    /// that is only there so that `^` does not match.
    carry: Vec<u8>,
    /// 1 if there is such a byte, else 0.
    from: usize,
    after_cr: bool,
    stripped: Vec<u8>,
}

impl Scanner {
    pub fn new(patterns: Arc<Patterns>) -> Self {
        Self {
            patterns,
            carry: Vec::new(),
            from: 0,
            after_cr: false,
            stripped: Vec::new(),
        }
    }

    /// Whether there is an unfinished line.
    pub fn has_partial(&self) -> bool {
        self.carry.len() > self.from
    }

    /// Takes output in; returns the first line that matches.
    pub fn feed(&mut self, mut data: &[u8]) -> Option<Hit> {
        // The second half of \r\n ends no line.
        if self.after_cr && data.first() == Some(&b'\n') {
            data = &data[1..];
        }
        self.after_cr = data.last().map_or(self.after_cr, |&b| b == b'\r');
        if self.has_partial()
            && let Some(end) = memchr2(b'\n', b'\r', data)
        {
            self.carry.extend_from_slice(&data[..=end]);
            let end = if data[end..].starts_with(b"\r\n") {
                end + 1
            } else {
                end
            };
            data = &data[end + 1..];
            let hit = self.search_carry(true);
            self.carry.clear();
            self.from = 0;
            if hit.is_some() {
                return hit;
            }
        }
        if let Some(last) = memrchr2(b'\n', b'\r', data) {
            let hit = search(&self.patterns, &data[..=last], 0, true, &mut self.stripped);
            if hit.is_some() {
                return hit;
            }
            data = &data[last + 1..];
            self.carry.clear();
            self.from = 0;
        }
        self.carry.extend_from_slice(data);
        if self.carry.len() < PIECE {
            return None;
        }
        let hit = self.search_carry(false);
        self.carry.drain(..self.carry.len() - OVERLAP - 1);
        self.from = 1;
        hit
    }

    /// Searches the unfinished line as if it were finished: the stream is silent or has ended.
    pub fn partial(&mut self) -> Option<Hit> {
        if self.has_partial() {
            self.search_carry(true)
        } else {
            None
        }
    }

    fn search_carry(&mut self, complete: bool) -> Option<Hit> {
        search(
            &self.patterns,
            &self.carry,
            self.from,
            complete,
            &mut self.stripped,
        )
    }
}

/// Searches `text` from `from` on. If it is not `complete`, a match that touches its end is left for
/// the next piece, where it can be seen whether `$` is true.
fn search(
    p: &Patterns,
    text: &[u8],
    from: usize,
    complete: bool,
    spare: &mut Vec<u8>,
) -> Option<Hit> {
    if memchr(0x1b, text).is_some() {
        spare.clear();
        spare.extend_from_slice(&text[..from]);
        strip(&text[from..], spare);
        return search_plain(p, spare, from, complete);
    }
    search_plain(p, text, from, complete)
}

fn search_plain(p: &Patterns, text: &[u8], from: usize, complete: bool) -> Option<Hit> {
    if !p.blocks {
        return first_hit(p, text, from, from..text.len(), complete);
    }
    for regex in &p.any {
        let mut at = from;
        while at < text.len() {
            let Some(m) = regex.find_at(text, at) else {
                break;
            };
            // The match may cross lines, which none of its lines need to do alone.
            let start = memrchr2(b'\n', b'\r', &text[at..m.start()]).map_or(at, |i| at + i + 1);
            let end =
                memchr2(b'\n', b'\r', &text[m.end()..]).map_or(text.len(), |i| m.end() + i + 1);
            let hit = first_hit(p, text, from, start..end, complete);
            if hit.is_some() {
                return hit;
            }
            at = end;
        }
    }
    None
}

/// Looks at each line in `range`, which begins at the beginning of one.
fn first_hit(
    p: &Patterns,
    text: &[u8],
    from: usize,
    range: Range<usize>,
    complete: bool,
) -> Option<Hit> {
    let mut start = range.start;
    while start < range.end {
        let (end, next) = match memchr2(b'\n', b'\r', &text[start..range.end]) {
            Some(i) if text[start + i..].starts_with(b"\r\n") => (start + i, start + i + 2),
            Some(i) => (start + i, start + i + 1),
            None => (range.end, range.end + 1),
        };
        let unfinished = end == text.len() && !complete;
        // The context byte, if any, belongs to the slice but not to the search.
        let (line, skip) = if start == from {
            (&text[..end], from)
        } else {
            (&text[start..end], 0)
        };
        for (pattern, regex) in &p.each {
            let Some(m) = regex.find_at(line, skip) else {
                continue;
            };
            if !(unfinished && m.end() == line.len()) || is_sure(regex, line, m.start(), skip) {
                let shown = &line[skip..];
                let shown = String::from_utf8_lossy(&shown[around(shown.len(), m.start() - skip)]);
                return Some(Hit {
                    pattern: pattern.clone(),
                    line: visible(&shown),
                });
            }
        }
        start = next;
    }
    None
}

/// Whether a match at `at` that touches the end of an unfinished line counts now. Within the overlap
/// it does not have to: it is seen again. Before, it does if it is one whatever byte comes next.
fn is_sure(regex: &Regex, line: &[u8], at: usize, skip: usize) -> bool {
    line.len() - at > OVERLAP
        && [0, b'a'].into_iter().all(|next| {
            let longer = [line, &[next]].concat();
            regex
                .find_at(&longer, skip)
                .is_some_and(|m| m.start() <= at)
        })
}

/// The part of a line of `len` bytes that is reported for a match at `at`.
fn around(len: usize, at: usize) -> Range<usize> {
    let start = if len <= SHOWN {
        0
    } else {
        at.saturating_sub(SHOWN / 4).min(len - SHOWN)
    };
    start..len.min(start + SHOWN)
}

/// Appends `text` without escape sequences (ECMA-48: CSI, OSC and other strings, two- and
/// three-character ones). None of them reaches over the end of a line.
fn strip(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr(0x1b, rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        rest = &rest[sequence(rest)..];
    }
    out.extend_from_slice(rest);
}

/// Length of the escape sequence whose ESC is just before `rest`.
fn sequence(rest: &[u8]) -> usize {
    let run = |from: usize, range: std::ops::RangeInclusive<u8>| {
        rest[from..]
            .iter()
            .take_while(|b| range.contains(b))
            .count()
    };
    match rest.first() {
        Some(b'[') => {
            let body = 1 + run(1, 0x20..=0x3f);
            body + usize::from(rest.get(body).is_some_and(|b| (0x40..=0x7e).contains(b)))
        }
        // A string ends with BEL or ESC \; without an end only its introducer goes, so that a stray
        // one hides nothing.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let line = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            match memchr2(0x07, 0x1b, &rest[..line]) {
                Some(end) if rest[end] == 0x07 => end + 1,
                Some(end) if rest.get(end + 1) == Some(&b'\\') => end + 2,
                _ => 1,
            }
        }
        Some(0x20..=0x2f) => {
            let body = run(0, 0x20..=0x2f);
            body + usize::from(rest.get(body).is_some_and(|b| (0x30..=0x7e).contains(b)))
        }
        Some(0x30..=0x7e) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn patterns(list: &[&str]) -> Arc<Patterns> {
        let list: Vec<String> = list.iter().map(|&p| p.to_owned()).collect();
        Arc::new(Patterns::new(&list).unwrap())
    }

    fn scan(list: &[&str], text: &[u8], chunk: usize) -> Option<Hit> {
        let mut s = Scanner::new(patterns(list));
        text.chunks(chunk)
            .find_map(|c| s.feed(c))
            .or_else(|| s.partial())
    }

    fn line(list: &[&str], text: &str) -> Option<String> {
        let found: Vec<_> = [1, 2, 3, 7, 64, 1 << 20]
            .map(|n| scan(list, text.as_bytes(), n).map(|h| h.line))
            .into();
        assert!(found.iter().all(|f| *f == found[0]), "{found:?}");
        found[0].clone()
    }

    #[test]
    fn lines_are_found_and_named() {
        assert_eq!(
            line(&["ERROR|deadlock"], "a\nb deadlock c\nd\n").as_deref(),
            Some("b deadlock c")
        );
        assert_eq!(line(&["^b$"], "a\rb\rc").as_deref(), Some("b"));
        assert_eq!(line(&["^b$"], "a\r\nb\r\nc").as_deref(), Some("b"));
        assert_eq!(line(&["^c$"], "a\nb\nc").as_deref(), Some("c"));
        assert_eq!(line(&["^$"], "a\r\nb\r\n"), None);
        assert_eq!(line(&["^$"], "a\n\nb\n").as_deref(), Some(""));
        assert_eq!(line(&[r"\AERR"], "xERR\nERR 5\n").as_deref(), Some("ERR 5"));
        assert_eq!(line(&["(?-m)^ERR$"], "x\nERR\n").as_deref(), Some("ERR"));
        assert_eq!(
            line(&["(?x) no # comment", "yes"], "x\nyes\n").as_deref(),
            Some("yes")
        );
        assert_eq!(scan(&["a", "b+"], b"x\nbb\n", 9).unwrap().pattern, "b+");
    }

    #[test]
    fn no_match_crosses_lines() {
        assert_eq!(line(&[r"foo\s+bar"], "foo\nbar\n"), None);
        assert_eq!(
            line(&[r"foo\s+bar"], "foo\nbar\nfoo  bar").as_deref(),
            Some("foo  bar")
        );
        assert_eq!(
            line(&["[^x]*ERROR"], "a\nb\nc ERROR\nd").as_deref(),
            Some("c ERROR")
        );
        assert_eq!(line(&["(?s)a.*b"], "a\nb\na-b\n").as_deref(), Some("a-b"));
    }

    #[test]
    fn colours_do_not_hide_a_match() {
        assert_eq!(
            line(&["ERROR"], "x\n\x1b[1;31mER\x1b[0mROR\n").as_deref(),
            Some("ERROR")
        );
        assert_eq!(
            line(&["^ERROR$"], "\x1b]0;title\x07ERROR\x1b(B\n").as_deref(),
            Some("ERROR")
        );
        assert_eq!(
            line(&["ERROR"], "\x1b]no end ERROR\n").as_deref(),
            Some("no end ERROR")
        );
        assert_eq!(
            line(&["ERROR"], "\x1b]8;;http://x\x1b\\ERROR\x1b]8;;\x1b\\\n").as_deref(),
            Some("ERROR")
        );
    }

    #[test]
    fn a_match_across_the_cut_of_a_long_line_is_found() {
        for at in (PIECE - 8..PIECE + 8).chain([OVERLAP, 3 * PIECE - 3, 100_000]) {
            let text = format!("{}ERROR{}", "x".repeat(at), "y".repeat(20_000));
            for chunk in [1000, 4096, 65_536] {
                let hit = scan(&["xERRORy"], text.as_bytes(), chunk).expect("found");
                assert!(hit.line.contains("xERRORy") && hit.line.len() <= SHOWN);
                // A cut is neither the beginning nor the end of a line.
                assert!(scan(&["^ERROR", "ERROR$", "^x*$"], text.as_bytes(), chunk).is_none());
            }
        }
        let text = format!("a ERROR {}\n", "y".repeat(40_000));
        assert!(scan(&["ERROR.*"], text.as_bytes(), 4096).is_some());
        assert!(scan(&["ERROR.*y$"], text.as_bytes(), 1 << 20).is_some());
    }

    #[test]
    fn a_prompt_is_found_in_silence() {
        let mut s = Scanner::new(patterns(&[r"\[y/N\] $"]));
        assert_eq!(s.feed(b"go on? [y/N] "), None);
        assert!(s.has_partial() && s.partial().is_some());
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let err = Patterns::new(&["ok".into(), "(".into()]).err().unwrap();
        assert!(err.contains("\"(\""), "{err}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]
        /// The search in blocks finds a line exactly if the line alone matches.
        #[test]
        fn same_as_line_by_line(text in "[abc \n\r]{0,60}", chunk in 1usize..30, which in 0usize..8) {
            let pattern = ["a b", "a\\s+b", "[^c]*a", "^a", "b$", "^(a|b)+$", "\\bc\\b", "a[^b]+c"][which];
            let regex = build(pattern).unwrap();
            let mut lines: Vec<&str> = text.split("\r\n").flat_map(|l| l.split(['\n', '\r'])).collect();
            if lines.last() == Some(&"") { lines.pop(); }
            let expected = lines.iter().find(|l| regex.is_match(l.as_bytes()));
            let found = scan(&[pattern], text.as_bytes(), chunk).map(|h| h.line);
            prop_assert_eq!(found.as_deref(), expected.copied());
        }
    }
}
