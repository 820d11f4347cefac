//! The functions that plans call, as data: the static check, the engine and the manual read the
//! same table.

use std::fmt::Write as _;
use std::sync::Arc;

use rhai::Dynamic;
use serde_json::Value;

use crate::supervisor::fiber::Halt;
use crate::words::suggest::nearest;
use crate::words::version::Requirement;
use crate::words::window::Window;

use super::args::Args;
use super::notify;
use super::secret_text::SecretText;
use super::testing::stage::Stage;

/// What a parameter or an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// Any value; it is shown as text.
    Any,
    /// `true` or `false`.
    Bool,
    /// A whole number, 0 or more.
    Count,
    /// A duration: a text such as `"90s"`, or whole seconds.
    Duration,
    /// A duration in which something must be done, so not 0.
    Limit,
    /// A size in bytes: a whole number, or a text such as `"64 MiB"`.
    Size,
    /// A command: an array of texts, or a text for the shell.
    Command,
    /// A command, a closure, or `()` for nothing to undo.
    BackOut,
    /// A closure.
    Closure,
    /// A closure that is given one value and returns an answer.
    Answer,
    /// A closure, or `true` or `false`.
    Condition,
    /// A regular expression.
    Pattern,
    /// One regular expression or several.
    Patterns,
    /// A version requirement.
    Requirement,
    /// A release window.
    Window,
    /// A map of texts.
    Texts,
    /// One text or several.
    TextList,
    /// Several exit statuses.
    Codes,
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// Permission bits, such as `"0644"`.
    Mode,
    /// Who is told of a run: a map, or several.
    Notify,
}

impl Kind {
    /// What it wants, in words.
    #[must_use]
    pub fn wants(self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Any => "a value".into(),
            Self::Bool => "true or false".into(),
            Self::Count => "a whole number, 0 or more".into(),
            Self::Duration | Self::Limit => {
                "a duration: a text such as \"90s\" or \"1h30m\", or whole seconds".into()
            }
            Self::Size => "a size: a number of bytes, or a text such as \"64 MiB\"".into(),
            Self::Command => "a command: an array of texts, or a text for the shell".into(),
            Self::BackOut => "a command, a closure, or () when there is nothing to undo".into(),
            Self::Closure => "a closure, such as || …".into(),
            Self::Answer => "a closure, such as |asked| #{ … }".into(),
            Self::Condition => "a closure, or true or false".into(),
            Self::Pattern => "a regular expression".into(),
            Self::Patterns => "a regular expression, or an array of them".into(),
            Self::Requirement => "a version requirement, such as \">= 1.22\"".into(),
            Self::Window => "a window, such as \"Sat 22:00-02:00 Europe/Berlin\"".into(),
            Self::Texts => "a map of texts, such as #{ NAME: \"value\" }".into(),
            Self::TextList => "a text, or an array of texts".into(),
            Self::Codes => "an array of exit statuses, such as [0, 3]".into(),
            Self::OneOf(words) => format!("one of: {}", words.join(", ")),
            Self::Mode => "permission bits as a text, such as \"0644\"".into(),
            Self::Notify => notify::WANTS.into(),
        }
    }

    /// Says what is wrong with `value`, if it is not what is wanted.
    pub fn check(self, value: &Dynamic) -> Result<(), String> {
        let wrong = || Err(format!("wants {}, not {}", self.wants(), shown(value)));
        let ok = |right: bool| if right { Ok(()) } else { wrong() };
        match self {
            Self::Any => Ok(()),
            Self::Text => ok(is_text(value)),
            Self::Bool => ok(value.is_bool()),
            Self::Count => ok(value.as_int().is_ok_and(|n| n >= 0)),
            Self::Duration | Self::Limit => {
                let is_none = match (value.as_int(), text_of(value)) {
                    (Ok(n), _) if n >= 0 => n == 0,
                    (_, Some(text)) => crate::words::duration::parse(&text)
                        .map_err(|e| e.to_string())?
                        .is_zero(),
                    _ => return wrong(),
                };
                if is_none && self == Self::Limit {
                    return Err("is 0, and nothing can be done in no time".into());
                }
                Ok(())
            }
            Self::Size => ok(bytes_of(value).is_some()),
            Self::Command => command(value, &self.wants()),
            Self::BackOut if value.is_unit() || value.is_fnptr() => Ok(()),
            Self::BackOut => command(value, &self.wants()),
            Self::Closure | Self::Answer => ok(value.is_fnptr()),
            Self::Condition => ok(value.is_fnptr() || value.is_bool()),
            Self::Pattern => pattern(value),
            Self::Patterns => match value.as_array_ref() {
                Ok(items) => items.iter().try_for_each(pattern),
                Err(_) => pattern(value),
            },
            Self::Requirement => match text_of(value) {
                Some(text) => Requirement::parse(&text)
                    .map(drop)
                    .map_err(|e| e.to_string()),
                None => wrong(),
            },
            Self::Window => match text_of(value) {
                Some(text) => Window::parse(&text).map(drop).map_err(|e| e.to_string()),
                None => wrong(),
            },
            Self::Texts => match value.as_map_ref() {
                Ok(map)
                    if !map
                        .values()
                        .all(|v| is_text(v) || v.is_int() || v.is_bool()) =>
                {
                    wrong()
                }
                Ok(map) => match map.keys().find(|k| k.is_empty() || k.contains(['=', '\0'])) {
                    Some(name) => Err(format!("has {name:?}, which can't be a name")),
                    None => Ok(()),
                },
                Err(_) => wrong(),
            },
            Self::TextList => match value.as_array_ref() {
                Ok(items) => ok(items.iter().all(is_text)),
                Err(_) => ok(is_text(value)),
            },
            Self::Codes => match value.as_array_ref() {
                Ok(items) if items.is_empty() => wrong(),
                Ok(items) => {
                    let fits = |c: &Dynamic| c.as_int().is_ok_and(|c| (0..=255).contains(&c));
                    match items.iter().find(|c| !fits(c)) {
                        Some(odd) => Err(format!(
                            "has {}, and an exit status is a whole number from 0 to 255",
                            shown(odd)
                        )),
                        None => Ok(()),
                    }
                }
                Err(_) => wrong(),
            },
            Self::OneOf(words) => {
                ok(text_of(value).is_some_and(|text| words.contains(&text.as_str())))
            }
            Self::Mode => ok(mode_of(value).is_some()),
            Self::Notify => notify::read(value).map(drop),
        }
    }
}

