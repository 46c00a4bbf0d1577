//! Builds transactions of a size that etcd accepts.

use std::ops::Range;

use super::super::model::{Model, ObjectId};
use super::super::schema::{Encoding, Kind, Segment};
use super::{Sweep, SweepBatch, SweepGuard, SweepVerdict};
use crate::kvstore::{Compare, KeyRange, KeySelector, MAX_REQUEST_BYTES, Op, Txn};

/// The part of one object in a transaction.
struct ObjectShare {
    compares: Vec<Compare>,
    facts: Vec<u32>,
    /// First the object's own keys, then the links to it.
    removals: Vec<KeySelector>,
    /// Number of removals of its own keys.
    own: usize,
    bytes: usize,
}

/// A transaction under construction.
struct TransactionBuilder {
    places: Vec<u32>,
    compares: Vec<Compare>,
    facts: Vec<u32>,
    removals: Vec<KeySelector>,
    /// For each object, the removals of its own keys.
    own: Vec<Range<usize>>,
    bytes: usize,
    keys: u64,
}

impl TransactionBuilder {
    /// Adds a share if it fits. The first share is always added unless it alone exceeds the limits.
    fn take(&mut self, share: &ObjectShare, keys: u64, limits: (usize, u64)) -> bool {
        let (ops, max_keys) = limits;
        let new: Vec<u32> = share.facts.iter().copied().filter(|fact| !self.facts.contains(fact)).collect();
        let compares = self.compares.len() + self.facts.len() + share.compares.len() + new.len();
        let removals = self.removals.len() + share.removals.len();
        let alone = self.places.is_empty();
        let fits = compares <= ops && removals <= ops;
        // Sizes are estimates: use at most half of what a request may have.
        let small = self.keys + keys <= max_keys && self.bytes + share.bytes <= MAX_REQUEST_BYTES / 2;
        if !fits || !(small || alone) {
            return false;
        }
        self.compares.extend(share.compares.iter().cloned());
        self.own.push(self.removals.len()..self.removals.len() + share.own);
        self.removals.extend(share.removals.iter().cloned());
        self.facts.extend(new);
        self.bytes += share.bytes;
        self.keys += keys;
        true
    }
}

impl Sweep {
    /// The next transaction, with at most `max_objects` objects of one kind and, with [`SweepGuard::Scope`], of one
    /// scope.
    /// `None` if nothing is left to try.
    pub fn next_batch(&mut self, max_objects: usize) -> Option<SweepBatch> {
        loop {
            let batch = match self.retries.pop() {
                Some(places) => {
                    let (now, later) = places.split_at(places.len().min(max_objects.max(1)));
                    if !later.is_empty() {
                        self.retries.push(later.to_vec());
                    }
                    let (batch, taken) = self.build(now.iter().copied(), usize::MAX);
                    if taken < now.len() {
                        self.retries.push(now[taken..].to_vec());
                    }
                    batch
                }
                None if self.next < self.items.len() => {
                    let from = u32::try_from(self.next).unwrap_or(u32::MAX);
                    let to = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
                    let (batch, taken) = self.build(from..to, max_objects.max(1));
                    self.next += taken;
                    batch
                }
                None => return None,
            };
            if batch.is_some() {
                return batch;
            }
        }
    }

    /// A batch of the first waiting objects that fit together, and the number of places it used.
    fn build(&mut self, places: impl Iterator<Item = u32>, max_objects: usize) -> (Option<SweepBatch>, usize) {
        let ops = self.max_ops();
        let mut builder = TransactionBuilder {
            places: Vec::new(),
            compares: Vec::new(),
            facts: Vec::new(),
            removals: Vec::new(),
            own: Vec::new(),
            bytes: 0,
            keys: 0,
        };
        let mut used = 0;
        for place in places {
            let item = &self.items[place as usize];
            let (id, waiting) = (item.id, item.verdict == SweepVerdict::Waiting);
            if waiting {
                if builder.places.len() >= max_objects || !self.fits_with(&builder, place) {
                    break;
                }
                if builder.places.is_empty() && self.options.guard == SweepGuard::Scope {
                    let scope = self.scope_compares(id);
                    builder.bytes += scope.iter().map(|range| range.start.len() * 2 + 64).sum::<usize>();
                    builder.compares = scope.iter().map(|range| self.none_newer(range)).collect();
                }
                let share = self.share(place);
                if builder.take(&share, self.model.keys(id), (ops, self.options.max_keys)) {
                    builder.places.push(place);
                } else if builder.places.is_empty() {
                    self.hold_back(place, SweepVerdict::Entangled);
                    builder.compares.clear();
                } else {
                    break;
                }
            }
            used += 1;
        }
        (self.finish(builder), used)
    }

    fn fits_with(&self, builder: &TransactionBuilder, place: u32) -> bool {
        let Some(first) = builder.places.first() else { return true };
        let (a, b) = (&self.items[*first as usize], &self.items[place as usize]);
        let scope = self.options.guard == SweepGuard::Object || self.model.scope_id(a.id) == self.model.scope_id(b.id);
        a.expired == b.expired && self.model.kind_id(a.id) == self.model.kind_id(b.id) && scope
    }

