//! `deployrun runs`.

use super::context::Context;

/// Lists runs, the newest first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_context: &Context, _args: &Args) -> u8 {
    0
}
