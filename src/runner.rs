//! Wires one run: what an embedding program uses.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::{
    FindError, Holder, Journal, JournalError, OwnerError, OwnerLock, Reader, RunId, StoredEntry,
};
use crate::script::api;
use crate::script::approval::Approval;
use crate::script::check;
use crate::script::engine::{self, Entry, Surroundings};
use crate::script::functions::Function;
use crate::script::plan::{Plan, ReadError};
use crate::script::preview::{self, Given};
use crate::script::run::PlanScripts;
use crate::script::testing::real::{RealRun, RealRuns};
use crate::script::testing::stage::Stage;
use crate::script::testing::whole_plan::Ran;
use crate::script::value::from_json;
use crate::supervisor::core::{Core, Input, Settings, Try};
use crate::supervisor::driver::{Book, Driver, NewRunFacts, Report, Setup};
use crate::supervisor::fiber::Shared;
use crate::supervisor::recorded::Recorded;
use crate::supervisor::unwritten::{self, LookError};
use crate::target::host::ThisMachine;
use crate::target::local::Standby;
use crate::target::probe::Cancel;
use crate::target::secret_source;
use crate::target::{environment, facts, files, step_supervisor};
use crate::words::clock::{Clock, Now, SystemClock};
use crate::words::diagnostic::{Diagnostic, Level};
use crate::words::event::{Actor, Event, RunEnd, Stamped};
use crate::words::levels::{Change, Levels};
use crate::words::outcome::RunOutcome;
use crate::words::preview::{FileLook, LockLook, Preview};

/// Runs the part of deployrun that the program's arguments name, and returns the status to exit
/// with. A program that embeds deployrun calls this first thing in `main`: step supervisors are the
/// same program, started again.
#[must_use]
pub fn dispatch() -> Option<i32> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    step_supervisor::dispatch(&args).or_else(|| files::dispatch(args.first()?.to_str()?))
}

/// Why a run could not be started or taken up again. Nothing was done then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The plan has errors.
    #[error("the plan has errors")]
    Check(Vec<Diagnostic>),
    /// The journal could not be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The plan is not the one that was approved.
    #[error(
        "the plan is not what was approved: approved was {approved}, its fingerprint is {now} now; \
         the plan, a module, an argument or a file that it uploads has changed; look at what it would \
         do now with `deployrun preview`; nothing was done"
    )]
    NotApproved {
        /// The fingerprint that was given.
        approved: String,
        /// The fingerprint that it has.
        now: String,
    },
    /// No run, or several, have an id that begins so.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Another process has the run.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The run has ended.
    #[error("run {run} has ended: {outcome}")]
    Ended {
        /// Which.
        run: String,
        /// How.
        outcome: &'static str,
    },
    /// A secret that the run has had can't be had now.
    #[error(
        "{problem}; run {run} was not taken up, and nothing was done: its back-outs may need what \
         the plan had; put it where it was, and come again"
    )]
    Secret {
        /// Which run.
        run: String,
        /// Which secret, and why.
        problem: String,
    },
    /// What the journal has of a run cannot be understood.
    #[error("run {run} can't be read: {problem}")]
    Unreadable {
        /// Which.
        run: String,
        /// Why.
        problem: String,
    },
    /// What the journal does not have of a run cannot be told now.
    #[error("run {run} can't be taken up: {source}")]
    Unwritten {
        /// Which.
        run: String,
        /// Why.
        source: LookError,
    },
    /// The system refused something the runtime needs.
    #[error("the runtime can't be started: {0}")]
    System(#[from] std::io::Error),
}

/// How a run ended, or where it was left.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its id.
    pub run: String,
    /// How it ended; `Stuck` when this process left it before its end.
    pub outcome: RunOutcome,
    /// Did this process leave it before its end?
    pub left: bool,
    /// The end, with all that is known of it.
    pub end: Option<RunEnd>,
}

impl Summary {
    /// The exit status that stands for it.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        self.outcome.exit_status()
    }
}

/// What is frozen in the journal with a run.
#[derive(Debug, Serialize, Deserialize)]
struct Frozen {
    main: String,
    root: PathBuf,
    sources: BTreeMap<String, String>,
    args: Value,
    override_window: Option<String>,
    lock_wait_ms: u64,
    /// What steps and probes are passed on from the process that started the run.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// What was approved, if the run was started with an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<Approval>,
}

