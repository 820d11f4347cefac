//! Processes of this machine, found by what stands in `/proc`.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// A process that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its command line.
    pub command: String,
}

/// All processes, without zombies.
fn all() -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) {
            found.push(pid);
        }
    }
    found
}

fn command(pid: i32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&raw).replace('\0', " ");
    text.trim_end().to_owned()
}

/// The processes with `text` in their environment, such as `NAME=value`. Zombies have none.
pub fn with_environment(text: &str) -> Vec<Process> {
    all()
        .into_iter()
        .filter(|pid| {
            let env = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            env.split(|b| *b == 0).any(|v| v == text.as_bytes())
        })
        .map(|pid| Process {
            pid,
            command: command(pid),
        })
        .collect()
}

/// The processes whose command line contains `text`.
pub fn with_command(text: &str) -> Vec<Process> {
    all()
        .into_iter()
        .map(|pid| Process {
            pid,
            command: command(pid),
        })
        .filter(|p| p.command.contains(text))
        .collect()
}

/// The children of a process.
pub fn children(parent: i32) -> Vec<i32> {
    let parent = format!("PPid:\t{parent}");
    all()
        .into_iter()
        .filter(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line == parent)
        })
        .collect()
}

/// The supervisors that have a step in flight, of all runs below a state directory.
pub fn supervisors(state: &Path) -> Vec<i32> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let steps = below(&state.join("runs"))
        .into_iter()
        .flat_map(|run| below(&run));
    steps
        .filter(|step| !step.join("exit").exists())
        .filter_map(|step| supervisor(&step))
        .filter(|pid| command(*pid).contains("__supervise"))
        .collect()
}

/// The supervisor that took the step of this directory on, if one did.
pub fn supervisor(step: &Path) -> Option<i32> {
    let lock = fs::read_to_string(step.join("lock")).unwrap_or_default();
    let (first, _) = lock.split_once('\n')?;
    let first: serde_json::Value = serde_json::from_str(first).expect("json");
    i32::try_from(first["pid"].as_i64()?).ok()
}

/// Kills one process; whether it was there.
pub fn kill(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}
