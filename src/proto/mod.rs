//! Protobuf values as JSON and back, by a descriptor set and the key's prefix. Pure: files are read elsewhere.
//!
//! The JSON is protobuf's own mapping (protobuf.dev, "ProtoJSON Format") with the names of the `.proto` file, as Ligato
//! writes it: fields that are not set are left out, integers of 64 bits are texts, enums go by name, bytes are base64.

mod json;
mod wire;

use std::fmt;

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value as Field};
use serde_json::Value;

/// Which keys' values are which messages. Without rules it decodes nothing.
#[derive(Debug, Default)]
pub struct Codec {
    /// The longest prefix first.
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    prefix: Vec<u8>,
    message: Result<Message, String>,
}

/// One message type of a descriptor set.
#[derive(Clone, Debug)]
pub struct Message(MessageDescriptor);

/// A value that was decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// What it says.
    pub json: Value,
    /// Whether [`Codec::encode`] makes the same bytes of it again.
    pub exact: bool,
    /// The message type, where the value has fields that this does not know: they are not in the JSON.
    pub incomplete: Option<String>,
}

/// A compiled descriptor set (`protoc --include_imports -o FILE`).
#[derive(Clone, Debug)]
pub struct Descriptors(DescriptorPool);

impl Descriptors {
    /// Reads a serialised `google.protobuf.FileDescriptorSet`. Google's own well-known types need not be in it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(set: &[u8]) -> Result<Self, String> {
        known_syntax(set)?;
        let whole = DescriptorPool::decode(set);
        let pool = whole.or_else(|error| {
            let mut pool = DescriptorPool::global();
            pool.decode_file_descriptor_set(set).map(|()| pool).map_err(|_| error)
        });
        match pool {
            Ok(pool) if pool.all_messages().len() == 0 => Err("no descriptor set: it defines no message".to_owned()),
            Ok(pool) => Ok(Self(pool)),
            Err(error) => Err(format!("no complete descriptor set: {error}")),
        }
    }

    /// The message of this full name.
    ///
    /// # Errors
    /// Says that there is none, and which one was perhaps meant.
    pub fn message(&self, name: &str) -> Result<Message, String> {
        if let Some(found) = self.0.get_message_by_name(name.trim_start_matches('.')) {
            return Ok(Message(found));
        }
        let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_lowercase();
        let near = self.0.all_messages().find(|message| last(message.full_name()) == last(name));
        Err(match near {
            Some(near) => format!("there is no message {name} in it; did you mean {}?", near.full_name()),
            None => format!("there is no message {name} in it"),
        })
    }
}

/// Refuses files of a syntax that the library does not know, such as protobuf's editions: it would panic at them. What is
/// no descriptor set at all passes here.
fn known_syntax(set: &[u8]) -> Result<(), String> {
    let files = FileDescriptorSet::decode(set).unwrap_or_default().file;
    match files.iter().find(|file| !matches!(file.syntax.as_deref(), None | Some("proto2" | "proto3"))) {
        None => Ok(()),
        Some(file) => Err(format!(
            "the file {} in it has the syntax '{}', and proto2 and proto3 alone are known",
            file.name(),
            file.syntax().escape_debug()
        )),
    }
}

impl Codec {
    /// Adds a rule: the values of keys that begin with the prefix are such messages; or why that type is not known.
    /// The longest prefix wins, and among equal ones the first.
    pub fn add(&mut self, prefix: &[u8], message: Result<Message, String>) {
        let at = self.rules.iter().position(|rule| rule.prefix.len() < prefix.len()).unwrap_or(self.rules.len());
        self.rules.insert(at, Rule { prefix: prefix.to_vec(), message });
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule is for this key.
    pub fn knows(&self, key: &[u8]) -> bool {
        self.rule(key).is_some()
    }

    fn rule(&self, key: &[u8]) -> Option<&Rule> {
        self.rules.iter().find(|rule| key.starts_with(&rule.prefix))
    }

    /// The value of this key as JSON; `None` where no rule is for the key.
    pub fn decode(&self, key: &[u8], value: &[u8]) -> Option<Result<Decoded, String>> {
        let rule = self.rule(key)?;
        Some(rule.message.as_ref().map_err(Clone::clone).and_then(|message| message.decode(value)))
    }

    /// The bytes of this key's value; `None` where no rule is for the key.
    pub fn encode(&self, key: &[u8], json: &Value) -> Option<Result<Vec<u8>, String>> {
        let rule = self.rule(key)?;
        Some(rule.message.as_ref().map_err(Clone::clone).and_then(|message| message.encode(json)))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.full_name())
    }
}

impl Message {
    fn decode(&self, bytes: &[u8]) -> Result<Decoded, String> {
        let message = DynamicMessage::decode(self.0.clone(), bytes).map_err(|error| format!("no {self}: {error}"))?;
        let json = json::of(&message).map_err(|error| format!("no {self}: {error}"))?;
        // A text would be taken for the value's own bytes when it is read back; and extensions may come in any order.
        let extended = |message: &DynamicMessage| message.extensions().next().is_some();
        let again = json::parse(&self.0, &json).map(|again| wire::bytes(&again));
        let exact = json.is_object() && !holds(&message, &extended) && again.is_ok_and(|again| again == bytes);
        let unknown = |message: &DynamicMessage| message.unknown_fields().next().is_some();
        let incomplete = holds(&message, &unknown).then(|| self.to_string());
        Ok(Decoded { json, exact, incomplete })
    }

    fn encode(&self, json: &Value) -> Result<Vec<u8>, String> {
        match json::parse(&self.0, json) {
            Ok(message) => Ok(wire::bytes(&message)),
            Err(error) => Err(format!("no {self}: {}", json::blame(&self.0, json, error))),
        }
    }
}

/// Whether the message or one inside it is so.
fn holds(message: &DynamicMessage, is_so: &dyn Fn(&DynamicMessage) -> bool) -> bool {
    let inside = |value: &Field| match value {
        Field::Message(inner) => holds(inner, is_so),
        Field::List(items) => items.iter().filter_map(Field::as_message).any(|inner| holds(inner, is_so)),
        Field::Map(entries) => entries.values().filter_map(Field::as_message).any(|inner| holds(inner, is_so)),
        _ => false,
    };
    is_so(message) || message.fields().any(|(_, value)| inside(value))
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
        assert_eq!(refused, "the file a in it has the syntax 'editions', and proto2 and proto3 alone are known");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// A message that is not known says so, which tells the rules apart.
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

        /// Descriptor sets come from files: what is damaged is refused in words, or still is one.
        #[test]
        fn a_damaged_descriptor_set_gets_an_answer(damage in damage(), bytes in proptest::collection::vec(0u8..32, 0..24)) {
            let whole = DescriptorPool::global().encode_to_vec();
            for set in [damaged(&whole[..whole.len().min(1_500)], &damage), damaged(&whole, &damage), bytes] {
                match Descriptors::parse(&set) {
                    // The field that is damaged is named, and those names are protobuf's own.
                    Err(message) => {
                        prop_assert!(message.starts_with("no descriptor set: ") || message.starts_with("no complete") || message.starts_with("the file "), "{message}");
                        prop_assert!(!message.contains("Error"), "{message}");
                    }
                    Ok(set) => prop_assert!(set.message("no.such.Message").is_err()),
                }
            }
        }
    }
}
