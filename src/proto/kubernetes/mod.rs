//! The values of a Kubernetes API server: objects in its protobuf envelope as JSON, and back.
//!
//! With a descriptor set, the JSON has `apiVersion`, `kind` and the fields of the object's message; the types that
//! Kubernetes itself writes in another form than protobuf (times, quantities) have the form of `kubectl`. Without the
//! object's message, it has `apiVersion`, `kind`, the main fields of `metadata`, and the whole stored value as base64 in `raw`.

mod envelope;
mod forms;
mod object;
#[cfg(test)]
mod tests;
mod types;

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use self::envelope::{StoredValue, classify, metadata, wrap};
use self::object::StoredObject;
use self::types::ObjectTypes;
use super::descriptors::{Decoded, Descriptors};

/// Decodes and encodes the objects of a Kubernetes API server.
#[derive(Clone, Debug, Default)]
pub struct Kubernetes {
    /// The messages of the descriptor set, if there is one. Building them takes longer than most commands, of which many
    /// never decode an object.
    types: Option<Arc<LazyTypes>>,
}

type LazyTypes = LazyLock<Result<ObjectTypes, String>, Box<dyn FnOnce() -> Result<ObjectTypes, String> + Send + Sync>>;

impl Kubernetes {
    /// With the messages of a descriptor set, which is read for the first object. If that fails, objects are neither
    /// decoded nor encoded. The default has no set: then only the metadata of objects is decoded.
    pub fn with_set(read: impl FnOnce() -> Result<Descriptors, String> + Send + Sync + 'static) -> Self {
        let types = || read().map(|set| ObjectTypes::of(&set.0));
        Self { types: Some(Arc::new(LazyLock::new(Box::new(types)))) }
    }

    fn types(&self) -> Result<Option<&ObjectTypes>, String> {
        self.types.as_ref().map(|types| LazyLock::force(types).as_ref().map_err(Clone::clone)).transpose()
    }

    /// The object as JSON; `None` if the value is JSON already, as that of a custom resource.
    ///
    /// # Errors
    /// An encrypted value, another format, an invalid envelope, or bytes that are not an object of its type.
    pub(super) fn decode(&self, value: &[u8]) -> Option<Result<Decoded, String>> {
        Some(match classify(value) {
            StoredValue::Json => return None,
            StoredValue::Object(object) => self.decode_object(&object, value),
            StoredValue::Other(why) => Err(why),
        })
    }

    fn decode_object(&self, object: &StoredObject, value: &[u8]) -> Result<Decoded, String> {
        let message = match self.types()?.map(|types| types.find(&object.api_version, &object.kind)) {
            Some(Ok(message)) => message,
            Some(Err(why)) => return generic(object, value, Some(why)),
            None => return generic(object, value, None),
        };
        let inner = message.decode(&object.raw)?;
        let mut short = inner.json;
        let is_reversible = forms::shorten(message.kind(), &mut short);
        let Value::Object(fields) = short else { return Err(format!("not a valid {message}: not an object")) };
        // What Kubernetes::encode does, without encoding the message once more.
        let exact = inner.exact && is_reversible && !fields.contains_key("raw") && wrap(object) == value;
        let mut json = named(object);
        json.extend(fields);
        let json = Value::Object(json);
        let otherwise = "its encoding is not the one that the API server writes, and would change";
        let fixed = inner.fixed.or_else(|| (!exact).then(|| otherwise.to_owned()));
        Ok(Decoded { json, exact, missing: inner.missing, fixed })
    }

    /// The envelope of an object that is JSON in the form of [`Kubernetes::decode`].
    ///
    /// # Errors
    /// No `apiVersion` or `kind`, an object without a known message, or a field that does not match it.
    pub(super) fn encode(&self, json: &Value) -> Result<Vec<u8>, String> {
        let Value::Object(fields) = json else { return Err("not a Kubernetes object: not a JSON object".to_owned()) };
        let mut fields = fields.clone();
        let mut name = |field: &str| match fields.shift_remove(field) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            _ => Err(format!("not a Kubernetes object: it needs the text field {field}")),
        };
        let (api_version, kind) = (name("apiVersion")?, name("kind")?);
        let message = match self.types()? {
            Some(types) => types.find(&api_version, &kind),
            None => Err("the config's proto rule has no descriptor set (file)".to_owned()),
        };
        let object = match (message, fields.get("raw")) {
            (Ok(message), None) => {
                let mut json = Value::Object(fields);
                if let Some(why) = forms::misfit(message.kind(), &json) {
                    return Err(format!("not a valid {message}: {why}"));
                }
                forms::expand(message.kind(), &mut json);
                StoredObject { raw: message.encode(&json)?, api_version, kind }
            }
            (_, Some(raw)) => return from_raw(raw, json),
            (Err(why), None) if types::is_custom(&api_version) => {
                let advice = "custom resources are stored as JSON, which --no-proto writes as it is";
                return Err(format!("{why}; {advice}"));
            }
            (Err(why), None) => return Err(why),
        };
        Ok(wrap(&object))
    }
}

/// `apiVersion` and `kind`.
fn named(object: &StoredObject) -> Map<String, Value> {
    let text = |text: &String| Value::String(text.clone());
    [("apiVersion".to_owned(), text(&object.api_version)), ("kind".to_owned(), text(&object.kind))]
        .into_iter()
        .collect()
}

/// The stored value in the field `raw` of `json`. It is written as it is, so nothing else may say something different.
fn from_raw(raw: &Value, json: &Value) -> Result<Vec<u8>, String> {
    let value = raw.as_str().and_then(|text| STANDARD.decode(text).ok());
    let value = value.ok_or_else(|| "field raw: not valid base64".to_owned())?;
    let StoredValue::Object(object) = classify(&value) else {
        return Err("field raw: not the stored value of a Kubernetes object".to_owned());
    };
    let stored = generic_json(&object, &value).map_err(|why| format!("field raw: not a valid object, {why}"))?;
    if stored.as_object() != json.as_object() {
        return Err("the stored value is in field raw, and the other fields do not match it".to_owned());
    }
    Ok(value)
}

/// The object without its message. `raw` has the whole value: the type is only in the envelope, and a change of the
/// other fields must not get lost.
fn generic_json(object: &StoredObject, value: &[u8]) -> Result<Value, String> {
    let mut json = named(object);
    let metadata = metadata(&object.raw)?;
    if !metadata.is_empty() {
        json.insert("metadata".to_owned(), Value::Object(metadata));
    }
    json.insert("raw".to_owned(), Value::String(STANDARD.encode(value)));
    Ok(Value::Object(json))
}

fn generic(object: &StoredObject, value: &[u8], why: Option<String>) -> Result<Decoded, String> {
    let json = generic_json(object, value).map_err(|invalid| match &why {
        // Some kinds have no metadata.
        Some(why) => format!("{why}, and it has no metadata"),
        None => format!("not a valid Kubernetes object ({invalid})"),
    })?;
    let fixed = why.clone().unwrap_or_else(|| "the config's proto rule has no descriptor set (file)".to_owned());
    Ok(Decoded {
        json,
        exact: true,
        missing: why.map(|why| format!("{why}: only its metadata is decoded")),
        fixed: Some(format!("{fixed}, so that only its metadata is known")),
    })
}
