//! A worker's own map of what it met lately.

use std::collections::HashMap;

use super::fingerprint::{Fingerprint, Prehashed};

/// A bounded map that forgets what was not used for longest, without a list of uses: a new
/// generation begins when the young one is full, and what is found in the old one moves over.
#[derive(Debug)]
pub(super) struct Recent<V> {
    young: HashMap<Fingerprint, V, Prehashed>,
    old: HashMap<Fingerprint, V, Prehashed>,
    generation: usize,
}

impl<V> Recent<V> {
    /// A map that holds the last `generation` entries used, and never more than twice as many.
    pub(super) fn new(generation: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            generation: generation.max(1),
        }
    }

    /// What `look` makes of an entry; `None` if it is absent, or if `look` finds it dead and
    /// gives `None`, and then it is removed.
    pub(super) fn find<R>(
        &mut self,
        key: &Fingerprint,
        look: impl FnOnce(&V) -> Option<R>,
    ) -> Option<R> {
        if let Some(value) = self.young.get(key) {
            let seen = look(value);
            if seen.is_none() {
                self.young.remove(key);
            }
            return seen;
        }
        let value = self.old.remove(key)?;
        let seen = look(&value)?;
        self.insert(*key, value);
        Some(seen)
    }

    /// Adds or replaces an entry.
    pub(super) fn insert(&mut self, key: Fingerprint, value: V) {
        if self.young.len() >= self.generation && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::Fingerprints;
    use super::*;

    #[test]
    fn the_last_used_stay_and_the_rest_is_forgotten() {
        let fingerprints = Fingerprints::new().unwrap();
        let keys: Vec<_> = (0..100)
            .map(|n: u32| fingerprints.account(0, &n.to_string()))
            .collect();
        let mut recent = Recent::new(8);
        for (n, key) in keys.iter().enumerate() {
            recent.insert(*key, n);
            assert_eq!(
                recent.find(&keys[0], |n| Some(*n)),
                Some(0),
                "used each time"
            );
            assert!(recent.young.len() + recent.old.len() <= 16);
        }
        for (n, key) in keys.iter().enumerate().skip(93) {
            assert_eq!(recent.find(key, |n| Some(*n)), Some(n));
        }
        assert_eq!(recent.find(&keys[50], |n| Some(*n)), None);
    }

    #[test]
    fn what_is_found_dead_is_removed_from_either_generation() {
        let fingerprints = Fingerprints::new().unwrap();
        let (a, b) = (fingerprints.account(0, "a"), fingerprints.account(0, "b"));
        let mut recent = Recent::new(1);
        recent.insert(a, ());
        recent.insert(b, ());
        assert_eq!((recent.young.len(), recent.old.len()), (1, 1));
        for key in [a, b] {
            assert_eq!(recent.find(&key, |()| None::<()>), None);
            assert_eq!(recent.find(&key, |()| Some(())), None);
        }
        assert_eq!((recent.young.len(), recent.old.len()), (0, 0));
    }
}
