//! The command line: one file a command, whose doc comment is its help.

mod approve;
mod back_out;
mod check;
mod completions;
mod context;
mod doc;
mod document;
mod explain;
mod fmt;
mod history;
mod levels;
mod libraries;
mod log;
mod logs;
mod man;
mod new;
mod plans;
mod preview;
mod prompt;
mod put_back;
mod refuse;
mod resume;
mod run;
mod runs;
mod show;
mod status;
mod test;
mod values;
mod window;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::report::out;

use context::{Format, Global};

/// Executes deployment plans: reviews, waits for the window, releases while watching, and backs out
/// when it goes wrong.
///
/// `deployrun plan.rhai` is `deployrun run plan.rhai`.
#[derive(Debug, Parser)]
#[command(
    name = "deployrun",
    version,
    propagate_version = true,
    after_help = "More: deployrun --help, deployrun help COMMAND, man deployrun",
    after_long_help = MORE
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const MORE: &str = "Exit status:
  0  released (or the command did what it says)
  1  refused, nothing was changed
  2  wrong usage
  3  backed out, production is as before
  4  stuck, a person is needed
  5  the run is still going on elsewhere

Environment:
  NO_COLOR                if it is set and not empty, nothing is coloured
  DEPLOYRUN_LOG           diagnostics on standard error: debug, or a filter of tracing
  TZ                      the zone in which times are told, instead of the machine's
  XDG_STATE_HOME, HOME    where the state directory is if nothing says it
  DEPLOYRUN_COMPLETE      for shells: see deployrun completions

Files:
  $XDG_STATE_HOME/deployrun, else ~/.local/state/deployrun
      the state directory, readable by its owner alone
  journal.db, journal.db-wal
      the journal: all runs, with their plans
  runs/RUN/
      output of steps, and former files that back-outs put back

Examples:
  deployrun new shop
      a project to begin with
  deployrun check plan.rhai
      looks at a plan without running it
  deployrun plan.rhai
      runs it
  deployrun status
      what goes on now, from another terminal
  deployrun back-out 20260321-22
      undoes a run whose process is gone";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Preview(preview::Args),
    Explain(explain::Args),
    Resume(resume::Args),
    BackOut(back_out::Args),
    PutBack(put_back::Args),
    Runs(runs::Args),
    Status(status::Args),
    Show(show::Args),
    Logs(logs::Args),
    Approve(approve::Args),
    Window(window::Args),
    Test(test::Args),
    Lib(libraries::Args),
    New(new::Args),
    Completions(completions::Args),
    Man(man::Args),
    Fmt(fmt::Args),
    Doc(doc::Args),
}

impl Command {
    /// # Errors
    /// When the command does not have this form of output.
    fn has_format(&self, format: Format) -> Result<(), String> {
        use Format::{Github, Html, Human, Json, Junit, Markdown, Sarif};
        let (name, forms): (&str, &[Format]) = match self {
            Self::Run(args) if args.is_dry() => ("run --dry-run", &[Human, Json]),
            Self::Preview(_) => ("preview", &[Human, Json]),
            Self::Run(_) => ("run", &[Human, Json, Junit]),
            Self::Check(_) => ("check", &[Human, Json, Sarif, Github]),
            Self::Explain(_) => ("explain", &[Human, Json]),
            Self::Resume(_) => ("resume", &[Human, Json, Junit]),
            Self::BackOut(_) => ("back-out", &[Human, Json, Junit]),
            Self::PutBack(_) => ("put-back", &[Human, Json]),
            Self::Runs(_) => ("runs", &[Human, Json]),
            Self::Show(_) => ("show", &[Human, Json, Junit, Html]),
            Self::Status(_) => ("status", &[Human, Json]),
            Self::Logs(_) => ("logs", &[Human, Json]),
            Self::Approve(_) => ("approve", &[Human, Json]),
            Self::Window(_) => ("window", &[Human, Json]),
            Self::Test(_) => ("test", &[Human, Json, Junit]),
            Self::Lib(_) => ("lib", &[Human, Json]),
            Self::New(_) => ("new", &[Human, Json]),
            Self::Completions(_) => ("completions", &[Human]),
            Self::Man(_) => ("man", &[Human]),
            Self::Fmt(_) => ("fmt", &[Human, Json]),
            Self::Doc(args) if args.is_check() => ("doc --check", &[Human, Json, Sarif, Github]),
            Self::Doc(_) => ("doc", &[Human, Html, Markdown]),
        };
        format.is_among(name, forms)
    }
}

