//! `deployrun window`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::report::line::Tone;
use crate::report::lines::{coarse, show_instant};
use crate::report::out;
use crate::words::duration;
use crate::words::window::{Opening, Window};

use super::context::{Context, Format};
use super::refuse::say;
use super::values;

/// Lists the next openings of a window, with their real lengths.
///
/// Clock changes inside an opening are told, and edges that they move.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The window: 'Sat 22:00-02:00 Europe/Berlin'
    spec: String,
    /// How many openings
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = values::at_least_one)]
    count: usize,
    /// From when on, instead of now: 2026-12-01T22:00Z, or a time in the window's zone
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// Says of each opening whether so much fits into it
    #[arg(long, value_name = "DURATION", value_parser = values::time)]
    needed: Option<Duration>,
}

const EXAMPLES: &str = "Examples:
  deployrun window 'Sat 22:00-02:00 Europe/Berlin'
      the next five
  deployrun window 'Sat 22:00-02:00 Europe/Berlin' --needed 3h -n 1
      does a release of three hours fit into the next one?";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let window = match Window::parse(&args.spec) {
        Ok(window) => window,
        Err(error) => return wrong(context, &error.to_string()),
    };
    let zone = window.zone().unwrap_or_else(TimeZone::system);
    let from = match &args.from {
        None => Timestamp::from_millisecond(context.clock.now().wall_ms).unwrap_or_default(),
        Some(text) => match instant(text, &zone) {
            Some(from) => from,
            None => {
                let text = format!(
                    "`{text}` is no instant; write one such as 2026-12-01T22:00Z, or \
                     2026-12-01T22:00 in the window's own zone"
                );
                return wrong(context, &text);
            }
        },
    };
    let openings: Vec<Opening> = window.openings(from).take(args.count).collect();
    match context.format {
        Format::Json => {
            for opening in &openings {
                out::line(&json_line(opening, from, args.needed));
            }
        }
        _ => {
            let when = match &args.from {
                None => "now".to_owned(),
                Some(_) => format!("at {}", show_instant(from.as_millisecond(), &zone)),
            };
            tell(
                context,
                &window,
                &openings,
                (from, &when),
                args.needed,
                &zone,
            );
        }
    }
    0
}

fn wrong(context: &Context, problem: &str) -> u8 {
    say(context, problem);
    2
}

/// An instant with an offset or a zone, or a local time in `zone`.
fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(zoned) = text.parse::<jiff::Zoned>() {
        return Some(zoned.timestamp());
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    local.to_zoned(zone.clone()).ok().map(|at| at.timestamp())
}

/// Does it fit into what is left of the opening?
fn fits(opening: &Opening, from: Timestamp, needed: Duration) -> bool {
    opening.left(from) >= needed
}

fn json_line(opening: &Opening, from: Timestamp, needed: Option<Duration>) -> String {
    let notes: Vec<String> = opening.notes().iter().map(ToString::to_string).collect();
    json!({
        "start": (opening.start != Timestamp::MIN).then(|| opening.start.to_string()),
        "end": (!opening.is_endless()).then(|| opening.end.to_string()),
        "length_ms": ms(opening.length()),
        "open": opening.contains(from),
        "fits": needed.map(|needed| fits(opening, from, needed)),
        "notes": notes,
    })
    .to_string()
}

fn tell(
    context: &Context,
    window: &Window,
    openings: &[Opening],
    (from, when): (Timestamp, &str),
    needed: Option<Duration>,
    zone: &TimeZone,
) {
    let style = context.style;
    out::line(&style.paint(Tone::Heading, &window.normalised()));
    let Some(first) = openings.first() else {
        return out::line("it does not open within the next ten years");
    };
    let until = coarse(ms(first.left(from)));
    let state = if first.is_endless() && first.contains(from) {
        style.paint(Tone::Good, &format!("open {when}, without end"))
    } else if first.contains(from) {
        style.paint(Tone::Good, &format!("open {when}, for another {until}"))
    } else {
        let wait = Duration::try_from(from.duration_until(first.start)).unwrap_or_default();
        let wait = coarse(ms(wait));
        style.paint(Tone::Warn, &format!("closed {when}, opens in {wait}"))
    };
    out::line(&state);
    for opening in openings {
        out::line(&format!("\n  {}", opening.show(zone)));
        let utc = utc(opening);
        if !utc.is_empty() {
            out::line(&style.paint(Tone::Dim, &format!("    {utc}")));
        }
        for note in opening.notes() {
            out::line(&style.paint(Tone::Warn, &format!("    {note}")));
        }
        if let Some(needed) = needed {
            let (tone, words) = match fits(opening, from, needed) {
                true => (Tone::Good, "fits"),
                false => (Tone::Bad, "too short for"),
            };
            let needed = duration::show(needed);
            let text = match words {
                "fits" => format!("    {needed} fit"),
                words => format!("    {words} {needed}"),
            };
            out::line(&style.paint(tone, &text));
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Both edges in UTC.
fn utc(opening: &Opening) -> String {
    let edge = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    match (opening.start == Timestamp::MIN, opening.is_endless()) {
        (true, true) => String::new(),
        (true, false) => format!("until {}", edge(opening.end)),
        (false, true) => format!("from {}", edge(opening.start)),
        (false, false) => format!("{} to {}", edge(opening.start), edge(opening.end)),
    }
}
