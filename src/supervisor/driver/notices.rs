//! Telling people of the run, beside it: nothing waits for it but the end of this process, and nothing
//! that comes of it changes the run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::supervisor::fiber::Message;
use crate::target::notices;
use crate::words::event::{Event, RunEnd};
use crate::words::notice::{Notice, Occasion};

use super::signals::Signals;
use super::{Driver, Scripts};

/// How much longer than its own time one who is told is waited for.
const SLACK: Duration = Duration::from_millis(500);
/// Characters of a problem that are written down.
const SHOWN: usize = 250;

/// Who is being told.
#[derive(Default)]
pub(super) struct Notices {
    /// Those from whom nothing was heard yet.
    under_way: BTreeSet<(usize, Occasion)>,
    until: Option<Instant>,
}

impl<S: Scripts> Driver<S> {
    /// Begins to tell those who are to be told and were not.
    pub(super) fn tell_people(&mut self, end: Option<&RunEnd>) {
        for (number, occasion) in self.core.to_be_told(end) {
            self.core.are_being_told(number, occasion);
            self.tell_one(number, occasion, end);
        }
    }

    fn tell_one(&mut self, number: usize, on: Occasion, end: Option<&RunEnd>) {
        let named = self.core.header().notify.get(number - 1);
        let Some(notify) = named.cloned() else {
            return;
        };
        let secrets = &self.shared.secrets;
        let header = self.core.header().clone();
        let end = end.cloned();
        let notice = Notice {
            occasion: on,
            run: self.book.run().to_owned(),
            at_ms: self.now_wall(),
            by: self.setup.by.clone(),
            header: secrets.masked(&header).unwrap_or(header),
            end: secrets.masked(&end).unwrap_or(end),
        };
        let since = Instant::now();
        let until = since + Duration::from_millis(notify.timeout_ms) + SLACK;
        self.notices.until = self.notices.until.max(Some(until));
        self.notices.under_way.insert((number, on));
        let (tell, root) = (self.to_self.clone(), self.setup.root.clone());
        let (env, secrets) = (self.shared.env.clone(), secrets.clone());
        let tells = self.setup.tells;
        tokio::task::spawn_blocking(move || {
            let told = if tells {
                notices::tell(&notify, &notice, (&root, &env))
            } else {
                Ok(())
            };
            let problem = told.map_or_else(|problem| secrets.mask(&problem), |()| String::new());
            let event = Event::Notified {
                number,
                on,
                to: notify.channel.words(),
                problem: problem.chars().take(SHOWN).collect(),
                took_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            let _ = tell.send(Message::Notified(Box::new(event)));
        });
    }

    /// Writes down what became of it.
    pub(super) fn on_notified(&mut self, event: Event) {
        if let Event::Notified { number, on, .. } = &event
            && self.notices.under_way.remove(&(*number, *on))
        {
            let header = self.core.header().clone();
            // That the journal can't be written is noticed by what the run itself has to write.
            let _ = self.book.write(vec![event], self.now_wall(), &header);
        }
    }

    /// The run has ended: tells of it, and waits for those who are told, as long as each may take. A
    /// signal ends the wait.
    pub(super) async fn tell_the_end(&mut self, signals: &mut Signals) {
        let end = self.book.end_unwritten().or(self.core.end()).cloned();
        if end.is_some() {
            self.tell_people(end.as_ref());
        }
        let mut why = "it was not heard of in time".to_owned();
        while !self.notices.under_way.is_empty() && end.is_some() {
            let until = self.notices.until.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                name = signals.next() => {
                    why = format!("{name} came before it was heard of");
                    break;
                }
                message = self.inbox.recv() => {
                    if let Some(Message::Notified(event)) = message {
                        self.on_notified(*event);
                        self.write_down();
                    }
                }
                () = tokio::time::sleep_until(until.into()) => break,
            }
        }
        for (number, on) in self.notices.under_way.clone() {
            let named = self.core.header().notify.get(number - 1);
            let Some(notify) = named else { continue };
            let event = Event::Notified {
                number,
                on,
                to: notify.channel.words(),
                problem: why.clone(),
                took_ms: notify.timeout_ms,
            };
            self.on_notified(event);
        }
        self.write_down();
    }

    /// Whatever comes of this, the run has ended.
    fn write_down(&mut self) {
        let header = self.core.header().clone();
        if !self.book.flush(&header) {
            tracing::warn!("journal: what became of notices could not be written");
        }
    }
}
