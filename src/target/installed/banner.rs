//! Finds the version in what a program prints about itself.

use std::sync::LazyLock;

use regex::Regex;

/// Longer output is no banner; looking further would only find something else.
const LINES: usize = 40;

/// Dotted numbers with whatever is stuck to them: `1.22.1`, `9.2p1`, `8.0.36-0ubuntu0.22.04.1`.
const DOTTED: &str = r"[0-9]+(?:\.[0-9]+)+(?:[0-9A-Za-z._+~-]*[0-9A-Za-z])?";

static DOTTED_ANYWHERE: LazyLock<Regex> = LazyLock::new(|| regex(DOTTED));

/// What leads up to a number that is stated as a version.
static STATED: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?i)(?:\b(?:version|ver|release)[\s:="']*(?:[a-z]+[/-])?(?:go|v)?|(?:^|\s)v)({DOTTED})"#
    ))
});

/// `mysql  Ver 15.1 Distrib 10.11.6-MariaDB`: the first number is that of the client protocol.
static DISTRIB: LazyLock<Regex> = LazyLock::new(|| regex(&format!(r"\bDistrib ({DOTTED})")));

/// A line that consists of a number.
static BARE_NUMBER: LazyLock<Regex> = LazyLock::new(|| regex(r"^v?([0-9]+)$"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns of this file are fixed and compile, tests use each")
}

/// The version of `program` in its banner, or `None` if nothing looks like one.
///
/// In this order: dotted numbers right after the program's name or the name and "version"; the
/// first line with dotted numbers, those outside of brackets first; a plain number after the
/// name at the start of a line (`systemd 252`), or alone on its line.
pub fn version_in(program: &str, output: &str) -> Option<String> {
    let lines: Vec<&str> = output.lines().take(LINES).map(str::trim).collect();
    let first = |pattern: &Regex| {
        lines
            .iter()
            .find_map(|line| Some(pattern.captures(line)?.get(1)?.as_str().to_owned()))
    };
    let names = name_patterns(program);
    first(&DISTRIB)
        .or_else(|| first(&names.as_ref()?.dotted))
        .or_else(|| {
            lines.iter().find_map(|line| {
                // `systemd 252 (252.38-1)`: a plain number after the name beats the brackets.
                dotted_outside_brackets(line)
                    .or_else(|| captured(&names.as_ref()?.plain, line))
                    .or_else(|| Some(DOTTED_ANYWHERE.find(line)?.as_str().to_owned()))
            })
        })
        .or_else(|| first(&BARE_NUMBER))
}

/// Like [`version_in`], but only what is stated as a version: after the program's name, or after
/// the word "version". For the output of commands that failed, which may hold any number.
pub(super) fn stated_version_in(program: &str, output: &str) -> Option<String> {
    let names = name_patterns(program);
    output.lines().take(LINES).map(str::trim).find_map(|line| {
        names
            .as_ref()
            .and_then(|names| captured(&names.dotted, line))
            .or_else(|| captured(&STATED, line))
    })
}

struct NamePatterns {
    dotted: Regex,
    plain: Regex,
}

/// Patterns for a number after the name. The name is the last part of a path, and `python3` is
/// `Python 3.11.2`, so digits at its end may be missing.
fn name_patterns(program: &str) -> Option<NamePatterns> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let stem = name.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.');
    if stem.is_empty() {
        return None;
    }
    let digits = regex::escape(name.get(stem.len()..).unwrap_or_default());
    let name = format!("{}(?:{digits})?", regex::escape(stem));
    let dotted = format!(
        r#"(?i)(?:^|[^0-9a-z.]){name}(?:[\s/_:,=("'-]+|$)(?:(?:version|ver|v)?[\s:="'.]*)(?:{name}[/ -]?|v)?({DOTTED})"#
    );
    let plain = format!(r"(?i)^{name}[ /-](?:version )?v?([0-9]+)(?:\s|,|$)");
    Some(NamePatterns {
        dotted: Regex::new(&dotted).ok()?,
        plain: Regex::new(&plain).ok()?,
    })
}

fn captured(pattern: &Regex, line: &str) -> Option<String> {
    Some(pattern.captures(line)?.get(1)?.as_str().to_owned())
}

/// What stands in brackets is mostly about the packager or the libraries.
fn dotted_outside_brackets(line: &str) -> Option<String> {
    DOTTED_ANYWHERE
        .find_iter(line)
        .find(|found| {
            let before = line.get(..found.start()).unwrap_or_default();
            let count = |brackets: [char; 2]| before.matches(brackets).count();
            count(['(', '[']) <= count([')', ']'])
        })
        .map(|found| found.as_str().to_owned())
}

#[cfg(test)]
mod tests;
