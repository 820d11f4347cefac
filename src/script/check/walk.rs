//! Walks a source and writes down what the checks look at.

use std::collections::{HashMap, HashSet};

use rhai::{ASTFlags, Dynamic, Expr, FnCallExpr, FnPtr, Position, Stmt};

use crate::script::functions::{Function, Kind};

use super::arguments::{Values, align};
use super::outline::{
    Body, Call, Definition, Host, ImportSite, Qualified, Role, Source, Unreachable, Variable,
    captured,
};

/// Fills in what stands in the source.
pub(super) fn walk<'p>(
    source: Source<'p>,
    host: &HashMap<&str, &'p Function>,
    own: HashSet<&'p str>,
    closures: HashMap<&'p str, &'p Definition>,
) -> Source<'p> {
    let scope = Vec::new();
    let mut walker = Walker {
        source,
        host,
        own,
        closures,
        scope,
        body: 0,
        before: None,
        certain: true,
        may_have_returned: false,
    };
    walker.all();
    walker.source
}

struct Walker<'p, 'h> {
    source: Source<'p>,
    host: &'h HashMap<&'h str, &'p Function>,
    own: HashSet<&'p str>,
    closures: HashMap<&'p str, &'p Definition>,
    /// The variables that are in sight, as indices.
    scope: Vec<usize>,
    body: usize,
    before: Option<&'p str>,
    /// Is what is walked reached whenever the body is, if nothing throws?
    certain: bool,
    /// May the body have returned before?
    may_have_returned: bool,
}

