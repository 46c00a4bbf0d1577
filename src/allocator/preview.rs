//! Dry run of an allocation: takes no lock and writes nothing.

use super::attempt::IdChoice;
use super::id_index::IdIndex;
use super::locks::KeyLocks;
use super::repair::may_restore;
use super::scan::{AllocatorScan, scan};
use super::{AllocationError, AllocatorOptions};
use crate::kvstore::{Error, LeaseId, Store};

/// For each key, the ID it would get now.
///
/// # Errors
/// etcd is unreachable or rejects a request.
pub async fn preview(
    store: &Store,
    options: &AllocatorOptions,
    keys: &[Vec<u8>],
) -> Result<Vec<Result<IdChoice, AllocationError>>, Error> {
    let reader = KeyLocks::new(store, &options.layout, &options.node, LeaseId(0));
    let mut index: Option<IdIndex> = None;
    let mut all: Option<AllocatorScan> = None;
    let mut outcomes = Vec::with_capacity(keys.len());
    for key in keys {
        let references = reader.read_references_unlocked(key).await?;
        let masters: Vec<Vec<u8>> = references.ids.iter().map(|id| options.layout.master(*id)).collect();
        let found = if masters.is_empty() { Vec::new() } else { store.get_many(&masters, 0, None).await?.kvs };
        let allocated =
            references.ids.iter().zip(&found).find(|(_, kv)| kv.as_ref().is_some_and(|kv| kv.value == *key));
        outcomes.push(match allocated {
            Some((id, _)) => Ok(IdChoice::Existing(*id)),
            None if references.unreadable => Err(AllocationError::Unreadable),
            None if !references.ids.is_empty() => {
                let all = match &mut all {
                    Some(all) => all,
                    none => none.insert(scan(store, &options.layout, |_| {}).await?),
                };
                match references.ids.as_slice() {
                    [id] if may_restore(all, &options.range, *id, key) => Ok(IdChoice::Restored(*id)),
                    _ => Err(AllocationError::Orphaned(references.ids)),
                }
            }
            None => {
                let index = match &mut index {
                    Some(index) => index,
                    None => index.insert(IdIndex::build(store, &options.layout, |_| {}).await?),
                };
                match (index.masters_of(key).first(), index.taken.first_free(&options.range, 0)) {
                    (Some(id), _) => Ok(IdChoice::Existing(*id)),
                    (None, Some(id)) => {
                        index.taken.insert(id);
                        Ok(IdChoice::New(id))
                    }
                    (None, None) => Err(AllocationError::Full(options.range)),
                }
            }
        });
    }
    Ok(outcomes)
}
