//! `deployrun status`.

use crate::Error;
use crate::journal::{Filter, JournalError, LockHeld, Reader};
use crate::report::line::{Line, Tone, first_line};
use crate::report::out;
use crate::report::output::{Follower, Piece};
use crate::report::status::{Beside, Seen, Status};
use crate::runner::events_of;
use crate::target::local::StepDir;

use super::context::{Context, Format};
use super::history;
use super::refuse::refuse;

/// Shows where a run stands, at a glance.
///
/// The phase, the step in flight with the last lines of its output, the watches with their last
/// samples, the deadline, the window, approvals that are waited for, and the process that has the
/// run; if none has it, how to come back. Without RUN: all runs that have not ended, and who has
/// which environment.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: Option<String>,
}

const EXAMPLES: &str = "Exit status:
  of a run: that of its outcome (0 released, 1 refused, 3 backed out, 4 stuck);
  5 while it goes on; 4 when it has not ended and no process has it.
  without RUN: 0 when every run has ended, 5 when one goes on, 4 when no process has one.

Examples:
  deployrun status
      what goes on, and who has which environment
  deployrun status 20260321-22
      one run; enough of its id to tell it from others
  deployrun status 20260321-22 --format json
      the same for a program";

/// Lines of a step's output.
const TAIL: usize = 3;

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let result = match &args.run {
        Some(run) => one(context, run),
        None => all(context),
    };
    result.unwrap_or_else(|error| refuse(context, &error))
}

fn one(context: &Context, run: &str) -> Result<u8, Error> {
    let reader = Reader::open(&context.state)?;
    let run = reader.find(run)?;
    let (status, is_owned) = show(context, &reader, &run, false)?;
    Ok(status.exit_status(is_owned))
}

fn all(context: &Context) -> Result<u8, Error> {
    let unfinished = Filter {
        unfinished: true,
        ..Filter::default()
    };
    let reader = match Reader::open(&context.state) {
        Err(JournalError::NoJournal { .. }) => None,
        other => Some(other?),
    };
    let (runs, locks) = match &reader {
        None => (Vec::new(), Vec::new()),
        Some(reader) => (reader.runs(&unfinished)?, reader.locks()?),
    };
    let mut exit_status = 0;
    for (n, row) in runs.iter().enumerate() {
        let Some(reader) = &reader else { break };
        if n > 0 && context.format == Format::Human {
            out::line("");
        }
        let (status, is_owned) = show(context, reader, &row.id, true)?;
        exit_status = match (exit_status, status.exit_status(is_owned)) {
            (4, _) | (_, 4) => 4,
            (5, _) | (_, 5) => 5,
            // It has ended meanwhile.
            _ => exit_status,
        };
    }
    if context.format == Format::Human {
        if runs.is_empty() {
            out::line(&format!("nothing goes on in {}", context.state.display()));
        }
        show_locks(context, &locks);
    }
    Ok(exit_status)
}

/// Shows a run, and says whether a process has it.
fn show(
    context: &Context,
    reader: &Reader,
    run: &str,
    is_brief: bool,
) -> Result<(Status, bool), Error> {
    // First who has it: it may end meanwhile, and then its end is in the journal.
    let owner = history::owner(context, run);
    let events = events_of(run, &reader.read(run)?)?;
    let status = Status::of(context.look(false), &events);
    let is_owned = owner.is_some();
    let run_dir = context.state.join("runs").join(run);
    let seen = |name: &str| {
        let dir = StepDir::new(run_dir.join(name));
        Seen {
            acts: dir.acts(),
            tail: tail(dir),
        }
    };
    let beside = Beside {
        now_ms: context.clock.now().wall_ms,
        owner,
        seen: &seen,
    };
    if context.format == Format::Json {
        out::line(&status.json(&beside).to_string());
    } else {
        paint(context, &status.screen(&beside, is_brief));
    }
    Ok((status, is_owned))
}

/// The last lines of what a step has printed so far.
fn tail(dir: StepDir) -> Vec<String> {
    let pieces = Follower::new(dir).rest(TAIL);
    let lines = pieces.into_iter().filter_map(|piece| match piece {
        Piece::Line(text) => Some(text),
        Piece::Gap(_) => None,
    });
    let mut lines: Vec<String> = lines.collect();
    lines.drain(..lines.len().saturating_sub(TAIL));
    lines
}

fn paint(context: &Context, lines: &[Line]) {
    let texts: Vec<String> = lines.iter().map(|l| l.painted(context.style)).collect();
    out::lines(texts.iter().map(String::as_str));
}

fn show_locks(context: &Context, locks: &[LockHeld]) {
    if locks.is_empty() {
        return;
    }
    let mut lines = vec![Line::blank(), Line::margin(Tone::Heading, "environments")];
    for lock in locks {
        let text = format!(
            "  {}: run {}, {}",
            first_line(&lock.environment),
            lock.run,
            first_line(&lock.why)
        );
        lines.push(Line::margin(Tone::Plain, text));
    }
    paint(context, &lines);
}
