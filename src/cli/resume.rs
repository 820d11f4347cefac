//! `deployrun resume`.

use super::context::Context;
use super::{history, run, values};

/// Takes up a run where it was left.
///
/// After a crash, a power cut, or a third Ctrl-C. The run goes on with the plan and the arguments it
/// was started with, however the files look now; what is in the journal is not done again. A step
/// that still runs is adopted. A step whose end nobody saw is not repeated, unless the plan says
/// that it may be: the run is backed out.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: String,
    /// Waits so long for an environment that somebody else has
    #[arg(long, value_name = "DURATION", value_parser = values::time, env = "DEPLOYRUN_LOCK_WAIT")]
    lock_wait: Option<std::time::Duration>,
    /// Sets the window aside, if it was not before; the reason stands in every report
    #[arg(long, value_name = "REASON", value_parser = values::reason)]
    override_window: Option<String>,
    /// Answers every question of this command with yes; approvals are given by people
    #[arg(short, long, env = "DEPLOYRUN_YES")]
    yes: bool,
}

const EXAMPLES: &str = "Examples:
  deployrun status
      which runs nobody goes on with
  deployrun resume 20260321-22
      goes on with one; enough of its id to tell it from others";

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
