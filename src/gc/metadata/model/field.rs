//! A field of an object, from its key and value.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::Value;

use super::super::schema::{Captures, Kind, Pattern, parse_document};
use super::ObjectId;
use crate::kvstore::KeyValue;

/// A field of an object.
pub(super) struct ObjectField<'a> {
    pub id: ObjectId,
    pub kind: &'a Kind,
    pub variables: &'a [Cow<'a, [u8]>],
    /// The decoded name.
    pub name: &'a [u8],
    /// The name as in the key.
    pub raw: &'a [u8],
    /// The decoded name with other bytes in place of encoded slashes, if there are any.
    pub masked: Option<Vec<u8>>,
    pub kv: &'a KeyValue,
    /// The value as JSON, once it was parsed; `None` if it is not JSON with unique names.
    pub json: OnceCell<Option<Value>>,
}

impl ObjectField<'_> {
    /// The captures of the pattern in the name. A variable ends at a slash. If the pattern does not match that way, only
    /// slashes that were not encoded count.
    pub fn find(&self, pattern: &Pattern) -> Option<Captures> {
        pattern.find(self.name).or_else(|| pattern.find(self.masked.as_deref()?))
    }

    /// The value as JSON.
    pub fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| parse_document(&self.kv.value)).as_ref()
    }
}
