//! `deployrun test`.

use std::path::PathBuf;

use crate::report::junit::tested as junit;
use crate::report::tested::{
    coverage_table, failure, json_line, json_summary, lcov, line, summary,
};
use crate::report::{diagnostics, out};
use crate::script::testing::suite::{self, Suite};
use crate::words::event::json_text;

use super::context::{Context, Format};

/// Runs tests of plans and helpers against a pretended host: no real command runs.
///
/// Tests are the functions `test_…` of files that end in `_test.rhai`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Test files, and directories to look for them
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Only tests whose file or name holds this text
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    filter: String,
    /// Prints the names of the tests and runs none
    #[arg(long)]
    list: bool,
    /// How many tests run at the same time [default: as many as there are processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Prints which lines of modules and plans were run
    #[arg(long)]
    coverage: bool,
    /// Runs also the tests that act on this machine: those of files that say `//! real`
    #[arg(long)]
    real: bool,
    /// Writes which lines were run to a file, in the format of lcov
    #[arg(long, value_name = "FILE")]
    lcov: Option<PathBuf>,
}

const EXAMPLES: &str = "Exit status:
  0  all tests passed
  1  a test failed, or there was none
  2  wrong usage

Examples:
  deployrun test
  deployrun test tests/web_test.rhai --filter backed_out
  deployrun test --coverage --lcov coverage.lcov
  deployrun test --format junit > tests.xml";

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let wants_coverage = args.coverage || args.lcov.is_some();
    let read = suite::find(&args.paths)
        .and_then(|files| Ok((files.len(), Suite::read(&files, wants_coverage)?)));
    let (files, suite) = match read {
        Ok(read) => read,
        Err(error) => return refuse(context, &error.to_string()),
    };
    let tests = suite.tests(&args.filter);
    if args.list {
        for (file, name) in &tests {
            out::line(&match context.format {
                Format::Json => serde_json::json!({ "file": file, "test": name }).to_string(),
                _ => format!("{file}  {name}"),
            });
        }
        return u8::from(tell_faulty(context, &suite));
    }
    if tests.is_empty() && suite.faulty().is_empty() {
        return refuse(context, &nothing(args, files));
    }
    let jobs = args.jobs.map_or_else(suite::jobs, usize::from);
    let faulty = tell_faulty(context, &suite);
    let mut results = Vec::new();
    let real = args.real.then(crate::runner::real_runs);
    let tally = suite.run(&args.filter, jobs, real.as_ref(), |result| {
        match context.format {
            Format::Json => out::line(&json_line(result)),
            Format::Junit => {}
            _ if context.verbosity < 0 && result.failure.is_none() => {}
            _ => out::line(&line(result, context.style)),
        }
        results.push(result.clone());
    });
    match context.format {
        Format::Json => out::line(&json_summary(&tally)),
        Format::Junit => {
            let of: Vec<(String, String)> = suite
                .faulty()
                .iter()
                .map(|(file, found)| {
                    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
                    (file.clone(), texts.join("\n"))
                })
                .collect();
            out::line(junit(&results, &of).trim_end());
        }
        _ => {
            for result in &results {
                if let Some(text) = failure(result, context.style) {
                    out::line(&format!("\n{text}"));
                }
            }
            let gap = if tally.is_good() { "" } else { "\n" };
            out::line(&format!("{gap}{}", summary(&tally, context.style)));
        }
    }
    if !tell_coverage(context, args, &suite) {
        return 1;
    }
    u8::from(faulty || !tally.is_good())
}

/// Errors of files whose tests are not run; were there any?
fn tell_faulty(context: &Context, suite: &Suite) -> bool {
    for (file, found) in suite.faulty() {
        match context.format {
            Format::Json => out::line(
                &serde_json::json!({ "file": file, "outcome": "faulty", "findings": found })
                    .to_string(),
            ),
            Format::Junit => {}
            _ => {
                for problem in found {
                    let text = diagnostics::show(problem, context.style);
                    out::line(&format!("{text}\n"));
                }
            }
        }
    }
    !suite.faulty().is_empty()
}

/// Prints and writes which lines were run; says whether that could be done.
fn tell_coverage(context: &Context, args: &Args, suite: &Suite) -> bool {
    let Some(coverage) = suite.coverage() else {
        return true;
    };
    let files = coverage.files();
    if args.coverage {
        let base = std::env::current_dir().unwrap_or_default();
        let base = format!("{}/", base.display());
        match context.format {
            Format::Json => out::line(&json_text(&serde_json::json!({ "coverage": files }))),
            Format::Junit => {}
            _ => out::line(&format!("\n{}", coverage_table(&files, &base))),
        }
    }
    let Some(path) = &args.lcov else { return true };
    match std::fs::write(path, lcov(&files)) {
        Ok(()) => true,
        Err(error) => {
            out::error_line(&format!(
                "error: {} can't be written: {error}",
                path.display()
            ));
            false
        }
    }
}

fn refuse(context: &Context, problem: &str) -> u8 {
    match context.format {
        Format::Json => out::error_line(&serde_json::json!({ "error": problem }).to_string()),
        _ => out::error_line(&format!("error: {problem}")),
    }
    1
}

/// What to say where there is no test.
fn nothing(args: &Args, files: usize) -> String {
    let paths: Vec<String> = args
        .paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let paths = paths.join(", ");
    match (files, args.filter.as_str()) {
        (0, _) => format!(
            "no test file in {paths}: their names end in _test.rhai, such as tests/web_test.rhai"
        ),
        (n, "") => format!(
            "no test in {paths}: {n} test file(s), but no function in them that begins with test_"
        ),
        (n, filter) => format!(
            "no test in {paths} ({n} test file(s)) has `{filter}` in its file or its name; \
             --list tells all names"
        ),
    }
}