fn is_text(value: &Dynamic) -> bool {
    value.is_string() || value.is_char() || value.is::<SecretText>()
}

fn text_of(value: &Dynamic) -> Option<String> {
    value
        .as_immutable_string_ref()
        .ok()
        .map(|text| text.to_string())
}

/// Bytes, from a number or a text such as `64 MiB`.
#[must_use]
pub fn bytes_of(value: &Dynamic) -> Option<u64> {
    if let Ok(n) = value.as_int() {
        return u64::try_from(n).ok();
    }
    let text = text_of(value)?;
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text.strip_suffix(digits)?.parse().ok()?;
    let unit = match digits.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Permission bits, from an octal text. A number would be taken for what it is not: 644 is 0o1204.
#[must_use]
pub fn mode_of(value: &Dynamic) -> Option<u32> {
    let mode = u32::from_str_radix(text_of(value)?.trim_start_matches("0o"), 8).ok()?;
    (mode <= 0o7777).then_some(mode)
}

fn command(value: &Dynamic, wants: &str) -> Result<(), String> {
    if let Ok(items) = value.as_array_ref() {
        return match items.first() {
            None => Err("is an empty command".into()),
            Some(_)
                if items
                    .iter()
                    .all(|v| is_text(v) || v.is_int() || v.is_float()) =>
            {
                Ok(())
            }
            Some(_) => Err(format!("wants {wants}, not {}", shown(value))),
        };
    }
    match text_of(value) {
        Some(text) if text.trim().is_empty() => Err("is an empty command".into()),
        Some(_) => Ok(()),
        None if value.is::<SecretText>() => Ok(()),
        None => Err(format!("wants {wants}, not {}", shown(value))),
    }
}

fn pattern(value: &Dynamic) -> Result<(), String> {
    match text_of(value) {
        Some(text) => match regex::Regex::new(&text) {
            Ok(_) => Ok(()),
            Err(regex::Error::Syntax(error)) => {
                let line = error.lines().last().unwrap_or("bad syntax");
                Err(format!(
                    "is no regular expression: {}",
                    line.trim_start_matches("error: ")
                ))
            }
            Err(error) => Err(format!("is no regular expression: {error}")),
        },
        None => Err(format!(
            "wants {}, not {}",
            Kind::Pattern.wants(),
            shown(value)
        )),
    }
}

/// A value for an error message.
#[must_use]
pub fn shown(value: &Dynamic) -> String {
    if let Some(text) = text_of(value) {
        let short: String = text.chars().take(60).collect();
        let dots = if short.len() < text.len() { "…" } else { "" };
        return format!("\"{short}{dots}\"");
    }
    if value.is_unit() {
        return "()".into();
    }
    if value.is_fnptr() {
        return "a closure".into();
    }
    if value.is_int() || value.is_float() || value.is_bool() {
        return value.to_string();
    }
    if value.is_array() {
        return "an array".into();
    }
    if value.is_map() {
        return "a map".into();
    }
    format!("a value of type {}", value.type_name())
}

/// A parameter or an option.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is for.
    pub doc: &'static str,
}

