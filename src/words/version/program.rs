//! The order of versions that programs state of themselves, where no package manager rules.
//!
//! Like semver where semver speaks, and forgiving elsewhere:
//! * a leading `v`, build metadata after `+` and words such as `Final` do not count;
//! * dotted numbers compare by value, and missing ones are 0: `1.22 = 1.22.0`;
//! * a known pre-release word makes the version older than the release, however it is joined:
//!   `2.0-rc1`, `2.0rc1`, `2.0~rc1`, `3.13.0a1`, `4.0-SNAPSHOT`. So does anything after a tilde;
//! * any other tail is newer than none: `1.1.1w`, `9.2p1`, `1.8.0_412`, `8.0.36-0ubuntu0.22.04.1`.
//!   Semver would read the last as a pre-release; programs print what their packager added there.

use std::cmp::Ordering;

use super::{Parts, Scheme, compare_digits, split_epoch, take_while};

/// Pre-release words and their canonical form, from oldest to newest stage.
const PRE_RELEASES: [(&str, &str, u8); 19] = [
    ("dev", "dev", 0),
    ("snapshot", "snapshot", 0),
    ("nightly", "nightly", 0),
    ("canary", "canary", 0),
    ("unstable", "unstable", 0),
    ("experimental", "experimental", 0),
    ("insiders", "insiders", 0),
    ("alpha", "alpha", 1),
    ("beta", "beta", 2),
    ("milestone", "m", 3),
    ("ea", "ea", 4),
    ("pre", "pre", 4),
    ("preview", "pre", 4),
    ("prerelease", "pre", 4),
    ("rc", "rc", 5),
    ("cr", "rc", 5),
    // Python's and Java's short forms count only with a number stuck to them, see `pre_release`.
    ("a", "alpha", 1),
    ("b", "beta", 2),
    ("m", "m", 3),
];

/// Words that say "this is the release" and so say nothing.
const RELEASE_WORDS: [&str; 4] = ["final", "ga", "release", "stable"];

/// A program's version has no epoch. Its revision is what a packager joined with a hyphen.
pub(super) fn parts(version: &str) -> Parts<'_> {
    let (_, version) = split_epoch(Scheme::Generic, version);
    let version = without_v(version);
    let version = version.split('+').next().unwrap_or_default();
    let hyphen = version.match_indices('-').map(|(at, _)| at).find(|at| {
        let mut tail = version.get(at + 1..).unwrap_or_default().as_bytes();
        let first = next_tag(&mut tail, &mut false);
        *at > 0 && !matches!(first, Some(Tag::Pre(..)))
    });
    let (upstream, revision) = hyphen.map_or((version, None), |at| {
        let (upstream, revision) = version.split_at(at);
        (upstream, Some(revision))
    });
    Parts {
        epoch: None,
        upstream,
        revision,
    }
}

/// Takes a leading `v` off when a number follows it.
pub(super) fn without_v(version: &str) -> &str {
    version
        .strip_prefix(['v', 'V'])
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or(version)
}

pub(super) fn compare(left: &Parts<'_>, right: &Parts<'_>) -> Ordering {
    let (left, right) = (Version::of(left), Version::of(right));
    compare_numbers(&left.numbers, &right.numbers)
        .then_with(|| compare_tags(&left.tags, &right.tags))
}

struct Version<'a> {
    numbers: Vec<&'a [u8]>,
    tags: Vec<Tag<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tag<'a> {
    /// A tilde that no pre-release word follows: older than anything.
    Tilde,
    /// The stage and the canonical word of a pre-release.
    Pre(u8, &'static str),
    Number(&'a [u8]),
    /// In lower case.
    Word(String),
}

impl<'a> Version<'a> {
    fn of(parts: &Parts<'a>) -> Self {
        let mut rest = parts.upstream.as_bytes();
        let mut numbers = vec![take_while(&mut rest, |byte| byte.is_ascii_digit())];
        while let [b'.', digit, ..] = rest
            && digit.is_ascii_digit()
        {
            rest = rest.get(1..).unwrap_or_default();
            numbers.push(take_while(&mut rest, |byte| byte.is_ascii_digit()));
        }
        let mut tags = tags(rest, true);
        tags.extend(self::tags(
            parts.revision.unwrap_or_default().as_bytes(),
            false,
        ));
        Self { numbers, tags }
    }
}

/// Splits what follows the dotted numbers. `stuck` says that a digit stands right before `rest`.
fn tags(mut rest: &[u8], mut stuck: bool) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    while let Some(tag) = next_tag(&mut rest, &mut stuck) {
        if matches!(tag, Tag::Pre(..)) {
            // `~rc1` and `-rc1` are the same; the tilde has said nothing new.
            tags.pop_if(|last| *last == Tag::Tilde);
        }
        tags.push(tag);
    }
    tags
}

