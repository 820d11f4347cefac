//! `deployrun logs`.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::json;

use crate::Error;
use crate::journal::Reader;
use crate::report::line::{Tone, first_line};
use crate::report::out;
use crate::report::output::{Cutter, Piece, show_bytes};
use crate::runner::events_of;
use crate::target::local::StepDir;
use crate::words::call::{CallId, Undo};
use crate::words::event::{Event, Stamped};
use crate::words::suggest::nearest;

use super::context::{Context, Format};
use super::history;
use super::refuse::{refuse, say};

/// Shows the output of a run's steps and back-outs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: String,
    /// Only this step: its number as reports show it (7, b7/1), or a part of its title
    step: Option<String>,
    /// Goes on until the run has ended
    #[arg(short, long)]
    follow: bool,
}

/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;
/// How often a live run is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let (run, events) = match history::find(context, &args.run) {
        Ok(found) => found,
        Err(error) => return refuse(context, &error),
    };
    let mut outputs = Outputs::default();
    for event in &events {
        outputs.hear(event);
    }
    if let Some(wanted) = &args.step
        && !args.follow
        && !outputs.all.iter().any(|o| o.is(wanted))
    {
        say(context, &outputs.unknown(&run, wanted));
        return 1;
    }
    let mut printer = Printer::new(context, args, &run, &outputs);
    let result = if args.follow {
        printer.follow(&mut outputs, events.last().map_or(0, |e| e.seq))
    } else {
        printer.print(&outputs, true)
    };
    match result {
        Ok(()) => {
            if outputs.all.is_empty() && context.format == Format::Human {
                say_nothing(context, &run);
            }
            0
        }
        Err(Broken::Journal(error)) => refuse(context, &error),
        Err(Broken::Output(error)) => {
            say(context, &format!("the output can't be read: {error}"));
            1
        }
        // Nobody reads any more.
        Err(Broken::Reader) => 0,
    }
}

fn say_nothing(context: &Context, run: &str) {
    out::error_line(
        &context
            .style
            .paint(Tone::Dim, &format!("run {run} has no steps")),
    );
}

enum Broken {
    Journal(Error),
    Output(std::io::Error),
    Reader,
}

/// One output: that of a try of a step or of a back-out.
#[derive(Clone, Debug)]
struct Output {
    id: CallId,
    attempt: u32,
    backs_out: bool,
    title: String,
    ended: bool,
}

impl Output {
    fn is(&self, wanted: &str) -> bool {
        self.id.to_string() == wanted || self.title.to_lowercase().contains(&wanted.to_lowercase())
    }

    fn heading(&self) -> String {
        let what = if self.backs_out { "back-out of " } else { "" };
        let attempt = match self.attempt {
            1 => String::new(),
            n => format!(", try {n}"),
        };
        format!("{what}[{}] {}{attempt}", self.id, first_line(&self.title))
    }
}

/// The outputs of a run, in the order in which they began.
#[derive(Debug, Default)]
struct Outputs {
    all: Vec<Output>,
    closures: Vec<CallId>,
    has_ended: bool,
}

impl Outputs {
    fn hear(&mut self, event: &Stamped) {
        match &event.event {
            Event::StepStarted {
                id, attempt, step, ..
            } => {
                let is_closure = |u: &Undo| matches!(u, Undo::Closure);
                if step.back_out.as_ref().is_some_and(|b| is_closure(&b.undo)) {
                    self.closures.push(id.clone());
                }
                self.begin(id, *attempt, false, &step.title);
            }
            // A closure has no output of its own; its steps have.
            Event::BackOutStarted { id, .. } if self.closures.contains(id) => {}
            Event::BackOutStarted {
                id, attempt, title, ..
            } => self.begin(id, *attempt, true, title),
            Event::StepEnded { id, .. } | Event::StepVoid { id, .. } => self.end(id, false),
            Event::BackOutEnded { id, .. } | Event::BackOutVoid { id, .. } => self.end(id, true),
            Event::RunEnded { .. } => self.has_ended = true,
            _ => {}
        }
    }

