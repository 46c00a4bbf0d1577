//! The user that disables authentication again if the caller cannot log in.

use std::time::Duration;

use crate::access::words::{ROOT, shown};
use crate::access::{AuthChange, execute, random_hex};
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Caller, Store};
use crate::transport::{Credentials, Secret};

/// Time limit for undoing.
const UNDO_TIMEOUT: Duration = Duration::from_secs(10);

/// A user with the role root and a password that only this process knows.
pub struct Rescue {
    /// Logs in as the user once authentication is enabled.
    store: Store,
    name: String,
}

impl Rescue {
    /// Adds the user.
    ///
    /// # Errors
    /// Any error of etcd; authentication is not enabled then.
    pub async fn prepare(ctx: &Context, store: &Store, consent: &Consent) -> Result<Self, Failure> {
        let failed = || Failure::new(Exit::Bug, "the system gives no random numbers");
        let name = format!("kvadm-enable-{}", random_hex(8).ok_or_else(failed)?);
        let password = Secret::new(random_hex(24).ok_or_else(failed)?);
        let credentials = Credentials { user: name.clone(), password: password.clone() };
        let rescue = Self { store: ctx.store().with_credentials(credentials), name: name.clone() };
        let changes = [
            AuthChange::AddUser { name: name.clone(), password: Some(password) },
            AuthChange::GrantRole { user: name, role: ROOT.to_owned() },
        ];
        for change in &changes {
            if let Err(error) = execute(store, consent, change).await {
                let _ = rescue.delete(&store.for_cleanup(UNDO_TIMEOUT), consent).await;
                return Err(Failure::from(error).context(format!("cannot {change}; authentication is not enabled")));
            }
        }
        Ok(rescue)
    }

    /// Deletes the user, after disabling authentication if the caller cannot log in.
    ///
    /// # Errors
    /// Why authentication is not enabled, or what is left behind.
    pub async fn end(
        self,
        ctx: &Context,
        consent: &Consent,
        done: Result<Exit, Failure>,
        proved: Result<(), Failure>,
        caller: &Caller,
    ) -> Result<(), Failure> {
        let own = self.store.for_cleanup(UNDO_TIMEOUT);
        match (done, proved) {
            (Ok(_), Ok(())) => {
                let deleted = self.delete(&ctx.store().for_cleanup(UNDO_TIMEOUT), consent).await;
                deleted.map_err(|failure| failure.context("authentication is enabled"))
            }
            (Ok(_), Err(failure)) => {
                let user = shown(caller.user());
                if let Err(error) = execute(&own, consent, &AuthChange::Disable).await {
                    let left = format!("authentication is enabled, user {user} cannot use it, and disabling it failed");
                    return Err(Failure::from(error)
                        .context(left)
                        .hint("log in as another user with the role root, and run 'kvadm auth disable'"));
                }
                let failure = failure.context("authentication was enabled and disabled again");
                self.delete_and_fail(&ctx.store().anonymous(), consent, failure).await
            }
            (Err(failure), _) => {
                if failure.maybe_applied()
                    && own.auth_status().await.is_ok_and(|status| status.enabled == Some(true))
                    && execute(&own, consent, &AuthChange::Disable).await.is_err()
                {
                    return Err(failure.hint(format!("the temporary user {} is left", self.name)));
                }
                self.delete_and_fail(&ctx.store().anonymous(), consent, failure).await
            }
        }
    }

    /// Deletes the user while authentication is disabled, and returns the failure.
    async fn delete_and_fail(&self, store: &Store, consent: &Consent, failure: Failure) -> Result<(), Failure> {
        match self.delete(&store.for_cleanup(UNDO_TIMEOUT), consent).await {
            Ok(()) => Err(failure),
            Err(left) => Err(failure.hint(left.one_line())),
        }
    }

    async fn delete(&self, store: &Store, consent: &Consent) -> Result<(), Failure> {
        let change = AuthChange::DeleteUser { name: self.name.clone() };
        execute(store, consent, &change).await.map(|_| ()).map_err(|error| {
            let line = format!("'kvadm user delete {}'", self.name);
            Failure::from(error)
                .context(format!("the temporary user {} is left and has the role root: run {line}", self.name))
        })
    }
}
