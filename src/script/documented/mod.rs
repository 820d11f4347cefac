//! Reads what is documented around a project: its own modules, the libraries that it has, the stdlib,
//! and the functions of deployrun. Nothing is fetched.

mod source;

pub use source::module;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::libraries::{Dependent, shelf};
use crate::words::code::Code;
use crate::words::diagnostic::{Diagnostic, Level};
use crate::words::library::lock::Locked;
use crate::words::library::{Manifest, Origin};
use crate::words::manual::{Comment, Manual, Module, Owner, Part};
use crate::words::paths::normal;
use crate::words::project::FILE;

use super::check::check;
use super::engine::parse;
use super::plan::{Plan, read_below, read_source, stdlib_sources};
use super::testing::is_test_file;
use super::testing::suite::root_of;
use super::{api, manual};

/// Directories that hold nothing of the project's own.
const NOT_LOOKED_INTO: &[&str] = &["vendor", "target", "node_modules"];

/// What is documented, and the sources of it.
pub struct Documented {
    /// It.
    pub manual: Manual,
    /// The directory of the project.
    pub root: PathBuf,
    /// By what reports call them.
    texts: BTreeMap<String, String>,
    /// By what plans of the project import.
    sources: BTreeMap<String, String>,
}

impl Documented {
    /// What is documented at and below these paths, which belong to one project, and in what it
    /// imports.
    ///
    /// # Errors
    /// When a file can't be read, or a library is not what the project pins.
    pub fn read(paths: &[PathBuf]) -> Result<Self, String> {
        let root = common_root(paths)?;
        let dependent = match root.join(FILE).exists() {
            true => Some(Dependent::read(&root)?),
            false => None,
        };
        let library = dependent
            .as_ref()
            .and_then(|dependent| dependent.declared.library.clone());
        let name = match &library {
            Some(library) => library.name.clone(),
            None => root.file_name().map_or_else(
                || "project".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            ),
        };
        let mut found = Self {
            manual: Manual {
                title: name.clone(),
                parts: Vec::new(),
            },
            root: root.clone(),
            texts: BTreeMap::new(),
            sources: BTreeMap::new(),
        };
        let own = found.own(&root, paths, library.as_ref().map(|library| &*library.name))?;
        if !own.is_empty() {
            found.manual.parts.push(Part {
                owner: Owner::Project,
                title: name.clone(),
                about: Comment::of(described(library.as_ref())),
                facts: library.as_ref().map(facts).unwrap_or_default(),
                is_own: true,
                name,
                modules: own,
            });
        }
        if let Some(dependent) = &dependent {
            found.libraries(dependent)?;
        }
        found
            .manual
            .parts
            .extend([manual::functions(), stdlib(), manual::functions_of_tests()]);
        Ok(found)
    }

    /// The text of a file, by what reports call it.
    #[must_use]
    pub fn text(&self, file: &str) -> Option<&str> {
        self.texts.get(file).map(String::as_str)
    }

    /// What of the project's own modules is not of the language: who can say what their comments are
    /// about?
    #[must_use]
    pub fn syntax(&self) -> Vec<Diagnostic> {
        let own = self.manual.parts.iter().filter(|part| part.is_own);
        let files = own.flat_map(|part| part.modules.iter().map(|module| module.about.file()));
        let texts = files.filter_map(|file| Some((file, self.text(file)?)));
        let found = texts.flat_map(|(file, text)| parse(file, text).found);
        found.filter(|one| one.code == Code::Syntax).collect()
    }

    /// The errors in an example of this module, by their places in it. It can import what the plans
    /// of the project can; one of a test has the functions of tests.
    ///
    /// Relative imports count from the project's directory, or from any between that and the module:
    /// nobody knows where the plan lies that the example is of.
    #[must_use]
    pub fn faults(&self, module: &str, example: &str, is_test: bool) -> Vec<Diagnostic> {
        // Where all that it imports is there, the other faults are true.
        let weight = |found: &Vec<Diagnostic>| {
            let is_lost = found.iter().any(|one| one.code == Code::BadImport);
            (is_lost, found.len())
        };
        let all = bases(module).into_iter();
        let all = all.map(|base| self.faults_in(&base, example, is_test));
        all.min_by_key(weight).unwrap_or_default()
    }

