//! A table of keys with little memory: the keys lie in an arena, and are hashed with SipHash.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use hashbrown::HashTable;

/// The size of the arena's chunks. A longer key gets a chunk of its own.
const CHUNK_BYTES: usize = 1 << 20;

/// The keys of a full batch.
const BATCH_KEYS: usize = 128;

/// More keys than a [`KeyTable`] holds: 2^32, or the same number of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyKeys;

/// Where a key lies in the arena.
#[derive(Clone, Copy, Debug, Default)]
struct KeyPlace {
    chunk: u32,
    start: u32,
    length: u32,
}

#[derive(Debug, Default)]
struct KeyArena {
    chunks: Vec<Vec<u8>>,
}

impl KeyArena {
    fn push(&mut self, key: &[u8]) -> Result<KeyPlace, TooManyKeys> {
        let has_room = |chunk: &Vec<u8>| chunk.capacity().saturating_sub(chunk.len()) >= key.len();
        if !self.chunks.last().is_some_and(has_room) {
            self.chunks.push(Vec::with_capacity(CHUNK_BYTES.max(key.len())));
        }
        let number = |n: usize| u32::try_from(n).map_err(|_| TooManyKeys);
        let chunk = number(self.chunks.len().saturating_sub(1))?;
        let Some(last) = self.chunks.last_mut() else { return Err(TooManyKeys) };
        let place = KeyPlace { chunk, start: number(last.len())?, length: number(key.len())? };
        last.extend_from_slice(key);
        Ok(place)
    }

    fn get(&self, place: KeyPlace) -> &[u8] {
        let index = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let range = index(place.start)..index(place.start).saturating_add(index(place.length));
        self.chunks.get(index(place.chunk)).and_then(|chunk| chunk.get(range)).unwrap_or_default()
    }
}

/// An entry of the table: half of the key's hash, and the index of the key.
#[derive(Clone, Copy, Debug)]
struct TableSlot {
    hash: u32,
    index: u32,
}

impl TableSlot {
    /// The hash that the table is given, so that it can grow without a look at the keys.
    fn spread(hash: u32) -> u64 {
        // 2^64 divided by the golden ratio: the table uses the highest and the lowest bits.
        u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
    }
}

/// Keys with one `T` each, in the order of their insertion.
#[derive(Debug)]
pub struct KeyTable<T> {
    arena: KeyArena,
    entries: Vec<(KeyPlace, T)>,
    table: HashTable<TableSlot>,
    hasher: RandomState,
}

/// Keys with one value each, to be merged into a [`KeyTable`] together.
#[derive(Debug)]
pub struct KeyBatch<V> {
    keys: Vec<u8>,
    /// The end of each key in `keys`, and its value.
    items: Vec<(usize, V)>,
}

impl<V> Default for KeyBatch<V> {
    fn default() -> Self {
        Self { keys: Vec::new(), items: Vec::new() }
    }
}

impl<V> KeyBatch<V> {
    /// Adds a key. Returns whether the batch is full.
    pub fn push(&mut self, key: &[u8], value: V) -> bool {
        self.keys.extend_from_slice(key);
        self.items.push((self.keys.len(), value));
        self.items.len() >= BATCH_KEYS || self.keys.len() >= CHUNK_BYTES
    }
}

impl<T> Default for KeyTable<T> {
    fn default() -> Self {
        Self { arena: KeyArena::default(), entries: Vec::new(), table: HashTable::new(), hasher: RandomState::new() }
    }
}

fn at<T>(entries: &[(KeyPlace, T)], index: u32) -> Option<&(KeyPlace, T)> {
    entries.get(usize::try_from(index).ok()?)
}

