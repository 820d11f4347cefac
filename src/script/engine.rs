//! The Rhai engine: its limits and its sandbox.
//!
//! A script cannot swallow a stop: the host sets a flag that every operation of the engine tests,
//! and every host function too. What Rhai offers beyond a pure language is closed or replaced here.

use std::sync::{Arc, LazyLock, Mutex};

use rhai::packages::{Package, StandardPackage};
use rhai::{
    AST, ASTNode, Array, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Module,
    NativeCallContext, OptimizationLevel, ParseErrorType, Position, Scope, Shared, Stmt, Token,
};

use crate::supervisor::fiber::Fiber;
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::place::Place;

use super::api;
use super::closure::Closure;
use super::functions::Function;
use super::modules::{Resolver, place_of};
use super::nesting::{Sampler, excess};
use super::plan::Plan;
use super::secret_text::SecretText;
use super::syntax::{self, syntax_error};
use super::testing::{base_of, stage::Stage};

/// Bytes of stack of a thread that runs a script: enough for the deepest calls that the limits
/// allow, in a debug build too.
pub const STACK_BYTES: usize = 64 * 1024 * 1024;

const CALL_DEPTH: usize = 64;
const EXPRESSION_DEPTH: usize = 128;
const FUNCTION_EXPRESSION_DEPTH: usize = 64;
const STRING_BYTES: usize = 4 * 1024 * 1024;
/// Items that an array may have.
pub const ARRAY_ITEMS: usize = 100_000;
/// Items that a map may have.
pub const MAP_ITEMS: usize = 20_000;
const VARIABLES: usize = 1_000;
const FUNCTIONS: usize = 2_000;
const MODULES: usize = 200;
/// Begins of comments that are tried to find one that never ends.
const OPEN_COMMENT_TRIES: usize = 50;
/// Undefined names that are told at once for one source.
const UNDEFINED_MAX: usize = 50;

/// Numbers that plans may use by name.
pub const CONSTANTS: &[(&str, i64)] = &[
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
];

/// Words of Rhai that are switched off, and what to write instead.
pub const DISABLED: &[(&str, &str)] = &[
    (
        "eval",
        "a plan's text is all there is to it; write the code itself",
    ),
    ("print", "write info(text), which the journal keeps"),
    ("debug", "write info(text), which the journal keeps"),
    ("curry", "write a closure, such as || f(x)"),
    (
        "back_trace",
        "an error that ends a plan is told with all places that led to it",
    ),
];

/// Functions of Rhai that are replaced by an error, and what to write instead.
pub const REPLACED: &[(&str, &str)] = &[
    ("timestamp", "write now(), which the journal keeps"),
    (
        "exit",
        "a plan is released when it reaches its end; write abort(reason) to stop and back out",
    ),
];

/// What the engines of one run share.
pub struct Surroundings {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The functions it may call.
    pub functions: Arc<Vec<Function>>,
    /// What the plan sees as `args`.
    pub args: Dynamic,
    /// Modules whose bodies have run.
    pub modules: Arc<Mutex<std::collections::HashMap<String, Shared<Module>>>>,
    /// What a test is played on, if it is one.
    pub stage: Option<Arc<Stage>>,
    /// What is run in place of the plan's own text.
    pub entry: Option<Entry>,
}

/// A closure that is run in place of a plan.
#[derive(Clone, Debug)]
pub struct Entry {
    /// It.
    pub closure: Closure,
    /// Is it backed out when it has ended well?
    pub back_out: bool,
}

static STANDARD: LazyLock<StandardPackage> = LazyLock::new(StandardPackage::new);

/// Builds, on a thread of its own, what all engines share, while something else goes on.
pub fn prepare() {
    // Without the thread the first engine builds it.
    let _ = std::thread::Builder::new()
        .name("engine".into())
        .spawn(|| drop(STANDARD.as_shared_module()));
}

/// An engine that only parses; a lenient one knows the words that are switched off.
fn parser(lenient: bool) -> Engine {
    let mut engine = Engine::new_raw();
    limit(&mut engine);
    if !lenient {
        for (word, _) in DISABLED {
            engine.disable_symbol(*word);
        }
    }
    engine.set_strict_variables(true);
    engine
}

