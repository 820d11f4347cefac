//! The events of a run, from what the journal has stored.

use super::Error;
use crate::journal::StoredEntry;
use crate::words::event::{Event, RunEnd, Stamped};

/// What the entries of a run hold.
pub(crate) fn events_of(run: &str, entries: &[StoredEntry]) -> Result<Vec<Stamped>, Error> {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = entries.len().div_ceil(workers).max(SHARE);
    if entries.len() <= share {
        return entries.iter().map(|stored| event_of(run, stored)).collect();
    }
    std::thread::scope(|scope| {
        let shares: Vec<_> = entries
            .chunks(share)
            .map(|share| {
                scope.spawn(move || -> Result<Vec<Stamped>, Error> {
                    share.iter().map(|stored| event_of(run, stored)).collect()
                })
            })
            .collect();
        let mut events = Vec::with_capacity(entries.len());
        for share in shares {
            let parsed = share.join().map_err(|_| Error::Unreadable {
                run: run.to_owned(),
                problem: "deployrun has a defect: it panicked while it read an event".into(),
            })?;
            events.extend(parsed?);
        }
        Ok(events)
    })
}

/// Fewer entries than this are not worth a thread.
const SHARE: usize = 1000;

fn event_of(run: &str, stored: &StoredEntry) -> Result<Stamped, Error> {
    serde_json::from_str(&stored.entry.data)
        .map(|event| Stamped {
            run: run.to_owned(),
            seq: stored.seq,
            at_ms: stored.entry.at_ms,
            event,
        })
        .map_err(|e| Error::Unreadable {
            run: run.to_owned(),
            problem: format!("event {}: {e}", stored.seq),
        })
}

/// How a run ended, by its events.
pub(crate) fn ended(events: &[Stamped]) -> Option<&RunEnd> {
    events.iter().rev().find_map(|e| match &e.event {
        Event::RunEnded { end } => Some(end),
        _ => None,
    })
}
