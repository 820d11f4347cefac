//! Processes: what `/proc` says of them, who descends from whom, and signals that cannot hit the
//! wrong one.
//!
//! A signal is never sent to a bare number that was remembered. The process is pinned by a pidfd
//! first, then looked at (parent, start time), and signalled through the pidfd only if it is the
//! one that was meant.
//!
//! Own cgroups are left out. Measured on Linux 6.18, two cores: to make one, move a process into it
//! and remove it takes 0.34 ms in the median, but moving waits for an RCU grace period and takes
//! 3.8 ms at the 95th percentile, more than all the rest of a step; a daemon that is let live would
//! keep its cgroup for ever; and a user who is not root has none that is writable. Walking the tree
//! as its subreaper until nothing is left ended the same processes in every trial.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::words::mask::Masker;
use crate::words::step::ProcessFact;

/// Longest command line in a [`ProcessFact`], in characters.
const COMMAND_CHARS: usize = 256;

/// The part of `/proc/PID/stat` that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub pid: i32,
    pub ppid: i32,
    pub pgrp: i32,
    pub session: i32,
    pub state: char,
    pub threads: u32,
    /// Clock ticks since boot.
    pub starttime: u64,
    pub name: String,
}

impl Stat {
    /// Whether it still runs. The leader of a process whose other threads live is shown as `Z` too.
    pub fn is_live(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }

    /// Identity: a pid alone may be that of a later process.
    pub fn key(&self) -> (i32, u64) {
        (self.pid, self.starttime)
    }
}

/// A process pinned by a pidfd that was opened before it was looked at.
pub(crate) struct Pinned {
    pub stat: Stat,
    pub fd: OwnedFd,
}

impl Pinned {
    pub fn open(pid: i32) -> Option<Self> {
        let fd = rustix::process::pidfd_open(may_be_signalled(pid)?, PidfdFlags::empty()).ok()?;
        Some(Self {
            stat: stat(pid)?,
            fd,
        })
    }

    /// Sends a signal. A process that is gone meanwhile is no error; one that belongs to somebody
    /// else is found among the survivors.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.fd, signal);
    }
}

/// Refuses everything that is not one ordinary other process: 0, 1, negative numbers (groups, or
/// everybody) and this process itself.
fn may_be_signalled(pid: i32) -> Option<Pid> {
    if pid <= 1 || pid == own_pid() {
        return None;
    }
    Pid::from_raw(pid)
}

pub(crate) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// Signals a process group whose leader is an unreaped child of this process, so that the number
/// cannot mean anybody else. Never the own group.
pub(crate) fn signal_group(leader: i32, signal: Signal) {
    // 0 where the own group was made outside of this PID namespace.
    if leader == nix::unistd::getpgrp().as_raw() {
        return;
    }
    if let Some(pid) = may_be_signalled(leader) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Reads a pid strictly: decimal digits only, above 1.
pub(crate) fn parse_pid(text: &str) -> Option<i32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&pid| pid > 1)
}

/// Looks a process up; `None` if it is gone.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    // A line fits; `std::fs::read` would begin with 32 bytes.
    let mut line = [0; 1024];
    let n = File::open(format!("/proc/{pid}/stat"))
        .and_then(|mut f| f.read(&mut line))
        .ok()?;
    parse_stat(&String::from_utf8_lossy(&line[..n]))
}

/// The name may hold anything, also blanks and parentheses, so fields are counted from its end.
fn parse_stat(text: &str) -> Option<Stat> {
    let (pid, rest) = text.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    // Field numbers of proc(5), of which 3 is the first after the name.
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    let pgrp = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let threads = fields.nth(20 - 7)?.parse().ok()?;
    let starttime = fields.nth(22 - 21)?.parse().ok()?;
    let name = name.to_owned();
    Some(Stat {
        pid: pid.parse().ok()?,
        ppid,
        pgrp,
        session,
        state,
        threads,
        starttime,
        name,
    })
}

/// Pids of all processes.
pub(crate) fn all_pids() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str().and_then(parse_pid))
        .collect()
}

/// Pids of the descendants of this process, parents before children. Children are listed by the
/// thread that forked them. The list of a running process may lack one that is being born; whoever
/// must have them all asks again until there are none.
fn descendant_pids() -> Vec<i32> {
    let own = own_pid();
    let mut found = Vec::new();
    if !children_of(own, &mut found) {
        return descendants_by_parent(own);
    }
    let mut seen: HashSet<i32> = found.iter().copied().collect();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        let mut children = Vec::new();
        children_of(pid, &mut children);
        found.extend(children.into_iter().filter(|&c| seen.insert(c)));
        next += 1;
    }
    found
}

/// Appends the children of `pid`. False if the kernel does not list children
/// (`CONFIG_PROC_CHILDREN`).
fn children_of(pid: i32, found: &mut Vec<i32>) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    let mut listed = true;
    for thread in threads.flatten() {
        match std::fs::read_to_string(thread.path().join("children")) {
            Ok(text) => found.extend(text.split_ascii_whitespace().filter_map(parse_pid)),
            // A thread that has just ended is no sign of a kernel without lists.
            Err(_) if thread.path().join("stat").exists() => listed = false,
            Err(_) => {}
        }
    }
    listed
}

