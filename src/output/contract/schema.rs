//! JSON Schemas (draft 2020-12) of the contract, one per verb.

use serde_json::{Map, Value, json};

use super::cluster::ERROR;
use super::names::name;
use super::spec::{FieldSpec, JsonType, Presence, RecordSpec, VerbSpec};

/// The schema of a verb. A line of standard output is valid against the schema itself, one of standard error against its
/// definition `stderr`. Fields that the schema does not know are valid: new ones may be added.
pub fn json_schema(verb: &VerbSpec) -> Value {
    let words = verb.words.join(" ");
    let mut definitions = Map::new();
    for record in verb.stdout.iter().chain(verb.stderr).copied().chain([&ERROR]) {
        define(record, &mut definitions);
    }
    let stderr: Vec<Value> = verb.stderr.iter().copied().chain([&ERROR]).map(reference).collect();
    definitions.insert("stderr".to_owned(), json!({"description": "A line of standard error.", "anyOf": stderr}));
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(format!("kvadm {words} -o json")));
    let about = match verb.stdout {
        [] => "Standard output has no JSON: no line is valid.",
        _ => "A line of standard output. New fields may be added.",
    };
    schema.insert("description".to_owned(), json!(about));
    match verb.stdout {
        [] => schema.insert("not".to_owned(), json!({})),
        records => {
            schema.insert("anyOf".to_owned(), records.iter().map(|record| reference(record)).collect::<Vec<_>>().into())
        }
    };
    schema.insert("$defs".to_owned(), definitions.into());
    schema.into()
}

fn reference(record: &RecordSpec) -> Value {
    json!({"$ref": format!("#/$defs/{}", record.id)})
}

fn define(record: &RecordSpec, definitions: &mut Map<String, Value>) {
    if definitions.contains_key(record.id) {
        return;
    }
    let mut schema = Map::new();
    let title = if record.title.is_empty() { record.id } else { record.title };
    schema.insert("title".to_owned(), json!(title));
    if !record.about.is_empty() {
        schema.insert("description".to_owned(), json!(record.about));
    }
    schema.insert("type".to_owned(), json!("object"));
    let mut properties = Map::new();
    let (mut required, mut either) = (Vec::new(), Vec::new());
    for field in record.fields {
        properties.extend(field_properties(field));
        if field.presence == Presence::Optional {
            continue;
        }
        match field_type(field) {
            JsonType::Bytes | JsonType::Message => either.push(json!({
                "oneOf": [{"required": [field.name]}, {"required": [format!("{}_base64", field.name)]}]
            })),
            _ => required.push(field.name),
        }
    }
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("required".to_owned(), json!(required));
    if !either.is_empty() {
        schema.insert("allOf".to_owned(), either.into());
    }
    definitions.insert(record.id.to_owned(), schema.into());
    record.fields.iter().filter_map(|field| field.holds).for_each(|inner| define(inner, definitions));
}

fn field_type(field: &FieldSpec) -> JsonType {
    field.kind.or_else(|| name(field.name).map(|entry| entry.kind)).unwrap_or(JsonType::Facts)
}

/// The properties of a field: one, or as many as forms of its bytes.
fn field_properties(field: &FieldSpec) -> Vec<(String, Value)> {
    let about = if field.about.is_empty() { name(field.name).map_or("", |entry| entry.about) } else { field.about };
    let mut schema = match field_type(field) {
        JsonType::Bytes | JsonType::Text => json!({"type": "string"}),
        JsonType::Message => json!({"type": ["string", "object"]}),
        JsonType::Id => json!({"type": "string", "pattern": "^[0-9a-f]+$"}),
        JsonType::Int => json!({"type": "integer"}),
        JsonType::Number => json!({"type": "number"}),
        JsonType::Bool => json!({"type": "boolean"}),
        JsonType::Texts => json!({"type": "array", "items": {"type": "string"}}),
        JsonType::Facts => json!({"type": "object"}),
        JsonType::Object => field.holds.map_or_else(|| json!({}), reference),
        JsonType::Objects => json!({"type": "array", "items": field.holds.map_or_else(|| json!({}), reference)}),
    };
    if !field.values.is_empty() {
        schema["enum"] = json!(field.values);
    }
    if !about.is_empty() {
        schema["description"] = json!(about);
    }
    let mut properties = vec![(field.name.to_owned(), schema)];
    if matches!(field_type(field), JsonType::Bytes | JsonType::Message) {
        let encoded = json!({
            "type": "string",
            "contentEncoding": "base64",
            "description": format!("instead of {}, if the bytes are not UTF-8", field.name),
        });
        properties.push((format!("{}_base64", field.name), encoded));
    }
    if field_type(field) == JsonType::Message {
        let decoded = json!({
            "type": "object",
            "description": format!("the message beside {}, if encoding the message gives other bytes", field.name),
        });
        properties.push((format!("{}_decoded", field.name), decoded));
    }
    properties
}
