//! How a script speaks to the run it belongs to.
//!
//! Every host function ends in one of the methods of [`Fiber`]. They give each call its id, answer
//! from the journal what is recorded there, and pass on the rest. After a stop they refuse
//! everything, whatever the script tries.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;

use serde_json::Value;

use crate::target::host::Host;
use crate::target::probe::Cancel;
use crate::words::call::{Answer, BackOut, Call, CallId, Failure, Step, Undo};
use crate::words::clock::Clock;
use crate::words::event::{Event, Verdict, json_text};
use crate::words::place::Place;

use super::core::Input;
use super::foresight::Foresight;
use super::recorded::Recorded;
use super::secrets::Secrets;
use super::spending::{Spending, Spent};

/// Why a call does not return.
#[derive(Clone, Debug, PartialEq)]
pub enum Halt {
    /// The script may catch it.
    Throw(Failure),
    /// The run has stopped; nobody may catch it.
    Stop,
    /// In a preview: only a run could answer. It depends on this.
    Unknown(String),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Throw(failure)
    }
}

/// What a script hears while it waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The call's answer.
    Answer(Answer),
    /// Evaluate the closure of the verify, and tell.
    Try,
}

/// What a script tells the driver.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a handful exist at a time, and not for long"
)]
pub enum Message {
    /// A watch was sampled.
    Sampled {
        /// Which.
        id: CallId,
        /// The sample that was asked for.
        token: u64,
        /// What it saw.
        verdict: Verdict,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// Something that happened; nobody waits.
    Tell(Input),
    /// A warning of the host.
    Note(String),
    /// Somebody was told of the run, or could not be: the event that says so.
    Notified(Box<Event>),
    /// A call; the script waits for the reply.
    Ask {
        /// The call, secrets masked.
        input: Box<Input>,
        /// The call as it was made, when it differs.
        raw: Option<Box<Call>>,
        /// Where the reply goes.
        reply: mpsc::Sender<Reply>,
    },
}

/// The driver is there no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// The way to the driver.
pub trait ToDriver: Send + Sync {
    /// Tells the driver something. It may do all that follows before this returns.
    ///
    /// # Errors
    /// When there is no driver any more.
    fn send(&self, message: Message) -> Result<(), Gone>;
}

impl ToDriver for tokio::sync::mpsc::UnboundedSender<Message> {
    fn send(&self, message: Message) -> Result<(), Gone> {
        Self::send(self, message).map_err(|_| Gone)
    }
}

/// A lock whose holder panicked is still good: what it guards is replaced whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all fibers of a run share.
pub struct Shared<K> {
    /// The way to the driver.
    pub to_driver: Arc<dyn ToDriver>,
    /// What the scripts may look at.
    pub host: Arc<dyn Host>,
    /// What the journal knows.
    pub recorded: Recorded,
    /// What must not be written.
    pub secrets: Arc<Secrets>,
    /// Closures and commands that undo, as they were made: by the call that armed them.
    undos: Mutex<HashMap<CallId, Armed<K>>>,
    /// Closures of watches.
    watches: Mutex<HashMap<CallId, K>>,
    clock: Arc<dyn Clock>,
    /// The environment of probes, and the begin of that of steps.
    pub env: BTreeMap<String, String>,
    /// What the plan is called when its header does not say.
    pub name: String,
    /// The digests of files as they were approved, by what the plan calls them.
    pub approved: BTreeMap<String, Option<String>>,
}

/// What undoes a step, as the script made it.
#[derive(Clone, Debug)]
pub struct Armed<K> {
    /// The back-out, secrets and all.
    pub back_out: BackOut,
    /// Its closure, if it is one.
    pub closure: Option<K>,
    /// The step that it undoes, if it was armed by one: its environment, directory and user are
    /// those of the back-out too.
    pub step: Option<Box<Step>>,
}

impl<K: Clone> Shared<K> {
    /// What the fibers of a run share, at its begin.
    #[must_use]
    pub fn new(
        to_driver: Arc<dyn ToDriver>,
        host: Arc<dyn Host>,
        recorded: Recorded,
        clock: Arc<dyn Clock>,
        env: BTreeMap<String, String>,
        name: String,
    ) -> Self {
        Self {
            to_driver,
            host,
            recorded,
            secrets: Arc::default(),
            undos: Mutex::default(),
            watches: Mutex::default(),
            clock,
            env,
            name,
            approved: BTreeMap::new(),
        }
    }

    /// The same, when these files were approved.
    #[must_use]
    pub fn approving(self, approved: BTreeMap<String, Option<String>>) -> Self {
        Self { approved, ..self }
    }

    /// What undoes the call, as the script made it.
    #[must_use]
    pub fn undo(&self, id: &CallId) -> Option<Armed<K>> {
        lock(&self.undos).get(id).cloned()
    }

