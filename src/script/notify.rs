//! The header's `notify`: who is told of a run, read from what the plan says.

use std::collections::BTreeMap;

use rhai::{Dynamic, Map};

use crate::words::call::Command;
use crate::words::duration;
use crate::words::notice::{
    Channel, DEFAULT_NOTICE_MS, HeaderText, LONGEST_NOTICE_MS, NamedSecret, Notify, Occasion,
};
use crate::words::suggest::nearest;

use super::args::command_of;
use super::functions::{Kind, shown};
use super::secret_text::SecretText;

/// What it takes, in words.
pub const WANTS: &str =
    "a map such as #{ on: [\"stuck\"], email: \"oncall@example.org\" }, or an array of them";

/// What is said of a secret that the plan has fetched.
pub const FETCHED: &str = "names secrets and does not fetch them, so that the host can do it whatever \
                           happens to the plan: write #{ secret: \"NAME\" } instead of secret(\"NAME\")";

const KEYS: &[&str] = &[
    "on", "slack", "webhook", "headers", "email", "from", "sendmail", "command", "timeout",
];
const CHANNELS: &[&str] = &["slack", "webhook", "email", "command"];
const SECRET_KEYS: &[&str] = &["secret", "env", "file", "command"];

/// What is wrong with a key that there is none of.
#[must_use]
pub fn unknown_key(key: &str) -> Option<String> {
    unknown(key, KEYS)
}

fn unknown(key: &str, keys: &[&str]) -> Option<String> {
    if keys.contains(&key) {
        return None;
    }
    let hint = match nearest(key, keys.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", keys.join(", ")),
    };
    Some(format!("has no `{key}`; {hint}"))
}

/// What the field says, or what is wrong with it, in words that follow its name.
pub fn read(value: &Dynamic) -> Result<Vec<Notify>, String> {
    if let Ok(items) = value.as_array_ref() {
        return items.iter().map(one).collect();
    }
    one(value).map(|notify| vec![notify])
}

fn one(value: &Dynamic) -> Result<Notify, String> {
    let Ok(map) = value.as_map_ref() else {
        return Err(format!("wants {WANTS}, not {}", shown(value)));
    };
    if let Some(text) = map.keys().find_map(|key| unknown_key(key)) {
        return Err(text);
    }
    let mut ways = CHANNELS.iter().filter(|name| map.contains_key(**name));
    let way = match (ways.next(), ways.next()) {
        (Some(way), None) => *way,
        (None, _) => {
            return Err(format!(
                "says not how: write one of {}",
                CHANNELS.join(", ")
            ));
        }
        (Some(one), Some(other)) => {
            let text = "has both `{1}` and `{2}`: write a map of its own for each";
            return Err(text.replace("{1}", one).replace("{2}", other));
        }
    };
    for (key, of) in [
        ("headers", "webhook"),
        ("from", "email"),
        ("sendmail", "email"),
    ] {
        if map.contains_key(key) && way != of {
            return Err(format!(
                "has `{key}`, which belongs to `{of}`, with `{way}`"
            ));
        }
    }
    Ok(Notify {
        on: occasions(map.get("on"))?,
        channel: channel(way, &map)?,
        timeout_ms: timeout(map.get("timeout"))?,
    })
}

fn channel(way: &str, map: &Map) -> Result<Channel, String> {
    let value = map.get(way).cloned().unwrap_or_default();
    Ok(match way {
        "slack" => match text(way, &value)? {
            HeaderText::Plain(_) => {
                return Err(
                    "holds the address of a `slack` webhook, and whoever reads that may post \
                     there: name it as a secret, slack: #{ secret: \"SLACK_URL\" }"
                        .into(),
                );
            }
            url => Channel::Slack { url },
        },
        "webhook" => {
            let url = text(way, &value)?;
            if let HeaderText::Plain(url) = &url {
                address(url)?;
            }
            let headers = match map.get("headers") {
                Some(headers) => texts("headers", headers)?,
                None => BTreeMap::new(),
            };
            Channel::Webhook { url, headers }
        }
        "email" => Channel::Email {
            to: match value.as_array_ref() {
                Ok(items) if items.is_empty() => return Err("has an empty `email`".into()),
                Ok(items) => items.iter().map(recipient).collect::<Result<_, _>>()?,
                Err(_) => vec![recipient(&value)?],
            },
            from: map.get("from").map(recipient).transpose()?,
            sendmail: match map.get("sendmail") {
                Some(command) => program(command)?,
                None => ["/usr/sbin/sendmail", "-t", "-i"]
                    .map(str::to_owned)
                    .to_vec(),
            },
        },
        _ => Channel::Command {
            command: command(way, &value)?,
        },
    })
}

