//! Runs as the journal has them, for the commands that only read.

use crate::Error;
use crate::journal::{OwnerLock, Reader};
use crate::runner::{events_of, sources_of};
use crate::words::event::Stamped;

use super::context::Context;

/// The run whose id begins so, and its events.
pub(super) fn find(context: &Context, run: &str) -> Result<(String, Vec<Stamped>), Error> {
    let reader = Reader::open(&context.state)?;
    let run = reader.find(run)?;
    let events = events_of(&run, &reader.read(&run)?)?;
    Ok((run, events))
}

/// The sources of a run's plan by name, as they were frozen with it; the plan itself comes first.
pub(super) fn sources(context: &Context, run: &str) -> Result<Vec<(String, String)>, Error> {
    let frozen = Reader::open(&context.state)?.frozen(run)?;
    sources_of(run, frozen)
}

/// The process that has a run, in words, if one does.
pub(super) fn owner(context: &Context, run: &str) -> Option<String> {
    let owned = OwnerLock::current(&context.state, run)?;
    let holder = owned.holder.map(|holder| holder.to_string());
    Some(holder.unwrap_or_else(|| "another process".to_owned()))
}
