//! Index of the IDs in use: read once, then kept current by a watch, so that the cost of an allocation does not grow
//! with the number of IDs.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::locks::LockedKey;
use super::scan::for_each_key;
use super::{Id, IdSet, Layout};
use crate::kvstore::{Error, Revision, Store, WatchEvent, WatchOptions, WatchUpdate, Watcher};

/// Maximum time for the watch to deliver past events before the index is rebuilt.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Taken IDs, and the IDs whose masters may hold a key: 16 bytes per master, plus the runs of taken IDs.
pub struct IdIndex {
    store: Store,
    layout: Layout,
    /// Events up to this revision are applied.
    revision: Revision,
    /// IDs that have or had a master or a reference since the index was built.
    pub taken: IdSet,
    /// Hash of a master's key, and the ID. Keys can share a hash: callers compare the master's value.
    masters: BTreeSet<(u64, Id)>,
    hasher: RandomState,
    watcher: Option<Watcher>,
    /// Whether no event was awaited since the index was built.
    fresh: bool,
}

impl IdIndex {
    /// Reads all masters and all references at one revision.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request.
    pub async fn build(store: &Store, layout: &Layout, mut read: impl FnMut(u64)) -> Result<Self, Error> {
        let mut index = Self {
            store: store.clone(),
            layout: layout.clone(),
            revision: 0,
            taken: IdSet::default(),
            masters: BTreeSet::new(),
            hasher: RandomState::new(),
            watcher: None,
            fresh: true,
        };
        let mut taken = IdSet::default();
        let mut masters = BTreeSet::new();
        let (hasher, at) = (&index.hasher, &mut read);
        let add_master = |kv: &crate::kvstore::KeyValue| {
            if let Some(id) = layout.parse_master(&kv.key) {
                taken.insert(id);
                masters.insert((hasher.hash_one(&kv.value), id));
            }
        };
        index.revision = for_each_key(store, &layout.masters(), 0, add_master, at).await?;
        let add_reference = |kv: &crate::kvstore::KeyValue| {
            if let Some(id) = Id::parse(&kv.value) {
                taken.insert(id);
            }
        };
        for_each_key(store, &layout.references(), index.revision, add_reference, at).await?;
        (index.taken, index.masters) = (taken, masters);
        Ok(index)
    }

    /// Whether rebuilding the index would find nothing new.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// IDs whose masters may hold this key, smallest first.
    pub fn masters_of(&self, key: &[u8]) -> Vec<Id> {
        let hash = self.hasher.hash_one(key);
        let (Some(first), Some(last)) = (Id::new(1), Id::new(u64::MAX)) else { return Vec::new() };
        let all: RangeInclusive<(u64, Id)> = (hash, first)..=(hash, last);
        self.masters.range(all).map(|(_, id)| *id).collect()
    }

    /// Removes an ID whose master turned out not to hold this key.
    pub fn remove_master(&mut self, key: &[u8], id: Id) {
        self.masters.remove(&(self.hasher.hash_one(key), id));
    }

    /// Adds a master that holds this key.
    pub fn add_master(&mut self, key: &[u8], id: Id) {
        self.taken.insert(id);
        self.masters.insert((self.hasher.hash_one(key), id));
    }

    /// Applies the events up to the revision at which the key was locked. Masters are only created under the key's
    /// lock, so that every master of the key is known then. Returns `false` if the watch does not deliver in time or
    /// its start was compacted: the index must be rebuilt.
    ///
    /// # Errors
    /// The command was interrupted, or etcd rejects the watch.
    pub async fn catch_up(&mut self, locked: &LockedKey) -> Result<bool, Error> {
        if self.revision >= locked.references.revision {
            return Ok(true);
        }
        self.fresh = false;
        let mut watcher = self.watcher.take().unwrap_or_else(|| {
            self.store.watch(WatchOptions {
                ranges: vec![self.layout.masters(), self.layout.locks()],
                start: self.revision + 1,
                known: locked.references.revision,
                // The key of a deleted master is only in its previous value.
                prev: true,
            })
        });
        let end = Instant::now() + CATCH_UP;
        while self.revision < locked.references.revision {
            match timeout_at(end, watcher.next()).await {
                Ok(Ok(WatchUpdate::Events(events))) => events.iter().for_each(|event| self.apply(event)),
                Ok(Ok(WatchUpdate::Compacted(_))) | Err(_) => return Ok(false),
                Ok(Ok(WatchUpdate::Progress | WatchUpdate::Disconnected(_) | WatchUpdate::Reconnected)) => {}
                Ok(Err(error)) => return Err(error),
            }
            self.revision = self.revision.max(watcher.next_revision() - 1);
        }
        self.watcher = Some(watcher);
        Ok(true)
    }

    fn apply(&mut self, event: &WatchEvent) {
        let Some(id) = self.layout.parse_master(&event.kv.key) else { return };
        if let Some(before) = &event.prev {
            self.masters.remove(&(self.hasher.hash_one(&before.value), id));
        }
        if !event.deleted {
            self.taken.insert(id);
            self.masters.insert((self.hasher.hash_one(&event.kv.value), id));
        }
    }
}
