//! Escapes in back-ticks, and values in double quotes: the language keeps them as they are written.

use std::collections::HashSet;

use rhai::{AST, ASTNode, Expr, Position};

use crate::script::functions::Kind;
use crate::words::code::Code;
use crate::words::diagnostic::{Diagnostic, line_of};

use super::Notes;
use super::outline::{Source, any_below};

pub(super) fn check(source: &Source<'_>, ast: &AST, notes: &mut Notes) {
    let read_by_others = read_by_others(source);
    let mut seen = HashSet::new();
    let names: HashSet<&str> = source.variables.iter().map(|v| v.name).collect();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::StringConstant(text, pos))) = path.last()
            && let Some(name) = value_in(text, &names)
            && first_character(source.text, *pos) == Some('"')
            && seen.insert(*pos)
        {
            let text = format!("`${{{name}}}` between double quotes is not replaced");
            let hint = format!(
                "write the text in back-ticks, where ${{{name}}} stands for the value of `{name}`"
            );
            let place = notes.place(*pos);
            notes.push(Diagnostic::new(Code::ValueInQuotes, place, text).with_hint(hint));
        }
        let (escape, pos) = match path.last() {
            Some(ASTNode::Expr(Expr::StringConstant(text, pos))) => (escape_in(text), *pos),
            Some(ASTNode::Expr(Expr::InterpolatedString(parts, pos))) => {
                let escape = parts.iter().find_map(|part| match part {
                    Expr::StringConstant(text, _) => escape_in(text),
                    _ => None,
                });
                (escape, *pos)
            }
            _ => return true,
        };
        if let Some(escape) = escape
            && first_character(source.text, pos) == Some('`')
            && !read_by_others.contains(&pos)
            && seen.insert(pos)
        {
            let text = format!("`{escape}` in back-ticks is two characters, not one");
            let hint = format!(
                "write the text between double quotes, where {escape} means what it says; a text \
                 in back-ticks may have line breaks in it as they are"
            );
            let place = notes.place(pos);
            notes.push(Diagnostic::new(Code::EscapeInBackTicks, place, text).with_hint(hint));
        }
        true
    });
}

/// Texts in which a shell or a regular expression reads the escapes.
fn read_by_others(source: &Source<'_>) -> HashSet<Position> {
    let kinds = [Kind::Command, Kind::BackOut, Kind::Pattern, Kind::Patterns];
    let hosts = source.calls.iter().filter_map(|call| call.host.as_ref());
    let values = hosts
        .filter_map(|host| host.aligned.as_ref())
        .flat_map(|aligned| aligned.all())
        .filter(|(param, _)| kinds.contains(&param.kind));
    let mut found = HashSet::new();
    for (_, value) in values {
        any_below(value, &mut |expr| {
            if let Expr::StringConstant(_, pos) | Expr::InterpolatedString(_, pos) = expr {
                found.insert(*pos);
            }
            false
        });
    }
    found
}

fn escape_in(text: &str) -> Option<&'static str> {
    ["\\n", "\\t", "\\r", "\\x", "\\u", "\\\""]
        .into_iter()
        .find(|escape| text.contains(escape))
}

/// The first variable of the source that a text names as a text in back-ticks would.
fn value_in<'n>(text: &str, names: &HashSet<&'n str>) -> Option<&'n str> {
    text.split("${").skip(1).find_map(|rest| {
        let rest = rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        names.get(rest.get(..end)?).copied()
    })
}

fn first_character(source: &str, pos: Position) -> Option<char> {
    let (line, column) = (pos.line()?, pos.position()?);
    let line = u32::try_from(line).ok().and_then(|n| line_of(source, n))?;
    line.chars().nth(column.checked_sub(1)?)
}
