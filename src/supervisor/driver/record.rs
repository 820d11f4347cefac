//! The run's book: its events on the way to the journal, and from there to the report.

use std::path::PathBuf;

use serde_json::Value;
use tokio::time::Instant;

use crate::journal::{
    AppendError, Entry, Journal, LockError, LockHeld, LockWish, NewRun, OwnerLock, RunId, RunUpdate,
};
use crate::words::event::{Actor, Event, RunEnd, Stamped, json_text};
use crate::words::header::Header;
use crate::words::outcome::{RunOutcome, StopCause};

use super::Report;

/// What is known of a run before its first event.
pub struct NewRunFacts {
    /// The id that is tried first.
    pub id: RunId,
    /// What the plan is called if its header does not say.
    pub name: String,
    /// SHA-256 over its sources, in hex.
    pub fingerprint: String,
    /// Its sources, arguments and settings.
    pub frozen: Value,
    /// Called once the run exists: takes its ownership.
    #[expect(clippy::type_complexity, reason = "a name would not make it plainer")]
    pub born: Box<dyn FnOnce(&str) -> Result<(), String>>,
}

/// Writes events, then shows them.
pub struct Book {
    journal: Journal,
    run: String,
    /// The run is created with its first events.
    unborn: Option<NewRunFacts>,
    next_seq: u64,
    /// Events that may wait.
    pending: Vec<Stamped>,
    pending_since: Option<Instant>,
    report: Box<dyn Report>,
    gone: bool,
    failure: String,
    /// Why the run that was just created does not belong to this process.
    unowned: Option<String>,
    /// A lock that is to be taken with the write that creates the run.
    lock_wish: Option<LockWish>,
    /// What became of that: who else has the lock.
    lock_answer: Option<Option<LockHeld>>,
    /// The end, if it could not be written.
    end_unwritten: Option<RunEnd>,
}

impl Book {
    /// The book of a run that is created with its first events.
    #[must_use]
    pub fn of_new_run(journal: Journal, facts: NewRunFacts, report: Box<dyn Report>) -> Self {
        Self {
            journal,
            run: facts.id.as_str().to_owned(),
            unborn: Some(facts),
            next_seq: 1,
            pending: Vec::new(),
            pending_since: None,
            report,
            gone: false,
            failure: String::new(),
            unowned: None,
            lock_wish: None,
            lock_answer: None,
            end_unwritten: None,
        }
    }

    /// The book of a run that has `last_seq` events.
    #[must_use]
    pub fn of_run(journal: Journal, run: String, last_seq: u64, report: Box<dyn Report>) -> Self {
        Self {
            journal,
            run,
            unborn: None,
            next_seq: last_seq + 1,
            pending: Vec::new(),
            pending_since: None,
            report,
            gone: false,
            failure: String::new(),
            unowned: None,
            lock_wish: None,
            lock_answer: None,
            end_unwritten: None,
        }
    }

