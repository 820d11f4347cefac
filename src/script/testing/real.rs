//! Tests that act on this machine: real runs, with a journal and a working directory of their own.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::script::engine::Entry;
use crate::script::functions::Function;
use crate::script::plan::Plan;
use crate::target::pretended::{Difference, Tree};

use super::stage::Stage;
use super::whole_plan::{HowToRun, Ran};

/// The line by which a test file says that it acts on this machine.
pub const MARK: &str = "//! real";

/// What a test does directly there.
pub const ONLY_LOOKS: &str = "in a test that acts on this machine, helpers are called by a closure of \
                              run_helper(|| …)";

/// A run that acts on this machine.
pub struct RealRun {
    /// The plan, or the test file.
    pub plan: Plan,
    /// The functions it may call.
    pub functions: Vec<Function>,
    /// The test.
    pub stage: Arc<Stage>,
    /// What is run in place of the plan's own text.
    pub entry: Option<Entry>,
    /// How.
    pub how: HowToRun,
    /// Where its journal is.
    pub state_dir: PathBuf,
}

/// Whoever runs it.
pub type RealRuns = Arc<dyn Fn(RealRun) -> Result<Ran, String> + Send + Sync>;

/// What a test that acts on this machine has.
pub struct Real {
    runs: RealRuns,
    scratch: PathBuf,
    before: Mutex<Option<Tree>>,
}

/// Such tests share the machine: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Waits until no other test acts on this machine.
pub fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Real {
    /// Makes a scratch directory for a test.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(runs: RealRuns) -> std::io::Result<Self> {
        let base = std::env::temp_dir();
        let scratch = loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("deployrun-test-{}-{number}", std::process::id());
            let dir = base.join(name);
            match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => break dir,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let real = Self {
            runs,
            scratch,
            before: Mutex::default(),
        };
        std::fs::create_dir(real.work())?;
        Ok(real)
    }

    /// The directory in which commands run and from which paths count.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.scratch.join("work")
    }

    /// Where all of the test lies.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Takes the scratch directory away.
    pub fn tidy_up(&self) {
        // What cannot be removed lies in a directory for such things.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }

    /// Runs a plan, or a closure in place of one.
    ///
    /// # Errors
    /// When it cannot be run at all, in words.
    pub fn run(
        &self,
        stage: &Arc<Stage>,
        plan: &Plan,
        functions: Vec<Function>,
        entry: Option<Entry>,
        how: HowToRun,
    ) -> Result<Ran, String> {
        *self.before() = Some(Tree::of_directory(&self.work()));
        let ran = (self.runs)(RealRun {
            plan: plan.rooted(&self.work()),
            functions,
            stage: stage.clone(),
            entry,
            how,
            state_dir: self.scratch.join("state"),
        })?;
        stage.heard(&ran.events);
        Ok(ran)
    }

    fn before(&self) -> MutexGuard<'_, Option<Tree>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What differs in the working directory from before the last run.
    #[must_use]
    pub fn changed(&self) -> Vec<Difference> {
        match &*self.before() {
            Some(before) => before.differences(&Tree::of_directory(&self.work())),
            None => Vec::new(),
        }
    }

    /// A path that a test may write to.
    ///
    /// # Errors
    /// When it lies outside of the working directory.
    pub fn own_path(&self, path: &Path) -> Result<PathBuf, String> {
        let climbs = path.components().any(|part| part == Component::ParentDir);
        // A link on the way may lead out.
        let mut above = path.ancestors().skip(1);
        let leads_to = above.find_map(|dir| std::fs::canonicalize(dir).ok());
        let stays = match (leads_to, std::fs::canonicalize(self.work())) {
            (Some(leads_to), Ok(work)) => leads_to.starts_with(work),
            _ => false,
        };
        if path.starts_with(self.work()) && !climbs && stays {
            return Ok(path.to_owned());
        }
        Err(format!(
            "{} lies outside of the working directory; write a relative path",
            path.display()
        ))
    }
}
