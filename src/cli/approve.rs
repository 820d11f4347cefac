//! `deployrun approve`.

use super::context::Context;

/// Approves what a run waits for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_context: &Context, _args: &Args) -> u8 {
    0
}
