//! A driver for tests: it feeds the same core as the real one, but nothing acts and no time passes.
//!
//! All happens on the thread of the script: telling the driver something does all that follows from
//! it, closures of back-outs and watches included, and moves the clock to where something is due.
//! A test is thus as deterministic as its plan.

mod faults;
mod perform;
mod told;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender as Replies;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::target::pretended::{NotGiven, World};
use crate::words::call::{Call, CallId};
use crate::words::clock::{Clock as _, ManualClock, Now};
use crate::words::event::{Actor, Event, RunEnd, Verdict};
use crate::words::outcome::{Outcome, Phase};

use super::core::{Action, Core, Ended, Input, ScriptEnd, Settings, Try};
use super::fiber::{Gone, Message, Reply, ToDriver};
use super::secrets::Secrets;

pub use faults::{Fault, FaultAt, Faults, Misfortune};
pub use told::{Deeds, Done, Undone};

/// Looks at the clock without anything coming of it, before the driver takes it for a defect.
const IDLE_MAX: u32 = 10_000;

/// The scripts of a run, as this driver needs them: it calls them on its own thread.
pub trait Scripts: Send + Sync {
    /// What undoes a call, as the script made it.
    fn undo(&self, id: &CallId) -> Option<super::fiber::Armed<()>>;
    /// Runs the closure of a back-out to its end; the error that left it.
    fn back_out(&self, id: &CallId, step_outcome: Option<Outcome>) -> Option<String>;
    /// Evaluates the closure of a watch.
    fn sample(&self, id: &CallId) -> Verdict;
    /// Calls a function of the embedding program that acts.
    fn own(
        &self,
        name: &str,
        args: &[serde_json::Value],
    ) -> Option<Result<serde_json::Value, String>>;
}

/// A lock whose holder panicked is still good: what it guards is replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something to do next.
#[expect(
    clippy::large_enum_variant,
    reason = "few are there at a time, and most are the large one"
)]
enum Job {
    Input(Input),
    Start {
        key: Try,
        limit_ms: u64,
    },
    BackOut {
        key: Try,
        limit_ms: u64,
        outcome: Option<Outcome>,
    },
    Sample {
        id: CallId,
        timeout_ms: u64,
    },
}

struct State {
    core: Core,
    replies: HashMap<CallId, Replies<Reply>>,
    /// Calls whose script has heard something since it asked.
    heard: HashSet<CallId>,
    raw: HashMap<CallId, Call>,
    jobs: VecDeque<Job>,
    /// What is due, by when and in order.
    timed: BTreeMap<(i64, u64), Input>,
    next_timed: u64,
    /// Tries of which no end has come.
    in_flight: HashSet<Try>,
    events: Vec<(Event, Now)>,
    idle: u32,
    finished: bool,
}

/// Drives one run of a test.
pub struct PretendedDriver {
    state: Mutex<State>,
    scripts: Mutex<Option<Arc<dyn Scripts>>>,
    world: Arc<World>,
    clock: ManualClock,
    faults: Arc<Mutex<Faults>>,
    secrets: Mutex<Option<Arc<Secrets>>>,
    approvals: Mutex<Vec<String>>,
    /// Ends the script.
    stop: Arc<AtomicBool>,
    /// The controller was killed: it does nothing any more.
    dead: AtomicBool,
    root: PathBuf,
    /// Which run it is; whoever takes a run up has the same.
    name: String,
}

impl PretendedDriver {
    /// A driver of a run that has not begun: which one, and where its commands run. `stop` ends its
    /// script.
    #[must_use]
    pub fn new(
        core: Core,
        world: Arc<World>,
        clock: ManualClock,
        faults: Arc<Mutex<Faults>>,
        stop: Arc<AtomicBool>,
        (name, root): (String, PathBuf),
    ) -> Self {
        Self {
            state: Mutex::new(State {
                core,
                replies: HashMap::new(),
                heard: HashSet::new(),
                raw: HashMap::new(),
                jobs: VecDeque::new(),
                timed: BTreeMap::new(),
                next_timed: 0,
                in_flight: HashSet::new(),
                events: Vec::new(),
                idle: 0,
                finished: false,
            }),
            scripts: Mutex::default(),
            world,
            clock,
            faults,
            secrets: Mutex::default(),
            approvals: Mutex::default(),
            stop,
            dead: AtomicBool::new(false),
            root,
            name,
        }
    }

