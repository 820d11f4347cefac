//! What a run that is stuck could not put back is tried again.

use super::{Error, Runner, ended, events_of};
use crate::journal::{Filter, Holder, Journal, OwnerLock};
use crate::target::changes::{self, RestoreTask};
use crate::target::facts;
use crate::words::call::{CallId, Step, Undo};
use crate::words::event::{Event, Stamped};
use crate::words::outcome::RunOutcome;

/// Something that a run has changed and could not put back.
#[derive(Debug)]
pub struct NotPutBack {
    /// The call.
    pub call: CallId,
    /// Its title.
    pub title: String,
    task: RestoreTask,
}

/// What is left to put back of a run.
#[derive(Debug)]
pub struct ToPutBack {
    /// The run.
    pub run: String,
    /// The last one to be changed comes first, as it must be put back first.
    pub items: Vec<NotPutBack>,
    /// Runs of the same environment that were begun later and may have changed the same.
    pub later: Vec<String>,
    _owner: OwnerLock,
}

impl Runner {
    /// Finds what a run that ended `stuck` could not put back: files, links, directories and trees, whose former
    /// state is kept with the run. `calls` are those that are asked for; none means all. The run belongs to this
    /// process until what is returned is dropped.
    ///
    /// # Errors
    /// When there is no such run, another process has it, it did not end stuck, or there is nothing of it that
    /// could be put back.
    pub fn to_put_back(&self, run: &str, calls: &[String]) -> Result<ToPutBack, Error> {
        let journal = Journal::open(&self.state_dir)?;
        let run = journal.find(run)?;
        let holder = Holder::this_process(facts::user());
        let owner = OwnerLock::take(&self.state_dir, &run, &holder)?;
        let events = events_of(&run, &journal.read_from(&run, 1)?)?;
        let nothing = |problem: &str| Error::NothingToPutBack {
            run: run.clone(),
            problem: problem.to_owned(),
        };
        let end = match ended(&events) {
            Some(end) if end.outcome == RunOutcome::Stuck => end,
            Some(end) => return Err(nothing(&format!("it has ended: {}", end.outcome.word()))),
            None => return Err(nothing("it has not ended; `deployrun back-out` undoes it")),
        };
        let run_dir = self.state_dir.join("runs").join(&run);
        let mut items = Vec::new();
        for changed in &end.still_changed {
            let Some((step, tries)) = step_of(&changed.call, &events) else {
                continue;
            };
            let dirs = (1..=tries).map(|n| run_dir.join(changed.call.directory(n, false)));
            let restores = step
                .back_out
                .as_ref()
                .is_some_and(|b| b.undo == Undo::Restore);
            if let Some((path, from)) = step.deed.changes().filter(|_| restores) {
                items.push(NotPutBack {
                    call: changed.call.clone(),
                    title: changed.title.clone(),
                    task: RestoreTask {
                        path: path.into(),
                        from: from.map(Into::into),
                        dirs: dirs.collect(),
                    },
                });
            }
        }
        if let Some(unknown) = calls
            .iter()
            .find(|call| !items.iter().any(|item| item.call.to_string() == **call))
        {
            let has: Vec<String> = items.iter().map(|item| item.call.to_string()).collect();
            return Err(nothing(&format!(
                "no file of call {unknown} is to be put back; there are: {}",
                if has.is_empty() {
                    "none".to_owned()
                } else {
                    has.join(", ")
                }
            )));
        }
        items.retain(|item| calls.is_empty() || calls.contains(&item.call.to_string()));
        if items.is_empty() {
            return Err(nothing(
                "what is still changed are no files that were kept with it",
            ));
        }
        let mut later = Vec::new();
        let rows = journal.runs(&Filter::default())?;
        if let Some(this) = rows.iter().find(|row| row.id == run) {
            let is_later = |row: &&crate::journal::RunRow| {
                row.environment == this.environment
                    && (row.created_ms, &row.id) > (this.created_ms, &this.id)
                    && row.outcome.as_deref() != Some(RunOutcome::Refused.word())
            };
            later = rows
                .iter()
                .filter(is_later)
                .map(|row| row.id.clone())
                .collect();
        }
        Ok(ToPutBack {
            run,
            items,
            later,
            _owner: owner,
        })
    }
}

impl NotPutBack {
    /// Puts it back, and says what was done. It may be done again, whatever was done of it.
    ///
    /// # Errors
    /// Says why it could not be; it can be tried again.
    pub fn put_back(&self) -> Result<String, String> {
        changes::put_back(&self.task)
    }
}

/// The step as it was announced last, and how many tries it had.
fn step_of<'e>(call: &CallId, events: &'e [Stamped]) -> Option<(&'e Step, u32)> {
    events.iter().rev().find_map(|e| match &e.event {
        Event::StepStarted {
            id, attempt, step, ..
        } if id == call => Some((&**step, *attempt)),
        _ => None,
    })
}