/// Runs the command that the program's arguments name.
#[must_use]
pub fn main() -> ExitCode {
    completions::answer();
    // Whoever writes beyond a limit (`ulimit -f`) gets an error, and is not killed.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
    let args = with_bare_form(std::env::args_os().collect());
    let parsed = tree()
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            if error.kind() == ErrorKind::MissingSubcommand {
                out::error_line(help_without_subcommand(&error).trim_end());
                return ExitCode::from(2);
            }
            let error = with_plan_named_so(error);
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let context = cli.global.context().and_then(|context| {
        cli.command.has_format(context.format)?;
        Ok((context, log::start()?))
    });
    let (context, _log) = match context {
        Ok(context) => context,
        Err(problem) => {
            out::error_line(&format!("error: {problem}"));
            return ExitCode::from(2);
        }
    };
    // The exit status of a run says how it ended, whoever could read of it.
    let is_of_run = matches!(
        cli.command,
        Command::Run(_) | Command::Resume(_) | Command::BackOut(_) | Command::PutBack(_)
    );
    let status = match cli.command {
        Command::Run(args) => run::run(&context, args),
        Command::Check(args) => check::run(&context, &args),
        Command::Preview(args) => preview::run(&context, args),
        Command::Explain(args) => explain::run(&context, &args),
        Command::Resume(args) => resume::run(&context, &args),
        Command::BackOut(args) => back_out::run(&context, &args),
        Command::PutBack(args) => put_back::run(&context, &args),
        Command::Runs(args) => runs::run(&context, &args),
        Command::Status(args) => status::run(&context, &args),
        Command::Show(args) => show::run(&context, &args),
        Command::Logs(args) => logs::run(&context, &args),
        Command::Approve(args) => approve::run(&context, &args),
        Command::Window(args) => window::run(&context, &args),
        Command::Test(args) => test::run(&context, &args),
        Command::Lib(args) => libraries::run(&context, &args),
        Command::New(args) => new::run(&context, &args),
        Command::Completions(args) => completions::run(&context, &args),
        Command::Man(args) => man::run(&context, &args),
        Command::Fmt(args) => fmt::run(&context, &args),
        Command::Doc(args) => doc::run(&context, &args),
    };
    let Some(problem) = out::lost() else {
        return ExitCode::from(status);
    };
    out::error_line(&format!(
        "error: standard output can't be written: {problem}"
    ));
    let is_fine = status == 0 && !is_of_run;
    ExitCode::from(if is_fine { 1 } else { status })
}

/// Would a command line be understood? The manual is held to it.
///
/// # Errors
/// What is wrong with it.
pub fn understands(line: Vec<OsString>) -> Result<(), String> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    match Cli::try_parse_from(with_bare_form(line)) {
        Ok(cli) => cli.command.has_format(cli.global.context()?.format),
        Err(error) if matches!(error.kind(), DisplayHelp | DisplayVersion) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The tree of all commands: what is parsed, helped with, completed, and described in man pages.
fn tree() -> clap::Command {
    Cli::command()
        .mut_args(|arg| with_variable(arg).help_heading(EVERYWHERE))
        .mut_subcommands(with_variables)
}

fn with_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(with_variable)
        .mut_subcommands(with_variables)
}

/// An option, as it can be set by a variable.
fn with_variable(arg: Arg) -> Arg {
    let is_flag = matches!(arg.get_action(), ArgAction::SetTrue) && arg.get_env().is_some();
    let value = arg.get_env().and_then(std::env::var_os);
    let arg = match value.is_some_and(|value| value.is_empty()) {
        // As if it were not set.
        true => arg.env(None),
        // What it holds now is not what the help is about.
        false => arg.hide_env_values(true),
    };
    match is_flag {
        true => arg.value_parser(values::yes_or_no),
        false => arg,
    }
}

/// Over the options of all commands.
const EVERYWHERE: &str = "Options of all commands";

/// The help of the command that wants another word.
fn help_without_subcommand(error: &clap::Error) -> String {
    let mut command = tree();
    command.build();
    if let Some(ContextValue::String(words)) = error.get(ContextKind::InvalidSubcommand) {
        for word in words.split(' ').skip(1) {
            if let Some(found) = command.find_subcommand(word) {
                command = found.clone();
            }
        }
    }
    command.render_help().to_string()
}

/// Somebody who forgets the ending of a plan is told so.
fn with_plan_named_so(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) {
        let plan = format!("{word}.rhai");
        if std::path::Path::new(&plan).is_file() {
            let tip = format!("there is a plan `{plan}` here: deployrun {plan}");
            let tips = ContextValue::StyledStrs(vec![tip.into()]);
            error.insert(ContextKind::Suggested, tips);
        }
    }
    error
}

/// `deployrun plan.rhai` means `deployrun run plan.rhai`: the first word that is no option, when it
/// is no command and looks like a plan.
fn with_bare_form(mut args: Vec<OsString>) -> Vec<OsString> {
    let command = Cli::command();
    let takes_value = |flag: &str| {
        command.get_arguments().any(|arg| {
            let long = arg
                .get_long()
                .is_some_and(|long| flag == format!("--{long}"));
            let short = arg
                .get_short()
                .is_some_and(|short| flag == format!("-{short}"));
            (long || short) && arg.get_action().takes_values()
        })
    };
    let mut at = 1;
    while let Some(arg) = args.get(at).and_then(|a| a.to_str()) {
        if !arg.starts_with('-') {
            break;
        }
        at += if takes_value(arg) { 2 } else { 1 };
    }
    let is_plan = args.get(at).and_then(|a| a.to_str()).is_some_and(|word| {
        let known = command.get_subcommands().any(|c| c.get_name() == word);
        let is_path = word.contains('/') || word.contains('.');
        !known && word != "help" && (is_path || std::path::Path::new(word).exists())
    });
    if is_plan {
        args.insert(at, "run".into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        tree().debug_assert();
    }

    /// The words of a line, quotes taken away.
    fn words(line: &str) -> Vec<OsString> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.into_iter().map(OsString::from).collect()
    }

    #[test]
    fn examples_can_be_typed() {
        let root = tree();
        let mut count = 0;
        for command in std::iter::once(&root).chain(root.get_subcommands()) {
            let help = command.get_after_long_help().map(ToString::to_string);
            for line in help.unwrap_or_default().lines() {
                let Some(line) = line.strip_prefix("  ") else {
                    continue;
                };
                // Pipes, files and remarks are not its arguments.
                let ends = [" | ", " > ", " < ", "   "].map(|end| line.find(end));
                let end = ends.into_iter().flatten().min().unwrap_or(line.len());
                let line = &line[..end];
                if line.starts_with("deployrun ") {
                    count += 1;
                    let parsed = tree().try_get_matches_from(with_bare_form(words(line)));
                    assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
                }
            }
        }
        assert!(count > 20, "only {count} examples were found");
    }
}
