//! Compact storage: one buffer for byte strings, and a hash table of objects.

use std::hash::{BuildHasher, RandomState};

/// A byte string in an [`Arena`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// Length in bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Its last `len` bytes.
    pub fn tail(self, len: usize) -> Self {
        let len = u32::try_from(len).unwrap_or(u32::MAX).min(self.len);
        Self { start: self.start + self.len - len, len }
    }
}

/// Byte strings in one buffer of up to 4 GiB.
#[derive(Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
}

impl Arena {
    /// Stores bytes; `None` if there is no room.
    pub fn keep(&mut self, bytes: &[u8]) -> Option<Span> {
        let start = u32::try_from(self.bytes.len()).ok()?;
        let len = u32::try_from(bytes.len()).ok()?;
        start.checked_add(len)?;
        self.bytes.extend_from_slice(bytes);
        Some(Span { start, len })
    }

    /// The bytes of a span.
    pub fn get(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..][..span.len as usize]
    }

    /// Bytes stored.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A hash table of numbers with open addressing, at most three quarters full.
#[derive(Debug, Default)]
pub struct Table {
    /// A number plus one, or 0 for a free slot.
    slots: Vec<u32>,
    used: usize,
    hasher: RandomState,
}

impl Table {
    /// Hash of an object's kind, scope and identity.
    pub fn hash(&self, what: (u16, u32, &[u8])) -> u64 {
        self.hasher.hash_one(what)
    }

    /// The number with this hash for which `is` holds.
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.probe(hash).map(|at| self.slots[at]).take_while(|slot| *slot != 0).map(|slot| slot - 1).find(|id| is(*id))
    }

    /// Inserts a number that is not in the table. `hash_of` computes the hash of a number, for when the table grows.
    pub fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(&Self, u32) -> u64) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let larger = (self.slots.len() * 2).max(1024);
            let old = std::mem::replace(&mut self.slots, vec![0; larger]);
            for slot in old.into_iter().filter(|slot| *slot != 0) {
                let hash = hash_of(self, slot - 1);
                self.settle(hash, slot);
            }
        }
        self.settle(hash, id + 1);
        self.used += 1;
    }

    fn settle(&mut self, hash: u64, slot: u32) {
        if let Some(free) = self.probe(hash).find(|at| self.slots[*at] == 0) {
            self.slots[free] = slot;
        }
    }

    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let size = self.slots.len();
        // The size is a power of two; an empty table has no slots.
        let first = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0);
        (0..size).map(move |step| (first + step) & (size - 1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_added_is_found() {
        let words: Vec<String> = (0..5000).map(|number| format!("word {number}")).collect();
        let mut table = Table::default();
        let what = |id: u32| (1, 2, words[id as usize].as_bytes());
        assert_eq!(table.find(table.hash(what(0)), |_| true), None);
        for id in 0..5000 {
            let hash = table.hash(what(id));
            assert_eq!(table.find(hash, |other| what(other) == what(id)), None);
            table.insert(hash, id, |table, id| table.hash(what(id)));
        }
        for id in 0..5000 {
            assert_eq!(table.find(table.hash(what(id)), |other| what(other) == what(id)), Some(id));
        }
    }

    #[test]
    fn bytes_are_kept() {
        let mut arena = Arena::default();
        let first = arena.keep(b"one/two").unwrap();
        let second = arena.keep(b"").unwrap();
        assert_eq!(arena.get(first), b"one/two");
        assert_eq!(arena.get(first.tail(3)), b"two");
        assert_eq!(arena.get(second), b"");
    }
}
