//! Who a process is, and whether it still lives.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// A process, told apart from every other by its machine, the machine's boot, its number and its
/// start. Numbers are used again; the same number with the same start is as good as unique, for a
/// start is counted in hundredths of a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The person or service.
    pub who: String,
    /// The machine's name.
    pub host: String,
    /// The process number.
    pub pid: u32,
    /// When the process started: clock ticks since boot, field 22 of `/proc/PID/stat`; 0 if unknown.
    pub start_time: u64,
    /// The machine's boot, `/proc/sys/kernel/random/boot_id`; empty if unknown.
    pub boot_id: String,
}

/// Whether a holder lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    /// It runs, or nothing shows that it does not.
    Alive,
    /// It has ended.
    Dead,
    /// It is on another machine, and cannot be seen from here.
    OtherHost,
}

impl Holder {
    /// This process, on behalf of `who`.
    #[must_use]
    pub fn this_process(who: impl Into<String>) -> Self {
        let pid = std::process::id();
        Self {
            who: who.into(),
            host: host(),
            pid,
            start_time: match start(pid) {
                Start::At(time) => time,
                Start::Ended | Start::Unknown => 0,
            },
            boot_id: boot_id(),
        }
    }

    /// Whether it still lives. In doubt it does: taking a lock from the living does more harm than
    /// asking a person about a dead one.
    #[must_use]
    pub fn alive(&self) -> Alive {
        if self.host != host() {
            return Alive::OtherHost;
        }
        let boot_id = boot_id();
        if !boot_id.is_empty() && !self.boot_id.is_empty() && boot_id != self.boot_id {
            return Alive::Dead;
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Alive::Dead;
        };
        if test_kill_process(pid) == Err(Errno::SRCH) {
            return Alive::Dead;
        }
        match start(self.pid) {
            Start::At(time) if self.start_time != 0 && time != self.start_time => Alive::Dead,
            Start::Ended => Alive::Dead,
            Start::At(_) | Start::Unknown => Alive::Alive,
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}, process {}", self.who, self.host, self.pid)
    }
}

fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[derive(Debug, PartialEq, Eq)]
enum Start {
    At(u64),
    /// A zombie: it does nothing any more, only its parent has not asked how it ended.
    Ended,
    /// The system does not show it (`hidepid`, no `/proc`).
    Unknown,
}

fn start(pid: u32) -> Start {
    fs::read(format!("/proc/{pid}/stat")).map_or(Start::Unknown, |stat| parse_stat(&stat))
}

/// Field 2 is the program's name in brackets and may itself hold brackets and blanks.
fn parse_stat(stat: &[u8]) -> Start {
    let text = String::from_utf8_lossy(stat);
    let Some((_, rest)) = text.rsplit_once(')') else {
        return Start::Unknown;
    };
    let mut fields = rest.split_whitespace();
    match fields.next() {
        Some("Z" | "X" | "x") => Start::Ended,
        // The state is field 3, so field 22 is the 19th after it.
        Some(_) => fields
            .nth(18)
            .and_then(|field| field.parse().ok())
            .map_or(Start::Unknown, Start::At),
        None => Start::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b) R) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 9 9";

    #[test]
    fn finds_the_start_behind_any_name() {
        assert_eq!(parse_stat(STAT.as_bytes()), Start::At(4711));
        assert_eq!(
            parse_stat(STAT.replace(" S ", " Z ").as_bytes()),
            Start::Ended
        );
        assert_eq!(parse_stat(b"7 (a) S 1 2"), Start::Unknown);
        assert_eq!(parse_stat(b""), Start::Unknown);
        assert_eq!(parse_stat(b"\xff\xfe (\xff) S"), Start::Unknown);
    }

    #[test]
    fn this_process_lives_and_its_like_do_not() {
        let me = Holder::this_process("me");
        assert!(
            me.start_time > 0 && !me.boot_id.is_empty(),
            "needs /proc: {me:?}"
        );
        assert_eq!(me.alive(), Alive::Alive);
        let reused = Holder {
            start_time: me.start_time + 1,
            ..me.clone()
        };
        assert_eq!(reused.alive(), Alive::Dead);
        let rebooted = Holder {
            boot_id: "another".to_owned(),
            ..me.clone()
        };
        assert_eq!(rebooted.alive(), Alive::Dead);
        let elsewhere = Holder {
            host: "elsewhere.invalid".to_owned(),
            ..me.clone()
        };
        assert_eq!(elsewhere.alive(), Alive::OtherHost);
        for pid in [0, u32::MAX, 4_194_305] {
            assert_eq!(Holder { pid, ..me.clone() }.alive(), Alive::Dead, "{pid}");
        }
    }

    #[test]
    fn an_ended_child_is_dead_even_before_it_is_reaped() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let Start::At(start_time) = start(pid) else {
            panic!("no start of process {pid}")
        };
        let holder = Holder {
            pid,
            start_time,
            ..Holder::this_process("me")
        };
        assert_eq!(holder.alive(), Alive::Alive);
        drop(child.stdin.take());
        // The end of its output is the end of the process or just before it; only a zombie is left.
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut rest).unwrap();
        while holder.alive() == Alive::Alive {
            std::thread::yield_now();
        }
        assert_eq!(holder.alive(), Alive::Dead);
        child.wait().unwrap();
        assert_eq!(holder.alive(), Alive::Dead);
    }
}
