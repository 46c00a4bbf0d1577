//! What an allocation would give, without a lock and without a write.

use super::locks::Locks;
use super::view::View;
use super::{Denied, Id, Terms};
use crate::kvstore::{Error, LeaseId, Store};

/// For each key its ID and whether that would be new, as things are now.
///
/// # Errors
/// Whatever kept an answer away.
pub async fn preview(store: &Store, terms: &Terms, keys: &[Vec<u8>]) -> Result<Vec<Result<(Id, bool), Denied>>, Error> {
    let reader = Locks::new(store, &terms.layout, &terms.node, LeaseId(0));
    let mut view: Option<View> = None;
    let mut outcomes = Vec::with_capacity(keys.len());
    for key in keys {
        let uses = reader.peek(key).await?;
        let masters: Vec<Vec<u8>> = uses.ids.iter().map(|id| terms.layout.master(*id)).collect();
        let found = if masters.is_empty() { Vec::new() } else { store.get_many(&masters, 0, None).await?.kvs };
        let says_key = uses.ids.iter().zip(&found).find(|(_, kv)| kv.as_ref().is_some_and(|kv| kv.value == *key));
        outcomes.push(match says_key {
            Some((id, _)) => Ok((*id, false)),
            None if uses.unreadable => Err(Denied::Unreadable),
            None if !uses.ids.is_empty() => Err(Denied::Orphaned(uses.ids)),
            None => {
                let view = match &mut view {
                    Some(view) => view,
                    None => view.insert(View::look(store, &terms.layout, |_| {}).await?),
                };
                match (view.masters_of(key).first(), view.taken.free(&terms.range, 0)) {
                    (Some(id), _) => Ok((*id, false)),
                    (None, Some(id)) => {
                        view.taken.insert(id);
                        Ok((id, true))
                    }
                    (None, None) => Err(Denied::Full(terms.range)),
                }
            }
        });
    }
    Ok(outcomes)
}
