//! Finding the project file of a plan.
//!
//! It is looked for in the plan's directory and in those above it; the first one found counts, and no
//! other is read. The search ends at a directory that holds `.git`, because a repository is one
//! project, and before a directory that others may write to (`/tmp`): what stands there need not be
//! the plan's owner's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::place::Place;
use crate::words::project::{self, Project};

use super::plan::read_source;

/// Writable by everybody, or a directory in which each may keep a file of his own.
const SHARED: u32 = 0o1002;

/// The project file of the plans in `root`, if there is one.
///
/// # Errors
/// All that is wrong with it. Its name in the findings is relative to `root`.
pub(super) fn read(root: &Path) -> Result<Option<Project>, Vec<Diagnostic>> {
    let Some((path, file)) = find(root) else {
        return Ok(None);
    };
    match read_source(&path) {
        Ok(text) => project::parse(&file, &text).map(Some),
        Err(problem) => {
            let text = format!("{} can't be read: {problem}", project::FILE);
            let place = Place::new(file, 0, 0);
            Err(vec![Diagnostic::new(Code::BadProject, place, text)])
        }
    }
}

/// The directory of the project file of the plans in `root`, if there is one.
#[must_use]
pub(crate) fn dir(root: &Path) -> Option<PathBuf> {
    let (path, _) = find(root)?;
    path.parent().map(Path::to_owned)
}

/// The file, and what it is called seen from `root`.
fn find(root: &Path) -> Option<(PathBuf, String)> {
    // What stands before `..` is not above it.
    let has_dots = root.components().any(|part| part == Component::ParentDir);
    let resolved = has_dots.then(|| root.canonicalize().ok()).flatten();
    let root = resolved.as_deref().unwrap_or(root);
    for (up, dir) in root.ancestors().enumerate() {
        let mode = dir.metadata().map_or(0, |facts| facts.permissions().mode());
        if up > 0 && mode & SHARED != 0 {
            return None;
        }
        let path = dir.join(project::FILE);
        // A link that leads nowhere is there too, and told.
        if path.symlink_metadata().is_ok() {
            return Some((path, format!("{}{}", "../".repeat(up), project::FILE)));
        }
        if dir.join(".git").exists() {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_file_counts_up_to_the_repository() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("repo/deploy/web");
        fs::create_dir_all(&deep).unwrap();
        let name = || find(&deep).map(|(_, name)| name);
        assert_eq!(name(), None);
        fs::write(dir.path().join(project::FILE), "").unwrap();
        assert_eq!(name().as_deref(), Some("../../../deployrun.toml"));
        fs::create_dir_all(deep.join("lib")).unwrap();
        fs::write(deep.join("lib/deployrun.toml"), "").unwrap();
        let found = find(&deep.join("lib/..")).map(|(_, name)| name);
        assert_eq!(found.as_deref(), Some("../../../deployrun.toml"));
        fs::create_dir(dir.path().join("repo/.git")).unwrap();
        assert_eq!(name(), None, "a repository is one project");
        fs::write(dir.path().join("repo/deployrun.toml"), "").unwrap();
        assert_eq!(name().as_deref(), Some("../../deployrun.toml"));
        fs::write(deep.join(project::FILE), "").unwrap();
        assert_eq!(name().as_deref(), Some("deployrun.toml"));
    }

    #[test]
    fn what_others_may_have_put_there_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let plans = dir.path().join("shared/plans");
        fs::create_dir_all(&plans).unwrap();
        let shared = dir.path().join("shared");
        fs::write(shared.join(project::FILE), "").unwrap();
        assert!(find(&plans).is_some());
        for mode in [0o777, 0o1770] {
            fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(find(&plans), None, "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(project::FILE)).unwrap();
        let found = read(dir.path()).unwrap_err();
        let shown = "error[bad-project]: deployrun.toml can't be read: it is a directory, not a file\n  --> deployrun.toml";
        assert_eq!(found[0].to_string(), shown);
    }
}
