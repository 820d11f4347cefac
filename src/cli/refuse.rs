//! How commands say that nothing was done.

use serde_json::json;

use crate::Error;
use crate::journal::OwnerError;
use crate::report::line::Tone;
use crate::report::lines::whole_commands;
use crate::report::{diagnostics, out};
use crate::supervisor::unwritten::LookError;

use super::context::{Context, Format};

/// Tells why nothing was done, and gives the exit status.
pub(super) fn refuse(context: &Context, error: &Error) -> u8 {
    match (context.format, error) {
        (Format::Json, Error::Check(found)) => {
            let line = json!({ "error": error.to_string(), "findings": found });
            out::error_line(&line.to_string());
        }
        (_, Error::Check(found)) => {
            for problem in found {
                out::error_line(&format!("{}\n", diagnostics::show(problem, context.style)));
            }
            if context.verbosity >= 0
                && let Some(more) = diagnostics::more(found, context.style)
            {
                out::error_line(&more);
            }
            let count = diagnostics::count(found);
            say(
                context,
                &format!("the plan has {count}; nothing was started"),
            );
        }
        _ => say(context, &error.to_string()),
    }
    match error {
        Error::Owner(OwnerError::Owned(_))
        | Error::Unwritten {
            source: LookError::Acts { .. },
            ..
        } => 5,
        _ => 1,
    }
}

/// An error of the command itself, on standard error.
pub(super) fn say(context: &Context, problem: &str) {
    let problem = &whole_commands(problem, &context.program);
    match context.format {
        Format::Json => out::error_line(&json!({ "error": problem }).to_string()),
        _ => {
            let mark = context.style.paint(Tone::Bad, "error:");
            out::error_line(&format!("{mark} {problem}"));
        }
    }
}
