//! `deployrun resume`.

use super::context::Context;
use super::refuse::refuse;
use super::{history, run};

/// Takes up a run where it was left.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run's id, or the begin of it
    run: String,
    /// Answers every question of this command with yes; approvals are given by people
    #[arg(short, long, env = "DEPLOYRUN_YES")]
    yes: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    match history::find(context, &args.run) {
        Ok((id, events)) => run::finish(context, run::runner(context, events).resume(&id)),
        Err(error) => refuse(context, &error),
    }
}
