//! Where a run stands, at a glance: events in, one screen out.

mod json;

use jiff::Timestamp;

use crate::words::call::{Answer, Call, CallId, Watch};
use crate::words::event::{Event, Stamped, Verdict};
use crate::words::header::Header;
use crate::words::outcome::{LOCK_ADVICE, Phase, StopCause};

use super::line::{Line, Tone, first_line};
use super::lines::{Activity, Lines, Look, coarse, quoted, show_instant, show_ms};

/// Columns of the names.
const NAMES: usize = 11;

/// Of what there may be many, so many are shown.
const MOST: usize = 8;

/// What a run is doing and waiting for.
#[derive(Debug)]
pub struct Status {
    look: Look,
    lines: Lines,
    header: Header,
    phase: Phase,
    phase_since_ms: i64,
    stop: Option<(StopCause, String)>,
    watches: Vec<Watched>,
    lock: Lock,
    window: Option<Window>,
    gate_opened_ms: Option<i64>,
}

#[derive(Debug)]
struct Watched {
    id: CallId,
    watch: Watch,
    last: Option<(Verdict, u32, i64)>,
}

#[derive(Debug, Default)]
enum Lock {
    #[default]
    NotAsked,
    /// Who has it.
    Awaited(String),
    Taken,
}

#[derive(Debug)]
enum Window {
    Awaited { opens_ms: i64, closes_ms: i64 },
    Open { closes_ms: i64 },
    SetAside { reason: String },
}

/// What is known of a run beside its events.
pub struct Beside<'a> {
    /// Now, milliseconds since 1970.
    pub now_ms: i64,
    /// The process that has the run, in words, if one does.
    pub owner: Option<String>,
    /// What can be seen of the step whose directory has this name.
    pub seen: &'a dyn Fn(&str) -> Seen,
}

/// What can be seen of a step in flight.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Does its supervisor live?
    pub acts: bool,
    /// The last lines of its output.
    pub tail: Vec<String>,
}

impl Status {
    /// The status of a run with these events.
    #[must_use]
    pub fn of(look: Look, events: &[Stamped]) -> Self {
        let mut status = Self {
            lines: Lines::new(look.clone()),
            look,
            header: Header::default(),
            phase: Phase::Review,
            phase_since_ms: events.first().map_or(0, |e| e.at_ms),
            stop: None,
            watches: Vec::new(),
            lock: Lock::default(),
            window: None,
            gate_opened_ms: None,
        };
        for event in events {
            status.lines.recall(event);
            status.hear(&event.event, event.at_ms);
        }
        status
    }

