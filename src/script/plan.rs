//! A plan as it was read: its sources, their fingerprint, and their syntax trees.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rhai::AST;
use sha2::{Digest, Sha256};

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::digest::hex;
use crate::words::place::Place;
use crate::words::project::Project;

use super::engine;
use super::library_sources::LibrarySources;
use super::modules::{self, ImportPath};
use super::own_names;
use super::project_file;
use super::source_text;

/// Bytes that a source may have. Far above any plan.
const SOURCE_MAX: u64 = 4 * 1024 * 1024;

/// One module in several files: Rhai gives the private functions of a module to no other one.
const PACKAGES: &str = concat!(
    include_str!("../../stdlib/packages.rhai"),
    include_str!("../../stdlib/packages/way_back.rhai"),
    include_str!("../../stdlib/packages/managers.rhai"),
    include_str!("../../stdlib/packages/apk.rhai"),
    include_str!("../../stdlib/packages/apt.rhai"),
    include_str!("../../stdlib/packages/dnf.rhai"),
    include_str!("../../stdlib/packages/pacman.rhai"),
);

/// The same of `std/postgres`.
const POSTGRES: &str = concat!(
    include_str!("../../stdlib/postgres.rhai"),
    include_str!("../../stdlib/postgres/dumps.rhai"),
    include_str!("../../stdlib/postgres/statements.rhai"),
);

/// Modules that are part of deployrun, by path.
const STDLIB: &[(&str, &str)] = &[
    ("std/archives", include_str!("../../stdlib/archives.rhai")),
    ("std/checks", include_str!("../../stdlib/checks.rhai")),
    (
        "std/containers",
        include_str!("../../stdlib/containers.rhai"),
    ),
    ("std/files", include_str!("../../stdlib/files.rhai")),
    ("std/git", include_str!("../../stdlib/git.rhai")),
    ("std/haproxy", include_str!("../../stdlib/haproxy.rhai")),
    ("std/http", include_str!("../../stdlib/http.rhai")),
    (
        "std/kubernetes",
        include_str!("../../stdlib/kubernetes.rhai"),
    ),
    ("std/nginx", include_str!("../../stdlib/nginx.rhai")),
    ("std/notify", include_str!("../../stdlib/notify.rhai")),
    ("std/postgres", POSTGRES),
    ("std/packages", PACKAGES),
    ("std/releases", include_str!("../../stdlib/releases.rhai")),
    ("std/services", include_str!("../../stdlib/services.rhai")),
    (
        "std/strategies",
        include_str!("../../stdlib/strategies.rhai"),
    ),
];

/// A plan and the modules it imports, read once.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The plan's file, as it is called in reports.
    main: String,
    /// The directory that holds the plan; nothing is imported from outside it.
    root: PathBuf,
    sources: BTreeMap<String, String>,
    asts: BTreeMap<String, Arc<AST>>,
    /// The same as they are run, once somebody runs them.
    running: OnceLock<BTreeMap<String, Arc<AST>>>,
    /// Trees of sources with errors; only the static check looks at them.
    faulty: BTreeMap<String, Arc<AST>>,
    problems: Vec<Diagnostic>,
    project: Option<Project>,
}

/// Why a plan could not be read at all.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

