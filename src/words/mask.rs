//! Masking of secrets in streams, before anything is written.
//!
//! A secret is replaced by `***` as it stands and in the forms in which programs like to print it:
//! base64 (all three alignments, standard and URL-safe), percent-encoded, JSON-escaped,
//! shell-quoted, and each line of one with several lines. Where forms overlap, the leftmost and then
//! the longest wins. Bytes that could still turn out to be the beginning of a secret are held back.
//!
//! What is not found: a base64 form that is broken into lines within the secret, hexadecimal,
//! compressed or otherwise transformed copies, and parts of a secret.

use std::collections::BTreeSet;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// What stands in the place of a secret.
pub const MASK: &str = "***";
/// Shorter secrets would mask half of any output, so they are refused.
pub const SHORTEST: usize = 4;

/// Above this number of bytes in all forms together the automaton is built compactly: a DFA of
/// thousands of states takes 1 KiB for each.
const DFA_LIMIT: usize = 2048;

/// Why no masker could be made.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// A secret is too short to be masked.
    #[error(
        "secret number {index} has {len} bytes; one of fewer than {SHORTEST} cannot be masked \
         without mangling all output: use a longer secret, or do not declare it as one"
    )]
    TooShort {
        /// Position of the secret, from 1.
        index: usize,
        /// Its length in bytes.
        len: usize,
    },
    /// All secrets together are too large.
    #[error("the secrets are too large to be masked: {0}")]
    TooLarge(#[from] aho_corasick::BuildError),
}

struct Forms {
    automaton: AhoCorasick,
    patterns: Vec<Vec<u8>>,
    longest: usize,
}

/// Masks one stream. Make one for each stream with [`Masker::fresh`].
#[derive(Clone, Default)]
pub struct Masker {
    forms: Option<Arc<Forms>>,
    held: Vec<u8>,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Masker(***)")
    }
}

