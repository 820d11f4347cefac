//! `deployrun runs`.

use jiff::tz::TimeZone;
use serde_json::json;

use crate::journal::{Filter, JournalError, OwnedBy, OwnerLock, Reader, RunRow};
use crate::report::line::{Line, Tone, first_line};
use crate::report::out;

use super::context::{Context, Format};
use super::refuse::refuse;

/// Lists runs, the newest first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Only runs of this environment
    #[arg(short, long, value_name = "NAME")]
    environment: Option<String>,
    /// Only runs that have not ended
    #[arg(short, long)]
    unfinished: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let filter = Filter {
        environment: args.environment.clone(),
        plan: None,
        unfinished: args.unfinished,
        // One more tells whether there are more.
        limit: Some(args.limit.saturating_add(1)),
    };
    let rows = match Reader::open(&context.state).and_then(|reader| reader.runs(&filter)) {
        Ok(rows) => rows,
        Err(JournalError::NoJournal { .. }) => Vec::new(),
        Err(error) => return refuse(context, &error.into()),
    };
    let has_more = rows.len() > args.limit;
    let rows: Vec<Row> = rows
        .into_iter()
        .take(args.limit)
        .map(|row| {
            let owner = row
                .outcome
                .is_none()
                .then(|| OwnerLock::current(&context.state, &row.id))
                .flatten();
            Row { row, owner }
        })
        .collect();
    match context.format {
        Format::Json => {
            let texts: Vec<String> = rows.iter().map(Row::json).collect();
            out::lines(texts.iter().map(String::as_str));
        }
        _ if rows.is_empty() => {
            let which = match (&args.environment, args.unfinished) {
                (None, false) => "no runs",
                (None, true) => "no unfinished runs",
                (Some(_), false) => "no runs of this environment",
                (Some(_), true) => "no unfinished runs of this environment",
            };
            out::line(&format!("{which} in {}", context.state.display()));
        }
        _ => table(context, &rows, has_more),
    }
    0
}

struct Row {
    row: RunRow,
    owner: Option<OwnedBy>,
}

impl Row {
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
