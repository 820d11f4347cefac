//! What can be wrong with a requirement, and what to write instead.

use std::fmt;
use std::ops::Range;

/// Why a text is not a requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} in the requirement {text:?}: {problem}; {}", self.place(), self.hint())]
pub struct RequirementError {
    /// The whole requirement.
    pub text: String,
    /// Byte range of the offending part within `text`. Empty where something is missing.
    pub span: Range<usize>,
    /// What is wrong there. Its text form is one lower-case clause.
    pub problem: RequirementProblem,
}

/// What is wrong at one place of a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequirementProblem {
    /// Nothing is written at all.
    Empty,
    /// Nothing stands before, between or after commas.
    EmptyCondition,
    /// `~`, `^`, `~>` and `~=` mean different things in different tools. Holds what is written
    /// and, where it can be worked out, the same requirement as a range.
    AmbiguousOperator {
        /// As written.
        operator: String,
        /// For example `>= 1.2, < 1.3`.
        instead: Option<String>,
    },
    /// No such operator. Holds what is written and the operator that was probably meant.
    UnknownOperator {
        /// As written.
        operator: String,
        /// For example `>=` for `=>`.
        instead: Option<&'static str>,
    },
    /// An operator without a version.
    MissingVersion,
    /// Two conditions without a comma between them. Holds them joined by one.
    MissingComma {
        /// For example `>= 15, < 16`.
        instead: String,
    },
    /// `||` or `or`.
    Alternatives,
    /// A version that does not begin with a digit.
    NotAVersion {
        /// As written.
        version: String,
    },
    /// A character that no version has.
    BadCharacter {
        /// The character.
        character: char,
    },
    /// `*` in a place where it has no meaning. Holds a form that has one.
    BadWildcard {
        /// As written.
        version: String,
        /// For example `1.24.*`.
        instead: Option<String>,
    },
}

impl RequirementError {
    pub(super) fn new(text: &str, span: Range<usize>, problem: RequirementProblem) -> Self {
        Self {
            text: text.to_owned(),
            span,
            problem,
        }
    }

    /// What is wrong, as one lower-case clause.
    pub fn what(&self) -> String {
        self.problem.to_string()
    }

    /// What to do about it, as one lower-case clause.
    pub fn hint(&self) -> String {
        self.problem.hint()
    }

    fn place(&self) -> String {
        let before = self.text.get(..self.span.start).unwrap_or_default();
        format!("column {}", before.chars().count() + 1)
    }
}

impl fmt::Display for RequirementProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::EmptyCondition => f.write_str("a condition is missing beside a comma"),
            Self::AmbiguousOperator { operator, .. } => {
                write!(f, "`{operator}` means different things in different tools")
            }
            Self::UnknownOperator { operator, .. } => write!(f, "`{operator}` is no operator"),
            Self::MissingVersion => f.write_str("no version follows the operator"),
            Self::MissingComma { .. } => f.write_str("conditions are joined without a comma"),
            Self::Alternatives => f.write_str("alternatives are not supported"),
            Self::NotAVersion { version } => {
                write!(f, "`{version}` does not begin with a digit")
            }
            Self::BadCharacter { character } => {
                write!(f, "{character:?} cannot be part of a version")
            }
            Self::BadWildcard { version, .. } => {
                write!(f, "the wildcard in `{version}` has no meaning there")
            }
        }
    }
}

impl RequirementProblem {
    fn hint(&self) -> String {
        match self {
            Self::Empty => "for any version write `*`".to_owned(),
            Self::EmptyCondition => "take the comma out, or complete it as in `>= 15, < 16`".to_owned(),
            Self::AmbiguousOperator { instead: Some(instead), .. } => {
                format!("write the range out: `{instead}`")
            }
            Self::AmbiguousOperator { instead: None, .. } => {
                "write the range out, as in `>= 1.2, < 2`".to_owned()
            }
            Self::UnknownOperator { instead: Some(instead), .. } => format!("write `{instead}`"),
            Self::UnknownOperator { instead: None, .. } => {
                "the operators are `>=`, `>`, `<=`, `<`, `=` and `!=`".to_owned()
            }
            Self::MissingVersion => "write one, as in `>= 1.22`".to_owned(),
            Self::MissingComma { instead } => format!("write `{instead}`"),
            Self::Alternatives => "write one range with exceptions, as in `>= 15, < 18, != 16.*`".to_owned(),
            Self::NotAVersion { .. } => {
                "write a version such as `1.22`, or `*` for any".to_owned()
            }
            Self::BadCharacter { .. } => {
                "versions consist of letters, digits and `. + - ~ : _ ^`; conditions are joined by commas".to_owned()
            }
            Self::BadWildcard { instead: Some(instead), .. } => format!("write `{instead}`"),
            Self::BadWildcard { instead: None, .. } => {
                "a wildcard stands alone (`*`) or ends a series (`1.24.*`)".to_owned()
            }
        }
    }
}

