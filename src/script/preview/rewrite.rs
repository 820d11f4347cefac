//! Makes the trees of a plan ready to be followed where values are not known.
//!
//! Rhai wants a condition to be true or false, and makes a text of whatever stands in back-ticks.
//! So every node that decides, compares or makes a text is wrapped in one of ours, which evaluates the
//! parts and looks at the values first ([`super::nodes`]). Nothing else changes: the places in the
//! tree are those of the source, and no variable is added, since Rhai finds variables by how deep
//! they lie.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use rhai::{
    AST, ASTFlags, ASTNode, CustomExpr, Dynamic, Engine, Expr, FlowControl, FnCallExpr,
    ImmutableString, Module, Position, ScriptFuncDef, Shared, Stmt, StmtBlock,
};

/// The names of our nodes. No source can hold them: they are no words of the language.
pub mod node {
    pub const TEXT: &str = "preview text";
    pub const IF: &str = "preview if";
    pub const SUBJECT: &str = "preview subject";
    pub const SWITCH: &str = "preview switch";
    pub const WHILE: &str = "preview while";
    pub const UNTIL: &str = "preview until";
    pub const EACH: &str = "preview each";
    pub const LOOP: &str = "preview loop";
    pub const LEFT: &str = "preview left";
    pub const AND: &str = "preview and";
    pub const OR: &str = "preview or";
    pub const COALESCE: &str = "preview coalesce";
    pub const OPERATE: &str = "preview operate";
    pub const INDEX: &str = "preview index";
    pub const CALL: &str = "preview call";
    pub const CAUGHT: &str = "preview caught";
    pub const PREDICATE: &str = "preview predicate";
    /// The only one that is parsed, as the body of a function that has no other use.
    pub const BODY: &str = "preview_body";
}

/// Methods that change what they are called on.
const CHANGING: &[&str] = &[
    "push",
    "insert",
    "append",
    "pad",
    "pop",
    "shift",
    "remove",
    "clear",
    "truncate",
    "chop",
    "drain",
    "retain",
    "splice",
    "reverse",
    "sort",
    "sort_by",
    "dedup",
    "set",
    "set_tag",
    "replace",
    "trim",
    "crop",
    "make_upper",
    "make_lower",
    "mixin",
    "fill_with",
    "split",
    "extract",
    "append_line",
    "call",
];

/// Methods of Rhai that ask a closure.
const ASKING: &[&str] = &[
    "filter",
    "retain",
    "drain",
    "some",
    "all",
    "find",
    "find_map",
    "index_of",
    "dedup",
    "sort",
    "sort_by",
    "order",
    "order_by",
    "order_desc",
    "zip",
];

/// What the language does by itself, though it is written like a function.
const WORDS: &[&str] = &[
    "Fn",
    "call",
    "curry",
    "is_shared",
    "is_def_var",
    "is_def_fn",
    "type_of",
];

/// A place where following may have to go on differently.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The source it stands in.
    pub source: String,
    /// Where.
    pub pos: Position,
    /// What may or may not be executed here.
    pub parts: Vec<Part>,
    /// Variables that it may change.
    pub changes: Vec<ImmutableString>,
    /// Does it return?
    pub returns: bool,
    /// Does it leave a loop, or a round of one?
    pub breaks: bool,
    /// May it do something that is not seen in it?
    pub hides: bool,
    /// The operator or function.
    pub call: Option<FnCallExpr>,
}

/// A part of a tree, as it was parsed.
#[derive(Clone, Debug)]
pub enum Part {
    /// A statement.
    Stmt(Stmt),
    /// An expression.
    Expr(Expr),
}

/// The body of a function.
#[derive(Clone, Debug)]
pub struct Body {
    /// The source it stands in.
    pub source: String,
    /// The function.
    pub name: String,
    /// Does it change variables that are not its own?
    pub changes_others: bool,
    /// It, ready to be followed.
    pub block: Expr,
}

/// The trees of a plan, ready to be followed.
#[derive(Debug, Default)]
pub struct Trees {
    /// By source.
    pub asts: BTreeMap<String, Arc<AST>>,
    /// What the nodes need to know.
    pub sites: Vec<Site>,
    /// The bodies of all functions.
    pub bodies: Vec<Body>,
    /// The functions and methods that are called, with how many arguments.
    pub called: BTreeSet<(String, usize)>,
}

