//! What is handed to the functions that plans call: how much, which options, values of which kind.

use rhai::{Dynamic, Expr, FnPtr};

use crate::script::args;
use crate::script::functions::{Function, Kind, Param, shown};
use crate::script::notify;
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;

use super::outline::{Call, Host, Source, captured};
use super::{Known, Notes};

/// The values of a call, as they are written.
pub(super) struct Values<'p> {
    pub(super) receiver: Option<&'p Expr>,
    pub(super) args: &'p [Expr],
}

/// What goes to which parameter.
pub(super) struct Aligned<'p> {
    params: Vec<(&'p Param, &'p Expr)>,
    options: Option<&'p Expr>,
    function: &'p Function,
}

impl<'p> Aligned<'p> {
    /// The option of this name, if it is written there.
    pub(super) fn option(&self, name: &str) -> Option<&'p Expr> {
        self.options()
            .find(|(param, _)| param.name == name)
            .map(|(_, value)| value)
    }

    /// Are the options not written there, but computed?
    pub(super) fn has_unknown_options(&self) -> bool {
        self.options
            .is_some_and(|options| !matches!(options, Expr::Map(..)))
    }

    /// The options that are written there and that there are.
    fn options(&self) -> impl Iterator<Item = (&'p Param, &'p Expr)> {
        let function = self.function;
        let of = |(key, value): &'p (rhai::Ident, Expr)| Some((function.option(&key.name)?, value));
        written(self.options).iter().filter_map(of)
    }

    /// Parameters and options.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'p Param, &'p Expr)> {
        self.params.iter().copied().chain(self.options())
    }

    /// How many values are certainly wrong.
    fn mismatches(&self) -> usize {
        self.all()
            .filter(|(param, value)| wrong(param.kind, value).is_some())
            .count()
    }
}

fn written(options: Option<&Expr>) -> &[(rhai::Ident, Expr)] {
    match options {
        Some(Expr::Map(parts, _)) => &parts.0,
        _ => &[],
    }
}

/// Says what goes where. In the form of a method the first value is the target or, when there is
/// no target, the first argument: what is less wrong is meant.
pub(super) fn align<'p>(function: &'p Function, values: &Values<'p>) -> Option<Aligned<'p>> {
    let on_target = place(function, values.args.iter().collect());
    let Some(receiver) = values.receiver else {
        return on_target;
    };
    let as_value = place(
        function,
        std::iter::once(receiver).chain(values.args).collect(),
    );
    match (on_target, as_value) {
        (Some(target), Some(value)) if value.mismatches() < target.mismatches() => Some(value),
        (Some(_), Some(value)) if is_text(receiver) && value.mismatches() == 0 => Some(value),
        (Some(target), _) => Some(target),
        (None, value) => value,
    }
}

fn is_text(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::StringConstant(..) | Expr::InterpolatedString(..) | Expr::Array(..)
    )
}

fn place<'p>(function: &'p Function, mut values: Vec<&'p Expr>) -> Option<Aligned<'p>> {
    let (least, most) = function.arity();
    if values.len() < least || values.len() > most {
        return None;
    }
    let mut params = Vec::new();
    if let Some(closure) = &function.closure {
        let last = values.pop()?;
        params.push((closure, last));
    }
    let places = function.params.len() + function.optional.len();
    let may_be = values.len() > function.params.len()
        && !function.options.is_empty()
        && matches!(values.last(), Some(Expr::Map(..)));
    let options = if may_be || values.len() > places {
        values.pop()
    } else {
        None
    };
    params.extend(function.params.iter().chain(function.optional).zip(values));
    Some(Aligned {
        params,
        options,
        function,
    })
}

/// What is known of a value before the plan runs.
enum Worth {
    /// All.
    Literal(Dynamic),
    /// A text, but not which.
    Text,
    /// An array, and its items.
    Array,
    /// A map.
    Map,
    /// A closure.
    Closure,
    /// Nothing.
    Unknown,
}

fn worth(expr: &Expr) -> Worth {
    match expr {
        Expr::DynamicConstant(value, _) if value.is_fnptr() => Worth::Closure,
        Expr::Stmt(block) if captured(block.statements()).is_some() => Worth::Closure,
        _ if expr.is_constant() => match expr.get_literal_value(None) {
            Some(value) => Worth::Literal(value),
            None => Worth::Unknown,
        },
        Expr::InterpolatedString(..) => Worth::Text,
        Expr::Array(..) => Worth::Array,
        Expr::Map(..) => Worth::Map,
        _ => Worth::Unknown,
    }
}