    /// The run's id.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The run's directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.journal.state_dir().join("runs").join(&self.run)
    }

    /// Can nothing more be written?
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Since when events wait to be written, if there are any.
    pub(super) fn pending_since(&self) -> Option<Instant> {
        self.pending_since.filter(|_| !self.gone)
    }

    /// Events that are written together with the next ones.
    pub(super) fn open_with(&mut self, events: Vec<Event>, at_ms: &i64) {
        for event in events {
            self.stamp(event, *at_ms);
        }
    }

    fn stamp(&mut self, event: Event, at_ms: i64) {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.pending_since.get_or_insert_with(Instant::now);
        self.pending.push(Stamped {
            run: self.run.clone(),
            seq,
            at_ms,
            event,
        });
    }

    /// Takes events. When one of them must be durable, all are written before this returns; says
    /// whether that succeeded.
    pub(super) fn write(&mut self, events: Vec<Event>, at_ms: i64, header: &Header) -> bool {
        if events.is_empty() {
            return true;
        }
        let urgent = events.iter().any(Event::is_urgent);
        for event in events {
            self.stamp(event, at_ms);
        }
        if urgent { self.commit(header) } else { true }
    }

    /// Writes what waits; says whether that succeeded.
    pub(super) fn flush(&mut self, header: &Header) -> bool {
        self.pending.is_empty() || self.commit(header)
    }

    fn commit(&mut self, header: &Header) -> bool {
        self.pending_since = None;
        if self.gone {
            for event in std::mem::take(&mut self.pending) {
                self.report.unwritten(&event);
            }
            return true;
        }
        let entries: Vec<Entry> = self.pending.iter().map(entry).collect();
        let since = Instant::now();
        let result = match self.unborn.take() {
            None => {
                let update = self.update(&header.environment);
                self.journal.append_with(&self.run, &entries, &update)
            }
            Some(facts) => self.create(facts, &entries, header),
        };
        let took = since.elapsed();
        match result {
            Ok(()) => {
                tracing::debug!(
                    "journal: {} events of {} in {took:?}",
                    entries.len(),
                    self.run
                );
                for event in std::mem::take(&mut self.pending) {
                    self.report.event(&event);
                }
                match self.unowned.take() {
                    Some(problem) => {
                        self.failure = problem;
                        false
                    }
                    None => true,
                }
            }
            Err(error) => {
                tracing::warn!("journal: {error}, after {took:?}");
                self.failure = error.to_string();
                false
            }
        }
    }

    fn create(
        &mut self,
        facts: NewRunFacts,
        entries: &[Entry],
        header: &Header,
    ) -> Result<(), AppendError> {
        let name = if header.name.is_empty() {
            facts.name.clone()
        } else {
            header.name.clone()
        };
        let new = NewRun {
            id: facts.id.clone(),
            plan: name,
            version: header.version.clone(),
            environment: header.environment.clone(),
            fingerprint: facts.fingerprint.clone(),
            frozen: facts.frozen.clone(),
            created_ms: self.pending.first().map_or(0, |event| event.at_ms),
        };
        // A run that ends before anything must be durable is written whole at once.
        let update = self.update(&header.environment);
        let wish = self.lock_wish.as_ref();
        match self.journal.create_run_locked(&new, entries, &update, wish) {
            Ok((id, held)) => {
                self.is_born(facts, id.as_str(), held);
                Ok(())
            }
            Err(error) => {
                self.unborn = Some(facts);
                Err(error)
            }
        }
    }

    /// The run is in the journal. `held` is who else has the lock that was wanted with it.
    fn is_born(&mut self, facts: NewRunFacts, id: &str, held: Option<LockHeld>) {
        let wish = self.lock_wish.take();
        if wish.is_some() {
            self.lock_answer = Some(held);
        }
        id.clone_into(&mut self.run);
        for event in &mut self.pending {
            id.clone_into(&mut event.run);
        }
        // Without ownership another process could take the run up: that is a failed write.
        self.unowned = (facts.born)(id).err();
        if let (Some(_), Some(wish)) = (&self.unowned, wish) {
            // If this fails too, the lock names a run that has a controller no more.
            let _ = self.journal.release_lock(&wish.environment, id);
        }
    }

    fn update(&self, environment: &str) -> RunUpdate {
        let mut update = RunUpdate::default();
        for stamped in &self.pending {
            match &stamped.event {
                Event::Phase { phase } => update.phase = Some(phase.word().to_owned()),
                Event::RunEnded { end } => {
                    update.outcome = Some(end.outcome.word().to_owned());
                    // The lock goes with the end: no crash can leave it behind an ended run.
                    update.release_lock = Some(environment.to_owned());
                }
                _ => {}
            }
        }
        update
    }

    /// After a failed write: frees the space kept for this and tries once more. If that fails too
    /// the journal is gone for this run. Returns what went wrong at first.
    pub(super) fn recover(&mut self, header: &Header) -> String {
        let failure = std::mem::take(&mut self.failure);
        let _ = self.journal.reserve().release();
        if self.journal.recover_after_failure().is_ok() {
            self.drop_written();
            if self.pending.is_empty() || self.commit(header) {
                return failure;
            }
        }
        self.gone = true;
        for stamped in &mut self.pending {
            if let Event::RunEnded { end } = &mut stamped.event {
                unwritten_end(end, &failure);
                self.end_unwritten = Some(end.clone());
            }
        }
        let _ = self.commit(header);
        failure
    }

    /// The end of the run as it was told, if it could not be written.
    pub fn end_unwritten(&self) -> Option<&RunEnd> {
        self.end_unwritten.as_ref()
    }

    /// A write whose fate was unknown may have succeeded: what is there is not written again.
    fn drop_written(&mut self) {
        let first = self
            .pending
            .first()
            .map_or(self.next_seq, |event| event.seq);
        if let Some(facts) = self.unborn.take() {
            let id = facts.id.as_str().to_owned();
            let there = self.journal.read_from(&id, first).unwrap_or_default();
            let ours: Vec<Entry> = self.pending.iter().map(entry).collect();
            if there.is_empty() || !there.iter().map(|stored| &stored.entry).eq(&ours) {
                self.unborn = Some(facts);
                return;
            }
            let environment = self.lock_wish.as_ref().map(|wish| wish.environment.clone());
            let held = environment.and_then(|e| self.journal.lock(&e).ok().flatten());
            self.is_born(facts, &id, held.filter(|held| held.run != id));
        }
        let there = self
            .journal
            .read_from(&self.run, first)
            .map_or(0, |entries| entries.len());
        for event in self.pending.drain(..there.min(self.pending.len())) {
            self.report.event(&event);
        }
    }

    /// Wants a lock. If the run is yet to be created, the lock is taken with that; the answer comes
    /// with [`Book::take_lock`], before which the book is to be flushed.
    pub(super) fn wish_lock(&mut self, wish: LockWish) {
        self.lock_wish = Some(wish);
    }

    /// Takes the lock that is wanted, if it was not taken already when the run was created.
    pub(super) fn take_lock(&mut self) -> Result<(), LockError> {
        let (answer, wish) = (self.lock_answer.take(), self.lock_wish.take());
        if self.gone {
            return Ok(());
        }
        match (answer, wish) {
            (Some(Some(held)), _) => Err(LockError::Held(Box::new(held))),
            (None, Some(wish)) => self.journal.take_lock(&self.run, &wish),
            (Some(None), _) | (None, None) => Ok(()),
        }
    }

    /// Does a process have that run?
    pub(super) fn is_owned(&self, run: &str) -> bool {
        OwnerLock::current(self.journal.state_dir(), run).is_some()
    }

    /// Approvals that were given from elsewhere.
    pub(super) fn approvals(&self) -> Vec<Approval> {
        let Ok(dir) = std::fs::read_dir(self.dir().join("approvals")) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for file in dir.flatten() {
            let path = file.path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let given: Option<Approval> = std::fs::read(&path)
                .ok()
                .and_then(|b| serde_json::from_slice(&b).ok());
            found.extend(given);
        }
        found
    }
}

/// An approval on its way from `deployrun approve` to the run.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Approval {
    /// What is approved.
    pub name: String,
    /// By whom.
    pub by: Actor,
    /// When, milliseconds since 1970.
    #[serde(default)]
    pub at_ms: Option<i64>,
    /// Their words.
    pub comment: String,
}

/// An end that nobody finds in the journal is none to rely on: whoever looks later sees a run that
/// goes on. Where nothing was changed, that is true all the same.
fn unwritten_end(end: &mut RunEnd, failure: &str) {
    if end.outcome == RunOutcome::Refused {
        return;
    }
    if end.outcome != RunOutcome::Stuck {
        end.reason = format!(
            "it was {}, but that could not be written to the journal ({failure}): once it can be, \
             `resume` goes on to the same end, `back-out` undoes the run",
            end.outcome.word()
        );
    }
    end.outcome = RunOutcome::Stuck;
    end.cause = Some(StopCause::JournalFailed);
}

fn entry(stamped: &Stamped) -> Entry {
    Entry {
        at_ms: stamped.at_ms,
        kind: stamped.event.kind().to_owned(),
        call: stamped.event.call().map(ToString::to_string),
        data: json_text(&stamped.event),
    }
}