/// The statements of a function. Rhai lets nobody look into its body, but it walks the tree of a
/// module that holds the function alone.
#[must_use]
pub fn statements_of(def: &Shared<ScriptFuncDef>) -> Vec<Stmt> {
    let mut alone = Module::new();
    alone.set_script_fn(def.clone());
    let mut statements = Vec::new();
    AST::new([], alone).walk(&mut |path: &[ASTNode]| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        true
    });
    statements
}

/// Rewrites all trees of a plan. `host` are the names of the functions that the host provides.
#[must_use]
pub fn rewrite(asts: &BTreeMap<String, Arc<AST>>, host: &HashSet<&str>) -> Trees {
    let mut rewriter = Rewriter {
        trees: Trees::default(),
        source: String::new(),
        own: HashSet::new(),
        host,
        tries: 0,
    };
    let count = asts.values().map(|ast| ast.iter_fn_def().count()).sum();
    let mut payloads = payloads(count).into_iter();
    for (id, ast) in asts {
        rewriter.source.clone_from(id);
        rewriter.own = ast.iter_fn_def().map(|def| def.name.to_string()).collect();
        let mut module = Module::new();
        for def in ast.iter_fn_def() {
            let Some(payload) = payloads.next() else {
                continue;
            };
            let pos = def.body.start_position();
            let mut block = StmtBlock::new(statements_of(def), pos, def.body.end_position());
            let whole = rewriter.doubtful(pos, block_parts(&block).collect());
            let changes = rewriter.trees.sites.get(whole).map(|site| &site.changes);
            let changes_others = changes
                .into_iter()
                .flatten()
                .any(|name| def.name.starts_with("anon$") && def.params.contains(name));
            rewriter.block(&mut block);
            rewriter.trees.bodies.push(Body {
                source: id.clone(),
                name: def.name.to_string(),
                changes_others,
                block: Expr::Stmt(Box::new(block)),
            });
            module.set_script_fn(ScriptFuncDef {
                body: payload.body.clone(),
                ..(**def).clone()
            });
        }
        let mut statements = ast.statements().to_vec();
        statements.iter_mut().for_each(|s| rewriter.stmt(s));
        let rewritten = AST::new_with_source(statements, module, id.as_str());
        rewriter.trees.asts.insert(id.clone(), Arc::new(rewritten));
    }
    rewriter.trees
}

/// Functions whose bodies are our node alone, numbered. A body can't be made, only parsed.
fn payloads(count: usize) -> Vec<Shared<ScriptFuncDef>> {
    let mut engine = Engine::new_raw();
    let told =
        engine.register_custom_syntax([node::BODY, "$int$"], false, |_, _| Ok(Dynamic::UNIT));
    if told.is_err() {
        return Vec::new();
    }
    let body = |n: usize| engine.compile(format!("fn f() {{ {} {n} }}", node::BODY));
    (0..count)
        .filter_map(|n| body(n).ok()?.iter_fn_def().next().cloned())
        .collect()
}

struct Rewriter<'a> {
    trees: Trees,
    source: String,
    /// The functions of the source.
    own: HashSet<String>,
    host: &'a HashSet<&'a str>,
    /// How many `try` are open.
    tries: usize,
}

