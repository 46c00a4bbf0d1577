//! Restores a missing master under the key's lock.
//!
//! Wire format: `pkg/allocator` of Cilium, whose agents restore the masters of the keys they use (`UpdateKey`).

use std::time::Duration;

use super::locks::{KeyLocks, LockWaitOutcome, LockedKey};
use super::{AllocatorScan, Id, IdRange, Layout};
use crate::consent::Consent;
use crate::kvstore::{
    Compare, Error, KeySelector, KeyValue, LeaseId, Op, OpResult, ReadOptions, Retry, Revision, Store, Txn, Write,
};

/// Attempts while the key's references change.
const MAX_ATTEMPTS: usize = 3;

/// Result of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepairOutcome {
    /// The master was written.
    Restored,
    /// Another client wrote the master meanwhile.
    AlreadyRestored,
    /// No reference names the ID any more.
    Unused,
    /// The ID belongs to this other key now.
    IdTaken(Vec<u8>),
    /// The key's references changed during every attempt.
    ReferencesChanged,
    /// Another client holds the key's lock: its lock key, absolute.
    LockBusy(Vec<u8>),
    /// The lock was lost before the master was written.
    LockLost,
}

/// Whether the missing master of this ID may be written for this key: the ID is in the range, and no other key claims
/// it by a master or a reference.
pub fn may_restore(all: &AllocatorScan, range: &IdRange, id: Id, key: &[u8]) -> bool {
    let own = all.keys.find(key);
    let referred = all.references.iter().any(|reference| reference.id == Some(id) && Some(reference.key) != own);
    let assigned = all.masters_of(id).iter().any(|master| Some(master.key) != own);
    !referred && !assigned && range.contains(id)
}

/// Writes the master of an ID if it is missing and references of this key name the ID. The key's lock is taken on a
/// lease that the caller keeps alive, and released; it is waited for at most `wait`.
///
/// # Errors
/// etcd is unreachable or rejects a request. A lock that is still held then expires with its lease.
pub async fn restore_master(
    store: &Store,
    _: &Consent,
    layout: &Layout,
    lease: LeaseId,
    (id, key): (Id, &[u8]),
    wait: Duration,
) -> Result<RepairOutcome, Error> {
    let locks = KeyLocks::new(store, layout, b"", lease);
    let mut before = Vec::new();
    let locked = match locks.lock(key, wait, |blocker| before = blocker.to_vec()).await? {
        LockWaitOutcome::Held(locked) => *locked,
        LockWaitOutcome::Busy => return Ok(RepairOutcome::LockBusy(before)),
        LockWaitOutcome::Lost => return Ok(RepairOutcome::LockLost),
    };
    let done = write(store, layout, &locked, id).await?;
    locks.unlock(&[locked]).await?;
    Ok(done)
}

async fn write(store: &Store, layout: &Layout, lock: &LockedKey, id: Id) -> Result<RepairOutcome, Error> {
    let key = lock.key.as_slice();
    for _ in 0..MAX_ATTEMPTS {
        let (reference, at) = find_reference(store, layout, id, key).await?;
        let Some(reference) = reference else { return Ok(RepairOutcome::Unused) };
        let master = layout.master(id);
        let txn = Txn {
            compares: vec![
                lock.lock.is_held(),
                Compare::missing(&master),
                Compare::unchanged(&reference.key, reference.mod_revision),
                Compare::none_newer(&layout.references_of(key), at),
            ],
            then: vec![Op::Put(Write { key: master.clone(), value: lock.key.clone(), ..Write::default() })],
            otherwise: [&master, &lock.lock.key].map(|path| Op::get_at(KeySelector::Key(path.clone()), 0)).to_vec(),
        };
        // Safe to resend: a resent transaction finds the master that the first one wrote.
        let answer = store.txn("restore", &txn, None, Retry::Idempotent).await?;
        if answer.succeeded {
            return Ok(RepairOutcome::Restored);
        }
        let mut there = answer.results.into_iter().map(first);
        let (master, own) = (there.next().flatten(), there.next().flatten());
        match master {
            Some(master) if master.value == key && answer.maybe_applied => return Ok(RepairOutcome::Restored),
            Some(master) if master.value == key => return Ok(RepairOutcome::AlreadyRestored),
            Some(master) => return Ok(RepairOutcome::IdTaken(master.value)),
            None if own.is_none_or(|own| own.create_revision != lock.lock.revision) => {
                return Ok(RepairOutcome::LockLost);
            }
            None => {}
        }
    }
    Ok(RepairOutcome::ReferencesChanged)
}

fn first(result: OpResult) -> Option<KeyValue> {
    match result {
        OpResult::Get { kvs, .. } => kvs.into_iter().next(),
        _ => None,
    }
}

/// A reference of the key that names the ID, and the revision at which it was read.
async fn find_reference(
    store: &Store,
    layout: &Layout,
    id: Id,
    key: &[u8],
) -> Result<(Option<KeyValue>, Revision), Error> {
    let mut reader = store.read(&layout.references_of(key), ReadOptions::default());
    while let Some(page) = reader.next().await? {
        let names = |kv: &KeyValue| {
            layout.parse_reference(&kv.key).is_some_and(|(of, _)| of == key) && Id::parse(&kv.value) == Some(id)
        };
        if let Some(kv) = page.into_iter().find(names) {
            return Ok((Some(kv), reader.revision()));
        }
    }
    Ok((None, reader.revision()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::allocator::testing::scanned;

    #[test]
    fn a_master_is_restored_only_if_no_other_key_claims_its_id() {
        let range = IdRange::new(1, 100, 0).unwrap();
        let may = |pairs: &[(&str, &str)], id: u64| may_restore(&scanned(pairs), &range, Id::new(id).unwrap(), b"a");
        assert!(may(&[("b/value/a/n", "5")], 5));
        assert!(may(&[("b/value/a/n", "5"), ("b/id/6", "c"), ("b/value/c/n", "6")], 5));
        // The master was there when all was read.
        assert!(may(&[("b/value/a/n", "5"), ("b/id/5", "a")], 5));
        assert!(!may(&[("b/value/a/n", "5"), ("b/value/c/n", "5")], 5));
        assert!(!may(&[("b/value/a/n", "5"), ("b/id/5", "c")], 5));
        assert!(!may(&[("b/value/a/n", "5"), ("b/id/005", "c")], 5));
        assert!(!may(&[("b/value/a/n", "101")], 101));
    }
}
