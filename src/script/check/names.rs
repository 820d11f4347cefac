//! Names of functions: is there such a one, and with so many arguments?

use rhai::{Expr, Position};

use crate::script::api;
use crate::script::engine::{DISABLED, REPLACED};
use crate::script::modules::place_of;
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;
use crate::words::suggest::nearest;

use super::modules::{Target, target};
use super::outline::{Call, Definition, Source};
use super::rhai_names::{KEYWORDS, arities, names};
use super::{Known, Notes};

/// What people call functions that are there under another name.
const OTHER_WORDS: &[(&str, &[&str])] = &[
    (
        "run",
        &[
            "exec", "execute", "shell", "sh", "system", "command", "cmd", "spawn", "bash",
        ],
    ),
    (
        "info",
        &["log", "echo", "println", "puts", "say", "message"],
    ),
    ("warn", &["warning", "eprintln"]),
    (
        "abort",
        &["fail", "die", "panic", "quit", "error", "stop", "bail"],
    ),
    (
        "back_out",
        &[
            "rollback",
            "roll_back",
            "undo",
            "defer",
            "revert",
            "on_failure",
            "cleanup",
        ],
    ),
    (
        "check",
        &["assert", "require", "ensure", "expect", "precondition"],
    ),
    (
        "verify",
        &[
            "smoke_test",
            "wait_until",
            "wait_for",
            "eventually",
            "assert_that",
        ],
    ),
    ("watch", &["monitor", "alarm", "guard"]),
    (
        "upload",
        &["copy", "cp", "copy_file", "put", "scp", "rsync", "install"],
    ),
    ("write_file", &["write", "save", "template"]),
    ("read_file", &["read", "slurp", "cat", "open"]),
    ("file_exists", &["exists", "path_exists", "is_file"]),
    ("http_get", &["curl", "fetch", "wget", "http", "request"]),
    ("sleep", &["wait", "delay", "pause"]),
    ("env", &["getenv", "environment", "env_var"]),
    ("step", &["task", "group", "stage", "section"]),
    (
        "wait_for_approval",
        &["approve", "approval", "confirm", "ask", "prompt"],
    ),
    ("wait_for_window", &["window", "await_window"]),
    (
        "point_of_no_return",
        &["no_return", "commit", "no_way_back", "irreversible"],
    ),
    ("plan", &["header", "deploy", "release", "metadata"]),
    ("secret", &["password", "vault", "credential"]),
    ("now", &["time", "date", "clock"]),
];

/// `1 argument`, `2 arguments`.
pub(super) fn many(number: usize, word: &str) -> String {
    match number {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    }
}

/// Checks the names of all calls and of all functions.
pub(super) fn check(source: &Source<'_>, known: &Known<'_>, notes: &mut Notes) {
    for call in &source.calls {
        if call.host.is_some() {
            continue;
        }
        let found = if call.path.is_empty() {
            unqualified(source, call, known, notes)
        } else {
            qualified(source, call, known, notes)
        };
        notes.found.extend(found);
    }
    for def in &source.functions {
        notes.found.extend(redefined(source, def, known, notes));
    }
}