impl Rewriter<'_> {
    fn site(&mut self, site: Site) -> usize {
        self.trees.sites.push(site);
        self.trees.sites.len() - 1
    }

    /// What is to be told if it is not known whether these parts are executed.
    fn doubtful(&mut self, pos: Position, parts: Vec<Part>) -> usize {
        let mut site = Site {
            source: self.source.clone(),
            pos,
            ..Site::default()
        };
        let (tries, own) = (self.tries, &self.own);
        let mut look = |path: &[ASTNode]| {
            match path.last() {
                Some(ASTNode::Stmt(Stmt::Assignment(parts))) => {
                    site.changes.extend(root_variable(&parts.1.lhs));
                }
                Some(ASTNode::Stmt(Stmt::Return(_, flags, _))) => {
                    let throws = flags.intersects(ASTFlags::BREAK);
                    site.returns |= !throws;
                    site.hides |= throws && tries > 0;
                }
                Some(ASTNode::Stmt(Stmt::BreakLoop(..))) => site.breaks = true,
                Some(
                    ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _)),
                ) => {
                    site.hides |= call.name == "call" || call.capture_parent_scope;
                }
                Some(ASTNode::Expr(Expr::Dot(sides, ..) | Expr::Index(sides, ..))) => {
                    let names = methods(&sides.rhs);
                    let changing = |n: &ImmutableString| {
                        CHANGING.contains(&n.as_str()) || own.contains(n.as_str())
                    };
                    if names.iter().any(changing) {
                        site.changes.extend(root_variable(&sides.lhs));
                    }
                    site.hides |= names.iter().any(|n| n == "call");
                }
                _ => {}
            }
            true
        };
        for part in &parts {
            match part {
                Part::Stmt(stmt) => stmt.walk(&mut Vec::new(), &mut look),
                Part::Expr(expr) => expr.walk(&mut Vec::new(), &mut look),
            };
        }
        site.parts = parts;
        self.site(site)
    }

    fn plain(&mut self, pos: Position) -> usize {
        let source = self.source.clone();
        self.site(Site {
            source,
            pos,
            ..Site::default()
        })
    }

    fn block(&mut self, block: &mut StmtBlock) {
        block.statements_mut().iter_mut().for_each(|s| self.stmt(s));
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        let pos = stmt.position();
        match stmt {
            Stmt::If(flow, _) => {
                let both = block_parts(&flow.body).chain(block_parts(&flow.branch));
                let site = self.doubtful(pos, both.collect());
                self.expr(&mut flow.expr);
                self.block(&mut flow.body);
                self.block(&mut flow.branch);
                let (body, branch) = (flow.body.clone(), flow.branch.clone());
                let inputs = [flow.expr.take(), block_expr(body), block_expr(branch)];
                *stmt = wrapped(node::IF, inputs, site, pos);
            }
            Stmt::Switch(parts, _) => {
                let cases = parts.1.expressions.iter();
                let told = cases
                    .flat_map(|case| [Part::Expr(case.lhs.clone()), Part::Expr(case.rhs.clone())]);
                let site = self.doubtful(pos, told.collect());
                self.subject(&mut parts.0);
                for case in &mut parts.1.expressions {
                    self.subject(&mut case.lhs);
                    self.expr(&mut case.rhs);
                }
                *stmt = wrapped(node::SWITCH, [alone(stmt.take(), pos)], site, pos);
            }
            Stmt::While(flow, _) => {
                let site = self.doubtful(pos, block_parts(&flow.body).collect());
                let is_endless = matches!(flow.expr, Expr::Unit(..) | Expr::BoolConstant(true, ..));
                self.expr(&mut flow.expr);
                if !is_endless {
                    replace(&mut flow.expr, node::WHILE, site);
                }
                self.loop_body(&mut flow.body);
                *stmt = wrapped(node::LOOP, [alone(stmt.take(), pos)], site, pos);
            }
            Stmt::Do(flow, flags, _) => {
                let key = if flags.intersects(ASTFlags::NEGATED) {
                    node::UNTIL
                } else {
                    node::WHILE
                };
                let site = self.doubtful(pos, block_parts(&flow.body).collect());
                self.expr(&mut flow.expr);
                replace(&mut flow.expr, key, site);
                self.loop_body(&mut flow.body);
                *stmt = wrapped(node::LOOP, [alone(stmt.take(), pos)], site, pos);
            }
            Stmt::For(parts, _) => {
                let flow = &mut parts.2;
                let site = self.doubtful(pos, block_parts(&flow.body).collect());
                self.expr(&mut flow.expr);
                replace(&mut flow.expr, node::EACH, site);
                self.loop_body(&mut flow.body);
                *stmt = wrapped(node::LOOP, [alone(stmt.take(), pos)], site, pos);
            }
            Stmt::Var(parts, ..) => self.expr(&mut parts.1),
            Stmt::Assignment(parts) => {
                self.expr(&mut parts.1.rhs);
                self.expr(&mut parts.1.lhs);
            }
            Stmt::FnCall(call, pos) => {
                let pos = *pos;
                let mut expr = Expr::FnCall(call.clone(), pos);
                self.expr(&mut expr);
                *stmt = match expr {
                    Expr::FnCall(call, pos) => Stmt::FnCall(call, pos),
                    other => Stmt::Expr(Box::new(other)),
                };
            }
            Stmt::Block(block) => self.block(block),
            Stmt::TryCatch(flow, _) => {
                let site = self.doubtful(pos, block_parts(&flow.branch).collect());
                self.tries += 1;
                self.block(&mut flow.body);
                self.tries -= 1;
                self.block(&mut flow.branch);
                let told = wrapped(node::CAUGHT, [], site, pos);
                flow.body.statements_mut().push(told);
            }
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::BreakLoop(Some(expr), ..) | Stmt::Return(Some(expr), ..) => self.expr(expr),
            _ => {}
        }
    }

    /// What a `switch` decides by.
    fn subject(&mut self, expr: &mut Expr) {
        if !expr.is_constant() {
            self.expr(expr);
            let site = self.plain(expr.position());
            replace(expr, node::SUBJECT, site);
        }
    }

    /// A loop in which it is not known whether it goes on ends before its next round.
    fn loop_body(&mut self, body: &mut StmtBlock) {
        self.block(body);
        let pos = body.position();
        let site = self.plain(pos);
        let leave = Stmt::BreakLoop(None, ASTFlags::BREAK, pos);
        let check = Stmt::If(
            Box::new(FlowControl {
                expr: custom(node::LEFT, [], site, pos),
                body: StmtBlock::new([leave], pos, pos),
                branch: StmtBlock::NONE,
            }),
            pos,
        );
        body.statements_mut().insert(0, check);
    }

    fn expr(&mut self, expr: &mut Expr) {
        let pos = expr.position();
        match expr {
            Expr::InterpolatedString(parts, _) => {
                parts.iter_mut().for_each(|part| self.expr(part));
                let parts: Vec<Expr> = std::mem::take(parts).into_iter().collect();
                let site = self.plain(pos);
                *expr = custom(node::TEXT, parts, site, pos);
            }
            Expr::Array(items, _) => items.iter_mut().for_each(|item| self.expr(item)),
            Expr::Map(parts, _) => parts.0.iter_mut().for_each(|(_, value)| self.expr(value)),
            Expr::Stmt(block) => self.block(block),
            Expr::FnCall(call, _) => self.call(call, pos).map_or((), |node| *expr = node),
            Expr::MethodCall(call, _) => self.method(call),
            Expr::Dot(sides, ..) => {
                self.expr(&mut sides.lhs);
                self.chain(&mut sides.rhs);
            }
            Expr::Index(sides, flags, _) => {
                self.expr(&mut sides.lhs);
                self.bracket(&mut sides.rhs, *flags);
            }
            Expr::And(items, _) => {
                let items = std::mem::take(&mut **items).into_vec();
                *expr = self.in_turn(node::AND, items, pos);
            }
            Expr::Or(items, _) => {
                let items = std::mem::take(&mut **items).into_vec();
                *expr = self.in_turn(node::OR, items, pos);
            }
            Expr::Coalesce(items, _) => {
                let items = std::mem::take(&mut **items).into_vec();
                *expr = self.in_turn(node::COALESCE, items, pos);
            }
            _ => {}
        }
    }

    /// What is evaluated only if what stands before it does not settle the matter.
    fn in_turn(&mut self, key: &str, mut items: Vec<Expr>, pos: Position) -> Expr {
        let later = items.iter().skip(1).cloned().map(Part::Expr).collect();
        let site = self.doubtful(pos, later);
        items.iter_mut().for_each(|item| self.expr(item));
        custom(key, items, site, pos)
    }

    fn call(&mut self, call: &mut FnCallExpr, pos: Position) -> Option<Expr> {
        let name = call.name.clone();
        let is_plain = call.namespace.path.is_empty();
        if is_plain {
            self.note(&name, call.args.len());
        }
        let is_operator = call.is_operator_call() || name == "type_of";
        if is_operator && is_plain && !call.args.is_empty() {
            let template = call.clone();
            call.args.iter_mut().for_each(|arg| self.expr(arg));
            let source = self.source.clone();
            let site = self.site(Site {
                source,
                pos,
                call: Some(template),
                ..Site::default()
            });
            return Some(custom(
                node::OPERATE,
                std::mem::take(&mut call.args),
                site,
                pos,
            ));
        }
        call.args.iter_mut().for_each(|arg| self.expr(arg));
        if is_plain && ASKING.contains(&name.as_str()) {
            self.predicates(call);
        }
        if !is_plain || self.own.contains(name.as_str()) {
            let site = self.plain(pos);
            let inner = Expr::FnCall(Box::new(call.clone()), pos);
            return Some(custom(node::CALL, [inner], site, pos));
        }
        None
    }

    fn method(&mut self, call: &mut FnCallExpr) {
        self.note(&call.name.clone(), call.args.len() + 1);
        call.args.iter_mut().for_each(|arg| self.expr(arg));
        if ASKING.contains(&call.name.as_str()) {
            self.predicates(call);
        }
    }

    fn predicates(&mut self, call: &mut FnCallExpr) {
        for arg in &mut call.args {
            let site = self.plain(arg.position());
            replace(arg, node::PREDICATE, site);
        }
    }

    fn note(&mut self, name: &str, arity: usize) {
        let is_rhais = !self.host.contains(name) && !WORDS.contains(&name);
        if is_rhais && !self.own.contains(name) {
            self.trees.called.insert((name.to_owned(), arity));
        }
    }

    /// What stands behind a dot.
    fn chain(&mut self, rest: &mut Expr) {
        match rest {
            Expr::MethodCall(call, _) => self.method(call),
            Expr::Dot(sides, ..) => {
                self.chain(&mut sides.lhs);
                self.chain(&mut sides.rhs);
            }
            Expr::Index(sides, flags, _) => {
                self.chain(&mut sides.lhs);
                self.bracket(&mut sides.rhs, *flags);
            }
            _ => {}
        }
    }

    /// What stands in brackets, and behind them: `a[i].b` is the tree `a [ (i . b) ]`.
    fn bracket(&mut self, rest: &mut Expr, flags: ASTFlags) {
        let goes_on = !flags.intersects(ASTFlags::BREAK);
        match rest {
            Expr::Dot(sides, ..) if goes_on => {
                self.index(&mut sides.lhs);
                self.chain(&mut sides.rhs);
            }
            Expr::Index(sides, flags, _) if goes_on => {
                self.index(&mut sides.lhs);
                self.bracket(&mut sides.rhs, *flags);
            }
            index => self.index(index),
        }
    }

    fn index(&mut self, index: &mut Expr) {
        if !index.is_constant() {
            self.expr(index);
            let site = self.plain(index.position());
            replace(index, node::INDEX, site);
        }
    }
}

