//! The loop around a running step: its output, its signals and its deadlines.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::abort::{Patterns, Scanner};
use super::child::Child;
use super::control::Control;
use super::drain::Handover;
use super::output::{Capture, Spool, Tail};
use super::{BLOCK, SILENCE, tree};
use crate::words::mask::Masker;
use crate::words::step::{CutOff, End, ProcessFact, StepEnd, StepSpec};

/// Time for whoever still holds the pipes to let go of them once the command has ended.
const LEAK: Duration = Duration::from_secs(1);
/// Time for background processes that are just ending, so that they are not reported as daemons.
const VANISH: Duration = Duration::from_millis(100);
/// Timeouts beyond this would overflow an instant.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// One of the two output streams.
struct Stream {
    /// Taken at its end.
    fd: Option<OwnedFd>,
    masker: Masker,
    capture: Capture,
    scanner: Option<Scanner>,
    /// When bytes last came, if some are held back or a line is unfinished, and nobody has looked
    /// at these in silence yet.
    restless: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The command runs.
    Running,
    /// It has succeeded; what it left may finish writing.
    Leaving { since: Instant },
    /// The tree has been sent TERM.
    Terminating { until: Instant },
    /// The tree is being sent KILL.
    Killing { until: Instant },
    /// The tree is gone or will not go.
    Closing { until: Instant },
}

/// A step while it runs.
pub(crate) struct Watch<'a> {
    pub(super) spec: &'a StepSpec,
    /// Value of the variable that marks the processes of this step.
    pub(super) mark: &'a str,
    pub(super) child: Child,
    control: &'a mut Control,
    streams: [Stream; 2],
    /// Inodes of the two pipes.
    pub(super) pipes: [u64; 2],
    spool: Spool,
    tail: Tail,
    pub(super) masker: Masker,
    masked: Vec<u8>,
    pub(super) stage: Stage,
    begun: Instant,
    last_output: Instant,
    /// When both pipes came to their end.
    silent_since: Option<Instant>,
    /// How the command ended and how long it took.
    pub(super) end: Option<(End, Duration)>,
    pub(super) cut_off: Option<CutOff>,
    /// There is no process left below this one.
    pub(super) childless: bool,
    /// The last round of KILL met processes that were not known; the next must follow at once.
    pub(super) hurry: bool,
    pub(super) killed: Vec<ProcessFact>,
    /// Pid and start time of those that have been counted in.
    pub(super) counted: HashSet<(i32, u64)>,
    pub(super) survivors: Vec<ProcessFact>,
}

/// A step that is over.
pub(crate) struct Over {
    pub end: StepEnd,
    pub spool: Spool,
    /// The streams, if somebody still holds one.
    pub open: Option<Open>,
    /// Nothing is left of the step: no process, no open stream.
    pub clean: bool,
}

/// The read ends of stdout and stderr, and the bytes of each that are held back.
pub(crate) struct Open {
    pub streams: [Option<OwnedFd>; 2],
    pub held: [Vec<u8>; 2],
}

impl Over {
    /// What goes to a drainer.
    pub fn handover(&self, dir: &Path, spec: &StepSpec, held: [Vec<u8>; 2]) -> Handover {
        Handover {
            dir: dir.to_owned(),
            spool: self.spool.state().clone(),
            secrets: spec.secrets.clone(),
            held,
        }
    }
}

impl<'a> Watch<'a> {
    pub fn new(
        spec: &'a StepSpec,
        mark: &'a str,
        spool: Spool,
        (child, pipes): (Child, [OwnedFd; 2]),
        control: &'a mut Control,
        masker: Masker,
        patterns: Option<Patterns>,
    ) -> Self {
        let patterns = patterns.map(Arc::new);
        let inodes = [&pipes[0], &pipes[1]].map(|p| rustix::fs::fstat(p).map_or(0, |s| s.st_ino));
        let streams = pipes.map(|fd| Stream {
            fd: Some(fd),
            masker: masker.fresh(),
            capture: Capture::new(),
            scanner: patterns.clone().map(Scanner::new),
            restless: None,
        });
        let begun = Instant::now();
        Self {
            spec,
            mark,
            child,
            control,
            streams,
            pipes: inodes,
            spool,
            tail: Tail::new(),
            masker,
            masked: Vec::new(),
            stage: Stage::Running,
            begun,
            last_output: begun,
            silent_since: None,
            end: None,
            cut_off: None,
            childless: false,
            hurry: false,
            killed: Vec::new(),
            counted: HashSet::new(),
            survivors: Vec::new(),
        }
    }

