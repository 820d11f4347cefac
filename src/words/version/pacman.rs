//! Arch's order, as vercmp(8) gives it. It descends from an early `rpmvercmp` and differs in
//! three ways: a word stuck to a number is older than the bare number (`1.0rc1 < 1.0`), the
//! count of separators matters, and a pkgrel that only one side has is ignored.

use std::cmp::Ordering;

use super::{Parts, compare_digits, compare_epochs, take_while};

pub(super) fn compare(left: &Parts<'_>, right: &Parts<'_>) -> Ordering {
    compare_epochs(left.epoch, right.epoch)
        .then_with(|| compare_text(left.upstream, right.upstream))
        .then_with(|| match (left.revision, right.revision) {
            (Some(left), Some(right)) => compare_text(left, right),
            _ => Ordering::Equal,
        })
}

/// One piece of a version with the count of separators before it.
///
/// The order of the kinds, tightest first: a word stuck to what stands before it, the end, a
/// number stuck to a word, and then whatever follows separators, where more separators are newer
/// and numbers are newer than words.
#[derive(PartialEq, Eq)]
enum Piece<'a> {
    End,
    /// Separators that nothing follows. vercmp contradicts itself on these (`1.0. < 1.0.1`,
    /// `1.0.1 < 1.0..a`, `1.0..a < 1.0.`), so they get the one place that keeps the order total.
    LooseEnd,
    Word(usize, &'a [u8]),
    Number(usize, &'a [u8]),
}

impl Piece<'_> {
    fn rank(&self) -> (u8, usize, u8) {
        match self {
            Self::Word(0, _) => (0, 0, 0),
            Self::End => (1, 0, 0),
            Self::Number(0, _) => (2, 0, 0),
            Self::Word(separators, _) => (3, *separators, 0),
            Self::LooseEnd => (3, 1, 1),
            Self::Number(separators, _) => (3, *separators, 2),
        }
    }
}

fn compare_text(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let (left, right) = (next(&mut left), next(&mut right));
        let order = left
            .rank()
            .cmp(&right.rank())
            .then_with(|| match (&left, &right) {
                (Piece::Number(_, left), Piece::Number(_, right)) => compare_digits(left, right),
                (Piece::Word(_, left), Piece::Word(_, right)) => left.cmp(right),
                _ => Ordering::Equal,
            });
        if order.is_ne() || matches!(left, Piece::End | Piece::LooseEnd) {
            return order;
        }
    }
}

fn next<'a>(text: &mut &'a [u8]) -> Piece<'a> {
    let separators = take_while(text, |byte| !byte.is_ascii_alphanumeric()).len();
    match text.first() {
        None if separators == 0 => Piece::End,
        None => Piece::LooseEnd,
        Some(byte) if byte.is_ascii_digit() => {
            Piece::Number(separators, take_while(text, |byte| byte.is_ascii_digit()))
        }
        Some(_) => Piece::Word(
            separators,
            take_while(text, |byte| byte.is_ascii_alphabetic()),
        ),
    }
}
