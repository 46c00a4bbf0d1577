//! Cuts the source's changes into transactions of the destination. Pure.

use std::collections::{HashSet, VecDeque};

use super::place::{MirrorPosition, WithinRevision};
use crate::kvstore::{LeaseId, Revision};

/// Upper estimate of a change's compare and operation in bytes, without keys and value.
const CHANGE_OVERHEAD: usize = 128;

/// A change of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceChange {
    /// The key in the destination.
    pub key: Vec<u8>,
    /// The new value; `None` for a deletion.
    pub value: Option<Vec<u8>>,
    /// The revision of the source.
    pub revision: Revision,
    /// The key's lease in the source.
    pub lease: Option<LeaseId>,
}

impl SourceChange {
    /// The bytes of the change in a transaction: the compare and the operation both have the key.
    pub fn cost(&self) -> usize {
        CHANGE_OVERHEAD + 2 * self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }

    /// The bytes of key and value.
    pub fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// The limits of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Changes.
    pub changes: usize,
    /// Bytes; a larger change is written alone.
    pub bytes: usize,
}

/// The changes of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorBatch {
    /// The changes, each of another key.
    pub changes: Vec<SourceChange>,
    /// The position after the transaction.
    pub end: MirrorPosition,
}

/// Changes of whole revisions that are not applied yet, in the order of the source.
#[derive(Debug, Default)]
pub struct ChangeQueue {
    changes: VecDeque<SourceChange>,
    bytes: usize,
    /// All changes up to this revision have been added.
    reached: Revision,
}

impl ChangeQueue {
    /// An empty queue after this revision.
    pub fn after(reached: Revision) -> Self {
        Self { reached, ..Self::default() }
    }

    /// Adds a change.
    pub fn push(&mut self, change: SourceChange) {
        self.bytes += change.cost();
        self.changes.push_back(change);
    }

    /// Records that all changes up to this revision have been added.
    pub fn reach(&mut self, revision: Revision) {
        self.reached = self.reached.max(revision);
    }

    /// The revision up to which all changes have been added.
    pub fn reached(&self) -> Revision {
        self.reached
    }

    /// The number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The memory of the changes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the next transaction's changes, if there are any: whole revisions as long as they fit, or a part of one that
    /// does not fit. `position` is that of the changes taken before.
    pub fn take_batch(&mut self, position: MirrorPosition, limits: BatchLimits) -> Option<MirrorBatch> {
        let mut keys: HashSet<&[u8]> = HashSet::new();
        let (mut taken, mut bytes) = (0, 0);
        let mut end = position;
        while let Some(first) = self.changes.get(taken) {
            let revision = first.revision;
            let before = position.within.filter(|within| within.revision == revision).map_or(0, |within| within.ops);
            let mut fitting = taken;
            let mut whole = true;
            while let Some(change) = self.changes.get(fitting).filter(|change| change.revision == revision) {
                let cost = change.cost();
                let room = fitting < limits.changes && (fitting == 0 || bytes + cost <= limits.bytes);
                if !room || !keys.insert(&change.key) {
                    whole = false;
                    break;
                }
                bytes += cost;
                fitting += 1;
            }
            if whole {
                taken = fitting;
                end = MirrorPosition { revision, within: None };
                continue;
            }
            if taken == 0 {
                taken = fitting;
                let ops = before + fitting as u64;
                end = MirrorPosition { revision: position.revision, within: Some(WithinRevision { revision, ops }) };
            }
            break;
        }
        if taken == 0 {
            return None;
        }
        if taken == self.changes.len() && end.within.is_none() {
            end.revision = end.revision.max(self.reached);
        }
        let changes: Vec<SourceChange> = self.changes.drain(..taken).collect();
        self.bytes -= changes.iter().map(SourceChange::cost).sum::<usize>();
        Some(MirrorBatch { changes, end })
    }

