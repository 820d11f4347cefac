//! `deployrun run`.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::report::groups::Ci;
use crate::report::human::HumanReport;
use crate::report::json::JsonReport;
use crate::report::junit::{self, JunitReport};
use crate::report::live::LiveReport;
use crate::report::trace::{Settings, TraceReport};
use crate::report::{Beside, out};
use crate::script::approval;
use crate::words::event::Stamped;
use crate::{Error, Plan, Report, Runner, Summary};

use super::context::{Context, Format};
use super::plans::Names;
use super::preview;
use super::prompt::Approver;
use super::refuse::refuse;
use super::values;

/// Runs a plan: reviews, waits for the window, releases while watching, and backs out when it goes
/// wrong.
///
/// Ctrl-C (or SIGTERM) stops the run and backs it out; a second one kills what is being ended, a
/// third one leaves the run as it is and says how to come back. A terminal that goes away does not
/// end it. Whatever happens, the run ends in a state that has a name: see the exit status of
/// deployrun.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    given: Given,
    /// Only tells what would run, like `preview`; nothing acts
    #[arg(short = 'n', long, conflicts_with = "approve_fingerprint")]
    dry_run: bool,
    /// Runs the plan only if it is the one that was previewed: its fingerprint, or the first 12 digits
    /// of it or more
    #[arg(long, value_name = "SHA256", value_parser = fingerprint, env = "DEPLOYRUN_APPROVE_FINGERPRINT")]
    approve_fingerprint: Option<String>,
    /// Answers every question of this command with yes; approvals are given by people
    #[arg(short, long, env = "DEPLOYRUN_YES")]
    yes: bool,
}

impl Args {
    /// Does it only tell?
    pub(super) fn is_dry(&self) -> bool {
        self.dry_run
    }
}

/// What a plan is run or previewed with.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Given {
    /// The plan
    pub(super) plan: PathBuf,
    /// Sets `args.KEY` for the plan
    #[arg(short = 'e', long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(super) set: Vec<(String, String)>,
    /// Waits so long for an environment that somebody else has
    #[arg(long, value_name = "DURATION", value_parser = values::time, env = "DEPLOYRUN_LOCK_WAIT")]
    lock_wait: Option<std::time::Duration>,
    /// Sets the window aside; the reason stands in every report
    #[arg(long, value_name = "REASON", value_parser = values::reason)]
    pub(super) override_window: Option<String>,
    /// What the plan sees as `args.rest`
    #[arg(last = true, value_name = "ARG")]
    pub(super) rest: Vec<String>,
}

impl Given {
    /// Gives it to a runner.
    pub(super) fn settle(self, runner: Runner) -> Runner {
        let mut map: Map<String, Value> = self
            .set
            .into_iter()
            .map(|(key, value)| (key, value.into()))
            .collect();
        map.insert("rest".into(), self.rest.into());
        runner
            .args(map)
            .override_window(self.override_window)
            .lock_wait(self.lock_wait.unwrap_or_default())
    }
}

fn fingerprint(text: &str) -> Result<String, String> {
    approval::parse(text)
}

const EXAMPLES: &str = "Examples:
  deployrun run plan.rhai
      as a person; deployrun plan.rhai is the same
  deployrun run -e version=2.4.0 plan.rhai -- --fast
      the plan sees args.version, and --fast in args.rest
  deployrun run --lock-wait 30m --format json plan.rhai
      in a pipeline: waits for another run of the environment, one event a line
  deployrun run --override-window 'CHG-1042, approved by Ada' plan.rhai
      outside the window, with the reason in every report";

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".into()),
    }
}

pub(super) fn run(context: &Context, args: Args) -> u8 {
    if args.dry_run {
        return preview::tell(context, args.given);
    }
    let runner = runner(context, Vec::new()).prepare();
    let plan = match Plan::read(&args.given.plan) {
        Ok(plan) => plan,
        Err(error) => return finish(context, Err(error.into())),
    };
    let names = Names::of(&args.given.plan, &plan);
    let runner = args.given.settle(runner).approve(args.approve_fingerprint);
    let result = runner.run(plan).map_err(|mut error| {
        if let Error::Check(found) = &mut error {
            names.tell(found);
        }
        error
    });
    finish(context, result)
}

/// A runner as all commands want it; `before` is what was told of the run so far.
pub(super) fn runner(context: &Context, before: Vec<Stamped>) -> Runner {
    let report: Box<dyn Report> = match context.format {
        Format::Json => Box::new(JsonReport::new()),
        Format::Junit => {
            out::keep_for_document();
            let document = JunitReport::new(&context.program, &before);
            Box::new(Beside::new(human(context, before.clone()), document))
        }
        _ if context.is_live() => Box::new(live(context, before.clone())),
        _ => Box::new(human(context, before.clone())),
    };
    let (report, trace_parent) = traced(context, report, &before);
    let runner = Runner::new(&context.state)
        .clock(context.clock.clone())
        .report(report)
        .known(before)
        .trace_parent(trace_parent)
        .handle_signals();
    match context.random {
        Some(random) => runner.random(random),
        None => runner,
    }
}

/// A report with the run's trace beside it, if one is wanted; and the span that it continues.
fn traced(
    context: &Context,
    report: Box<dyn Report>,
    before: &[Stamped],
) -> (Box<dyn Report>, Option<String>) {
    let quiet = context.verbosity < 0;
    match Settings::from_env() {
        Ok(None) => (report, None),
        Ok(Some(settings)) => {
            let trace_parent = settings.trace_parent().map(str::to_owned);
            let trace = TraceReport::new(settings, before, quiet);
            (Box::new(Beside::new(report, trace)), trace_parent)
        }
        Err(problem) => {
            if !quiet {
                out::error_line(&format!("warning: there is no trace: {problem}"));
            }
            (report, None)
        }
    }
}

fn human(context: &Context, before: Vec<Stamped>) -> HumanReport {
    let mut report = HumanReport::new(context.style, context.look(false));
    if let Some(ci) = Ci::of_environment() {
        report.fold(ci);
    }
    if context.can_ask() {
        let mut approver = Approver::new(context, &before);
        report.listen(Box::new(move |event| approver.hear(event)));
    }
    report.recall(before);
    report
}

fn live(context: &Context, before: Vec<Stamped>) -> LiveReport {
    let mut report = LiveReport::new(context.style, context.look(true), context.clock.clone());
    if context.can_ask() {
        let mut approver = Approver::new(context, &before);
        report.listen(Box::new(move |event| approver.hear(event)));
    }
    report.recall(before);
    report
}

/// The exit status of a run.
pub(super) fn finish(context: &Context, result: Result<Summary, Error>) -> u8 {
    match result {
        Ok(summary) => summary.exit_status(),
        Err(error) => {
            if context.format == Format::Junit {
                let found = match &error {
                    Error::Check(found) => &found[..],
                    _ => &[],
                };
                out::document(&junit::refused(&error.to_string(), found));
            }
            refuse(context, &error)
        }
    }
}
