//! A source as the checks see it: every call, closure and variable, in the order of the text.
//!
//! Rhai lifts closures out of the text into functions with generated names. Here they are walked
//! where they are written, so that each call knows what stands around it.

use std::collections::{HashMap, HashSet};

use rhai::{AST, ASTNode, Dynamic, Expr, FnAccess, Module, Position, ScriptFuncDef, Shared, Stmt};

use crate::script::functions::Function;

use super::arguments::Aligned;
use super::walk::walk;

/// A function of a source, or a closure in it.
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) params: Vec<String>,
    pub(super) private: bool,
    /// Where its body begins.
    pub(super) pos: Position,
    pub(super) statements: Vec<Stmt>,
}

/// The functions and closures of a source.
pub(super) fn definitions(ast: &AST) -> Vec<Definition> {
    ast.iter_fn_def().map(definition).collect()
}

/// Rhai lets nobody look into a function's body, but it walks the tree of a module that holds the
/// function alone.
fn definition(def: &Shared<ScriptFuncDef>) -> Definition {
    let mut alone = Module::new();
    alone.set_script_fn(def.clone());
    let mut statements = Vec::new();
    AST::new([], alone).walk(&mut |path: &[ASTNode]| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        true
    });
    Definition {
        name: def.name.to_string(),
        params: def.params.iter().map(ToString::to_string).collect(),
        private: def.access == FnAccess::Private,
        pos: def.body.start_position(),
        statements,
    }
}

impl Definition {
    /// Is it a closure?
    pub(super) fn is_closure(&self) -> bool {
        self.name.starts_with("anon$")
    }
}

/// One source of a plan.
pub(super) struct Source<'p> {
    pub(super) id: &'p str,
    pub(super) text: &'p str,
    pub(super) is_main: bool,
    /// The statements outside of functions.
    pub(super) top: &'p [Stmt],
    /// Its functions, closures left out.
    pub(super) functions: Vec<&'p Definition>,
    pub(super) imports: Vec<ImportSite<'p>>,
    pub(super) bodies: Vec<Body<'p>>,
    pub(super) calls: Vec<Call<'p>>,
    pub(super) variables: Vec<Variable<'p>>,
    /// `path::name` where no call is made.
    pub(super) qualified: Vec<Qualified<'p>>,
    /// Names that a map may hold a closure under: `map.name()` may be its call.
    pub(super) map_keys: HashSet<&'p str>,
    pub(super) unreachable: Vec<Unreachable>,
    /// Closures that are kept in an array, and the variable of a loop that each captured.
    pub(super) kept_in_loop: Vec<(Position, &'p str, Position)>,
    /// Texts in back-ticks that have something in them which is computed.
    pub(super) interpolated: Vec<&'p [Expr]>,
}

/// An `import`.
pub(super) struct ImportSite<'p> {
    pub(super) path: Option<&'p str>,
    pub(super) alias: &'p str,
    pub(super) pos: Position,
    pub(super) alias_pos: Position,
    /// Does it stand outside of functions and closures?
    pub(super) at_top: bool,
}

/// A statement that is never reached, and what ends the block before it.
pub(super) struct Unreachable {
    pub(super) pos: Position,
    pub(super) word: &'static str,
    pub(super) ended: Position,
}

/// `path::name`.
pub(super) struct Qualified<'p> {
    pub(super) path: &'p [rhai::Ident],
    pub(super) name: &'p str,
    pub(super) pos: Position,
}

/// What a closure is handed over for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The statements of the source itself.
    Top,
    /// A function.
    Function,
    /// A closure that only looks: of a check, a watch, a verify.
    Reads(&'static str),
    /// A closure that undoes.
    Undoes,
    /// A closure of a group of steps; has the group a time limit?
    Group { timeout: bool },
    /// Any other closure.
    Closure,
}

/// Statements with one purpose.
pub(super) struct Body<'p> {
    pub(super) role: Role,
    /// The function's name; empty for the others.
    pub(super) name: &'p str,
    pub(super) params: usize,
    /// The body around a closure.
    pub(super) parent: Option<usize>,
}

