//! One change of users, roles or authentication, and what became of it.
//!
//! A change is sent once. If its answer is lost, the lists tell whether etcd is in the state that was asked for; if they
//! do not, the outcome is unknown, because etcd may still apply the change.

use std::fmt;
use std::time::Duration;

use super::words::{format_permission, format_range, shown};
use crate::consent::Consent;
use crate::kvstore::{Error, KeyRange, PasswordCheck, Permission, Refusal, Store};
use crate::transport::Secret;

/// Time limit for reading back a change without an answer.
const READ_BACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A change of users, roles or authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthChange {
    /// Add a user.
    AddUser {
        /// The user.
        name: String,
        /// The password; without one, the user is recognized only by a client certificate.
        password: Option<Secret>,
    },
    /// Delete a user.
    DeleteUser {
        /// The user.
        name: String,
    },
    /// Set the password of a user.
    SetPassword {
        /// The user.
        name: String,
        /// The new password.
        password: Secret,
    },
    /// Grant a role to a user.
    GrantRole {
        /// The user.
        user: String,
        /// The role.
        role: String,
    },
    /// Revoke a role from a user.
    RevokeRole {
        /// The user.
        user: String,
        /// The role.
        role: String,
    },
    /// Add a role without permissions.
    AddRole {
        /// The role.
        name: String,
    },
    /// Delete a role, which revokes it from all users.
    DeleteRole {
        /// The role.
        name: String,
    },
    /// Grant a permission to a role; it replaces the role's permission for the same range.
    GrantPermission {
        /// The role.
        role: String,
        /// The permission.
        permission: Permission,
    },
    /// Revoke the permission for exactly this range from a role.
    RevokePermission {
        /// The role.
        role: String,
        /// The range.
        range: KeyRange,
    },
    /// Enable authentication.
    Enable,
    /// Disable authentication.
    Disable,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// etcd answered that it has applied the change.
    Applied,
    /// The answer was lost, and etcd is in the state that was asked for.
    FoundApplied,
}

impl AuthChange {
    /// Whether the change takes something away, so that it is asked about first.
    pub fn is_removal(&self) -> bool {
        matches!(
            self,
            Self::DeleteUser { .. }
                | Self::RevokeRole { .. }
                | Self::DeleteRole { .. }
                | Self::RevokePermission { .. }
                | Self::Disable
        )
    }
}

impl fmt::Display for AuthChange {
    /// One sentence in the infinitive; never a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddUser { name, password: Some(_) } => write!(f, "add user {}", shown(name)),
            Self::AddUser { name, password: None } => write!(f, "add user {} without a password", shown(name)),
            Self::DeleteUser { name } => write!(f, "delete user {}", shown(name)),
            Self::SetPassword { name, .. } => write!(f, "set the password of user {}", shown(name)),
            Self::GrantRole { user, role } => write!(f, "grant role {} to user {}", shown(role), shown(user)),
            Self::RevokeRole { user, role } => write!(f, "revoke role {} from user {}", shown(role), shown(user)),
            Self::AddRole { name } => write!(f, "add role {}", shown(name)),
            Self::DeleteRole { name } => write!(f, "delete role {}", shown(name)),
            Self::GrantPermission { role, permission } => {
                write!(f, "grant {} to role {}", format_permission(permission), shown(role))
            }
            Self::RevokePermission { role, range } => {
                write!(f, "revoke the permission on {} from role {}", format_range(range), shown(role))
            }
            Self::Enable => f.write_str("enable authentication"),
            Self::Disable => f.write_str("disable authentication"),
        }
    }
}

/// Sends the change once. If the answer is lost, reads back whether etcd is in the state that was asked for.
///
/// # Errors
/// [`Error::Unknown`] if neither an answer nor the state tells the outcome, or any other error of the request.
pub async fn execute(store: &Store, consent: &Consent, change: &AuthChange) -> Result<ChangeOutcome, Error> {
    let lost = match send(store, consent, change).await {
        Ok(()) => return Ok(ChangeOutcome::Applied),
        Err(error @ Error::Unknown { .. }) => error,
        Err(error) => return Err(error),
    };
    let store = store.for_cleanup(READ_BACK_TIMEOUT);
    match is_in_effect(&store, change).await {
        Ok(true) => Ok(ChangeOutcome::FoundApplied),
        // The request may still be on its way.
        Ok(false) | Err(_) => Err(lost),
    }
}

