//! The package databases: what to ask them, and what their answers mean.

use std::cmp::Ordering;

use super::CommandOutput;
use crate::words::version::{Scheme, compare};

/// The databases in the order in which they are asked.
pub(super) const DATABASES: [Database; 4] = [
    Database::Dpkg,
    Database::Rpm,
    Database::Apk,
    Database::Pacman,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Database {
    Dpkg,
    Rpm,
    Apk,
    Pacman,
}

/// What a database says about one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Installed(String),
    /// Not installed, perhaps with something worth knowing about it.
    Absent(Option<String>),
    /// The database could not be read, and why.
    Unreadable(String),
}

impl Database {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Rpm => "rpm",
            Self::Apk => "apk",
            Self::Pacman => "pacman",
        }
    }

    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::Dpkg => Scheme::Debian,
            Self::Rpm => Scheme::Rpm,
            Self::Apk => Scheme::Apk,
            Self::Pacman => Scheme::Pacman,
        }
    }

    pub(super) fn query(self, name: &str) -> Vec<&str> {
        match self {
            Self::Dpkg => vec![
                "dpkg-query",
                "-W",
                "-f",
                "${db:Status-Abbrev}\\t${Version}\\n",
                name,
            ],
            Self::Rpm => vec![
                "rpm",
                "-q",
                "--qf",
                "%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n",
                name,
            ],
            // `-e` only looks at what is installed, and `-v` adds the version.
            Self::Apk => vec!["apk", "info", "-e", "-v", name],
            Self::Pacman => vec!["pacman", "-Q", name],
        }
    }

    /// Lists what every installed package provides. Only dpkg needs a question of its own; apk
    /// and pacman answer with the provider at once.
    pub(super) fn providers_query(self) -> Option<Vec<&'static str>> {
        (self == Self::Dpkg).then(|| {
            vec![
                "dpkg-query",
                "-W",
                "-f",
                "${db:Status-Abbrev}\\t${Package}\\t${Provides}\\n",
            ]
        })
    }

    pub(super) fn install_command(self, name: &str) -> String {
        let command = match self {
            Self::Dpkg => "apt-get install",
            Self::Rpm => "dnf install",
            Self::Apk => "apk add",
            Self::Pacman => "pacman -S",
        };
        format!("{command} {name}")
    }

    pub(super) fn read(self, name: &str, output: &CommandOutput) -> Answer {
        match self {
            Self::Dpkg => read_dpkg(output),
            Self::Rpm => read_rpm(output),
            Self::Apk => read_apk(name, output),
            Self::Pacman => read_pacman(name, output),
        }
    }
}

/// The second letter of the status is what is there, a third one an error: `ii ` and `hi ` are
/// installed, `rc ` left its configuration behind, `iU ` and `iF ` stopped half way.
fn read_dpkg(output: &CommandOutput) -> Answer {
    if !matches!(output.code, Some(0 | 1)) {
        return Answer::Unreadable(failure(output));
    }
    let lines: Vec<(&str, &str)> = output
        .stdout
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    let versions = lines
        .iter()
        .filter(|(status, _)| status.as_bytes().get(1) == Some(&b'i') && status.trim().len() == 2)
        .map(|(_, version)| *version);
    if let Some(version) = newest(Scheme::Debian, versions) {
        return Answer::Installed(version);
    }
    // Status 1 without a line is "no packages found"; anything else it would say is a failure.
    if output.code == Some(1) && lines.is_empty() && !output.stderr.contains("no packages found") {
        return Answer::Unreadable(failure(output));
    }
    let note = lines.iter().find_map(|(status, version)| {
        let status = status.trim();
        match status.as_bytes().get(1) {
            Some(b'n') | None => None,
            Some(b'c') => Some(format!(
                "version {version} was removed and left its configuration behind"
            )),
            Some(_) => Some(format!(
                "version {version} is not completely installed, dpkg says {status}"
            )),
        }
    });
    Answer::Absent(note)
}

