//! The plain data of etcd's key space, free of the client library's types.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A revision of the store, counted from 1; 0 means "now" where a revision is asked for.
pub type Revision = i64;

/// One key as etcd keeps it. Keys and values are arbitrary bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The key, without the namespace.
    pub key: Vec<u8>,
    /// The value; empty where only keys were asked for.
    pub value: Vec<u8>,
    /// The revision in which the key was created in its present life.
    pub create_revision: Revision,
    /// The revision of the last change.
    pub mod_revision: Revision,
    /// The number of changes since the creation, counted from 1.
    pub version: i64,
    /// The lease the key is attached to, if any.
    pub lease: Option<LeaseId>,
}

impl KeyValue {
    /// The key's and the value's bytes together.
    pub fn size(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// A lease's ID. Written in lower-case hex without padding, as etcdctl and the names of etcd's lock keys have it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// `None` for 0, which is etcd's "no lease".
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

/// A text that is no lease's ID.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a lease ID is hex of 64 bits")]
pub struct NoLeaseId;

impl FromStr for LeaseId {
    type Err = NoLeaseId;

    /// Reads hex, with or without `0x`, and without a sign.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        parse_hex(digits).map(|id| Self(id.cast_signed())).ok_or(NoLeaseId)
    }
}

/// Hex of up to 64 bits; digits alone, for the standard library also takes a plus.
pub fn parse_hex(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, 16).ok())?
}