fn unqualified(
    source: &Source<'_>,
    call: &Call<'_>,
    known: &Known<'_>,
    notes: &Notes,
) -> Option<Diagnostic> {
    let name = call.name;
    let own: Vec<usize> = source
        .functions
        .iter()
        .filter(|d| d.name == name)
        .map(|d| d.params.len())
        .collect();
    if name == "Fn" {
        return pointer(source, call, known, notes);
    }
    // The parser makes one of every closure that captures something.
    if name == "curry" && matches!(call.args.first(), Some(Expr::DynamicConstant(..))) {
        return None;
    }
    if own.is_empty()
        && let Some((_, hint)) = DISABLED
            .iter()
            .chain(REPLACED)
            .find(|(word, _)| *word == name)
    {
        let text = format!("`{name}` is not there in plans");
        return Some(Diagnostic::new(Code::Closed, notes.place(call.pos), text).with_hint(*hint));
    }
    if KEYWORDS.contains(&name) || is_closure_of_a_map(call, known) {
        return None;
    }
    let rhai = arities(name);
    if own.is_empty() && rhai.is_none() {
        return Some(unknown(source, call, known, notes));
    }
    // There is a logarithm, but nobody takes it of a text.
    let is_text =
        |arg: &Expr| matches!(arg, Expr::StringConstant(..) | Expr::InterpolatedString(..));
    if name == "log" && own.is_empty() && call.args.first().is_some_and(is_text) {
        return Some(unknown(source, call, known, notes));
    }
    let given = call.args.len();
    let native = given + usize::from(call.receiver.is_some());
    if own.contains(&given) || rhai.is_some_and(|rhai| rhai.contains(&native)) {
        return None;
    }
    let text = format!("`{name}` can't be called with {}", many(given, "argument"));
    let hint = match (own.first(), rhai) {
        (Some(_), _) => {
            let defs = source.functions.iter().filter(|d| d.name == name);
            format!("it is called as {}", forms("", defs.copied()))
        }
        (None, Some(rhai)) => {
            let method = usize::from(call.receiver.is_some());
            let wants = rhai.iter().filter_map(|n| n.checked_sub(method));
            format!("it takes {}", numbers(wants.collect()))
        }
        (None, None) => return None,
    };
    let found = Diagnostic::new(Code::WrongArguments, notes.place(call.pos), text);
    let defs = source.functions.iter().copied().filter(|d| d.name == name);
    Some(defined(found.with_hint(hint), source, defs))
}

/// `map.name(…)` calls the closure that the map holds under the name.
fn is_closure_of_a_map(call: &Call<'_>, known: &Known<'_>) -> bool {
    call.receiver.is_some() && known.is_map_key(call.name)
}

fn numbers(wants: Vec<usize>) -> String {
    match wants.as_slice() {
        [one] => many(*one, "argument"),
        [all @ .., last] => {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            format!("{} or {}", all.join(", "), many(*last, "argument"))
        }
        [] => many(0, "argument"),
    }
}

/// How a plan's own functions are called.
fn forms<'d>(prefix: &str, defs: impl Iterator<Item = &'d Definition>) -> String {
    let mut forms: Vec<String> = defs
        .map(|d| format!("{prefix}{}({})", d.name, d.params.join(", ")))
        .collect();
    forms.sort_by_key(String::len);
    forms.join(" or ")
}

fn unknown(source: &Source<'_>, call: &Call<'_>, known: &Known<'_>, notes: &Notes) -> Diagnostic {
    let name = call.name;
    let word = if call.receiver.is_some() {
        "method"
    } else {
        "function"
    };
    let text = format!("there is no {word} `{name}`");
    let found = Diagnostic::new(Code::UnknownFunction, notes.place(call.pos), text);
    let is_other_word = OTHER_WORDS.iter().any(|(_, words)| words.contains(&name));
    if !is_other_word && api::testing::functions().iter().any(|f| f.name == name) {
        let hint = "it is there for tests only: in files that end in _test.rhai";
        return found.with_hint(hint);
    }
    let is_variable = source.variables.iter().any(|v| v.name == name);
    if call.receiver.is_none() && is_variable {
        return found.with_hint(format!("`{name}` is a variable: write {name}.call(…)"));
    }
    match suggestion(source, name, known) {
        Some(hint) => found.with_hint(hint),
        None => found,
    }
}

