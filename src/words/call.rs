//! Calls: what a plan asks the host for, and what it gets back.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outcome::Outcome;

/// Which call of a run: the fiber it belongs to and its number in that fiber.
///
/// The plan's own fiber has no name and its calls are `1`, `2`, …; the closure that backs out call
/// 7 runs as fiber `b7`, and its calls are `b7/1`, `b7/2`, ….
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(into = "String", try_from = "String")]
pub struct CallId {
    /// The fiber's path; empty for the plan itself.
    pub fiber: String,
    /// The number of the call in its fiber, from 1.
    pub number: u32,
}

impl CallId {
    /// Call `number` of the plan's own fiber.
    #[must_use]
    pub fn main(number: u32) -> Self {
        Self {
            fiber: String::new(),
            number,
        }
    }

    /// The name of the fiber in which the closure that backs out this call runs.
    #[must_use]
    pub fn back_out_fiber(&self) -> String {
        format!("b{}", self.to_string().replace('/', "."))
    }

    /// The name of the directory, in the run's, that holds a try of this step or of its back-out.
    #[must_use]
    pub fn directory(&self, attempt: u32, backs_out: bool) -> String {
        let kind = if backs_out { "back-out" } else { "step" };
        format!("{kind}-{}-{attempt}", self.to_string().replace('/', "_"))
    }

    /// What [`CallId::directory`] made the name of, if it is such a name: the call, which try, and
    /// whether it is the back-out.
    #[must_use]
    pub fn of_directory(name: &str) -> Option<(Self, u32, bool)> {
        let (call, backs_out) = match name.strip_prefix("back-out-") {
            Some(call) => (call, true),
            None => (name.strip_prefix("step-")?, false),
        };
        let (id, attempt) = call.rsplit_once('-')?;
        let id = id.replace('_', "/").parse().ok()?;
        Some((id, attempt.parse().ok()?, backs_out))
    }

    /// Is this a call of a back-out's closure?
    #[must_use]
    pub fn is_in_back_out(&self) -> bool {
        self.fiber.starts_with('b')
    }
}

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.fiber.is_empty() {
            write!(f, "{}", self.number)
        } else {
            write!(f, "{}/{}", self.fiber, self.number)
        }
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for CallId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for CallId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (fiber, number) = text.rsplit_once('/').unwrap_or(("", text));
        let number = number
            .parse()
            .map_err(|_| format!("`{text}` is not the id of a call"))?;
        Ok(Self {
            fiber: fiber.to_owned(),
            number,
        })
    }
}

/// A command: an argument vector, or a text for `/bin/sh -c`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Command {
    /// Run as it is, without a shell.
    Argv(Vec<String>),
    /// Run by `/bin/sh -c`.
    Shell(String),
}

impl Command {
    /// What [`Command::argv`] makes the argument vector of.
    #[must_use]
    pub fn of_argv(argv: &[String]) -> Self {
        match argv {
            [shell, flag, text] if shell == "/bin/sh" && flag == "-c" => Self::Shell(text.clone()),
            _ => Self::Argv(argv.to_vec()),
        }
    }

    /// The argument vector that is executed.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Argv(argv) => argv.clone(),
            Self::Shell(text) => vec!["/bin/sh".into(), "-c".into(), text.clone()],
        }
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shell(text) => write!(f, "{text}"),
            Self::Argv(argv) => {
                for (n, arg) in argv.iter().enumerate() {
                    let gap = if n == 0 { "" } else { " " };
                    write!(f, "{gap}{}", shell_word(arg))?;
                }
                Ok(())
            }
        }
    }
}

/// `text` as one word of a POSIX shell, quoted only where it must be.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What it says of a step whose former state is lost; nobody need look for it then.
pub const FORMER_IS_GONE: &str = "what was there before is gone";

/// What undoes a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// A command of the plan.
    Command(Command),
    /// A closure of the plan.
    Closure,
    /// The host puts back what was there before.
    Restore,
    /// The plan says that there is nothing to undo.
    Nothing,
}

/// A back-out as it is armed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BackOut {
    /// What it does.
    pub undo: Undo,
    /// What reports call it.
    pub title: String,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
    /// What it is about, such as `service nginx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Does it wait until what was done before is undone too, back to the last one that is about the
    /// same?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Runs a command.
    Command(Command),
    /// Puts a file in place.
    PutFile(PutFile),
    /// Changes something else at a path.
    ChangeFile(FileChange),
    /// Calls a function that the embedding program registered.
    Own {
        /// Its name.
        name: String,
        /// Its arguments.
        args: Vec<Value>,
    },
}

