//! Parses and checks the values of the file and of environment variables.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::ValueError;
use super::file::RawValue;
use crate::duration::{DurationError, format_duration, parse_duration};
use crate::transport::TXN_OPS_LIMITS;

/// The output formats `output` may name.
const OUTPUTS: [&str; 5] = ["text", "table", "json", "yaml", "raw"];

/// Go's YAML 1.1 booleans.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

/// The kind of a value, for messages that must not contain the value.
fn kind(raw: &RawValue) -> &'static str {
    match raw {
        RawValue::Null => "nothing",
        RawValue::Bool(_) => "a boolean",
        RawValue::Int(_) | RawValue::Float(_) => "a number",
        RawValue::Text(_) => "a string",
        RawValue::List(_) => "a list",
        RawValue::Map(_) => "a mapping",
    }
}

/// A whole number, such as `5`, `1_000_000` or `1.0e+9`.
fn whole(raw: &RawValue) -> Option<i128> {
    match raw {
        RawValue::Int(n) => Some(*n),
        RawValue::Float(n) if n.fract() == 0.0 && n.abs() < 9.3e18 =>
        {
            #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and within 64 bits")]
            Some(*n as i128)
        }
        // YAML 1.1 allows underscores in numbers; serde_yaml reads such a scalar as a string.
        RawValue::Text(text) if text.contains('_') => text.replace('_', "").parse().ok(),
        _ => None,
    }
}

/// Values of the file. Null counts as absent and never gets here.
pub(super) mod in_file {
    use super::*;

    pub fn text(raw: &RawValue) -> Result<String, ValueError> {
        match raw {
            RawValue::Text(text) => Ok(text.clone()),
            other => Err(ValueError::new(format!("must be a string, not {}", kind(other)))),
        }
    }

    pub fn flag(raw: &RawValue) -> Result<bool, ValueError> {
        let wrong = |what: &str| ValueError::new(format!("must be true or false, not {what}"));
        match raw {
            RawValue::Bool(b) => Ok(*b),
            RawValue::Text(text) => boolean(text).ok_or_else(|| wrong(&format!("'{}'", text.escape_debug()))),
            other => Err(wrong(kind(other))),
        }
    }

    /// A bare number is nanoseconds; a suspiciously small one sets `warning`.
    pub fn duration(raw: &RawValue, warning: &mut Option<String>) -> Result<Duration, ValueError> {
        if let Some(nanos) = whole(raw) {
            if (1..1_000_000).contains(&nanos) {
                *warning = Some(format!("{nanos} means nanoseconds; did you mean {nanos}s or {nanos}ms?"));
            }
            return match i64::try_from(nanos).map(u64::try_from) {
                Ok(Ok(nanos)) => Ok(Duration::from_nanos(nanos)),
                Ok(Err(_)) => Err(ValueError::new(format!("{nanos} is negative"))),
                Err(_) => Err(ValueError::new(format!("{nanos} nanoseconds is too long"))),
            };
        }
        match raw {
            RawValue::Text(text) => parse_duration(text).map_err(|e| match e {
                DurationError::NoUnit(text) => ValueError::new(format!("'{text}' has no unit"))
                    .hint(format!("write {text}s, or omit the quotes for nanoseconds")),
                other => ValueError::new(other.to_string()),
            }),
            RawValue::Float(n) => {
                Err(ValueError::new(format!("{n} is not a whole number of nanoseconds"))
                    .hint("write a unit, such as 1.5s"))
            }
            other => Err(ValueError::new(format!("must be a duration such as 5s, not {}", kind(other)))),
        }
    }

    /// A bare number is seconds.
    pub fn seconds(raw: &RawValue, warning: &mut Option<String>) -> Result<Duration, ValueError> {
        let quoted = match raw {
            RawValue::Text(text) => text.parse().ok(),
            _ => None,
        };
        let Some(seconds) = whole(raw).or(quoted) else {
            return match raw {
                RawValue::Float(n) => Err(ValueError::new(format!("{n} is not a whole number of seconds"))),
                _ => duration(raw, warning),
            };
        };
        let Ok(seconds) = u64::try_from(seconds) else {
            return Err(ValueError::new(format!("{seconds} is negative")));
        };
        if seconds >= 1_000_000 {
            *warning = Some(format!("{seconds} means seconds; did you mean a shorter time, such as 5s?"));
        }
        Ok(Duration::from_secs(seconds))
    }

    pub fn number(raw: &RawValue) -> Result<f64, ValueError> {
        match raw {
            #[allow(clippy::cast_precision_loss, reason = "a rate; its 54th bit does not matter")]
            RawValue::Int(n) => rate(*n as f64),
            RawValue::Float(n) => rate(*n),
            RawValue::Text(text) => rate_text(&text.replace('_', "")),
            other => Err(ValueError::new(format!("must be a number, not {}", kind(other)))),
        }
    }

