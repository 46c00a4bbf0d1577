//! Parses and formats durations as Go does (`time.ParseDuration`, `time.Duration.String`).

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

/// Why a text is not a valid duration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DurationError {
    /// The text is empty.
    #[error("the duration is empty")]
    Empty,
    /// A number without a unit.
    #[error("'{0}' has no unit; did you mean {0}s?")]
    NoUnit(String),
    /// A unit that Go does not have.
    #[error("'{0}' has an unknown unit '{1}' (use ns, us, ms, s, m or h)")]
    Unit(String, String),
    /// Anything else.
    #[error("'{0}' is not a valid duration (use e.g. 300ms, 5s or 1h30m)")]
    Invalid(String),
    /// More nanoseconds than 64 bits hold (about 292 years).
    #[error("'{0}' is too long")]
    TooLong(String),
    /// Less than zero.
    #[error("'{0}' is negative")]
    Negative(String),
}

/// The time after `duration` from now; the latest time there is, if that overflows.
pub(crate) fn from_now(duration: Duration) -> Instant {
    let now = Instant::now();
    // A century is out of reach for every command and within the range of every clock.
    now.checked_add(duration).or_else(|| now.checked_add(Duration::from_secs(100 * 365 * 86400))).unwrap_or(now)
}

/// Parses a duration that is not negative: `300ms`, `5s`, `1.5h`, `1h30m`, `0`.
///
/// # Errors
/// The text is not a valid duration. A number needs a unit (except `0`, as in Go).
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let nanos = parse_signed(text)?;
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| DurationError::Negative(text.trim().to_owned()))
}

/// Parses a duration into nanoseconds, which may be negative.
pub(crate) fn parse_signed(text: &str) -> Result<i64, DurationError> {
    let text = text.trim();
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(if text.is_empty() { DurationError::Empty } else { invalid() });
    }
    if rest.bytes().all(|b| b.is_ascii_digit() || b == b'.') && rest.bytes().any(|b| b.is_ascii_digit()) {
        return Err(DurationError::NoUnit(text.to_owned()));
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if unit.is_empty() || !number.bytes().any(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let scale = unit_nanos(unit).ok_or_else(|| DurationError::Unit(text.to_owned(), unit.to_owned()))?;
        let part = scaled(number, scale).ok_or_else(invalid)?;
        total = total.checked_add(part).ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        rest = tail;
    }
    let total = if negative { -total } else { total };
    i64::try_from(total).map_err(|_| DurationError::TooLong(text.to_owned()))
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    })
}

/// `number` (digits with at most one point) times `scale`, rounded down to whole nanoseconds as in Go.
fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') {
        return None;
    }
    // A whole part that overflows saturates; the caller then reports that the duration is too long.
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_or(i128::from(u64::MAX), i128::from) };
    let mut nanos = whole * scale;
    // An hour has 3.6 * 10^12 nanoseconds: digits after the 15th cannot matter.
    let digits = &fraction[..fraction.len().min(15)];
    if !digits.is_empty() {
        let power = 10_i128.pow(u32::try_from(digits.len()).ok()?);
        nanos += digits.parse::<i128>().ok()? * scale / power;
    }
    Some(nanos)
}

/// Formats a duration as Go does: `0s`, `1.5µs`, `300ms`, `1h30m0s`. [`parse_duration`] is the inverse.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {
            const SECOND: u128 = 1_000_000_000;
            let (hours, rest) = (nanos / (3_600 * SECOND), nanos % (3_600 * SECOND));
            let (minutes, rest) = (rest / (60 * SECOND), rest % (60 * SECOND));
            let seconds = decimal(rest, SECOND);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, _) => format!("{minutes}m{seconds}s"),
                _ => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `nanos / unit` without trailing zeros.
fn decimal(nanos: u128, unit: u128) -> String {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{fraction:0width$}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_go_reads() {
        let nanos = [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("300ms", 300_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h15m30.918s", 4_530_918_000_000),
            ("12us", 12_000),
            ("12µs", 12_000),
            ("12μs", 12_000),
            ("52763797000ns", 52_763_797_000),
            ("0.1000000000000000000001h", 360_000_000_000),
            ("9007199.254740993ms", 9_007_199_254_740),
            (" 5s ", 5_000_000_000),
        ];
        for (text, expected) in nanos {
            assert_eq!(parse_signed(text), Ok(expected), "{text}");
        }
        assert_eq!(parse_signed("-1.5s"), Ok(-1_500_000_000));
    }

    #[test]
    fn what_go_refuses() {
        let messages = [
            ("", "the duration is empty"),
            ("5", "'5' has no unit; did you mean 5s?"),
            ("1.5", "'1.5' has no unit; did you mean 1.5s?"),
            ("-", "'-' is not a valid duration (use e.g. 300ms, 5s or 1h30m)"),
            ("s", "'s' is not a valid duration (use e.g. 300ms, 5s or 1h30m)"),
            (".s", "'.s' is not a valid duration (use e.g. 300ms, 5s or 1h30m)"),
            ("1.2.3s", "'1.2.3s' is not a valid duration (use e.g. 300ms, 5s or 1h30m)"),
            ("5s3", "'5s3' is not a valid duration (use e.g. 300ms, 5s or 1h30m)"),
            ("3d", "'3d' has an unknown unit 'd' (use ns, us, ms, s, m or h)"),
            ("5 s", "'5 s' has an unknown unit ' s' (use ns, us, ms, s, m or h)"),
            ("3000000h", "'3000000h' is too long"),
            ("99999999999999999999999999s", "'99999999999999999999999999s' is too long"),
            ("-5s", "'-5s' is negative"),
        ];
        for (text, expected) in messages {
            assert_eq!(parse_duration(text).map_err(|e| e.to_string()), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_go_prints() {
        let texts = [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (480_000_000_001, "8m0.000000001s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (nanos, expected) in texts {
            assert_eq!(format_duration(Duration::from_nanos(nanos)), expected);
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_agree(shift in 0_u32..63, nanos in 0..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos >> shift);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn any_text_gets_an_answer(text in "[-+0-9.a-zµ ]{0,24}") {
            let _ = parse_duration(&text);
        }
    }
}