    /// Stays with the step until it is over.
    pub fn run(mut self) -> Over {
        let mut block = vec![0; BLOCK];
        loop {
            self.wait_and_read(&mut block);
            let now = Instant::now();
            self.on_orders(now);
            self.on_time(now);
            if matches!(self.stage, Stage::Killing { .. }) {
                self.kill_round();
                self.reap(now);
            }
            if self.is_over(now) {
                return self.finish();
            }
        }
    }

    /// Waits for whatever comes first, reaps, and reads each stream that has something once.
    fn wait_and_read(&mut self, block: &mut [u8]) {
        let wait = self.next_wait().and_then(|d| Timespec::try_from(d).ok());
        let mut ready = [false; 2];
        let (woken, told) = {
            let (signals, link) = self.control.fds();
            // Signals first, then the link, then the streams that are open.
            let mut fds = vec![PollFd::new(&signals, PollFlags::IN)];
            fds.extend(link.as_ref().map(|link| PollFd::new(link, PollFlags::IN)));
            let others = fds.len();
            let mut which = [0; 2];
            for (i, stream) in self.streams.iter().enumerate() {
                if let Some(fd) = &stream.fd {
                    which[fds.len() - others] = i;
                    fds.push(PollFd::new(fd, PollFlags::IN));
                }
            }
            // An interrupted wait is one without result.
            let _ = rustix::event::poll(&mut fds, wait.as_ref());
            for (fd, i) in fds[others..].iter().zip(which) {
                ready[i] = !fd.revents().is_empty();
            }
            let told = others > 1 && !fds[1].revents().is_empty();
            (!fds[0].revents().is_empty(), told)
        };
        if told {
            self.control.listen();
        }
        if woken {
            self.control.drain();
            self.reap(Instant::now());
        }
        for (i, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            self.read(i, block);
        }
    }

