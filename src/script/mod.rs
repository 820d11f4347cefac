//! Plans: the Rhai engine, its modules and sandbox, the static check, and the functions that plans
//! call. The only place that sees rhai.

pub mod api;
pub mod approval;
pub mod args;
pub mod check;
pub mod closure;
pub mod documented;
pub mod engine;
pub mod error;
pub mod functions;
mod library_sources;
pub mod manual;
pub mod modules;
pub mod nesting;
pub mod notify;
mod own_names;
pub mod plan;
pub mod preview;
pub(crate) mod project_file;
pub mod run;
pub mod secret_text;
pub mod source_text;
pub mod style;
pub mod syntax;
pub mod testing;
pub mod value;
