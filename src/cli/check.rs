//! `deployrun check`.

use std::path::PathBuf;

use crate::report::{diagnostics, out};
use crate::words::diagnostic::Level;
use crate::words::event::json_text;
use crate::words::hidden::visible;
use crate::{Plan, Runner};

use super::context::{Context, Format};
use super::refuse::refuse;

/// Looks at a plan without running it: names, arguments, literals, back-outs, the checklist.
///
/// All findings come at once. Errors give exit status 1: such a plan is not run. Warnings alone
/// give 0.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The plan
    plan: PathBuf,
}

const EXAMPLES: &str = "Examples:
  deployrun check plan.rhai
      before it is run, and in the pipeline of the plan's repository
  deployrun check -q plan.rhai
      errors only
  deployrun check --format json plan.rhai
      one finding a line";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let plan = match Plan::read(&args.plan) {
        Ok(plan) => plan,
        Err(error) => return refuse(context, &error.into()),
    };
    let found = Runner::new(&context.state).check(&plan);
    let has_errors = found.iter().any(|d| d.level == Level::Error);
    match context.format {
        Format::Json => {
            let texts: Vec<String> = found.iter().map(json_text).collect();
            out::lines(texts.iter().map(String::as_str));
        }
        _ => {
            for problem in &found {
                let is_shown = context.verbosity >= 0 || problem.level == Level::Error;
                if is_shown {
                    out::line(&format!("{}\n", diagnostics::show(problem, context.style)));
                }
            }
            let count = diagnostics::count(&found);
            let name = visible(&args.plan.display().to_string());
            if found.is_empty() {
                out::line(&format!("{name}: {count}"));
            } else {
                out::line(&format!("{count} in {name}"));
            }
        }
    }
    u8::from(has_errors)
}
