//! Is a component there, and in which version?
//!
//! The system's package databases are asked first (dpkg, rpm, apk, pacman, as far as they are
//! there), then the program itself. Everything here is parsing; the commands are run by a closure
//! of the caller, so that the same code serves this machine and a remote one.
//!
//! All commands are meant to only read. The last resort, `NAME version`, goes to a program we know
//! nothing about, and an interpreter would take `version` for a script. So the closure must set a
//! timeout, give no input, and should run in `/`, where no such file lies. It should also set
//! `LC_ALL=C`: some answers are recognised by their English words.

mod banner;
mod database;

pub use banner::version_in;

use std::fmt;

use regex::Regex;

use crate::words::version::{Requirement, Scheme};
use database::{Answer, DATABASES, Database};

/// What a finished command left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandOutput {
    /// Exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error, invalid UTF-8 replaced.
    pub stderr: String,
}

/// Why a command has no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// There is no such program.
    #[error("there is no such program")]
    NotFound,
    /// It could not be run or did not end: no permission, timeout, lost connection.
    #[error("{0}")]
    Failed(String),
}

/// Runs an argument vector without a shell and returns what it printed.
pub type Run<'a> = &'a dyn Fn(&[&str]) -> Result<CommandOutput, RunError>;

/// How to learn the version, where the usual ways do not fit. Either field takes the place of
/// the package databases.
#[derive(Debug, Clone, Default)]
pub struct HowToAsk {
    /// The command to run, as an argument vector. Without it, the program is asked in the usual
    /// ways.
    pub command: Option<Vec<String>>,
    /// Finds the version in the output: the group `version` if there is one, else the first
    /// group, else the whole match.
    pub pattern: Option<Regex>,
}

/// A component that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As the source states it, with epoch and revision.
    pub version: String,
    /// By whose rules to compare it.
    pub scheme: Scheme,
    /// `dpkg`, `rpm`, `apk`, `pacman`, or the command that printed it.
    pub source: String,
}

/// A component that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInstalled {
    /// What was asked, in order: `dpkg`, `rpm (could not be asked: …)`, `a program nginx`.
    pub looked_in: Vec<String>,
    /// What else the databases said, for example that another package provides the name.
    pub notes: Vec<String>,
    /// The command that would install it, where a package manager is known.
    pub install: Option<String>,
}

impl fmt::Display for NotInstalled {
    /// What follows "NAME ": `is not installed (looked in dpkg, and for a program nginx)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not installed")?;
        let (programs, databases): (Vec<&String>, Vec<&String>) = self
            .looked_in
            .iter()
            .partition(|place| place.starts_with("a program "));
        let list = |places: &[&String]| {
            let places: Vec<&str> = places.iter().map(|place| place.as_str()).collect();
            places.join(", ")
        };
        match (databases.is_empty(), programs.is_empty()) {
            (true, true) => {}
            (false, true) => write!(f, " (looked in {})", list(&databases))?,
            (true, false) => write!(f, " (looked for {})", list(&programs))?,
            (false, false) => write!(
                f,
                " (looked in {}, and for {})",
                list(&databases),
                list(&programs)
            )?,
        }
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        if let Some(command) = &self.install {
            write!(f, "; install it with: {command}")?;
        }
        Ok(())
    }
}

/// Why no version of a component is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstalledError {
    /// It is not there.
    #[error("{0}")]
    NotInstalled(NotInstalled),
    /// The name is none: empty, or with characters that a package database would expand.
    #[error(
        "{name:?} is not the name of a component; write one package or program, without blanks or wildcards"
    )]
    BadName {
        /// As written.
        name: String,
    },
    /// The program is there but says nothing that looks like a version.
    #[error(
        "is there, but its version is unknown: {} printed nothing that looks like one{}; say how to ask with `command` and `pattern`",
        tried.join(", "),
        notes.iter().fold(String::new(), |text, note| text + "; " + note.as_str())
    )]
    NoVersion {
        /// The commands that were tried.
        tried: Vec<String>,
        /// What the databases said, for example which package provides the name.
        notes: Vec<String>,
    },
    /// The pattern of [`HowToAsk`] does not occur in the output.
    #[error("is there, but `{pattern}` matches nothing in the output of {command}: {output:?}")]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// The command or commands.
        command: String,
        /// The first line of what it printed.
        output: String,
    },
    /// A command that would have told could not be run or failed.
    #[error("could not be looked up: {command}: {reason}")]
    CouldNotAsk {
        /// The command.
        command: String,
        /// What went wrong.
        reason: String,
    },
}

