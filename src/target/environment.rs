//! The environment of what deployrun starts: small, documented, the same everywhere.

use std::collections::BTreeMap;

/// Variables that are passed on from whoever started deployrun.
pub const PASSED_ON: &[&str] = &[
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "SHELL",
    "SSH_AUTH_SOCK",
    "TMPDIR",
    "TZ",
    "USER",
];

/// The search path when there is none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that lead to something of the session in which deployrun was started. Another session
/// has its own.
const OF_THE_SESSION: &[&str] = &["SSH_AUTH_SOCK", "TMPDIR"];

/// What is passed on from whoever started this process: the environment of probes, and the begin of
/// that of steps.
#[must_use]
pub fn of_this_process() -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = PASSED_ON
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    env.entry("PATH".into()).or_insert_with(|| PATH.into());
    env
}

/// The environment of a run that is taken up: the one it was started with, as far as that does not
/// lead into the session of before.
#[must_use]
pub fn taken_up(mut frozen: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let now = of_this_process();
    if frozen.is_empty() {
        return now;
    }
    for name in OF_THE_SESSION {
        frozen.remove(*name);
        if let Some(value) = now.get(*name) {
            frozen.insert((*name).to_owned(), value.clone());
        }
    }
    frozen
}