/// Says what is wrong with a value, as far as that is certain, and where.
fn wrong(kind: Kind, value: &Expr) -> Option<(String, &Expr)> {
    let not = |what: &str| Some((format!("wants {}, not {what}", kind.wants()), value));
    match worth(value) {
        Worth::Unknown => None,
        Worth::Literal(literal) => kind.check(&literal).err().map(|text| (text, value)),
        Worth::Text => match kind {
            Kind::Bool | Kind::Count | Kind::Closure | Kind::Answer | Kind::Condition => {
                not("a text")
            }
            Kind::Texts | Kind::Codes => not("a text"),
            _ => None,
        },
        Worth::Closure => match kind {
            Kind::Any | Kind::BackOut | Kind::Closure | Kind::Answer | Kind::Condition => None,
            _ => not("a closure"),
        },
        Worth::Map | Worth::Array if kind == Kind::Notify => notify(value),
        Worth::Map => match kind {
            Kind::Any => None,
            Kind::Texts => items(value).find_map(|item| match worth(item) {
                Worth::Closure => not("a map with a closure").map(|(text, _)| (text, item)),
                Worth::Array => not("a map with an array").map(|(text, _)| (text, item)),
                _ => None,
            }),
            _ => not("a map"),
        },
        Worth::Array => match kind {
            Kind::Any => None,
            Kind::Command | Kind::BackOut => in_array(value, |item| {
                item.is_string() || item.is_char() || item.is_int() || item.is_float()
            }),
            Kind::Patterns => items(value).find_map(|item| wrong(Kind::Pattern, item)),
            Kind::TextList => in_array(value, |item| item.is_string() || item.is_char()),
            Kind::Codes => in_array(value, Dynamic::is_int),
            _ => not("an array"),
        },
    }
}

/// What is certainly wrong with a `notify` of which something is computed.
fn notify(value: &Expr) -> Option<(String, &Expr)> {
    match value {
        Expr::FnCall(call, _) if call.name == "secret" => Some((notify::FETCHED.into(), value)),
        Expr::Array(..) => items(value).find_map(|item| wrong(Kind::Notify, item)),
        Expr::Map(parts, _) => {
            let mut keys = parts.0.iter().map(|(key, _)| key.name.as_str());
            if let Some(text) = keys.find_map(notify::unknown_key) {
                return Some((text, value));
            }
            items(value).find_map(|item| match item {
                Expr::FnCall(..) => notify(item),
                Expr::Map(..) => items(item).find_map(notify),
                _ => None,
            })
        }
        _ => None,
    }
}

/// The first item of an array that is certainly wrong.
fn in_array(array: &Expr, good: impl Fn(&Dynamic) -> bool) -> Option<(String, &Expr)> {
    items(array).find_map(|item| {
        let what = match worth(item) {
            Worth::Literal(value) if good(&value) => return None,
            Worth::Literal(value) => shown(&value),
            Worth::Closure => "a closure".to_owned(),
            Worth::Map => "a map".to_owned(),
            Worth::Array => "an array".to_owned(),
            Worth::Text | Worth::Unknown => return None,
        };
        Some((format!("may not hold {what}"), item))
    })
}

fn items(expr: &Expr) -> Box<dyn Iterator<Item = &Expr> + '_> {
    match expr {
        Expr::Array(items, _) => Box::new(items.iter()),
        Expr::Map(parts, _) => Box::new(parts.0.iter().map(|(_, value)| value)),
        _ => Box::new(std::iter::empty()),
    }
}

/// Checks every call of a host function.
pub(super) fn check(source: &Source<'_>, known: &Known<'_>, notes: &mut Notes) {
    for call in &source.calls {
        let Some(host) = &call.host else { continue };
        match &host.aligned {
            None => {
                let found = wrong_number(call, host, notes);
                notes.push(found);
            }
            Some(aligned) => values(host.function, aligned, known, notes),
        }
    }
}

