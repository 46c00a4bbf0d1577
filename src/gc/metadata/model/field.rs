//! A field of an object, from its key and value.

use std::borrow::Cow;

use super::super::schema::Kind;
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
    pub kv: &'a KeyValue,
}
