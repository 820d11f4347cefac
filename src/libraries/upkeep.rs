//! What the `lib` commands do to a project: each leaves `deployrun.toml`, `deployrun.lock` and copies
//! as they were when it fails.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, InlineTable, Item, Table, Value};

use crate::target::library_files;
use crate::words::library::{Origin, Reference, check_name};
use crate::words::project::FILE;
use crate::words::suggest::nearest;

use super::dependent::{Dependent, LOCK, VENDORED};
use crate::words::library::declared;
use crate::words::library::lock::{Lock, Locked};

use super::resolve::resolve;
use super::shelf::{Shelf, dir_of};

/// A project whose libraries are changed.
pub struct Upkeep {
    dir: PathBuf,
    cache: PathBuf,
    offline: bool,
}

/// How a library differs from before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub name: String,
    /// What the lock had.
    pub before: Option<Locked>,
    /// What it has now.
    pub after: Option<Locked>,
}

impl Upkeep {
    /// The project in `dir`, with this cache; `offline` forbids to fetch.
    #[must_use]
    pub fn new(dir: &Path, cache: &Path, offline: bool) -> Self {
        Self {
            dir: dir.to_owned(),
            cache: cache.to_owned(),
            offline,
        }
    }

    /// Names a library in `deployrun.toml` and pins it. A library that is named already gets this
    /// origin.
    ///
    /// # Errors
    /// When it can't be had, or does not go together with the others.
    pub fn add(&self, name: &str, origin: &Origin) -> Result<Vec<Change>, String> {
        check_name(name)?;
        let mut text = self.document()?;
        let tables = text
            .entry("libraries")
            .or_insert_with(|| Item::Table(Table::new()));
        let Some(tables) = tables.as_table_like_mut() else {
            return Err(format!(
                "{}: `libraries` is no table",
                self.file().display()
            ));
        };
        tables.insert(name, Item::Value(Value::InlineTable(inline(origin))));
        self.settle(&text.to_string(), &|free| free == name)
    }

    /// Takes a library out of `deployrun.toml` and the lock.
    ///
    /// # Errors
    /// When it is not named there.
    pub fn remove(&self, name: &str) -> Result<Vec<Change>, String> {
        self.named(&[name.to_owned()], false)?;
        let mut text = self.document()?;
        if let Some(tables) = text.get_mut("libraries").and_then(Item::as_table_like_mut) {
            tables.remove(name);
            if tables.is_empty() {
                text.remove("libraries");
            }
        }
        self.settle(&text.to_string(), &|_| false)
    }

    /// Pins anew what these libraries are now; without names, all of them.
    ///
    /// # Errors
    /// When one can't be had, is not there, or does not go together with the others.
    pub fn update(&self, names: &[String]) -> Result<Vec<Change>, String> {
        self.named(names, true)?;
        let text = self.document()?.to_string();
        self.settle(&text, &|name| {
            names.is_empty() || names.iter().any(|wanted| wanted == name)
        })
    }

    /// Gets the files that the lock pins and that are not here, or are not as it says. Returns the
    /// names of those it got.
    ///
    /// # Errors
    /// When they can't be had, or are not what the lock says.
    pub fn fetch(&self) -> Result<Vec<String>, String> {
        let project = Dependent::read(&self.dir)?;
        let mut shelf = self.shelf();
        let mut got = Vec::new();
        for locked in project.lock.libraries() {
            let named = |problem: String| format!("the library `{}`: {problem}", locked.name);
            let Some((of, sha256)) = of_a_repository(locked)? else {
                continue;
            };
            let (url, commit) = (&of.url, &of.commit);
            let within = of.within.as_deref();
            let dir = dir_of(&self.cache, &locked.name, commit, within);
            let is_right = |dir: &Path| library_files::digest(dir).is_ok_and(|d| d == sha256);
            if !is_right(&dir) {
                // Beside it first: what is there stays until something better is.
                let _ = fs::remove_dir_all(&dir);
                shelf
                    .take_out(&locked.name, url, commit, within)
                    .map_err(named)?;
                if !is_right(&dir) {
                    return Err(named(format!(
                        "commit {commit} of {url} does not hold what {LOCK} says (SHA-256 \
                         {sha256}); find out who changed one of them"
                    )));
                }
                got.push(locked.name.clone());
            }
            let vendored = self.dir.join(VENDORED).join(&locked.name);
            if vendored.is_dir() && !is_right(&vendored) {
                library_files::copy(&dir, &vendored).map_err(named)?;
                got.push(locked.name.clone());
            }
        }
        got.dedup();
        Ok(got)
    }

    /// Copies the files of all libraries that come from repositories into the project, and returns
    /// their names. From then on its plans use the copies.
    ///
    /// # Errors
    /// When files are not what the lock says, or can't be copied.
    pub fn vendor(&self) -> Result<Vec<String>, String> {
        self.fetch()?;
        let project = Dependent::read(&self.dir)?;
        let mut copied = Vec::new();
        for locked in project.lock.libraries() {
            let Some((of, _)) = of_a_repository(locked)? else {
                continue;
            };
            let from = dir_of(&self.cache, &locked.name, &of.commit, of.within.as_deref());
            library_files::copy(&from, &self.dir.join(VENDORED).join(&locked.name))?;
            copied.push(locked.name.clone());
        }
        let there = fs::read_dir(self.dir.join(VENDORED)).into_iter().flatten();
        for entry in there.flatten() {
            let path = entry.path();
            // What is no library was not put there by this.
            let is_copy = path.join(FILE).is_file();
            if is_copy && !copied.iter().any(|name| entry.file_name() == name.as_str()) {
                fs::remove_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            }
        }
        Ok(copied)
    }

