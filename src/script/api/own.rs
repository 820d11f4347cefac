//! Functions of the program that embeds deployrun.

use std::sync::Arc;

use rhai::Dynamic;
use serde_json::Value;

use crate::script::args::Args;
use crate::script::functions::{Function, Handler, Kind, OwnCall, OwnFunction, Param, When, param};
use crate::script::value::from_json;
use crate::supervisor::fiber::Halt;
use crate::words::call::{Call, Deed, Failure};

use super::commands::step_of;

const ACTS: &[Param] = &[
    param("title", Kind::Text, "What reports call the step."),
    param(
        "retries",
        Kind::Count,
        "How often it is tried again after a failure.",
    ),
    param(
        "retry_delay",
        Kind::Duration,
        "The time between two tries; 1s without it.",
    ),
    param(
        "idempotent",
        Kind::Bool,
        "May it be run again when nobody saw how it ended?",
    ),
];

/// A function of the embedding program. Names live as long as the process: such functions are
/// registered once, when it starts.
#[must_use]
pub fn function(name: &str, params: &[&str], acts: bool, doc: &str, call: OwnCall) -> Function {
    let params: Vec<Param> = params
        .iter()
        .map(|name| param(leak(name), Kind::Any, "A value."))
        .collect();
    Function {
        name: leak(name),
        params: Box::leak(params.into_boxed_slice()),
        optional: &[],
        options: if acts { ACTS } else { &[] },
        closure: None,
        when: if acts { When::Release } else { When::Any },
        doc: leak(doc),
        handler: Handler::Own(Arc::new(OwnFunction { acts, call })),
    }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

pub(super) fn call(args: &Args, own: &OwnFunction) -> Result<Dynamic, Halt> {
    let name = args.function.name;
    let mut json = args.json()?;
    if !own.acts {
        let given = json.clone();
        let value = args.fiber.read(name, json, args.place.clone(), |_| {
            (own.call)(&given).map_err(Failure::new)
        })?;
        return Ok(from_json(&value));
    }
    json.truncate(args.function.params.len());
    let deed = Deed::Own {
        name: name.to_owned(),
        args: json,
    };
    let title = args.text("title").unwrap_or_else(|| name.to_owned());
    let step = step_of(args, deed, title);
    let output = args
        .fiber
        .perform(name, Call::Step(Box::new(step)), args.place.clone())?;
    let text = output
        .get("stdout")
        .and_then(Value::as_str)
        .unwrap_or("null");
    Ok(from_json(
        &serde_json::from_str(text).unwrap_or(Value::Null),
    ))
}
