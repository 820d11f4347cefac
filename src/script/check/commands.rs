//! Commands that are put together from texts, and secrets that end in them.

use rhai::{Expr, Position};

use crate::script::functions::Kind;
use crate::words::code::Code;
use crate::words::diagnostic::Diagnostic;

use super::Notes;
use super::outline::{Source, Variable, any_below};

pub(super) fn check(source: &Source<'_>, notes: &mut Notes) {
    for call in &source.calls {
        let Some(host) = &call.host else { continue };
        let Some(aligned) = &host.aligned else {
            continue;
        };
        for (param, value) in aligned.all() {
            if !matches!(param.kind, Kind::Command | Kind::BackOut) {
                continue;
            }
            if let Some(pos) = put_together(value) {
                let text = "a command for the shell is put together from values";
                let hint = "write an array, such as [\"tar\", \"-xf\", file]: no value in it is ever \
                            read as code";
                let place = notes.place(pos);
                notes.push(Diagnostic::new(Code::ShellText, place, text).with_hint(hint));
            }
        }
    }
    secrets(source, notes);
}

/// Where a text begins that is not written out, but put together.
fn put_together(value: &Expr) -> Option<Position> {
    match value {
        Expr::InterpolatedString(parts, pos) => {
            parts.iter().any(|part| !part.is_constant()).then_some(*pos)
        }
        Expr::FnCall(call, _) if call.is_operator_call() && call.name == "+" => {
            let is_text = |part: &Expr| {
                matches!(
                    part,
                    Expr::StringConstant(..) | Expr::InterpolatedString(..)
                ) || put_together(part).is_some()
            };
            let is_fixed = call.args.iter().all(Expr::is_constant);
            let start = call.args.first().map(Expr::start_position)?;
            (!is_fixed && call.args.iter().any(is_text)).then_some(start)
        }
        _ => None,
    }
}

/// A secret in a text in back-ticks is three stars there.
fn secrets(source: &Source<'_>, notes: &mut Notes) {
    let is_secret = |expr: &Expr| matches!(expr, Expr::FnCall(call, _) if call.name == "secret");
    let holds = |variable: &&Variable<'_>| variable.value.is_some_and(is_secret);
    let variables: Vec<&Variable<'_>> = source.variables.iter().filter(holds).collect();
    for parts in &source.interpolated {
        for part in parts.iter() {
            let (mut pos, mut kept_in) = (Position::NONE, None);
            let found = any_below(part, &mut |expr| {
                let hit = match expr {
                    Expr::Variable(parts, ..) => {
                        kept_in = variables.iter().find(|v| v.name == parts.1.as_str());
                        kept_in.is_some()
                    }
                    other => is_secret(other),
                };
                if hit {
                    pos = expr.start_position();
                }
                hit
            });
            if found {
                let text = "a secret in back-ticks is *** there, not its value";
                let hint =
                    "join it with +, or hand it over alone: in an array, in `env`, on `stdin`";
                let place = notes.place(pos);
                let mut found = Diagnostic::new(Code::SecretInText, place, text).with_hint(hint);
                if let Some(variable) = kept_in {
                    found = found.with_note("the secret is kept here", notes.place(variable.pos));
                }
                notes.push(found);
            }
        }
    }
}
