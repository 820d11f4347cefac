//! Finds test files, and runs their tests on several threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use crate::script::engine::STACK_BYTES;
use crate::script::plan::ReadError;
use crate::script::project_file;
use crate::words::diagnostic::{Diagnostic, Level};
use crate::words::test_result::{Tally, TestResult};

use super::TestFile;
use super::coverage::Coverage;
use super::real::RealRuns;
use super::stage::Plans;
use super::{ENDING, is_test_file};

/// Directories that are not looked into.
const NOT_LOOKED_INTO: &[&str] = &["target", "node_modules"];

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The path is none of a test file or a directory.
    #[error("{}: {problem}", path.display())]
    Path {
        /// It.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A test file can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The test files at and below some paths, in order.
///
/// # Errors
/// When a path is not there, or is a file that is no test file.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FindError> {
    let mut found = Vec::new();
    for path in paths {
        let wrong = |problem: String| FindError::Path {
            path: path.clone(),
            problem,
        };
        let facts = path
            .metadata()
            .map_err(|error| wrong(crate::target::facts::io_words(&error)))?;
        if facts.is_dir() {
            let from = found.len();
            walk(path, &mut found)?;
            if let Some(new) = found.get_mut(from..) {
                new.sort();
            }
        } else if path.to_str().is_some_and(is_test_file) {
            found.push(path.clone());
        } else {
            return Err(wrong(format!(
                "it is no test file: their names end in {ENDING}"
            )));
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), FindError> {
    // What is not looked into has tests that nobody knows of.
    let wrong = |error: std::io::Error| FindError::Path {
        path: dir.to_owned(),
        problem: crate::target::facts::io_words(&error),
    };
    for entry in std::fs::read_dir(dir).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir {
            if !name.starts_with('.') && !NOT_LOOKED_INTO.contains(&&*name) {
                walk(&path, found)?;
            }
        } else if is_test_file(&name) {
            found.push(path);
        }
    }
    Ok(())
}

/// The directory of the project that a test file belongs to: the nearest one with a
/// `deployrun.toml`, else with a `.git`, else the present one if the file lies below it, else its own.
#[must_use]
pub fn root_of(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let above = || absolute.ancestors().skip(1);
    if let Some(root) = above().next().and_then(project_file::dir) {
        return root;
    }
    if let Some(root) = above().find(|dir| dir.join(".git").exists()) {
        return root.to_owned();
    }
    match std::env::current_dir() {
        Ok(here) if absolute.starts_with(&here) => here,
        _ => above().next().unwrap_or(Path::new("/")).to_owned(),
    }
}

/// Test files that were read, and what is wrong with them.
pub struct Suite {
    files: Vec<Arc<TestFile>>,
    faulty: Vec<(String, Vec<Diagnostic>)>,
    coverage: Option<Arc<Coverage>>,
}

impl Suite {
    /// Reads test files. Those with errors are kept apart.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(paths: &[PathBuf], coverage: bool) -> Result<Self, FindError> {
        let mut suite = Self {
            files: Vec::new(),
            faulty: Vec::new(),
            coverage: coverage.then(Arc::default),
        };
        for path in paths {
            let shown = path.strip_prefix("./").unwrap_or(path);
            let shown = shown.display().to_string();
            let file = TestFile::read(&root_of(path), path, &shown)?;
            let errors: Vec<Diagnostic> = file
                .check()
                .into_iter()
                .filter(|found| found.level == Level::Error)
                .collect();
            if errors.is_empty() {
                if let Some(coverage) = &suite.coverage {
                    file.know(coverage);
                }
                suite.files.push(Arc::new(file));
            } else {
                suite.faulty.push((shown, errors));
            }
        }
        Ok(suite)
    }

    /// Files with errors, and these.
    #[must_use]
    pub fn faulty(&self) -> &[(String, Vec<Diagnostic>)] {
        &self.faulty
    }

    /// Which lines were run, if that was asked for.
    #[must_use]
    pub fn coverage(&self) -> Option<&Coverage> {
        self.coverage.as_deref()
    }

    /// The tests whose file and name hold this text, as file and name.
    #[must_use]
    pub fn tests(&self, filter: &str) -> Vec<(String, String)> {
        let of = |file: &Arc<TestFile>| -> Vec<(String, String)> {
            let tests = file.tests().iter();
            tests
                .filter(|test| is_wanted(file, &test.name, filter))
                .map(|test| (file.shown().to_owned(), test.name.clone()))
                .collect()
        };
        self.files.iter().flat_map(of).collect()
    }

    /// Runs the tests whose file and name hold this text, on so many threads; those that act on this
    /// machine only with `real`. Results are told in
    /// the order of files and tests.
    pub fn run(
        &self,
        filter: &str,
        jobs: usize,
        real: Option<&RealRuns>,
        mut tell: impl FnMut(&TestResult),
    ) -> Tally {
        let since = Instant::now();
        let mut tests = Vec::new();
        for file in &self.files {
            for test in file.tests() {
                if is_wanted(file, &test.name, filter) {
                    tests.push((file.clone(), test.clone()));
                }
            }
        }
        let (tests, next) = (Arc::new(tests), Arc::new(AtomicUsize::new(0)));
        let plans: Plans = Arc::default();
        let (results, done) = mpsc::channel();
        let mut threads = 0;
        for _ in 0..jobs.clamp(1, tests.len().max(1)) {
            let (tests, next, plans) = (tests.clone(), next.clone(), plans.clone());
            let (results, coverage) = (results.clone(), self.coverage.clone());
            let real = real.cloned();
            let body = move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((file, test)) = tests.get(at) else {
                        return;
                    };
                    let result = file.run(test, &plans, coverage.clone(), real.as_ref());
                    if results.send((at, result)).is_err() {
                        return;
                    }
                }
            };
            let thread = std::thread::Builder::new()
                .name("test".into())
                .stack_size(STACK_BYTES)
                .spawn(body);
            threads += usize::from(thread.is_ok());
        }
        drop(results);
        let mut tally = Tally {
            faulty_files: self.faulty.len(),
            ..Tally::default()
        };
        if threads == 0 && !tests.is_empty() {
            tally.failed = tests.len();
        }
        let mut waiting = std::collections::BTreeMap::new();
        let mut told = 0;
        while let Ok((at, result)) = done.recv() {
            waiting.insert(at, result);
            while let Some(result) = waiting.remove(&told) {
                tally.count(&result);
                tell(&result);
                told += 1;
            }
        }
        tally.took = since.elapsed();
        tally
    }
}

fn is_wanted(file: &TestFile, name: &str, filter: &str) -> bool {
    format!("{} {name}", file.shown()).contains(filter)
}

/// How many tests run at the same time unless somebody says otherwise.
#[must_use]
pub fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
