//! Runs a whole plan in the pretended host of a test, from its review to its end.

use std::sync::Arc;

use rhai::{Dynamic, Scope};

use crate::script::api;
use crate::script::closure::Closure;
use crate::script::engine::{Entry, Surroundings};
use crate::script::error::script_end;
use crate::script::plan::Plan;
use crate::script::value::from_json;
use crate::supervisor::core::{Core, Input, ScriptEnd, Settings};
use crate::supervisor::recorded::Recorded;
use crate::words::call::Failure;
use crate::words::event::{Actor, Event, RunEnd};

use super::acting::Acting;
use super::stage::Stage;

/// How a plan is run.
#[derive(Clone, Debug)]
pub struct HowToRun {
    /// What the plan sees as `args`.
    pub args: serde_json::Map<String, serde_json::Value>,
    /// Why the window is set aside, if it is.
    pub override_window: Option<String>,
    /// Is a run whose controller was killed taken up with `resume`, rather than `back-out`?
    pub resume: bool,
}

/// What a run has come to.
pub struct Ran {
    /// Its end.
    pub end: RunEnd,
    /// All that happened.
    pub events: Vec<Event>,
}

/// Runs the plan at `path` to its end.
///
/// # Errors
/// When it cannot be run at all.
pub fn run(stage: &Arc<Stage>, path: &str, how: &HowToRun) -> Result<Ran, Failure> {
    let plan = stage.plan(path).map_err(|problem| Failure {
        hint: Some("the path counts from the test's own directory".into()),
        ..Failure::new(problem)
    })?;
    if let Some(real) = &stage.real {
        let ran = real.run(stage, &plan, api::functions(), None, how.clone());
        return ran.map_err(Failure::new);
    }
    let functions = Arc::new(api::functions());
    if let Some(coverage) = &stage.coverage {
        coverage.know(&plan, &super::base_of(plan.root()));
    }
    let mut args = how.args.clone();
    args.entry("rest").or_insert_with(|| serde_json::json!([]));
    let surroundings = Arc::new(Surroundings {
        plan: plan.clone(),
        functions,
        args: from_json(&serde_json::Value::Object(args)),
        modules: Arc::default(),
        stage: Some(stage.clone()),
        entry: None,
    });
    let settings = Settings {
        name: plan.name(),
        override_window: how.override_window.clone(),
        lock_wait_ms: 0,
    };
    let core = Core::new(settings.clone());
    let name = stage.next_run();
    let mut acting = Acting::new(
        stage,
        &surroundings,
        name.clone(),
        core,
        Recorded::default(),
    )
    .map_err(|error| Failure::new(format!("the plan can't be run: {error}")))?;
    stage.add_run(acting.driver.clone());
    acting.driver.begin(Vec::new());
    let mut events = Vec::new();
    let mut end = play(&acting, &plan);
    while acting.driver.is_dead() && stage.world.not_given().is_none() {
        // Another process takes the run up, with what the journal has of it.
        let known = acting.driver.events();
        let core = Core::restore(
            settings.clone(),
            known.iter().map(|(event, at)| (event, *at)),
        );
        let recorded = Recorded::from_events(known.iter().map(|(event, _)| event));
        acting.driver.disconnect();
        events.extend(known.into_iter().map(|(event, _)| event));
        acting = Acting::new(stage, &surroundings, name.clone(), core, recorded)
            .map_err(|error| Failure::new(format!("the plan can't be taken up: {error}")))?;
        stage.add_run(acting.driver.clone());
        let first = if how.resume {
            Vec::new()
        } else {
            vec![Input::BackOutAsked { by: somebody() }]
        };
        acting.driver.begin(first);
        end = play(&acting, &plan);
    }
    events.extend(acting.driver.events().into_iter().map(|(event, _)| event));
    let end = end.ok_or_else(|| Failure::new("the run was left before its end"))?;
    Ok(Ran { end, events })
}

/// Runs a closure as a whole run, whose gate is open, and backs it out if asked for.
///
/// # Errors
/// When it cannot be run at all.
pub fn run_closure(stage: &Arc<Stage>, closure: Closure, back_out: bool) -> Result<Ran, Failure> {
    let surroundings = stage
        .surroundings()
        .ok_or_else(|| Failure::new("the test is over"))?;
    if let Some(real) = &stage.real {
        let how = HowToRun {
            args: serde_json::Map::new(),
            override_window: None,
            resume: false,
        };
        let entry = Entry { closure, back_out };
        let functions = surroundings.functions.to_vec();
        let ran = real.run(stage, &surroundings.plan, functions, Some(entry), how);
        return ran.map_err(Failure::new);
    }
    let (name, core) = (stage.next_run(), stage.core());
    let acting = Acting::new(stage, &surroundings, name, core, Recorded::default())
        .map_err(|error| Failure::new(format!("it can't be run: {error}")))?;
    stage.add_run(acting.driver.clone());
    acting.driver.begin(Vec::new());
    let result = closure.call(&acting.engine(), None);
    if acting.driver.is_dead() {
        return Err(Failure::new(
            "deployrun was killed; run_plan takes such a run up",
        ));
    }
    if result.is_ok() && back_out && acting.driver.stopping().is_none() {
        acting.driver.back_out(somebody());
    }
    let (stopped, spent) = (acting.fiber.is_stopped(), acting.fiber.spent());
    let of = &acting.surroundings;
    let end = script_end(result, stopped, spent, &of.plan, &of.functions);
    let end = acting.driver.script_ended(end);
    let events = acting.driver.events().into_iter().map(|(event, _)| event);
    Ok(Ran {
        end: end.ok_or_else(|| Failure::new("the run was left before its end"))?,
        events: events.collect(),
    })
}

fn play(acting: &Acting, plan: &Plan) -> Option<RunEnd> {
    let ast = plan.asts().get(plan.main())?;
    let result = acting
        .engine()
        .eval_ast_with_scope::<Dynamic>(&mut Scope::new(), ast);
    if acting.driver.is_dead() {
        return None;
    }
    let fiber = &acting.fiber;
    let (stopped, spent) = (fiber.is_stopped(), fiber.spent());
    let functions = &acting.surroundings.functions;
    let end = match fiber.unmade().filter(|_| !stopped && spent.is_none()) {
        Some(id) => ScriptEnd::Error {
            cause: crate::words::outcome::StopCause::Diverged,
            reason: format!(
                "on replay, the script ended before call {id}, which is in the journal"
            ),
            place: None,
            detail: String::new(),
        },
        None => script_end(result, stopped, spent, plan, functions),
    };
    acting.driver.script_ended(end)
}

/// Who takes up runs in tests.
#[must_use]
pub fn somebody() -> Actor {
    Actor {
        user: "test".into(),
        host: "pretended".into(),
        pid: 0,
    }
}
