//! The command line: one file a command, whose doc comment is its help.

mod approve;
mod back_out;
mod check;
mod context;
mod document;
mod explain;
mod history;
mod levels;
mod libraries;
mod log;
mod logs;
mod plans;
mod prompt;
mod refuse;
mod resume;
mod run;
mod runs;
mod show;
mod test;
mod window;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use context::{Format, Global};

/// Executes deployment plans: reviews, waits for the window, releases while watching, and backs out
/// when it goes wrong.
///
/// `deployrun plan.rhai` is `deployrun run plan.rhai`.
#[derive(Debug, Parser)]
#[command(name = "deployrun", version, propagate_version = true, after_help = EXIT_STATUSES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUSES: &str = "Exit status:
  0  released (or the command did what it says)
  1  refused, nothing was changed
  2  wrong usage
  3  backed out, production is as before
  4  stuck, a person is needed
  5  the run is still going on elsewhere";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Explain(explain::Args),
    Resume(resume::Args),
    BackOut(back_out::Args),
    Runs(runs::Args),
    Show(show::Args),
    Logs(logs::Args),
    Approve(approve::Args),
    Window(window::Args),
    Test(test::Args),
    Lib(libraries::Args),
}

impl Command {
    /// # Errors
    /// When the command does not have this form of output.
    fn has_format(&self, format: Format) -> Result<(), String> {
        use Format::{Github, Html, Human, Json, Junit, Sarif};
        let (name, forms): (&str, &[Format]) = match self {
            Self::Run(_) => ("run", &[Human, Json, Junit]),
            Self::Check(_) => ("check", &[Human, Json, Sarif, Github]),
            Self::Explain(_) => ("explain", &[Human, Json]),
            Self::Resume(_) => ("resume", &[Human, Json, Junit]),
            Self::BackOut(_) => ("back-out", &[Human, Json, Junit]),
            Self::Runs(_) => ("runs", &[Human, Json]),
            Self::Show(_) => ("show", &[Human, Json, Junit, Html]),
            Self::Logs(_) => ("logs", &[Human, Json]),
            Self::Approve(_) => ("approve", &[Human, Json]),
            Self::Window(_) => ("window", &[Human, Json]),
            Self::Test(_) => ("test", &[Human, Json, Junit]),
            Self::Lib(_) => ("lib", &[Human, Json]),
        };
        format.is_among(name, forms)
    }
}

/// Runs the command that the program's arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let args = with_bare_form(std::env::args_os().collect());
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
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
            crate::report::out::error_line(&format!("error: {problem}"));
            return ExitCode::from(2);
        }
    };
    let status = match cli.command {
        Command::Run(args) => run::run(&context, args),
        Command::Check(args) => check::run(&context, &args),
        Command::Explain(args) => explain::run(&context, &args),
        Command::Resume(args) => resume::run(&context, &args),
        Command::BackOut(args) => back_out::run(&context, &args),
        Command::Runs(args) => runs::run(&context, &args),
        Command::Show(args) => show::run(&context, &args),
        Command::Logs(args) => logs::run(&context, &args),
        Command::Approve(args) => approve::run(&context, &args),
        Command::Window(args) => window::run(&context, &args),
        Command::Test(args) => test::run(&context, &args),
        Command::Lib(args) => libraries::run(&context, &args),
    };
    ExitCode::from(status)
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
