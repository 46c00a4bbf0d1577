//! Messages as JSON in a fixed order, and the field that does not match a message type.

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage, SerializeOptions};
use serde_json::{Value, json};

use super::well_known::{after_parsing, after_serializing, before_parsing, before_serializing};
use super::wire::inside;

/// The message as JSON: fields in their declared order, maps by key.
pub(super) fn of(message: &DynamicMessage) -> Result<Value, String> {
    let mut text = serde_json::Serializer::new(Vec::new());
    let options = SerializeOptions::new().use_proto_field_name(true);
    let mut complete = message.clone();
    before_serializing(&mut complete);
    complete.serialize_with_options(&mut text, &options).map_err(|error| error.to_string())?;
    // Through text, because a 32-bit float then has no more digits than it needs.
    let mut json = serde_json::from_slice(&text.into_inner()).map_err(|error| error.to_string())?;
    after_serializing(&complete, &mut json);
    order(&message.descriptor(), &mut json);
    Ok(json)
}

/// Parses JSON as a message. Fields may have either of their names.
pub(super) fn parse(kind: &MessageDescriptor, json: &Value) -> Result<DynamicMessage, String> {
    let mut json = json.clone();
    before_parsing(kind, &mut json);
    let mut message = DynamicMessage::deserialize(kind.clone(), json).map_err(|error| error.to_string())?;
    after_parsing(&mut message);
    Ok(message)
}

/// Whether it is one of Google's types, which have their own JSON form.
fn is_well_known(kind: &MessageDescriptor) -> bool {
    kind.package_name() == "google.protobuf"
}

fn order(kind: &MessageDescriptor, json: &mut Value) {
    if is_well_known(kind) {
        json.sort_all_objects();
        return;
    }
    for (name, value) in json.as_object_mut().into_iter().flatten() {
        let Some(field) = kind.get_field_by_name(name) else { continue };
        if let Value::Object(entries) = value
            && field.is_map()
        {
            entries.sort_keys();
        }
        let Some(inner) = inside(&field) else { continue };
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| order(&inner, item)),
            Value::Object(entries) if field.is_map() => entries.values_mut().for_each(|item| order(&inner, item)),
            other => order(&inner, other),
        }
    }
}

/// Adds the path of the field that does not match.
pub(super) fn blame(kind: &MessageDescriptor, json: &Value, why: String) -> String {
    match locate(kind, json) {
        Some((path, why)) if !path.is_empty() => format!("field {path}: {why}"),
        _ => why,
    }
}

/// The path and the error of the first field that does not match, found by parsing each field alone.
fn locate(kind: &MessageDescriptor, json: &Value) -> Option<(String, String)> {
    let whole = parse(kind, json).err()?;
    for (name, value) in json.as_object().filter(|_| !is_well_known(kind)).into_iter().flatten() {
        let Err(why) = parse(kind, &json!({ name: value })) else { continue };
        let found = kind.get_field_by_name(name).or_else(|| kind.get_field_by_json_name(name));
        return Some(match found {
            Some(field) => within(&field, name, value, why),
            None => (name.clone(), format!("{} has no such field", kind.full_name())),
        });
    }
    Some((String::new(), whole))
}

fn within(field: &FieldDescriptor, name: &str, value: &Value, why: String) -> (String, String) {
    let items: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(n, item)| (format!("{name}[{n}]"), item)).collect(),
        Value::Object(entries) if field.is_map() => {
            entries.iter().map(|(key, item)| (format!("{name}[{key:?}]"), item)).collect()
        }
        other => vec![(name.to_owned(), other)],
    };
    let below = inside(field).and_then(|inner| {
        items.iter().find_map(|(path, item)| locate(&inner, item).map(|(below, why)| (join(path, &below), why)))
    });
    below.unwrap_or_else(|| (name.to_owned(), why))
}

fn join(path: &str, below: &str) -> String {
    if below.is_empty() { path.to_owned() } else { format!("{path}.{below}") }
}