/// Runs plans, and takes up runs again.
pub struct Runner {
    state_dir: PathBuf,
    args: Value,
    settings: Settings,
    clock: Arc<dyn Clock>,
    report: Box<dyn Report>,
    functions: Vec<Function>,
    signals: bool,
    random: Option<u32>,
    trace_parent: Option<String>,
    prepared: bool,
    standby: Standby,
    known: Vec<Stamped>,
    approved: Option<String>,
    levels: Vec<Change>,
    stage: Option<Arc<Stage>>,
    entry: Option<Entry>,
}

/// A report that tells nothing.
struct Silence;

impl Report for Silence {
    fn event(&mut self, _: &Stamped) {}
    fn unwritten(&mut self, _: &Stamped) {}
}

impl Runner {
    /// A runner with its journal in `state_dir`.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        let state_dir = state_dir.into();
        Self {
            // Steps work in the plan's directory, and whoever takes the run up, anywhere.
            state_dir: std::path::absolute(&state_dir).unwrap_or(state_dir),
            args: Value::Object(serde_json::Map::new()),
            settings: Settings::default(),
            clock: Arc::new(SystemClock),
            report: Box::new(Silence),
            functions: api::functions(),
            signals: false,
            random: None,
            trace_parent: None,
            prepared: false,
            standby: Standby::default(),
            known: Vec::new(),
            approved: None,
            levels: Vec::new(),
            stage: None,
            entry: None,
        }
    }

    /// What the plan sees as `args`: a map.
    #[must_use]
    pub fn args(mut self, args: serde_json::Map<String, Value>) -> Self {
        self.args = Value::Object(args);
        self
    }

    /// Sets the window aside, for this reason.
    #[must_use]
    pub fn override_window(mut self, reason: Option<String>) -> Self {
        self.settings.override_window = reason;
        self
    }

    /// How long to wait for an environment that somebody else has.
    #[must_use]
    pub fn lock_wait(mut self, time: std::time::Duration) -> Self {
        self.settings.lock_wait_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Runs a plan only if this is its fingerprint, as [`Runner::preview`] tells it, or a beginning of
    /// at least 12 hex digits.
    #[must_use]
    pub fn approve(mut self, fingerprint: Option<String>) -> Self {
        self.approved = fingerprint;
        self
    }

    /// Another clock than the machine's. Every report says so.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Who is told of events.
    #[must_use]
    pub fn report(mut self, report: Box<dyn Report>) -> Self {
        self.report = report;
        self
    }

    /// Takes SIGINT, SIGTERM and SIGHUP for the run: the first two stop it.
    #[must_use]
    pub fn handle_signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// The span that the run's trace continues, as a `traceparent` of W3C Trace Context. It is kept
    /// with the run, and is the same when the run is taken up.
    #[must_use]
    pub fn trace_parent(mut self, trace_parent: Option<String>) -> Self {
        self.trace_parent = trace_parent;
        self
    }

    /// The random part of the next run's id; for tests.
    #[must_use]
    pub fn random(mut self, random: u32) -> Self {
        self.random = Some(random);
        self
    }

    /// Registers a function that only reads; plans may call it in every phase. An error is thrown
    /// in the plan.
    #[must_use]
    pub fn reads(
        mut self,
        name: &str,
        params: &[&str],
        doc: &str,
        call: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        self.functions
            .push(api::own_function(name, params, false, doc, Box::new(call)));
        self
    }

    /// Registers a function that changes something: a step. It runs in this process, so it cannot
    /// be ended, and its outcome is unknown when this process dies meanwhile.
    #[must_use]
    pub fn acts(
        mut self,
        name: &str,
        params: &[&str],
        doc: &str,
        call: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        self.functions
            .push(api::own_function(name, params, true, doc, Box::new(call)));
        self
    }

    /// Runs this for a test: `entry` in place of the plan's own text, with these functions.
    #[must_use]
    pub(crate) fn for_test(
        mut self,
        stage: Arc<Stage>,
        functions: Vec<Function>,
        entry: Option<Entry>,
    ) -> Self {
        self.functions = functions;
        self.stage = Some(stage);
        self.entry = entry;
        self
    }

    /// What the static check finds in a plan, with the levels that its project file sets.
    #[must_use]
    pub fn check(&self, plan: &Plan) -> Vec<Diagnostic> {
        let of_project = plan.project().map_or(&[][..], |project| &project.check);
        let levels = Levels::new(of_project.iter().chain(&self.levels));
        levels.apply(check::check(plan, &self.functions))
    }

    /// Sets levels of findings over those of the project file; a later one wins.
    #[must_use]
    pub fn levels(mut self, levels: Vec<Change>) -> Self {
        self.levels = levels;
        self
    }

    /// The events of the run that is taken up, as far as they were read already.
    #[must_use]
    pub(crate) fn known(mut self, events: Vec<Stamped>) -> Self {
        self.known = events;
        self
    }

    /// Starts what a run will need, so that it gets ready while the plan is read. Without this it is
    /// started with the run.
    #[must_use]
    pub fn prepare(mut self) -> Self {
        if !std::mem::replace(&mut self.prepared, true) {
            engine::prepare();
            self.standby.prepare();
        }
        self
    }

    /// Runs a plan to its end.
    ///
    /// # Errors
    /// When the plan has errors or the journal cannot be used; nothing was done then.
    pub fn run(self, plan: Plan) -> Result<Summary, Error> {
        let mut this = self.prepare();
        let errors: Vec<Diagnostic> = this
            .check(&plan)
            .into_iter()
            .filter(|d| d.level == Level::Error)
            .collect();
        if !errors.is_empty() {
            return Err(Error::Check(errors));
        }
        let approval = this.approval(&plan)?;
        let frozen = Frozen {
            main: plan.main().to_owned(),
            root: plan.root().to_owned(),
            sources: plan.sources().clone(),
            args: this.args.clone(),
            override_window: this.settings.override_window.clone(),
            lock_wait_ms: this.settings.lock_wait_ms,
            env: environment::of_this_process(),
            approval: approval.clone(),
        };
        let holder = Holder::this_process(facts::user());
        let by = actor();
        let fingerprint = plan.fingerprint();
        let started = Event::RunStarted {
            by: by.clone(),
            deployrun: env!("CARGO_PKG_VERSION").to_owned(),
            plan: plan.root().join(plan.main()).display().to_string(),
            fingerprint: fingerprint.clone(),
            args: given(&this.args),
            boot_id: holder.boot_id.clone(),
            clock_injected: !this.clock.is_real(),
            approved: approval
                .as_ref()
                .map(|approval| approval.fingerprint.clone()),
            trace_parent: this.trace_parent.clone(),
        };
        let wall_ms = this.clock.now().wall_ms;
        let id = RunId::new(wall_ms, this.random.unwrap_or_else(random));
        let owner: Arc<std::sync::Mutex<Option<OwnerLock>>> = Arc::default();
        let (kept, state_dir, mine) = (owner.clone(), this.state_dir.clone(), holder.clone());
        let facts = NewRunFacts {
            id,
            name: plan.name(),
            fingerprint,
            frozen: serde_json::to_value(&frozen).unwrap_or(Value::Null),
            born: Box::new(move |run| {
                let lock = OwnerLock::take(&state_dir, run, &mine).map_err(|e| e.to_string())?;
                *kept
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(lock);
                Ok(())
            }),
        };
        let core = Core::new(Settings {
            name: plan.name(),
            ..this.settings.clone()
        });
        let runner = Wired {
            standby: std::mem::take(&mut this.standby),
            by,
            holder,
            recorded: Recorded::default(),
            core,
            begun_in: HashMap::new(),
        };
        let state_dir = this.state_dir.clone();
        let book = |report| {
            let journal = Journal::open(&state_dir)?;
            journal.preflight()?;
            Ok(Book::of_new_run(journal, facts, report))
        };
        let inputs = Inputs {
            args: frozen.args,
            env: frozen.env,
            approval,
        };
        this.drive(plan, inputs, runner, book, vec![started], Vec::new())
    }

    /// What is approved with the plan, if it was; fails if it is not that plan.
    fn approval(&self, plan: &Plan) -> Result<Option<Approval>, Error> {
        let Some(approved) = &self.approved else {
            return Ok(None);
        };
        let now = Approval::of(plan, &self.args, self.settings.override_window.as_deref());
        if now.is(&approved.to_ascii_lowercase()) {
            return Ok(Some(now));
        }
        Err(Error::NotApproved {
            approved: approved.clone(),
            now: now.fingerprint,
        })
    }

    /// Does a plan's review, and tells what would run behind it. Nothing acts, nothing is written, no
    /// run comes to be, and of the functions of this program only those that read are called.
    ///
    /// # Errors
    /// When the plan has errors, or the system refuses what is needed.
    pub fn preview(self, plan: Plan) -> Result<Preview, Error> {
        let (errors, warnings): (Vec<_>, Vec<_>) = self
            .check(&plan)
            .into_iter()
            .partition(|d| d.level == Level::Error);
        if !errors.is_empty() {
            return Err(Error::Check(errors));
        }
        let override_window = self.settings.override_window.clone();
        let approval = Approval::of(&plan, &self.args, override_window.as_deref());
        let told = preview::follow(Given {
            plan: plan.clone(),
            functions: self.functions,
            args: from_json(&self.args),
            clock: self.clock.clone(),
            env: environment::of_this_process(),
            override_window,
        })?;
        let mut gate = told.gate;
        if gate.at.is_some() {
            gate.lock = lock_look(&self.state_dir, &told.header.environment);
        }
        let mut files = told.files;
        for file in &mut files {
            file.covered = approval.files.contains_key(&file.path);
        }
        for (path, sha256) in approval.files {
            if !files.iter().any(|file| file.path == path) {
                files.push(FileLook {
                    path,
                    sha256,
                    covered: true,
                });
            }
        }
        Ok(Preview {
            plan: plan.root().join(plan.main()).display().to_string(),
            at_ms: self.clock.now().wall_ms,
            clock_injected: !self.clock.is_real(),
            args: given(&self.args),
            header: told.header,
            warnings,
            lines: told.lines,
            gate,
            followed: told.followed,
            files,
            plan_fingerprint: plan.fingerprint(),
            fingerprint: approval.fingerprint,
        })
    }

    /// Takes up a run where it was left.
    ///
    /// # Errors
    /// When there is no such run, it has ended, or another process has it.
    pub fn resume(self, run: &str) -> Result<Summary, Error> {
        self.take_up(run, "resume")
    }

    /// Takes up a run where it was left, and backs it out.
    ///
    /// # Errors
    /// When there is no such run, it has ended, or another process has it.
    pub fn back_out(self, run: &str) -> Result<Summary, Error> {
        self.take_up(run, "back-out")
    }

    fn take_up(mut self, run: &str, command: &str) -> Result<Summary, Error> {
        let journal = Journal::open(&self.state_dir)?;
        let run = journal.find(run)?;
        let holder = Holder::this_process(facts::user());
        let owner = OwnerLock::take(&self.state_dir, &run, &holder)?;
        let unreadable = |problem: String| Error::Unreadable {
            run: run.clone(),
            problem,
        };
        // What is in the journal stays as it is; only what came later is read.
        let mut events = std::mem::take(&mut self.known);
        events.retain(|event| event.run == run);
        let next = events.last().map_or(1, |event| event.seq + 1);
        events.extend(events_of(&run, &journal.read_from(&run, next)?)?);
        if let Some(end) = ended(&events) {
            return Err(Error::Ended {
                run,
                outcome: end.outcome.word(),
            });
        }
        let frozen: Frozen = serde_json::from_value(journal.frozen(&run)?)
            .map_err(|e| unreadable(format!("what was frozen with it: {e}")))?;
        let plan = Plan::from_sources(&frozen.main, &frozen.root, frozen.sources.clone());
        let run_dir = self.state_dir.join("runs").join(&run);
        let tries =
            unwritten::look(&run_dir, events.iter().map(|e| &e.event)).map_err(|source| {
                Error::Unwritten {
                    run: run.clone(),
                    source,
                }
            })?;
        let cancel = Cancel::new()?;
        let env = environment::taken_up(frozen.env);
        // A run that nothing can be done for but to tell of it needs no secrets.
        let wanted = if tries.is_empty() { &events[..] } else { &[] };
        secret_source::all_there(
            wanted.iter().map(|e| &e.event),
            (&frozen.root, &env),
            &cancel,
        )
        .map_err(|problem| Error::Secret {
            run: run.clone(),
            problem,
        })?;
        let settings = Settings {
            name: plan.name(),
            override_window: frozen
                .override_window
                .clone()
                .or(self.settings.override_window.clone()),
            lock_wait_ms: self.settings.lock_wait_ms,
        };
        let now = self.clock.now();
        let core = Core::restore(
            settings,
            events.iter().map(|e| (&e.event, then(e.at_ms, now))),
        );
        let recorded = Recorded::from_events(events.iter().map(|e| &e.event));
        let by = actor();
        let resumed = Event::RunResumed {
            by: by.clone(),
            command: command.to_owned(),
            boot_id: holder.boot_id.clone(),
        };
        let begun_in = begun_in(&events);
        let first = match command {
            _ if !tries.is_empty() => vec![Input::Unwritten { tries }],
            "back-out" => vec![Input::BackOutAsked { by: by.clone() }],
            _ => Vec::new(),
        };
        let last_seq = events.last().map_or(0, |e| e.seq);
        let wired = Wired {
            standby: Standby::default(),
            by,
            holder,
            recorded,
            core,
            begun_in,
        };
        let book = |report| Ok(Book::of_run(journal, run.clone(), last_seq, report));
        let inputs = Inputs {
            args: frozen.args,
            env,
            approval: frozen.approval,
        };
        let summary = self.drive(plan, inputs, wired, book, vec![resumed], first);
        drop(owner);
        summary
    }

    fn drive(
        self,
        plan: Plan,
        inputs: Inputs,
        wired: Wired,
        book: impl FnOnce(Box<dyn Report>) -> Result<Book, Error>,
        opening: Vec<Event>,
        first: Vec<Input>,
    ) -> Result<Summary, Error> {
        let (to_driver, inbox) = tokio::sync::mpsc::unbounded_channel();
        let Wired {
            standby,
            by,
            holder,
            recorded,
            core,
            begun_in,
        } = wired;
        let Inputs {
            args,
            env,
            approval,
        } = inputs;
        let shared = Shared::new(
            Arc::new(to_driver.clone()),
            Arc::new(ThisMachine),
            recorded,
            self.clock.clone(),
            env,
            plan.name(),
        );
        let approved = approval.map(|approval| approval.files);
        let shared = Arc::new(shared.approving(approved.unwrap_or_default()));
        let root = plan.root().to_owned();
        let surroundings = Arc::new(Surroundings {
            plan: Arc::new(plan),
            functions: Arc::new(self.functions),
            args: from_json(&args),
            modules: Arc::default(),
            stage: self.stage,
            entry: self.entry,
        });
        let mut scripts = PlanScripts::new(surroundings, shared.clone());
        // Its engine is built while the journal is opened.
        scripts.prepare_plan()?;
        let book = book(self.report)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let setup = Setup {
            by,
            begun_in,
            boot_id: holder.boot_id.clone(),
            holder,
            root,
            clock: self.clock.clone(),
            signals: self.signals,
        };
        let driver = Driver::new(
            core, book, scripts, shared, setup, to_driver, inbox, standby,
        );
        let (core, book) = runtime.block_on(driver.run(opening, first))?;
        runtime.shutdown_background();
        let end = book.end_unwritten().or(core.end()).cloned();
        Ok(Summary {
            run: book.run().to_owned(),
            outcome: end.as_ref().map_or(RunOutcome::Stuck, |end| end.outcome),
            left: end.is_none(),
            end,
        })
    }
}

