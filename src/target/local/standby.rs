//! Supervisors that stand by for a step.
//!
//! Starting one costs as much as all the rest of a short step, so a supervisor whose step has left
//! nothing behind is kept for the next one, and the first is started before it is needed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::process::{Pid, PidfdFlags};

use super::running::Running;
use super::{StartError, StepDir};
use crate::target::step_supervisor::orders::{self, Order};
use crate::target::step_supervisor::{MARK, SUPERVISE, memory_file};
use crate::words::step::StepSpec;

/// A supervisor that this process has started.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub link: OwnedFd,
    pub pidfd: OwnedFd,
    /// It reaps the process.
    pub handle: duct::Handle,
}

/// Starts steps, each under a supervisor that has no other step meanwhile. Dropping it lets those go
/// that stand by; steps in flight go on.
#[derive(Debug)]
pub struct Standby {
    exe: PathBuf,
    free: Vec<Supervisor>,
}

impl Default for Standby {
    fn default() -> Self {
        #[cfg(feature = "faults")]
        if let Some(exe) = std::env::var_os("DEPLOYRUN_FAULT_SUPERVISOR") {
            return Self::with_exe(exe);
        }
        Self::with_exe("/proc/self/exe")
    }
}

impl Standby {
    /// Takes another program than this one for the supervisors; its `main` must call
    /// [`dispatch`](crate::target::step_supervisor::dispatch).
    #[must_use]
    pub fn with_exe(exe: impl Into<PathBuf>) -> Self {
        Self {
            exe: exe.into(),
            free: Vec::new(),
        }
    }

    /// Starts a supervisor ahead, so that the first step need not wait for it. Whether that worked
    /// shows when there is a step.
    pub fn prepare(&mut self) {
        if self.free.is_empty()
            && let Ok(supervisor) = self.spawn()
        {
            self.free.push(supervisor);
        }
    }

    /// Gives a step with its files in `dir` to a supervisor. Whether the command could be started is
    /// learned from how the step ends. In a directory in which a step was begun before, the supervisor
    /// refuses, and [`StepDir::find`](super::StepDir::find) tells of the first.
    ///
    /// # Errors
    /// When there is no supervisor; the step has not run then.
    pub fn start(&mut self, dir: &Path, spec: &StepSpec) -> Result<Running, StartError> {
        if spec.argv.is_empty() {
            return Err(StartError::NoProgram);
        }
        StepDir::new(dir)
            .make()
            .map_err(|error| StartError::Directory {
                dir: dir.to_owned(),
                error,
            })?;
        self.give(dir, spec).map_err(|error| StartError::Spawn {
            dir: dir.to_owned(),
            error,
        })
    }

    fn give(&mut self, dir: &Path, spec: &StepSpec) -> io::Result<Running> {
        // Supervisors work in `/`.
        let dir = std::path::absolute(dir)?;
        let bytes = if spec.cwd.is_absolute() {
            serde_json::to_vec(spec)?
        } else {
            let cwd = std::path::absolute(&spec.cwd)?;
            serde_json::to_vec(&StepSpec {
                cwd,
                ..spec.clone()
            })?
        };
        let order = Order::Start(dir, memory_file("step", &bytes)?);
        while let Some(supervisor) = self.free.pop() {
            match orders::send(&supervisor.link, &order) {
                Ok(()) => return Ok(Running::ours(supervisor)),
                // It was killed while it stood by, and has not heard of the step.
                Err(e) if orders::is_gone(&e) => {}
                Err(e) => return Err(e),
            }
        }
        let supervisor = self.spawn()?;
        orders::send(&supervisor.link, &order)?;
        Ok(Running::ours(supervisor))
    }

    /// Takes the supervisor of a step that is over, if it will have another.
    pub fn take_back(&mut self, running: Running) {
        self.free.extend(running.into_ready());
    }

    fn spawn(&self) -> io::Result<Supervisor> {
        let (ours, theirs) = orders::link()?;
        // If deployrun itself runs in a step, that step can still find its processes.
        let env = std::env::var_os(MARK).map(|mark| (MARK.into(), mark));
        let env: Vec<(std::ffi::OsString, std::ffi::OsString)> = env.into_iter().collect();
        let expression = duct::cmd(&self.exe, [SUPERVISE])
            .stdin_file(theirs)
            .stdout_null()
            .stderr_null()
            .full_env(env)
            .unchecked()
            .before_spawn(|command| {
                command.arg0("deployrun");
                Ok(())
            });
        // A signal that comes before the supervisor can handle it waits until it can.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let handle = expression.start();
        before.thread_set_mask()?;
        // The expression holds the supervisor's end open.
        drop(expression);
        let handle = handle?;
        let pid = handle
            .pids()
            .first()
            .and_then(|&p| i32::try_from(p).ok())
            .and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the supervisor has no pid"))?;
        // It has not been reaped, so the pid is still its own.
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        Ok(Supervisor {
            link: ours,
            pidfd,
            handle,
        })
    }
}
