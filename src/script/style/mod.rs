//! The one style of plans and modules. Its rules are those of `docs/style.md`.
//!
//! Lines are broken where the author breaks them; indents, spaces, blank lines, commas at the ends of
//! lists and the columns of comments are set. What is written is compared with what was there before
//! anything is replaced: it must have the same tokens and the same syntax tree.

pub(super) mod layout;
pub(super) mod tokens;

use std::sync::LazyLock;

use regex::Regex;
use rhai::AST;

use crate::words::diagnostic::Diagnostic;

use super::engine;
use tokens::{Kind, Token, tokens};

/// Why a source was left alone.
#[derive(Debug, thiserror::Error)]
pub enum StyleError {
    /// It cannot be parsed.
    #[error("it can't be parsed")]
    Syntax(Vec<Diagnostic>),
    /// A comment goes on to its end.
    #[error("the last comment has no end; write */ behind it")]
    OpenComment,
    /// The style would change what it means.
    #[error(
        "it can't be put in style without changing what it means, and was left alone; this is a \
         defect of deployrun"
    )]
    Changed,
}

/// A source in the one style.
///
/// # Errors
/// When it can't be put in style. The findings of a source that can't be parsed say where.
pub fn styled(id: &str, source: &str) -> Result<String, StyleError> {
    let parsed = engine::parse(id, source);
    // Names that are not there are for the static check to tell.
    let Some(tree) = parsed.ast else {
        return Err(StyleError::Syntax(parsed.found));
    };
    let before = tokens(source);
    if before
        .last()
        .is_some_and(|last| last.kind == Kind::BlockComment && !last.text.ends_with("*/"))
    {
        return Err(StyleError::OpenComment);
    }
    let text = layout::lay_out(&before);
    let same = meaning(&before) == meaning(&tokens(&text))
        && engine::parse(id, &text)
            .ast
            .is_some_and(|styled| shape(&styled) == shape(&tree));
    if same {
        Ok(text)
    } else {
        Err(StyleError::Changed)
    }
}

/// The tokens that the style may not touch; a comma at the end of a list is free.
fn meaning<'t>(tokens: &[Token<'t>]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for token in tokens {
        if token.kind == Kind::Close
            && let Some(at) = found.iter().rposition(|text| !text.starts_with('/'))
            && found[at] == ","
        {
            found.remove(at);
        }
        // The indent of what goes on in another line depends on the column.
        let is_moved = token.text.starts_with('"') && token.text.contains('\n');
        found.push(if is_moved {
            token
                .text
                .split('\n')
                .map(str::trim_start)
                .collect::<Vec<_>>()
                .join("\n")
        } else {
            token.text.to_owned()
        });
    }
    found
}

/// A syntax tree without what depends on the places of its nodes: the places, and the names of
/// closures.
fn shape(tree: &AST) -> String {
    static OF_PLACES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\b\d+:\d+(?:-\d+(?::\d+)?)?\b|anon\$[0-9a-f]+").ok());
    let without = |text: &str| match OF_PLACES.as_ref() {
        Some(pattern) => pattern.replace_all(text, "_").into_owned(),
        None => text.to_owned(),
    };
    let functions = tree.iter_fn_def();
    let mut functions: Vec<String> = functions
        .map(|function| {
            without(&format!(
                "{} {:?} {:?}",
                function.name, function.params, function.body
            ))
        })
        .collect();
    functions.sort();
    format!(
        "{}\n{}",
        without(&format!("{:?}", tree.statements())),
        functions.join("\n")
    )
}

#[cfg(test)]
mod tests;
