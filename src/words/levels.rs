//! Levels of findings: which of them are errors here, and which are not told.

use std::collections::BTreeMap;

use super::code::Code;
use super::diagnostic::{Diagnostic, Level, Note};
use super::place::Place;

/// What becomes of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// It is not told.
    Allow,
    /// It is a warning.
    Warn,
    /// It is an error: the plan does not run.
    Deny,
}

impl Setting {
    /// Every word that there is.
    pub const ALL: [Self; 3] = [Self::Deny, Self::Warn, Self::Allow];

    /// The word in the file and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }

    /// The setting of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.word() == word)
    }
}

/// Whose level is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// That of one finding.
    Code(Code),
    /// That of all that are warnings then; with `warn`, of all that were denied.
    Warnings,
}

/// The word for all warnings.
pub const WARNINGS: &str = "warnings";

impl Subject {
    /// Whose level `setting` is to be, by name.
    ///
    /// # Errors
    /// When there is no such finding, or it cannot have that level: an error is certain.
    pub fn of(name: &str, setting: Setting) -> Result<Self, Refused> {
        if name == WARNINGS {
            return Ok(Self::Warnings);
        }
        let Some(code) = Code::of(name) else {
            let names = Code::ALL.iter().map(|code| code.name());
            return Err(Refused {
                text: format!("there is no finding `{name}`"),
                hint: match super::suggest::nearest(name, names.chain([WARNINGS])) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "deployrun explain lists all".to_owned(),
                },
            });
        };
        if setting != Setting::Deny && !code.is_settable() {
            let word = match setting {
                Setting::Allow => "allowed",
                _ => "a warning",
            };
            return Err(Refused {
                text: format!("`{name}` can't be {word}: a plan with it could not run"),
                hint: "only warnings have levels; mend the plan".to_owned(),
            });
        }
        Ok(Self::Code(code))
    }
}

/// Why a level cannot be set, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub hint: String,
}

/// `CODE = "deny"` in the project file, or `--deny CODE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose level.
    pub subject: Subject,
    /// What becomes of it.
    pub setting: Setting,
    /// Who says so.
    pub by: By,
}

/// Who sets a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The project file, in this line.
    File(Place),
    /// An option of the command line: `--deny warnings`.
    Option(String),
}

/// The levels that hold for a plan.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    of: BTreeMap<Code, Change>,
}

impl Levels {
    /// Applies changes in their order; a later one wins.
    #[must_use]
    pub fn new<'c>(changes: impl IntoIterator<Item = &'c Change>) -> Self {
        let mut levels = Self::default();
        for change in changes {
            match change.subject {
                Subject::Code(code) => levels.set(code, change),
                Subject::Warnings => {
                    let meant = match change.setting {
                        Setting::Warn => Setting::Deny,
                        Setting::Allow | Setting::Deny => Setting::Warn,
                    };
                    for code in Code::ALL.iter().copied().filter(|code| code.is_settable()) {
                        if levels.setting(code) == meant {
                            levels.set(code, change);
                        }
                    }
                }
            }
        }
        levels
    }

    fn set(&mut self, code: Code, change: &Change) {
        if code.is_settable() {
            self.of.insert(code, change.clone());
        }
    }

    fn setting(&self, code: Code) -> Setting {
        self.of
            .get(&code)
            .map_or(Setting::Warn, |change| change.setting)
    }

    /// Leaves out what is allowed, and makes errors of what is denied, with a note that says by whom.
    #[must_use]
    pub fn apply(&self, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let kept = |mut problem: Diagnostic| {
            let Some(change) = self.of.get(&problem.code) else {
                return Some(problem);
            };
            match change.setting {
                Setting::Allow => return None,
                Setting::Warn => {}
                Setting::Deny => {
                    problem.level = Level::Error;
                    let (message, place) = match &change.by {
                        By::File(place) => ("denied here".to_owned(), place.clone()),
                        By::Option(option) => (format!("denied by {option}"), Place::default()),
                    };
                    problem.notes.push(Note {
                        message,
                        place,
                        end_column: 0,
                        line: None,
                    });
                }
            }
            Some(problem)
        };
        found.into_iter().filter_map(kept).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(changes: &[(&str, Setting)], code: Code) -> &'static str {
        let changes: Vec<Change> = changes
            .iter()
            .map(|(name, setting)| Change {
                subject: Subject::of(name, *setting).expect("it can be set"),
                setting: *setting,
                by: By::Option(format!("--{} {name}", setting.word())),
            })
            .collect();
        let found = vec![Diagnostic::new(code, Place::default(), "x")];
        match Levels::new(&changes).apply(found).first() {
            None => "allowed",
            Some(found) => found.level.word(),
        }
    }

    #[test]
    fn a_later_level_wins_and_warnings_are_what_is_a_warning_then() {
        use Setting::{Allow, Deny, Warn};
        let (a, b) = (Code::NoTimeout, Code::NoVerify);
        assert_eq!(level(&[], a), "warning");
        assert_eq!(level(&[("no-timeout", Deny)], a), "error");
        assert_eq!(level(&[("no-timeout", Deny)], b), "warning");
        assert_eq!(
            level(&[("no-timeout", Deny), ("no-timeout", Allow)], a),
            "allowed"
        );
        assert_eq!(level(&[("warnings", Deny)], a), "error");
        assert_eq!(
            level(&[("warnings", Deny), ("no-timeout", Warn)], a),
            "warning"
        );
        assert_eq!(
            level(&[("no-timeout", Allow), ("warnings", Deny)], a),
            "allowed"
        );
        assert_eq!(
            level(&[("no-timeout", Warn), ("warnings", Deny)], a),
            "error"
        );
        assert_eq!(
            level(&[("warnings", Deny), ("warnings", Warn)], a),
            "warning"
        );
        assert_eq!(level(&[("warnings", Allow)], Code::Syntax), "error");
    }

    #[test]
    fn what_is_certain_has_no_level() {
        let of = |name, setting| Subject::of(name, setting).map_err(|e| e.text);
        let refused = "`syntax` can't be allowed: a plan with it could not run";
        assert_eq!(of("syntax", Setting::Allow), Err(refused.to_owned()));
        assert!(of("syntax", Setting::Warn).is_err());
        assert_eq!(of("syntax", Setting::Deny), Ok(Subject::Code(Code::Syntax)));
        let near = Subject::of("no-timeot", Setting::Deny).map_err(|e| e.hint);
        assert_eq!(near, Err("did you mean `no-timeout`?".to_owned()));
    }
}
