//! Deterministic encoding of messages.
//!
//! Protobuf does not define the order of map entries, and prost-reflect keeps them in a hash map. Here they are sorted by
//! key, and each entry has its key and value even if they are defaults, like the deterministic output of Go and C++.

use prost_reflect::Value as Field;
use prost_reflect::prost::Message as _;
use prost_reflect::prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{
    Cardinality, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};

pub(super) const ANY: &str = "google.protobuf.Any";

/// The bytes of the message.
pub(super) fn bytes(message: &DynamicMessage) -> Vec<u8> {
    let open = |message: &DynamicMessage| {
        message.descriptor().full_name() == ANY || message.fields().any(|(field, _)| field.is_map())
    };
    if holds(message, &open) { ordered(message) } else { message.encode_to_vec() }
}

fn ordered(message: &DynamicMessage) -> Vec<u8> {
    if message.descriptor().full_name() == ANY {
        return any(message).unwrap_or_else(|| message.encode_to_vec());
    }
    let mut out = Vec::new();
    // Fields that need no care are encoded together.
    let mut plain_fields = DynamicMessage::new(message.descriptor());
    let flush = |out: &mut Vec<u8>, plain_fields: &mut DynamicMessage| {
        if plain_fields.fields().next().is_some() {
            out.extend_from_slice(&plain_fields.encode_to_vec());
            *plain_fields = DynamicMessage::new(message.descriptor());
        }
    };
    for (field, value) in message.fields() {
        let number = field.number();
        let is_message = matches!(field.kind(), Kind::Message(_)) && !field.is_group();
        if !is_message {
            plain_fields.set_field(&field, value.clone());
            continue;
        }
        flush(&mut out, &mut plain_fields);
        match value {
            Value::Map(entries) => {
                let mut entries: Vec<(&MapKey, &Value)> = entries.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                for (key, value) in entries {
                    delimited(&mut out, number, &entry(&field, key, value));
                }
            }
            Value::Message(inner) => delimited(&mut out, number, &bytes(inner)),
            Value::List(items) => {
                for inner in items.iter().filter_map(Value::as_message) {
                    delimited(&mut out, number, &bytes(inner));
                }
            }
            plain => alone(&mut out, message, &field, plain.clone()),
        }
    }
    flush(&mut out, &mut plain_fields);
    if message.extensions().next().is_some() {
        let mut rest = message.clone();
        rest.take_fields().for_each(drop);
        out.extend_from_slice(&rest.encode_to_vec());
    }
    out
}

fn delimited(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Encodes one field as a message without other fields.
fn alone(out: &mut Vec<u8>, like: &DynamicMessage, field: &FieldDescriptor, value: Value) {
    let mut message = DynamicMessage::new(like.descriptor());
    message.set_field(field, value);
    out.extend_from_slice(&message.encode_to_vec());
}

fn entry(field: &FieldDescriptor, key: &MapKey, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let Kind::Message(kind) = field.kind() else { return out };
    let empty = DynamicMessage::new(kind.clone());
    for (part, value) in
        [(kind.map_entry_key_field(), Value::from(key.clone())), (kind.map_entry_value_field(), value.clone())]
    {
        if let Value::Message(inner) = &value {
            delimited(&mut out, part.number(), &bytes(inner));
            continue;
        }
        let before = out.len();
        alone(&mut out, &empty, &part, value);
        if out.len() == before {
            let wire = part.kind().wire_type();
            encode_key(part.number(), wire, &mut out);
            let zeros = match wire {
                WireType::SixtyFourBit => 8,
                WireType::ThirtyTwoBit => 4,
                _ => 1,
            };
            out.extend(std::iter::repeat_n(0, zeros));
        }
    }
    out
}

/// The message in an `Any`; `None` if its type is unknown, or the message is no `Any`.
pub(super) fn any_content(message: &DynamicMessage) -> Option<DynamicMessage> {
    if message.descriptor().full_name() != ANY {
        return None;
    }
    let url = message.get_field_by_name("type_url")?;
    let name = url.as_str()?.rsplit('/').next()?;
    let kind = message.descriptor().parent_pool().get_message_by_name(name)?;
    let value = message.get_field_by_name("value")?;
    DynamicMessage::decode(kind, value.as_bytes()?.clone()).ok()
}

/// Encodes an `Any` with its message in order as well; `None` if its type is unknown.
fn any(message: &DynamicMessage) -> Option<Vec<u8>> {
    let inner = any_content(message)?;
    let mut whole = message.clone();
    whole.set_field_by_name("value", Value::Bytes(bytes(&inner).into()));
    Some(whole.encode_to_vec())
}

/// The message type of a field, of its list entries or of its map values.
pub(super) fn inside(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let kind = field.kind();
    let kind = kind.as_message()?;
    if field.is_map() { kind.map_entry_value_field().kind().as_message().cloned() } else { Some(kind.clone()) }
}

/// The messages in the fields of a message, in lists and in maps.
fn nested(message: &DynamicMessage) -> Vec<&DynamicMessage> {
    let mut all = Vec::new();
    for (_, value) in message.fields() {
        match value {
            Field::Message(inner) => all.push(inner),
            Field::List(items) => all.extend(items.iter().filter_map(Field::as_message)),
            Field::Map(entries) => all.extend(entries.values().filter_map(Field::as_message)),
            _ => {}
        }
    }
    all
}

/// Whether messages are nested deeper than this. The library bounds the depth of a message, but not that of messages in
/// `Any`, each of which is decoded by itself.
pub(super) fn is_deeper(message: &DynamicMessage, limit: usize) -> bool {
    let Some(left) = limit.checked_sub(1) else { return true };
    match any_content(message) {
        Some(content) => is_deeper(&content, left),
        None => nested(message).into_iter().any(|inner| is_deeper(inner, left)),
    }
}

/// A required field (proto2) that the message or a nested one lacks.
pub(super) fn missing_field(message: &DynamicMessage) -> Option<String> {
    let kind = message.descriptor();
    let is_missing =
        |field: &FieldDescriptor| field.cardinality() == Cardinality::Required && !message.has_field(field);
    if let Some(field) = kind.fields().find(is_missing) {
        return Some(format!("the required field {} of {} is missing", field.name(), kind.full_name()));
    }
    match any_content(message) {
        Some(content) => missing_field(&content),
        None => nested(message).into_iter().find_map(missing_field),
    }
}

/// Whether the message or a nested one fulfils the predicate.
pub(super) fn holds(message: &DynamicMessage, predicate: &dyn Fn(&DynamicMessage) -> bool) -> bool {
    predicate(message) || nested(message).into_iter().any(|inner| holds(inner, predicate))
}
