//! What a run's directory tells of tries that the journal does not have.
//!
//! When the journal fails for good, the back-out runs from memory. Whoever comes back later must not
//! do again what was done then: the directories of the tries are what is left of it.

use std::collections::HashSet;
use std::path::Path;

use crate::target::local::{Found, StepDir};
use crate::target::tries;
use crate::words::event::{Event, LimitBy, Unwritten};
use crate::words::outcome::Outcome;
use crate::words::step::{ProcessFact, StepEnd, end_words};

use super::core::{Try, outcome_of};

/// Why a run cannot be taken up yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookError {
    /// What the journal does not know goes on.
    #[error(
        "`{directory}` still acts and is not in the journal; it ends when its time is over, come \
         back then"
    )]
    Acts {
        /// The directory of the try.
        directory: String,
    },
    /// It cannot be told what was done.
    #[error("{directory}: {problem}")]
    Unclear {
        /// The directory.
        directory: String,
        /// Why.
        problem: String,
    },
}

/// The tries that acted and that the journal does not have, in the order of their calls.
///
/// # Errors
/// When one of them still acts, or when it cannot be told.
pub fn look<'e>(
    run_dir: &Path,
    events: impl IntoIterator<Item = &'e Event>,
) -> Result<Vec<Unwritten>, LookError> {
    let mut known = HashSet::new();
    let mut boot = String::new();
    for event in events {
        match event {
            Event::RunStarted { boot_id, .. } | Event::RunResumed { boot_id, .. } => {
                boot.clone_from(boot_id);
            }
            Event::StepStarted { id, attempt, .. } => drop(known.insert((id, *attempt, false))),
            Event::BackOutStarted { id, attempt, .. } => drop(known.insert((id, *attempt, true))),
            _ => {}
        }
    }
    let unclear = |error: std::io::Error| LookError::Unclear {
        directory: run_dir.display().to_string(),
        problem: error.to_string(),
    };
    let mut told = Vec::new();
    for (id, attempt, backs_out) in tries::of_run(run_dir).map_err(unclear)? {
        if known.contains(&(&id, attempt, backs_out)) {
            continue;
        }
        let key = Try {
            id,
            attempt,
            backs_out,
        };
        let dir = StepDir::new(run_dir.join(key.directory()));
        told.extend(tell(&dir, &key, &boot)?);
    }
    Ok(told)
}

/// How the try ended; `None` if it never began to act.
fn tell(dir: &StepDir, key: &Try, boot: &str) -> Result<Option<Unwritten>, LookError> {
    if dir.remove_empty() {
        // It was to be journalled as started, and was not.
        return Ok(None);
    }
    let directory = key.directory();
    let found = dir.find(boot).map_err(|error| LookError::Unclear {
        directory: directory.clone(),
        problem: error.to_string(),
    })?;
    let told = |outcome, how: String, tail: String| Unwritten {
        call: key.id.clone(),
        attempt: key.attempt,
        backs_out: key.backs_out,
        outcome,
        how,
        tail,
    };
    Ok(match found {
        Found::Running(_) => return Err(LookError::Acts { directory }),
        Found::Ended(end) => Some(told(
            // The exit statuses that a step of a closure counted as success are not known.
            outcome_of(&end, &[0]),
            with_survivors(end_words(&end, LimitBy::Timeout, &[0]), &end.survivors),
            tail_of(&end),
        )),
        Found::Lost { why, survivors, .. } => {
            let how = with_survivors(format!("has an unknown end: {}", why.words()), &survivors);
            Some(told(Outcome::Unknown, how, String::new()))
        }
        Found::NeverStarted if tries::is_own(dir.path()) => {
            let how = "has an unknown end: a function of the embedding program was called";
            Some(told(Outcome::Unknown, how.to_owned(), String::new()))
        }
        Found::NeverStarted => {
            // Whoever is late finds no directory and refuses; the next try may have the name.
            let _ = std::fs::remove_dir_all(dir.path());
            None
        }
    })
}

fn with_survivors(how: String, survivors: &[ProcessFact]) -> String {
    if survivors.is_empty() {
        return how;
    }
    let pids: Vec<String> = survivors.iter().map(|p| p.pid.to_string()).collect();
    format!("{how}; pid {} lives on", pids.join(", "))
}

fn tail_of(end: &StepEnd) -> String {
    if outcome_of(end, &[0]) == Outcome::Succeeded {
        String::new()
    } else {
        end.tail.clone()
    }
}
