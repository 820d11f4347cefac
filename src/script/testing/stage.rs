//! What one test is played on: a pretended host, the run of its own code, what was asserted, and what
//! went wrong first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rhai::{Dynamic, Engine};

use crate::script::api;
use crate::script::check;
use crate::script::closure::Closure;
use crate::script::engine::{self, Surroundings};
use crate::script::error::one_line;
use crate::script::plan::Plan;
use crate::supervisor::core::{ArmedStatus, Core, ScriptEnd, Settings};
use crate::supervisor::fiber::Fiber;
use crate::supervisor::pretended::{Deeds, Faults, PretendedDriver};
use crate::target::pretended::{Difference, World};
use crate::target::probe::Cancel;
use crate::words::clock::{Clock as _, ManualClock, Now};
use crate::words::diagnostic::Level;
use crate::words::event::Event;
use crate::words::paths::normal;
use crate::words::place::Place;

use super::acting::Acting;
use super::coverage::Coverage;
use super::real::Real;
use super::whole_plan::somebody;

/// When tests begin unless they say otherwise: a Monday noon, in milliseconds since 1970.
/// 2026-01-05T12:00:00Z.
const BEGIN_MS: i64 = 1_767_614_400_000;
/// What the boot clock reads then: a machine that has been up for a day.
const BOOT_MS: i64 = 86_400_000;

/// What went wrong first in a test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failed {
    /// In one line.
    pub message: String,
    /// Where in the sources.
    pub place: Option<Place>,
    /// What differs, line by line.
    pub diff: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// Plans that tests run, read and checked once, or what is wrong with them.
pub type Plans = Arc<Mutex<HashMap<PathBuf, Result<Arc<Plan>, String>>>>;

/// What one test is played on.
pub struct Stage {
    /// The pretended host.
    pub world: Arc<World>,
    /// Its time.
    pub clock: ManualClock,
    /// What goes wrong on purpose.
    pub faults: Arc<Mutex<Faults>>,
    /// Which lines were run, if somebody wants to know.
    pub coverage: Option<Arc<Coverage>>,
    /// What it has when it acts on this machine.
    pub real: Option<Real>,
    /// What real runs have told.
    heard: Mutex<Vec<Event>>,
    root: PathBuf,
    file: String,
    name: String,
    plans: Plans,
    surroundings: OnceLock<Weak<Surroundings>>,
    /// The run of the test's own code.
    own: OnceLock<Arc<Acting>>,
    /// Runs in the order in which they began, the test's own one first.
    runs: Mutex<Vec<Arc<PretendedDriver>>>,
    failed: Mutex<Option<Failed>>,
    place: Mutex<Option<Place>>,
    answers: Mutex<Option<Arc<Engine>>>,
    /// Closures that compute answers and are running.
    answering: AtomicU32,
    asserts: AtomicU32,
    /// Runs so far, those of cases too.
    numbers: AtomicU32,
    cases: AtomicU32,
    approvals: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    /// A stage for the test `name` of `file`, below `root`.
    #[must_use]
    pub fn new(
        root: &Path,
        file: &str,
        name: &str,
        plans: Plans,
        coverage: Option<Arc<Coverage>>,
        real: Option<Real>,
    ) -> Self {
        let clock = ManualClock::at(Now {
            boot_ms: BOOT_MS,
            wall_ms: BEGIN_MS,
        });
        Self {
            // A test that acts on this machine looks at it.
            world: Arc::new(World::new(
                if real.is_some() { Path::new("/") } else { root },
                clock.clone(),
            )),
            clock,
            faults: Arc::default(),
            coverage,
            real,
            heard: Mutex::default(),
            root: root.to_owned(),
            file: file.to_owned(),
            name: name.to_owned(),
            plans,
            surroundings: OnceLock::new(),
            own: OnceLock::new(),
            runs: Mutex::default(),
            failed: Mutex::default(),
            place: Mutex::default(),
            answers: Mutex::default(),
            answering: AtomicU32::new(0),
            asserts: AtomicU32::new(0),
            numbers: AtomicU32::new(0),
            cases: AtomicU32::new(0),
            approvals: Mutex::default(),
        }
    }

    /// Where relative paths count from.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The test's own file, below the root.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The plan, its functions and its stage, as the engines of this test need them.
    pub(super) fn set(&self, surroundings: &Arc<Surroundings>) {
        let _ = self.surroundings.set(Arc::downgrade(surroundings));
    }

    pub(crate) fn surroundings(&self) -> Option<Arc<Surroundings>> {
        self.surroundings.get()?.upgrade()
    }

    pub(super) fn open(&self, own: Arc<Acting>) {
        lock(&self.runs).push(own.driver.clone());
        let _ = self.own.set(own);
    }

    pub(super) fn add_run(&self, driver: Arc<PretendedDriver>) {
        lock(&self.runs).push(driver);
    }

    /// The run of the test's own code.
    pub(crate) fn own(&self) -> Option<&Arc<Acting>> {
        self.own.get()
    }

    /// Lets go of what holds one another.
    pub(super) fn close(&self) {
        for driver in lock(&self.runs).iter() {
            driver.disconnect();
        }
        *lock(&self.answers) = None;
    }

