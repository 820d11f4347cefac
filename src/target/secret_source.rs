//! Where the values of secrets come from. The journal has none of them: whoever takes up a run must
//! be able to have them again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::words::call::{Answer, Call, Command};
use crate::words::event::Event;
use crate::words::mask::MASK;
use crate::words::notice::NamedSecret;
use crate::words::probe::{ProbeExit, ProbeSpec};

use super::host::{Host, ThisMachine};
use super::probe::Cancel;

/// The directory of a plan and the environment of its probes.
pub type Place<'a> = (&'a Path, &'a BTreeMap<String, String>);

/// Where one secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file, from the plan's directory.
    File(PathBuf),
    /// A command that prints it.
    Command(Command),
}

impl SecretSource {
    /// The value. Fails with words that name no secret.
    pub fn fetch(
        &self,
        host: &dyn Host,
        (root, env): Place<'_>,
        cancel: &Cancel,
    ) -> Result<String, String> {
        let text = match self {
            Self::File(path) => host.read_file(&root.join(path))?,
            Self::Command(command) => printed(command, host, (root, env), cancel)?,
            Self::Env(name) => host
                .env(name)
                .ok_or_else(|| format!("the environment variable {name} is not set"))?,
        };
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        if text.is_empty() {
            return Err("it is empty".into());
        }
        Ok(text)
    }

    /// Where a header says that it is.
    #[must_use]
    pub fn named(named: &NamedSecret) -> Self {
        if let Some(file) = &named.file {
            Self::File(file.into())
        } else if let Some(command) = &named.command {
            Self::Command(command.clone())
        } else {
            Self::Env(named.env.as_ref().unwrap_or(&named.secret).clone())
        }
    }

    /// Where a recorded call had it from, and what it is called; `None` if the call itself holds
    /// another secret, which is masked.
    fn recorded(args: &[Value]) -> Option<(String, Self)> {
        let name = args.first()?.as_str()?.to_owned();
        let option = |key: &str| args.get(1)?.get(key).cloned();
        let source = if let Some(file) = option("file") {
            Self::File(file.as_str()?.into())
        } else if let Some(command) = option("command") {
            Self::Command(serde_json::from_value(command).ok()?)
        } else {
            let variable = option("env").unwrap_or_else(|| name.clone().into());
            Self::Env(variable.as_str()?.to_owned())
        };
        (!Value::from(args.to_vec()).to_string().contains(MASK)).then_some((name, source))
    }
}

fn printed(
    command: &Command,
    host: &dyn Host,
    (root, env): Place<'_>,
    cancel: &Cancel,
) -> Result<String, String> {
    let spec = ProbeSpec {
        argv: command.argv(),
        env: env.clone(),
        cwd: root.to_owned(),
        stdin: None,
        timeout_ms: 30_000,
        max_output: 64 << 10,
    };
    let end = host.probe(&spec, cancel);
    match end.how {
        ProbeExit::Exited { code: 0 } => Ok(end.stdout),
        _ => Err("the command that prints it failed".into()),
    }
}

/// Fails if a secret that a run has had can't be had now, and says which.
pub fn all_there<'e>(
    events: impl Iterator<Item = &'e Event>,
    place: Place<'_>,
    cancel: &Cancel,
) -> Result<(), String> {
    let mut seen = Vec::new();
    for event in events {
        let Event::Called {
            call: Call::Read { name, args },
            answer: Answer::Value(_),
            ..
        } = event
        else {
            continue;
        };
        let Some(secret) = SecretSource::recorded(args).filter(|_| name == "secret") else {
            continue;
        };
        if !seen.contains(&secret) {
            let (name, source) = &secret;
            source
                .fetch(&ThisMachine, place, cancel)
                .map_err(|problem| format!("the secret `{name}`: {problem}"))?;
            seen.push(secret);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_recorded_call_says_where_it_had_the_secret_from() {
        let of = |args: Value| SecretSource::recorded(args.as_array().expect("arguments"));
        let named = |source| Some(("db".to_owned(), source));
        assert_eq!(of(json!(["db"])), named(SecretSource::Env("db".into())));
        assert_eq!(
            of(json!(["db", { "env": "DB_PW" }])),
            named(SecretSource::Env("DB_PW".into()))
        );
        assert_eq!(
            of(json!(["db", { "file": "pw" }])),
            named(SecretSource::File("pw".into()))
        );
        assert_eq!(
            of(json!(["db", { "command": ["pass", "db"] }])),
            named(SecretSource::Command(Command::Argv(vec![
                "pass".into(),
                "db".into()
            ])))
        );
        assert_eq!(of(json!(["db", { "command": "curl -H ***" }])), None);
    }
}
