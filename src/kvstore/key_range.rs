//! Key ranges: half-open intervals `[start, end)`, as in etcd.

/// The keys from `start` (inclusive) to `end` (exclusive).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    /// The smallest key that is in the range.
    pub start: Vec<u8>,
    /// The smallest key that is above the range; `None` for no upper bound.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys with this prefix; an empty prefix selects all keys.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: prefix.to_vec(), end: prefix_end(prefix) }
    }

    /// Exactly this key.
    pub fn key(key: &[u8]) -> Self {
        Self { start: key.to_vec(), end: Some(successor(key)) }
    }

    /// The keys from `from` to below `to`; `None` for no upper bound.
    pub fn between(from: &[u8], to: Option<&[u8]>) -> Self {
        Self { start: from.to_vec(), end: to.map(<[u8]>::to_vec) }
    }

    /// Whether the range contains the key.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_slice() && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// The keys that are in both ranges.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let end = match (&self.end, &other.end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.as_ref().or(b.as_ref()),
        };
        Self { start: self.start.clone().max(other.start.clone()), end: end.cloned() }
    }

    /// Whether the range cannot contain a key.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// The range with a namespace prepended.
    pub(crate) fn within(&self, namespace: &[u8]) -> Self {
        let start = [namespace, &self.start].concat();
        let end = match &self.end {
            Some(end) => Some([namespace, end].concat()),
            None => prefix_end(namespace),
        };
        Self { start, end }
    }

    /// The `key` and `range_end` fields of etcd's requests. etcd does not allow an empty key, so the smallest key (one
    /// zero byte) stands for it; one zero byte as the end means "no upper bound".
    pub(crate) fn to_wire(&self) -> (Vec<u8>, Vec<u8>) {
        let start = if self.start.is_empty() { vec![0] } else { self.start.clone() };
        (start, self.end.clone().unwrap_or_else(|| vec![0]))
    }
}

/// The smallest key above all keys with this prefix; `None` if there is none (an empty prefix, or all bytes 0xff).
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let (byte, before) = prefix.get(..=last)?.split_last()?;
    Some([before, &[byte.saturating_add(1)]].concat())
}

/// The smallest key above this one.
pub(crate) fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_prefix_range_holds_exactly_the_keys_with_the_prefix(
            prefix in proptest::collection::vec(prop_oneof![Just(0xffu8), any::<u8>()], 0..4),
            key in proptest::collection::vec(prop_oneof![Just(0xffu8), any::<u8>()], 1..6),
        ) {
            prop_assert_eq!(KeyRange::prefix(&prefix).contains(&key), key.starts_with(&prefix));
            let longer = [prefix.clone(), key].concat();
            prop_assert!(KeyRange::prefix(&prefix).contains(&longer));
        }

        #[test]
        fn a_namespace_keeps_every_range_inside(
            namespace in proptest::collection::vec(any::<u8>(), 1..4),
            from in proptest::collection::vec(any::<u8>(), 0..3),
            key in proptest::collection::vec(any::<u8>(), 1..6),
        ) {
            let open = KeyRange::between(&from, None).within(&namespace);
            prop_assert_eq!(
                open.contains(&key),
                key.starts_with(&namespace) && key[namespace.len()..] >= from[..]
            );
        }
    }

    #[test]
    fn ends() {
        assert_eq!(prefix_end(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff\xff"), None);
        assert_eq!(KeyRange::prefix(b"").to_wire(), (vec![0], vec![0]));
        assert!(KeyRange::between(b"b", Some(b"a")).is_empty());
        assert!(KeyRange::key(b"a").contains(b"a") && !KeyRange::key(b"a").contains(b"a\0"));
    }
}
