//! `deployrun check`.

use std::path::PathBuf;

use crate::report::out;
use crate::words::diagnostic::Level;
use crate::words::event::json_text;
use crate::{Plan, Runner};

use super::context::{Context, Format};

/// Looks at a plan without running it: names, arguments, literals, back-outs, the checklist.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The plan
    plan: PathBuf,
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let plan = match Plan::read(&args.plan) {
        Ok(plan) => plan,
        Err(error) => return super::run::refuse(&error.into()),
    };
    let found = Runner::new(&context.state).check(&plan);
    for problem in &found {
        match context.format {
            Format::Human => out::line(&format!("{problem}\n")),
            Format::Json => out::line(&json_text(problem)),
        }
    }
    u8::from(found.iter().any(|problem| problem.level == Level::Error))
}
