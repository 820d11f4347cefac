//! Daemons of tests: each with an address and a directory of its own, and gone when the test is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::support::live::PATIENCE;

/// The port of all of them. Addresses are their own, and nobody is given this port by chance.
pub const PORT: u16 = 18080;

/// An address of this machine that no other daemon of the tests has.
pub fn address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
    format!(
        "127.{}.{}.{}",
        1 + pid % 254,
        1 + pid / 254 % 254,
        1 + n % 254
    )
}

/// The numbers of daemons by the directories of their tests.
static RUNNING: Mutex<BTreeMap<PathBuf, Vec<i32>>> = Mutex::new(BTreeMap::new());

/// Ends what still runs when it goes out of sight.
pub struct Ends;

impl Drop for Ends {
    fn drop(&mut self) {
        end(|_| true);
    }
}

/// Runs a command that becomes a daemon, whose number is in `pid`. It is ended when `dir` is gone and
/// another is started, or at the end of the test.
pub fn start(dir: &Path, command: &[&str], pid: &Path) {
    end(|dir| !dir.exists());
    let told = Command::new(command[0])
        .args(&command[1..])
        .current_dir(dir)
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", command[0]));
    let text = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{command:?}: {text}");
    // The number is kept apart, since the directory may be gone before the daemon is.
    let number = number(pid).unwrap_or_else(|| panic!("{command:?} has no number"));
    // Before it has workers and waits for signals, it forgets them.
    until("it does not end its start", || {
        let children = format!("/proc/{number}/task/{number}/children");
        let workers = std::fs::read_to_string(children).unwrap_or_default();
        !workers.is_empty() && waits(number, Signal::TERM)
    });
    let mut running = RUNNING.lock().expect("no panic inside");
    running.entry(dir.to_owned()).or_default().push(number);
}

fn number(pid: &Path) -> Option<i32> {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        let text = std::fs::read_to_string(pid).unwrap_or_default();
        if let Some(number) = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok())
        {
            return Some(number);
        }
        // There is no event: the file appears when it does.
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

fn end(is_over: impl Fn(&Path) -> bool) {
    let mut running = RUNNING.lock().expect("no panic inside");
    running.retain(|dir, numbers| {
        let over = is_over(dir);
        for number in numbers.iter().filter(|_| over) {
            if let Some(pid) = Pid::from_raw(*number) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        !over
    });
}

/// Ends the daemon whose number is in `pid`, and waits for its end.
pub fn stop(pid: &Path) {
    let number = number(pid).expect("its number");
    let process = Pid::from_raw(number).expect("a pid");
    let fd = pidfd_open(process, PidfdFlags::empty()).expect("it is there");
    kill_process(process, Signal::TERM).expect("it is there");
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let patience = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    while let Err(error) = poll(&mut fds, Some(&patience)) {
        assert_eq!(error, rustix::io::Errno::INTR, "poll");
    }
    assert!(!fds[0].revents().is_empty(), "{number} does not end");
    // What it leaves could be taken for the number of the next one.
    let _ = std::fs::remove_file(pid);
}

/// A daemon that hangs in the middle of a reload, for it reads a pipe.
pub struct Hung {
    pipe: File,
    text: Vec<u8>,
    master: i32,
    signal: Signal,
}

impl Hung {
    /// Tells the daemon whose number is in `pid` to reload. The file at `part` is the last that it reads.
    pub fn reload(pid: &Path, signal: Signal, part: &Path) -> Self {
        let master = number(pid).expect("its number");
        let text = std::fs::read(part).expect("the part");
        std::fs::remove_file(part).expect("removed");
        mknodat(CWD, part, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
        let tell = || {
            kill_process(Pid::from_raw(master).expect("a pid"), signal).expect("it is there");
            Instant::now()
        };
        let mut told = tell();
        let mut opened = None;
        until("it does not read the pipe", || {
            // At the end of its start it may have forgotten it.
            let forgot = waits(master, signal) && !has(master, "ShdPnd", signal);
            if forgot && told.elapsed() > Duration::from_secs(1) {
                told = tell();
            }
            // Without a reader there is nothing to open.
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            opened = open(part, flags, Mode::empty()).ok();
            opened.is_some()
        });
        // Who reads from now on gets the file.
        std::fs::remove_file(part).expect("removed");
        std::fs::write(part, &text).expect("written");
        Self {
            pipe: opened.expect("it is open").into(),
            text,
            master,
            signal,
        }
    }

    /// Waits until somebody in the directory has told it to reload once more or waits for it, and lets it go on.
    pub fn go_on_when_asked(mut self, dir: &Path) {
        until("nobody reloads it", || {
            has(self.master, "ShdPnd", self.signal) || sleeps_in(dir)
        });
        self.pipe.write_all(&self.text).expect("written");
    }
}

fn status(process: i32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let value = line.unwrap_or_default();
    value.trim_matches([':', ' ', '\t']).to_owned()
}

/// Is the signal in this set of the process?
fn has(process: i32, set: &str, signal: Signal) -> bool {
    let bits = u64::from_str_radix(&status(process, set), 16).unwrap_or_default();
    bits >> (signal.as_raw() - 1) & 1 == 1
}

/// Does the process sleep, and let the signal in?
fn waits(process: i32, signal: Signal) -> bool {
    status(process, "State").starts_with('S') && !has(process, "SigBlk", signal)
}

/// There is no event: these are states of other processes.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Does a script in the directory wait?
fn sleeps_in(dir: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").expect("processes");
    processes.flatten().any(|process| {
        let path = process.path();
        std::fs::read(path.join("cmdline")).is_ok_and(|argv| argv == b"sleep\x000.1\0")
            && std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == dir)
    })
}

/// What a GET of `/` is answered, without a library between.
pub fn get(address: &str) -> String {
    let mut stream = match TcpStream::connect((address, PORT)) {
        Ok(stream) => stream,
        Err(e) => return e.kind().to_string(),
    };
    let asked = write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n");
    let mut answer = String::new();
    match asked.and_then(|()| stream.read_to_string(&mut answer)) {
        Ok(_) => answer
            .rsplit("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .to_owned(),
        Err(e) => e.kind().to_string(),
    }
}