    fn faults_in(&self, base: &str, example: &str, is_test: bool) -> Vec<Diagnostic> {
        // No file is called so.
        let name = match is_test {
            true => "<example>_test.rhai",
            false => "<example>.rhai",
        };
        let main = format!("{base}{name}");
        let mut sources = self.sources.clone();
        sources.insert(main.clone(), example.to_owned());
        let plan = Plan::from_sources(&main, &self.root, sources);
        let mut found = check(&plan, &api::functions());
        found.retain(|one| one.level == Level::Error && one.place.file == main);
        found
    }

    /// The project's own modules. One that is a library is imported by its name.
    fn own(
        &mut self,
        root: &Path,
        paths: &[PathBuf],
        library: Option<&str>,
    ) -> Result<Vec<Module>, String> {
        let mut files = Vec::new();
        for path in paths {
            let facts = fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
            let path = std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))?;
            let path = normal(&path);
            match facts.is_dir() {
                true => modules_below(&path, true, &mut files)?,
                false => files.push(path),
            }
        }
        files.sort();
        files.dedup();
        let mut modules = Vec::new();
        for file in files {
            let below = file.strip_prefix(root).ok().and_then(Path::to_str);
            let Some(id) = below else {
                return Err(format!(
                    "{} is not in the project {}",
                    file.display(),
                    root.display()
                ));
            };
            let id = id.to_owned();
            let text = read_source(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let path = id.strip_suffix(".rhai").unwrap_or(&id);
            let path = match library {
                Some(library) => format!("{library}/{path}"),
                None => format!("./{path}"),
            };
            let shown = shown(&file);
            modules.push(module(&path, &shown, &text));
            if let Some(library) = library {
                let id = format!("@{library}/{id}");
                self.sources.insert(id, text.clone());
            }
            self.sources.insert(id, text.clone());
            self.texts.insert(shown, text);
        }
        Ok(modules)
    }

    /// The libraries that the project has, at what its lock pins.
    fn libraries(&mut self, dependent: &Dependent) -> Result<(), String> {
        let libraries = dependent.libraries(&shelf::default_cache())?;
        for (name, dir) in libraries.all() {
            let Some(locked) = dependent.lock.get(name) else {
                continue;
            };
            let manifest = shelf::manifest(name, dir)?;
            let is_own = matches!(locked.origin.parse(), Ok(Origin::Path(_)));
            let mut files = Vec::new();
            modules_below(dir, true, &mut files)?;
            files.sort();
            let mut modules = Vec::new();
            for file in files {
                let Some(id) = file.strip_prefix(dir).ok().and_then(Path::to_str) else {
                    continue;
                };
                let text = read_below(dir, id, &format!("the library `{name}`"))
                    .map_err(|e| format!("{}: {e}", file.display()))?;
                let path = id.strip_suffix(".rhai").unwrap_or(id);
                let shown = match is_own {
                    true => shown(&file),
                    false => format!("@{name}/{id}"),
                };
                modules.push(module(&format!("{name}/{path}"), &shown, &text));
                self.sources.insert(format!("@{name}/{id}"), text.clone());
                self.texts.insert(shown, text);
            }
            let mut facts = facts(&manifest);
            facts.extend(origin(locked));
            self.manual.parts.push(Part {
                owner: Owner::Library,
                name: name.to_owned(),
                title: name.to_owned(),
                about: Comment::of(described(Some(&manifest))),
                facts,
                is_own,
                modules,
            });
        }
        Ok(())
    }
}

/// The directories from which relative imports of an example may count, each with its `/`.
fn bases(module: &str) -> Vec<String> {
    let (mut base, path) = match module.strip_prefix("./") {
        Some(path) => (String::new(), path),
        None => match module.split_once('/') {
            Some(("std", _)) | None => return vec![String::new()],
            Some((library, path)) => (format!("@{library}/"), path),
        },
    };
    let mut all = vec![String::new()];
    if !base.is_empty() {
        all.push(base.clone());
    }
    let mut steps: Vec<&str> = path.split('/').collect();
    steps.pop();
    for step in steps {
        base = format!("{base}{step}/");
        all.push(base.clone());
    }
    all
}

