//! The keys that a syncing watch has reported, with their revisions and without values, as in Calico's watchersyncer.
//! The cache decides what an event is, so that after a compaction exactly the differences are reported.

use std::collections::BTreeMap;

use crate::kvstore::{KeyValue, Revision};
use crate::output::ChangeKind;

/// The reported keys, each with its reported revision.
#[derive(Debug, Default)]
pub struct KeyCache {
    entries: BTreeMap<Box<[u8]>, CachedRevision>,
    /// The number of the current listing.
    round: u32,
    /// An earlier run, whose cache is not known, reported the changes before this revision.
    reported_below: Revision,
}

#[derive(Debug)]
struct CachedRevision {
    revision: Revision,
    /// The listing during or after which the key was last seen.
    round: u32,
}

impl KeyCache {
    /// A cache for a listing after an earlier run, which reported all changes before this revision.
    pub fn after(reported_below: Revision) -> Self {
        Self { reported_below, ..Self::default() }
    }

    /// Records a key's current state; returns the change to report, if any.
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

    /// Removes a key; returns whether it was present.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.entries.remove(key).is_some()
    }

    pub fn begin_listing(&mut self) {
        self.round += 1;
    }

    /// Ends a complete listing: removes and returns the keys that it did not contain, in key order.
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
    fn after_an_earlier_run_only_later_changes_are_reported() {
        let mut cache = KeyCache::after(10);
        cache.begin_listing();
        let reported = [kv("a", 2, 5), kv("b", 2, 10), kv("c", 11, 12)].map(|kv| cache.put(&kv));
        assert_eq!(reported, [None, Some(ChangeKind::Modified), Some(ChangeKind::Created)]);
        assert!(cache.remove_unlisted().is_empty());
        assert_eq!(cache.put(&kv("d", 3, 3)), Some(ChangeKind::Created));
    }

    proptest! {
        /// Applying the reported changes gives the present keys, and unchanged keys are not reported.
        #[test]
        fn a_listing_reports_exactly_the_difference(
            before in proptest::collection::btree_map("[a-e]", 1i64..9, 0..5),
            after in proptest::collection::btree_map("[a-e]", 1i64..9, 0..5),
        ) {
            let mut cache = KeyCache::default();
            for (key, revision) in &before {
                cache.put(&kv(key, 1, *revision));
            }
            // Revisions only grow.
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
