//! Tests of plans and helpers: files that end in `_test.rhai`, and their functions that begin with
//! `test_`. Each runs in an engine and a pretended host of its own.

mod acting;
pub mod cases;
pub mod coverage;
pub mod diff;
mod file;
pub mod real;
pub mod stage;
pub mod suite;
pub mod whole_plan;

pub use file::TestFile;
pub(super) use file::base_of;

/// How the names of test files end.
pub const ENDING: &str = "_test.rhai";

/// Is this source a test file?
#[must_use]
pub fn is_test_file(id: &str) -> bool {
    id.ends_with(ENDING)
}
