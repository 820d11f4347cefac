//! `this` in loops.
//!
//! What grows in a loop is watched through the variables that are read (see `nesting`). Nobody can
//! watch `this`, so a loop may not use it; plans are none the poorer.

use rhai::{AST, ASTNode, Expr, Stmt};

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;

use super::Notes;

pub(super) fn check(ast: &AST, notes: &mut Notes) {
    ast.walk(&mut |path: &[ASTNode]| {
        if let [around @ .., ASTNode::Expr(Expr::ThisPtr(pos))] = path
            && is_in_loop(around)
        {
            let hint = "hand the value over as a parameter, and return what becomes of it";
            let place = notes.place(*pos);
            let text = "`this` may not be used in a loop";
            notes.push(Diagnostic::new(Code::ThisInLoop, place, text).with_hint(hint));
        }
        true
    });
}

fn is_in_loop(around: &[ASTNode]) -> bool {
    around.iter().enumerate().any(|(at, node)| match node {
        ASTNode::Stmt(Stmt::While(..) | Stmt::Do(..)) => true,
        // What is looped over is evaluated once.
        ASTNode::Stmt(Stmt::For(..)) => matches!(around.get(at + 1), Some(ASTNode::Stmt(_))),
        _ => false,
    })
}
