//! What is known of all IDs while new ones are given away: read once, then kept up to date by a watch, so that one more
//! allocation costs the same however many IDs are in use.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::locks::LockedKey;
use super::scan::each;
use super::{Id, IdSet, Layout};
use crate::kvstore::{Error, Revision, Store, WatchEvent, WatchOptions, WatchUpdate, Watcher};

/// How long a watch may take to tell what happened already, before everything is read again instead.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The IDs that are taken, and which masters a key may have. Sixteen bytes a master, and the runs of taken IDs.
pub struct IdIndex {
    store: Store,
    layout: Layout,
    /// Everything up to here is in it.
    revision: Revision,
    /// IDs with a master or a reference, now or at any time since the view began.
    pub taken: IdSet,
    /// The hash of a master's key, and its ID. Different keys may share a hash: whoever relies on it compares.
    masters: BTreeSet<(u64, Id)>,
    hasher: RandomState,
    watcher: Option<Watcher>,
    /// Nothing happened since it was read, as far as anybody knows.
    fresh: bool,
}

impl IdIndex {
    /// Reads all masters and all references at one revision.
    ///
    /// # Errors
    /// Whatever kept an answer away.
    pub async fn look(store: &Store, layout: &Layout, mut read: impl FnMut(u64)) -> Result<Self, Error> {
        let mut view = Self {
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
        let (hasher, at) = (&view.hasher, &mut read);
        let take = |kv: &crate::kvstore::KeyValue| {
            if let Some(id) = layout.parse_master(&kv.key) {
                taken.insert(id);
                masters.insert((hasher.hash_one(&kv.value), id));
            }
        };
        view.revision = each(store, &layout.masters(), 0, take, at).await?;
        let refer = |kv: &crate::kvstore::KeyValue| {
            if let Some(id) = Id::parse(&kv.value) {
                taken.insert(id);
            }
        };
        each(store, &layout.references(), view.revision, refer, at).await?;
        (view.taken, view.masters) = (taken, masters);
        Ok(view)
    }

    /// Whether it is as it was read, so that reading again would tell nothing new.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The IDs whose masters may say this key, smallest first.
    pub fn masters_of(&self, key: &[u8]) -> Vec<Id> {
        let hash = self.hasher.hash_one(key);
        let (Some(first), Some(last)) = (Id::new(1), Id::new(u64::MAX)) else { return Vec::new() };
        let all: RangeInclusive<(u64, Id)> = (hash, first)..=(hash, last);
        self.masters.range(all).map(|(_, id)| *id).collect()
    }

    /// Takes note that a master does not say this key after all.
    pub fn forget(&mut self, key: &[u8], id: Id) {
        self.masters.remove(&(self.hasher.hash_one(key), id));
    }

    /// Takes note of a new master of our own.
    pub fn learn(&mut self, key: &[u8], id: Id) {
        self.taken.insert(id);
        self.masters.insert((self.hasher.hash_one(key), id));
    }

    /// Sees to it that every master of the key is known: all were made under its lock, by whoever held it before. `false` where the watch could not
    /// tell that in time, or its place was compacted away: everything has to be read again then.
    ///
    /// # Errors
    /// The end of the session, or what etcd refuses.
    pub async fn catch_up(&mut self, locked: &LockedKey) -> Result<bool, Error> {
        if self.revision >= locked.uses.at {
            return Ok(true);
        }
        self.fresh = false;
        let mut watcher = self.watcher.take().unwrap_or_else(|| {
            self.store.watch(WatchOptions {
                ranges: vec![self.layout.masters(), self.layout.locks()],
                start: self.revision + 1,
                known: locked.uses.at,
                // What a deleted master said is in what it was before.
                prev: true,
            })
        });
        let end = Instant::now() + CATCH_UP;
        while self.revision < locked.uses.at {
            match timeout_at(end, watcher.next()).await {
                Ok(Ok(WatchUpdate::Events(events))) => events.iter().for_each(|event| self.take(event)),
                Ok(Ok(WatchUpdate::Compacted(_))) | Err(_) => return Ok(false),
                Ok(Ok(WatchUpdate::Progress | WatchUpdate::Disconnected(_) | WatchUpdate::Reconnected)) => {}
                Ok(Err(error)) => return Err(error),
            }
            self.revision = self.revision.max(watcher.next_revision() - 1);
        }
        self.watcher = Some(watcher);
        Ok(true)
    }

    fn take(&mut self, event: &WatchEvent) {
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
