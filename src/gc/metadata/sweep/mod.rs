//! The sweep: which transactions remove the garbage, in which order, and what a refusal means for the rest. Pure: the
//! caller sends the transactions and reports their outcome.
//!
//! Expired roots are removed first, then kind by kind in the schema's order; within a kind, referring objects before
//! the objects they refer to. An object that has changed is kept, and so is everything it referred to: it may be a root
//! now. The same holds for garbage that is not to be removed, because an earlier scan did not find it with the same facts.
//!
//! [`SweepGuard::Object`] does not detect a reference that another client added after the tree was read. Two scans with
//! time between them, a lock that all writers take, or [`SweepGuard::Scope`] cover this.

mod build;
mod item;
mod order;

use std::ops::Range;
use std::sync::Arc;

use item::SweepItem;
pub use item::SweepVerdict;

use super::mark::Marking;
use super::model::{Model, ObjectId};
use crate::kvstore::{KeyRange, Txn};
use crate::transport::DEFAULT_TXN_OPS;

/// What a transaction compares in addition to the facts that decisions depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SweepGuard {
    /// That the objects it removes have not changed since they were read.
    #[default]
    Object,
    /// That nothing in their scope has changed. etcd reads all keys and values of the scope for each transaction.
    Scope,
}

/// Options of a sweep.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// What transactions compare.
    pub guard: SweepGuard,
    /// Maximum number of operations of a transaction.
    pub max_ops: usize,
    /// Whether each transaction also compares a lock, which takes one operation.
    pub locked: bool,
    /// Maximum number of keys that a transaction removes; a larger object gets its own transaction.
    pub max_keys: u64,
}

impl Default for SweepOptions {
    fn default() -> Self {
        Self { guard: SweepGuard::Object, max_ops: DEFAULT_TXN_OPS, locked: false, max_keys: 1000 }
    }
}

/// Counters of the verdicts on objects of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindTally {
    /// Objects removed.
    pub removed: u64,
    /// Keys of the removed objects, when they were read.
    pub keys: u64,
    /// Bytes of the removed objects, when they were read.
    pub bytes: u64,
    /// Objects kept because they changed.
    pub changed: u64,
    /// Objects that another client removed.
    pub gone: u64,
    /// Objects kept because an object that was kept referred to them.
    pub held_back: u64,
    /// Objects kept because one transaction cannot compare enough.
    pub entangled: u64,
    /// Objects whose removal failed.
    pub failed: u64,
}

impl KindTally {
    /// Objects kept on purpose.
    pub fn skipped(&self) -> u64 {
        self.changed + self.held_back + self.entangled
    }
}

/// Objects and the transaction that removes all of them or none.
#[derive(Clone, Debug)]
pub struct SweepBatch {
    /// The objects.
    pub objects: Vec<ObjectId>,
    /// The transaction. For a single object, its else-branch counts the object's remaining keys.
    pub txn: Txn,
    /// Number of keys it removes, when they were read.
    pub keys: u64,
    places: Vec<u32>,
    /// For each object, the operations that delete its own keys.
    own: Vec<Range<usize>>,
}

/// A planned or running sweep.
pub struct Sweep {
    model: Arc<Model>,
    options: SweepOptions,
    items: Vec<SweepItem>,
    /// Indexes of the model's facts, item by item.
    facts: Vec<u32>,
    /// Index of each object among the items; `u32::MAX` for none.
    place: Vec<u32>,
    /// Halves of refused batches; the last one is next.
    retries: Vec<Vec<u32>>,
    next: usize,
    tallies: Vec<KindTally>,
    scopes: Vec<Option<Vec<KeyRange>>>,
}

impl Sweep {
    /// Plans the removal of these objects, except those that are not garbage by the marking.
    pub fn new(model: &Arc<Model>, marking: &Marking, selected: &[ObjectId], options: SweepOptions) -> Self {
        let (items, facts) = order::plan(model, marking, selected);
        let mut place = vec![u32::MAX; model.count() as usize];
        for (item, at) in items.iter().zip(0..) {
            place[item.id as usize] = at;
        }
        let tallies = vec![KindTally::default(); model.schema().kinds.len()];
        let model = Arc::clone(model);
        let mut sweep =
            Self { model, options, items, facts, place, retries: Vec::new(), next: 0, tallies, scopes: Vec::new() };
        let kept: Vec<ObjectId> =
            marking.garbage(&sweep.model).into_iter().filter(|id| sweep.verdict(*id).is_none()).collect();
        sweep.hold_back_targets(kept);
        sweep
    }

    /// Maximum number of operations of a transaction beside the comparison of the lock.
    fn max_ops(&self) -> usize {
        self.options.max_ops - usize::from(self.options.locked)
    }

    /// The options of the sweep.
    pub fn options(&self) -> &SweepOptions {
        &self.options
    }

