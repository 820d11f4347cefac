//! `deployrun doc`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::report::manual::{self, broken_links, examples};
use crate::report::out;
use crate::script::documented::Documented;
use crate::words::diagnostic::Diagnostic;
use crate::words::hidden::visible;

use super::check;
use super::context::{Context, Format};
use super::document;
use super::refuse::say;

/// Documents what the plans of a project can call, from the comments of its modules: their functions,
/// those of its libraries, of the stdlib, and of deployrun itself.
///
/// HTML is one file that needs no other and no network, with a search. Without --output it lies in the
/// cache. Nothing is fetched, and libraries are those that deployrun.lock pins.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Modules, and directories with modules beneath them, of one project
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Opens it in a browser
    #[arg(long, conflicts_with = "check")]
    open: bool,
    /// Where the pages are written; the directory is made if it is missing
    #[arg(short, long, value_name = "DIR", conflicts_with = "check")]
    output: Option<PathBuf>,
    /// Writes nothing; looks for links that lead nowhere and for examples that `check` would not pass,
    /// and exits with 1 if there are any
    #[arg(long)]
    check: bool,
}

const EXAMPLES: &str = "Examples:
  deployrun doc --open
      what the plans here can call, in a browser
  deployrun doc --output public lib
      an index.html to be published
  deployrun doc --format markdown --output docs/api
      a page a module
  deployrun doc --check
      in the pipeline of a library";

impl Args {
    pub(super) fn is_check(&self) -> bool {
        self.check
    }
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let documented = match Documented::read(&args.paths) {
        Ok(documented) => documented,
        Err(problem) => {
            say(context, &problem);
            return 1;
        }
    };
    let found = faults(&documented);
    if args.check {
        let name = visible(&documented.manual.title);
        return check::told(context, &found, &format!("the comments of {name}"));
    }
    let path = match write(context, args, &documented) {
        Ok(path) => path,
        Err(problem) => {
            say(context, &problem);
            return 1;
        }
    };
    if context.verbosity >= 0 {
        out::line(&visible(&path.display().to_string()));
        match found.len() {
            0 => {}
            1 => out::line("something in the comments is broken: deployrun doc --check tells it"),
            n => out::line(&format!(
                "{n} things in the comments are broken: deployrun doc --check tells them"
            )),
        }
    }
    match args.open {
        true => open(context, &path),
        false => 0,
    }
}

/// What is broken in the comments of the project, by place.
pub(super) fn faults(documented: &Documented) -> Vec<Diagnostic> {
    let mut found = documented.syntax();
    found.extend(broken_links(&documented.manual));
    for example in examples(&documented.manual) {
        let faults = documented.faults(example.module, &example.code, example.is_test);
        found.extend(faults.into_iter().map(|fault| example.finding(fault)));
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    for one in &mut found {
        one.find_lines(|file| documented.text(file));
    }
    found
}

/// Writes the pages, and gives the first of them.
fn write(context: &Context, args: &Args, documented: &Documented) -> Result<PathBuf, String> {
    let manual = &documented.manual;
    let pages = match context.format {
        Format::Markdown => manual::pages(manual),
        _ => vec![("index.html".to_owned(), manual::document(manual))],
    };
    if let Some(dir) = &args.output {
        for (file, text) in &pages {
            write_one(&dir.join(file), text, false)?;
        }
        let first = pages.first().map_or("", |(file, _)| file);
        return Ok(dir.join(first));
    }
    match &*pages {
        [(_, text)] => {
            let path = document::place(&format!("doc-{}", file_name(&manual.title)))?;
            write_one(&path, text, true)?;
            Ok(path)
        }
        _ => Err("say where to write the pages: --output DIR".into()),
    }
}

fn write_one(path: &Path, text: &str, is_private: bool) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("{} can't be written: {error}", path.display());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(wrong)?;
    }
    document::write(path, text, is_private).map_err(wrong)
}

/// A title as a file can be called.
fn file_name(title: &str) -> String {
    let plain = |c: char| {
        if c.is_alphanumeric() || "-_".contains(c) {
            c
        } else {
            '-'
        }
    };
    title.chars().map(plain).collect()
}

fn open(context: &Context, path: &Path) -> u8 {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match document::open(&path) {
        Ok(true) => 0,
        Ok(false) => {
            out::line("there is neither $BROWSER nor xdg-open here: open it yourself");
            0
        }
        Err(problem) => {
            say(context, &problem);
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::code::{Code, ExampleFile};

    fn found(files: &[ExampleFile]) -> Vec<Diagnostic> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        for file in files {
            fs::write(dir.path().join(&file.name), &file.text).unwrap();
        }
        faults(&Documented::read(&[dir.path().to_owned()]).unwrap())
    }

    #[test]
    fn explanations_of_broken_comments_are_true() {
        for &code in Code::ALL.iter().filter(|code| code.is_of_comments()) {
            let explanation = code.explanation();
            let faults = found(&explanation.wrong);
            let codes: Vec<Code> = faults.iter().map(|fault| fault.code).collect();
            assert_eq!(codes, [code], "{faults:?}");
            assert_eq!(found(&explanation.right), [], "{code}");
        }
    }

    #[test]
    fn comments_of_the_stdlib_are_whole() {
        let mut manual = crate::words::manual::Manual {
            title: "deployrun".into(),
            parts: vec![
                crate::script::manual::functions(),
                crate::script::documented::stdlib(),
                crate::script::manual::functions_of_tests(),
            ],
        };
        for part in &mut manual.parts {
            part.is_own = true;
        }
        assert_eq!(broken_links(&manual), []);
        assert!(examples(&manual).len() > 15);
    }
}
