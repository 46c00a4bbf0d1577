//! What a syncing watch has told, as Calico's watchersyncer keeps it: each key's revision, and never a value. The cache
//! decides what an event is, so that after a compaction exactly the differences are told.

use std::collections::BTreeMap;

use crate::kvstore::{KeyValue, Revision};
use crate::output::ChangeKind;

/// The keys that were told, with the revision they were told at.
#[derive(Debug, Default)]
pub struct KeyCache {
    entries: BTreeMap<Box<[u8]>, CachedRevision>,
    /// Counts the listings.
    round: u32,
    /// Changes below this revision were told by an earlier run, whose cache is gone.
    reported_below: Revision,
}

#[derive(Debug)]
struct CachedRevision {
    revision: Revision,
    /// The listing, or the time behind it, in which the key was last seen.
    round: u32,
}

impl KeyCache {
    /// One for a listing after an earlier run, which told everything below this revision.
    pub fn after(reported_below: Revision) -> Self {
        Self { reported_below, ..Self::default() }
    }

    /// Takes in a key as it is; what that means to the one who is told, if anything.
    pub fn put(&mut self, kv: &KeyValue) -> Option<ChangeKind> {
        let round = self.round;
        if let Some(reported) = self.entries.get_mut(kv.key.as_slice()) {
            reported.round = round;
            let newer = kv.mod_revision > reported.revision;
            reported.revision = reported.revision.max(kv.mod_revision);
            return newer.then_some(ChangeKind::Modified);
        }
        self.entries.insert(kv.key.as_slice().into(), CachedRevision { revision: kv.mod_revision, round });
        match self.reported_below {
            below if kv.mod_revision < below => None,
            below if kv.create_revision < below => Some(ChangeKind::Modified),
            _ => Some(ChangeKind::Created),
        }
    }

    /// Takes a key out; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.entries.remove(key).is_some()
    }

    /// A listing begins.
    pub fn begin_listing(&mut self) {
        self.round += 1;
    }

    /// The listing is complete: takes out the keys that it did not have, in key order.
    pub fn remove_unlisted(&mut self) -> Vec<Vec<u8>> {
        let round = self.round;
        self.reported_below = 0;
        let removed: Vec<Vec<u8>> =
            self.entries.iter().filter(|(_, reported)| reported.round != round).map(|(key, _)| key.to_vec()).collect();
        self.entries.retain(|_, reported| reported.round == round);
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kv(key: &str, create: Revision, modified: Revision) -> KeyValue {
        KeyValue { key: key.into(), create_revision: create, mod_revision: modified, ..KeyValue::default() }
    }

    #[test]
    fn the_cache_decides_and_not_the_event() {
        let mut cache = KeyCache::default();
        assert_eq!(cache.put(&kv("a", 2, 5)), Some(ChangeKind::Created));
        assert_eq!(cache.put(&kv("a", 2, 5)), None);
        assert_eq!(cache.put(&kv("a", 7, 7)), Some(ChangeKind::Modified));
        assert_eq!(cache.put(&kv("a", 2, 6)), None);
        assert!(cache.delete(b"a") && !cache.delete(b"a"));
        assert_eq!(cache.put(&kv("a", 2, 6)), Some(ChangeKind::Created));
    }

    #[test]
    fn after_an_earlier_run_only_what_changed_since_is_told() {
        let mut cache = KeyCache::after(10);
        cache.begin_listing();
        let reported = [kv("a", 2, 5), kv("b", 2, 10), kv("c", 11, 12)].map(|kv| cache.put(&kv));
        assert_eq!(reported, [None, Some(ChangeKind::Modified), Some(ChangeKind::Created)]);
        assert!(cache.remove_unlisted().is_empty());
        assert_eq!(cache.put(&kv("d", 3, 3)), Some(ChangeKind::Created));
    }

    proptest! {
        /// Whoever applies what is told has what is there, and is told nothing that did not change.
        #[test]
        fn a_listing_tells_exactly_the_difference(
            before in proptest::collection::btree_map("[a-e]", 1i64..9, 0..5),
            after in proptest::collection::btree_map("[a-e]", 1i64..9, 0..5),
        ) {
            let mut cache = KeyCache::default();
            for (key, revision) in &before {
                cache.put(&kv(key, 1, *revision));
            }
            // A store's revisions grow: what is there now is as it was, or newer.
            let after: BTreeMap<_, _> = after.into_iter().map(|(key, revision)| {
                let old = before.get(&key).copied().unwrap_or(0);
                (key, revision.max(old))
            }).collect();
            let mut mirror = before.clone();
            cache.begin_listing();
            for (key, revision) in &after {
                if let Some(kind) = cache.put(&kv(key, 1, *revision)) {
                    let old = mirror.insert(key.clone(), *revision);
                    prop_assert_eq!(kind == ChangeKind::Created, old.is_none());
                    prop_assert_ne!(old, Some(*revision));
                }
            }
            for key in cache.remove_unlisted() {
                let key = String::from_utf8(key).map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert!(mirror.remove(&key).is_some());
            }
            prop_assert_eq!(mirror, after);
        }
    }
}
