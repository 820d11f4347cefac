//! What a plan asks of a version: `">= 1.22"`, `">=15, <16"`, `"1.24.*"`, `"*"`.
//!
//! A requirement is a list of conditions joined by commas; all must hold.
//!
//! | written | holds when the version is |
//! |---|---|
//! | `>= 1.22`, `> 1.22`, `<= 1.22`, `< 1.22` | ordered so, by the ecosystem's rules |
//! | `= 1.22`, `== 1.22`, `1.22` | equal to it. A bare version means exactly that version |
//! | `!= 1.22` | anything else |
//! | `1.24.*` (also after `=` and `!=`) | of that series: `1.24` itself or `1.24` followed by anything but a digit. So `1.24.7`, `1.24a`, `1.24-3` and the pre-release `1.24~rc1` belong to it, `1.240` does not |
//! | `*` | any, as long as it is there |
//!
//! **Epochs and revisions** count only when the condition states them. `= 1.22.1` holds for
//! `1.22.1-9+deb12u3` and for `2:1.22.1-9`; `>= 1.22.1-9` looks at the revision as well, and
//! `>= 2:1.22` at the epoch. By Debian's, RPM's and Arch's rules whatever follows the last hyphen
//! is a revision, so for their packages a pre-release is written `2.0~rc1`, not `2.0-rc1`.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::{Parts, Scheme, compare_digits, compare_parts, program, split_epoch};

mod problem;

pub use problem::{RequirementError, RequirementProblem};

/// A parsed requirement. Its text form parses to an equal requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Empty for `*`.
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Compare(Comparison, String),
    /// `1.24.*`, kept as `1.24`.
    Series(String),
    NotSeries(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
    Equal,
    NotEqual,
}

impl Requirement {
    /// Reads a requirement; the table on top of this module says what each form means.
    ///
    /// # Errors
    /// When the text is not a requirement. The error holds the place as a byte range into `text`,
    /// what is wrong there, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, RequirementError> {
        let mut conditions = Vec::new();
        let mut start = 0;
        for piece in text.split(',') {
            let span = trimmed(text, start..start + piece.len());
            start += piece.len() + 1;
            conditions.extend(parse_condition(text, span)?);
        }
        Ok(Self { conditions })
    }

    /// Whether an installed version meets every condition. An unreadable version is compared as
    /// far as it goes; this never fails.
    pub fn matches(&self, scheme: Scheme, version: &str) -> bool {
        self.conditions
            .iter()
            .all(|condition| condition.holds(scheme, version))
    }

    /// Whether any version will do (`*`).
    pub fn is_any(&self) -> bool {
        self.conditions.is_empty()
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("*");
        }
        for (at, condition) in self.conditions.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            match condition {
                Condition::Compare(comparison, version) => write!(f, "{comparison} {version}")?,
                Condition::Series(stem) => write!(f, "{stem}.*")?,
                Condition::NotSeries(stem) => write!(f, "!= {stem}.*")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::AtMost => "<=",
            Self::Below => "<",
            Self::Equal => "=",
            Self::NotEqual => "!=",
        })
    }
}

impl Condition {
    fn holds(&self, scheme: Scheme, version: &str) -> bool {
        match self {
            Self::Compare(comparison, wanted) => {
                comparison.accepts(compare_stated(scheme, version, wanted))
            }
            Self::Series(stem) => in_series(scheme, version, stem),
            Self::NotSeries(stem) => !in_series(scheme, version, stem),
        }
    }
}

impl Comparison {
    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::AtLeast => order.is_ge(),
            Self::Above => order.is_gt(),
            Self::AtMost => order.is_le(),
            Self::Below => order.is_lt(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
        }
    }
}

/// Compares an installed version with a wanted one by the parts that the wanted one states.
fn compare_stated(scheme: Scheme, installed: &str, wanted: &str) -> Ordering {
    let wanted = Parts::of(scheme, wanted);
    let installed = Parts::of(scheme, installed);
    let comparable = Parts {
        epoch: wanted.epoch.and(installed.epoch),
        upstream: installed.upstream,
        revision: wanted.revision.and(installed.revision),
    };
    compare_parts(scheme, &comparable, &wanted)
}

fn in_series(scheme: Scheme, installed: &str, stem: &str) -> bool {
    let (epoch, installed) = split_epoch(scheme, installed.trim());
    let (wanted_epoch, stem) = split_epoch(scheme, stem);
    let same_epoch = wanted_epoch.is_none_or(|wanted| {
        compare_digits(wanted.as_bytes(), epoch.unwrap_or_default().as_bytes()).is_eq()
    });
    let installed = match scheme {
        Scheme::Generic => program::without_v(installed),
        _ => installed,
    };
    let tail = installed.strip_prefix(stem);
    same_epoch && tail.is_some_and(|tail| !tail.starts_with(|next: char| next.is_ascii_digit()))
}

/// The same range without blanks at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}

/// Reads one condition, `None` for `*`.
fn parse_condition(text: &str, span: Range<usize>) -> Result<Option<Condition>, RequirementError> {
    let fail = |span: Range<usize>, problem| Err(RequirementError::new(text, span, problem));
    let piece = text.get(span.clone()).unwrap_or_default();
    if piece.is_empty() {
        let problem = if text.trim().is_empty() {
            RequirementProblem::Empty
        } else {
            RequirementProblem::EmptyCondition
        };
        return fail(span, problem);
    }
    let operator_length = piece
        .find(|next: char| !"<>=!~^≥≤≠".contains(next))
        .unwrap_or(piece.len());
    let (operator, _) = piece.split_at(operator_length);
    let operator_span = span.start..span.start + operator_length;
    let version_span = trimmed(text, operator_span.end..span.end);
    let version = text.get(version_span.clone()).unwrap_or_default();
    let comparison = match operator {
        ">=" => Comparison::AtLeast,
        ">" => Comparison::Above,
        "<=" => Comparison::AtMost,
        "<" => Comparison::Below,
        "" | "=" | "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        _ => return fail(operator_span, problem::operator(operator, version)),
    };
    if version.is_empty() {
        return fail(operator_span, RequirementProblem::MissingVersion);
    }
    if let Some(problem) = problem::joined(piece, version) {
        return fail(span, problem);
    }
    if version.contains('*') || version.ends_with(".x") || version.ends_with(".X") {
        return match parse_wildcard(comparison, operator, version) {
            Ok(condition) => Ok(condition),
            Err(problem) => fail(version_span, problem),
        };
    }
    if let Some((at, problem)) = problem::version(version) {
        let start = version_span.start;
        return fail(start + at.start..start + at.end, problem);
    }
    let version = program::without_v(version).to_owned();
    Ok(Some(Condition::Compare(comparison, version)))
}

fn parse_wildcard(
    comparison: Comparison,
    operator: &str,
    version: &str,
) -> Result<Option<Condition>, RequirementProblem> {
    if version == "*" && comparison == Comparison::Equal {
        return Ok(None);
    }
    let stem = version
        .strip_suffix(".*")
        .filter(|stem| problem::version(stem).is_none())
        .map(|stem| program::without_v(stem).to_owned());
    match (comparison, stem) {
        (Comparison::Equal, Some(stem)) => Ok(Some(Condition::Series(stem))),
        (Comparison::NotEqual, Some(stem)) => Ok(Some(Condition::NotSeries(stem))),
        (_, stem) => Err(problem::wildcard(operator, version, stem)),
    }
}

#[cfg(test)]
mod tests;
