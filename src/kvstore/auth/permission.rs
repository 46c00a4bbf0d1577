//! A permission of a role: a kind of access to a range of keys.

use std::fmt;

use etcd_client::PermissionType;

use crate::kvstore::key_range::{KeyRange, successor};

/// What a permission allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Reading keys.
    Read,
    /// Writing and deleting keys.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// The word of the command line, of files and of JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "readwrite",
        }
    }

    /// Whether it includes reading.
    pub fn reads(self) -> bool {
        self != Self::Write
    }

    /// Whether it includes writing.
    pub fn writes(self) -> bool {
        self != Self::Read
    }

    pub(crate) fn from_wire(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::Read),
            1 => Some(Self::Write),
            2 => Some(Self::ReadWrite),
            _ => None,
        }
    }

    pub(crate) fn to_wire(self) -> PermissionType {
        match self {
            Self::Read => PermissionType::Read,
            Self::Write => PermissionType::Write,
            Self::ReadWrite => PermissionType::Readwrite,
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A permission of a role. Its range names keys of the whole store: a namespace does not apply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// The keys.
    pub range: KeyRange,
    /// What the role may do with them.
    pub access: Access,
}

impl Permission {
    /// The range of the fields `key` and `range_end` of etcd's permissions. A permission for one key has no end, and one zero
    /// byte as the key is the smallest one, as [`KeyRange`] has it.
    pub(crate) fn range_from_wire(key: &[u8], range_end: &[u8]) -> KeyRange {
        if range_end.is_empty() {
            return KeyRange::key(key);
        }
        let is_smallest = key.is_empty() || key == [0];
        if is_smallest && range_end == [0, 0] {
            return KeyRange::key(&[0]);
        }
        let start = if is_smallest { &[] } else { key };
        KeyRange::between(start, (range_end != [0]).then_some(range_end))
    }

    /// The fields `key` and `range_end` by which etcd may know this range, the usual ones first. etcd compares the fields: one
    /// key with an explicit end is another permission than the key alone.
    pub(crate) fn wire_forms(range: &KeyRange) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (start, end) = range.to_wire();
        if range.is_one_key() {
            let mut forms = vec![(range.start.clone(), Vec::new())];
            // With an end, the empty key would be all keys.
            if !range.start.is_empty() {
                forms.push((range.start.clone(), end.clone()));
            }
            if range.start == [0] {
                forms.push((Vec::new(), end));
            }
            return forms;
        }
        let mut forms = vec![(start, end.clone())];
        if range.start.is_empty() {
            forms.push((Vec::new(), end));
        }
        forms
    }
}

impl KeyRange {
    /// Whether the range contains exactly one key.
    pub fn is_one_key(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end == successor(&self.start))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Revoking must name the fields with which the permission was granted, whoever granted it.
        #[test]
        fn every_permission_of_a_server_can_be_named(
            key in proptest::collection::vec(prop_oneof![Just(0u8), Just(b'a'), any::<u8>()], 0..4),
            end in proptest::collection::vec(prop_oneof![Just(0u8), Just(b'a'), any::<u8>()], 0..4),
        ) {
            let range = Permission::range_from_wire(&key, &end);
            let forms = Permission::wire_forms(&range);
            prop_assert!(forms.contains(&(key.clone(), end.clone())), "{:?} {:?}", range, forms);
            // Every form reads back as the same range.
            for (key, end) in &forms {
                prop_assert_eq!(&Permission::range_from_wire(key, end), &range);
            }
        }
    }

    #[test]
    fn forms_are_those_of_etcdctl() {
        let first = |range: &KeyRange| Permission::wire_forms(range).swap_remove(0);
        assert_eq!(first(&KeyRange::key(b"a")), (b"a".to_vec(), Vec::new()));
        assert_eq!(first(&KeyRange::prefix(b"a")), (b"a".to_vec(), b"b".to_vec()));
        assert_eq!(first(&KeyRange::prefix(b"")), (vec![0], vec![0]));
        assert_eq!(first(&KeyRange::between(b"a", None)), (b"a".to_vec(), vec![0]));
        for access in [Access::Read, Access::Write, Access::ReadWrite] {
            assert_eq!(Access::from_wire(access.to_wire() as i32), Some(access));
        }
        assert_eq!(Access::from_wire(3), None);
    }
}
