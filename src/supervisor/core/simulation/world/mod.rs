//! The world around the core: the driver's loop, as in `supervisor/driver`, the script threads, the
//! targets, the journal, the clocks, the operator. Everything that happens is decided by the seed.

mod driver;
mod process;
mod replay;
mod targets;
mod threads;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::supervisor::core::{Core, Ended, Input, ScriptEnd, Try};
use crate::supervisor::recorded::Recorded;
use crate::words::call::CallId;
use crate::words::clock::Now;
use crate::words::event::{Actor, Event, Stamped, Verdict};
use crate::words::outcome::RunOutcome;

use super::invariants::Checker;
use super::plan::{HOUR, MINUTE, Mood, Plan, SECOND, generate};
use super::random::Random;
use super::script::{Script, Undos};

/// When every run begins: 2026-03-21T21:00:00Z.
const BEGIN_MS: i64 = 1_774_126_800_000;
/// Inputs that a process may need for a run.
const INPUTS_MAX: u64 = 40_000;
/// After this the operator loses patience.
const PATIENCE_MS: u64 = 15 * HOUR;
/// Time that a run may take after that, whatever happens.
const AFTER_THAT_MS: u64 = 80 * HOUR;
/// How long events without effect may wait to be written.
const FLUSH_AFTER_MS: i64 = 100;
/// How long a script that was stopped is waited for.
const SCRIPT_WAIT_MS: i64 = 2_000;
/// Milliseconds between TERM and KILL of a back-out.
const BACK_OUT_GRACE_MS: u64 = 10_000;

/// Why the world does not go on.
pub(super) enum Break {
    /// The controller is gone.
    Crash,
    /// A promise is broken.
    Broken(String),
}

impl From<String> for Break {
    fn from(what: String) -> Self {
        Self::Broken(what)
    }
}

type Went = Result<(), Break>;

fn broken(what: impl Into<String>) -> Went {
    Err(Break::Broken(what.into()))
}

#[derive(Debug)]
enum Happening {
    /// A script thread goes on.
    Thread {
        fiber: String,
        generation: u64,
    },
    /// Something reaches the driver of this process.
    Input {
        process: u64,
        input: Box<Input>,
    },
    Sampled {
        process: u64,
        id: CallId,
        token: u64,
        verdict: Verdict,
    },
    ProcessEnds {
        key: Try,
        version: u64,
    },
    Signal(&'static str),
    ClockStep(i64),
    Suspend(u64),
    Crash {
        process: u64,
        reboot: bool,
    },
    Return,
}

#[derive(Debug)]
struct Process {
    running: bool,
    version: u64,
    end: Ended,
    own: bool,
    ignores_term: bool,
    grace_ms: u64,
    acts: bool,
    told_to_end: bool,
}

/// The process that drives the run.
struct Controller {
    number: u64,
    core: Core,
    /// All that the core knows, and when it heard of it.
    heard: Vec<(Event, Now)>,
    /// Events that are not durable yet, and their wall time.
    pending: Vec<(Event, i64)>,
    flush_at: i64,
    gone: bool,
    /// Which input met a journal that was gone.
    gone_at: Option<u64>,
    finished: bool,
    scripts: BTreeMap<String, Script>,
    undos: Undos,
    recorded: Recorded,
    samples: BTreeMap<CallId, u64>,
    approvals_given: BTreeSet<String>,
    script_end: Option<ScriptEnd>,
    begun_at: i64,
    /// When each watch was sampled last.
    sampled_at: BTreeMap<CallId, i64>,
    /// When the lock was asked for first.
    lock_asked_at: Option<i64>,
    /// Was it told that nobody gives the lock back?
    lock_in_vain: bool,
    /// When the script was told to stop.
    stopped_at: Option<i64>,
}

pub(super) struct World {
    random: Random,
    mood: Mood,
    pub(super) plan: Plan,
    begun_ms: i64,
    boot_ms: i64,
    shift_ms: i64,
    queue: BTreeMap<(i64, u64), Happening>,
    sequence: u64,
    controller: Option<Controller>,
    processes: u64,
    generations: u64,
    durable: Vec<(Event, i64)>,
    steps: BTreeMap<Try, Process>,
    checker: Checker,
    inputs: u64,
    crashes: u64,
    crash_in: Option<u64>,
    journal_fails_in: Option<u64>,
    lock_free_at: i64,
    /// When the process of the run that has the lock dies.
    lock_dies_at: Option<i64>,
    approvals: Vec<(String, i64)>,
    idle_wakes: u32,
    edited: bool,
    /// Was something done that the journal does not have? Then nothing acts any more.
    closed: bool,
    /// Does the present process know what time it is? It may not have begun in earnest before.
    told_the_time: bool,
    trace: Option<String>,
    pub(super) counts: Counts,
}

/// What a run went through.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// The kinds of events, and the causes of stops.
    pub(super) seen: BTreeSet<String>,
    pub(super) inputs: u64,
    pub(super) crashes: u64,
    pub(super) journal_failures: u64,
    pub(super) signals: u64,
    pub(super) steps: u64,
    pub(super) back_outs: u64,
    pub(super) outcome: Option<RunOutcome>,
}

