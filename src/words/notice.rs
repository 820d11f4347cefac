//! Notices: whom a plan's header wants to be told of a run, when, and what they are told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::Command;
use super::duration;
use super::event::{Actor, RunEnd};
use super::header::Header;
use super::outcome::RunOutcome;

/// How long a notice may take when the header does not say, in milliseconds.
pub const DEFAULT_NOTICE_MS: u64 = 10_000;

/// The longest time that a header may give a notice, in milliseconds: a run that has ended waits so long.
pub const LONGEST_NOTICE_MS: u64 = 60_000;

/// What somebody is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// The gate is open: the release begins.
    Start,
    /// The run ended as released.
    Released,
    /// It ended as backed out.
    BackedOut,
    /// It ended as stuck.
    Stuck,
    /// It ended without having changed anything.
    Refused,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Start,
        Self::Released,
        Self::BackedOut,
        Self::Stuck,
        Self::Refused,
    ];

    /// Those of a notice that does not say.
    pub const USUAL: [Self; 4] = [Self::Start, Self::Released, Self::BackedOut, Self::Stuck];

    /// The word of plans and events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Released => "released",
            Self::BackedOut => "backed-out",
            Self::Stuck => "stuck",
            Self::Refused => "refused",
        }
    }

    /// The end of a run.
    #[must_use]
    pub fn of_end(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Released => Self::Released,
            RunOutcome::BackedOut => Self::BackedOut,
            RunOutcome::Stuck => Self::Stuck,
            RunOutcome::Refused => Self::Refused,
        }
    }
}

/// A text of a header that may be secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum HeaderText {
    /// It stands in the plan.
    Plain(String),
    /// The plan only names it: the host fetches it when it is needed.
    Secret(NamedSecret),
}

/// A secret as a header names it: where `secret` of a plan would have it from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NamedSecret {
    /// Its name; without one of the following, the environment variable.
    pub secret: String,
    /// The environment variable that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The file that holds it, from the plan's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The command that prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
}

/// By which way somebody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// A webhook that takes `{"text": …}`: Slack, Mattermost, Rocket.Chat and others.
    Slack {
        /// Its address.
        url: HeaderText,
    },
    /// A web server that takes the notice as JSON.
    Webhook {
        /// Its address.
        url: HeaderText,
        /// Headers to send.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, HeaderText>,
    },
    /// A message for a program that takes mail as `sendmail` does.
    Email {
        /// To whom.
        to: Vec<String>,
        /// From whom; without it, as the program says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// The program and its arguments.
        sendmail: Vec<String>,
    },
    /// A command, with the notice as JSON on its standard input.
    Command {
        /// It.
        command: Command,
    },
}

impl Channel {
    /// Who is told, in words that hold no secret and no path of an address.
    #[must_use]
    pub fn words(&self) -> String {
        let at = |kind: &str, url: &HeaderText| match url {
            HeaderText::Plain(url) => format!("{kind} {}", host_of(url)),
            HeaderText::Secret(named) => format!("{kind} {}", named.secret),
        };
        match self {
            Self::Slack { url } => at("slack", url),
            Self::Webhook { url, .. } => at("webhook", url),
            Self::Email { to, .. } => format!("email {}", to.join(", ")),
            Self::Command { command } => {
                let program = match command {
                    Command::Argv(argv) => argv.first().cloned(),
                    Command::Shell(text) => text.split_whitespace().next().map(str::to_owned),
                };
                format!("command {}", program.unwrap_or_default())
            }
        }
    }
}

/// The host of an address; what stands before and behind it may let somebody in.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

/// One who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Notify {
    /// When.
    pub on: Vec<Occasion>,
    /// How.
    #[serde(flatten)]
    pub channel: Channel,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

impl Notify {
    /// Who is told, and when.
    #[must_use]
    pub fn words(&self) -> String {
        let on: Vec<&str> = self.on.iter().map(|on| on.word()).collect();
        format!("{} ({})", self.channel.words(), on.join(", "))
    }