    /// What reports and steps call a run of this test.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            name: self.name.clone(),
            ..Settings::default()
        }
    }

    /// The core of a run of a helper: its gate is open.
    #[must_use]
    pub fn core(&self) -> Core {
        PretendedDriver::core_behind_the_gate(self.settings(), self.clock.now())
    }

    /// What a real run has told.
    pub(super) fn heard(&self, events: &[Event]) {
        lock(&self.heard).extend_from_slice(events);
    }

    /// The name of the next run.
    pub(super) fn next_run(&self) -> String {
        format!("run {}", self.numbers.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// All that was done and undone in this test.
    #[must_use]
    pub fn deeds(&self) -> Deeds {
        let mut events: Vec<Event> = Vec::new();
        for driver in lock(&self.runs).iter() {
            events.extend(driver.events().into_iter().map(|(event, _)| event));
        }
        events.extend(lock(&self.heard).iter().cloned());
        Deeds::of(&events)
    }

    /// What differs from before the code under test acted.
    #[must_use]
    pub fn changed(&self) -> Vec<Difference> {
        match &self.real {
            Some(real) => real.changed(),
            None => self.world.changed(),
        }
    }

    /// A call is made at this place.
    pub fn at(&self, place: &Place) {
        *lock(&self.place) = Some(place.clone());
    }

    /// Where the last call was made.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        lock(&self.place).clone()
    }

    /// The test has failed; what went wrong first counts.
    pub fn fail(&self, failed: Failed) {
        lock(&self.failed).get_or_insert(failed);
    }

    /// What went wrong first.
    #[must_use]
    pub fn failed(&self) -> Option<Failed> {
        lock(&self.failed).clone()
    }

    /// Something was asserted.
    pub fn asserted(&self) {
        self.asserts.fetch_add(1, Ordering::Relaxed);
    }

    /// So many cases of a table were played.
    pub fn played(&self, cases: u32) {
        self.cases.fetch_add(cases, Ordering::Relaxed);
    }

    /// How much was asserted.
    #[must_use]
    pub fn asserts(&self) -> u32 {
        self.asserts.load(Ordering::Relaxed)
    }

    /// How many cases of tables were played.
    #[must_use]
    pub fn cases(&self) -> u32 {
        self.cases.load(Ordering::Relaxed)
    }

    /// Somebody approves this when asked.
    pub fn give_approval(&self, name: String) {
        lock(&self.approvals).push(name);
        for driver in lock(&self.runs).iter() {
            driver.approve(self.approvals());
        }
    }

    /// What somebody approves when asked.
    #[must_use]
    pub fn approvals(&self) -> Vec<String> {
        lock(&self.approvals).clone()
    }

    /// Is anything armed that the test's own calls have done?
    #[must_use]
    pub fn is_armed(&self) -> bool {
        let armed = self.own().map(|own| own.driver.armed()).unwrap_or_default();
        armed.iter().any(|armed| armed.status == ArmedStatus::Armed)
    }

    /// Backs out what the test's own calls have done, and begins a new run for what follows. How it
    /// ended; `None` when the test has failed meanwhile.
    pub fn back_out(&self) -> Option<&'static str> {
        let own = self.own()?;
        if own.driver.stopping().is_none() {
            own.driver.back_out(somebody());
        }
        let end = own.driver.script_ended(ScriptEnd::Stopped);
        if self.world.not_given().is_some() {
            return None;
        }
        self.world.run_is_over();
        own.driver.renew(self.core());
        Some(end.map_or("stuck", |end| end.outcome.word()))
    }

    /// Is a closure running that computes an answer? What it changes is an effect.
    #[must_use]
    pub fn is_answering(&self) -> bool {
        self.answering.load(Ordering::SeqCst) > 0
    }

    /// Calls a closure that a test has given to compute an answer.
    ///
    /// # Errors
    /// What it throws, in one line.
    pub fn answer(&self, closure: &Closure, argument: Dynamic) -> Result<Dynamic, String> {
        let engine = self.answer_engine()?;
        self.answering.fetch_add(1, Ordering::SeqCst);
        let result = closure.call(&engine, Some(argument));
        self.answering.fetch_sub(1, Ordering::SeqCst);
        result.map_err(|error| one_line(&error))
    }

    fn answer_engine(&self) -> Result<Arc<Engine>, String> {
        if let Some(engine) = &*lock(&self.answers) {
            return Ok(engine.clone());
        }
        let (Some(surroundings), Some(own)) = (self.surroundings(), self.own()) else {
            return Err("the test is over".into());
        };
        let cancel = Cancel::new().map_err(|e| e.to_string())?;
        let stop = Arc::default();
        let fiber = Arc::new(Fiber::observer(own.shared.clone(), stop, cancel));
        let engine = Arc::new(engine::engine(&surroundings, &fiber));
        *lock(&self.answers) = Some(engine.clone());
        Ok(engine)
    }

    /// The plan at a path, which counts from the test's own directory.
    ///
    /// # Errors
    /// When it cannot be read, or has errors, in words.
    pub fn plan(&self, path: &str) -> Result<Arc<Plan>, String> {
        let beside = Path::new(&self.file).parent().unwrap_or(Path::new(""));
        let path = normal(&self.root.join(beside).join(path));
        if let Some(plan) = lock(&self.plans).get(&path) {
            return plan.clone();
        }
        let plan = read_plan(&path);
        lock(&self.plans).insert(path, plan.clone());
        plan
    }
}

fn read_plan(path: &Path) -> Result<Arc<Plan>, String> {
    let plan = Plan::read(path).map_err(|error| error.to_string())?;
    let found = check::check(&plan, &api::functions());
    match found.iter().find(|found| found.level == Level::Error) {
        Some(error) => Err(format!("the plan has errors: {error}")),
        None => Ok(Arc::new(plan)),
    }
}

/// The first thing that was to go wrong and did not, and how many steps came after it was said.
pub(super) fn first_missed(stage: &Stage) -> Option<(String, String)> {
    let missed = lock(&stage.faults).missed();
    let (at, seen) = missed.into_iter().next()?;
    let seen = match seen {
        0 => "no steps".to_owned(),
        1 => "1 step".to_owned(),
        n => format!("{n} steps"),
    };
    Some((at.to_string(), seen))
}
