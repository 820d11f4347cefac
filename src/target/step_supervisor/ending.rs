//! Ending the tree of a step, and seeing that it has ended.
//!
//! TERM and CONT go to the whole tree: to the process group at once, and to every descendant outside
//! of it (`setsid`, daemons), so that each process gets one TERM, not two. After the grace KILL goes
//! round until nothing is left. Every descendant is a child of this process sooner or later, because
//! it is their subreaper; so the tree is gone exactly when there is no child to wait for.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use rustix::process::Signal;

use super::tree::{self, Pinned};
use super::watch::{Stage, Watch};

/// A process that is not gone this long after KILL will not go: it hangs in the kernel, or is not
/// ours to kill.
const UNKILLABLE: Duration = Duration::from_secs(10);
/// The same for one that is found by its mark only.
const ESCAPED: Duration = Duration::from_secs(2);
/// Longest wait between two rounds of KILL.
pub(super) const ROUND: Duration = Duration::from_millis(5);
/// Most processes that are named in a list.
pub(super) const NAMED: usize = 256;

impl Watch<'_> {
    /// Reaps whoever has ended, by pid, and learns whether anybody is left. The command itself is
    /// reaped only after its group has been dealt with: until then its pid means nobody else.
    pub(super) fn reap(&mut self, now: Instant) {
        loop {
            let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            match waitid(Id::All, peek) {
                Err(Errno::EINTR) => {}
                Err(e) => {
                    self.childless = e == Errno::ECHILD;
                    return;
                }
                Ok(status) => match status.pid() {
                    None => return,
                    Some(pid) if pid.as_raw() == self.child.pid && self.end.is_none() => {
                        self.command_ended(&status, now);
                    }
                    Some(pid) => {
                        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                    }
                },
            }
        }
    }

    fn command_ended(&mut self, status: &WaitStatus, now: Instant) {
        if self.stage == Stage::Running {
            match status {
                WaitStatus::Exited(_, code) if self.spec.success_codes.contains(code) => {
                    self.stage = Stage::Leaving { since: now };
                }
                // A failed command's background work must not race its back-out.
                _ => self.begin_terminating(now),
            }
        }
        let duration = self.elapsed();
        self.end = Some((self.child.reap(), duration));
    }

    /// Whether the command's process group can be signalled by its number.
    fn has_group(&self) -> bool {
        self.end.is_none()
    }

    pub(super) fn begin_terminating(&mut self, now: Instant) {
        let group = self.has_group().then_some(self.child.pid);
        tree::each_descendant(|p| {
            self.count(p, true);
            if Some(p.stat.pgrp) != group {
                p.signal(Signal::TERM);
                p.signal(Signal::CONT);
            }
        });
        if let Some(leader) = group {
            tree::signal_group(leader, Signal::TERM);
            tree::signal_group(leader, Signal::CONT);
        }
        let year = Duration::from_secs(365 * 24 * 3600);
        let grace = Duration::from_millis(self.spec.grace_ms).min(year);
        self.stage = Stage::Terminating { until: now + grace };
    }

    pub(super) fn begin_killing(&mut self, now: Instant) {
        tree::each_descendant(|p| {
            self.count(p, true);
        });
        self.stage = Stage::Killing {
            until: now + UNKILLABLE,
        };
        self.hurry = true;
    }

    /// Sends KILL to everybody there is now. Whoever was born meanwhile is met in the next round.
    pub(super) fn kill_round(&mut self) {
        if self.has_group() {
            tree::signal_group(self.child.pid, Signal::KILL);
        }
        let mut fresh = false;
        tree::each_descendant(|p| {
            p.signal(Signal::KILL);
            fresh |= self.count(p, false);
        });
        self.hurry = fresh;
    }

    /// Notes a process that is being ended; false if it was noted before.
    fn count(&mut self, p: &Pinned, whole: bool) -> bool {
        let fresh = self.counted.insert(p.stat.key());
        if fresh && self.killed.len() < NAMED {
            // A fork storm is chased faster than the open files of each process can be read.
            let pipes = if whole { &self.pipes[..] } else { &[] };
            self.killed.push(tree::fact(&p.stat, pipes, &self.masker));
        }
        fresh
    }

    /// Nothing below this process is left. What has escaped from the tree all the same still has
    /// the mark in its environment.
    pub(super) fn tree_is_gone(&mut self) {
        let until = Instant::now() + ESCAPED;
        loop {
            let known: Vec<i32> = self.survivors.iter().map(|s| s.pid).collect();
            let mut found = Vec::new();
            tree::each_marked(super::MARK, self.mark, |p| {
                if !known.contains(&p.stat.pid) {
                    self.count(&p, true);
                    p.signal(Signal::KILL);
                    found.push(p);
                }
            });
            if found.is_empty() {
                break;
            }
            if Instant::now() >= until {
                let facts = found
                    .iter()
                    .map(|p| tree::fact(&p.stat, &self.pipes, &self.masker));
                self.survivors.extend(facts);
                break;
            }
            std::thread::sleep(ROUND);
        }
        self.begin_closing();
    }

    /// Names whoever is still there.
    pub(super) fn give_up(&mut self) {
        let mut survivors = Vec::new();
        tree::each_descendant(|p| survivors.push(tree::fact(&p.stat, &self.pipes, &self.masker)));
        self.survivors = survivors;
        self.tree_is_gone();
    }
}