fn occasions(value: Option<&Dynamic>) -> Result<Vec<Occasion>, String> {
    let Some(value) = value else {
        return Ok(Occasion::USUAL.to_vec());
    };
    let words = Occasion::ALL.map(Occasion::word);
    let read = |value: &Dynamic| -> Result<Occasion, String> {
        let word = plain("on", value)?;
        let found = Occasion::ALL.into_iter().find(|o| o.word() == word);
        found.ok_or_else(|| {
            let hint = match nearest(&word, words) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("there are: {}", words.join(", ")),
            };
            format!("has \"{word}\" in `on`; {hint}")
        })
    };
    match value.as_array_ref() {
        Ok(items) if items.is_empty() => Err("has an empty `on`: nobody would be told".into()),
        Ok(items) => items.iter().map(read).collect(),
        Err(_) => Ok(vec![read(value)?]),
    }
}

fn timeout(value: Option<&Dynamic>) -> Result<u64, String> {
    let Some(value) = value else {
        return Ok(DEFAULT_NOTICE_MS);
    };
    let ms = match value.as_int() {
        Ok(seconds) => u64::try_from(seconds)
            .ok()
            .and_then(|s| s.checked_mul(1000)),
        Err(_) => {
            let time = duration::parse(&plain("timeout", value)?);
            let time = time.map_err(|error| format!("has a `timeout` that is none: {error}"))?;
            u64::try_from(time.as_millis()).ok()
        }
    };
    match ms {
        Some(ms) if (1..=LONGEST_NOTICE_MS).contains(&ms) => Ok(ms),
        _ => Err("has a `timeout` that is not between 1ms and 1m".into()),
    }
}

/// A text, or the name of a secret.
fn text(key: &str, value: &Dynamic) -> Result<HeaderText, String> {
    let Ok(map) = value.as_map_ref() else {
        return plain(key, value).map(HeaderText::Plain);
    };
    if let Some(text) = map.keys().find_map(|key| unknown(key, SECRET_KEYS)) {
        return Err(format!("has a secret in `{key}` that {text}"));
    }
    let one = |name: &str| map.get(name).map(|v| plain(name, v)).transpose();
    let Some(secret) = one("secret")? else {
        return Err(format!("has a map in `{key}` without `secret`, its name"));
    };
    let sources = map.len() - 1;
    if sources > 1 {
        return Err(format!(
            "has a secret in `{key}` from several places: write one of env, file, command"
        ));
    }
    let command = map
        .get("command")
        .map(|c| command("command", c))
        .transpose()?;
    Ok(HeaderText::Secret(NamedSecret {
        secret,
        env: one("env")?,
        file: one("file")?,
        command,
    }))
}

fn texts(key: &str, value: &Dynamic) -> Result<BTreeMap<String, HeaderText>, String> {
    let Ok(map) = value.as_map_ref() else {
        return Err(format!(
            "wants a map of texts as `{key}`, not {}",
            shown(value)
        ));
    };
    let each = map.iter().map(|(name, value)| {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!(
                "has `{name}` in `{key}`, which is no name of a header"
            ));
        }
        Ok((name.to_string(), text(key, value)?))
    });
    each.collect()
}

fn plain(key: &str, value: &Dynamic) -> Result<String, String> {
    if value.is::<SecretText>() {
        return Err(FETCHED.into());
    }
    match value.as_immutable_string_ref() {
        Ok(text) if text.trim().is_empty() => Err(format!("has an empty `{key}`")),
        Ok(text) if text.chars().any(char::is_control) => {
            Err(format!("has a control character in `{key}`"))
        }
        Ok(text) => Ok(text.to_string()),
        Err(_) => Err(format!("wants a text as `{key}`, not {}", shown(value))),
    }
}

fn recipient(value: &Dynamic) -> Result<String, String> {
    let text = plain("email", value)?;
    // A comma would be two; a line that is not ASCII needs more than most programs can.
    if text.contains('@') && text.is_ascii() && !text.contains(',') && !text.starts_with('-') {
        return Ok(text);
    }
    Err(format!(
        "has \"{text}\" as an address of mail, which it is not"
    ))
}