impl World {
    pub(super) fn new(seed: u64, traced: bool) -> Self {
        let mut random = Random::new(seed);
        let mood = Mood::new(&mut random);
        let plan = generate(&mut random, &mood, BEGIN_MS);
        let boot_ms = i64::try_from(random.below(1 << 30)).unwrap_or(0);
        let mut world = Self {
            random,
            mood,
            plan,
            begun_ms: boot_ms,
            boot_ms,
            shift_ms: BEGIN_MS - boot_ms,
            queue: BTreeMap::new(),
            sequence: 0,
            controller: None,
            processes: 0,
            generations: 0,
            durable: Vec::new(),
            steps: BTreeMap::new(),
            checker: Checker::default(),
            inputs: 0,
            crashes: 0,
            crash_in: None,
            journal_fails_in: None,
            lock_free_at: 0,
            lock_dies_at: None,
            approvals: Vec::new(),
            idle_wakes: 0,
            edited: false,
            closed: false,
            told_the_time: false,
            trace: traced.then(String::new),
            counts: Counts::default(),
        };
        world.foresee();
        world
    }

    pub(super) fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }

    /// What is in the journal.
    pub(super) fn journal(&self) -> Vec<Stamped> {
        let events = self.durable.iter().zip(1..);
        let stamped = events.map(|((event, at_ms), seq)| Stamped {
            run: "20260321-2100-0007".into(),
            seq,
            at_ms: *at_ms,
            event: event.clone(),
        });
        stamped.collect()
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        let (boot, wall) = (self.boot_ms, self.boot_ms + self.shift_ms - BEGIN_MS);
        if let Some(trace) = &mut self.trace {
            let mut text = what();
            if text.len() > 420 {
                let cut = text
                    .char_indices()
                    .map(|(at, _)| at)
                    .take_while(|at| *at < 420)
                    .last();
                text.truncate(cut.unwrap_or(0));
                text.push('…');
            }
            let _ = writeln!(trace, "{boot:>11} {wall:>+9}  {text}");
        }
    }

    /// What comes from outside, whatever the run does.
    fn foresee(&mut self) {
        let now = self.boot_ms;
        if self.random.chance(8) {
            self.lock_free_at = now + self.up_to(20 * MINUTE);
            if self.random.chance(30) {
                self.lock_dies_at = Some(now + self.up_to(MINUTE));
            }
        }
        for name in ["go", "dba"] {
            if self.random.chance(85) {
                let at = now + self.up_to(HOUR);
                self.approvals.push((name.to_owned(), at));
            }
        }
        if self.random.chance(self.mood.signals) {
            let mut at = now;
            let hasty = self.random.chance(40);
            for _ in 0..self.random.between(1, 5) {
                let most = self
                    .random
                    .pick(&[500, 10 * SECOND, 20 * MINUTE, HOUR, 3 * HOUR]);
                let first = at == now;
                at += self.up_to(if hasty && !first { 2 * SECOND } else { most });
                let name = self.random.pick(&["SIGINT", "SIGTERM", "SIGINT", "SIGHUP"]);
                self.at(at, Happening::Signal(name));
            }
        }
        if self.random.chance(self.mood.clocks) {
            for _ in 0..self.random.between(1, 3) {
                let at = now + self.up_to(2 * HOUR);
                let ms = i64::try_from(self.random.pick(&[100, 5 * SECOND, 30 * MINUTE, 3 * HOUR]))
                    .unwrap_or(0);
                let what = match self.random.below(3) {
                    0 => Happening::ClockStep(ms),
                    1 => Happening::ClockStep(-ms),
                    _ => Happening::Suspend(ms.unsigned_abs()),
                };
                self.at(at, what);
            }
        }
        self.at(now + PATIENCE_MS as i64, Happening::Signal("SIGTERM"));
        if self.random.chance(self.mood.journal) {
            self.journal_fails_in = Some(self.random.between(1, 60));
        }
    }

    fn up_to(&mut self, ms: u64) -> i64 {
        i64::try_from(self.random.below(ms.max(1))).unwrap_or(0)
    }

    fn at(&mut self, at: i64, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }

    fn soon(&mut self, happening: Happening) {
        let at = self.boot_ms + self.up_to(3);
        self.at(at, happening);
    }

    fn now(&self) -> Now {
        Now {
            boot_ms: self.boot_ms,
            wall_ms: self.boot_ms + self.shift_ms,
        }
    }

    /// Runs until the run has ended for good.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let begun = self.begin();
        self.survive(begun)?;
        loop {
            if self.controller.as_ref().is_some_and(|c| c.finished) {
                let ended = self.leave();
                if self.survive(ended)? {
                    return Ok(());
                }
            }
            let went = self.go_on();
            if self.survive(went)? {
                return Ok(());
            }
            let late = self.boot_ms - self.begun_ms > (PATIENCE_MS + AFTER_THAT_MS) as i64;
            if late || self.inputs > INPUTS_MAX {
                return Err("the run does not come to its end".into());
            }
        }
    }

    /// Turns a crash into what follows from it; says whether things ended.
    fn survive(&mut self, went: Went) -> Result<bool, String> {
        match went {
            Ok(()) => Ok(self.counts.outcome.is_some()),
            Err(Break::Broken(what)) => Err(what),
            Err(Break::Crash) => {
                self.crash(false);
                Ok(false)
            }
        }
    }

    fn go_on(&mut self) -> Went {
        let wake = self.next_wake();
        let next = self.queue.first_key_value().map(|(key, _)| *key);
        match (next, wake) {
            (None, None) => broken("nothing is outstanding, and the run has not ended"),
            (Some(key), wake) if wake.is_none_or(|at| key.0 <= at.max(self.boot_ms)) => {
                let Some(happening) = self.queue.remove(&key) else {
                    return Ok(());
                };
                self.boot_ms = self.boot_ms.max(key.0);
                self.happen(happening)
            }
            (_, Some(at)) => {
                if at > self.boot_ms {
                    self.idle_wakes = 0;
                    self.boot_ms = at;
                }
                self.wake()
            }
            (Some(_), None) => Ok(()),
        }
    }

    fn next_wake(&self) -> Option<i64> {
        let controller = self.controller.as_ref()?;
        let core = controller.core.next_wake();
        let flush =
            (!controller.pending.is_empty() && !controller.gone).then_some(controller.flush_at);
        let approvals = self
            .approvals
            .iter()
            .filter(|(name, _)| !controller.approvals_given.contains(name));
        let approval = approvals.map(|(_, at)| (*at).max(self.boot_ms)).min();
        let approval = approval.filter(|_| controller.core.awaits_approval());
        [core, flush, approval].into_iter().flatten().min()
    }

    fn wake(&mut self) -> Went {
        self.idle_wakes += 1;
        if self.idle_wakes > 12 {
            let wake = self.controller.as_ref().and_then(|c| c.core.next_wake());
            return broken(format!(
                "the driver is woken again and again: for {wake:?} at {}",
                self.boot_ms
            ));
        }
        let before = self.boot_ms;
        let Some(controller) = &mut self.controller else {
            return Ok(());
        };
        if controller.core.awaits_approval() {
            let given: Vec<String> = self
                .approvals
                .iter()
                .filter(|(name, at)| *at <= before && !controller.approvals_given.contains(name))
                .map(|(name, _)| name.clone())
                .collect();
            for name in given {
                if let Some(controller) = &mut self.controller {
                    controller.approvals_given.insert(name.clone());
                }
                self.take(Input::Approved {
                    name,
                    by: Actor::default(),
                    given_ms: None,
                    comment: String::new(),
                })?;
            }
        }
        self.take(Input::Time)?;
        let now = self.boot_ms;
        match &self.controller {
            Some(c) if !c.gone && c.flush_at <= now => self.flush(),
            _ => Ok(()),
        }
    }

    fn happen(&mut self, happening: Happening) -> Went {
        let process = self.controller.as_ref().map(|c| c.number);
        match happening {
            Happening::Thread { fiber, generation } => self.run_thread(&fiber, generation),
            Happening::Input { process: to, input } if process == Some(to) => {
                self.crash_point()?;
                if let Input::ScriptEnded(end) = &*input
                    && let Some(controller) = &mut self.controller
                {
                    controller.script_end = Some(end.clone());
                }
                self.take(*input)
            }
            Happening::Sampled {
                process: to,
                id,
                token,
                verdict,
            } if process == Some(to) => {
                let Some(controller) = &mut self.controller else {
                    return Ok(());
                };
                if controller.samples.get(&id) != Some(&token) {
                    return Ok(());
                }
                controller.samples.remove(&id);
                self.take(Input::Sampled {
                    id,
                    verdict,
                    took_ms: 1,
                })
            }
            Happening::Input { .. } | Happening::Sampled { .. } => Ok(()),
            Happening::ProcessEnds { key, version } => {
                self.process_ends(key, version);
                Ok(())
            }
            Happening::Signal(name) => {
                if process.is_none() {
                    return Ok(());
                }
                self.counts.signals += 1;
                self.take(match name {
                    "SIGHUP" => Input::HangUp,
                    name => Input::Interrupt {
                        signal: name.to_owned(),
                    },
                })
            }
            Happening::ClockStep(ms) => {
                self.tell(|| format!("== the wall clock is stepped by {ms} ms"));
                self.shift_ms += ms;
                // The driver looks at least once a second.
                if process.is_some() {
                    self.take(Input::Time)
                } else {
                    Ok(())
                }
            }
            Happening::Suspend(ms) => {
                self.tell(|| format!("== the machine sleeps for {ms} ms"));
                let ms = i64::try_from(ms).unwrap_or(0);
                let queue = std::mem::take(&mut self.queue);
                self.queue = queue
                    .into_iter()
                    .map(|((at, n), what)| ((at + ms, n), what))
                    .collect();
                self.boot_ms += ms;
                if process.is_some() {
                    self.take(Input::Time)
                } else {
                    Ok(())
                }
            }
            Happening::Crash {
                process: to,
                reboot,
            } if process == Some(to) => {
                self.crash(reboot);
                Ok(())
            }
            Happening::Crash { .. } => Ok(()),
            Happening::Return if process.is_none() => self.come_back(),
            Happening::Return => Ok(()),
        }
    }
}
