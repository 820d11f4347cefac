//! `run` and `probe`: commands.

use rhai::Dynamic;
use serde_json::json;

use crate::script::args::Args;
use crate::script::functions::{Function, Handler, Kind, Param, When, param};
use crate::script::value::from_json;
use crate::supervisor::fiber::Halt;
use crate::words::call::{BackOut, Call, Command, Deed, Failure, Step, Undo};
use crate::words::probe::{ProbeExit, ProbeSpec};

use super::super::closure::Closure;

/// How long a step may take when the plan does not say.
pub(super) const STEP_TIMEOUT_MS: u64 = 10 * 60 * 1000;
/// How long a back-out may take when the plan does not say.
pub(super) const BACK_OUT_TIMEOUT_MS: u64 = 5 * 60 * 1000;
/// How long a probe may take when the plan does not say.
const PROBE_TIMEOUT_MS: u64 = 30 * 1000;
/// The time between TERM and KILL when the plan does not say.
pub(super) const GRACE_MS: u64 = 30 * 1000;
/// Bytes of a step's output that are kept when the plan does not say.
pub(super) const OUTPUT_MAX: u64 = 1 << 30;
/// Bytes that a probe may print.
const PROBE_OUTPUT_MAX: u64 = 4 << 20;
/// The time between two tries when the plan does not say.
const RETRY_DELAY_MS: u64 = 1000;

/// What tells back-outs that belong together.
pub(super) const ABOUT: Param = param(
    "about",
    Kind::Text,
    "What it is about, such as `service nginx`: late back-outs wait for what came before, but only \
     back to this one if they are about the same.",
);

const RUN: &[Param] = &[
    param(
        "title",
        Kind::Text,
        "What reports call the step; without it, the command.",
    ),
    param(
        "timeout",
        Kind::Limit,
        "How long it may take; 10m without it.",
    ),
    param(
        "idle_timeout",
        Kind::Limit,
        "How long it may print nothing.",
    ),
    param(
        "grace",
        Kind::Duration,
        "The time between TERM and KILL; 30s without it.",
    ),
    param("env", Kind::Texts, "Environment variables."),
    param(
        "cwd",
        Kind::Text,
        "Working directory; the plan's own without it.",
    ),
    param("stdin", Kind::Text, "What it reads on standard input."),
    param(
        "user",
        Kind::Text,
        "The user it runs as; HOME, USER, LOGNAME and SHELL are theirs.",
    ),
    param(
        "codes",
        Kind::Codes,
        "Exit statuses that count as success; [0] without it.",
    ),
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
        "abort_on",
        Kind::Patterns,
        "Patterns in its output that end it.",
    ),
    param(
        "back_out",
        Kind::BackOut,
        "What undoes it; () says that there is nothing to undo.",
    ),
    param(
        "back_out_timeout",
        Kind::Limit,
        "How long the back-out may take; 5m without it.",
    ),
    param(
        "back_out_late",
        Kind::Bool,
        "Does the back-out wait until what was done before the step is undone too, back to the last \
         step that is `about` the same, else to the begin of the run? For what makes changed files \
         take effect, such as a reload.",
    ),
    ABOUT,
    param(
        "idempotent",
        Kind::Bool,
        "May it be run again when nobody saw how it ended?",
    ),
    param(
        "max_output",
        Kind::Size,
        "Output that is kept; 1 GiB without it.",
    ),
];

const PROBE: &[Param] = &[
    param(
        "timeout",
        Kind::Limit,
        "How long it may take; 30s without it.",
    ),
    param("env", Kind::Texts, "Environment variables."),
    param(
        "cwd",
        Kind::Text,
        "Working directory; the plan's own without it.",
    ),
    param("stdin", Kind::Text, "What it reads on standard input."),
];

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function {
            name: "run",
            params: const { &[param("cmd", Kind::Command, "The command.")] },
            optional: &[],
            options: RUN,
            closure: None,
            when: When::Release,
            doc: "Runs a command as a step and returns its output: `stdout`, `stderr`, `code`, \
                  `duration` in seconds. Throws for an exit status that is not among `codes`.",
            handler: Handler::Api(run),
        },
        Function {
            name: "probe",
            params: const {
                &[param(
                    "cmd",
                    Kind::Command,
                    "The command; it must only read.",
                )]
            },
            optional: &[],
            options: PROBE,
            closure: None,
            when: When::Any,
            doc: "Runs a command that only reads and returns its output, like `run`. Never throws \
                  for an exit status; `code` is `()` when a signal ended it or its time was over.",
            handler: Handler::Api(run_probe),
        },
    ]
}

