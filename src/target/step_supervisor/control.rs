//! Who may tell a supervisor what: its controller through the link, and anybody who may signal it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags};
use rustix::net::SocketType;

use super::orders::{self, Answer, Order};
use super::signals::Signals;

/// Orders and signals of a supervisor.
pub(crate) struct Control {
    signals: Signals,
    /// `None` once the controller is gone.
    link: Option<OwnedFd>,
    end: bool,
    end_now: bool,
}

impl Control {
    /// Takes the link from stdin and leaves `/dev/null` there. Signals are let in.
    ///
    /// # Errors
    /// When stdin is no link, or the system refuses one of these.
    pub fn install() -> io::Result<Self> {
        if rustix::net::sockopt::socket_type(rustix::stdio::stdin())? != SocketType::SEQPACKET {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let link = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Self {
            signals: Signals::install()?,
            link: Some(link),
            end: false,
            end_now: false,
        })
    }

    /// Waits for the next step; `None` when there will be none. What was said about an earlier step
    /// is forgotten.
    pub fn next_step(&mut self) -> Option<(PathBuf, File)> {
        loop {
            let link = self.link.as_ref()?;
            // A signal interrupts the wait, and means nothing while there is no step.
            let _ = rustix::event::poll(&mut [PollFd::new(link, PollFlags::IN)], None);
            match orders::receive(link) {
                Ok(Some(Order::Start(dir, spec))) => {
                    (self.end, self.end_now) = (false, false);
                    let _ = (self.signals.take_term(), self.signals.take_int());
                    return Some((dir, spec));
                }
                Ok(Some(Order::End | Order::EndNow)) => {}
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Ok(None) | Err(_) => self.link = None,
            }
        }
    }

    /// Tells the controller how the step stands.
    pub fn answer(&self, answer: Answer) {
        if let Some(link) = &self.link {
            orders::answer(link, answer);
        }
    }

    /// Whether a controller is there that may have another step.
    pub fn has_controller(&self) -> bool {
        self.link.is_some()
    }

    /// What to poll for reading: the signals, and the link while there is a controller.
    pub fn fds(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        (self.signals.fd(), self.link.as_ref().map(OwnedFd::as_fd))
    }

    /// Forgets the wake-ups of signals so far; what they said stays.
    pub fn drain(&mut self) {
        self.signals.drain();
    }

    /// Takes the orders that have come while a step runs.
    pub fn listen(&mut self) {
        while let Some(link) = &self.link {
            match orders::receive(link) {
                Ok(Some(Order::End)) => self.end = true,
                Ok(Some(Order::EndNow)) => self.end_now = true,
                // A second step beside the first, or no order at all: no controller says that.
                Ok(Some(Order::Start(..))) => {}
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::InvalidData
                    ) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                // The step goes on without its controller.
                Ok(None) | Err(_) => self.link = None,
            }
        }
    }

    /// Whether the step was to be ended, by an order or TERM, since the last call.
    pub fn take_end(&mut self) -> bool {
        std::mem::take(&mut self.end) | self.signals.take_term()
    }

    /// Whether the step was to be killed, by an order or INT, since the last call.
    pub fn take_end_now(&mut self) -> bool {
        std::mem::take(&mut self.end_now) | self.signals.take_int()
    }
}
