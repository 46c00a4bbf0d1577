//! The heaviest names of a stream in constant memory (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent
//! and top-k elements in data streams", 2005).
//!
//! There is a fixed number of counters. A name without a counter takes over the counter with the least weight: it inherits
//! that weight, which is the largest error that its own can have. So the true weight of a name is at most that of its
//! counter, and at least that less the error; and a name without a counter weighs at most as much as the lightest counter.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// Longer names are kept as their beginning, their length and a hash, so that memory is bounded.
const MAX_NAME: usize = 256;

/// A name as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CounterName {
    /// The name, or its beginning.
    pub bytes: Box<[u8]>,
    /// The length of the whole name.
    pub length: usize,
    hash: u64,
}

impl CounterName {
    fn new(name: &[u8], hash: u64) -> Self {
        Self { bytes: name.get(..MAX_NAME).unwrap_or(name).into(), length: name.len(), hash }
    }

    fn is(&self, name: &[u8], hash: u64) -> bool {
        self.hash == hash && self.length == name.len() && name.starts_with(&self.bytes)
    }

    /// Whether only the beginning of the name is known.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.length
    }
}

/// A name with its weight, and what else is counted for it.
#[derive(Clone, Debug)]
pub struct WeightCounter<T> {
    /// The name.
    pub name: CounterName,
    /// The most that the name can weigh.
    pub weight: u64,
    /// The inherited part of the weight.
    pub error: u64,
    /// What was counted since the name has the counter.
    pub data: T,
}

/// A fixed number of counters for the heaviest names.
#[derive(Debug)]
pub struct SpaceSaving<T> {
    capacity: usize,
    hasher: RandomState,
    counters: Vec<WeightCounter<T>>,
    index: HashTable<usize>,
    /// The counters as a binary heap, the lightest first; built when a counter is taken over for the first time.
    heap: Vec<usize>,
    /// The place of each counter in the heap.
    places: Vec<usize>,
    /// Whether a name has no counter.
    has_untracked: bool,
}

