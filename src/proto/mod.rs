//! Converts protobuf values to JSON and back, by a descriptor set and the key's prefix. It does no I/O.
//!
//! The JSON is protobuf's own mapping (protobuf.dev, "ProtoJSON Format") with the names of the `.proto` file, as Ligato
//! writes it: unset fields are omitted, 64-bit integers are strings, enums are names, bytes are base64.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod json;
mod kubernetes;
mod well_known;
mod wire;

use std::fmt;

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

pub use self::kubernetes::Kubernetes;

/// The depth of nested messages, those in `Any` included; protobuf's libraries use 100.
const MAX_DEPTH: usize = 100;

/// The message types of values, by key prefix. Without rules it decodes nothing.
#[derive(Debug, Default)]
pub struct Codec {
    /// The longest prefix first.
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    prefix: Vec<u8>,
    values: Result<ValueType, String>,
}

/// What the values of a rule are.
#[derive(Debug)]
enum ValueType {
    Message(Message),
    Kubernetes(Kubernetes),
}

/// One message type of a descriptor set.
#[derive(Clone, Debug)]
pub struct Message(MessageDescriptor);

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
pub struct Descriptors(DescriptorPool);

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
            return Ok(Message(found));
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

impl Codec {
    /// Adds a rule: keys with this prefix have values of this message type, or an error if the type is unknown. The
    /// longest prefix wins, and of equal prefixes the first.
    pub fn add(&mut self, prefix: &[u8], message: Result<Message, String>) {
        self.insert(prefix, message.map(ValueType::Message));
    }

    /// Adds a rule as [`Codec::add`]: keys with this prefix have values of a Kubernetes API server.
    pub fn add_kubernetes(&mut self, prefix: &[u8], objects: Result<Kubernetes, String>) {
        self.insert(prefix, objects.map(ValueType::Kubernetes));
    }

    fn insert(&mut self, prefix: &[u8], values: Result<ValueType, String>) {
        let at = self.rules.iter().position(|rule| rule.prefix.len() < prefix.len()).unwrap_or(self.rules.len());
        self.rules.insert(at, Rule { prefix: prefix.to_vec(), values });
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule applies to this key.
    pub fn knows(&self, key: &[u8]) -> bool {
        self.rule(key).is_some()
    }

    /// Whether the value of this key belongs to a Kubernetes API server, which a write of another client bypasses.
    pub fn is_kubernetes(&self, key: &[u8]) -> bool {
        self.rule(key).is_some_and(|rule| matches!(rule.values, Ok(ValueType::Kubernetes(_))))
    }

    fn rule(&self, key: &[u8]) -> Option<&Rule> {
        self.rules.iter().find(|rule| key.starts_with(&rule.prefix))
    }

    /// The value of this key as JSON; `None` if no rule applies, or the value needs no decoding.
    pub fn decode(&self, key: &[u8], value: &[u8]) -> Option<Result<Decoded, String>> {
        match &self.rule(key)?.values {
            Ok(ValueType::Message(message)) => Some(message.decode(value)),
            Ok(ValueType::Kubernetes(objects)) => objects.decode(value),
            Err(why) => Some(Err(why.clone())),
        }
    }

    /// The bytes of this key's value; `None` if no rule applies.
    pub fn encode(&self, key: &[u8], json: &Value) -> Option<Result<Vec<u8>, String>> {
        Some(match &self.rule(key)?.values {
            Ok(ValueType::Message(message)) => message.encode(json),
            Ok(ValueType::Kubernetes(objects)) => objects.encode(json),
            Err(why) => Err(why.clone()),
        })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.full_name())
    }
}

