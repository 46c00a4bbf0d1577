//! HashKV: the hash over all stored revisions by which etcd's members compare their data.
//!
//! The hash is CRC-32C over the name of the bucket and the key and the record of each revision, in order, up to the revision
//! that is asked for (`server/storage/mvcc/hash.go` and `kvstore.go` of go.etcd.io/etcd). Of the revisions up to the compact
//! revision only those count that are the newest of their key at the revision that is asked for. If no key exists there, all
//! stored ones count, except tombstones of the compact revision, which versions before 3.4.34 and 3.5.16 remove. With this, the
//! versions from 3.4 to 3.7 agree. A compaction that has only begun is taken as complete, as it is soon after etcd has started:
//! until then a member without keys has another hash with each step of the compaction.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crc32c::{crc32c, crc32c_append, crc32c_combine};

use super::etcd_file::Compaction;
use super::schema::{KEY_BUCKET, RevisionKey};
use crate::kvstore::Revision;

/// The HashKV of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreHash {
    /// The hash.
    pub hash: u32,
    /// The revision up to which changes count.
    pub revision: Revision,
    /// The compact revision of the store; 0 if it was never compacted. It is part of the hash: members that are compacted at
    /// different revisions have different hashes.
    pub compact_revision: Revision,
}

/// Computes a HashKV in one pass over all revisions and another over those up to the compact revision. Memory: about 100 bytes
/// for each key that existed at the compact revision; none without a compaction.
pub(super) struct HashKv {
    revision: Revision,
    compact_revision: Revision,
    /// Whether the compaction has only begun.
    is_unfinished: bool,
    /// The hash of what is newer than the compact revision, and its length in bytes.
    newer: u32,
    newer_bytes: usize,
    /// The newest change of each key up to the compact revision, without the keys that are deleted there or changed later.
    /// Keys are their 128-bit hashes: 10^9 keys have a collision with a probability of 10^-21.
    kept: HashMap<u128, (Revision, i64)>,
    /// The revisions that an unfinished compaction will leave; empty for another one.
    left: Vec<(Revision, i64)>,
    seeds: [RandomState; 2],
    /// Number of keys at the revision; the empty key of `etcdutl snapshot restore --bump-revision` counts.
    live: i64,
    /// Number of keys at the compact revision, without the empty one.
    at_compaction: u64,
    is_past_compaction: bool,
}

impl HashKv {
    pub(super) fn new(compaction: Compaction, revision: Revision) -> Self {
        Self {
            revision,
            compact_revision: compaction.revision(),
            is_unfinished: compaction.scheduled > compaction.finished,
            newer: 0,
            newer_bytes: 0,
            kept: HashMap::new(),
            left: Vec::new(),
            seeds: [RandomState::new(), RandomState::new()],
            live: 0,
            at_compaction: 0,
            is_past_compaction: false,
        }
    }

    /// Takes a revision of the first pass: its key and record as they are stored, and the key and version in the record.
    pub(super) fn change(&mut self, at: RevisionKey, stored: (&[u8], &[u8]), key: &[u8], version: i64) {
        if at.main > self.revision {
            return;
        }
        if at.main <= self.compact_revision {
            let key = self.key(key);
            if at.is_tombstone {
                self.kept.remove(&key);
            } else {
                self.kept.insert(key, (at.main, at.sub));
            }
            return;
        }
        self.pass_compaction();
        if at.is_tombstone {
            self.live = self.live.saturating_sub(1);
        } else if version <= 1 {
            self.live = self.live.saturating_add(1);
        }
        if !self.kept.is_empty() && (at.is_tombstone || version > 1) {
            self.kept.remove(&self.key(key));
        }
        self.newer = crc32c_append(crc32c_append(self.newer, stored.0), stored.1);
        self.newer_bytes = self.newer_bytes.saturating_add(stored.0.len()).saturating_add(stored.1.len());
    }

