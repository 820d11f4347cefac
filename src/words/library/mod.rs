//! Libraries: modules that a team publishes and other teams depend on.

pub mod declared;
pub mod lock;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Which commit of a repository is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// A tag.
    Tag(String),
    /// A commit, by its hash or enough of its begin.
    Rev(String),
    /// The newest commit of a branch, when it is updated.
    Branch(String),
    /// The newest commit of the repository's default branch, when it is updated.
    Default,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "tag `{tag}`"),
            Self::Rev(rev) => write!(f, "commit `{rev}`"),
            Self::Branch(branch) => write!(f, "branch `{branch}`"),
            Self::Default => f.write_str("default branch"),
        }
    }
}

/// Where a library comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A directory, from that of the file that names it. It is read as it is.
    Path(String),
    /// A git repository.
    Git {
        /// What git is told to fetch.
        url: String,
        /// Which commit.
        reference: Reference,
        /// The directory of it that the library is; without it, all of it.
        within: Option<String>,
    },
}

/// What parts a reference and the directory in an origin that is written.
const WITHIN: &str = "&path=";

/// As it stands in `deployrun.lock`: `path+../platform`, `git+URL`, `git+URL#tag=v1.4.0`,
/// `git+URL#tag=v1.4.0&path=libs/web`, `git+URL#path=libs/web`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "path+{path}"),
            Self::Git {
                url,
                reference,
                within,
            } => {
                write!(f, "git+{url}")?;
                match reference {
                    Reference::Tag(tag) => write!(f, "#tag={tag}")?,
                    Reference::Rev(rev) => write!(f, "#rev={rev}")?,
                    Reference::Branch(branch) => write!(f, "#branch={branch}")?,
                    Reference::Default => {}
                }
                match (within, reference) {
                    (None, _) => Ok(()),
                    (Some(dir), Reference::Default) => write!(f, "#path={dir}"),
                    (Some(dir), _) => write!(f, "{WITHIN}{dir}"),
                }
            }
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("path+") {
            return Ok(Self::Path(path.to_owned()));
        }
        let wrong = || format!("`{text}` is not where a library comes from");
        let rest = text.strip_prefix("git+").ok_or_else(wrong)?;
        let Some((url, reference)) = rest.rsplit_once('#') else {
            return Ok(Self::Git {
                url: rest.to_owned(),
                reference: Reference::Default,
                within: None,
            });
        };
        let (reference, mut within) = match reference.rsplit_once(WITHIN) {
            Some((reference, dir)) => (reference, Some(dir)),
            None => (reference, None),
        };
        let (kind, name) = reference.split_once('=').ok_or_else(wrong)?;
        let name = name.to_owned();
        let reference = match kind {
            "path" if within.is_none() => {
                within = reference.strip_prefix("path=");
                Reference::Default
            }
            "tag" => Reference::Tag(name),
            "rev" => Reference::Rev(name),
            "branch" => Reference::Branch(name),
            _ => return Err(wrong()),
        };
        let within = within.map(directory_of_a_repository).transpose()?;
        Ok(Self::Git {
            url: url.to_owned(),
            reference,
            within,
        })
    }
}

/// A directory of a repository, as it is kept: names with `/` between them.
///
/// # Errors
/// When it could lead out of the repository, or can't be told from what else stands in an origin.
pub fn directory_of_a_repository(path: &str) -> Result<String, String> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let is_wrong = |part: &&str| {
        *part == ".." || part.eq_ignore_ascii_case(".git") || part.contains(['#', '&', '\\', '\0'])
    };
    if path.starts_with('/') || parts.is_empty() || parts.iter().any(is_wrong) {
        return Err(format!(
            "`{path}` is no directory in a repository: write names with / between them, from its root"
        ));
    }
    Ok(parts.join("/"))
}

/// What a library says of itself: `[library]` of its `deployrun.toml`, and what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What imports begin with.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// What it is for.
    pub description: String,
    /// Which versions of deployrun it wants.
    pub deployrun: Option<String>,
    /// The libraries that it imports itself.
    pub needs: BTreeMap<String, Origin>,
}

/// A version of a library: three numbers, as semantic versioning has them. What stands behind a `-`
/// or a `+` is part of the text only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    text: String,
}

impl Version {
    /// May one take the place of the other? The leftmost number that is not 0 is the same.
    #[must_use]
    pub fn is_compatible_with(&self, other: &Self) -> bool {
        let end = self.numbers.iter().position(|n| *n != 0).unwrap_or(2);
        self.numbers[..=end] == other.numbers[..=end]
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // A pre-release is older than what it precedes.
        let is_release = |version: &Self| !version.text.contains('-');
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| is_release(self).cmp(&is_release(other)))
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no version; write three numbers, such as \"1.4.0\"");
        let head = text.split(['-', '+']).next().unwrap_or_default();
        let numbers: Vec<u64> = head
            .split('.')
            .map(|part| part.parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?;
        let numbers: [u64; 3] = numbers.try_into().map_err(|_| wrong())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-+.".contains(c);
        if !text.chars().all(plain) || head.contains('+') {
            return Err(wrong());
        }
        Ok(Self {
            numbers,
            text: text.to_owned(),
        })
    }
}

/// Says what is wrong with the name of a library, if something is.
///
/// # Errors
/// When imports could not begin with it.
pub fn check_name(name: &str) -> Result<(), String> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_lowercase());
    let rest = chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !first || !rest || name.len() > 64 {
        return Err(format!(
            "`{name}` can't be the name of a library: a letter, then letters, digits, `-` and `_`, \
             all small, at most 64"
        ));
    }
    if name == "std" {
        return Err("`std` is what deployrun itself brings; no library may have that name".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn origins_are_written_and_read() {
        for text in [
            "path+../platform",
            "git+https://git.example.org/platform.git",
            "git+ssh://git@example.org/a#tag=v1.4.0",
            "git+/srv/git/a#branch=main",
            "git+file:///srv/a#rev=0123abc",
            "git+/srv/git/a#tag=v1&path=libs/web",
            "git+/srv/git/a#path=libs/web",
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "http://x",
            "git+x#y",
            "git+x#y=z",
            "git+x#path=../y",
            "git+x#tag=v1&path=/etc",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }

    #[test]
    fn versions_are_ordered_and_compatible_as_in_semantic_versioning() {
        assert!(version("1.10.0") > version("1.9.9"));
        assert!(version("1.0.0") > version("1.0.0-rc.1"));
        for (a, b, compatible) in [
            ("1.4.0", "1.9.2", true),
            ("1.4.0", "2.0.0", false),
            ("0.4.1", "0.4.7", true),
            ("0.4.1", "0.5.0", false),
            ("0.0.1", "0.0.2", false),
            ("0.0.0", "0.0.0", true),
        ] {
            assert_eq!(
                version(a).is_compatible_with(&version(b)),
                compatible,
                "{a} {b}"
            );
        }
        for text in ["", "1", "1.2", "1.2.x", "v1.2.3", "1.2.3.4", "1.2.3 "] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_what_imports_can_begin_with() {
        for name in ["platform", "web-2", "a_b"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", "std", "Platform", "2a", "a/b", "..", "a b", "ä"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
