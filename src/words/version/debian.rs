//! Debian's order, as deb-version(7) states it.

use std::cmp::Ordering;

use super::{Parts, compare_digits, compare_epochs, take_while};

pub(super) fn compare(left: &Parts<'_>, right: &Parts<'_>) -> Ordering {
    // A missing revision is the empty text, which the rule makes equal to `0`.
    compare_epochs(left.epoch, right.epoch)
        .then_with(|| compare_text(left.upstream, right.upstream))
        .then_with(|| {
            compare_text(
                left.revision.unwrap_or_default(),
                right.revision.unwrap_or_default(),
            )
        })
}

/// Compares non-digit and digit stretches in turn.
fn compare_text(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let words = compare_words(
            take_while(&mut left, |byte| !byte.is_ascii_digit()),
            take_while(&mut right, |byte| !byte.is_ascii_digit()),
        );
        let numbers = words.then_with(|| {
            compare_digits(
                take_while(&mut left, |byte| byte.is_ascii_digit()),
                take_while(&mut right, |byte| byte.is_ascii_digit()),
            )
        });
        if numbers.is_ne() {
            return numbers;
        }
    }
    Ordering::Equal
}

fn compare_words(left: &[u8], right: &[u8]) -> Ordering {
    let length = left.len().max(right.len());
    (0..length)
        .map(|at| weight(left.get(at)).cmp(&weight(right.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// A tilde sorts before the end, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> u16 {
    match byte {
        Some(b'~') => 0,
        None => 1,
        Some(byte) if byte.is_ascii_alphabetic() => u16::from(*byte) + 1,
        Some(byte) => u16::from(*byte) + 0x200,
    }
}
