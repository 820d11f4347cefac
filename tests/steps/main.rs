//! Step supervisors and probes, with real processes.

mod matrix;
mod probes;
mod scene;
mod standby;
mod supervisor;