async fn send(store: &Store, consent: &Consent, change: &AuthChange) -> Result<(), Error> {
    match change {
        AuthChange::AddUser { name, password } => store.add_user(name, password.as_ref()).await,
        AuthChange::DeleteUser { name } => store.delete_user(consent, name).await,
        AuthChange::SetPassword { name, password } => store.set_password(name, password).await,
        AuthChange::GrantRole { user, role } => store.grant_role(user, role).await,
        AuthChange::RevokeRole { user, role } => store.revoke_role(consent, user, role).await,
        AuthChange::AddRole { name } => store.add_role(name).await,
        AuthChange::DeleteRole { name } => store.delete_role(consent, name).await,
        AuthChange::GrantPermission { role, permission } => store.grant_permission(role, permission).await,
        AuthChange::RevokePermission { role, range } => store.revoke_permission(consent, role, range).await,
        AuthChange::Enable => store.enable_auth(consent).await,
        AuthChange::Disable => store.disable_auth(consent).await,
    }
}

/// Whether etcd is in the state that the change asks for. A password counts only if a login with it succeeds: the user alone
/// may be another client's.
async fn is_in_effect(store: &Store, change: &AuthChange) -> Result<bool, Error> {
    match change {
        AuthChange::AddUser { name, password: Some(password) } | AuthChange::SetPassword { name, password } => {
            Ok(store.check_password(name, password).await? == PasswordCheck::Accepted)
        }
        AuthChange::AddUser { name, password: None } => Ok(store.users().await?.contains(name)),
        AuthChange::DeleteUser { name } => Ok(!store.users().await?.contains(name)),
        AuthChange::GrantRole { user, role } => Ok(store.user_roles(user).await?.contains(role)),
        AuthChange::RevokeRole { user, role } => match store.user_roles(user).await {
            Err(error) if error.is_refusal(Refusal::UserNotFound) => Ok(true),
            roles => Ok(!roles?.contains(role)),
        },
        AuthChange::AddRole { name } => Ok(store.roles().await?.contains(name)),
        AuthChange::DeleteRole { name } => Ok(!store.roles().await?.contains(name)),
        AuthChange::GrantPermission { role, permission } => {
            Ok(store.role_permissions(role).await?.contains(permission))
        }
        AuthChange::RevokePermission { role, range } => match store.role_permissions(role).await {
            Err(error) if error.is_refusal(Refusal::RoleNotFound) => Ok(true),
            permissions => Ok(permissions?.iter().all(|permission| permission.range != *range)),
        },
        AuthChange::Enable => Ok(store.auth_status().await?.enabled == Some(true)),
        AuthChange::Disable => Ok(store.auth_status().await?.enabled == Some(false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvstore::Access;

    #[test]
    fn changes_are_sentences_without_passwords() {
        let (name, password) = ("alice".to_owned(), Secret::new("hunter2"));
        let role = "reader".to_owned();
        let permission = Permission { range: KeyRange::prefix(b"/app/"), access: Access::ReadWrite };
        for (change, sentence) in [
            (AuthChange::AddUser { name: name.clone(), password: Some(password.clone()) }, "add user alice"),
            (AuthChange::AddUser { name: name.clone(), password: None }, "add user alice without a password"),
            (AuthChange::SetPassword { name: name.clone(), password }, "set the password of user alice"),
            (AuthChange::GrantRole { user: name, role: role.clone() }, "grant role reader to user alice"),
            (
                AuthChange::GrantPermission { role: role.clone(), permission },
                "grant readwrite on keys with the prefix /app/ to role reader",
            ),
            (
                AuthChange::RevokePermission { role, range: KeyRange::key(b"k") },
                "revoke the permission on key k from role reader",
            ),
            (AuthChange::DeleteRole { name: "\x1b[2J".to_owned() }, "delete role \\x1b[2J"),
        ] {
            assert_eq!(change.to_string(), sentence);
            assert!(!format!("{change:?}").contains("hunter2"));
        }
    }
}
