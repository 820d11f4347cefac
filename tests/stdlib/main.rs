//! The helpers of `std/…`, through the real program: that each is idempotent, and that whatever happens
//! in it, its back-out leaves what was there before.

#[path = "../support/mod.rs"]
mod support;

mod archives;
mod broken;
mod checks;
mod containers;
mod daemons;
mod database_server;
mod examples;
mod files;
mod git;
mod haproxy;
mod harness;
mod hook;
mod http;
mod killed_steps;
mod kubernetes;
mod names;
mod nginx;
mod notices;
mod notify;
mod package_roots;
mod packages;
mod postgres;
mod postgres_dumps;
mod postgres_transactions;
mod releases;
mod service_manager;
mod services;
mod strategies;
mod units;
mod whole_tree;