/// What a run was given, and keeps when it is taken up.
struct Inputs {
    args: Value,
    env: BTreeMap<String, String>,
    approval: Option<Approval>,
}

/// Runs for tests that act on this machine. When one of them was interrupted, none follows.
pub(crate) fn real_runs() -> RealRuns {
    let interrupted = Arc::new(AtomicBool::new(false));
    Arc::new(move |run: RealRun| {
        if interrupted.load(Ordering::SeqCst) {
            return Err("it was interrupted before".to_owned());
        }
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let summary = Runner::new(run.state_dir)
            .args(run.how.args)
            .override_window(run.how.override_window)
            .report(Box::new(Listener(events.clone())))
            .handle_signals()
            .for_test(run.stage, run.functions, run.entry)
            .run(run.plan)
            .map_err(|error| error.to_string())?;
        let events = events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let is_signal = |event: &Event| matches!(event, Event::Interrupted { .. });
        interrupted.fetch_or(events.iter().any(is_signal), Ordering::SeqCst);
        let end = summary.end.ok_or("the run was left before its end")?;
        Ok(Ran { end, events })
    })
}

/// A report that keeps what it hears.
struct Listener(Arc<Mutex<Vec<Event>>>);

impl Report for Listener {
    fn event(&mut self, event: &Stamped) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(event.event.clone());
    }

    fn unwritten(&mut self, event: &Stamped) {
        self.event(event);
    }
}

