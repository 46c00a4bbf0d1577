//! Masters whose locks are held together.

use std::collections::BTreeMap;
use std::ops::Bound;

use tokio::time::Instant;

use super::settle::Removal;
use crate::allocator::HeldLock;
use crate::gc::CandidateOutcome;

/// Masters whose locks are held together.
pub(super) struct Wave {
    /// When its first lock was taken, at the earliest.
    pub begun: Instant,
    /// One outcome for each candidate that was begun, in this wave and in earlier ones of the same call.
    pub outcomes: Vec<CandidateOutcome>,
    /// The locks by name.
    pub held: BTreeMap<Vec<u8>, HeldLock>,
    /// The masters that were deleted, or may have been.
    pub removals: Vec<Removal>,
    /// When the last request that deletes was answered.
    pub deleted_at: Instant,
}

impl Wave {
    /// A wave that begins now.
    pub fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, outcomes: Vec::new(), held: BTreeMap::new(), removals: Vec::new(), deleted_at: now }
    }

    /// Sets the outcome of a candidate.
    pub fn set(&mut self, index: usize, outcome: CandidateOutcome) {
        if let Some(place) = self.outcomes.get_mut(index) {
            *place = outcome;
        }
    }

    /// Whether a lock would wait for one of the wave's own: the lock of the key `a` waits for the lock of the key `a/b`.
    pub fn contends(&self, name: &[u8]) -> bool {
        let inside = [name, b"/"].concat();
        let mut after = self.held.range::<[u8], _>((Bound::Included(inside.as_slice()), Bound::Unbounded));
        after.next().is_some_and(|(held, _)| held.starts_with(&inside))
    }
}
