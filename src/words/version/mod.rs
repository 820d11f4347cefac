//! Versions and how each ecosystem orders them.
//!
//! A version is plain text. What it means depends on who wrote it, so every comparison names a
//! [`Scheme`]. [`requirement`] holds the other half: what a plan asks for.

mod alpine;
mod debian;
mod pacman;
mod program;
pub mod requirement;
mod rpm;

pub use requirement::{Requirement, RequirementError, RequirementProblem};

use std::cmp::Ordering;
use std::fmt;

/// By whose rules a version is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `[epoch:]upstream[-revision]`, deb-version(7).
    Debian,
    /// `[epoch:]version[-release]`, ordered as `rpmvercmp` does, with `~` and `^`.
    Rpm,
    /// Alpine: `digits{.digits}{letter}{_suffix{digits}}{~hash}{-rN}`.
    Apk,
    /// Arch: `[epoch:]pkgver[-pkgrel]`, ordered as vercmp(8) does.
    Pacman,
    /// What a program says of itself: dotted numbers, pre-releases, patch letters.
    Generic,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "Debian",
            Self::Rpm => "RPM",
            Self::Apk => "Alpine",
            Self::Pacman => "pacman",
            Self::Generic => "generic",
        })
    }
}

/// Compares two versions by the rules of one ecosystem.
///
/// Any text is accepted, valid or not, and nothing panics. Different texts may be equal
/// (`1.0` and `1.00` in Debian). For every scheme but [`Scheme::Pacman`] this is a total order.
/// vercmp(8) ignores a pkgrel that only one side has, so for pacman `1-1 = 1 = 1-2` although
/// `1-1 < 1-2`: sort such lists only when all or none of the versions carry a pkgrel.
pub fn compare(scheme: Scheme, left: &str, right: &str) -> Ordering {
    compare_parts(scheme, &Parts::of(scheme, left), &Parts::of(scheme, right))
}

/// A version taken apart. A part that is not written is `None`; each scheme says what it then
/// counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    /// Decimal digits, without the colon.
    pub epoch: Option<&'a str>,
    /// The version as its author gave it.
    pub upstream: &'a str,
    /// What the distribution added: Debian revision, RPM release, pkgrel, the N of `-rN`.
    pub revision: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(scheme: Scheme, version: &'a str) -> Self {
        let version = version.trim();
        match scheme {
            Scheme::Debian | Scheme::Rpm | Scheme::Pacman => {
                let (epoch, rest) = split_epoch(scheme, version);
                let (upstream, revision) = split_last_hyphen(rest);
                Self {
                    epoch,
                    upstream,
                    revision,
                }
            }
            Scheme::Apk => alpine::parts(version),
            Scheme::Generic => program::parts(version),
        }
    }
}

pub(crate) fn compare_parts(scheme: Scheme, left: &Parts<'_>, right: &Parts<'_>) -> Ordering {
    match scheme {
        Scheme::Debian => debian::compare(left, right),
        Scheme::Rpm => rpm::compare(left, right),
        Scheme::Apk => alpine::compare(left, right),
        Scheme::Pacman => pacman::compare(left, right),
        Scheme::Generic => program::compare(left, right),
    }
}

/// Takes the epoch off. RPM and pacman read a bare leading colon as epoch 0, Debian does not
/// know that form. A program's own version has no epoch, so one that is written is dropped.
pub(crate) fn split_epoch(scheme: Scheme, version: &str) -> (Option<&str>, &str) {
    let Some((epoch, rest)) = version.split_once(':') else {
        return (None, version);
    };
    let digits_only = epoch.bytes().all(|byte| byte.is_ascii_digit());
    match scheme {
        Scheme::Debian if digits_only && !epoch.is_empty() => (Some(epoch), rest),
        Scheme::Rpm | Scheme::Pacman if digits_only => (Some(epoch), rest),
        Scheme::Generic if digits_only && !epoch.is_empty() => (None, rest),
        _ => (None, version),
    }
}

fn split_last_hyphen(version: &str) -> (&str, Option<&str>) {
    match version.rsplit_once('-') {
        Some((upstream, revision)) => (upstream, Some(revision)),
        None => (version, None),
    }
}

/// Compares two runs of ASCII digits by value, whatever their length. Empty counts as zero.
pub(crate) fn compare_digits(left: &[u8], right: &[u8]) -> Ordering {
    let left = without_leading_zeros(left);
    let right = without_leading_zeros(right);
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// Compares two epochs; one that is not written is 0.
fn compare_epochs(left: Option<&str>, right: Option<&str>) -> Ordering {
    compare_digits(
        left.unwrap_or_default().as_bytes(),
        right.unwrap_or_default().as_bytes(),
    )
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

/// Takes the longest head whose bytes all satisfy `keep`, and leaves the rest in `text`.
fn take_while<'a>(text: &mut &'a [u8], keep: impl Fn(u8) -> bool) -> &'a [u8] {
    let length = text.iter().take_while(|byte| keep(**byte)).count();
    let (head, rest) = text.split_at(length);
    *text = rest;
    head
}

#[cfg(test)]
mod tests;
