//! What is only known from the text of a plan: the calls of a part that was not executed.

use std::collections::HashMap;

use rhai::{AST, ASTNode, Dynamic, Expr, FnPtr, Position, ScriptFuncDef, Shared, Stmt};

use crate::script::functions::{Function, When};
use crate::script::modules::{self, place_of};
use crate::script::plan::Plan;
use crate::words::place::Place;

use super::rewrite::{Part, Site, statements_of};

/// A call of a host function that was read, not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The function.
    pub function: String,
    /// Where.
    pub place: Place,
    /// Is it a step?
    pub is_step: bool,
    /// How many groups stand around it, in the part that was read.
    pub depth: u32,
}

/// Functions that call one another are followed no deeper than this.
const DEPTH_MAX: usize = 16;
/// Calls that are read from one part.
const CALLS_MAX: usize = 1_000;

/// The trees of a plan, and the names of the host's functions.
pub struct Sources<'p> {
    plan: &'p Plan,
    host: HashMap<&'p str, &'p Function>,
}

impl<'p> Sources<'p> {
    /// Those of this plan.
    #[must_use]
    pub fn new(plan: &'p Plan, functions: &'p [Function]) -> Self {
        Self {
            plan,
            host: functions.iter().map(|f| (f.name, f)).collect(),
        }
    }

    /// The calls in the parts of a site, in the order of the text.
    #[must_use]
    pub fn in_parts(&self, site: &Site) -> Vec<Found> {
        let mut reading = Reading::new(self);
        for part in &site.parts {
            match part {
                Part::Stmt(stmt) => reading.stmt(&site.source, stmt),
                Part::Expr(expr) => reading.expr(&site.source, expr),
            }
        }
        reading.found
    }

    /// The calls behind a position in a function; in the plan's own text when it has no name.
    #[must_use]
    pub fn behind(&self, source: &str, function: &str, at: Position) -> Vec<Found> {
        let Some(ast) = self.plan.asts().get(source) else {
            return Vec::new();
        };
        let statements = if function.is_empty() {
            ast.statements().to_vec()
        } else {
            let def = ast.iter_fn_def().find(|def| def.name == function);
            def.map(statements_of).unwrap_or_default()
        };
        let mut reading = Reading::new(self);
        reading.behind = Some((source.to_owned(), at));
        statements.iter().for_each(|s| reading.stmt(source, s));
        reading.found
    }

    /// The texts of the calls in a closure that undoes something.
    #[must_use]
    pub fn texts_of_closure(&self, name: &str) -> Vec<String> {
        let mut reading = Reading::new(self);
        reading.closure(name);
        let found = reading.found.iter();
        found.map(|found| self.text_at(&found.place)).collect()
    }

    /// The text of a call, from its name to its closing bracket.
    #[must_use]
    pub fn text_at(&self, place: &Place) -> String {
        let number = |n: u32| usize::try_from(n.saturating_sub(1)).unwrap_or(0);
        let Some(source) = self.plan.sources().get(&place.file) else {
            return String::new();
        };
        let behind = source.split_inclusive('\n').skip(number(place.line));
        let text: String = behind.take(LINES_MAX).collect();
        let text: String = text.chars().skip(number(place.column)).collect();
        call_text(&text).to_owned()
    }
}

/// Lines of a call that are looked at.
const LINES_MAX: usize = 200;

/// The begin of a text up to the bracket that closes the first one.
fn call_text(text: &str) -> &str {
    let mut open = 0_u32;
    let mut within: Option<char> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (within, c) {
            (Some('"' | '\''), '\\') => {
                chars.next();
            }
            (Some('\n'), '\n') => within = None,
            (Some(quote), c) if c == quote => within = None,
            (Some(_), _) => {}
            (None, '"' | '`' | '\'') => within = Some(c),
            (None, '/') if chars.peek().is_some_and(|(_, next)| *next == '/') => {
                within = Some('\n');
            }
            (None, '(' | '[' | '{') => open += 1,
            (None, ')' | ']' | '}') => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return text.get(..at + c.len_utf8()).unwrap_or(text);
                }
            }
            (None, _) => {}
        }
    }
    text.lines().next().unwrap_or_default()
}

struct Reading<'s, 'p> {
    sources: &'s Sources<'p>,
    found: Vec<Found>,
    /// The functions that are being read.
    open: Vec<(String, String)>,
    /// Calls of this source that stand before this are left out.
    behind: Option<(String, Position)>,
    depth: u32,
}

impl<'s, 'p> Reading<'s, 'p> {
    fn new(sources: &'s Sources<'p>) -> Self {
        Self {
            sources,
            found: Vec::new(),
            open: Vec::new(),
            behind: None,
            depth: 0,
        }
    }