impl<T: Default> SpaceSaving<T> {
    /// Creates it with this number of counters, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            hasher: RandomState::new(),
            counters: Vec::new(),
            index: HashTable::new(),
            heap: Vec::new(),
            places: Vec::new(),
            has_untracked: false,
        }
    }

    /// Adds weight to a name. Returns what else is counted for it; `None` if it has no counter, because it weighs nothing
    /// and all counters are taken.
    pub fn add(&mut self, name: &[u8], weight: u64) -> Option<&mut T> {
        let hash = self.hasher.hash_one(name);
        let found = self.index.find(hash, |at| self.counters.get(*at).is_some_and(|one| one.name.is(name, hash)));
        let at = match found.copied() {
            Some(at) => at,
            None if self.counters.len() < self.capacity => self.insert(name, hash),
            None if weight == 0 => {
                self.has_untracked = true;
                return None;
            }
            None => self.take_over(name, hash)?,
        };
        let counter = self.counters.get_mut(at)?;
        counter.weight = counter.weight.saturating_add(weight);
        if !self.heap.is_empty() && weight > 0 {
            self.sink(self.places[at]);
        }
        self.counters.get_mut(at).map(|counter| &mut counter.data)
    }

    fn insert(&mut self, name: &[u8], hash: u64) -> usize {
        let at = self.counters.len();
        let name = CounterName::new(name, hash);
        self.counters.push(WeightCounter { name, weight: 0, error: 0, data: T::default() });
        self.index.insert_unique(hash, at, |at| self.counters[*at].name.hash);
        at
    }

    /// Gives the lightest counter to another name.
    fn take_over(&mut self, name: &[u8], hash: u64) -> Option<usize> {
        self.has_untracked = true;
        if self.heap.is_empty() {
            self.heap = (0..self.counters.len()).collect();
            self.places = self.heap.clone();
            (0..self.heap.len() / 2).rev().for_each(|place| self.sink(place));
        }
        let at = *self.heap.first()?;
        let counter = self.counters.get_mut(at)?;
        let before = counter.name.hash;
        if let Ok(entry) = self.index.find_entry(before, |other| *other == at) {
            entry.remove();
        }
        *counter = WeightCounter {
            name: CounterName::new(name, hash),
            weight: counter.weight,
            error: counter.weight,
            data: T::default(),
        };
        self.index.insert_unique(hash, at, |at| self.counters[*at].name.hash);
        Some(at)
    }

    /// Restores the order of the heap below a place whose counter has become heavier.
    fn sink(&mut self, mut place: usize) {
        let weight = |heap: &[usize], place: usize| self.counters[heap[place]].weight;
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let mut least = place;
            for child in [left, right] {
                if child < self.heap.len() && weight(&self.heap, child) < weight(&self.heap, least) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.heap.swap(place, least);
            self.places[self.heap[place]] = place;
            self.places[self.heap[least]] = least;
            place = least;
        }
    }

    /// The names that have counters, in no order.
    pub fn counters(&self) -> &[WeightCounter<T>] {
        &self.counters
    }

    /// The most that a name without a counter can weigh; 0 if every name has one.
    pub fn untracked_bound(&self) -> u64 {
        if !self.has_untracked {
            return 0;
        }
        self.counters.iter().map(|counter| counter.weight).min().unwrap_or(0)
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.counters.clear();
        self.index.clear();
        self.heap.clear();
        self.places.clear();
        self.has_untracked = false;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// The weight of a name that was counted since it has its counter.
    type Counted = SpaceSaving<u64>;

    fn add(counters: &mut Counted, name: &[u8], weight: u64) {
        if let Some(counted) = counters.add(name, weight) {
            *counted += weight;
        }
    }

    proptest! {
        #[test]
        fn the_true_weight_is_within_the_error(
            stream in proptest::collection::vec((0u8..60, 0u64..50), 0..400),
            capacity in 1usize..40,
        ) {
            let mut counters = Counted::new(capacity);
            let mut exact: HashMap<Vec<u8>, u64> = HashMap::new();
            for (name, weight) in stream {
                // A few names are heavy, so that they must be found.
                let (name, weight) = if name < 40 { (name % 4, weight + 50) } else { (name, weight) };
                let name = vec![b'k', name];
                add(&mut counters, &name, weight);
                *exact.entry(name).or_default() += weight;
            }
            let total: u64 = exact.values().sum();
            prop_assert_eq!(counters.counters().len(), exact.len().min(capacity));
            for counter in counters.counters() {
                let truth = exact.remove(&*counter.name.bytes).unwrap();
                prop_assert!(counter.weight - counter.error <= truth && truth <= counter.weight);
                prop_assert_eq!(counter.data, counter.weight - counter.error);
            }
            // Those that are left have no counter.
            let bound = counters.untracked_bound();
            prop_assert!(exact.values().all(|weight| *weight <= bound), "{exact:?} {bound}");
            prop_assert!(bound <= total / capacity as u64);
        }
    }

    #[test]
    fn long_names_differ_by_what_is_not_kept() {
        let mut counters = Counted::new(8);
        let name = |end: &str| [&[b'x'; 2 * MAX_NAME][..], end.as_bytes()].concat();
        for (end, weight) in [("a", 1), ("b", 2), ("a", 4), ("bb", 8)] {
            add(&mut counters, &name(end), weight);
        }
        let mut weights: Vec<u64> = counters.counters().iter().map(|counter| counter.weight).collect();
        weights.sort_unstable();
        assert_eq!(weights, [2, 5, 8]);
        assert!(counters.counters().iter().all(|one| one.name.is_cut() && one.name.bytes.len() == MAX_NAME));
    }

    #[test]
    fn the_heaviest_name_survives_a_flood_of_others_and_clear_forgets_it() {
        let mut counters = Counted::new(100);
        for n in 0..100_000_u32 {
            add(&mut counters, &n.to_be_bytes(), 1);
            if n.is_multiple_of(10) {
                add(&mut counters, b"hot", 1);
            }
        }
        let hot = counters.counters().iter().max_by_key(|counter| counter.weight).unwrap();
        assert_eq!(&*hot.name.bytes, b"hot");
        assert!(hot.weight >= 10_000 && hot.weight - hot.error <= 10_000);
        assert!(counters.untracked_bound() >= 1);
        counters.clear();
        assert_eq!((counters.counters().len(), counters.untracked_bound()), (0, 0));
        add(&mut counters, b"a", 3);
        assert_eq!(counters.counters()[0].weight, 3);
    }
}
