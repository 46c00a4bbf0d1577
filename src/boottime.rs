//! The clock for lease deadlines: `CLOCK_BOOTTIME`, which keeps running during suspend and is never set.

use std::ops::{Add, Sub};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A point in time, measured from the machine's boot. Comparable between processes of one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// The current time.
    pub fn now() -> Self {
        // Linux has this clock since 2.6.39 and the call cannot fail. If it did, every lease would count as expired.
        Self(clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from))
    }

    /// The inverse of [`BootTime::as_nanos`].
    pub fn from_nanos(nanos: u64) -> Self {
        Self(Duration::from_nanos(nanos))
    }

    /// Nanoseconds since boot.
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Time from now until this point; zero if it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }

    /// Time from this point until now; zero if it is in the future.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

impl Sub<Duration> for BootTime {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_round_trip_and_arithmetic_saturates() {
        let then = BootTime::now() + Duration::from_secs(9);
        assert_eq!(BootTime::from_nanos(then.as_nanos()), then);
        assert!(then.remaining() > Duration::from_secs(8) && then.elapsed() == Duration::ZERO);
        assert_eq!((then - Duration::from_secs(60 * 60 * 24 * 365 * 1000)).remaining(), Duration::ZERO);
    }
}
