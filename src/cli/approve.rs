//! `deployrun approve`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde_json::json;

use crate::report::out;
use crate::supervisor::driver::Approval;
use crate::target::{facts, step_supervisor};
use crate::words::event::{Actor, Event, Stamped, json_text};
use crate::words::suggest::nearest;

use super::context::{Context, Format};
use super::history;
use super::refuse::{refuse, say};

/// Approves what a run waits for.
///
/// Who approved, from where and when stands in the journal and in every report. Nothing but a person
/// gives an approval: no option and no variable does.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: String,
    /// What is approved, as the run asks for it
    name: String,
    /// Words that stand in the journal beside it
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    comment: String,
}

const EXAMPLES: &str = "Examples:
  deployrun status
      what is waited for, with the commands to type
  deployrun approve 20260321-22 'go live' -c 'figures look good'
      approves it, with words for the record";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    if std::env::var_os(step_supervisor::MARK).is_some() {
        let text = "an approval is given by a person, and this was started by a step of a run; nothing was \
                    approved";
        say(context, text);
        return 1;
    }
    let (run, events) = match history::find(context, &args.run) {
        Ok(found) => found,
        Err(error) => return refuse(context, &error),
    };
    if let Some(end) = crate::runner::ended(&events) {
        let outcome = end.outcome.word();
        say(
            context,
            &format!("run {run} has ended ({outcome}); nothing was approved"),
        );
        return 1;
    }
    if let Some((by, _)) = given(&events).find(|(_, name)| *name == args.name) {
        return tell(
            context,
            &run,
            &args.name,
            &format!("had been approved by {by}"),
        );
    }
    let wanted: Vec<&str> = wanted(&events).collect();
    if !wanted.contains(&args.name.as_str()) {
        say(context, &not_wanted(&run, &args.name, &wanted));
        return 1;
    }
    let now_ms = context.clock.now().wall_ms;
    if let Err(error) = give(&context.state, &run, &args.name, now_ms, &args.comment) {
        say(
            context,
            &format!("the approval could not be written: {error}"),
        );
        return 1;
    }
    let goes_on = match history::owner(context, &run) {
        Some(_) => "approved".to_owned(),
        None => format!(
            "approved; no process has the run, so go on with: {} resume {run}",
            context.program
        ),
    };
    tell(context, &run, &args.name, &goes_on)
}

fn tell(context: &Context, run: &str, name: &str, what: &str) -> u8 {
    match context.format {
        Format::Json => {
            out::line(&json!({ "run": run, "name": name, "approved": what }).to_string());
        }
        _ => out::line(&format!("run {run}: `{name}` {what}")),
    }
    0
}

fn not_wanted(run: &str, name: &str, wanted: &[&str]) -> String {
    let near = nearest(name, wanted.iter().copied())
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let names: Vec<String> = wanted.iter().map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => format!("run {run} asks for no approval now; nothing was approved"),
        _ => format!(
            "run {run} does not ask for the approval of `{name}`, but of {}{near}; \
             nothing was approved",
            names.join(", ")
        ),
    }
}

fn given(events: &[Stamped]) -> impl Iterator<Item = (&Actor, &str)> {
    events.iter().filter_map(|e| match &e.event {
        Event::Approved { by, name, .. } => Some((by, name.as_str())),
        _ => None,
    })
}

/// The approvals that a run asks for and has not got.
pub(super) fn wanted(events: &[Stamped]) -> impl Iterator<Item = &str> {
    let asked = events.iter().filter_map(|e| match &e.event {
        Event::ApprovalAsked { name } => Some(name.as_str()),
        _ => None,
    });
    asked.filter(|name| !given(events).any(|(_, other)| other == *name))
}

/// Leaves an approval where the run finds it. It appears whole or not at all.
pub(super) fn give(
    state: &Path,
    run: &str,
    name: &str,
    at_ms: i64,
    comment: &str,
) -> io::Result<()> {
    let dir = state.join("runs").join(run).join("approvals");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    let approval = Approval {
        name: name.to_owned(),
        by: Actor {
            user: facts::user(),
            host: facts::hostname(),
            pid: std::process::id(),
        },
        at_ms: Some(at_ms),
        comment: comment.to_owned(),
    };
    let draft = dir.join(format!("draft-{}", std::process::id()));
    let result = write(&draft, &json_text(&approval)).and_then(|()| publish(&dir, &draft));
    let _ = std::fs::remove_file(&draft);
    result
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Gives the draft the next free number; two that approve at once get two.
fn publish(dir: &Path, draft: &Path) -> io::Result<()> {
    for number in 1_u32.. {
        match std::fs::hard_link(draft, dir.join(format!("{number}.json"))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
    }
    Err(io::Error::other("there are too many approvals"))
}
