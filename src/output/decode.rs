//! Decoding of protobuf values in records: the fields `value` and `prev_value` of each record with a `key`, at any depth.

use super::record::{Field, Record, Value};
use crate::proto::{Codec, Decoded};

/// A record with decoded values.
pub(super) struct DecodedRecord<'a> {
    record: &'a dyn Record,
    /// The decoding result of each field, in order.
    parts: Vec<Part<'a>>,
    /// Values that could not be decoded completely.
    pub(super) faults: Vec<DecodeFault>,
}

enum Part<'a> {
    Unchanged,
    Decoded(Decoded, &'a [u8]),
    Nested(Vec<DecodedRecord<'a>>),
}

/// A value that could not be decoded, or only in part.
pub(super) struct DecodeFault {
    /// The key of the value.
    pub key: Vec<u8>,
    /// The field of the value.
    pub field: &'static str,
    /// The problem.
    pub what: String,
    /// Whether the value is shown as bytes; otherwise a part of it is not shown.
    pub fatal: bool,
}

impl<'a> DecodedRecord<'a> {
    pub(super) fn of(record: &'a dyn Record, codec: &Codec) -> Self {
        let mut decoded = Self { record, parts: Vec::new(), faults: Vec::new() };
        let mut key: &[u8] = &[];
        record.fields(&mut |field| {
            let part = match field.value {
                Value::Bytes(bytes) if field.name == "key" => {
                    key = bytes;
                    Part::Unchanged
                }
                Value::Bytes(bytes) if is_value(field.name) => decoded.value(codec, key, field.name, bytes),
                Value::Records(records) => {
                    let mut nested: Vec<_> = records.into_iter().map(|record| Self::of(record, codec)).collect();
                    decoded.faults.extend(nested.iter_mut().flat_map(|nested| std::mem::take(&mut nested.faults)));
                    Part::Nested(nested)
                }
                _ => Part::Unchanged,
            };
            decoded.parts.push(part);
        });
        decoded
    }

    fn value(&mut self, codec: &Codec, key: &[u8], field: &'static str, bytes: &'a [u8]) -> Part<'a> {
        let mut fault = |what, fatal| self.faults.push(DecodeFault { key: key.to_vec(), field, what, fatal });
        match codec.decode(key, bytes) {
            None => Part::Unchanged,
            Some(Ok(decoded)) => {
                if let Some(missing) = &decoded.missing {
                    fault(missing.clone(), false);
                }
                Part::Decoded(decoded, bytes)
            }
            Some(Err(what)) => {
                fault(what, true);
                Part::Unchanged
            }
        }
    }

    /// The decoded field `value`.
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

impl Record for DecodedRecord<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let mut parts = self.parts.iter();
        self.record.fields(&mut |field| {
            let value = match parts.next() {
                Some(Part::Decoded(decoded, bytes)) => {
                    Value::Decoded { json: &decoded.json, bytes, exact: decoded.exact }
                }
                Some(Part::Nested(nested)) => Value::records(nested.iter()),
                _ => field.value,
            };
            visit(Field { value, ..field });
        });
    }
}