/// Whether a requirement is met, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is.
    pub ok: bool,
    /// One line for people, beginning with the name of the component.
    pub text: String,
}

/// Finds out whether `name` is installed, and in which version.
///
/// Where several versions are installed side by side, the newest one speaks. A name with a slash
/// is the path of a program, and no database is asked about it.
///
/// # Errors
/// See [`InstalledError`]. A database that cannot be asked is an error only when nothing else
/// gave an answer; otherwise it is mentioned in [`NotInstalled::looked_in`].
pub fn find(name: &str, how: &HowToAsk, run: Run<'_>) -> Result<Found, InstalledError> {
    if !is_name(name) {
        return Err(InstalledError::BadName {
            name: name.to_owned(),
        });
    }
    if let Some(command) = &how.command {
        return ask_command(command, how.pattern.as_ref(), run);
    }
    let mut absence = Absence::default();
    if how.pattern.is_none()
        && !name.contains('/')
        && let Some(found) = ask_databases(name, &mut absence, run)
    {
        return Ok(found);
    }
    ask_program(name, how.pattern.as_ref(), absence, run)
}

/// Says whether what was found meets a requirement.
///
/// A program whose version is unknown meets only `*`.
pub fn verdict(
    name: &str,
    found: &Result<Found, InstalledError>,
    requirement: &Requirement,
) -> Verdict {
    match found {
        Ok(Found {
            version,
            scheme,
            source,
        }) => {
            let ok = requirement.matches(*scheme, version);
            let demand = if requirement.is_any() {
                "any version will do".to_owned()
            } else if ok {
                format!("meets {requirement}")
            } else {
                format!("{requirement} is required")
            };
            let text = format!("{name} {version} is installed ({source}), {demand}");
            Verdict { ok, text }
        }
        Err(error @ InstalledError::BadName { .. }) => Verdict {
            ok: false,
            text: error.to_string(),
        },
        Err(InstalledError::NoVersion { .. }) if requirement.is_any() => Verdict {
            ok: true,
            text: format!("{name} is there, its version is unknown, any version will do"),
        },
        Err(error) => Verdict {
            ok: false,
            text: format!("{name} {error}"),
        },
    }
}

/// dpkg expands `*?[]`, and a leading hyphen would be read as an option.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name
            .chars()
            .all(|next| next.is_alphanumeric() || ".+-_:@/".contains(next))
}

/// What was learnt while nothing was found.
#[derive(Default)]
struct Absence {
    looked_in: Vec<String>,
    notes: Vec<String>,
    install: Option<String>,
    /// The first database that is there but could not be asked.
    failed: Option<(String, String)>,
    /// Whether a database said clearly that the package is not installed.
    answered: bool,
}

impl Absence {
    fn into_error(self) -> InstalledError {
        match self.failed {
            Some((command, reason)) if !self.answered => {
                InstalledError::CouldNotAsk { command, reason }
            }
            _ => InstalledError::NotInstalled(NotInstalled {
                looked_in: self.looked_in,
                notes: self.notes,
                install: self.install,
            }),
        }
    }
}

fn ask_databases(name: &str, absence: &mut Absence, run: Run<'_>) -> Option<Found> {
    for database in &DATABASES {
        let argv = database.query(name);
        let answer = match run(&argv) {
            Ok(output) => database.read(name, &output),
            Err(RunError::NotFound) => continue,
            Err(RunError::Failed(reason)) => Answer::Unreadable(reason),
        };
        match answer {
            Answer::Installed(version) => {
                return Some(Found {
                    version,
                    scheme: database.scheme(),
                    source: database.name().to_owned(),
                });
            }
            Answer::Absent(note) => {
                absence.looked_in.push(database.name().to_owned());
                absence.answered = true;
                absence
                    .install
                    .get_or_insert_with(|| database.install_command(name));
                let provider = || provider_note(*database, name, run);
                absence.notes.extend(note.or_else(provider));
            }
            Answer::Unreadable(reason) => {
                let place = format!("{} (could not be asked: {reason})", database.name());
                absence.looked_in.push(place);
                absence
                    .failed
                    .get_or_insert_with(|| (argv.join(" "), reason));
            }
        }
    }
    None
}

