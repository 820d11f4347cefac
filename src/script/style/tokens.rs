//! The tokens of a source, comments among them, each with its text as it is written.
//!
//! Rhai's own tokenizer says where a token begins, not where it ends, and leaves comments out.

/// What a token is, as far as the layout of a source depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name or a word of the language.
    Word,
    /// A number.
    Number,
    /// A text or a character, whatever its quotes.
    Text,
    /// `(`, `[`, `?[`, `{` or `#{`.
    Open,
    /// `)`, `]` or `}`.
    Close,
    /// A comment to the end of its line.
    LineComment,
    /// A comment between `/*` and `*/`.
    BlockComment,
    /// Anything else: operators, `,`, `;`.
    Sign,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// Its text.
    pub text: &'t str,
    /// What it is.
    pub kind: Kind,
    /// Line breaks between the token before and this one.
    pub breaks: usize,
    /// Is there anything between the token before and this one?
    pub is_apart: bool,
    /// The column where it begins, from 0.
    pub column: usize,
}

impl Token<'_> {
    /// Is it a comment?
    #[must_use]
    pub fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::LineComment | Kind::BlockComment)
    }
}

/// Signs of several characters, the longest first.
const SIGNS: &[&str] = &[
    "<<=", ">>=", "**=", "...", "..=", "::<", "===", "!==", "&&", "||", "==", "!=", "<=", ">=",
    "=>", "->", "::", "..", "??", "?.", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "**", "<<",
    ">>",
];

/// Takes a source apart. A text or a comment that has no end goes to the end of the source.
#[must_use]
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = Cursor { source, at: 0 };
    let (mut breaks, mut is_apart) = (0, false);
    while let Some(c) = rest.peek() {
        if c.is_whitespace() {
            breaks += usize::from(c == '\n');
            is_apart = true;
            rest.next();
            continue;
        }
        let start = rest.at;
        let kind = rest.token(c);
        let text = &source[start..rest.at];
        let text = if kind == Kind::LineComment {
            text.trim_end()
        } else {
            text
        };
        let line = source[..start].rfind('\n').map_or(0, |at| at + 1);
        found.push(Token {
            text,
            kind,
            breaks: std::mem::take(&mut breaks),
            is_apart: std::mem::take(&mut is_apart),
            column: source[line..start].chars().count(),
        });
    }
    found
}

