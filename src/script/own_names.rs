//! The functions of modules under names that no other source has.
//!
//! Rhai 1.27 remembers what a call without a path leads to in one place for all sources: once
//! `only("x")` has been called twice in one module, it leads to that module's function wherever it
//! stands, in another module and in the plan too. So what a module calls of its own is renamed before
//! it is run. The functions have their names beside that, for those who import the module.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rhai::{
    AST, ASTNode, Expr, FnAccess, FnCallExpr, Module, Position, ScriptFuncDef, Stmt, Token,
};

use super::engine;

/// What stands between a function's name and the number of its module.
const MARK: &str = "__of_module_";

/// The name of a function as its author wrote it.
#[must_use]
pub fn written(name: &str) -> &str {
    match name.rsplit_once(MARK) {
        Some((written, number)) if number.bytes().all(|b| b.is_ascii_digit()) => written,
        _ => name,
    }
}

/// The trees of a plan's sources as they are run.
#[must_use]
pub fn trees(
    main: &str,
    asts: &BTreeMap<String, Arc<AST>>,
    sources: &BTreeMap<String, String>,
) -> BTreeMap<String, Arc<AST>> {
    let renamed = |(number, (id, ast)): (usize, (&String, &Arc<AST>))| {
        let text = sources.get(id).filter(|_| id != main);
        let tree = text.and_then(|text| renamed(id, text, ast, number));
        (id.clone(), tree.map_or_else(|| ast.clone(), Arc::new))
    };
    asts.iter().enumerate().map(renamed).collect()
}

/// The tree of a module in which its own functions, and its calls of them, have names of their own.
fn renamed(id: &str, text: &str, ast: &AST, number: usize) -> Option<AST> {
    let own: HashSet<(String, usize)> = ast
        .iter_fn_def()
        .filter(|def| !def.name.starts_with("anon$"))
        .map(|def| (def.name.to_string(), def.params.len()))
        .collect();
    if own.is_empty() {
        return None;
    }
    let mut calls: HashSet<Position> = HashSet::new();
    let mut note = |call: &FnCallExpr, pos: Position| {
        let is_own = || own.contains(&(call.name.to_string(), call.args.len()));
        if call.namespace.path.is_empty() && is_own() {
            calls.insert(pos);
        }
    };
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::FnCall(call, pos))) => note(call, *pos),
            Some(ASTNode::Expr(Expr::FnCall(call, pos))) => note(call, *pos),
            _ => {}
        }
        true
    });
    let names: HashSet<String> = own.into_iter().map(|(name, _)| name).collect();
    // The name of a function stands behind the word `fn`.
    let is_defined = AtomicBool::new(false);
    let tree = engine::parse_mapped(text, move |token, pos| {
        let is_definition = is_defined.swap(matches!(token, Token::Fn), Ordering::Relaxed);
        match token {
            Token::Identifier(name)
                if names.contains(name.as_str()) && (is_definition || calls.contains(&pos)) =>
            {
                Token::Identifier(Box::new(format!("{name}{MARK}{number}").into()))
            }
            other => other,
        }
    })?;
    let mut functions = Module::new();
    for def in tree.iter_fn_def() {
        let name = written(&def.name);
        if name != def.name {
            functions.set_script_fn(ScriptFuncDef {
                name: name.into(),
                ..(**def).clone()
            });
        }
        functions.set_script_fn(ScriptFuncDef {
            access: FnAccess::Private,
            ..(**def).clone()
        });
    }
    Some(AST::new_with_source(
        tree.statements().to_vec(),
        functions,
        id,
    ))
}
