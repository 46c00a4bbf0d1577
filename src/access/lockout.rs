//! Which changes would take from the caller what it needs to undo them. Pure: the state is given.
//!
//! While authentication is enabled, only users with the role `root` may change users and roles. etcd keeps the user `root`
//! and its role, but deletes every other user, and revokes every other user's role, also those of the caller.

use thiserror::Error as ThisError;

use super::change::AuthChange;
use super::words::{ROOT, shown};

/// The part of etcd's state that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthState {
    /// Whether authentication is enabled.
    pub enabled: bool,
    /// The user of the caller; `None` if it has none.
    pub caller: Option<String>,
    /// Whether the user of the caller exists and has the role `root`.
    pub caller_is_root: bool,
    /// Whether the user `root` exists and has the role `root`.
    pub root_is_root: bool,
}

/// A change that would lock the caller out.
#[derive(Clone, Debug, ThisError, PartialEq, Eq)]
#[error("cannot {change}: {why}")]
pub struct Lockout {
    /// The change, as a sentence.
    pub change: String,
    /// What the caller, or everyone, would lose.
    pub why: String,
    /// What to do instead.
    pub hint: String,
}

/// Checks that after each of these changes, in this order, the caller can still change users and roles if it can now.
///
/// # Errors
/// The first change after which it could not.
pub fn check_lockout(state: &AuthState, changes: &[AuthChange]) -> Result<(), Lockout> {
    let mut state = state.clone();
    for change in changes {
        let before = state.clone();
        state.apply(change);
        if let Some((why, hint)) = problem(&before, &state, change) {
            return Err(Lockout { change: change.to_string(), why, hint });
        }
    }
    Ok(())
}

impl AuthState {
    fn is_caller(&self, user: &str) -> bool {
        self.caller.as_deref() == Some(user)
    }

    fn set_role(&mut self, user: &str, has: bool) {
        if self.is_caller(user) {
            self.caller_is_root = has;
        }
        if user == ROOT {
            self.root_is_root = has;
        }
    }

    fn apply(&mut self, change: &AuthChange) {
        match change {
            AuthChange::DeleteUser { name } => self.set_role(name, false),
            AuthChange::RevokeRole { user, role } if role == ROOT => self.set_role(user, false),
            AuthChange::GrantRole { user, role } if role == ROOT => self.set_role(user, true),
            AuthChange::DeleteRole { name } if name == ROOT => {
                (self.caller_is_root, self.root_is_root) = (false, false);
            }
            AuthChange::Enable => self.enabled = true,
            AuthChange::Disable => self.enabled = false,
            _ => {}
        }
    }
}

fn problem(before: &AuthState, after: &AuthState, change: &AuthChange) -> Option<(String, String)> {
    if !after.enabled {
        return None;
    }
    if *change == AuthChange::Enable && !before.enabled {
        return not_ready(after);
    }
    if before.root_is_root && !after.root_is_root {
        let why = "authentication is enabled and needs the user root with the role root";
        return Some((why.to_owned(), "run 'kvadm auth disable' first if nobody needs authentication".to_owned()));
    }
    if before.caller_is_root && !after.caller_is_root {
        let user = shown(after.caller.as_deref().unwrap_or_default());
        let why = match change {
            AuthChange::DeleteUser { .. } => format!("this command itself is user {user}, who could not undo it"),
            _ => format!("this command itself is user {user}, who could not change users and roles any more"),
        };
        return Some((why, "run the command as another user with the role root, for example --user root".to_owned()));
    }
    None
}