/// What differs between a new run and one that is taken up.
struct Wired {
    standby: Standby,
    by: Actor,
    holder: Holder,
    recorded: Recorded,
    core: Core,
    begun_in: HashMap<Try, String>,
}

/// What the plan was given as `args`; that nothing stood behind `--` is not told.
fn given(args: &Value) -> serde_json::Map<String, Value> {
    let mut given = args.as_object().cloned().unwrap_or_default();
    if given
        .get("rest")
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty)
    {
        given.remove("rest");
    }
    given
}

/// Who has an environment's lock, seen by one who only looks. Without a journal nobody has it.
fn lock_look(state_dir: &std::path::Path, environment: &str) -> LockLook {
    let held = match Reader::open(state_dir) {
        Ok(journal) => journal.lock(environment),
        Err(JournalError::NoJournal { .. }) => Ok(None),
        Err(error) => Err(error),
    };
    match held {
        Ok(None) => LockLook::Free,
        Ok(Some(held)) => LockLook::Held {
            holder: held.to_string(),
        },
        Err(error) => LockLook::NotSeen {
            problem: error.to_string(),
        },
    }
}

fn actor() -> Actor {
    Actor {
        user: facts::user(),
        host: facts::hostname(),
        pid: std::process::id(),
    }
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => u32::from_ne_bytes(bytes),
        Err(_) => std::process::id(),
    }
}

