//! Errors of scripts as people see them: where, the line, who called whom, what to do.

use std::fmt::Write as _;

use rhai::{Dynamic, Engine, EvalAltResult, Position};

use crate::supervisor::core::ScriptEnd;
use crate::supervisor::spending::Spent;
use crate::words::call::{Failure, FailureKind};
use crate::words::diagnostic::{excerpt, line_of};
use crate::words::outcome::StopCause;
use crate::words::place::Place;
use crate::words::suggest::nearest;

use super::functions::Function;
use super::modules::place_of;
use super::own_names;
use super::plan::Plan;

/// What a failed call throws: the plan may catch it and look into it.
#[derive(Clone, Debug)]
pub struct Thrown(pub Failure);

/// Registers [`Thrown`] with the engine.
pub fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Thrown>("Failure")
        .register_get("message", |t: &mut Thrown| t.0.message.clone())
        .register_get("outcome", |t: &mut Thrown| {
            t.0.outcome.map_or(Dynamic::UNIT, |o| o.word().into())
        })
        .register_get("code", |t: &mut Thrown| {
            t.0.code.map_or(Dynamic::UNIT, |c| i64::from(c).into())
        })
        .register_get("output", |t: &mut Thrown| t.0.tail.clone())
        .register_fn("to_string", |t: &mut Thrown| t.0.message.clone())
        .register_fn("to_debug", |t: &mut Thrown| t.0.message.clone());
}

/// An error with all that can be told of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// One line.
    pub message: String,
    /// Where it was thrown.
    pub place: Option<Place>,
    /// The whole: excerpt, chain of calls, last output, hint.
    pub detail: String,
    /// The failure of a host function, if it is one.
    pub failure: Option<Failure>,
}

/// Callers that are told of one error.
const CALLERS_MAX: usize = 12;

struct Frame {
    function: String,
    call: Place,
}

/// Tells an error that left a script.
#[must_use]
pub fn tell(error: &EvalAltResult, plan: &Plan, functions: &[Function]) -> Told {
    let mut frames = Vec::new();
    let mut file = plan.main().to_owned();
    let mut inner = error;
    loop {
        match inner {
            EvalAltResult::ErrorInFunctionCall(function, source, cause, position) => {
                let call = place_of(&file, *position);
                frames.push(Frame {
                    function: own_names::written(function).to_owned(),
                    call,
                });
                file = source_of(function, source, plan).unwrap_or(file);
                inner = cause;
            }
            EvalAltResult::ErrorInModule(id, cause, position) => {
                let call = place_of(&file, *position);
                frames.push(Frame {
                    function: format!("import \"{id}\""),
                    call,
                });
                file.clone_from(id);
                inner = cause;
            }
            _ => break,
        }
    }
    let mut place = place_of(&file, inner.position());
    if inner.position() == Position::NONE {
        place = frames.last().map_or(place, |frame| frame.call.clone());
    }
    let (message, hint, failure) = message_of(inner, functions);
    let line = plan
        .sources()
        .get(&place.file)
        .and_then(|s| line_of(s, place.line));
    let hint = hint.or_else(|| missing_setting(inner, line.as_deref()));
    let mut detail = format!("{message}\n{}", excerpt(&place, 0, line.as_deref()));
    let callers = frames
        .iter()
        .rev()
        .filter(|f| !f.function.starts_with("anon$"));
    let more = callers.clone().count().saturating_sub(CALLERS_MAX);
    for frame in callers.take(CALLERS_MAX) {
        let _ = write!(
            detail,
            "\n   = called from {}, in `{}`",
            frame.call, frame.function
        );
    }
    if more > 0 {
        let _ = write!(detail, "\n   = and {more} more calls");
    }
    for frame in frames
        .iter()
        .rev()
        .filter(|f| f.function.starts_with("anon$"))
    {
        if frame.call.line > 0 && frame.call != place {
            let _ = write!(detail, "\n   = in a closure called from {}", frame.call);
        }
    }
    if let Some(failure) = failure.as_ref().filter(|f| !f.tail.is_empty()) {
        detail.push_str("\n   = the last lines of its output:");
        for line in failure.tail.lines() {
            let _ = write!(detail, "\n     | {line}");
        }
    }
    if let Some(hint) = hint {
        let _ = write!(detail, "\n   = hint: {hint}");
    }
    let place = (place.line > 0).then_some(place);
    Told {
        message,
        place,
        detail,
        failure,
    }
}