fn address(url: &str) -> Result<(), String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest.filter(|rest| !rest.is_empty() && !url.contains(' ')) else {
        return Err(format!(
            "has \"{url}\" as a `webhook`: write http://… or https://…"
        ));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(
            "holds a password in the address of a `webhook`: name the address as a secret, \
             webhook: #{ secret: \"NAME\" }, or send a header"
                .into(),
        );
    }
    Ok(())
}

fn command(key: &str, value: &Dynamic) -> Result<Command, String> {
    let holds_secret = match value.as_array_ref() {
        Ok(items) => items.iter().any(Dynamic::is::<SecretText>),
        Err(_) => value.is::<SecretText>(),
    };
    if holds_secret {
        return Err(FETCHED.into());
    }
    Kind::Command
        .check(value)
        .map_err(|wrong| format!("has a `{key}` that {wrong}"))?;
    Ok(command_of(value))
}

fn program(value: &Dynamic) -> Result<Vec<String>, String> {
    match command("sendmail", value)? {
        Command::Argv(argv) => Ok(argv),
        Command::Shell(_) => {
            Err("wants an array as `sendmail`, such as [\"msmtp\", \"-t\"]".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Notify>, String> {
        let value: Dynamic = rhai::Engine::new().eval(text).expect("a value");
        read(&value)
    }

    #[test]
    fn what_is_meant_is_read() {
        let read = read_text(
            r##"[#{ slack: #{ secret: "S", file: "f" }, on: "stuck", timeout: "2s" },
                #{ email: ["a@x", "b@x"], sendmail: ["msmtp", "-t"] }]"##,
        );
        let read = read.expect("it is right");
        assert_eq!(read[0].on, [Occasion::Stuck]);
        assert_eq!(read[0].timeout_ms, 2000);
        assert_eq!(read[0].channel.words(), "slack S");
        assert_eq!(read[1].on, Occasion::USUAL);
        assert_eq!(read[1].channel.words(), "email a@x, b@x");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("1", "wants a map"),
            (r##"#{ slak: "x" }"##, "did you mean `slack`?"),
            (r##"#{ on: "stuck" }"##, "says not how"),
            (
                r##"#{ email: "a@x", command: "y" }"##,
                "has both `email` and `command`",
            ),
            (
                r##"#{ slack: "https://hooks.slack.com/x" }"##,
                "name it as a secret",
            ),
            (r##"#{ webhook: "ftp://x" }"##, "write http://"),
            (r##"#{ webhook: "https://u:p@x/" }"##, "holds a password"),
            (
                r##"#{ webhook: "https://x/", headers: #{ "a b": "c" } }"##,
                "no name of a header",
            ),
            (r##"#{ email: "a" }"##, "as an address of mail"),
            (r##"#{ email: "a@x\nBcc: b@x" }"##, "control character"),
            (
                r##"#{ email: "a@x", sendmail: "msmtp -t" }"##,
                "wants an array",
            ),
            (
                r##"#{ email: "a@x", on: ["stuk"] }"##,
                "did you mean \"stuck\"?",
            ),
            (r##"#{ email: "a@x", on: [] }"##, "nobody would be told"),
            (
                r##"#{ email: "a@x", timeout: "2m" }"##,
                "between 1ms and 1m",
            ),
            (
                r##"#{ email: "a@x", headers: #{} }"##,
                "belongs to `webhook`",
            ),
            (r##"#{ command: [] }"##, "is an empty command"),
            (r##"#{ slack: #{ env: "X" } }"##, "without `secret`"),
            (
                r##"#{ slack: #{ secret: "X", nev: "X" } }"##,
                "did you mean `env`?",
            ),
        ] {
            let wrong = read_text(text).expect_err(text);
            assert!(wrong.contains(why), "{text}: {wrong}");
        }
    }

    #[test]
    fn a_secret_that_was_fetched_is_refused() {
        let mut map = Map::new();
        map.insert(
            "slack".into(),
            Dynamic::from(SecretText::new("hidden".into())),
        );
        let wrong = read(&map.into()).expect_err("it is");
        assert!(
            wrong.contains("secret: \"NAME\"") && !wrong.contains("hidden"),
            "{wrong}"
        );
    }
}
