//! `deployrun put-back`.

use serde_json::json;

use crate::report::line::Tone;
use crate::report::lines::whole_commands;
use crate::report::out;
use crate::runner::ToPutBack;

use super::context::{Context, Format};
use super::refuse::{refuse, say};
use super::{prompt, run};

/// Tries again what a run that is stuck could not put back
///
/// Files, links, directories and trees whose former state was kept with the run are put back exactly as they
/// were, whatever kept the back-out from it. It may be done as often as it takes. Commands are not run: the
/// run's recap has those to try. The run stays `stuck`: what a person puts right afterwards is not part of it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: String,
    /// Only these calls, by the number in brackets that the recap shows
    #[arg(value_name = "CALL")]
    calls: Vec<String>,
    /// Puts back without asking
    #[arg(short, long, env = "DEPLOYRUN_YES")]
    yes: bool,
}

const EXAMPLES: &str = "Examples:
  deployrun put-back 20260321-22
      lists what would be put back, and asks
  deployrun put-back --yes 20260321-22 4
      only what call [4] had changed";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let runner = run::runner(context, Vec::new());
    let found = match runner.to_put_back(&args.run, &args.calls) {
        Ok(found) => found,
        Err(error) => return refuse(context, &error),
    };
    if !args.yes
        && let Err(status) = confirm(context, &found)
    {
        return status;
    }
    if !found.later.is_empty() && args.yes {
        say_warning(context, &later(&found));
    }
    let mut all = true;
    for item in &found.items {
        let done = item.put_back();
        all &= done.is_ok();
        let (mark, tone) = match &done {
            Ok(_) => ("ok", Tone::Good),
            Err(_) => ("FAILED", Tone::Bad),
        };
        let said = done.unwrap_or_else(|problem| problem);
        let said = said.trim_end().replace('\n', "; ");
        if context.format == Format::Json {
            let line = json!({ "run": found.run, "call": item.call, "title": item.title, "ok": mark == "ok", "detail": said });
            out::line(&line.to_string());
        } else {
            let mark = context.style.paint(tone, &format!("{mark:<6}"));
            out::line(&format!("{mark} [{}] {said}", item.call));
        }
    }
    if all { 0 } else { 4 }
}

/// Asks; without a terminal nobody could answer, and it says so.
fn confirm(context: &Context, found: &ToPutBack) -> Result<(), u8> {
    let run = &found.run;
    if context.format == Format::Json || !context.can_ask() {
        let text = format!(
            "nothing of run {run} was put back: there is no terminal to ask at; say --yes to put it back \
             without being asked"
        );
        say(context, &text);
        return Err(1);
    }
    out::line(&format!("run {run}, to be put back, in this order:"));
    for item in &found.items {
        out::line(&format!("    [{}] {}", item.call, item.title));
    }
    if !found.later.is_empty() {
        out::line(&context.style.paint(Tone::Bad, &later(found)));
    }
    if prompt::confirm("Put it back? [y/N]") {
        Ok(())
    } else {
        say(context, &format!("nothing of run {run} was put back"));
        Err(1)
    }
}

/// What may be lost.
fn later(found: &ToPutBack) -> String {
    format!(
        "later runs in the same environment may have changed the same, and that would be lost: {}",
        found.later.join(", ")
    )
}

fn say_warning(context: &Context, text: &str) {
    let text = whole_commands(text, &context.program);
    match context.format {
        Format::Json => out::error_line(&json!({ "warning": text }).to_string()),
        _ => out::error_line(&format!(
            "{} {text}",
            context.style.paint(Tone::Warn, "warning:")
        )),
    }
}
