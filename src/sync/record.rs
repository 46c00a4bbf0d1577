//! A record of a source, and where its key lies in the store.

use crate::kvstore::{KeyRange, KeyValue};

/// A record of a source or of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncRecord {
    /// The key in the store, the value, and what else is known: the revisions are 0 for a record of a file.
    pub kv: KeyValue,
    /// The granted TTL of the lease in seconds, if the record came with it.
    pub ttl: Option<i64>,
}

/// Maps the keys of a source, which have one prefix, to keys of the store with another prefix. The order of the keys stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMapping {
    source: Vec<u8>,
    store: Vec<u8>,
}

impl KeyMapping {
    /// Keys with prefix `source` correspond to keys with prefix `store`.
    pub fn new(source: &[u8], store: &[u8]) -> Self {
        Self { source: source.to_vec(), store: store.to_vec() }
    }

    /// The range of the source.
    pub fn source_range(&self) -> KeyRange {
        KeyRange::prefix(&self.source)
    }

    /// The range of the store.
    pub fn store_range(&self) -> KeyRange {
        KeyRange::prefix(&self.store)
    }

    /// The prefix of the source.
    pub fn source_prefix(&self) -> &[u8] {
        &self.source
    }

    /// The prefix of the store.
    pub fn store_prefix(&self) -> &[u8] {
        &self.store
    }

    /// Whether keys stay as they are.
    pub fn is_identity(&self) -> bool {
        self.source == self.store
    }

    /// The store's key for a key of the source; `None` for a key without the source's prefix.
    pub fn to_store(&self, mut key: Vec<u8>) -> Option<Vec<u8>> {
        if self.is_identity() {
            return key.starts_with(&self.source).then_some(key);
        }
        let rest = key.strip_prefix(self.source.as_slice())?.len();
        key.splice(..key.len().saturating_sub(rest), self.store.iter().copied());
        Some(key)
    }

    /// The source's key for a key of the store; `None` for a key without the store's prefix.
    pub fn to_source(&self, key: &[u8]) -> Option<Vec<u8>> {
        let rest = key.strip_prefix(self.store.as_slice())?;
        Some([self.source.as_slice(), rest].concat())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_map_there_and_back_in_order(
            source in proptest::collection::vec(any::<u8>(), 0..4),
            store in proptest::collection::vec(any::<u8>(), 0..4),
            mut rests in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 1..6),
        ) {
            let mapping = KeyMapping::new(&source, &store);
            rests.sort();
            let mapped: Vec<Vec<u8>> =
                rests.iter().filter_map(|rest| mapping.to_store([source.as_slice(), rest].concat())).collect();
            prop_assert!(mapped.len() == rests.len() && mapped.is_sorted());
            for (key, rest) in mapped.iter().zip(&rests) {
                prop_assert!(mapping.store_range().contains(key));
                prop_assert_eq!(mapping.to_source(key), Some([source.as_slice(), rest].concat()));
            }
        }
    }

    #[test]
    fn a_key_with_another_prefix_has_no_place() {
        assert_eq!(KeyMapping::new(b"/a/", b"/b/").to_store(b"/c/x".to_vec()), None);
        assert_eq!(KeyMapping::new(b"/a/", b"/a/").to_store(b"/c/x".to_vec()), None);
        assert_eq!(KeyMapping::new(b"/a/", b"/b/").to_source(b"/a/x"), None);
    }
}
