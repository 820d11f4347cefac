//! What stands at the other side of a fiber in a preview: someone who looks and never acts.

use serde_json::Value;

use crate::words::call::{Call, Failure};
use crate::words::place::Place;

use super::fiber::Halt;

/// How a read looks at the world.
pub type Look<'l> = &'l mut dyn FnMut() -> Result<Value, Failure>;

/// Answers the calls of a preview. What it is given is told and forgotten: it has no driver, no
/// journal and no target, so there is nothing it could act with.
pub trait Foresight<K>: Send + Sync {
    /// Tells of a call that a run would perform. Secrets are masked.
    ///
    /// # Errors
    /// `Unknown` when only a run could answer, else as in a run.
    fn call(&self, call: Call, place: Place, closure: Option<K>) -> Result<Value, Halt>;

    /// Looks, if what is seen now is what a run would see.
    ///
    /// # Errors
    /// `Unknown` when steps would have been there before, else as in a run.
    fn read(&self, name: &str, args: Vec<Value>, place: Place, look: Look) -> Result<Value, Halt>;

    /// Looks for a check, in the review.
    ///
    /// # Errors
    /// As in a run.
    fn check(
        &self,
        name: &str,
        place: Place,
        look: &mut dyn FnMut() -> (bool, String),
    ) -> Result<Value, Halt>;

    /// The values of the next call are not all known: what they depend on, and the options that
    /// were left away for it.
    fn doubt(&self, depends_on: &str, options: Vec<String>);

    /// Tells of a call of which not enough is known to make it.
    fn cannot_make(&self, function: &str, place: Place, depends_on: &str);
}
