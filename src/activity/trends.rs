//! The last periods of each branch.

use std::collections::{HashMap, VecDeque};

use super::space_saving::CounterName;

/// The periods that are kept of a branch.
pub const TREND_PERIODS: usize = 16;
/// The branches that are kept.
const MAX_TRENDS: usize = 1024;

/// The weights of branches in the last periods, oldest first.
#[derive(Debug, Default)]
pub struct Trends {
    periods: HashMap<CounterName, VecDeque<u64>>,
    /// The number of periods so far, at most [`TREND_PERIODS`].
    length: usize,
}

impl Trends {
    /// Adds a period. Branches that are not named weigh nothing in it, and those that weigh nothing in all periods are
    /// forgotten.
    pub fn add<'a>(&mut self, period: impl Iterator<Item = (&'a CounterName, u64)>) {
        self.length = TREND_PERIODS.min(self.length + 1);
        for weights in self.periods.values_mut() {
            weights.push_back(0);
        }
        for (name, weight) in period.filter(|(_, weight)| *weight > 0) {
            match self.periods.get_mut(name) {
                Some(weights) => {
                    if let Some(last) = weights.back_mut() {
                        *last = weight;
                    }
                }
                None => {
                    self.periods.insert(name.clone(), VecDeque::from([weight]));
                }
            }
        }
        for weights in self.periods.values_mut() {
            while weights.len() > TREND_PERIODS {
                weights.pop_front();
            }
        }
        self.periods.retain(|_, weights| weights.iter().any(|weight| *weight > 0));
        self.forget_lightest();
    }

    fn forget_lightest(&mut self) {
        if self.periods.len() <= MAX_TRENDS {
            return;
        }
        let sum = |weights: &VecDeque<u64>| weights.iter().fold(0, |sum: u64, weight| sum.saturating_add(*weight));
        let mut sums: Vec<u64> = self.periods.values().map(sum).collect();
        let (_, least, _) = sums.select_nth_unstable_by(MAX_TRENDS - 1, |a, b| b.cmp(a));
        let least = *least;
        let mut room = MAX_TRENDS - self.periods.values().filter(|weights| sum(weights) > least).count();
        self.periods.retain(|_, weights| {
            let weight = sum(weights);
            let kept = weight > least || weight == least && room > 0;
            room -= usize::from(kept && weight == least);
            kept
        });
    }

    /// The weights of a branch in the last periods, oldest first, with 0 for those before it appeared.
    pub fn of(&self, name: &CounterName) -> Vec<u64> {
        let mut weights = vec![0; self.length];
        if let Some(known) = self.periods.get(name) {
            for (place, weight) in weights.iter_mut().rev().zip(known.iter().rev()) {
                *place = *weight;
            }
        }
        weights
    }

    /// The branches that are known and weigh nothing in the last period.
    pub fn idle(&self) -> impl Iterator<Item = &CounterName> {
        self.periods.iter().filter(|(_, weights)| weights.back() == Some(&0)).map(|(name, _)| name)
    }

    /// The weight of a branch in all periods that are known.
    pub fn sum(&self, name: &CounterName) -> u64 {
        self.of(name).iter().fold(0, |sum: u64, weight| sum.saturating_add(*weight))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::super::space_saving::SpaceSaving;
    use super::*;

    fn names(count: u32) -> Vec<CounterName> {
        let mut counters = SpaceSaving::<()>::new(10_000);
        for n in 0..count {
            counters.add(&n.to_be_bytes(), 1);
        }
        counters.counters().iter().map(|counter| counter.name.clone()).collect()
    }

    #[test]
    fn periods_without_a_branch_are_zeros_and_it_is_forgotten_after_all_of_them() {
        let names = names(2);
        let mut trends = Trends::default();
        trends.add([(&names[0], 5)].into_iter());
        trends.add([(&names[1], 7)].into_iter());
        assert_eq!(trends.of(&names[0]), [5, 0]);
        assert_eq!(trends.of(&names[1]), [0, 7]);
        assert_eq!(trends.idle().collect::<Vec<_>>(), [&names[0]]);
        for _ in 0..TREND_PERIODS - 2 {
            trends.add(std::iter::empty());
        }
        assert_eq!(trends.of(&names[0]).len(), TREND_PERIODS);
        assert_eq!((trends.sum(&names[0]), trends.sum(&names[1])), (5, 7));
        trends.add(std::iter::empty());
        assert_eq!((trends.sum(&names[0]), trends.sum(&names[1])), (0, 7));
        assert_eq!(trends.periods.len(), 1);
    }

    #[test]
    fn the_lightest_branches_make_room() {
        let names = names(5000);
        let mut trends = Trends::default();
        trends.add(names.iter().map(|name| (name, 1)));
        assert_eq!(trends.periods.len(), MAX_TRENDS);
        trends.add([(&names[4999], 100)].into_iter());
        trends.add(names.iter().map(|name| (name, 1)));
        assert_eq!(trends.periods.len(), MAX_TRENDS);
        assert!(trends.sum(&names[4999]) >= 101);
    }
}
