//! `deployrun preview`.

use std::path::Path;

use crate::report::{out, preview};
use crate::words::call::shell_word;
use crate::{Error, Plan, Preview, Runner};

use super::context::{Context, Format};
use super::plans::Names;
use super::refuse::refuse;
use super::run;

/// Does the review of a plan for real, and lists what would run behind it. Nothing acts, whatever the
/// plan does, and no run comes to be.
///
/// Each line is marked: `checked` was looked at now; `would run` is what a run comes to with these very
/// values; `unknown` depends on what steps have not told yet. At the end stands the command that runs
/// exactly this.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    given: run::Given,
}

const EXAMPLES: &str = "Exit status:
  0  a run that began now would come to its end, as far as that is known
  1  it would be refused, or would certainly not be released
  2  wrong usage

Examples:
  deployrun preview plan.rhai
      what would run, and the command that runs exactly this
  deployrun preview -e version=2.4.0 --format json plan.rhai
      the same for a program";

pub(super) fn run(context: &Context, args: Args) -> u8 {
    tell(context, args.given)
}

/// What `run --dry-run` does too.
pub(super) fn tell(context: &Context, given: run::Given) -> u8 {
    let plan = match Plan::read(&given.plan) {
        Ok(plan) => plan,
        Err(error) => return refuse(context, &error.into()),
    };
    let names = Names::of(&given.plan, &plan);
    let command = |preview: &Preview| command(context, &given, preview);
    let runner = Runner::new(&context.state).clock(context.clock.clone());
    let told = match given.clone().settle(runner).preview(plan) {
        Ok(mut told) => {
            names.tell(&mut told.warnings);
            told
        }
        Err(mut error) => {
            if let Error::Check(found) = &mut error {
                names.tell(found);
            }
            return refuse(context, &error);
        }
    };
    match context.format {
        Format::Json => out::line(&preview::json(&told, &command(&told))),
        _ => {
            let lines = preview::lines(&told, &context.look(false), &command(&told));
            let texts: Vec<String> = lines.iter().map(|l| l.painted(context.style)).collect();
            out::lines(texts.iter().map(String::as_str));
        }
    }
    told.exit_status()
}

/// The command that runs exactly what was previewed.
fn command(context: &Context, given: &run::Given, preview: &Preview) -> String {
    let path: &Path = &given.plan;
    let mut words = vec![
        context.program.clone(),
        "run".into(),
        shell_word(&path.display().to_string()),
    ];
    for (key, value) in &given.set {
        words.push("-e".into());
        words.push(shell_word(&format!("{key}={value}")));
    }
    if let Some(reason) = &given.override_window {
        words.push("--override-window".into());
        words.push(shell_word(reason));
    }
    words.push("--approve-fingerprint".into());
    words.push(preview.fingerprint.clone());
    if !given.rest.is_empty() {
        words.push("--".into());
        words.extend(given.rest.iter().map(|word| shell_word(word)));
    }
    words.join(" ")
}
