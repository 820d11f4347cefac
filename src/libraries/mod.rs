//! Libraries of teams: what a project declares, what its lock pins, and where the files are.
//!
//! A run only looks: at `deployrun.toml`, at `deployrun.lock`, and at files whose digest is the one
//! of the lock. Fetching is for the `lib` commands.

pub mod dependent;
pub mod resolve;
pub mod shelf;
pub mod upkeep;

pub use dependent::{Dependent, Libraries};
