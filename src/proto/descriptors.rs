//! Compiled descriptor sets, and values that are one message of them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

use super::text::broken;
use super::traits::Traits;
use super::{json, wire};

/// The depth of nested messages, those in `Any` included; protobuf's libraries use 100.
const MAX_DEPTH: usize = 100;

/// One message type of a descriptor set.
#[derive(Clone, Debug)]
pub struct Message {
    kind: MessageDescriptor,
    /// Computed for the first value.
    traits: Arc<OnceLock<Traits>>,
}

/// A decoded value.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The message as JSON.
    pub json: Value,
    /// Whether [`Codec::encode`] gives the same bytes.
    pub exact: bool,
    /// What the JSON lacks, for a warning.
    pub missing: Option<String>,
    /// Why encoding a change of the JSON would lose or change something else.
    pub fixed: Option<String>,
}

/// A compiled descriptor set (`protoc --include_imports -o FILE`).
#[derive(Clone, Debug)]
pub struct Descriptors(pub(super) DescriptorPool);

impl Descriptors {
    /// Parses a serialized `google.protobuf.FileDescriptorSet`. It may lack Google's well-known types.
    ///
    /// # Errors
    /// An invalid, incomplete or empty set, or an unsupported syntax.
    pub fn parse(set: &[u8]) -> Result<Self, String> {
        check_syntax(set)?;
        let whole = DescriptorPool::decode(set);
        let pool = whole.or_else(|error| {
            let mut pool = DescriptorPool::global();
            pool.decode_file_descriptor_set(set).map(|()| pool).map_err(|_| error)
        });
        match pool {
            Ok(pool) if pool.all_messages().len() == 0 => Err("not a descriptor set: it defines no message".to_owned()),
            Ok(pool) => Ok(Self(with_empty(pool))),
            Err(error) => Err(format!("not a complete descriptor set: {error}")),
        }
    }

    /// The message with this full name.
    ///
    /// # Errors
    /// An unknown name, with a suggestion if another package has it.
    pub fn message(&self, name: &str) -> Result<Message, String> {
        if let Some(found) = self.0.get_message_by_name(name.trim_start_matches('.')) {
            return Ok(Message::new(found));
        }
        let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_lowercase();
        let near = self.0.all_messages().find(|message| last(message.full_name()) == last(name));
        Err(match near {
            Some(near) => format!("it has no message {name}; did you mean {}?", near.full_name()),
            None => format!("it has no message {name}"),
        })
    }
}

/// The pool with `google.protobuf.Empty`, which [`well_known`] needs.
fn with_empty(mut pool: DescriptorPool) -> DescriptorPool {
    const EMPTY: &str = "google/protobuf/empty.proto";
    if let Some(file) = DescriptorPool::global().get_file_by_name(EMPTY)
        && pool.get_file_by_name(EMPTY).is_none()
    {
        // The pool stays as it is if it has another message of this name.
        let _ = pool.add_file_descriptor_proto(file.file_descriptor_proto().clone());
    }
    pool
}

/// Rejects files with a syntax that the library does not support, such as protobuf editions, for which it would panic.
/// Bytes that are not a descriptor set pass.
fn check_syntax(set: &[u8]) -> Result<(), String> {
    let files = FileDescriptorSet::decode(set).unwrap_or_default().file;
    match files.iter().find(|file| !matches!(file.syntax.as_deref(), None | Some("proto2" | "proto3"))) {
        None => Ok(()),
        Some(file) => Err(format!(
            "its file {} has the unsupported syntax '{}'; only proto2 and proto3 are supported",
            file.name(),
            file.syntax().escape_debug()
        )),
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.full_name())
    }
}

impl Message {
    pub(super) fn new(kind: MessageDescriptor) -> Self {
        Self { kind, traits: Arc::default() }
    }

    pub(super) fn kind(&self) -> &MessageDescriptor {
        &self.kind
    }

    fn traits(&self) -> Traits {
        *self.traits.get_or_init(|| Traits::of(&self.kind))
    }

    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Decoded, String> {
        let message = DynamicMessage::decode(self.kind.clone(), bytes)
            .map_err(|error| format!("not a valid {self} ({})", broken(&error)))?;
        let traits = self.traits();
        if traits.is_plain {
            return self.decode_plain(&message, bytes);
        }
        if wire::is_deeper(&message, MAX_DEPTH) {
            return Err(format!("not a valid {self}: messages are nested more than {MAX_DEPTH} deep"));
        }
        if let Some(missing) = wire::missing_field(&message) {
            return Err(format!("not a valid {self}: {missing}"));
        }
        let json = json::of(&message).map_err(|_| format!("not a valid {self}: it has no JSON form"))?;
        // A JSON string would be read back as the value's own bytes, and extensions have no fixed order.
        let extended = |message: &DynamicMessage| message.extensions().next().is_some();
        let again = json::parse(&self.kind, &json).map(|again| wire::bytes(&again));
        let exact = json.is_object() && !wire::holds(&message, &extended) && again.is_ok_and(|again| again == bytes);
        Ok(self.decoded(json, exact, has_unknown(&message)))
    }

    /// A message whose JSON always stands for itself, so that it need not be parsed to know that.
    fn decode_plain(&self, message: &DynamicMessage, bytes: &[u8]) -> Result<Decoded, String> {
        let json = json::of_plain(message).map_err(|_| format!("not a valid {self}: it has no JSON form"))?;
        let has_unknown = has_unknown(message);
        let exact = json.is_object() && !has_unknown && wire::bytes(message) == bytes;
        Ok(self.decoded(json, exact, has_unknown))
    }

    fn decoded(&self, json: Value, exact: bool, has_unknown: bool) -> Decoded {
        let lacks = has_unknown.then(|| format!("it has fields that are unknown to {self}"));
        let missing = lacks.as_ref().map(|lacks| format!("{lacks}: these fields are not shown"));
        Decoded { json, exact, missing, fixed: lacks.map(|lacks| format!("{lacks} and would be lost")) }
    }

    pub(super) fn encode(&self, json: &Value) -> Result<Vec<u8>, String> {
        match json::parse(&self.kind, json) {
            Ok(message) => match wire::missing_field(&message) {
                Some(missing) => Err(format!("not a valid {self}: {missing}")),
                None => Ok(wire::bytes(&message)),
            },
            Err(_) => Err(format!("not a valid {self}: {}", json::blame(&self.kind, json))),
        }
    }
}

fn has_unknown(message: &DynamicMessage) -> bool {
    wire::holds(message, &|message| message.unknown_fields().next().is_some())
}
