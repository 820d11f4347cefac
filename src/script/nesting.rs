//! How deep values are nested.
//!
//! Rhai takes a value apart by calls that nest as deep as the value does: a chain of a million
//! closures, each captured by the next, overflows the stack when it is dropped, and the process with
//! it. No hook of the engine sees such a chain grow. But whatever grows is read again and again, so
//! it is enough to look at some of what is read: which, nobody can foresee.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use rhai::{Array, Dynamic, FnPtr, Map};

use crate::supervisor::spending::{NESTING_MAX, Spent, VALUES_MAX};

use super::engine::{ARRAY_ITEMS, MAP_ITEMS};

/// One in so many reads is looked into, on average.
const INTERVAL: u64 = 256;

/// Chooses the reads that are looked into.
#[derive(Debug)]
pub struct Sampler {
    left: AtomicU64,
    random: AtomicU64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            left: AtomicU64::new(1),
            random: AtomicU64::new(RandomState::new().hash_one(0_u8) | 1),
        }
    }
}

impl Sampler {
    /// Is it the turn of this read?
    pub fn is_due(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        if left > 1 {
            self.left.store(left - 1, Ordering::Relaxed);
            return false;
        }
        // Xorshift: cheap, and its begin is unknown to scripts.
        let mut random = self.random.load(Ordering::Relaxed);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random.store(random, Ordering::Relaxed);
        self.left
            .store(1 + random % (2 * INTERVAL), Ordering::Relaxed);
        true
    }
}

/// What there is too much of in the value, if there is: depth, or values in it.
#[must_use]
pub fn excess(value: &Dynamic) -> Option<Spent> {
    let mut left = VALUES_MAX;
    visit(value, NESTING_MAX, &mut left).err()
}

fn visit(value: &Dynamic, depth: usize, left: &mut usize) -> Result<(), Spent> {
    let depth = depth.checked_sub(1).ok_or(Spent::Nesting)?;
    *left = left.checked_sub(1).ok_or(Spent::Values)?;
    if let Some(items) = value.read_lock::<Array>() {
        // The engine tests its limits for most of what makes an array or a map grow, not for all.
        is_within(items.len(), ARRAY_ITEMS)?;
        return items.iter().try_for_each(|item| visit(item, depth, left));
    }
    if let Some(map) = value.read_lock::<Map>() {
        is_within(map.len(), MAP_ITEMS)?;
        return map.values().try_for_each(|item| visit(item, depth, left));
    }
    if let Some(pointer) = value.read_lock::<FnPtr>() {
        let mut captured = pointer.iter_curry();
        return captured.try_for_each(|item| visit(item, depth, left));
    }
    Ok(())
}

fn is_within(items: usize, most: usize) -> Result<(), Spent> {
    // Twice as many: whoever is at the limit of the engine hears of it from the engine.
    if items > 2 * most {
        Err(Spent::Values)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Dynamic {
        (1..depth).fold(Dynamic::UNIT, |inner, _| vec![inner].into())
    }

    #[test]
    fn a_value_may_be_as_deep_as_the_limit() {
        assert_eq!(excess(&nested(NESTING_MAX)), None);
        assert_eq!(excess(&nested(NESTING_MAX + 1)), Some(Spent::Nesting));
    }

    #[test]
    fn what_seems_to_have_no_end_is_too_much() {
        let mut value = Dynamic::from(1_i64).into_shared();
        for _ in 0..30 {
            let mut pointer = FnPtr::new("f").unwrap();
            pointer.set_curry(vec![value.clone(), value.clone()]);
            value = Dynamic::from(pointer).into_shared();
        }
        assert_eq!(excess(&value), Some(Spent::Values));
    }

    #[test]
    fn a_read_is_sampled_now_and_then() {
        let sampler = Sampler::default();
        let due = (0..256_000).filter(|_| sampler.is_due()).count();
        assert!((500..2_000).contains(&due), "{due}");
    }
}
