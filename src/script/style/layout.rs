//! Where tokens stand: lines are the author's, everything in them is ours.

use super::tokens::{Kind, Token};

/// Columns of one step to the right.
const INDENT: usize = 4;

/// Words after which an operand begins.
const WORDS_BEFORE_OPERANDS: &[&str] = &[
    "if", "else", "while", "until", "loop", "for", "in", "switch", "return", "throw", "let",
    "const", "do", "import", "export", "as", "fn", "private", "case", "default", "catch", "try",
];

/// What a line that begins with one of these goes on with, even after a `}`.
const GOES_ON: &[&str] = &[
    ".", "?.", "&&", "||", "??", "+", "*", "/", "%", "==", "!=", "<", ">", "<=", ">=", "=", "**",
];

/// The text of a source whose tokens these are.
#[must_use]
pub fn lay_out(tokens: &[Token<'_>]) -> String {
    let tokens = settled(tokens);
    let mut page = Page::default();
    let mut state = State::default();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        if token.breaks > 0 || at == 0 {
            let indent = state.indent(&tokens, at);
            let is_first = before.is_none_or(|before| before.kind == Kind::Open);
            let is_blank = token.breaks > 1 && !is_first && token.kind != Kind::Close;
            page.begin_line(is_blank, indent);
        } else if let Some(before) = before {
            if token.kind == Kind::LineComment {
                page.note_comment();
            } else if state.has_space(before, token) {
                page.put(" ");
            }
        }
        page.put_token(token);
        state.pass(token, page.indent);
    }
    page.text()
}

/// The tokens with line breaks and commas as the style wants them.
fn settled<'t>(tokens: &[Token<'t>]) -> Vec<Token<'t>> {
    let mut found: Vec<Token<'t>> = Vec::with_capacity(tokens.len());
    let mut open: Vec<bool> = Vec::new();
    let mut ends_operand = false;
    // For each bracket that is open: does what was said since the last `if`, `for` … take several lines?
    let mut heads = vec![false];
    for token in tokens {
        let mut token = *token;
        let before = found.last().copied();
        let is_long = heads.last().copied().unwrap_or(false);
        if let Some(head) = heads.last_mut() {
            if HEADS.contains(&token.text) {
                *head = false;
            } else if token.breaks > 0 && token.kind != Kind::Close && token.text != "{" {
                *head = true;
            }
        }
        match token.kind {
            Kind::Open => heads.push(false),
            Kind::Close if heads.len() > 1 => drop(heads.pop()),
            _ => {}
        }
        match token.kind {
            Kind::Open => open.push(token.text == "#{" || (token.text == "[" && !ends_operand)),
            Kind::Close => {
                let is_list = open.pop().unwrap_or(false);
                if is_list && token.breaks > 0 {
                    end_with_comma(&mut found);
                }
            }
            _ => {}
        }
        if let Some(before) = before {
            let joins_end = matches!(token.text, "else" | "catch") && before.text == "}";
            let is_alone = matches!(before.text, "else" | "try" | "catch" | "loop" | "do");
            let ends_head = ends_operand && before.text != "}" && !is_long;
            let joins_head = token.text == "{" && (ends_head || is_alone);
            if joins_end || (joins_head && !before.is_comment()) {
                token.breaks = 0;
            }
        }
        if !token.is_comment() {
            ends_operand = is_end_of_operand(&token);
        }
        found.push(token);
    }
    found
}

/// Words behind which a condition, or what is gone through, stands before a block.
const HEADS: [&str; 6] = ["if", "while", "until", "for", "switch", "fn"];

/// Puts a comma behind the last token that is no comment, unless the list is empty or has one.
fn end_with_comma(tokens: &mut Vec<Token<'_>>) {
    let Some(at) = tokens.iter().rposition(|token| !token.is_comment()) else {
        return;
    };
    if tokens[at].kind != Kind::Open && tokens[at].text != "," {
        let comma = Token {
            text: ",",
            kind: Kind::Sign,
            breaks: 0,
            is_apart: false,
            column: 0,
        };
        tokens.insert(at + 1, comma);
    }
}

