//! Plain data and pure functions: the words that everything else is said in. No input or output.

pub mod call;
pub mod clock;
pub mod code;
pub mod diagnostic;
pub mod digest;
pub mod duration;
pub mod event;
pub mod header;
pub mod hidden;
pub mod levels;
pub mod library;
pub mod manual;
pub mod mask;
pub mod notice;
pub mod outcome;
pub mod paths;
pub mod place;
pub mod preview;
pub mod probe;
pub mod project;
pub mod report;
pub mod step;
pub mod suggest;
pub mod test_result;
pub mod version;
pub mod window;
