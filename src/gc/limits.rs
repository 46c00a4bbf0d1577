//! Limits on the number and the rate of removals. Pure.

use std::time::Duration;

use thiserror::Error;

/// Default limit in percent of the scanned objects.
const DEFAULT_PERCENT: u8 = 50;
/// Number of scanned objects up to which there is no default limit: all of a few objects may be garbage.
const DEFAULT_PERCENT_ABOVE: u64 = 20;

/// Limits on the removals of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number (--max-delete).
    pub count: Option<u64>,
    /// Maximum percentage of the scanned objects (--max-percent); by default 50 if there are more than 20 objects.
    pub percent: Option<u8>,
}

/// A limit is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OverLimit {
    /// The number exceeds the limit.
    #[error("{garbage} would be removed, more than --max-delete {limit}")]
    Count {
        /// Removals planned.
        garbage: u64,
        /// Removals allowed.
        limit: u64,
    },
    /// The percentage exceeds the limit.
    #[error("{garbage} of {scanned} would be removed, more than --max-percent {percent}")]
    Percent {
        /// Removals planned.
        garbage: u64,
        /// Objects scanned.
        scanned: u64,
        /// Percentage allowed.
        percent: u8,
    },
}

impl Limits {
    /// Checks the number of removals against the limits.
    ///
    /// # Errors
    /// The limit that is exceeded.
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

/// Limits the rate of removals.
#[derive(Clone, Copy, Debug)]
pub struct SweepPacer {
    /// Removals per second; `None` for no limit.
    pub rate: Option<f64>,
}

impl SweepPacer {
    /// Size of the next batch, at most `batch`: the removals of one `period`, at least one.
    pub fn batch(&self, batch: usize, period: Duration) -> usize {
        let Some(rate) = self.rate else { return batch };
        let removals = rate * period.as_secs_f64();
        let mut some = 1;
        while some < batch && f64::from(u32::try_from(some).unwrap_or(u32::MAX)) + 1.0 <= removals {
            some += 1;
        }
        some
    }

    /// Time after the first removal at which the next one is due, when this many have been made.
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
        assert!(
            limits
                .check(1, 9)
                .is_err_and(|why| why.to_string() == "1 of 9 would be removed, more than --max-percent 10")
        );
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
        let quarter = Duration::from_millis(250);
        assert_eq!((pace(None).batch(40, quarter), pace(None).due(1_000_000)), (40, Duration::ZERO));
        assert_eq!((pace(Some(2.0)).batch(40, quarter), pace(Some(2.0)).due(3)), (1, Duration::from_millis(1500)));
        assert_eq!(
            (pace(Some(2.0)).batch(40, Duration::from_secs(15)), pace(Some(2.0)).batch(40, Duration::MAX)),
            (30, 40)
        );
        assert_eq!((pace(Some(40.0)).batch(64, quarter), pace(Some(1000.0)).batch(64, quarter)), (10, 64));
        assert_eq!(pace(Some(1e-300)).due(u64::MAX), Duration::MAX);
    }
}
