//! The range of IDs that may be allocated, and the set of taken IDs. Pure.

use std::collections::BTreeMap;

use thiserror::Error;

use super::Id;

/// The smallest and the largest ID, and the bits set in every ID in addition (Cilium's cluster ID).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    min: Id,
    max: Id,
    mask: u64,
}

/// Why a range is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RangeError {
    /// 0 means "no ID".
    #[error("the smallest ID must be at least 1")]
    Zero,
    /// The range is empty.
    #[error("the largest ID ({max}) is below the smallest ID ({min})")]
    Reversed {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// Two numbers would result in the same ID.
    #[error("the prefix mask {mask:#x} overlaps the bits of IDs up to {max}")]
    Overlap {
        /// The mask.
        mask: u64,
        /// The largest ID.
        max: u64,
    },
}

impl IdRange {
    /// The IDs `n | mask` for each n from `min` to `max`.
    ///
    /// # Errors
    /// An empty range, or a mask that overlaps the IDs.
    pub fn new(min: u64, max: u64, mask: u64) -> Result<Self, RangeError> {
        let (Some(smallest), Some(largest)) = (Id::new(min), Id::new(max)) else { return Err(RangeError::Zero) };
        if max < min {
            return Err(RangeError::Reversed { min, max });
        }
        let own_bits = u64::MAX >> max.leading_zeros();
        if mask & own_bits != 0 {
            return Err(RangeError::Overlap { mask, max });
        }
        Ok(Self { min: smallest, max: largest, mask })
    }

    /// The smallest ID, including the mask's bits.
    pub fn first(&self) -> u64 {
        self.min.get() | self.mask
    }

    /// The largest ID, including the mask's bits.
    pub fn last(&self) -> u64 {
        self.max.get() | self.mask
    }

    /// Number of IDs.
    pub fn size(&self) -> u64 {
        (self.last() - self.first()).saturating_add(1)
    }

    /// Whether the range contains the ID.
    pub fn contains(&self, id: Id) -> bool {
        (self.first()..=self.last()).contains(&id.get())
    }
}

/// A set of IDs, stored as runs: its memory grows with the number of gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdSet {
    /// First and last ID of each run. Runs neither touch nor overlap.
    runs: BTreeMap<u64, u64>,
}

impl IdSet {
    /// Adds an ID.
    pub fn insert(&mut self, id: Id) {
        let id = id.get();
        if self.run_of(id).is_some() {
            return;
        }
        let mut run = (id, id);
        if let Some(before) = id.checked_sub(1).and_then(|before| self.run_of(before)) {
            run.0 = before.0;
        }
        if let Some(behind) = id.checked_add(1).and_then(|behind| self.runs.remove(&behind)) {
            run.1 = behind;
        }
        self.runs.insert(run.0, run.1);
    }

    /// Whether the set contains the ID.
    pub fn contains(&self, id: Id) -> bool {
        self.run_of(id.get()).is_some()
    }

    fn run_of(&self, id: u64) -> Option<(u64, u64)> {
        let (first, last) = self.runs.range(..=id).next_back()?;
        (id <= *last).then_some((*first, *last))
    }

    /// The smallest ID of the range that is at least `from` and not in the set.
    pub fn first_free(&self, range: &IdRange, from: u64) -> Option<Id> {
        let from = from.max(range.first());
        let free = match self.run_of(from) {
            // Runs do not touch, so the ID behind a run is free.
            Some((_, last)) => last.checked_add(1)?,
            None => from,
        };
        Id::new(free).filter(|id| range.contains(*id))
    }

    /// Number of IDs of the range in the set.
    pub fn count_in(&self, range: &IdRange) -> u64 {
        let overlap = |(first, last): (&u64, &u64)| {
            let (first, last) = ((*first).max(range.first()), (*last).min(range.last()));
            last.checked_sub(first).map_or(0, |more| more.saturating_add(1))
        };
        self.runs.iter().map(overlap).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn ids(range: &IdRange, taken: &mut IdSet) -> Vec<u64> {
        std::iter::from_fn(|| {
            let free = taken.first_free(range, 0)?;
            taken.insert(free);
            Some(free.get())
        })
        .collect()
    }

    #[test]
    fn the_smallest_free_id_comes_first_until_none_is_left() {
        let range = IdRange::new(1, 5, 0).unwrap();
        let mut taken = IdSet::default();
        taken.insert(Id::new(3).unwrap());
        assert_eq!(ids(&range, &mut taken), [1, 2, 4, 5]);
        assert_eq!(taken.count_in(&range), 5);
    }

    #[test]
    fn a_prefix_mask_is_in_every_id() {
        let range = IdRange::new(1, 3, 1 << 16).unwrap();
        assert_eq!(ids(&range, &mut IdSet::default()), [65537, 65538, 65539]);
        assert!(!range.contains(Id::new(2).unwrap()));
        assert_eq!(range.size(), 3);
    }

    #[test]
    fn ranges_that_cannot_be_used() {
        assert_eq!(IdRange::new(0, 5, 0), Err(RangeError::Zero));
        assert_eq!(IdRange::new(6, 5, 0), Err(RangeError::Reversed { min: 6, max: 5 }));
        assert_eq!(IdRange::new(256, 65535, 0x8000), Err(RangeError::Overlap { mask: 0x8000, max: 65535 }));
        assert_eq!(IdRange::new(1, u64::MAX, 0).unwrap().size(), u64::MAX);
        assert!(IdRange::new(7, 7, 0).is_ok());
    }

    proptest! {
        #[test]
        fn runs_say_what_a_plain_set_says(
            inserted in proptest::collection::vec(prop_oneof![1u64..24, u64::MAX - 4..=u64::MAX], 0..40),
            from in 0u64..26,
        ) {
            let (mut set, mut plain) = (IdSet::default(), BTreeSet::new());
            for id in inserted {
                set.insert(Id::new(id).unwrap());
                plain.insert(id);
            }
            let range = IdRange::new(3, 20, 0).unwrap();
            prop_assert_eq!(set.count_in(&range), plain.range(3..=20).count() as u64);
            let free = (from.max(3)..=20).find(|id| !plain.contains(id));
            prop_assert_eq!(set.first_free(&range, from).map(Id::get), free);
            let all = IdRange::new(1, u64::MAX, 0).unwrap();
            let last = (u64::MAX - 4..=u64::MAX).find(|id| !plain.contains(id));
            prop_assert_eq!(set.first_free(&all, u64::MAX - 4).map(Id::get), last);
            let joined = set.runs.iter().zip(set.runs.iter().skip(1)).all(|(one, next)| one.1 + 1 < *next.0);
            prop_assert!(joined);
        }
    }
}
