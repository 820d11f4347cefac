//! `check` and `check_installed`: the findings of the review.

use rhai::Dynamic;

use crate::script::args::Args;
use crate::script::closure;
use crate::script::error;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::supervisor::fiber::Halt;
use crate::target::installed::{self, CommandOutput, HowToAsk, RunError};
use crate::target::probe;
use crate::words::probe::{ProbeExit, ProbeSpec};
use crate::words::version::Requirement;

const INSTALLED: &[Param] = &[
    param(
        "command",
        Kind::Command,
        "The command that prints the version.",
    ),
    param(
        "pattern",
        Kind::Pattern,
        "What finds the version in its output: the first group.",
    ),
];

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function {
            name: "check",
            params: const { &[param("name", Kind::Text, "What is asked for.")] },
            optional: &[],
            options: &[],
            closure: Some(param(
                "condition",
                Kind::Condition,
                "Is it so? A closure that throws says no.",
            )),
            when: When::Any,
            doc: "Records a finding. In the review `false` is returned and the run is refused at \
                  the gate, with all findings together; after the first step a failed check throws.",
            handler: Handler::Api(check),
        },
        Function {
            name: "check_installed",
            params: const { &[param("name", Kind::Text, "The package or program.")] },
            optional: const {
                &[param(
                    "requirement",
                    Kind::Requirement,
                    "Which versions will do.",
                )]
            },
            options: INSTALLED,
            closure: None,
            when: When::Any,
            doc: "Records whether a component is there, in a version that meets the requirement. \
                  Looks in the system's package database and else at the program itself.",
            handler: Handler::Api(check_installed),
        },
    ]
}

fn check(args: &Args) -> Result<Dynamic, Halt> {
    let answer = args
        .fiber
        .check(&args.need("name"), args.place.clone(), |_| {
            let Some(pointer) = args.last_closure() else {
                return (args.bool("condition") == Some(true), String::new());
            };
            let _observing = args.fiber.observe();
            let pointer = closure::snapshot_pointer(pointer.clone());
            match closure::call(&pointer, args.context, None) {
                Ok(value) => match value.as_bool() {
                    Ok(ok) => (ok, String::new()),
                    Err(other) => (
                        false,
                        format!("the closure returned {other}, not true or false"),
                    ),
                },
                Err(error) => (false, error::one_line(&error)),
            }
        })?;
    Ok(crate::script::value::from_json(&answer))
}

fn check_installed(args: &Args) -> Result<Dynamic, Halt> {
    let name = args.need("name");
    let requirement = args.text("requirement").unwrap_or_else(|| "*".into());
    let title = if requirement == "*" {
        format!("{name} is installed")
    } else {
        format!("{name} {requirement} is installed")
    };
    let answer = args.fiber.check(&title, args.place.clone(), |cancel| {
        let requirement = match Requirement::parse(&requirement) {
            Ok(requirement) => requirement,
            Err(error) => return (false, error.to_string()),
        };
        let how = HowToAsk {
            command: args.command("command").map(|c| c.argv()),
            pattern: args
                .text("pattern")
                .and_then(|p| regex::Regex::new(&p).ok()),
        };
        let found = args
            .host()
            .installed(&name, &how, &|argv| ask(args, argv, cancel));
        let verdict = installed::verdict(&name, &found, &requirement);
        (verdict.ok, verdict.text)
    })?;
    Ok(crate::script::value::from_json(&answer))
}

/// Milliseconds that a program may take to tell its version.
const ASK_TIMEOUT_MS: u64 = 10_000;

/// Asks a program on this machine, in a directory that holds nothing it could take for input.
fn ask(args: &Args, argv: &[&str], cancel: &probe::Cancel) -> Result<CommandOutput, RunError> {
    let mut env = args.fiber.shared().env.clone();
    env.insert("LC_ALL".into(), "C".into());
    let spec = ProbeSpec {
        argv: argv.iter().map(|&a| a.to_owned()).collect(),
        env,
        cwd: "/".into(),
        stdin: None,
        timeout_ms: ASK_TIMEOUT_MS,
        max_output: 4 << 20,
    };
    let end = args.host().probe(&spec, cancel);
    let code = match end.how {
        ProbeExit::Exited { code } => Some(code),
        ProbeExit::Signaled { .. } => None,
        ProbeExit::NotStarted { error } if error.contains("no such program") => {
            return Err(RunError::NotFound);
        }
        ProbeExit::NotStarted { error } => return Err(RunError::Failed(error)),
        ProbeExit::TimedOut => return Err(RunError::Failed("it did not answer in 10s".into())),
        ProbeExit::Cancelled => return Err(RunError::Failed("the run stopped".into())),
        ProbeExit::TooMuchOutput => return Err(RunError::Failed("it printed too much".into())),
    };
    Ok(CommandOutput {
        code,
        stdout: end.stdout,
        stderr: end.stderr,
    })
}
