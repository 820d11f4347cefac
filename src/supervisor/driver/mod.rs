//! The loop around the core: it takes what happens, asks the core, and does what the core says.
//!
//! One task owns the run. Steps are waited for by the links to their supervisors, scripts speak through
//! a channel, signals and time come in as inputs like anything else.

mod diagnostics;
mod notices;
mod record;
mod signals;
mod steps;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender as Replies;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use crate::journal::{Alive, Holder, LockError, LockWish};
use crate::target::local::Standby;
use crate::words::call::{Answer, Call, CallId};
use crate::words::clock::Clock;
use crate::words::event::{Actor, Event, Verdict};
use crate::words::outcome::Outcome;
pub use crate::words::report::Report;

use super::core::{Action, Core, Ended, Input, NoLock, Try};
use super::fiber::{Message, Reply, Shared};

pub use record::{Approval, Book, NewRunFacts};
use signals::Signals;
use steps::StepInFlight;

/// The longest sleep: windows and suspended machines are looked at again after it.
const NAP: Duration = Duration::from_secs(1);
/// How long events without effect may wait to be written.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// How often approvals given elsewhere are looked for.
const APPROVALS_EVERY: Duration = Duration::from_millis(250);

/// The scripts of a run, as the driver needs them.
pub trait Scripts {
    /// A closure that the host keeps.
    type Closure: Clone;

    /// Starts the plan's own script; its end comes as [`Input::ScriptEnded`].
    fn start_plan(&mut self) -> std::io::Result<()>;
    /// Refuses every further call of the plan and of its watches.
    fn stop_plan(&mut self);
    /// Starts the closure of a back-out; its end comes as [`Input::ClosureEnded`].
    fn start_back_out(
        &mut self,
        id: &CallId,
        closure: Self::Closure,
        step_outcome: Option<Outcome>,
    ) -> std::io::Result<()>;
    /// Refuses every further call of a back-out's closure.
    fn stop_back_out(&mut self, id: &CallId);
    /// Evaluates the closure of a watch; the result comes as [`Message::Sampled`] with `token`.
    fn sample(&mut self, id: &CallId, token: u64) -> std::io::Result<()>;
    /// Waits no longer for a sample.
    fn give_up_sample(&mut self, id: &CallId);
    /// A function of the embedding program that acts.
    #[expect(clippy::type_complexity, reason = "a name would not make it plainer")]
    fn own(
        &self,
        name: &str,
    ) -> Option<Arc<dyn Fn(&[Value]) -> Result<Value, String> + Send + Sync>>;
}

/// What the driver is told before it starts.
pub struct Setup {
    /// Who runs it.
    pub by: Actor,
    /// The same, for locks.
    pub holder: Holder,
    /// The directory in which commands run.
    pub root: PathBuf,
    /// The machine's clocks, or others.
    pub clock: Arc<dyn Clock>,
    /// Are the signals for the run by which this process would die?
    pub signals: bool,
    /// Are those told whom the header names? A test tells nobody.
    pub tells: bool,
    /// The boot under which this process starts steps.
    pub boot_id: String,
    /// The boots under which the steps in flight were started, if other processes did.
    pub begun_in: HashMap<Try, String>,
}

/// Drives one run.
pub struct Driver<S: Scripts> {
    core: Core,
    book: Book,
    scripts: S,
    shared: Arc<Shared<S::Closure>>,
    setup: Setup,
    to_self: UnboundedSender<Message>,
    inbox: UnboundedReceiver<Message>,
    replies: HashMap<CallId, Replies<Reply>>,
    raw: HashMap<CallId, Call>,
    steps: HashMap<Try, StepInFlight>,
    standby: Standby,
    notices: notices::Notices,
    samples: HashMap<CallId, Sample>,
    next_token: u64,
    finished: bool,
    look_for_approvals: Instant,
}

struct Sample {
    token: u64,
    until: Instant,
    timeout_ms: u64,
}

