//! JSON output: one object per line.

use std::fmt::Display;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::record::{Record, Value};
use super::sanitize::is_safe;
use crate::escaped::all_bytes;

/// Appends the record as one line.
pub fn line(out: &mut Vec<u8>, record: &dyn Record) {
    object(out, record);
    out.push(b'\n');
}

fn object(out: &mut Vec<u8>, record: &dyn Record) {
    out.push(b'{');
    let mut first = true;
    record.fields(&mut |field| {
        if matches!(field.value, Value::Absent) {
            return;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        value(out, field.name, &field.value);
    });
    out.push(b'}');
}

fn value(out: &mut Vec<u8>, name: &str, value: &Value<'_>) {
    match value {
        Value::Bytes(plain) => return bytes(out, name, plain),
        Value::Decoded { bytes: plain, exact: false, json } => {
            bytes(out, name, plain);
            out.push(b',');
            key(out, name, "_decoded");
            return any(out, json);
        }
        _ => {}
    }
    key(out, name, "");
    match value {
        Value::Str(text) | Value::Word(text, _) | Value::Decimal(text) => string(out, text),
        Value::Int(number) => plain(out, number),
        Value::Uint(number) | Value::Ordinal(number) | Value::Size(number) => plain(out, number),
        Value::Hex(id) => push(out, format_args!("\"{id:x}\"")),
        Value::Millis(millis) => push(out, format_args!("{millis:.3}")),
        Value::Bool(yes) => push(out, yes),
        Value::Strings(texts) => list(out, texts.iter(), |out, text| string(out, text)),
        Value::Record(record) => object(out, *record),
        Value::Records(records) => list(out, records.iter(), |out, record| object(out, *record)),
        Value::Decoded { json, .. } => any(out, json),
        Value::Bytes(_) | Value::Absent => {}
    }
}

pub(super) fn push(out: &mut Vec<u8>, value: impl Display) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{value}");
}

fn bytes(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            key(out, name, "");
            string(out, text);
        }
        Err(_) => {
            key(out, name, "_base64");
            string(out, &STANDARD.encode(bytes));
        }
    }
}

/// Appends a JSON value on one line, with strings as [`string`] writes them.
pub(super) fn any(out: &mut Vec<u8>, json: &serde_json::Value) {
    match json {
        serde_json::Value::String(text) => string(out, text),
        serde_json::Value::Array(items) => list(out, items.iter(), any),
        serde_json::Value::Object(fields) => {
            out.push(b'{');
            separated(out, b",", fields.iter(), |out, (name, value)| {
                string(out, name);
                out.push(b':');
                any(out, value);
            });
            out.push(b'}');
        }
        plain => push(out, plain),
    }
}

/// A JSON value as text on one line.
pub(super) fn text(json: &serde_json::Value) -> String {
    let mut out = Vec::new();
    any(&mut out, json);
    String::from_utf8_lossy(&out).into_owned()
}

fn list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, one: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    separated(out, b",", items, one);
    out.push(b']');
}

/// Appends items with a separator between them.
pub(super) fn separated<T>(
    out: &mut Vec<u8>,
    separator: &[u8],
    items: impl Iterator<Item = T>,
    mut one: impl FnMut(&mut Vec<u8>, T),
) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.extend_from_slice(separator);
        }
        one(out, item);
    }
}

fn key(out: &mut Vec<u8>, name: &str, suffix: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a JSON string. Besides what JSON requires, it escapes characters that control a terminal or are invisible, and
/// those that YAML does not allow, so that a line is safe to print and parses back to the same string.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    if all_bytes(text.as_bytes(), |byte| matches!(byte, 0x20..0x7f) & (byte != b'"') & (byte != b'\\')) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else if all_bytes(text.as_bytes(), |byte| byte < 0x7f) {
        plain(out, text);
    } else {
        string_with_special(out, text);
    }
}

fn string_with_special(out: &mut Vec<u8>, text: &str) {
    let mut plain = text;
    out.push(b'"');
    while let Some((at, c)) = plain.char_indices().find(|(_, c)| is_special(*c)) {
        inner(out, &plain[..at]);
        push(out, format_args!("\\u{:04x}", c as u32));
        plain = &plain[at + c.len_utf8()..];
    }
    inner(out, plain);
    out.push(b'"');
}

fn is_special(c: char) -> bool {
    // serde_json escapes C0, and nothing below DEL is special. Characters above U+FFFF need two escapes in JSON and another form in YAML.
    ('\u{7f}'..='\u{ffff}').contains(&c) && (!is_safe(c, false) || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// Appends a number, or a string in which exactly that is escaped that JSON requires.
fn plain(out: &mut Vec<u8>, value: impl serde::Serialize) {
    // Writing to a vector cannot fail.
    let _ = serde_json::to_writer(out, &value);
}

/// Appends the escaped text without quotes.
fn inner(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    plain(out, text);
    out.remove(start);
    out.pop();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvstore::{KeyValue, LeaseId};

    proptest::proptest! {
        /// The short ways for text without special characters write what the long way writes.
        #[test]
        fn strings_are_escaped_alike_on_every_way(text in "[ -~]{0,70}|[\\x00-\\x7f]{0,70}|\\PC{0,9}|.{0,70}", at in 0usize..70) {
            let at = text.char_indices().map(|(at, _)| at).nth(at).unwrap_or(0);
            for text in [text.as_str(), &text[at..]] {
                let (mut short, mut long) = (Vec::new(), Vec::new());
                string(&mut short, text);
                string_with_special(&mut long, text);
                proptest::prop_assert_eq!(&short, &long);
                proptest::prop_assert!(serde_json::from_slice::<String>(&short).is_ok_and(|read| read == text));
            }
        }
    }

    #[test]
    fn the_contract() {
        let mut kv = KeyValue {
            key: b"/a\"\n".to_vec(),
            value: b"\xff".to_vec(),
            create_revision: 2,
            mod_revision: i64::MAX,
            version: 1,
            lease: None,
        };
        let mut out = Vec::new();
        line(&mut out, &kv);
        kv.lease = Some(LeaseId(-1));
        kv.value = vec![];
        line(&mut out, &kv);
        let expected = "{\"key\":\"/a\\\"\\n\",\"value_base64\":\"/w==\",\"create_revision\":2,\"mod_revision\":9223372036854775807,\"version\":1}\n\
                        {\"key\":\"/a\\\"\\n\",\"value\":\"\",\"create_revision\":2,\"mod_revision\":9223372036854775807,\"version\":1,\"lease\":\"ffffffffffffffff\"}\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
