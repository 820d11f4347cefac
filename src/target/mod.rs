//! Places where steps act, and what can be read there. The only place that sees duct, and that
//! touches disks, processes and networks on behalf of a plan.

mod archive;
mod attributes;
pub mod changes;
pub mod environment;
pub mod facts;
pub mod files;
mod former;
pub mod git;
pub mod host;
pub mod http;
pub mod installed;
pub mod library_files;
pub mod likeness;
pub mod local;
pub mod memory;
pub mod notices;
mod owners;
pub mod pretended;
pub mod probe;
pub mod secret_source;
pub mod step_supervisor;
pub mod terminal;
pub mod tries;
