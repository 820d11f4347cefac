//! A run in a test: its driver, its fiber, and how closures of it are called.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rhai::{Dynamic, Engine, EvalAltResult};

use crate::script::api::verdict;
use crate::script::closure::Closure;
use crate::script::engine::{self, Surroundings};
use crate::script::error::one_line;
use crate::script::functions::Handler;
use crate::supervisor::core::Core;
use crate::supervisor::fiber::{Armed, Fiber, Shared};
use crate::supervisor::pretended::{PretendedDriver, Scripts};
use crate::supervisor::recorded::Recorded;
use crate::supervisor::spending::Spent;
use crate::target::host::{Host, ThisMachine};
use crate::target::probe::Cancel;
use crate::words::call::CallId;
use crate::words::event::Verdict;
use crate::words::outcome::Outcome;

use super::real::ONLY_LOOKS;
use super::stage::Stage;

/// What every run of a test finds in its environment.
fn environment() -> std::collections::BTreeMap<String, String> {
    [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/root")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A run in a test.
pub struct Acting {
    /// Its driver.
    pub driver: Arc<PretendedDriver>,
    /// What its fibers share.
    pub shared: Arc<Shared<Closure>>,
    /// The fiber of its script.
    pub fiber: Arc<Fiber<Closure>>,
    /// Its scripts.
    pub surroundings: Arc<Surroundings>,
}

impl Acting {
    /// The run `name`, which has not begun, or is taken up.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new(
        stage: &Stage,
        surroundings: &Arc<Surroundings>,
        name: String,
        core: Core,
        recorded: Recorded,
    ) -> std::io::Result<Self> {
        let stop: Arc<AtomicBool> = Arc::default();
        stage.world.stops(stop.clone());
        let driver = Arc::new(PretendedDriver::new(
            core,
            stage.world.clone(),
            stage.clock.clone(),
            stage.faults.clone(),
            stop.clone(),
            (name, surroundings.plan.root().to_owned()),
        ));
        driver.approve(stage.approvals());
        let host: Arc<dyn Host> = match stage.real {
            Some(_) => Arc::new(ThisMachine),
            None => stage.world.clone(),
        };
        let shared = Arc::new(Shared::new(
            driver.clone(),
            host,
            recorded,
            Arc::new(stage.clock.clone()),
            environment(),
            surroundings.plan.name(),
        ));
        let scripts = StageScripts {
            surroundings: surroundings.clone(),
            shared: Arc::downgrade(&shared),
            watches: Mutex::default(),
        };
        driver.connect(Arc::new(scripts), shared.secrets.clone());
        let cancel = Cancel::new()?;
        let fiber = match stage.real {
            Some(_) => Fiber::onlooker(shared.clone(), stop, cancel, ONLY_LOOKS),
            None => Fiber::new(shared.clone(), String::new(), stop, cancel),
        };
        let fiber = Arc::new(fiber);
        Ok(Self {
            driver,
            shared,
            fiber,
            surroundings: surroundings.clone(),
        })
    }

    /// An engine that runs its script.
    #[must_use]
    pub fn engine(&self) -> Engine {
        engine::engine(&self.surroundings, &self.fiber)
    }
}

/// What evaluates the closure of a watch.
type Watcher = Arc<(Engine, Arc<Fiber<Closure>>)>;

/// The scripts of a run, called on the thread of its driver.
struct StageScripts {
    surroundings: Arc<Surroundings>,
    shared: Weak<Shared<Closure>>,
    watches: Mutex<HashMap<CallId, Watcher>>,
}

impl StageScripts {
    fn watcher(&self, id: &CallId) -> Option<Watcher> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = watches.get(id) {
            return Some(known.clone());
        }
        let shared = self.shared.upgrade()?;
        let stop: Arc<AtomicBool> = Arc::default();
        let fiber = Arc::new(Fiber::observer(shared, stop, Cancel::new().ok()?));
        let engine = engine::engine(&self.surroundings, &fiber);
        let watcher = Arc::new((engine, fiber));
        watches.insert(id.clone(), watcher.clone());
        Some(watcher)
    }
}

impl Scripts for StageScripts {
    fn undo(&self, id: &CallId) -> Option<Armed<()>> {
        let armed = self.shared.upgrade()?.undo(id)?;
        Some(Armed {
            back_out: armed.back_out,
            closure: armed.closure.map(|_| ()),
            step: armed.step,
        })
    }

    fn back_out(&self, id: &CallId, step_outcome: Option<Outcome>) -> Option<String> {
        let gone = || Some("its closure could not be had again from the plan".to_owned());
        let Some(shared) = self.shared.upgrade() else {
            return gone();
        };
        let Some(closure) = shared.undo(id).and_then(|armed| armed.closure) else {
            return gone();
        };
        let cancel = match Cancel::new() {
            Ok(cancel) => cancel,
            Err(error) => return Some(error.to_string()),
        };
        let stop: Arc<AtomicBool> = Arc::default();
        if let Some(stage) = &self.surroundings.stage {
            stage.world.stops(stop.clone());
        }
        let fiber = Arc::new(Fiber::new(shared, id.back_out_fiber(), stop, cancel));
        let engine = engine::engine(&self.surroundings, &fiber);
        let outcome: Dynamic = step_outcome.map_or(Dynamic::UNIT, |o| o.word().into());
        let result: Result<Dynamic, Box<EvalAltResult>> = closure.call(&engine, Some(outcome));
        match result {
            _ if fiber.is_stopped() => Some("it was stopped".to_owned()),
            _ if fiber.spent().is_some() => fiber.spent().map(Spent::text),
            Ok(_) => None,
            Err(error) => Some(one_line(&error)),
        }
    }

    fn sample(&self, id: &CallId) -> Verdict {
        let closure = self.shared.upgrade().and_then(|shared| shared.watch(id));
        let (Some(closure), Some(watcher)) = (closure, self.watcher(id)) else {
            return Verdict::Error("its closure is not there".into());
        };
        let (engine, fiber) = &*watcher;
        fiber.begin_anew();
        let verdict = verdict(closure.call(engine, None));
        match fiber.spent() {
            Some(spent) => Verdict::Error(spent.text()),
            None => verdict,
        }
    }

    fn own(
        &self,
        name: &str,
        args: &[serde_json::Value],
    ) -> Option<Result<serde_json::Value, String>> {
        let mut functions = self.surroundings.functions.iter();
        match &functions.find(|f| f.name == name)?.handler {
            Handler::Own(own) => Some((own.call)(args)),
            Handler::Api(_) | Handler::Test(_) => None,
        }
    }
}
