//! The clock that leases are counted on here: `CLOCK_BOOTTIME`, which goes on while the machine sleeps and is never
//! set.

use std::ops::{Add, Sub};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment: the time since the machine was started. The same in every process of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// The present.
    pub fn now() -> Self {
        // The kernel has this clock since Linux 2.6.39 and knows no error for it. The end of time, where it had one,
        // makes every lease count as over.
        Self(clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from))
    }

    /// A moment as [`BootTime::as_nanos`] wrote it.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(Duration::from_nanos(nanos))
    }

    /// Nanoseconds since the start of the machine.
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// How long it is until then; zero once it is over.
    pub fn remaining(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }

    /// How long ago it was; zero where it is still to come.
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
    fn a_moment_survives_being_written_down() {
        let then = BootTime::now() + Duration::from_secs(9);
        assert_eq!(BootTime::from_nanos(then.as_nanos()), then);
        assert!(then.remaining() > Duration::from_secs(8) && then.elapsed() == Duration::ZERO);
        assert_eq!((then - Duration::from_secs(60 * 60 * 24 * 365 * 1000)).remaining(), Duration::ZERO);
    }
}
