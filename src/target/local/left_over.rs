//! Ends what is left of a step whose supervisor has died.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::super::step_supervisor::MARK;
use super::super::step_supervisor::publish::{ChildFact, Started};
use super::super::step_supervisor::tree::{self, Pinned, Stat};
use crate::words::mask::Masker;
use crate::words::step::ProcessFact;

/// A process that is not gone this long after KILL will not go.
const UNKILLABLE: Duration = Duration::from_secs(10);
const ROUND: Duration = Duration::from_millis(5);
/// So many looks in a row must find nothing: one that forks and exits faster than `/proc` is read
/// may be missed by one.
const LOOKS: u32 = 5;

/// Sends TERM, waits for the grace, sends KILL until nothing that can be found is left. Returns what
/// was ended and what survived.
pub(super) fn end(
    started: &Started,
    child: Option<&ChildFact>,
) -> (Vec<ProcessFact>, Vec<ProcessFact>) {
    let mut search = Search::new(started, child);
    let first = search.live();
    for p in &first {
        p.signal(Signal::TERM);
        p.signal(Signal::CONT);
    }
    wait_for_all(&first, Duration::from_millis(started.grace_ms));
    let until = Instant::now() + UNKILLABLE;
    let mut left = Vec::new();
    let mut empty_looks = 0;
    while empty_looks < LOOKS && Instant::now() < until {
        search.kill_marked();
        left = search.live();
        for p in &left {
            p.signal(Signal::KILL);
        }
        let done = left.is_empty() && !search.is_undecided();
        empty_looks = if done { empty_looks + 1 } else { 0 };
        if left.is_empty() {
            std::thread::sleep(ROUND);
        }
        wait_for_all(&left, ROUND);
    }
    left.retain(|p| tree::stat(p.stat.pid).is_some_and(|s| s.key() == p.stat.key() && s.is_live()));
    let mut survivors: Vec<ProcessFact> = left.iter().map(|p| fact(&p.stat)).collect();
    survivors.extend(search.spared);
    (search.killed, survivors)
}

/// The command line was not masked by anybody: without the supervisor the secrets are not known, so
/// only the program is told.
fn fact(stat: &Stat) -> ProcessFact {
    let mut fact = tree::fact(stat, &[], &Masker::default());
    fact.command = fact
        .command
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    fact
}

fn wait_for_all(processes: &[Pinned], time: Duration) {
    let until = Instant::now() + time.min(Duration::from_secs(365 * 24 * 3600));
    for p in processes {
        let rest = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&p.fd, PollFlags::IN)];
        // An interrupted wait only makes KILL come earlier by the rest of one process's time.
        let _ = rustix::event::poll(&mut fds, Timespec::try_from(rest).ok().as_ref());
    }
}

struct Search<'a> {
    started: &'a Started,
    child: Option<&'a ChildFact>,
    /// Pid and start time of all that were found so far. A process stays one of the step even when
    /// the parent that proved it is gone.
    known: HashSet<(i32, u64)>,
    killed: Vec<ProcessFact>,
    /// Processes of the step that this one descends from, and itself; ending them would end the
    /// search.
    spared: Vec<ProcessFact>,
}

impl<'a> Search<'a> {
    fn new(started: &'a Started, child: Option<&'a ChildFact>) -> Self {
        let (killed, spared) = (Vec::new(), Vec::new());
        Self {
            started,
            child,
            known: HashSet::new(),
            killed,
            spared,
        }
    }

    /// The live processes of the step, pinned.
    fn live(&mut self) -> Vec<Pinned> {
        let all: HashMap<i32, Stat> = tree::all_pids()
            .into_iter()
            .filter_map(tree::stat)
            .map(|s| (s.pid, s))
            .collect();
        let entry = format!("{MARK}={}", self.started.mark);
        let marked = |s: &Stat| tree::has_mark(s.pid, entry.as_bytes());
        let mut ours: HashSet<i32> = all
            .values()
            .filter(|s| self.known.contains(&s.key()) || self.is_child(s) || marked(s))
            .map(|s| s.pid)
            .collect();
        close(&mut ours, &all, self.started.pid, self.child.map(|c| c.pid));
        let above = lineage();
        let mut found = Vec::new();
        for stat in ours
            .iter()
            .filter_map(|pid| all.get(pid))
            .filter(|s| s.is_live())
        {
            let fresh = self.known.insert(stat.key());
            if above.contains(&stat.pid) {
                if fresh {
                    self.spared.push(fact(stat));
                }
                continue;
            }
            // The pinned one must be the one that was looked at.
            let Some(pinned) = Pinned::open(stat.pid).filter(|p| p.stat.key() == stat.key()) else {
                continue;
            };
            if fresh {
                self.killed.push(fact(stat));
            }
            found.push(pinned);
        }
        found
    }

