//! The mod revision that each key of the destination had when the mirror last read or wrote it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::kvstore::Revision;

/// Mod revisions by a 128-bit hash of the key: two keys share a hash with a probability of 2^-88 among a million keys.
/// About 50 bytes a key.
#[derive(Debug, Default)]
pub struct KnownRevisions {
    hashers: [RandomState; 2],
    revisions: HashMap<[u64; 2], Revision>,
}

impl KnownRevisions {
    fn hash(&self, key: &[u8]) -> [u64; 2] {
        [self.hashers[0].hash_one(key), self.hashers[1].hash_one(key)]
    }

    /// The key's mod revision; 0 if the key does not exist.
    pub fn get(&self, key: &[u8]) -> Revision {
        self.revisions.get(&self.hash(key)).copied().unwrap_or(0)
    }

    /// Records the key's mod revision; 0 if the key does not exist.
    pub fn set(&mut self, key: &[u8], revision: Revision) {
        let hash = self.hash(key);
        if revision == 0 {
            self.revisions.remove(&hash);
        } else {
            self.revisions.insert(hash, revision);
        }
    }

    /// The number of keys.
    pub fn len(&self) -> u64 {
        self.revisions.len() as u64
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.revisions.is_empty()
    }

    /// Forgets all keys.
    pub fn clear(&mut self) {
        self.revisions.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_until_it_is_deleted() {
        let mut known = KnownRevisions::default();
        known.set(b"a", 5);
        known.set(b"b", 6);
        known.set(b"a", 7);
        assert_eq!((known.get(b"a"), known.get(b"b"), known.get(b"c"), known.len()), (7, 6, 0, 2));
        known.set(b"a", 0);
        known.set(b"c", 0);
        assert_eq!((known.get(b"a"), known.len()), (0, 1));
        known.clear();
        assert!(known.is_empty());
    }
}
