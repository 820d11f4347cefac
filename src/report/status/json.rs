//! The status of a run, for programs.

use serde_json::{Value, json};

use crate::report::lines::Activity;
use crate::words::call::CallId;

use super::{Beside, Lock, Seen, Status, Watched, Window};

impl Status {
    /// The same for programs.
    #[must_use]
    pub fn json(&self, beside: &Beside<'_>) -> Value {
        let end = self.lines.end();
        let is_open = end.is_none();
        let owner = match (is_open, &beside.owner) {
            (false, _) => None,
            (true, Some(_)) => Some("live"),
            (true, None) => Some("dead"),
        };
        let cause = end
            .and_then(|end| end.cause)
            .or(self.stop.as_ref().map(|(cause, _)| *cause));
        let reason = match (end, &self.stop) {
            (Some(end), _) if !end.reason.is_empty() => Some(&end.reason),
            (_, Some((_, reason))) => Some(reason),
            _ => None,
        };
        let mut value = json!({
            "run": self.run(), "plan": self.header.name, "version": self.header.version,
            "environment": self.header.environment, "phase": self.phase.word(),
            "phase_since_ms": self.phase_since_ms, "outcome": end.map(|end| end.outcome.word()),
            "cause": cause, "reason": reason, "owner": owner, "holder": beside.owner,
        });
        let Some(map) = value.as_object_mut().filter(|_| is_open) else {
            return value;
        };
        let steps: Vec<Value> = self
            .steps()
            .map(|(activity, directory)| step_json(activity, directory, &(beside.seen)(directory)))
            .collect();
        map.insert("steps".into(), steps.into());
        let others = self.lines.activities().iter();
        let others = others.filter(|a| a.directory.is_none());
        let waits: Vec<Value> = others
            .map(|a| {
                json!({
                    "what": a.sign_of_life(beside.now_ms), "since_ms": a.since_ms,
                    "until_ms": a.until_ms,
                })
            })
            .collect();
        map.insert("waits".into(), waits.into());
        let watches: Vec<Value> = self.watches.iter().map(watch_json).collect();
        map.insert("watches".into(), watches.into());
        let approvals: Vec<Value> = self
            .lines
            .wanted_approvals()
            .map(|name| json!({ "name": name, "command": self.approve_command(name) }))
            .collect();
        map.insert("approvals".into(), approvals.into());
        map.insert("lock".into(), self.lock_json());
        map.insert("window".into(), self.window_json());
        let deadline = self.deadline_ms().map(|(ends, stops)| {
            json!({
                "at_ms": ends, "release_stops_ms": stops, "reserved_ms": self.header.reserved_ms(),
            })
        });
        map.insert("deadline".into(), deadline.into());
        let armed: Vec<String> = self.lines.armed().collect();
        map.insert("armed".into(), armed.into());
        if beside.owner.is_none() {
            let (back_out, resume) = self.commands();
            map.insert("back_out".into(), back_out.into());
            map.insert("resume".into(), resume.into());
        }
        value
    }

    fn lock_json(&self) -> Value {
        match &self.lock {
            Lock::NotAsked => Value::Null,
            Lock::Awaited(holder) => json!({ "taken": false, "holder": holder }),
            Lock::Taken => json!({ "taken": true }),
        }
    }

    fn window_json(&self) -> Value {
        match &self.window {
            None => Value::Null,
            Some(Window::Awaited {
                opens_ms,
                closes_ms,
            }) => json!({ "open": false, "opens_ms": opens_ms, "closes_ms": closes_ms }),
            Some(Window::Open { closes_ms }) => json!({ "open": true, "closes_ms": closes_ms }),
            Some(Window::SetAside { reason }) => json!({ "set_aside": reason }),
        }
    }
}

fn step_json(activity: &Activity, directory: &str, seen: &Seen) -> Value {
    let named = CallId::of_directory(directory);
    json!({
        "id": named.as_ref().map(|(id, ..)| id),
        "attempt": named.as_ref().map(|(_, attempt, _)| attempt),
        "back_out": named.as_ref().is_some_and(|(.., backs_out)| *backs_out),
        "title": activity.what, "since_ms": activity.since_ms, "until_ms": activity.until_ms,
        "acts": seen.acts, "tail": seen.tail,
    })
}

fn watch_json(watched: &Watched) -> Value {
    let watch = &watched.watch;
    let last = watched.last.as_ref().map(
        |(verdict, bad, at_ms)| json!({ "verdict": verdict.words(), "bad": bad, "at_ms": at_ms }),
    );
    json!({
        "id": watched.id, "name": watch.name, "every_ms": watch.every_ms,
        "failures": watch.failures, "observe": watch.observe, "last": last,
    })
}
