//! `deployrun completions`, and what a shell is told that asks.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, Command, ValueEnum, ValueHint};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Zsh};

use crate::journal::{Filter, Reader, RunRow};
use crate::report::line::first_line;
use crate::report::out;
use crate::words::outcome::RunOutcome;

use super::context::{Context, state_dir};
use super::refuse::say;

/// Prints what makes a shell complete deployrun's commands, options, plans and runs.
///
/// The shell then asks deployrun itself, so that it also knows the runs in the journal. The text
/// belongs to this version of deployrun: load it anew with each shell, as the examples do.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "Examples:
  echo 'source <(deployrun completions bash)' >> ~/.bashrc
      for bash
  echo 'source <(deployrun completions zsh)' >> ~/.zshrc
      for zsh, behind the line with compinit
  echo 'deployrun completions fish | source' > ~/.config/fish/completions/deployrun.fish
      for fish
  Packages bring all three.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// With this variable a shell asks for completions. Not the usual `COMPLETE`: that may be set for
/// some other reason.
const VARIABLE: &str = "DEPLOYRUN_COMPLETE";
/// What bash lacks: the names of files as they must be typed.
const QUOTED: &str = r#"_deployrun() {
    local n
    _clap_complete_deployrun "$1" "${2//\\/}" "$3"
    for n in "${!COMPREPLY[@]}"; do
        printf -v "COMPREPLY[n]" %q "${COMPREPLY[n]}"
    done
}
complete -o nospace -o bashdefault -o nosort -F _deployrun deployrun 2>/dev/null ||
    complete -o nospace -o bashdefault -F _deployrun deployrun
"#;
/// So many runs are offered.
const RUNS: usize = 50;

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let mut text = Vec::new();
    let (shell, end): (&dyn EnvCompleter, &str) = match args.shell {
        Shell::Bash => (&Bash, QUOTED),
        Shell::Fish => (&Fish, ""),
        // As a file in `fpath` it is the function itself, and is called at once.
        Shell::Zsh => (
            &Zsh,
            "[[ $funcstack[1] == _deployrun ]] && _clap_dynamic_completer_deployrun \"$@\"\ntrue\n",
        ),
    };
    let written =
        shell.write_registration(VARIABLE, "deployrun", "deployrun", "deployrun", &mut text);
    text.extend(end.as_bytes());
    match written.and_then(|()| out::bytes(&text)) {
        Ok(()) => 0,
        Err(error) => {
            say(
                context,
                &format!("the completions can't be written: {error}"),
            );
            1
        }
    }
}

/// Answers a shell that asks, and ends the program; else does nothing.
pub(super) fn answer() {
    CompleteEnv::with_factory(|| equipped(super::tree()))
        .var(VARIABLE)
        .complete();
}

/// The tree of commands with what its words may be.
fn equipped(command: Command) -> Command {
    // `deployrun plan.rhai`.
    let bare = Arg::new("bare").add(ArgValueCompleter::new(plans));
    command.arg(bare).mut_subcommands(with_words)
}

fn with_words(command: Command) -> Command {
    let name = command.get_name().to_owned();
    command
        .mut_args(|arg| equip(&name, arg))
        .mut_subcommands(with_words)
}

fn equip(command: &str, arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "plan" | "plans" | "paths" if arg.get_value_hint() == ValueHint::AnyPath => {
            arg.add(ArgValueCompleter::new(plans))
        }
        "plan" => arg.add(names(|row| &row.plan)),
        "environment" => arg.add(names(|row| &row.environment)),
        "run" => {
            // What has ended cannot be gone on with, and only what is stuck can be put back.
            let unfinished = ["resume", "back-out", "approve"].contains(&command);
            let stuck = command == "put-back";
            arg.add(ArgValueCandidates::new(move || runs(unfinished, stuck)))
        }
        _ => arg,
    }
}

fn plans(current: &OsStr) -> Vec<CompletionCandidate> {
    let is_plan = |path: &Path| path.is_dir() || path.extension().is_some_and(|e| e == "rhai");
    PathCompleter::any().filter(is_plan).complete(current)
}

fn runs(unfinished: bool, stuck: bool) -> Vec<CompletionCandidate> {
    let outcomes = if stuck {
        vec![RunOutcome::Stuck.word().to_owned()]
    } else {
        Vec::new()
    };
    let filter = Filter {
        unfinished,
        outcomes,
        limit: Some(RUNS),
        ..Filter::default()
    };
    let candidate = |(n, row): (usize, &RunRow)| {
        let stands = row.outcome.as_ref().or(row.phase.as_ref());
        let gap = if row.version.is_empty() { "" } else { " " };
        let help = format!(
            "{}{gap}{} → {}, {}",
            row.plan,
            row.version,
            row.environment,
            stands.map_or("review", String::as_str)
        );
        CompletionCandidate::new(&row.id)
            .help(Some(first_line(&help).into()))
            // The newest first, as they come.
            .display_order(Some(n))
    };
    rows(&filter).iter().enumerate().map(candidate).collect()
}

fn names(name: fn(&RunRow) -> &String) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        let mut names: Vec<String> = rows(&Filter::default()).iter().map(name).cloned().collect();
        names.sort();
        names.dedup();
        names.iter().map(CompletionCandidate::new).collect()
    })
}

/// Nobody wants to read an error while typing.
fn rows(filter: &Filter) -> Vec<RunRow> {
    let words: Vec<OsString> = std::env::args_os().collect();
    Reader::open(&state_dir(state_of(&words)))
        .and_then(|reader| reader.runs(filter))
        .unwrap_or_default()
}

/// The value of `--state` in the words that have been typed.
fn state_of(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let word = word.to_str().unwrap_or_default();
        if word == "--state" {
            return words.next().map(PathBuf::from);
        }
        if let Some(value) = word.strip_prefix("--state=") {
            return Some(value.into());
        }
    }
    None
}