/// A parser that takes any name.
fn lax() -> Engine {
    let mut engine = Engine::new_raw();
    limit(&mut engine);
    engine
}

fn limit(engine: &mut Engine) {
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_max_call_levels(CALL_DEPTH)
        .set_max_expr_depths(EXPRESSION_DEPTH, FUNCTION_EXPRESSION_DEPTH)
        .set_max_string_size(STRING_BYTES)
        .set_max_array_size(ARRAY_ITEMS)
        .set_max_map_size(MAP_ITEMS)
        .set_max_variables(VARIABLES)
        .set_max_functions(FUNCTIONS)
        .set_max_modules(MODULES)
        .set_fail_on_invalid_map_property(true);
}

/// A source that was parsed.
#[derive(Debug)]
pub struct Parsed {
    /// Its tree, if there is one. With findings it serves the static check alone.
    pub ast: Option<AST>,
    /// What is wrong with it.
    pub found: Vec<Diagnostic>,
}

/// Parses a source. Undefined variables, undefined modules and words that are switched off are told
/// at once; of other errors Rhai knows only the first.
#[must_use]
pub fn parse(id: &str, text: &str) -> Parsed {
    let mut engine = parser(false);
    let mut scope = known();
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut lenient = false;
    let ast = loop {
        let error = match engine.compile_with_scope(&scope, text) {
            Ok(mut ast) => {
                ast.set_source(id);
                break Some(ast);
            }
            Err(error) => error,
        };
        let place = place_of(id, error.1);
        match &*error.0 {
            _ if found.len() >= UNDEFINED_MAX => break None,
            ParseErrorType::VariableUndefined(name) => {
                found.push({
                    let text = format!("`{name}` is not defined");
                    Diagnostic::new(Code::UndefinedVariable, place, text)
                });
                scope.push_constant(name.clone(), ());
            }
            ParseErrorType::ModuleUndefined(name) => {
                let text = format!("nothing is imported as `{name}`");
                let length = u32::try_from(name.chars().count()).unwrap_or(u32::MAX);
                found.push(Diagnostic {
                    end_column: place.column.saturating_add(length),
                    ..Diagnostic::new(Code::UnknownModule, place, text)
                });
                engine.register_static_module(name.as_str(), Module::new().into());
            }
            other => {
                let problem = syntax_error(other, place, text);
                let closed = problem.code == Code::Closed;
                found.push(problem);
                if !closed || lenient {
                    break None;
                }
                lenient = true;
                engine = parser(true);
            }
        }
    };
    if ast.is_some()
        && let Some(at) = open_comment(&lax(), text)
    {
        let head = text.get(..at).unwrap_or_default();
        let line = head.matches('\n').count() + 1;
        let column = head.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(0);
        let place = Place::new(id, number(line), number(column));
        let text = "this comment never ends: all that follows is part of it";
        let problem = Diagnostic::new(Code::OpenComment, place, text);
        found.push(problem.with_hint("write */ where it ends; comments nest"));
    }
    suggest_variables(&mut found, ast.as_ref());
    for problem in &mut found {
        problem.find_lines(|_| Some(text));
    }
    Parsed { ast, found }
}

/// The tree of a source that has no errors, parsed again with other tokens.
#[must_use]
pub fn parse_mapped(
    text: &str,
    map: impl Fn(Token, Position) -> Token + Send + Sync + 'static,
) -> Option<AST> {
    let mut engine = parser(false);
    #[expect(deprecated, reason = "rhai marks it volatile, not deprecated")]
    engine.on_parse_token(move |token, pos, _| map(token, pos));
    engine.compile_with_scope(&known(), text).ok()
}

/// What a source may use that it does not declare.
fn known() -> Scope<'static> {
    let mut scope = Scope::new();
    for (name, value) in CONSTANTS {
        scope.push_constant(*name, *value);
    }
    scope.push_constant("args", rhai::Map::new());
    scope
}

