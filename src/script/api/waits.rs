//! What waits: for the window, for somebody, for time to pass.

use rhai::Dynamic;

use crate::script::args::Args;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::script::value::from_json;
use crate::supervisor::fiber::Halt;
use crate::words::call::Call;
use crate::words::window::Window;

const APPROVAL: &[Param] = &[param(
    "timeout",
    Kind::Duration,
    "After which the call throws; it waits for ever without it.",
)];

pub(super) fn functions() -> Vec<Function> {
    let duration = const { &[param("duration", Kind::Duration, "How long.")] };
    vec![
        Function {
            name: "wait_for_window",
            params: &[],
            optional: const {
                &[param(
                    "spec",
                    Kind::Window,
                    "The window; the header's without it.",
                )]
            },
            options: &[],
            closure: None,
            when: When::Review,
            doc: "Waits at the gate until the window is open, with enough of it left for what is \
                  expected and for the back-out. Returns when it closes, in seconds since 1970, \
                  or `()` when there is no window.",
            handler: Handler::Api(wait_for_window),
        },
        Function {
            name: "wait_for_approval",
            params: const { &[param("name", Kind::Text, "What is approved.")] },
            optional: &[],
            options: APPROVAL,
            closure: None,
            when: When::Any,
            doc: "Stops until somebody approves, here or with `deployrun approve` from elsewhere.",
            handler: Handler::Api(wait_for_approval),
        },
        Function {
            name: "soak",
            params: duration,
            optional: &[],
            options: &[],
            closure: None,
            when: When::Release,
            doc: "Lets the watches look on for a while in which nothing is done. It is over when each of them has looked in it and none is bad; so is the release.",
            handler: Handler::Api(soak),
        },
        Function {
            name: "sleep",
            params: duration,
            optional: &[],
            options: &[],
            closure: None,
            when: When::Any,
            doc: "Waits. A stop ends the wait.",
            handler: Handler::Api(sleep),
        },
    ]
}

fn wait_for_window(args: &Args) -> Result<Dynamic, Halt> {
    let window = args.text("spec").and_then(|text| Window::parse(&text).ok());
    let call = Call::WaitForWindow {
        window: window.map(|w| w.normalised()),
    };
    let closes = args
        .fiber
        .perform("wait_for_window", call, args.place.clone())?;
    Ok(closes
        .as_i64()
        .map_or(Dynamic::UNIT, |ms| (ms / 1000).into()))
}

fn wait_for_approval(args: &Args) -> Result<Dynamic, Halt> {
    let call = Call::WaitForApproval {
        name: args.need("name"),
        timeout_ms: args.ms("timeout"),
    };
    let answer = args
        .fiber
        .perform("wait_for_approval", call, args.place.clone())?;
    Ok(from_json(&answer))
}

fn soak(args: &Args) -> Result<Dynamic, Halt> {
    let call = Call::Soak {
        ms: args.ms("duration").unwrap_or(0),
    };
    args.fiber.perform("soak", call, args.place.clone())?;
    Ok(Dynamic::UNIT)
}

fn sleep(args: &Args) -> Result<Dynamic, Halt> {
    let call = Call::Sleep {
        ms: args.ms("duration").unwrap_or(0),
    };
    args.fiber.perform("sleep", call, args.place.clone())?;
    Ok(Dynamic::UNIT)
}