    /// Puts a batch back that was not applied.
    pub fn put_back(&mut self, batch: MirrorBatch) {
        for change in batch.changes.into_iter().rev() {
            self.bytes += change.cost();
            self.changes.push_front(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(key: u8, revision: Revision, bytes: usize) -> SourceChange {
        SourceChange { key: vec![key], value: (bytes > 0).then(|| vec![0; bytes]), revision, lease: None }
    }

    proptest! {
        /// Every change is taken once and in order; only revisions that do not fit are split; each position says exactly
        /// what was taken before.
        #[test]
        fn batches_are_the_history_in_order(
            history in proptest::collection::vec((any::<u8>(), any::<bool>(), 0..300usize), 1..60),
            changes in 1..6usize,
            bytes in 1..2000usize,
            start in 0..4usize,
        ) {
            let mut queue = ChangeQueue::after(10);
            let mut revision = 11;
            let mut all = Vec::new();
            for (key, next, size) in history {
                revision += i64::from(next);
                all.push(change(key % 8, revision, size));
            }
            // An earlier run may have ended within the first revision.
            let first = all[0].revision;
            let in_first = all.iter().filter(|change| change.revision == first).count();
            let skip = start.min(in_first - 1);
            let within = (skip > 0).then_some(WithinRevision { revision: first, ops: skip as u64 });
            let mut position = MirrorPosition { revision: 10, within };
            all[skip..].iter().cloned().for_each(|change| queue.push(change));
            queue.reach(revision + 3);
            let mut taken = skip;
            while let Some(batch) = queue.take_batch(position, BatchLimits { changes, bytes }) {
                prop_assert!(!batch.changes.is_empty() && batch.changes.len() <= changes);
                let cost: usize = batch.changes.iter().map(SourceChange::cost).sum();
                prop_assert!(cost <= bytes || batch.changes.len() == 1);
                let keys: HashSet<_> = batch.changes.iter().map(|change| &change.key).collect();
                prop_assert_eq!(keys.len(), batch.changes.len());
                prop_assert_eq!(&batch.changes[..], &all[taken..taken + batch.changes.len()]);
                taken += batch.changes.len();
                let last = batch.changes.last().map_or(0, |change| change.revision);
                let rest = all[taken..].first().is_some_and(|next| next.revision == last);
                match batch.end.within {
                    Some(within) => {
                        prop_assert_eq!(within.revision, last);
                        let begin = all.iter().position(|change| change.revision == last).unwrap_or(0);
                        prop_assert_eq!(within.ops as usize, taken - begin);
                        prop_assert_eq!(batch.end.revision, position.revision);
                        prop_assert!(batch.changes.iter().all(|change| change.revision == last));
                    }
                    None => {
                        prop_assert!(!rest);
                        let at = if taken == all.len() { revision + 3 } else { last };
                        prop_assert_eq!(batch.end.revision, at);
                    }
                }
                position = batch.end;
            }
            prop_assert_eq!(taken, all.len());
            prop_assert_eq!((queue.bytes(), position.within), (0, None));
        }
    }

    #[test]
    fn a_batch_that_is_put_back_comes_again() {
        let mut queue = ChangeQueue::after(1);
        (2..9).for_each(|at| queue.push(change(at as u8, at, 5)));
        let position = MirrorPosition { revision: 1, within: None };
        let (bytes, limits) = (queue.bytes(), BatchLimits { changes: 4, bytes: 1 << 20 });
        let batch = queue.take_batch(position, limits).unwrap_or_default();
        queue.put_back(batch.clone());
        assert_eq!(queue.bytes(), bytes);
        assert_eq!(queue.take_batch(position, limits), Some(batch));
    }

    #[test]
    fn one_large_revision_is_split_and_small_ones_are_joined() {
        let mut queue = ChangeQueue::after(1);
        (0..5).for_each(|key| queue.push(change(key, 2, 5)));
        (3..6).for_each(|at| queue.push(change(9, at, 0)));
        let limits = BatchLimits { changes: 3, bytes: 1 << 20 };
        let mut position = MirrorPosition { revision: 1, within: None };
        let mut ends = Vec::new();
        while let Some(batch) = queue.take_batch(position, limits) {
            position = batch.end;
            ends.push((batch.changes.len(), position.revision, position.within.map(|within| within.ops)));
        }
        // The last changes are all of one key, which one transaction cannot write twice.
        assert_eq!(ends, [(3, 1, Some(3)), (3, 3, None), (1, 4, None), (1, 5, None)]);
    }
}
