//! The live area: where a run stands, at a glance. A pure function of what was told so far, of the
//! present time, and of the ends of outputs.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::report::line::{Tone, first_line};
use crate::report::lines::{coarse, quoted};
use crate::words::call::CallId;
use crate::words::duration;
use crate::words::event::{LimitBy, Verdict};
use crate::words::outcome::Phase;

use super::board::{Board, Deed, Doing, Watched};
use super::row::{Row, width};

/// Columns that a mark takes, with the gap behind it, as in the lines above.
const MARK_WIDTH: usize = 8;
/// Below so many columns there are no bars.
const BAR_FROM: usize = 70;
/// Below so many columns the time of day is not told.
const CLOCK_FROM: usize = 36;
/// Cells of a bar.
const BAR: u64 = 10;
/// Lines of output that are shown of one step.
const OUTPUT_LINES: usize = 6;
/// Steps of which more than their number is shown.
const DOING_SHOWN: usize = 4;
/// After so many milliseconds without output a step is called silent.
const SILENT_MS: u64 = 5_000;
/// A limit that is nearer than this, in milliseconds, is shown as a warning.
const NEAR_MS: u64 = 5 * 60_000;

/// What the panel is made of beside the run's events.
#[derive(Debug)]
pub struct Sight<'a> {
    /// The ends of outputs, by the directories they lie in.
    pub outputs: &'a BTreeMap<String, Output>,
    /// The present time, milliseconds since 1970.
    pub now_ms: i64,
    /// In whose clock times are told.
    pub zone: &'a TimeZone,
    /// How this program is called in commands to type.
    pub program: &'a str,
}

/// The end of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its last lines, the oldest first.
    pub lines: Vec<String>,
    /// When it was last seen to have grown, milliseconds since 1970.
    pub grew_ms: Option<i64>,
}

/// The rows of the live area on a terminal of `columns` and `rows`. None is wider than the terminal
/// less one column, and there are never more of them than fit well below the lines.
#[must_use]
pub fn panel(board: &Board, sight: &Sight<'_>, columns: usize, rows: usize) -> Vec<Row> {
    if board.started_ms.is_none()
        || board.ended
        || board.left
        || board.phase.ended().is_some()
        || columns < 10
    {
        return Vec::new();
    }
    let view = View {
        board,
        sight,
        // What is written into the last column may or may not wrap.
        columns: columns - 1,
    };
    let mut all = Vec::new();
    view.title(&mut all);
    view.path(&mut all);
    view.waits(&mut all);
    view.doing(&mut all);
    view.watches(&mut all);
    view.limits(&mut all);
    view.back_outs(&mut all);
    view.interrupt(&mut all);
    let budget = (rows * 9 / 20).clamp(1, 16);
    while all.len() > budget {
        let least = all.iter().map(|(rank, _)| *rank).max();
        let Some(at) = all.iter().rposition(|(rank, _)| Some(*rank) == least) else {
            break;
        };
        all.remove(at);
    }
    all.into_iter()
        .map(|(_, row)| row.cut(view.columns))
        .collect()
}

/// How important a row is: the higher, the sooner it is left out.
type Rank = u8;
type Rows = Vec<(Rank, Row)>;

struct View<'a> {
    board: &'a Board,
    sight: &'a Sight<'a>,
    columns: usize,
}

