//! `deployrun show`.

use crate::report::lines::Lines;
use crate::report::out;
use crate::words::event::json_text;

use super::context::{Context, Format};
use super::history;
use super::refuse::refuse;

/// Shows one run whole: what was said while it ran, and how it ended.
///
/// A finished run shows the same as a live one: everything is read from the journal.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: String,
}

const EXAMPLES: &str = "Examples:
  deployrun show 20260321-22
      enough of an id to tell it from others
  deployrun show -v 20260321-22
      with every sample, and every fact the plan asked for
  deployrun show --format json 20260321-22
      its events, one a line";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let (run, events) = match history::find(context, &args.run) {
        Ok(found) => found,
        Err(error) => return refuse(context, &error),
    };
    if context.format == Format::Json {
        let texts: Vec<String> = events.iter().map(json_text).collect();
        out::lines(texts.iter().map(String::as_str));
        return 0;
    }
    let mut lines = Lines::new(context.look(true));
    let mut shown = Vec::new();
    for event in &events {
        shown.extend(lines.tell(event));
    }
    shown.extend(lines.standing(history::owner(context, &run).as_deref()));
    let texts: Vec<String> = shown.iter().map(|l| l.painted(context.style)).collect();
    out::lines(texts.iter().map(String::as_str));
    0
}
