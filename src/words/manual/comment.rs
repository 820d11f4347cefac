//! A comment, and where each of its lines stands.

use crate::words::place::Place;

/// A text in Markdown that stands in the comments of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comment {
    file: String,
    text: String,
    /// For each line of the text: the line of the file, and the column where it begins there.
    begins: Vec<(u32, u32)>,
}

impl Comment {
    /// A text that stands in no file.
    #[must_use]
    pub fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// An empty comment in a file.
    #[must_use]
    pub fn within(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a line that begins at this line and column of the file.
    pub fn push(&mut self, text: &str, line: u32, column: u32) {
        if !self.begins.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
        self.begins.push((line, column));
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Is there nothing in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The file in which it stands.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where the byte at `offset` of the text stands.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count();
        let head = before.rsplit('\n').next().unwrap_or_default();
        match self.begins.get(line) {
            Some((line, column)) => {
                let right = u32::try_from(head.chars().count()).unwrap_or(0);
                Place::new(&*self.file, *line, column.saturating_add(right))
            }
            None => Place::new(&*self.file, 0, 0),
        }
    }

    /// Its first sentence, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let lines = self.text.trim().lines().map(str::trim);
        let first: Vec<&str> = lines
            .take_while(|line| !line.is_empty() && !line.starts_with("```"))
            .collect();
        let first = first.join(" ");
        match first.find(". ") {
            Some(end) => first[..=end].to_owned(),
            None => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_where_it_stands() {
        let mut comment = Comment::within("a.rhai");
        comment.push("Puts ä file", 3, 5);
        comment.push("in place. At once.", 4, 5);
        comment.push("", 5, 4);
        comment.push("More", 6, 5);
        assert_eq!(comment.summary(), "Puts ä file in place.");
        let at = |text: &str| {
            let offset = comment.text().find(text).unwrap();
            comment.place(offset).to_string()
        };
        assert_eq!(at("Puts"), "a.rhai:3:5");
        assert_eq!(at("file"), "a.rhai:3:12");
        assert_eq!(at("place"), "a.rhai:4:8");
        assert_eq!(at("More"), "a.rhai:6:5");
        assert_eq!(Comment::of("x").place(1).to_string(), "");
    }
}
