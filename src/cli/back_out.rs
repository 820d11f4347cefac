//! `deployrun back-out`.

use crate::journal::{OwnerError, OwnerLock};
use crate::report::lines::Lines;
use crate::report::out;
use crate::words::event::Stamped;

use super::context::{Context, Format};
use super::refuse::say;
use super::{history, prompt, run};

/// Takes up a run where it was left, and backs it out.
///
/// It ends what still runs, and undoes what is armed, the newest first. A run that another process
/// has is refused with exit status 5: press Ctrl-C there. One that has ended can't be backed out.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: String,
    /// Backs out without asking
    #[arg(short, long, env = "DEPLOYRUN_YES")]
    yes: bool,
}

const EXAMPLES: &str = "Examples:
  deployrun back-out 20260321-22
      lists what would be undone, and asks
  deployrun back-out --yes 20260321-22
      where nobody can be asked";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let (id, events) = match history::find(context, &args.run) {
        Ok(found) => found,
        Err(error) => return run::finish(context, Err(error)),
    };
    // A question about a run that cannot be backed out would be a waste of an answer.
    if let Some(owned) = OwnerLock::current(&context.state, &id) {
        return run::finish(context, Err(OwnerError::Owned(owned).into()));
    }
    let has_ended = crate::runner::ended(&events).is_some();
    if !args.yes
        && !has_ended
        && let Err(status) = confirm(context, &id, &events)
    {
        return status;
    }
    run::finish(context, run::runner(context, events).back_out(&id))
}

/// Asks; without a terminal nobody could answer, and it says so.
fn confirm(context: &Context, id: &str, events: &[Stamped]) -> Result<(), u8> {
    if context.format == Format::Json || !context.can_ask() {
        let text = format!(
            "run {id} was not backed out: there is no terminal to ask at; \
             say --yes to back out without being asked"
        );
        say(context, &text);
        return Err(1);
    }
    let mut lines = Lines::new(context.look(true));
    for event in events {
        lines.recall(event);
    }
    out::line(&format!("run {id}: {}", lines.release()));
    let armed: Vec<String> = lines.armed().collect();
    if armed.is_empty() {
        out::line("  nothing in it is armed: there is nothing to undo");
    } else {
        out::line("  to be undone, in this order:");
        for title in armed {
            out::line(&format!("    {title}"));
        }
    }
    if prompt::confirm("Back it out? [y/N]") {
        Ok(())
    } else {
        say(context, &format!("run {id} was not backed out"));
        Err(1)
    }
}
