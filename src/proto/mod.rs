//! Converts protobuf values and the values of a Kubernetes API server to JSON and back, by a descriptor set and the key's
//! prefix. It does no I/O.
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

mod descriptors;
mod json;
mod kubernetes;
mod text;
mod traits;
mod well_known;
mod wire;

use serde_json::Value;

pub use self::descriptors::{Decoded, Descriptors, Message};
pub use self::kubernetes::Kubernetes;

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

impl Codec {
    /// Adds a rule: keys with this prefix have values of this message type, or an error if the type is unknown. The
    /// longest prefix wins, and of equal prefixes the first.
    pub fn add(&mut self, prefix: &[u8], message: Result<Message, String>) {
        self.insert(prefix, message.map(ValueType::Message));
    }

    /// Adds a rule as [`Codec::add`]: keys with this prefix have values of a Kubernetes API server.
    pub fn add_kubernetes(&mut self, prefix: &[u8], objects: Kubernetes) {
        self.insert(prefix, Ok(ValueType::Kubernetes(objects)));
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

    /// Whether the value of this key belongs to a Kubernetes API server.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use prost_reflect::DescriptorPool;

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
