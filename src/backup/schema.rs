//! etcd's use of a bbolt database: the names of its buckets, the keys of revisions, and their records. Pure functions of
//! bytes.
//!
//! Format: `server/storage/schema` and `server/storage/mvcc/revision.go` of go.etcd.io/etcd, and
//! `api/mvccpb/kv.proto` of the records. They are the same in etcd 3.4 to 3.7.

use std::cmp::Ordering;

use crate::kvstore::{KeyValue, LeaseId, Revision};

/// The bucket of all revisions of all keys.
pub const KEY_BUCKET: &[u8] = b"key";
/// The bucket of facts about the store.
pub const META_BUCKET: &[u8] = b"meta";
/// The bucket of leases.
pub const LEASE_BUCKET: &[u8] = b"lease";
/// The bucket of raised alarms.
pub const ALARM_BUCKET: &[u8] = b"alarm";
/// The bucket of facts about authentication.
pub const AUTH_BUCKET: &[u8] = b"auth";
/// The bucket of users.
pub const USER_BUCKET: &[u8] = b"authUsers";
/// The bucket of roles.
pub const ROLE_BUCKET: &[u8] = b"authRoles";
/// The bucket of facts about the cluster.
pub const CLUSTER_BUCKET: &[u8] = b"cluster";
/// The bucket of members.
pub const MEMBER_BUCKET: &[u8] = b"members";

/// The key of the revision at which the last compaction began.
pub const SCHEDULED_COMPACTION: &[u8] = b"scheduledCompactRev";
/// The key of the revision of the last complete compaction.
pub const FINISHED_COMPACTION: &[u8] = b"finishedCompactRev";
/// The key of the index of the last applied raft entry.
pub const CONSISTENT_INDEX: &[u8] = b"consistent_index";
/// The key of the raft term.
pub const TERM: &[u8] = b"term";
/// The key of the version of the storage format, which etcd 3.6 introduced.
pub const STORAGE_VERSION: &[u8] = b"storageVersion";

/// The length of the key of a revision; that of a tombstone is one byte longer.
const REVISION_BYTES: usize = 17;

/// The key of a revision: the revision of the transaction, and the number of the change in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevisionKey {
    /// The revision.
    pub main: Revision,
    /// The change within the revision, counted from 0.
    pub sub: i64,
    /// Whether the change is a deletion.
    pub is_tombstone: bool,
}

impl RevisionKey {
    /// Parses a key of the bucket `key`; `None` if the key has another form.
    pub fn parse(key: &[u8]) -> Option<Self> {
        let is_tombstone = match key.len().cmp(&REVISION_BYTES) {
            Ordering::Less => return None,
            Ordering::Equal => false,
            Ordering::Greater => key.get(REVISION_BYTES..)? == b"t",
        };
        if key.len() != REVISION_BYTES && !is_tombstone || key.get(8) != Some(&b'_') {
            return None;
        }
        let (main, sub) = (number(key, 0)?, number(key, 9)?);
        (main >= 0 && sub >= 0).then_some(Self { main, sub, is_tombstone })
    }

    /// The smallest key of a revision.
    pub fn first_of(main: Revision) -> [u8; REVISION_BYTES] {
        let mut key = [0; REVISION_BYTES];
        let [a, b, c, d, e, f, g, h, separator, ..] = &mut key;
        [*a, *b, *c, *d, *e, *f, *g, *h] = main.to_be_bytes();
        *separator = b'_';
        key
    }
}

/// A big-endian number of eight bytes.
pub fn number(bytes: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// An encoded record (`mvccpb.KeyValue`) whose fields have been found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The revision of the key's creation.
    pub create_revision: Revision,
    /// The revision of this change.
    pub mod_revision: Revision,
    /// The number of changes since the creation, counted from 1; 0 for a tombstone.
    pub version: i64,
    /// The lease; 0 for none.
    pub lease: i64,
}

impl<'a> RecordView<'a> {
    /// Finds the fields of an encoded record. Unknown fields are skipped; of a repeated field the last one counts.
    /// `None` if the bytes are not a message.
    pub fn parse(mut bytes: &'a [u8]) -> Option<Self> {
        let mut view = Self::default();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            match (tag >> 3, tag & 7) {
                (0, _) => return None,
                (1, 2) => view.key = delimited(&mut bytes)?,
                (2, 0) => view.create_revision = varint(&mut bytes)?.cast_signed(),
                (3, 0) => view.mod_revision = varint(&mut bytes)?.cast_signed(),
                (4, 0) => view.version = varint(&mut bytes)?.cast_signed(),
                (5, 2) => view.value = delimited(&mut bytes)?,
                (6, 0) => view.lease = varint(&mut bytes)?.cast_signed(),
                // A known field of another type.
                (1..=6, _) => return None,
                (_, 0) => drop(varint(&mut bytes)?),
                (_, 1) => bytes = bytes.get(8..)?,
                (_, 2) => drop(delimited(&mut bytes)?),
                (_, 5) => bytes = bytes.get(4..)?,
                _ => return None,
            }
        }
        Some(view)
    }

    /// A copy of the record.
    pub fn to_record(self) -> KeyValue {
        KeyValue {
            key: self.key.to_vec(),
            value: self.value.to_vec(),
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            lease: LeaseId::from_wire(self.lease),
        }
    }
}

/// Takes a number of protobuf's variable length.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(first & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits.checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes bytes that their length precedes.
pub(super) fn delimited<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_of_revisions() {
        let mut key = RevisionKey::first_of(258).to_vec();
        assert_eq!(key, b"\0\0\0\0\0\0\x01\x02_\0\0\0\0\0\0\0\0");
        key[16] = 3;
        assert_eq!(RevisionKey::parse(&key), Some(RevisionKey { main: 258, sub: 3, is_tombstone: false }));
        key.push(b't');
        assert_eq!(RevisionKey::parse(&key), Some(RevisionKey { main: 258, sub: 3, is_tombstone: true }));
        key.push(b't');
        assert_eq!(RevisionKey::parse(&key), None);
        for (at, byte) in [(17, b'x'), (8, b'-'), (0, 0x80), (9, 0x80)] {
            let mut bad = key[..18].to_vec();
            bad[at] = byte;
            assert_eq!(RevisionKey::parse(&bad), None, "{at}");
        }
        assert_eq!(RevisionKey::parse(&key[..16]), None);
    }

    #[test]
    fn a_record_is_found_in_its_bytes() {
        // Key "/a", creation 2, change 9, version 3, value "blue", lease 5, and an unknown field of each type.
        let bytes = b"\x0a\x02/a\x10\x02\x18\x09\x20\x03\x2a\x04blue\x30\x05\x38\x01\x41abcdefgh\x4a\x01x\x55abcd";
        let view = RecordView::parse(bytes).unwrap();
        let wanted =
            RecordView { key: b"/a", value: b"blue", create_revision: 2, mod_revision: 9, version: 3, lease: 5 };
        assert_eq!(view, wanted);
        assert_eq!(view.to_record().lease, Some(LeaseId(5)));
        for bad in [
            &b"\x0a\x03/a"[..],
            b"\x08\x01",
            b"\x00\x01",
            b"\x13",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x41abc",
        ] {
            assert_eq!(RecordView::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(view) = RecordView::parse(&bytes) {
                prop_assert!(view.key.len() + view.value.len() <= bytes.len());
            }
            let _ = RevisionKey::parse(&bytes);
        }
    }
}
