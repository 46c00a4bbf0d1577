//! Points in time: conversion between Unix time, RFC 3339 text and calendar dates. Pure, except for [`Time::now`].

use std::fmt;
use std::time::{Duration, SystemTime};

use ::time::{Date, Month, OffsetDateTime};

const NANOS_PER_SEC: u32 = 1_000_000_000;

/// A point in time in UTC with nanosecond resolution.
///
/// `{}` formats it as RFC 3339 with the shortest exact fraction, `{:.3}` with exactly three fractional digits. Years
/// outside -9999 to 9999 have no RFC 3339 form: they are formatted as `@SECONDS`, which `date --date` reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub secs: i64,
    /// Nanoseconds within the second, below 10^9.
    pub nanos: u32,
}

impl Time {
    /// The current time of this machine's clock.
    pub fn now() -> Self {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self::default() + since,
            Err(before) => Self::default() - before.duration(),
        }
    }

    /// A whole second.
    pub const fn from_secs(secs: i64) -> Self {
        Self { secs, nanos: 0 }
    }

    /// Parses RFC 3339 as Go's `time.RFC3339` layout does: capital `T` and `Z`, a fraction after `.` or `,` (digits
    /// after the ninth are ignored), offsets up to 24:60, no leap seconds. `None` for any other text.
    pub fn parse_rfc3339(text: &[u8]) -> Option<Self> {
        let (civil, rest) = text.split_at_checked(19)?;
        let matches_layout = civil.iter().zip(b"0000-00-00T00:00:00").all(|(byte, expected)| match expected {
            b'0' => byte.is_ascii_digit(),
            _ => byte == expected,
        });
        matches_layout.then_some(())?;
        let field = |at: usize| (civil[at] - b'0') * 10 + civil[at + 1] - b'0';
        let year = i32::from(field(0)) * 100 + i32::from(field(2));
        let date = Date::from_calendar_date(year, Month::try_from(field(5)).ok()?, field(8)).ok()?;
        let utc = date.with_hms(field(11), field(14), field(17)).ok()?.assume_utc();
        let (nanos, zone) = match rest {
            [b'.' | b',', rest @ ..] => parse_fraction(rest)?,
            _ => (0, rest),
        };
        Some(Self { secs: utc.unix_timestamp() - parse_offset(zone)?, nanos })
    }

    /// Formats the whole second as `2021-01-31 23:59:59 UTC`.
    pub fn format_utc(self) -> String {
        let text = Self::from_secs(self.secs).to_string();
        match text.strip_suffix('Z') {
            Some(civil) => format!("{} UTC", civil.replace('T', " ")),
            None => text,
        }
    }

    /// Nanoseconds from `earlier` to this time; negative if this time is before `earlier`.
    pub fn nanos_since(self, earlier: Self) -> i128 {
        let secs = i128::from(self.secs) - i128::from(earlier.secs);
        secs * i128::from(NANOS_PER_SEC) + i128::from(self.nanos) - i128::from(earlier.nanos)
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        let nanos = self.nanos + time.subsec_nanos();
        let secs = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_add(i64::from(nanos / NANOS_PER_SEC));
        Self { secs: self.secs.saturating_add(secs), nanos: nanos % NANOS_PER_SEC }
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        let borrow = self.nanos < time.subsec_nanos();
        let nanos = self.nanos + u32::from(borrow) * NANOS_PER_SEC - time.subsec_nanos();
        let secs = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_add(i64::from(borrow));
        Self { secs: self.secs.saturating_sub(secs), nanos }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(utc) = OffsetDateTime::from_unix_timestamp(self.secs) else { return write!(f, "@{}", self.secs) };
        let ((year, month, day), (hour, minute, second)) = (utc.to_calendar_date(), utc.to_hms());
        write!(f, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", u8::from(month))?;
        let fraction = format!("{:09}", self.nanos);
        let fraction = match f.precision() {
            Some(digits) => &fraction[..digits.min(9)],
            None => fraction.trim_end_matches('0'),
        };
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{point}{fraction}Z")
    }
}

/// Parses the digits after the decimal point into nanoseconds; returns them with the rest of the text.
fn parse_fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, rest) = text.split_at(digits);
    let nanos = (0..9).fold(0, |sum, at| sum * 10 + fraction.get(at).map_or(0, |digit| u32::from(digit - b'0')));
    (digits > 0).then_some((nanos, rest))
}

