//! What an allocation would give, without a lock and without a write.

use super::id_index::IdIndex;
use super::locks::KeyLocks;
use super::{AllocationError, AllocatorOptions, Id};
use crate::kvstore::{Error, LeaseId, Store};

/// For each key its ID and whether that would be new, as things are now.
///
/// # Errors
/// Whatever kept an answer away.
pub async fn preview(
    store: &Store,
    terms: &AllocatorOptions,
    keys: &[Vec<u8>],
) -> Result<Vec<Result<(Id, bool), AllocationError>>, Error> {
    let reader = KeyLocks::new(store, &terms.layout, &terms.node, LeaseId(0));
    let mut view: Option<IdIndex> = None;
    let mut outcomes = Vec::with_capacity(keys.len());
    for key in keys {
        let uses = reader.peek(key).await?;
        let masters: Vec<Vec<u8>> = uses.ids.iter().map(|id| terms.layout.master(*id)).collect();
        let found = if masters.is_empty() { Vec::new() } else { store.get_many(&masters, 0, None).await?.kvs };
        let says_key = uses.ids.iter().zip(&found).find(|(_, kv)| kv.as_ref().is_some_and(|kv| kv.value == *key));
        outcomes.push(match says_key {
            Some((id, _)) => Ok((*id, false)),
            None if uses.unreadable => Err(AllocationError::Unreadable),
            None if !uses.ids.is_empty() => Err(AllocationError::Orphaned(uses.ids)),
            None => {
                let view = match &mut view {
                    Some(view) => view,
                    None => view.insert(IdIndex::look(store, &terms.layout, |_| {}).await?),
                };
                match (view.masters_of(key).first(), view.taken.free(&terms.range, 0)) {
                    (Some(id), _) => Ok((*id, false)),
                    (None, Some(id)) => {
                        view.taken.insert(id);
                        Ok((id, true))
                    }
                    (None, None) => Err(AllocationError::Full(terms.range)),
                }
            }
        });
    }
    Ok(outcomes)
}