fn custom(key: &str, inputs: impl IntoIterator<Item = Expr>, site: usize, pos: Position) -> Expr {
    let node = CustomExpr {
        inputs: inputs.into_iter().collect(),
        tokens: [ImmutableString::from(key)].into_iter().collect(),
        state: Dynamic::from(i64::try_from(site).unwrap_or(-1)),
        scope_may_be_changed: false,
        self_terminated: false,
    };
    Expr::Custom(Box::new(node), pos)
}

fn wrapped(key: &str, inputs: impl IntoIterator<Item = Expr>, site: usize, pos: Position) -> Stmt {
    Stmt::Expr(Box::new(custom(key, inputs, site, pos)))
}

fn replace(expr: &mut Expr, key: &str, site: usize) {
    let pos = expr.position();
    let inner = expr.take();
    *expr = custom(key, [inner], site, pos);
}

fn block_expr(block: StmtBlock) -> Expr {
    Expr::Stmt(Box::new(block))
}

/// A statement as an expression.
fn alone(stmt: Stmt, pos: Position) -> Expr {
    block_expr(StmtBlock::new([stmt], pos, pos))
}

fn block_parts(block: &StmtBlock) -> impl Iterator<Item = Part> + '_ {
    block.iter().cloned().map(Part::Stmt)
}

/// The variable that an assignment changes.
fn root_variable(expr: &Expr) -> Option<ImmutableString> {
    match expr {
        Expr::Variable(parts, ..) => Some(parts.1.clone()),
        Expr::Dot(sides, ..) | Expr::Index(sides, ..) => root_variable(&sides.lhs),
        _ => None,
    }
}

/// The methods of a chain.
fn methods(rest: &Expr) -> Vec<ImmutableString> {
    match rest {
        Expr::MethodCall(call, _) => vec![call.name.clone()],
        Expr::Dot(sides, ..) | Expr::Index(sides, ..) => {
            let mut found = methods(&sides.lhs);
            found.extend(methods(&sides.rhs));
            found
        }
        _ => Vec::new(),
    }
}
