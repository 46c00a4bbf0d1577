//! Users with their roles, and roles with their permissions: as data, and as etcd has them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use tokio::task::JoinSet;

use super::change::AuthChange;
use crate::kvstore::{Access, AuthStatus, Error, KeyRange, Permission, Refusal, Store};

/// Requests in flight while the lists are read: each waits for a consensus of the members.
const CONCURRENT_READS: usize = 16;
/// Attempts to read all lists between two changes of other clients.
const READ_ATTEMPTS: usize = 5;

/// The permissions of a role: a range has one.
pub type RolePermissions = BTreeMap<KeyRange, Access>;

/// All users and roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessState {
    /// The roles of each user.
    pub users: BTreeMap<String, BTreeSet<String>>,
    /// The permissions of each role. Role root needs none, and may be missing although users have it.
    pub roles: BTreeMap<String, RolePermissions>,
}

/// The one form of a range, as [`Store::role_permissions`] has it: no key is empty, so that what begins with the smallest key, a
/// zero byte, begins with the empty one.
pub fn canonical(mut range: KeyRange) -> KeyRange {
    if range.start == [0] && !range.is_one_key() {
        range.start.clear();
    }
    range
}

/// Whether no key is in the range.
pub fn has_no_keys(range: &KeyRange) -> bool {
    range.is_empty() || range.end.as_deref().is_some_and(|end| end <= [0].as_slice())
}

/// Whether a request failed because the user or the role does not exist.
pub(super) fn is_missing(error: &Error) -> bool {
    error.is_refusal(Refusal::UserNotFound) || error.is_refusal(Refusal::RoleNotFound)
}

/// Whether a permission allows at least what another one does.
pub fn includes(access: Access, other: Access) -> bool {
    access == Access::ReadWrite || access == other
}

impl AccessState {
    /// Adds a role as etcd lists it. Ranges without a key, which etcd 3.4 accepts, are returned: they allow nothing.
    pub fn add_role(&mut self, role: String, permissions: Vec<Permission>) -> Vec<KeyRange> {
        let (kept, empty): (Vec<_>, Vec<_>) = permissions
            .into_iter()
            .map(|permission| (canonical(permission.range), permission.access))
            .partition(|(range, _)| !has_no_keys(range));
        // etcd looks for the permission that a grant replaces by its first key only: if another permission of the role has the same
        // first key, both the former and the new one stay, and add up.
        let mut united = RolePermissions::new();
        for (range, access) in kept {
            united
                .entry(range)
                .and_modify(|other| {
                    if *other != access {
                        *other = Access::ReadWrite;
                    }
                })
                .or_insert(access);
        }
        self.roles.insert(role, united);
        empty.into_iter().map(|(range, _)| range).collect()
    }

    /// Executes a change of users, roles or permissions, as etcd does.
    pub fn apply(&mut self, change: &AuthChange) {
        match change {
            AuthChange::AddUser { name, .. } => {
                self.users.entry(name.clone()).or_default();
            }
            AuthChange::DeleteUser { name } => {
                self.users.remove(name);
            }
            AuthChange::GrantRole { user, role } => {
                if let Some(roles) = self.users.get_mut(user) {
                    roles.insert(role.clone());
                }
            }
            AuthChange::RevokeRole { user, role } => {
                if let Some(roles) = self.users.get_mut(user) {
                    roles.remove(role);
                }
            }
            AuthChange::AddRole { name } => {
                self.roles.entry(name.clone()).or_default();
            }
            AuthChange::DeleteRole { name } => {
                self.roles.remove(name);
                self.users.values_mut().for_each(|roles| {
                    roles.remove(name);
                });
            }
            AuthChange::GrantPermission { role, permission } => {
                if let Some(permissions) = self.roles.get_mut(role) {
                    permissions.insert(canonical(permission.range.clone()), permission.access);
                }
            }
            AuthChange::RevokePermission { role, range } => {
                if let Some(permissions) = self.roles.get_mut(role) {
                    permissions.remove(&canonical(range.clone()));
                }
            }
            AuthChange::SetPassword { .. } | AuthChange::Enable | AuthChange::Disable => {}
        }
    }
}

/// Users and roles as etcd has them.
#[derive(Clone, Debug)]
pub struct ObservedAccess {
    /// All users and roles.
    pub state: AccessState,
    /// Permissions of ranges without a key, each with its role.
    pub empty_ranges: Vec<(String, KeyRange)>,
    /// Whether authentication is on, and the revision of users and roles, if etcd tells.
    pub status: AuthStatus,
}

/// Reads all users and roles.
///
/// # Errors
/// etcd refuses the lists, which only role root may read, or other clients change them all the time.
pub async fn read_access(store: &Store) -> Result<ObservedAccess, Error> {
    for _ in 0..READ_ATTEMPTS {
        let before = store.auth_status().await?;
        let lists = lists(store).await?;
        let (users, roles) = &lists;
        let with_roles = each(store, users, |store, user| async move { store.user_roles(&user).await });
        let with_roles = with_roles.await;
        let with_permissions = each(store, roles, |store, role| async move { store.role_permissions(&role).await });
        let (with_roles, with_permissions) = match (with_roles, with_permissions.await) {
            (Ok(users), Ok(roles)) => (users, roles),
            // What is gone was deleted after the list was read.
            (Err(error), _) | (_, Err(error)) if is_missing(&error) => continue,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let after = store.auth_status().await?;
        let same = match (before.revision, after.revision) {
            (Some(before), Some(after)) => before == after,
            _ => self::lists(store).await? == lists,
        };
        if !same {
            continue;
        }
        let mut state = AccessState::default();
        let mut empty_ranges = Vec::new();
        for (user, roles) in with_roles {
            state.users.insert(user, roles.into_iter().collect());
        }
        for (role, permissions) in with_permissions {
            let empty = state.add_role(role.clone(), permissions);
            empty_ranges.extend(empty.into_iter().map(|range| (role.clone(), range)));
        }
        return Ok(ObservedAccess { state, empty_ranges, status: after });
    }
    let what = "other clients change users and roles all the time".to_owned();
    Err(Error::Contended { op: "read users and roles", what })
}

async fn lists(store: &Store) -> Result<(Vec<String>, Vec<String>), Error> {
    Ok((store.users().await?, store.roles().await?))
}

/// Asks for each name, several at once.
pub(super) async fn each<T, F>(
    store: &Store,
    names: &[String],
    ask: impl Fn(Store, String) -> F,
) -> Result<Vec<(String, T)>, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut waiting = names.iter();
    let mut running = JoinSet::new();
    let mut found = Vec::with_capacity(names.len());
    loop {
        while running.len() < CONCURRENT_READS {
            let Some(name) = waiting.next() else { break };
            let answer = ask(store.clone(), name.clone());
            let name = name.clone();
            running.spawn(async move { answer.await.map(|answer| (name, answer)) });
        }
        match running.join_next().await {
            None => return Ok(found),
            Some(Ok(answer)) => found.push(answer?),
            Some(Err(error)) => {
                return Err(Error::Internal { op: "read users and roles", what: error.to_string() });
            }
        }
    }
}