impl Masker {
    /// Prepares the forms of all `secrets`.
    ///
    /// # Errors
    /// When one is shorter than [`SHORTEST`] bytes, or all together are beyond the automaton.
    pub fn new<S: AsRef<str>>(secrets: &[S]) -> Result<Self, MaskError> {
        let mut set = BTreeSet::new();
        for (i, secret) in secrets.iter().enumerate() {
            let secret = secret.as_ref();
            if secret.len() < SHORTEST {
                return Err(MaskError::TooShort {
                    index: i + 1,
                    len: secret.len(),
                });
            }
            forms_of(secret, &mut set);
        }
        if set.is_empty() {
            return Ok(Self::default());
        }
        let patterns: Vec<Vec<u8>> = set.into_iter().collect();
        let bytes: usize = patterns.iter().map(Vec::len).sum();
        let kind = if bytes > DFA_LIMIT {
            AhoCorasickKind::ContiguousNFA
        } else {
            AhoCorasickKind::DFA
        };
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(kind))
            .build(&patterns)?;
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        let forms = Forms {
            automaton,
            patterns,
            longest,
        };
        Ok(Self {
            forms: Some(Arc::new(forms)),
            held: Vec::new(),
        })
    }

    /// A masker of the same secrets for another stream.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self {
            forms: self.forms.clone(),
            held: Vec::new(),
        }
    }

    /// Whether there is nothing to mask; the caller may then pass its bytes on unseen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forms.is_none()
    }

    /// Whether bytes are held back.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// The bytes that are held back. They may be part of a secret.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Takes bytes in and appends to `out` what is decided. The output does not depend on how a
    /// stream is cut into chunks.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let Some(forms) = self.forms.clone() else {
            out.extend_from_slice(chunk);
            return;
        };
        self.held.extend_from_slice(chunk);
        // From this position on a longer secret than the one seen so far may still begin.
        let decided = (self.held.len() + 1).saturating_sub(forms.longest);
        let kept_from = emit(&forms, &self.held, decided, out);
        self.held.drain(..kept_from);
    }

    /// Deals with the held bytes that cannot be the beginning of a (longer) secret, for a stream that
    /// has been silent for a while. It does not change the output as a whole.
    pub fn flush_idle(&mut self, out: &mut Vec<u8>) {
        let Some(forms) = self.forms.clone() else {
            return;
        };
        let held = &self.held;
        let may_grow = |at: &usize| {
            let rest = &held[*at..];
            forms
                .patterns
                .iter()
                .any(|p| p.len() > rest.len() && p.starts_with(rest))
        };
        let mut at = 0;
        loop {
            let found = forms
                .automaton
                .find(&held[at..])
                .map(|m| at + m.start()..at + m.end());
            let last = found.as_ref().map_or(held.len(), |m| m.start + 1);
            let open = (at..last).find(may_grow);
            let until = open
                .or(found.as_ref().map(|m| m.start))
                .unwrap_or(held.len());
            out.extend_from_slice(&held[at..until]);
            at = until;
            match found {
                Some(m) if open.is_none() => {
                    out.extend_from_slice(MASK.as_bytes());
                    at = m.end;
                }
                _ => break,
            }
        }
        self.held.drain(..at);
    }

    /// Appends the rest; the stream has ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let Some(forms) = self.forms.clone() else {
            return;
        };
        let end = emit(&forms, &self.held, self.held.len(), out);
        out.extend_from_slice(&self.held[end..]);
        self.held.clear();
    }

    /// Masks a whole text.
    #[must_use]
    pub fn mask_str(&self, text: &str) -> String {
        if self.forms.is_none() {
            return text.to_owned();
        }
        let mut masker = self.fresh();
        let mut out = Vec::with_capacity(text.len());
        masker.push(text.as_bytes(), &mut out);
        masker.finish(&mut out);
        // A form may begin inside a character only if a secret did, and secrets are `str`.
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// Masks every match that begins before `decided` and copies the bytes between. Returns the first
/// byte that was not dealt with.
fn emit(forms: &Forms, held: &[u8], decided: usize, out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    for m in forms.automaton.find_iter(held) {
        if m.start() >= decided {
            break;
        }
        out.extend_from_slice(&held[at..m.start()]);
        out.extend_from_slice(MASK.as_bytes());
        at = m.end();
    }
    if at < decided {
        out.extend_from_slice(&held[at..decided]);
        at = decided;
    }
    at
}

/// All forms of one secret that are at least [`SHORTEST`] bytes long.
fn forms_of(secret: &str, set: &mut BTreeSet<Vec<u8>>) {
    let mut add = |form: Vec<u8>| {
        if form.len() >= SHORTEST {
            set.insert(form);
        }
    };
    for form in base64_forms(secret.as_bytes()) {
        add(form);
    }
    add(secret.as_bytes().to_vec());
    for form in text_forms(secret) {
        add(form);
    }
    if secret.contains(['\n', '\r']) {
        // White space around a line is left alone: lines are found re-indented too.
        for line in secret.split(['\n', '\r']).map(str::trim) {
            if line.len() >= SHORTEST {
                add(line.as_bytes().to_vec());
                for form in text_forms(line) {
                    add(form);
                }
            }
        }
    }
}

fn text_forms(text: &str) -> Vec<Vec<u8>> {
    let percent = |keep: &str, space: &str, upper: bool| -> Vec<u8> {
        let mut out = String::new();
        for b in text.bytes() {
            if b.is_ascii_alphanumeric() || keep.as_bytes().contains(&b) {
                out.push(char::from(b));
            } else if b == b' ' {
                out.push_str(space);
            } else if upper {
                out.push_str(&format!("%{b:02X}"));
            } else {
                out.push_str(&format!("%{b:02x}"));
            }
        }
        out.into_bytes()
    };
    let mut forms = Vec::new();
    for upper in [true, false] {
        // RFC 3986, JavaScript's encodeURIComponent, HTML forms (space as `+`).
        forms.push(percent("-._~", "%20", upper));
        forms.push(percent("-._~!'()*", "%20", upper));
        forms.push(percent("-._*", "+", upper));
        // Python's quote() leaves the slash.
        forms.push(percent("-._~/", "%20", upper));
    }
    for form in json_forms(text) {
        forms.push(form.into_bytes());
    }
    forms.push(text.replace('\'', r"'\''").into_bytes());
    forms.push(text.replace('\'', "'\"'\"'").into_bytes());
    forms.push(backslashed(text).into_bytes());
    forms
}

/// JSON strings without their quotes: as serde and JavaScript write them, with every character
/// above ASCII as `\uXXXX` (Python), and each of these with `\/` for a slash (PHP).
fn json_forms(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut ascii = String::new();
    for c in text.chars() {
        let short = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            _ => "",
        };
        if !short.is_empty() {
            plain.push_str(short);
            ascii.push_str(short);
        } else if c < ' ' {
            let code = format!("\\u{:04x}", u32::from(c));
            plain.push_str(&code);
            ascii.push_str(&code);
        } else {
            plain.push(c);
            if c.is_ascii() {
                ascii.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    ascii.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    let slashed = [plain.replace('/', "\\/"), ascii.replace('/', "\\/")];
    [plain, ascii].into_iter().chain(slashed).collect()
}

/// As `printf %q` of bash writes it.
fn backslashed(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_./:=@%+,".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The base64 characters that `bytes` alone decide, for each of the three places at which they can
/// stand in a longer text, and the whole with its padding; standard and URL-safe.
fn base64_forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for alphabet in [&b"+/"[..], b"-_"] {
        for shift in 0..3 {
            let mut shifted = vec![0; shift];
            shifted.extend_from_slice(bytes);
            let all = base64(&shifted, alphabet);
            let first = (shift * 8).div_ceil(6);
            let last = shifted.len() * 8 / 6;
            forms.push(all[first..last].to_vec());
            // A secret at the end of a text is followed by its padding.
            let mut padded = all[first..].to_vec();
            forms.push(padded.clone());
            while padded.last() == Some(&b'=') {
                padded.pop();
            }
            forms.push(padded);
        }
    }
    forms
}

fn base64(bytes: &[u8], last_two: &[u8]) -> Vec<u8> {
    const SIXTY_TWO: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let digit = |six: u32| {
        let six = (six & 63) as usize;
        SIXTY_TWO
            .get(six)
            .copied()
            .unwrap_or_else(|| last_two[six - 62])
    };
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            if i <= group.len() {
                out.push(digit(bits >> (18 - 6 * i)));
            } else {
                out.push(b'=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunked(masker: &Masker, text: &[u8], sizes: &[usize], idle: bool) -> Vec<u8> {
        let mut m = masker.fresh();
        let mut out = Vec::new();
        let mut at = 0;
        let mut turn = sizes.iter().cycle();
        while at < text.len() {
            let n = (*turn.next().unwrap_or(&1)).clamp(1, text.len() - at);
            m.push(&text[at..at + n], &mut out);
            if idle {
                m.flush_idle(&mut out);
            }
            at += n;
        }
        m.finish(&mut out);
        out
    }

    fn masked(secret: &str, text: &str) -> String {
        Masker::new(&[secret]).unwrap().mask_str(text)
    }

    #[test]
    fn every_form_is_masked() {
        let s = "pa ss'w\"ö/rd\\1";
        assert_eq!(masked(s, &format!("x{s}y")), "x***y");
        assert_eq!(masked(s, r#"{"p":"pa ss'w\"ö/rd\\1"}"#), r#"{"p":"***"}"#);
        assert_eq!(
            masked(s, r#"{"p":"pa ss'w\"\u00f6/rd\\1"}"#),
            r#"{"p":"***"}"#
        );
        assert_eq!(
            masked(s, r#"{"p":"pa ss'w\"\u00f6\/rd\\1"}"#),
            r#"{"p":"***"}"#
        );
        assert_eq!(masked(s, "?p=pa%20ss%27w%22%C3%B6%2Frd%5C1&q"), "?p=***&q");
        assert_eq!(masked(s, "?p=pa%20ss%27w%22%c3%b6%2frd%5c1&q"), "?p=***&q");
        assert_eq!(masked(s, "p=pa+ss%27w%22%C3%B6%2Frd%5C1"), "p=***");
        assert_eq!(masked(s, r#"'pa ss'\''w"ö/rd\1'"#), "'***'");
        assert_eq!(masked(s, r#"pa\ ss\'w\"ö/rd\\1"#), "***");
    }

    #[test]
    fn base64_is_masked_at_every_alignment() {
        let secret = "hunter2-and-more?>";
        for before in 0..7 {
            for after in 0..7 {
                for alphabet in [b"+/", b"-_"] {
                    let text = format!("{}{secret}{}", "u".repeat(before), "z".repeat(after));
                    let encoded = String::from_utf8(base64(text.as_bytes(), alphabet)).unwrap();
                    let out = masked(secret, &encoded);
                    assert!(out.contains(MASK), "{before} {after} {encoded} {out}");
                    // Only what the neighbours share with the secret may remain.
                    assert!(
                        out.len() <= MASK.len() + before * 2 + after * 2 + 8,
                        "{out}"
                    );
                }
            }
        }
        assert_eq!(
            base64(b"any carnal pleasur", b"+/"),
            b"YW55IGNhcm5hbCBwbGVhc3Vy"
        );
        assert_eq!(base64(b"pleasure.", b"+/"), b"cGxlYXN1cmUu");
        assert_eq!(base64(b"leasure.", b"+/"), b"bGVhc3VyZS4=");
        assert_eq!(masked("leasure.", "bGVhc3VyZS4="), "***");
    }

    #[test]
    fn longest_wins_and_no_tail_leaks() {
        let m = Masker::new(&["abcd", "abcdefgh"]).unwrap();
        for size in 1..12 {
            assert_eq!(
                chunked(&m, b"-abcdefgh-abcdef-", &[size], false),
                b"-***-***ef-"
            );
        }
    }

    #[test]
    fn lines_of_a_key_are_masked_even_when_indented() {
        let key = "-----BEGIN KEY-----\nMIIabcdef\n  }\nxyz1234==\n";
        let out = masked(key, "  MIIabcdef\r\n    }\nxyz1234==");
        assert_eq!(out, "  ***\r\n    }\n***");
    }

    #[test]
    fn short_secrets_are_refused_and_none_costs_nothing() {
        let err = Masker::new(&["long enough", "abc"]).unwrap_err();
        assert!(err.to_string().contains("number 2 has 3 bytes"), "{err}");
        let none = Masker::new::<&str>(&[]).unwrap();
        assert!(none.is_empty());
        assert_eq!(none.mask_str("abc"), "abc");
    }

    #[test]
    fn idle_flush_lets_a_prompt_through_but_no_beginning_of_a_secret() {
        let mut m = Masker::new(&["s3cretword"]).unwrap();
        let mut out = Vec::new();
        m.push(b"Name: ", &mut out);
        m.flush_idle(&mut out);
        assert_eq!(out, b"Name: ");
        m.push(b"s3cret", &mut out);
        m.flush_idle(&mut out);
        assert_eq!(out, b"Name: ");
        assert!(m.holds());
        m.push(b"word!", &mut out);
        m.flush_idle(&mut out);
        assert_eq!(out, b"Name: ***!");
        assert!(!m.holds());
    }

    #[test]
    fn a_large_key_is_built_compactly() {
        let key: String = (0..200)
            .map(|i| format!("line {i} {:064x}\n", i * 7919))
            .collect();
        let m = Masker::new(&[&key]).unwrap();
        assert_eq!(m.mask_str(&format!("<{key}>")), "<***>");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
        /// Small alphabets make overlaps of secrets with themselves and each other frequent.
        #[test]
        fn chunking_never_changes_the_output(
            secrets in prop::collection::vec("[ab\n]{4,9}", 1..4),
            text in "[abc\n]{0,80}",
            at in 0usize..80,
            sizes in prop::collection::vec(1usize..20, 1..5),
            idle: bool,
        ) {
            let m = Masker::new(&secrets).unwrap();
            let mut at = at.min(text.len());
            while !text.is_char_boundary(at) { at -= 1; }
            let text = format!("{}{}{}", &text[..at], secrets[0], &text[at..]);
            let whole = m.mask_str(&text).into_bytes();
            prop_assert_eq!(&chunked(&m, text.as_bytes(), &sizes, idle), &whole);
            prop_assert_eq!(&chunked(&m, text.as_bytes(), &[1], idle), &whole);
            for s in &secrets {
                prop_assert!(!whole.windows(s.len()).any(|w| w == s.as_bytes()));
            }
        }
    }
}
