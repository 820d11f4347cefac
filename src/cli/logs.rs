//! `deployrun logs`.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::json;

use crate::Error;
use crate::journal::Reader;
use crate::report::line::{Tone, first_line};
use crate::report::out;
use crate::report::output::{Cutter, Piece, begin_of_last, show_bytes};
use crate::runner::events_of;
use crate::target::local::StepDir;
use crate::words::call::{CallId, Undo};
use crate::words::event::{Event, Stamped};
use crate::words::outcome::RunOutcome;
use crate::words::suggest::nearest;

use super::context::{Context, Format};
use super::history;
use super::refuse::{refuse, say};
use super::values;

/// Shows the output of a run's steps and back-outs.
///
/// With `-f` it goes on with what comes, from step to step, until the run has ended. If the process
/// of the run dies meanwhile, it goes on as long as the step in flight does, or until somebody takes
/// the run up.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The run's id, or enough of its beginning
    run: String,
    /// Only this step: its number as reports show it (7, b7/1), or a part of its title
    step: Option<String>,
    /// Goes on until the run has ended; the exit status is then that of the run
    #[arg(short, long)]
    follow: bool,
    /// Of what there is already, only the last N lines of each output
    #[arg(short = 'n', long, value_name = "N", value_parser = values::number)]
    lines: Option<usize>,
}

const EXAMPLES: &str = "Exit status:
  0 when the output was shown; with -f that of the run: 0 released, 1 refused, 3 backed out,
  4 stuck, and 4 too when it has not ended and no process has it.

Examples:
  deployrun logs 20260321-22
      all of it
  deployrun logs 20260321-22 migrate
      the output of one step, byte for byte where it does not go to a terminal
  deployrun logs -f -n 20 20260321-22
      the last lines of each step so far, and then what comes";

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
        printer.print(&outputs, true).map(|()| Followed::Not)
    };
    match result {
        Ok(followed) => {
            if outputs.all.is_empty() && context.format == Format::Human {
                say_nothing(context, &run);
            }
            tell_end(context, &run, followed)
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

/// Where following has led to.
enum Followed {
    Not,
    ToTheEnd(RunOutcome),
    /// Nobody goes on with the run.
    ToNobody,
}

fn tell_end(context: &Context, run: &str, followed: Followed) -> u8 {
    match followed {
        Followed::Not => 0,
        Followed::ToTheEnd(outcome) => {
            if context.format == Format::Human {
                let text = format!("run {run} has ended: {}", outcome.word());
                out::error_line(&context.style.paint(Tone::Dim, &text));
            }
            outcome.exit_status()
        }
        Followed::ToNobody => {
            let text = format!(
                "run {run} has not ended, and no process has it; take it up with \
                 `deployrun resume {run}` or `deployrun back-out {run}`"
            );
            say(context, &text);
            4
        }
    }
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
    outcome: Option<RunOutcome>,
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
            Event::RunEnded { end } => self.outcome = Some(end.outcome),
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
    /// So many lines of what is there at first.
    lines: Option<usize>,
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
            lines: args.lines,
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
        let dir = self.dir(output);
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
        let is_first = !std::mem::replace(&mut place.begun, true);
        if let Some(lines) = self.lines.filter(|_| is_first) {
            place.offset = begin_of_last(dir, lines).map_err(Broken::Output)?;
        }
        if is_first && self.has_headings && self.context.format == Format::Human {
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

    /// Prints what comes, until the run has ended, or nobody has it and nothing of it acts any more.
    fn follow(&mut self, outputs: &mut Outputs, mut seq: u64) -> Result<Followed, Broken> {
        let reader = Reader::open(&self.context.state).map_err(|e| Broken::Journal(e.into()))?;
        // A run that was just created belongs to nobody for a moment.
        let mut alone = 0;
        let mut told_alone = false;
        loop {
            let is_owned = history::owner(self.context, &self.run).is_some();
            let acts = !is_owned && self.acts(outputs);
            let entries = reader
                .read_from(&self.run, seq + 1)
                .map_err(|e| Broken::Journal(e.into()))?;
            let events = events_of(&self.run, &entries).map_err(Broken::Journal)?;
            for event in &events {
                seq = event.seq;
                outputs.hear(event);
            }
            let is_quiet = !is_owned && !acts && events.is_empty();
            alone = if is_quiet { alone + 1 } else { 0 };
            let last = outputs.outcome.is_some() || alone > 1;
            self.print(outputs, last)?;
            self.lines = None;
            if let Some(outcome) = outputs.outcome {
                return Ok(Followed::ToTheEnd(outcome));
            }
            if last {
                return Ok(Followed::ToNobody);
            }
            if acts && !std::mem::replace(&mut told_alone, true) {
                self.tell_alone();
            }
            told_alone &= !is_owned;
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Does a step or a back-out of the run act?
    fn acts(&self, outputs: &Outputs) -> bool {
        let mut open = outputs.all.iter().filter(|output| !output.ended);
        open.any(|output| self.dir(output).acts())
    }

    fn tell_alone(&self) {
        let text = format!(
            "no process has run {} any more; the step in flight goes on under its own supervisor",
            self.run
        );
        if self.context.format == Format::Human {
            out::error_line(&self.context.style.paint(Tone::Warn, &text));
        }
    }

    fn dir(&self, output: &Output) -> StepDir {
        let name = output.id.directory(output.attempt, output.backs_out);
        StepDir::new(self.context.state.join("runs").join(&self.run).join(name))
    }
}
