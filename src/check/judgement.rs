//! The result of one rule before it is put into the report.

use std::fmt::Display;
use std::time::Duration;

use super::figures::{Figure, FigureLimits};
use super::outcome::{Measure, MeasureUnit, RuleState};
use crate::duration::format_duration;
use crate::health::ScanError;
use crate::kvstore::Error;

/// Exit codes of failures, which `error` defines for verbs.
const UNREACHABLE: u8 = 3;
const REFUSED: u8 = 4;
/// The longest part of a key or value in a report.
const SHOWN_BYTES: usize = 200;

/// Why a rule cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFault {
    /// Why not.
    pub why: String,
    /// 3 or 4.
    pub exit_code: u8,
}

impl RuleFault {
    /// etcd, or a member, does not answer.
    pub fn unreachable(why: impl Into<String>) -> Self {
        Self { why: why.into(), exit_code: UNREACHABLE }
    }

    /// What is there does not allow a judgement, or etcd refuses the request.
    pub fn refused(why: impl Into<String>) -> Self {
        Self { why: why.into(), exit_code: REFUSED }
    }

    /// The fault for an error of a request.
    ///
    /// # Errors
    /// An error that ends the whole command: a signal, or unusable TLS files.
    pub fn of(error: Error) -> Result<Self, Error> {
        let refused = match &error {
            Error::Interrupted { .. } | Error::Tls(_) => return Err(error),
            Error::Deadline { .. } | Error::Unknown { .. } => false,
            error => !error.is_transient(),
        };
        let why = error.one_line();
        Ok(if refused { Self::refused(why) } else { Self::unreachable(why) })
    }

    /// The fault for an error of a scan of the members.
    ///
    /// # Errors
    /// As [`RuleFault::of`].
    pub fn of_scan(error: ScanError) -> Result<Self, Error> {
        match error {
            ScanError::Store(error) | ScanError::Login { error, .. } => Self::of(error),
            ScanError::NoResponse { complaints } => Ok(Self::unreachable(complaints)),
            ScanError::Proof { prefix, error } => {
                let fault = Self::of(error)?;
                Ok(Self { why: format!("cannot prove the quorum by writing {prefix}…: {}", fault.why), ..fault })
            }
        }
    }
}

/// The result of a rule, and the figure that it has compared.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleJudgement {
    /// The result.
    pub state: RuleState,
    /// The figure.
    pub measure: Option<Measure>,
}

impl RuleJudgement {
    /// The rule holds.
    pub fn pass() -> Self {
        Self { state: RuleState::Pass, measure: None }
    }

    /// The rule does not hold.
    pub fn fail(expected: impl Display, found: impl Display) -> Self {
        Self { state: RuleState::Fail { expected: expected.to_string(), found: found.to_string() }, measure: None }
    }

    /// The rule holds if `holds`.
    pub fn of(holds: bool, expected: impl Display, found: impl Display) -> Self {
        if holds { Self::pass() } else { Self::fail(expected, found) }
    }

    /// The rule cannot be judged.
    pub fn error(fault: RuleFault) -> Self {
        Self { state: RuleState::Error { why: fault.why, exit_code: fault.exit_code }, measure: None }
    }

    /// The rule was not tried.
    pub fn skipped(why: &str) -> Self {
        Self { state: RuleState::Skipped { why: why.to_owned() }, measure: None }
    }

    /// A number is within the limits.
    pub fn count(number: u64, limits: &FigureLimits) -> Self {
        let holds = limits.holds(Figure::Int(number.into()));
        Self::of(holds, limits, number).measure(number, MeasureUnit::Count, limits.first())
    }

    /// Adds the figure that was compared.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    pub fn measure(self, value: u64, unit: MeasureUnit, limit: Option<f64>) -> Self {
        self.measure_f64(value as f64, unit, limit)
    }

    /// Adds the figure that was compared.
    #[must_use]
    pub fn measure_f64(self, value: f64, unit: MeasureUnit, limit: Option<f64>) -> Self {
        Self { measure: Some(Measure { value, unit, limit }), ..self }
    }

    /// Adds the time that was compared.
    #[must_use]
    pub fn measure_time(self, value: Duration, limit: Duration) -> Self {
        self.measure_f64(value.as_secs_f64(), MeasureUnit::Seconds, Some(limit.as_secs_f64()))
    }
}

/// A key or a value in a report, cut if it is long. Bytes that are not UTF-8 are written as `\xNN`; each report escapes the rest
/// by its own rules.
pub fn shown(text: &[u8]) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    match text.get(..SHOWN_BYTES) {
        Some(start) if text.len() > SHOWN_BYTES => {
            // The last character may be cut: its bytes are left out.
            let whole = start.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
            let start = if whole < 4 { start.get(..SHOWN_BYTES - whole).unwrap_or(start) } else { start };
            format!("{}… ({} bytes)", readable(start), text.len())
        }
        _ => readable(text),
    }
}

fn readable(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out
}

/// A duration rounded for a report: three digits are enough.
pub fn shown_time(time: Duration) -> String {
    let rounded = match time.as_nanos() {
        0..1_000 => time,
        1_000..1_000_000 => Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        1_000_000..1_000_000_000 => {
            Duration::from_micros(u64::try_from(time.as_micros() / 100 * 100).unwrap_or(u64::MAX))
        }
        1_000_000_000..60_000_000_000 => {
            Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX) / 100 * 100)
        }
        _ => Duration::from_secs(time.as_secs()),
    };
    let text = format_duration(rounded);
    // 2m instead of 2m0s, 1h instead of 1h0m0s.
    let text = text.strip_suffix("m0s").map_or_else(|| text.clone(), |whole| format!("{whole}m"));
    text.strip_suffix("h0m").map_or_else(|| text.clone(), |whole| format!("{whole}h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(shown(b""), "(empty)");
        assert_eq!(shown(b"a\n\xffb"), "a\n\\xffb");
        let long = "é".repeat(150);
        assert_eq!(shown(long.as_bytes()), format!("{}… (300 bytes)", "é".repeat(100)));
        let odd = format!("x{long}");
        assert_eq!(shown(odd.as_bytes()), format!("x{}… (301 bytes)", "é".repeat(99)));
        assert_eq!(shown(&[0xff; 300]), format!("{}… (300 bytes)", "\\xff".repeat(199)));
    }

    #[test]
    fn times_are_rounded() {
        assert_eq!(shown_time(Duration::from_nanos(12_345_678)), "12.3ms");
        assert_eq!(shown_time(Duration::from_millis(2_345)), "2.3s");
        assert_eq!(shown_time(Duration::from_millis(62_345)), "1m2s");
        assert_eq!(shown_time(Duration::from_nanos(1_500)), "1µs");
        assert_eq!(shown_time(Duration::from_nanos(1)), "1ns");
        assert_eq!(shown_time(Duration::from_secs(120)), "2m");
        assert_eq!(shown_time(Duration::from_secs(3_600)), "1h");
        assert_eq!(shown_time(Duration::from_secs(36_060)), "10h1m");
        assert_eq!(shown_time(Duration::from_secs(30)), "30s");
    }
}