    fn hear(&mut self, event: &Event, at_ms: i64) {
        match event {
            Event::Header { header } => self.header = header.clone(),
            Event::Phase { phase } if *phase != self.phase => {
                self.phase = *phase;
                self.phase_since_ms = at_ms;
            }
            Event::Called {
                id,
                call: Call::Watch(watch),
                answer: Answer::Value(_),
                ..
            } => self.watches.push(Watched {
                id: id.clone(),
                watch: watch.clone(),
                last: None,
            }),
            Event::Sampled {
                id, verdict, bad, ..
            } => {
                let watched = self.watches.iter_mut().find(|w| w.id == *id);
                if let Some(watched) = watched {
                    watched.last = Some((verdict.clone(), *bad, at_ms));
                }
            }
            Event::LockWaited { holder } => self.lock = Lock::Awaited(holder.clone()),
            Event::LockTaken { .. } => self.lock = Lock::Taken,
            Event::WindowAwaited {
                opens_ms,
                closes_ms,
                ..
            } => {
                let (opens_ms, closes_ms) = (*opens_ms, *closes_ms);
                self.window = Some(Window::Awaited {
                    opens_ms,
                    closes_ms,
                });
            }
            Event::WindowOpen { closes_ms, .. } => {
                let closes_ms = *closes_ms;
                self.window = Some(Window::Open { closes_ms });
            }
            Event::WindowOverridden { reason, .. } => {
                let reason = reason.clone();
                self.window = Some(Window::SetAside { reason });
            }
            Event::GateOpened => self.gate_opened_ms = Some(at_ms),
            Event::Stopping { cause, reason, .. } => self.stop = Some((*cause, reason.clone())),
            _ => {}
        }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &str {
        self.lines.run()
    }

    /// The exit status that stands for it: that of its outcome; 5 while a process has it; 4 when it
    /// has not ended and nobody goes on with it.
    #[must_use]
    pub fn exit_status(&self, is_owned: bool) -> u8 {
        match (self.lines.end(), is_owned) {
            (Some(end), _) => end.outcome.exit_status(),
            (None, true) => 5,
            (None, false) => 4,
        }
    }

    fn steps(&self) -> impl Iterator<Item = (&Activity, &str)> {
        let all = self.lines.activities().iter();
        all.filter_map(|a| Some((a, a.directory.as_deref()?)))
    }

    /// When the deadline comes, and when the release must stop for it.
    fn deadline_ms(&self) -> Option<(i64, i64)> {
        let whole = self.header.deadline_ms?;
        let end = self.gate_opened_ms?.saturating_add_unsigned(whole);
        Some((end, end.saturating_sub_unsigned(self.header.reserved_ms())))
    }

    fn commands(&self) -> (String, Option<String>) {
        let (program, run) = (&self.look.program, self.run());
        let back_out = format!("{program} back-out {run}");
        let resume = self
            .stop
            .is_none()
            .then(|| format!("{program} resume {run}"));
        (back_out, resume)
    }

    fn approve_command(&self, name: &str) -> String {
        format!(
            "{} approve {} {}",
            self.look.program,
            self.run(),
            quoted(name)
        )
    }

    /// The screen. A brief one leaves out what is not needed to know who must do something.
    #[must_use]
    pub fn screen(&self, beside: &Beside<'_>, is_brief: bool) -> Vec<Line> {
        let mut screen = Screen {
            lines: Vec::new(),
            now_ms: beside.now_ms,
            look: &self.look,
        };
        let text = format!("run {}: {}", self.run(), self.lines.release());
        screen.lines.push(Line::margin(Tone::Heading, text));
        if self.lines.end().is_some() {
            self.tell_end(&mut screen);
            return screen.lines;
        }
        self.tell_phase(&mut screen);
        self.tell_running(&mut screen, beside, is_brief);
        if !is_brief {
            self.tell_watches(&mut screen);
        }
        self.tell_limits(&mut screen);
        if !is_brief {
            let armed: Vec<String> = self.lines.armed().collect();
            screen.several("armed", armed.into_iter().map(|text| (Tone::Plain, text)));
        }
        match &beside.owner {
            Some(owner) => screen.named(Tone::Plain, "process", owner),
            None => self.tell_how_to_come_back(&mut screen),
        }
        screen.lines
    }

    fn tell_end(&self, screen: &mut Screen<'_>) {
        let Some(end) = self.lines.end() else { return };
        let tone = match end.outcome.exit_status() {
            0 => Tone::Good,
            4 => Tone::Bad,
            _ => Tone::Warn,
        };
        let ended = screen.ago(self.lines.now_ms());
        screen.named(tone, "ended", &format!("{}, {ended}", end.outcome.word()));
        if let Some(cause) = end.cause {
            let text = match cause {
                StopCause::Refused => end.reason.clone(),
                cause => format!("{}: {}", cause.words(), end.reason),
            };
            screen.named(Tone::Plain, "why", &text);
        }
        let whole = format!("{} show {}", self.look.program, self.run());
        screen.named(Tone::Plain, "whole", &whole);
    }

    fn tell_phase(&self, screen: &mut Screen<'_>) {
        let since = screen.ago(self.phase_since_ms);
        let text = format!("{}, begun {since}", self.phase.word());
        screen.named(Tone::Plain, "phase", &text);
        if let Some((cause, reason)) = &self.stop {
            let text = format!("{}: {reason}", cause.words());
            screen.named(Tone::Bad, "STOP", &text);
        }
    }

    fn tell_running(&self, screen: &mut Screen<'_>, beside: &Beside<'_>, is_brief: bool) {
        for activity in self.lines.activities() {
            let Some(directory) = activity.directory.as_deref() else {
                // The lock, the window and approvals have lines of their own.
                if activity.key.starts_with("call ") {
                    let text = activity.sign_of_life(screen.now_ms);
                    screen.named(Tone::Plain, "waiting", &text);
                }
                continue;
            };
            let seen = (beside.seen)(directory);
            let (name, tone) = match (&beside.owner, CallId::of_directory(directory)) {
                (None, _) => ("in flight", Tone::Warn),
                (Some(_), Some((_, _, true))) => ("undoing", Tone::Plain),
                (Some(_), _) => ("running", Tone::Plain),
            };
            screen.named(tone, name, &running_words(activity, screen.now_ms));
            if beside.owner.is_none() {
                let text = match seen.acts {
                    true => "it goes on under its own supervisor, until its time is over",
                    false => "it does not run any more; nobody has looked how it ended",
                };
                screen.named(tone, "", text);
            }
            if !is_brief {
                for line in &seen.tail {
                    screen.named(Tone::Dim, "", &format!("| {line}"));
                }
            }
        }
    }

    fn tell_watches(&self, screen: &mut Screen<'_>) {
        let watches = self.watches.iter().map(|watched| {
            let name = first_line(&watched.watch.name);
            let every = show_ms(watched.watch.every_ms);
            match &watched.last {
                None => (Tone::Plain, format!("{name}: no sample yet, every {every}")),
                Some((verdict, bad, at_ms)) => {
                    let words = first_line(verdict.words());
                    let count = match (bad, watched.watch.observe) {
                        (0, _) => String::new(),
                        (n, true) => format!(", {n} in a row, only observed"),
                        (n, false) => format!(", {n} of {}", watched.watch.failures.max(1)),
                    };
                    let tone = match (verdict, bad) {
                        (Verdict::Pass, _) => Tone::Good,
                        (_, 0) => Tone::Plain,
                        _ => Tone::Warn,
                    };
                    let ago = screen.ago(*at_ms);
                    (tone, format!("{name}: {words}{count}, {ago}"))
                }
            }
        });
        let watches: Vec<_> = watches.collect();
        screen.several("watch", watches.into_iter());
    }

    fn tell_limits(&self, screen: &mut Screen<'_>) {
        if let Lock::Awaited(holder) = &self.lock {
            let holder = holder.strip_suffix(LOCK_ADVICE).unwrap_or(holder);
            screen.named(Tone::Warn, "lock", &format!("waiting: {holder}"));
        }
        for name in self.lines.wanted_approvals() {
            let text = format!("`{}` is waited for; to give it:", first_line(name));
            screen.named(Tone::Warn, "approval", &text);
            screen.named(Tone::Heading, "", &self.approve_command(name));
        }
        match &self.window {
            Some(Window::Awaited { opens_ms, .. }) => {
                let text = format!("opens {}", screen.instant(*opens_ms));
                screen.named(Tone::Plain, "window", &text);
            }
            Some(Window::Open { closes_ms }) => {
                let text = match *closes_ms >= Timestamp::MAX.as_millisecond() {
                    true => "open, without end".to_owned(),
                    false => format!("open, closes {}", screen.instant(*closes_ms)),
                };
                screen.named(Tone::Plain, "window", &text);
            }
            Some(Window::SetAside { reason }) => {
                screen.named(Tone::Bad, "WINDOW", &format!("set aside: {reason}"));
            }
            None => {}
        }
        if let Some((ends_ms, stops_ms)) = self.deadline_ms() {
            let reserved = show_ms(self.header.reserved_ms());
            let text = match self.phase {
                Phase::BackingOut => screen.instant(ends_ms),
                _ => format!(
                    "{}; the release stops {reserved} before, {}",
                    screen.instant(ends_ms),
                    screen.relative(stops_ms)
                ),
            };
            screen.named(Tone::Plain, "deadline", &text);
        }
    }

    fn tell_how_to_come_back(&self, screen: &mut Screen<'_>) {
        screen.named(
            Tone::Bad,
            "process",
            "NONE HAS IT: somebody must take it up",
        );
        let (back_out, resume) = self.commands();
        screen.named(Tone::Heading, "back out", &back_out);
        if let Some(resume) = resume {
            screen.named(Tone::Heading, "go on", &resume);
        }
    }
}

/// `[7] migrate, try 2: 40s of 10m`.
fn running_words(activity: &Activity, now_ms: i64) -> String {
    let named = activity.directory.as_deref().and_then(CallId::of_directory);
    let front = match named {
        Some((id, 1, _)) => format!("[{id}] {}", activity.what),
        Some((id, attempt, _)) => format!("[{id}] {}, try {attempt}", activity.what),
        None => activity.what.clone(),
    };
    let gone = coarse(since(activity.since_ms, now_ms));
    match activity.until_ms {
        Some(until) => format!(
            "{front}: {gone} of {}",
            show_ms(since(activity.since_ms, until))
        ),
        None => format!("{front}: {gone}"),
    }
}

fn since(from_ms: i64, to_ms: i64) -> u64 {
    u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0)
}

