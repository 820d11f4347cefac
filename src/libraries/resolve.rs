//! Which commit of each library a project gets: one of each name, or none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use crate::words::library::{Manifest, Origin};

use crate::words::library::lock::{Lock, Locked};

/// A library that was found at its origin.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its commit, when it comes from a repository.
    pub commit: Option<String>,
    /// SHA-256 of its files, when it comes from a repository.
    pub sha256: Option<String>,
    /// Where its files are.
    pub dir: PathBuf,
}

/// Finds libraries: fetches them, or looks where they are.
pub trait Finder {
    /// The library `name`, of this origin; `pinned` is the commit that the lock has of it.
    ///
    /// # Errors
    /// When it can't be had, or is not the library of that name.
    fn find(&mut self, name: &str, origin: &Origin, pinned: Option<&str>) -> Result<Found, String>;

    /// The origin that a library found in `from` names, as seen from the project.
    ///
    /// # Errors
    /// When it may not name it.
    fn seen_from(&self, from: &Found, origin: &Origin) -> Result<Origin, String>;
}

/// Who wants a library: the names from the project to it.
type Wanted = Vec<String>;

struct Chosen {
    origin: Origin,
    found: Found,
    wanted: Wanted,
    stands_for: BTreeSet<String>,
}

/// Chooses one of each library that `wants` need, and what those need. What `old` pins stays, but for
/// the libraries that `is_free` names.
///
/// # Errors
/// When a library can't be found, or two versions are wanted that can't stand for each other.
pub fn resolve(
    wants: &BTreeMap<String, Origin>,
    finder: &mut dyn Finder,
    old: &Lock,
    is_free: &dyn Fn(&str) -> bool,
) -> Result<Lock, String> {
    let mut chosen: BTreeMap<String, Chosen> = BTreeMap::new();
    let mut to_do: VecDeque<(String, Origin, Wanted)> = wants
        .iter()
        .map(|(name, origin)| {
            (
                name.clone(),
                origin.clone(),
                vec!["this project".to_owned()],
            )
        })
        .collect();
    while let Some((name, origin, wanted)) = to_do.pop_front() {
        if let Some(there) = chosen.get(&name)
            && (there.origin == origin || there.stands_for.contains(&origin.to_string()))
        {
            continue;
        }
        let pinned = old
            .get(&name)
            .filter(|locked| locked.origin == origin.to_string() && !is_free(&name))
            .and_then(|locked| locked.commit.clone());
        let found = finder
            .find(&name, &origin, pinned.as_deref())
            .map_err(|problem| format!("{}: {problem}", path_of(&wanted, &name)))?;
        let mut stands_for = BTreeSet::new();
        if let Some(there) = chosen.get_mut(&name) {
            let (version, other) = (&found.manifest.version, &there.found.manifest.version);
            if !version.is_compatible_with(other) {
                return Err(conflict(&name, there, &found, &wanted, &origin));
            }
            if version <= other {
                there.stands_for.insert(origin.to_string());
                continue;
            }
            stands_for.clone_from(&there.stands_for);
            stands_for.insert(there.origin.to_string());
        }
        let mut path = wanted.clone();
        path.push(name.clone());
        for (need, origin) in &found.manifest.needs {
            if path.contains(need) {
                return Err(format!(
                    "{}: libraries need each other in a circle",
                    path_of(&path, need)
                ));
            }
            let origin = finder
                .seen_from(&found, origin)
                .map_err(|problem| format!("{}: {problem}", path_of(&path, need)))?;
            to_do.push_back((need.clone(), origin, path.clone()));
        }
        chosen.insert(
            name,
            Chosen {
                origin,
                found,
                wanted,
                stands_for,
            },
        );
    }
    Ok(lock_of(wants, &chosen))
}

/// Without what only those need that were replaced.
fn lock_of(wants: &BTreeMap<String, Origin>, chosen: &BTreeMap<String, Chosen>) -> Lock {
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    let mut to_do: Vec<&str> = wants.keys().map(String::as_str).collect();
    while let Some(name) = to_do.pop() {
        if let Some(there) = chosen.get(name).filter(|_| needed.insert(name)) {
            to_do.extend(there.found.manifest.needs.keys().map(String::as_str));
        }
    }
    let libraries = chosen
        .iter()
        .filter(|(name, _)| needed.contains(name.as_str()))
        .map(|(name, there)| Locked {
            name: name.clone(),
            version: there.found.manifest.version.to_string(),
            origin: there.origin.to_string(),
            stands_for: there.stands_for.iter().cloned().collect(),
            commit: there.found.commit.clone(),
            sha256: there.found.sha256.clone(),
            needs: there.found.manifest.needs.keys().cloned().collect(),
        })
        .collect();
    Lock::new(libraries)
}

fn conflict(name: &str, there: &Chosen, found: &Found, wanted: &Wanted, origin: &Origin) -> String {
    let (old, new) = (&there.found.manifest.version, &found.manifest.version);
    format!(
        "two versions of `{name}` are wanted that can't stand for each other:\n  \
         {old}: {} ({})\n  {new}: {} ({origin})\n\
         make one of them want the other's version, or update the library between",
        path_of(&there.wanted, name),
        there.origin,
        path_of(wanted, name),
    )
}

