//! Threads that run scripts: the plan, the closures of back-outs, the watches.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use rhai::{Dynamic, Engine, EvalAltResult, Scope};

use crate::supervisor::core::{Input, ScriptEnd};
use crate::supervisor::driver::Scripts;
use crate::supervisor::fiber::{Fiber, Message, Shared};
use crate::supervisor::spending::Spent;
use crate::target::probe::Cancel;
use crate::words::call::{Call, CallId};
use crate::words::event::Verdict;
use crate::words::outcome::{Outcome, StopCause};

use super::api::verdict;
use super::closure::Closure;
use super::engine::{self, Entry, STACK_BYTES, Surroundings};
use super::error::{one_line, script_end};
use super::functions::Handler;

/// The scripts of one run.
pub struct PlanScripts {
    surroundings: Arc<Surroundings>,
    shared: Arc<Shared<Closure>>,
    main: Option<Stopper>,
    /// Lets the plan's thread begin, which has built its engine ahead.
    begin: Option<mpsc::Sender<()>>,
    closures: HashMap<CallId, Stopper>,
    watches: HashMap<CallId, Watcher>,
}

/// What ends a script.
#[derive(Clone)]
struct Stopper {
    stop: Arc<AtomicBool>,
    cancel: Cancel,
}

impl Stopper {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            stop: Arc::default(),
            cancel: Cancel::new()?,
        })
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.cancel.cancel();
    }
}

struct Watcher {
    stopper: Stopper,
    samples: mpsc::Sender<u64>,
}

impl PlanScripts {
    /// The scripts of a run of the plan in `surroundings`.
    #[must_use]
    pub fn new(surroundings: Arc<Surroundings>, shared: Arc<Shared<Closure>>) -> Self {
        Self {
            surroundings,
            shared,
            main: None,
            begin: None,
            closures: HashMap::new(),
            watches: HashMap::new(),
        }
    }

    /// Starts the thread of the plan, which builds its engine and waits until the plan is started.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn prepare_plan(&mut self) -> std::io::Result<()> {
        let stopper = Stopper::new()?;
        let (begin, begun) = mpsc::channel();
        let (surroundings, shared) = (self.surroundings.clone(), self.shared.clone());
        let stop = stopper.clone();
        self.thread("plan", move || {
            let end = catch_unwind(AssertUnwindSafe(|| {
                run_plan(&surroundings, &shared, stop, &begun)
            }))
            .unwrap_or_else(|_| {
                Some(ScriptEnd::Error {
                    cause: StopCause::ScriptError,
                    reason: "deployrun has a defect: it panicked while it ran the plan".into(),
                    place: None,
                    detail: String::new(),
                })
            });
            if let Some(end) = end {
                let _ = shared
                    .to_driver
                    .send(Message::Tell(Input::ScriptEnded(end)));
            }
        })?;
        (self.main, self.begin) = (Some(stopper), Some(begin));
        Ok(())
    }

    fn thread(&self, name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(body)?;
        Ok(())
    }
}

impl Scripts for PlanScripts {
    type Closure = Closure;

    fn start_plan(&mut self) -> std::io::Result<()> {
        if self.begin.is_none() {
            self.prepare_plan()?;
        }
        if let Some(begin) = self.begin.take() {
            // A thread that is gone has told of its defect.
            let _ = begin.send(());
        }
        Ok(())
    }

    fn stop_plan(&mut self) {
        if let Some(main) = &self.main {
            main.stop();
        }
        for watcher in self.watches.values() {
            watcher.stopper.stop();
        }
        self.watches.clear();
    }

    fn start_back_out(
        &mut self,
        id: &CallId,
        closure: Closure,
        step_outcome: Option<Outcome>,
    ) -> std::io::Result<()> {
        let stopper = Stopper::new()?;
        self.closures.insert(id.clone(), stopper.clone());
        let (surroundings, shared) = (self.surroundings.clone(), self.shared.clone());
        let id = id.clone();
        self.thread("back-out", move || {
            let Stopper { stop, cancel } = stopper;
            let fiber = Fiber::new(shared.clone(), id.back_out_fiber(), stop, cancel);
            let fiber = Arc::new(fiber);
            let engine = engine::engine(&surroundings, &fiber);
            let outcome: Dynamic = step_outcome.map_or(Dynamic::UNIT, |o| o.word().into());
            let result = guarded(|| closure.call(&engine, Some(outcome)));
            let error = match (result, fiber.unmade()) {
                _ if fiber.is_stopped() => Some("its time was over".to_owned()),
                _ if fiber.spent().is_some() => fiber.spent().map(Spent::text),
                (_, Some(id)) => Some(ended_before(&id)),
                (Ok(_), None) => None,
                (Err(error), None) => Some(one_line(&error)),
            };
            let _ = shared
                .to_driver
                .send(Message::Tell(Input::ClosureEnded { id, error }));
        })
    }

    fn stop_back_out(&mut self, id: &CallId) {
        if let Some(stopper) = self.closures.get(id) {
            stopper.stop();
        }
    }