/// Names the nearest variable that there is.
fn suggest_variables(found: &mut [Diagnostic], ast: Option<&AST>) {
    let mut names: Vec<String> = CONSTANTS
        .iter()
        .map(|(name, _)| *name)
        .chain(["args"])
        .map(str::to_owned)
        .collect();
    let mut walk = |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::Var(parts, ..))) => names.push(parts.0.name.to_string()),
            Some(ASTNode::Stmt(Stmt::For(parts, _))) => names.push(parts.0.name.to_string()),
            _ => {}
        }
        true
    };
    ast.iter().for_each(|ast| {
        ast.walk(&mut walk);
    });
    for function in ast.iter().flat_map(|ast| ast.iter_functions()) {
        names.extend(function.params.iter().map(|param| (*param).to_owned()));
    }
    for problem in found
        .iter_mut()
        .filter(|problem| problem.code == Code::UndefinedVariable)
    {
        let Some(name) = problem.message.split('`').nth(1) else {
            continue;
        };
        let others = names
            .iter()
            .map(String::as_str)
            .filter(|other| *other != name);
        if let Some(hint) = syntax::foreign(name) {
            problem.hint = Some(hint.to_owned());
        } else if let Some(near) = crate::words::suggest::nearest(name, others) {
            problem.hint = Some(format!("did you mean `{near}`?"));
        } else if names.iter().any(|known| known == name) {
            let hint = format!(
                "it is declared elsewhere, but not in sight here: a variable ends with its block, \
                 and a function sees only its parameters, so hand `{name}` over as one"
            );
            problem.hint = Some(hint);
        }
    }
}

/// Where a comment begins that never ends. The parser takes the end of the text for its end, and with
/// it all that stands in it.
fn open_comment(engine: &Engine, text: &str) -> Option<usize> {
    // Outside of comments this can't be read.
    let reads_on = |head: &str| match engine.compile(format!("{head}\n@\n")) {
        Ok(_) => false,
        Err(error) => error.0.to_string().contains("'@'"),
    };
    if !text.contains("/*") || engine.compile(format!("{text}\n@\n")).is_err() {
        return None;
    }
    let starts = text.rmatch_indices("/*").map(|(at, _)| at);
    let found = starts
        .take(OPEN_COMMENT_TRIES)
        .find(|at| text.get(..*at).is_some_and(reads_on));
    Some(found.unwrap_or(0))
}

/// An engine that runs scripts for `fiber`.
#[must_use]
pub fn engine(surroundings: &Surroundings, fiber: &Arc<Fiber<Closure>>) -> Engine {
    let mut engine = Engine::new_raw();
    STANDARD.register_into_engine(&mut engine);
    limit(&mut engine);
    let watched = fiber.clone();
    engine.on_progress(move |_| watched.progress().map(Dynamic::from));
    let args = surroundings.args.clone();
    let (nesting, sampler) = (fiber.clone(), Sampler::default());
    #[expect(deprecated, reason = "rhai marks it volatile, not deprecated")]
    engine.on_var(move |name, _, context| {
        let sampled = sampler
            .is_due()
            .then(|| context.scope().get(name))
            .flatten();
        if let Some(spent) = sampled.and_then(excess) {
            nesting.exhaust(spent);
            let text = spent.text();
            return Err(EvalAltResult::ErrorTerminated(text.into(), Position::NONE).into());
        }
        let value = match CONSTANTS.iter().find(|(constant, _)| *constant == name) {
            Some((_, value)) => Dynamic::from(*value),
            None if name == "args" => args.clone(),
            None => return Ok(None),
        };
        // A variable or parameter of the same name comes first.
        Ok((!context.scope().contains(name)).then_some(value))
    });
    let loading = fiber.clone();
    engine.set_module_resolver(Resolver::new(
        surroundings.plan.clone(),
        surroundings.modules.clone(),
        Arc::new(move |body: &mut dyn FnMut()| {
            let _loading = loading.load();
            body();
        }),
    ));
    close(&mut engine);
    secrets(&mut engine);
    api::register(
        &mut engine,
        &surroundings.functions,
        fiber,
        &surroundings.plan,
        surroundings.stage.as_ref(),
    );
    if let Some(coverage) = surroundings
        .stage
        .as_ref()
        .and_then(|s| s.coverage.as_ref())
    {
        coverage.watch(&mut engine, base_of(surroundings.plan.root()));
    }
    engine
}

