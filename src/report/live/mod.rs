//! A run for people at a terminal, while it goes on: the lines that are said of it, and below them
//! the live area.

pub mod board;
pub mod panel;
mod row;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::target::local::StepDir;
use crate::target::terminal;
use crate::words::clock::Clock;
use crate::words::event::Stamped;
use crate::words::report::Report;

use super::human::Listener;
use super::line::Line;
use super::lines::{Lines, Look};
use super::thread::{Reporter, Screen};
use super::{Style, out};

use board::Board;
use panel::{Output, Sight, panel};
use tail::Tail;

pub use row::Row;

/// How often the area is drawn at most.
const PACE: Duration = Duration::from_millis(100);
/// How often it is looked whether there is something to draw while no step runs.
const IDLE_PACE: Duration = Duration::from_millis(250);
/// A terminal with fewer rows or columns has no live area.
const FEWEST: (usize, usize) = (20, 10);

/// Shows what happens as it happens, on a terminal.
pub struct LiveReport(Reporter<LiveScreen>);

/// Is standard output a terminal that is large enough?
#[must_use]
pub fn is_possible() -> bool {
    terminal::size().is_some_and(|(columns, rows)| columns >= FEWEST.0 && rows >= FEWEST.1)
}

impl LiveReport {
    /// A report in this style; the runs and their output are in the look's state directory.
    #[must_use]
    pub fn new(style: Style, look: Look, clock: Arc<dyn Clock>) -> Self {
        Self(Reporter::new(LiveScreen {
            style,
            clock,
            state_dir: PathBuf::from(&look.state_dir),
            lines: Lines::new(look.clone()),
            look,
            board: Board::default(),
            recalled: Vec::new(),
            tails: BTreeMap::new(),
            said: Vec::new(),
            unheard: Vec::new(),
            drawn: None,
            signs: (None, None),
            listener: None,
        }))
    }

    /// Events of the run that were told by another process; to be called before the first event.
    pub fn recall(&mut self, events: Vec<Stamped>) {
        if let Some(screen) = self.0.screen() {
            screen.recalled = events;
        }
    }

    /// Calls `listener` after each event has been shown; to be called before the first event.
    pub fn listen(&mut self, listener: Listener) {
        if let Some(screen) = self.0.screen() {
            screen.listener = Some(listener);
        }
    }
}

impl Report for LiveReport {
    fn event(&mut self, event: &Stamped) {
        self.0.event_without_streams(event);
    }

    fn unwritten(&mut self, event: &Stamped) {
        self.0.unwritten(event);
    }
}

struct LiveScreen {
    style: Style,
    look: Look,
    clock: Arc<dyn Clock>,
    state_dir: PathBuf,
    lines: Lines,
    board: Board,
    recalled: Vec<Stamped>,
    /// The ends of the outputs of what runs, by their directories.
    tails: BTreeMap<String, Tail>,
    /// Lines that are not on the terminal yet.
    said: Vec<Line>,
    /// Events that the listener has not heard of yet.
    unheard: Vec<Stamped>,
    drawn: Option<Instant>,
    /// The size of the terminal, and how much was typed: what changes when somebody else has moved
    /// what stands on it.
    signs: (Option<(usize, usize)>, Option<u64>),
    listener: Option<Listener>,
}

impl Screen for LiveScreen {
    fn events(&mut self, events: &[Stamped]) {
        for event in std::mem::take(&mut self.recalled) {
            self.lines.recall(&event);
            self.board.tell(&event);
        }
        for event in events {
            self.said.extend(self.lines.tell(event));
            self.board.tell(event);
            if self.listener.is_some() {
                self.unheard.push(event.clone());
            }
        }
    }

    fn unwritten(&mut self, event: &Stamped) {
        self.board.tell(event);
        for line in self.lines.tell(event) {
            let text = format!("not in the journal: {}", line.plain());
            out::error_line(text.trim_end());
        }
    }

    fn tick(&mut self) -> Option<Duration> {
        let since = self.drawn.map(|at| at.elapsed());
        if let Some(rest) = since.and_then(|since| PACE.checked_sub(since))
            && !rest.is_zero()
        {
            return Some(rest);
        }
        self.draw();
        self.drawn = Some(Instant::now());
        let has_output = self.board.doing.iter().any(|d| d.directory.is_some());
        Some(if has_output { PACE } else { IDLE_PACE })
    }
}

impl LiveScreen {
    fn draw(&mut self) {
        let now_ms = self.clock.now().wall_ms;
        self.look_at_outputs(now_ms);
        let signs = (terminal::size(), terminal::typed_ahead());
        let disturbed = std::mem::replace(&mut self.signs, signs) != signs;
        let rows = match signs.0 {
            Some((columns, rows)) => self.rows(now_ms, columns, rows),
            None => Vec::new(),
        };
        self.show(rows, disturbed);
    }

    fn rows(&self, now_ms: i64, columns: usize, rows: usize) -> Vec<String> {
        let output = |(name, tail): (&String, &Tail)| {
            let output = Output {
                lines: tail.lines(),
                grew_ms: tail.grew_ms(),
            };
            (name.clone(), output)
        };
        let outputs = self.tails.iter().map(output).collect();
        let sight = Sight {
            outputs: &outputs,
            now_ms,
            zone: self.look.zone.get(),
            program: &self.look.program,
        };
        let rows = panel(&self.board, &sight, columns, rows);
        rows.iter().map(|row| row.painted(self.style)).collect()
    }

    fn look_at_outputs(&mut self, now_ms: i64) {
        let doing = &self.board.doing;
        let is_open = |name: &String| doing.iter().any(|d| d.directory.as_ref() == Some(name));
        self.tails.retain(|name, _| is_open(name));
        let run_dir = self.state_dir.join("runs").join(&self.board.run);
        for name in doing.iter().filter_map(|d| d.directory.as_ref()) {
            let new = || Tail::new(StepDir::new(run_dir.join(name)));
            let tail = self.tails.entry(name.clone()).or_insert_with(new);
            tail.look(now_ms);
        }
    }

    /// Brings the lines to the terminal, and below them these rows.
    fn show(&mut self, rows: Vec<String>, disturbed: bool) {
        let said = std::mem::take(&mut self.said);
        let texts: Vec<String> = said.iter().map(|line| line.painted(self.style)).collect();
        out::lines_and_area(texts.iter().map(String::as_str), rows, disturbed);
        let unheard = std::mem::take(&mut self.unheard);
        if let Some(listener) = &mut self.listener {
            for event in &unheard {
                listener(event);
            }
        }
    }
}

impl Drop for LiveScreen {
    /// The terminal is left with the lines alone, also when something here has panicked.
    fn drop(&mut self) {
        self.show(Vec::new(), false);
    }
}
