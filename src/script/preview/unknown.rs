//! A value that only a run could know: what a step has told, and all that comes of it.

use std::any::TypeId;
use std::collections::BTreeSet;

use rhai::{
    Array, Blob, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Map, NativeCallContext,
};

/// Characters of the text that stands for a value.
const TEXT_MAX: usize = 200;

/// Functions of Rhai that put a value into another: what is put in need not be known.
const STORING: &[&str] = &["push", "insert", "pad", "set", "fill_with"];

/// Operators that set what stands before them.
const SETTING: &[&str] = &[
    "+=", "-=", "*=", "/=", "%=", "**=", "&=", "|=", "^=", "<<=", ">>=",
];

/// What Rhai's own functions ask of the values in an array: there the answer can't be unknown.
const ASKED: &[&str] = &["==", "!=", "<", "<=", ">", ">="];

/// A value that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What it depends on: `step 3`.
    pub depends_on: ImmutableString,
    /// What stands for it in texts: `‹stdout of step 3›`.
    pub text: ImmutableString,
}

impl Unknown {
    /// What `depends_on` would have told.
    #[must_use]
    pub fn of(depends_on: &str) -> Self {
        Self {
            depends_on: depends_on.into(),
            text: format!("‹{depends_on}›").into(),
        }
    }

    /// Something that is made of it.
    #[must_use]
    pub fn made(&self) -> Self {
        Self::of(&self.depends_on)
    }

    fn part(&self, name: &str) -> Self {
        Self {
            depends_on: self.depends_on.clone(),
            text: format!("‹{name} of {}›", self.depends_on).into(),
        }
    }

    /// A text with it in it.
    #[must_use]
    pub fn in_text(&self, text: &str) -> Self {
        let text = match text.char_indices().nth(TEXT_MAX) {
            Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
            None => text.to_owned(),
        };
        Self {
            depends_on: self.depends_on.clone(),
            text: text.into(),
        }
    }
}

/// The first value in this one, or this one itself, that is not known.
#[must_use]
pub fn find(value: &Dynamic) -> Option<Unknown> {
    if let Some(unknown) = value.read_lock::<Unknown>() {
        return Some(unknown.clone());
    }
    if let Ok(items) = value.as_array_ref() {
        return items.iter().find_map(find);
    }
    if let Ok(map) = value.as_map_ref() {
        return map.values().find_map(find);
    }
    None
}

/// The value as a text; what is not known in it is named.
#[must_use]
pub fn text_of(value: &Dynamic) -> String {
    if let Some(unknown) = value.read_lock::<Unknown>() {
        return unknown.text.to_string();
    }
    match find(value) {
        Some(_) => part_text(value),
        None => value.to_string(),
    }
}

/// A value in an array or a map as Rhai writes it.
fn part_text(value: &Dynamic) -> String {
    if let Some(unknown) = value.read_lock::<Unknown>() {
        return unknown.text.to_string();
    }
    if let Ok(items) = value.as_array_ref() {
        let parts: Vec<String> = items.iter().map(part_text).collect();
        return format!("[{}]", parts.join(", "));
    }
    if let Ok(map) = value.as_map_ref() {
        let part = |(name, value): (_, &Dynamic)| format!("{name:?}: {}", part_text(value));
        let parts: Vec<String> = map.iter().map(part).collect();
        return format!("#{{{}}}", parts.join(", "));
    }
    format!("{value:?}")
}

/// What ends the following of a plan, where Rhai itself would have to know a value.
pub type Lose =
    std::sync::Arc<dyn Fn(&Unknown, rhai::Position) -> Box<EvalAltResult> + Send + Sync>;

