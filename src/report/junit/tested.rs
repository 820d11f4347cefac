//! Tests as JUnit XML: a suite for each file.

use crate::words::test_result::TestResult;

use super::cases::{Case, Result, Suite};
use super::xml;

/// The document that tells of tests, and of files with errors, whose tests were not run.
#[must_use]
pub fn tested(results: &[TestResult], faulty: &[(String, String)]) -> String {
    let mut suites: Vec<Suite> = Vec::new();
    for result in results {
        if suites.last().is_none_or(|suite| suite.name != result.file) {
            suites.push(Suite {
                name: result.file.clone(),
                file: Some(result.file.clone()),
                ms: Some(0),
                ..Suite::default()
            });
        }
        let ms = u64::try_from(result.took.as_millis()).unwrap_or(u64::MAX);
        if let Some(suite) = suites.last_mut() {
            suite.ms = suite.ms.map(|sum| sum.saturating_add(ms));
            suite.cases.push(case(result, ms));
        }
    }
    for (file, problem) in faulty {
        suites.push(Suite {
            name: file.clone(),
            file: Some(file.clone()),
            cases: vec![Case {
                name: "the file has no errors".into(),
                class: class(file),
                place: Some((file.clone(), 0)),
                result: Result::Error {
                    kind: "faulty".into(),
                    message: problem.lines().next().unwrap_or_default().to_owned(),
                    text: problem.clone(),
                },
                ..Case::default()
            }],
            ..Suite::default()
        });
    }
    xml::written(&suites)
}

fn case(result: &TestResult, ms: u64) -> Case {
    Case {
        name: result.name.clone(),
        class: class(&result.file),
        place: Some((result.file.clone(), result.line)),
        ms: Some(ms),
        result: match &result.failure {
            None if result.skipped => Result::Skipped {
                message: "it acts on this machine: --real runs it".into(),
            },
            None => Result::Passed,
            Some(failure) => Result::Failure {
                kind: "failed".into(),
                message: failure.message.clone(),
                text: failure.detail.clone(),
            },
        },
        ..Case::default()
    }
}

/// Dots part packages there.
fn class(file: &str) -> String {
    file.strip_suffix(".rhai").unwrap_or(file).replace('.', "_")
}
