//! `deployrun man`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

use crate::report::out;
use crate::words::suggest::nearest;

use super::context::Context;
use super::refuse::say;

/// Prints a manual page, or writes all of them.
///
/// They are made from the same table as `--help`: deployrun(1), and one page for each command.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The page of this command [default: that of deployrun itself]
    command: Option<String>,
    /// Writes all pages into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  deployrun man run | man -l -
      reads a page
  deployrun man --dir ~/.local/share/man/man1
      installs all of them";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let mut root = super::tree().disable_help_subcommand(true);
    root.build();
    let result = match (&args.dir, &args.command) {
        (Some(dir), _) => write_all(&root, dir),
        (None, None) => page(&root, None).and_then(|page| out::bytes(&page)),
        (None, Some(name)) => match all(&root).into_iter().find(|c| short(c) == name) {
            Some(command) => page(&root, Some(command)).and_then(|page| out::bytes(&page)),
            None => {
                let near = nearest(name, all(&root).into_iter().map(short));
                let near =
                    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                say(context, &format!("there is no command `{name}`{near}"));
                return 2;
            }
        },
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            say(context, &format!("the pages can't be written: {error}"));
            1
        }
    }
}

fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    let shown = |c: &&Command| !c.is_hide_set() && c.get_name() != "help";
    command.get_subcommands().filter(shown)
}

/// All commands, and those within them.
fn all(root: &Command) -> Vec<&Command> {
    let mut found = Vec::new();
    for command in commands(root) {
        found.push(command);
        found.extend(all(command));
    }
    found
}

/// `deployrun-lib-add`.
fn whole(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

/// `lib-add`.
fn short(command: &Command) -> &str {
    let whole = whole(command);
    whole.strip_prefix("deployrun-").unwrap_or(whole)
}

fn write_all(root: &Command, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("deployrun.1"), page(root, None)?)?;
    for command in all(root) {
        let name = format!("{}.1", whole(command));
        std::fs::write(dir.join(name), page(root, Some(command))?)?;
    }
    Ok(())
}

/// The page of a command, or of the program.
fn page(root: &Command, command: Option<&Command>) -> io::Result<Vec<u8>> {
    let of = command.unwrap_or(root);
    let version = root.get_version().unwrap_or_default();
    let man = Man::new(of.clone());
    let mut text = Vec::new();
    writeln!(
        text,
        ".TH \"{}\" 1 \"\" \"deployrun {version}\" \"deployrun\"",
        whole(of).to_uppercase()
    )?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    text.extend(without_double_breaks(&String::from_utf8_lossy(&options)).bytes());
    if commands(of).next().is_some() {
        section(&mut text, "COMMANDS")?;
        for command in commands(of) {
            let about = command.get_about().map(ToString::to_string);
            writeln!(text, ".TP\n\\fB{}\\fR(1)", escaped(whole(command)))?;
            writeln!(text, "{}", escaped(&about.unwrap_or_default()))?;
        }
    }
    let help = of.get_after_long_help().or(of.get_after_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    for (heading, lines) in parts(&help) {
        section(&mut text, &heading.to_uppercase())?;
        if command.is_none() && heading == "Environment" {
            variables(&mut text, root)?;
        }
        writeln!(text, ".nf")?;
        for line in lines {
            writeln!(text, "{}", escaped(line.strip_prefix("  ").unwrap_or(line)))?;
        }
        writeln!(text, ".fi")?;
    }
    section(&mut text, "SEE ALSO")?;
    let others: Vec<String> = match command {
        Some(_) => vec!["\\fBdeployrun\\fR(1)".to_owned()],
        None => commands(root)
            .map(|c| format!("\\fB{}\\fR(1)", escaped(whole(c))))
            .collect(),
    };
    writeln!(text, "{}", others.join(",\n"))?;
    Ok(text)
}

fn section(text: &mut Vec<u8>, name: &str) -> io::Result<()> {
    writeln!(text, ".SH \"{}\"", escaped(name))
}

/// The parts of a help text, each under a line at the margin that ends with a colon.
fn parts(help: &str) -> Vec<(&str, Vec<&str>)> {
    let mut parts: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in help.lines() {
        let heading = line.strip_suffix(':').filter(|l| !l.starts_with(' '));
        match (heading, parts.last_mut()) {
            (Some(heading), _) => parts.push((heading, Vec::new())),
            (None, Some((_, lines))) if !line.is_empty() => lines.push(line),
            _ => {}
        }
    }
    parts
}

/// The options that can be set by a variable.
fn variables(text: &mut Vec<u8>, root: &Command) -> io::Result<()> {
    let mut found: Vec<(String, String)> = Vec::new();
    for command in std::iter::once(root).chain(all(root)) {
        for arg in command.get_arguments() {
            let (Some(name), Some(long)) = (arg.get_env(), arg.get_long()) else {
                continue;
            };
            let name = name.to_string_lossy().into_owned();
            if found.iter().all(|(known, _)| *known != name) {
                found.push((name, long.to_owned()));
            }
        }
    }
    for (name, long) in found {
        writeln!(text, ".TP\n\\fB{}\\fR", escaped(&name))?;
        let long = escaped(&format!("--{long}"));
        writeln!(text, "What \\fB{long}\\fR says, where that is not given.")?;
    }
    writeln!(text, ".PP")
}

/// A break beside an empty line is one too many, and makes mandoc complain.
fn without_double_breaks(roff: &str) -> String {
    let lines: Vec<&str> = roff.lines().collect();
    let mut kept = String::new();
    for (n, line) in lines.iter().enumerate() {
        let beside = [n.checked_sub(1), Some(n + 1)];
        let mut beside = beside.into_iter().flatten().filter_map(|n| lines.get(n));
        if *line != ".br" || !beside.any(|line| line.is_empty()) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Text in which nothing is a request of roff.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}