    /// The closure of a watch.
    #[must_use]
    pub fn watch(&self, id: &CallId) -> Option<K> {
        lock(&self.watches).get(id).cloned()
    }
}

/// One thread of a script: the plan itself, a watch, or the closure of a back-out.
pub struct Fiber<K> {
    shared: Arc<Shared<K>>,
    path: String,
    number: AtomicU32,
    observing: AtomicU32,
    loading: AtomicU32,
    stop: Arc<AtomicBool>,
    cancel: Cancel,
    spending: Spending,
    /// In a preview, who answers instead of the driver.
    foresight: Option<Arc<dyn Foresight<K>>>,
    /// What is said of a call that does more than look where only looks are allowed.
    only_looks: &'static str,
}

impl<K: Clone> Fiber<K> {
    /// A fiber with this path, which ends when `stop` is set.
    #[must_use]
    pub fn new(
        shared: Arc<Shared<K>>,
        path: String,
        stop: Arc<AtomicBool>,
        cancel: Cancel,
    ) -> Self {
        Self {
            shared,
            path,
            number: AtomicU32::new(0),
            observing: AtomicU32::new(0),
            loading: AtomicU32::new(0),
            stop,
            cancel,
            spending: Spending::default(),
            foresight: None,
            only_looks: "a check, a watch and a verify only read",
        }
    }

    /// A fiber of a preview: every call is answered by `foresight`, and none goes to a driver.
    #[must_use]
    pub fn previewing(
        shared: Arc<Shared<K>>,
        foresight: Arc<dyn Foresight<K>>,
        stop: Arc<AtomicBool>,
        cancel: Cancel,
    ) -> Self {
        Self {
            foresight: Some(foresight),
            ..Self::new(shared, String::new(), stop, cancel)
        }
    }

    /// Who answers, in a preview.
    #[must_use]
    pub fn foresight(&self) -> Option<&Arc<dyn Foresight<K>>> {
        self.foresight.as_ref()
    }

    /// A fiber whose every call only looks: that of a watch.
    #[must_use]
    pub fn observer(shared: Arc<Shared<K>>, stop: Arc<AtomicBool>, cancel: Cancel) -> Self {
        let fiber = Self::new(shared, "w".into(), stop, cancel);
        fiber.observing.store(1, Ordering::SeqCst);
        fiber
    }

    /// An observer with its own words for a call that does more than look.
    #[must_use]
    pub fn onlooker(
        shared: Arc<Shared<K>>,
        stop: Arc<AtomicBool>,
        cancel: Cancel,
        only_looks: &'static str,
    ) -> Self {
        Self {
            only_looks,
            ..Self::observer(shared, stop, cancel)
        }
    }

    /// What it shares with the others.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared<K>> {
        &self.shared
    }

    /// Has the run stopped for this script?
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The first call that the journal has of this fiber and that the script, which has ended, did
    /// not make again: it is not deterministic then.
    #[must_use]
    pub fn unmade(&self) -> Option<CallId> {
        let made = self.number.load(Ordering::SeqCst);
        let last = self.shared.recorded.last_of(&self.path)?;
        (last.number > made).then(|| CallId {
            fiber: self.path.clone(),
            number: made + 1,
        })
    }

    /// Counts an operation of the engine; says why the script must end, if it must.
    pub fn progress(&self) -> Option<String> {
        if self.stop.load(Ordering::Relaxed) {
            return Some("stopped".to_owned());
        }
        self.spending.count().map(Spent::text)
    }

    /// The script has used too much: it ends, whatever it catches.
    pub fn exhaust(&self, spent: Spent) {
        self.spending.exhaust(spent);
    }

    /// What the script has used too much of.
    #[must_use]
    pub fn spent(&self) -> Option<Spent> {
        self.spending.spent()
    }