    /// Called when all revisions up to the compact revision were taken: the keys that existed there are those kept.
    fn pass_compaction(&mut self) {
        if !self.is_past_compaction {
            self.is_past_compaction = true;
            self.live = i64::try_from(self.kept.len()).unwrap_or(i64::MAX);
            let nameless = self.kept.contains_key(&self.key(b""));
            self.at_compaction = (self.kept.len() as u64).saturating_sub(nameless.into());
            if self.is_unfinished {
                self.left = sorted(self.kept.values());
            }
        }
    }

    /// The number of keys that existed at the compact revision, once all revisions up to it were taken.
    pub(super) fn keys_at_compaction(&mut self) -> u64 {
        self.pass_compaction();
        self.at_compaction
    }

    /// Ends the first pass. The second one takes the revisions up to the compact revision again.
    pub(super) fn second_pass(mut self) -> OlderRevisions {
        self.pass_compaction();
        // etcd leaves out nothing if no key exists at the revision.
        let is_empty = self.live <= 0;
        let kept = match (is_empty, self.is_unfinished) {
            (false, _) => Some(sorted(self.kept.values())),
            (true, true) => Some(self.left),
            (true, false) => None,
        };
        OlderRevisions {
            revision: self.revision,
            compact_revision: self.compact_revision,
            newer: self.newer,
            newer_bytes: self.newer_bytes,
            hash: crc32c(KEY_BUCKET),
            kept,
            next: 0,
        }
    }

    fn key(&self, key: &[u8]) -> u128 {
        let [high, low] = &self.seeds;
        u128::from(high.hash_one(key)) << 64 | u128::from(low.hash_one(key))
    }
}

/// The second pass of a HashKV: the revisions up to the compact revision.
pub(super) struct OlderRevisions {
    revision: Revision,
    compact_revision: Revision,
    newer: u32,
    newer_bytes: usize,
    hash: u32,
    /// The revisions that count, in order; `None` for all.
    kept: Option<Vec<(Revision, i64)>>,
    next: usize,
}

impl OlderRevisions {
    /// Whether the pass is needed at all.
    pub(super) fn is_needed(&self) -> bool {
        self.compact_revision > 0 && self.kept.as_ref().is_none_or(|kept| !kept.is_empty())
    }

    /// Takes a revision, in order; `false` after the last one that can count.
    pub(super) fn change(&mut self, at: RevisionKey, stored: (&[u8], &[u8])) -> bool {
        if at.main > self.compact_revision || at.main > self.revision {
            return false;
        }
        let is_kept = match &self.kept {
            None => true,
            Some(kept) => {
                while kept.get(self.next).is_some_and(|kept| *kept < (at.main, at.sub)) {
                    self.next = self.next.saturating_add(1);
                }
                kept.get(self.next) == Some(&(at.main, at.sub))
            }
        };
        if is_kept && !(at.is_tombstone && at.main == self.compact_revision) {
            self.hash = crc32c_append(crc32c_append(self.hash, stored.0), stored.1);
        }
        true
    }

    pub(super) fn finish(self) -> StoreHash {
        StoreHash {
            hash: crc32c_combine(self.hash, self.newer, self.newer_bytes),
            revision: self.revision,
            compact_revision: self.compact_revision,
        }
    }
}

