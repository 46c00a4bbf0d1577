//! Sums of the keys of each branch, for keys that come in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::activity::BranchLevels;
use crate::error::Failure;

/// What is added up.
pub(super) trait BranchSum: Copy + Default + Ord {
    /// Adds another sum.
    fn add(&mut self, other: &Self);
    /// The bytes by which branches are ranked.
    fn bytes(&self) -> u64;
}

/// An open branch: one that contains the last key.
struct OpenSum<S> {
    end: usize,
    sum: S,
}

/// Adds up keys by branch. A branch is complete when a key follows that is not in it.
pub(super) struct BranchSums<S> {
    levels: BranchLevels,
    last: Vec<u8>,
    open: Vec<OpenSum<S>>,
    total: S,
}

impl<S: BranchSum> BranchSums<S> {
    pub(super) fn new(levels: BranchLevels) -> Self {
        Self { levels, last: Vec::new(), open: Vec::new(), total: S::default() }
    }

    /// Adds a key. `complete` receives each branch that is complete.
    pub(super) fn add_key(
        &mut self,
        key: &[u8],
        sum: &S,
        complete: impl FnMut(&[u8], S) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let shared = |open: &&OpenSum<S>| key.get(..open.end) == self.last.get(..open.end);
        let common = self.open.iter().take_while(shared).count();
        self.close(common, complete)?;
        for end in self.levels.ends(key).skip(common) {
            self.open.push(OpenSum { end, sum: S::default() });
        }
        for open in &mut self.open {
            open.sum.add(sum);
        }
        self.total.add(sum);
        self.last.clear();
        self.last.extend_from_slice(key);
        Ok(())
    }

    /// Completes the open branches, and returns the sum of all keys.
    pub(super) fn finish(mut self, complete: impl FnMut(&[u8], S) -> Result<(), Failure>) -> Result<S, Failure> {
        self.close(0, complete)?;
        Ok(self.total)
    }

    /// Ends the branches below this level, innermost first.
    fn close(
        &mut self,
        level: usize,
        mut complete: impl FnMut(&[u8], S) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while self.open.len() > level
            && let Some(OpenSum { end, sum }) = self.open.pop()
        {
            complete(self.last.get(..end).unwrap_or(&self.last), sum)?;
        }
        Ok(())
    }
}

/// An entry, ordered by its number and, of equal numbers, by its name downwards.
type Ranked<S> = (u64, Reverse<Vec<u8>>, S);

/// Names ranked by a number: the greatest ones, and of equal ones those that come first.
pub(super) struct Ranking<S> {
    limit: usize,
    heap: BinaryHeap<Reverse<Ranked<S>>>,
}

impl<S: Ord + Copy> Ranking<S> {
    /// Keeps the `limit` greatest.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new() }
    }

    pub(super) fn push(&mut self, rank: u64, name: &[u8], sum: S) {
        self.heap.push(Reverse((rank, Reverse(name.to_vec()), sum)));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }

    /// The greatest first.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = (Vec<u8>, S)> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse((_, Reverse(name), sum))| (name, sum))
    }
}