    fn begin(&mut self, id: &CallId, attempt: u32, backs_out: bool, title: &str) {
        self.all.push(Output {
            id: id.clone(),
            attempt,
            backs_out,
            title: title.to_owned(),
            ended: false,
        });
    }

    fn end(&mut self, id: &CallId, backs_out: bool) {
        for output in &mut self.all {
            output.ended |= output.id == *id && output.backs_out == backs_out;
        }
    }

    fn unknown(&self, run: &str, wanted: &str) -> String {
        let titles = self.all.iter().map(|o| o.title.as_str());
        let near = nearest(wanted, titles)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let known: Vec<String> = self
            .all
            .iter()
            .filter(|o| !o.backs_out && o.attempt == 1)
            .map(|o| format!("\n  {} {}", o.id, first_line(&o.title)))
            .collect();
        if known.is_empty() {
            format!("run {run} has no steps")
        } else {
            format!(
                "run {run} has no step `{wanted}`{near}; it has:{}",
                known.concat()
            )
        }
    }
}

struct Printer<'a> {
    context: &'a Context,
    wanted: Option<&'a str>,
    run: String,
    /// To a terminal goes what is safe there; to a file or a program, every byte as it is.
    is_safe: bool,
    has_headings: bool,
    /// How far the outputs have been printed; those behind the last have not been begun.
    places: Vec<Place>,
}

#[derive(Default)]
struct Place {
    offset: u64,
    cutter: Cutter,
    begun: bool,
    done: bool,
    /// Did the last byte end a line?
    mid_line: bool,
}

impl<'a> Printer<'a> {
    fn new(context: &'a Context, args: &'a Args, run: &str, outputs: &Outputs) -> Self {
        let wanted = args.step.as_deref();
        let count = outputs
            .all
            .iter()
            .filter(|o| wanted.is_none_or(|wanted| o.is(wanted)))
            .count();
        Self {
            context,
            wanted,
            run: run.to_owned(),
            is_safe: std::io::stdout().is_terminal(),
            // Of a single output every byte is printed, and nothing else.
            has_headings: args.follow || wanted.is_none() || count != 1,
            places: Vec::new(),
        }
    }

    /// Prints what there is and has not been printed.
    fn print(&mut self, outputs: &Outputs, last: bool) -> Result<(), Broken> {
        for (n, output) in outputs.all.iter().enumerate() {
            if self.places.len() <= n {
                self.places.push(Place::default());
            }
            let wanted = self.wanted.is_none_or(|wanted| output.is(wanted));
            if wanted && !self.places.get(n).is_some_and(|p| p.done) {
                self.print_one(n, output, last || output.ended)?;
            }
        }
        Ok(())
    }

    fn print_one(&mut self, n: usize, output: &Output, last: bool) -> Result<(), Broken> {
        let name = output.id.directory(output.attempt, output.backs_out);
        let dir = self.context.state.join("runs").join(&self.run).join(name);
        let dir = StepDir::new(dir);
        let Some(mut place) = self.places.get_mut(n).map(std::mem::take) else {
            return Ok(());
        };
        let result = self.print_from(&mut place, &dir, output, last);
        place.done = last;
        if let Some(kept) = self.places.get_mut(n) {
            *kept = place;
        }
        result
    }

