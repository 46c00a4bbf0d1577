//! Writes the differences that a compare pass has found, each on the condition that its key is as the pass saw it.

use std::collections::HashMap;

use super::batch::{BatchLimits, SourceChange};
use super::error::MirrorError;
use super::leases::MirrorLeases;
use super::outage::{Outage, persist};
use super::pass::PrefixDifference;
use super::writer::{operation, place_read};
use crate::kvstore::{
    Compare, Error, KeySelector, KeyValue, MAX_REQUEST_BYTES, Op, Refusal, Retry, Revision, Store, Txn,
};

/// The name of the transactions in messages and in the trace.
const OP: &str = "mirror copy";

/// What a copy depends on.
#[derive(Clone)]
pub struct CopyGuard {
    /// The place key,
    pub place: Vec<u8>,
    /// which has this mod revision as long as no other mirror writes.
    pub place_revision: Revision,
    /// Whether keys that other clients have changed meanwhile are written over.
    pub overwrite: bool,
    /// The leases of the keys.
    pub leases: MirrorLeases,
}

/// Differences that fit into one transaction.
#[derive(Debug, Default)]
pub struct CopyBatch {
    differences: Vec<PrefixDifference>,
    bytes: usize,
}

/// The result of a batch.
#[derive(Debug, Default)]
pub struct CopyOutcome {
    /// The mod revision of each key after the copy; 0 for a deleted key.
    pub revisions: Vec<(Vec<u8>, Revision)>,
    /// Keys that another client had changed meanwhile.
    pub overwritten: u64,
}

impl CopyBatch {
    /// Adds a difference; returns the previous batch if the difference does not fit into it.
    pub fn push(&mut self, difference: PrefixDifference, limits: BatchLimits) -> Option<Self> {
        let cost = difference.change.cost();
        let full = self.differences.len() >= limits.changes || self.bytes + cost > limits.bytes;
        let before = (full && !self.differences.is_empty()).then(|| std::mem::take(self));
        self.bytes += cost;
        self.differences.push(difference);
        before
    }

    /// The rest, if there is one.
    pub fn take_rest(&mut self) -> Option<Self> {
        (!self.differences.is_empty()).then(|| std::mem::take(self))
    }

    /// Writes the batch. It is sent until its outcome is known: a key's mod revision does not come back, so nothing is
    /// written twice.
    ///
    /// # Errors
    /// Another client changed a key or the place, a value is too large, or etcd refuses.
    pub async fn write(self, store: &Store, guard: &CopyGuard, outage: &Outage) -> Result<CopyOutcome, MirrorError> {
        let mut outcome = CopyOutcome::default();
        let mut open: Vec<(SourceChange, Revision)> = self
            .differences
            .into_iter()
            .map(|difference| {
                let found = difference.found_revision();
                (difference.change, found)
            })
            .collect();
        let mut most = open.len();
        while !open.is_empty() {
            let count = most.min(open.len());
            let gone = guard.leases.prepare(open[..count].iter().filter_map(|(change, _)| change.lease)).await?;
            for (change, _) in &mut open[..count] {
                change.lease = change.lease.filter(|id| !gone.contains(id));
            }
            let part = &open[..count];
            let txn = guarded(part, guard);
            let result = match persist(outage, || store.txn(OP, &txn, None, Retry::Idempotent)).await {
                Err(error) if error.is_refusal(Refusal::TooLarge) && count > 1 => {
                    most = count / 2;
                    continue;
                }
                Err(error) if error.is_refusal(Refusal::TooLarge) => {
                    let change = &part[0].0;
                    return Err(MirrorError::TooLarge { key: change.key.clone(), bytes: change.size() });
                }
                // One of them has expired since it was granted.
                Err(error) if error.is_refusal(Refusal::LeaseNotFound) => {
                    guard.leases.forget(part.iter().map(|(change, _)| change));
                    continue;
                }
                Err(Error::Unknown { cause, .. }) if cause.is_refusal(Refusal::NoSpace) => {
                    return Err(MirrorError::Destination(*cause));
                }
                result => result.map_err(MirrorError::Destination)?,
            };
            if result.succeeded {
                let written = |(change, _): (SourceChange, Revision)| {
                    let revision = if change.value.is_some() { result.revision } else { 0 };
                    (change.key, revision)
                };
                outcome.revisions.extend(open.drain(..count).map(written));
                continue;
            }
            check_place(place_read(result.results), guard)?;
            let keys: Vec<Vec<u8>> = part.iter().map(|(change, _)| change.key.clone()).collect();
            let now = persist(outage, || store.get_each(&keys, 0)).await.map_err(MirrorError::Destination)?;
            let now: HashMap<Vec<u8>, KeyValue> = now.into_iter().flatten().map(|kv| (kv.key.clone(), kv)).collect();
            settle(&mut open, count, &now, guard, &mut outcome)?;
        }
        Ok(outcome)
    }
}