    /// The core of a run whose gate is open already: that of the tests of a helper.
    #[must_use]
    pub fn core_behind_the_gate(settings: Settings, now: Now) -> Core {
        Core::restore(settings, gate_events().iter().map(|event| (event, now)))
    }

    /// Gives it the scripts of the run and its secrets.
    pub fn connect(&self, scripts: Arc<dyn Scripts>, secrets: Arc<Secrets>) {
        *lock(&self.scripts) = Some(scripts);
        *lock(&self.secrets) = Some(secrets);
    }

    /// Lets go of the scripts, which hold the driver.
    pub fn disconnect(&self) {
        *lock(&self.scripts) = None;
    }

    /// Approvals that will be given when they are asked for.
    pub fn approve(&self, names: Vec<String>) {
        *lock(&self.approvals) = names;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn scripts(&self) -> Option<Arc<dyn Scripts>> {
        lock(&self.scripts).clone()
    }

    /// Was the controller killed?
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// What has happened, with the time of each.
    #[must_use]
    pub fn events(&self) -> Vec<(Event, Now)> {
        self.state().events.clone()
    }

    /// Where the run stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.state().core.phase()
    }

    /// How the run ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<RunEnd> {
        self.state().core.end().cloned()
    }

    /// Why the run stops, if it does.
    #[must_use]
    pub fn stopping(&self) -> Option<super::core::Stop> {
        self.state().core.stopping().cloned()
    }

    /// The back-outs that are armed, oldest first.
    #[must_use]
    pub fn armed(&self) -> Vec<super::core::Armed> {
        self.state().core.armed().to_vec()
    }

    /// Begins the run: what is known of it is looked at, and tries in flight are found.
    pub fn begin(&self, first: Vec<Input>) {
        {
            let mut state = self.state();
            for key in state.core.in_flight() {
                let ended = perform::lost_end();
                state
                    .jobs
                    .push_back(Job::Input(Input::StepEnded { key, ended }));
            }
            state.jobs.extend(first.into_iter().map(Job::Input));
            state.jobs.push_back(Job::Input(Input::Time));
        }
        self.pump(&|state| state.jobs.is_empty());
    }

    /// Tells it that the script has ended, and does all that follows: the run has ended then, unless
    /// its controller was killed.
    pub fn script_ended(&self, end: ScriptEnd) -> Option<RunEnd> {
        self.state()
            .jobs
            .push_back(Job::Input(Input::ScriptEnded(end)));
        self.pump(&|state| state.finished);
        self.end()
    }

    /// Asks for the back-out, as `deployrun back-out` does.
    pub fn back_out(&self, by: Actor) {
        self.state()
            .jobs
            .push_back(Job::Input(Input::BackOutAsked { by }));
        self.pump(&|state| state.jobs.is_empty());
    }

    /// Goes on with another run in the same place: what was done before is known, and done with.
    pub fn renew(&self, core: Core) {
        let mut state = self.state();
        state.core = core;
        state.jobs.clear();
        state.timed.clear();
        state.in_flight.clear();
        state.finished = false;
        drop(state);
        self.stop.store(false, Ordering::SeqCst);
    }

    /// Does what is to be done until that is so, or the controller is dead, or nothing ever comes.
    fn pump(&self, until: &dyn Fn(&State) -> bool) {
        loop {
            if self.is_dead() {
                return;
            }
            let job = {
                let mut state = self.state();
                if until(&state) {
                    return;
                }
                self.next_job(&mut state)
            };
            match job {
                Some(Job::Input(input)) => self.take(input),
                Some(Job::Start { key, limit_ms }) => self.start(key, limit_ms),
                Some(Job::BackOut {
                    key,
                    limit_ms,
                    outcome,
                }) => {
                    self.start_back_out(key, limit_ms, outcome);
                }
                Some(Job::Sample { id, timeout_ms }) => self.sample(id, timeout_ms),
                None => return self.give_up(),
            }
        }
    }

    /// The next thing to do; the clock is moved to it if it lies ahead.
    fn next_job(&self, state: &mut State) -> Option<Job> {
        if let Some(job) = state.jobs.pop_front() {
            state.idle = 0;
            return Some(job);
        }
        let now = self.clock.now().boot_ms;
        let due = state.timed.first_key_value().map(|((at, _), _)| *at);
        let wake = state.core.next_wake();
        let at = [due, wake].into_iter().flatten().min()?;
        if at > now {
            self.clock
                .advance(u64::try_from(at.saturating_sub(now)).unwrap_or(0));
            state.idle = 0;
        } else {
            state.idle += 1;
            if state.idle > IDLE_MAX {
                return None;
            }
        }
        if due.is_some_and(|due| due <= at) {
            let (_, input) = state.timed.pop_first()?;
            return Some(Job::Input(input));
        }
        Some(Job::Input(Input::Time))
    }

    /// Nothing will ever come: somebody waits for what nobody gives.
    fn give_up(&self) {
        let (message, hint) = {
            let state = self.state();
            let waits = state
                .events
                .iter()
                .rev()
                .find_map(|(event, _)| match event {
                    Event::ApprovalAsked { name } => Some(name.clone()),
                    _ => None,
                });
            match waits.filter(|_| state.core.awaits_approval()) {
                Some(name) => (
                    format!("nobody approves `{name}`: it would wait for ever"),
                    format!("write given_approval(\"{name}\")"),
                ),
                None => (
                    "the run would wait for ever".to_owned(),
                    "nothing is due, and no call of the script is left".to_owned(),
                ),
            }
        };
        self.world.refuse(NotGiven {
            message,
            hint,
            near: Vec::new(),
        });
        self.die();
    }

    /// The controller is killed: whoever waits hears nothing any more.
    fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.stop.store(true, Ordering::SeqCst);
        self.state().replies.clear();
    }

    fn take(&self, input: Input) {
        let now = self.clock.now();
        let mut state = self.state();
        if let Input::StepEnded { key, .. } = &input {
            state.in_flight.remove(key);
        }
        let actions = state.core.step(now, input);
        for action in actions {
            self.carry_out(&mut state, action, now);
        }
        self.note_notices(&mut state, now);
    }

    /// Nobody is told of a test; that they would have been is an event all the same.
    fn note_notices(&self, state: &mut State, now: Now) {
        let end = state.core.end().cloned();
        for (number, on) in state.core.to_be_told(end.as_ref()) {
            state.core.are_being_told(number, on);
            let named = state.core.header().notify.get(number - 1);
            let to = named
                .map(|notify| notify.channel.words())
                .unwrap_or_default();
            let event = Event::Notified {
                number,
                on,
                to,
                problem: String::new(),
                took_ms: 0,
            };
            state.events.push((event, now));
        }
    }

    fn carry_out(&self, state: &mut State, action: Action, now: Now) {
        match action {
            Action::Record(event) => {
                let secrets = lock(&self.secrets).clone();
                let masked = secrets.and_then(|s| s.masked(&event));
                let event = masked.unwrap_or(event);
                if let Event::ApprovalAsked { name } = &event
                    && lock(&self.approvals).contains(name)
                {
                    let by = Actor {
                        user: "test".into(),
                        host: "pretended".into(),
                        pid: 0,
                    };
                    state.jobs.push_back(Job::Input(Input::Approved {
                        name: name.clone(),
                        by,
                        given_ms: None,
                        comment: String::new(),
                    }));
                }
                state.events.push((event, now));
            }
            Action::StartStep { key, limit_ms } => {
                state.in_flight.insert(key.clone());
                state.jobs.push_back(Job::Start { key, limit_ms });
            }
            Action::EndStep { key, .. } => {
                if state.in_flight.contains(&key) {
                    state.timed.retain(
                        |_, input| !matches!(input, Input::StepEnded { key: k, .. } if *k == key),
                    );
                    let ended = Ended::Seen(Box::new(perform::stopped_end()));
                    state
                        .jobs
                        .push_back(Job::Input(Input::StepEnded { key, ended }));
                }
            }
            Action::BackOut {
                key,
                limit_ms,
                step_outcome,
            } => {
                state.in_flight.insert(key.clone());
                state.jobs.push_back(Job::BackOut {
                    key,
                    limit_ms,
                    outcome: step_outcome,
                });
            }
            // Its time is over; its next call is refused by the core.
            Action::EndClosure { .. } => {}
            Action::Answer { id, answer } => {
                if let Some(reply) = state.replies.remove(&id) {
                    let _ = reply.send(Reply::Answer(answer));
                }
                state.heard.insert(id);
            }
            Action::Try { id } => {
                if let Some(reply) = state.replies.get(&id) {
                    let _ = reply.send(Reply::Try);
                }
                state.heard.insert(id);
            }
            Action::Sample { id, timeout_ms } => {
                state.jobs.push_back(Job::Sample { id, timeout_ms });
            }
            Action::TakeLock { .. } => {
                state.jobs.push_back(Job::Input(Input::Lock(Ok(()))));
            }
            Action::StopScript => self.stop.store(true, Ordering::SeqCst),
            Action::Finish => state.finished = true,
        }
    }

    fn sample(&self, id: CallId, timeout_ms: u64) {
        let since = self.clock.now().boot_ms;
        let verdict = match self.scripts() {
            Some(scripts) => scripts.sample(&id),
            None => Verdict::NoData,
        };
        let took = self.clock.now().boot_ms.saturating_sub(since);
        let took_ms = u64::try_from(took).unwrap_or(0);
        let verdict = if took_ms > timeout_ms {
            let time = crate::words::duration::show(std::time::Duration::from_millis(timeout_ms));
            Verdict::Error(format!("it took longer than {time}"))
        } else {
            verdict
        };
        self.take(Input::Sampled {
            id,
            verdict,
            took_ms,
        });
    }

    /// Something is due after a while.
    fn later(&self, ms: u64, input: Input) {
        let at = self.clock.now().boot_ms.saturating_add_unsigned(ms);
        let mut state = self.state();
        let number = state.next_timed;
        state.next_timed += 1;
        if ms == 0 {
            state.jobs.push_back(Job::Input(input));
        } else {
            state.timed.insert((at, number), input);
        }
    }
}

