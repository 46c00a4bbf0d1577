//! Pairs the records of two ordered sides by their keys, in constant memory. Pure.

use std::cmp::Ordering;
use std::vec::IntoIter;

use super::record::SyncRecord;

/// The records of one key on both sides; at least one side has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The source's record.
    pub source: Option<SyncRecord>,
    /// The store's record.
    pub store: Option<SyncRecord>,
}

/// What a merge needs or gives next.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a box for each key that differs would cost more")]
pub enum MergeStep {
    /// The next page of the source ([`Merge::source_page`]).
    NeedSource,
    /// The next page of the store ([`Merge::store_page`]).
    NeedStore,
    /// The next key.
    Pair(Pair),
    /// Both sides have ended.
    End,
}

/// One side of a merge: its current page.
#[derive(Debug, Default)]
struct Side {
    page: IntoIter<SyncRecord>,
    ended: bool,
}

impl Side {
    fn set_page(&mut self, page: Option<Vec<SyncRecord>>) {
        match page {
            Some(page) => self.page = page.into_iter(),
            None => self.ended = true,
        }
    }

    fn first(&self) -> Option<&SyncRecord> {
        self.page.as_slice().first()
    }

    fn is_waiting(&self) -> bool {
        !self.ended && self.first().is_none()
    }
}

/// A merge of the source's and the store's records, both in key order and without duplicates.
#[derive(Debug, Default)]
pub struct Merge {
    source: Side,
    store: Side,
}

impl Merge {
    /// Takes the next page of the source; `None` at its end.
    pub fn source_page(&mut self, page: Option<Vec<SyncRecord>>) {
        self.source.set_page(page);
    }

    /// Takes the next page of the store; `None` at its end.
    pub fn store_page(&mut self, page: Option<Vec<SyncRecord>>) {
        self.store.set_page(page);
    }

    /// The next key for which `same` does not hold, or the page that is needed before. `same` is asked only about keys that
    /// are on both sides.
    pub fn step(&mut self, mut same: impl FnMut(&SyncRecord, &SyncRecord) -> bool) -> MergeStep {
        loop {
            if self.source.is_waiting() {
                return MergeStep::NeedSource;
            }
            if self.store.is_waiting() {
                return MergeStep::NeedStore;
            }
            let order = match (self.source.first(), self.store.first()) {
                (None, None) => return MergeStep::End,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(source), Some(store)) => match source.kv.key.cmp(&store.kv.key) {
                    Ordering::Equal if same(source, store) => {
                        self.source.page.next();
                        self.store.page.next();
                        continue;
                    }
                    order => order,
                },
            };
            let source = if order == Ordering::Greater { None } else { self.source.page.next() };
            let store = if order == Ordering::Less { None } else { self.store.page.next() };
            return MergeStep::Pair(Pair { source, store });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::kvstore::KeyValue;

    type Model = BTreeMap<Vec<u8>, Vec<u8>>;

    fn pages(model: &Model, size: usize) -> Vec<Vec<SyncRecord>> {
        let record = |(key, value): (&Vec<u8>, &Vec<u8>)| SyncRecord {
            kv: KeyValue { key: key.clone(), value: value.clone(), ..KeyValue::default() },
            ttl: None,
        };
        let all: Vec<SyncRecord> = model.iter().map(record).collect();
        all.chunks(size).map(<[SyncRecord]>::to_vec).collect()
    }

    proptest! {
        /// Whatever the pages are, the pairs are the keys that differ, in order, and applying them to the store gives the
        /// source.
        #[test]
        fn the_pairs_lead_from_one_side_to_the_other(
            source in proptest::collection::btree_map(proptest::collection::vec(0u8..4, 1..4), proptest::collection::vec(0u8..3, 0..2), 0..20),
            store in proptest::collection::btree_map(proptest::collection::vec(0u8..4, 1..4), proptest::collection::vec(0u8..3, 0..2), 0..20),
            sizes in (1usize..7, 1usize..7),
        ) {
            let (mut left, mut right) = (pages(&source, sizes.0).into_iter(), pages(&store, sizes.1).into_iter());
            let (mut merge, mut model) = (Merge::default(), store.clone());
            let mut last: Option<Vec<u8>> = None;
            let mut same = 0;
            loop {
                match merge.step(|a, b| { let equal = a.kv.value == b.kv.value; same += usize::from(equal); equal }) {
                    MergeStep::NeedSource => merge.source_page(left.next()),
                    MergeStep::NeedStore => merge.store_page(right.next()),
                    MergeStep::End => break,
                    MergeStep::Pair(Pair { source, store }) => {
                        let key = source.as_ref().or(store.as_ref()).map(|record| record.kv.key.clone());
                        prop_assert!(key.is_some() && key > last);
                        last.clone_from(&key);
                        match (source, store) {
                            (Some(new), _) => drop(model.insert(new.kv.key, new.kv.value)),
                            (None, Some(old)) => prop_assert!(model.remove(&old.kv.key).is_some()),
                            (None, None) => prop_assert!(false, "a pair without records"),
                        }
                    }
                }
            }
            prop_assert_eq!(&model, &source);
            prop_assert_eq!(same, source.iter().filter(|(key, value)| store.get(*key) == Some(value)).count());
        }
    }
}