    fn none_newer(&self, range: &KeyRange) -> Compare {
        Compare::none_newer(range, self.model.revision())
    }

    fn share(&self, place: u32) -> ObjectShare {
        let item = &self.items[place as usize];
        let ranges = self.model.ranges(item.id);
        let mut compares = Vec::new();
        if self.options.guard == SweepGuard::Object {
            compares.extend(ranges.iter().map(|range| self.none_newer(range)));
        }
        let own = ranges.len();
        let mut removals: Vec<KeySelector> = ranges.into_iter().map(KeySelector::Range).collect();
        for link in self.model.links_to(item.id) {
            let holder = self.place[link.holder as usize];
            let removed = holder != u32::MAX && self.items[holder as usize].verdict == SweepVerdict::Removed;
            if link.holder != item.id && !removed {
                let key = self.model.link_key(link);
                if self.options.guard == SweepGuard::Object {
                    compares.push(self.none_newer(&KeyRange::key(&key)));
                }
                removals.push(KeySelector::Key(key));
            }
        }
        let facts = self.facts[item.facts.start as usize..item.facts.end as usize].to_vec();
        let ranges = Txn {
            compares: compares.clone(),
            then: removals.iter().map(|over| Op::Delete { over: over.clone(), prev: false }).collect(),
            otherwise: Vec::new(),
        };
        ObjectShare { bytes: ranges.size() + facts.len() * 256, compares, facts, removals, own }
    }

    fn finish(&self, builder: TransactionBuilder) -> Option<SweepBatch> {
        if builder.places.is_empty() {
            return None;
        }
        let mut compares = builder.compares;
        for number in builder.facts {
            let fact = &self.model.all_facts()[number as usize];
            compares.push(Compare::unchanged(&self.model.fact_key(fact), fact.revision));
        }
        let objects: Vec<ObjectId> = builder.places.iter().map(|place| self.items[*place as usize].id).collect();
        let otherwise = match objects.as_slice() {
            [id] => self.model.ranges(*id).into_iter().map(count).collect(),
            _ => Vec::new(),
        };
        let then = builder.removals.into_iter().map(|over| Op::Delete { over, prev: false }).collect();
        let txn = Txn { compares, then, otherwise };
        Some(SweepBatch { objects, txn, keys: builder.keys, places: builder.places, own: builder.own })
    }

    /// Ranges that must not have changed for a decision in the object's scope to hold.
    fn scope_compares(&mut self, id: ObjectId) -> Vec<KeyRange> {
        let scope = self.model.scope_id(id) as usize;
        if self.scopes.len() <= scope {
            self.scopes.resize(scope + 1, None);
        }
        self.scopes[scope].get_or_insert_with(|| scope_ranges(&self.model, id)).clone()
    }
}

fn count(range: KeyRange) -> Op {
    Op::Get { over: KeySelector::Range(range), revision: 0, keys_only: true, count_only: true, limit: 0 }
}

/// Ranges that contain all keys of the object's scope and all keys outside every scope.
pub(super) fn scope_ranges(model: &Model, id: ObjectId) -> Vec<KeyRange> {
    let values: Vec<&[u8]> = model.scope(id).split(|byte| *byte == b'/').collect();
    let scoped = model.kind(id).scoped.contains(&true);
    let mut ranges: Vec<KeyRange> = Vec::new();
    for kind in &model.schema().kinds {
        let range = leading(kind, if scoped { &values } else { &[] }).map_or_else(
            || KeyRange::prefix(model.prefix()),
            |below| KeyRange::prefix(&[model.prefix(), &below].concat()),
        );
        ranges.push(range);
    }
    ranges.sort_by(|a, b| a.start.len().cmp(&b.start.len()).then_with(|| a.start.cmp(&b.start)));
    let mut apart: Vec<KeyRange> = Vec::new();
    for range in ranges {
        if !apart.iter().any(|wider| wider.contains(&range.start)) {
            apart.push(range);
        }
    }
    apart
}

/// Common prefix of this kind's keys in a scope, ending with a slash; `None` if there is none.
fn leading(kind: &Kind, values: &[&[u8]]) -> Option<Vec<u8>> {
    let mut below = Vec::new();
    let (mut variable, mut value) = (0, 0);
    for segment in &kind.key.0 {
        let part = match segment {
            Segment::Literal(word) => word.as_slice(),
            Segment::Part(..) => return (!below.is_empty()).then_some(below),
            _ if kind.scoped.get(variable) == Some(&true) => {
                let part = *values.get(value)?;
                let plain = part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
                if kind.encoding == Encoding::Percent && !plain {
                    return None;
                }
                (variable, value) = (variable + 1, value + 1);
                part
            }
            _ => return (!below.is_empty()).then_some(below),
        };
        below.extend_from_slice(part);
        below.push(b'/');
    }
    // The object's own key does not end with a slash.
    (!kind.own_key && !below.is_empty()).then_some(below)
}