    /// What lets a read be broken off.
    #[must_use]
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// While the result lives, only reads are allowed, and they are not calls of their own.
    #[must_use]
    pub fn observe(&self) -> Guard<'_> {
        Guard::new(&self.observing)
    }

    /// While the result lives, no call is allowed at all: a module's body is running.
    #[must_use]
    pub fn load(&self) -> Guard<'_> {
        Guard::new(&self.loading)
    }

    fn is_observing(&self) -> bool {
        self.observing.load(Ordering::SeqCst) > 0
    }

    /// Tests what every call must pass before it is made.
    fn enter(&self, function: &str) -> Result<(), Halt> {
        if self.is_stopped() || self.spent().is_some() {
            return Err(Halt::Stop);
        }
        if self.loading.load(Ordering::SeqCst) > 0 {
            let text = format!("`{function}` may not be called by the body of a module");
            return Err(Halt::Throw(Failure {
                hint: Some("put the call into a function, and call that from the plan".into()),
                ..Failure::new(text)
            }));
        }
        Ok(())
    }

    fn next_id(&self) -> CallId {
        let number = self.number.fetch_add(1, Ordering::SeqCst) + 1;
        CallId {
            fiber: self.path.clone(),
            number,
        }
    }

    /// Makes a call that the host performs.
    pub fn perform(&self, function: &str, call: Call, place: Place) -> Result<Value, Halt> {
        self.perform_with(function, call, place, None)
    }

    /// Makes a call that hands the host a closure: a step with a back-out, `back_out`, `watch`.
    pub fn perform_with(
        &self,
        function: &str,
        call: Call,
        place: Place,
        closure: Option<K>,
    ) -> Result<Value, Halt> {
        self.enter(function)?;
        self.only_reads(function)?;
        if let Some(foresight) = &self.foresight {
            return foresight.call(self.masked(call), place, closure);
        }
        let id = self.next_id();
        self.keep(&id, &call, closure);
        self.ask(id, call, place, || Verdict::NoData)
    }

    /// Makes a call that looks again and again: `verify`.
    pub fn verify(
        &self,
        call: Call,
        place: Place,
        look: impl FnMut() -> Verdict,
    ) -> Result<Value, Halt> {
        self.enter("verify")?;
        self.only_reads("verify")?;
        if let Some(foresight) = &self.foresight {
            return foresight.call(self.masked(call), place, None);
        }
        let id = self.next_id();
        self.ask(id, call, place, look)
    }

    /// Makes a reading call: `look` is only evaluated if the journal has no answer.
    pub fn read(
        &self,
        name: &str,
        args: Vec<Value>,
        place: Place,
        look: impl FnOnce(&Cancel) -> Result<Value, Failure>,
    ) -> Result<Value, Halt> {
        self.enter(name)?;
        if self.is_observing() {
            let seen = look(&self.cancel);
            return if self.is_stopped() {
                Err(Halt::Stop)
            } else {
                seen.map_err(Halt::Throw)
            };
        }
        if let Some(foresight) = &self.foresight {
            return self.preview_read(&**foresight, (name, args), place, look);
        }
        let id = self.next_id();
        let call = self.masked(Call::Read {
            name: name.to_owned(),
            args,
        });
        if let Some(answer) = self.replay(&id, &call, &place)? {
            return halt(answer);
        }
        let since = Instant::now();
        let answer = match look(&self.cancel) {
            Ok(value) => Answer::Value(value),
            Err(failure) => Answer::Throw(failure),
        };
        if self.is_stopped() {
            return Err(Halt::Stop);
        }
        let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let masked = self
            .shared
            .secrets
            .masked(&answer)
            .unwrap_or_else(|| answer.clone());
        let detail = String::new();
        let input = Input::Read {
            id,
            call,
            place,
            answer: masked.clone(),
            detail,
            took_ms,
        };
        match self.wait(input, None, || Verdict::NoData)? {
            // The script sees what a replay would give it: the masked answer.
            Answer::Value(_) | Answer::Throw(_) => halt(masked),
            Answer::Stop => Err(Halt::Stop),
        }
    }

    fn preview_read(
        &self,
        foresight: &dyn Foresight<K>,
        (name, args): (&str, Vec<Value>),
        place: Place,
        look: impl FnOnce(&Cancel) -> Result<Value, Failure>,
    ) -> Result<Value, Halt> {
        let args = self.shared.secrets.masked(&args).unwrap_or(args);
        let mut look = Some(look);
        foresight.read(name, args, place, &mut || {
            let seen = look
                .take()
                .map_or(Ok(Value::Null), |look| look(&self.cancel));
            // As in a run, the script sees the masked answer.
            match self.shared.secrets.masked(&seen) {
                Some(masked) => masked,
                None => seen,
            }
        })
    }

    /// Makes a check: `look` gives the answer and what was seen.
    pub fn check(
        &self,
        name: &str,
        place: Place,
        look: impl FnOnce(&Cancel) -> (bool, String),
    ) -> Result<Value, Halt> {
        self.enter("check")?;
        if self.is_observing() {
            return Ok(Value::Bool(look(&self.cancel).0));
        }
        if let Some(foresight) = &self.foresight {
            let mut look = Some(look);
            return foresight.check(&self.shared.secrets.mask(name), place, &mut || {
                let Some(look) = look.take() else {
                    return (false, String::new());
                };
                let (ok, detail) = look(&self.cancel);
                (ok, self.shared.secrets.mask(&detail))
            });
        }
        let id = self.next_id();
        let call = self.masked(Call::Check {
            name: name.to_owned(),
        });
        if let Some(answer) = self.replay(&id, &call, &place)? {
            return halt(answer);
        }
        let since = Instant::now();
        let (ok, detail) = look(&self.cancel);
        if self.is_stopped() {
            return Err(Halt::Stop);
        }
        let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let detail = self.shared.secrets.mask(&detail);
        let answer = Answer::Value(Value::Bool(ok));
        halt(self.wait(
            Input::Read {
                id,
                call,
                place,
                answer,
                detail,
                took_ms,
            },
            None,
            || Verdict::NoData,
        )?)
    }

    fn only_reads(&self, function: &str) -> Result<(), Halt> {
        if self.is_observing() {
            let text = format!("`{function}` may not be called here: {}", self.only_looks);
            return Err(Halt::Throw(Failure::new(text)));
        }
        Ok(())
    }

    /// Keeps what the host needs later and the journal cannot hold.
    fn keep(&self, id: &CallId, call: &Call, closure: Option<K>) {
        let (back_out, step) = match call {
            Call::Step(step) => (step.back_out.clone(), Some(step.clone())),
            Call::BackOut(back_out) => (Some(back_out.clone()), None),
            Call::Watch(_) => {
                if let Some(closure) = closure {
                    lock(&self.shared.watches).insert(id.clone(), closure);
                }
                return;
            }
            _ => return,
        };
        if let Some(back_out) = back_out.filter(|b| b.undo != Undo::Nothing) {
            let armed = Armed {
                back_out,
                closure,
                step,
            };
            lock(&self.shared.undos).insert(id.clone(), armed);
        }
    }

    fn masked(&self, call: Call) -> Call {
        self.shared.secrets.masked(&call).unwrap_or(call)
    }

    fn ask(
        &self,
        id: CallId,
        call: Call,
        place: Place,
        look: impl FnMut() -> Verdict,
    ) -> Result<Value, Halt> {
        let masked = self.shared.secrets.masked(&call);
        let (call, raw) = match masked {
            Some(masked) => (masked, Some(Box::new(call))),
            None => (call, None),
        };
        if let Some(answer) = self.replay(&id, &call, &place)? {
            return halt(answer);
        }
        halt(self.wait(Input::Call { id, call, place }, raw, look)?)
    }

    /// The recorded answer, if there is one; a call that differs from the journal ends the script.
    fn replay(&self, id: &CallId, call: &Call, place: &Place) -> Result<Option<Answer>, Halt> {
        let Some(recorded) = self.shared.recorded.get(id) else {
            return Ok(None);
        };
        if recorded.call != *call {
            let (was, is) = (json_text(&recorded.call), json_text(call));
            let detail = format!("in the journal: {was}\non replay:      {is}");
            let input = Input::Diverged {
                id: id.clone(),
                place: place.clone(),
                detail,
            };
            self.wait(input, None, || Verdict::NoData)?;
            return Err(Halt::Stop);
        }
        Ok(recorded.answer.clone())
    }

    fn wait(
        &self,
        input: Input,
        raw: Option<Box<Call>>,
        mut look: impl FnMut() -> Verdict,
    ) -> Result<Answer, Halt> {
        let id = match &input {
            Input::Call { id, .. } | Input::Read { id, .. } | Input::Diverged { id, .. } => {
                id.clone()
            }
            _ => return Err(Halt::Stop),
        };
        let (reply, replies) = mpsc::channel();
        let message = Message::Ask {
            input: Box::new(input),
            raw,
            reply,
        };
        self.shared
            .to_driver
            .send(message)
            .map_err(|_| Halt::Stop)?;
        loop {
            match replies.recv() {
                Ok(Reply::Answer(answer)) => return Ok(answer),
                Ok(Reply::Try) => {
                    let verdict = {
                        let _observing = self.observe();
                        look()
                    };
                    let input = Input::Tried {
                        id: id.clone(),
                        verdict,
                    };
                    self.shared
                        .to_driver
                        .send(Message::Tell(input))
                        .map_err(|_| Halt::Stop)?;
                }
                Err(mpsc::RecvError) => return Err(Halt::Stop),
            }
        }
    }

    /// The wall clock, in milliseconds since 1970.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        self.shared.clock.now().wall_ms
    }

    /// The next sample may use as much as the first.
    pub fn begin_anew(&self) {
        self.spending.reset();
    }
}

fn halt(answer: Answer) -> Result<Value, Halt> {
    match answer {
        Answer::Value(value) => Ok(value),
        Answer::Throw(failure) => Err(Halt::Throw(failure)),
        Answer::Stop => Err(Halt::Stop),
    }
}

/// Holds a counter above zero while it lives.
#[derive(Debug)]
pub struct Guard<'c>(&'c AtomicU32);

impl<'c> Guard<'c> {
    fn new(counter: &'c AtomicU32) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
