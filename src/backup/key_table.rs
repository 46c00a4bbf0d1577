//! A table of keys with little memory: the keys lie in an arena, and are hashed with SipHash.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// The size of the arena's chunks. A longer key gets a chunk of its own.
const CHUNK_BYTES: usize = 1 << 20;

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

/// Keys with one `T` each, in the order of their insertion.
#[derive(Debug)]
pub struct KeyTable<T> {
    arena: KeyArena,
    entries: Vec<(KeyPlace, T)>,
    /// The indexes of the entries.
    table: HashTable<u32>,
    hasher: RandomState,
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
    /// The value of a key, which is made by `new` for a new key.
    ///
    /// # Errors
    /// [`TooManyKeys`].
    pub fn entry(&mut self, key: &[u8], new: impl FnOnce() -> T) -> Result<&mut T, TooManyKeys> {
        let Self { arena, entries, table, hasher } = self;
        let hash = hasher.hash_one(key);
        let is_key = |index: &u32| at(entries, *index).is_some_and(|(place, _)| arena.get(*place) == key);
        let index = match table.find(hash, is_key) {
            Some(index) => *index,
            None => {
                let index = u32::try_from(entries.len()).map_err(|_| TooManyKeys)?;
                entries.push((arena.push(key)?, new()));
                let rehash =
                    |index: &u32| at(entries, *index).map_or(0, |(place, _)| hasher.hash_one(arena.get(*place)));
                table.insert_unique(hash, index, rehash);
                index
            }
        };
        let index = usize::try_from(index).map_err(|_| TooManyKeys)?;
        entries.get_mut(index).map(|(_, value)| value).ok_or(TooManyKeys)
    }

    /// Sorts the keys whose value is selected, and forgets the hashes.
    pub fn into_sorted(self, selected: impl Fn(&T) -> bool) -> SortedKeys<T> {
        let Self { arena, entries, table, .. } = self;
        drop(table);
        let chosen = entries.iter().zip(0u32..).filter(|((_, value), _)| selected(value));
        let chosen = chosen.map(|((place, _), index)| (*place, index));
        // Keys of one store begin alike: the bytes after that decide most comparisons without a look into the arena.
        let mut common: Option<&[u8]> = None;
        for (place, _) in chosen.clone() {
            let key = arena.get(place);
            let shared = common.map_or(key, |common| common.get(..shared_length(common, key)).unwrap_or_default());
            common = Some(shared);
        }
        let skip = common.map_or(0, <[u8]>::len);
        let mut keyed: Vec<(u64, u32)> =
            chosen.map(|(place, index)| (leading_bytes(arena.get(place), skip), index)).collect();
        let key_of = |index: u32| at(&entries, index).map_or(&[][..], |(place, _)| arena.get(*place));
        keyed.sort_unstable_by(|(a, first), (b, second)| a.cmp(b).then_with(|| key_of(*first).cmp(key_of(*second))));
        let order = keyed.into_iter().map(|(_, index)| index).collect();
        SortedKeys { arena, entries, order }
    }
}

fn shared_length(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
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
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_is_a_map_in_key_order(
            prefix in proptest::collection::vec(any::<u8>(), 0..3),
            keys in proptest::collection::vec((proptest::collection::vec(0u8..3, 0..12), any::<bool>()), 0..80),
            probe in proptest::collection::vec(0u8..3, 0..12),
        ) {
            let (mut table, mut model) = (KeyTable::default(), BTreeMap::new());
            for (number, (rest, selected)) in keys.iter().enumerate() {
                let key = [prefix.as_slice(), rest].concat();
                *table.entry(&key, || (0, false)).expect("room") = (number, *selected);
                model.insert(key, (number, *selected));
            }
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
            *table.entry(key, || 0).expect("room") += 1;
        }
        let sorted = table.into_sorted(|_| true);
        let found: Vec<_> = sorted.iter().map(|(key, times)| (key.len(), *times)).collect();
        assert_eq!(found, [(1, 1), (1, 1), (CHUNK_BYTES + 1, 2)]);
    }
}
