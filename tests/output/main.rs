//! What people are shown, whole, through the real program.
//!
//! Snapshots lie in `tests/snapshots/output`; `UPDATE_SNAPSHOTS=1` rewrites them.

mod browser;
mod checking;
mod chromium;
mod collector;
mod commands;
mod diagnostics;
mod embedding;
mod inputs;
mod libraries;
mod next_command;
mod outcomes;
mod project;
mod scene;
mod show;
mod statuses;
mod testing;
mod trace_tree;
mod tracing;
