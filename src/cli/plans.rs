//! The plans that are meant: files, and directories with plans beneath them. And what their sources
//! are called for those who asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Plan;
use crate::script::documented::is_plan;
use crate::script::plan::ReadError;
use crate::script::testing::is_test_file;
use crate::script::testing::suite::root_of;
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::paths::normal;
use crate::words::place::Place;

/// The plans at these paths, in their order, those of a directory by name. A file of a directory is a
/// plan when it ends in `.rhai` and a line of it begins with `plan(`, or when it is a test file; hidden
/// directories are left out,
/// and links to directories are not followed.
pub(super) fn at(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<Diagnostic>) {
    let (mut plans, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        if !path.is_dir() {
            plans.push(path.clone());
            continue;
        }
        let before = plans.len() + problems.len();
        beneath(path, &mut plans, &mut problems);
        if plans.len() + problems.len() == before {
            let text = "there is no plan in this directory";
            let hint =
                "a plan is a file NAME.rhai that calls plan(…); name a file to check it as one";
            problems.push(unreadable(path, text).with_hint(hint));
        }
    }
    let mut seen = std::collections::HashSet::new();
    plans.retain(|plan| seen.insert(normal(plan)));
    (plans, problems)
}

fn beneath(dir: &Path, plans: &mut Vec<PathBuf>, problems: &mut Vec<Diagnostic>) {
    let entries = std::fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(unreadable(
                dir,
                format!("this directory can't be read: {error}"),
            ));
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !is_hidden {
                beneath(&path, plans, problems);
            }
        } else if path.extension().is_some_and(|ending| ending == "rhai")
            && (is_test(&path) || has_header(&path))
        {
            plans.push(normal(&path));
        }
    }
}

/// Is it a test file, by its name?
fn is_test(path: &Path) -> bool {
    path.to_str().is_some_and(is_test_file)
}

/// Reads a plan, or a test file with its project.
pub(super) fn read(path: &Path) -> Result<Plan, ReadError> {
    if is_test(path) {
        Plan::read_below(&root_of(path), path)
    } else {
        Plan::read(path)
    }
}

/// Is it a plan, by its text? One that cannot be read is taken for one, so that this is told.
fn has_header(path: &Path) -> bool {
    if !path.is_file() {
        return true;
    }
    let Ok(bytes) = std::fs::read(path) else {
        return true;
    };
    is_plan(&String::from_utf8_lossy(&bytes))
}

/// A plan, or a directory of plans, that cannot be read.
pub(super) fn unreadable(path: &Path, problem: impl Into<String>) -> Diagnostic {
    let place = Place::new(path.display().to_string(), 0, 0);
    Diagnostic::new(Code::Unreadable, place, problem)
}

/// What the sources of a plan are called by the one who named its file.
pub(super) struct Names {
    dir: PathBuf,
    files: BTreeMap<String, Option<String>>,
}

impl Names {
    pub(super) fn of(path: &Path, plan: &Plan) -> Self {
        let ids = plan.sources().keys();
        Self {
            dir: if is_test(path) {
                let here = std::env::current_dir().unwrap_or_default();
                let root = plan.root();
                root.strip_prefix(&here).unwrap_or(root).to_owned()
            } else {
                path.parent().unwrap_or(Path::new("")).to_owned()
            },
            files: ids.map(|id| (id.clone(), plan.file_of(id))).collect(),
        }
    }

    /// Calls the files of findings so.
    pub(super) fn tell(&self, found: &mut [Diagnostic]) {
        for problem in found {
            problem.rename_files(|id| {
                let file = match self.files.get(id) {
                    Some(None) => return id.to_owned(),
                    Some(Some(file)) => file,
                    // The project file; or nothing at all.
                    None if id.is_empty() => return String::new(),
                    None => id,
                };
                normal(&self.dir.join(file)).display().to_string()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_found_by_their_header() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("b/web.rhai", "import \"./x\" as x;\n\nplan (#{});\n");
        write("a.rhai", "  plan(#{ broken\n");
        write("b/module.rhai", "fn f() { plan2(); }\n// the plan(s)\n");
        write("b/notes.txt", "plan(#{});\n");
        write(".git/c.rhai", "plan(#{});\n");
        write("d/utf16.rhai", "p\0l\0a\0n\0(\0");
        let (plans, problems) = at(&[dir.path().to_owned(), dir.path().join("a.rhai")]);
        let names: Vec<_> = plans
            .iter()
            .map(|plan| plan.strip_prefix(dir.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(
            (names, problems.len()),
            (vec!["a.rhai".into(), "b/web.rhai".into()], 0)
        );
        let (plans, problems) = at(&[dir.path().join("d")]);
        assert_eq!((plans.len(), problems.len()), (0, 1));
    }
}
