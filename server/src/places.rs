//! Who is there at the moment, by key, and no more than so many for each.
//!
//! Promises: a place that was given is given back, however its holder ends; memory is bounded by the number of holders.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Places for each key. Clones share them.
pub struct Places<K>(Arc<Inner<K>>);

struct Inner<K> {
    max: usize,
    taken: Mutex<HashMap<K, usize>>,
}

impl<K> Clone for Places<K> {
    fn clone(&self) -> Places<K> {
        Places(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for Places<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Places({} each)", self.0.max)
    }
}

impl<K: Eq + Hash + Copy> Places<K> {
    /// `max` for each key.
    pub fn new(max: usize) -> Places<K> {
        Places(Arc::new(Inner {
            max,
            taken: Mutex::default(),
        }))
    }

    /// A place for `key`, until it is dropped; `None` when all of them are taken.
    pub fn take(&self, key: K) -> Option<Place<K>> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&key).copied().unwrap_or(0);
        if count >= self.0.max {
            return None;
        }
        taken.insert(key, count + 1);
        drop(taken);
        let places = self.clone();
        Some(Place { places, key })
    }
}

/// A place that is taken.
pub struct Place<K: Eq + Hash + Copy> {
    places: Places<K>,
    key: K,
}

impl<K: Eq + Hash + Copy> fmt::Debug for Place<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl<K: Eq + Hash + Copy> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self
            .places
            .0
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_places_and_nothing_is_left_of_those_given_back() {
        let places = Places::new(2);
        let first = places.take(1).expect("free");
        let second = places.clone().take(1).expect("free");
        assert!(places.take(1).is_none());
        let other = places.take(2).expect("another key");
        drop(first);
        let third = places.take(1).expect("given back");
        assert!(places.take(1).is_none());
        drop((second, third, other));
        assert!(places.0.taken.lock().expect("whole").is_empty());
    }
}
