//! Values as messages: the one place where what is written is decoded. Whatever has a `key` and bytes named `value` or
//! `prev_value` is, at any depth.

use super::record::{Field, Record, Value};
use crate::proto::{Codec, Decoded};

/// A record whose values were decoded.
pub(super) struct Translated<'a> {
    record: &'a dyn Record,
    /// For each field in turn, what became of it.
    parts: Vec<Part<'a>>,
    /// What is to be said beside it.
    pub(super) faults: Vec<DecodeFault>,
}

enum Part<'a> {
    AsItIs,
    Decoded(Decoded, &'a [u8]),
    Nested(Vec<Translated<'a>>),
}

/// A value that does not say all it says as a message.
pub(super) struct DecodeFault {
    /// Its key.
    pub key: Vec<u8>,
    /// The field it is in.
    pub field: &'static str,
    /// What is wrong.
    pub what: String,
    /// Whether it is shown as bytes; else only a part of it is not shown.
    pub fatal: bool,
}

impl<'a> Translated<'a> {
    pub(super) fn of(record: &'a dyn Record, codec: &Codec) -> Self {
        let mut translated = Self { record, parts: Vec::new(), faults: Vec::new() };
        let mut key: &[u8] = &[];
        record.fields(&mut |field| {
            let part = match field.value {
                Value::Bytes(bytes) if field.name == "key" => {
                    key = bytes;
                    Part::AsItIs
                }
                Value::Bytes(bytes) if is_value(field.name) => translated.value(codec, key, field.name, bytes),
                Value::Records(records) => {
                    let mut nested: Vec<_> = records.into_iter().map(|record| Self::of(record, codec)).collect();
                    translated.faults.extend(nested.iter_mut().flat_map(|nested| std::mem::take(&mut nested.faults)));
                    Part::Nested(nested)
                }
                _ => Part::AsItIs,
            };
            translated.parts.push(part);
        });
        translated
    }

    fn value(&mut self, codec: &Codec, key: &[u8], field: &'static str, bytes: &'a [u8]) -> Part<'a> {
        let mut fault = |what, fatal| self.faults.push(DecodeFault { key: key.to_vec(), field, what, fatal });
        match codec.decode(key, bytes) {
            None => Part::AsItIs,
            Some(Ok(decoded)) => {
                if let Some(message) = &decoded.incomplete {
                    fault(format!("it has fields that {message} does not know"), false);
                }
                Part::Decoded(decoded, bytes)
            }
            Some(Err(what)) => {
                fault(what, true);
                Part::AsItIs
            }
        }
    }

    /// The field `value`, where it was decoded.
    pub(super) fn json(&self) -> Option<&serde_json::Value> {
        self.parts.iter().find_map(|part| match part {
            Part::Decoded(decoded, _) => Some(&decoded.json),
            _ => None,
        })
    }
}

fn is_value(name: &str) -> bool {
    matches!(name, "value" | "prev_value")
}

impl Record for Translated<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let mut parts = self.parts.iter();
        self.record.fields(&mut |field| {
            let value = match parts.next() {
                Some(Part::Decoded(decoded, bytes)) => {
                    Value::Decoded { json: &decoded.json, bytes, exact: decoded.exact }
                }
                Some(Part::Nested(nested)) => {
                    Value::Records(nested.iter().map(|record| record as &dyn Record).collect())
                }
                _ => field.value,
            };
            visit(Field { value, ..field });
        });
    }
}