/// An instant of the past on both clocks, seen from now.
fn then(at_ms: i64, now: Now) -> Now {
    // Seen from a wall clock that was set back, the past does not lie in the future.
    let ago = now.wall_ms.saturating_sub(at_ms).max(0);
    Now {
        wall_ms: at_ms,
        boot_ms: now.boot_ms.saturating_sub(ago),
    }
}

/// The boots in which the tries of steps and back-outs were started.
fn begun_in(events: &[Stamped]) -> HashMap<Try, String> {
    let mut boot = String::new();
    let mut begun = HashMap::new();
    for stamped in events {
        let (id, attempt, backs_out) = match &stamped.event {
            Event::RunStarted { boot_id, .. } | Event::RunResumed { boot_id, .. } => {
                boot.clone_from(boot_id);
                continue;
            }
            Event::StepStarted { id, attempt, .. } => (id, *attempt, false),
            Event::BackOutStarted { id, attempt, .. } => (id, *attempt, true),
            _ => continue,
        };
        begun.insert(
            Try {
                id: id.clone(),
                attempt,
                backs_out,
            },
            boot.clone(),
        );
    }
    begun
}

/// The sources in what was frozen with a run, by name, the plan itself first.
pub(crate) fn sources_of(run: &str, frozen: Value) -> Result<Vec<(String, String)>, Error> {
    let Frozen { main, sources, .. } =
        serde_json::from_value(frozen).map_err(|e| Error::Unreadable {
            run: run.to_owned(),
            problem: format!("what was frozen with it: {e}"),
        })?;
    let (first, rest): (Vec<_>, Vec<_>) = sources.into_iter().partition(|(name, _)| *name == main);
    Ok(first.into_iter().chain(rest).collect())
}