impl Plan {
    /// Reads the plan at `path` and all it imports. What is wrong with their text is no error
    /// here: the static check tells it, all at once.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let root = path.parent().unwrap_or(Path::new(""));
        Self::read_below(root, path)
    }

    /// Reads the plan at `path`, which lies below `root`: its relative paths count from there, and
    /// it may import what lies there.
    ///
    /// # Errors
    /// When the plan itself cannot be read.
    pub fn read_below(root: &Path, path: &Path) -> Result<Self, ReadError> {
        let error = |problem: String| ReadError {
            path: path.to_owned(),
            problem,
        };
        let text = read_source(path).map_err(error)?;
        let root = match root.as_os_str().is_empty() {
            true => std::env::current_dir(),
            false => std::path::absolute(root),
        };
        let root = root.map_err(|e| error(e.to_string()))?;
        let absolute = std::path::absolute(path).map_err(|e| error(e.to_string()))?;
        let name = absolute.strip_prefix(&root).ok().and_then(Path::to_str);
        let main = name
            .ok_or_else(|| error("its name is not valid UTF-8".into()))?
            .to_owned();
        let mut plan = Self::empty(main.clone(), root.clone());
        // Before the modules: it may say where they are.
        match project_file::read(&root) {
            Ok(project) => plan.project = project,
            Err(problems) => plan.problems = problems,
        }
        let libraries = LazyCell::new(|| LibrarySources::around(&root));
        plan.add(
            main,
            text,
            &|_| None,
            &|plan, from, id| match modules::library_of(id) {
                Some((name, file)) => libraries.read(from, name, file),
                None => read_below(&plan.root, id, "the plan's directory")
                    .map_err(|problem| (format!("`{id}` can't be imported: {problem}"), None)),
            },
        );
        // A step may switch the link that led here; the plan's directory stays what it was.
        plan.root = root.canonicalize().unwrap_or(root);
        Ok(plan)
    }

    /// The same plan, with another directory in which its commands run.
    #[must_use]
    pub fn rooted(&self, root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            ..self.clone()
        }
    }

    /// A plan of which the sources are at hand; its commands run in `root`.
    #[must_use]
    pub fn from_sources(main: &str, root: &Path, sources: BTreeMap<String, String>) -> Self {
        let mut plan = Self::empty(main.to_owned(), root.to_owned());
        let Some(text) = sources.get(main).cloned() else {
            let place = Place::new(main, 0, 0);
            let problem = Diagnostic::new(Code::Unreadable, place, "the plan's source is missing");
            plan.problems.push(problem);
            return plan;
        };
        let given = |id: &str| sources.get(id).map(String::as_str);
        plan.add(main.to_owned(), text, &given, &|_, _, id| {
            let there = sources.get(id).cloned();
            there.ok_or_else(|| (format!("`{id}` can't be imported: no such file"), None))
        });
        plan
    }

    fn empty(main: String, root: PathBuf) -> Self {
        Self {
            main,
            root,
            sources: BTreeMap::new(),
            asts: BTreeMap::new(),
            running: OnceLock::new(),
            faulty: BTreeMap::new(),
            problems: Vec::new(),
            project: None,
        }
    }

    /// Parses one source and reads what it imports, and so on; modules of deployrun as they are
    /// `given`, if they are.
    fn add<'s>(
        &mut self,
        id: String,
        text: String,
        given: &dyn Fn(&str) -> Option<&'s str>,
        read: &dyn Fn(&Self, &str, &str) -> Result<String, modules::Problem>,
    ) {
        let mut to_do = vec![(id, text)];
        while let Some((id, text)) = to_do.pop() {
            self.problems
                .extend(source_text::hidden_characters(&id, &text));
            if let Some(problem) = source_text::too_long(&id, &text) {
                self.problems.push(problem);
                self.sources.insert(id, text);
                continue;
            }
            let mut parsed = engine::parse(&id, &text);
            let is_faulty = !parsed.found.is_empty();
            self.problems.append(&mut parsed.found);
            self.sources.insert(id.clone(), text);
            let Some(ast) = parsed.ast else { continue };
            for import in modules::imports(&ast, &id) {
                let problem = match modules::resolve(&id, &import.path) {
                    Ok(ImportPath::Embedded(path)) if self.sources.contains_key(&path) => continue,
                    // What a run was started with is what it is taken up with, whatever the modules
                    // of this deployrun are.
                    Ok(ImportPath::Embedded(path)) => match given(&path).or(stdlib(&path)) {
                        Some(text) => {
                            to_do.push((path, text.to_owned()));
                            continue;
                        }
                        None => modules::unknown_std(&path),
                    },
                    Ok(ImportPath::File(path)) if self.sources.contains_key(&path) => continue,
                    Ok(ImportPath::File(path) | ImportPath::Library(path)) => {
                        // Read even if it is there: not everybody may import it.
                        match read(self, &id, &path) {
                            Ok(_) if self.sources.contains_key(&path) => continue,
                            Ok(text) => {
                                to_do.push((path, text));
                                continue;
                            }
                            Err(problem) => problem,
                        }
                    }
                    Err(problem) => problem,
                };
                let mut found = Diagnostic::new(Code::BadImport, import.place, problem.0);
                found.hint = problem.1;
                self.problems.push(found);
            }
            let trees = if is_faulty {
                &mut self.faulty
            } else {
                &mut self.asts
            };
            trees.insert(id, Arc::new(ast));
        }
        self.problems
            .extend(modules::cycles(&self.main, &self.asts));
        let sources = &self.sources;
        for problem in &mut self.problems {
            problem.find_lines(|file| sources.get(file).map(String::as_str));
        }
    }

    /// The plan's own file, as it is called in reports.
    #[must_use]
    pub fn main(&self) -> &str {
        &self.main
    }

    /// What it is called when its header does not say: its file, without the ending.
    #[must_use]
    pub fn name(&self) -> String {
        self.main
            .strip_suffix(".rhai")
            .unwrap_or(&self.main)
            .to_owned()
    }

    /// The directory in which its commands run, and from which relative paths count.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every source by its id.
    #[must_use]
    pub fn sources(&self) -> &BTreeMap<String, String> {
        &self.sources
    }

    /// Where the source `id` lies, relative to the root; `None` for a module of deployrun or of a
    /// library, which is called by its id.
    #[must_use]
    pub fn file_of(&self, id: &str) -> Option<String> {
        let is_elsewhere = id.starts_with("std/") || modules::library_of(id).is_some();
        (!is_elsewhere).then(|| id.to_owned())
    }

    /// Every source that could be parsed.
    #[must_use]
    pub fn asts(&self) -> &BTreeMap<String, Arc<AST>> {
        &self.asts
    }

    /// The trees as they are run: what a module calls of its own has names that no other source has.
    pub(super) fn running(&self) -> &BTreeMap<String, Arc<AST>> {
        self.running
            .get_or_init(|| own_names::trees(&self.main, &self.asts, &self.sources))
    }

    /// The same plan with other trees of its sources.
    pub(super) fn with_trees(&self, asts: BTreeMap<String, Arc<AST>>) -> Self {
        Self {
            running: OnceLock::from(asts.clone()),
            asts,
            ..self.clone()
        }
    }

    /// The trees of all sources that have one, those with errors too.
    pub(super) fn trees(&self) -> impl Iterator<Item = (&str, &AST)> {
        self.asts
            .iter()
            .chain(&self.faulty)
            .map(|(id, ast)| (id.as_str(), &**ast))
    }

    /// What the project file above the plan says; `None` when there is none, or a plan was made
    /// from sources at hand.
    #[must_use]
    pub fn project(&self) -> Option<&Project> {
        self.project.as_ref()
    }

    /// What is wrong with the text: syntax, imports, the project file.
    #[must_use]
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// SHA-256 over all sources, in hex.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for (id, text) in &self.sources {
            // Lengths keep one source's end apart from the next one's begin.
            for part in [id, text] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part.as_bytes());
            }
        }
        hex(&digest.finalize())
    }
}