    fn stmt(&mut self, source: &str, stmt: &Stmt) {
        let mut seen = Vec::new();
        stmt.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
            seen.extend(heard(path));
            true
        });
        self.take(source, seen);
    }

    fn expr(&mut self, source: &str, expr: &Expr) {
        let mut seen = Vec::new();
        expr.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
            seen.extend(heard(path));
            true
        });
        self.take(source, seen);
    }

    fn take(&mut self, source: &str, seen: Vec<Seen>) {
        for seen in seen {
            if self.found.len() >= CALLS_MAX {
                return;
            }
            match seen {
                Seen::Closure { name, handed_to } => {
                    // What only looks has no steps, and what undoes is told with what it undoes.
                    let is_told = !matches!(
                        handed_to.as_deref(),
                        Some("check" | "watch" | "verify" | "back_out")
                    ) && !handed_to
                        .as_deref()
                        .is_some_and(|f| f.starts_with("option "));
                    if is_told && self.is_behind_closure(&name) {
                        let is_group = handed_to.as_deref() == Some("step");
                        self.depth += u32::from(is_group);
                        self.closure(&name);
                        self.depth -= u32::from(is_group);
                    }
                }
                Seen::Call {
                    name,
                    alias,
                    arity,
                    pos,
                } => self.call(source, &name, alias.as_deref(), arity, pos),
            }
        }
    }

    fn call(&mut self, source: &str, name: &str, alias: Option<&str>, arity: usize, pos: Position) {
        if !self.is_behind(source, pos) {
            return;
        }
        let asts = self.sources.plan.asts();
        let home = match alias {
            None => Some(source.to_owned()),
            Some(alias) => asts
                .get(source)
                .and_then(|ast| imported(ast, source, alias)),
        };
        let def = home.as_ref().and_then(|home| {
            let mut defs = asts.get(home)?.iter_fn_def();
            defs.find(|def| def.name == name && def.params.len() == arity)
        });
        if let (Some(home), Some(def)) = (home, def) {
            self.function(&home, def);
            return;
        }
        let host = self.sources.host.get(name).filter(|_| alias.is_none());
        if host.is_some_and(|function| is_told(function)) {
            self.found.push(Found {
                function: name.to_owned(),
                is_step: host.is_some_and(|function| is_step(function)),
                place: place_of(source, pos),
                depth: self.depth,
            });
        }
    }

    fn function(&mut self, source: &str, def: &Shared<ScriptFuncDef>) {
        let key = (source.to_owned(), def.name.to_string());
        if self.open.len() >= DEPTH_MAX || self.open.contains(&key) {
            return;
        }
        self.open.push(key);
        let behind = self.behind.take();
        for statement in statements_of(def) {
            self.stmt(source, &statement);
        }
        self.behind = behind;
        self.open.pop();
    }

    fn closure(&mut self, name: &str) {
        let asts = self.sources.plan.asts();
        let home = asts.iter().find_map(|(id, ast)| {
            let def = ast.iter_fn_def().find(|def| def.name == name)?;
            Some((id.clone(), def.clone()))
        });
        if let Some((id, def)) = home {
            self.function(&id, &def);
        }
    }

    fn is_behind(&self, source: &str, pos: Position) -> bool {
        match &self.behind {
            Some((in_source, at)) if in_source == source => pos > *at,
            _ => true,
        }
    }

    fn is_behind_closure(&self, name: &str) -> bool {
        let asts = self.sources.plan.asts();
        let home = asts.iter().find_map(|(id, ast)| {
            let def = ast.iter_fn_def().find(|def| def.name == name)?;
            Some((id, def.body.start_position()))
        });
        home.is_none_or(|(id, pos)| self.is_behind(id, pos))
    }
}

/// Reads are not told: they change nothing.
fn is_told(function: &Function) -> bool {
    function.when == When::Release
        || matches!(
            function.name,
            "check"
                | "check_installed"
                | "watch"
                | "wait_for_approval"
                | "wait_for_window"
                | "abort"
        )
}

fn is_step(function: &Function) -> bool {
    let others = ["back_out", "point_of_no_return", "soak", "step", "verify"];
    function.when == When::Release && !others.contains(&function.name)
}

enum Seen {
    Call {
        name: String,
        alias: Option<String>,
        arity: usize,
        pos: Position,
    },
    Closure {
        name: String,
        /// The function that it is an argument of; `option NAME` if it stands in a map.
        handed_to: Option<String>,
    },
}

fn heard(path: &[ASTNode]) -> Option<Seen> {
    match path.last()? {
        ASTNode::Stmt(Stmt::FnCall(call, pos)) | ASTNode::Expr(Expr::FnCall(call, pos)) => {
            let alias = call
                .namespace
                .path
                .first()
                .map(|part| part.name.to_string());
            Some(Seen::Call {
                name: call.name.to_string(),
                alias,
                arity: call.args.len(),
                pos: *pos,
            })
        }
        ASTNode::Expr(Expr::MethodCall(call, pos)) => Some(Seen::Call {
            name: call.name.to_string(),
            alias: None,
            arity: call.args.len(),
            pos: *pos,
        }),
        ASTNode::Expr(Expr::DynamicConstant(value, _)) => Some(Seen::Closure {
            name: pointer_name(value)?,
            handed_to: handed_to(path),
        }),
        _ => None,
    }
}

fn pointer_name(value: &Dynamic) -> Option<String> {
    let pointer = value.read_lock::<FnPtr>()?;
    Some(pointer.fn_name().to_owned())
}

fn handed_to(path: &[ASTNode]) -> Option<String> {
    let outer = path.iter().rev().skip(1);
    for around in outer {
        match around {
            ASTNode::Expr(Expr::Map(..)) => return Some("option map".into()),
            ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _))
                if call.name != "curry" =>
            {
                return Some(call.name.to_string());
            }
            ASTNode::Expr(Expr::MethodCall(call, _)) => return Some(call.name.to_string()),
            _ => {}
        }
    }
    None
}

/// The source that is imported under a name.
fn imported(ast: &AST, source: &str, alias: &str) -> Option<String> {
    let imports = modules::imports(ast, source);
    let import = imports.into_iter().find(|import| import.alias == alias)?;
    let path = modules::resolve(source, &import.path).ok()?;
    Some(path.id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_ends_with_its_bracket() {
        for (text, call) in [
            ("run(\"a)\", #{ b: [1] }); }", "run(\"a)\", #{ b: [1] })"),
            ("run(`x ${f(1)}`) + 1", "run(`x ${f(1)}`)"),
            ("run(\"\\\")\" // )\n, 1);", "run(\"\\\")\" // )\n, 1)"),
            ("run(\"a\"", "run(\"a\""),
        ] {
            assert_eq!(call_text(text), call);
        }
    }
}
