//! Where something stands in a plan: file, line, column.

use serde::{Deserialize, Serialize};

/// A position in a source of a plan. Lines and columns count from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Place {
    /// The source: a path relative to the plan's root, or `std/…`.
    pub file: String,
    /// The line; 0 when it is not known.
    pub line: u32,
    /// The column, in characters; 0 when only the line is known.
    pub column: u32,
}

impl Place {
    /// A place in `file`.
    #[must_use]
    pub fn new(file: impl Into<String>, line: u32, column: u32) -> Self {
        Self {
            file: file.into(),
            line,
            column,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}", self.file),
            (line, 0) => write!(f, "{}:{line}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}
