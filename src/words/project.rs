//! The project file `deployrun.toml`: what holds for all plans beneath it.
//!
//! Pure: text in, a project or findings with their places out. Finding the file is
//! `script::project_file`.

use std::ops::Range;

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};
use toml::{Deserializer, Spanned};

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::levels::{By, Change, Setting, Subject};
use super::place::Place;
use super::suggest::nearest;

/// What the file is called.
pub const FILE: &str = "deployrun.toml";

/// What a project file says.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The file, as it is called in reports: relative to the plan's root.
    pub file: String,
    /// `[check]`: levels of findings; what is said of all warnings comes first.
    pub check: Vec<Change>,
    /// `[library]`, as it stands there.
    pub library: Option<toml::Table>,
    /// `[libraries]`, as it stands there.
    pub libraries: Option<toml::Table>,
}

/// Reads a project file.
///
/// # Errors
/// All that is wrong with it, in the order of the text.
pub fn parse(file: &str, text: &str) -> Result<Project, Vec<Diagnostic>> {
    let mut reader = Reader {
        file,
        text,
        found: Vec::new(),
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        reader.problem(span, error.message().trim_end_matches(['.', '\n']));
    }
    let mut project = Project {
        file: file.to_owned(),
        ..Project::default()
    };
    for (key, value) in root.into_inner() {
        let name: &str = key.get_ref();
        match name {
            "check" => project.check = check(&mut reader, value),
            "library" => project.library = reader.any_table(name, value),
            "libraries" => project.libraries = reader.any_table(name, value),
            _ => reader.unknown(&key, "a table", TABLES),
        }
    }
    if reader.found.is_empty() {
        return Ok(project);
    }
    reader.found.sort_by(|a, b| a.place.cmp(&b.place));
    Err(reader.found)
}

const TABLES: &[&str] = &["check", "library", "libraries"];

fn check(reader: &mut Reader<'_>, value: Spanned<DeValue<'_>>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, value) in reader.table("check", value).unwrap_or_default() {
        let name: &str = key.get_ref();
        let word = value.get_ref().as_str().unwrap_or_default();
        let Some(setting) = Setting::of(word) else {
            let near = nearest(word, Setting::ALL.map(Setting::word));
            let text = format!("the level of `{name}` must be \"deny\", \"warn\" or \"allow\"");
            reader.problem(value.span(), &text).hint =
                near.map(|near| format!("did you mean \"{near}\"?"));
            continue;
        };
        match Subject::of(name, setting) {
            Ok(subject) => {
                let place = Place {
                    column: 0,
                    ..reader.place(&key.span())
                };
                changes.push(Change {
                    subject,
                    setting,
                    by: By::File(place),
                });
            }
            Err(refused) => {
                reader.problem(key.span(), &refused.text).hint = Some(refused.hint);
            }
        }
    }
    // Of one finding is said more than of all, wherever it stands.
    changes.sort_by_key(|change| change.subject != Subject::Warnings);
    changes
}

