//! A test file: its tests, and how one of them is run.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, EvalAltResult, Scope};

use crate::script::api;
use crate::script::check;
use crate::script::engine::Surroundings;
use crate::script::error::tell;
use crate::script::functions::Function;
use crate::script::plan::{Plan, ReadError};
use crate::supervisor::recorded::Recorded;
use crate::words::diagnostic::{Diagnostic, excerpt, line_of};
use crate::words::test_result::{TestFailure, TestName, TestResult};

use super::acting::Acting;
use super::coverage::Coverage;
use super::real::{self, MARK, Real, RealRuns};
use super::stage::{Failed, Plans, Stage};

/// A file with tests, read and parsed once.
pub struct TestFile {
    /// As it was asked for.
    shown: String,
    plan: Arc<Plan>,
    functions: Arc<Vec<Function>>,
    tests: Vec<TestName>,
    /// Does it say that it acts on this machine?
    acts: bool,
}

/// Is it [`MARK`], however it is spaced?
fn is_mark(line: &str) -> bool {
    let word = |line: &str| {
        line.strip_prefix("//!")
            .map(|rest| rest.trim().to_ascii_lowercase())
    };
    word(line).is_some_and(|found| word(MARK) == Some(found))
}

impl TestFile {
    /// Reads the test file at `path`, whose project is `root`. `shown` is what reports call it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(root: &Path, path: &Path, shown: &str) -> Result<Self, ReadError> {
        let plan = Arc::new(Plan::read_below(root, path)?);
        let mut tests: Vec<TestName> = Vec::new();
        if let Some(ast) = plan.asts().get(plan.main()) {
            for def in ast.iter_fn_def() {
                if def.name.starts_with("test_") && def.params.is_empty() {
                    let line = def.body.start_position().line().unwrap_or(0);
                    tests.push(TestName {
                        name: def.name.to_string(),
                        line: u32::try_from(line).unwrap_or(0),
                    });
                }
            }
        }
        tests.sort_by_key(|test| test.line);
        let acts = plan.sources().get(plan.main()).is_some_and(|text| {
            let comment = |line: &&str| line.starts_with("//") || line.trim().is_empty();
            let mut head = text.lines().take_while(comment);
            head.any(is_mark)
        });
        let mut functions = api::functions();
        functions.extend(api::testing::functions());
        Ok(Self {
            shown: shown.to_owned(),
            plan,
            functions: Arc::new(functions),
            tests,
            acts,
        })
    }

    /// What reports call it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Its tests, in the order of its text.
    #[must_use]
    pub fn tests(&self) -> &[TestName] {
        &self.tests
    }

    /// What the static check finds in it.
    #[must_use]
    pub fn check(&self) -> Vec<Diagnostic> {
        check::check(&self.plan, &self.functions)
    }

    /// Takes note of what its tests could run.
    pub fn know(&self, coverage: &Coverage) {
        coverage.know(&self.plan, &base_of(self.plan.root()));
    }

    /// Runs one of its tests.
    #[must_use]
    pub fn run(
        &self,
        test: &TestName,
        plans: &Plans,
        coverage: Option<Arc<Coverage>>,
        runs: Option<&RealRuns>,
    ) -> TestResult {
        let alone = self.acts.then(real::alone);
        let since = Instant::now();
        let mut result = TestResult {
            file: self.shown.clone(),
            name: test.name.clone(),
            line: test.line,
            failure: None,
            skipped: false,
            cases: 0,
            took: Duration::ZERO,
        };
        let real = match (self.acts, runs) {
            (false, _) => None,
            (true, None) => {
                result.skipped = true;
                return result;
            }
            (true, Some(runs)) => match Real::new(runs.clone()) {
                Ok(real) => Some(real),
                Err(error) => {
                    result.failure = Some(TestFailure {
                        message: format!("a scratch directory can't be made: {error}"),
                        ..TestFailure::default()
                    });
                    return result;
                }
            },
        };
        let stage = Arc::new(Stage::new(
            self.plan.root(),
            self.plan.main(),
            &test.name,
            plans.clone(),
            coverage,
            real,
        ));
        let played = catch_unwind(AssertUnwindSafe(|| self.play(test, &stage)));
        result.failure = match played {
            Ok(failure) => failure,
            Err(_) => Some(TestFailure {
                message: "deployrun has a defect: it panicked while it ran the test".into(),
                ..TestFailure::default()
            }),
        };
        stage.close();
        if let Some(real) = &stage.real {
            match &mut result.failure {
                None => real.tidy_up(),
                Some(failure) => {
                    let scratch = real.scratch().display();
                    let _ = write!(failure.detail, "\n   = its files are kept in {scratch}");
                }
            }
        }
        drop(alone);
        result.cases = stage.cases();
        result.took = since.elapsed();
        result
    }

    fn play(&self, test: &TestName, stage: &Arc<Stage>) -> Option<TestFailure> {
        let args = serde_json::json!({ "rest": [] });
        let surroundings = Arc::new(Surroundings {
            plan: match &stage.real {
                Some(real) => Arc::new(self.plan.rooted(&real.work())),
                None => self.plan.clone(),
            },
            functions: self.functions.clone(),
            args: crate::script::value::from_json(&args),
            modules: Arc::default(),
            stage: Some(stage.clone()),
            entry: None,
        });
        stage.set(&surroundings);
        let (name, core) = (stage.next_run(), stage.core());
        let own = Acting::new(stage, &surroundings, name, core, Recorded::default());
        let own = match own {
            Ok(own) => Arc::new(own),
            Err(error) => {
                return Some(TestFailure {
                    message: format!("the test can't be run: {error}"),
                    ..TestFailure::default()
                });
            }
        };
        stage.open(own.clone());
        own.driver.begin(Vec::new());
        let engine = own.engine();
        let ast = self.plan.asts().get(self.plan.main())?;
        let result = engine.call_fn::<Dynamic>(&mut Scope::new(), ast, &test.name, ());
        self.judge(result, stage, &own)
    }

    /// What went wrong, if anything did.
    fn judge(
        &self,
        result: Result<Dynamic, Box<EvalAltResult>>,
        stage: &Stage,
        own: &Acting,
    ) -> Option<TestFailure> {
        let deeds = stage.deeds();
        let told = result
            .err()
            .map(|error| tell(&error, &self.plan, &self.functions));
        let failed = if let Some(problem) = stage.world.not_given() {
            let mut hint = problem.hint;
            if !problem.near.is_empty() {
                let near = problem.near.join("\n     | ");
                hint = format!("{hint}\n   = given, and near to it:\n     | {near}");
            }
            Failed {
                message: problem.message,
                place: stage.place(),
                diff: Vec::new(),
                hint: Some(hint),
            }
        } else if let Some(failed) = stage.failed() {
            failed
        } else if own.driver.is_dead() {
            Failed {
                message: "deployrun was killed, and the test with it".into(),
                place: stage.place(),
                hint: Some(
                    "kill_at_step is for run_plan, which takes the run up; for a helper there is \
                     assert_backed_out_at_every_step"
                        .into(),
                ),
                ..Failed::default()
            }
        } else if let Some(stop) = own.driver.stopping().filter(|_| told.is_some()) {
            Failed {
                message: format!("the run stopped: {}: {}", stop.cause.words(), stop.reason),
                place: told
                    .as_ref()
                    .and_then(|told| told.place.clone())
                    .or_else(|| stage.place()),
                ..Failed::default()
            }
        } else if let Some(told) = &told {
            return Some(TestFailure {
                message: told.message.clone(),
                place: told.place.clone(),
                detail: format!("{}{}", told.detail, calls(&deeds.calls)),
            });
        } else if let Some((at, seen)) = super::stage::first_missed(stage) {
            Failed {
                message: format!(
                    "{at}, which was to go wrong, was never reached: {seen} were started"
                ),
                ..Failed::default()
            }
        } else if stage.asserts() == 0 && deeds.calls.is_empty() {
            Failed {
                message: "the test asserts nothing, and calls nothing of deployrun".into(),
                hint: Some("end it with assert_eq(…), assert_steps([…]) or another assert".into()),
                ..Failed::default()
            }
        } else {
            return None;
        };
        // The chain of calls is known only where the failure has left the script.
        let told = told.filter(|told| told.message == failed.message);
        let mut detail = match &told {
            Some(told) => told.detail.clone(),
            None => match &failed.place {
                Some(place) => {
                    let source = self.plan.sources().get(&place.file);
                    let line = source.and_then(|text| line_of(text, place.line));
                    format!("{}\n{}", failed.message, excerpt(place, 0, line.as_deref()))
                }
                None => failed.message.clone(),
            },
        };
        for line in &failed.diff {
            detail.push_str("\n   ");
            detail.push_str(line);
        }
        if let Some(hint) = failed.hint.filter(|_| told.is_none()) {
            let _ = write!(detail, "\n   = hint: {hint}");
        }
        detail.push_str(&calls(&deeds.calls));
        Some(TestFailure {
            message: failed.message,
            place: failed.place,
            detail,
        })
    }
}

/// Calls that are told.
const CALLS_MAX: usize = 30;

fn calls(calls: &[String]) -> String {
    if calls.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n   = what the code did:");
    let more = calls.len().saturating_sub(CALLS_MAX);
    if more > 0 {
        let _ = write!(text, "\n     | … {more} calls before");
    }
    for call in calls.iter().skip(more) {
        text.push_str("\n     | ");
        text.push_str(call);
    }
    text
}

/// What stands before the names of a project's sources, so that two projects are kept apart.
pub(in crate::script) fn base_of(root: &Path) -> String {
    format!("{}/", root.display())
}