/// The nearest name, and how it is called.
fn suggestion(source: &Source<'_>, name: &str, known: &Known<'_>) -> Option<String> {
    let in_modules: Vec<(String, &Definition)> = source
        .imports
        .iter()
        .filter_map(|import| match target(source, &[import.alias], known) {
            Target::Source(module) => Some((import.alias, module)),
            _ => None,
        })
        .flat_map(|(alias, module)| module.functions.iter().map(move |def| (alias, *def)))
        .filter(|(_, def)| !def.private)
        .map(|(alias, def)| (format!("{alias}::"), def))
        .collect();
    if let Some((prefix, def)) = in_modules.iter().find(|(_, def)| def.name == name) {
        return Some(format!("write {}", forms(prefix, std::iter::once(*def))));
    }
    let other = OTHER_WORDS.iter().find(|(_, words)| words.contains(&name));
    let host = known.functions.iter().map(|f| f.name);
    let own = source.functions.iter().map(|def| def.name.as_str());
    let modules = in_modules.iter().map(|(_, def)| def.name.as_str());
    let near = other
        .map(|(ours, _)| *ours)
        .filter(|ours| known.host.contains_key(ours))
        .or_else(|| nearest(name, host.chain(own).chain(modules).chain(names())))?;
    if let Some(function) = known.host.get(near) {
        return Some(format!(
            "did you mean `{near}`? It is called as {}",
            function.forms()
        ));
    }
    let own = source
        .functions
        .iter()
        .copied()
        .filter(|def| def.name == near);
    let own = forms("", own);
    if !own.is_empty() {
        return Some(format!("did you mean `{near}`? It is called as {own}"));
    }
    match in_modules.iter().find(|(_, def)| def.name == near) {
        Some((prefix, def)) => Some(format!(
            "did you mean {}?",
            forms(prefix, std::iter::once(*def))
        )),
        None => Some(format!("did you mean `{near}`?")),
    }
}

/// `Fn("name")`.
fn pointer(
    source: &Source<'_>,
    call: &Call<'_>,
    known: &Known<'_>,
    notes: &Notes,
) -> Option<Diagnostic> {
    let [Expr::StringConstant(name, pos)] = call.args else {
        return None;
    };
    let name = name.as_str();
    let there = source.functions.iter().any(|def| def.name == name)
        || known.host.contains_key(name)
        || arities(name).is_some()
        || KEYWORDS.contains(&name);
    if there && !closed(name) {
        return None;
    }
    let text = format!("there is no function `{name}`");
    let found = Diagnostic::new(Code::UnknownFunction, notes.place(*pos), text);
    Some(match suggestion(source, name, known) {
        Some(hint) => found.with_hint(hint),
        None => found,
    })
}

fn closed(name: &str) -> bool {
    DISABLED
        .iter()
        .chain(REPLACED)
        .any(|(word, _)| *word == name)
}

/// `m::f(…)`.
fn qualified(
    source: &Source<'_>,
    call: &Call<'_>,
    known: &Known<'_>,
    notes: &Notes,
) -> Option<Diagnostic> {
    let path: Vec<&str> = call.path.iter().map(|ident| ident.name.as_str()).collect();
    let start = call.path.first().map_or(call.pos, |ident| ident.pos);
    let module = match target(source, &path, known) {
        Target::Source(module) => module,
        Target::Missing { at, alias, near } => {
            let pos = call.path.get(at).map_or(start, |ident| ident.pos);
            return Some(super::modules::unknown_alias(alias, near, notes.place(pos)));
        }
        Target::Unknown => return None,
    };
    let prefix = format!("{}::", path.join("::"));
    let name = call.name;
    let defs = || {
        module
            .functions
            .iter()
            .copied()
            .filter(|def| def.name == name)
    };
    let place = notes.place(start);
    if defs().next().is_none() {
        let text = format!("there is no function `{prefix}{name}`");
        let found = Diagnostic::new(Code::UnknownFunction, place, text);
        let public = module.functions.iter().filter(|def| !def.private);
        let names: Vec<&str> = public.map(|def| def.name.as_str()).collect();
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => {
                let near = module
                    .functions
                    .iter()
                    .copied()
                    .filter(|def| def.name == near);
                Some(format!("did you mean {}?", forms(&prefix, near)))
            }
            None if known.host.contains_key(name) => Some(format!("write {name}(…) alone")),
            None if names.is_empty() => Some(format!("`{}` has no functions", module.id)),
            None => {
                let mut names = names;
                names.sort_unstable();
                names.dedup();
                Some(format!("`{}` has: {}", module.id, names.join(", ")))
            }
        };
        return Some(match hint {
            Some(hint) => found.with_hint(hint),
            None => found,
        });
    }
    if defs().all(|def| def.private) {
        let text = format!("`{prefix}{name}` is private to `{}`", module.id);
        let hint = "take `private` away there, or call a function that is not private";
        let found = Diagnostic::new(Code::PrivateFunction, place, text).with_hint(hint);
        return Some(defined(found, module, defs()));
    }
    if defs().any(|def| !def.private && def.params.len() == call.args.len()) {
        return None;
    }
    let given = many(call.args.len(), "argument");
    let text = format!("`{prefix}{name}` can't be called with {given}");
    let hint = format!(
        "it is called as {}",
        forms(&prefix, defs().filter(|def| !def.private))
    );
    let found = Diagnostic::new(Code::WrongArguments, place, text).with_hint(hint);
    Some(defined(found, module, defs().filter(|def| !def.private)))
}

