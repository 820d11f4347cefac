//! `deployrun explain`.

use crate::report::{explain, out};
use crate::words::code::Code;
use crate::words::suggest::nearest;

use super::context::{Context, Format};
use super::refuse::say;

/// Says what a finding of `check` means, with a wrong and a right plan; without a code, lists all.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The word in brackets of a finding, such as no-timeout
    code: Option<String>,
}

const EXAMPLES: &str = "Examples:
  deployrun explain
      lists all findings
  deployrun explain no-timeout
      what one means, with a wrong and a right plan";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let Some(name) = &args.code else {
        match context.format {
            Format::Json => {
                let all = Code::ALL.iter();
                let texts: Vec<String> = all
                    .map(|code| explain::object(*code, false).to_string())
                    .collect();
                out::lines(texts.iter().map(String::as_str));
            }
            _ => out::line(explain::list(context.style).trim_end()),
        }
        return 0;
    };
    // As it is copied from a finding: with its brackets, or with its level before it.
    let word = name
        .trim_start_matches("error")
        .trim_start_matches("warning");
    let word = word.trim_matches(['[', ']']);
    let Some(code) = Code::of(word) else {
        let near = nearest(word, Code::ALL.iter().map(|code| code.name()));
        let what = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "deployrun explain lists all".to_owned(),
        };
        say(context, &format!("there is no finding `{name}`; {what}"));
        return 2;
    };
    match context.format {
        Format::Json => out::line(&explain::object(code, true).to_string()),
        _ => out::line(explain::page(code, context.style).trim_end()),
    }
    0
}
