//! Exponential backoff with jitter between retries.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Longer than a round trip to any member, too short for a user to notice.
const FIRST: Duration = Duration::from_millis(50);
/// etcd's default --election-timeout: most outages end with an election.
const LONGEST: Duration = Duration::from_secs(1);

/// The delays between retries of one operation: they double from 50 ms to 1 s. Each delay is shortened by a random part
/// of up to one half, so that clients that failed together do not retry together.
#[derive(Debug)]
pub struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: FIRST }
    }
}

impl Backoff {
    /// The delay before the next retry.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = ceiling.saturating_mul(2).min(LONGEST);
        let random = u32::try_from(random_bits() >> 32).unwrap_or(u32::MAX);
        ceiling.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
    }

    /// Starts over with the shortest delay, after a success.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// 64 random bits. The hasher's keys come from the operating system.
pub(crate) fn random_bits() -> u64 {
    #[cfg(test)]
    if let Some(bits) = seeded::bits() {
        return bits;
    }
    RandomState::new().build_hasher().finish()
}

/// Random bits from a seed, for simulations.
#[cfg(test)]
pub(crate) mod seeded {
    use std::cell::Cell;

    thread_local! {
        static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Lets the random bits of this thread follow from a seed.
    pub(crate) fn seed(seed: u64) {
        STATE.set(Some(seed));
    }

    /// The next bits (splitmix64); `None` without a seed.
    pub(crate) fn bits() -> Option<u64> {
        let state = STATE.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(Some(state));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::default();
        for ceiling in [50, 100, 200, 400, 800, 1000, 1000].map(Duration::from_millis) {
            let delay = backoff.next_delay();
            assert!(ceiling / 2 <= delay && delay <= ceiling, "{delay:?} of {ceiling:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= FIRST);
    }
}