/// Who provides a name that is no package of its own. It is only a hint, so a failure is none.
fn provider_note(database: Database, name: &str, run: Run<'_>) -> Option<String> {
    let argv = database.providers_query()?;
    let output = run(&argv).ok()?;
    let providers = database::dpkg_providers(name, &output.stdout);
    (!providers.is_empty()).then(|| database::provided_by(name, &providers))
}

fn ask_command(
    command: &[String],
    pattern: Option<&Regex>,
    run: Run<'_>,
) -> Result<Found, InstalledError> {
    let argv: Vec<&str> = command.iter().map(String::as_str).collect();
    let shown = argv.join(" ");
    let could_not_ask = |reason: String| InstalledError::CouldNotAsk {
        command: shown.clone(),
        reason,
    };
    let Some(program) = argv.first().copied() else {
        return Err(could_not_ask("the command is empty".to_owned()));
    };
    let output = run(&argv).map_err(|error| match error {
        RunError::NotFound => InstalledError::NotInstalled(NotInstalled {
            looked_in: vec![format!("a program {program}")],
            notes: Vec::new(),
            install: None,
        }),
        RunError::Failed(reason) => could_not_ask(reason),
    })?;
    let version = match pattern {
        Some(pattern) => {
            matched(pattern, &output).ok_or_else(|| no_match(pattern, &shown, &output))
        }
        // A pattern that matches is proof enough; without one the exit status must vouch.
        None if output.code != Some(0) => Err(could_not_ask(database::failure(&output))),
        None => banner::version_in(program, &output.stdout)
            .or_else(|| banner::version_in(program, &output.stderr))
            .ok_or_else(|| InstalledError::NoVersion {
                tried: vec![shown.clone()],
                notes: Vec::new(),
            }),
    }?;
    Ok(program_found(version, shown))
}

/// Asks the program itself, until it prints something like a version. From a command that failed
/// only what is stated as a version counts: its message may hold any number. Such a version is
/// taken at once all the same, because every further question is a risk with a program that takes
/// `version` for a file name.
fn ask_program(
    name: &str,
    pattern: Option<&Regex>,
    mut absence: Absence,
    run: Run<'_>,
) -> Result<Found, InstalledError> {
    let mut tried = Vec::new();
    let mut last_output = CommandOutput::default();
    for option in ["--version", "-version", "-V", "version"] {
        let shown = format!("{name} {option}");
        let output = match run(&[name, option]) {
            Ok(output) => output,
            Err(RunError::NotFound) => {
                absence.looked_in.push(format!("a program {name}"));
                return Err(absence.into_error());
            }
            Err(RunError::Failed(reason)) => {
                return Err(InstalledError::CouldNotAsk {
                    command: shown,
                    reason,
                });
            }
        };
        let version = match pattern {
            Some(pattern) => matched(pattern, &output),
            None if output.code == Some(0) => banner::version_in(name, &output.stdout)
                .or_else(|| banner::version_in(name, &output.stderr)),
            None => banner::stated_version_in(name, &output.stdout)
                .or_else(|| banner::stated_version_in(name, &output.stderr)),
        };
        if let Some(version) = version {
            return Ok(program_found(version, shown));
        }
        tried.push(shown);
        last_output = output;
    }
    Err(match pattern {
        Some(pattern) => no_match(pattern, &tried.join(", "), &last_output),
        None => InstalledError::NoVersion {
            tried,
            notes: absence.notes,
        },
    })
}

fn program_found(version: String, source: String) -> Found {
    Found {
        version,
        scheme: Scheme::Generic,
        source,
    }
}

fn matched(pattern: &Regex, output: &CommandOutput) -> Option<String> {
    [&output.stdout, &output.stderr]
        .into_iter()
        .find_map(|text| {
            let captures = pattern.captures(text)?;
            let version = captures
                .name("version")
                .or_else(|| captures.get(1))
                .or_else(|| captures.get(0))?;
            let version = version.as_str().trim();
            (!version.is_empty()).then(|| version.to_owned())
        })
}

fn no_match(pattern: &Regex, command: &str, output: &CommandOutput) -> InstalledError {
    InstalledError::NoMatch {
        pattern: pattern.as_str().to_owned(),
        command: command.to_owned(),
        output: database::first_line(&output.stdout)
            .or_else(|| database::first_line(&output.stderr))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
