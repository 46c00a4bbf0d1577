//! The sweep: which transactions remove what is garbage, in which order, and what a refusal means for the rest. Pure:
//! whoever sends the transactions says how each ended.
//!
//! Expired roots go first, then kind by kind in the schema's order, and within a kind whoever refers before whom it
//! refers to. An object that turns out to have changed is left, and so is all that it, as it was, referred to: it
//! may be a root now.
//!
//! What [`SweepGuard::Object`] compares cannot see a reference that was added elsewhere since the reading. Two looks with
//! time between them, a lock that writers respect, or [`SweepGuard::Scope`] cover that.

mod build;
mod order;

use std::ops::Range;
use std::sync::Arc;

use super::mark::Marking;
use super::model::{Model, ObjectId};
use crate::kvstore::{KeyRange, MAX_TXN_OPS, Txn};

/// What a transaction compares beside the facts that decisions rest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SweepGuard {
    /// That nothing in the objects it removes is newer than the reading.
    #[default]
    Object,
    /// That nothing in their whole scope is. etcd reads all of the scope's keys and values for that, each time.
    Scope,
}

/// How to sweep.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// What is compared.
    pub guard: SweepGuard,
    /// Whether each transaction stands in one that compares a lock's key: that takes one operation.
    pub locked: bool,
    /// The most keys that one transaction removes; a larger object goes alone.
    pub max_keys: u64,
}

impl Default for SweepOptions {
    fn default() -> Self {
        Self { guard: SweepGuard::Object, locked: false, max_keys: 1000 }
    }
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepVerdict {
    /// Not tried yet.
    Waiting,
    /// Removed.
    Removed,
    /// Left: it, or a fact that made it garbage, has changed since the reading.
    Changed,
    /// Somebody else removed it.
    Gone,
    /// Left: one that was left referred to it.
    HeldBack,
    /// Left: it rests on more facts, or lies around more objects, than one transaction can compare.
    Entangled,
    /// An error.
    Failed,
}

/// How often each verdict was met by objects of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindTally {
    /// Objects removed.
    pub removed: u64,
    /// Their keys, as they were read.
    pub keys: u64,
    /// Their bytes, as they were read.
    pub bytes: u64,
    /// Objects left because they changed.
    pub changed: u64,
    /// Objects that somebody else removed.
    pub gone: u64,
    /// Objects left because one that was left referred to them.
    pub held_back: u64,
    /// Objects left because too much would have to be compared.
    pub entangled: u64,
    /// Objects at which an error happened.
    pub failed: u64,
}

impl KindTally {
    /// Objects left on purpose.
    pub fn skipped(&self) -> u64 {
        self.changed + self.held_back + self.entangled
    }
}

/// Some objects and the transaction that removes them, or none of them.
#[derive(Clone, Debug)]
pub struct SweepBatch {
    /// The objects.
    pub objects: Vec<ObjectId>,
    /// The transaction. For one object, its else-branch counts what is left of it.
    pub txn: Txn,
    /// How many keys it removes, as they were read.
    pub keys: u64,
    places: Vec<u32>,
}

/// One object that is to go.
#[derive(Clone, Debug)]
struct SweepItem {
    id: ObjectId,
    verdict: SweepVerdict,
    /// An expired root: these go first.
    expired: bool,
    /// The facts it rests on: places in [`Sweep::facts`].
    facts: Range<u32>,
}

/// The work and its state.
pub struct Sweep {
    model: Arc<Model>,
    options: SweepOptions,
    items: Vec<SweepItem>,
    /// Numbers of the model's facts, item by item.
    facts: Vec<u32>,
    /// The place of each object among the items; `u32::MAX` for none.
    place: Vec<u32>,
    /// Refused batches' halves, the next one last.
    retries: Vec<Vec<u32>>,
    next: usize,
    tallies: Vec<KindTally>,
    scopes: Vec<Option<Vec<KeyRange>>>,
}

impl Sweep {
    /// Plans the removal of these objects. What is not garbage by the marking is left out.
    pub fn new(model: &Arc<Model>, marking: &Marking, selected: &[ObjectId], options: SweepOptions) -> Self {
        let (items, facts) = order::plan(model, marking, selected);
        let mut place = vec![u32::MAX; model.count() as usize];
        for (item, at) in items.iter().zip(0..) {
            place[item.id as usize] = at;
        }
        let tallies = vec![KindTally::default(); model.schema().kinds.len()];
        let model = Arc::clone(model);
        Self { model, options, items, facts, place, retries: Vec::new(), next: 0, tallies, scopes: Vec::new() }
    }

    /// How many operations a transaction may have.
    fn max_ops(&self) -> usize {
        MAX_TXN_OPS - usize::from(self.options.locked)
    }

    /// The objects in the order of the sweep, and what became of each.
    pub fn verdicts(&self) -> impl Iterator<Item = (ObjectId, SweepVerdict)> + '_ {
        self.items.iter().map(|item| (item.id, item.verdict))
    }

    /// What became of an object; `None` for one that was not to go.
    pub fn verdict(&self, id: ObjectId) -> Option<SweepVerdict> {
        let place = *self.place.get(id as usize)?;
        self.items.get(place as usize).map(|item| item.verdict)
    }

    /// One tally a kind, in the schema's order.
    pub fn tallies(&self) -> &[KindTally] {
        &self.tallies
    }

    /// How many objects are to go, or were.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is to go.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The batch was done.
    pub fn removed(&mut self, batch: &SweepBatch) {
        batch.places.iter().for_each(|place| self.record(*place, SweepVerdict::Removed));
    }

    /// A compare did not hold. A batch of several is tried retries in halves; a single object is left, with all it refers
    /// to, unless `gone`: nothing is there any more.
    pub fn refused(&mut self, batch: &SweepBatch, gone: bool) {
        match batch.places.as_slice() {
            [place] if gone => self.record(*place, SweepVerdict::Gone),
            [place] => self.hold_back(*place, SweepVerdict::Changed),
            places => self.halve(places),
        }
    }

    /// The server takes no transaction of that size: several are tried retries in halves, a single one has failed.
    pub fn too_large(&mut self, batch: &SweepBatch) {
        match batch.places.as_slice() {
            [place] => self.hold_back(*place, SweepVerdict::Failed),
            places => self.halve(places),
        }
    }

    /// An error, or an unknown outcome: its objects are given up, and what they refer to is left.
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

    /// Leaves an object and holds back all that it refers to, as it was read.
    fn hold_back(&mut self, place: u32, verdict: SweepVerdict) {
        self.record(place, verdict);
        let model = Arc::clone(&self.model);
        let mut left = vec![self.items[place as usize].id];
        let mut seen = std::collections::HashSet::from([left[0]]);
        while let Some(id) = left.pop() {
            // An edge that is not there now may be there when the object has changed: conditions are not asked.
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
