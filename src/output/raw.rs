//! Raw output: the exact bytes of the values.

use super::record::{Record, Value};

/// Appends the bytes of the field `value`; `false` if the record has none.
pub fn value(out: &mut Vec<u8>, record: &dyn Record) -> bool {
    let mut found = false;
    record.fields(&mut |field| {
        if let ("value", Value::Bytes(bytes) | Value::Decoded { bytes, .. }) = (field.name, &field.value) {
            out.extend_from_slice(bytes);
            found = true;
        }
    });
    found
}