    fn read(&mut self, i: usize, block: &mut [u8]) {
        let Some(fd) = &self.streams[i].fd else {
            return;
        };
        match rustix::io::read(fd, &mut *block) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => self.at_end(i),
            Ok(n) => {
                let now = Instant::now();
                self.last_output = now;
                if self.streams[i].masker.is_empty() {
                    self.deliver(i, &block[..n]);
                } else {
                    self.through_mask(i, |masker, out| masker.push(&block[..n], out));
                }
                let stream = &mut self.streams[i];
                let unfinished = stream.scanner.as_ref().is_some_and(Scanner::has_partial);
                stream.restless = (unfinished || stream.masker.holds()).then_some(now);
            }
        }
    }

    /// The last writer has closed the stream.
    fn at_end(&mut self, i: usize) {
        self.streams[i].fd = None;
        self.streams[i].restless = None;
        self.through_mask(i, Masker::finish);
        self.search_partial(i);
        if self.streams.iter().all(|s| s.fd.is_none()) {
            self.silent_since = Some(Instant::now());
        }
    }

    /// A stream has been silent: nothing that can be shown or found may wait for a newline.
    fn in_silence(&mut self, i: usize) {
        self.streams[i].restless = None;
        self.through_mask(i, Masker::flush_idle);
        self.search_partial(i);
    }

    fn through_mask(&mut self, i: usize, step: impl FnOnce(&mut Masker, &mut Vec<u8>)) {
        let mut out = std::mem::take(&mut self.masked);
        out.clear();
        step(&mut self.streams[i].masker, &mut out);
        self.deliver(i, &out);
        self.masked = out;
    }

    /// Takes masked output in.
    fn deliver(&mut self, i: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.spool.write(bytes);
        self.tail.push(bytes);
        let searching = self.searching();
        let stream = &mut self.streams[i];
        stream.capture.push(bytes);
        if searching
            && let Some(scanner) = &mut stream.scanner
            && let Some(hit) = scanner.feed(bytes)
        {
            self.cut_off(CutOff::AbortOn {
                pattern: hit.pattern,
                line: hit.line,
            });
        }
    }

    fn search_partial(&mut self, i: usize) {
        if self.searching()
            && let Some(scanner) = &mut self.streams[i].scanner
            && let Some(hit) = scanner.partial()
        {
            self.cut_off(CutOff::AbortOn {
                pattern: hit.pattern,
                line: hit.line,
            });
        }
    }

    fn searching(&self) -> bool {
        matches!(self.stage, Stage::Running | Stage::Leaving { .. })
    }

    fn cut_off(&mut self, why: CutOff) {
        self.cut_off = Some(why);
        self.begin_terminating(Instant::now());
    }

    /// Ends the step, with its grace or without, if somebody has said so.
    fn on_orders(&mut self, now: Instant) {
        let (end, end_now) = (self.control.take_end(), self.control.take_end_now());
        match self.stage {
            Stage::Running if end_now => {
                self.cut_off = Some(CutOff::Stopped);
                self.begin_killing(now);
            }
            Stage::Running if end => self.cut_off(CutOff::Stopped),
            Stage::Terminating { .. } if end_now => self.begin_killing(now),
            _ => {}
        }
    }

    fn on_time(&mut self, now: Instant) {
        for i in 0..2 {
            if self.streams[i]
                .restless
                .is_some_and(|since| now >= since + SILENCE)
            {
                self.in_silence(i);
            }
        }
        if self.stage == Stage::Running {
            if now >= self.timeout() {
                self.cut_off(CutOff::Timeout);
            } else if self.idle_timeout().is_some_and(|at| now >= at) {
                self.cut_off(CutOff::IdleTimeout);
            }
        }
    }

    fn timeout(&self) -> Instant {
        self.begun + Duration::from_millis(self.spec.timeout_ms).min(YEAR)
    }

    fn idle_timeout(&self) -> Option<Instant> {
        let idle = Duration::from_millis(self.spec.idle_timeout_ms?).min(YEAR);
        Some(self.last_output + idle)
    }

    /// How long to wait if nothing comes; `None` cannot occur while the step has a timeout, but
    /// would be right.
    fn next_wait(&self) -> Option<Duration> {
        let mut next: Vec<Instant> = self
            .streams
            .iter()
            .filter_map(|s| s.restless)
            .map(|since| since + SILENCE)
            .collect();
        match self.stage {
            Stage::Running => {
                next.push(self.timeout());
                next.extend(self.idle_timeout());
            }
            Stage::Leaving { since } => {
                next.push(since + LEAK);
                next.extend(self.silent_since.map(|s| s.max(since) + VANISH));
            }
            Stage::Killing { .. } if self.hurry => return Some(Duration::ZERO),
            Stage::Killing { .. } => return Some(super::ending::ROUND),
            Stage::Terminating { until } | Stage::Closing { until } => next.push(until),
        }
        next.into_iter()
            .min()
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether there is nothing left to wait for. Goes from stage to stage on the way.
    fn is_over(&mut self, now: Instant) -> bool {
        let gone = self.end.is_some() && self.childless;
        match self.stage {
            Stage::Running => false,
            Stage::Leaving { since } => {
                let silent = self.silent_since.map(|s| s.max(since));
                let done = (silent.is_some() && gone)
                    || silent.is_some_and(|s| now >= s + VANISH)
                    || now >= since + LEAK;
                if !done {
                    return false;
                }
                // A last line without newline may still match, and the step is then cut off.
                self.in_silence(0);
                self.in_silence(1);
                matches!(self.stage, Stage::Leaving { .. }) || self.is_over(now)
            }
            Stage::Terminating { .. } | Stage::Killing { .. } if gone => {
                self.tree_is_gone();
                self.is_over(now)
            }
            Stage::Terminating { until } => {
                if now >= until {
                    self.begin_killing(now);
                }
                false
            }
            Stage::Killing { until } => {
                if now >= until {
                    self.give_up();
                }
                false
            }
            Stage::Closing { until } => self.silent_since.is_some() || now >= until,
        }
    }

    /// Keeps the time for whatever holds the pipes still.
    pub(super) fn begin_closing(&mut self) {
        self.stage = Stage::Closing {
            until: Instant::now() + LEAK,
        };
    }

    fn finish(mut self) -> Over {
        let mut left_running = Vec::new();
        if matches!(self.stage, Stage::Leaving { .. }) && !self.childless {
            tree::each_descendant(|p| {
                if left_running.len() < super::ending::NAMED {
                    left_running.push(tree::fact(&p.stat, &self.pipes, &self.masker));
                }
            });
        }
        let (end, duration) = self
            .end
            .take()
            .unwrap_or((End::Unseen, self.begun.elapsed()));
        let end = StepEnd {
            end,
            cut_off: self.cut_off,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            stdout: self.streams[0].capture.captured(),
            stderr: self.streams[1].capture.captured(),
            tail: self.tail.text(),
            output_bytes: self.spool.total(),
            dropped_bytes: self.spool.dropped(),
            left_running,
            killed: self.killed,
            survivors: self.survivors,
        };
        let held = [0, 1].map(|i: usize| self.streams[i].masker.held().to_vec());
        let streams = self.streams.map(|s| s.fd);
        let open = streams
            .iter()
            .any(Option::is_some)
            .then_some(Open { streams, held });
        let clean = self.childless && open.is_none() && end.survivors.is_empty();
        Over {
            end,
            spool: self.spool,
            open,
            clean,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}
