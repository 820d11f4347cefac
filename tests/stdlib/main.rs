//! The helpers of `std/…`, through the real program: that each is idempotent, and that whatever happens
//! in it, its back-out leaves what was there before.

#[path = "../support/mod.rs"]
mod support;

mod archives;
mod broken;
mod database_server;
mod examples;
mod files;
mod git;
mod harness;
mod killed_steps;
mod postgres;
mod releases;
mod whole_tree;