    fn print_from(
        &self,
        place: &mut Place,
        dir: &StepDir,
        output: &Output,
        last: bool,
    ) -> Result<(), Broken> {
        if !std::mem::replace(&mut place.begun, true)
            && self.has_headings
            && self.context.format == Format::Human
        {
            let heading = format!("== {} ==", output.heading());
            let heading = self.context.style.paint(Tone::Heading, &heading);
            out::bytes(format!("{heading}\n").as_bytes()).map_err(|_| Broken::Reader)?;
        }
        loop {
            let part = dir
                .read_output(place.offset, BLOCK)
                .map_err(Broken::Output)?;
            if part.bytes.is_empty() {
                break;
            }
            let gap = part.offset.saturating_sub(place.offset);
            place.offset = part.offset + part.bytes.len() as u64;
            self.put(place, output, gap, &part.bytes)?;
        }
        if last {
            self.finish(place, output)?;
        }
        Ok(())
    }

    fn put(
        &self,
        place: &mut Place,
        output: &Output,
        gap: u64,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        if !self.is_safe && self.context.format == Format::Human {
            if gap > 0 {
                let text = format!("[… {gap} bytes left out here …]\n");
                out::bytes(text.as_bytes()).map_err(|_| Broken::Reader)?;
            }
            place.mid_line = bytes.last() != Some(&b'\n');
            return out::bytes(bytes).map_err(|_| Broken::Reader);
        }
        let mut pieces = VecDeque::new();
        if gap > 0 {
            pieces.push_back(Piece::Gap(gap));
        }
        place.cutter.push(bytes, &mut pieces);
        self.put_pieces(output, &pieces)
    }

    fn finish(&self, place: &mut Place, output: &Output) -> Result<(), Broken> {
        if place.mid_line && self.has_headings {
            out::bytes(b"\n").map_err(|_| Broken::Reader)?;
        }
        let mut pieces = VecDeque::new();
        place.cutter.finish(&mut pieces);
        self.put_pieces(output, &pieces)
    }

    fn put_pieces(&self, output: &Output, pieces: &VecDeque<Piece>) -> Result<(), Broken> {
        let mut all = String::new();
        for piece in pieces {
            let line = match (self.context.format, piece) {
                (Format::Json, piece) => self.json(output, piece),
                (_, Piece::Line(text)) => text.clone(),
                (_, Piece::Gap(bytes)) => {
                    format!("[… {} left out here …]", show_bytes(*bytes))
                }
            };
            all.push_str(&line);
            all.push('\n');
        }
        if all.is_empty() {
            return Ok(());
        }
        out::bytes(all.as_bytes()).map_err(|_| Broken::Reader)
    }

    fn json(&self, output: &Output, piece: &Piece) -> String {
        let (text, left_out) = match piece {
            Piece::Line(text) => (Some(text), None),
            Piece::Gap(bytes) => (None, Some(bytes)),
        };
        let mut line = json!({
            "run": self.run, "id": output.id, "attempt": output.attempt, "title": output.title,
            "back_out": output.backs_out,
        });
        if let Some(map) = line.as_object_mut() {
            if let Some(text) = text {
                map.insert("text".into(), json!(text));
            }
            if let Some(bytes) = left_out {
                map.insert("left_out_bytes".into(), json!(bytes));
            }
        }
        line.to_string()
    }

    /// Prints what comes, until the run has ended or nobody has it any more.
    fn follow(&mut self, outputs: &mut Outputs, mut seq: u64) -> Result<(), Broken> {
        let reader = Reader::open(&self.context.state).map_err(|e| Broken::Journal(e.into()))?;
        loop {
            let is_owned = history::owner(self.context, &self.run).is_some();
            let entries = reader
                .read_from(&self.run, seq + 1)
                .map_err(|e| Broken::Journal(e.into()))?;
            let events = events_of(&self.run, &entries).map_err(Broken::Journal)?;
            for event in &events {
                seq = event.seq;
                outputs.hear(event);
            }
            let last = outputs.has_ended || (!is_owned && events.is_empty());
            self.print(outputs, last)?;
            if outputs.has_ended {
                return Ok(());
            }
            if last {
                let text = format!("run {} has not ended, and no process has it", self.run);
                out::error_line(&self.context.style.paint(Tone::Warn, &text));
                return Ok(());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}
