//! Reads the values of a check file's keys. Pure.

use std::time::Duration;

use regex::bytes::Regex;
use serde_json::Value;

use super::figures::{Figure, FigureLimits};
use crate::config::document_fault::DocumentFault;
use crate::config::document_fields::{check_name, must_be, name, text};
use crate::{duration, regular_expression};

/// The only value is `true`.
pub fn only_true(value: &Value) -> Result<(), DocumentFault> {
    match value {
        Value::Bool(true) => Ok(()),
        Value::Bool(false) => Err(DocumentFault::new("must be true; remove the rule to switch it off")),
        other => Err(must_be("true", other)),
    }
}

/// A number of things.
pub fn count(value: &Value) -> Result<u64, DocumentFault> {
    value.as_u64().ok_or_else(|| match value {
        Value::Number(_) => DocumentFault::new("must be a whole number from 0 on"),
        other => must_be("a whole number", other),
    })
}

/// `true`, or a number from 1 on.
pub fn true_or_count(value: &Value) -> Result<Option<u64>, DocumentFault> {
    match value {
        Value::Bool(true) => Ok(None),
        Value::Bool(false) => Err(DocumentFault::new("must be true or a number; remove the rule to switch it off")),
        Value::Number(_) => match count(value)? {
            0 => Err(DocumentFault::new("must be at least 1")),
            number => Ok(Some(number)),
        },
        other => Err(must_be("true or a number", other)),
    }
}

/// A duration greater than zero, such as `2m` or `50ms`.
pub fn time_span(value: &Value) -> Result<Duration, DocumentFault> {
    let Value::String(text) = value else {
        return Err(must_be("a duration such as 30s, 2m or 50ms", value));
    };
    match duration::parse_duration(text) {
        Ok(time) if time.is_zero() => Err(DocumentFault::new("must be greater than zero")),
        Ok(time) => Ok(time),
        Err(error) => Err(DocumentFault::new(error.to_string())),
    }
}

/// A share in percent, such as `80%`.
pub fn percent(value: &Value) -> Result<f64, DocumentFault> {
    let share = value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.trim().parse::<f64>().ok());
    match share {
        Some(share) if share.is_finite() && share > 0.0 && share <= 100.0 => Ok(share),
        _ => Err(DocumentFault::new("must be a share from above 0% to 100%, such as 80%")),
    }
}

