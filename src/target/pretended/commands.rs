//! Commands that are only pretended: what was said that they answer, and the few that every host
//! has for its files.

mod of_files;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::words::call::Command;

use super::NotGiven;
pub(super) use of_files::of_every_host;

/// A command that is called.
#[derive(Clone, Debug)]
pub struct CommandCall {
    /// It.
    pub command: Command,
    /// What it reads.
    pub stdin: Option<String>,
    /// Where.
    pub cwd: PathBuf,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Who it runs as, when that is another.
    pub user: Option<String>,
    /// Is it a step or a back-out, rather than a probe?
    pub acts: bool,
}

/// How a command ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandAnswer {
    /// What it prints on standard output.
    pub stdout: String,
    /// What it prints on standard error.
    pub stderr: String,
    /// Its exit status.
    pub code: i32,
    /// Milliseconds it takes.
    pub duration_ms: u64,
    /// Why it cannot be started, if it cannot.
    pub missing: Option<String>,
}

/// How a command answers: always the same, or as a test computes it.
pub type Answer = Arc<dyn Fn(&CommandCall) -> Result<CommandAnswer, String> + Send + Sync>;

/// For which commands an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// For those whose text this is; `*` stands for anything.
    Text(String),
    /// For those with these arguments; `*` stands for anything within one.
    Argv(Vec<String>),
}

impl Wanted {
    fn matches(&self, command: &Command) -> bool {
        match (self, command) {
            (Self::Text(pattern), command) => glob(pattern, &command.to_string()),
            (Self::Argv(patterns), Command::Argv(argv)) => {
                patterns.len() == argv.len()
                    && patterns.iter().zip(argv).all(|(p, arg)| glob(p, arg))
            }
            (Self::Argv(_), Command::Shell(_)) => false,
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Argv(argv) => write!(f, "{}", Command::Argv(argv.clone())),
        }
    }
}

/// What was said of a command.
#[derive(Clone)]
pub struct Given {
    /// For which commands.
    pub wanted: Wanted,
    /// What they answer.
    pub answer: Answer,
    /// How often; always when absent.
    pub times: Option<u32>,
}

/// All that was said of commands.
#[derive(Clone, Default)]
pub struct Commands {
    given: Vec<Given>,
}

impl Commands {
    pub(super) fn give(&mut self, given: Given) {
        self.given.push(given);
    }

    /// How a command answers by what was said last of it.
    pub(super) fn find(&mut self, command: &Command) -> Option<Answer> {
        let mut all = self.given.iter_mut().rev();
        let given = all.find(|given| given.times != Some(0) && given.wanted.matches(command))?;
        if let Some(times) = &mut given.times {
            *times -= 1;
        }
        Some(given.answer.clone())
    }

    /// What to say of a command that nobody gave.
    pub(super) fn not_given(&self, command: &Command) -> NotGiven {
        let used_up = self
            .given
            .iter()
            .any(|given| given.times == Some(0) && given.wanted.matches(command));
        let text = command.to_string();
        let mut near: Vec<(f64, String)> = self
            .given
            .iter()
            .map(|given| given.wanted.to_string())
            .map(|wanted| (strsim::jaro_winkler(&wanted, &text), wanted))
            .filter(|(likeness, _)| *likeness > 0.6)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut near: Vec<String> = near.into_iter().map(|(_, wanted)| wanted).collect();
        near.dedup();
        near.truncate(3);
        let message = if used_up {
            format!("`{text}` was called more often than it was given")
        } else {
            format!("nobody has said what `{text}` answers")
        };
        NotGiven {
            message,
            hint: format!(
                "write given_command({}, #{{ stdout: \"…\" }}); no real command runs in a test",
                literal(command)
            ),
            near,
        }
    }
}

/// A command as a plan writes it.
fn literal(command: &Command) -> String {
    match command {
        Command::Shell(text) => format!("{text:?}"),
        Command::Argv(argv) => format!("{argv:?}"),
    }
}

/// Does a text match a pattern in which `*` stands for anything?
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, is) in [
            ("nginx -t", "nginx -t", true),
            ("nginx -t", "nginx -tq", false),
            ("*", "", true),
            ("systemctl * nginx", "systemctl is-active nginx", true),
            ("systemctl * nginx", "systemctl nginx", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(glob(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn what_was_said_last_comes_first_until_it_is_used_up() {
        let mut commands = Commands::default();
        let mut give = |text: &str, code, times| {
            commands.give(Given {
                wanted: Wanted::Text(text.into()),
                answer: Arc::new(move |_| {
                    Ok(CommandAnswer {
                        code,
                        ..CommandAnswer::default()
                    })
                }),
                times,
            });
        };
        give("nginx *", 1, None);
        give("nginx -t", 2, Some(1));
        let call = |command: Command| CommandCall {
            command,
            stdin: None,
            cwd: "/".into(),
            env: BTreeMap::new(),
            user: None,
            acts: false,
        };
        let command = Command::Argv(vec!["nginx".into(), "-t".into()]);
        let mut code = || {
            let answer = commands.find(&command).expect("it was given");
            answer(&call(command.clone())).expect("an answer").code
        };
        assert_eq!((code(), code()), (2, 1));
        let other = Command::Shell("nginy -t".into());
        assert!(commands.find(&other).is_none());
        let problem = commands.not_given(&other);
        assert_eq!(problem.near, ["nginx -t", "nginx *"]);
    }
}
