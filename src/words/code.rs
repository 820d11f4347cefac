//! Every finding that the static check can make: its name, how bad it is, and what it means.
//!
//! The explanations stand in `codes/`, one page a code. Their examples are executed by a test.

use serde::{Deserialize, Serialize};

use super::diagnostic::Level;

/// Defines the codes. An explanation that is missing is an error of the compiler, and so is a code
/// that is not listed.
macro_rules! codes {
    ($($(#[doc = $summary:literal])+ $variant:ident = $level:ident $name:literal;)+) => {
        /// The name of a finding: a word that says what is wrong.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum Code {
            $($(#[doc = $summary])+ #[serde(rename = $name)] $variant,)+
        }

        impl Code {
            /// Every code, by name.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// How bad it is. An error is certain: the plan could not run past the place. Only
            /// warnings can be set to another level.
            #[must_use]
            pub fn level(self) -> Level {
                match self {
                    $(Self::$variant => Level::$level,)+
                }
            }

            /// What it means, in a line.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($summary,)+).trim_ascii(),)+
                }
            }

            /// What it means at length: Markdown, with a wrong and a right plan in it.
            fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("codes/", $name, ".md")),)+
                }
            }
        }
    };
}

codes! {
    /// A back-out does what only a plan may do
    ActsInBackOut = Error "acts-in-back-out";
    /// A closure that only looks does something
    ActsInCheck = Error "acts-in-check";
    /// A module cannot be imported from there
    BadImport = Error "bad-import";
    /// A duration, a window, a pattern, … says nothing
    BadLiteral = Error "bad-literal";
    /// `deployrun.toml` cannot be understood
    BadProject = Error "bad-project";
    /// An example in a comment has errors
    BrokenExample = Error "broken-example";
    /// A link in a comment leads nowhere
    BrokenLink = Error "broken-link";
    /// The header leaves questions of the checklist open
    Checklist = Warning "checklist";
    /// A word of the language is not there in plans
    Closed = Error "closed";
    /// There is nothing in the plan
    EmptyPlan = Error "empty-plan";
    /// An escape in back-ticks means itself
    EscapeInBackTicks = Warning "escape-in-back-ticks";
    /// The header does not stand where it must
    HeaderPlace = Error "header-place";
    /// The header leaves no time for the release
    HeaderTimes = Error "header-times";
    /// There is a character that a reviewer does not see
    HiddenCharacter = Error "hidden-character";
    /// A function of the plan hides one of the language
    HiddenFunction = Warning "hidden-function";
    /// Modules import one another in a circle
    ImportCycle = Error "import-cycle";
    /// Closures kept in a loop all see its last value
    LoopCapture = Warning "loop-capture";
    /// A module does something when it is imported
    ModuleActs = Error "module-acts";
    /// Nothing undoes a step
    NoBackOut = Warning "no-back-out";
    /// The plan has no header
    NoHeader = Warning "no-header";
    /// A function looks like a test and is none
    NoTest = Error "no-test";
    /// A step says no timeout
    NoTimeout = Warning "no-timeout";
    /// The plan never verifies that it worked
    NoVerify = Warning "no-verify";
    /// A comment never ends
    OpenComment = Error "open-comment";
    /// A function is private to its module
    PrivateFunction = Error "private-function";
    /// A function has the name of one of deployrun
    RedefinedFunction = Error "redefined-function";
    /// Two imports have the same name
    RepeatedImport = Warning "repeated-import";
    /// A secret in back-ticks is three stars
    SecretInText = Warning "secret-in-text";
    /// A shell command is put together from values
    ShellText = Warning "shell-text";
    /// No opening of the window is long enough
    ShortWindow = Warning "short-window";
    /// The text is not of the language
    Syntax = Error "syntax";
    /// `this` is used in a loop
    ThisInLoop = Error "this-in-loop";
    /// A source is too long to be counted
    TooLong = Error "too-long";
    /// There is no such variable or constant
    UndefinedVariable = Error "undefined-variable";
    /// There is no such function
    UnknownFunction = Error "unknown-function";
    /// Nothing is imported under this name
    UnknownModule = Error "unknown-module";
    /// There is no such option
    UnknownOption = Error "unknown-option";
    /// A statement is never reached
    Unreachable = Warning "unreachable";
    /// The plan cannot be read
    Unreadable = Error "unreadable";
    /// An import is never used
    UnusedImport = Warning "unused-import";
    /// A variable is never read
    UnusedVariable = Warning "unused-variable";
    /// A value between double quotes is not replaced
    ValueInQuotes = Warning "value-in-quotes";
    /// A call has too many or too few arguments
    WrongArguments = Error "wrong-arguments";
    /// A value is of another kind than is wanted
    WrongType = Error "wrong-type";
}

impl Code {
    /// The code of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// Is it about comments, which only `deployrun doc --check` looks at?
    #[must_use]
    pub fn is_of_comments(self) -> bool {
        matches!(self, Self::BrokenExample | Self::BrokenLink)
    }

    /// Can it be set to another level?
    #[must_use]
    pub fn is_settable(self) -> bool {
        self.level() == Level::Warning
    }

    /// What it means at length.
    #[must_use]
    pub fn explanation(self) -> Explanation {
        Explanation::read(self.page())
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a code means, and examples of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Why it matters and what to do; paragraphs, in Markdown.
    pub text: String,
    /// The files of a plan that is found fault with.
    pub wrong: Vec<ExampleFile>,
    /// The files of a plan that is not.
    pub right: Vec<ExampleFile>,
}

/// A file of an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExampleFile {
    /// What it is called; `plan.rhai` is the plan that is checked.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Explanation {
    /// Reads a page: paragraphs, and blocks that begin with ```` ```rhai wrong FILE ````.
    fn read(page: &str) -> Self {
        let mut explanation = Self {
            text: String::new(),
            wrong: Vec::new(),
            right: Vec::new(),
        };
        let mut lines = page.lines();
        while let Some(line) = lines.next() {
            let Some(info) = line.strip_prefix("```") else {
                explanation.text.push_str(line);
                explanation.text.push('\n');
                continue;
            };
            let mut words = info.split(' ').skip(1);
            let kind = words.next();
            let name = words.next().unwrap_or("plan.rhai").to_owned();
            let block = lines.by_ref().take_while(|line| *line != "```");
            let text = block.fold(String::new(), |text, line| text + line + "\n");
            match kind {
                Some("wrong") => explanation.wrong.push(ExampleFile { name, text }),
                _ => explanation.right.push(ExampleFile { name, text }),
            }
        }
        explanation.text = explanation.text.trim().to_owned();
        explanation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_pages_are_whole() {
        assert!(Code::ALL.is_sorted_by_key(|code| code.name()));
        for code in Code::ALL {
            assert_eq!(Code::of(code.name()), Some(*code));
            assert_eq!(
                serde_json::to_value(code).unwrap(),
                serde_json::Value::from(code.name())
            );
            let explanation = code.explanation();
            assert!(explanation.text.len() > 80, "{code} says too little");
            assert!(!explanation.wrong.is_empty(), "{code} has no wrong example");
            assert!(!explanation.right.is_empty(), "{code} has no right example");
            let length = code.summary().chars().count();
            assert!(
                (10..50).contains(&length) && !code.summary().ends_with('.'),
                "{code}"
            );
        }
        assert_eq!(Code::of("nope"), None);
    }
}