/// Lets values that are not known pass through properties, methods and functions. `called` are the
/// functions and methods that the plan's sources call, with how many arguments.
pub fn register(engine: &mut Engine, called: &BTreeSet<(String, usize)>, lose: &Lose) {
    engine.register_type_with_name::<Unknown>("unknown");
    engine.register_indexer_get(|unknown: &mut Unknown, key: Dynamic| {
        match key.as_immutable_string_ref() {
            Ok(name) => unknown.part(&name),
            Err(_) => unknown.made(),
        }
    });
    engine.register_indexer_set(|_: &mut Unknown, _: Dynamic, _: Dynamic| {});
    for name in SETTING {
        both_ways(engine, name, |_, args| {
            let unknown = args.iter().find_map(|arg| find(arg));
            if let (Some(target), Some(unknown)) = (args.first_mut(), unknown) {
                **target = Dynamic::from(unknown.made());
            }
            Ok(Dynamic::UNIT)
        });
    }
    for name in ASKED {
        let lose = lose.clone();
        both_ways(engine, name, move |context, args| {
            let unknown = args.iter().find_map(|arg| find(arg));
            Err(lose(
                &unknown.unwrap_or_else(|| Unknown::of("a step")),
                context.call_position(),
            ))
        });
    }
    for name in ["to_string", "to_debug"] {
        let lose = lose.clone();
        engine.register_fn(
            name,
            move |context: NativeCallContext,
                  unknown: &mut Unknown|
                  -> Result<String, Box<EvalAltResult>> {
                Err(lose(unknown, context.call_position()))
            },
        );
    }
    for (name, arity) in called {
        let is_known = SETTING.contains(&name.as_str())
            || ASKED.contains(&name.as_str())
            || matches!(name.as_str(), "to_string" | "to_debug");
        if !is_known && (1..=MOST_ARGUMENTS).contains(arity) {
            spread(engine, name, *arity);
        }
    }
}

/// Functions with more arguments than this are not Rhai's own.
const MOST_ARGUMENTS: usize = 5;

type Args<'a, 'b> = &'a mut [&'b mut Dynamic];

/// Whatever is called with a value that is not known gives one.
fn spread(engine: &mut Engine, name: &str, arity: usize) {
    let any = TypeId::of::<Dynamic>();
    let unknown = TypeId::of::<Unknown>();
    let call = |_: NativeCallContext, args: Args| -> Result<Dynamic, Box<EvalAltResult>> {
        let found = args.iter().find_map(|arg| find(arg));
        Ok(found.map_or(Dynamic::UNIT, |found| Dynamic::from(found.made())))
    };
    for at in 0..arity {
        if at > 0 && STORING.contains(&name) {
            break;
        }
        let mut types = vec![any; arity];
        if let Some(one) = types.get_mut(at) {
            *one = unknown;
        }
        engine.register_raw_fn(name, types.clone(), call);
        if at == 0 {
            continue;
        }
        // An exact type comes before one that takes anything, such as the item in `contains`.
        for receiver in [
            TypeId::of::<Array>(),
            TypeId::of::<Map>(),
            TypeId::of::<Blob>(),
            TypeId::of::<ImmutableString>(),
            TypeId::of::<FnPtr>(),
        ] {
            if let Some(first) = types.first_mut() {
                *first = receiver;
            }
            engine.register_raw_fn(name, types.clone(), call);
        }
    }
}

fn both_ways(
    engine: &mut Engine,
    name: &str,
    call: impl Fn(NativeCallContext, Args) -> Result<Dynamic, Box<EvalAltResult>>
    + Clone
    + Send
    + Sync
    + 'static,
) {
    let (any, unknown) = (TypeId::of::<Dynamic>(), TypeId::of::<Unknown>());
    // Rhai puts anything behind a text; an exact type comes before that.
    let text = TypeId::of::<ImmutableString>();
    for types in [
        [any, unknown],
        [unknown, any],
        [unknown, unknown],
        [text, unknown],
    ] {
        engine.register_raw_fn(name, types, call.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_wherever_it_lies() {
        let unknown = Unknown::of("step 1");
        let value = Dynamic::from(unknown.clone());
        assert_eq!(find(&value), Some(unknown.clone()));
        let array: Array = vec![1.into(), vec![value.clone()].into()];
        assert_eq!(find(&array.into()), Some(unknown.clone()));
        let map = Map::from([("a".into(), value.clone().into_shared())]);
        assert_eq!(find(&map.into()), Some(unknown));
        assert_eq!(find(&Dynamic::from("step 1")), None);
    }

    #[test]
    fn texts_say_what_is_missing_and_do_not_grow() {
        let unknown = Unknown::of("step 1");
        assert_eq!(unknown.part("stdout").text, "‹stdout of step 1›");
        let long = unknown.in_text(&"x".repeat(1000));
        assert_eq!(long.text.chars().count(), TEXT_MAX + 1);
        assert_eq!(long.depends_on, "step 1");
    }
}