fn sorted<'a>(revisions: impl Iterator<Item = &'a (Revision, i64)>) -> Vec<(Revision, i64)> {
    let mut revisions: Vec<_> = revisions.copied().collect();
    revisions.sort_unstable();
    revisions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A stored revision: its place, the name of its key, and the key's version.
    #[derive(Clone, Debug)]
    struct Change {
        at: RevisionKey,
        key: u8,
        version: i64,
    }

    impl Change {
        fn stored(&self) -> (Vec<u8>, Vec<u8>) {
            let mut key = RevisionKey::first_of(self.at.main).to_vec();
            key.extend(self.at.is_tombstone.then_some(b't'));
            (key, vec![self.key, self.version as u8, self.at.sub as u8])
        }
    }

    /// Puts and deletions of a few keys, one in each revision from 2 on.
    fn history(steps: &[(u8, bool)]) -> Vec<Change> {
        let mut versions: BTreeMap<u8, i64> = BTreeMap::new();
        let mut changes: Vec<Change> = Vec::new();
        for (key, deletes) in steps {
            let version = versions.entry(*key).or_default();
            if *deletes && *version == 0 {
                continue;
            }
            *version = if *deletes { 0 } else { *version + 1 };
            let main = 2 + changes.len() as i64;
            let at = RevisionKey { main, sub: 0, is_tombstone: *deletes };
            changes.push(Change { at, key: *key, version: *version });
        }
        changes
    }

    /// The newest change of each key up to a revision, without deleted keys.
    fn live(changes: &[Change], revision: Revision) -> Vec<RevisionKey> {
        let newest: BTreeMap<u8, RevisionKey> =
            changes.iter().filter(|change| change.at.main <= revision).map(|change| (change.key, change.at)).collect();
        newest.into_values().filter(|at| !at.is_tombstone).collect()
    }

    /// What a compaction leaves. Later versions leave a tombstone of the compact revision.
    fn compacted(changes: &[Change], at: Revision, leaves_tombstone: bool) -> Vec<Change> {
        let kept = live(changes, at);
        let stays = |change: &&Change| {
            let is_tombstone_there = change.at.is_tombstone && change.at.main == at;
            change.at.main > at || kept.contains(&change.at) || (leaves_tombstone && is_tombstone_there)
        };
        changes.iter().filter(stays).cloned().collect()
    }

    /// `unsafeHashByRev` of etcd over what is stored.
    fn etcds(stored: &[Change], history: &[Change], compact_revision: Revision, revision: Revision) -> u32 {
        let keep = live(history, revision);
        let mut hash = crc32c(b"key");
        for change in stored.iter().filter(|change| change.at.main <= revision) {
            let is_old = change.at.main <= compact_revision;
            let is_dropped = is_old && !keep.is_empty() && !keep.contains(&change.at);
            let is_last_deletion = change.at.main == compact_revision && change.at.is_tombstone;
            if !is_dropped && !is_last_deletion {
                let (key, record) = change.stored();
                hash = crc32c_append(crc32c_append(hash, &key), &record);
            }
        }
        hash
    }

    fn ours(stored: &[Change], compaction: Compaction, revision: Revision) -> (StoreHash, u64) {
        let mut hash = HashKv::new(compaction, revision);
        for change in stored {
            let (key, record) = change.stored();
            hash.change(change.at, (&key, &record), &[change.key], change.version);
        }
        let keys = hash.keys_at_compaction();
        let mut older = hash.second_pass();
        if older.is_needed() {
            for change in stored {
                let (key, record) = change.stored();
                if !older.change(change.at, (&key, &record)) {
                    break;
                }
            }
        }
        (older.finish(), keys)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_hash_is_etcds(
            steps in proptest::collection::vec((0u8..4, any::<bool>()), 1..30),
            compact in 0i64..25,
            later in 0i64..25,
            is_finished in any::<bool>(),
            leaves_tombstone in any::<bool>(),
        ) {
            let history = history(&steps);
            let latest = history.last().map_or(1, |change| change.at.main);
            let compact = compact.min(latest);
            let revision = (compact + later).clamp(1, latest);
            let done = compacted(&history, compact, leaves_tombstone);
            let wanted = etcds(&done, &history, compact, revision);
            let (stored, finished) = if is_finished { (&done, compact) } else { (&history, compact / 2) };
            let (found, keys) = ours(stored, Compaction { scheduled: compact, finished }, revision);
            prop_assert_eq!(found, StoreHash { hash: wanted, revision, compact_revision: compact });
            prop_assert_eq!(keys, live(&history, compact).len() as u64);
        }
    }
}
