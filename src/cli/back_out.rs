//! `deployrun back-out`.

use super::context::Context;

/// Takes up a run where it was left, and backs it out.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run's id, or the begin of it
    run: String,
    /// Answers every question of this command with yes
    #[arg(short, long, env = "DEPLOYRUN_YES")]
    yes: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    super::run::finish(super::run::runner(context).back_out(&args.run))
}