fn descendants_by_parent(own: i32) -> Vec<i32> {
    let mut by_parent: HashMap<i32, Vec<i32>> = HashMap::new();
    for stat in all_pids().into_iter().filter_map(stat) {
        by_parent.entry(stat.ppid).or_default().push(stat.pid);
    }
    let mut found = vec![own];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(by_parent.remove(pid).unwrap_or_default());
        next += 1;
    }
    found.remove(0);
    found
}

/// The live descendants of this process, each pinned, one after the other handed to `each`. Only
/// processes whose parent is in the tree are handed out, so a recycled pid cannot be taken for one.
pub(crate) fn each_descendant(mut each: impl FnMut(&Pinned)) {
    let pids = descendant_pids();
    let mut parents: HashSet<i32> = pids.iter().copied().collect();
    parents.insert(own_pid());
    for pid in pids {
        if let Some(pinned) = Pinned::open(pid)
            && pinned.stat.is_live()
            && parents.contains(&pinned.stat.ppid)
        {
            each(&pinned);
        }
    }
}

/// The live processes whose environment (as it was at their exec) has `NAME=VALUE`, each pinned and
/// handed to `each` before the next is looked at. Those of other users are seen by root only.
pub(crate) fn each_marked(name: &str, value: &str, mut each: impl FnMut(Pinned)) {
    let entry = format!("{name}={value}");
    for pid in all_pids() {
        if has_mark(pid, entry.as_bytes())
            && let Some(pinned) = Pinned::open(pid)
            && pinned.stat.is_live()
            // Looked at again because the first look was before the pinning.
            && has_mark(pid, entry.as_bytes())
        {
            each(pinned);
        }
    }
}

pub(crate) fn has_mark(pid: i32, entry: &[u8]) -> bool {
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|env| env.split(|&b| b == 0).any(|e| e == entry))
}

/// Is the environment of a process empty? While a program is being executed it is.
pub(crate) fn has_no_environment(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| env.is_empty())
}

/// What a person wants to know of a process. `pipes` are the inodes of the step's output pipes.
pub(crate) fn fact(stat: &Stat, pipes: &[u64], masker: &Masker) -> ProcessFact {
    let bytes = std::fs::read(format!("/proc/{}/cmdline", stat.pid)).unwrap_or_default();
    let words: Vec<_> = bytes
        .split(|&b| b == 0)
        .filter(|w| !w.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    let command = if words.is_empty() {
        format!("[{}]", stat.name)
    } else {
        words.join(" ")
    };
    let command = super::output::visible(&masker.mask_str(&command));
    ProcessFact {
        pid: stat.pid,
        state: stat.state,
        command: command.chars().take(COMMAND_CHARS).collect(),
        holds_output: holds(stat.pid, pipes),
    }
}

fn holds(pid: i32, pipes: &[u64]) -> bool {
    let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    fds.flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .any(|target| {
            let target = target.to_string_lossy();
            pipes
                .iter()
                .any(|inode| target == format!("pipe:[{inode}]"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stat_line_is_read_behind_a_hostile_name() {
        let line =
            "4711 (a) S 1 2 (x) ) R 12 34 56 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 987654 10 11";
        let s = parse_stat(line).unwrap();
        assert_eq!(
            (s.pid, s.ppid, s.pgrp, s.session, s.state),
            (4711, 12, 34, 56, 'R')
        );
        assert_eq!(
            (s.threads, s.starttime, s.name.as_str()),
            (9, 987_654, "a) S 1 2 (x) ")
        );
        assert!(parse_stat("4711 (x").is_none());
        assert!(parse_stat("4711 (x) R 1 2").is_none());
    }

    #[test]
    fn own_stat_is_true() {
        let s = stat(own_pid()).unwrap();
        assert_eq!(s.pgrp, nix::unistd::getpgrp().as_raw());
        assert!(s.is_live() && s.starttime > 0);
    }

    #[test]
    fn a_leader_whose_threads_live_is_live() {
        let mut s = stat(own_pid()).unwrap();
        s.state = 'Z';
        s.threads = 1;
        assert!(!s.is_live());
        s.threads = 2;
        assert!(s.is_live());
    }

    #[test]
    fn dangerous_pids_are_refused() {
        for text in [
            "",
            "0",
            "1",
            "-1",
            "+5",
            " 7",
            "7 ",
            "0x10",
            "99999999999",
            "self",
        ] {
            assert_eq!(parse_pid(text), None, "{text}");
        }
        assert_eq!(parse_pid("4711"), Some(4711));
        for pid in [-1, 0, 1, own_pid()] {
            assert!(may_be_signalled(pid).is_none());
            assert!(Pinned::open(pid).is_none());
        }
    }
}
