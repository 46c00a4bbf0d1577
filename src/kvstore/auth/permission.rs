//! A permission of a role: a kind of access to a range of keys.

use std::fmt;

use etcd_client::PermissionType;

use crate::kvstore::key_range::{KeyRange, successor};

/// The role that may do everything.
const ROOT_ROLE: &str = "root";

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

    /// What two permissions for the same keys allow together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        if self == other { self } else { Self::ReadWrite }
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
    /// The range of a permission as etcd lists it for a role. From 3.6 on, etcd lists one permission for the role `root`, with an
    /// empty first key and no upper bound: it means all keys. In another role, etcd 3.4 and 3.5 accept the same fields, and such a
    /// permission allows nothing.
    pub(crate) fn listed_range(role: &str, key: &[u8], range_end: &[u8]) -> KeyRange {
        let is_of_root = role == ROOT_ROLE && key.is_empty() && range_end == [0];
        if is_of_root { KeyRange::prefix(b"") } else { Self::range_from_wire(key, range_end) }
    }

    /// The range of the fields `key` and `range_end` of etcd's permissions. A permission for one key has no end, and one zero
    /// byte as the key is the smallest one, as [`KeyRange`] has it. etcd compares an empty first key as the largest one, so that a
    /// permission with it allows nothing, whatever its end is.
    pub(crate) fn range_from_wire(key: &[u8], range_end: &[u8]) -> KeyRange {
        if key.is_empty() {
            return KeyRange::between(b"", Some(b""));
        }
        if range_end.is_empty() {
            return KeyRange::key(key);
        }
        if key == [0] && range_end == [0, 0] {
            return KeyRange::key(key);
        }
        let start = if key == [0] { &[] } else { key };
        KeyRange::between(start, (range_end != [0]).then_some(range_end))
    }

    /// The range as [`Permission::range_from_wire`] has it when it was granted: no key is below the smallest one.
    pub(crate) fn as_listed(range: &KeyRange) -> KeyRange {
        if range.start.is_empty() && range.is_empty() {
            return range.clone();
        }
        let (key, end) = Self::to_wire(range);
        Self::range_from_wire(&key, &end)
    }

    /// The fields `key` and `range_end` with which kvadm grants this range. etcd compares the fields: one key with an explicit
    /// end is another permission than the key alone.
    pub(crate) fn to_wire(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
        match range.is_one_key() {
            true => (range.start.clone(), Vec::new()),
            false => range.to_wire(),
        }
    }
}

/// A permission with its fields as etcd has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPermission {
    pub(crate) key: Vec<u8>,
    pub(crate) end: Vec<u8>,
    pub(crate) access: Access,
}

impl StoredPermission {
    pub(crate) fn range(&self) -> KeyRange {
        Permission::range_from_wire(&self.key, &self.end)
    }
}

/// Whether a grant of the permission would leave in force what the role's permissions for the same range allow beyond it. etcd
/// looks for the permission to replace by its first key alone, and adds the new one if it finds one with another end.
pub(crate) fn must_be_revoked_first(stored: &[StoredPermission], permission: &Permission) -> bool {
    let range = Permission::as_listed(&permission.range);
    let same: Vec<&StoredPermission> = stored.iter().filter(|one| one.range() == range).collect();
    if same.iter().all(|one| one.access.with(permission.access) == permission.access) {
        return false;
    }
    let (key, end) = Permission::to_wire(&permission.range);
    let replaces = same.iter().all(|one| one.key == key && one.end == end);
    !replaces || stored.iter().filter(|one| one.key == key).count() > 1
}

