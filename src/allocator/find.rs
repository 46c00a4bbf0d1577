//! Looks up the IDs of keys, and the keys of IDs, without reading all references.

use std::collections::{BTreeMap, HashMap};

use tokio::task::JoinSet;

use super::scan::for_each_key;
use super::{Id, Layout};
use crate::kvstore::{Error, KeyRange, LockGuard, ReadOptions, Revision, Store};

/// Keys whose references are read concurrently.
const CONCURRENT_READS: usize = 16;

/// Result of looking up a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLookup {
    /// The key.
    pub key: Vec<u8>,
    /// The smallest ID that a reference names and whose master holds the key; else the smallest ID whose master holds
    /// it, one without a lease if there is one.
    pub id: Option<Id>,
    /// Whether no reference names that ID and its master is on a lease.
    pub leased: bool,
    /// Number of references to that ID, including unreadable ones.
    pub nodes: u64,
    /// IDs that references name although the master is missing or holds another key.
    pub dangling: Vec<Id>,
}

/// References of one key: their number per ID, and the number of unreadable ones.
#[derive(Clone, Debug, Default)]
struct ReferenceCounts {
    ids: BTreeMap<Id, u64>,
    unreadable: u64,
}

/// Finds the IDs of keys, all at one revision, at which `guard` is held. All masters are read, once, if the references
/// of a key do not lead to its ID; `read` receives the number of keys of each page.
///
/// # Errors
/// The lock is not held, etcd is unreachable or rejects a request, or the revision was compacted meanwhile.
pub async fn find_ids(
    store: &Store,
    layout: &Layout,
    keys: &[Vec<u8>],
    guard: Option<&LockGuard>,
    mut read: impl FnMut(u64),
) -> Result<Vec<KeyLookup>, Error> {
    // The count's revision is the one of all reads. The lock was held at it.
    let first = KeyRange::key(&layout.masters().start);
    let at = store.count(&first, 0, guard).await?.revision;
    let mut named = Vec::with_capacity(keys.len());
    for some in keys.chunks(CONCURRENT_READS) {
        named.extend(references(store, layout, some, at).await?);
    }
    let master_keys = masters(store, layout, &named, at).await?;
    let mut found: Vec<KeyLookup> =
        keys.iter().zip(&named).map(|(key, named)| lookup_of(key, named, &master_keys)).collect();
    let missing = found.iter().filter(|found| found.id.is_none()).map(|found| (found.key.clone(), None));
    // Whether the master is on a lease, and its ID: the smallest pair is the key's.
    let mut missing: HashMap<Vec<u8>, Option<(bool, Id)>> = missing.collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let take = |kv: &crate::kvstore::KeyValue| {
        if let (Some(id), Some(smallest)) = (layout.parse_master(&kv.key), missing.get_mut(&kv.value)) {
            let master = (kv.lease.is_some(), id);
            *smallest = Some(smallest.map_or(master, |smallest| smallest.min(master)));
        }
    };
    for_each_key(store, &layout.masters(), at, take, &mut read).await?;
    for (found, named) in found.iter_mut().zip(&named).filter(|(found, _)| found.id.is_none()) {
        let master = missing.get(&found.key).copied().flatten();
        found.id = master.map(|(_, id)| id);
        found.leased = named.unreadable == 0 && master.is_some_and(|(leased, _)| leased);
        found.nodes = found.id.map_or(0, |_| named.unreadable);
    }
    Ok(found)
}

fn lookup_of(key: &[u8], named: &ReferenceCounts, master_keys: &HashMap<Id, Vec<u8>>) -> KeyLookup {
    let (confirmed, dangling): (Vec<_>, Vec<_>) =
        named.ids.iter().partition(|(id, _)| master_keys.get(id).is_some_and(|of| of == key));
    let first = confirmed.first();
    KeyLookup {
        key: key.to_vec(),
        id: first.map(|(id, _)| **id),
        leased: false,
        nodes: first.map_or(0, |(_, count)| **count + named.unreadable),
        dangling: dangling.into_iter().map(|(id, _)| *id).collect(),
    }
}

async fn references(
    store: &Store,
    layout: &Layout,
    keys: &[Vec<u8>],
    at: Revision,
) -> Result<Vec<ReferenceCounts>, Error> {
    let mut tasks = JoinSet::new();
    for (index, key) in keys.iter().enumerate() {
        let (store, layout, key) = (store.clone(), layout.clone(), key.clone());
        tasks.spawn(async move { (index, references_of(&store, &layout, &key, at).await) });
    }
    let mut all = tasks.join_all().await;
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, named)| named).collect()
}

async fn references_of(store: &Store, layout: &Layout, key: &[u8], at: Revision) -> Result<ReferenceCounts, Error> {
    let mut named = ReferenceCounts::default();
    let options = ReadOptions { revision: at, ..ReadOptions::default() };
    let mut reader = store.read(&layout.references_of(key), options);
    while let Some(page) = reader.next().await? {
        for kv in page.iter().filter(|kv| layout.parse_reference(&kv.key).is_some_and(|(of, _)| of == key)) {
            match Id::parse(&kv.value) {
                Some(id) => *named.ids.entry(id).or_default() += 1,
                None => named.unreadable += 1,
            }
        }
    }
    Ok(named)
}

/// The keys held by the masters of all named IDs.
async fn masters(
    store: &Store,
    layout: &Layout,
    named: &[ReferenceCounts],
    at: Revision,
) -> Result<HashMap<Id, Vec<u8>>, Error> {
    let mut ids: Vec<Id> = named.iter().flat_map(|named| named.ids.keys().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    let keys = keys_of(store, layout, &ids, at).await?;
    Ok(ids.into_iter().zip(keys).filter_map(|(id, key)| Some((id, key?))).collect())
}

/// The keys held by the masters of these IDs at one revision (0: the current one); `None` for an ID without a master.
///
/// # Errors
/// etcd is unreachable or rejects the request.
pub async fn keys_of(store: &Store, layout: &Layout, ids: &[Id], at: Revision) -> Result<Vec<Option<Vec<u8>>>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let paths: Vec<Vec<u8>> = ids.iter().map(|id| layout.master(*id)).collect();
    let found = store.get_many(&paths, at, None).await?;
    Ok(found.kvs.into_iter().map(|kv| kv.map(|kv| kv.value)).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn id(id: u64) -> Id {
        Id::new(id).unwrap()
    }

    #[test]
    fn only_an_id_whose_master_says_the_key_counts() {
        let master_keys = HashMap::from([(id(7), b"k".to_vec()), (id(9), b"k".to_vec()), (id(3), b"other".to_vec())]);
        let named =
            ReferenceCounts { ids: BTreeMap::from([(id(9), 2), (id(7), 1), (id(3), 5), (id(4), 1)]), unreadable: 1 };
        let found = lookup_of(b"k", &named, &master_keys);
        assert_eq!((found.id, found.nodes, found.dangling), (Some(id(7)), 2, vec![id(3), id(4)]));
        let none = lookup_of(b"else", &named, &master_keys);
        assert_eq!((none.id, none.nodes, none.dangling.len()), (None, 0, 4));
    }
}