    /// The objects in the order of the sweep, with their verdicts.
    pub fn verdicts(&self) -> impl Iterator<Item = (ObjectId, SweepVerdict)> + '_ {
        self.items.iter().map(|item| (item.id, item.verdict))
    }

    /// The verdict on an object; `None` if it was not to be removed.
    pub fn verdict(&self, id: ObjectId) -> Option<SweepVerdict> {
        let place = *self.place.get(id as usize)?;
        self.items.get(place as usize).map(|item| item.verdict)
    }

    /// Number of facts that the object's removal depends on.
    pub fn facts(&self, id: ObjectId) -> usize {
        let place = self.place.get(id as usize).and_then(|place| self.items.get(*place as usize));
        place.map_or(0, |item| item.facts.len())
    }

    /// Counters per kind, in the schema's order.
    pub fn tallies(&self) -> &[KindTally] {
        &self.tallies
    }

    /// Number of objects in the sweep.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the sweep has no objects.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Records that the batch was applied, with the number of keys that each of its operations deleted. An object of
    /// which nothing was left is gone: another client removed it, and counts it.
    pub fn applied(&mut self, batch: &SweepBatch, deleted: &[u64]) {
        for (place, own) in batch.places.iter().zip(&batch.own) {
            let keys: u64 = deleted.get(own.clone()).unwrap_or_default().iter().sum();
            self.record(*place, if keys > 0 { SweepVerdict::Removed } else { SweepVerdict::Gone });
            let item = &self.items[*place as usize];
            if keys > 0 {
                // Another client may have deleted single keys.
                let tally = &mut self.tallies[usize::from(self.model.kind_id(item.id))];
                tally.keys = tally.keys.saturating_sub(self.model.keys(item.id)).saturating_add(keys);
            }
        }
    }

    /// Records that the batch was applied by this sweep, although its response was lost.
    pub fn removed(&mut self, batch: &SweepBatch) {
        batch.places.iter().for_each(|place| self.record(*place, SweepVerdict::Removed));
    }

    /// Records that a compare failed. A batch of several objects is retried in halves; a single object is kept with all
    /// it refers to, unless it is `gone`.
    pub fn refused(&mut self, batch: &SweepBatch, gone: bool) {
        match batch.places.as_slice() {
            [place] if gone => self.record(*place, SweepVerdict::Gone),
            [place] => self.hold_back(*place, SweepVerdict::Changed),
            places => self.halve(places),
        }
    }

    /// Records that the server rejects the transaction's size: several objects are retried in halves, a single one
    /// fails.
    pub fn too_large(&mut self, batch: &SweepBatch) {
        match batch.places.as_slice() {
            [place] => self.hold_back(*place, SweepVerdict::Failed),
            places => self.halve(places),
        }
    }

    /// Records an error or an unknown outcome: the objects fail, and what they refer to is kept.
    pub fn failed(&mut self, batch: &SweepBatch) {
        batch.places.iter().for_each(|place| self.hold_back(*place, SweepVerdict::Failed));
    }

    fn halve(&mut self, places: &[u32]) {
        let (first, second) = places.split_at(places.len() / 2);
        self.retries.push(second.to_vec());
        self.retries.push(first.to_vec());
    }

    fn record(&mut self, place: u32, verdict: SweepVerdict) {
        let item = &mut self.items[place as usize];
        item.verdict = verdict;
        let tally = &mut self.tallies[usize::from(self.model.kind_id(item.id))];
        match verdict {
            SweepVerdict::Waiting => {}
            SweepVerdict::Removed => {
                tally.removed += 1;
                tally.keys += self.model.keys(item.id);
                tally.bytes += self.model.bytes(item.id);
            }
            SweepVerdict::Changed => tally.changed += 1,
            SweepVerdict::Gone => tally.gone += 1,
            SweepVerdict::HeldBack => tally.held_back += 1,
            SweepVerdict::Entangled => tally.entangled += 1,
            SweepVerdict::Failed => tally.failed += 1,
        }
    }

    /// Keeps an object and everything that it refers to, as it was read.
    fn hold_back(&mut self, place: u32, verdict: SweepVerdict) {
        self.record(place, verdict);
        self.hold_back_targets(vec![self.items[place as usize].id]);
    }

    /// Keeps everything that these objects refer to, as it was read.
    fn hold_back_targets(&mut self, mut left: Vec<ObjectId>) {
        let model = Arc::clone(&self.model);
        let mut seen: std::collections::HashSet<ObjectId> = left.iter().copied().collect();
        while let Some(id) = left.pop() {
            // Conditions are ignored: an edge that did not hold may hold now that the object has changed.
            let tied = model.conditional_from(id);
            for to in model.edges(id).iter().copied().chain(tied).map(|edge| edge.to) {
                if seen.insert(to) {
                    left.push(to);
                    let place = self.place[to as usize];
                    if place != u32::MAX && self.items[place as usize].verdict == SweepVerdict::Waiting {
                        self.record(place, SweepVerdict::HeldBack);
                    }
                }
            }
        }
    }
}
