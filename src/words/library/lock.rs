//! `deployrun.lock`: which commit of each library a project has, and what its files must be.

use serde::{Deserialize, Serialize};

/// The form of the file that is written and read.
const FORM: u32 = 1;

/// What `deployrun.lock` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The form of the file.
    version: u32,
    /// By name.
    #[serde(rename = "library", default)]
    libraries: Vec<Locked>,
}

/// One library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// What imports begin with.
    pub name: String,
    /// The version that it says it has.
    pub version: String,
    /// Where it comes from; a path counts from the project.
    pub origin: String,
    /// Other origins that are wanted, which it takes the place of.
    #[serde(rename = "stands-for", default, skip_serializing_if = "Vec::is_empty")]
    pub stands_for: Vec<String>,
    /// Its commit, when it comes from a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// SHA-256 of its files, when it comes from a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The libraries that it imports itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

impl Default for Lock {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Lock {
    /// A lock of these libraries.
    #[must_use]
    pub fn new(mut libraries: Vec<Locked>) -> Self {
        libraries.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            version: FORM,
            libraries,
        }
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// When it is not what deployrun writes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lock: Self = toml::from_str(text).map_err(|e| e.to_string().trim().to_owned())?;
        if lock.version != FORM {
            return Err(format!(
                "it has form {}, and this deployrun reads form {FORM}",
                lock.version
            ));
        }
        Ok(lock)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// Never: what it holds can be written.
    pub fn text(&self) -> Result<String, String> {
        let text = toml::to_string(self).map_err(|e| e.to_string())?;
        Ok(format!(
            "# Written by `deployrun lib`; keep it with the project.\n{text}"
        ))
    }

    /// All libraries, by name.
    #[must_use]
    pub fn libraries(&self) -> &[Locked] {
        &self.libraries
    }

    /// The library of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Locked> {
        self.libraries.iter().find(|library| library.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let lock = Lock::new(vec![
            Locked {
                name: "web".into(),
                version: "1.0.0".into(),
                origin: "path+../web".into(),
                needs: vec!["base".into()],
                ..Locked::default()
            },
            Locked {
                name: "base".into(),
                version: "1.2.0".into(),
                origin: "git+/srv/base#tag=v1.2.0".into(),
                stands_for: vec!["git+/srv/base#tag=v1.1.0".into()],
                commit: Some("0".repeat(40)),
                sha256: Some("1".repeat(64)),
                needs: Vec::new(),
            },
        ]);
        let text = lock.text().unwrap();
        assert!(text.starts_with("# Written by `deployrun lib`"), "{text}");
        assert_eq!(Lock::parse(&text), Ok(lock));
    }

    #[test]
    fn other_forms_and_other_texts_are_refused() {
        assert!(Lock::parse("version = 2").unwrap_err().contains("form 2"));
        assert!(Lock::parse("version = 1\nmore = 2").is_err());
        assert!(Lock::parse("").is_err());
    }
}