struct Screen<'a> {
    lines: Vec<Line>,
    now_ms: i64,
    look: &'a Look,
}

impl Screen<'_> {
    fn named(&mut self, tone: Tone, name: &str, value: &str) {
        let text = format!("  {name:NAMES$}{}", first_line(value));
        self.lines.push(Line::margin(tone, text));
    }

    /// The first of many, so that all fits on a screen.
    fn several(&mut self, name: &str, all: impl ExactSizeIterator<Item = (Tone, String)>) {
        let more = all.len().saturating_sub(MOST);
        for (tone, text) in all.take(MOST) {
            self.named(tone, name, &text);
        }
        if more > 0 {
            self.named(Tone::Dim, "", &format!("and {more} more"));
        }
    }

    fn ago(&self, at_ms: i64) -> String {
        format!("{} ago", coarse(since(at_ms, self.now_ms)))
    }

    fn relative(&self, at_ms: i64) -> String {
        if at_ms >= self.now_ms {
            format!("in {}", coarse(since(self.now_ms, at_ms)))
        } else {
            self.ago(at_ms)
        }
    }

    /// `in 38m, Sat 2026-03-21 22:48:00 +01:00`.
    fn instant(&self, at_ms: i64) -> String {
        let at = show_instant(at_ms, self.look.zone.get());
        format!("{}, {at}", self.relative(at_ms))
    }
}