/// Shorthand for the tables of `api/`.
#[must_use]
pub const fn param(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, doc }
}

/// In which phase a function may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As the first call.
    First,
    /// Always.
    Any,
    /// In the review.
    Review,
    /// Once the gate is open; the first such call opens it.
    Release,
    /// In test files only.
    Test,
}

/// What happens when a function is called.
#[derive(Clone)]
pub enum Handler {
    /// One of ours.
    Api(fn(&Args) -> Result<Dynamic, Halt>),
    /// One for tests.
    Test(fn(&Args, &Arc<Stage>) -> Result<Dynamic, Halt>),
    /// One of the embedding program.
    Own(Arc<OwnFunction>),
}

/// A function of the embedding program.
pub struct OwnFunction {
    /// Does it change something?
    pub acts: bool,
    /// It. An error is thrown in the plan.
    pub call: OwnCall,
}

/// What a function of the embedding program does with its arguments.
pub type OwnCall = Box<dyn Fn(&[Value]) -> Result<Value, String> + Send + Sync>;

/// A function that plans call.
#[derive(Clone)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it must be given.
    pub params: &'static [Param],
    /// What it may be given after that.
    pub optional: &'static [Param],
    /// The keys of its options map; without any it takes no map.
    pub options: &'static [Param],
    /// Is a closure its last argument?
    pub closure: Option<Param>,
    /// When it may be called.
    pub when: When,
    /// What it does: the first sentence is its summary.
    pub doc: &'static str,
    /// What happens then.
    pub handler: Handler,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.forms())
    }
}

impl Function {
    /// The fewest and the most arguments that it takes.
    #[must_use]
    pub fn arity(&self) -> (usize, usize) {
        let closure = usize::from(self.closure.is_some());
        let least = self.params.len() + closure;
        let options = usize::from(!self.options.is_empty());
        (least, least + self.optional.len() + options)
    }

    /// How it is called, in words: `run(cmd)` or `run(cmd, #{…})`.
    #[must_use]
    pub fn forms(&self) -> String {
        self.calls().join(" or ")
    }

    /// The ways in which it is called: `run(cmd)`, `run(cmd, #{…})`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        let mut names: Vec<&str> = self.params.iter().map(|p| p.name).collect();
        let closure = self.closure.map(|c| c.name);
        let call = |names: &[&str], options: bool| {
            let mut all = names.to_vec();
            if options {
                all.push("#{…}");
            }
            all.extend(closure);
            format!("{}({})", self.name, all.join(", "))
        };
        let mut forms = vec![call(&names, false)];
        for optional in self.optional {
            names.push(optional.name);
            forms.push(call(&names, false));
        }
        if !self.options.is_empty() {
            forms.push(call(&names, true));
        }
        forms
    }

    /// The option of this name.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&'static Param> {
        self.options.iter().find(|o| o.name == name)
    }

    /// What to say of an option that there is none of.
    #[must_use]
    pub fn unknown_option(&self, name: &str) -> (String, String) {
        let names = self.options.iter().map(|o| o.name);
        let hint = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.name == "plan" => {
                format!("its fields are: {}", names.collect::<Vec<_>>().join(", "))
            }
            None => format!("its options are: {}", names.collect::<Vec<_>>().join(", ")),
        };
        let mut text = String::new();
        let word = if self.name == "plan" {
            "field"
        } else {
            "option"
        };
        let _ = write!(text, "`{}` has no {word} `{name}`", self.name);
        (text, hint)
    }
}
