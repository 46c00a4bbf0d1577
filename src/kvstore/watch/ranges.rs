//! Joins key ranges for a watch.

use crate::kvstore::key_range::KeyRange;

impl KeyRange {
    /// The same keys in ranges that neither overlap nor touch, in key order.
    pub fn joined(mut ranges: Vec<Self>) -> Vec<Self> {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by(|a, b| a.start.cmp(&b.start));
        let mut joined: Vec<Self> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if last.end.as_ref().is_none_or(|end| range.start <= *end) => {
                    let further = last.end.is_some() && (range.end.is_none() || range.end > last.end);
                    if further {
                        last.end = range.end;
                    }
                }
                _ => joined.push(range),
            }
        }
        joined
    }

    /// The smallest range that contains all of these ranges, which must be in key order and disjoint.
    pub(crate) fn cover(ranges: &[Self]) -> Self {
        let start = ranges.first().map(|range| range.start.clone()).unwrap_or_default();
        Self { start, end: ranges.last().and_then(|range| range.end.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range() -> impl Strategy<Value = KeyRange> {
        let key = || proptest::collection::vec(0u8..4, 0..3);
        prop_oneof![
            key().prop_map(|prefix| KeyRange::prefix(&prefix)),
            key().prop_map(|key| KeyRange::key(&key)),
            (key(), proptest::option::of(key())).prop_map(|(from, to)| KeyRange::between(&from, to.as_deref())),
        ]
    }

    proptest! {
        #[test]
        fn joined_ranges_hold_the_same_keys_each_in_one_of_them(
            ranges in proptest::collection::vec(range(), 0..6),
            key in proptest::collection::vec(0u8..5, 1..4),
        ) {
            let joined = KeyRange::joined(ranges.clone());
            let before = ranges.iter().any(|range| range.contains(&key));
            let after = joined.iter().filter(|range| range.contains(&key)).count();
            prop_assert_eq!(after, usize::from(before));
            for pair in joined.windows(2) {
                prop_assert!(pair[0].end.as_ref().is_some_and(|end| *end < pair[1].start));
            }
            prop_assert!(after == 0 || KeyRange::cover(&joined).contains(&key));
        }
    }
}
