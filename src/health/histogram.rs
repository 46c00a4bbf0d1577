//! A histogram of durations with a fixed relative error, in constant memory.

use std::time::Duration;

/// Buckets per power of two: a reported duration is at most 1/64 above the true one.
const SUB_BUCKETS: u64 = 64;
/// Powers of two above the exact range: up to 2^38 µs, three days.
const MAGNITUDES: u64 = 32;
const BUCKETS: usize = (SUB_BUCKETS * (MAGNITUDES + 1)) as usize;

/// Counts durations in microseconds, and tells their percentiles.
#[derive(Clone, Debug)]
pub struct LatencyHistogram {
    buckets: Vec<u32>,
    count: u64,
    max: Duration,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

impl LatencyHistogram {
    /// Adds a duration.
    pub fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket(micros)) {
            *bucket = bucket.saturating_add(1);
        }
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest duration, exactly; `None` without durations.
    pub fn max(&self) -> Option<Duration> {
        (self.count > 0).then_some(self.max)
    }

    /// The smallest duration that at least this share of the durations does not exceed (nearest rank), rounded up by at
    /// most 1/64; `None` without durations.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * percent / 100.0).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return Some(Duration::from_micros(upper_bound(index)).min(self.max));
            }
        }
        None
    }

    /// The counts of `columns` ranges of equal width on a logarithmic scale from `from` to `to`; what lies outside counts
    /// in the first or the last one.
    pub fn columns(&self, from: Duration, to: Duration, columns: usize) -> Vec<u64> {
        let mut counts = vec![0; columns];
        let log = |micros: f64| micros.max(1.0).ln();
        let (low, high) = (log(from.as_secs_f64() * 1e6), log(to.as_secs_f64() * 1e6));
        let width = (high - low).max(f64::MIN_POSITIVE);
        for (index, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = (log(upper_bound(index) as f64) - low) / width;
            let column = ((share * columns as f64).max(0.0) as usize).min(columns.saturating_sub(1));
            if let Some(sum) = counts.get_mut(column) {
                *sum += u64::from(*count);
            }
        }
        counts
    }
}

/// The bucket of a number of microseconds: the exact ones first, then [`SUB_BUCKETS`] for each power of two.
fn bucket(micros: u64) -> usize {
    let magnitude = u64::from(micros.checked_ilog2().unwrap_or(0)).saturating_sub(SUB_BUCKETS.ilog2().into());
    if magnitude == 0 {
        return (micros as usize).min(2 * SUB_BUCKETS as usize - 1);
    }
    let index = magnitude * SUB_BUCKETS + (micros >> magnitude);
    (index as usize).min(BUCKETS - 1)
}

/// The largest number of microseconds in a bucket.
fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    let magnitude = (index / SUB_BUCKETS).saturating_sub(1);
    (((index - magnitude * SUB_BUCKETS) + 1) << magnitude) - 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_percentile_is_that_of_the_sorted_durations_within_the_error(
            micros in proptest::collection::vec(prop_oneof![0u64..200, 0u64..100_000, 0u64..1 << 37], 1..200),
            percent in 0u32..=1000,
        ) {
            let mut histogram = LatencyHistogram::default();
            micros.iter().for_each(|one| histogram.add(Duration::from_micros(*one)));
            let mut sorted = micros.clone();
            sorted.sort_unstable();
            let percent = f64::from(percent) / 10.0;
            let rank = ((sorted.len() as f64 * percent / 100.0).ceil() as usize).clamp(1, sorted.len());
            let exact = sorted[rank - 1];
            let found = u64::try_from(histogram.percentile(percent).unwrap().as_micros()).unwrap();
            prop_assert!(exact <= found && found <= exact + exact / SUB_BUCKETS, "{exact} {found}");
            prop_assert_eq!(histogram.max(), Some(Duration::from_micros(sorted[sorted.len() - 1])));
            prop_assert_eq!(histogram.count(), sorted.len() as u64);
        }

        #[test]
        fn each_number_is_in_the_bucket_that_ends_at_or_above_it(micros in 0u64..1 << 37) {
            let index = bucket(micros);
            prop_assert!(upper_bound(index) >= micros);
            prop_assert!(index == 0 || upper_bound(index - 1) < micros);
        }

        #[test]
        fn the_columns_hold_every_duration(micros in proptest::collection::vec(0u64..1 << 40, 0..50), columns in 1usize..20) {
            let mut histogram = LatencyHistogram::default();
            micros.iter().for_each(|one| histogram.add(Duration::from_micros(*one)));
            let counts = histogram.columns(Duration::from_micros(100), Duration::from_secs(1), columns);
            prop_assert_eq!((counts.len(), counts.iter().sum::<u64>()), (columns, micros.len() as u64));
        }
    }

    #[test]
    fn nothing_measured_has_no_percentile_and_the_longest_time_fits() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!((histogram.percentile(50.0), histogram.max()), (None, None));
        histogram.add(Duration::MAX);
        assert_eq!((histogram.count(), histogram.max()), (1, Some(Duration::MAX)));
    }

    #[test]
    fn slow_answers_are_in_the_right_columns() {
        let mut histogram = LatencyHistogram::default();
        for millis in [1, 1, 1, 100] {
            histogram.add(Duration::from_millis(millis));
        }
        let counts = histogram.columns(Duration::from_micros(100), Duration::from_secs(10), 5);
        assert_eq!(counts, [0, 3, 0, 1, 0]);
    }
}