/// What to say about an operator that is not one of ours.
pub(super) fn operator(operator: &str, version: &str) -> RequirementProblem {
    let written = operator.to_owned();
    match operator {
        "~" | "^" | "~>" | "~=" => RequirementProblem::AmbiguousOperator {
            operator: written,
            instead: range(operator, version),
        },
        _ => RequirementProblem::UnknownOperator {
            operator: written,
            instead: match operator {
                "=>" | "≥" => Some(">="),
                "=<" | "≤" => Some("<="),
                "<>" | "≠" | "!" | "!==" | "=!" => Some("!="),
                "===" => Some("="),
                ">>" => Some(">"),
                "<<" => Some("<"),
                _ => None,
            },
        },
    }
}

/// The range that `~`, `^`, `~>` or `~=` most commonly stands for: npm and Cargo for the first
/// two, Ruby and Python for the others.
fn range(operator: &str, version: &str) -> Option<String> {
    let numbers = version
        .split('.')
        .map(|number| number.parse::<u64>().ok())
        .collect::<Option<Vec<_>>>()?;
    let last = numbers.len().checked_sub(1)?;
    let raised = match operator {
        // The first number that is not 0 stays.
        "^" => numbers
            .iter()
            .position(|number| *number > 0)
            .unwrap_or(last),
        "~" => last.min(1),
        _ => last.checked_sub(1)?,
    };
    let mut upper = numbers.get(..=raised)?.to_vec();
    let top = upper.last_mut()?;
    *top = top.checked_add(1)?;
    let upper: Vec<String> = upper.iter().map(u64::to_string).collect();
    Some(format!(">= {version}, < {}", upper.join(".")))
}

/// Finds conditions that are joined by something else than a comma.
pub(super) fn joined(condition: &str, version: &str) -> Option<RequirementProblem> {
    let words: Vec<&str> = version.split_whitespace().collect();
    if version.contains('|') || words.iter().any(|word| word.eq_ignore_ascii_case("or")) {
        return Some(RequirementProblem::Alternatives);
    }
    let at = version.find(['<', '>', '=', '!'])?;
    let start = condition.len() - version.len();
    let (first, second) = condition.split_at(start + at);
    let first = first.trim_end_matches(|next: char| next.is_whitespace() || next == '&');
    let first = first.strip_suffix(" and").unwrap_or(first).trim_end();
    Some(RequirementProblem::MissingComma {
        instead: format!("{first}, {second}"),
    })
}

/// Checks a version without wildcards; the range is relative to it.
pub(super) fn version(version: &str) -> Option<(Range<usize>, RequirementProblem)> {
    let body = version.strip_prefix(['v', 'V']).unwrap_or(version);
    if !body.starts_with(|first: char| first.is_ascii_digit()) {
        let version = version.to_owned();
        return Some((
            0..version.len(),
            RequirementProblem::NotAVersion { version },
        ));
    }
    let (at, character) = version
        .char_indices()
        .find(|(_, next)| !next.is_ascii_alphanumeric() && !".+-~:_^".contains(*next))?;
    Some((
        at..at + character.len_utf8(),
        RequirementProblem::BadCharacter { character },
    ))
}

/// What to say about a misplaced wildcard. `stem` is set when only the operator does not fit.
pub(super) fn wildcard(operator: &str, version: &str, stem: Option<String>) -> RequirementProblem {
    let instead = match stem {
        Some(stem) => Some(format!("{operator} {stem}")),
        None => version
            .trim_end_matches(['x', 'X'])
            .split('*')
            .next()
            .map(|head| head.trim_end_matches('.'))
            .filter(|head| self::version(head).is_none())
            .map(|head| match operator {
                "" | "=" | "==" => format!("{head}.*"),
                "!=" => format!("!= {head}.*"),
                _ => format!("{operator} {head}"),
            }),
    };
    RequirementProblem::BadWildcard {
        version: version.to_owned(),
        instead,
    }
}
