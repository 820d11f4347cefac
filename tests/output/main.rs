//! What people are shown, whole, through the real program.
//!
//! Snapshots lie in `tests/snapshots/output`; `UPDATE_SNAPSHOTS=1` rewrites them.

mod commands;
mod embedding;
mod inputs;
mod libraries;
mod next_command;
mod outcomes;
mod project;
mod scene;
mod statuses;
mod testing;
