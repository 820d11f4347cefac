//! The thread that reports: a run is never slowed by a terminal that is slow, or ended by one that
//! is gone.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::words::event::{Event, Stamped};

/// How long a report may take to come to its end when standard output is blocked.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the thread does with what it is told.
pub(super) trait Screen: Send + 'static {
    /// Events that are in the journal, in order.
    fn events(&mut self, events: &[Stamped]);
    /// An event that could not be written.
    fn unwritten(&mut self, event: &Stamped);
    /// Time has passed. Returns how long it may be left alone; without an answer, until something
    /// happens.
    fn tick(&mut self) -> Option<Duration>;
}

enum Told {
    Event(Box<Stamped>),
    Unwritten(Box<Stamped>),
}

/// The way to the thread.
pub(super) struct Reporter<S: Screen> {
    /// Until the first event.
    screen: Option<S>,
    to: Option<Sender<Told>>,
    running: Option<(JoinHandle<()>, Receiver<()>)>,
}

impl<S: Screen> Reporter<S> {
    pub(super) fn new(screen: S) -> Self {
        Self {
            screen: Some(screen),
            to: None,
            running: None,
        }
    }

    /// The screen, before the first event.
    pub(super) fn screen(&mut self) -> Option<&mut S> {
        self.screen.as_mut()
    }

    pub(super) fn event(&mut self, event: &Stamped) {
        self.tell(Told::Event(Box::new(event.clone())));
    }

    /// The same, without what a step printed but for its last lines: a terminal that hangs keeps
    /// what is told waiting.
    pub(super) fn event_without_streams(&mut self, event: &Stamped) {
        let mut event = event.clone();
        if let Event::StepEnded { end, .. } | Event::BackOutEnded { end: Some(end), .. } =
            &mut event.event
        {
            (end.stdout.text, end.stderr.text) = (String::new(), String::new());
        }
        self.tell(Told::Event(Box::new(event)));
    }

    pub(super) fn unwritten(&mut self, event: &Stamped) {
        self.tell(Told::Unwritten(Box::new(event.clone())));
    }

    fn tell(&mut self, told: Told) {
        if let Some(screen) = self.screen.take() {
            self.start(screen);
        }
        if let Some(to) = &self.to {
            let _ = to.send(told);
        }
    }

    /// Without a thread nothing is reported; the run goes on, and the journal has everything.
    fn start(&mut self, mut screen: S) {
        let (to, from) = channel();
        let (done, is_done) = channel();
        let builder = std::thread::Builder::new().name("report".into());
        let thread = builder.spawn(move || {
            serve(&mut screen, &from);
            drop(screen);
            let _ = done.send(());
        });
        if let Ok(thread) = thread {
            self.to = Some(to);
            self.running = Some((thread, is_done));
        }
    }
}

impl<S: Screen> Drop for Reporter<S> {
    fn drop(&mut self) {
        drop(self.to.take());
        if let Some((thread, is_done)) = self.running.take() {
            // A thread that hangs in a write ends with the process.
            if is_done.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                let _ = thread.join();
            }
        }
    }
}

fn serve<S: Screen>(screen: &mut S, from: &Receiver<Told>) {
    let mut events = Vec::new();
    loop {
        let first = match screen.tick() {
            Some(time) => from.recv_timeout(time),
            None => from.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let mut next = match first {
            Ok(told) => Some(told),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        while let Some(told) = next {
            match told {
                Told::Event(event) => events.push(*event),
                Told::Unwritten(event) => {
                    screen.events(&std::mem::take(&mut events));
                    screen.unwritten(&event);
                }
            }
            next = from.try_recv().ok();
        }
        screen.events(&std::mem::take(&mut events));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kept {
        seen: Sender<u64>,
        stuck: Option<Receiver<()>>,
    }

    impl Screen for Kept {
        fn events(&mut self, events: &[Stamped]) {
            if let Some(stuck) = &self.stuck {
                let _ = stuck.recv();
            }
            for event in events {
                let _ = self.seen.send(event.seq);
            }
        }
        fn unwritten(&mut self, event: &Stamped) {
            let _ = self.seen.send(1000 + event.seq);
        }
        fn tick(&mut self) -> Option<Duration> {
            None
        }
    }

    fn event(seq: u64) -> Stamped {
        Stamped {
            run: "20260321-2100-0007".into(),
            seq,
            at_ms: 0,
            event: Event::HungUp,
        }
    }

    #[test]
    fn everything_is_told_in_order_before_the_reporter_is_gone() {
        let (seen, all) = channel();
        let mut reporter = Reporter::new(Kept { seen, stuck: None });
        for seq in 1..=1000 {
            reporter.event(&event(seq));
        }
        reporter.unwritten(&event(1));
        drop(reporter);
        let seen: Vec<u64> = all.iter().collect();
        assert_eq!(seen, (1..=1001).collect::<Vec<_>>());
    }

    #[test]
    fn a_screen_that_hangs_hinders_nobody() {
        let (seen, _all) = channel();
        let (let_go, stuck) = channel();
        let stuck = Some(stuck);
        let mut reporter = Reporter::new(Kept { seen, stuck });
        let since = std::time::Instant::now();
        for seq in 1..=10_000 {
            reporter.event(&event(seq));
        }
        assert!(since.elapsed() < PATIENCE);
        let late = std::thread::spawn(move || drop(reporter));
        late.join().unwrap();
        assert!(since.elapsed() >= PATIENCE);
        drop(let_go);
    }
}
