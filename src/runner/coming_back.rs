//! Runs that are taken up where they were left.

use std::collections::HashMap;

use super::drive::{Inputs, Wired};
use super::frozen::Frozen;
use super::{Error, Runner, Summary, actor, ended, events_of};
use crate::journal::{Holder, Journal, OwnerLock};
use crate::script::plan::Plan;
use crate::supervisor::core::{Core, Input, Settings, Try};
use crate::supervisor::driver::Book;
use crate::supervisor::recorded::Recorded;
use crate::supervisor::unwritten;
use crate::target::local::Standby;
use crate::target::probe::Cancel;
use crate::target::secret_source;
use crate::target::{environment, facts};
use crate::words::clock::Now;
use crate::words::event::{Event, Stamped};

impl Runner {
    /// Takes up a run where it was left.
    ///
    /// # Errors
    /// When there is no such run, it has ended, or another process has it.
    pub fn resume(self, run: &str) -> Result<Summary, Error> {
        self.take_up(run, "resume")
    }

    /// Takes up a run where it was left, and backs it out.
    ///
    /// # Errors
    /// When there is no such run, it has ended, or another process has it.
    pub fn back_out(self, run: &str) -> Result<Summary, Error> {
        self.take_up(run, "back-out")
    }

    fn take_up(mut self, run: &str, command: &str) -> Result<Summary, Error> {
        let journal = Journal::open(&self.state_dir)?;
        let run = journal.find(run)?;
        let holder = Holder::this_process(facts::user());
        let owner = OwnerLock::take(&self.state_dir, &run, &holder)?;
        let unreadable = |problem: String| Error::Unreadable {
            run: run.clone(),
            problem,
        };
        // What is in the journal stays as it is; only what came later is read.
        let mut events = std::mem::take(&mut self.known);
        events.retain(|event| event.run == run);
        let next = events.last().map_or(1, |event| event.seq + 1);
        events.extend(events_of(&run, &journal.read_from(&run, next)?)?);
        let over = ended(&events).map(|end| end.outcome.word());
        if let Some(outcome) = over
            && !is_untold(&events)
        {
            return Err(Error::Ended { run, outcome });
        }
        let frozen: Frozen = serde_json::from_value(journal.frozen(&run)?)
            .map_err(|e| unreadable(format!("what was frozen with it: {e}")))?;
        let plan = Plan::from_sources(&frozen.main, &frozen.root, frozen.sources.clone());
        let run_dir = self.state_dir.join("runs").join(&run);
        let tries =
            match over {
                Some(_) => Vec::new(),
                None => unwritten::look(&run_dir, events.iter().map(|e| &e.event)).map_err(
                    |source| Error::Unwritten {
                        run: run.clone(),
                        source,
                    },
                )?,
            };
        // A run that nothing can be done for but to tell of it needs neither directory nor secrets.
        let acts = tries.is_empty() && over.is_none();
        if acts && !frozen.root.is_dir() {
            return Err(Error::Root {
                run,
                root: frozen.root,
            });
        }
        let cancel = Cancel::new()?;
        let env = environment::taken_up(frozen.env);
        let wanted = if acts { &events[..] } else { &[] };
        secret_source::all_there(
            wanted.iter().map(|e| &e.event),
            (&frozen.root, &env),
            &cancel,
        )
        .map_err(|problem| Error::Secret {
            run: run.clone(),
            problem,
        })?;
        let settings = Settings {
            name: plan.name(),
            override_window: frozen
                .override_window
                .clone()
                .or(self.settings.override_window.clone()),
            lock_wait_ms: self.settings.lock_wait_ms,
        };
        let now = self.clock.now();
        let core = Core::restore(
            settings,
            events.iter().map(|e| (&e.event, then(e.at_ms, now))),
        );
        let recorded = Recorded::from_events(events.iter().map(|e| &e.event));
        let by = actor();
        let resumed = Event::RunResumed {
            by: by.clone(),
            command: command.to_owned(),
            boot_id: holder.boot_id.clone(),
        };
        let begun_in = begun_in(&events);
        let first = match command {
            _ if over.is_some() => Vec::new(),
            _ if !tries.is_empty() => vec![Input::Unwritten { tries }],
            "back-out" => vec![Input::BackOutAsked { by: by.clone() }],
            _ => Vec::new(),
        };
        let last_seq = events.last().map_or(0, |e| e.seq);
        let wired = Wired {
            standby: Standby::default(),
            by,
            holder,
            recorded,
            core,
            begun_in,
        };
        let book = |report| Ok(Book::of_run(journal, run.clone(), last_seq, report));
        let inputs = Inputs {
            args: frozen.args,
            env,
            approval: frozen.approval,
        };
        let opening = if over.is_some() {
            Vec::new()
        } else {
            vec![resumed]
        };
        let summary = self.drive(plan, inputs, wired, book, opening, first);
        drop(owner);
        match over {
            Some(outcome) => Err(Error::Ended { run, outcome }),
            None => summary,
        }
    }
}

/// Was the process killed before it could tell those whom the header names that the run has ended?
fn is_untold(events: &[Stamped]) -> bool {
    let now = Now::default();
    let core = Core::restore(Settings::default(), events.iter().map(|e| (&e.event, now)));
    !core.to_be_told(core.end()).is_empty()
}

/// An instant of the past on both clocks, seen from now.
fn then(at_ms: i64, now: Now) -> Now {
    // Seen from a wall clock that was set back, the past does not lie in the future.
    let ago = now.wall_ms.saturating_sub(at_ms).max(0);
    Now {
        wall_ms: at_ms,
        boot_ms: now.boot_ms.saturating_sub(ago),
    }
}

/// The boots in which the tries of steps and back-outs were started.
fn begun_in(events: &[Stamped]) -> HashMap<Try, String> {
    let mut boot = String::new();
    let mut begun = HashMap::new();
    for stamped in events {
        let (id, attempt, backs_out) = match &stamped.event {
            Event::RunStarted { boot_id, .. } | Event::RunResumed { boot_id, .. } => {
                boot.clone_from(boot_id);
                continue;
            }
            Event::StepStarted { id, attempt, .. } => (id, *attempt, false),
            Event::BackOutStarted { id, attempt, .. } => (id, *attempt, true),
            _ => continue,
        };
        begun.insert(
            Try {
                id: id.clone(),
                attempt,
                backs_out,
            },
            boot.clone(),
        );
    }
    begun
}
