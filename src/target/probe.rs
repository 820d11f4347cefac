//! Runs a probe: a short command that only reads. It is a direct child of this process, without a
//! supervisor: a probe that is lost has changed nothing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal};

use super::step_supervisor::{find_program, memory_file, output_pipe, tree};
use crate::words::probe::{ProbeEnd, ProbeExit, ProbeSpec};

/// Time for a grandchild to let go of the output once the probe has exited.
const LEAK: Duration = Duration::from_millis(200);
/// A killed probe that is not gone after this time hangs in the kernel.
const UNKILLABLE: Duration = Duration::from_secs(2);
const BLOCK: usize = 64 * 1024;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Cancels probes from another thread. Clones are the same cancel; it stays cancelled.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<OwnedFd>);

impl Cancel {
    /// A cancel that has not been used.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn new() -> std::io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(rustix::event::eventfd(0, flags)?)))
    }

    /// Ends every probe that runs with it, and each that will.
    pub fn cancel(&self) {
        // Fails only when the counter is full, and it is readable then.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Runs a probe and blocks until it has ended. At the end of its time, when cancelled or when it
/// prints too much, its process group is killed. A process that it left behind and that holds its
/// output keeps nobody waiting for longer than 200 ms.
#[must_use]
pub fn run(spec: &ProbeSpec, cancel: &Cancel) -> ProbeEnd {
    let begun = Instant::now();
    let mut read = [Vec::new(), Vec::new()];
    let how = match start(spec) {
        Err(error) => ProbeExit::NotStarted { error },
        Ok(started) => started.watch(spec, cancel, begun, &mut read),
    };
    let [stdout, stderr] = read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    ProbeEnd {
        how,
        stdout,
        stderr,
        duration_ms,
    }
}

struct Started {
    handle: duct::Handle,
    pid: i32,
    pidfd: OwnedFd,
    streams: [Option<OwnedFd>; 2],
}

fn start(spec: &ProbeSpec) -> Result<Started, String> {
    let Some(name) = spec.argv.first().cloned() else {
        return Err("the command is empty".to_owned());
    };
    if !spec.cwd.is_dir() {
        return Err(format!(
            "cannot start {name:?}: {:?} is not a directory",
            spec.cwd
        ));
    }
    let cwd = std::path::absolute(&spec.cwd).map_err(|e| format!("cannot start {name:?}: {e}"))?;
    let program = find_program(&name, &cwd, spec.env.get("PATH").map(String::as_str))?;
    let fail = |e: std::io::Error| format!("cannot start {name:?} ({}): {e}", program.display());
    let (stdout, stdout_writer) = output_pipe().map_err(|e| fail(e.into()))?;
    let (stderr, stderr_writer) = output_pipe().map_err(|e| fail(e.into()))?;
    let mut expression = duct::cmd(&program, &spec.argv[1..]);
    expression = match &spec.stdin {
        None => expression.stdin_null(),
        Some(text) => expression.stdin_file(memory_file("stdin", text.as_bytes()).map_err(fail)?),
    };
    let arg0 = name.clone();
    let expression = expression
        .stdout_file(stdout_writer)
        .stderr_file(stderr_writer)
        .full_env(&spec.env)
        .dir(&cwd)
        .unchecked()
        .before_spawn(move |command| {
            command.arg0(&arg0).process_group(0);
            Ok(())
        });
    let handle = expression.start().map_err(fail)?;
    // The expression holds the write ends open.
    drop(expression);
    let pid = handle.pids().first().and_then(|&p| i32::try_from(p).ok());
    let pidfd = pid
        .and_then(rustix::process::Pid::from_raw)
        .ok_or_else(|| format!("cannot start {name:?}: it has no pid"))
        .and_then(|p| {
            rustix::process::pidfd_open(p, PidfdFlags::empty()).map_err(|e| fail(e.into()))
        });
    match (pid, pidfd) {
        (Some(pid), Ok(pidfd)) => Ok(Started {
            handle,
            pid,
            pidfd,
            streams: [Some(stdout), Some(stderr)],
        }),
        (_, Err(error)) => {
            let _ = handle.kill();
            Err(error)
        }
        (None, Ok(_)) => Err(format!("cannot start {name:?}: it has no pid")),
    }
}

impl Started {
    fn watch(
        mut self,
        spec: &ProbeSpec,
        cancel: &Cancel,
        begun: Instant,
        read: &mut [Vec<u8>; 2],
    ) -> ProbeExit {
        let deadline = begun + Duration::from_millis(spec.timeout_ms).min(YEAR);
        let mut block = vec![0; BLOCK];
        let mut exited = None;
        loop {
            let until = exited.map_or(deadline, |at: Instant| at + LEAK);
            let ready = self.poll(cancel, exited.is_none(), until);
            if exited.is_none() && ready.cancelled {
                return self.kill(ProbeExit::Cancelled);
            }
            for (i, into) in read.iter_mut().enumerate() {
                if ready.streams[i] {
                    self.read(i, &mut block, into);
                }
            }
            if (read[0].len() + read[1].len()) as u64 > spec.max_output {
                return self.kill(ProbeExit::TooMuchOutput);
            }
            let now = Instant::now();
            if ready.exited {
                exited = exited.or(Some(now));
            }
            let silent = self.streams.iter().all(Option::is_none);
            match exited {
                Some(at) if silent || now >= at + LEAK => return self.reap(),
                None if now >= deadline => return self.kill(ProbeExit::TimedOut),
                _ => {}
            }
        }
    }

    fn poll(&self, cancel: &Cancel, alive: bool, until: Instant) -> Ready {
        let rest = until.saturating_duration_since(Instant::now());
        let mut fds = Vec::with_capacity(4);
        let streams = self.streams.each_ref().map(|stream| {
            let fd = stream.as_ref()?;
            fds.push(PollFd::new(fd, PollFlags::IN));
            Some(fds.len() - 1)
        });
        let first = fds.len();
        if alive {
            fds.push(PollFd::new(cancel, PollFlags::IN));
            fds.push(PollFd::new(&self.pidfd, PollFlags::IN));
        }
        // An interrupted wait is one without result.
        let _ = rustix::event::poll(&mut fds, Timespec::try_from(rest).ok().as_ref());
        let ready = |i: usize| fds.get(i).is_some_and(|fd| !fd.revents().is_empty());
        Ready {
            cancelled: ready(first),
            exited: ready(first + 1),
            streams: streams.map(|i| i.is_some_and(ready)),
        }
    }

    fn read(&mut self, i: usize, block: &mut [u8], into: &mut Vec<u8>) {
        let Some(fd) = &self.streams[i] else { return };
        match rustix::io::read(fd, &mut *block) {
            Ok(0) => self.streams[i] = None,
            Ok(n) => into.extend_from_slice(&block[..n]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.streams[i] = None,
        }
    }

    /// Kills the group while its leader is not reaped, so that its number means nobody else.
    fn kill(self, why: ProbeExit) -> ProbeExit {
        tree::signal_group(self.pid, Signal::KILL);
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _ = rustix::event::poll(&mut fds, Timespec::try_from(UNKILLABLE).ok().as_ref());
        let _ = self.handle.try_wait();
        why
    }

    fn reap(self) -> ProbeExit {
        let status = match self.handle.try_wait() {
            Ok(Some(output)) => output.status,
            // It is reaped by nobody else, and its pidfd says that it has exited.
            Ok(None) | Err(_) => {
                return ProbeExit::NotStarted {
                    error: "its end was not seen".into(),
                };
            }
        };
        match (status.code(), status.signal()) {
            (Some(code), _) => ProbeExit::Exited { code },
            (None, signal) => ProbeExit::Signaled {
                signal: signal.unwrap_or(0),
            },
        }
    }
}

struct Ready {
    cancelled: bool,
    exited: bool,
    streams: [bool; 2],
}
