//! The functions that only tests call: what is given, what goes wrong, what is asserted.

mod asserts;
mod given;
mod runs;
mod tables;
mod told;
mod troubles;

use std::sync::Arc;

use rhai::{ASTNode, Dynamic, Expr, Stmt};

use crate::script::args::Args;
use crate::script::functions::{Function, Handler, Param, When};
use crate::script::plan::Plan;
use crate::script::testing::is_test_file;
use crate::script::testing::stage::{Failed, Stage};
use crate::supervisor::fiber::Halt;
use crate::words::call::Failure;
use crate::words::place::Place;

/// What a test function does.
type Call = fn(&Args, &Arc<Stage>) -> Result<Dynamic, Halt>;

/// The functions that only test files may call.
#[must_use]
pub fn functions() -> Vec<Function> {
    [
        given::functions(),
        troubles::functions(),
        runs::functions(),
        asserts::functions(),
        told::functions(),
        tables::functions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A test function without options.
fn simple(
    name: &'static str,
    params: &'static [Param],
    optional: &'static [Param],
    doc: &'static str,
    call: Call,
) -> Function {
    Function {
        name,
        params,
        optional,
        options: &[],
        closure: None,
        when: When::Test,
        doc,
        handler: Handler::Test(call),
    }
}

/// The test has failed: this is thrown, and kept should somebody catch it.
fn fail(args: &Args, stage: &Stage, message: String, diff: Vec<String>) -> Halt {
    stage.fail(Failed {
        message: message.clone(),
        place: Some(args.place.clone()),
        diff,
        hint: None,
    });
    Halt::Throw(Failure::new(message))
}

/// Functions that a test which acts on this machine may call.
const FOR_REAL: &[&str] = &[
    "given_file",
    "given_directory",
    "given_link",
    "given_no_file",
    "run_plan",
    "run_helper",
    "steps",
    "reads",
    "assert",
    "assert_eq",
    "assert_ne",
    "assert_contains",
    "assert_throws",
    "assert_steps",
    "assert_backed_out",
    "assert_file",
    "assert_no_file",
    "assert_as_before",
];

/// Calls a test function, if it may be called there.
pub(super) fn call(args: &Args, stage: &Arc<Stage>, call: Call) -> Result<Dynamic, Halt> {
    let name = args.function.name;
    if stage.real.is_some() && !FOR_REAL.contains(&name) {
        let text = format!("`{name}` may not be called here: this test has no pretended host");
        return Err(Halt::Throw(Failure {
            hint: Some("take the line `//! real` away from its file".into()),
            ..Failure::new(text)
        }));
    }
    call(args, stage)
}

/// A call that cannot be carried out.
fn wrong(message: impl Into<String>) -> Halt {
    Halt::Throw(Failure::new(message))
}

/// What is said where there is no test.
pub(super) fn only_in_tests(function: &Function) -> Halt {
    let text = format!("`{}` is there in test files only", function.name);
    Halt::Throw(Failure {
        hint: Some("call it from a file that ends in _test.rhai".into()),
        ..Failure::new(text)
    })
}

/// Refuses the call of a test function by anything but a test file, and sets the place right: Rhai
/// names the wrong source for a closure of the test that a module calls.
pub(super) fn correct(function: &Function, plan: &Plan, place: &mut Place) -> Result<(), Halt> {
    if !matches!(function.handler, Handler::Test(_)) || is_test_file(&place.file) {
        return Ok(());
    }
    let home = plan.running().iter().find(|(id, ast)| {
        let mut found = false;
        if is_test_file(id) {
            ast.walk(&mut |path: &[ASTNode]| {
                let (call, pos) = match path.last() {
                    Some(
                        ASTNode::Stmt(Stmt::FnCall(call, pos))
                        | ASTNode::Expr(Expr::FnCall(call, pos)),
                    ) => (call, pos),
                    _ => return true,
                };
                let here = crate::script::modules::place_of(id, *pos);
                found |= call.name == function.name
                    && (here.line, here.column) == (place.line, place.column);
                !found
            });
        }
        found
    });
    match home {
        Some((id, _)) => {
            place.file.clone_from(id);
            Ok(())
        }
        None => Err(only_in_tests(function)),
    }
}