    fn file(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    fn shelf(&self) -> Shelf<'_> {
        Shelf {
            project: &self.dir,
            cache: &self.cache,
            offline: self.offline,
            fetched: Vec::new(),
        }
    }

    fn document(&self) -> Result<DocumentMut, String> {
        let file = self.file();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        text.parse().map_err(|e: toml_edit::TomlError| {
            format!("{}: {}", file.display(), e.to_string().trim())
        })
    }

    /// Are these libraries named in `deployrun.toml`, or (`deep`) in the lock?
    fn named(&self, names: &[String], deep: bool) -> Result<(), String> {
        let project = Dependent::read(&self.dir)?;
        let mut known: Vec<&str> = project.declared.wants.keys().map(String::as_str).collect();
        if deep {
            known.extend(project.lock.libraries().iter().map(|l| l.name.as_str()));
        }
        for name in names {
            if !known.contains(&name.as_str()) {
                let near = nearest(name, known.iter().copied())
                    .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                let file = self.file();
                return Err(format!(
                    "{} names no library `{name}`{near}",
                    file.display()
                ));
            }
        }
        Ok(())
    }

    /// Chooses libraries for this text of `deployrun.toml`, and writes it and the lock.
    fn settle(&self, text: &str, is_free: &dyn Fn(&str) -> bool) -> Result<Vec<Change>, String> {
        let file = self.file();
        let declared =
            declared::parse(text).map_err(|problem| format!("{}: {problem}", file.display()))?;
        let old = match self.file().is_file() {
            true => Dependent::read(&self.dir)?.lock,
            false => Lock::default(),
        };
        let lock = resolve(&declared.wants, &mut self.shelf(), &old, is_free)?;
        let lock_file = self.dir.join(LOCK);
        let before = [&file, &lock_file].map(|path| (path.clone(), fs::read_to_string(path).ok()));
        write(&file, text)?;
        if lock.libraries().is_empty() {
            match fs::remove_file(&lock_file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(format!("{}: {error}", lock_file.display()));
                }
                _ => {}
            }
        } else {
            write(&lock_file, &lock.text()?)?;
        }
        if self.dir.join(VENDORED).is_dir()
            && let Err(problem) = self.vendor()
        {
            for (path, text) in before {
                match text {
                    Some(text) => write(&path, &text)?,
                    None => drop(fs::remove_file(&path)),
                }
            }
            return Err(problem);
        }
        Ok(changes(&old, &lock))
    }
}

/// Where the files of a library are in a repository.
struct InRepository {
    url: String,
    commit: String,
    within: Option<String>,
}

/// Where a library is in its repository, and the digest of its files.
fn of_a_repository(locked: &Locked) -> Result<Option<(InRepository, String)>, String> {
    match (locked.origin.parse()?, &locked.commit, &locked.sha256) {
        (Origin::Git { url, within, .. }, Some(commit), Some(sha256)) => {
            let commit = commit.clone();
            let of = InRepository {
                url,
                commit,
                within,
            };
            Ok(Some((of, sha256.clone())))
        }
        (Origin::Git { .. }, _, _) => Err(format!(
            "the library `{}`: {LOCK} has no commit or no sha256 of it; `deployrun lib update {}` \
             mends that",
            locked.name, locked.name
        )),
        (Origin::Path(_), _, _) => Ok(None),
    }
}

fn inline(origin: &Origin) -> InlineTable {
    let mut table = InlineTable::new();
    match origin {
        Origin::Path(path) => {
            table.insert("path", path.as_str().into());
        }
        Origin::Git {
            url,
            reference,
            within,
        } => {
            table.insert("git", url.as_str().into());
            match reference {
                Reference::Tag(tag) => table.insert("tag", tag.as_str().into()),
                Reference::Rev(rev) => table.insert("rev", rev.as_str().into()),
                Reference::Branch(branch) => table.insert("branch", branch.as_str().into()),
                Reference::Default => None,
            };
            if let Some(dir) = within {
                table.insert("path", dir.as_str().into());
            }
        }
    }
    table
}

fn changes(old: &Lock, new: &Lock) -> Vec<Change> {
    let all = old.libraries().iter().chain(new.libraries());
    let mut names: Vec<&str> = all.map(|library| library.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let change = |name: &str| Change {
        name: name.to_owned(),
        before: old.get(name).cloned(),
        after: new.get(name).cloned(),
    };
    names
        .into_iter()
        .map(change)
        .filter(|change| change.before != change.after)
        .collect()
}

/// Replaces a file whole or not at all.
fn write(file: &Path, text: &str) -> Result<(), String> {
    let wrong = |e: io::Error| format!("{}: {e}", file.display());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = file.with_file_name(format!(".{name}.new"));
    let written = fs::File::create(&beside)
        .and_then(|mut to| {
            to.write_all(text.as_bytes())?;
            to.sync_all()
        })
        .and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map_err(wrong)
}
