//! `deployrun lib`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::libraries::dependent::{Dependent, LOCK, VENDORED};
use crate::libraries::shelf;
use crate::libraries::upkeep::{Change, Upkeep};
use crate::report::out;
use crate::script::project_file;
use crate::words::hidden::visible;
use crate::words::library::lock::Locked;
use crate::words::library::{Origin, Reference, directory_of_a_repository};
use crate::words::project::FILE;

use super::context::{Context, Format};
use super::refuse::say;

/// Libraries of other teams: names, pins, fetches and copies them. A run fetches nothing.
///
/// A library is a directory or a git repository with a `deployrun.toml` that has a `[library]`, and
/// `.rhai` files. Plans import them as "NAME/FILE". What a project wants stands in its
/// `deployrun.toml`; what it has is pinned in `deployrun.lock`, by commit and SHA-256.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The project's directory [default: that of the nearest deployrun.toml, here or above]
    #[arg(long, value_name = "DIR", global = true, env = "DEPLOYRUN_PROJECT")]
    project: Option<PathBuf>,
    /// Fetches nothing; what is not in the cache is an error
    #[arg(long, global = true, env = "DEPLOYRUN_OFFLINE")]
    offline: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  deployrun lib list
      what the project has
  deployrun lib update
      pins what is newest
  deployrun lib verify
      compares every file with the lock, in a pipeline";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Names a library, fetches and pins it
    Add(Add),
    /// Takes a library out
    Remove {
        /// The library
        name: String,
    },
    /// Pins anew: the newest commit of a branch, the commit that a tag names now
    Update {
        /// The libraries; all without a name
        names: Vec<String>,
    },
    /// Gets the files that the lock pins and that are not here
    Fetch,
    /// Lists the libraries with their versions and origins
    List,
    /// Shows which library needs which
    Tree,
    /// Compares all files with the lock
    Verify,
    /// Copies the files of all libraries into the project; its plans use the copies from then on
    Vendor,
}

#[derive(Debug, clap::Args)]
struct Add {
    /// What imports begin with
    name: String,
    /// A directory, from that of deployrun.toml; it is read as it is. With --git, the directory of the
    /// repository that the library is
    #[arg(long, value_name = "DIR", required_unless_present = "git")]
    path: Option<String>,
    /// A git repository: whatever `git fetch` takes
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// A tag of it
    #[arg(long, requires = "git", conflicts_with_all = ["rev", "branch"])]
    tag: Option<String>,
    /// A commit of it
    #[arg(long, requires = "git", conflicts_with = "branch")]
    rev: Option<String>,
    /// A branch of it
    #[arg(long, requires = "git")]
    branch: Option<String>,
}

impl Add {
    fn origin(&self) -> Result<Origin, String> {
        Ok(match (&self.path, &self.git) {
            (Some(path), None) => Origin::Path(path.clone()),
            (path, url) => Origin::Git {
                url: url.clone().unwrap_or_default(),
                within: path.as_deref().map(directory_of_a_repository).transpose()?,
                reference: match (&self.tag, &self.rev, &self.branch) {
                    (Some(tag), _, _) => Reference::Tag(tag.clone()),
                    (_, Some(rev), _) => Reference::Rev(rev.clone()),
                    (_, _, Some(branch)) => Reference::Branch(branch.clone()),
                    _ => Reference::Default,
                },
            },
        })
    }
}

pub(super) fn run(context: &Context, args: &Args) -> u8 {
    match carry_out(context, args) {
        Ok(status) => status,
        Err(problem) => {
            say(context, &problem);
            1
        }
    }
}

fn carry_out(context: &Context, args: &Args) -> Result<u8, String> {
    let adds = matches!(args.command, Command::Add(_));
    let dir = project_dir(args.project.as_deref(), adds)?;
    let cache = shelf::default_cache();
    let upkeep = Upkeep::new(&dir, &cache, args.offline);
    match &args.command {
        Command::Add(add) => tell_changes(context, &upkeep.add(&add.name, &add.origin()?)?),
        Command::Remove { name } => tell_changes(context, &upkeep.remove(name)?),
        Command::Update { names } => tell_changes(context, &upkeep.update(names)?),
        Command::Fetch => {
            Dependent::read(&dir)?.matches()?;
            tell_names(context, "fetched", &upkeep.fetch()?);
        }
        Command::Vendor => {
            let copied = upkeep.vendor()?;
            tell_names(context, &format!("copied to {VENDORED}"), &copied);
        }
        Command::List => {
            let dependent = Dependent::read(&dir)?;
            dependent.matches()?;
            list(context, &dependent, &cache);
        }
        Command::Tree => tree(context, &Dependent::read(&dir)?)?,
        Command::Verify => return verify(context, &Dependent::read(&dir)?, &cache),
    }
    Ok(0)
}

