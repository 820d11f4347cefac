//! What shapes the release: groups, back-outs, notes, the end.

use rhai::Dynamic;
use serde_json::Value;

use crate::script::args::Args;
use crate::script::closure;
use crate::script::error;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::supervisor::fiber::Halt;
use crate::words::call::{BackOut, Call, Undo};

use super::commands::{ABOUT, BACK_OUT_TIMEOUT_MS, title_of};

const STEP: &[Param] = &[
    param(
        "timeout",
        Kind::Limit,
        "How long the group may take as a whole.",
    ),
    param(
        "retries",
        Kind::Count,
        "How often it is tried again; what an attempt did is undone first.",
    ),
];

const BACK_OUT: &[Param] = &[
    param("title", Kind::Text, "What reports call it."),
    param(
        "timeout",
        Kind::Limit,
        "How long it may take; 5m without it.",
    ),
    ABOUT,
    param(
        "late",
        Kind::Bool,
        "Does it wait until what was done before is undone too, back to the last step that is `about` \
         the same, else to the begin of the run?",
    ),
];

pub(super) fn functions() -> Vec<Function> {
    let text = const { &[param("text", Kind::Any, "What to say.")] };
    let reason = const { &[param("reason", Kind::Text, "Why.")] };
    let simple = |name, params, when, doc, call| Function {
        name,
        params,
        optional: &[],
        options: &[],
        closure: None,
        when,
        doc,
        handler: Handler::Api(call),
    };
    vec![
        Function {
            name: "step",
            params: const { &[param("title", Kind::Text, "What reports call the group.")] },
            optional: &[],
            options: STEP,
            closure: Some(param("closure", Kind::Closure, "What belongs to it.")),
            when: When::Release,
            doc: "Groups calls under a title, with a common timeout and retries. Returns what the \
                  closure returns.",
            handler: Handler::Api(step),
        },
        Function {
            name: "back_out",
            params: const { &[param("undo", Kind::BackOut, "A command or a closure.")] },
            optional: &[],
            options: BACK_OUT,
            closure: None,
            when: When::Release,
            doc: "Arms a back-out by hand: it runs if the run stops, the youngest first. What a \
                  closure captures is copied now.",
            handler: Handler::Api(back_out),
        },
        simple(
            "point_of_no_return",
            reason,
            When::Release,
            "Disarms every back-out that is armed: from here on there is no way back, and a group that \
             has passed it is not tried again.",
            point_of_no_return,
        ),
        simple(
            "info",
            text,
            When::Any,
            "Says something in every report.",
            info,
        ),
        simple(
            "warn",
            text,
            When::Any,
            "Says something loudly in every report.",
            warn,
        ),
        simple(
            "abort",
            reason,
            When::Any,
            "Stops the run and backs out. The plan cannot catch it.",
            abort,
        ),
    ]
}

fn step(args: &Args) -> Result<Dynamic, Halt> {
    let Some(pointer) = args.last_closure() else {
        return Ok(Dynamic::UNIT);
    };
    let place = || args.place.clone();
    let call = Call::StepBegin {
        title: args.need("title"),
        timeout_ms: args.ms("timeout"),
        retries: args.count("retries").unwrap_or(0),
    };
    let begin = args.fiber.perform("step", call, place())?;
    let begin = begin
        .as_u64()
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(0);
    loop {
        let result = closure::call(pointer, args.context, None);
        if args.fiber.is_stopped() {
            return Err(Halt::Stop);
        }
        let failed = result.as_ref().err().map(|e| error::one_line(e));
        let call = Call::StepEnd { begin, failed };
        let again = args.fiber.perform("step", call, place())?;
        match result {
            Ok(value) => return Ok(value),
            Err(_) if again == Value::Bool(true) => {}
            Err(error) => return Err(super::pass(error)),
        }
    }
}

fn back_out(args: &Args) -> Result<Dynamic, Halt> {
    let timeout_ms = args.ms("timeout").unwrap_or(BACK_OUT_TIMEOUT_MS);
    let title = args.text("title");
    let (undo, title, closure) = match args.command("undo") {
        Some(command) => {
            let title = title.unwrap_or_else(|| title_of(&command));
            (Undo::Command(command), title, None)
        }
        None if args.is_unit("undo") => (
            Undo::Nothing,
            title.unwrap_or_else(|| "nothing to undo".into()),
            None,
        ),
        None => {
            let title = title.unwrap_or_else(|| format!("back-out armed at {}", args.place));
            (Undo::Closure, title, args.closure("undo"))
        }
    };
    let call = Call::BackOut(BackOut {
        undo,
        title,
        timeout_ms,
        about: args.text("about"),
        late: args.bool("late").unwrap_or(false),
    });
    args.fiber
        .perform_with("back_out", call, args.place.clone(), closure)?;
    Ok(Dynamic::UNIT)
}

fn point_of_no_return(args: &Args) -> Result<Dynamic, Halt> {
    let call = Call::PointOfNoReturn {
        reason: args.need("reason"),
    };
    args.fiber
        .perform("point_of_no_return", call, args.place.clone())?;
    Ok(Dynamic::UNIT)
}

fn info(args: &Args) -> Result<Dynamic, Halt> {
    note(args, "info", false)
}

fn warn(args: &Args) -> Result<Dynamic, Halt> {
    note(args, "warn", true)
}

fn note(args: &Args, function: &str, warning: bool) -> Result<Dynamic, Halt> {
    let call = Call::Note {
        warning,
        text: args.need("text"),
    };
    args.fiber.perform(function, call, args.place.clone())?;
    Ok(Dynamic::UNIT)
}

fn abort(args: &Args) -> Result<Dynamic, Halt> {
    let call = Call::Abort {
        reason: args.need("reason"),
    };
    args.fiber.perform("abort", call, args.place.clone())?;
    Err(Halt::Stop)
}