impl<S: Scripts> Driver<S> {
    /// A driver for `core`, whose events go to `book`, and whose inbox is filled by `to_self`.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "each is another part of a run")]
    pub fn new(
        core: Core,
        book: Book,
        scripts: S,
        shared: Arc<Shared<S::Closure>>,
        setup: Setup,
        to_self: UnboundedSender<Message>,
        inbox: UnboundedReceiver<Message>,
        standby: Standby,
    ) -> Self {
        Self {
            core,
            book,
            scripts,
            shared,
            setup,
            to_self,
            inbox,
            replies: HashMap::new(),
            raw: HashMap::new(),
            steps: HashMap::new(),
            standby,
            notices: notices::Notices::default(),
            samples: HashMap::new(),
            next_token: 0,
            finished: false,
            look_for_approvals: Instant::now(),
        }
    }

    /// Runs until the run has ended or this process leaves it, and gives back what it was given.
    pub async fn run(
        mut self,
        opening: Vec<Event>,
        first: Vec<Input>,
    ) -> std::io::Result<(Core, Book)> {
        let mut signals = Signals::new(self.setup.signals)?;
        self.book.open_with(opening, &self.now_wall());
        // Of a run that has ended there may be somebody to be told, and nothing else to do.
        self.finished = self.core.end().is_some();
        self.find_in_flight();
        for input in first {
            self.take(input);
        }
        if self.core.has_lock() && !self.finished {
            // The lock is the run's already; from now on it names this process.
            let environment = self.core.header().environment.clone();
            let _ = self.take_lock(&environment);
        }
        self.take(Input::Time);
        if !self.finished && !self.core.is_closed() {
            self.scripts.start_plan()?;
        }
        while !self.finished {
            let wake = self.next_wake();
            tokio::select! {
                biased;
                name = signals.next() => self.on_signal(name),
                message = self.inbox.recv() => {
                    if let Some(message) = message {
                        self.on_message(message);
                    }
                }
                () = tokio::time::sleep_until(wake) => self.on_wake(),
            }
        }
        self.scripts.stop_plan();
        self.flush();
        self.tell_the_end(&mut signals).await;
        Ok((self.core, self.book))
    }

    fn now_wall(&self) -> i64 {
        self.setup.clock.now().wall_ms
    }

    fn on_signal(&mut self, name: &'static str) {
        tracing::debug!(signal = name, "signal");
        let input = match name {
            "SIGHUP" => Input::HangUp,
            "SIGTSTP" => {
                let text = "Ctrl-Z is refused: nothing would watch a run that is suspended";
                return self.warn(text.to_owned());
            }
            // What could not be written is told where it was to be written.
            "SIGXFSZ" => return,
            "SIGUSR1" | "SIGUSR2" | "SIGALRM" | "SIGVTALRM" | "SIGPROF" | "SIGIO" => {
                return self.warn(format!(
                    "{name} came, and means nothing to a run; Ctrl-C and SIGTERM stop it"
                ));
            }
            name => Input::Interrupt {
                signal: name.to_owned(),
            },
        };
        self.take(input);
    }