fn project_dir(named: Option<&Path>, may_be_new: bool) -> Result<PathBuf, String> {
    if let Some(dir) = named {
        return std::path::absolute(dir).map_err(|e| format!("{}: {e}", dir.display()));
    }
    let here = std::env::current_dir().map_err(|e| format!("the working directory: {e}"))?;
    match project_file::dir(&here) {
        Some(dir) => Ok(dir),
        None if may_be_new => Ok(here),
        None => Err(format!(
            "there is no {FILE} here or above; `deployrun lib add` makes one"
        )),
    }
}

fn tell_changes(context: &Context, changes: &[Change]) {
    if context.format == Format::Json {
        for change in changes {
            out::line(
                &json!({ "library": change.name, "before": change.before, "after": change.after })
                    .to_string(),
            );
        }
        return;
    }
    if changes.is_empty() {
        out::line("nothing changed");
    }
    for change in changes {
        let line = match (&change.before, &change.after) {
            (None, Some(new)) => format!("+ {}", shown(new)),
            (Some(old), None) => format!("- {}", shown(old)),
            (Some(old), Some(new)) => format!("~ {} -> {}", shown(old), end_of(new)),
            (None, None) => continue,
        };
        out::line(&visible(&line));
    }
}

fn shown(library: &Locked) -> String {
    format!("{} {}", library.name, end_of(library))
}

/// `1.4.0 (git+…#tag=v1.4.0, 0123456789ab)`
fn end_of(library: &Locked) -> String {
    let commit = library
        .commit
        .as_deref()
        .map_or_else(String::new, |commit| {
            format!(", {}", commit.get(..12).unwrap_or(commit))
        });
    format!("{} ({}{commit})", library.version, library.origin)
}

fn tell_names(context: &Context, what: &str, names: &[String]) {
    if context.format == Format::Json {
        out::line(&json!({ "libraries": names }).to_string());
    } else if names.is_empty() {
        out::line("nothing to do");
    } else {
        out::line(&format!("{what}: {}", names.join(", ")));
    }
}

fn list(context: &Context, dependent: &Dependent, cache: &Path) {
    let rows = dependent.lock.libraries();
    let dir = |library: &Locked| dependent.dir_of(library, cache).ok();
    if context.format == Format::Json {
        for library in rows {
            let mut line = json!(library);
            line["dir"] = dir(library).map_or(Value::Null, |dir| json!(dir));
            out::line(&line.to_string());
        }
        return;
    }
    if rows.is_empty() {
        out::line("no libraries");
    }
    for library in rows {
        let missing = if dir(library).is_some() {
            ""
        } else {
            "; not here, see `deployrun lib fetch`"
        };
        out::line(&visible(&format!("{}{missing}", shown(library))));
    }
}

fn tree(context: &Context, dependent: &Dependent) -> Result<(), String> {
    let wants: Vec<&String> = dependent.declared.wants.keys().collect();
    if context.format == Format::Json {
        let needs: Value = dependent
            .lock
            .libraries()
            .iter()
            .map(|library| (library.name.clone(), json!(library.needs)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        out::line(&json!({ "wants": wants, "needs": needs }).to_string());
        return Ok(());
    }
    out::line(&visible(&dependent.dir.display().to_string()));
    branches(dependent, &wants, "")
}

fn branches(dependent: &Dependent, names: &[&String], indent: &str) -> Result<(), String> {
    for (n, name) in names.iter().enumerate() {
        let is_last = n + 1 == names.len();
        let (mark, below) = if is_last {
            ("└── ", "    ")
        } else {
            ("├── ", "│   ")
        };
        let library = dependent.lock.get(name).ok_or_else(|| {
            format!("{LOCK} has no library `{name}`; `deployrun lib update` mends that")
        })?;
        out::line(&visible(&format!("{indent}{mark}{}", shown(library))));
        let needs: Vec<&String> = library.needs.iter().collect();
        branches(dependent, &needs, &format!("{indent}{below}"))?;
    }
    Ok(())
}

fn verify(context: &Context, dependent: &Dependent, cache: &Path) -> Result<u8, String> {
    dependent.libraries(cache)?;
    let pinned = |library: &&Locked| library.sha256.is_some();
    let (pinned, paths): (Vec<&Locked>, Vec<&Locked>) =
        dependent.lock.libraries().iter().partition(pinned);
    let names = |libraries: &[&Locked]| -> Vec<String> {
        libraries
            .iter()
            .map(|library| library.name.clone())
            .collect()
    };
    if context.format == Format::Json {
        out::line(
            &json!({ "verified": names(&pinned), "read as they are": names(&paths) }).to_string(),
        );
        return Ok(0);
    }
    if !pinned.is_empty() {
        out::line(&format!("as {LOCK} says: {}", names(&pinned).join(", ")));
    }
    if !paths.is_empty() {
        let names = names(&paths).join(", ");
        out::line(&format!("read as they are, from a path: {names}"));
    }
    if dependent.lock.libraries().is_empty() {
        out::line("no libraries");
    }
    Ok(0)
}
