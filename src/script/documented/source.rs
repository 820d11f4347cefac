//! What the comments of one source say, and of what.
//!
//! Rhai keeps the comments of functions, but not where their lines stand.

use crate::script::style::layout::lay_out;
use crate::script::style::tokens::{Kind, Token, tokens};
use crate::words::manual::{Comment, Constant, Form, Function, Module};
use crate::words::place::Place;

/// The module `path`, whose text stands in `file`.
#[must_use]
pub fn module(path: &str, file: &str, text: &str) -> Module {
    let mut reader = Reader {
        file,
        module: Module {
            path: path.to_owned(),
            about: Comment::within(file),
            ..Module::default()
        },
        comment: Comment::within(file),
        plain: Comment::within(file),
    };
    reader.read(&tokens(text));
    reader.module
}

struct Reader<'f> {
    file: &'f str,
    module: Module,
    /// What stands before the next function.
    comment: Comment,
    /// The lines of plain comments right before what comes next: of constants the language allows no
    /// others.
    plain: Comment,
}

impl Reader<'_> {
    fn read(&mut self, tokens: &[Token<'_>]) {
        let (mut line, mut depth, mut is_private) = (1, 0usize, false);
        for (at, token) in tokens.iter().enumerate() {
            line += count(token.breaks);
            let place = Place::new(self.file, line, count(token.column) + 1);
            let rest = &tokens[at..];
            match (token.kind, token.text) {
                (Kind::LineComment | Kind::BlockComment, _) => self.note(token, line),
                (Kind::Word, "private" | "export") if depth == 0 => {
                    is_private = token.text == "private";
                }
                (Kind::Word, "fn") if depth == 0 => {
                    self.define(rest, place, is_private);
                    is_private = false;
                }
                (Kind::Word, "const" | "let") if depth == 0 => {
                    let before = tokens[..at].iter().rfind(|token| !token.is_comment());
                    if before.is_some_and(|before| before.text == "export") {
                        self.define_constant(rest);
                    }
                    self.forget();
                }
                (Kind::Word, "import") => {
                    self.import(rest);
                    self.forget();
                }
                (kind, _) => {
                    match kind {
                        Kind::Open => depth += 1,
                        Kind::Close => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    self.forget();
                }
            }
            line += count(token.text.matches('\n').count());
        }
    }

    fn forget(&mut self) {
        for comment in [&mut self.comment, &mut self.plain] {
            if !comment.is_empty() {
                *comment = Comment::within(self.file);
            }
        }
    }

    fn take(&mut self) -> Comment {
        std::mem::replace(&mut self.comment, Comment::within(self.file))
    }

    /// Takes note of a comment, if it documents anything.
    fn note(&mut self, token: &Token<'_>, line: u32) {
        let column = count(token.column) + 1;
        let is_plain = !token.text.starts_with("///") && !token.text.starts_with("//!");
        let (text, to) = if let Some(text) = token.text.strip_prefix("//!") {
            (text, &mut self.module.about)
        } else if let Some(text) = token.text.strip_prefix("///") {
            (text, &mut self.comment)
        } else if let Some(text) = token.text.strip_prefix("/**") {
            if !text.starts_with('*') && text != "/" {
                note_block(text, line, column + 3, &mut self.comment);
            }
            return;
        } else if let Some(text) = token.text.strip_prefix("//") {
            if token.breaks != 1 {
                self.plain = Comment::within(self.file);
            }
            (text, &mut self.plain)
        } else {
            return;
        };
        // More than three are a line that is drawn.
        if !text.starts_with('/') {
            let (text, gap) = without_gap(text);
            let mark = if is_plain { 2 } else { 3 };
            to.push(text, line, column + mark + gap);
        }
    }

    /// `fn NAME(PARAMS)`.
    fn define(&mut self, tokens: &[Token<'_>], place: Place, is_private: bool) {
        let comment = self.take();
        let mut rest = tokens.iter().skip(1).filter(|token| !token.is_comment());
        let Some(mut name) = rest.next() else { return };
        let mut params = Vec::new();
        // `fn TYPE.NAME()`
        let mut rest = rest.peekable();
        if rest.next_if(|token| token.text == ".").is_some()
            && let Some(behind) = rest.next()
        {
            name = behind;
        }
        for token in rest.skip(1).take_while(|token| token.text != ")") {
            if token.kind == Kind::Word {
                params.push(token.text);
            }
        }
        let name = name.text.to_owned();
        if is_private {
            self.module.private.push(name);
            return;
        }
        let form = Form {
            calls: vec![format!("{name}({})", params.join(", "))],
            comment,
            place,
        };
        let functions = &mut self.module.functions;
        match functions.iter_mut().find(|known| known.name == name) {
            Some(known) => known.forms.push(form),
            None => functions.push(Function {
                name,
                forms: vec![form],
                takes: Vec::new(),
            }),
        }
    }

    /// `const NAME = VALUE;`
    fn define_constant(&mut self, tokens: &[Token<'_>]) {
        let comment = std::mem::replace(&mut self.plain, Comment::within(self.file));
        let own: Vec<Token<'_>> = tokens
            .iter()
            .skip(1)
            .take_while(|token| token.text != ";")
            .copied()
            .collect();
        if let [name, equals, value @ ..] = &*own
            && name.kind == Kind::Word
            && equals.text == "="
        {
            self.module.constants.push(Constant {
                name: name.text.to_owned(),
                value: lay_out(value).trim().to_owned(),
                comment,
            });
        }
    }

    /// `import "PATH" as NAME`
    fn import(&mut self, tokens: &[Token<'_>]) {
        if let [_, path, word, name, ..] = tokens
            && word.text == "as"
            && let Some(path) = path.text.strip_prefix('"')
            && let Some(path) = path.strip_suffix('"')
        {
            let imports = &mut self.module.imports;
            imports.insert(name.text.to_owned(), path.to_owned());
        }
    }
}

/// The lines of a comment between `/**` and `*/`. A star before each of them belongs to its frame.
fn note_block(text: &str, first: u32, column: u32, to: &mut Comment) {
    let text = text.strip_suffix("*/").unwrap_or(text);
    for (n, (line, whole)) in (first..).zip(text.lines()).enumerate() {
        let (begin, inner) = match n {
            0 => (column, whole),
            _ => {
                let inner = whole.trim_start();
                let inner = inner.strip_prefix('*').unwrap_or(inner);
                let head = whole.chars().count() - inner.chars().count();
                (count(head) + 1, inner)
            }
        };
        let (inner, gap) = without_gap(inner);
        to.push(inner, line, begin + gap);
    }
}

/// One blank is between the mark and the text.
fn without_gap(text: &str) -> (&str, u32) {
    match text.strip_prefix(' ') {
        Some(text) => (text, 1),
        None => (text, 0),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"//! Sites.
//!
//! More of them.
import "std/files" as files;

// Not about it.

// The port.
export const PORT = 80 + 8000;
const OURS = 1;

/// Puts a page
/// in place.
// not for readers
fn put(src) {
    /// nothing of ours
    let x = || { fn_(1) };
    put(src, #{})
}
/// The same with options.
fn put(src, // from
       options) { `
/// text
` }

//// a drawn line
private fn hidden() { }

/**
 * Drawn with stars.
 *   Deep.
 */
fn starred() { }

fn bare() { }
/// Of a type.
fn int.twice() { this * 2 }
"#;

    #[test]
    fn what_is_documented_is_found_with_its_place() {
        let module = module("./lib/site", "lib/site.rhai", TEXT);
        assert_eq!(module.about.text(), "Sites.\n\nMore of them.");
        assert_eq!(module.imports["files"], "std/files");
        let constants: Vec<String> = module
            .constants
            .iter()
            .map(|c| format!("{} {} {}", c.name, c.value, c.comment.text()))
            .collect();
        assert_eq!(constants, ["PORT 80 + 8000 The port."]);
        assert_eq!(module.private, ["hidden"]);
        let shown: Vec<String> = module
            .functions
            .iter()
            .flat_map(|function| {
                function.forms.iter().map(|form| {
                    let text = form.comment.text().replace('\n', "|");
                    format!("{} {} {text}", form.calls[0], form.place)
                })
            })
            .collect();
        assert_eq!(
            shown,
            [
                "put(src) lib/site.rhai:15:1 Puts a page|in place.",
                "put(src, options) lib/site.rhai:21:1 The same with options.",
                "starred() lib/site.rhai:33:1 |Drawn with stars.|  Deep.|",
                "bare() lib/site.rhai:35:1 ",
                "twice() lib/site.rhai:37:1 Of a type.",
            ]
        );
        let starred = &module.functions[1].forms[0].comment;
        let deep = starred.text().find("Deep").unwrap();
        assert_eq!(starred.place(deep).to_string(), "lib/site.rhai:31:6");
    }
}