impl Deed {
    /// The path that it changes by itself, and the one from which it moves something there.
    #[must_use]
    pub fn changes(&self) -> Option<(&str, Option<&str>)> {
        match self {
            Self::PutFile(file) => Some((&file.path, None)),
            Self::ChangeFile(change) => {
                let from = match &change.change {
                    Change::Move { from } => Some(from.as_str()),
                    _ => None,
                };
                Some((&change.path, from))
            }
            Self::Command(_) | Self::Own { .. } => None,
        }
    }
}

/// A file that is put in place atomically.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PutFile {
    /// Where it goes, an absolute path.
    pub path: String,
    /// Its content, for `write_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The file it is copied from, for `upload`; an absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// SHA-256 of the content, in hex.
    pub sha256: String,
    /// Permission bits; those of the former file, else 0644, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// `user` or `user:group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A step: a call that changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Step {
    /// What it does.
    pub deed: Deed,
    /// What reports call it.
    pub title: String,
    /// Milliseconds after which it is cut off.
    pub timeout_ms: u64,
    /// Milliseconds without output after which it is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// Milliseconds between TERM and KILL.
    pub grace_ms: u64,
    /// Environment variables beside the documented ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Working directory; the plan's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// What it reads on its standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// The user it runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Exit statuses that count as success.
    pub codes: Vec<i32>,
    /// How often it is tried again after a failure.
    #[serde(default)]
    pub retries: u32,
    /// Milliseconds between two tries.
    #[serde(default)]
    pub retry_delay_ms: u64,
    /// Patterns in its output that end it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abort_on: Vec<String>,
    /// May it be run again when nobody saw how it ended?
    #[serde(default)]
    pub idempotent: bool,
    /// Bytes of output that are kept.
    pub max_output: u64,
    /// What undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_out: Option<BackOut>,
}

/// A change of what is at a path, whatever it is: a file, a directory with all that is in it, a
/// symbolic link, nothing. What was there before is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileChange {
    /// Where, an absolute path.
    pub path: String,
    /// What is done there.
    pub change: Change,
    /// Bytes that may be kept of what was there.
    pub max_size: u64,
}

/// What is done at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing; it is kept for steps that follow.
    Keep {
        /// The content of files too.
        content: bool,
    },
    /// It is removed.
    Remove,
    /// A symbolic link is put there.
    Link {
        /// Where it leads.
        to: String,
    },
    /// A directory is made, with those above it.
    Directory {
        /// Permission bits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
        /// `user` or `user:group`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    },
    /// It gets these permission bits.
    Mode {
        /// The bits.
        mode: u32,
    },
    /// It gets another owner.
    Owner {
        /// `user` or `user:group`.
        owner: String,
        /// All that is in it too.
        below: bool,
    },
    /// It becomes a copy of something else.
    Copy {
        /// Of what, an absolute path.
        from: String,
    },
    /// It becomes what an archive holds.
    Unpack {
        /// The archive, an absolute path.
        archive: String,
        /// SHA-256 that it must have, in hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// How many directories are taken from the begin of each path in it.
        strip: u32,
        /// `user` or `user:group` of all that is made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Bytes that it may hold.
        max_unpacked: u64,
    },
    /// Something else is moved there.
    Move {
        /// From where, an absolute path.
        from: String,
    },
}

/// A monitor that is sampled beside the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Watch {
    /// Its name.
    pub name: String,
    /// Milliseconds between the starts of two samples.
    pub every_ms: u64,
    /// Bad samples in a row that trip it.
    pub failures: u32,
    /// Milliseconds after its start during which bad samples do not count.
    pub grace_ms: u64,
    /// Milliseconds after which a sample is an error.
    pub timeout_ms: u64,
    /// Does a sample without data count as bad?
    pub no_data_is_bad: bool,
    /// Only report; never trip.
    pub observe: bool,
}

