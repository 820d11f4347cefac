//! `deployrun window`.

use super::context::Context;

/// Lists the next openings of a window.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_context: &Context, _args: &Args) -> u8 {
    0
}
