//! A step in flight, seen from its controller.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::Ending;
use super::standby::Supervisor;
use crate::target::step_supervisor;
use crate::target::step_supervisor::orders::{self, Answer, Order};

/// How a step in flight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    Runs,
    /// Its supervisor has let go of the link, and is about to be gone: [`Running::process`] tells
    /// when it is.
    Dying,
    /// It is over, or its supervisor gone: [`StepDir::find`](super::StepDir::find) tells how the
    /// step ended.
    Over,
}

/// A step whose supervisor runs. Its descriptor becomes readable when there is something to ask
/// [`Running::standing`] for, so it can be given to an async runtime
/// (`AsyncFd::with_interest(running, Interest::READABLE)`). Dropping it leaves the step alone.
#[derive(Debug)]
pub struct Running {
    by: By,
    /// What a supervisor of ours has answered; `None` in it when it is gone without an answer.
    answer: OnceLock<Option<Answer>>,
}

#[derive(Debug)]
enum By {
    /// One that this process has started, and speaks to.
    Ours(Box<Supervisor>),
    /// One whose controller is dead; it exits after the step.
    Adopted(OwnedFd),
}

impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.by {
            By::Ours(supervisor) => supervisor.link.as_fd(),
            By::Adopted(pidfd) => pidfd.as_fd(),
        }
    }
}

impl AsRawFd for Running {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Running {
    pub(super) fn ours(supervisor: Supervisor) -> Self {
        Self {
            by: By::Ours(Box::new(supervisor)),
            answer: OnceLock::new(),
        }
    }

    pub(super) fn adopted(pidfd: OwnedFd) -> Self {
        Self {
            by: By::Adopted(pidfd),
            answer: OnceLock::new(),
        }
    }

    /// How it stands, without waiting. To be asked when the descriptor is readable.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn standing(&self) -> io::Result<Standing> {
        let supervisor = match &self.by {
            By::Ours(supervisor) => supervisor,
            By::Adopted(pidfd) => {
                let gone = readable(pidfd, Some(Duration::ZERO))?;
                return Ok(if gone { Standing::Over } else { Standing::Runs });
            }
        };
        if self.answer.get().is_none() {
            match orders::hear(&supervisor.link) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Standing::Runs),
                other => drop(self.answer.set(other?)),
            }
        }
        if self.answer.get().is_some_and(Option::is_some) {
            return Ok(Standing::Over);
        }
        // Its lock ends with it, and only then can be told how the step stands.
        if !readable(&supervisor.pidfd, Some(Duration::ZERO))? {
            return Ok(Standing::Dying);
        }
        let _ = supervisor.handle.try_wait();
        Ok(Standing::Over)
    }

    /// The supervisor's process, as a descriptor that becomes readable when it is gone.
    #[must_use]
    pub fn process(&self) -> BorrowedFd<'_> {
        match &self.by {
            By::Ours(supervisor) => supervisor.pidfd.as_fd(),
            By::Adopted(pidfd) => pidfd.as_fd(),
        }
    }

    /// Blocks until the step is over or its supervisor gone.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&self) -> io::Result<()> {
        while !self.wait_for(Duration::from_secs(3600))? {}
        Ok(())
    }

    /// Blocks like [`Running::wait`], or for this time. True if the step is over.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait_for(&self, time: Duration) -> io::Result<bool> {
        let until = Instant::now().checked_add(time);
        loop {
            let standing = self.standing()?;
            if standing == Standing::Over {
                return Ok(true);
            }
            let rest = until.map(|u| u.saturating_duration_since(Instant::now()));
            let ready = match standing {
                Standing::Dying => readable(&self.process(), rest)?,
                Standing::Runs | Standing::Over => readable(self, rest)?,
            };
            if !ready && rest.is_some_and(|rest| rest.is_zero()) {
                return Ok(false);
            }
        }
    }

    /// Asks the supervisor to end the step and returns at once. For a step that is over it does
    /// nothing. `Now` after `WithGrace` shortens the grace.
    ///
    /// # Errors
    /// When the system refuses to pass that on.
    pub fn end(&self, how: Ending) -> io::Result<()> {
        self.wake();
        match &self.by {
            By::Ours(supervisor) => {
                let order = match how {
                    Ending::WithGrace => Order::End,
                    Ending::Now => Order::EndNow,
                };
                match orders::send(&supervisor.link, &order) {
                    Err(e) if orders::is_gone(&e) => Ok(()),
                    other => other,
                }
            }
            By::Adopted(pidfd) => {
                let signal = match how {
                    Ending::WithGrace => Signal::TERM,
                    Ending::Now => Signal::INT,
                };
                match rustix::process::pidfd_send_signal(pidfd, signal) {
                    Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
                    Err(e) => Err(e.into()),
                }
            }
        }
    }

    /// Lets the supervisor go on if somebody has stopped it (SIGSTOP): else it neither hears an order nor
    /// keeps the step's time.
    pub fn wake(&self) {
        // One that is gone needs nothing, and one that may not be signalled was not stopped by us.
        let _ = rustix::process::pidfd_send_signal(self.process(), Signal::CONT);
    }

    /// Why a supervisor that this process has started did not take the step on; `None` if it did, or
    /// if this process did not start it, or if it is not known yet.
    #[must_use]
    pub fn refusal(&self) -> Option<&'static str> {
        let By::Ours(supervisor) = &self.by else {
            return None;
        };
        let status = match self.answer.get()? {
            Some(answer) => i32::from(answer.status),
            None => supervisor.handle.try_wait().ok()??.status.code()?,
        };
        match status {
            step_supervisor::REFUSED => Some("the supervisor was called wrongly"),
            step_supervisor::BAD_SPEC => Some("the supervisor could not read what to do"),
            step_supervisor::NO_SETUP => {
                Some("the supervisor could not set itself up (is /proc mounted?)")
            }
            step_supervisor::TAKEN => Some("the step had been taken on or given up before"),
            step_supervisor::NOT_STARTED => {
                Some("the supervisor could not write to the step directory")
            }
            _ => None,
        }
    }

    /// The supervisor, if the step is over and it will have another.
    pub(super) fn into_ready(self) -> Option<Supervisor> {
        let ready = self
            .answer
            .get()
            .copied()
            .flatten()
            .is_some_and(|a| a.ready);
        match self.by {
            By::Ours(supervisor) if ready => Some(*supervisor),
            _ => None,
        }
    }
}

/// Waits until the descriptor is readable, at most for this time. False if it is not, which an
/// interruption may be the reason for.
fn readable(fd: &impl AsFd, time: Option<Duration>) -> io::Result<bool> {
    let time = time.and_then(|t| Timespec::try_from(t).ok());
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    match rustix::event::poll(&mut fds, time.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}
