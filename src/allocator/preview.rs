//! Dry run of an allocation: takes no lock and writes nothing.

use super::id_index::IdIndex;
use super::locks::KeyLocks;
use super::{AllocationError, AllocatorOptions, Id};
use crate::kvstore::{Error, LeaseId, Store};

/// For each key, the ID it would get now and whether that ID would be new.
///
/// # Errors
/// etcd is unreachable or rejects a request.
pub async fn preview(
    store: &Store,
    options: &AllocatorOptions,
    keys: &[Vec<u8>],
) -> Result<Vec<Result<(Id, bool), AllocationError>>, Error> {
    let reader = KeyLocks::new(store, &options.layout, &options.node, LeaseId(0));
    let mut index: Option<IdIndex> = None;
    let mut outcomes = Vec::with_capacity(keys.len());
    for key in keys {
        let references = reader.read_references_unlocked(key).await?;
        let masters: Vec<Vec<u8>> = references.ids.iter().map(|id| options.layout.master(*id)).collect();
        let found = if masters.is_empty() { Vec::new() } else { store.get_many(&masters, 0, None).await?.kvs };
        let allocated =
            references.ids.iter().zip(&found).find(|(_, kv)| kv.as_ref().is_some_and(|kv| kv.value == *key));
        outcomes.push(match allocated {
            Some((id, _)) => Ok((*id, false)),
            None if references.unreadable => Err(AllocationError::Unreadable),
            None if !references.ids.is_empty() => Err(AllocationError::Orphaned(references.ids)),
            None => {
                let index = match &mut index {
                    Some(index) => index,
                    None => index.insert(IdIndex::build(store, &options.layout, |_| {}).await?),
                };
                match (index.masters_of(key).first(), index.taken.first_free(&options.range, 0)) {
                    (Some(id), _) => Ok((*id, false)),
                    (None, Some(id)) => {
                        index.taken.insert(id);
                        Ok((id, true))
                    }
                    (None, None) => Err(AllocationError::Full(options.range)),
                }
            }
        });
    }
    Ok(outcomes)
}