impl Message {
    fn decode(&self, bytes: &[u8]) -> Result<Decoded, String> {
        let message =
            DynamicMessage::decode(self.0.clone(), bytes).map_err(|error| format!("not a valid {self}: {error}"))?;
        if wire::is_deeper(&message, MAX_DEPTH) {
            return Err(format!("not a valid {self}: messages are nested more than {MAX_DEPTH} deep"));
        }
        if let Some(missing) = wire::missing_field(&message) {
            return Err(format!("not a valid {self}: {missing}"));
        }
        let json = json::of(&message).map_err(|error| format!("not a valid {self}: {error}"))?;
        // A JSON string would be read back as the value's own bytes, and extensions have no fixed order.
        let extended = |message: &DynamicMessage| message.extensions().next().is_some();
        let again = json::parse(&self.0, &json).map(|again| wire::bytes(&again));
        let exact = json.is_object() && !wire::holds(&message, &extended) && again.is_ok_and(|again| again == bytes);
        let unknown = |message: &DynamicMessage| message.unknown_fields().next().is_some();
        let lacks = wire::holds(&message, &unknown).then(|| format!("it has fields that are unknown to {self}"));
        let missing = lacks.as_ref().map(|lacks| format!("{lacks}: these fields are not shown"));
        Ok(Decoded { json, exact, missing, fixed: lacks.map(|lacks| format!("{lacks} and would be lost")) })
    }

    fn encode(&self, json: &Value) -> Result<Vec<u8>, String> {
        match json::parse(&self.0, json) {
            Ok(message) => match wire::missing_field(&message) {
                Some(missing) => Err(format!("not a valid {self}: {missing}")),
                None => Ok(wire::bytes(&message)),
            },
            Err(error) => Err(format!("not a valid {self}: {}", json::blame(&self.0, json, error))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{damage, damaged};

    #[test]
    fn a_syntax_that_is_not_known_is_refused() {
        // A set of one file: name 'a', syntax 'editions'.
        let set = [b"\x0a\x0d\x0a\x01a\x62\x08".as_slice(), b"editions"].concat();
        let refused = Descriptors::parse(&set).map(|_| ()).unwrap_err();
        assert_eq!(refused, "its file a has the unsupported syntax 'editions'; only proto2 and proto3 are supported");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Each rule has its own error, which identifies the rule.
        #[test]
        fn the_longest_prefix_wins_and_of_equal_ones_the_first(
            prefixes in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'/'), any::<u8>()], 0..4), 0..8),
            key in proptest::collection::vec(prop_oneof![Just(b'/'), any::<u8>()], 0..6),
            below in any::<prop::sample::Index>(),
        ) {
            let mut codec = Codec::default();
            prefixes.iter().zip(0..).for_each(|(prefix, number)| codec.add(prefix, Err(format!("rule {number}"))));
            let mut keys = vec![key.clone()];
            keys.extend((!prefixes.is_empty()).then(|| [below.get(&prefixes).as_slice(), &key].concat()));
            for key in keys {
                let fitting = (0..prefixes.len()).filter(|number| key.starts_with(&prefixes[*number]));
                let wanted = fitting.max_by_key(|number| (prefixes[*number].len(), usize::MAX - number));
                let said = codec.decode(&key, b"").map(|decoded| decoded.err().unwrap_or_default());
                prop_assert_eq!(said, wanted.map(|number| format!("rule {number}")));
                prop_assert_eq!(codec.knows(&key), wanted.is_some());
            }
        }

        /// Descriptor sets come from files: a damaged set is rejected with a message or is still valid.
        #[test]
        fn a_damaged_descriptor_set_gets_an_answer(damage in damage(), bytes in proptest::collection::vec(0u8..32, 0..24)) {
            let whole = DescriptorPool::global().encode_to_vec();
            for set in [damaged(&whole[..whole.len().min(1_500)], &damage), damaged(&whole, &damage), bytes] {
                match Descriptors::parse(&set) {
                    // The field that is damaged is named, and those names are protobuf's own.
                    Err(message) => {
                        prop_assert!(message.starts_with("not a descriptor set: ") || message.starts_with("not a complete") || message.starts_with("its file "), "{message}");
                        prop_assert!(!message.contains("Error"), "{message}");
                    }
                    Ok(set) => prop_assert!(set.message("no.such.Message").is_err()),
                }
            }
        }
    }
}
