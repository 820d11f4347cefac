//! Follows a plan without acting.
//!
//! The plan is executed by the same engine, and its review is done for real. From the first step on
//! every answer is `unknown::Unknown`, which spreads through whatever is made of it. A decision that
//! depends on it is not taken: both ways are read from the text, what they may change is forgotten,
//! and the plan is followed behind it.
//!
//! That nothing acts does not rest on the plan: the script's fiber has a `performer::Performer` where
//! a run has its driver, and that has no target, no journal and no closure of the embedding program
//! that acts.

mod nodes;
mod performer;
mod rewrite;
mod settle;
mod unknown;
mod written;

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rhai::{Dynamic, EvalAltResult, Scope};

use crate::supervisor::core::ScriptEnd;
use crate::supervisor::fiber::{Fiber, Shared};
use crate::supervisor::recorded::Recorded;
use crate::target::host::ThisMachine;
use crate::target::probe::Cancel;
use crate::words::clock::Clock;
use crate::words::header::Header;
use crate::words::preview::{FileLook, Followed, GateLook, Item};

use super::closure::Closure;
use super::engine::{self, STACK_BYTES, Surroundings};
use super::error::script_end;
use super::functions::Function;
use super::plan::Plan;

use performer::Performer;
pub(super) use settle::settle;

/// Our nodes lie between Rhai's: each of its calls may need so many times the stack.
const STACK_TIMES: usize = 4;

/// A value that depends on this.
pub(super) fn unknown(depends_on: &str) -> Dynamic {
    Dynamic::from(unknown::Unknown::of(depends_on))
}

/// What a plan is followed with.
pub struct Given {
    /// The plan; it has no errors.
    pub plan: Plan,
    /// The functions it may call.
    pub functions: Vec<Function>,
    /// What it sees as `args`.
    pub args: Dynamic,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The environment of probes.
    pub env: BTreeMap<String, String>,
    /// Why the window is set aside.
    pub override_window: Option<String>,
}

/// What was told of a plan that was followed.
#[derive(Debug, Default)]
pub struct Told {
    /// Its header.
    pub header: Header,
    /// Line by line.
    pub lines: Vec<Item>,
    /// What stands before the release; nobody has looked at the lock.
    pub gate: GateLook,
    /// The files that are uploaded.
    pub files: Vec<FileLook>,
    /// How far it was followed.
    pub followed: Followed,
}

/// Follows a plan to its end, or as far as that can be without acting.
///
/// # Errors
/// When there can be no thread.
pub fn follow(given: Given) -> std::io::Result<Told> {
    let cancel = Cancel::new()?;
    let thread = std::thread::Builder::new()
        .name("preview".into())
        .stack_size(STACK_BYTES * STACK_TIMES)
        .spawn(move || {
            catch_unwind(AssertUnwindSafe(|| follow_here(given, cancel)))
                .unwrap_or_else(|_| defect())
        })?;
    Ok(thread.join().unwrap_or_else(|_| defect()))
}

/// What is thrown, as a text where it is not known whole.
fn in_words(mut error: Box<EvalAltResult>) -> Box<EvalAltResult> {
    let mut inner = &mut *error;
    loop {
        match inner {
            EvalAltResult::ErrorInFunctionCall(_, _, cause, _)
            | EvalAltResult::ErrorInModule(_, cause, _) => inner = cause,
            EvalAltResult::ErrorRuntime(value, _) => {
                if unknown::find(value).is_some() {
                    *value = unknown::text_of(value).into();
                }
                return error;
            }
            _ => return error,
        }
    }
}

fn defect() -> Told {
    Told {
        followed: Followed::Fails {
            reason: "deployrun has a defect: it panicked while it followed the plan".into(),
            detail: String::new(),
            place: None,
        },
        ..Told::default()
    }
}

fn follow_here(given: Given, cancel: Cancel) -> Told {
    let functions = Arc::new(given.functions);
    // What is followed are the trees that would be run.
    let plan = Arc::new(given.plan.with_trees(given.plan.running().clone()));
    let host: HashSet<&str> = functions.iter().map(|f| f.name).collect();
    let trees = Arc::new(rewrite::rewrite(plan.asts(), &host));
    let stop: Arc<AtomicBool> = Arc::default();
    let performer = Arc::new(Performer::new(
        plan.clone(),
        functions.clone(),
        given.clock.now().wall_ms,
        given.override_window,
        stop.clone(),
    ));
    // A way to a driver that is not there.
    let (to_nobody, _) = tokio::sync::mpsc::unbounded_channel();
    let shared: Arc<Shared<Closure>> = Arc::new(Shared::new(
        Arc::new(to_nobody),
        Arc::new(ThisMachine),
        Recorded::default(),
        given.clock,
        given.env,
        plan.name(),
    ));
    let fiber = Arc::new(Fiber::previewing(shared, performer.clone(), stop, cancel));
    let surroundings = Surroundings {
        plan: Arc::new(plan.with_trees(trees.asts.clone())),
        functions: functions.clone(),
        args: given.args,
        modules: Arc::default(),
        stage: None,
        entry: None,
    };
    let mut engine = engine::engine(&surroundings, &fiber);
    nodes::register(&mut engine, &trees, &performer);
    let Some(ast) = trees.asts.get(plan.main()) else {
        return defect();
    };
    let result = engine
        .eval_ast_with_scope::<Dynamic>(&mut Scope::new(), ast)
        .map_err(in_words);
    let (stopped, spent) = (fiber.is_stopped(), fiber.spent());
    let is_rhais = result.as_ref().is_err_and(|error| {
        let mut inner = &**error;
        while let EvalAltResult::ErrorInFunctionCall(_, _, cause, _)
        | EvalAltResult::ErrorInModule(_, cause, _) = inner
        {
            inner = cause;
        }
        !matches!(inner, EvalAltResult::ErrorRuntime(..)) && spent.is_none()
    });
    let failed = match script_end(result, stopped, spent, &plan, &functions) {
        ScriptEnd::Done | ScriptEnd::Stopped => None,
        ScriptEnd::Error {
            reason,
            place,
            detail,
            ..
        } => performer
            .is_certain(is_rhais, &reason, place.as_ref())
            .then_some(Followed::Fails {
                reason,
                detail,
                place,
            }),
    };
    let state = performer.end(plan.name(), failed);
    Told {
        header: state.header,
        lines: state.lines,
        gate: state.gate,
        files: state.files,
        followed: state.followed,
    }
}
