//! Moments of wall-clock time as plans hold them. Pure.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
/// The last second that four digits of a year can say: the end of 9999.
const LAST: u64 = 253_402_300_799;

/// A moment in milliseconds since 1970 UTC, between then and the year 9999. As text: `2026-11-21T06:04:45.123Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The present, as this machine's clock has it.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// So many milliseconds since 1970 UTC.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(LAST * 1000 + 999))
    }

    /// How long it is from that moment to this one; zero where that one is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads the one form that is written: RFC 3339 in UTC, with up to nine digits behind the second's point.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let (year, month, day) = three(date, '-', [4, 2, 2])?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let (hour, minute, second) = three(time, ':', [2, 2, 2])?;
        if fraction.is_empty() || fraction.len() > 9 || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        // Digits alone, so that the first three of them can be cut off.
        number(fraction)?;
        let millis = number(&format!("{fraction:0<3}")[..3])?;
        let days = days(year, month, day)?;
        // The calendar has the last word on the day: 30 February is none.
        (civil(days) == (year, month, day))
            .then(|| Self((days * DAY + hour * 3600 + minute * 60 + second) * 1000 + millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        let ((year, month, day), rest) = (civil(seconds / DAY), seconds % DAY);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn three(text: &str, between: char, digits: [usize; 3]) -> Option<(u64, u64, u64)> {
    let mut parts = text.split(between);
    let mut next = |digits: usize| parts.next().filter(|part| part.len() == digits).and_then(number);
    let found = (next(digits[0])?, next(digits[1])?, next(digits[2])?);
    parts.next().is_none().then_some(found)
}

/// Year, month and day of so many days since 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days are counted from 0000-03-01, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let in_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let in_month = in_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + carry, month, in_month)
}

/// The days from 1970-01-01 to a date that may not exist; `None` for one before.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = 365 * year + year / 4 - year / 100 + year / 400;
    (before + (153 * month + 2) / 5 + day - 1).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        let written = |millis| Timestamp::from_millis(millis).to_string();
        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(951_868_799_007), "2000-02-29T23:59:59.007Z");
        assert_eq!(written(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(written(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_no_moment() {
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
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert_eq!(Timestamp::parse("2000-02-29T23:59:59Z"), Some(Timestamp::from_millis(951_868_799_000)));
        assert_eq!(Timestamp::parse("2000-02-29T23:59:59.5Z"), Some(Timestamp::from_millis(951_868_799_500)));
        assert_eq!(Timestamp::parse("2000-02-29T23:59:59.123456789Z"), Some(Timestamp::from_millis(951_868_799_123)));
    }

    proptest! {
        #[test]
        fn a_damaged_moment_is_none_or_whole(damage in crate::fuzzing::damage()) {
            let bytes = crate::fuzzing::damaged(b"2026-11-21T06:04:45.123456789Z", &damage);
            let text = String::from_utf8_lossy(&bytes);
            if let Some(moment) = Timestamp::parse(&text) {
                prop_assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment), "{}", text);
                prop_assert_eq!(&moment.to_string()[..19], &text[..19]);
            }
        }

        #[test]
        fn a_moment_reads_back(millis in 0..=LAST * 1000 + 999) {
            let moment = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment));
        }
    }
}
