//! `deployrun resume`.

use super::context::Context;
use super::{history, run};

/// Takes up a run where it was left.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: String,
    /// Waits so long for an environment that somebody else has
    #[arg(long, value_name = "DURATION", value_parser = run::time, env = "DEPLOYRUN_LOCK_WAIT")]
    lock_wait: Option<std::time::Duration>,
    /// Sets the window aside, if it was not before; the reason stands in every report
    #[arg(long, value_name = "REASON", value_parser = run::reason)]
    override_window: Option<String>,
    /// Answers every question of this command with yes; approvals are given by people
    #[arg(short, long, env = "DEPLOYRUN_YES")]
    yes: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let (id, events) = match history::find(context, &args.run) {
        Ok(found) => found,
        Err(error) => return run::finish(context, Err(error)),
    };
    let runner = run::runner(context, events)
        .override_window(args.override_window.clone())
        .lock_wait(args.lock_wait.unwrap_or_default());
    run::finish(context, runner.resume(&id))
}
