//! Writes users and roles as a file that reads back the same.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::document::FILE_KEYS;
use super::state::{AccessState, RolePermissions};
use super::words::ROOT;
use crate::kvstore::{Access, KeyRange};
use crate::output::{bytes, is_safe};

/// Users and roles as the data of a file.
pub fn access_file_data(state: &AccessState) -> Value {
    let role = |permissions: &RolePermissions| {
        let list: Vec<Value> = permissions.iter().map(|(range, access)| permission_data(range, *access)).collect();
        Value::Object(Map::from_iter([("permissions".to_owned(), Value::Array(list))]))
    };
    let roles: Map<String, Value> =
        state.roles.iter().filter(|(name, _)| *name != ROOT).map(|(name, of)| (name.clone(), role(of))).collect();
    let user = |roles: &BTreeSet<String>| {
        Value::Object(Map::from_iter([("roles".to_owned(), roles.iter().cloned().map(Value::from).collect())]))
    };
    let users: Map<String, Value> = state.users.iter().map(|(name, roles)| (name.clone(), user(roles))).collect();
    Value::Object(Map::from_iter([("roles".to_owned(), roles.into()), ("users".to_owned(), users.into())]))
}

fn permission_data(range: &KeyRange, access: Access) -> Value {
    let mut fields = Map::new();
    fields.insert("access".to_owned(), access.word().into());
    let parts = range_parts(range);
    let plain = parts.iter().all(|(_, bytes)| std::str::from_utf8(bytes).is_ok());
    if parts.is_empty() {
        fields.insert("all".to_owned(), true.into());
    }
    for (key, bytes) in parts {
        let text = match plain {
            true => String::from_utf8_lossy(bytes).into_owned(),
            false => bytes::escape(bytes),
        };
        fields.insert(key.to_owned(), text.into());
    }
    if !plain {
        fields.insert("escape".to_owned(), true.into());
    }
    Value::Object(fields)
}

/// A range as the file names it; nothing for all keys.
fn range_parts(range: &KeyRange) -> Vec<(&'static str, &[u8])> {
    let start = range.start.as_slice();
    match &range.end {
        _ if range.is_one_key() => vec![("key", start)],
        None if start.is_empty() => Vec::new(),
        None => vec![("from", start)],
        Some(_) if *range == KeyRange::prefix(start) => vec![("prefix", start)],
        Some(end) => vec![("from", start), ("to", end)],
    }
}

/// Writes the file as YAML, with one line for each permission.
pub fn render_access_file(state: &AccessState) -> String {
    let data = access_file_data(state);
    let mut out = String::new();
    for key in FILE_KEYS {
        let entries = data.get(key).and_then(Value::as_object);
        let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
            out.push_str(&format!("{key}: {{}}\n"));
            continue;
        };
        out.push_str(&format!("{key}:\n"));
        for (name, entry) in entries {
            out.push_str(&entry_name(name));
            let (field, items) = match key {
                "roles" => ("permissions", entry.get("permissions")),
                _ => ("roles", entry.get("roles")),
            };
            let items = items.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            if key == "users" || items.is_empty() {
                let words: Vec<String> = items.iter().map(flow).collect();
                out.push_str(&format!("    {field}: [{}]\n", words.join(", ")));
                continue;
            }
            out.push_str(&format!("    {field}:\n"));
            for item in items {
                out.push_str(&format!("      - {}\n", flow(item)));
            }
        }
    }
    out
}

/// YAML reads a key in front of a colon up to 1,024 characters, a longer one after a question mark.
const LONGEST_KEY: usize = 1_000;

/// The lines that begin the entry of a name.
fn entry_name(name: &str) -> String {
    match quoted(name) {
        long if long.chars().count() > LONGEST_KEY => format!("  ? {long}\n  :\n"),
        name => format!("  {name}:\n"),
    }
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Object(fields) => {
            let words: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", words.join(", "))
        }
        other => other.to_string(),
    }
}

/// Words that YAML does not read as text.
const RESERVED: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"];

/// A text as YAML reads it back: plain if no reader can take it for something else, otherwise in double quotes.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/');
    if first && text.chars().all(is_plain) && !RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if !is_safe(c, false) && u32::from(c) <= 0xffff => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if !is_safe(c, false) => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
