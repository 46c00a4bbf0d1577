//! What the library's JSON of Google's types lacks: an empty `Any` is `{}`, and the wrappers of floating-point numbers
//! write NaN and infinities as strings. The rules are those of ProtoJSON.

use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MapKey, MessageDescriptor, ReflectMessage, Value as Field};
use serde_json::{Value, json};

use super::wire::{ANY, any_content, inside};

/// Stands for an empty `Any`, which the library can neither write nor read. `google.protobuf.Empty` is in each pool.
const PLACEHOLDER: &str = "kvadm-empty-any/google.protobuf.Empty";

fn is_empty_any(message: &DynamicMessage) -> bool {
    message.descriptor().full_name() == ANY && message.fields().next().is_none()
}

/// Puts a placeholder into each empty `Any`; [`after_serializing`] takes it out of the JSON.
pub(super) fn before_serializing(message: &mut DynamicMessage) {
    if is_empty_any(message) {
        message.set_field_by_name("type_url", Field::String(PLACEHOLDER.to_owned()));
        return;
    }
    if let Some(mut content) = any_content(message) {
        let before = content.clone();
        before_serializing(&mut content);
        if content != before {
            message.set_field_by_name("value", Field::Bytes(content.encode_to_vec().into()));
        }
        return;
    }
    each_nested(message, &mut before_serializing);
}

/// Takes the placeholder out again, after the JSON was parsed as this message.
pub(super) fn after_parsing(message: &mut DynamicMessage) {
    if message.descriptor().full_name() == ANY {
        if message.get_field_by_name("type_url").is_some_and(|url| url.as_str() == Some(PLACEHOLDER)) {
            message.take_fields().for_each(drop);
        } else if let Some(mut content) = any_content(message) {
            let before = content.clone();
            after_parsing(&mut content);
            if content != before {
                message.set_field_by_name("value", Field::Bytes(content.encode_to_vec().into()));
            }
        }
        return;
    }
    each_nested(message, &mut after_parsing);
}

fn each_nested(message: &mut DynamicMessage, change: &mut dyn FnMut(&mut DynamicMessage)) {
    for (_, value) in message.fields_mut() {
        match value {
            Field::Message(inner) => change(inner),
            Field::List(items) => items.iter_mut().filter_map(Field::as_message_mut).for_each(&mut *change),
            Field::Map(entries) => entries.values_mut().filter_map(Field::as_message_mut).for_each(&mut *change),
            _ => {}
        }
    }
}

/// Completes the JSON of a message that went through [`before_serializing`].
pub(super) fn after_serializing(message: &DynamicMessage, json: &mut Value) {
    let kind = message.descriptor();
    match kind.full_name() {
        "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" if json.is_null() => {
            let number = message.get_field_by_name("value");
            let number = number.and_then(|value| value.as_f64().or_else(|| value.as_f32().map(f64::from)));
            *json = Value::from(match number {
                Some(number) if number == f64::INFINITY => "Infinity",
                Some(number) if number == f64::NEG_INFINITY => "-Infinity",
                _ => "NaN",
            });
            return;
        }
        ANY if json.get("@type").is_some_and(|url| url == PLACEHOLDER) => {
            *json = json!({});
            return;
        }
        ANY => {
            // Google's types are in a field of their own, the fields of others lie beside '@type'.
            let Some(content) = any_content(message) else { return };
            match json.get_mut("value").filter(|_| content.descriptor().package_name() == "google.protobuf") {
                Some(inner) => after_serializing(&content, inner),
                None => after_serializing(&content, json),
            }
            return;
        }
        _ => {}
    }
    for (field, value) in message.fields() {
        let Some(slot) = json.get_mut(field.name()) else { continue };
        match value {
            Field::Message(inner) => after_serializing(inner, slot),
            Field::List(items) => {
                for (item, slot) in items.iter().zip(slot.as_array_mut().into_iter().flatten()) {
                    item.as_message().into_iter().for_each(|inner| after_serializing(inner, slot));
                }
            }
            Field::Map(entries) => {
                for (key, item) in entries {
                    let (Some(inner), Some(slot)) = (item.as_message(), slot.get_mut(map_key(key))) else { continue };
                    after_serializing(inner, slot);
                }
            }
            _ => {}
        }
    }
}

/// A map's key in JSON.
fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// Puts the placeholder where the JSON has `{}` for an `Any`.
pub(super) fn before_parsing(kind: &MessageDescriptor, json: &mut Value) {
    if kind.full_name() == ANY {
        if json.as_object().is_some_and(serde_json::Map::is_empty) {
            *json = json!({"@type": PLACEHOLDER, "value": {}});
            return;
        }
        let url = json.get("@type").and_then(Value::as_str).and_then(|url| url.rsplit('/').next());
        if let Some(content) = url.and_then(|name| kind.parent_pool().get_message_by_name(name)) {
            before_parsing(&content, json);
        }
        return;
    }
    for (name, value) in json.as_object_mut().into_iter().flatten() {
        let field = kind.get_field_by_name(name).or_else(|| kind.get_field_by_json_name(name));
        let Some((field, inner)) = field.and_then(|field| Some((field.clone(), inside(&field)?))) else { continue };
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| before_parsing(&inner, item)),
            Value::Object(entries) if field.is_map() => {
                entries.values_mut().for_each(|item| before_parsing(&inner, item));
            }
            other => before_parsing(&inner, other),
        }
    }
}
