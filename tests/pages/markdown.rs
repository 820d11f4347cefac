//! What tests need to know of a page in Markdown.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the project.
pub struct Page {
    /// Its path, from the project's root.
    pub name: String,
    pub text: String,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// What stands behind the fence: `sh`, `rhai fragment`.
    pub info: String,
    pub text: String,
    /// The last paragraph before it.
    pub before: String,
}

impl Block {
    /// The file that it is to be written into: "… into `name`:" stands before it.
    pub fn file(&self) -> Option<String> {
        let (_, name) = self.before.rsplit_once("into `")?;
        Some(name.split_once("`:")?.0.to_owned())
    }
}

/// The directory of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All pages of the project.
pub fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() >= 10, "the pages were not found");
    found
}

/// The pages of the manual, and the one that leads to it.
pub fn manual() -> Vec<Page> {
    let mut pages = pages();
    pages.retain(|page| page.name == "README.md" || page.name.starts_with("docs/"));
    pages
}

fn collect(dir: &Path, found: &mut Vec<Page>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        let is_ours = !name.starts_with('.') && name != "target" && name != "node_modules";
        if path.is_dir() && is_ours {
            collect(&path, found);
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).expect("a page");
            let name = path.strip_prefix(root()).expect("below the root");
            found.push(Page {
                name: name.display().to_string(),
                text,
            });
        }
    }
}

impl Page {
    /// The fenced blocks.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        let mut before = String::new();
        let mut is_over = false;
        for (n, line) in self.text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(info)) => {
                    open = Some(Block {
                        line: n + 1,
                        info: info.trim().to_owned(),
                        text: String::new(),
                        before: std::mem::take(&mut before),
                    });
                }
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) if line.trim().is_empty() => is_over = true,
                (None, None) => {
                    if std::mem::take(&mut is_over) {
                        before.clear();
                    }
                    before.push_str(line);
                    before.push(' ');
                }
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.name);
        blocks
    }

    /// The text without fenced blocks; they are empty lines.
    pub fn prose(&self) -> String {
        let mut inside = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            let is_fence = line.starts_with("```");
            if !inside && !is_fence {
                prose.push_str(line);
            }
            prose.push('\n');
            inside ^= is_fence;
        }
        prose
    }

    /// What stands between single back-ticks, with its line.
    pub fn code_spans(&self) -> Vec<(usize, String)> {
        let prose = self.prose();
        let mut spans = Vec::new();
        let mut rest = prose.as_str();
        let mut line = 1;
        while let Some(at) = rest.find('`') {
            line += rest[..at].matches('\n').count();
            let ticks = rest[at..].bytes().take_while(|b| *b == b'`').count();
            let body = &rest[at + ticks..];
            let fence = "`".repeat(ticks);
            let end = body.find(&fence);
            let end = end.unwrap_or_else(|| panic!("{}:{line}: code without end", self.name));
            spans.push((line, body[..end].replace('\n', " ")));
            line += body[..end].matches('\n').count();
            rest = &body[end + ticks..];
        }
        spans
    }

    /// The anchors of the headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for line in self.prose().lines() {
            let title = line.trim_start_matches('#');
            if title.len() == line.len() || !title.starts_with(' ') {
                continue;
            }
            let slug: String = title
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let same = anchors.iter().filter(|a| **a == slug).count();
            anchors.push(if same == 0 {
                slug
            } else {
                format!("{slug}-{same}")
            });
        }
        anchors
    }
}
