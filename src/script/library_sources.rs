//! The sources of libraries that the plans of a project import.

use std::path::Path;

use crate::libraries::{Dependent, Libraries, shelf};
use crate::words::project;
use crate::words::suggest::nearest;

use super::modules::{Problem, library_of};
use super::plan::read_below;
use super::project_file;

/// What the plans of a directory may import of libraries.
pub(super) struct LibrarySources {
    /// `None` when no project is around the plans.
    libraries: Result<Option<Libraries>, String>,
}

impl LibrarySources {
    /// What the project around the plans in `root` has. Nothing is fetched.
    pub(super) fn around(root: &Path) -> Self {
        let found = project_file::dir(root).map(|dir| {
            let dependent = Dependent::read(&dir)?;
            dependent.libraries(&shelf::default_cache())
        });
        Self {
            libraries: found.transpose(),
        }
    }

    /// Reads `file` of the library `name`, for an import in the source `from`.
    ///
    /// # Errors
    /// When that may not import it, or the library is not what the project pins.
    pub(super) fn read(&self, from: &str, name: &str, file: &str) -> Result<String, Problem> {
        let path = format!("{name}/{}", file.strip_suffix(".rhai").unwrap_or(file));
        let wrong = |problem: &str| (format!("`{path}` can't be imported: {problem}"), None);
        let libraries = match &self.libraries {
            Ok(libraries) => libraries.as_ref(),
            Err(problem) => return Err(wrong(problem)),
        };
        let from = library_of(from).map(|(from, _)| from);
        let dir = match libraries.map(|libraries| libraries.dir(from, name)) {
            Some(Ok(dir)) => dir,
            Some(Err(names)) => return Err(not_named(from, name, &path, names)),
            None => return Err(not_named(from, name, &path, Vec::new())),
        };
        read_below(dir, file, &format!("the library `{name}`")).map_err(|problem| wrong(&problem))
    }
}

fn not_named(from: Option<&str>, name: &str, path: &str, names: Vec<&str>) -> Problem {
    let whose = match from {
        Some(from) => format!("the library `{from}` names none of that name"),
        None => format!("no {} here or above names it", project::FILE),
    };
    let hint = match nearest(name, names) {
        Some(near) => format!("did you mean the library `{near}`?"),
        None => format!(
            "write \"./{path}\" for a file beside this one; `deployrun lib add` names a library"
        ),
    };
    (format!("there is no library `{name}`: {whose}"), Some(hint))
}
