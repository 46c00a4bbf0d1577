//! One field of an object, as its key and value give it.

use std::borrow::Cow;

use super::super::schema::Kind;
use super::ObjectId;
use crate::kvstore::KeyValue;

/// One field of an object.
pub(super) struct ObjectField<'a> {
    pub id: ObjectId,
    pub kind: &'a Kind,
    pub variables: &'a [Cow<'a, [u8]>],
    /// Decoded.
    pub name: &'a [u8],
    /// As the key has it.
    pub raw: &'a [u8],
    pub kv: &'a KeyValue,
}
