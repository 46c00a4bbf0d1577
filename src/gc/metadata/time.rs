//! Moments as metadata has them: RFC 3339, Unix seconds, Go's binary form.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Seconds from the year 1 to 1970, both in the proleptic Gregorian calendar.
const YEAR_ONE: i64 = 62_135_596_800;

/// A moment: seconds since 1970, and nanoseconds below a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub secs: i64,
    /// Nanoseconds, below a milliard.
    pub nanos: u32,
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2026-08-01T12:00:00.5+02:00`, as Go's `time.RFC3339` reads it.
    Rfc3339,
    /// Whole seconds since 1970, in decimal digits.
    Unix,
    /// Go's `time.Time.MarshalBinary`: 15 bytes, or 16 where the zone's offset has seconds.
    GoBinary,
}

impl Time {
    /// The present.
    pub fn now() -> Self {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self::default() + since,
            Err(before) => Self::default() - before.duration(),
        }
    }

    /// Reads a moment; `None` where the bytes are none in this form.
    pub fn parse(bytes: &[u8], format: TimeFormat) -> Option<Self> {
        match format {
            TimeFormat::Rfc3339 => rfc3339(bytes),
            TimeFormat::Unix => {
                let text = std::str::from_utf8(bytes).ok()?;
                let digits = text.strip_prefix('-').unwrap_or(text);
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                plain.then(|| text.parse().ok().map(|secs| Self { secs, nanos: 0 }))?
            }
            TimeFormat::GoBinary => go_binary(bytes),
        }
    }

    /// How much later than `earlier` it is, in nanoseconds; negative where it is before.
    pub fn nanos_since(self, earlier: Self) -> i128 {
        let secs = i128::from(self.secs) - i128::from(earlier.secs);
        secs * 1_000_000_000 + i128::from(self.nanos) - i128::from(earlier.nanos)
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        let nanos = self.nanos + time.subsec_nanos();
        let secs = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_add(i64::from(nanos / 1_000_000_000));
        Self { secs: self.secs.saturating_add(secs), nanos: nanos % 1_000_000_000 }
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        let borrow = self.nanos < time.subsec_nanos();
        let nanos = self.nanos + u32::from(borrow) * 1_000_000_000 - time.subsec_nanos();
        let secs = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_add(i64::from(borrow));
        Self { secs: self.secs.saturating_sub(secs), nanos }
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC, with as many digits below the second as there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.secs.div_euclid(86_400), self.secs.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        write!(f, "{year:04}-{month:02}-{day:02}T")?;
        write!(f, "{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)?;
        if self.nanos > 0 {
            f.write_str(format!(".{:09}", self.nanos).trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// Days since 1970 of a date in the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March: the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date that many days after 1970-01-01: the inverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn rfc3339(bytes: &[u8]) -> Option<Time> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
    };
    let mark = |at: usize, byte: u8| (bytes.get(at) == Some(&byte)).then_some(());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    for (at, byte) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        mark(at, byte)?;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0;
    if matches!(bytes.get(at), Some(b'.' | b',')) {
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (digits > 0).then_some(())?;
        let shown = &bytes[at + 1..at + 1 + digits.min(9)];
        nanos = shown.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        nanos *= 10_u32.pow(9 - u32::try_from(shown.len()).ok()?);
        at += 1 + digits;
    }
    let offset = match bytes.get(at)? {
        b'Z' => {
            at += 1;
            0
        }
        sign @ (b'+' | b'-') => {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            mark(at + 3, b':')?;
            at += 6;
            // Go takes offsets of up to 24:60.
            (hours <= 24 && minutes <= 60).then_some(())?;
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let secs = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    (at == bytes.len()).then_some(Time { secs, nanos })
}

/// Version (1, or 2 with a byte of zone seconds), big-endian seconds since the year 1, nanoseconds, zone in minutes.
fn go_binary(bytes: &[u8]) -> Option<Time> {
    match (bytes.first()?, bytes.len()) {
        (1, 15) | (2, 16) => {}
        _ => return None,
    }
    let secs = i64::from_be_bytes(bytes[1..9].try_into().ok()?);
    let nanos = u32::from_be_bytes(bytes[9..13].try_into().ok()?);
    (nanos < 1_000_000_000).then_some(Time { secs: secs.checked_sub(YEAR_ONE)?, nanos })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{damage, damaged};

    fn text(text: &str) -> Option<Time> {
        Time::parse(text.as_bytes(), TimeFormat::Rfc3339)
    }

    #[test]
    fn rfc3339_as_go_reads_it() {
        assert_eq!(text("1970-01-01T00:00:00Z"), Some(Time::default()));
        assert_eq!(text("2001-09-09T03:46:40.25+02:00"), Some(Time { secs: 1_000_000_000, nanos: 250_000_000 }));
        assert_eq!(text("2001-09-09T01:46:40.1234567899Z").unwrap().nanos, 123_456_789);
        assert_eq!(text("0001-01-01T00:00:00Z").unwrap().secs, -YEAR_ONE);
        assert_eq!(text("2024-02-29T00:00:00Z").unwrap().to_string(), "2024-02-29T00:00:00Z");
        for bad in [
            "",
            "tomorrow",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-01-01 00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:00:60Z",
            "2023-01-01T00:00:00",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00Zx",
            "2023-01-01T00:00:00+0200",
            "2023-01-01t00:00:00z",
            "1700000000",
        ] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    #[test]
    fn unix_and_go_binary() {
        let unix = |text: &str| Time::parse(text.as_bytes(), TimeFormat::Unix);
        assert_eq!(unix("1700000000"), Some(Time { secs: 1_700_000_000, nanos: 0 }));
        assert_eq!(unix("-1").map(|time| time.secs), Some(-1));
        for bad in ["", "-", "+1", "1.5", "1s", "99999999999999999999"] {
            assert_eq!(unix(bad), None, "{bad}");
        }
        // 2001-09-09T01:46:40.000000005Z, as Go's MarshalBinary writes it in UTC.
        let mut bytes = vec![1];
        bytes.extend((1_000_000_000 + YEAR_ONE).to_be_bytes());
        bytes.extend(5_u32.to_be_bytes());
        bytes.extend([0xff, 0xff]);
        assert_eq!(Time::parse(&bytes, TimeFormat::GoBinary), Some(Time { secs: 1_000_000_000, nanos: 5 }));
        bytes.push(0);
        assert_eq!(Time::parse(&bytes, TimeFormat::GoBinary), None);
        bytes[0] = 2;
        assert!(Time::parse(&bytes, TimeFormat::GoBinary).is_some());
        assert_eq!(Time::parse(b"", TimeFormat::GoBinary), None);
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
        fn what_is_printed_is_read(secs in -62_167_219_200_i64..253_402_300_800, nanos in 0..1_000_000_000_u32) {
            let time = Time { secs, nanos };
            prop_assert_eq!(text(&time.to_string()), Some(time));
        }

        /// What is still a moment is the one that is printed of it.
        #[test]
        fn a_damaged_moment_is_none_or_whole(damage in damage()) {
            let bytes = damaged(b"2026-08-01T12:00:00.123456789+02:00", &damage);
            if let Some(time) = Time::parse(&bytes, TimeFormat::Rfc3339).filter(|time| time.secs >= -62_167_219_200) {
                prop_assert_eq!(text(&time.to_string()), Some(time));
            }
        }

        #[test]
        fn go_s_bytes_are_read(secs in i64::MIN..i64::MAX - YEAR_ONE, nanos in 0..2_000_000_000_u32, zone in any::<i16>(), cut in 0..17_usize) {
            let seconds = secs.saturating_add(YEAR_ONE).to_be_bytes();
            let bytes = [&[1], seconds.as_slice(), &nanos.to_be_bytes(), &zone.to_be_bytes(), &[0]].concat();
            let time = Time::parse(&bytes[..cut.min(16)], TimeFormat::GoBinary);
            prop_assert_eq!(time, (cut == 15 && nanos < 1_000_000_000).then_some(Time { secs, nanos }));
        }

        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for format in [TimeFormat::Rfc3339, TimeFormat::Unix, TimeFormat::GoBinary] {
                let _ = Time::parse(&bytes, format);
            }
        }
    }
}
