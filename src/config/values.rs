//! From what is written, in the file or in a variable, to what is meant.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::Problem;
use super::file::RawValue;
use crate::duration::{DurationError, format_duration, parse_duration};

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

/// What a value is, for messages that must not show it.
fn kind(raw: &RawValue) -> &'static str {
    match raw {
        RawValue::Null => "nothing",
        RawValue::Bool(_) => "a boolean",
        RawValue::Int(_) | RawValue::Float(_) => "a number",
        RawValue::Text(_) => "a text",
        RawValue::List(_) => "a list",
        RawValue::Map(_) => "a mapping",
    }
}

/// A whole number: `5`, `1_000_000`, `1.0e+9`. Nothing where it is something else.
fn whole(raw: &RawValue) -> Option<i128> {
    match raw {
        RawValue::Int(n) => Some(*n),
        RawValue::Float(n) if n.fract() == 0.0 && n.abs() < 9.3e18 =>
        {
            #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and within 64 bits")]
            Some(*n as i128)
        }
        // YAML 1.1 knows underscores in numbers; serde_yaml takes such a scalar for a text.
        RawValue::Text(text) if text.contains('_') => text.replace('_', "").parse().ok(),
        _ => None,
    }
}

/// The file's values. A null is never asked for: it counts as absent.
pub(super) mod in_file {
    use super::*;

    pub fn text(raw: &RawValue) -> Result<String, Problem> {
        match raw {
            RawValue::Text(text) => Ok(text.clone()),
            other => Err(Problem::new(format!("must be a text, not {}", kind(other)))),
        }
    }

    pub fn flag(raw: &RawValue) -> Result<bool, Problem> {
        let wrong = |what: &str| Problem::new(format!("must be true or false, not {what}"));
        match raw {
            RawValue::Bool(b) => Ok(*b),
            RawValue::Text(text) => boolean(text).ok_or_else(|| wrong(&format!("'{}'", text.escape_debug()))),
            other => Err(wrong(kind(other))),
        }
    }

    /// A bare number is nanoseconds; a suspiciously small one puts a text into `warning`.
    pub fn duration(raw: &RawValue, warning: &mut Option<String>) -> Result<Duration, Problem> {
        if let Some(nanos) = whole(raw) {
            if (1..1_000_000).contains(&nanos) {
                *warning = Some(format!("{nanos} is nanoseconds; did you mean {nanos}s or {nanos}ms?"));
            }
            return match i64::try_from(nanos).map(u64::try_from) {
                Ok(Ok(nanos)) => Ok(Duration::from_nanos(nanos)),
                Ok(Err(_)) => Err(Problem::new(format!("{nanos} is negative"))),
                Err(_) => Err(Problem::new(format!("{nanos} nanoseconds are too long"))),
            };
        }
        match raw {
            RawValue::Text(text) => parse_duration(text).map_err(|e| match e {
                DurationError::NoUnit(text) => Problem::new(format!("'{text}' is a text without a unit"))
                    .hint(format!("write {text}s, or a number without quotes for nanoseconds")),
                other => Problem::new(other.to_string()),
            }),
            RawValue::Float(n) => {
                Err(Problem::new(format!("{n} is no whole number of nanoseconds"))
                    .hint("write it with a unit, like 1.5s"))
            }
            other => Err(Problem::new(format!("must be a duration like 5s, not {}", kind(other)))),
        }
    }

    /// A bare number is seconds.
    pub fn seconds(raw: &RawValue, warning: &mut Option<String>) -> Result<Duration, Problem> {
        let quoted = match raw {
            RawValue::Text(text) => text.parse().ok(),
            _ => None,
        };
        let Some(seconds) = whole(raw).or(quoted) else {
            return match raw {
                RawValue::Float(n) => Err(Problem::new(format!("{n} is no whole number of seconds"))),
                _ => duration(raw, warning),
            };
        };
        let Ok(seconds) = u64::try_from(seconds) else {
            return Err(Problem::new(format!("{seconds} is negative")));
        };
        if seconds >= 1_000_000 {
            *warning = Some(format!("{seconds} is seconds; did you mean a shorter time, like 5 or 5s?"));
        }
        Ok(Duration::from_secs(seconds))
    }

