//! `deployrun check`.

use std::path::{Path, PathBuf};

use crate::Runner;
use crate::report::{diagnostics, github, out, sarif};
use crate::words::diagnostic::{Diagnostic, Level};
use crate::words::event::json_text;
use crate::words::hidden::visible;

use super::context::{Context, Format};
use super::levels::Levels;
use super::plans::{self, Names};

/// Looks at plans without running them: names, arguments, literals, back-outs, the checklist.
///
/// All findings come at once. Errors give exit status 1: such a plan is not run. Warnings alone give 0.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Plans, and directories with plans beneath them
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<PathBuf>,
    #[command(flatten)]
    levels: Levels,
}

const EXAMPLES: &str = "Examples:
  deployrun check plan.rhai
  deployrun check --deny warnings deploy/
      before it is run, and in the pipeline of the plans' repository
  deployrun check -q plan.rhai
      errors only
  deployrun check --format sarif deploy/ > check.sarif
  deployrun check --format github deploy/
      what forges show beside the lines
  deployrun explain no-timeout";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let (plans, mut found) = plans::at(&args.plans);
    for path in &plans {
        let plan = match plans::read(path) {
            Ok(plan) => plan,
            Err(error) => {
                found.push(plans::unreadable(path, error.problem));
                continue;
            }
        };
        let runner = Runner::new(&context.state).levels(args.levels.0.clone());
        let mut of_plan = runner.check(&plan);
        Names::of(path, &plan).tell(&mut of_plan);
        // Of a module of several plans, each finding is told once.
        of_plan.retain(|one| !found.contains(one));
        found.extend(of_plan);
    }
    let name = match plans.as_slice() {
        [plan] => visible(&plan.display().to_string()),
        plans => format!("{} plans", plans.len()),
    };
    told(context, &found, &name)
}

/// Tells findings in what is called `name`, and gives the exit status.
pub(super) fn told(context: &Context, found: &[Diagnostic], name: &str) -> u8 {
    tell(context, found, &counted(found, name));
    u8::from(found.iter().any(|problem| problem.level == Level::Error))
}

fn counted(found: &[Diagnostic], name: &str) -> String {
    let count = diagnostics::count(found);
    if found.is_empty() {
        format!("{name}: {count}")
    } else {
        format!("{count} in {name}")
    }
}

fn tell(context: &Context, found: &[Diagnostic], count: &str) {
    let told = |one: &&Diagnostic| context.verbosity >= 0 || one.level == Level::Error;
    match context.format {
        Format::Json => {
            let texts: Vec<String> = found.iter().map(json_text).collect();
            out::lines(texts.iter().map(String::as_str));
        }
        Format::Sarif => {
            let document = sarif::document(found, &here());
            out::line(&format!("{document:#}"));
        }
        Format::Github => {
            let workspace = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
            let base = here();
            for problem in found.iter().filter(told) {
                out::line(&github::annotation(problem, &base, workspace.as_deref()));
            }
            out::line(count);
        }
        _ => {
            let told: Vec<&Diagnostic> = found.iter().filter(told).collect();
            for problem in &told {
                out::line(&format!("{}\n", diagnostics::show(problem, context.style)));
            }
            if context.verbosity >= 0
                && let Some(more) = diagnostics::more(found, context.style)
            {
                out::line(&more);
            }
            out::line(count);
        }
    }
}

/// Where this process works; relative paths count from there.
fn here() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned())
}