impl<'p> Walker<'p, '_> {
    fn all(&mut self) {
        let source_top = self.source.top;
        self.statements(source_top);
        for def in self.source.functions.clone() {
            self.source.bodies.push(Body {
                role: Role::Function,
                name: &def.name,
                params: def.params.len(),
                parent: None,
            });
            let outer = std::mem::replace(&mut self.body, self.source.bodies.len() - 1);
            // Functions see nothing of what is around them.
            let scope = std::mem::take(&mut self.scope);
            self.definition(def);
            self.scope = scope;
            self.body = outer;
        }
        for at in 0..self.source.qualified.len() {
            let Some(name) = self.source.qualified.get(at) else {
                continue;
            };
            if matches!(name.path, [root] if root.name == "global") {
                let name = name.name;
                let of_it = |v: &&mut Variable<'p>| v.global && v.name == name;
                self.source
                    .variables
                    .iter_mut()
                    .filter(of_it)
                    .for_each(|v| v.read = true);
            }
        }
    }

    /// A function's or a closure's parameters and statements.
    fn definition(&mut self, def: &'p Definition) {
        let seen = self.scope.len();
        let certain = std::mem::replace(&mut self.certain, true);
        let may_have_returned = std::mem::take(&mut self.may_have_returned);
        for param in &def.params {
            self.push(param, Position::NONE, false, None);
        }
        self.statements(&def.statements);
        self.certain = certain;
        self.may_have_returned = may_have_returned;
        self.scope.truncate(seen);
    }

    fn push(&mut self, name: &'p str, pos: Position, declared: bool, value: Option<&'p Expr>) {
        let global = self.body == 0 && self.scope.iter().all(|&at| self.is_global(at));
        self.scope.push(self.source.variables.len());
        self.source.variables.push(Variable {
            name,
            pos,
            read: false,
            declared,
            global,
            exported: false,
            value,
            loop_variable: false,
        });
    }

    fn is_global(&self, at: usize) -> bool {
        self.source.variables.get(at).is_some_and(|v| v.global)
    }

    fn find(&mut self, name: &str) -> Option<&mut Variable<'p>> {
        let variables = &self.source.variables;
        let at = self.scope.iter().rev().copied();
        let at = at
            .into_iter()
            .find(|&at| variables.get(at).is_some_and(|v| v.name == name))?;
        self.source.variables.get_mut(at)
    }

    fn read(&mut self, name: &str) {
        if let Some(variable) = self.find(name) {
            variable.read = true;
        }
    }

    /// A block: what it declares is out of sight after it.
    fn block(&mut self, statements: &'p [Stmt]) {
        let (seen, before) = (self.scope.len(), self.before);
        self.statements(statements);
        self.before = before;
        self.scope.truncate(seen);
    }

    fn statements(&mut self, statements: &'p [Stmt]) {
        let mut ended = None;
        for statement in statements {
            if matches!(statement, Stmt::Noop(_)) {
                continue;
            }
            if let Some((word, ended)) = ended.take() {
                let pos = statement.position();
                let found = Unreachable { pos, word, ended };
                self.source.unreachable.push(found);
            }
            self.statement(statement);
            ended = self
                .ends(statement)
                .map(|word| (word, statement.position()));
            self.before = called(statement);
        }
    }

    /// The word by which a statement ends its block for good.
    fn ends(&self, statement: &Stmt) -> Option<&'static str> {
        match statement {
            Stmt::Return(_, flags, _) if flags.intersects(ASTFlags::BREAK) => Some("throw"),
            Stmt::Return(..) => Some("return"),
            Stmt::BreakLoop(_, flags, _) if flags.intersects(ASTFlags::BREAK) => Some("break"),
            Stmt::BreakLoop(..) => Some("continue"),
            _ => (called(statement) == Some("abort") && !self.own.contains("abort"))
                .then_some("abort(…)"),
        }
    }

    fn statement(&mut self, statement: &'p Stmt) {
        match statement {
            Stmt::Noop(_) | Stmt::Share(_) => {}
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::FnCall(call, pos) => self.call(call, *pos),
            Stmt::Block(block) => self.block(block.statements()),
            Stmt::If(flow, _) => {
                self.expr(&flow.expr);
                self.perhaps(|walker| {
                    walker.block(flow.body.statements());
                    walker.block(flow.branch.statements());
                });
            }
            Stmt::Switch(switch, _) => {
                self.expr(&switch.0);
                self.perhaps(|walker| {
                    for case in &switch.1.expressions {
                        walker.expr(&case.lhs);
                        walker.expr(&case.rhs);
                    }
                });
            }
            Stmt::While(flow, _) | Stmt::Do(flow, ..) => self.perhaps(|walker| {
                walker.expr(&flow.expr);
                walker.block(flow.body.statements());
            }),
            Stmt::For(parts, _) => {
                let (variable, counter, flow) = &**parts;
                self.expr(&flow.expr);
                let seen = self.scope.len();
                for ident in std::iter::once(variable).chain(counter) {
                    self.push(&ident.name, ident.pos, false, None);
                    if let Some(variable) = self.source.variables.last_mut() {
                        variable.loop_variable = true;
                    }
                }
                self.perhaps(|walker| walker.block(flow.body.statements()));
                self.scope.truncate(seen);
            }
            Stmt::Var(parts, flags, _) => {
                let (ident, value, _) = &**parts;
                self.expr(value);
                self.push(&ident.name, ident.pos, true, Some(value));
                if let Some(variable) = self.source.variables.last_mut() {
                    variable.exported = flags.intersects(ASTFlags::EXPORTED);
                }
            }
            Stmt::Assignment(parts) => {
                let (op, sides) = &**parts;
                self.expr(&sides.rhs);
                if op.is_op_assignment() {
                    self.keeps(&sides.rhs);
                }
                match &sides.lhs {
                    Expr::Variable(parts, ..) if parts.2.path.is_empty() => {}
                    target => {
                        self.set_property(target);
                        self.expr(target);
                    }
                }
            }
            Stmt::TryCatch(flow, _) => {
                self.perhaps(|walker| walker.block(flow.body.statements()));
                let seen = self.scope.len();
                if let Expr::Variable(parts, _, pos) = &flow.expr {
                    self.push(&parts.1, *pos, false, None);
                }
                self.perhaps(|walker| walker.block(flow.branch.statements()));
                self.scope.truncate(seen);
            }
            Stmt::BreakLoop(Some(expr), ..) => self.expr(expr),
            Stmt::Return(expr, flags, _) => {
                if let Some(expr) = expr {
                    self.expr(expr);
                }
                self.may_have_returned |= !flags.intersects(ASTFlags::BREAK);
            }
            Stmt::Import(parts, pos) => {
                let (path, alias) = &**parts;
                self.expr(path);
                self.source.imports.push(ImportSite {
                    path: match path {
                        Expr::StringConstant(text, _) => Some(text.as_str()),
                        _ => None,
                    },
                    alias: &alias.name,
                    pos: *pos,
                    alias_pos: alias.pos,
                    at_top: self.body == 0,
                });
            }
            Stmt::Export(names, _) => {
                let name = names.0.name.clone();
                if let Some(variable) = self.find(&name) {
                    variable.exported = true;
                }
            }
            _ => {}
        }
    }

    /// `x.name = …`: a closure may be set there.
    fn set_property(&mut self, target: &'p Expr) {
        if let Expr::Dot(sides, ..) | Expr::Index(sides, ..) = target {
            match &sides.rhs {
                Expr::Property(name, _) => {
                    self.source.map_keys.insert(&name.2);
                }
                Expr::StringConstant(name, _) => {
                    self.source.map_keys.insert(name);
                }
                rest => self.set_property(rest),
            }
        }
    }

    fn expr(&mut self, expr: &'p Expr) {
        match expr {
            Expr::DynamicConstant(value, _) => self.closure(value, Role::Closure),
            Expr::InterpolatedString(parts, _) => {
                if parts.iter().any(|part| !part.is_constant()) {
                    self.source.interpolated.push(parts);
                }
                parts.iter().for_each(|part| self.expr(part));
            }
            Expr::Array(items, _) => items.iter().for_each(|item| self.expr(item)),
            Expr::Map(parts, _) => {
                for (key, value) in &parts.0 {
                    if !value.is_constant() || function_pointer(value) {
                        self.source.map_keys.insert(&key.name);
                    }
                    self.expr(value);
                }
            }
            Expr::Variable(parts, _, pos) if parts.2.path.is_empty() => {
                let _ = pos;
                self.read(&parts.1);
            }
            Expr::Variable(parts, _, pos) => self.source.qualified.push(Qualified {
                path: &parts.2.path,
                name: &parts.1,
                pos: parts.2.path.first().map_or(*pos, |first| first.pos),
            }),
            Expr::Stmt(block) => self.block(block.statements()),
            Expr::FnCall(call, pos) => self.call(call, *pos),
            Expr::MethodCall(call, pos) => self.method(call, *pos, None),
            Expr::Dot(sides, ..) => {
                self.expr(&sides.lhs);
                self.after_dot(&sides.rhs, &sides.lhs);
            }
            Expr::Index(sides, ..) => {
                self.expr(&sides.lhs);
                self.after_bracket(&sides.rhs);
            }
            Expr::And(items, _) | Expr::Or(items, _) | Expr::Coalesce(items, _) => {
                let mut items = items.iter();
                items.next().into_iter().for_each(|item| self.expr(item));
                self.perhaps(|walker| items.for_each(|item| walker.expr(item)));
            }
            _ => {}
        }
    }

    /// Walks what may not be reached.
    fn perhaps(&mut self, walk: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.certain, false);
        walk(self);
        self.certain = before && !self.may_have_returned;
    }

    /// `a.b().c`: the tree is `a . (b() . c)`.
    fn after_dot(&mut self, rest: &'p Expr, receiver: &'p Expr) {
        match rest {
            Expr::Dot(sides, ..) => {
                self.after_dot(&sides.lhs, receiver);
                self.after_dot(&sides.rhs, &sides.lhs);
            }
            Expr::Index(sides, ..) => {
                self.after_dot(&sides.lhs, receiver);
                self.after_bracket(&sides.rhs);
            }
            Expr::MethodCall(call, pos) => self.method(call, *pos, Some(receiver)),
            other => self.expr(other),
        }
    }

    /// `a[i].b`: the tree is `a [ (i . b) ]`.
    fn after_bracket(&mut self, rest: &'p Expr) {
        match rest {
            Expr::Dot(sides, ..) => {
                self.expr(&sides.lhs);
                self.after_dot(&sides.rhs, &sides.lhs);
            }
            Expr::Index(sides, ..) => {
                self.expr(&sides.lhs);
                self.after_bracket(&sides.rhs);
            }
            index => self.expr(index),
        }
    }

    fn method(&mut self, call: &'p FnCallExpr, pos: Position, receiver: Option<&'p Expr>) {
        if matches!(call.name.as_str(), "push" | "insert") {
            call.args.iter().for_each(|arg| self.keeps(arg));
        }
        // What stands before the dot is not always to be had; its place is taken by the unknown.
        self.any_call(call, pos, Some(receiver.unwrap_or(&UNKNOWN)));
    }

    fn call(&mut self, call: &'p FnCallExpr, pos: Position) {
        if call.is_operator_call() {
            return call.args.iter().for_each(|arg| self.expr(arg));
        }
        if call.capture_parent_scope {
            // `f!()` sees every variable of its caller.
            for at in self.scope.clone() {
                if let Some(variable) = self.source.variables.get_mut(at) {
                    variable.read = true;
                }
            }
        }
        if call.namespace.path.is_empty() {
            // A variable cannot be called; told elsewhere.
            self.read(&call.name);
        }
        self.any_call(call, pos, None);
    }

    fn any_call(&mut self, call: &'p FnCallExpr, pos: Position, receiver: Option<&'p Expr>) {
        let name = call.name.as_str();
        let path = &*call.namespace.path;
        let known = (path.is_empty() && !self.own.contains(name)).then(|| self.host.get(name));
        let host = known.flatten().map(|function| Host {
            function,
            aligned: align(
                function,
                &Values {
                    receiver,
                    args: &call.args,
                },
            ),
        });
        let roles = host.as_ref().map(roles_of).unwrap_or_default();
        self.source.calls.push(Call {
            name,
            path,
            args: &call.args,
            receiver,
            pos,
            body: self.body,
            before: self.before,
            certain: self.certain,
            host,
        });
        for arg in &call.args {
            self.arg(arg, &roles);
        }
    }

    /// An argument: closures in it know what they are handed over for.
    fn arg(&mut self, arg: &'p Expr, roles: &[(*const Expr, Role)]) {
        let role = roles
            .iter()
            .find(|(expr, _)| std::ptr::eq(*expr, arg))
            .map(|(_, role)| *role);
        match (arg, role) {
            (_, Some(role)) => self.with_role(arg, role),
            (Expr::Map(parts, _), None) => {
                for (key, value) in &parts.0 {
                    if function_pointer(value) {
                        self.source.map_keys.insert(&key.name);
                    }
                    self.arg(value, roles);
                }
            }
            _ => self.expr(arg),
        }
    }

    fn with_role(&mut self, arg: &'p Expr, role: Role) {
        match arg {
            Expr::DynamicConstant(value, _) => self.closure(value, role),
            // A closure that captured something: a block that ends in `curry(closure, …)`.
            Expr::Stmt(block) => match captured(block.statements()) {
                Some((value, captures)) => {
                    captures.iter().for_each(|variable| self.expr(variable));
                    self.closure(value, role);
                }
                None => self.expr(arg),
            },
            other => self.expr(other),
        }
    }

    fn closure(&mut self, value: &'p Dynamic, role: Role) {
        let Some(name) = value.read_lock::<FnPtr>().map(|p| p.fn_name().to_owned()) else {
            return;
        };
        // Taken out, so that no tree can lead into itself.
        let Some(def) = self.closures.remove(name.as_str()) else {
            return;
        };
        self.source.bodies.push(Body {
            role,
            name: "",
            params: def.params.len(),
            parent: Some(self.body),
        });
        let outer = std::mem::replace(&mut self.body, self.source.bodies.len() - 1);
        let before = self.before.take();
        self.definition(def);
        self.before = before;
        self.body = outer;
    }

    /// Something is put into an array: is it a closure that captured the variable of a loop?
    fn keeps(&mut self, value: &'p Expr) {
        let Expr::Stmt(block) = value else { return };
        let Some((_, captures)) = captured(block.statements()) else {
            return;
        };
        for capture in captures {
            let Expr::Variable(parts, ..) = capture else {
                continue;
            };
            let name = parts.1.clone();
            let variable = self.find(&name).filter(|v| v.loop_variable);
            if let Some(declared) = variable.map(|v| v.pos) {
                let found = (block.position(), parts.1.as_str(), declared);
                self.source.kept_in_loop.push(found);
            }
        }
    }
}

