//! Where libraries are had from: directories, and repositories with their cache.

use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::target::git::Repository;
use crate::target::library_files;
use crate::words::digest::hex;
use crate::words::library::{Manifest, Origin};
use crate::words::project::FILE;

use super::resolve::{Finder, Found};
use crate::words::library::declared;

/// The directory for what was fetched: `DEPLOYRUN_CACHE`, else `$XDG_CACHE_HOME/deployrun`.
#[must_use]
pub fn default_cache() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("DEPLOYRUN_CACHE").unwrap_or_else(|| {
        set("XDG_CACHE_HOME")
            .or_else(|| Some(set("HOME")?.join(".cache")))
            .unwrap_or_else(|| PathBuf::from("/var/cache"))
            .join("deployrun")
    })
}

/// Where the files of a commit, or of a directory in it, are kept.
#[must_use]
pub fn dir_of(cache: &Path, name: &str, commit: &str, within: Option<&str>) -> PathBuf {
    let dir = match within {
        // One library may come from several directories of a commit, in one project after another.
        Some(within) => {
            let hash = hex(&Sha256::digest(within.as_bytes()));
            format!("{commit}-{}", hash.get(..16).unwrap_or(&hash))
        }
        None => commit.to_owned(),
    };
    cache.join("libraries").join(name).join(dir)
}

/// What the library in `dir` says of itself.
///
/// # Errors
/// When it is none, or another one.
pub fn manifest(name: &str, dir: &Path) -> Result<Manifest, String> {
    let file = dir.join(FILE);
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let declared = declared::parse(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    match declared.library {
        Some(library) if library.name == name => Ok(library),
        Some(library) => Err(format!(
            "{} is the library `{}`",
            dir.display(),
            library.name
        )),
        None => Err(format!("{} has no [library]", file.display())),
    }
}

/// Finds libraries for a project.
pub struct Shelf<'a> {
    /// The project's directory.
    pub project: &'a Path,
    /// The cache.
    pub cache: &'a Path,
    /// Is the network left alone?
    pub offline: bool,
    /// Repositories that were fetched just now.
    pub fetched: Vec<String>,
}

impl Shelf<'_> {
    /// The files of a commit, or of a directory in it, fetched if they are not there.
    ///
    /// # Errors
    /// When they can't be had.
    pub fn take_out(
        &mut self,
        name: &str,
        url: &str,
        commit: &str,
        within: Option<&str>,
    ) -> Result<PathBuf, String> {
        let dir = dir_of(self.cache, name, commit, within);
        if !dir.is_dir() {
            let repository = self.repository(url);
            if !repository.has(commit) {
                self.fetch(&repository, url)?;
            }
            repository.take_out(commit, within, &dir)?;
        }
        Ok(dir)
    }

    /// A path counts from the project, wherever the command was given.
    fn repository(&self, url: &str) -> Repository {
        if url.starts_with("./") || url.starts_with("../") {
            let path = plain(&self.project.join(url));
            return Repository::new(self.cache, &path.display().to_string());
        }
        Repository::new(self.cache, url)
    }

    fn fetch(&mut self, repository: &Repository, url: &str) -> Result<(), String> {
        if self.fetched.iter().any(|fetched| fetched == url) {
            return Ok(());
        }
        if self.offline {
            return Err(format!(
                "{url} would have to be fetched, and --offline forbids it"
            ));
        }
        repository.fetch()?;
        self.fetched.push(url.to_owned());
        Ok(())
    }
}

impl Finder for Shelf<'_> {
    fn find(&mut self, name: &str, origin: &Origin, pinned: Option<&str>) -> Result<Found, String> {
        let (url, reference, within) = match origin {
            Origin::Path(path) => {
                let dir = self.project.join(path);
                return Ok(Found {
                    manifest: manifest(name, &dir)?,
                    commit: None,
                    sha256: None,
                    dir,
                });
            }
            Origin::Git {
                url,
                reference,
                within,
            } => (url, reference, within.as_deref()),
        };
        let commit = match pinned {
            Some(commit) => commit.to_owned(),
            None => {
                let repository = self.repository(url);
                self.fetch(&repository, url)?;
                repository.commit(reference)?
            }
        };
        let dir = self.take_out(name, url, &commit, within)?;
        Ok(Found {
            manifest: manifest(name, &dir)?,
            sha256: Some(library_files::digest(&dir)?),
            commit: Some(commit),
            dir,
        })
    }

    fn seen_from(&self, from: &Found, origin: &Origin) -> Result<Origin, String> {
        let Origin::Path(path) = origin else {
            return Ok(origin.clone());
        };
        if from.commit.is_some() {
            return Err(format!(
                "`{}` comes from a repository, and a path (`{path}`) would lead out of it; it has \
                 to name the repository, with git = \"…\" and path = \"…\"",
                from.manifest.name
            ));
        }
        let dir = from.dir.strip_prefix(self.project).unwrap_or(&from.dir);
        Ok(Origin::Path(plain(&dir.join(path)).display().to_string()))
    }
}

/// A path without `x/..` in it.
fn plain(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_plain() {
        for (path, expected) in [
            ("../a/../b", "../b"),
            ("a/./b/..", "a"),
            ("../../a", "../../a"),
            ("/a/../b", "/b"),
        ] {
            assert_eq!(plain(Path::new(path)), Path::new(expected));
        }
    }
}