    /// Sends KILL to each process with the mark as soon as it is seen.
    fn kill_marked(&mut self) {
        let above = lineage();
        let mark = &self.started.mark;
        tree::each_marked(MARK, mark, |p| {
            if !above.contains(&p.stat.pid) {
                if self.known.insert(p.stat.key()) {
                    self.killed.push(fact(&p.stat));
                }
                p.signal(Signal::KILL);
            }
        });
    }

    /// Is there a process in a session of the step's number that has no environment at all? One that
    /// is just executing a program has none yet, so it must be looked at again.
    fn is_undecided(&self) -> bool {
        let strange = |s: &Stat| {
            s.session == self.started.pid && s.is_live() && !self.known.contains(&s.key())
        };
        tree::all_pids()
            .into_iter()
            .filter_map(tree::stat)
            .any(|s| strange(&s) && tree::has_no_environment(s.pid))
    }

    fn is_child(&self, stat: &Stat) -> bool {
        self.child
            .is_some_and(|c| stat.key() == (c.pid, c.starttime))
    }
}

/// Adds descendants, and the members of the step's session and process group. A session's number
/// means that session for as long as it has a member, so one member that is surely ours proves it
/// for the others.
fn close(ours: &mut HashSet<i32>, all: &HashMap<i32, Stat>, session: i32, group: Option<i32>) {
    loop {
        let has = |test: &dyn Fn(&Stat) -> bool| ours.iter().filter_map(|p| all.get(p)).any(test);
        let in_session = has(&|s| s.session == session);
        let in_group = has(&|s| Some(s.pgrp) == group);
        let more: Vec<i32> = all
            .values()
            .filter(|s| !ours.contains(&s.pid))
            .filter(|s| {
                ours.contains(&s.ppid)
                    || (in_session && s.session == session)
                    || (in_group && Some(s.pgrp) == group)
            })
            .map(|s| s.pid)
            .collect();
        if more.is_empty() {
            return;
        }
        ours.extend(more);
    }
}

/// This process and its ancestors.
fn lineage() -> HashSet<i32> {
    let mut found = HashSet::new();
    let mut at = tree::own_pid();
    while found.insert(at) {
        let Some(stat) = tree::stat(at) else { break };
        at = stat.ppid;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, ppid: i32, pgrp: i32, session: i32) -> (i32, Stat) {
        let name = String::new();
        (
            pid,
            Stat {
                pid,
                ppid,
                pgrp,
                session,
                state: 'S',
                threads: 1,
                starttime: 5,
                name,
            },
        )
    }

    #[test]
    fn what_is_ours_is_closed_over_proof_only() {
        let all: HashMap<_, _> = [
            process(100, 1, 100, 100),   // somebody
            process(201, 1, 201, 200),   // ours by proof
            process(202, 1, 201, 200),   // same session
            process(203, 202, 203, 203), // setsid'd child of it
            process(204, 1, 204, 204),   // a stranger
        ]
        .into();
        let mut ours = HashSet::from([201]);
        close(&mut ours, &all, 200, Some(201));
        assert_eq!(ours, HashSet::from([201, 202, 203]));
        // Without a proof the number of the session alone proves nothing: it may be another one.
        let mut none = HashSet::new();
        close(&mut none, &all, 200, Some(201));
        assert!(none.is_empty());
    }

    #[test]
    fn the_lineage_goes_up_to_the_top() {
        let found = lineage();
        assert!(found.contains(&tree::own_pid()) && found.contains(&0));
    }
}
