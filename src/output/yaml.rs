//! YAML: one document a record, with the names of the JSON contract.
//!
//! Every text is in double quotes, with JSON's escapes: serde_yaml leaves words such as `no` and `1_000` bare, which
//! readers of YAML 1.1 (Go's and Python's among them) take for something else.

use std::fmt::Write;

use serde_json::Value;

use super::json;
use super::record::Record;

/// Appends the record as a document.
pub fn document(out: &mut Vec<u8>, record: &dyn Record) {
    let mut line = Vec::new();
    json::line(&mut line, record);
    let mut text = String::from("---\n");
    // What json::line writes is JSON.
    if let Ok(Value::Object(fields)) = serde_json::from_slice(&line) {
        block(&mut text, &fields, 0, false);
    }
    out.extend_from_slice(text.as_bytes());
}

/// Writes the fields, each on a line of its own; the first one goes on behind `- ` where `begun`.
fn block(out: &mut String, fields: &serde_json::Map<String, Value>, indent: usize, begun: bool) {
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 || !begun {
            out.push_str(&" ".repeat(indent));
        }
        let _ = write!(out, "{name}:");
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                out.push('\n');
                for item in items.iter().filter_map(Value::as_object) {
                    out.push_str(&" ".repeat(indent));
                    out.push_str("- ");
                    block(out, item, indent + 2, true);
                }
            }
            plain => {
                let _ = writeln!(out, " {plain}");
            }
        }
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
        let result = TxnResult { succeeded: true, revision: 7, results: vec![get], uncertain: false };
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
