//! Recognizes new values that are probably a mistake. No I/O.

use crate::output::is_text;
use crate::output::json_text::{JsonText, is_json};
use crate::unique_names::UniqueNames;

/// The question to ask before `new` is stored in place of `old` in the key of this name; `None` if there is no need to ask.
pub fn question(name: &str, old: &[u8], new: &[u8]) -> Option<String> {
    if new.is_empty() {
        return (!old.is_empty()).then(|| format!("store an empty value in {name}"));
    }
    if !is_text(new) {
        return Some(format!("store bytes that are not text in {name}, which 'kvadm edit' then refuses to open"));
    }
    if !is_document(old) {
        return None;
    }
    if !is_json(new) {
        return Some(format!("store text that is not valid JSON in {name}, whose value is JSON"));
    }
    // A value that some programs reject already may stay so.
    JsonText::parse(old)?;
    match serde_json::from_slice::<UniqueNames>(new) {
        Err(why) => Some(format!("store JSON that some programs reject ({why}) in {name}")),
        Ok(_) if is_document(new) => None,
        Ok(_) => Some(format!("store a JSON number or word in {name}, whose value is a JSON object or array")),
    }
}

/// Whether the value is meant as JSON: an object, an array or a string in quotes. Numbers and words are plain text too.
fn is_document(value: &[u8]) -> bool {
    matches!(value.trim_ascii_start().first(), Some(b'{' | b'[' | b'"')) && is_json(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(old: &str, new: &str) -> String {
        question("k", old.as_bytes(), new.as_bytes()).unwrap_or_default()
    }

    #[test]
    fn json_that_would_break_is_asked_about_whatever_the_json() {
        for old in
            [r#"{"a":1}"#, "[1]", "{\n \"a\": 1\n}\n", r#"{"a":1,"a":2}"#, "[1e400]", r#"{"a":"\ud800"}"#, r#""text""#]
        {
            assert!(asks(old, "{").contains("not valid JSON"), "{old}");
            assert_eq!(asks(old, r#"{"b":2}"#), "", "{old}");
        }
        // Numbers and words are text as well.
        for old in ["30", "true", "blue", ""] {
            assert_eq!(asks(old, "30s"), "", "{old}");
        }
    }

    #[test]
    fn the_question_says_what_is_wrong() {
        assert!(asks("[]", r#"{"a":1,"a":2}"#).contains("some programs reject ('a' is given twice at line 1 column "));
        assert!(asks("[]", "[1e400]").contains("some programs reject (number out of range"));
        assert!(asks("[]", "5").contains("a JSON number or word"));
        assert_eq!(asks("[]", "\"text\""), "");
        // The value was like this before.
        assert_eq!(asks(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":3}"#), "");
    }

    #[test]
    fn an_empty_value_and_bytes_are_asked_about() {
        assert_eq!(asks("blue", ""), "store an empty value in k");
        assert_eq!(asks("", ""), "");
        for new in [&b"a\xff"[..], b"a\0"] {
            assert!(question("k", b"blue", new).is_some_and(|question| question.contains("not text")), "{new:?}");
        }
    }
}