/// Why authentication must not be enabled in this state.
fn not_ready(state: &AuthState) -> Option<(String, String)> {
    if !state.root_is_root {
        return Some((
            "etcd needs the user root with the role root".to_owned(),
            "run 'kvadm auth enable --user root --password-file FILE', which adds what is missing".to_owned(),
        ));
    }
    let Some(caller) = &state.caller else {
        return Some((
            "this command has no user, so that it could not log in afterwards".to_owned(),
            "add --user root --password-file FILE, or use a client certificate of a user with the role root".to_owned(),
        ));
    };
    if !state.caller_is_root {
        let user = shown(caller);
        return Some((
            format!("user {user} of this command does not have the role root, so that it could not undo it"),
            format!("run the command as root, or run 'kvadm user grant {user} root' first"),
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USERS: [&str; 3] = ["root", "alice", "bob"];
    const ROLES: [&str; 2] = ["root", "reader"];

    /// All users with their roles, as etcd has them.
    #[derive(Clone, Debug)]
    struct Model {
        enabled: bool,
        /// For each of [`USERS`], if it exists: whether it has each of [`ROLES`].
        users: [Option<[bool; 2]>; 3],
    }

    impl Model {
        fn apply(&mut self, change: &AuthChange) {
            let index = |name: &str| USERS.iter().position(|user| *user == name);
            let role_index = |name: &str| ROLES.iter().position(|role| *role == name);
            match change {
                AuthChange::DeleteUser { name } => {
                    if let Some(at) = index(name) {
                        self.users[at] = None;
                    }
                }
                AuthChange::GrantRole { user, role } | AuthChange::RevokeRole { user, role } => {
                    let has = matches!(change, AuthChange::GrantRole { .. });
                    if let (Some(at), Some(role)) = (index(user), role_index(role))
                        && let Some(roles) = &mut self.users[at]
                    {
                        roles[role] = has;
                    }
                }
                AuthChange::DeleteRole { name } => {
                    if let Some(role) = role_index(name) {
                        self.users.iter_mut().flatten().for_each(|roles| roles[role] = false);
                    }
                }
                AuthChange::Enable => self.enabled = true,
                AuthChange::Disable => self.enabled = false,
                _ => {}
            }
        }

        fn may_administer(&self, user: usize) -> bool {
            !self.enabled || self.users[user].is_some_and(|roles| roles[0])
        }

        fn is_valid(&self) -> bool {
            !self.enabled || self.users[0].is_some_and(|roles| roles[0])
        }

        fn state(&self, caller: usize) -> AuthState {
            let has_root = |user: usize| self.users[user].is_some_and(|roles| roles[0]);
            AuthState {
                enabled: self.enabled,
                caller: Some(USERS[caller].to_owned()),
                caller_is_root: has_root(caller),
                root_is_root: has_root(0),
            }
        }
    }

    /// Changes of users that exist: etcd refuses the others.
    fn change() -> impl Strategy<Value = AuthChange> {
        let user = || prop::sample::select(USERS.to_vec()).prop_map(str::to_owned);
        let role = || prop::sample::select(ROLES.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            user().prop_map(|name| AuthChange::DeleteUser { name }),
            (user(), role()).prop_map(|(user, role)| AuthChange::GrantRole { user, role }),
            (user(), role()).prop_map(|(user, role)| AuthChange::RevokeRole { user, role }),
            role().prop_map(|name| AuthChange::DeleteRole { name }),
            Just(AuthChange::Enable),
            Just(AuthChange::Disable),
        ]
    }

    fn is_possible(model: &Model, change: &AuthChange) -> bool {
        match change {
            AuthChange::GrantRole { user, .. } => {
                USERS.iter().position(|name| name == user).is_some_and(|at| model.users[at].is_some())
            }
            _ => true,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// The check says no exactly if, after one of the changes, the caller cannot do what it could before, or nobody can.
        #[test]
        fn it_agrees_with_a_model_of_all_users(
            enabled in any::<bool>(),
            users in prop::array::uniform3(prop::option::weighted(0.9, prop::array::uniform2(any::<bool>()))),
            caller in 0..3usize,
            changes in prop::collection::vec(change(), 1..5),
        ) {
            let mut model = Model { enabled, users };
            let state = model.state(caller);
            let mut possible = Vec::new();
            let mut expected = true;
            for change in changes {
                if !is_possible(&model, &change) {
                    continue;
                }
                let before = model.clone();
                model.apply(&change);
                possible.push(change);
                let locked_out = before.may_administer(caller) && !model.may_administer(caller);
                let broken = before.is_valid() && !model.is_valid();
                expected = !(locked_out || broken);
                if !expected {
                    break;
                }
            }
            prop_assert_eq!(check_lockout(&state, &possible).is_ok(), expected, "{:?} {:?}", state, possible);
        }
    }

    #[test]
    fn words() {
        let state =
            AuthState { enabled: true, caller: Some("alice".to_owned()), caller_is_root: true, root_is_root: true };
        let refused = |state: &AuthState, change: AuthChange| {
            check_lockout(state, &[change]).map_or_else(|lockout| lockout.to_string(), |()| String::new())
        };
        let delete = |name: &str| AuthChange::DeleteUser { name: name.to_owned() };
        assert_eq!(
            refused(&state, delete("alice")),
            "cannot delete user alice: this command itself is user alice, who could not undo it"
        );
        assert_eq!(
            refused(&state, delete("root")),
            "cannot delete user root: authentication is enabled and needs the user root with the role root"
        );
        assert_eq!(refused(&state, delete("bob")), "");
        let off = AuthState { enabled: false, caller: None, caller_is_root: false, ..state.clone() };
        assert_eq!(
            refused(&off, AuthChange::Enable),
            "cannot enable authentication: this command has no user, so that it could not log in afterwards"
        );
        // A caller without rights loses none; etcd refuses the change.
        assert_eq!(refused(&AuthState { caller_is_root: false, ..state }, delete("alice")), "");
    }
}
