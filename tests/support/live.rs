//! A running deployrun: its events as they come, signals to it, and its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

/// Nothing in these tests takes so long, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How a process ended and all it said.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status, if no signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its standard output, line by line; what is no JSON is a text.
    pub events: Vec<Value>,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Was it ended by `kill -9`?
    pub fn was_killed(&self) -> bool {
        self.signal == Some(9)
    }

    /// Its end and what it said, for messages.
    pub fn told(&self) -> String {
        let events: Vec<String> = self.events.iter().map(Value::to_string).collect();
        format!(
            "status {:?}, signal {:?}\n{}\n{}",
            self.code,
            self.signal,
            events.join("\n"),
            self.stderr
        )
    }
}

/// A process that runs.
#[derive(Debug)]
pub struct Live {
    child: Child,
    lines: Receiver<String>,
    events: Vec<Value>,
    stderr: Option<JoinHandle<String>>,
}

impl Live {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let out = child.stdout.take().expect("a pipe");
        let mut err = child.stderr.take().expect("a pipe");
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            child,
            lines,
            events: Vec::new(),
            stderr: Some(stderr),
        }
    }

    /// Its process number.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Waits until an event is told for which `is` holds, and returns it.
    pub fn wait_for(&mut self, what: &str, mut is: impl FnMut(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let event = parsed(&line);
                    self.events.push(event.clone());
                    if is(&event) {
                        return event;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} came:\n{:#?}", self.events),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended before {what} came:\n{:#?}", self.events)
                }
            }
        }
    }

    /// Waits for the first event of this kind.
    pub fn wait_for_kind(&mut self, kind: &str) -> Value {
        self.wait_for(kind, |event| event["event"] == kind)
    }

    /// Has it not ended yet?
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).expect("a pid");
        kill_process(pid, signal).expect("it is there");
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let status = wait(&mut self.child).unwrap_or_else(|| {
            let _ = self.child.kill();
            let said: Vec<String> = self.lines.try_iter().collect();
            panic!("it does not end:\n{:#?}\n{said:#?}", self.events)
        });
        self.events.extend(self.lines.iter().map(|l| parsed(&l)));
        Finished {
            code: status.code(),
            signal: status.signal(),
            events: self.events,
            stderr: self.stderr.take().expect("once").join().expect("read"),
        }
    }

    /// Kills it, as by `kill -9`, and waits for its end.
    pub fn kill(self) -> Finished {
        self.signal(Signal::KILL);
        self.finish()
    }
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned()))
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
    let fd = pidfd_open(pid, PidfdFlags::empty()).expect("it has not been waited for");
    let patience = Timespec {
        tv_sec: i64::try_from(PATIENCE.as_secs()).ok()?,
        tv_nsec: 0,
    };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    while let Err(error) = poll(&mut fds, Some(&patience)) {
        assert_eq!(error, rustix::io::Errno::INTR, "poll");
    }
    if fds[0].revents().is_empty() {
        return None;
    }
    child.wait().ok()
}