    /// Operations per transaction.
    pub fn max_ops(raw: &RawValue) -> Result<usize, ValueError> {
        match raw {
            RawValue::Int(n) => super::max_ops(&n.to_string()),
            RawValue::Text(text) => super::max_ops(text),
            other => Err(ValueError::new(format!("must be a number, not {}", kind(other)))),
        }
    }

    /// A list, or one string with commas.
    pub fn texts(raw: &RawValue) -> Result<Vec<String>, ValueError> {
        match raw {
            RawValue::List(items) => items
                .iter()
                .map(|item| match item {
                    RawValue::Text(text) => Ok(text.trim().to_owned()),
                    other => Err(ValueError::new(format!("every entry must be a string, not {}", kind(other)))),
                })
                .collect(),
            RawValue::Text(text) => Ok(split(text)),
            other => Err(ValueError::new(format!("must be a list of strings, not {}", kind(other)))),
        }
    }
}

/// Values of environment variables, parsed like options: numbers need units.
pub(super) mod in_env {
    use super::*;

    fn utf8(value: &OsStr) -> Result<&str, ValueError> {
        value.to_str().ok_or_else(|| ValueError::new("the value is not UTF-8"))
    }

    pub fn text(value: &OsStr) -> Result<Option<String>, ValueError> {
        utf8(value).map(|text| Some(text.to_owned()))
    }

    pub fn bytes(value: &OsStr) -> Result<Option<Vec<u8>>, ValueError> {
        Ok(Some(std::os::unix::ffi::OsStrExt::as_bytes(value).to_vec()))
    }

    pub fn path(value: &OsStr) -> Result<Option<PathBuf>, ValueError> {
        Ok(Some(PathBuf::from(value)))
    }

    pub fn flag(value: &OsStr) -> Result<Option<bool>, ValueError> {
        match utf8(value)?.trim() {
            "1" => Ok(Some(true)),
            "0" => Ok(Some(false)),
            word => match boolean(word) {
                Some(on) => Ok(Some(on)),
                None => Err(ValueError::new(format!("'{}' must be true or false", word.escape_debug()))),
            },
        }
    }

    pub fn duration(value: &OsStr) -> Result<Option<Duration>, ValueError> {
        parse_duration(utf8(value)?).map(Some).map_err(|e| ValueError::new(e.to_string()))
    }

    /// Like the file's `session-ttl`: a bare number is seconds.
    pub fn seconds(value: &OsStr) -> Result<Option<Duration>, ValueError> {
        let seconds = utf8(value)?.trim().parse::<u64>();
        seconds.map_or_else(|_| duration(value), |seconds| Ok(Some(Duration::from_secs(seconds))))
    }

    pub fn number(value: &OsStr) -> Result<Option<f64>, ValueError> {
        rate_text(utf8(value)?).map(Some)
    }

    pub fn max_ops(value: &OsStr) -> Result<Option<usize>, ValueError> {
        super::max_ops(utf8(value)?).map(Some)
    }

    /// A list without entries counts as unset.
    pub fn texts(value: &OsStr) -> Result<Option<Vec<String>>, ValueError> {
        Ok(Some(split(utf8(value)?)).filter(|texts| !texts.is_empty()))
    }
}

/// The entries between commas, trimmed and without empty ones.
pub(super) fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

fn rate_text(text: &str) -> Result<f64, ValueError> {
    let number =
        text.trim().parse().map_err(|_| ValueError::new(format!("'{}' is not a number", text.escape_debug())))?;
    rate(number)
}

/// Requests per second; 0 means no limit.
pub(super) fn rate(number: f64) -> Result<f64, ValueError> {
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err(ValueError::new(format!("{number} is not a rate (requests per second; 0 means no limit)")))
    }
}

/// Operations per transaction.
fn max_ops(text: &str) -> Result<usize, ValueError> {
    let number = text.trim().parse().ok().filter(|number| TXN_OPS_LIMITS.contains(number));
    number.ok_or_else(|| ValueError::new(format!("'{}' is not a number from 3 to 65536", text.escape_debug())))
}

/// A timeout, which must be greater than zero.
pub(super) fn positive(duration: Duration) -> Result<(), ValueError> {
    if duration.is_zero() { Err(ValueError::new("must be greater than 0")) } else { Ok(()) }
}

/// A lease's TTL, which etcd counts in seconds.
pub(super) fn lease_time(duration: Duration) -> Result<(), ValueError> {
    if duration < Duration::from_secs(1) {
        return Err(ValueError::new(format!("{} is shorter than 1s, the minimum TTL", format_duration(duration))));
    }
    Ok(())
}

pub(super) fn output(name: &str) -> Result<(), ValueError> {
    if OUTPUTS.contains(&name) {
        return Ok(());
    }
    let known = OUTPUTS.join(", ");
    Err(ValueError::new(format!("'{}' is not an output format; use one of {known}", name.escape_debug())))
}