impl<T> KeyTable<T> {
    /// Merges the values of a batch, in its order, into those of the table. The value of a new key begins as the default.
    ///
    /// The keys are looked up step by step together: the processor waits for the memory of many keys at once, which takes a
    /// third of the time.
    ///
    /// # Errors
    /// [`TooManyKeys`].
    pub fn merge<V>(&mut self, batch: &mut KeyBatch<V>, merge: impl Fn(&mut T, V)) -> Result<(), TooManyKeys>
    where
        T: Default,
    {
        let KeyBatch { keys, items } = batch;
        let mut start = 0;
        let ranges: Vec<Range<usize>> =
            items.iter().map(|(end, _)| std::mem::replace(&mut start, *end)..*end).collect();
        let key_of = |range: &Range<usize>| keys.get(range.clone()).unwrap_or_default();
        let hashes: Vec<u32> = ranges.iter().map(|range| self.hash(key_of(range))).collect();
        let candidates: Vec<Option<u32>> = hashes.iter().map(|hash| self.candidate(*hash)).collect();
        let place = |index: &Option<u32>| at(&self.entries, (*index)?).map(|(place, _)| *place);
        let places: Vec<Option<KeyPlace>> = candidates.iter().map(place).collect();
        let is_key = |(place, range): (&Option<KeyPlace>, &Range<usize>)| {
            place.is_some_and(|place| self.arena.get(place) == key_of(range))
        };
        let found: Vec<bool> = places.iter().zip(&ranges).map(is_key).collect();
        for ((((_, value), range), hash), (candidate, found)) in
            items.drain(..).zip(&ranges).zip(&hashes).zip(candidates.iter().zip(&found))
        {
            let index = candidate.filter(|_| *found);
            let index = index.map_or_else(|| self.find_or_insert(key_of(range), *hash), Ok)?;
            let index = usize::try_from(index).map_err(|_| TooManyKeys)?;
            let Some((_, old)) = self.entries.get_mut(index) else { return Err(TooManyKeys) };
            merge(old, value);
        }
        keys.clear();
        Ok(())
    }

    fn hash(&self, key: &[u8]) -> u32 {
        let [a, b, c, d, ..] = self.hasher.hash_one(key).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The first key with this hash.
    fn candidate(&self, hash: u32) -> Option<u32> {
        self.table.find(TableSlot::spread(hash), |slot| slot.hash == hash).map(|slot| slot.index)
    }

    fn find_or_insert(&mut self, key: &[u8], hash: u32) -> Result<u32, TooManyKeys>
    where
        T: Default,
    {
        let Self { arena, entries, table, .. } = self;
        let is_key = |slot: &TableSlot| {
            slot.hash == hash && at(entries, slot.index).is_some_and(|(place, _)| arena.get(*place) == key)
        };
        if let Some(slot) = table.find(TableSlot::spread(hash), is_key) {
            return Ok(slot.index);
        }
        let index = u32::try_from(entries.len()).map_err(|_| TooManyKeys)?;
        entries.push((arena.push(key)?, T::default()));
        table.insert_unique(TableSlot::spread(hash), TableSlot { hash, index }, |slot| TableSlot::spread(slot.hash));
        Ok(index)
    }

    /// Sorts the keys whose value is selected, and forgets the hashes.
    pub fn into_sorted(self, selected: impl Fn(&T) -> bool) -> SortedKeys<T> {
        let Self { arena, entries, table, .. } = self;
        drop(table);
        let chosen = entries.iter().zip(0u32..).filter(|((_, value), _)| selected(value));
        let mut keyed: Vec<(u64, u32)> = chosen.map(|(_, index)| (0, index)).collect();
        sort_keys(&mut keyed, |index| at(&entries, index).map_or(&[][..], |(place, _)| arena.get(*place)));
        let order = keyed.into_iter().map(|(_, index)| index).collect();
        SortedKeys { arena, entries, order }
    }
}

/// Sorts indexes by their keys, which are all different. Keys of one store begin alike, and lie anywhere in memory: the bytes
/// after the beginning that a group shares are sorted as numbers beside the indexes, and groups with equal numbers again.
fn sort_keys<'a>(keyed: &mut [(u64, u32)], key_of: impl Fn(u32) -> &'a [u8]) {
    // Groups to be sorted, each with the number of bytes that its keys share. A list instead of a recursion, because a
    // hostile file decides how many there are.
    let mut groups = vec![(0..keyed.len(), 0)];
    while let Some((range, shared)) = groups.pop() {
        let start = range.start;
        let Some(group) = keyed.get_mut(range) else { continue };
        let Some(first) = group.first().map(|(_, index)| key_of(*index)) else { continue };
        let lengths = group.iter().map(|(_, index)| shared_length(first, key_of(*index), shared));
        let skip = lengths.min().unwrap_or(shared);
        let mut is_short = false;
        for (word, index) in &mut *group {
            let key = key_of(*index);
            is_short |= key.len() < skip.saturating_add(8);
            *word = leading_bytes(key, skip);
        }
        if is_short {
            // The zeros after a short key are not bytes of it.
            group
                .sort_unstable_by(|(a, first), (b, second)| a.cmp(b).then_with(|| key_of(*first).cmp(key_of(*second))));
            continue;
        }
        group.sort_unstable_by_key(|(word, _)| *word);
        let mut offset = start;
        for equal in group.chunk_by(|(a, _), (b, _)| a == b) {
            let end = offset.saturating_add(equal.len());
            if equal.len() > 1 {
                groups.push((offset..end, skip.saturating_add(8)));
            }
            offset = end;
        }
    }
}

