//! Tells somebody of a run: posts it, mails it, or hands it to a command. One try, in the time that the
//! header gives.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::words::call::Command;
use crate::words::mask::Masker;
use crate::words::notice::{Channel, HeaderText, Notice, Notify};
use crate::words::probe::{ProbeExit, ProbeSpec};

use super::host::{Host as _, ThisMachine};
use super::http;
use super::probe::Cancel;
use super::secret_source::SecretSource;

/// Bytes of output that a command may print.
const OUTPUT_MAX: u64 = 1 << 20;

/// Tells one. `place` is the directory of the plan and the environment of its probes.
///
/// # Errors
/// Says why it is not known that they have heard, without any secret of the header; as long as what was
/// answered, since only what is masked may be cut.
pub fn tell(
    notify: &Notify,
    notice: &Notice,
    place: (&Path, &BTreeMap<String, String>),
) -> Result<(), String> {
    let mut teller = Teller {
        until: Instant::now() + Duration::from_millis(notify.timeout_ms),
        place,
        cancel: Cancel::new().map_err(|error| error.to_string())?,
        secrets: Vec::new(),
    };
    let told = teller.tell(&notify.channel, notice);
    told.map_err(|problem| match Masker::new(&teller.secrets) {
        Ok(masker) => masker.mask_str(&problem),
        Err(error) => error.to_string(),
    })
}

struct Teller<'p> {
    until: Instant,
    place: (&'p Path, &'p BTreeMap<String, String>),
    cancel: Cancel,
    secrets: Vec<String>,
}

impl Teller<'_> {
    fn tell(&mut self, channel: &Channel, notice: &Notice) -> Result<(), String> {
        match channel {
            Channel::Slack { url } => {
                let body = json!({ "text": notice.text() }).to_string();
                self.post(url, &BTreeMap::new(), &body)
            }
            Channel::Webhook { url, headers } => {
                self.post(url, headers, &notice.json().to_string())
            }
            Channel::Email { to, from, sendmail } => {
                let mail = notice.mail(to, from.as_deref());
                self.run(&Command::Argv(sendmail.clone()), notice, mail)
            }
            Channel::Command { command } => {
                self.run(command, notice, format!("{}\n", notice.json()))
            }
        }
    }

    /// A text of the header; a secret is fetched now, and is masked in whatever is said later.
    fn text(&mut self, text: &HeaderText) -> Result<String, String> {
        let named = match text {
            HeaderText::Plain(text) => return Ok(text.clone()),
            HeaderText::Secret(named) => named,
        };
        let wrong = |problem: String| format!("the secret `{}`: {problem}", named.secret);
        let fetched = SecretSource::named(named).fetch(&ThisMachine, self.place, &self.cancel);
        let value = fetched.map_err(wrong)?;
        Masker::new(&[&value]).map_err(|error| wrong(error.to_string()))?;
        self.secrets.push(value.clone());
        Ok(value)
    }

    fn left(&self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        left.max(Duration::from_millis(1))
    }

    fn post(
        &mut self,
        url: &HeaderText,
        headers: &BTreeMap<String, HeaderText>,
        body: &str,
    ) -> Result<(), String> {
        let url = self.text(url)?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err("its address does not begin with http:// or https://".into());
        }
        let mut sent = BTreeMap::new();
        for (name, value) in headers {
            sent.insert(name.clone(), self.text(value)?);
        }
        let answer = http::post(&http::Post {
            url: &url,
            headers: &sent,
            content_type: "application/json",
            body: body.as_bytes(),
            timeout: self.left(),
            certificates: None,
        })?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&answer.body);
        Err(with(
            format!("the server answered {}", answer.status),
            &said,
        ))
    }

    fn run(&mut self, command: &Command, notice: &Notice, stdin: String) -> Result<(), String> {
        let mut env = self.place.1.clone();
        let header = &notice.header;
        for (name, value) in [
            ("DEPLOYRUN_EVENT", notice.occasion.word()),
            ("DEPLOYRUN_RUN", &notice.run),
            ("DEPLOYRUN_NAME", &header.name),
            ("DEPLOYRUN_VERSION", &header.version),
            ("DEPLOYRUN_ENVIRONMENT", &header.environment),
        ] {
            if !value.is_empty() {
                env.insert(name.to_owned(), value.to_owned());
            }
        }
        let spec = ProbeSpec {
            argv: command.argv(),
            env,
            cwd: self.place.0.to_owned(),
            stdin: Some(stdin),
            timeout_ms: u64::try_from(self.left().as_millis()).unwrap_or(u64::MAX),
            max_output: OUTPUT_MAX,
        };
        let end = ThisMachine.probe(&spec, &self.cancel);
        match end.how {
            ProbeExit::Exited { code: 0 } => Ok(()),
            ProbeExit::Exited { code } => Err(with(
                format!("it ended with exit status {code}"),
                &end.stderr,
            )),
            ProbeExit::Signaled { signal } => Err(format!("signal {signal} ended it")),
            ProbeExit::NotStarted { error } => Err(error),
            ProbeExit::TimedOut | ProbeExit::Cancelled => Err("its time was over".into()),
            ProbeExit::TooMuchOutput => Err("it printed too much".into()),
        }
    }
}

/// A problem with what the other side says of it.
fn with(problem: String, said: &str) -> String {
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    match line {
        Some(line) => format!("{problem}: {line}"),
        None => problem,
    }
}
