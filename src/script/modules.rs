//! Imports: where they may point, and how they are resolved from the sources of a plan.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{
    AST, ASTNode, Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared, Stmt,
};

use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::library;
use crate::words::place::Place;
use crate::words::suggest::nearest;

use super::plan::{Plan, stdlib_paths};

/// Where an import points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportPath {
    /// To a module of deployrun: `std/…`.
    Embedded(String),
    /// To a file, relative to the plan's root.
    File(String),
    /// To a module of a library: `@platform/postgres.rhai`.
    Library(String),
}

impl ImportPath {
    /// The source it points to.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Embedded(id) | Self::File(id) | Self::Library(id) => id,
        }
    }
}

/// What the ids of a library's sources begin with.
const OF_A_LIBRARY: char = '@';

/// The library to which a source belongs, and the source's file in it.
#[must_use]
pub fn library_of(id: &str) -> Option<(&str, &str)> {
    id.strip_prefix(OF_A_LIBRARY)?.split_once('/')
}

/// An `import` in a source.
#[derive(Clone, Debug)]
pub struct Import {
    /// What is imported, if it is written as a literal.
    pub path: Option<String>,
    /// Under which name.
    pub alias: String,
    /// Where.
    pub place: Place,
}

/// All imports of a source, wherever they stand.
#[must_use]
pub fn imports(ast: &AST, id: &str) -> Vec<Import> {
    let mut found = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, pos))) = path.last() {
            let (expr, alias) = &**import;
            let path = expr
                .get_literal_value(None)
                .and_then(|v| v.into_string().ok());
            found.push(Import {
                path,
                alias: alias.name.to_string(),
                place: place_of(id, *pos),
            });
        }
        true
    });
    found
}

/// A position in a source.
#[must_use]
pub fn place_of(id: &str, pos: Position) -> Place {
    let line = pos.line().and_then(|l| u32::try_from(l).ok()).unwrap_or(0);
    let column = pos
        .position()
        .and_then(|c| u32::try_from(c).ok())
        .unwrap_or(0);
    Place::new(id, line, column)
}

/// What is wrong with an import, and what to do.
pub type Problem = (String, Option<String>);

/// Where an import of the source `from` points. Says what is wrong with it, and what to do.
pub fn resolve(from: &str, path: &Option<String>) -> Result<ImportPath, Problem> {
    let Some(path) = path else {
        let hint = "write the path as a text; what a plan imports must be known before it runs";
        return Err((
            "the path of an import may not be computed".into(),
            Some(hint.into()),
        ));
    };
    if path.starts_with("std/") {
        return Ok(ImportPath::Embedded(path.clone()));
    }
    if path.starts_with('/') {
        let hint = "write ./NAME for a file beside the one that imports it";
        return Err((
            format!("`{path}`: an absolute path can't be imported"),
            Some(hint.into()),
        ));
    }
    if from.starts_with("std/") {
        return Err((
            format!("`{path}`: a module of deployrun imports only std/…"),
            None,
        ));
    }
    if path.starts_with("./") || path.starts_with("../") {
        return beside(from, path);
    }
    let unknown = || {
        let hint = format!("write \"./{path}\" for a file beside this one, or \"std/…\"");
        let text = format!("`{path}` is not a module that deployrun knows");
        (text, Some(hint))
    };
    let (library, file) = path.split_once('/').ok_or_else(unknown)?;
    library::check_name(library).map_err(|_| unknown())?;
    if file.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(unknown());
    }
    let id = format!("{OF_A_LIBRARY}{library}/{file}");
    Ok(ImportPath::Library(with_ending(id)))
}

/// An import that counts from the file that imports; it stays within the plan's directory, or its
/// library.
fn beside(from: &str, path: &str) -> Result<ImportPath, Problem> {
    let library = library_of(from);
    let mut parts: Vec<&str> = library.map_or(from, |(_, file)| file).split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(leads_outside(path, library.map(|(name, _)| name)));
                }
            }
            part => parts.push(part),
        }
    }
    let id = with_ending(parts.join("/"));
    Ok(match library {
        Some((name, _)) => ImportPath::Library(format!("{OF_A_LIBRARY}{name}/{id}")),
        None => ImportPath::File(id),
    })
}

