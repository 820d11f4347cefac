//! The helpers of `std/…`, through the real program: that each is idempotent, and that whatever happens
//! in it, its back-out leaves what was there before.

#[path = "../support/mod.rs"]
mod support;

mod archives;
mod broken;
mod containers;
mod database_server;
mod examples;
mod files;
mod git;
mod harness;
mod hook;
mod http;
mod killed_steps;
mod notices;
mod notify;
mod postgres;
mod releases;
mod units;
mod whole_tree;
