//! Questions to a person at the terminal.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::report::line::first_line;
use crate::report::out;
use crate::words::clock::Clock;
use crate::words::event::{Event, Stamped};

use super::approve;
use super::context::Context;

/// Asks, and waits for the answer; anything but yes is no.
pub(super) fn confirm(question: &str) -> bool {
    out::ask(question);
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if matches!(read, Ok(1..)) {
        out::answered();
    } else {
        // Without an answer the cursor still stands behind the question.
        out::lines([""]);
    }
    read.is_ok() && is_yes(&answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

enum Told {
    Asked { run: String, name: String },
    Settled { name: String },
}

/// Lets a person at the terminal approve what the run asks for.
pub(super) struct Approver {
    state: PathBuf,
    clock: Arc<dyn Clock>,
    /// Asked of another process, and still to be asked here.
    before: Vec<String>,
    to: Option<Sender<Told>>,
}

impl Approver {
    pub(super) fn new(context: &Context, before: &[Stamped]) -> Self {
        Self {
            state: context.state.clone(),
            clock: context.clock.clone(),
            before: approve::wanted(before).map(str::to_owned).collect(),
            to: None,
        }
    }

    /// Learns what has just been shown.
    pub(super) fn hear(&mut self, event: &Stamped) {
        match &event.event {
            Event::RunResumed { .. } => {
                for name in std::mem::take(&mut self.before) {
                    self.ask(&event.run, &name);
                }
            }
            Event::ApprovalAsked { name } => self.ask(&event.run, name),
            Event::Approved { name, .. } => {
                if let Some(to) = &self.to {
                    let _ = to.send(Told::Settled { name: name.clone() });
                }
            }
            // Nothing is asked of a run that stops.
            Event::Stopping { .. } | Event::RunEnded { .. } | Event::Left { .. } => {
                self.withdraw();
            }
            _ => {}
        }
    }

    fn withdraw(&mut self) {
        if self.to.take().is_some() {
            out::withdraw();
        }
    }

    fn ask(&mut self, run: &str, name: &str) {
        let told = Told::Asked {
            run: run.to_owned(),
            name: name.to_owned(),
        };
        if self.to.is_none() {
            let (to, from) = channel();
            let (state, clock) = (self.state.clone(), self.clock.clone());
            let builder = std::thread::Builder::new().name("approve".into());
            // Without a thread it is approved from elsewhere.
            if builder
                .spawn(move || listen(&state, &*clock, &from))
                .is_ok()
            {
                self.to = Some(to);
            }
        }
        if let Some(to) = &self.to {
            let _ = to.send(told);
        }
    }
}

/// How often it is looked whether somebody else has approved meanwhile.
const LOOK_AGAIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

fn listen(state: &Path, clock: &dyn Clock, from: &Receiver<Told>) {
    // A process in the background that reads from its terminal is stopped as a whole, and with it
    // the run; with the signal blocked the read fails instead.
    let mut stops = SigSet::empty();
    stops.add(Signal::SIGTTIN);
    if stops.thread_block().is_err() {
        return;
    }
    let mut open: VecDeque<(String, String)> = VecDeque::new();
    let mut asked: Option<String> = None;
    loop {
        loop {
            match from.try_recv() {
                Ok(Told::Asked { run, name }) => open.push_back((run, name)),
                Ok(Told::Settled { name }) => open.retain(|(_, other)| *other != name),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        if asked.is_some() && asked.as_ref() != open.front().map(|(_, name)| name) {
            // Somebody else has approved it.
            out::withdraw();
        }
        let Some((run, name)) = open.front().cloned() else {
            asked = None;
            // Nothing to ask; the next message wakes it.
            match from.recv() {
                Ok(Told::Asked { run, name }) => open.push_back((run, name)),
                Ok(Told::Settled { .. }) => {}
                Err(_) => return,
            }
            continue;
        };
        if asked.as_ref() != Some(&name) {
            out::ask(&format!("Approve `{}`? [y/N]", first_line(&name)));
            asked = Some(name.clone());
        }
        match typed() {
            Typed::Nothing => {}
            Typed::Line(line) if is_yes(&line) => {
                out::answered();
                if let Err(error) =
                    approve::give(state, &run, &name, clock.now().wall_ms, "at the terminal")
                {
                    out::error_line(&format!("the approval could not be written: {error}"));
                }
                open.pop_front();
                asked = None;
            }
            Typed::Line(_) => {
                out::answered();
                out::line("not approved; the run waits on, and Ctrl-C stops it");
                asked = None;
            }
            Typed::Never => return,
        }
    }
}

enum Typed {
    Nothing,
    Line(String),
    /// The terminal is gone.
    Never,
}

/// A line, if one is typed soon.
fn typed() -> Typed {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
    match poll(&mut fds, Some(&LOOK_AGAIN)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Typed::Nothing,
        Ok(_) => {}
        Err(_) => return Typed::Never,
    }
    // One line at a time, and unbuffered: what is typed ahead stays where `poll` sees it.
    let mut bytes = [0; 1024];
    match rustix::io::read(&stdin, &mut bytes) {
        Ok(0) if fds[0].revents().contains(PollFlags::HUP) => Typed::Never,
        // Ctrl-D, which is no answer.
        Ok(0) => Typed::Line("\n".to_owned()),
        Ok(read) => {
            let text = String::from_utf8_lossy(bytes.get(..read).unwrap_or_default());
            Typed::Line(text.into_owned())
        }
        // In the background; the person may bring it to the front again.
        Err(rustix::io::Errno::IO) => {
            std::thread::sleep(Duration::from_millis(500));
            Typed::Nothing
        }
        Err(rustix::io::Errno::INTR) => Typed::Nothing,
        Err(_) => Typed::Never,
    }
}