impl View<'_> {
    fn title(&self, rows: &mut Rows) {
        let since = self.board.started_ms.unwrap_or(self.sight.now_ms);
        let time = match self.columns < CLOCK_FROM {
            true => format!(" {} ", self.since(since)),
            false => format!(" {}, {} ", self.time(self.sight.now_ms), self.since(since)),
        };
        let title = format!(" {} ", self.board.release());
        let dashes = |n: usize| Row::new().with(Tone::Dim, &"-".repeat(n));
        let left = dashes(2).and(Row::new().with(Tone::Heading, &title));
        let right = Row::new().with(Tone::Plain, &time).and(dashes(2));
        let left = left.cut(self.columns.saturating_sub(right.width()));
        let gap = self.columns.saturating_sub(left.width() + right.width());
        rows.push((0, left.and(dashes(gap)).and(right)));
    }

    /// `review > waiting > [release] > verify`.
    fn path(&self, rows: &mut Rows) {
        let board = self.board;
        let backing_out = board.phase == Phase::BackingOut;
        let mut path: Vec<Phase> = Vec::new();
        if backing_out {
            path.extend(board.passed.iter().filter(|p| **p != Phase::BackingOut));
            path.push(Phase::BackingOut);
        } else {
            path.extend([Phase::Review, Phase::Waiting, Phase::Release, Phase::Verify]);
        }
        let mut row = Row::new();
        for (n, phase) in path.iter().enumerate() {
            if n > 0 {
                row = row.with(Tone::Dim, " > ");
            }
            row = if *phase == board.phase {
                let tone = match backing_out || board.stop.is_some() {
                    true => Tone::Bad,
                    false => Tone::Heading,
                };
                row.with(tone, &format!("[{}]", phase.word()))
            } else {
                row.with(Tone::Dim, phase.word())
            };
        }
        rows.push((2, row));
        if let Some(stop) = &board.stop {
            let text = format!("{}: {}", stop.cause.words(), first_line(&stop.reason));
            rows.push((2, self.marked(Tone::Bad, "STOP", &text)));
        }
    }

    /// What the gate waits for.
    fn waits(&self, rows: &mut Rows) {
        let board = self.board;
        if let Some(opens_ms) = board.opens_ms {
            let left = show_s(positive(opens_ms.saturating_sub(self.sight.now_ms)));
            let mut text = format!("opens in {left}, at {}", self.day_time(opens_ms));
            if let Some(closes_ms) = board.closes_ms {
                text.push_str(&format!("; closes {}", self.day_time(closes_ms)));
            }
            rows.push((1, self.marked(Tone::Heading, "window", &text)));
        }
        if let Some(holder) = &board.lock_holder {
            let text = format!("waiting: {}", first_line(holder));
            rows.push((1, self.marked(Tone::Warn, "lock", &text)));
        }
        for name in &board.approvals {
            let text = format!("`{}` is waited for; elsewhere:", first_line(name));
            rows.push((3, self.marked(Tone::Warn, "approve", &text)));
            let command = format!(
                "{} approve {} {}",
                self.sight.program,
                board.run,
                quoted(name)
            );
            rows.push((3, self.marked(Tone::Heading, "", &command)));
        }
    }

    fn doing(&self, rows: &mut Rows) {
        let board = self.board;
        let shown = board.doing.iter().take(DOING_SHOWN);
        for (n, doing) in shown.enumerate() {
            let rank = Rank::try_from(n).unwrap_or(Rank::MAX).saturating_add(1);
            rows.push((rank, self.head_of(doing)));
            self.output_of(doing, rows);
        }
        let more = board.doing.len().saturating_sub(DOING_SHOWN);
        if more > 0 {
            rows.push((5, self.marked(Tone::Dim, "", &format!("and {more} more"))));
        }
        let waits =
            board.opens_ms.is_some() || board.lock_holder.is_some() || !board.approvals.is_empty();
        if board.doing.is_empty() && !waits {
            let text = match board.phase {
                Phase::BackingOut => "no back-out runs now",
                Phase::Review | Phase::Waiting => "it reads and checks; nothing is changed yet",
                _ => "no step runs now: it reads, checks or computes",
            };
            rows.push((4, self.marked(Tone::Dim, "plan", text)));
        }
    }

    fn head_of(&self, doing: &Doing) -> Row {
        let board = self.board;
        let (mark, text) = match doing.deed {
            Deed::Step => {
                let group = match &doing.group {
                    Some(group) => format!("{group}: "),
                    None => String::new(),
                };
                let (attempt, tries) = doing.tries;
                let attempt = match attempt {
                    0 | 1 => String::new(),
                    n if n <= tries => format!(", try {n} of {tries}"),
                    n => format!(", try {n}"),
                };
                let text = format!("[{}] {group}{}{attempt}", doing.id, doing.title);
                let is_ended = board.stop.is_some() && !doing.id.is_in_back_out();
                (if is_ended { "ending" } else { "step" }, text)
            }
            Deed::Undo => {
                let text = format!("[{}] {}", doing.id, board.title(&doing.id));
                ("undo", text)
            }
            Deed::Verify => {
                let last = match (&doing.last, doing.tries.0) {
                    (Some(verdict), n) => {
                        format!(": try {n}: {}", first_line(verdict.words()))
                    }
                    (None, _) => String::new(),
                };
                ("verify", format!("{}{last}", doing.title))
            }
            Deed::Soak => {
                let watches = match board.watches.len() {
                    0 => "nothing watches".to_owned(),
                    1 => "1 watch looks on".to_owned(),
                    n => format!("{n} watches look on"),
                };
                ("soak", watches)
            }
            Deed::Sleep => ("sleep", "the plan waits".to_owned()),
        };
        let tone = match doing.deed {
            Deed::Undo => Tone::Warn,
            _ if mark == "ending" => Tone::Bad,
            _ => Tone::Heading,
        };
        let left = self.marked(tone, mark, &text);
        left.against(self.elapsed(doing), self.columns)
    }

    /// `1m12s of 10m [#---------]`.
    fn elapsed(&self, doing: &Doing) -> Row {
        let gone = positive(self.sight.now_ms.saturating_sub(doing.since_ms));
        let Some(limit) = doing.limit_ms else {
            return Row::new().with(Tone::Plain, &show_s(gone));
        };
        let by = match doing.limit_by {
            LimitBy::Timeout => "",
            LimitBy::Group => " (its group)",
            LimitBy::Deadline => " (deadline)",
            LimitBy::Window => " (window)",
            LimitBy::BackOut => " (back-out)",
        };
        let tone = match gone.saturating_mul(5) >= limit.saturating_mul(4) {
            true if matches!(doing.deed, Deed::Step | Deed::Undo | Deed::Verify) => Tone::Warn,
            _ => Tone::Plain,
        };
        let text = format!("{} of {}{by}", show_s(gone), show(limit));
        let row = Row::new().with(tone, &text);
        if self.columns < BAR_FROM {
            return row;
        }
        let full = (gone.saturating_mul(BAR) / limit.max(1)).min(BAR);
        let cells = |n: u64, c: &str| c.repeat(usize::try_from(n).unwrap_or_default());
        row.with(Tone::Dim, " [")
            .with(tone, &cells(full, "#"))
            .with(Tone::Dim, &cells(BAR - full, "-"))
            .with(Tone::Dim, "]")
    }

    fn output_of(&self, doing: &Doing, rows: &mut Rows) {
        let Some(directory) = &doing.directory else {
            return;
        };
        let output = self.sight.outputs.get(directory);
        let lines = output.map_or(&[][..], |output| &output.lines);
        let skipped = lines.len().saturating_sub(OUTPUT_LINES);
        let shown = lines.get(skipped..).unwrap_or_default();
        for (n, line) in shown.iter().enumerate() {
            let age = Rank::try_from(shown.len() - 1 - n).unwrap_or(Rank::MAX);
            // The last line is worth more than the watches, the older ones are worth less.
            let rank = if age == 0 { 4 } else { age.saturating_add(10) };
            rows.push((rank, self.marked(Tone::Dim, "", &format!("| {line}"))));
        }
        let last = output.and_then(|output| output.grew_ms);
        let since = last.unwrap_or(doing.since_ms);
        let silent = positive(self.sight.now_ms.saturating_sub(since));
        if silent < SILENT_MS {
            return;
        }
        let what = match last {
            Some(_) => "no more output",
            None => "no output",
        };
        let text = match doing.idle_ms {
            Some(idle) => format!(
                "... {what} for {}; it is cut off after {}",
                show_s(silent),
                show(idle)
            ),
            None => format!("... {what} for {}", show_s(silent)),
        };
        let near = |idle: u64| silent.saturating_mul(2) > idle;
        let tone = match doing.idle_ms.is_some_and(near) {
            true => Tone::Warn,
            false => Tone::Dim,
        };
        rows.push((5, self.marked(tone, "", &text)));
    }

    fn watches(&self, rows: &mut Rows) {
        if self.board.phase == Phase::BackingOut {
            return;
        }
        let mut watches: Vec<&Watched> = self.board.watches.values().collect();
        // The worst first, and those that can trip before those that cannot; else as in the plan.
        watches.sort_by_key(|w| std::cmp::Reverse((w.bad > 0 && !w.watch.observe, w.bad)));
        let names = watches.iter().map(|w| width(&first_line(&w.watch.name)));
        let name_width = names.max().unwrap_or(0).min(self.columns / 3);
        for (n, watched) in watches.iter().enumerate() {
            let n = Rank::try_from(n).unwrap_or(Rank::MAX);
            let rank = if watched.bad > 0 {
                3
            } else {
                n.saturating_add(6).min(20)
            };
            rows.push((rank, self.watch(watched, name_width)));
        }
    }

    fn watch(&self, watched: &Watched, name_width: usize) -> Row {
        let name = Row::new().with(Tone::Plain, &first_line(&watched.watch.name));
        let name = name.cut(name_width);
        let gap = " ".repeat(name_width.saturating_sub(name.width()) + 2);
        let failures = watched.watch.failures.max(1);
        let row = self.marked(Tone::Plain, "watch", "").and(name);
        let row = row.with(Tone::Plain, &gap);
        let Some((verdict, at_ms)) = &watched.last else {
            return row.with(Tone::Dim, "not sampled yet");
        };
        let ago = match self.since(*at_ms).as_str() {
            "0s" => ", now".to_owned(),
            since => format!(", {since} ago"),
        };
        let of = match watched.watch.observe {
            true => format!("{} in a row, only observed", watched.bad),
            false => format!("{} of {failures}", watched.bad),
        };
        let words = first_line(verdict.words());
        match verdict {
            Verdict::Pass => row.with(Tone::Good, "pass").with(Tone::Dim, &ago),
            _ if watched.bad == 0 => row
                .with(Tone::Dim, &words)
                .with(Tone::Dim, &format!(", does not count{ago}")),
            _ => {
                let tone = match watched.watch.observe {
                    true => Tone::Warn,
                    false => Tone::Bad,
                };
                row.with(tone, &format!("BAD {of}"))
                    .with(Tone::Plain, &format!(": {words}"))
                    .with(Tone::Dim, &ago)
            }
        }
    }

    /// How long the release may go on.
    fn limits(&self, rows: &mut Rows) {
        let board = self.board;
        if board.stop.is_some() {
            return;
        }
        let Some(opened) = board.opened_ms else {
            return;
        };
        let reserved = board.header.reserved_ms();
        let deadline = board
            .header
            .deadline_ms
            .map(|ms| ("deadline", opened.saturating_add_unsigned(ms)));
        let window = board.closes_ms.map(|at| ("window's end", at));
        let mut ends: Vec<(&str, i64)> = deadline.into_iter().chain(window).collect();
        ends.sort_by_key(|(_, at)| *at);
        for (n, (what, at)) in ends.into_iter().enumerate() {
            let left = positive(at.saturating_sub(self.sight.now_ms)).saturating_sub(reserved);
            let tone = if left < NEAR_MS {
                Tone::Warn
            } else {
                Tone::Plain
            };
            let end = self.day_time(at);
            let left = self.left(left);
            let (rank, text) = match n {
                0 => (
                    3,
                    format!(
                        "{left} left: {what} {end}, less {} for the back-out",
                        show(reserved)
                    ),
                ),
                _ => (8, format!("{left} left: {what} {end}")),
            };
            rows.push((rank, self.marked(tone, "time", &text)));
        }
    }

    /// What is armed, or how far the back-out is.
    fn back_outs(&self, rows: &mut Rows) {
        let board = self.board;
        if board.phase == Phase::BackingOut {
            let failed = board.not_undone.len();
            let running = board.doing.iter().any(|d| d.deed == Deed::Undo);
            let (done, all) = (board.undone + failed, board.to_undo);
            let at = (done + usize::from(running)).min(all);
            let text = match failed {
                0 => format!("{at} of {all}, the newest first; {} undone", board.undone),
                n => format!(
                    "{at} of {all}, the newest first; {} undone, {n} FAILED",
                    board.undone
                ),
            };
            rows.push((3, self.marked(Tone::Plain, "back-out", &text)));
            for id in &board.not_undone {
                let text = format!("NOT undone: [{id}] {}", board.title(id));
                rows.push((5, self.marked(Tone::Bad, "", &text)));
            }
            return;
        }
        let text = match (board.armed().count(), board.armed().next_back()) {
            (_, None) if board.steps.is_empty() => return,
            (_, None) => "nothing: a back-out would undo nothing".to_owned(),
            (1, Some(one)) => format!("1 back-out: {}", self.armed(one)),
            (n, Some(newest)) => format!("{n} back-outs, the newest: {}", self.armed(newest)),
        };
        rows.push((7, self.marked(Tone::Plain, "armed", &text)));
    }

    fn armed(&self, id: &CallId) -> String {
        let title = self.board.back_outs.get(id).map(|b| first_line(&b.title));
        format!("`{}`", title.unwrap_or_default())
    }

    /// What Ctrl-C does now.
    fn interrupt(&self, rows: &mut Rows) {
        let board = self.board;
        let stopping = board.stop.is_some() || board.phase == Phase::BackingOut;
        let before = matches!(board.phase, Phase::Review | Phase::Waiting);
        let armed = match board.armed().count() {
            0 => "ends what runs; nothing is armed".to_owned(),
            1 => "ends what runs, and backs out 1 step".to_owned(),
            n => format!("ends what runs, and backs out {n} steps"),
        };
        let text = match board.interrupts {
            0 if stopping => "changes nothing: the back-out is under way",
            0 if before => "stops; nothing has been changed",
            0 => armed.as_str(),
            1 => "again kills what is being ended, without grace",
            _ => "once more leaves the run half backed out",
        };
        rows.push((5, self.marked(Tone::Dim, "Ctrl-C", text)));
    }

    fn marked(&self, tone: Tone, mark: &str, text: &str) -> Row {
        let gap = MARK_WIDTH.saturating_sub(mark.len()).max(1);
        let row = Row::new().with(tone, mark);
        let row = row.with(Tone::Plain, &" ".repeat(gap));
        match mark {
            "" | "STOP" => row.with(tone, text),
            _ if tone == Tone::Dim => row.with(tone, text),
            _ => row.with(Tone::Plain, text),
        }
    }

    fn since(&self, at_ms: i64) -> String {
        show_s(positive(self.sight.now_ms.saturating_sub(at_ms)))
    }

    fn left(&self, ms: u64) -> String {
        coarse(ms / 1000 * 1000)
    }

    fn time(&self, at_ms: i64) -> String {
        self.strftime(at_ms, "%H:%M:%S")
    }

    /// `23:00`, with the day if it is another one.
    fn day_time(&self, at_ms: i64) -> String {
        let day = |at| self.strftime(at, "%Y-%m-%d");
        let far = at_ms.saturating_sub(self.sight.now_ms) > 6 * 24 * 3_600_000;
        match day(at_ms) == day(self.sight.now_ms) {
            true => self.strftime(at_ms, "%H:%M"),
            false if far => self.strftime(at_ms, "%a %Y-%m-%d %H:%M"),
            false => self.strftime(at_ms, "%a %H:%M"),
        }
    }

    fn strftime(&self, at_ms: i64, format: &str) -> String {
        match jiff::Timestamp::from_millisecond(at_ms) {
            Ok(at) => {
                let at = at.to_zoned(self.sight.zone.clone());
                at.strftime(format).to_string()
            }
            Err(_) => String::new(),
        }
    }
}

fn positive(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// Milliseconds for people, in whole seconds.
fn show_s(ms: u64) -> String {
    show(ms / 1000 * 1000)
}

fn show(ms: u64) -> String {
    duration::show(std::time::Duration::from_millis(ms))
}