fn leads_outside(path: &str, library: Option<&str>) -> Problem {
    match library {
        Some(name) => {
            let hint = "a library imports its own files, \"std/…\" and the libraries it names";
            let text = format!("`{path}` leads outside the library `{name}`");
            (text, Some(hint.into()))
        }
        None => {
            let hint = "keep what a plan imports in or below the plan's directory";
            let text = format!("`{path}` leads outside the plan's directory");
            (text, Some(hint.into()))
        }
    }
}

fn with_ending(mut id: String) -> String {
    if !id.ends_with(".rhai") {
        id.push_str(".rhai");
    }
    id
}

/// What to say of a `std/…` that there is none of.
#[must_use]
pub fn unknown_std(path: &str) -> Problem {
    let hint = match nearest(path, stdlib_paths()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "there are: {}",
            stdlib_paths().collect::<Vec<_>>().join(", ")
        ),
    };
    (format!("there is no module `{path}`"), Some(hint))
}

/// Imports that lead back to where they started, each cycle named once.
#[must_use]
pub fn cycles(main: &str, asts: &BTreeMap<String, Arc<AST>>) -> Vec<Diagnostic> {
    let mut search = CycleSearch {
        asts,
        path: Vec::new(),
        ways: Vec::new(),
        done: Vec::new(),
        found: Vec::new(),
    };
    search.visit(main);
    search.found
}

struct CycleSearch<'a> {
    asts: &'a BTreeMap<String, Arc<AST>>,
    path: Vec<String>,
    /// The imports that lead from each source of the path to the next.
    ways: Vec<Place>,
    done: Vec<String>,
    found: Vec<Diagnostic>,
}

impl CycleSearch<'_> {
    fn visit(&mut self, id: &str) {
        let Some(ast) = self.asts.get(id) else { return };
        self.path.push(id.to_owned());
        for import in imports(ast, id) {
            let next = match resolve(id, &import.path) {
                Ok(next) => next.id(),
                Err(_) => continue,
            };
            if let Some(at) = self.path.iter().position(|p| *p == next) {
                let mut names = self.path.get(at..).unwrap_or_default().to_vec();
                names.push(next);
                let text = format!("import cycle: {}", names.join(" -> "));
                let mut found = Diagnostic::new(Code::ImportCycle, import.place, text)
                    .with_hint("put what they share into a module that imports none of them");
                for way in self.ways.get(at..).unwrap_or_default() {
                    found = found.with_note("it began here", way.clone());
                }
                self.found.push(found);
            } else if !self.done.contains(&next) {
                self.ways.push(import.place);
                self.visit(&next);
                self.ways.pop();
            }
        }
        self.path.pop();
        self.done.push(id.to_owned());
    }
}

thread_local! {
    /// The modules whose bodies are running on this thread: a last guard against cycles.
    static LOADING: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Calls what it is given, with whatever must hold meanwhile.
pub type Around = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// Resolves imports from a plan's sources; a module's body runs once per run.
#[derive(Clone)]
pub struct Resolver {
    plan: Arc<Plan>,
    cache: Arc<Mutex<HashMap<String, Shared<Module>>>>,
    /// Called around the body of a module, which may not act.
    around: Around,
}

impl Resolver {
    /// A resolver for `plan`, sharing `cache` with the other engines of the run.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        cache: Arc<Mutex<HashMap<String, Shared<Module>>>>,
        around: Around,
    ) -> Self {
        Self {
            plan,
            cache,
            around,
        }
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let not_found = || Box::new(EvalAltResult::ErrorModuleNotFound(path.to_owned(), pos));
        let from = source.unwrap_or(self.plan.main());
        let id = match resolve(from, &Some(path.to_owned())) {
            Ok(path) => path.id(),
            Err(_) => return Err(not_found()),
        };
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = cache().get(&id) {
            return Ok(module.clone());
        }
        let ast = self.plan.running().get(&id).ok_or_else(not_found)?;
        if LOADING.with_borrow(|loading| loading.contains(&id)) {
            let text = format!("import cycle at `{id}`");
            return Err(EvalAltResult::ErrorRuntime(text.into(), pos).into());
        }
        LOADING.with_borrow_mut(|loading| loading.push(id.clone()));
        let mut evaluated = None;
        (self.around)(&mut || {
            evaluated = Some(Module::eval_ast_as_new(Scope::new(), ast, engine));
        });
        LOADING.with_borrow_mut(Vec::pop);
        let mut module = evaluated
            .unwrap_or_else(|| Err(not_found()))
            .map_err(|error| Box::new(EvalAltResult::ErrorInModule(id.clone(), error, pos)))?;
        open_closures(&mut module, ast, engine);
        let module: Shared<Module> = module.into();
        cache().insert(id, module.clone());
        Ok(module)
    }
}