struct Cursor<'t> {
    source: &'t str,
    at: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    fn skip_while(&mut self, is_part: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&is_part) {
            self.next();
        }
    }

    /// Reads the token that begins with `first`.
    fn token(&mut self, first: char) -> Kind {
        if first.is_ascii_digit() {
            self.number();
            return Kind::Number;
        }
        if first.is_alphabetic() || first == '_' {
            self.skip_while(|c| c.is_alphanumeric() || c == '_');
            return Kind::Word;
        }
        if self.skip("//") {
            self.skip_while(|c| c != '\n');
            return Kind::LineComment;
        }
        if self.rest().starts_with("/*") {
            self.block_comment();
            return Kind::BlockComment;
        }
        if first == '#' && self.raw_text() {
            return Kind::Text;
        }
        for open in ["#{", "?[", "(", "[", "{"] {
            if self.skip(open) {
                return Kind::Open;
            }
        }
        for sign in SIGNS {
            if self.skip(sign) {
                return Kind::Sign;
            }
        }
        self.next();
        match first {
            '"' | '\'' => {
                self.quoted(first);
                Kind::Text
            }
            '`' => {
                self.back_ticks();
                Kind::Text
            }
            ')' | ']' | '}' => Kind::Close,
            // `!in` is one operator.
            '!' if self.rest().starts_with("in") => {
                let mut after = self.rest().chars().skip(2);
                if !after
                    .next()
                    .is_some_and(|c| c.is_alphanumeric() || c == '_')
                {
                    self.skip("in");
                }
                Kind::Sign
            }
            _ => Kind::Sign,
        }
    }

    fn number(&mut self) {
        if self.skip("0x") || self.skip("0X") {
            return self.skip_while(|c| c.is_ascii_hexdigit() || c == '_');
        }
        if ["0o", "0O", "0b", "0B"]
            .into_iter()
            .any(|radix| self.skip(radix))
        {
            return self.skip_while(|c| c.is_ascii_digit() || c == '_');
        }
        let digit = |c: char| c.is_ascii_digit() || c == '_';
        self.skip_while(digit);
        // `1.5` and `1.`, but `1..2` is a range and `1.abs()` a call.
        let mut after = self.rest().chars();
        if after.next() == Some('.') {
            let is_name = |c: char| c.is_alphabetic() || c == '_' || c == '.';
            if !after.next().is_some_and(is_name) {
                self.next();
                self.skip_while(digit);
            }
        }
        let mut after = self.rest().chars();
        if matches!(after.next(), Some('e' | 'E')) {
            let second = after.next();
            let signed = matches!(second, Some('+' | '-'));
            let power = if signed { after.next() } else { second };
            if power.is_some_and(|c| c.is_ascii_digit()) {
                self.next();
                if signed {
                    self.next();
                }
                self.skip_while(digit);
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.peek().is_some() {
            if self.skip("/*") {
                depth += 1;
            } else if self.skip("*/") {
                depth -= 1;
                if depth == 0 {
                    return;
                }
            } else {
                self.next();
            }
        }
    }

    /// `#"…"#`, with as many `#` as there are.
    fn raw_text(&mut self) -> bool {
        let hashes = self.rest().chars().take_while(|c| *c == '#').count();
        if !self.rest()[hashes..].starts_with('"') {
            return false;
        }
        self.at += hashes + 1;
        let end = format!("\"{}", "#".repeat(hashes));
        while self.peek().is_some() && !self.skip(&end) {
            self.next();
        }
        true
    }

    /// A text whose first quote was read. A doubled quote is one of the text.
    fn quoted(&mut self, quote: char) {
        while let Some(c) = self.next() {
            if c == '\\' {
                self.next();
            } else if c == quote {
                if self.peek() != Some(quote) {
                    return;
                }
                self.next();
            }
        }
    }

    /// A text in back-ticks, with the code between `${` and `}` in it.
    fn back_ticks(&mut self) {
        loop {
            if self.skip("\\${") {
            } else if self.skip("${") {
                self.interpolation();
            } else {
                match self.next() {
                    Some('`') if !self.skip("`") => return,
                    Some(_) => {}
                    None => return,
                }
            }
        }
    }

    fn interpolation(&mut self) {
        let mut depth = 1;
        while let Some(c) = self.peek() {
            if c.is_whitespace() {
                self.next();
                continue;
            }
            let start = self.at;
            match self.token(c) {
                Kind::Open if self.source[start..self.at].ends_with('{') => depth += 1,
                Kind::Close if c == '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn tokens_are_what_the_language_takes_for_one() {
        for (source, expected) in [
            ("a=b+1;", &["a", "=", "b", "+", "1", ";"][..]),
            (
                "0..=9 1.5 1.abs() 1e-3",
                &["0", "..=", "9", "1.5", "1", ".", "abs", "(", ")", "1e-3"],
            ),
            (
                "#{a:1}?.b?[0]",
                &["#{", "a", ":", "1", "}", "?.", "b", "?[", "0", "]"],
            ),
            ("x !in y; !inner", &["x", "!in", "y", ";", "!", "inner"]),
            (r#""a\"b" "c""d" 'x'"#, &[r#""a\"b""#, r#""c""d""#, "'x'"]),
            (
                "`a${ `b${c}` + \"}\" }d` e",
                &["`a${ `b${c}` + \"}\" }d`", "e"],
            ),
            ("`\\${x` y", &["`\\${x`", "y"]),
            (r##"#"a"b"# c"##, &[r##"#"a"b"#"##, "c"]),
            (
                "/* a /* b */ c */ d // e  \nf",
                &["/* a /* b */ c */", "d", "// e", "f"],
            ),
            (
                "a::b::<c> || |x| y",
                &["a", "::", "b", "::<", "c", ">", "||", "|", "x", "|", "y"],
            ),
        ] {
            assert_eq!(texts(source), expected, "{source}");
        }
    }

    #[test]
    fn what_has_no_end_ends_with_the_source() {
        for source in ["\"abc", "`a${b", "/* x", "#\"a", "'"] {
            assert_eq!(texts(source), [source]);
        }
    }

    #[test]
    fn breaks_and_columns_are_counted() {
        let all = tokens("a\n\n  ä b");
        let facts: Vec<(usize, usize)> = all.iter().map(|t| (t.breaks, t.column)).collect();
        assert_eq!(facts, [(0, 0), (2, 2), (0, 4)]);
    }
}
