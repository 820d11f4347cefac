//! `deployrun logs`.

use super::context::Context;

/// Shows the output of a run's steps.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_context: &Context, _args: &Args) -> u8 {
    0
}