/// What the entries of a run hold.
pub(crate) fn events_of(run: &str, entries: &[StoredEntry]) -> Result<Vec<Stamped>, Error> {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = entries.len().div_ceil(workers).max(SHARE);
    if entries.len() <= share {
        return entries.iter().map(|stored| event_of(run, stored)).collect();
    }
    std::thread::scope(|scope| {
        let shares: Vec<_> = entries
            .chunks(share)
            .map(|share| {
                scope.spawn(move || -> Result<Vec<Stamped>, Error> {
                    share.iter().map(|stored| event_of(run, stored)).collect()
                })
            })
            .collect();
        let mut events = Vec::with_capacity(entries.len());
        for share in shares {
            let parsed = share.join().map_err(|_| Error::Unreadable {
                run: run.to_owned(),
                problem: "deployrun has a defect: it panicked while it read an event".into(),
            })?;
            events.extend(parsed?);
        }
        Ok(events)
    })
}

/// Fewer entries than this are not worth a thread.
const SHARE: usize = 1000;

fn event_of(run: &str, stored: &StoredEntry) -> Result<Stamped, Error> {
    serde_json::from_str(&stored.entry.data)
        .map(|event| Stamped {
            run: run.to_owned(),
            seq: stored.seq,
            at_ms: stored.entry.at_ms,
            event,
        })
        .map_err(|e| Error::Unreadable {
            run: run.to_owned(),
            problem: format!("event {}: {e}", stored.seq),
        })
}

/// How a run ended, by its events.
pub(crate) fn ended(events: &[Stamped]) -> Option<&RunEnd> {
    events.iter().rev().find_map(|e| match &e.event {
        Event::RunEnded { end } => Some(end),
        _ => None,
    })
}
