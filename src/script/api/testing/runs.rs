//! Runs of whole plans, and the back-out of a helper.

use std::sync::Arc;

use rhai::Dynamic;
use serde_json::{Value, json};

use crate::script::args::Args;
use crate::script::functions::{Function, Kind, Param, param};
use crate::script::testing::stage::Stage;
use crate::script::testing::whole_plan::{self, HowToRun, Ran};
use crate::script::value::{from_json, to_json};
use crate::supervisor::fiber::Halt;
use crate::supervisor::pretended::Deeds;
use crate::words::event::Event;

use super::{simple, wrong};

const RUN_PLAN: &[Param] = &[
    param("args", Kind::Any, "What the plan sees as `args`: a map."),
    param(
        "override_window",
        Kind::Text,
        "Sets the window aside, for this reason.",
    ),
    param(
        "after_kill",
        Kind::OneOf(&["back-out", "resume"]),
        "How a run is taken up that `kill_at_step` has left; `back-out` without it.",
    ),
];

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function {
            options: RUN_PLAN,
            ..simple(
                "run_plan",
                const {
                    &[param(
                        "path",
                        Kind::Text,
                        "The plan, from the test's own directory.",
                    )]
                },
                &[],
                "Runs a whole plan, from its review to its end. Returns `outcome` (\"released\", \
                 \"refused\", \"backed-out\", \"stuck\"), `cause` and `reason` of the stop, `status`, \
                 `findings`, `steps`, `backed_out`, `still_changed`, `without_back_out`, \
                 `notes`, and `notices`, such as `\"released: slack SLACK_URL\"`.",
                run_plan,
            )
        },
        Function {
            options: const {
                &[param(
                    "back_out",
                    Kind::Bool,
                    "Is it backed out when it has ended well? false without it.",
                )]
            },
            ..simple(
                "run_helper",
                const {
                    &[param(
                        "closure",
                        Kind::Closure,
                        "What is run: a closure that calls a helper.",
                    )]
                },
                &[],
                "Runs a closure as a run of its own and returns what `run_plan` returns. In a test that \
                 acts on this machine this is how helpers are called.",
                run_helper,
            )
        },
        simple(
            "back_out_now",
            &[],
            &[],
            "Undoes what the test's own calls have armed, and returns how that ended: \"backed-out\", \
             \"stuck\", or \"refused\" when nothing had acted. What follows is a new run.",
            back_out_now,
        ),
    ]
}

fn run_plan(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let set = match args.given("args") {
        None => serde_json::Map::new(),
        Some(value) => match to_json(value) {
            Ok(Value::Object(map)) => map,
            Ok(_) => return Err(wrong("the option `args` of `run_plan` wants a map")),
            Err(problem) => return Err(wrong(format!("`args` of `run_plan`: {problem}"))),
        },
    };
    let how = HowToRun {
        args: set,
        override_window: args.text("override_window"),
        resume: args.text("after_kill").as_deref() == Some("resume"),
    };
    let ran = whole_plan::run(stage, &args.need("path"), &how);
    if stage.world.not_given().is_some() {
        return Err(Halt::Stop);
    }
    Ok(from_json(&told(&ran?)))
}

fn run_helper(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let Some(closure) = args.closure("closure") else {
        return Ok(Dynamic::UNIT);
    };
    let back_out = args.bool("back_out").unwrap_or(false);
    let ran = whole_plan::run_closure(stage, closure, back_out);
    if stage.world.not_given().is_some() {
        return Err(Halt::Stop);
    }
    Ok(from_json(&told(&ran?)))
}

/// A run as a test sees it.
fn told(ran: &Ran) -> Value {
    let deeds = Deeds::of(&ran.events);
    let end = &ran.end;
    let mut findings = Vec::new();
    let mut notes = Vec::new();
    let mut notices = Vec::new();
    for event in &ran.events {
        match event {
            Event::Finding {
                name, ok, detail, ..
            } => findings.push(json!({ "name": name, "ok": ok, "detail": detail })),
            Event::Note { text, .. } => notes.push(json!(text)),
            Event::Notified { on, to, .. } => {
                notices.push(json!(format!("{}: {to}", on.word())));
            }
            Event::Called {
                call: crate::words::call::Call::Note { text, .. },
                ..
            } => notes.push(json!(text)),
            _ => {}
        }
    }
    let still = end.still_changed.iter();
    let still: Vec<Value> = still
        .map(|s| json!({ "title": s.title, "why": s.why, "command": s.command }))
        .collect();
    json!({
        "outcome": end.outcome.word(),
        "status": end.outcome.exit_status(),
        "cause": end.cause.map(|cause| cause.words()),
        "reason": end.reason,
        "findings": findings,
        "steps": deeds.steps.iter().map(|s| s.text.clone()).collect::<Vec<_>>(),
        "backed_out": deeds.back_outs.iter().flat_map(|b| b.texts()).collect::<Vec<_>>(),
        "still_changed": still,
        "without_back_out": end.without_back_out,
        "notes": notes,
        "notices": notices,
    })
}

fn back_out_now(_: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let outcome = stage.back_out().ok_or(Halt::Stop)?;
    Ok(outcome.into())
}