/// Lets closures that a module's functions return be called where the module is imported.
///
/// Rhai 1.27 looks a closure up by name where it is called, and there a module's functions are
/// hidden unless they are marked global.
fn open_closures(module: &mut Module, ast: &AST, engine: &Engine) {
    if !ast.iter_functions().any(|f| f.name.starts_with("anon$")) {
        return;
    }
    let Ok(json) = engine.gen_fn_metadata_with_ast_to_json(ast, false) else {
        return;
    };
    let Ok(json) = serde_json::from_str::<serde_json::Value>(&json) else {
        return;
    };
    let functions = json
        .get("functions")
        .and_then(|f| f.as_array())
        .cloned()
        .unwrap_or_default();
    for function in functions {
        let name = function
            .get("name")
            .and_then(|n| n.as_str())
            .unwrap_or_default();
        let hash = function.get("baseHash").and_then(serde_json::Value::as_u64);
        if let Some(hash) = hash.filter(|_| name.starts_with("anon$")) {
            #[expect(
                deprecated,
                reason = "the registration API does not reach script functions"
            )]
            module.update_fn_namespace(hash, rhai::FnNamespace::Global);
        }
    }
    module.build_index();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(from: &str, path: &str) -> Result<ImportPath, Problem> {
        resolve(from, &Some(path.to_owned()))
    }

    #[test]
    fn relative_imports_count_from_the_file_that_imports() {
        assert_eq!(
            at("plan.rhai", "./web"),
            Ok(ImportPath::File("web.rhai".into()))
        );
        assert_eq!(
            at("lib/a.rhai", "./b.rhai"),
            Ok(ImportPath::File("lib/b.rhai".into()))
        );
        assert_eq!(
            at("lib/a.rhai", "../c"),
            Ok(ImportPath::File("c.rhai".into()))
        );
        assert_eq!(
            at("lib/a.rhai", "./x/../b"),
            Ok(ImportPath::File("lib/b.rhai".into()))
        );
    }

    #[test]
    fn what_belongs_to_a_library_stays_in_it() {
        let id = |id: &str| Ok(ImportPath::Library(id.into()));
        assert_eq!(
            at("plan.rhai", "platform/db/pg"),
            id("@platform/db/pg.rhai")
        );
        assert_eq!(at("@platform/db/pg.rhai", "../x"), id("@platform/x.rhai"));
        assert_eq!(at("@platform/x.rhai", "web/a.rhai"), id("@web/a.rhai"));
        assert_eq!(
            at("@platform/x.rhai", "std/http"),
            Ok(ImportPath::Embedded("std/http".into()))
        );
        assert_eq!(
            library_of("@platform/db/pg.rhai"),
            Some(("platform", "db/pg.rhai"))
        );
        assert_eq!(library_of("platform/db/pg.rhai"), None);
    }

    #[test]
    fn nothing_outside_the_root_is_imported() {
        for path in [
            "../x",
            "./../x",
            "/etc/passwd",
            "./a/../../x",
            "x",
            "Lib/x",
            "platform/../x",
            "platform/",
        ] {
            assert!(at("plan.rhai", path).is_err(), "{path}");
        }
        assert!(at("std/http", "./x").is_err());
        assert!(at("std/http", "platform/x").is_err());
        assert!(at("@platform/x.rhai", "../plan").is_err());
        assert!(at("@platform/sub/x.rhai", "../../web/x").is_err());
        assert!(resolve("plan.rhai", &None).is_err());
    }
}
