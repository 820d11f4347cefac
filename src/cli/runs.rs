//! `deployrun runs`.

use jiff::tz::TimeZone;
use serde_json::json;

use crate::Error;
use crate::journal::{Filter, JournalError, OwnedBy, OwnerLock, Reader, RunRow};
use crate::report::line::{Line, Tone, first_line};
use crate::report::lines::show_instant;
use crate::report::out;
use crate::words::outcome::RunOutcome;
use crate::words::suggest::nearest;

use super::context::{Context, Format};
use super::refuse::{refuse, say};
use super::values::{self, Since};

/// Lists runs, the newest first.
///
/// Several filters are all to be met. A run that has not ended says whether a process has it: a
/// `live` one goes on, a `dead` one is to be taken up by somebody.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value = "20", value_parser = values::at_least_one)]
    limit: usize,
    /// Only runs of this environment
    #[arg(short, long, value_name = "NAME")]
    environment: Option<String>,
    /// Only runs that ended so; several, with commas between
    #[arg(short, long, value_enum, value_name = "OUTCOME", value_delimiter = ',')]
    outcome: Vec<Ended>,
    /// Only runs that began then or later: 2d (so long ago), 2026-03-21, 2026-03-21T22:00Z
    #[arg(short, long, value_name = "WHEN")]
    since: Option<Since>,
    /// Only runs of the plan with this name
    #[arg(short, long, value_name = "NAME")]
    plan: Option<String>,
    /// Only runs that have not ended
    #[arg(short, long, conflicts_with = "outcome")]
    unfinished: bool,
}

const EXAMPLES: &str = "Examples:
  deployrun runs --unfinished
      what still goes on, and what nobody goes on with
  deployrun runs -e production -s 30d -o backed-out,stuck
      what went wrong in production within thirty days
  deployrun runs -p shop-web -n 1 --format json
      the latest run of a plan, for a program";

/// An outcome, on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Ended {
    /// Done
    Released,
    /// Nothing was changed
    Refused,
    /// Production is as before
    BackedOut,
    /// A person is needed
    Stuck,
}

impl Ended {
    fn word(self) -> &'static str {
        match self {
            Self::Released => RunOutcome::Released.word(),
            Self::Refused => RunOutcome::Refused.word(),
            Self::BackedOut => RunOutcome::BackedOut.word(),
            Self::Stuck => RunOutcome::Stuck.word(),
        }
    }
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let zone = TimeZone::system();
    let now_ms = context.clock.now().wall_ms;
    let since = args
        .since
        .as_ref()
        .map(|since| since.resolve(now_ms, &zone));
    let since_ms = match since.transpose() {
        Ok(since) => since,
        Err(problem) => {
            say(context, &problem);
            return 2;
        }
    };
    let filter = Filter {
        environment: args.environment.clone(),
        plan: args.plan.clone(),
        unfinished: args.unfinished,
        outcomes: args.outcome.iter().map(|o| o.word().to_owned()).collect(),
        since_ms,
        // One more tells whether there are more.
        limit: Some(args.limit.saturating_add(1)),
    };
    let rows = match read(context, &filter) {
        Ok(rows) => rows,
        Err(error) => return refuse(context, &error),
    };
    let has_more = rows.len() > args.limit;
    let rows: Vec<Row> = rows
        .into_iter()
        .take(args.limit)
        .map(|row| Row::new(context, row))
        .collect();
    match context.format {
        Format::Json => {
            let texts: Vec<String> = rows.iter().map(Row::json).collect();
            out::lines(texts.iter().map(String::as_str));
        }
        _ if rows.is_empty() => match none(context, &filter, &zone) {
            Ok(text) => out::line(&text),
            Err(error) => return refuse(context, &error),
        },
        _ => table(context, &rows, has_more),
    }
    0
}

/// The runs that a filter keeps; none, where there is no journal yet.
fn read(context: &Context, filter: &Filter) -> Result<Vec<RunRow>, Error> {
    match Reader::open(&context.state).and_then(|reader| reader.runs(filter)) {
        Err(JournalError::NoJournal { .. }) => Ok(Vec::new()),
        other => Ok(other?),
    }
}

