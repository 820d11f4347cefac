//! The environment of what deployrun starts: small, documented, the same everywhere.

use std::collections::BTreeMap;

use nix::unistd::User;

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

/// Makes an environment that of another user: what is called so by those who write and read files
/// at home. Left alone for a user who is not there; the step will say so.
pub fn become_user(env: &mut BTreeMap<String, String>, name: &str) {
    let Ok(Some(user)) = User::from_name(name) else {
        return;
    };
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    env.insert("HOME".into(), text(&user.dir));
    env.insert("SHELL".into(), text(&user.shell));
    env.insert("USER".into(), user.name.clone());
    env.insert("LOGNAME".into(), user.name);
    // It belongs to the one who started deployrun.
    env.remove("SSH_AUTH_SOCK");
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_becomes_another_user_is_at_home_there() {
        let mut env = of_this_process();
        env.insert("SSH_AUTH_SOCK".into(), "/tmp/agent".into());
        become_user(&mut env, "nobody");
        let of = |name: &str| env.get(name).map(String::as_str);
        assert_eq!(of("HOME"), Some("/nonexistent"));
        assert_eq!(of("USER"), Some("nobody"));
        assert_eq!(of("LOGNAME"), Some("nobody"));
        assert_eq!(of("SHELL"), Some("/usr/sbin/nologin"));
        assert_eq!(of("SSH_AUTH_SOCK"), None);
    }

    #[test]
    fn a_user_who_is_not_there_changes_nothing() {
        let (mut env, before) = (of_this_process(), of_this_process());
        become_user(&mut env, "nobody-of-that-name");
        assert_eq!(env, before);
    }
}