/// Reads one tag, skipping separators and words that say nothing.
fn next_tag<'a>(rest: &mut &'a [u8], stuck: &mut bool) -> Option<Tag<'a>> {
    loop {
        let (byte, after) = rest.split_first()?;
        if byte.is_ascii_digit() {
            *stuck = true;
            return Some(Tag::Number(take_while(rest, |byte| byte.is_ascii_digit())));
        }
        let was_stuck = std::mem::take(stuck);
        if byte.is_ascii_alphabetic() {
            let word = take_while(rest, |byte| byte.is_ascii_alphabetic());
            let word = String::from_utf8_lossy(word).to_ascii_lowercase();
            let number_follows = rest.first().is_some_and(u8::is_ascii_digit);
            if let Some((stage, word)) = pre_release(&word, was_stuck, number_follows) {
                return Some(Tag::Pre(stage, word));
            }
            if !RELEASE_WORDS.contains(&word.as_str()) {
                return Some(Tag::Word(word));
            }
        } else {
            *rest = after;
            if *byte == b'~' {
                return Some(Tag::Tilde);
            }
        }
    }
}

/// A lone `a` or `b` is a patch letter (`1.1.1a`), with a number on both sides it is Python's
/// short form (`3.13.0b2`). `M1` is Java's.
fn pre_release(word: &str, stuck: bool, number_follows: bool) -> Option<(u8, &'static str)> {
    let (_, canonical, stage) = PRE_RELEASES.iter().find(|(name, _, _)| *name == word)?;
    let counts = match word {
        "a" | "b" => stuck && number_follows,
        "m" => !stuck && number_follows,
        _ => true,
    };
    counts.then_some((*stage, *canonical))
}

fn compare_numbers(left: &[&[u8]], right: &[&[u8]]) -> Ordering {
    let length = left.len().max(right.len());
    (0..length)
        .map(|at| {
            compare_digits(
                left.get(at).copied().unwrap_or_default(),
                right.get(at).copied().unwrap_or_default(),
            )
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare_tags(left: &[Tag<'_>], right: &[Tag<'_>]) -> Ordering {
    let mut in_pre_release = false;
    for at in 0..=left.len().max(right.len()) {
        let (left, right) = (left.get(at), right.get(at));
        let order = rank(left, in_pre_release)
            .cmp(&rank(right, in_pre_release))
            .then_with(|| compare_same_rank(left, right, in_pre_release));
        if order.is_ne() {
            return order;
        }
        in_pre_release |= matches!(left, Some(Tag::Pre(..)));
    }
    Ordering::Equal
}

/// Before the release: tilde, pre-release. After it: numbers, words. Within a pre-release semver
/// rules: fewer fields are older, numbers older than words.
fn rank(tag: Option<&Tag<'_>>, in_pre_release: bool) -> u8 {
    match tag {
        Some(Tag::Tilde) => 0,
        Some(Tag::Pre(..)) if !in_pre_release => 1,
        None => 2,
        Some(Tag::Number(_)) => 3,
        Some(Tag::Word(_) | Tag::Pre(..)) => 4,
    }
}

fn compare_same_rank(
    left: Option<&Tag<'_>>,
    right: Option<&Tag<'_>>,
    in_pre_release: bool,
) -> Ordering {
    match (left, right) {
        (Some(Tag::Number(left)), Some(Tag::Number(right))) => compare_digits(left, right),
        (Some(Tag::Pre(left, left_word)), Some(Tag::Pre(right, right_word))) if !in_pre_release => {
            (left, left_word).cmp(&(right, right_word))
        }
        (Some(left), Some(right)) => text(left).cmp(text(right)),
        _ => Ordering::Equal,
    }
}

fn text<'a>(tag: &'a Tag<'_>) -> &'a str {
    match tag {
        Tag::Pre(_, word) => word,
        Tag::Word(word) => word,
        Tag::Tilde | Tag::Number(_) => "",
    }
}
