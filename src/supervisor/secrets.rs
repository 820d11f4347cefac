//! The values of a run that nobody may read, and texts without them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::words::mask::Masker;

use super::fiber::lock;

/// The values of a run that must not be written anywhere.
#[derive(Debug, Default)]
pub struct Secrets {
    known: Mutex<(Vec<String>, Arc<Masker>)>,
    any: AtomicBool,
}

impl Secrets {
    /// Adds a value. Fails for one that is too short to be masked.
    pub fn add(&self, value: &str) -> Result<(), String> {
        let mut known = lock(&self.known);
        if known.0.iter().any(|v| v == value) {
            return Ok(());
        }
        let mut values = known.0.clone();
        values.push(value.to_owned());
        let masker = Masker::new(&values).map_err(|error| error.to_string())?;
        *known = (values, Arc::new(masker));
        self.any.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// All values.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        lock(&self.known).0.clone()
    }

    /// `text` without any secret.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        if self.any.load(Ordering::SeqCst) {
            lock(&self.known).1.clone().mask_str(text)
        } else {
            text.to_owned()
        }
    }

    /// `value` without any secret in any of its texts; `None` when it holds none.
    #[must_use]
    pub fn masked<T: serde::Serialize + serde::de::DeserializeOwned>(
        &self,
        value: &T,
    ) -> Option<T> {
        if !self.any.load(Ordering::SeqCst) {
            return None;
        }
        let mut json = serde_json::to_value(value).ok()?;
        let masker = lock(&self.known).1.clone();
        if !mask_json(&mut json, &masker) {
            return None;
        }
        serde_json::from_value(json).ok()
    }
}

fn mask_json(value: &mut Value, masker: &Masker) -> bool {
    match value {
        Value::String(text) => {
            let masked = masker.mask_str(text);
            let changed = masked != *text;
            *text = masked;
            changed
        }
        Value::Array(items) => mask_all(items.iter_mut(), masker),
        Value::Object(map) => mask_all(map.values_mut(), masker),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Masks every one of them, and says whether any held a secret.
fn mask_all<'v>(values: impl Iterator<Item = &'v mut Value>, masker: &Masker) -> bool {
    let mut any = false;
    for value in values {
        any |= mask_json(value, masker);
    }
    any
}