/// The same with the places of the definitions that are meant.
fn defined<'d>(
    mut found: Diagnostic,
    source: &Source<'_>,
    definitions: impl Iterator<Item = &'d Definition>,
) -> Diagnostic {
    for def in definitions {
        let pos = position_of_name(source.text, def);
        found = found.with_note("it is defined here", place_of(source.id, pos));
    }
    found
}

/// A function of the plan that hides one of the host, or one of Rhai.
fn redefined(
    source: &Source<'_>,
    def: &Definition,
    known: &Known<'_>,
    notes: &Notes,
) -> Option<Diagnostic> {
    let name = def.name.as_str();
    let place = || notes.place(position_of_name(source.text, def));
    if known.host.contains_key(name) || closed(name) || name == "local" {
        let text = format!("`{name}` is a function of deployrun and can't be defined anew");
        let hint = "give it another name";
        return Some(Diagnostic::new(Code::RedefinedFunction, place(), text).with_hint(hint));
    }
    let native = arities(name)?;
    let takes = def.params.len();
    // In the form of a method, the value before the dot is not among the parameters.
    let as_method = native.contains(&(takes + 1));
    let as_function = CALLED_ALONE.contains(&name) && native.contains(&takes);
    (as_method || as_function).then(|| {
        let form = if as_method {
            format!("x.{name}(…)")
        } else {
            format!("{name}(…)")
        };
        let text =
            format!("`{name}` hides a function of the language: `{form}` means this one now");
        Diagnostic::new(Code::HiddenFunction, place(), text).with_hint("give it another name")
    })
}

/// Functions of Rhai that are hardly ever called in the form of a method; `in` is `contains`.
const CALLED_ALONE: &[&str] = &[
    "max",
    "min",
    "range",
    "contains",
    "parse_int",
    "parse_float",
    "to_string",
    "type_of",
    "blob",
];

/// Where a function's name stands: before its body. The syntax tree does not tell.
pub(super) fn position_of_name(text: &str, def: &Definition) -> Position {
    let (Some(line), column) = (def.pos.line(), def.pos.position().unwrap_or(1)) else {
        return def.pos;
    };
    for (index, content) in text
        .lines()
        .enumerate()
        .take(line)
        .collect::<Vec<_>>()
        .iter()
        .rev()
    {
        let end = if index + 1 == line {
            column - 1
        } else {
            usize::MAX
        };
        let before: String = content.chars().take(end).collect();
        let after_fn = before.rfind("fn ").and_then(|at| before.get(at + 3..));
        let Some(rest) = after_fn.map(str::trim_start) else {
            continue;
        };
        if rest.starts_with(&def.name) {
            let at = before.len() - rest.len();
            let at = before.get(..at).map_or(0, |head| head.chars().count());
            let (Ok(line), Ok(at)) = (u16::try_from(index + 1), u16::try_from(at + 1)) else {
                break;
            };
            return Position::new(line, at);
        }
    }
    def.pos
}
