//! The arguments of one call, checked against the function's entry in the table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rhai::{Dynamic, FnPtr, Map, NativeCallContext};

use crate::supervisor::fiber::{Fiber, Halt};
use crate::words::call::{Command, Failure};
use crate::words::place::Place;

use super::closure::Closure;
use super::error::Thrown;
use super::functions::{Function, Kind, Param, bytes_of, mode_of, shown};
use super::secret_text::SecretText;
use super::value::to_json;

/// A call of a host function.
pub struct Args<'c> {
    /// Which function.
    pub function: &'c Function,
    /// The script that calls.
    pub fiber: &'c Arc<Fiber<Closure>>,
    /// The engine's context.
    pub context: &'c NativeCallContext<'c>,
    /// Where.
    pub place: Place,
    /// The directory of the plan.
    pub root: &'c Path,
    given: Vec<(&'static str, Dynamic)>,
    options: Map,
    closure: Option<FnPtr>,
}

fn usage(text: String, hint: Option<String>) -> Halt {
    Halt::Throw(Failure {
        hint,
        ..Failure::new(text)
    })
}

impl<'c> Args<'c> {
    /// Sorts and checks the values of a call.
    pub fn read(
        function: &'c Function,
        fiber: &'c Arc<Fiber<Closure>>,
        context: &'c NativeCallContext<'c>,
        place: Place,
        root: &'c Path,
        mut values: Vec<Dynamic>,
    ) -> Result<Self, Halt> {
        let mut args = Self {
            function,
            fiber,
            context,
            place,
            root,
            given: Vec::new(),
            options: Map::new(),
            closure: None,
        };
        let (least, most) = function.arity();
        if values.len() < least || values.len() > most {
            let text = format!(
                "`{}` can't be called with {} arguments",
                function.name,
                values.len()
            );
            return Err(usage(
                text,
                Some(format!("it is called as {}", function.forms())),
            ));
        }
        if let Some(param) = &function.closure {
            let last = values.pop().unwrap_or_default();
            check(function, param, "argument", &last)?;
            if last.is_fnptr() {
                args.closure = last.try_cast::<FnPtr>();
            } else {
                args.given.push((param.name, last));
            }
        }
        let places = function.params.len() + function.optional.len();
        let has_options = values.len() > function.params.len()
            && values.last().is_some_and(Dynamic::is_map)
            && !function.options.is_empty()
            || values.len() > places;
        if has_options {
            let last = values.pop().unwrap_or_default();
            args.options = last.try_cast_result::<Map>().map_err(|other| {
                usage(
                    format!(
                        "the options of `{}` must be a map, not {}",
                        function.name,
                        shown(&other)
                    ),
                    Some(format!("it is called as {}", function.forms())),
                )
            })?;
        } else if function.name == "plan" {
            args.options = values
                .pop()
                .and_then(Dynamic::try_cast::<Map>)
                .unwrap_or_default();
        }
        for (param, value) in function.params.iter().chain(function.optional).zip(values) {
            check(function, param, "argument", &value)?;
            args.given.push((param.name, value));
        }
        for (name, value) in &args.options {
            match function.option(name) {
                Some(param) => check(function, param, "option", value)?,
                None => {
                    let (text, hint) = function.unknown_option(name);
                    return Err(usage(text, Some(hint)));
                }
            }
        }
        Ok(args)
    }

    fn value(&self, name: &str) -> Option<&Dynamic> {
        let given = self.given.iter().find(|(n, _)| *n == name).map(|(_, v)| v);
        given.or_else(|| self.options.get(name))
    }

