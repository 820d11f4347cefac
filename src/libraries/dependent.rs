//! A project that depends on libraries: its two files, and what its plans may import.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::target::library_files;
use crate::words::library::Origin;
use crate::words::project::FILE;

use super::shelf;
use crate::words::library::declared::{self, Declared};
use crate::words::library::lock::{Lock, Locked};

/// The file that pins what it wants.
pub const LOCK: &str = "deployrun.lock";
/// Where copies of libraries are kept with a project.
pub const VENDORED: &str = "vendor/deployrun";

/// A project, as its files say.
#[derive(Clone, Debug)]
pub struct Dependent {
    /// The directory that holds them.
    pub dir: PathBuf,
    /// `deployrun.toml`.
    pub declared: Declared,
    /// `deployrun.lock`; empty without one.
    pub lock: Lock,
}

impl Dependent {
    /// The project whose files are in `dir`.
    ///
    /// # Errors
    /// When a file can't be read or is not as it must be.
    pub fn read(dir: &Path) -> Result<Self, String> {
        let file = dir.join(FILE);
        let named = |path: &Path, problem: String| format!("{}: {problem}", path.display());
        let text = fs::read_to_string(&file).map_err(|e| named(&file, e.to_string()))?;
        let declared = declared::parse(&text).map_err(|problem| named(&file, problem))?;
        let file = dir.join(LOCK);
        let lock = match fs::read_to_string(&file) {
            Ok(text) => Lock::parse(&text).map_err(|problem| named(&file, problem))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Lock::default(),
            Err(error) => return Err(named(&file, error.to_string())),
        };
        Ok(Self {
            dir: dir.to_owned(),
            declared,
            lock,
        })
    }

    /// What its plans may import. Looks at every file of the libraries that come from repositories.
    ///
    /// # Errors
    /// When the lock does not match what is declared, or files what is locked.
    pub fn libraries(&self, cache: &Path) -> Result<Libraries, String> {
        self.matches()?;
        let mut all = BTreeMap::new();
        for locked in self.lock.libraries() {
            let (dir, needs) = self.checked(locked, cache)?;
            all.insert(locked.name.clone(), Library { dir, needs });
        }
        Ok(Libraries {
            wants: self.declared.wants.keys().cloned().collect(),
            all,
        })
    }

    /// Does the lock have what is declared?
    ///
    /// # Errors
    /// When it has not: which library is missing or another, and what mends that.
    pub fn matches(&self) -> Result<(), String> {
        for (name, origin) in &self.declared.wants {
            let wanted = origin.to_string();
            let problem = match self.lock.get(name) {
                Some(locked) if locked.origin == wanted => continue,
                Some(locked) if locked.stands_for.contains(&wanted) => continue,
                Some(locked) => format!("{FILE} wants {wanted}, and {LOCK} has {}", locked.origin),
                None => format!("{FILE} wants {wanted}, and {LOCK} has none"),
            };
            return Err(format!(
                "the library `{name}`: {problem}; `deployrun lib update {name}` mends that"
            ));
        }
        Ok(())
    }

    /// The directory of a library that is what the lock says, and the libraries that it may import.
    fn checked(
        &self,
        locked: &Locked,
        cache: &Path,
    ) -> Result<(PathBuf, BTreeSet<String>), String> {
        let named = |problem: String| format!("the library `{}`: {problem}", locked.name);
        let dir = self.dir_of(locked, cache).map_err(named)?;
        if let Some(sha256) = &locked.sha256 {
            let digest = library_files::digest(&dir).map_err(named)?;
            if digest != *sha256 {
                return Err(named(format!(
                    "the files in {} are not those of {LOCK} (SHA-256 {}…, not {}…); if nobody \
                     meant to change them, `deployrun lib fetch` brings them back",
                    dir.display(),
                    &digest[..12],
                    sha256.get(..12).unwrap_or(sha256),
                )));
            }
        }
        let found = shelf::manifest(&locked.name, &dir).map_err(named)?;
        let needs: BTreeSet<String> = found.needs.keys().cloned().collect();
        if !needs.iter().eq(&locked.needs) {
            return Err(named(format!(
                "it needs [{}], and {LOCK} has [{}]; `deployrun lib update {}` mends that",
                needs.iter().cloned().collect::<Vec<_>>().join(", "),
                locked.needs.join(", "),
                locked.name
            )));
        }
        Ok((dir, needs))
    }

    /// Where the files of a library are: those of a path there, others in the project or the cache.
    ///
    /// # Errors
    /// When they are not there.
    pub fn dir_of(&self, locked: &Locked, cache: &Path) -> Result<PathBuf, String> {
        match locked.origin.parse()? {
            Origin::Path(path) => Ok(self.dir.join(path)),
            Origin::Git { within, .. } => {
                let vendored = self.dir.join(VENDORED).join(&locked.name);
                if vendored.is_dir() {
                    return Ok(vendored);
                }
                let commit = locked.commit.as_deref().unwrap_or_default();
                let dir = shelf::dir_of(cache, &locked.name, commit, within.as_deref());
                if dir.is_dir() {
                    return Ok(dir);
                }
                Err(
                    "its files are not here; `deployrun lib fetch` gets them, and a run never \
                     does"
                        .to_owned(),
                )
            }
        }
    }
}

/// What the plans of a project may import.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    wants: BTreeSet<String>,
    all: BTreeMap<String, Library>,
}

#[derive(Clone, Debug)]
struct Library {
    dir: PathBuf,
    needs: BTreeSet<String>,
}

impl Libraries {
    /// The directory of the library `name`, for a source of the library `from`, or of the project.
    ///
    /// # Errors
    /// When that does not name it; with the names that it has.
    pub fn dir(&self, from: Option<&str>, name: &str) -> Result<&Path, Vec<&str>> {
        let names = match from {
            Some(from) if from == name => None,
            Some(from) => Some(
                self.all
                    .get(from)
                    .map_or(&self.wants, |library| &library.needs),
            ),
            None => Some(&self.wants),
        };
        match self.all.get(name) {
            Some(library) if names.is_none_or(|names| names.contains(name)) => Ok(&library.dir),
            _ => Err(names.into_iter().flatten().map(String::as_str).collect()),
        }
    }

    /// All libraries with their directories.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.all
            .iter()
            .map(|(name, library)| (name.as_str(), library.dir.as_path()))
    }
}
