//! RPM's order: `rpmvercmp` for each part, with the tilde and the caret.

use std::cmp::Ordering;

use super::{Parts, compare_digits, compare_epochs, take_while};

pub(super) fn compare(left: &Parts<'_>, right: &Parts<'_>) -> Ordering {
    compare_epochs(left.epoch, right.epoch)
        .then_with(|| compare_text(left.upstream, right.upstream))
        .then_with(|| match (left.revision, right.revision) {
            (Some(left), Some(right)) => compare_text(left, right),
            // A version without a release is older than the same one with any release.
            (left, right) => left.is_some().cmp(&right.is_some()),
        })
}

/// One piece of a version, in the order in which the kinds sort. A tilde is older than the end
/// of the text, a caret newer, a word newer than both and a number newest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    Tilde,
    End,
    Caret,
    Word(&'a [u8]),
    Number(&'a [u8]),
}

fn compare_text(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let (left, right) = (next(&mut left), next(&mut right));
        let order = match (&left, &right) {
            (Piece::Number(left), Piece::Number(right)) => compare_digits(left, right),
            _ => left.cmp(&right),
        };
        if order.is_ne() || left == Piece::End {
            return order;
        }
    }
}

/// Separators only separate: which one it is, and how many there are, does not count.
fn next<'a>(text: &mut &'a [u8]) -> Piece<'a> {
    take_while(text, |byte| {
        !byte.is_ascii_alphanumeric() && byte != b'~' && byte != b'^'
    });
    match text.first() {
        None => Piece::End,
        Some(b'~') => {
            *text = text.get(1..).unwrap_or_default();
            Piece::Tilde
        }
        Some(b'^') => {
            *text = text.get(1..).unwrap_or_default();
            Piece::Caret
        }
        Some(byte) if byte.is_ascii_digit() => {
            Piece::Number(take_while(text, |byte| byte.is_ascii_digit()))
        }
        Some(_) => Piece::Word(take_while(text, |byte| byte.is_ascii_alphabetic())),
    }
}