/// Can an operator with two sides, a call or an index follow it?
fn is_end_of_operand(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Word => !WORDS_BEFORE_OPERANDS.contains(&token.text),
        Kind::Number | Kind::Text | Kind::Close => true,
        Kind::Open | Kind::Sign | Kind::LineComment | Kind::BlockComment => false,
    }
}

/// A bracket that is open.
#[derive(Clone, Copy)]
struct Bracket {
    /// The indent of the line in which it was opened.
    line: usize,
}

/// What was passed so far.
#[derive(Default)]
struct State {
    brackets: Vec<Bracket>,
    /// The last token that is no comment: its text, and whether an operand ends there.
    last: Option<(String, bool)>,
    /// Between the pipes of a closure's parameters.
    in_pipes: bool,
    /// What the last sign was, where its text does not tell.
    role: Role,
}

/// What a sign is that can be several things.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Plain,
    /// An operator before its only operand.
    Prefix,
    /// The first pipe of a closure.
    PipeOpens,
    /// The last one, or both.
    PipeCloses,
}

impl State {
    fn ends_operand(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, ends)| *ends)
    }

    fn role_of(&self, token: &Token<'_>) -> Role {
        match token.text {
            "|" if token.kind == Kind::Sign && self.in_pipes => Role::PipeCloses,
            "|" if token.kind == Kind::Sign && !self.ends_operand() => Role::PipeOpens,
            "||" if token.kind == Kind::Sign && !self.ends_operand() => Role::PipeCloses,
            "!" => Role::Prefix,
            "-" | "+" if token.kind == Kind::Sign && !self.ends_operand() => Role::Prefix,
            // A new statement behind a block.
            "-" if token.breaks > 0 && self.last.as_ref().is_some_and(|(last, _)| last == "}") => {
                Role::Prefix
            }
            _ => Role::Plain,
        }
    }

    /// The indent of the line that begins with the token at `at`.
    fn indent(&self, tokens: &[Token<'_>], at: usize) -> usize {
        // Those of the same line: `});` stands where the line of its first bracket begins.
        let closes = tokens[at..]
            .iter()
            .enumerate()
            .take_while(|(n, token)| token.kind == Kind::Close && (*n == 0 || token.breaks == 0))
            .count();
        if closes > 0 {
            let opened = self.brackets.len().checked_sub(closes);
            let opened = opened.and_then(|at| self.brackets.get(at));
            return opened.map_or(0, |bracket| bracket.line);
        }
        let base = self
            .brackets
            .last()
            .map_or(0, |bracket| bracket.line + INDENT);
        let next = tokens[at..].iter().find(|token| !token.is_comment());
        let goes_on = match &self.last {
            None => false,
            // The body of a closure, and a block behind a head of several lines.
            _ if self.role == Role::PipeCloses => false,
            _ if next.is_some_and(|next| next.text == "{") => false,
            Some((last, _)) => match last.as_str() {
                ";" | "," | "(" | "[" | "?[" | "{" | "#{" => false,
                "}" => next.is_some_and(|next| GOES_ON.contains(&next.text)),
                // Before the end of a block, what is said belongs to the block.
                _ => next.is_some_and(|next| next.kind != Kind::Close),
            },
        };
        base + if goes_on { INDENT } else { 0 }
    }

    /// Does a space stand between two tokens of a line?
    fn has_space(&self, before: &Token<'_>, token: &Token<'_>) -> bool {
        let is_sign = |token: &Token<'_>, signs: &[&str]| {
            token.kind == Kind::Sign && signs.contains(&token.text)
        };
        match (before.kind, token.kind) {
            (Kind::Open, Kind::Close) => return false,
            (Kind::Open, _) => return before.text.ends_with('{'),
            (_, Kind::Close) => return token.text == "}",
            (Kind::BlockComment, _) | (_, Kind::BlockComment) => return true,
            _ => {}
        }
        if is_sign(token, &[",", ";", ":"]) {
            return false;
        }
        let tight = [".", "?.", "::", "::<", "..", "..="];
        if is_sign(before, &tight) || is_sign(token, &tight) {
            return false;
        }
        match self.role {
            Role::PipeOpens => return false,
            Role::PipeCloses => return true,
            // `- 1` is another thing for the language than `-1`.
            Role::Prefix => return token.is_apart && before.text != "!",
            Role::Plain => {}
        }
        if self.role_of(token) == Role::PipeCloses && token.text == "|" {
            return false;
        }
        match token.text {
            "(" | "[" | "?[" if token.kind == Kind::Open => {
                !is_end_of_operand(before) || before.text == "}"
            }
            _ => true,
        }
    }

    /// Goes on behind a token, in a line of this indent.
    fn pass(&mut self, token: &Token<'_>, indent: usize) {
        if token.is_comment() {
            return;
        }
        self.role = self.role_of(token);
        match self.role {
            Role::PipeOpens => self.in_pipes = true,
            Role::PipeCloses => self.in_pipes = false,
            Role::Plain | Role::Prefix => {}
        }
        match token.kind {
            Kind::Open => self.brackets.push(Bracket { line: indent }),
            Kind::Close => drop(self.brackets.pop()),
            _ => {}
        }
        self.last = Some((token.text.to_owned(), is_end_of_operand(token)));
    }
}