    pub fn number(raw: &RawValue) -> Result<f64, Problem> {
        match raw {
            #[allow(clippy::cast_precision_loss, reason = "a rate; its 54th bit does not matter")]
            RawValue::Int(n) => rate(*n as f64),
            RawValue::Float(n) => rate(*n),
            RawValue::Text(text) => rate_text(&text.replace('_', "")),
            other => Err(Problem::new(format!("must be a number, not {}", kind(other)))),
        }
    }

    /// A list, or one text with commas.
    pub fn texts(raw: &RawValue) -> Result<Vec<String>, Problem> {
        match raw {
            RawValue::List(items) => items
                .iter()
                .map(|item| match item {
                    RawValue::Text(text) => Ok(text.trim().to_owned()),
                    RawValue::Int(n) => Ok(n.to_string()),
                    other => Err(Problem::new(format!("every entry must be a text, not {}", kind(other)))),
                })
                .collect(),
            RawValue::Text(text) => Ok(split(text)),
            RawValue::Int(n) => Ok(vec![n.to_string()]),
            other => Err(Problem::new(format!("must be a list of texts, not {}", kind(other)))),
        }
    }
}

/// The environment's values; variables are read as options are, so that numbers need their units.
pub(super) mod in_env {
    use super::*;

    pub fn text(value: &OsStr) -> Result<String, Problem> {
        value.to_str().map(str::to_owned).ok_or_else(|| Problem::new("the value is not UTF-8"))
    }

    pub fn path(value: &OsStr) -> Result<PathBuf, Problem> {
        Ok(PathBuf::from(value))
    }

    pub fn flag(value: &OsStr) -> Result<bool, Problem> {
        let text = text(value)?;
        match text.trim() {
            "1" => Ok(true),
            "0" => Ok(false),
            word => boolean(word)
                .ok_or_else(|| Problem::new(format!("'{}' is neither true nor false", word.escape_debug()))),
        }
    }

    pub fn duration(value: &OsStr) -> Result<Duration, Problem> {
        parse_duration(&text(value)?).map_err(|e| Problem::new(e.to_string()))
    }

    /// As the file's `session-ttl`: a bare number is seconds.
    pub fn seconds(value: &OsStr) -> Result<Duration, Problem> {
        let text = text(value)?;
        text.trim().parse::<u64>().map_or_else(|_| duration(value), |seconds| Ok(Duration::from_secs(seconds)))
    }

    pub fn number(value: &OsStr) -> Result<f64, Problem> {
        rate_text(&text(value)?)
    }

    pub fn texts(value: &OsStr) -> Result<Vec<String>, Problem> {
        Ok(split(&text(value)?))
    }
}

/// The entries between commas, trimmed; empty ones are dropped.
pub(super) fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

fn rate_text(text: &str) -> Result<f64, Problem> {
    let number = text.trim().parse().map_err(|_| Problem::new(format!("'{}' is no number", text.escape_debug())))?;
    rate(number)
}

/// Requests a second; 0 is without limit.
pub(super) fn rate(number: f64) -> Result<f64, Problem> {
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err(Problem::new(format!("{number} is no rate (a number of requests a second, 0 for no limit)")))
    }
}

/// A bound that must let something happen.
pub(super) fn positive(duration: Duration) -> Result<(), Problem> {
    if duration.is_zero() { Err(Problem::new("must be more than 0")) } else { Ok(()) }
}

/// A lease's time to live, which etcd counts in seconds.
pub(super) fn lease_time(duration: Duration) -> Result<(), Problem> {
    if duration < Duration::from_secs(1) {
        return Err(Problem::new(format!("{} is below 1s, the shortest time to live", format_duration(duration))));
    }
    Ok(())
}

pub(super) fn output(name: &str) -> Result<(), Problem> {
    if OUTPUTS.contains(&name) {
        return Ok(());
    }
    let known = OUTPUTS.join(", ");
    Err(Problem::new(format!("'{}' is no output format ({known} are known)", name.escape_debug())))
}