fn guarded(part: &[(SourceChange, Revision)], guard: &CopyGuard) -> Txn {
    let place = Compare::unchanged(&guard.place, guard.place_revision);
    let keys = part.iter().map(|(change, found)| Compare::unchanged(&change.key, *found));
    Txn {
        compares: std::iter::once(place).chain(keys).collect(),
        then: part.iter().map(|(change, _)| operation(change, guard.leases.mapping())).collect(),
        otherwise: vec![Op::get_at(KeySelector::Key(guard.place.clone()), 0)],
    }
}

fn check_place(place: Option<KeyValue>, guard: &CopyGuard) -> Result<(), MirrorError> {
    match place {
        Some(place) if place.mod_revision == guard.place_revision => Ok(()),
        place => Err(MirrorError::PlaceChanged { key: guard.place.clone(), deleted: place.is_none() }),
    }
}

/// Removes the keys that have the wanted state from the first `count` ones: an earlier sending has written them. Another
/// key whose revision is not the expected one was changed by another client.
fn settle(
    open: &mut Vec<(SourceChange, Revision)>,
    count: usize,
    now: &HashMap<Vec<u8>, KeyValue>,
    guard: &CopyGuard,
    outcome: &mut CopyOutcome,
) -> Result<(), MirrorError> {
    let mut foreign: Option<MirrorError> = None;
    let mut kept = Vec::new();
    for (at, (change, expected)) in open.drain(..).enumerate() {
        let found = now.get(&change.key);
        let revision = found.map_or(0, |kv| kv.mod_revision);
        if at >= count || revision == expected {
            kept.push((change, expected));
        } else if found.map(|kv| &kv.value) == change.value.as_ref()
            && found.is_none_or(|kv| kv.lease == guard.leases.mapping().of(change.lease))
        {
            outcome.revisions.push((change.key, revision));
        } else if revision == 0 && guard.leases.mapping().is_on() {
            // It has expired.
            kept.push((change, 0));
        } else if guard.overwrite {
            outcome.overwritten += 1;
            kept.push((change, revision));
        } else if let Some(MirrorError::ForeignChange { count, .. }) = &mut foreign {
            *count += 1;
        } else {
            let what = if revision == 0 { "deleted" } else { "wrote" };
            foreign = Some(MirrorError::ForeignChange { key: change.key, what, revision, count: 1 });
        }
    }
    *open = kept;
    foreign.map_or(Ok(()), Err)
}

/// The limits of one transaction that writes the place too.
pub(super) const BATCH_BYTES: usize = MAX_REQUEST_BYTES / 3 * 2;

impl BatchLimits {
    /// The limits for a destination: one operation of each transaction is the place's; two thirds of etcd's default limit
    /// for a request.
    pub fn of(store: &Store) -> Self {
        Self { changes: store.max_txn_ops().saturating_sub(1).max(1), bytes: BATCH_BYTES }
    }
}
