//! `deployrun new`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::report::line::Tone;
use crate::report::out;
use crate::words::call::shell_word;
use crate::words::hidden::visible;

use super::context::{Context, Format};
use super::refuse::say;

/// Makes a project to begin with: a plan that runs as it is, and what belongs to it.
///
/// It asks nothing. Where a file of the project is there already, nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Where; it is made if it is missing
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What is deployed [default: the name of the directory]
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
}

const EXAMPLES: &str = "Examples:
  deployrun new shop
      in a directory of its own
  deployrun new --name shop-web
      here";

/// The files: where, what, and the permission bits.
const FILES: &[(&str, &str, u32)] = &[
    ("README.md", include_str!("new/README.md"), 0o666),
    ("plan.rhai", include_str!("new/plan.rhai"), 0o666),
    ("lib/site.rhai", include_str!("new/lib/site.rhai"), 0o666),
    (
        "tests/site_test.rhai",
        include_str!("new/site_test.rhai"),
        0o666,
    ),
    ("dist/index.html", include_str!("new/index.html"), 0o666),
    ("ci.sh", include_str!("new/ci.sh"), 0o777),
    (
        ".github/workflows/plan.yml",
        include_str!("new/github.yml"),
        0o666,
    ),
    (".gitlab-ci.yml", include_str!("new/gitlab.yml"), 0o666),
];

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "._-".contains(c)
}

fn name(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("write letters, digits, `.`, `_` and `-`".into())
    }
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    let shown = visible(&args.dir.display().to_string());
    let there: Vec<&str> = FILES
        .iter()
        .map(|(path, ..)| *path)
        .filter(|path| fs::symlink_metadata(args.dir.join(path)).is_ok())
        .collect();
    if !there.is_empty() {
        let text = format!(
            "{shown} has {} already; nothing was written",
            there.join(", ")
        );
        say(context, &text);
        return 1;
    }
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.dir));
    let mut made = Made::default();
    if let Err((path, error)) = write_all(&args.dir, &name, &mut made) {
        made.undo();
        let path = visible(&path.display().to_string());
        say(context, &format!("{path}: {error}; nothing was left there"));
        return 1;
    }
    tell(context, &args.dir, &name);
    0
}

/// What the directory is called, as a name of what is deployed.
fn name_of(dir: &Path) -> String {
    let whole = std::path::absolute(dir).unwrap_or_default();
    // `..` has no name before it is resolved.
    let whole = whole.canonicalize().unwrap_or(whole);
    let last = whole.file_name().unwrap_or_default().to_string_lossy();
    let name: String = last
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    match name.trim_matches('-') {
        "" => "service".to_owned(),
        name => name.to_owned(),
    }
}

/// What was made, in this order.
#[derive(Default)]
struct Made {
    dirs: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    fn undo(&self) {
        for file in self.files.iter().rev() {
            let _ = fs::remove_file(file);
        }
        // Only if they are empty.
        for dir in self.dirs.iter().rev() {
            let _ = fs::remove_dir(dir);
        }
    }

    fn dir(&mut self, dir: &Path) -> io::Result<()> {
        if dir.as_os_str().is_empty() || dir.is_dir() {
            return Ok(());
        }
        if let Some(above) = dir.parent() {
            self.dir(above)?;
        }
        fs::create_dir(dir)?;
        self.dirs.push(dir.to_owned());
        Ok(())
    }
}

fn write_all(dir: &Path, name: &str, made: &mut Made) -> Result<(), (PathBuf, io::Error)> {
    for (path, text, mode) in FILES {
        let path = dir.join(path);
        let text = text.replace("@NAME@", name);
        write(&path, &text, *mode, made).map_err(|error| (path, error))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32, made: &mut Made) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        made.dir(dir)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    made.files.push(path.to_owned());
    file.write_all(text.as_bytes())
}

fn tell(context: &Context, dir: &Path, name: &str) {
    let files: Vec<&str> = FILES.iter().map(|(path, ..)| *path).collect();
    if context.format == Format::Json {
        let line = json!({ "name": name, "dir": dir.display().to_string(), "files": files });
        return out::line(&line.to_string());
    }
    let shown = dir.display().to_string();
    let title = format!("{name}: a project in {}", visible(&shown));
    out::line(&context.style.paint(Tone::Heading, &title));
    for file in files {
        out::line(&format!("  {file}"));
    }
    let go = match dir == Path::new(".") {
        true => String::new(),
        false => format!("cd {} && ", shell_word(&shown)),
    };
    out::line("\nnext, in this order:");
    out::line(&format!("  {go}{} check plan.rhai", context.program));
    out::line(&format!("  {} test", context.program));
    out::line(&format!("  {} plan.rhai", context.program));
    out::line("  and README.md says how to break it");
}