fn wrong_number(call: &Call<'_>, host: &Host<'_>, notes: &Notes) -> Diagnostic {
    let function = host.function;
    let given = super::names::many(call.args.len(), "argument");
    let text = format!("`{}` can't be called with {given}", function.name);
    let closure_missing = function.closure.is_some()
        && matches!(
            call.args.last(),
            Some(Expr::Map(..)) | Some(Expr::StringConstant(..))
        );
    let mut hint = format!("it is called as {}", function.forms());
    if closure_missing && call.args.len() <= function.arity().1 {
        hint.push_str("; the closure comes last");
    }
    Diagnostic::new(Code::WrongArguments, notes.place(call.pos), text).with_hint(hint)
}

fn values(function: &Function, aligned: &Aligned<'_>, known: &Known<'_>, notes: &mut Notes) {
    let forms = || format!("it is called as {}", function.forms());
    for (param, value) in aligned.all() {
        let is_option = aligned
            .option(param.name)
            .is_some_and(|v| std::ptr::eq(v, value));
        let word = if is_option { "option" } else { "argument" };
        if let Some((text, item)) = wrong(param.kind, value) {
            let text = args::complaint(function, param, word, &text);
            let code = if text_is_misread(param.kind, item) {
                Code::BadLiteral
            } else {
                Code::WrongType
            };
            let found = Diagnostic::new(code, notes.place(item.start_position()), text);
            notes.push(found.with_hint(forms()));
        } else if let Some(found) = closure(param, value, function, known, notes) {
            notes.push(found);
        }
    }
    for (key, _) in written(aligned.options) {
        if function.option(&key.name).is_none() {
            let (text, hint) = function.unknown_option(&key.name);
            let found = Diagnostic::new(Code::UnknownOption, notes.place(key.pos), text);
            notes.push(found.with_hint(hint));
        }
    }
    if let Some(options) = aligned.options
        && !matches!(worth(options), Worth::Map | Worth::Unknown)
        && !matches!(options, Expr::Map(..))
    {
        let what = match worth(options) {
            Worth::Literal(value) => shown(&value),
            Worth::Text => "a text".to_owned(),
            Worth::Array => "an array".to_owned(),
            _ => "a closure".to_owned(),
        };
        let text = format!(
            "the options of `{}` must be a map, not {what}",
            function.name
        );
        let place = notes.place(options.start_position());
        notes.push(Diagnostic::new(Code::WrongType, place, text).with_hint(forms()));
    }
}

/// Is it a text of the right kind that says something wrong?
fn text_is_misread(kind: Kind, value: &Expr) -> bool {
    let reads_texts = matches!(
        kind,
        Kind::Duration
            | Kind::Limit
            | Kind::Size
            | Kind::Pattern
            | Kind::Patterns
            | Kind::Requirement
            | Kind::Window
            | Kind::OneOf(_)
            | Kind::Mode
            | Kind::Command
            | Kind::BackOut
    );
    reads_texts && matches!(value, Expr::StringConstant(..))
}

/// A closure that wants more than it is given can never be called.
fn closure(
    param: &Param,
    value: &Expr,
    function: &Function,
    known: &Known<'_>,
    notes: &Notes,
) -> Option<Diagnostic> {
    let most = match param.kind {
        Kind::BackOut | Kind::Answer => 1,
        Kind::Closure | Kind::Condition => 0,
        _ => return None,
    };
    let (pointer, captures) = match value {
        Expr::DynamicConstant(value, _) => (&**value, 0),
        Expr::Stmt(block) => {
            let (pointer, captures) = captured(block.statements())?;
            (pointer, captures.len())
        }
        _ => return None,
    };
    let name = pointer.read_lock::<FnPtr>()?.fn_name().to_owned();
    let takes = known
        .closure_params(notes.id, &name)?
        .saturating_sub(captures);
    (takes > most).then(|| {
        let text = format!(
            "the closure of `{}` is given {}, but takes {takes}",
            function.name,
            if most == 0 {
                "nothing".to_owned()
            } else {
                super::names::many(most, "value")
            },
        );
        let hint = match most {
            0 => "write || …".to_owned(),
            _ => "write || …, or |outcome| … to be told how the step ended".to_owned(),
        };
        Diagnostic::new(
            Code::WrongArguments,
            notes.place(value.start_position()),
            text,
        )
        .with_hint(hint)
    })
}