/// The units of sizes, the longest first.
const UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// A size in bytes: a number, or a text with a unit such as `2GiB`.
pub fn size(value: &Value) -> Result<u64, DocumentFault> {
    let wrong = || DocumentFault::new("must be a size such as 4096, 200MiB or 2GiB");
    let bytes = match value {
        Value::Number(_) => value.as_u64().ok_or_else(wrong)?,
        Value::String(text) => {
            let unit = UNITS.iter().find_map(|(unit, bytes)| text.strip_suffix(unit).map(|number| (number, *bytes)));
            let (number, bytes) = unit.unwrap_or((text, 1));
            let number: f64 = number.trim().parse().map_err(|_| wrong())?;
            #[expect(clippy::cast_precision_loss, reason = "units are powers of two or ten")]
            let bytes = number * bytes as f64;
            if !(0.0..1e18).contains(&bytes) {
                return Err(wrong());
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in the range of u64")]
            let bytes = bytes as u64;
            bytes
        }
        _ => return Err(wrong()),
    };
    if bytes == 0 { Err(DocumentFault::new("must be greater than zero")) } else { Ok(bytes) }
}

/// A version such as `3.5.23`, or `3.6`.
pub fn version(value: &Value) -> Result<[u64; 3], DocumentFault> {
    let wrong = || DocumentFault::new("must be a version in quotes, such as \"3.5.23\"");
    let text = value.as_str().ok_or_else(wrong)?;
    parse_version(text).ok_or_else(wrong)
}

/// The numbers of a version of etcd. What follows the third number, such as `-rc.0`, does not count.
pub fn parse_version(text: &str) -> Option<[u64; 3]> {
    let mut parts = text.split('.');
    let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let patch = match parts.next() {
        None => 0,
        Some(patch) => {
            let digits: String = patch.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()?
        }
    };
    Some([major, minor, patch])
}

/// A regular expression.
pub fn expression(value: &Value) -> Result<Regex, DocumentFault> {
    let pattern = name(value)?;
    regular_expression::compile(pattern).map_err(|error| {
        let fault = DocumentFault::new(format!("invalid regular expression '{}': {error}", pattern.escape_debug()));
        match error.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    })
}

/// A JSON pointer (RFC 6901).
pub fn pointer(value: &Value) -> Result<String, DocumentFault> {
    let text = text(value)?;
    if !text.is_empty() && !text.starts_with('/') {
        return Err(DocumentFault::new(format!(
            "'{}' is not a JSON pointer, which begins with a slash: /spec/replicas",
            text.escape_debug()
        )));
    }
    let mut after_tilde = text.split('~').skip(1);
    if after_tilde.any(|rest| !rest.starts_with(['0', '1'])) {
        return Err(DocumentFault::new("is not a JSON pointer: after a tilde, only 0 or 1 may follow"));
    }
    Ok(text.to_owned())
}

/// The names of limits.
pub const LIMITS: [&str; 5] = ["equals", "at-least", "at-most", "above", "below"];

fn figure(value: &Value) -> Result<Figure, DocumentFault> {
    match value {
        Value::Number(_) => Figure::of_json(value).ok_or_else(|| must_be("a number", value)),
        other => Err(must_be("a number", other)),
    }
}

/// Reads one limit.
pub fn limit(limits: &mut FigureLimits, name: &str, value: &Value) -> Result<(), DocumentFault> {
    let place = match name {
        "equals" => &mut limits.equals,
        "at-least" => &mut limits.at_least,
        "at-most" => &mut limits.at_most,
        "above" => &mut limits.above,
        _ => &mut limits.below,
    };
    *place = Some(figure(value)?);
    Ok(())
}

/// A whole number, which stands for itself, or a mapping of limits.
pub fn limits(value: &Value) -> Result<FigureLimits, DocumentFault> {
    let Value::Object(fields) = value else {
        return match value {
            Value::Number(_) => count(value).map(FigureLimits::equals),
            other => Err(must_be("a number, or limits such as {at-least: 2}", other)),
        };
    };
    let mut found = FigureLimits::default();
    for (name, value) in fields {
        check_name(name, &LIMITS)?;
        limit(&mut found, name, value).map_err(|fault| fault.of(name).within_key(name))?;
    }
    check_limits(&found)?;
    // These limits are those of a number of things.
    if found.excludes_all_counts() {
        return Err(DocumentFault::new(format!("never true: no number of things is {found}")));
    }
    Ok(found)
}

/// There are limits, and they can hold together.
pub fn check_limits(limits: &FigureLimits) -> Result<(), DocumentFault> {
    if limits.is_empty() {
        return Err(DocumentFault::new(format!("needs one of {}", LIMITS.join(", "))));
    }
    if limits.is_impossible() {
        return Err(DocumentFault::new(format!("no number is {limits}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_shares_and_versions() {
        for (value, bytes) in [
            (json!(4096), 4096),
            (json!("4096"), 4096),
            (json!("2GiB"), 2 << 30),
            (json!("1.5 MiB"), 3 << 19),
            (json!("8GB"), 8_000_000_000),
            (json!("10B"), 10),
        ] {
            assert_eq!(size(&value).unwrap(), bytes, "{value}");
        }
        for value in
            [json!(0), json!("0"), json!("-1GiB"), json!("x"), json!("1TiB"), json!(1.5), json!(null), json!("nanB")]
        {
            assert!(size(&value).is_err(), "{value}");
        }
        assert!((percent(&json!("80%")).unwrap() - 80.0).abs() < 1e-9);
        for value in [json!("80"), json!(80), json!("0%"), json!("101%"), json!("nan%"), json!("-1%")] {
            assert!(percent(&value).is_err(), "{value}");
        }
        assert_eq!(version(&json!("3.6")).unwrap(), [3, 6, 0]);
        assert_eq!(parse_version("3.6.0-rc.1"), Some([3, 6, 0]));
        for value in [json!(3.6), json!("3"), json!("x.y"), json!("3.6.x")] {
            assert!(version(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn pointers_and_limits() {
        for text in ["", "/", "/a/b~0c~1d", "/0"] {
            assert_eq!(pointer(&json!(text)).unwrap(), text);
        }
        for text in ["a", "a/b", "/~", "/~2"] {
            assert!(pointer(&json!(text)).is_err(), "{text}");
        }
        assert_eq!(limits(&json!(3)).unwrap(), FigureLimits::equals(3));
        for value in [json!({}), json!(-1), json!({"at-least": 5, "at-most": 4}), json!({"atleast": 1}), json!("3")] {
            assert!(limits(&value).is_err(), "{value}");
        }
    }
}