    /// Are they told of that? Whoever hears that a release begins and how it ends hears also that it
    /// came to nothing.
    #[must_use]
    pub fn wants(&self, occasion: Occasion, has_begun: bool) -> bool {
        let ends = self.on.iter().any(|on| *on != Occasion::Start);
        self.on.contains(&occasion)
            || occasion == Occasion::Refused
                && has_begun
                && ends
                && self.on.contains(&Occasion::Start)
    }
}

/// What somebody is told. Its texts are masked already.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What of.
    pub occasion: Occasion,
    /// The run.
    pub run: String,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// Who has the run.
    pub by: Actor,
    /// What is released.
    pub header: Header,
    /// How it ended, if it has.
    pub end: Option<RunEnd>,
}

impl Notice {
    /// The one line that says it.
    #[must_use]
    pub fn subject(&self) -> String {
        let what = format!("{} to {}", self.header.release(), self.header.environment);
        let how = match self.occasion {
            Occasion::Start => "the release begins",
            Occasion::Released => "released",
            Occasion::BackedOut => "backed out",
            Occasion::Stuck => "STUCK, a person is needed",
            Occasion::Refused => "refused, nothing was changed",
        };
        one_line(&format!("{what}: {how}"))
    }

    /// All that there is to say, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![self.subject()];
        let mut say = |name: &str, value: &str| {
            if !value.is_empty() {
                lines.push(format!("{name}: {}", one_line(value)));
            }
        };
        match self.occasion {
            Occasion::Start => {
                say("why", &self.header.why);
                say("new", &self.header.features.join("; "));
                say("users", &self.header.users);
                let expected = self.header.expected_ms.map(shown);
                say("expected", &expected.unwrap_or_default());
            }
            Occasion::Released | Occasion::BackedOut | Occasion::Stuck | Occasion::Refused => {}
        }
        if let Some(end) = &self.end {
            say("reason", &end.reason);
            if self.occasion == Occasion::BackedOut {
                match end.without_back_out.len() {
                    0 => say("state", "as before the release"),
                    _ => say("nothing vouches for", &end.without_back_out.join("; ")),
                }
            }
            for changed in &end.still_changed {
                say(
                    "still changed",
                    &format!("{}: {}", changed.title, changed.why),
                );
            }
        }
        say("support", &self.header.support);
        say(
            "run",
            &format!("{} on {} ({})", self.run, self.by.host, self.by.user),
        );
        if self.occasion == Occasion::Stuck {
            say("look", &format!("deployrun show {}", self.run));
        }
        lines.join("\n")
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| {
            let is_empty = value.as_str().is_some_and(str::is_empty)
                || value.as_array().is_some_and(Vec::is_empty);
            if !is_empty {
                map.insert(name.to_owned(), value);
            }
        };
        let header = &self.header;
        put("event", json!(self.occasion.word()));
        put("run", json!(self.run));
        put("at_ms", json!(self.at_ms));
        put("name", json!(header.name));
        put("version", json!(header.version));
        put("environment", json!(header.environment));
        put("why", json!(header.why));
        put("owner", json!(header.owner));
        put("support", json!(header.support));
        put("host", json!(self.by.host));
        put("user", json!(self.by.user));
        if let Some(end) = &self.end {
            put("outcome", json!(end.outcome.word()));
            put("exit_status", json!(end.outcome.exit_status()));
            put("reason", json!(end.reason));
            let changed = end.still_changed.iter();
            let changed: Vec<Value> = changed
                .map(|c| json!({ "title": c.title, "why": c.why }))
                .collect();
            put("still_changed", Value::from(changed));
            put("without_back_out", json!(end.without_back_out));
        }
        put("text", json!(self.text()));
        Value::Object(map)
    }

    /// The same as a message of the kind of RFC 5322.
    #[must_use]
    pub fn mail(&self, to: &[String], from: Option<&str>) -> String {
        let mut mail = String::new();
        if let Some(from) = from {
            mail += &format!("From: {from}\n");
        }
        mail += &format!("To: {}\n", to.join(", "));
        mail += &format!(
            "Subject: {}\n",
            encoded(&format!("[deployrun] {}", self.subject()))
        );
        mail += "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n";
        mail += "Content-Transfer-Encoding: 8bit\nAuto-Submitted: auto-generated\n\n";
        mail += &self.text();
        mail.push('\n');
        mail
    }
}

