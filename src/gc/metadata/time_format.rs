//! The formats in which metadata stores times: RFC 3339, Unix seconds, Go's binary form. Pure.

use crate::time::Time;

/// Seconds from the year 1 to 1970 in the proleptic Gregorian calendar.
const YEAR_ONE: i64 = 62_135_596_800;

/// Format of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2026-08-01T12:00:00.5+02:00`, as Go's `time.RFC3339` reads it.
    Rfc3339,
    /// Seconds since 1970, in decimal digits.
    Unix,
    /// Go's `time.Time.MarshalBinary`: 15 bytes, or 16 if the zone's offset has seconds.
    GoBinary,
}

impl TimeFormat {
    /// Parses a time; `None` if the bytes do not have this format.
    pub fn parse(self, bytes: &[u8]) -> Option<Time> {
        match self {
            Self::Rfc3339 => Time::parse_rfc3339(bytes),
            Self::Unix => {
                let text = std::str::from_utf8(bytes).ok()?;
                let digits = text.strip_prefix('-').unwrap_or(text);
                let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| is_plain).map(Time::from_secs)
            }
            Self::GoBinary => parse_go_binary(bytes),
        }
    }
}

/// Parses a version (1, or 2 with a byte of zone seconds), big-endian seconds since the year 1, nanoseconds, and the
/// zone in minutes.
fn parse_go_binary(bytes: &[u8]) -> Option<Time> {
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

    fn text(text: &str) -> Option<Time> {
        TimeFormat::Rfc3339.parse(text.as_bytes())
    }

    #[test]
    fn rfc3339_as_go_reads_it() {
        assert_eq!(text("1970-01-01T00:00:00Z"), Some(Time::default()));
        assert_eq!(text("2001-09-09T03:46:40.25+02:00"), Some(Time { secs: 1_000_000_000, nanos: 250_000_000 }));
        assert_eq!(text("2001-09-08T00:46:40,25-24:60"), Some(Time { secs: 1_000_000_000, nanos: 250_000_000 }));
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
            "2023-01-01T00:00:00+25:00",
            "2023-01-01T00:00:00+24:61",
            "2023-01-01t00:00:00z",
            "1700000000",
        ] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    #[test]
    fn unix_and_go_binary() {
        let unix = |text: &str| TimeFormat::Unix.parse(text.as_bytes());
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
        assert_eq!(TimeFormat::GoBinary.parse(&bytes), Some(Time { secs: 1_000_000_000, nanos: 5 }));
        bytes.push(0);
        assert_eq!(TimeFormat::GoBinary.parse(&bytes), None);
        bytes[0] = 2;
        assert!(TimeFormat::GoBinary.parse(&bytes).is_some());
        assert_eq!(TimeFormat::GoBinary.parse(b""), None);
    }

    proptest! {
        #[test]
        fn go_binary_times_parse(secs in i64::MIN..i64::MAX - YEAR_ONE, nanos in 0..2_000_000_000_u32, zone in any::<i16>(), cut in 0..17_usize) {
            let seconds = secs.saturating_add(YEAR_ONE).to_be_bytes();
            let bytes = [&[1], seconds.as_slice(), &nanos.to_be_bytes(), &zone.to_be_bytes(), &[0]].concat();
            let time = TimeFormat::GoBinary.parse(&bytes[..cut.min(16)]);
            prop_assert_eq!(time, (cut == 15 && nanos < 1_000_000_000).then_some(Time { secs, nanos }));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for format in [TimeFormat::Rfc3339, TimeFormat::Unix, TimeFormat::GoBinary] {
                let _ = format.parse(&bytes);
            }
        }
    }
}
