//! Wires one run: what an embedding program uses.

mod coming_back;
mod drive;
mod error;
mod frozen;
mod new_run;
mod preview;
mod put_back;
mod real_tests;
mod stored;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::script::api;
use crate::script::check;
use crate::script::engine::{self, Entry};
use crate::script::functions::Function;
use crate::script::plan::Plan;
use crate::script::testing::stage::Stage;
use crate::supervisor::core::Settings;
use crate::supervisor::driver::Report;
use crate::target::local::Standby;
use crate::target::{facts, files, step_supervisor};
use crate::words::clock::{Clock, SystemClock};
use crate::words::diagnostic::Diagnostic;
use crate::words::event::{Actor, RunEnd, Stamped};
use crate::words::levels::{Change, Levels};
use crate::words::outcome::RunOutcome;

pub use error::Error;
pub(crate) use frozen::sources_of;
pub use put_back::ToPutBack;
pub(crate) use real_tests::real_runs;
pub(crate) use stored::{ended, events_of};

/// Runs the part of deployrun that the program's arguments name, and returns the status to exit
/// with. A program that embeds deployrun calls this first thing in `main`: step supervisors are the
/// same program, started again.
#[must_use]
pub fn dispatch() -> Option<i32> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    step_supervisor::dispatch(&args).or_else(|| files::dispatch(args.first()?.to_str()?))
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

    /// Takes for the run all signals by which it would die: SIGINT, SIGTERM, SIGQUIT, SIGPWR and SIGXCPU stop it,
    /// the others are told of; SIGTSTP too.
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

fn actor() -> Actor {
    Actor {
        user: facts::user(),
        host: facts::hostname(),
        pid: std::process::id(),
    }
}