/// The length of the beginning that two keys share, if they share `known` bytes.
fn shared_length(a: &[u8], b: &[u8], known: usize) -> usize {
    let equal = a.iter().zip(b).skip(known).take_while(|(a, b)| a == b).count();
    known.saturating_add(equal)
}

/// The eight bytes after the first `skip` ones, filled up with zeros: a number that orders keys, unless it is equal.
fn leading_bytes(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}

/// The selected keys of a [`KeyTable`] in key order.
#[derive(Debug)]
pub struct SortedKeys<T> {
    arena: KeyArena,
    entries: Vec<(KeyPlace, T)>,
    order: Vec<u32>,
}

impl<T> SortedKeys<T> {
    /// The number of keys.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The key at a position in key order, with its value.
    pub fn get(&self, position: usize) -> Option<(&[u8], &T)> {
        let (place, value) = at(&self.entries, *self.order.get(position)?)?;
        Some((self.arena.get(*place), value))
    }

    /// The position of the first key that is not below `key`.
    pub fn position(&self, key: &[u8]) -> usize {
        self.order
            .partition_point(|index| at(&self.entries, *index).is_some_and(|(place, _)| self.arena.get(*place) < key))
    }

    /// The keys in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        (0..self.len()).filter_map(|position| self.get(position))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_is_a_map_in_key_order(
            prefix in proptest::collection::vec(any::<u8>(), 0..3),
            keys in proptest::collection::vec((proptest::collection::vec(0u8..3, 0..24), any::<bool>()), 0..300),
            probe in proptest::collection::vec(0u8..3, 0..12),
        ) {
            let (mut table, mut model) = (KeyTable::default(), BTreeMap::new());
            let mut batch = KeyBatch::default();
            for (number, (rest, selected)) in keys.iter().enumerate() {
                let key = [prefix.as_slice(), rest].concat();
                let full = batch.push(&key, (number, *selected));
                if full || number % 7 == 0 {
                    table.merge(&mut batch, |old, new| *old = new).expect("room");
                }
                model.insert(key, (number, *selected));
            }
            table.merge(&mut batch, |old, new| *old = new).expect("room");
            model.retain(|_, (_, selected)| *selected);
            let sorted = table.into_sorted(|(_, selected)| *selected);
            let found: Vec<_> = sorted.iter().map(|(key, value)| (key.to_vec(), *value)).collect();
            prop_assert_eq!(sorted.position(&probe), model.range(..probe.clone()).count());
            prop_assert_eq!(found, model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_long_key_gets_a_chunk_of_its_own() {
        let mut table = KeyTable::default();
        let long = vec![b'x'; CHUNK_BYTES + 1];
        for key in [b"a".as_slice(), &long, b"b", &long] {
            let mut batch = KeyBatch::default();
            batch.push(key, 1);
            table.merge(&mut batch, |times, new| *times += new).expect("room");
        }
        let sorted = table.into_sorted(|_| true);
        let found: Vec<_> = sorted.iter().map(|(key, times)| (key.len(), *times)).collect();
        assert_eq!(found, [(1, 1), (1, 1), (CHUNK_BYTES + 1, 2)]);
    }
}
