//! The functions that plans call. They translate and decide nothing.

mod changes;
mod checks;
mod commands;
mod facts;
mod files;
mod flow;
pub(super) mod header;
mod looks;
mod own;
pub mod testing;
mod waits;
mod watches;

use std::any::TypeId;
use std::path::Path;
use std::sync::Arc;

use rhai::{Dynamic, Engine, EvalAltResult, NativeCallContext, Position};

use crate::supervisor::fiber::{Fiber, Halt};

use super::args::Args;
use super::closure::Closure;
use super::engine::place_of_call;
use super::error::{self, Thrown};
use super::functions::{Function, Kind};
use super::nesting::excess;
use super::plan::Plan;
use super::preview;
use super::testing::stage::Stage;

pub use own::function as own_function;
pub(crate) use watches::verdict;

/// This machine, or another place where steps act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetName(pub String);

/// The functions of deployrun itself.
#[must_use]
pub fn functions() -> Vec<Function> {
    [
        header::functions(),
        changes::functions(),
        checks::functions(),
        commands::functions(),
        facts::functions(),
        files::functions(),
        flow::functions(),
        looks::functions(),
        waits::functions(),
        watches::functions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Makes `functions` callable in `engine`, on behalf of `fiber`.
pub fn register(
    engine: &mut Engine,
    functions: &Arc<Vec<Function>>,
    fiber: &Arc<Fiber<Closure>>,
    plan: &Arc<Plan>,
    stage: Option<&Arc<Stage>>,
) {
    error::register(engine);
    engine.register_type_with_name::<TargetName>("Target");
    engine.register_fn("to_string", |target: &mut TargetName| target.0.clone());
    engine.register_fn("local", || TargetName("local".into()));
    engine.register_fn("trimmed", |text: &str| text.trim().to_owned());
    engine.register_fn("lines", |text: &str| -> rhai::Array {
        text.lines()
            .map(|line| Dynamic::from(line.to_owned()))
            .collect()
    });
    engine.register_fn("seconds", seconds);
    let root: Arc<Path> = plan.root().into();
    engine.register_fn("matches", |text: &str, pattern: &str| {
        Ok::<_, Box<EvalAltResult>>(compiled(pattern)?.is_match(text))
    });
    engine.register_fn(
        "replace_all",
        |text: &str, pattern: &str, by: &str| -> Result<String, Box<EvalAltResult>> {
            Ok(compiled(pattern)?.replace_all(text, by).into_owned())
        },
    );
    for index in 0..functions.len() {
        let Some(function) = functions.get(index) else {
            continue;
        };
        let (least, most) = function.arity();
        // One more: the target, when it is called as a method.
        for arity in least..=most + 1 {
            let (functions, fiber, root) = (functions.clone(), fiber.clone(), root.clone());
            let (plan, stage) = (plan.clone(), stage.cloned());
            let call = move |context: NativeCallContext, args: &mut [&mut Dynamic]| {
                let Some(function) = functions.get(index) else {
                    return Ok(Dynamic::UNIT);
                };
                dispatch(
                    function,
                    &fiber,
                    &context,
                    &root,
                    (&plan, stage.as_ref()),
                    args,
                )
            };
            let types = vec![TypeId::of::<Dynamic>(); arity];
            register_one(engine, function.name, types, call.clone());
            if function.name == "sleep" && arity == 1 {
                // Rhai has a `sleep` of its own for these types, and the exact type wins.
                register_one(engine, "sleep", vec![TypeId::of::<i64>()], call.clone());
                register_one(engine, "sleep", vec![TypeId::of::<f64>()], call);
            }
        }
    }
}

/// A duration of a plan in seconds: a whole number, unless there are milliseconds in it.
fn seconds(duration: Dynamic) -> Result<Dynamic, Box<EvalAltResult>> {
    let parsed = crate::words::duration::parse(&duration.to_string());
    let parsed = parsed.map_err(|error| error.to_string())?;
    Ok(
        match (i64::try_from(parsed.as_secs()), parsed.subsec_millis()) {
            (Ok(seconds), 0) => seconds.into(),
            _ => parsed.as_secs_f64().into(),
        },
    )
}

/// A regular expression of a plan, in which `^` and `$` are begin and end of a line.
fn compiled(pattern: &str) -> Result<regex::Regex, Box<EvalAltResult>> {
    let compiled = regex::RegexBuilder::new(pattern).multi_line(true).build();
    compiled.map_err(|_| {
        let wrong = Kind::Pattern.check(&pattern.into()).err();
        let text = format!(
            "the pattern {}",
            wrong.unwrap_or_else(|| "is too large".into())
        );
        EvalAltResult::ErrorRuntime(text.into(), Position::NONE).into()
    })
}

fn register_one(
    engine: &mut Engine,
    name: &str,
    types: Vec<TypeId>,
    call: impl Fn(NativeCallContext, &mut [&mut Dynamic]) -> Result<Dynamic, Box<EvalAltResult>>
    + Send
    + Sync
    + 'static,
) {
    engine.register_raw_fn(name, types, call);
}

fn dispatch(
    function: &Function,
    fiber: &Arc<Fiber<Closure>>,
    context: &NativeCallContext,
    root: &Path,
    (plan, stage): (&Plan, Option<&Arc<Stage>>),
    args: &mut [&mut Dynamic],
) -> Result<Dynamic, Box<EvalAltResult>> {
    let mut values: Vec<Dynamic> = args.iter_mut().map(|arg| arg.flatten_clone()).collect();
    if values.first().is_some_and(Dynamic::is::<TargetName>) {
        drop(values.remove(0));
    }
    // What is kept of a closure is copied whole.
    if let Some(spent) = values.iter().find_map(excess) {
        fiber.exhaust(spent);
        return Err(raise(Halt::Stop, context.call_position()));
    }
    let mut place = place_of_call(context, "");
    if let Some(stage) = stage {
        testing::correct(function, plan, &mut place)
            .map_err(|halt| raise(halt, context.call_position()))?;
        stage.at(&place);
    }
    if let Some(foresight) = fiber.foresight() {
        let is_stopped = fiber.is_stopped();
        match preview::settle(function, &mut values) {
            Some(doubt) if doubt.is_hopeless && !is_stopped => {
                foresight.cannot_make(function.name, place, &doubt.depends_on);
                return Ok(preview::unknown(&doubt.depends_on));
            }
            Some(doubt) => foresight.doubt(&doubt.depends_on, doubt.options),
            None => {}
        }
    }
    let read = Args::read(function, fiber, context, place, root, values);
    let result = match read {
        Ok(args) => match &function.handler {
            super::functions::Handler::Api(call) => call(&args),
            super::functions::Handler::Own(own) => own::call(&args, own),
            super::functions::Handler::Test(call) => match stage {
                Some(stage) => testing::call(&args, stage, *call),
                None => Err(testing::only_in_tests(function)),
            },
        },
        Err(halt) => Err(halt),
    };
    match result {
        Err(Halt::Unknown(depends_on)) => Ok(preview::unknown(&depends_on)),
        result => result.map_err(|halt| raise(halt, context.call_position())),
    }
}

/// Errors of closures that a function calls pass through it as they are.
pub(super) const PASS: &str = "\u{0}pass";

fn raise(halt: Halt, position: Position) -> Box<EvalAltResult> {
    match halt {
        // What is not known is a value, and told as one before this.
        Halt::Stop | Halt::Unknown(_) => {
            EvalAltResult::ErrorTerminated("stopped".into(), position).into()
        }
        Halt::Throw(failure) if failure.message == PASS => {
            PASSING.with_borrow_mut(Option::take).unwrap_or_else(|| {
                EvalAltResult::ErrorRuntime("an error was lost".into(), position).into()
            })
        }
        Halt::Throw(failure) => {
            EvalAltResult::ErrorRuntime(Dynamic::from(Thrown(failure)), position).into()
        }
    }
}

thread_local! {
    static PASSING: std::cell::RefCell<Option<Box<EvalAltResult>>> =
        const { std::cell::RefCell::new(None) };
}

/// Hands on an error that a closure threw, as it is.
pub(super) fn pass(error: Box<EvalAltResult>) -> Halt {
    PASSING.set(Some(error));
    Halt::Throw(crate::words::call::Failure::new(PASS))
}
