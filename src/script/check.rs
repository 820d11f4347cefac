//! temp
use super::functions::Function;
use super::plan::Plan;
use crate::words::diagnostic::Diagnostic;
/// temp
pub fn check(plan: &Plan, _f: &[Function]) -> Vec<Diagnostic> {
    plan.problems().to_vec()
}