/// The form in which a person writes a range, with what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeForm<'a> {
    /// No key: etcd takes the empty first key for the largest one.
    Nothing,
    /// One key.
    Key(&'a [u8]),
    /// All keys with this prefix.
    Prefix(&'a [u8]),
    /// All keys from this one on.
    From(&'a [u8]),
    /// The keys from the first to below the second.
    Between(&'a [u8], &'a [u8]),
    /// All keys.
    All,
}

impl<'a> RangeForm<'a> {
    /// The form of a range.
    pub fn of(range: &'a KeyRange) -> Self {
        let start = range.start.as_slice();
        match &range.end {
            _ if start.is_empty() && range.is_empty() => Self::Nothing,
            _ if range.is_one_key() => Self::Key(start),
            // No key is below the smallest one, a zero byte.
            None if start.is_empty() || start == [0] => Self::All,
            None => Self::From(start),
            Some(_) if *range == KeyRange::prefix(start) => Self::Prefix(start),
            Some(end) => Self::Between(start, end),
        }
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is granted reads back as the same range.
        #[test]
        fn a_range_survives_the_wire(
            key in proptest::collection::vec(prop_oneof![Just(0u8), Just(b'a'), any::<u8>()], 0..4),
            end in proptest::collection::vec(prop_oneof![Just(0u8), Just(b'a'), any::<u8>()], 0..4),
        ) {
            let range = Permission::range_from_wire(&key, &end);
            if key.is_empty() {
                prop_assert!(range.is_empty());
            } else {
                let (key, end) = Permission::to_wire(&range);
                prop_assert_eq!(Permission::range_from_wire(&key, &end), range);
            }
        }
    }

    #[test]
    fn forms_are_those_of_etcdctl() {
        let wire = |range: &KeyRange| Permission::to_wire(range);
        assert_eq!(wire(&KeyRange::key(b"a")), (b"a".to_vec(), Vec::new()));
        assert_eq!(wire(&KeyRange::prefix(b"a")), (b"a".to_vec(), b"b".to_vec()));
        assert_eq!(wire(&KeyRange::prefix(b"")), (vec![0], vec![0]));
        assert_eq!(wire(&KeyRange::between(b"a", None)), (b"a".to_vec(), vec![0]));
        for access in [Access::Read, Access::Write, Access::ReadWrite] {
            assert_eq!(Access::from_wire(access.to_wire() as i32), Some(access));
        }
        assert_eq!(Access::from_wire(3), None);
    }

    #[test]
    fn fields_of_etcd_have_one_form() {
        for (role, key, end, form) in [
            // What etcd 3.6 lists for the role root.
            ("root", "", "\0", RangeForm::All),
            // The same fields in another role of etcd 3.5 allow nothing, as any other empty first key.
            ("app", "", "\0", RangeForm::Nothing),
            ("root", "", "", RangeForm::Nothing),
            ("app", "", "c", RangeForm::Nothing),
            // What etcdctl sends for all keys.
            ("root", "\0", "\0", RangeForm::All),
            ("app", "\0", "\0", RangeForm::All),
            ("app", "\0", "", RangeForm::Key(b"\0")),
            ("app", "b", "\0", RangeForm::From(b"b")),
            ("app", "b", "", RangeForm::Key(b"b")),
            ("app", "b", "c", RangeForm::Prefix(b"b")),
            ("app", "b", "d", RangeForm::Between(b"b", b"d")),
        ] {
            let range = Permission::listed_range(role, key.as_bytes(), end.as_bytes());
            assert_eq!(RangeForm::of(&range), form, "{role} {key:?} {end:?}");
        }
        assert_eq!(RangeForm::of(&KeyRange::between(b"\0", None)), RangeForm::All);
    }

    fn stored(key: &[u8], end: &[u8], access: Access) -> StoredPermission {
        StoredPermission { key: key.to_vec(), end: end.to_vec(), access }
    }

    /// What etcd's `RoleGrantPermission` does: it looks at the first permission with the key only.
    fn grant(permissions: &mut Vec<StoredPermission>, new: StoredPermission) {
        match permissions.iter_mut().find(|one| one.key >= new.key) {
            Some(one) if one.key == new.key && one.end == new.end => one.access = new.access,
            _ => {
                permissions.push(new);
                permissions.sort_by(|a, b| a.key.cmp(&b.key));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// A grant of which it is said that it leaves nothing else in force does so in a model of etcd.
        #[test]
        fn a_grant_that_replaces_is_told_from_one_that_adds(
            grants in proptest::collection::vec(
                (prop::sample::select(vec!["", "\0", "a", "b"]), prop::sample::select(vec!["", "\0", "a\0", "c", "d"]), 0..3),
                0..8,
            ),
            key in prop::sample::select(vec!["\0", "a", "b"]),
            end in prop::sample::select(vec!["", "\0", "a\0", "c", "d"]),
            access in 0..3,
        ) {
            let mut permissions = Vec::new();
            for (key, end, access) in grants {
                let Some(access) = Access::from_wire(access) else { continue };
                grant(&mut permissions, stored(key.as_bytes(), end.as_bytes(), access));
            }
            let Some(access) = Access::from_wire(access) else { return Ok(()) };
            let permission = Permission { range: Permission::range_from_wire(key.as_bytes(), end.as_bytes()), access };
            let must_revoke = must_be_revoked_first(&permissions, &permission);
            if must_revoke {
                permissions.retain(|one| one.range() != permission.range);
            }
            let (key, end) = Permission::to_wire(&permission.range);
            grant(&mut permissions, StoredPermission { key, end, access });
            let of_range = permissions.iter().filter(|one| one.range() == permission.range);
            let found = of_range.map(|one| one.access).reduce(Access::with);
            prop_assert_eq!(found, Some(access), "{:?}", permissions);
        }
    }
}
