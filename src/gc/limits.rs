//! How much may go, and how fast. Pure.

use std::time::Duration;

use thiserror::Error;

/// The share that may go unless something else is said, in percent.
const DEFAULT_PERCENT: u8 = 50;
/// Up to so many objects the default share does not count: all of a few may well be garbage.
const DEFAULT_PERCENT_ABOVE: u64 = 20;

/// How much may go in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// At most so many.
    pub count: Option<u64>,
    /// At most so many of a hundred looked at. Where nothing is said: 50, above 20 objects.
    pub percent: Option<u8>,
}

/// More is garbage than may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OverLimit {
    /// More than the number allowed.
    #[error("{garbage} would go, more than the {limit} that --max-delete allows")]
    Count {
        /// How many would go.
        garbage: u64,
        /// How many may.
        limit: u64,
    },
    /// More than the share allowed.
    #[error("{garbage} of {scanned} would go, more than the {percent} % that --max-percent allows")]
    Percent {
        /// How many would go.
        garbage: u64,
        /// How many there are.
        scanned: u64,
        /// How many of a hundred may.
        percent: u8,
    },
}

impl Limits {
    /// Whether so many of so many may go.
    ///
    /// # Errors
    /// The limit that forbids it, with the numbers.
    pub fn check(&self, garbage: u64, scanned: u64) -> Result<(), OverLimit> {
        if let Some(limit) = self.count.filter(|limit| garbage > *limit) {
            return Err(OverLimit::Count { garbage, limit });
        }
        let percent = match self.percent {
            Some(percent) => percent,
            None if scanned > DEFAULT_PERCENT_ABOVE => DEFAULT_PERCENT,
            None => return Ok(()),
        };
        if u128::from(garbage) * 100 > u128::from(scanned) * u128::from(percent) {
            return Err(OverLimit::Percent { garbage, scanned, percent });
        }
        Ok(())
    }
}

/// Spreads removals over time.
#[derive(Clone, Copy, Debug)]
pub struct SweepPacer {
    /// Removals a second; as fast as it goes where absent.
    pub rate: Option<f64>,
}

impl SweepPacer {
    /// How many to remove at once, of at most `batch`: a quarter of a second's worth, at least one.
    pub fn batch(&self, batch: usize) -> usize {
        let Some(rate) = self.rate else { return batch };
        let mut some = 1;
        while some < batch && (f64::from(u32::try_from(some).unwrap_or(u32::MAX)) + 1.0) * 4.0 <= rate {
            some += 1;
        }
        some
    }

    /// When, from the first removal on, the next one is due after so many were removed.
    pub fn due(&self, removed: u64) -> Duration {
        let seconds = self.rate.map_or(0.0, |rate| f64::from(u32::try_from(removed).unwrap_or(u32::MAX)) / rate);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_share_counts_above_a_few_objects() {
        let limits = Limits::default();
        assert_eq!(limits.check(20, 20), Ok(()));
        assert_eq!(limits.check(10, 21), Ok(()));
        assert_eq!(limits.check(11, 21), Err(OverLimit::Percent { garbage: 11, scanned: 21, percent: 50 }));
        assert_eq!(limits.check(0, 0), Ok(()));
        assert_eq!(
            limits.check(u64::MAX, u64::MAX),
            Err(OverLimit::Percent { garbage: u64::MAX, scanned: u64::MAX, percent: 50 })
        );
    }

    #[test]
    fn a_share_that_was_asked_for_always_counts() {
        let limits = Limits { percent: Some(10), count: None };
        assert_eq!(limits.check(1, 10), Ok(()));
        assert!(limits.check(1, 9).is_err_and(|why| why.to_string().contains("1 of 9 would go, more than the 10 %")));
        assert_eq!(Limits { percent: Some(100), count: None }.check(99, 99), Ok(()));
        assert!(Limits { percent: Some(0), count: None }.check(1, 1000).is_err());
    }

    #[test]
    fn a_number_that_was_asked_for_counts_first() {
        let limits = Limits { percent: None, count: Some(5) };
        assert_eq!(limits.check(5, 10), Ok(()));
        assert_eq!(limits.check(6, 100), Err(OverLimit::Count { garbage: 6, limit: 5 }));
        assert!(Limits { percent: Some(100), count: Some(0) }.check(1, 1).is_err());
    }

    #[test]
    fn removals_are_spread() {
        let pace = |rate| SweepPacer { rate };
        assert_eq!((pace(None).batch(40), pace(None).due(1_000_000)), (40, Duration::ZERO));
        assert_eq!((pace(Some(2.0)).batch(40), pace(Some(2.0)).due(3)), (1, Duration::from_millis(1500)));
        assert_eq!((pace(Some(40.0)).batch(64), pace(Some(1000.0)).batch(64)), (10, 64));
        assert_eq!(pace(Some(1e-300)).due(u64::MAX), Duration::MAX);
    }
}
