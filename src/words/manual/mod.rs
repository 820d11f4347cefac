//! What is documented: the functions of deployrun, of the stdlib, of libraries and of a project, with
//! what their comments say.

mod comment;
mod find;

pub use comment::Comment;
pub use find::{Lost, Target, name_in};

use std::collections::BTreeMap;

use super::place::Place;

/// Everything that is documented together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manual {
    /// What it is about: a project.
    pub title: String,
    /// The project first, then its libraries, the functions of deployrun, and the stdlib.
    pub parts: Vec<Part>,
}

/// Whose functions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The project's own modules.
    Project,
    /// A library's.
    Library,
    /// deployrun's, for plans.
    Plans,
    /// deployrun's, for test files.
    Tests,
    /// The stdlib's.
    Std,
}

/// What belongs together: a project, a library, the stdlib, the functions of deployrun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose it is.
    pub owner: Owner,
    /// What links call it: `platform`, `std`, `functions`, ….
    pub name: String,
    /// Its heading.
    pub title: String,
    /// What there is to say of all of it, in Markdown.
    pub about: Comment,
    /// Version, source, commit, …: what and its value.
    pub facts: Vec<(&'static str, String)>,
    /// Is it the project's own, so that what is wrong with its comments is told?
    pub is_own: bool,
    /// By path.
    pub modules: Vec<Module>,
}

/// A module, or a group of functions of deployrun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// What is imported: `std/files`, `platform/postgres`, `./lib/site`; or the name of the group.
    pub path: String,
    /// What it says of itself.
    pub about: Comment,
    /// What it imports, by the name it gives it.
    pub imports: BTreeMap<String, String>,
    /// Constants that it exports.
    pub constants: Vec<Constant>,
    /// Its functions, in the order of the text.
    pub functions: Vec<Function>,
    /// The names of functions that only it may call.
    pub private: Vec<String>,
}

impl Module {
    /// The last part of its path: what it is imported as by most.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// A constant that a module exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// As it is written.
    pub value: String,
    /// What it says of itself.
    pub comment: Comment,
}

/// All functions of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The name.
    pub name: String,
    /// The ways in which it can be called.
    pub forms: Vec<Form>,
    /// What it takes, where a table says so.
    pub takes: Vec<Taken>,
}

impl Function {
    /// What it does, in a sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let first = self.forms.first();
        first.map_or_else(String::new, |form| form.comment.summary())
    }
}

/// Ways to call a function that one comment is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// `put(src, dst)`.
    pub calls: Vec<String>,
    /// What the comment says.
    pub comment: Comment,
    /// Where it is defined; no line for those of deployrun.
    pub place: Place,
}

/// A parameter, an option, or a field of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its name.
    pub name: String,
    /// Is it a key of the options map?
    pub is_option: bool,
    /// What it takes, in words.
    pub wants: String,
    /// What it is for.
    pub doc: String,
}
