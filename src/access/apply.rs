//! Executes a plan, and stops if other clients change users or roles meanwhile.
//!
//! etcd has no conditions on users and roles: a change of another client between the check and the removal that rests on it
//! is not noticed.

use thiserror::Error;

use super::change::{AuthChange, ChangeOutcome, execute};
use super::plan::{AccessEffect, PlanRules, PlannedChange, plan_access};
use super::state::{AccessState, ObservedAccess, each, is_missing, read_access};
use crate::consent::Consent;
use crate::kvstore::{AuthStatus, Error, Store};

/// Why a change was not made, or may have been made.
#[derive(Debug, Error)]
pub enum AccessApplyError {
    /// Other clients have changed users or roles since the plan was made.
    #[error("users or roles were changed by another client meanwhile: {0}")]
    ChangedMeanwhile(String),
    /// etcd or the connection.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Executes the changes of one plan.
pub struct AccessApplier<'a> {
    store: &'a Store,
    consent: &'a Consent,
    /// Users and roles as the changes so far must have left them.
    expected: AccessState,
    status: AuthStatus,
}

impl<'a> AccessApplier<'a> {
    /// Begins with what the plan was made of.
    pub fn new(store: &'a Store, consent: &'a Consent, observed: ObservedAccess) -> Self {
        Self { store, consent, expected: observed.state, status: observed.status }
    }

    /// Makes a change. Right before it takes a right from somebody, what it rests on is read again.
    ///
    /// # Errors
    /// Another client has changed users or roles, etcd refuses the change, or its outcome is unknown.
    pub async fn execute(&mut self, planned: &PlannedChange) -> Result<ChangeOutcome, AccessApplyError> {
        if planned.effect != AccessEffect::Adds {
            self.check(&planned.change).await?;
        }
        match execute(self.store, self.consent, &planned.change).await {
            Ok(outcome) => {
                self.expected.apply(&planned.change);
                self.status.revision = self.status.revision.map(|revision| revision.saturating_add(1));
                Ok(outcome)
            }
            // What exists already, or is gone, is the doing of another client.
            Err(error @ Error::Refused { .. }) => match self.check_all().await {
                Err(changed @ AccessApplyError::ChangedMeanwhile(_)) => Err(changed),
                _ => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Compares what a removal rests on: the revision of users and roles, or else the lists.
    async fn check(&mut self, change: &AuthChange) -> Result<(), AccessApplyError> {
        let Some(expected) = self.status.revision else { return self.check_lists(change).await };
        if self.store.auth_status().await?.revision == Some(expected) {
            return Ok(());
        }
        self.check_all().await
    }

    /// Reads everything. Passwords, which also count as revisions, may have changed.
    async fn check_all(&mut self) -> Result<(), AccessApplyError> {
        let now = read_access(self.store).await?;
        if let Some(difference) = difference(&self.expected, &now.state) {
            return Err(AccessApplyError::ChangedMeanwhile(difference));
        }
        if now.status.enabled != self.status.enabled {
            let what = "authentication was switched on or off".to_owned();
            return Err(AccessApplyError::ChangedMeanwhile(what));
        }
        self.status = now.status;
        Ok(())
    }

    /// etcd 3.4 has no revision to compare.
    async fn check_lists(&mut self, change: &AuthChange) -> Result<(), AccessApplyError> {
        let mut now = self.expected.clone();
        match change {
            AuthChange::DeleteUser { name: user } | AuthChange::RevokeRole { user, .. } => {
                match found(self.store.user_roles(user).await)? {
                    Some(roles) => now.users.insert(user.clone(), roles.into_iter().collect()),
                    None => now.users.remove(user),
                };
            }
            AuthChange::GrantPermission { role, .. } | AuthChange::RevokePermission { role, .. } => {
                match found(self.store.role_permissions(role).await)? {
                    Some(permissions) => drop(now.add_role(role.clone(), permissions)),
                    None => drop(now.roles.remove(role)),
                }
            }
            AuthChange::DeleteRole { .. } => {
                let users = self.store.users().await?;
                let roles = each(self.store, &users, |store, user| async move { store.user_roles(&user).await }).await;
                match roles {
                    Ok(users) => {
                        now.users =
                            users.into_iter().map(|(user, roles)| (user, roles.into_iter().collect())).collect();
                    }
                    Err(error) if is_missing(&error) => return self.check_all().await,
                    Err(error) => return Err(error.into()),
                }
            }
            _ => {}
        }
        match difference(&self.expected, &now) {
            Some(difference) => Err(AccessApplyError::ChangedMeanwhile(difference)),
            None => Ok(()),
        }
    }
}

/// What does not exist is `None`.
fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(error) if is_missing(&error) => Ok(None),
        answer => answer.map(Some),
    }
}

/// The first difference, as the change that leads from one to the other.
fn difference(expected: &AccessState, now: &AccessState) -> Option<String> {
    if expected == now {
        return None;
    }
    let plan = plan_access(expected, now, PlanRules { delete: true, caller: None });
    Some(match plan.changes.first() {
        Some(planned) => planned.change.to_string(),
        None => "user root".to_owned(),
    })
}