fn read_rpm(output: &CommandOutput) -> Answer {
    if output.code == Some(0) {
        let versions = output
            .stdout
            .lines()
            .map(str::trim)
            .filter(|line| line.contains('-') && line.contains(':'));
        return match newest(Scheme::Rpm, versions) {
            // Epoch 0 is how rpm says that there is none.
            Some(version) => {
                Answer::Installed(version.strip_prefix("0:").unwrap_or(&version).to_owned())
            }
            None => Answer::Unreadable(unexpected(output)),
        };
    }
    let said_no = [&output.stdout, &output.stderr]
        .iter()
        .any(|text| text.contains("is not installed"));
    if said_no {
        Answer::Absent(None)
    } else {
        Answer::Unreadable(failure(output))
    }
}

/// Lines are `NAME-VERSION-rN`. A line about another package names the provider.
fn read_apk(name: &str, output: &CommandOutput) -> Answer {
    let lines: Vec<&str> = output.stdout.lines().map(str::trim).collect();
    let version = |line: &&str| {
        line.split_whitespace()
            .next()
            .and_then(|package| package.strip_prefix(name))
            .and_then(|rest| rest.strip_prefix('-'))
            .filter(|version| version.starts_with(|first: char| first.is_ascii_digit()))
            .map(str::to_owned)
    };
    let versions: Vec<String> = lines.iter().filter_map(version).collect();
    if let Some(version) = newest(Scheme::Apk, versions.iter().map(String::as_str)) {
        return Answer::Installed(version);
    }
    let failed = output.code.is_none() || output.stderr.contains("ERROR");
    match lines.iter().find(|line| !line.is_empty()) {
        Some(provider) => Answer::Absent(Some(provided_by(name, &[(*provider).to_owned()]))),
        None if failed => Answer::Unreadable(failure(output)),
        None => Answer::Absent(None),
    }
}

/// One line, `NAME VERSION`. pacman answers with the provider when no package has the name.
fn read_pacman(name: &str, output: &CommandOutput) -> Answer {
    if output.code == Some(0) {
        let line = output.stdout.lines().next().unwrap_or_default();
        return match line.split_once(' ') {
            Some((package, version)) if package == name => {
                Answer::Installed(version.trim().to_owned())
            }
            Some((package, _)) => Answer::Absent(Some(provided_by(name, &[package.to_owned()]))),
            None => Answer::Unreadable(unexpected(output)),
        };
    }
    if output.stderr.contains("was not found") {
        Answer::Absent(None)
    } else {
        Answer::Unreadable(failure(output))
    }
}

/// Which installed packages provide a name, from the answer to
/// [`Database::providers_query`]. An entry of `Provides` may state a version: `awk (= 1)`.
pub(super) fn dpkg_providers(name: &str, listing: &str) -> Vec<String> {
    let mut providers: Vec<String> = listing
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let installed = fields.next()?.as_bytes().get(1) == Some(&b'i');
            let package = fields.next()?;
            let provides = fields.next()?.split(',').any(|entry| {
                entry
                    .split_whitespace()
                    .next()
                    .and_then(|entry| entry.split(':').next())
                    == Some(name)
            });
            (installed && provides && package != name).then(|| package.to_owned())
        })
        .collect();
    providers.sort_unstable();
    providers.dedup();
    providers
}

pub(super) fn provided_by(name: &str, providers: &[String]) -> String {
    let verb = if providers.len() == 1 {
        "provides"
    } else {
        "provide"
    };
    format!("{} {verb} {name}, ask for that", providers.join(", "))
}

fn newest<'a>(scheme: Scheme, versions: impl Iterator<Item = &'a str>) -> Option<String> {
    versions
        .filter(|version| !version.is_empty())
        .max_by(|left, right| match compare(scheme, left, right) {
            // Equal ones may be spelt differently; the choice must not depend on their order.
            Ordering::Equal => left.cmp(right),
            order => order,
        })
        .map(str::to_owned)
}

/// Why a command failed, in its own words.
pub(super) fn failure(output: &CommandOutput) -> String {
    let ended = match output.code {
        Some(code) => format!("exit status {code}"),
        None => "ended by a signal".to_owned(),
    };
    match first_line(&output.stderr).or_else(|| first_line(&output.stdout)) {
        Some(line) => format!("{ended}, {line}"),
        None => ended,
    }
}

fn unexpected(output: &CommandOutput) -> String {
    let line = first_line(&output.stdout).unwrap_or_default();
    format!("unexpected output {line:?}")
}

/// The first line with something on it, at most 200 characters of it.
pub(super) fn first_line(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .map(|line| line.chars().take(200).collect())
}
