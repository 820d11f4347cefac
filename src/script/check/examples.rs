//! The explanations of the codes are executed: the wrong plan yields exactly that finding, the right
//! one none.

use crate::script::api;
use crate::script::plan::Plan;
use crate::script::testing::is_test_file;
use crate::words::code::{Code, ExampleFile};
use crate::words::diagnostic::Diagnostic;
use crate::words::place::Place;

use super::check;

/// What every plan of a few lines lacks. It counts in the examples of these codes themselves.
const OF_SHORT_PLANS: &[Code] = &[Code::NoHeader, Code::Checklist, Code::NoVerify];

/// What stands in the examples for what cannot be printed.
fn expanded(text: &str) -> String {
    text.replace("<U+202E>", "\u{202e}")
        .replace("<x 70000>", &"x".repeat(70_000))
}

fn found(files: &[ExampleFile], of: Code) -> Vec<Diagnostic> {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::write(dir.path().join(&file.name), expanded(&file.text)).unwrap();
    }
    let test = files.iter().find(|file| is_test_file(&file.name));
    let main = test.map_or("plan.rhai", |file| &file.name);
    let found = match Plan::read(&dir.path().join(main)) {
        Ok(plan) => check(&plan, &api::functions()),
        Err(error) => vec![Diagnostic::new(
            Code::Unreadable,
            Place::default(),
            error.problem,
        )],
    };
    let told = |d: &Diagnostic| d.code == of || !OF_SHORT_PLANS.contains(&d.code);
    found.into_iter().filter(told).collect()
}

#[test]
fn explanations_are_true() {
    let mut wrong = Vec::new();
    let shown =
        |found: &[Diagnostic]| -> String { found.iter().map(|d| format!("{d}\n")).collect() };
    // Those of comments are tried where comments are looked at.
    for &code in Code::ALL.iter().filter(|code| !code.is_of_comments()) {
        let explanation = code.explanation();
        let faults = found(&explanation.wrong, code);
        if faults.is_empty() || faults.iter().any(|d| d.code != code) {
            wrong.push(format!(
                "{code}: the wrong example yields\n{}",
                shown(&faults)
            ));
        }
        let none: Vec<Diagnostic> = found(&explanation.right, code);
        if !none.is_empty() {
            wrong.push(format!(
                "{code}: the right example yields\n{}",
                shown(&none)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