/// What to do about `args.NAME` that nobody has set.
fn missing_setting(error: &EvalAltResult, line: Option<&str>) -> Option<String> {
    let EvalAltResult::ErrorPropertyNotFound(name, _) = error else {
        return None;
    };
    let of_args = line?.contains(&format!("args.{name}"));
    of_args.then(|| format!("set it on the command line: -e {name}=VALUE"))
}

/// The source in which a function is defined. Rhai names the wrong one for closures of the plan
/// that a module calls; closures have unique names, so the right one can be looked up.
fn source_of(function: &str, told: &str, plan: &Plan) -> Option<String> {
    if function.starts_with("anon$") {
        let home = plan
            .running()
            .iter()
            .find(|(_, ast)| ast.iter_functions().any(|f| f.name == function));
        if let Some((id, _)) = home {
            return Some(id.clone());
        }
    }
    (!told.is_empty()).then(|| told.to_owned())
}

fn message_of(
    error: &EvalAltResult,
    functions: &[Function],
) -> (String, Option<String>, Option<Failure>) {
    match error {
        EvalAltResult::ErrorRuntime(value, _) => {
            if let Some(thrown) = value.read_lock::<Thrown>() {
                let failure = thrown.0.clone();
                return (failure.message.clone(), failure.hint.clone(), Some(failure));
            }
            (value.to_string(), None, None)
        }
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            let name = signature.split([' ', '(']).next().unwrap_or(signature);
            if let Some(known) = functions.iter().find(|f| f.name == name) {
                let text = format!("`{name}` can't be called like this: {signature}");
                return (
                    text,
                    Some(format!("it is called as {}", known.forms())),
                    None,
                );
            }
            let near = nearest(name, functions.iter().map(|f| f.name));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            (format!("there is no function {signature}"), hint, None)
        }
        EvalAltResult::ErrorTerminated(reason, _) => (reason.to_string(), None, None),
        EvalAltResult::ErrorDataRace(text, _) => {
            let hint = "give it a copy: let copy = …; and use that in the closure".to_owned();
            let text = format!("a value is used while it is being changed: {text}");
            (text, Some(hint), None)
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            let hint = "a function calls itself too often; use a loop".to_owned();
            ("calls are nested too deeply".into(), Some(hint), None)
        }
        other => (without_position(&other.to_string()), None, None),
    }
}

fn without_position(text: &str) -> String {
    let text = text.strip_prefix("Runtime error: ").unwrap_or(text);
    match text.rfind(" (line ") {
        Some(at) => text.get(..at).unwrap_or(text).to_owned(),
        None => text.to_owned(),
    }
}

/// How a script's end is told to the supervisor.
#[must_use]
pub fn script_end(
    result: Result<Dynamic, Box<EvalAltResult>>,
    stopped: bool,
    spent: Option<Spent>,
    plan: &Plan,
    functions: &[Function],
) -> ScriptEnd {
    let error = match result {
        _ if stopped => return ScriptEnd::Stopped,
        // What was spent may have been caught by its last statement.
        Ok(_) if spent.is_none() => return ScriptEnd::Done,
        Ok(_) => Box::new(EvalAltResult::ErrorTerminated(
            Dynamic::UNIT,
            Position::NONE,
        )),
        Err(error) => error,
    };
    let mut told = tell(&error, plan, functions);
    if let Some(spent) = spent {
        let text = spent.text();
        told.detail = told.detail.replacen(&told.message, &text, 1);
        told.message = text;
        told.failure = None;
    }
    let cause = match told.failure.as_ref().map(|f| f.kind) {
        Some(FailureKind::Step) => StopCause::FailedStep,
        Some(FailureKind::Check) => StopCause::FailedCheck,
        Some(FailureKind::Verify) => StopCause::FailedVerify,
        Some(FailureKind::Call) | None => StopCause::ScriptError,
    };
    ScriptEnd::Error {
        cause,
        reason: told.message,
        place: told.place,
        detail: told.detail,
    }
}

/// An error in one line, for a finding or a sample.
#[must_use]
pub fn one_line(error: &EvalAltResult) -> String {
    let mut inner = error;
    while let EvalAltResult::ErrorInFunctionCall(_, _, cause, _)
    | EvalAltResult::ErrorInModule(_, cause, _) = inner
    {
        inner = cause;
    }
    let text = message_of(inner, &[]).0;
    text.lines().next().unwrap_or_default().to_owned()
}
