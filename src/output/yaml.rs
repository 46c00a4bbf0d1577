//! YAML output: one document per record, with the field names of JSON.
//!
//! Every string is double-quoted with JSON's escapes: serde_yaml would leave `no` and `1_000` unquoted, which YAML 1.1
//! parsers (among them Go's and Python's) do not read as strings.

use serde_json::Value;

use super::json;
use super::record::Record;

/// Appends the record as a document.
pub fn document(out: &mut Vec<u8>, record: &dyn Record) {
    let mut line = Vec::new();
    json::line(&mut line, record);
    out.extend_from_slice(b"---\n");
    // json::line always writes valid JSON.
    if let Ok(Value::Object(fields)) = serde_json::from_slice(&line) {
        block(out, &fields, 0, false);
    }
}

/// Writes each field on its own line; with `begun`, the first one follows a `- `.
fn block(out: &mut Vec<u8>, fields: &serde_json::Map<String, Value>, indent: usize, begun: bool) {
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 || !begun {
            pad(out, indent);
        }
        json::push(out, format_args!("{name}:"));
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                out.push(b'\n');
                for item in items.iter().filter_map(Value::as_object) {
                    pad(out, indent);
                    out.extend_from_slice(b"- ");
                    block(out, item, indent + 2, true);
                }
            }
            plain => {
                out.push(b' ');
                scalar(out, plain);
                out.push(b'\n');
            }
        }
    }
}

fn pad(out: &mut Vec<u8>, indent: usize) {
    out.resize(out.len() + indent, b' ');
}

/// Writes a string with JSON's escapes, a number, or a list or mapping in flow style.
fn scalar(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => json::string(out, text),
        Value::Object(fields) => {
            out.push(b'{');
            json::separated(out, b", ", fields.iter(), |out, (name, value)| {
                json::string(out, name);
                out.extend_from_slice(b": ");
                scalar(out, value);
            });
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            json::separated(out, b", ", items.iter(), scalar);
            out.push(b']');
        }
        other => json::push(out, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvstore::{KeyValue, OpResult, TxnResult};
    use crate::output::TxnAnswer;

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        let kv = KeyValue { key: b"no".to_vec(), value: b"a: \"b\"\n".to_vec(), ..KeyValue::default() };
        let mut out = Vec::new();
        document(&mut out, &kv);
        let text = String::from_utf8_lossy(&out);
        assert!(text.starts_with("---\nkey: \"no\"\nvalue: \"a: \\\"b\\\"\\n\"\ncreate_revision: 0\n"), "{text}");
        let read: serde_yaml::Value = serde_yaml::from_str(&text).unwrap_or_default();
        assert_eq!(read["value"].as_str(), Some("a: \"b\"\n"));
    }

    #[test]
    fn nested_records_read_back() {
        let kv = KeyValue { key: b"k".to_vec(), value: b"\xff".to_vec(), ..KeyValue::default() };
        let get = OpResult::Get { kvs: vec![kv.clone(), kv], count: 2, more: false };
        let result = TxnResult { succeeded: true, revision: 7, results: vec![get], maybe_applied: false };
        let mut out = Vec::new();
        document(&mut out, &TxnAnswer { result: &result, dry_run: false });
        let read: serde_yaml::Value = serde_yaml::from_slice(&out).unwrap_or_default();
        assert_eq!(
            read["results"][0]["kvs"][1]["value_base64"].as_str(),
            Some("/w=="),
            "{}",
            String::from_utf8_lossy(&out)
        );
        assert_eq!(read["branch"].as_str(), Some("then"));
    }
}
