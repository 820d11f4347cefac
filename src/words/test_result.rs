//! How tests of plans end.

use std::time::Duration;

use super::place::Place;

/// A test, and the line where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestName {
    /// The function's name.
    pub name: String,
    /// Where it stands.
    pub line: u32,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Its file, as it was asked for.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub line: u32,
    /// What went wrong, if anything did.
    pub failure: Option<TestFailure>,
    /// Was it not run, because it acts on this machine?
    pub skipped: bool,
    /// Cases of tables that it played.
    pub cases: u32,
    /// How long it took on the machine's clock.
    pub took: Duration,
}

/// What went wrong with a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestFailure {
    /// In one line.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// The whole: excerpt, who called whom, what differs, the calls that the code made.
    pub detail: String,
}

/// How a suite ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that were not run.
    pub skipped: usize,
    /// Cases of tables that were played.
    pub cases: u64,
    /// Files with errors, whose tests were not run.
    pub faulty_files: usize,
    /// How long it took on the machine's clock.
    pub took: Duration,
}

impl Tally {
    /// Counts a test.
    pub fn count(&mut self, result: &TestResult) {
        match (&result.failure, result.skipped) {
            (Some(_), _) => self.failed += 1,
            (None, true) => self.skipped += 1,
            (None, false) => self.passed += 1,
        }
        self.cases += u64::from(result.cases);
    }

    /// Has all passed?
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.faulty_files == 0
    }
}

/// The lines of one source that hold a statement, and how often each was run.
pub type LineCounts = std::collections::BTreeMap<u32, u64>;
