//! `deployrun fmt`.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use similar::TextDiff;

use crate::report::{diagnostics, out};
use crate::script::plan::read_source;
use crate::script::style::{StyleError, styled};
use crate::words::hidden::visible;

use super::context::{Context, Format};
use super::refuse::say;

/// Puts plans and modules in the one style. Comments stay, and what a source means never changes.
///
/// Lines are broken where the author breaks them; indents, spaces, blank lines and commas at the ends
/// of lists are set. A source that can't be parsed is told and left alone.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  deployrun fmt                   all .rhai files here and below
  deployrun fmt plan.rhai lib     a file, and a directory with all below it
  deployrun fmt --check           shows what is not in style and exits with 1; for CI
  deployrun fmt - < plan.rhai     writes the source in style to standard output")]
pub(super) struct Args {
    /// Files and directories; `-` is standard input
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Changes nothing; shows what would change, and exits with 1 if anything would
    #[arg(long)]
    check: bool,
}

/// How many sources were looked at, and what became of them.
#[derive(Default)]
struct Count {
    looked_at: usize,
    changed: usize,
    failed: usize,
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    if let [path] = &*args.paths
        && path == Path::new("-")
    {
        return standard_input(context, args.check);
    }
    let mut files = Vec::new();
    for path in &args.paths {
        if let Err(problem) = sources(path, true, &mut files) {
            say(context, &problem);
            return 1;
        }
    }
    files.sort();
    files.dedup();
    let mut count = Count::default();
    for file in &files {
        count.looked_at += 1;
        match settle(context, file, args.check) {
            Ok(true) => count.changed += 1,
            Ok(false) => {}
            Err(problem) => {
                if let Some(problem) = problem {
                    say(context, &format!("{}: {problem}", file.display()));
                }
                count.failed += 1;
            }
        }
    }
    conclude(context, args, &count)
}

fn conclude(context: &Context, args: &Args, count: &Count) -> u8 {
    let status = u8::from(count.failed > 0 || (args.check && count.changed > 0));
    if context.format == Format::Json || context.verbosity < 0 {
        return status;
    }
    let files = |n: usize| {
        if n == 1 {
            "1 file".to_owned()
        } else {
            format!("{n} files")
        }
    };
    let changed = match (count.changed, args.check) {
        (0, _) if count.failed > 0 => format!("{} in style", count.looked_at - count.failed),
        (0, _) => "all in style".to_owned(),
        (n, true) => format!("{n} not in style"),
        (n, false) => format!("{n} changed"),
    };
    let failed = match count.failed {
        0 => String::new(),
        n => format!(", {n} left alone"),
    };
    out::line(&format!("{}: {changed}{failed}", files(count.looked_at)));
    status
}

/// Puts a file in style. Was it not, or would it not be? A problem without a text was told already.
fn settle(context: &Context, file: &Path, only_look: bool) -> Result<bool, Option<String>> {
    let name = file.display().to_string();
    let text = read_source(file).map_err(Some)?;
    let styled = styled(&name, &text).map_err(|error| tell(context, error, &text))?;
    if styled == text {
        return Ok(false);
    }
    if only_look {
        if context.format == Format::Json {
            out::line(&json!({ "file": name, "in style": false }).to_string());
        } else {
            show_difference(&name, &text, &styled);
        }
        return Ok(true);
    }
    replace(file, &styled).map_err(|e| Some(e.to_string()))?;
    if context.format == Format::Json {
        out::line(&json!({ "file": name, "changed": true }).to_string());
    } else if context.verbosity >= 0 {
        out::line(&visible(&name));
    }
    Ok(true)
}

/// Shows the findings of a source that can't be parsed, or gives the problem to be told.
fn tell(context: &Context, error: StyleError, text: &str) -> Option<String> {
    let StyleError::Syntax(found) = error else {
        return Some(error.to_string());
    };
    for mut problem in found {
        problem.find_lines(|_| Some(text));
        if context.format == Format::Json {
            out::error_line(&json!({ "error": problem }).to_string());
        } else {
            out::error_line(&format!("{}\n", diagnostics::show(&problem, context.style)));
        }
    }
    None
}

fn show_difference(name: &str, old: &str, new: &str) {
    let diff = TextDiff::from_lines(old, new);
    let (old, new) = (format!("{name}, as it is"), format!("{name}, in style"));
    let text = diff.unified_diff().header(&old, &new).to_string();
    for line in text.lines() {
        out::line(&visible(line));
    }
}

fn standard_input(context: &Context, check: bool) -> u8 {
    let mut text = String::new();
    if let Err(error) = io::stdin().read_to_string(&mut text) {
        say(context, &format!("standard input: {error}"));
        return 1;
    }
    match styled("standard input", &text) {
        Ok(styled) if check => {
            if styled != text {
                show_difference("standard input", &text, &styled);
            }
            u8::from(styled != text)
        }
        Ok(styled) => {
            out::lines(styled.lines());
            0
        }
        Err(error) => {
            if let Some(problem) = tell(context, error, &text) {
                say(context, &format!("standard input: {problem}"));
            }
            1
        }
    }
}

/// The sources at a path. Below a directory: those that end in `.rhai`, without what is hidden,
/// vendored or built.
fn sources(path: &Path, is_named: bool, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let wrong = |e: io::Error| format!("{}: {e}", path.display());
    let facts = if is_named {
        fs::metadata(path)
    } else {
        fs::symlink_metadata(path)
    };
    let facts = facts.map_err(wrong)?;
    if !facts.is_dir() {
        let is_source = path.extension().is_some_and(|ending| ending == "rhai");
        if is_named || (facts.is_file() && is_source) {
            found.push(path.to_owned());
        }
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || matches!(&*name, "vendor" | "target" | "node_modules") {
            continue;
        }
        let path = if path == Path::new(".") {
            PathBuf::from(&*name)
        } else {
            entry.path()
        };
        sources(&path, false, found)?;
    }
    Ok(())
}

/// Replaces a file whole or not at all, with the mode it had.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    // A symbolic link stays one.
    let file = file.canonicalize()?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = file.with_file_name(format!(".{name}.styled"));
    let written = fs::write(&beside, text)
        .and_then(|()| fs::set_permissions(&beside, fs::metadata(&file)?.permissions()))
        .and_then(|()| fs::rename(&beside, &file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
