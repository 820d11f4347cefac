//! What goes wrong on purpose.

use std::sync::{Arc, PoisonError};

use rhai::Dynamic;

use crate::script::args::Args;
use crate::script::functions::{Function, Kind, Param, param};
use crate::script::testing::stage::Stage;
use crate::supervisor::fiber::Halt;
use crate::supervisor::pretended::{Fault, FaultAt, Misfortune};

use super::{simple, wrong};

const AT: &[Param] = &[param(
    "step",
    Kind::Any,
    "Which: its number, from 1, of those that are started from here on, or its title or command, in \
     which `*` stands for anything.",
)];

const DONE: Param = param(
    "done",
    Kind::Bool,
    "Has it done all that it does, rather than nothing? false without it.",
);

const FAIL: &[Param] = &[
    param(
        "how",
        Kind::OneOf(&["fails", "times-out", "unknown"]),
        "It fails, is cut off by its timeout, or nobody sees its end; `fails` without it.",
    ),
    param("code", Kind::Count, "Its exit status; 1 without it."),
    param("stdout", Kind::Text, "What it prints on standard output."),
    param("stderr", Kind::Text, "What it prints on standard error."),
    DONE,
];

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function {
            options: FAIL,
            ..simple(
                "fail_step",
                AT,
                &[],
                "Lets one try of a step fail. A step that never comes fails the test.",
                fail_step,
            )
        },
        Function {
            options: const { &[DONE] },
            ..simple(
                "interrupt_at_step",
                AT,
                &[],
                "Lets a SIGINT come while a step runs.",
                interrupt,
            )
        },
        Function {
            options: const { &[DONE] },
            ..simple(
                "kill_at_step",
                AT,
                &[],
                "Lets deployrun be killed while a step of a `run_plan` runs; the run is taken up then.",
                kill,
            )
        },
    ]
}

fn at(args: &Args) -> Result<FaultAt, Halt> {
    let Some(step) = args.given("step") else {
        return Err(wrong("which step?"));
    };
    match step.as_int() {
        Ok(number) => match u32::try_from(number) {
            Ok(number) if number > 0 => Ok(FaultAt::Number(number)),
            _ => Err(wrong("steps are counted from 1")),
        },
        Err(_) => Ok(FaultAt::Named(args.need("step"))),
    }
}

fn add(args: &Args, stage: &Stage, what: Misfortune) -> Result<Dynamic, Halt> {
    let done = args.bool("done").unwrap_or(false);
    let fault = Fault::new(at(args)?, what, done);
    let mut faults = stage.faults.lock().unwrap_or_else(PoisonError::into_inner);
    faults.add(fault);
    Ok(Dynamic::UNIT)
}

fn fail_step(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    let what = match args.text("how").as_deref() {
        Some("times-out") => Misfortune::TimesOut,
        Some("unknown") => Misfortune::Unknown,
        _ => Misfortune::Fails {
            code: args
                .count("code")
                .and_then(|code| i32::try_from(code).ok())
                .unwrap_or(1),
            stdout: args.need("stdout"),
            stderr: args.need("stderr"),
        },
    };
    add(args, stage, what)
}

fn interrupt(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    add(args, stage, Misfortune::Interrupted)
}

fn kill(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    add(args, stage, Misfortune::Killed)
}