/// Stands for what is before the dot when it is not to be had.
static UNKNOWN: Expr = Expr::ThisPtr(Position::NONE);

fn function_pointer(value: &Expr) -> bool {
    matches!(value, Expr::DynamicConstant(value, _) if value.is_fnptr())
}

/// The host function that a statement calls, as itself or for a variable.
fn called(statement: &Stmt) -> Option<&str> {
    match statement {
        Stmt::FnCall(call, _) if call.namespace.path.is_empty() => Some(&call.name),
        Stmt::Expr(expr) => called_in(expr),
        Stmt::Var(parts, ..) => called_in(&parts.1),
        _ => None,
    }
}

fn called_in(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::FnCall(call, _) if call.namespace.path.is_empty() => Some(&call.name),
        Expr::Dot(sides, ..) => match &sides.rhs {
            Expr::MethodCall(call, _) => Some(&call.name),
            _ => None,
        },
        _ => None,
    }
}

/// What the closures that are handed to a host function are for.
fn roles_of(host: &Host<'_>) -> Vec<(*const Expr, Role)> {
    let Some(aligned) = &host.aligned else {
        return Vec::new();
    };
    let timeout = aligned.option("timeout").is_some() || aligned.has_unknown_options();
    let all = aligned.all();
    let role = |kind: Kind| match (kind, host.function.name) {
        (Kind::BackOut, _) => Some(Role::Undoes),
        (Kind::Closure | Kind::Condition, name @ ("check" | "watch" | "verify")) => {
            Some(Role::Reads(name))
        }
        (Kind::Closure, "step") => Some(Role::Group { timeout }),
        _ => None,
    };
    all.filter_map(|(param, expr)| Some((std::ptr::from_ref(expr), role(param.kind)?)))
        .collect()
}