/// One call of a host function by the script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "function", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one header in a run")]
pub enum Call {
    /// `plan(#{…})`.
    Plan {
        /// The header.
        header: super::header::Header,
    },
    /// A call that only reads: `probe`, `http_get`, `env`, `disk_free`, ….
    Read {
        /// The function's name.
        name: String,
        /// Its arguments.
        args: Vec<Value>,
    },
    /// `check` and `check_installed`: a finding.
    Check {
        /// What is asked for.
        name: String,
    },
    /// `run`, and all that changes files.
    Step(Box<Step>),
    /// The begin of a group.
    StepBegin {
        /// Its title.
        title: String,
        /// Milliseconds for the group as a whole.
        timeout_ms: Option<u64>,
        /// How often the group is tried again.
        retries: u32,
    },
    /// The end of a group.
    StepEnd {
        /// The call that began it.
        begin: u32,
        /// The error that left its closure.
        failed: Option<String>,
    },
    /// `back_out`.
    BackOut(BackOut),
    /// `point_of_no_return`.
    PointOfNoReturn {
        /// Why.
        reason: String,
    },
    /// `watch`.
    Watch(Watch),
    /// `verify`.
    Verify {
        /// The success criterion.
        name: String,
        /// Milliseconds in which it must turn true.
        within_ms: u64,
        /// Milliseconds between two tries.
        every_ms: u64,
    },
    /// `soak`.
    Soak {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// `sleep`.
    Sleep {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// `wait_for_window`.
    WaitForWindow {
        /// The window, in its normal form; the header's when absent.
        window: Option<String>,
    },
    /// `wait_for_approval`.
    WaitForApproval {
        /// What is approved.
        name: String,
        /// Milliseconds after which the run is refused or backed out.
        timeout_ms: Option<u64>,
    },
    /// `info` and `warn`.
    Note {
        /// Is it a warning?
        warning: bool,
        /// The text.
        text: String,
    },
    /// `abort`.
    Abort {
        /// Why.
        reason: String,
    },
}

impl Call {
    /// Does the call change something?
    #[must_use]
    pub fn acts(&self) -> bool {
        matches!(self, Self::Step(_))
    }

    /// The function that was called, in one word.
    #[must_use]
    pub fn function(&self) -> &str {
        match self {
            Self::Plan { .. } => "plan",
            Self::Read { name, .. } => name,
            Self::Check { .. } => "check",
            Self::Step(_) => "step",
            Self::StepBegin { .. } => "step-begin",
            Self::StepEnd { .. } => "step-end",
            Self::BackOut(_) => "back_out",
            Self::PointOfNoReturn { .. } => "point_of_no_return",
            Self::Watch(_) => "watch",
            Self::Verify { .. } => "verify",
            Self::Soak { .. } => "soak",
            Self::Sleep { .. } => "sleep",
            Self::WaitForWindow { .. } => "wait_for_window",
            Self::WaitForApproval { .. } => "wait_for_approval",
            Self::Note { .. } => "note",
            Self::Abort { .. } => "abort",
        }
    }
}

/// What kind of call failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A call that was made in a wrong way, or could not be answered.
    #[default]
    Call,
    /// A step.
    Step,
    /// A check after the first step.
    Check,
    /// A success criterion.
    Verify,
}

/// Why a call throws in the script; a plan may catch it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failure {
    /// What kind of call it was.
    #[serde(default)]
    pub kind: FailureKind,
    /// What the script sees when it prints the error.
    pub message: String,
    /// How the step ended, if a step it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Exit status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The last lines of its output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure that is only a message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Call,
            message: message.into(),
            outcome: None,
            code: None,
            tail: String::new(),
            hint: None,
        }
    }

    /// The failure of another kind of call.
    #[must_use]
    pub fn of(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            ..Self::new(message)
        }
    }
}

/// What the script gets for a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A value.
    Value(Value),
    /// An error that may be caught.
    Throw(Failure),
    /// The run has stopped: nothing more is done for this script.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_directory_is_read_back() {
        for id in ["1", "42", "b7/3", "bb7.3/1"] {
            let id: CallId = id.parse().unwrap();
            for backs_out in [false, true] {
                let name = id.directory(2, backs_out);
                let read = CallId::of_directory(&name);
                assert_eq!(read, Some((id.clone(), 2, backs_out)), "{name}");
            }
        }
        for other in [
            "owner",
            "approvals",
            "step-",
            "step-1",
            "step-x-1",
            "back-out-1-x",
        ] {
            assert_eq!(CallId::of_directory(other), None, "{other}");
        }
    }
}
