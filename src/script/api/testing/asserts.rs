//! What is asserted of values and errors.

use std::sync::Arc;

use rhai::Dynamic;

use crate::script::args::Args;
use crate::script::closure;
use crate::script::error::tell;
use crate::script::functions::{Function, Kind, Param, param};
use crate::script::testing::diff::{diff, lines_of, same, text_lines, word};
use crate::script::testing::stage::Stage;
use crate::supervisor::fiber::Halt;
use crate::target::pretended::glob;

use super::{fail, simple};

pub(super) fn functions() -> Vec<Function> {
    let two: &'static [Param] = const {
        &[
            param("seen", Kind::Any, "What was seen."),
            param("expected", Kind::Any, "What is expected."),
        ]
    };
    let message: &'static [Param] = const {
        &[param(
            "message",
            Kind::Text,
            "What to say when it is not so.",
        )]
    };
    vec![
        simple(
            "assert",
            const { &[param("condition", Kind::Bool, "What must be true.")] },
            message,
            "Fails the test unless something is true.",
            assert,
        ),
        simple(
            "assert_eq",
            two,
            message,
            "Fails the test unless two values are the same, and shows what differs, line by line.",
            assert_eq,
        ),
        simple(
            "assert_ne",
            two,
            message,
            "Fails the test if two values are the same.",
            assert_ne,
        ),
        simple(
            "assert_contains",
            const {
                &[
                    param("whole", Kind::Any, "A text, an array or a map."),
                    param(
                        "part",
                        Kind::Any,
                        "What it must hold: a part of the text, an item, a key.",
                    ),
                ]
            },
            message,
            "Fails the test unless a text holds a part, an array an item, or a map a key.",
            assert_contains,
        ),
        simple(
            "assert_throws",
            const { &[param("closure", Kind::Closure, "What must throw.")] },
            const {
                &[param(
                    "message",
                    Kind::Text,
                    "What the error must say: a part of it, in which `*` stands for anything.",
                )]
            },
            "Fails the test unless a closure throws, or stops the run: by `abort`, a watch that trips, a \
             deadline. What was armed is backed out when the run stops; else it stays armed. Returns what \
             the error says.",
            assert_throws,
        ),
    ]
}

fn because(args: &Args, text: String) -> String {
    match args.text("message") {
        Some(message) => format!("{message}: {text}"),
        None => text,
    }
}

fn assert(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    if args.bool("condition") == Some(true) {
        return Ok(Dynamic::UNIT);
    }
    Err(fail(
        args,
        stage,
        because(args, "it is false".into()),
        Vec::new(),
    ))
}

/// Two values as lines, for what differs.
pub(super) fn both(expected: &Dynamic, seen: &Dynamic) -> Vec<String> {
    if expected.is_string() && seen.is_string() {
        let (a, b) = (expected.to_string(), seen.to_string());
        if a.contains('\n') || b.contains('\n') {
            return diff(&text_lines(&a), &text_lines(&b));
        }
    }
    diff(&lines_of(expected), &lines_of(seen))
}

/// The heading of what differs.
pub(super) const HEADING: &str = "- expected, + seen:";

fn assert_eq(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let unit = Dynamic::UNIT;
    let seen = args.given("seen").unwrap_or(&unit);
    let expected = args.given("expected").unwrap_or(&unit);
    if same(seen, expected) {
        return Ok(Dynamic::UNIT);
    }
    let mut lines = vec![HEADING.to_owned()];
    lines.extend(both(expected, seen));
    let mut text = "the values differ".to_owned();
    if word(seen) == word(expected) && !seen.is_array() && !seen.is_map() {
        text = format!(
            "the values look alike, but one is of type {}, the other of type {}",
            expected.type_name(),
            seen.type_name()
        );
    }
    Err(fail(args, stage, because(args, text), lines))
}

fn assert_ne(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let unit = Dynamic::UNIT;
    let seen = args.given("seen").unwrap_or(&unit);
    let expected = args.given("expected").unwrap_or(&unit);
    if !same(seen, expected) {
        return Ok(Dynamic::UNIT);
    }
    let text = because(args, "the values are the same".into());
    Err(fail(args, stage, text, lines_of(seen)))
}

fn assert_contains(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let unit = Dynamic::UNIT;
    let whole = args.given("whole").unwrap_or(&unit);
    let part = args.given("part").unwrap_or(&unit);
    let holds = if let Ok(items) = whole.as_array_ref() {
        items.iter().any(|item| same(item, part))
    } else if let Ok(map) = whole.as_map_ref() {
        map.contains_key(part.to_string().as_str())
    } else {
        whole.to_string().contains(&part.to_string())
    };
    if holds {
        return Ok(Dynamic::UNIT);
    }
    let text = because(args, format!("{} is not in it", word(part)));
    let mut lines = vec!["it is:".to_owned()];
    let whole_lines = match whole.as_immutable_string_ref() {
        Ok(text) => text_lines(&text),
        Err(_) => lines_of(whole),
    };
    lines.extend(whole_lines.into_iter().map(|line| format!("  {line}")));
    Err(fail(args, stage, text, lines))
}

fn assert_throws(args: &Args, stage: &Arc<Stage>) -> Result<Dynamic, Halt> {
    stage.asserted();
    let pointer = args
        .given("closure")
        .and_then(|value| value.clone().try_cast::<rhai::FnPtr>());
    let Some(pointer) = pointer else {
        return Ok(Dynamic::UNIT);
    };
    let error = match closure::call(&pointer, args.context, None) {
        Ok(value) => {
            let text = format!("nothing was thrown; the closure returned {}", word(&value));
            return Err(fail(args, stage, text, Vec::new()));
        }
        Err(error) => error,
    };
    // What fails the test itself is not what was meant.
    if stage.world.not_given().is_some() || stage.failed().is_some() || args.fiber.spent().is_some()
    {
        return Err(crate::script::api::pass(error));
    }
    let message = match stage.own().filter(|own| own.fiber.is_stopped()) {
        Some(own) => {
            let stop = own.driver.stopping();
            let text = stop.map_or_else(
                || "the run stopped".to_owned(),
                |stop| format!("{}: {}", stop.cause.words(), stop.reason),
            );
            stage.back_out().ok_or(Halt::Stop)?;
            text
        }
        None => match stage.surroundings() {
            Some(of) => tell(&error, &of.plan, &of.functions).message,
            None => error.to_string(),
        },
    };
    match args.text("message") {
        Some(wanted) if !glob(&format!("*{wanted}*"), &message) => {
            let text = "another error was thrown".to_owned();
            let mut lines = vec![HEADING.to_owned(), format!("- …{wanted}…")];
            lines.extend(message.lines().map(|line| format!("+ {line}")));
            Err(fail(args, stage, text, lines))
        }
        _ => Ok(message.into()),
    }
}
