//! Which users may read or write a range of keys. Pure.
//!
//! etcd unites the permissions of all roles of a user, also adjacent and overlapping ones, and allows a request if the union
//! contains its whole range (`getMergedPerms` and `checkKeyInterval` in its `server/auth/range_perm_cache.go`).

use std::collections::BTreeMap;

use super::state::{AccessState, canonical, includes};
use super::words::ROOT;
use crate::kvstore::{Access, KeyRange, Permission};

/// A permission, and the role that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolePermission {
    /// The role.
    pub role: String,
    /// The permission: for role root everything.
    pub permission: Permission,
}

/// What a user may do with all keys of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAccess {
    /// The user.
    pub user: String,
    /// What it may do.
    pub access: Access,
    /// The permissions that allow it, in whole or in part.
    pub through: Vec<RolePermission>,
}

/// The users that may read, or write, all keys of the range; with `access`, those that may do that.
pub fn who_can(state: &AccessState, range: &KeyRange, access: Option<Access>) -> Vec<UserAccess> {
    let asked = canonical(range.clone());
    // Users share roles.
    let mut overlapping: BTreeMap<&str, Vec<Permission>> = BTreeMap::new();
    for (role, permissions) in &state.roles {
        let within = permissions.iter().filter(|(range, _)| !range.intersection(&asked).is_empty());
        let found = within.map(|(range, access)| Permission { access: *access, range: range.clone() }).collect();
        overlapping.insert(role, found);
    }
    let of_user = |(user, roles): (&String, &std::collections::BTreeSet<String>)| {
        if roles.contains(ROOT) {
            let permission = Permission { access: Access::ReadWrite, range: KeyRange::prefix(b"") };
            let through = vec![RolePermission { role: ROOT.to_owned(), permission }];
            return Some(UserAccess { user: user.clone(), access: Access::ReadWrite, through });
        }
        let all: Vec<(&str, &Permission)> = roles
            .iter()
            .filter_map(|role| overlapping.get_key_value(role.as_str()))
            .flat_map(|(role, permissions)| permissions.iter().map(move |permission| (*role, permission)))
            .collect();
        let covers = |access: Access| {
            let allowing = all.iter().filter(|(_, permission)| includes(permission.access, access));
            is_covered(&asked, allowing.map(|(_, permission)| &permission.range))
        };
        let may = match (covers(Access::Read), covers(Access::Write)) {
            (true, true) => Access::ReadWrite,
            (true, false) => Access::Read,
            (false, true) => Access::Write,
            (false, false) => return None,
        };
        let contributes = |permission: &Permission| may == Access::ReadWrite || includes(permission.access, may);
        let through = all.iter().filter(|(_, permission)| contributes(permission));
        let through = through
            .map(|(role, permission)| RolePermission { role: (*role).to_owned(), permission: (*permission).clone() });
        Some(UserAccess { user: user.clone(), access: may, through: through.collect() })
    };
    let found = state.users.iter().filter_map(of_user);
    found.filter(|user| access.is_none_or(|access| includes(user.access, access))).collect()
}

/// Whether the union of the ranges contains all of the range.
fn is_covered<'a>(asked: &KeyRange, ranges: impl Iterator<Item = &'a KeyRange>) -> bool {
    let mut ranges: Vec<&KeyRange> = ranges.collect();
    ranges.sort_by(|a, b| a.start.cmp(&b.start));
    // No key lies between the empty one and a zero byte.
    let smallest: &[u8] = &[0];
    let mut reached = asked.start.as_slice().max(smallest);
    for range in ranges {
        if range.start.as_slice() > reached {
            return false;
        }
        match &range.end {
            None => return true,
            Some(end) => reached = reached.max(end),
        }
        if asked.end.as_deref().is_some_and(|end| reached >= end) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range() -> impl Strategy<Value = KeyRange> {
        let key = || proptest::collection::vec(b'a'..=b'd', 1..3);
        prop_oneof![
            key().prop_map(|key| KeyRange::key(&key)),
            proptest::collection::vec(b'a'..=b'd', 0..3).prop_map(|prefix| canonical(KeyRange::prefix(&prefix))),
            (key(), proptest::option::of(key())).prop_map(|(from, to)| KeyRange::between(&from, to.as_deref())),
        ]
        .prop_filter("a range without keys", |range| !range.is_empty())
    }

    fn access() -> impl Strategy<Value = Access> {
        prop_oneof![Just(Access::Read), Just(Access::Write), Just(Access::ReadWrite)]
    }

    /// Every key that a boundary of the ranges distinguishes.
    fn keys(ranges: &[KeyRange]) -> Vec<Vec<u8>> {
        let ends = ranges.iter().flat_map(|range| range.end.iter().chain([&range.start]));
        let mut keys: Vec<Vec<u8>> = ends.flat_map(|key| [key.clone(), [key.as_slice(), b"\0"].concat()]).collect();
        keys.push(b"\xff\xff".to_vec());
        keys
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// A user may read a range if it may read each key of it.
        #[test]
        fn a_range_is_allowed_if_each_key_is(
            granted in proptest::collection::vec((range(), access(), 0..3_usize), 0..8),
            asked in range(),
        ) {
            let mut state = AccessState::default();
            for (range, access, role) in &granted {
                state.roles.entry(format!("r{role}")).or_default().insert(range.clone(), *access);
            }
            state.users.insert("all".to_owned(), state.roles.keys().cloned().collect());
            state.users.insert("admin".to_owned(), [ROOT.to_owned()].into());
            state.users.insert("none".to_owned(), std::collections::BTreeSet::default());
            let merged: Vec<(KeyRange, Access)> =
                state.roles.values().flatten().map(|(range, access)| (range.clone(), *access)).collect();
            let mut bounds: Vec<KeyRange> = merged.iter().map(|(range, _)| range.clone()).collect();
            bounds.push(asked.clone());
            let inside: Vec<Vec<u8>> = keys(&bounds).into_iter().filter(|key| asked.contains(key)).collect();
            let may = |wanted: Access| {
                inside.iter().all(|key| {
                    merged.iter().any(|(range, access)| includes(*access, wanted) && range.contains(key))
                })
            };
            for (asked_access, expected) in [
                (Some(Access::Read), may(Access::Read)),
                (Some(Access::Write), may(Access::Write)),
                (Some(Access::ReadWrite), may(Access::Read) && may(Access::Write)),
                (None, may(Access::Read) || may(Access::Write)),
            ] {
                let found = who_can(&state, &asked, asked_access);
                let names: Vec<&str> = found.iter().map(|user| user.user.as_str()).collect();
                prop_assert_eq!(names, if expected { vec!["admin", "all"] } else { vec!["admin"] });
                prop_assert!(found.iter().all(|user| !user.through.is_empty()));
            }
        }
    }
}