/// A variable, and whether anybody reads it.
pub(super) struct Variable<'p> {
    pub(super) name: &'p str,
    pub(super) pos: Position,
    pub(super) read: bool,
    pub(super) declared: bool,
    /// Of the source's own level, where `global::name` finds it.
    pub(super) global: bool,
    pub(super) exported: bool,
    /// What it was set to when it was declared.
    pub(super) value: Option<&'p Expr>,
    pub(super) loop_variable: bool,
}

/// A call, whatever it calls.
pub(super) struct Call<'p> {
    pub(super) name: &'p str,
    pub(super) path: &'p [rhai::Ident],
    pub(super) args: &'p [Expr],
    /// What stands before the dot, for a call in method form.
    pub(super) receiver: Option<&'p Expr>,
    pub(super) pos: Position,
    /// The body it stands in.
    pub(super) body: usize,
    /// The function that the statement before calls.
    pub(super) before: Option<&'p str>,
    /// Is it reached whenever its body is, if nothing throws?
    pub(super) certain: bool,
    /// The host function, and what is handed to it, when it is one.
    pub(super) host: Option<Host<'p>>,
}

/// A call of a host function.
pub(super) struct Host<'p> {
    pub(super) function: &'p Function,
    /// What goes where; `None` when the number of arguments is wrong.
    pub(super) aligned: Option<Aligned<'p>>,
}

impl<'p> Source<'p> {
    /// Walks one source.
    pub(super) fn new(
        id: &'p str,
        text: &'p str,
        is_main: bool,
        ast: &'p AST,
        definitions: &'p [Definition],
        host: &HashMap<&str, &'p Function>,
    ) -> Self {
        let (closures, functions): (Vec<_>, Vec<_>) =
            definitions.iter().partition(|def| def.is_closure());
        let closures = closures
            .into_iter()
            .map(|def| (def.name.as_str(), def))
            .collect();
        let own = functions.iter().map(|def| def.name.as_str()).collect();
        let source = Self {
            id,
            text,
            is_main,
            top: ast.statements(),
            functions,
            imports: Vec::new(),
            bodies: vec![Body {
                role: Role::Top,
                name: "",
                params: 0,
                parent: None,
            }],
            calls: Vec::new(),
            variables: Vec::new(),
            qualified: Vec::new(),
            map_keys: HashSet::new(),
            unreachable: Vec::new(),
            kept_in_loop: Vec::new(),
            interpolated: Vec::new(),
        };
        walk(source, host, own, closures)
    }

    /// Does it only define, for others to import?
    pub(super) fn is_library(&self) -> bool {
        let defines = |statement: &Stmt| match statement {
            Stmt::Import(..) | Stmt::Export(..) | Stmt::Noop(_) => true,
            Stmt::Var(parts, ..) => parts.1.is_constant(),
            _ => false,
        };
        !self.functions.is_empty() && self.top.iter().all(defines)
    }

    /// Is the body, or one around it, of this kind?
    pub(super) fn within(&self, body: usize, mut is: impl FnMut(&Body<'p>) -> bool) -> bool {
        let mut at = Some(body);
        while let Some(body) = at.and_then(|index| self.bodies.get(index)) {
            if is(body) {
                return true;
            }
            at = body.parent;
        }
        false
    }
}

/// The closure and the variables of a block that makes a closure which captures.
pub(super) fn captured(block: &[Stmt]) -> Option<(&Dynamic, &[Expr])> {
    let [Stmt::Share(_), Stmt::Expr(expr)] = block else {
        return None;
    };
    let Expr::FnCall(call, _) = &**expr else {
        return None;
    };
    let (Expr::DynamicConstant(value, _), captures) = call.args.split_first()? else {
        return None;
    };
    (call.name == "curry").then_some((&**value, captures))
}

/// All nodes below an expression, closures left out.
pub(super) fn any_below(expr: &Expr, is: &mut dyn FnMut(&Expr) -> bool) -> bool {
    let mut found = false;
    expr.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(expr)) = path.last() {
            found |= is(expr);
        }
        !found
    });
    found
}
