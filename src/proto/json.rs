//! Messages as JSON in a fixed order, and the field that does not match a message type.

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage, SerializeOptions};
use serde_json::{Value, json};

use super::text::{message_mismatch, mismatch, shown};
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

/// [`of`] for a message that has neither types of Google nor floating-point numbers.
pub(super) fn of_plain(message: &DynamicMessage) -> Result<Value, String> {
    let options = SerializeOptions::new().use_proto_field_name(true);
    let json = message.serialize_with_options(serde_json::value::Serializer, &options);
    let mut json = json.map_err(|error| error.to_string())?;
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

/// The path of the field that does not match, and what it must be. The field's value may be a secret and is not repeated.
pub(super) fn blame(kind: &MessageDescriptor, json: &Value) -> String {
    match locate(kind, json) {
        Some((path, why)) if !path.is_empty() => format!("field {path}: {why}"),
        Some((_, why)) => why,
        None => "its fields do not match".to_owned(),
    }
}

/// The path and the error of the first field that does not match, found by parsing each field alone.
fn locate(kind: &MessageDescriptor, json: &Value) -> Option<(String, String)> {
    parse(kind, json).err()?;
    for (name, value) in json.as_object().filter(|_| !is_well_known(kind)).into_iter().flatten() {
        if parse(kind, &json!({ name: value })).is_ok() {
            continue;
        }
        let found = kind.get_field_by_name(name).or_else(|| kind.get_field_by_json_name(name));
        return Some(match found {
            Some(field) => within(&field, name, value),
            None => (shown(name), format!("{} has no such field", kind.full_name())),
        });
    }
    let is_whole = json.is_object() && !is_well_known(kind);
    let why = if is_whole { "its fields exclude each other".to_owned() } else { message_mismatch(kind, json) };
    Some((String::new(), why))
}

fn within(field: &FieldDescriptor, name: &str, value: &Value) -> (String, String) {
    let (items, in_item): (Vec<(String, &Value)>, bool) = match value {
        Value::Array(items) if field.is_list() => {
            (items.iter().enumerate().map(|(n, item)| (format!("{name}[{n}]"), item)).collect(), true)
        }
        Value::Object(entries) if field.is_map() => {
            (entries.iter().map(|(key, item)| (format!("{name}[{key:?}]"), item)).collect(), true)
        }
        other => (vec![(name.to_owned(), other)], false),
    };
    if let Some(inner) = inside(field) {
        let below =
            items.iter().find_map(|(path, item)| locate(&inner, item).map(|(below, why)| (join(path, &below), why)));
        return below.unwrap_or_else(|| (name.to_owned(), mismatch(field, value, false)));
    }
    let one = |(path, item): &(String, &Value)| {
        let alone = match in_item {
            true if field.is_list() => json!({ name: [item] }),
            true => json!({ name: { "": item } }),
            false => json!({ name: item }),
        };
        parse(field.parent_message(), &alone).err().map(|_| (path.clone(), mismatch(field, item, in_item)))
    };
    items.iter().find_map(one).unwrap_or_else(|| (name.to_owned(), mismatch(field, value, false)))
}

fn join(path: &str, below: &str) -> String {
    if below.is_empty() { path.to_owned() } else { format!("{path}.{below}") }
}