    fn sample(&mut self, id: &CallId, token: u64) -> std::io::Result<()> {
        if let Some(watcher) = self.watches.get(id)
            && watcher.samples.send(token).is_ok()
        {
            return Ok(());
        }
        let Some(closure) = self.shared.watch(id) else {
            let verdict = Verdict::Error("its closure is not there".into());
            let message = Message::Sampled {
                id: id.clone(),
                token,
                verdict,
                took_ms: 0,
            };
            let _ = self.shared.to_driver.send(message);
            return Ok(());
        };
        let stopper = Stopper::new()?;
        let (samples, due) = mpsc::channel();
        let _ = samples.send(token);
        let (surroundings, shared) = (self.surroundings.clone(), self.shared.clone());
        let (watch, Stopper { stop, cancel }) = (id.clone(), stopper.clone());
        self.thread("watch", move || {
            let fiber = Arc::new(Fiber::observer(shared.clone(), stop, cancel));
            let engine = engine::engine(&surroundings, &fiber);
            while let Ok(token) = due.recv() {
                let since = Instant::now();
                fiber.begin_anew();
                let verdict = verdict(guarded(|| closure.call(&engine, None)));
                let verdict = match fiber.spent() {
                    Some(spent) => Verdict::Error(spent.text()),
                    None => verdict,
                };
                if fiber.is_stopped() {
                    return;
                }
                let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                let message = Message::Sampled {
                    id: watch.clone(),
                    token,
                    verdict,
                    took_ms,
                };
                if shared.to_driver.send(message).is_err() {
                    return;
                }
            }
        })?;
        self.watches
            .insert(id.clone(), Watcher { stopper, samples });
        Ok(())
    }

    fn give_up_sample(&mut self, id: &CallId) {
        if let Some(watcher) = self.watches.remove(id) {
            watcher.stopper.stop();
        }
    }

    fn own(
        &self,
        name: &str,
    ) -> Option<Arc<dyn Fn(&[serde_json::Value]) -> Result<serde_json::Value, String> + Send + Sync>>
    {
        let function = self
            .surroundings
            .functions
            .iter()
            .find(|f| f.name == name)?;
        match &function.handler {
            Handler::Own(own) => {
                let own = own.clone();
                Some(Arc::new(move |args| (own.call)(args)))
            }
            Handler::Api(_) | Handler::Test(_) => None,
        }
    }
}

/// A panic in the engine is an error of the script, not the end of the run.
fn guarded(
    call: impl FnOnce() -> Result<Dynamic, Box<EvalAltResult>>,
) -> Result<Dynamic, Box<EvalAltResult>> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err("deployrun has a defect: it panicked".into()))
}

/// What is wrong with a script that ended before it had made again all that the journal has of it.
fn ended_before(id: &CallId) -> String {
    format!("on replay, the script ended before call {id}, which is in the journal")
}

/// Runs a closure in place of a plan.
fn enter(
    entry: &Entry,
    engine: &Engine,
    fiber: &Fiber<Closure>,
) -> Result<Dynamic, Box<EvalAltResult>> {
    let result = entry.closure.call(engine, None);
    if result.is_ok() && entry.back_out {
        let reason = "the test takes back what has worked".to_owned();
        let place = crate::words::place::Place::default();
        // It is stopped now, or has been already.
        let _ = fiber.perform("abort", Call::Abort { reason }, place);
    }
    result
}

fn run_plan(
    surroundings: &Surroundings,
    shared: &Arc<Shared<Closure>>,
    stopper: Stopper,
    begun: &mpsc::Receiver<()>,
) -> Option<ScriptEnd> {
    let Stopper { stop, cancel } = stopper;
    let fiber = Arc::new(Fiber::new(shared.clone(), String::new(), stop, cancel));
    let engine: Engine = engine::engine(surroundings, &fiber);
    // There will be no run when the journal cannot be opened, or the run has ended.
    begun.recv().ok()?;
    let plan = &surroundings.plan;
    let Some(ast) = plan.asts().get(plan.main()) else {
        return Some(ScriptEnd::Error {
            cause: StopCause::ScriptError,
            reason: "the plan's source is missing".into(),
            place: None,
            detail: String::new(),
        });
    };
    let result = match &surroundings.entry {
        None => engine.eval_ast_with_scope::<Dynamic>(&mut Scope::new(), ast),
        Some(entry) => enter(entry, &engine, &fiber),
    };
    let (stopped, spent) = (fiber.is_stopped(), fiber.spent());
    let unmade = fiber.unmade().filter(|_| !stopped && spent.is_none());
    if let Some(id) = unmade {
        let error = result
            .err()
            .map(|error| format!("it ended with: {}", one_line(&error)));
        return Some(ScriptEnd::Error {
            cause: StopCause::Diverged,
            reason: ended_before(&id),
            place: None,
            detail: error.unwrap_or_default(),
        });
    }
    let end = script_end(result, stopped, spent, plan, &surroundings.functions);
    Some(end)
}
