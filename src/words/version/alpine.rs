//! Alpine's order: the version format of the APKBUILD reference, compared as Gentoo's package
//! manager specification (section 3.3) does, with Alpine's further suffixes and commit hashes.

use std::cmp::Ordering;

use super::{Parts, compare_digits, take_while};

/// Suffixes from oldest to newest. Those before [`RELEASE`] mark a version as older than the one
/// without a suffix, the others as newer.
const SUFFIXES: [&[u8]; 9] = [
    b"alpha", b"beta", b"pre", b"rc", b"cvs", b"svn", b"git", b"hg", b"p",
];
const RELEASE: usize = 4;

/// An Alpine package has no epoch; its revision is what follows a final `-r`.
pub(super) fn parts(version: &str) -> Parts<'_> {
    let revision = version.rsplit_once("-r").filter(|(_, digits)| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    Parts {
        epoch: None,
        upstream: revision.map_or(version, |(upstream, _)| upstream),
        revision: revision.map(|(_, digits)| digits),
    }
}

pub(super) fn compare(left: &Parts<'_>, right: &Parts<'_>) -> Ordering {
    let mut left = Pieces::of(left);
    let mut right = Pieces::of(right);
    loop {
        let (left, right) = (left.next(), right.next());
        let order = compare_pieces(&left, &right);
        if order.is_ne() || matches!(left, Piece::End | Piece::Unreadable) {
            return order;
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Piece<'a> {
    First(&'a [u8]),
    Number(&'a [u8]),
    Letter(u8),
    /// An index into [`SUFFIXES`].
    Suffix(usize),
    SuffixNumber(&'a [u8]),
    Hash(&'a [u8]),
    Revision(&'a [u8]),
    End,
    /// The text leaves the format here. Nothing after it is looked at.
    Unreadable,
}

impl Piece<'_> {
    /// Which of two different kinds at the same place is newer.
    fn rank(&self) -> u8 {
        match self {
            Self::Suffix(suffix) if *suffix < RELEASE => 0,
            Self::Unreadable => 1,
            Self::End => 2,
            Self::Revision(_) => 3,
            Self::Hash(_) => 4,
            Self::SuffixNumber(_) => 5,
            Self::Suffix(_) => 6,
            Self::Letter(_) => 7,
            Self::Number(_) => 8,
            Self::First(_) => 9,
        }
    }
}

fn compare_pieces(left: &Piece<'_>, right: &Piece<'_>) -> Ordering {
    match (left, right) {
        (Piece::First(left), Piece::First(right))
        | (Piece::SuffixNumber(left), Piece::SuffixNumber(right))
        | (Piece::Revision(left), Piece::Revision(right)) => compare_digits(left, right),
        // Later numbers are fractions as soon as one of them begins with 0: 1.05 < 1.1.
        (Piece::Number(left), Piece::Number(right))
            if left.starts_with(b"0") || right.starts_with(b"0") =>
        {
            left.cmp(right)
        }
        (Piece::Number(left), Piece::Number(right)) => compare_digits(left, right),
        (Piece::Letter(left), Piece::Letter(right)) => left.cmp(right),
        (Piece::Suffix(left), Piece::Suffix(right)) => left.cmp(right),
        (Piece::Hash(left), Piece::Hash(right)) => left.cmp(right),
        _ => left.rank().cmp(&right.rank()),
    }
}

/// Reads a version piece by piece. The pieces must come in the order of the format.
struct Pieces<'a> {
    rest: &'a [u8],
    revision: Option<&'a [u8]>,
    last: Option<Piece<'a>>,
}

impl<'a> Pieces<'a> {
    fn of(parts: &Parts<'a>) -> Self {
        Self {
            rest: parts.upstream.as_bytes(),
            revision: parts.revision.map(str::as_bytes),
            last: None,
        }
    }

    fn next(&mut self) -> Piece<'a> {
        let piece = self.read().unwrap_or(Piece::Unreadable);
        self.last = Some(piece);
        piece
    }

    fn read(&mut self) -> Option<Piece<'a>> {
        let Some(last) = self.last else {
            return self.digits().map(Piece::First);
        };
        let Some((byte, after)) = self.rest.split_first() else {
            return Some(self.revision.take().map_or(Piece::End, Piece::Revision));
        };
        let in_numbers = matches!(last, Piece::First(_) | Piece::Number(_));
        match byte {
            b'a'..=b'z' if in_numbers => {
                self.rest = after;
                Some(Piece::Letter(*byte))
            }
            b'.' if in_numbers => {
                self.rest = after;
                self.digits().map(Piece::Number)
            }
            b'0'..=b'9' if matches!(last, Piece::Suffix(_)) => {
                self.digits().map(Piece::SuffixNumber)
            }
            b'_' if !matches!(last, Piece::Hash(_)) => {
                self.rest = after;
                let word = take_while(&mut self.rest, |byte| byte.is_ascii_lowercase());
                SUFFIXES
                    .iter()
                    .position(|suffix| *suffix == word)
                    .map(Piece::Suffix)
            }
            b'~' if !matches!(last, Piece::Hash(_)) => {
                self.rest = after;
                let hash = take_while(&mut self.rest, |byte| {
                    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
                });
                (!hash.is_empty()).then_some(Piece::Hash(hash))
            }
            _ => None,
        }
    }

    fn digits(&mut self) -> Option<&'a [u8]> {
        let digits = take_while(&mut self.rest, |byte| byte.is_ascii_digit());
        (!digits.is_empty()).then_some(digits)
    }
}