/// The lines that are laid out.
#[derive(Default)]
struct Page {
    lines: Vec<Line>,
    indent: usize,
}

#[derive(Default)]
struct Line {
    text: String,
    /// Where the comment at its end begins.
    comment: Option<usize>,
}

impl Page {
    fn begin_line(&mut self, after_blank: bool, indent: usize) {
        if after_blank {
            self.lines.push(Line::default());
        }
        self.indent = indent;
        self.lines.push(Line {
            text: " ".repeat(indent),
            comment: None,
        });
    }

    fn put(&mut self, text: &str) {
        if let Some(line) = self.lines.last_mut() {
            line.text.push_str(text);
        }
    }

    fn note_comment(&mut self) {
        if let Some(line) = self.lines.last_mut() {
            line.comment = Some(line.text.len());
        }
    }

    fn put_token(&mut self, token: &Token<'_>) {
        let Some(line) = self.lines.last_mut() else {
            return;
        };
        let column = line
            .text
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count();
        // What follows a `\` at the end of a line is taken from the column where the text begins.
        if token.text.starts_with('"') && token.text.contains('\n') {
            line.text.push_str(&moved(token.text, token.column, column));
        } else {
            line.text.push_str(token.text);
        }
    }

    /// The whole, with comments at the ends of successive lines in one column.
    fn text(self) -> String {
        let mut text = String::new();
        let mut at = 0;
        while at < self.lines.len() {
            let width = |line: &Line| {
                let code = line.comment.map(|at| &line.text[..at])?;
                // A text of several lines has no width of its own.
                (!code.contains('\n')).then(|| code.chars().count())
            };
            let block: Vec<usize> = self.lines[at..].iter().map_while(width).collect();
            let Some(widest) = block.iter().max().copied() else {
                push_line(&mut text, &self.lines[at], 0);
                at += 1;
                continue;
            };
            for (line, width) in self.lines[at..].iter().zip(&block) {
                push_line(&mut text, line, widest - width);
            }
            at += block.len();
        }
        text
    }
}

fn push_line(text: &mut String, line: &Line, gap: usize) {
    match line.comment {
        Some(at) => {
            text.push_str(&line.text[..at]);
            text.push_str(&" ".repeat(gap + 2));
            text.push_str(&line.text[at..]);
        }
        None => text.push_str(line.text.trim_end_matches(' ')),
    }
    text.push('\n');
}

/// A text of several lines that begins in another column.
fn moved(text: &str, from: usize, to: usize) -> String {
    let mut lines = text.split('\n');
    let mut moved = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        let rest = line.trim_start_matches([' ', '\t']);
        let indent = line.len() - rest.len();
        moved.push('\n');
        moved.push_str(&" ".repeat((indent + to).saturating_sub(from)));
        moved.push_str(rest);
    }
    moved
}
