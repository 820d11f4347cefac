//! `deployrun show`.

use std::path::{Path, PathBuf};

use crate::report::html::{self, Surroundings};
use crate::report::lines::Lines;
use crate::report::story::Story;
use crate::report::{Style, junit, out};
use crate::words::event::{Stamped, json_text};

use super::context::{Context, Format};
use super::refuse::{refuse, say};
use super::{document, history};

/// Shows one run whole: what was said while it ran, and how it ended.
///
/// A finished run shows the same as a live one: everything is read from the journal.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: String,
    /// Writes to a file instead; its ending (.html, .xml, .json) says the format unless --format
    /// does
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Makes the HTML report and opens it in a browser: $BROWSER, else xdg-open. Without --output it
    /// lies in $XDG_CACHE_HOME/deployrun, readable by you alone
    #[arg(long)]
    open: bool,
}

const EXAMPLES: &str = "Examples:
  deployrun show 20260321-22
      enough of an id to tell it from others
  deployrun show -v 20260321-22
      with every sample, and every fact the plan asked for
  deployrun show --format json 20260321-22
      its events, one a line";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let format = match wanted(context, args) {
        Ok(format) => format,
        Err(problem) => {
            say(context, &problem);
            return 2;
        }
    };
    let (run, events) = match history::find(context, &args.run) {
        Ok(found) => found,
        Err(error) => return refuse(context, &error),
    };
    let text = match text(context, format, &run, &events, args.output.is_some()) {
        Ok(text) => text,
        Err(error) => return refuse(context, &error),
    };
    let path = match &args.output {
        Some(path) => path.clone(),
        None if args.open => match document::place(&run) {
            Ok(path) => path,
            Err(problem) => {
                say(context, &problem);
                return 1;
            }
        },
        None => {
            out::document(&text);
            return 0;
        }
    };
    if let Err(error) = document::write(&path, &text, args.output.is_none()) {
        let text = format!("{} can't be written: {error}", path.display());
        say(context, &text);
        return 1;
    }
    match args.open {
        true => open(context, &run, &path),
        false => 0,
    }
}

/// The form that is asked for, by its name or by the ending of the file.
fn wanted(context: &Context, args: &Args) -> Result<Format, String> {
    if context.format_given {
        if args.open && context.format != Format::Html {
            return Err("--open shows the HTML report; it has no other format".to_owned());
        }
        return Ok(context.format);
    }
    let ending = args.output.as_ref().and_then(|path| path.extension());
    Ok(match ending.and_then(|ending| ending.to_str()) {
        _ if args.open => Format::Html,
        Some("html" | "htm") => Format::Html,
        Some("xml") => Format::Junit,
        Some("json" | "jsonl" | "ndjson") => Format::Json,
        _ => Format::Human,
    })
}

fn text(
    context: &Context,
    format: Format,
    run: &str,
    events: &[Stamped],
    to_file: bool,
) -> Result<String, crate::Error> {
    Ok(match format {
        Format::Json => events.iter().map(|e| json_text(e) + "\n").collect(),
        Format::Junit => junit::document(&Story::of(events), &context.program),
        Format::Html => {
            let surroundings = Surroundings {
                look: context.look(true),
                owner: history::owner(context, run),
                sources: history::sources(context, run)?,
            };
            html::document(&Story::of(events), &surroundings)
        }
        _ => {
            let style = match to_file {
                true => Style::default(),
                false => context.style,
            };
            let mut lines = Lines::new(context.look(true));
            let mut shown = Vec::new();
            for event in events {
                shown.extend(lines.tell(event));
            }
            shown.extend(lines.standing(history::owner(context, run).as_deref()));
            shown.iter().map(|l| l.painted(style) + "\n").collect()
        }
    })
}

fn open(context: &Context, run: &str, path: &Path) -> u8 {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    out::line(&format!("the report of {run}: {}", path.display()));
    match document::open(&path) {
        Ok(true) => 0,
        Ok(false) => {
            out::line("there is neither $BROWSER nor xdg-open here: open it yourself");
            0
        }
        Err(problem) => {
            say(context, &problem);
            1
        }
    }
}