    /// The value as it was given.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&Dynamic> {
        self.value(name)
    }

    /// Was it given?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(reveal)
    }

    /// A text that must be there.
    #[must_use]
    pub fn need(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    /// True or false.
    #[must_use]
    pub fn bool(&self, name: &str) -> Option<bool> {
        self.value(name).and_then(|v| v.as_bool().ok())
    }

    /// A whole number.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u32> {
        self.value(name)
            .and_then(|v| v.as_int().ok())
            .and_then(|n| u32::try_from(n).ok())
    }

    /// A duration in milliseconds.
    #[must_use]
    pub fn ms(&self, name: &str) -> Option<u64> {
        let value = self.value(name)?;
        if let Ok(seconds) = value.as_int() {
            return u64::try_from(seconds).ok()?.checked_mul(1000);
        }
        let duration = crate::words::duration::parse(&reveal(value)).ok()?;
        u64::try_from(duration.as_millis()).ok()
    }

    /// A size in bytes.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<u64> {
        self.value(name).and_then(bytes_of)
    }

    /// Permission bits.
    #[must_use]
    pub fn mode(&self, name: &str) -> Option<u32> {
        self.value(name).and_then(mode_of)
    }

    /// A command.
    #[must_use]
    pub fn command(&self, name: &str) -> Option<Command> {
        self.value(name)
            .filter(|v| !v.is_fnptr() && !v.is_unit())
            .map(command_of)
    }

    /// One text or several.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            None => Vec::new(),
            Some(value) => match value.as_array_ref() {
                Ok(items) => items.iter().map(reveal).collect(),
                Err(_) => vec![reveal(value)],
            },
        }
    }

    /// A map of texts.
    #[must_use]
    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        let Some(value) = self.value(name) else {
            return BTreeMap::new();
        };
        let Ok(map) = value.as_map_ref() else {
            return BTreeMap::new();
        };
        map.iter()
            .map(|(k, v)| (k.to_string(), reveal(v)))
            .collect()
    }

    /// Exit statuses.
    #[must_use]
    pub fn codes(&self, name: &str) -> Option<Vec<i32>> {
        let value = self.value(name)?;
        let items = value.as_array_ref().ok()?;
        Some(
            items
                .iter()
                .filter_map(|c| i32::try_from(c.as_int().ok()?).ok())
                .collect(),
        )
    }

    /// A closure, kept for later.
    #[must_use]
    pub fn closure(&self, name: &str) -> Option<Closure> {
        let pointer = match self.value(name) {
            Some(value) if value.is_fnptr() => value.clone().try_cast::<FnPtr>(),
            Some(_) | None => None,
        }?;
        Some(Closure::keep(self.context, pointer))
    }

    /// The closure that is the last argument.
    #[must_use]
    pub fn last_closure(&self) -> Option<&FnPtr> {
        self.closure.as_ref()
    }

    /// Was it given as an array?
    #[must_use]
    pub fn is_array(&self, name: &str) -> bool {
        self.value(name).is_some_and(Dynamic::is_array)
    }

    /// Was it given as `()`?
    #[must_use]
    pub fn is_unit(&self, name: &str) -> bool {
        self.value(name).is_some_and(Dynamic::is_unit)
    }

    /// All arguments as JSON, for the journal.
    pub fn json(&self) -> Result<Vec<serde_json::Value>, Halt> {
        let given = self.given.iter().map(|(_, v)| v.clone());
        let options = (!self.options.is_empty()).then(|| Dynamic::from(self.options.clone()));
        given
            .chain(options)
            .map(|v| to_json(&v))
            .collect::<Result<_, _>>()
            .map_err(|text| usage(format!("`{}`: {text}", self.function.name), None))
    }

    /// The place that is looked at.
    #[must_use]
    pub fn host(&self) -> &dyn crate::target::host::Host {
        &*self.fiber.shared().host
    }

    /// A path, from the plan's directory if it is relative.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(self.need(name))
    }
}

fn check(function: &Function, param: &Param, word: &str, value: &Dynamic) -> Result<(), Halt> {
    param.kind.check(value).map_err(|wrong| {
        usage(
            complaint(function, param, word, &wrong),
            Some(format!("it is called as {}", function.forms())),
        )
    })
}

/// What is wrong with an argument or an option, in words.
#[must_use]
pub fn complaint(function: &Function, param: &Param, word: &str, wrong: &str) -> String {
    let says_all = matches!(
        param.kind,
        Kind::Duration | Kind::Limit | Kind::Window | Kind::Requirement
    ) && !wrong.starts_with("wants ");
    let gap = if says_all { ": " } else { " " };
    let word = if function.name == "plan" && word == "option" {
        "field"
    } else {
        word
    };
    format!(
        "the {word} `{}` of `{}`{gap}{wrong}",
        param.name, function.name
    )
}

/// A value as text, a secret's own text included.
fn reveal(value: &Dynamic) -> String {
    match value.read_lock::<SecretText>() {
        Some(secret) => secret.reveal().to_owned(),
        // What a plan has caught: `warn(error)`.
        None => match value.read_lock::<Thrown>() {
            Some(thrown) => thrown.0.message.clone(),
            None => value.to_string(),
        },
    }
}

/// A command, as it was written.
#[must_use]
pub fn command_of(value: &Dynamic) -> Command {
    match value.as_array_ref() {
        Ok(items) => Command::Argv(items.iter().map(reveal).collect()),
        Err(_) => Command::Shell(reveal(value)),
    }
}