fn path_of(wanted: &Wanted, name: &str) -> String {
    format!("{} -> {name}", wanted.join(" -> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version and needs.
    type Told = (&'static str, &'static [(&'static str, &'static str)]);

    /// Libraries by origin.
    struct Shelf(BTreeMap<&'static str, Told>);

    impl Finder for Shelf {
        fn find(
            &mut self,
            name: &str,
            origin: &Origin,
            pinned: Option<&str>,
        ) -> Result<Found, String> {
            let origin = origin.to_string();
            let Some((version, needs)) = self.0.get(origin.as_str()) else {
                return Err(format!("there is no {origin}"));
            };
            let needs = needs
                .iter()
                .map(|(n, o)| ((*n).to_owned(), o.parse().unwrap()));
            Ok(Found {
                manifest: Manifest {
                    name: name.to_owned(),
                    version: version.parse().unwrap(),
                    description: String::new(),
                    deployrun: None,
                    needs: needs.collect(),
                },
                commit: Some(pinned.map_or_else(|| format!("new {version}"), str::to_owned)),
                sha256: None,
                dir: PathBuf::new(),
            })
        }

        fn seen_from(&self, _: &Found, origin: &Origin) -> Result<Origin, String> {
            Ok(origin.clone())
        }
    }

    fn solve(
        shelf: Shelf,
        wants: &[(&str, &str)],
        old: &Lock,
        free: &str,
    ) -> Result<String, String> {
        let mut shelf = shelf;
        let wants = wants
            .iter()
            .map(|(n, o)| ((*n).to_owned(), o.parse().unwrap()))
            .collect();
        let lock = resolve(&wants, &mut shelf, old, &|name| name == free)?;
        let all: Vec<String> = lock
            .libraries()
            .iter()
            .map(|l| format!("{} {} {}", l.name, l.version, l.commit.clone().unwrap()))
            .collect();
        Ok(all.join(", "))
    }

    fn shelf(base_2: &'static str) -> Shelf {
        Shelf(BTreeMap::from([
            (
                "git+web",
                (
                    "1.0.0",
                    &[("base", "git+base#tag=1"), ("old", "git+old")][..],
                ),
            ),
            ("git+db", ("1.0.0", &[("base", "git+base#tag=2")][..])),
            ("git+base#tag=1", ("1.1.0", &[("gone", "git+gone")][..])),
            ("git+base#tag=2", (base_2, &[][..])),
            ("git+gone", ("1.0.0", &[][..])),
            ("git+old", ("1.0.0", &[][..])),
        ]))
    }

    #[test]
    fn the_higher_of_two_compatible_versions_wins_with_what_it_needs() {
        let wants = [("web", "git+web"), ("db", "git+db")];
        let got = solve(shelf("1.2.0"), &wants, &Lock::default(), "").unwrap();
        assert_eq!(
            got,
            "base 1.2.0 new 1.2.0, db 1.0.0 new 1.0.0, old 1.0.0 new 1.0.0, web 1.0.0 new 1.0.0"
        );
    }

    #[test]
    fn versions_that_differ_too_much_are_an_error_with_both_paths() {
        let wants = [("web", "git+web"), ("db", "git+db")];
        let error = solve(shelf("2.0.0"), &wants, &Lock::default(), "").unwrap_err();
        assert_eq!(
            error,
            "two versions of `base` are wanted that can't stand for each other:\n  \
             2.0.0: this project -> db -> base (git+base#tag=2)\n  \
             1.1.0: this project -> web -> base (git+base#tag=1)\n\
             make one of them want the other's version, or update the library between"
        );
    }

    #[test]
    fn what_is_pinned_stays_unless_it_is_free() {
        let old = Lock::new(vec![Locked {
            name: "old".into(),
            version: "1.0.0".into(),
            origin: "git+old".into(),
            commit: Some("pinned".into()),
            ..Locked::default()
        }]);
        let wants = [("old", "git+old")];
        assert_eq!(
            solve(shelf("1.2.0"), &wants, &old, "").unwrap(),
            "old 1.0.0 pinned"
        );
        assert_eq!(
            solve(shelf("1.2.0"), &wants, &old, "old").unwrap(),
            "old 1.0.0 new 1.0.0"
        );
    }

    #[test]
    fn circles_and_what_is_not_there_are_errors_with_the_path() {
        let circle = Shelf(BTreeMap::from([
            ("git+a", ("1.0.0", &[("b", "git+b")][..])),
            ("git+b", ("1.0.0", &[("a", "git+a")][..])),
        ]));
        assert_eq!(
            solve(circle, &[("a", "git+a")], &Lock::default(), "").unwrap_err(),
            "this project -> a -> b -> a: libraries need each other in a circle"
        );
        assert_eq!(
            solve(shelf("1.2.0"), &[("x", "git+x")], &Lock::default(), "").unwrap_err(),
            "this project -> x: there is no git+x"
        );
    }
}
