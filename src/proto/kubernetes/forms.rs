//! The types that Kubernetes writes in JSON in another form than protobuf does, at any depth of an object.
//!
//! A form is used only if it stands for exactly the same message; otherwise protobuf's own stays. The forms are those of
//! the `MarshalJSON` methods in k8s.io/apimachinery.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::MessageDescriptor;
use prost_reflect::prost_types::Timestamp;
use serde_json::{Value, json};

use super::super::wire::inside;

const TIME: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.Time";
const MICRO_TIME: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime";
const FIELDS: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1";
const QUANTITY: &str = "k8s.io.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "k8s.io.apimachinery.pkg.util.intstr.IntOrString";

/// Puts Kubernetes' forms in place of protobuf's. `false` if [`expand`] would not give the same message.
pub(super) fn shorten(kind: &MessageDescriptor, json: &mut Value) -> bool {
    let mut is_reversible = true;
    convert(kind, json, &mut |name, json| {
        if let Some(short) = short(name, json)
            && long(name, &short).as_ref() == Some(json)
        {
            return Some(short);
        }
        is_reversible &= long(name, json).is_none_or(|long| long == *json);
        None
    });
    is_reversible
}

/// Puts protobuf's forms in place of Kubernetes'. Protobuf's own forms stay.
pub(super) fn expand(kind: &MessageDescriptor, json: &mut Value) {
    convert(kind, json, &mut long);
}

/// The first value that is neither in Kubernetes' form nor in protobuf's, with its path and what it must be.
pub(super) fn misfit(kind: &MessageDescriptor, json: &Value) -> Option<String> {
    let mut path = Vec::new();
    let expected = misfit_below(kind, json, &mut path)?;
    Some(format!("field {}: expected {expected}", path.concat().trim_start_matches('.')))
}

fn misfit_below(kind: &MessageDescriptor, json: &Value, path: &mut Vec<String>) -> Option<&'static str> {
    let name = kind.full_name();
    if let Some(form) = form_of(name) {
        let fits = json.is_object() || json.is_null() || long(name, json).is_some();
        return (!fits).then_some(form);
    }
    let mut search = |kind: &MessageDescriptor, json: &Value, step: String| {
        path.push(step);
        let found = misfit_below(kind, json, path);
        if found.is_none() {
            path.pop();
        }
        found
    };
    for (name, value) in json.as_object().into_iter().flatten() {
        let field = kind.get_field_by_name(name).or_else(|| kind.get_field_by_json_name(name));
        let Some((field, inner)) = field.and_then(|field| Some((field.clone(), inside(&field)?))) else { continue };
        let found = match value {
            Value::Array(items) => {
                items.iter().zip(0..).find_map(|(item, n): (_, usize)| search(&inner, item, format!(".{name}[{n}]")))
            }
            Value::Object(entries) if field.is_map() => {
                entries.iter().find_map(|(key, item)| search(&inner, item, format!(".{name}[{key:?}]")))
            }
            other => search(&inner, other, format!(".{name}")),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// What the JSON of a message with a form of its own must be.
fn form_of(name: &str) -> Option<&'static str> {
    Some(match name {
        TIME => "a time such as \"2026-01-31T12:00:00Z\"",
        MICRO_TIME => "a time such as \"2026-01-31T12:00:00.000000Z\"",
        QUANTITY => "a quantity such as \"128Mi\"",
        INT_OR_STRING => "a number, or a string such as \"25%\"",
        FIELDS => "an object",
        _ => return None,
    })
}

/// Replaces the messages for which there is another form. The depth is that of `json`, which its parser bounds.
fn convert(kind: &MessageDescriptor, json: &mut Value, form: &mut dyn FnMut(&str, &Value) -> Option<Value>) {
    if let Some(other) = form(kind.full_name(), json) {
        *json = other;
        return;
    }
    for (name, value) in json.as_object_mut().into_iter().flatten() {
        let field = kind.get_field_by_name(name).or_else(|| kind.get_field_by_json_name(name));
        let Some((field, inner)) = field.and_then(|field| Some((field.clone(), inside(&field)?))) else { continue };
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| convert(&inner, item, form)),
            Value::Object(entries) if field.is_map() => {
                entries.values_mut().for_each(|item| convert(&inner, item, form));
            }
            other => convert(&inner, other, form),
        }
    }
}

/// Kubernetes' form of a message.
fn short(name: &str, json: &Value) -> Option<Value> {
    let text = |field: &str| json.get(field)?.as_str();
    Some(match name {
        TIME | MICRO_TIME => {
            let seconds: i64 = text("seconds")?.parse().ok()?;
            let nanos = json.get("nanos")?.as_i64().filter(|nanos| (0..1_000_000_000).contains(nanos))?;
            let time = Timestamp { seconds, nanos: 0 }.to_string();
            // RFC 3339 has four digits for the year.
            if time.len() != "0000-00-00T00:00:00Z".len() {
                return None;
            }
            Value::String(match name {
                TIME if nanos == 0 => time,
                MICRO_TIME => format!("{}.{:06}Z", time.strip_suffix('Z')?, nanos.checked_div(1_000)?),
                _ => return None,
            })
        }
        FIELDS => {
            let raw = STANDARD.decode(text("Raw")?).ok()?;
            serde_json::from_slice(&raw).ok().filter(Value::is_object)?
        }
        QUANTITY => Value::String(text("string")?.to_owned()),
        INT_OR_STRING if text("type")? == "0" => json.get("intVal")?.clone(),
        INT_OR_STRING => Value::String(text("strVal")?.to_owned()),
        _ => return None,
    })
}

/// Protobuf's form of a message, as the API server fills its fields; `None` if it is not in Kubernetes' form.
fn long(name: &str, json: &Value) -> Option<Value> {
    Some(match (name, json) {
        (TIME | MICRO_TIME, Value::String(text)) => {
            let time: Timestamp = text.parse().ok()?;
            json!({"seconds": time.seconds.to_string(), "nanos": time.nanos})
        }
        (FIELDS, Value::Object(fields)) if !(fields.len() == 1 && fields.get("Raw").is_some_and(Value::is_string)) => {
            json!({"Raw": STANDARD.encode(serde_json::to_vec(json).ok()?)})
        }
        (QUANTITY, Value::String(text)) => json!({"string": text}),
        (INT_OR_STRING, Value::Number(number)) => json!({"type": "0", "intVal": number, "strVal": ""}),
        (INT_OR_STRING, Value::String(text)) => json!({"type": "1", "intVal": 0, "strVal": text}),
        _ => return None,
    })
}
