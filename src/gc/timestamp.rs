//! Timestamps of plans. Pure, except for [`Timestamp::now`].

use std::fmt;
use std::time::Duration;

use crate::time::Time;

/// The last millisecond of the year 9999: later years do not fit into RFC 3339.
const LAST_MILLIS: u64 = 253_402_300_799_999;

/// Milliseconds since 1970 UTC, up to the year 9999. As text: `2026-11-21T06:04:45.123Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The current time of this machine's clock.
    pub fn now() -> Self {
        Self::from_time(Time::now()).unwrap_or_default()
    }

    /// Milliseconds since 1970 UTC; later than the year 9999 counts as its end.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(LAST_MILLIS))
    }

    fn from_time(time: Time) -> Option<Self> {
        let seconds = u64::try_from(time.secs).ok()?;
        Some(Self::from_millis(seconds.saturating_mul(1000) + u64::from(time.nanos / 1_000_000)))
    }

    /// Duration from `earlier` to this time; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Parses RFC 3339 in UTC with `T`, `Z` and at most nine fractional digits after a point, from 1970 on.
    pub fn parse(text: &str) -> Option<Self> {
        const LONGEST: usize = "2026-11-21T06:04:45.123456789Z".len();
        let is_plain = text.ends_with('Z') && text.len() <= LONGEST && !text.contains(',');
        Self::from_time(Time::parse_rfc3339(text.as_bytes()).filter(|_| is_plain)?)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = i64::try_from(self.0 / 1000).unwrap_or(i64::MAX);
        let nanos = u32::try_from(self.0 % 1000).unwrap_or(0) * 1_000_000;
        write!(f, "{:.3}", Time { secs, nanos })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timestamps_are_formatted_as_rfc_3339() {
        let written = |millis| Timestamp::from_millis(millis).to_string();
        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(951_868_799_007), "2000-02-29T23:59:59.007Z");
        assert_eq!(written(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(written(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn texts_that_are_not_timestamps() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T06:04:45",
            "2026-02-29T06:04:45Z",
            "2026-11-31T06:04:45Z",
            "2026-13-01T06:04:45Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T06:04:45.Z",
            "2026-11-21T06:04:45.1x3Z",
            "2026-11-21T06:04:45.1\u{20ac}Z",
            "1969-12-31T23:59:59Z",
            "2026-11-21T06:04:45+01:00Z",
            "+026-11-21T06:04:45Z",
            "2026-11-21T06:04:45,5Z",
            "2026-11-21T06:04:45.1234567890Z",
            "2026-11-21T06:04:45+00:00",
            "2026-11-21t06:04:45z",
            "2026-11-21T06:04:60Z",
            " 2026-11-21T06:04:45Z",
            "10000-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert_eq!(Timestamp::parse("2000-02-29T23:59:59Z"), Some(Timestamp::from_millis(951_868_799_000)));
        assert_eq!(Timestamp::parse("1970-01-01T00:00:00Z"), Some(Timestamp::default()));
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59.999999999Z"), Some(Timestamp::from_millis(u64::MAX)));
        assert_eq!(Timestamp::parse("2000-02-29T23:59:59.5Z"), Some(Timestamp::from_millis(951_868_799_500)));
        assert_eq!(Timestamp::parse("2000-02-29T23:59:59.123456789Z"), Some(Timestamp::from_millis(951_868_799_123)));
    }

    proptest! {
        #[test]
        fn a_damaged_timestamp_is_rejected_or_parses_back(damage in crate::fuzzing::damage()) {
            let bytes = crate::fuzzing::damaged(b"2026-11-21T06:04:45.123456789Z", &damage);
            let text = String::from_utf8_lossy(&bytes);
            if let Some(timestamp) = Timestamp::parse(&text) {
                prop_assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp), "{}", text);
                prop_assert_eq!(&timestamp.to_string()[..19], &text[..19]);
            }
        }

        #[test]
        fn a_formatted_timestamp_parses_back(millis in 0..=LAST_MILLIS) {
            let timestamp = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp));
        }
    }
}
