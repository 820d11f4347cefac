//! Which lines of modules and plans were run by tests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rhai::debugger::DebuggerCommand;
use rhai::{AST, ASTNode, Engine, Stmt};

use crate::script::plan::Plan;
use crate::words::test_result::LineCounts;

use super::is_test_file;

/// What was run, by all tests together.
#[derive(Debug, Default)]
pub struct Coverage {
    known: Mutex<BTreeMap<String, LineCounts>>,
    hits: Mutex<HashMap<(String, u32), u64>>,
}

impl Coverage {
    /// Counts what an engine runs.
    pub fn watch(self: &Arc<Self>, engine: &mut Engine, base: String) {
        let coverage = self.clone();
        #[expect(deprecated, reason = "rhai marks it volatile, not deprecated")]
        engine.register_debugger(
            |_, debugger| debugger,
            move |_, _, _, source, pos| {
                // A statement that is an expression is told as that.
                if let (Some(source), Some(line)) = (source, pos.line()) {
                    let line = u32::try_from(line).unwrap_or(0);
                    let mut hits = coverage.hits.lock().unwrap_or_else(PoisonError::into_inner);
                    *hits.entry((format!("{base}{source}"), line)).or_default() += 1;
                }
                Ok(DebuggerCommand::StepInto)
            },
        );
    }

    /// Takes note of what could be run in a plan's sources; `base` stands before their names.
    pub fn know(&self, plan: &Plan, base: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, ast) in plan.asts() {
            if is_test_file(id) || id.starts_with("std/") {
                continue;
            }
            known
                .entry(format!("{base}{id}"))
                .or_insert_with(|| lines_of(ast).into_iter().map(|line| (line, 0)).collect());
        }
    }

    /// The lines of each source, and how often they were run.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, LineCounts> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = known.clone();
        for ((file, line), count) in hits.iter() {
            if let Some(known) = files.get_mut(file).and_then(|lines| lines.get_mut(line)) {
                *known += count;
            }
        }
        files
    }
}

/// Is it a statement that does something itself?
fn counts(statement: &Stmt) -> bool {
    !matches!(
        statement,
        Stmt::Noop(_) | Stmt::Block(_) | Stmt::Share(_) | Stmt::Export(..)
    )
}

fn lines_of(ast: &AST) -> BTreeSet<u32> {
    let mut lines = BTreeSet::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(statement)) = path.last()
            && counts(statement)
            && let Some(line) = statement.position().line()
        {
            lines.insert(u32::try_from(line).unwrap_or(0));
        }
        true
    });
    lines
}
