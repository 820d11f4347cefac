//! deployrun: an embedded scripting runtime for deployment plans.
//!
//! A plan is a Rhai script that calls functions supplied by the host. The script says what to do;
//! the host enforces order, windows, timeouts, monitoring, the journal, and the back-out: whatever
//! happens, production ends in a state that the host can name, and unless the release is done, it
//! is the state before.
//!
//! The command line uses this API and nothing else:
//!
//! ```no_run
//! use deployrun::{Plan, Runner};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Steps run under a supervisor that is this very program, started again.
//!     if let Some(status) = deployrun::dispatch() {
//!         std::process::exit(status);
//!     }
//!     let plan = Plan::read("plan.rhai".as_ref())?;
//!     let summary = Runner::new("/var/lib/my-program/deployrun").run(plan)?;
//!     println!("{}: {}", summary.run, summary.outcome.word());
//!     Ok(())
//! }
//! ```

pub mod cli;
pub mod journal;
pub mod libraries;
#[cfg(test)]
mod readings;
pub mod report;
mod runner;
pub mod script;
#[cfg(test)]
mod shown;
pub mod supervisor;
pub mod target;
pub mod words;

pub use runner::{Error, Runner, Summary, dispatch};
pub use script::plan::Plan;
pub use words::event::{Event, Stamped};
pub use words::preview::Preview;
pub use words::report::Report;

/// The code of the manual's page on embedding, which has to compile.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
struct EmbeddingPage;