fn stdlib(path: &str) -> Option<&'static str> {
    STDLIB
        .iter()
        .find(|(id, _)| *id == path)
        .map(|(_, text)| *text)
}

/// The modules that are part of deployrun: path and text.
pub(super) fn stdlib_sources() -> impl Iterator<Item = (&'static str, &'static str)> {
    STDLIB.iter().copied()
}

/// The paths of the modules that are part of deployrun.
pub fn stdlib_paths() -> impl Iterator<Item = &'static str> {
    STDLIB.iter().map(|(id, _)| *id)
}

/// The text of a file that a person wrote, without a byte order mark.
///
/// # Errors
/// When it is no regular file, too large, not UTF-8, or can't be read.
pub fn read_source(path: &Path) -> Result<String, String> {
    let facts = std::fs::metadata(path).map_err(|e| io_words(&e))?;
    if facts.is_dir() {
        return Err("it is a directory, not a file".into());
    }
    // A pipe would be waited for, and a device may have no end.
    if !facts.is_file() {
        return Err("it is not a regular file".into());
    }
    if facts.len() > SOURCE_MAX {
        return Err(format!(
            "it has {} bytes; at most {SOURCE_MAX} are read",
            facts.len()
        ));
    }
    let bytes = std::fs::read(path).map_err(|e| io_words(&e))?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("it is UTF-16; save it as UTF-8".into());
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let good = e.as_bytes().get(..at).unwrap_or_default();
        let line = good.split(|b| *b == b'\n').count();
        format!(
            "it is not valid UTF-8 (in line {line}, at byte {at} of the file); save it as UTF-8"
        )
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}

/// Reads the source `id` below `dir`, which is called `what`.
pub(super) fn read_below(dir: &Path, id: &str, what: &str) -> Result<String, String> {
    let file = dir.join(id);
    if !file.exists()
        && let Some(other) = in_other_case(dir, id)
    {
        return Err(format!(
            "no such file; there is `{other}`, in other letters"
        ));
    }
    jail(dir, &file, what)?;
    read_source(&file)
}

/// A file whose name differs from `id` only in capital and small letters.
fn in_other_case(root: &Path, id: &str) -> Option<String> {
    let mut found = Vec::new();
    for part in id.split('/') {
        let dir = root.join(found.join("/"));
        let names = std::fs::read_dir(dir).ok()?.flatten();
        let mut names = names.filter_map(|entry| entry.file_name().into_string().ok());
        found.push(names.find(|name| name.to_lowercase() == part.to_lowercase())?);
    }
    Some(found.join("/"))
}

/// Symbolic links may not lead out of the root either.
fn jail(root: &Path, file: &Path, what: &str) -> Result<(), String> {
    let real_root = root.canonicalize().map_err(|e| io_words(&e))?;
    let real = file.canonicalize().map_err(|e| io_words(&e))?;
    if real.starts_with(&real_root) {
        Ok(())
    } else {
        Err(format!("it leads outside {what}, to {}", real.display()))
    }
}

fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".into(),
        std::io::ErrorKind::NotADirectory => "a part of its path is not a directory".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_taken_up_with_the_modules_that_it_was_started_with() {
        let main = "import \"std/http\" as http; http::status(\"u\");";
        let old = "fn status(url) { url }";
        let with = |sources: &[(&str, &str)]| {
            let sources = sources
                .iter()
                .map(|(id, text)| ((*id).into(), (*text).into()));
            Plan::from_sources("plan.rhai", Path::new("/"), sources.collect())
        };
        let frozen = with(&[("plan.rhai", main), ("std/http", old)]);
        assert_eq!(
            frozen.sources().get("std/http").map(String::as_str),
            Some(old)
        );
        let of_today = with(&[("plan.rhai", main)]);
        assert_eq!(
            of_today.sources().get("std/http").map(String::as_str),
            stdlib("std/http")
        );
    }
}