    fn warn(&mut self, text: String) {
        let warning = true;
        self.carry_out(vec![Action::Record(Event::Note { warning, text })]);
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Tell(input) => {
                if let Input::StepEnded { key, .. } = &input {
                    self.step_is_over(key);
                }
                self.take(input);
            }
            Message::Note(text) => self.warn(text),
            Message::Notified(event) => self.on_notified(*event),
            Message::Ask { input, raw, reply } => {
                let id = match &*input {
                    Input::Call { id, .. }
                    | Input::Read { id, .. }
                    | Input::Diverged { id, .. } => id.clone(),
                    _ => return,
                };
                let raw = raw.map(|raw| *raw).or_else(|| match &*input {
                    Input::Call {
                        call: call @ Call::Step(_),
                        ..
                    } => Some(call.clone()),
                    _ => None,
                });
                if let Some(raw) = raw {
                    self.raw.insert(id.clone(), raw);
                }
                self.replies.insert(id, reply);
                self.take(*input);
            }
            Message::Sampled {
                id,
                token,
                verdict,
                took_ms,
            } => {
                if self.samples.get(&id).is_some_and(|s| s.token == token) {
                    self.samples.remove(&id);
                    self.take(Input::Sampled {
                        id,
                        verdict,
                        took_ms,
                    });
                }
            }
        }
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let boot_ms = self.setup.clock.now().boot_ms;
        let core = self.core.next_wake().map(|at| {
            let ms = u64::try_from(at.saturating_sub(boot_ms)).unwrap_or(0);
            now + Duration::from_millis(ms).min(NAP)
        });
        let sample = self.samples.values().map(|s| s.until).min();
        let flush = self.book.pending_since().map(|since| since + FLUSH_AFTER);
        let approvals = self
            .core
            .awaits_approval()
            .then_some(self.look_for_approvals);
        [core, sample, flush, approvals]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + NAP)
    }

    fn on_wake(&mut self) {
        let now = Instant::now();
        let late: Vec<CallId> = self
            .samples
            .iter()
            .filter(|(_, s)| s.until <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            let Some(sample) = self.samples.remove(&id) else {
                continue;
            };
            self.scripts.give_up_sample(&id);
            let time = crate::words::duration::show(Duration::from_millis(sample.timeout_ms));
            let verdict = Verdict::Error(format!("it took longer than {time}"));
            self.take(Input::Sampled {
                id,
                verdict,
                took_ms: sample.timeout_ms,
            });
        }
        if self.core.awaits_approval() && self.look_for_approvals <= now {
            self.look_for_approvals = now + APPROVALS_EVERY;
            for given in self.book.approvals() {
                self.take(Input::Approved {
                    name: given.name,
                    by: given.by,
                    given_ms: given.at_ms,
                    comment: given.comment,
                });
            }
        }
        self.take(Input::Time);
        if self
            .book
            .pending_since()
            .is_some_and(|since| since + FLUSH_AFTER <= now)
        {
            self.flush();
        }
    }

    /// Writes what waits. That it cannot be written is noticed here too, not only with the next step.
    fn flush(&mut self) {
        if !self.book.flush(&self.core.header().clone()) {
            self.on_journal_failure(std::iter::empty());
        }
    }

    /// Gives the core one input and does what it says.
    fn take(&mut self, input: Input) {
        if !matches!(input, Input::Time) {
            tracing::debug!("input: {}", diagnostics::input_words(&input));
        }
        let actions = self.core.step(self.setup.clock.now(), input);
        for action in &actions {
            tracing::debug!("action: {}", diagnostics::action_words(action));
        }
        self.carry_out(actions);
        if self.core.end().is_none() {
            self.tell_people(None);
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let mut events = Vec::new();
        let mut actions = actions.into_iter();
        while let Some(action) = actions.next() {
            match action {
                Action::Record(event) => events.push(event),
                effect => {
                    self.make_dir_for(&effect);
                    if !self.write(&mut events) {
                        return self.on_journal_failure(std::iter::once(effect).chain(actions));
                    }
                    self.perform(effect);
                }
            }
        }
        if !self.write(&mut events) {
            self.on_journal_failure(std::iter::empty());
        }
    }

    fn write(&mut self, events: &mut Vec<Event>) -> bool {
        let masked = events
            .drain(..)
            .map(|event| self.shared.secrets.masked(&event).unwrap_or(event));
        let header = self.core.header().clone();
        self.book
            .write(masked.collect(), self.setup.clock.now().wall_ms, &header)
    }

    /// A write failed. Space that was kept for this is freed and the write is tried again; either
    /// way nothing of the plan acts any more, and what is armed is backed out.
    fn on_journal_failure(&mut self, dropped: impl Iterator<Item = Action>) {
        let detail = self.book.recover(&self.core.header().clone());
        if self.book.is_gone() {
            self.core.journal_is_gone();
        }
        let mut later = Vec::new();
        for action in dropped {
            match action {
                Action::StartStep { key, .. } if !key.id.is_in_back_out() => {
                    let reason = "the journal could not be written".to_owned();
                    later.push(Input::StepEnded {
                        key,
                        ended: Ended::Void(reason),
                    });
                }
                Action::Record(event) => {
                    let _ = self.write(&mut vec![event]);
                }
                Action::Answer { id, .. } if !id.is_in_back_out() => {
                    self.perform(Action::Answer {
                        id,
                        answer: Answer::Stop,
                    });
                }
                effect => self.perform(effect),
            }
        }
        self.take(Input::JournalFailed { detail });
        for input in later {
            self.take(input);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Record(_) => {}
            Action::StartStep { key, limit_ms } => self.start_step(key, limit_ms),
            Action::EndStep { key, now } => self.end_step(&key, now),
            Action::BackOut {
                key,
                limit_ms,
                step_outcome,
            } => {
                self.start_back_out(key, limit_ms, step_outcome);
            }
            Action::EndClosure { id } => {
                self.scripts.stop_back_out(&id);
                self.end_steps_of(&id.back_out_fiber());
            }
            Action::Answer { id, answer } => {
                if let Some(reply) = self.replies.remove(&id) {
                    let _ = reply.send(Reply::Answer(answer));
                }
            }
            Action::Try { id } => {
                if let Some(reply) = self.replies.get(&id) {
                    let _ = reply.send(Reply::Try);
                }
            }
            Action::Sample { id, timeout_ms } => self.start_sample(id, timeout_ms),
            Action::TakeLock { environment } => {
                // As a message: what else was to be done comes first, a failure of the journal too.
                let answer = self.take_lock(&environment);
                let _ = self.to_self.send(Message::Tell(Input::Lock(answer)));
            }
            Action::StopScript => {
                self.samples.clear();
                self.scripts.stop_plan();
            }
            Action::Finish => self.finished = true,
        }
    }

    fn start_sample(&mut self, id: CallId, timeout_ms: u64) {
        if self.core.stopping().is_some() {
            // A failure of the journal came between.
            return;
        }
        self.next_token += 1;
        let token = self.next_token;
        let until = Instant::now() + Duration::from_millis(timeout_ms);
        self.samples.insert(
            id.clone(),
            Sample {
                token,
                until,
                timeout_ms,
            },
        );
        if let Err(error) = self.scripts.sample(&id, token) {
            let verdict = Verdict::Error(format!("no thread could be started: {error}"));
            let message = Message::Sampled {
                id,
                token,
                verdict,
                took_ms: 0,
            };
            let _ = self.to_self.send(message);
        }
    }

    fn take_lock(&mut self, environment: &str) -> Result<(), NoLock> {
        self.book.wish_lock(LockWish {
            environment: environment.to_owned(),
            holder: self.setup.holder.clone(),
            why: format!("release of {}", self.core.header().release()),
            now_ms: self.now_wall(),
        });
        // The run must be there before it can have a lock.
        self.flush();
        match self.book.take_lock() {
            Ok(()) => Ok(()),
            Err(LockError::Held(mut held)) => {
                // Whoever takes a run up has it a moment before the lock says so.
                if held.alive == Alive::Dead && self.book.is_owned(&held.run) {
                    held.alive = Alive::Alive;
                }
                Err(NoLock {
                    holder: held.to_string(),
                    in_vain: held.alive == Alive::Dead,
                })
            }
            Err(other) => Err(NoLock {
                holder: format!("the lock of {environment} can't be taken: {other}"),
                in_vain: false,
            }),
        }
    }
}