/// Replaces what a plan must not have.
fn close(engine: &mut Engine) {
    for (name, hint) in REPLACED {
        let refuse = move || -> Result<Dynamic, Box<EvalAltResult>> {
            Err(format!("`{name}` is not there in plans: {hint}").into())
        };
        engine.register_fn(*name, refuse);
        engine.register_fn(*name, move |_: Dynamic| refuse());
    }
    for name in ["sort", "sort_by"] {
        engine.register_fn(name, sort);
    }
    engine.register_fn("dedup", dedup);
}

/// Sorts with a closure, and passes on its errors; Rhai's own swallows them, and panics when the
/// closure knows no order.
fn sort(
    context: NativeCallContext,
    array: &mut Array,
    compare: FnPtr,
) -> Result<(), Box<EvalAltResult>> {
    let mut is_after = |a: &Dynamic, b: &Dynamic| -> Result<bool, Box<EvalAltResult>> {
        let value = compare.call_within_context::<Dynamic>(&context, (a.clone(), b.clone()))?;
        match (value.as_int(), value.as_bool()) {
            (Ok(n), _) => Ok(n > 0),
            (_, Ok(is_before)) => Ok(!is_before),
            _ => Err("a closure that sorts must return a number or true/false".into()),
        }
    };
    *array = merge_sorted(array.clone(), &mut is_after)?;
    Ok(())
}

/// Sorts, whatever `is_after` says; items of which none is after the other keep their order.
fn merge_sorted<E>(
    mut items: Vec<Dynamic>,
    is_after: &mut impl FnMut(&Dynamic, &Dynamic) -> Result<bool, E>,
) -> Result<Vec<Dynamic>, E> {
    if items.len() < 2 {
        return Ok(items);
    }
    let second = items.split_off(items.len() / 2);
    let first = merge_sorted(items, is_after)?;
    let second = merge_sorted(second, is_after)?;
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    while let (Some(a), Some(b)) = (first.peek(), second.peek()) {
        let next = if is_after(a, b)? {
            second.next()
        } else {
            first.next()
        };
        merged.extend(next);
    }
    merged.extend(first);
    merged.extend(second);
    Ok(merged)
}

/// Removes repeated items by a closure, and passes on its errors.
fn dedup(
    context: NativeCallContext,
    array: &mut Array,
    same: FnPtr,
) -> Result<(), Box<EvalAltResult>> {
    let mut error = None;
    array.dedup_by(|a, b| {
        if error.is_some() {
            return false;
        }
        match same.call_within_context::<Dynamic>(&context, (b.clone(), a.clone())) {
            Ok(value) => value.as_bool().unwrap_or(false),
            Err(e) => {
                error = Some(e);
                false
            }
        }
    });
    error.map_or(Ok(()), Err)
}

/// Secrets may be joined with texts; the result is a secret.
fn secrets(engine: &mut Engine) {
    engine.register_type_with_name::<SecretText>("Secret");
    engine.register_fn("to_string", |secret: &mut SecretText| secret.to_string());
    engine.register_fn("to_debug", |secret: &mut SecretText| secret.to_string());
    engine.register_fn("+", |a: SecretText, b: SecretText| {
        SecretText::new(format!("{}{}", a.reveal(), b.reveal()))
    });
    engine.register_fn("+", |a: SecretText, b: ImmutableString| {
        SecretText::new(format!("{}{b}", a.reveal()))
    });
    engine.register_fn("+", |a: ImmutableString, b: SecretText| {
        SecretText::new(format!("{a}{}", b.reveal()))
    });
}

/// The place of a call, as the script sees it.
#[must_use]
pub fn place_of_call(context: &NativeCallContext, main: &str) -> crate::words::place::Place {
    let position: Position = context.call_position();
    place_of(context.call_source().unwrap_or(main), position)
}
