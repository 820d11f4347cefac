//! `deployrun show`.

use super::context::Context;

/// Shows one run whole.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_context: &Context, _args: &Args) -> u8 {
    0
}
