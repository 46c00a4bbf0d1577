//! Parses YAML or JSON documents other than the configuration as JSON data.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use crate::unique_names::UniqueNames;

/// Documents up to this size are parsed without a time limit: the slowest one takes a fraction of a second.
const SMALL_BYTES: usize = 16 << 10;
/// The time limit, plus one second per MiB. The parser needs a few tenths of a second per MiB.
const PARSE_TIME: Duration = Duration::from_secs(5);

/// Why a document was not parsed to its end.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InTimeError {
    /// It took too long.
    #[error("cannot be parsed within {}s (is it nested too deeply?)", .0.as_secs())]
    TooSlow(Duration),
    /// No thread could be started.
    #[error("cannot start a thread to parse it: {0}")]
    NoThread(String),
}

/// Parses a document of this size with a time limit: the YAML parser needs time in proportion to the square of the
/// nesting depth, and cannot be interrupted. If the time is up, its thread is left behind.
///
/// # Errors
/// The time is up, or there is no thread.
pub fn in_time<T: Send + 'static>(bytes: usize, parse: impl FnOnce() -> T + Send + 'static) -> Result<T, InTimeError> {
    if bytes <= SMALL_BYTES {
        return Ok(parse());
    }
    let limit = PARSE_TIME.saturating_add(Duration::from_secs((bytes >> 20) as u64));
    let (sender, receiver) = mpsc::sync_channel(1);
    let work = move || {
        // Nobody receives after the time limit.
        let _ = sender.send(parse());
    };
    let started = thread::Builder::new().name("yaml".to_owned()).spawn(work);
    started.map_err(|error| InTimeError::NoThread(error.to_string()))?;
    receiver.recv_timeout(limit).map_err(|_| InTimeError::TooSlow(limit))
}

/// Parses one document as JSON, otherwise as YAML. (JSON is a subset of YAML except for its \u escapes.)
///
/// # Errors
/// Invalid syntax, with its position, or a repeated key: silently using the last one could drop a condition.
pub fn parse_document(text: &str) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let json = match serde_json::from_str::<UniqueNames>(text) {
        Ok(document) => return Ok(document.0),
        Err(error) => error,
    };
    // Well-formed JSON with a repeated key is not valid YAML either.
    if json.is_data() {
        return Err(format!("invalid JSON: {json}"));
    }
    let owned = text.to_owned();
    let parsed = in_time(text.len(), move || serde_yaml::from_str::<Option<UniqueNames>>(&owned));
    match parsed.map_err(|error| error.to_string())? {
        Ok(document) => Ok(document.map_or(Value::Null, |document| document.0)),
        Err(error) => Err(format!("invalid YAML: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_and_yaml_are_the_same_data() {
        let data = json!({"a": [1, -2, 1.5, null, true, "\u{1f980}"], "b": {"c": "x"}});
        assert_eq!(parse_document(&data.to_string()), Ok(data.clone()));
        let yaml = "a: [1, -2, 1.5, ~, true, \"\u{1f980}\"]\nb:\n  c: x\n";
        assert_eq!(parse_document(yaml), Ok(data));
        assert_eq!(parse_document("# nothing\n"), Ok(Value::Null));
        assert_eq!(parse_document(r#""\ud83e\udd80""#), Ok(json!("\u{1f980}")));
    }

    #[test]
    fn a_key_stands_in_a_mapping_once() {
        for twice in [r#"{"if": [1], "then": [], "if": []}"#, "if: [1]\nthen: []\nif: []\n", "a: {b: 1, b: 2}\n"] {
            assert!(parse_document(twice).is_err_and(|error| error.contains("twice")), "{twice}");
        }
    }
}