/// The stdlib.
#[must_use]
pub fn stdlib() -> Part {
    let modules = stdlib_sources().map(|(path, text)| module(path, path, text));
    let mut modules: Vec<Module> = modules.collect();
    modules.sort_by(|a, b| a.path.cmp(&b.path));
    Part {
        owner: Owner::Std,
        name: "std".into(),
        title: "The stdlib".into(),
        about: Comment::of(
            "Helpers that know how to undo themselves. A helper looks first; when all is as it \
             should be it changes nothing and returns `false`. Otherwise it acts, and returns \
             `true`. Its back-out is armed before it acts, and restores exactly what was there.",
        ),
        facts: Vec::new(),
        is_own: false,
        modules,
    }
}

fn described(library: Option<&Manifest>) -> String {
    library.map_or_else(String::new, |library| library.description.clone())
}

fn facts(library: &Manifest) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Version", library.version.to_string())];
    if let Some(wanted) = &library.deployrun {
        facts.push(("deployrun", wanted.clone()));
    }
    if !library.needs.is_empty() {
        let needs: Vec<&str> = library.needs.keys().map(String::as_str).collect();
        facts.push(("Needs", needs.join(", ")));
    }
    facts
}

fn origin(locked: &Locked) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Source", locked.origin.clone())];
    if let Some(commit) = &locked.commit {
        facts.push(("Commit", commit.clone()));
    }
    if let Some(sha256) = &locked.sha256 {
        facts.push(("SHA-256", sha256.clone()));
    }
    facts
}

/// The project to which all paths belong.
fn common_root(paths: &[PathBuf]) -> Result<PathBuf, String> {
    let mut root: Option<PathBuf> = None;
    for path in paths {
        let path = std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let path = normal(&path);
        // Of a directory itself too.
        let own = match path.is_dir() {
            true => root_of(&path.join("_")),
            false => root_of(&path),
        };
        match &root {
            Some(known) if *known != own => {
                return Err(format!(
                    "the paths belong to two projects, {} and {}; name those of one at a time",
                    known.display(),
                    own.display()
                ));
            }
            _ => root = Some(own),
        }
    }
    root.ok_or_else(|| "there is no path".to_owned())
}

/// The modules below a directory: sources that are no tests and no plans. What is hidden, vendored or
/// built is left out, and so are links and other projects.
fn modules_below(dir: &Path, is_named: bool, found: &mut Vec<PathBuf>) -> Result<(), String> {
    if !is_named && dir.join(FILE).exists() {
        return Ok(());
    }
    let wrong = |e: std::io::Error| format!("{}: {e}", dir.display());
    for entry in fs::read_dir(dir).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type().map_err(wrong)?;
        if name.starts_with('.') || NOT_LOOKED_INTO.contains(&&*name) {
            continue;
        }
        if kind.is_dir() {
            modules_below(&path, false, found)?;
        } else if kind.is_file() && name.ends_with(".rhai") && !is_test_file(&name) {
            let text = read_source(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            if !is_plan(&text) {
                found.push(path);
            }
        }
    }
    Ok(())
}

/// Does a line of it call `plan(`?
#[must_use]
pub fn is_plan(text: &str) -> bool {
    text.lines().any(|line| {
        let rest = line.trim_start().strip_prefix("plan");
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
    })
}

/// What reports call a file: its path from where this process works, if it lies below.
fn shown(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let near = file.strip_prefix(&here).unwrap_or(file);
    near.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_imports_may_count_from_every_directory_on_the_way() {
        assert_eq!(bases("./a/b/c"), ["", "a/", "a/b/"]);
        assert_eq!(bases("./c"), [""]);
        assert_eq!(bases("platform/db/pg"), ["", "@platform/", "@platform/db/"]);
        assert_eq!(bases("std/files"), [""]);
    }
}
