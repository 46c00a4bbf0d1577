//! Records, revisions and lease IDs, independent of the client library's types.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A revision of the store, counted from 1. In a request, 0 stands for the latest revision.
pub type Revision = i64;

/// The highest revision that is believed. No store reaches it, and arithmetic with revisions up to it does not overflow.
pub(crate) const MAX_REVISION: Revision = 1 << 62;

/// A key with its value and metadata. Keys and values are arbitrary bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The key, without the namespace.
    pub key: Vec<u8>,
    /// The value; empty if only keys were requested.
    pub value: Vec<u8>,
    /// The revision of the key's creation (after its last deletion).
    pub create_revision: Revision,
    /// The revision of the last change.
    pub mod_revision: Revision,
    /// The number of changes since the creation, counted from 1.
    pub version: i64,
    /// The lease the key is attached to, if any.
    pub lease: Option<LeaseId>,
}

impl KeyValue {
    /// The bytes of key and value.
    pub fn size(&self) -> usize {
        self.key.len().saturating_add(self.value.len())
    }
}

/// A lease ID. Formatted in lower-case hex without padding, as in etcdctl and in the names of etcd's lock keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// The ID in a message of etcd; `None` for 0, which means "no lease".
    pub fn from_wire(id: i64) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a valid lease ID.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a lease ID is a hexadecimal number of up to 64 bits")]
pub struct NoLeaseId;

impl FromStr for LeaseId {
    type Err = NoLeaseId;

    /// Parses hex, with or without `0x`, without a sign.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        parse_hex(digits).map(|id| Self(id.cast_signed())).ok_or(NoLeaseId)
    }
}

/// Parses a hexadecimal number of up to 64 bits. `from_str_radix` alone would also accept a plus sign.
pub fn parse_hex(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, 16).ok())?
}
