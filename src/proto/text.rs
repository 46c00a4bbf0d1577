//! Words of messages. They repeat no value: it may be a secret.

use prost_reflect::prost::DecodeError;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

/// Text from a value for a message: escaped as in kvadm's text output, and at most 80 characters of it.
pub(super) fn shown(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let mut shown = String::new();
    for c in text.chars().take(MAX_CHARS) {
        match c {
            '\\' => shown.push_str("\\\\"),
            '\t' => shown.push_str("\\t"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\0' => shown.push_str("\\0"),
            '\'' | '"' => shown.push(c),
            c if c.escape_debug().len() == 1 => shown.push(c),
            c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}"))),
        }
    }
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// Why bytes are not a message. The library's text names its own types.
pub(super) fn broken(error: &DecodeError) -> &'static str {
    let text = error.to_string();
    if text.contains("underflow") {
        "a field ends after the value"
    } else if text.contains("recursion") {
        "messages are nested more than 100 deep"
    } else if text.contains("UTF-8") {
        "a text is not UTF-8"
    } else {
        "the bytes do not have the form of this type"
    }
}

/// What the JSON of a field must be, and what it is. With `in_item`, the JSON is an item of a list or the value of a map's
/// entry.
pub(super) fn mismatch(field: &FieldDescriptor, json: &Value, in_item: bool) -> String {
    if !in_item && field.is_list() && !json.is_array() {
        return format!("expected a list, found {}", found(json));
    }
    if !in_item && field.is_map() && !json.is_object() {
        return format!("expected an object, found {}", found(json));
    }
    let kind = match (field.kind(), field.is_map()) {
        (Kind::Message(entry), true) => entry.map_entry_value_field().kind(),
        (kind, _) => kind,
    };
    let what = expected(&kind);
    match fits(&kind, json) {
        true => format!("not {what}"),
        false => format!("expected {what}, found {}", found(json)),
    }
}

/// What the JSON of a message must be, and what it is.
pub(super) fn message_mismatch(kind: &MessageDescriptor, json: &Value) -> String {
    let kind = Kind::Message(kind.clone());
    match fits(&kind, json) {
        true => format!("not {}", expected(&kind)),
        false => format!("expected {}, found {}", expected(&kind), found(json)),
    }
}

/// Whether the JSON has the right type, so that only its content is wrong.
fn fits(kind: &Kind, json: &Value) -> bool {
    match kind {
        Kind::String | Kind::Bytes | Kind::Enum(_) => json.is_string(),
        Kind::Message(kind) if kind.package_name() == "google.protobuf" => true,
        Kind::Message(_) => json.is_object(),
        _ => json.is_number(),
    }
}

fn expected(kind: &Kind) -> String {
    let text = match kind {
        Kind::Double | Kind::Float => "a number",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a whole number of 32 bits",
        Kind::Uint32 | Kind::Fixed32 => "a positive whole number of 32 bits",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a whole number of 64 bits",
        Kind::Uint64 | Kind::Fixed64 => "a positive whole number of 64 bits",
        Kind::Bool => "true or false",
        Kind::String => "a string",
        Kind::Bytes => "a string of base64",
        Kind::Enum(kind) => return name_of(kind),
        Kind::Message(kind) if kind.package_name() == "google.protobuf" => {
            return format!("a {} in its JSON form", kind.full_name());
        }
        Kind::Message(kind) => return format!("an object with the fields of {}", kind.full_name()),
    };
    text.to_owned()
}

fn name_of(kind: &EnumDescriptor) -> String {
    const MAX_NAMES: usize = 8;
    let names: Vec<String> = kind.values().take(MAX_NAMES).map(|value| value.name().to_owned()).collect();
    let more = if kind.values().len() > MAX_NAMES { ", …" } else { "" };
    format!("a name of the enum {}: {}{more}", kind.full_name(), names.join(", "))
}

fn found(json: &Value) -> &'static str {
    match json {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