/// Says that there are none, and whether a name was perhaps mistyped.
fn none(context: &Context, filter: &Filter, zone: &TimeZone) -> Result<String, Error> {
    let mut text = String::from("no ");
    if filter.unfinished {
        text.push_str("unfinished ");
    }
    text.push_str(&filter.outcomes.join(" or "));
    if !filter.outcomes.is_empty() {
        text.push(' ');
    }
    text.push_str("runs");
    let known = read(context, &Filter::default())?;
    let plans: Vec<String> = known.iter().map(|row| row.plan.clone()).collect();
    let environments: Vec<String> = known.iter().map(|row| row.environment.clone()).collect();
    for (wanted, words, names) in [
        (&filter.plan, "of the plan", &plans),
        (&filter.environment, "in the environment", &environments),
    ] {
        let Some(wanted) = wanted else { continue };
        text.push_str(&format!(" {words} `{}`", first_line(wanted)));
        if !names.contains(wanted)
            && let Some(near) = nearest(wanted, names.iter().map(String::as_str))
        {
            text.push_str(&format!(" (did you mean `{near}`?)"));
        }
    }
    if let Some(since_ms) = filter.since_ms {
        text.push_str(&format!(" since {}", show_instant(since_ms, zone)));
    }
    Ok(format!("{text} in {}", context.state.display()))
}

struct Row {
    row: RunRow,
    owner: Option<OwnedBy>,
}

impl Row {
    fn new(context: &Context, row: RunRow) -> Self {
        let is_open = row.outcome.is_none();
        let owner = is_open
            .then(|| OwnerLock::current(&context.state, &row.id))
            .flatten();
        Self { row, owner }
    }

    fn json(&self) -> String {
        let row = &self.row;
        let owner = match (&row.outcome, &self.owner) {
            (Some(_), _) => None,
            (None, Some(_)) => Some("live"),
            (None, None) => Some("dead"),
        };
        let holder = self.owner.as_ref().and_then(|o| o.holder.as_ref());
        json!({
            "run": row.id, "at_ms": row.created_ms, "plan": row.plan, "version": row.version,
            "environment": row.environment, "fingerprint": row.fingerprint, "phase": row.phase,
            "outcome": row.outcome, "owner": owner, "holder": holder,
        })
        .to_string()
    }

    fn cells(&self, zone: &TimeZone) -> [String; 6] {
        let row = &self.row;
        let when = jiff::Timestamp::from_millisecond(row.created_ms).map(|at| {
            at.to_zoned(zone.clone())
                .strftime("%Y-%m-%d %H:%M")
                .to_string()
        });
        let stands = match (&row.outcome, &self.owner) {
            (Some(outcome), _) => outcome.clone(),
            (None, owner) => {
                let phase = row.phase.as_deref().unwrap_or("review");
                match owner.as_ref().map(|o| o.holder.as_ref()) {
                    Some(Some(holder)) => format!("{phase}, live: {holder}"),
                    Some(None) => format!("{phase}, live"),
                    None => format!("{phase}, dead"),
                }
            }
        };
        [
            row.id.clone(),
            when.unwrap_or_default(),
            first_line(&row.plan),
            first_line(&row.version),
            first_line(&row.environment),
            stands,
        ]
    }

    fn tone(&self) -> Tone {
        match (self.row.outcome.as_deref(), &self.owner) {
            (Some("released"), _) => Tone::Good,
            (Some("stuck"), _) | (None, None) => Tone::Bad,
            (Some(_), _) => Tone::Warn,
            (None, Some(_)) => Tone::Plain,
        }
    }
}

const TITLES: [&str; 6] = ["run", "when", "plan", "version", "environment", "state"];

fn table(context: &Context, rows: &[Row], has_more: bool) {
    let zone = TimeZone::system();
    let cells: Vec<[String; 6]> = rows.iter().map(|row| row.cells(&zone)).collect();
    let mut widths = TITLES.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut texts = Vec::new();
    let titles = TITLES.map(str::to_owned);
    texts.push(Line::margin(Tone::Heading, padded(&titles, &widths)).painted(context.style));
    for (row, cells) in rows.iter().zip(&cells) {
        let [.., stands] = cells;
        let text = padded(cells, &widths);
        let front = text.strip_suffix(stands.as_str()).unwrap_or_default();
        let stands = context.style.paint(row.tone(), stands);
        texts.push(format!("{front}{stands}"));
    }
    out::lines(texts.iter().map(String::as_str));
    let dead = rows
        .iter()
        .find(|row| row.row.outcome.is_none() && row.owner.is_none());
    if let Some(dead) = dead {
        let (program, run) = (&context.program, &dead.row.id);
        out::line(&format!(
            "\nno process has the dead ones; take one up: {program} resume {run}, or {program} back-out {run}"
        ));
    }
    if has_more {
        out::line("\nthere are more: --limit N");
    }
}

fn padded(cells: &[String; 6], widths: &[usize; 6]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let gap = width.saturating_sub(cell.chars().count()) + 2;
        text.push_str(cell);
        text.push_str(&" ".repeat(gap));
    }
    text.trim_end().to_owned()
}