/// Parses `Z` or an offset as `+02:00` into seconds east of UTC.
fn parse_offset(zone: &[u8]) -> Option<i64> {
    let two = |high: u8, low: u8| {
        let digits = high.is_ascii_digit() && low.is_ascii_digit();
        digits.then(|| i64::from(high - b'0') * 10 + i64::from(low - b'0'))
    };
    match *zone {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            let secs = (hours * 3_600 + minutes * 60) * if sign == b'-' { -1 } else { 1 };
            (hours <= 24 && minutes <= 60).then_some(secs)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{damage, damaged};

    /// The first second of year 0 and the first of year 10000.
    const FOUR_DIGIT_YEARS: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;

    fn parse(text: &str) -> Option<Time> {
        Time::parse_rfc3339(text.as_bytes())
    }

    #[test]
    fn rfc3339_as_go_reads_it() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(Time::default()));
        assert_eq!(parse("2001-09-09T03:46:40.25+02:00"), Some(Time { secs: 1_000_000_000, nanos: 250_000_000 }));
        assert_eq!(parse("2001-09-08T00:46:40,25-24:60"), Some(Time { secs: 1_000_000_000, nanos: 250_000_000 }));
        assert_eq!(parse("2001-09-09T01:46:40.1234567899Z").unwrap().nanos, 123_456_789);
        assert_eq!(parse("0001-01-01T00:00:00Z").unwrap().secs, -62_135_596_800);
        assert_eq!(parse("2024-02-29T00:00:00Z").unwrap().to_string(), "2024-02-29T00:00:00Z");
        for bad in [
            "",
            "tomorrow",
            "1700000000",
            "2023-02-29T00:00:00Z",
            "2023-11-31T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-01-01 00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:00:60Z",
            "2023-01-01T00:00:00",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00Zx",
            "2023-01-01T00:00:00+0200",
            "2023-01-01T00:00:00+25:00",
            "2023-01-01t00:00:00z",
            "+023-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn formats() {
        let time = Time { secs: 951_868_799, nanos: 7_500_000 };
        assert_eq!(time.to_string(), "2000-02-29T23:59:59.0075Z");
        assert_eq!(format!("{time:.3}"), "2000-02-29T23:59:59.007Z");
        assert_eq!(format!("{time:.0}"), "2000-02-29T23:59:59Z");
        assert_eq!(time.format_utc(), "2000-02-29 23:59:59 UTC");
        let format = |secs| Time::from_secs(secs).format_utc();
        assert_eq!(format(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(format(-1), "1969-12-31 23:59:59 UTC");
        assert_eq!(format(4_107_542_399), "2100-02-28 23:59:59 UTC");
        assert_eq!(format(4_107_542_400), "2100-03-01 00:00:00 UTC");
        assert_eq!(format(FOUR_DIGIT_YEARS.end - 1), "9999-12-31 23:59:59 UTC");
        assert_eq!(format(FOUR_DIGIT_YEARS.end), "@253402300800");
    }

    #[test]
    fn arithmetic() {
        let time = Time { secs: 10, nanos: 1 };
        assert_eq!(time - Duration::from_nanos(2), Time { secs: 9, nanos: 999_999_999 });
        assert_eq!((time - Duration::from_nanos(2)) + Duration::from_nanos(2), time);
        assert_eq!(time.nanos_since(Time { secs: 9, nanos: 2 }), 999_999_999);
    }

    proptest! {
        #[test]
        fn formatted_time_parses_back(secs in FOUR_DIGIT_YEARS, nanos in 0..1_000_000_000_u32) {
            let time = Time { secs, nanos };
            prop_assert_eq!(parse(&time.to_string()), Some(time));
        }

        #[test]
        fn damaged_text_is_rejected_or_parses_back(damage in damage()) {
            let bytes = damaged(b"2026-08-01T12:00:00.123456789+02:00", &damage);
            if let Some(time) = Time::parse_rfc3339(&bytes).filter(|time| FOUR_DIGIT_YEARS.contains(&time.secs)) {
                prop_assert_eq!(parse(&time.to_string()), Some(time));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Time::parse_rfc3339(&bytes).map(|time| time.to_string());
        }
    }
}
