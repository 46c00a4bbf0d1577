//! What leads from the present users and roles to those of a file. Pure.

use std::collections::BTreeSet;

use super::change::AuthChange;
use super::state::{AccessState, RolePermissions, includes};
use super::words::ROOT;
use crate::kvstore::{Access, KeyRange, Permission};

/// What a plan may do.
#[derive(Clone, Copy, Debug)]
pub struct PlanRules<'a> {
    /// Whether users and roles that the file does not name are deleted.
    pub delete: bool,
    /// The user that makes the changes, who is never deleted.
    pub caller: Option<&'a str>,
}

/// What a change does to the rights of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessEffect {
    /// It only adds.
    Adds,
    /// It replaces a permission by one that does not include the former.
    Replaces,
    /// It removes.
    Removes,
}

/// A change of a plan.
#[derive(Clone, Debug)]
pub struct PlannedChange {
    /// The change.
    pub change: AuthChange,
    /// What it does to rights.
    pub effect: AccessEffect,
    /// The access that a permission replaces.
    pub replaced: Option<Access>,
}

/// A user or a role that stays although the file does not name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptEntry {
    /// User root.
    Root,
    /// The user that makes the changes.
    Caller(String),
    /// A role, because this user is kept.
    Role(String, String),
}

/// The changes, additions first.
#[derive(Clone, Debug, Default)]
pub struct AccessPlan {
    /// In the order in which they are made.
    pub changes: Vec<PlannedChange>,
    /// What stays, unless nothing is deleted at all.
    pub kept: Vec<KeptEntry>,
    /// Users and roles afterwards.
    pub target: AccessState,
}

impl AccessPlan {
    /// The users that are added.
    pub fn new_users(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().filter_map(|planned| match &planned.change {
            AuthChange::AddUser { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// Adds the revocation of ranges without keys, each of a role that stays.
    pub fn revoke_empty_ranges(&mut self, empty: &[(String, KeyRange)]) {
        let of_role = empty.iter().filter(|(role, _)| self.target.roles.contains_key(role));
        let revoke = |(role, range): &(String, KeyRange)| PlannedChange {
            change: AuthChange::RevokePermission { role: role.clone(), range: range.clone() },
            effect: AccessEffect::Removes,
            replaced: None,
        };
        self.changes.extend(of_role.map(revoke).collect::<Vec<_>>());
    }

    /// The number of changes with this effect.
    pub fn count(&self, effect: AccessEffect) -> usize {
        self.changes.iter().filter(|planned| planned.effect == effect).count()
    }
}

/// Plans the changes that lead from `present` to `wanted`. Additions come first, so that nobody loses a right in between
/// that it has before and afterwards.
pub fn plan_access(present: &AccessState, wanted: &AccessState, rules: PlanRules<'_>) -> AccessPlan {
    let (target, kept) = target(present, wanted, rules);
    let mut changes = Changes::default();
    for (role, permissions) in &target.roles {
        let before = present.roles.get(role);
        if before.is_none() {
            changes.add(AuthChange::AddRole { name: role.clone() });
        }
        changes.grant_permissions(role, before, permissions);
    }
    for (user, roles) in &target.users {
        let before = present.users.get(user);
        if before.is_none() {
            changes.add(AuthChange::AddUser { name: user.clone(), password: None });
        }
        for role in roles.iter().filter(|role| before.is_none_or(|before| !before.contains(*role))) {
            changes.add(AuthChange::GrantRole { user: user.clone(), role: role.clone() });
        }
        for role in before.into_iter().flatten().filter(|role| !roles.contains(*role)) {
            changes.removals.roles.push(AuthChange::RevokeRole { user: user.clone(), role: role.clone() });
        }
    }
    let gone = present.users.keys().filter(|user| !target.users.contains_key(*user));
    changes.removals.users.extend(gone.map(|name| AuthChange::DeleteUser { name: name.clone() }));
    for (role, permissions) in &present.roles {
        match target.roles.get(role) {
            None => changes.removals.last.push(AuthChange::DeleteRole { name: role.clone() }),
            Some(after) => {
                let revoked = permissions.keys().filter(|range| !after.contains_key(*range));
                let revoke =
                    |range: &KeyRange| AuthChange::RevokePermission { role: role.clone(), range: range.clone() };
                changes.removals.permissions.extend(revoked.map(revoke));
            }
        }
    }
    AccessPlan { changes: changes.in_order(), kept, target }
}

/// Users and roles as they shall be, and what of them the file does not name.
fn target(present: &AccessState, wanted: &AccessState, rules: PlanRules<'_>) -> (AccessState, Vec<KeptEntry>) {
    let mut target = wanted.clone();
    let mut kept = Vec::new();
    let mut kept_roles: BTreeSet<&String> = BTreeSet::new();
    for (user, roles) in present.users.iter().filter(|(user, _)| !wanted.users.contains_key(*user)) {
        let reason = match user {
            user if user == ROOT => Some(KeptEntry::Root),
            user if Some(user.as_str()) == rules.caller => Some(KeptEntry::Caller(user.clone())),
            _ => None,
        };
        if rules.delete && reason.is_none() {
            continue;
        }
        kept.extend(reason);
        target.users.insert(user.clone(), roles.clone());
        for role in roles.iter().filter(|role| !wanted.roles.contains_key(*role) && *role != ROOT) {
            if kept_roles.insert(role) {
                kept.push(KeptEntry::Role(role.clone(), user.clone()));
            }
        }
    }
    for (role, permissions) in &present.roles {
        if role == ROOT || !wanted.roles.contains_key(role) && (!rules.delete || kept_roles.contains(role)) {
            target.roles.insert(role.clone(), permissions.clone());
        }
    }
    // A user may have a role that is gone.
    let roles = &target.roles;
    target.users.values_mut().for_each(|of| of.retain(|role| role == ROOT || roles.contains_key(role)));
    if !rules.delete {
        kept.clear();
    }
    (target, kept)
}

#[derive(Default)]
struct Changes {
    additions: Vec<PlannedChange>,
    replacements: Vec<PlannedChange>,
    removals: Removals,
}

#[derive(Default)]
struct Removals {
    roles: Vec<AuthChange>,
    users: Vec<AuthChange>,
    permissions: Vec<AuthChange>,
    last: Vec<AuthChange>,
}

impl Changes {
    fn add(&mut self, change: AuthChange) {
        self.additions.push(PlannedChange { change, effect: AccessEffect::Adds, replaced: None });
    }

    fn grant_permissions(&mut self, role: &str, before: Option<&RolePermissions>, after: &RolePermissions) {
        for (range, access) in after {
            let replaced = before.and_then(|before| before.get(range)).copied();
            if replaced == Some(*access) {
                continue;
            }
            let permission = Permission { access: *access, range: range.clone() };
            let change = AuthChange::GrantPermission { role: role.to_owned(), permission };
            match replaced.filter(|former| !includes(*access, *former)) {
                None => self.additions.push(PlannedChange { change, effect: AccessEffect::Adds, replaced }),
                Some(_) => {
                    self.replacements.push(PlannedChange { change, effect: AccessEffect::Replaces, replaced });
                }
            }
        }
    }

    fn in_order(self) -> Vec<PlannedChange> {
        let Removals { roles, users, permissions, last } = self.removals;
        let removals = roles.into_iter().chain(users).chain(permissions).chain(last);
        let removals = removals.map(|change| PlannedChange { change, effect: AccessEffect::Removes, replaced: None });
        self.additions.into_iter().chain(self.replacements).chain(removals).collect()
    }
}

#[cfg(test)]
mod tests;