/// Reads a text, and collects what is wrong with it.
struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Where bytes of the text begin.
    fn place(&self, span: &Range<usize>) -> Place {
        let head = self.text.get(..span.start).unwrap_or(self.text);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let line = head.matches('\n').count() + 1;
        let column = head.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place::new(self.file, number(line), number(column))
    }

    /// Something is wrong with these bytes.
    fn problem(&mut self, span: Range<usize>, text: &str) -> &mut Diagnostic {
        let place = self.place(&span);
        let mut found = Diagnostic::new(Code::BadProject, place, text);
        let meant = self.text.get(span).unwrap_or_default();
        if !meant.is_empty() && !meant.contains('\n') {
            let length = u32::try_from(meant.chars().count()).unwrap_or(u32::MAX);
            found.end_column = found.place.column.saturating_add(length);
        }
        found.find_lines(|_| Some(self.text));
        let at = self.found.len();
        self.found.push(found);
        &mut self.found[at]
    }

    /// A key that is not known; names the nearest that is.
    fn unknown(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, what: &str, known: &[&str]) {
        let name = key.get_ref();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it may have: {}", known.join(", ")),
        };
        let text = format!("`{name}` is not {what} of {FILE}");
        self.problem(key.span(), &text).hint = Some(hint);
    }

    /// The table that stands under a name.
    fn table<'v>(&mut self, name: &str, value: Spanned<DeValue<'v>>) -> Option<DeTable<'v>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(table),
            other => {
                let text = format!("`{name}` must be a table, not {}", other.type_str());
                self.problem(span, &text).hint =
                    Some(format!("write [{name}] on a line of its own"));
                None
            }
        }
    }

    /// The same, whatever is in it.
    fn any_table(&mut self, name: &str, value: Spanned<DeValue<'_>>) -> Option<toml::Table> {
        let span = value.span();
        let table = Spanned::new(span.clone(), self.table(name, value)?);
        let read = toml::Table::deserialize(Deserializer::from(table));
        read.map_err(|e| self.problem(span, e.message()).level).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let found = parse("deployrun.toml", text).expect_err("it is wrong");
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        shown.join("\n")
    }

    #[test]
    fn levels_are_read_with_their_places() {
        let text = "# ours\n[check]\nno-timeout = \"warn\"\nchecklist = \"allow\"\nwarnings = \"deny\"\n\n[library]\nname = \"platform\"\n\n[libraries]\nplatform = { path = \"../platform\" }\n";
        let project = parse("../deployrun.toml", text).expect("it is right");
        let shown: Vec<String> = project
            .check
            .iter()
            .map(|change| match &change.by {
                By::File(place) => {
                    format!("{place} {:?} {}", change.subject, change.setting.word())
                }
                By::Option(option) => option.clone(),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "../deployrun.toml:5 Warnings deny",
                "../deployrun.toml:4 Code(Checklist) allow",
                "../deployrun.toml:3 Code(NoTimeout) warn"
            ]
        );
        assert!(project.library.is_some_and(|t| t.contains_key("name")));
        assert!(
            project
                .libraries
                .is_some_and(|t| t.contains_key("platform"))
        );
        assert!(parse("f", "").is_ok_and(|p| p.check.is_empty() && p.library.is_none()));
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let text = "chekc = 1\nlibrary = 5\n[check]\nno-timeout = \"dney\"\nno-verify = 3\nno-timeot = \"deny\"\nsyntax = \"allow\"\n";
        assert_eq!(
            wrong(text),
            "error[bad-project]: `chekc` is not a table of deployrun.toml\n  --> deployrun.toml:1:1\n   |\n 1 | chekc = 1\n   | ^^^^^\n   = hint: did you mean `check`?\n\
             error[bad-project]: `library` must be a table, not integer\n  --> deployrun.toml:2:11\n   |\n 2 | library = 5\n   |           ^\n   = hint: write [library] on a line of its own\n\
             error[bad-project]: the level of `no-timeout` must be \"deny\", \"warn\" or \"allow\"\n  --> deployrun.toml:4:14\n   |\n 4 | no-timeout = \"dney\"\n   |              ^^^^^^\n   = hint: did you mean \"deny\"?\n\
             error[bad-project]: the level of `no-verify` must be \"deny\", \"warn\" or \"allow\"\n  --> deployrun.toml:5:13\n   |\n 5 | no-verify = 3\n   |             ^\n\
             error[bad-project]: there is no finding `no-timeot`\n  --> deployrun.toml:6:1\n   |\n 6 | no-timeot = \"deny\"\n   | ^^^^^^^^^\n   = hint: did you mean `no-timeout`?\n\
             error[bad-project]: `syntax` can't be allowed: a plan with it could not run\n  --> deployrun.toml:7:1\n   |\n 7 | syntax = \"allow\"\n   | ^^^^^^\n   = hint: only warnings have levels; mend the plan"
        );
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place() {
        let shown = wrong("[check\na = \"deny\"\n[check]\n[check]\n");
        assert!(shown.contains("deployrun.toml:1:"), "{shown}");
        assert!(shown.contains("deployrun.toml:4:"), "{shown}");
    }
}
