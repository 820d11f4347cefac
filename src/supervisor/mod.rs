//! What happens next in a run: the pure [`core`] decides, the [`driver`] acts, and each script
//! speaks to them through a [`fiber`].

pub mod core;
pub mod driver;
pub mod fiber;
pub mod foresight;
pub mod pretended;
pub mod recorded;
pub mod secrets;
pub mod spending;
pub mod unwritten;