fn run(args: &Args) -> Result<Dynamic, Halt> {
    let Some(command) = args.command("cmd") else {
        return Ok(Dynamic::UNIT);
    };
    let title = args.text("title").unwrap_or_else(|| title_of(&command));
    let mut step = step_of(args, Deed::Command(command), title);
    let (back_out, closure) = back_out_of(args, &step.title);
    step.back_out = back_out;
    let call = Call::Step(Box::new(step));
    let output = args
        .fiber
        .perform_with("run", call, args.place.clone(), closure)?;
    Ok(from_json(&output))
}

/// A step with the options that steps have in common.
pub(super) fn step_of(args: &Args, deed: Deed, title: String) -> Step {
    Step {
        deed,
        title,
        timeout_ms: args.ms("timeout").unwrap_or(STEP_TIMEOUT_MS),
        idle_timeout_ms: args.ms("idle_timeout"),
        grace_ms: args.ms("grace").unwrap_or(GRACE_MS),
        env: args.map("env"),
        cwd: args.text("cwd"),
        stdin: args.text("stdin"),
        user: args.text("user"),
        codes: args.codes("codes").unwrap_or_else(|| vec![0]),
        retries: args.count("retries").unwrap_or(0),
        retry_delay_ms: args.ms("retry_delay").unwrap_or(RETRY_DELAY_MS),
        abort_on: args.texts("abort_on"),
        idempotent: args.bool("idempotent").unwrap_or(false),
        max_output: args.bytes("max_output").unwrap_or(OUTPUT_MAX),
        back_out: None,
    }
}

fn back_out_of(args: &Args, title: &str) -> (Option<BackOut>, Option<Closure>) {
    if !args.has("back_out") {
        return (None, None);
    }
    let (undo, title, closure) = match args.command("back_out") {
        Some(command) => {
            let title = title_of(&command);
            (Undo::Command(command), title, None)
        }
        None if args.is_unit("back_out") => (Undo::Nothing, title.to_owned(), None),
        None => {
            let title = format!("undo of {title}");
            (Undo::Closure, title, args.closure("back_out"))
        }
    };
    let back_out = BackOut {
        undo,
        title,
        timeout_ms: args.ms("back_out_timeout").unwrap_or(BACK_OUT_TIMEOUT_MS),
        about: args.text("about"),
        late: args.bool("back_out_late").unwrap_or(false),
    };
    (Some(back_out), closure)
}

/// A command in one line that reports can hold.
pub(super) fn title_of(command: &Command) -> String {
    let text = command.to_string();
    let line = text.trim().lines().next().unwrap_or_default();
    let short: String = line.chars().take(80).collect();
    if short.len() < text.trim().len() {
        format!("{short}…")
    } else {
        short
    }
}

fn run_probe(args: &Args) -> Result<Dynamic, Halt> {
    let Some(command) = args.command("cmd") else {
        return Ok(Dynamic::UNIT);
    };
    let json = args.json()?;
    let output = args.fiber.read("probe", json, args.place.clone(), |cancel| {
        let mut env = args.fiber.shared().env.clone();
        env.extend(args.map("env"));
        let spec = ProbeSpec {
            argv: command.argv(),
            env,
            cwd: args.text("cwd").map_or_else(|| args.root.to_owned(), |dir| args.root.join(dir)),
            stdin: args.text("stdin"),
            timeout_ms: args.ms("timeout").unwrap_or(PROBE_TIMEOUT_MS),
            max_output: PROBE_OUTPUT_MAX,
        };
        let title = title_of(&command);
        let end = args.host().probe(&spec, cancel);
        let (code, note) = match end.how {
            ProbeExit::Exited { code } => (json!(code), None),
            ProbeExit::Signaled { signal } => (json!(null), Some(format!("ended by signal {signal}"))),
            ProbeExit::TimedOut => (json!(null), Some("its time was over".to_owned())),
            ProbeExit::Cancelled => (json!(null), Some("the run stopped".to_owned())),
            ProbeExit::NotStarted { error } => {
                let text = format!("the probe `{title}` could not be started: {error}");
                return Err(Failure::new(text));
            }
            ProbeExit::TooMuchOutput => {
                let text = format!("the probe `{title}` printed more than {PROBE_OUTPUT_MAX} bytes");
                return Err(Failure::new(text));
            }
        };
        let stderr = match note {
            Some(note) => format!("{}[{note}]", end.stderr),
            None => end.stderr,
        };
        let duration = std::time::Duration::from_millis(end.duration_ms).as_secs_f64();
        Ok(json!({ "stdout": end.stdout, "stderr": stderr, "code": code, "duration": duration }))
    })?;
    Ok(from_json(&output))
}
