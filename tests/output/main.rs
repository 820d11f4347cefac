//! What people are shown, whole, through the real program.
//!
//! Snapshots lie in `tests/snapshots/output`; `UPDATE_SNAPSHOTS=1` rewrites them.

mod browser;
mod checking;
mod chromium;
mod collector;
mod commands;
mod diagnostics;
mod documented;
mod documenting;
mod embedding;
mod help;
mod inputs;
mod libraries;
mod new;
mod next_command;
mod outcomes;
mod preview;
mod project;
mod pty;
mod scene;
mod shells;
mod show;
mod status;
mod statuses;
mod style;
mod terminal;
mod testing;
mod trace_tree;
mod tracing;
