//! `watch` and `verify`: what is looked at, again and again.

use rhai::{Dynamic, EvalAltResult};

use crate::script::args::Args;
use crate::script::closure::{self, Closure};
use crate::script::error;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::supervisor::fiber::Halt;
use crate::words::call::{Call, Watch};
use crate::words::event::Verdict;

const WATCH: &[Param] = &[
    param(
        "every",
        Kind::Duration,
        "The time between two samples; 10s without it.",
    ),
    param(
        "failures",
        Kind::Count,
        "Bad samples in a row that trip it; 3 without it.",
    ),
    param(
        "grace",
        Kind::Duration,
        "Time after its start during which bad samples do not count.",
    ),
    param(
        "timeout",
        Kind::Limit,
        "After which a sample is an error; 10s without it.",
    ),
    param(
        "no_data",
        Kind::OneOf(&["fail", "ignore"]),
        "What a sample `()` counts as; fail without it.",
    ),
    param("observe", Kind::Bool, "Only report; never trip."),
];

const VERIFY: &[Param] = &[
    param(
        "within",
        Kind::Duration,
        "In which it must turn true; 1m without it.",
    ),
    param(
        "every",
        Kind::Duration,
        "The time between two tries; 1s without it.",
    ),
];

pub(super) fn functions() -> Vec<Function> {
    let name = const { &[param("name", Kind::Text, "What is looked at.")] };
    vec![
        Function {
            name: "watch",
            params: name,
            optional: &[],
            options: WATCH,
            closure: Some(param(
                "closure",
                Kind::Closure,
                "Is all well? It only reads.",
            )),
            when: When::Any,
            doc: "Samples the closure beside the script from now on, and stops the run when too \
                  many samples in a row are bad. A closure that throws is a bad sample.",
            handler: Handler::Api(watch),
        },
        Function {
            name: "verify",
            params: name,
            optional: &[],
            options: VERIFY,
            closure: Some(param("closure", Kind::Closure, "Is it so? It only reads.")),
            when: When::Release,
            doc: "A success criterion: the closure must turn true in time, else the call throws. \
                  A look that has begun is waited for, as long as what it calls may take. A run with \
                  a failed `verify` is not released, even if the plan catches the error; only a \
                  group that is tried again begins without it.",
            handler: Handler::Api(verify),
        },
    ]
}

fn watch(args: &Args) -> Result<Dynamic, Halt> {
    let watch = Watch {
        name: args.need("name"),
        every_ms: args.ms("every").unwrap_or(10_000).max(10),
        failures: args.count("failures").unwrap_or(3).max(1),
        grace_ms: args.ms("grace").unwrap_or(0),
        timeout_ms: args.ms("timeout").unwrap_or(10_000).max(10),
        no_data_is_bad: args.text("no_data").as_deref() != Some("ignore"),
        observe: args.bool("observe").unwrap_or(false),
    };
    let kept = args
        .last_closure()
        .map(|p| Closure::keep(args.context, p.clone()));
    args.fiber
        .perform_with("watch", Call::Watch(watch), args.place.clone(), kept)?;
    Ok(Dynamic::UNIT)
}

fn verify(args: &Args) -> Result<Dynamic, Halt> {
    let call = Call::Verify {
        name: args.need("name"),
        within_ms: args.ms("within").unwrap_or(60_000),
        every_ms: args.ms("every").unwrap_or(1_000).max(10),
    };
    let pointer = args.last_closure().cloned().map(closure::snapshot_pointer);
    args.fiber
        .verify(call, args.place.clone(), || match &pointer {
            Some(pointer) => verdict(closure::call(pointer, args.context, None)),
            None => Verdict::NoData,
        })?;
    Ok(true.into())
}

/// What the closure of a watch or a verify saw.
pub(crate) fn verdict(result: Result<Dynamic, Box<EvalAltResult>>) -> Verdict {
    match result {
        Ok(value) if value.is_unit() => Verdict::NoData,
        Ok(value) => match value.as_bool() {
            Ok(true) => Verdict::Pass,
            Ok(false) => Verdict::Fail,
            Err(other) => Verdict::Error(format!(
                "the closure returned {other}, not true, false or ()"
            )),
        },
        Err(error) => Verdict::Error(error::one_line(&error)),
    }
}
