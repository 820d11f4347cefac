//! The program under test: started with a state directory of its own and a clock that is set, its
//! events read as they come.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead, BufReader, Lines, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A command of deployrun that prints events, with its journal in `state`. Its clock begins at
/// `now`: windows are then open or not whenever the test is run.
pub fn deployrun(state: &Path, now: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deployrun"));
    command
        .args(args)
        .args(["--format", "json"])
        .env("DEPLOYRUN_STATE", state)
        .env("DEPLOYRUN_TEST_NOW", now)
        .env_remove("DEPLOYRUN_FORMAT")
        .stdin(Stdio::null());
    command
}

/// A deployrun that runs.
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    stderr: ChildStderr,
    /// What it has told so far.
    pub events: Vec<Value>,
}

/// What a deployrun that has ended has told.
pub struct Ended {
    /// Its exit status.
    pub status: Option<i32>,
    /// Its events.
    pub events: Vec<Value>,
    /// What it printed on stderr.
    pub stderr: String,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("deployrun can be started");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let stderr = child.stderr.take().expect("stderr is a pipe");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
            stderr,
            events: Vec::new(),
        }
    }

    /// Waits for the next event of this kind for which `is_it` holds.
    pub fn wait_for(&mut self, kind: &str, is_it: impl Fn(&Value) -> bool) -> &Value {
        while self.read() {
            let event = self.events.last().expect("one was read");
            if event["event"] == kind && is_it(event) {
                return self.events.last().expect("one was read");
            }
        }
        let mut stderr = String::new();
        let _ = self.stderr.read_to_string(&mut stderr);
        panic!(
            "deployrun ended without the awaited `{kind}`\n{}\n{stderr}",
            told(&self.events)
        );
    }

    fn read(&mut self) -> bool {
        let Some(line) = self.lines.next() else {
            return false;
        };
        let line = line.expect("stdout can be read");
        let event = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.events.push(event);
        true
    }

    /// The id of its run.
    pub fn run(&self) -> String {
        let first = self.events.first().expect("an event was read");
        first["run"].as_str().expect("it names its run").to_owned()
    }

    /// Sends it SIGTERM.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM)
            .expect("it runs");
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        while self.read() {}
        let mut stderr = String::new();
        let _ = self.stderr.read_to_string(&mut stderr);
        let status = self.child.wait().expect("it can be waited for").code();
        Ended {
            status,
            events: std::mem::take(&mut self.events),
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that has failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Fails the test unless it ended with this status.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(
            self.status,
            Some(status),
            "exit status; it told:\n{}\n{}",
            told(&self.events),
            self.stderr
        );
        self
    }

    /// What was done and how it ended, one line each.
    pub fn told(&self) -> String {
        told(&self.events)
    }
}

/// What was done and how it ended, one line each: findings that say no, steps, back-outs, what was
/// said, why it stopped, the end. What differs from run to run is left out.
pub fn told(events: &[Value]) -> String {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let mut titles = std::collections::BTreeMap::new();
    let mut lines = Vec::new();
    for event in events {
        let line = match text(event, "event").as_str() {
            "finding" if event["ok"] == false => format!("not so: {}", text(event, "name")),
            "step-started" => {
                titles.insert(text(event, "id"), text(&event["step"], "title"));
                continue;
            }
            "step-ended" => {
                let id = text(event, "id");
                // Another process may have begun it.
                let title = titles
                    .get(&id)
                    .cloned()
                    .unwrap_or_else(|| format!("call {id}"));
                let again = if event["again"] == true {
                    ", again"
                } else {
                    ""
                };
                format!("{title}: {}{again}", text(event, "outcome"))
            }
            "step-void" => format!("{}: never began", text(event, "id")),
            "called" | "call-began" => match event["call"]["function"].as_str() {
                Some("step_begin") => format!("group {}", text(&event["call"], "title")),
                Some("note") => format!("said: {}", text(&event["call"], "text")),
                Some("watch" | "verify") => {
                    titles.insert(text(event, "id"), text(&event["call"], "name"));
                    continue;
                }
                _ => continue,
            },
            "call-ended" => match titles.get(&text(event, "id")) {
                Some(title) if event["answer"]["value"] == true => format!("verified {title}"),
                Some(title) => format!("not verified {title}"),
                None => continue,
            },
            "run-resumed" => format!("taken up: {}", text(event, "command")),
            "approval-asked" => format!("asks for approval: {}", text(event, "name")),
            "approved" => format!("approved: {}", text(event, "name")),
            "window-awaited" => format!("waits for the window {}", text(event, "window")),
            "window-open" => format!("the window is open: {}", text(event, "window")),
            "window-overridden" => format!("the window is set aside: {}", text(event, "reason")),
            "stopping" => format!("stops: {}", text(event, "cause")),
            "back-out-ended" => {
                format!(
                    "back-out of {}: {}",
                    text(event, "id"),
                    text(event, "outcome")
                )
            }
            "run-ended" => text(&event["end"], "outcome"),
            _ => continue,
        };
        lines.push(line);
    }
    lines.join("\n")
}