/// A line that ends no header and no line of a message.
fn one_line(text: &str) -> String {
    super::hidden::visible(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn shown(ms: u64) -> String {
    duration::show(Duration::from_millis(ms))
}

/// A header's text as RFC 2047 has it when it is not ASCII: encoded words of at most 75 characters.
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        let mut bytes = [0; 4];
        let piece: String = match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => c.to_string(),
            _ => c
                .encode_utf8(&mut bytes)
                .bytes()
                .map(|b| format!("={b:02X}"))
                .collect(),
        };
        // With `Subject: ` before it, a line has at most 76 characters.
        if word.len() + piece.len() > 50 {
            words.push(std::mem::take(&mut word));
        }
        word += &piece;
    }
    words.push(word);
    let words: Vec<String> = words.iter().map(|w| format!("=?utf-8?Q?{w}?=")).collect();
    words.join("\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::outcome::StopCause;

    fn notice(occasion: Occasion, outcome: Option<RunOutcome>) -> Notice {
        Notice {
            occasion,
            run: "20260101-1".into(),
            at_ms: 0,
            by: Actor {
                user: "ops".into(),
                host: "build1".into(),
                pid: 7,
            },
            header: Header {
                name: "shop".into(),
                version: "2.4".into(),
                environment: "production".into(),
                why: "a\nb".into(),
                ..Header::default()
            },
            end: outcome.map(|outcome| RunEnd {
                outcome,
                cause: Some(StopCause::FailedStep),
                reason: "the step failed".into(),
                still_changed: Vec::new(),
                survivors: Vec::new(),
                without_back_out: Vec::new(),
                unwritten: Vec::new(),
            }),
        }
    }

    #[test]
    fn a_notice_says_what_happened_where_and_why() {
        assert_eq!(
            notice(Occasion::Start, None).text(),
            "shop 2.4 to production: the release begins\nwhy: a b\nrun: 20260101-1 on build1 (ops)"
        );
        assert_eq!(
            notice(Occasion::BackedOut, Some(RunOutcome::BackedOut)).text(),
            "shop 2.4 to production: backed out\nreason: the step failed\n\
             state: as before the release\nrun: 20260101-1 on build1 (ops)"
        );
    }

    #[test]
    fn a_header_of_a_mail_is_one_line_and_ascii() {
        let mut notice = notice(Occasion::Start, None);
        notice.header.name = "Lädchen\nBcc: all@example.org".into();
        let mail = notice.mail(&["a@example.org".into()], None);
        let (head, _) = mail.split_once("\n\n").expect("a head");
        assert!(head.is_ascii(), "{head}");
        assert!(!head.contains("\nBcc"), "{head}");
        assert!(head.lines().all(|line| line.len() <= 76), "{head}");
        assert!(
            head.contains("=?utf-8?Q?=5Bdeployrun=5D=20L=C3=A4dchen"),
            "{head}"
        );
    }

    #[test]
    fn an_address_is_named_by_its_host_alone() {
        let words = |url: &str| {
            let url = HeaderText::Plain(url.into());
            let headers = BTreeMap::new();
            Channel::Webhook { url, headers }.words()
        };
        assert_eq!(
            words("https://u:p@h.example:8443/T0/x?k=1"),
            "webhook h.example:8443"
        );
        assert_eq!(words("http://h?k=1"), "webhook h");
    }

    #[test]
    fn who_hears_of_a_begin_hears_that_it_came_to_nothing() {
        let on = |on: &[Occasion]| Notify {
            on: on.to_vec(),
            channel: Channel::Command {
                command: Command::Shell("x".into()),
            },
            timeout_ms: 1,
        };
        assert!(on(&Occasion::USUAL).wants(Occasion::Refused, true));
        assert!(!on(&Occasion::USUAL).wants(Occasion::Refused, false));
        assert!(!on(&[Occasion::Stuck]).wants(Occasion::Refused, true));
        assert!(!on(&[Occasion::Start]).wants(Occasion::Refused, true));
        assert!(on(&[Occasion::Refused]).wants(Occasion::Refused, false));
    }
}
