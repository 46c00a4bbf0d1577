//! What a value of a Kubernetes API server is: an envelope, JSON, encrypted, or something else.
//!
//! The formats are those of k8s.io/apimachinery: `runtime.Unknown` and `ObjectMeta` (their `generated.proto`), and the
//! prefixes of `pkg/runtime/serializer/protobuf` and `.../cbor`; and of k8s.io/apiserver's `pkg/storage/value`.

use std::collections::BTreeMap;

use prost_reflect::prost::{self, Message as _};
use prost_reflect::prost_types::Timestamp;
use serde_json::{Map, Value};

use super::super::text::{broken, shown};
use super::object::StoredObject;

/// Begins an envelope.
const PROTOBUF: &[u8] = b"k8s\0";
/// Begins an encrypted value; the provider, its version and the name of the key follow, each with a colon.
const ENCRYPTED: &[u8] = b"k8s:enc:";
/// Begins a CBOR value: the tag of self-described CBOR (RFC 8949, 3.4.6).
const CBOR: &[u8] = b"\xd9\xd9\xf7";

/// A value by its first bytes.
pub(super) enum StoredValue {
    /// An object in an envelope.
    Object(StoredObject),
    /// A JSON object. As in Kubernetes, the first byte decides.
    Json,
    /// Why it is not decoded.
    Other(String),
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_reflect::prost")]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", optional, tag = "2")]
    raw: Option<Vec<u8>>,
    #[prost(string, optional, tag = "3")]
    content_encoding: Option<String>,
    #[prost(string, optional, tag = "4")]
    content_type: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_reflect::prost")]
struct TypeMeta {
    #[prost(string, optional, tag = "1")]
    api_version: Option<String>,
    #[prost(string, optional, tag = "2")]
    kind: Option<String>,
}

/// Every object has its metadata in field 1, if it has any.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_reflect::prost")]
struct AnyObject {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_reflect::prost")]
struct ObjectMeta {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(string, tag = "5")]
    uid: String,
    #[prost(message, optional, tag = "8")]
    creation_timestamp: Option<Timestamp>,
    /// The entries of a map.
    #[prost(message, repeated, tag = "11")]
    labels: Vec<Label>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_reflect::prost")]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Tells what the value is.
pub(super) fn classify(value: &[u8]) -> StoredValue {
    if let Some(envelope) = value.strip_prefix(PROTOBUF) {
        return open(envelope).map_or_else(StoredValue::Other, StoredValue::Object);
    }
    if value.is_empty() {
        return StoredValue::Other("it is empty, and not a Kubernetes object".to_owned());
    }
    if let Some(rest) = value.strip_prefix(ENCRYPTED) {
        return StoredValue::Other(encrypted(rest));
    }
    if value.starts_with(CBOR) {
        return StoredValue::Other("it is CBOR, which kvadm does not decode".to_owned());
    }
    if value.trim_ascii_start().starts_with(b"{") {
        return StoredValue::Json;
    }
    StoredValue::Other(
        "it is not a Kubernetes object: it begins neither like a protobuf envelope nor like JSON".to_owned(),
    )
}

fn open(envelope: &[u8]) -> Result<StoredObject, String> {
    let unknown =
        Unknown::decode(envelope).map_err(|error| format!("not a valid Kubernetes envelope ({})", broken(&error)))?;
    for (field, text) in [("contentEncoding", &unknown.content_encoding), ("contentType", &unknown.content_type)] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            return Err(format!("its envelope has the {field} '{}', which kvadm does not decode", shown(text)));
        }
    }
    let TypeMeta { api_version, kind } = unknown.type_meta.unwrap_or_default();
    match (api_version, kind, unknown.raw) {
        (Some(api_version), Some(kind), Some(raw)) if !api_version.is_empty() && !kind.is_empty() => {
            Ok(StoredObject { api_version, kind, raw })
        }
        _ => Err("not a valid Kubernetes envelope (it lacks apiVersion, kind or the object)".to_owned()),
    }
}

/// The envelope of an object, with all fields, as the API server writes it.
pub(super) fn wrap(object: &StoredObject) -> Vec<u8> {
    let unknown = Unknown {
        type_meta: Some(TypeMeta { api_version: Some(object.api_version.clone()), kind: Some(object.kind.clone()) }),
        raw: Some(object.raw.clone()),
        content_encoding: Some(String::new()),
        content_type: Some(String::new()),
    };
    [PROTOBUF, &unknown.encode_to_vec()].concat()
}

/// Names the provider, its version and its key, and nothing of the data.
fn encrypted(rest: &[u8]) -> String {
    // The longest name that Kubernetes accepts for a provider has 253 bytes; a damaged value may lack a colon.
    const MAX_PART_BYTES: usize = 253;
    let mut parts = rest.splitn(4, |byte| *byte == b':');
    let mut part = || {
        let part = std::str::from_utf8(parts.next()?).ok()?;
        (!part.is_empty() && part.len() <= MAX_PART_BYTES && !part.contains(char::is_control)).then(|| shown(part))
    };
    match (part(), part(), part(), parts.next()) {
        (Some(provider), Some(version), Some(key), Some(_)) => {
            format!("it is encrypted by the API server (provider {provider}, {version}, key {key})")
        }
        _ => "it is encrypted by the API server, by an unknown provider".to_owned(),
    }
}

/// The main fields of the metadata of an encoded object.
///
/// # Errors
/// The bytes are not protobuf, or field 1 is not metadata.
pub(super) fn metadata(raw: &[u8]) -> Result<Map<String, Value>, String> {
    let meta = AnyObject::decode(raw).map_err(|error| broken(&error).to_owned())?.metadata.unwrap_or_default();
    let mut json = Map::new();
    let mut text = |name: &str, text: String| {
        if !text.is_empty() {
            json.insert(name.to_owned(), Value::String(text));
        }
    };
    text("name", meta.name);
    text("namespace", meta.namespace);
    text("uid", meta.uid);
    if let Some(time) = meta.creation_timestamp {
        text("creationTimestamp", Timestamp { nanos: 0, ..time }.to_string());
    }
    if !meta.labels.is_empty() {
        let labels: BTreeMap<String, String> = meta.labels.into_iter().map(|label| (label.name, label.value)).collect();
        let labels = labels.into_iter().map(|(name, value)| (name, Value::String(value)));
        json.insert("labels".to_owned(), Value::Object(labels.collect()));
    }
    Ok(json)
}