impl ToDriver for PretendedDriver {
    fn send(&self, message: Message) -> Result<(), Gone> {
        if self.is_dead() {
            return Err(Gone);
        }
        match message {
            Message::Notified(event) => {
                let now = self.clock.now();
                self.state().events.push((*event, now));
            }
            Message::Note(text) => {
                let (now, warning) = (self.clock.now(), true);
                let note = Event::Note { warning, text };
                self.state().events.push((note, now));
            }
            Message::Ask { input, raw, reply } => {
                let id = match &*input {
                    Input::Call { id, .. }
                    | Input::Read { id, .. }
                    | Input::Diverged { id, .. } => id.clone(),
                    _ => return Err(Gone),
                };
                {
                    let mut state = self.state();
                    let raw = raw.map(|raw| *raw).or_else(|| match &*input {
                        Input::Call {
                            call: call @ Call::Step(_),
                            ..
                        } => Some(call.clone()),
                        _ => None,
                    });
                    if let Some(raw) = raw {
                        state.raw.insert(id.clone(), raw);
                    }
                    state.heard.remove(&id);
                    state.replies.insert(id.clone(), reply);
                    state.jobs.push_back(Job::Input(*input));
                }
                self.pump(&|state| state.heard.contains(&id));
            }
            Message::Tell(input) => {
                let awaits = match &input {
                    Input::Tried { id, .. } => Some(id.clone()),
                    _ => None,
                };
                {
                    let mut state = self.state();
                    if let Some(id) = &awaits {
                        state.heard.remove(id);
                    }
                    state.jobs.push_back(Job::Input(input));
                }
                if let Some(id) = awaits {
                    self.pump(&|state| state.heard.contains(&id));
                }
            }
            // Samples are evaluated here.
            Message::Sampled { .. } => {}
        }
        Ok(())
    }
}

/// What has happened to a run before a helper is called: its gate is open.
#[must_use]
pub fn gate_events() -> [Event; 3] {
    [
        Event::LockTaken {
            environment: "test".to_owned(),
        },
        Event::GateOpened,
        Event::Phase {
            phase: Phase::Release,
        },
    ]
}
