//! The user that disables authentication again if the caller cannot log in, or after a signal.

use std::time::Duration;

use crate::access::words::ROOT;
use crate::access::{AuthChange, execute, random_hex};
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Refusal, Store};
use crate::transport::{Credentials, Secret};

/// How the name of the user begins.
pub const TEMPORARY: &str = "kvadm-enable-";
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
        let name = format!("{TEMPORARY}{}", random_hex(8).ok_or_else(failed)?);
        let password = Secret::new(random_hex(24).ok_or_else(failed)?);
        let credentials = Credentials { user: name.clone(), password: password.clone() };
        let rescue = Self { store: ctx.store().with_credentials(credentials), name: name.clone() };
        let changes = [
            AuthChange::AddUser { name: name.clone(), password: Some(password) },
            AuthChange::GrantRole { user: name, role: ROOT.to_owned() },
        ];
        for change in &changes {
            if let Err(error) = execute(store, consent, change).await {
                let failure = Failure::from(error).context(format!("cannot {change}; authentication is not enabled"));
                return Err(match rescue.delete(&store.for_cleanup(UNDO_TIMEOUT), consent).await {
                    Ok(()) => failure,
                    Err(left) => failure.hint(format!("{}: {}", rescue.left(ctx), left.one_line())),
                });
            }
        }
        Ok(rescue)
    }

    /// Deletes the user once the caller has logged in.
    ///
    /// # Errors
    /// The user is left.
    pub async fn delete_as_caller(&self, ctx: &Context, consent: &Consent) -> Result<(), Failure> {
        let deleted = self.delete(&ctx.store().for_cleanup(UNDO_TIMEOUT), consent).await;
        deleted.map_err(|failure| {
            let left = self.left(ctx);
            failure.context("authentication is enabled, and the temporary user could not be deleted").hint(left)
        })
    }

    /// Disables authentication again if it may be enabled, and deletes the user. Returns the failure with what became of it.
    pub async fn undo(
        &self,
        ctx: &Context,
        consent: &Consent,
        mut failure: Failure,
        sent: bool,
        print: &mut dyn FnMut(&AuthChange, &'static str),
    ) -> Failure {
        if ctx.signals.cancel().is_cancelled() {
            ctx.out.note("interrupted: undoing what was done");
        }
        let anonymous = ctx.store().anonymous();
        if sent {
            // One limit for both requests.
            let (own, status) = (self.store.for_cleanup(UNDO_TIMEOUT), anonymous.for_cleanup(UNDO_TIMEOUT));
            if !status.auth_status().await.is_ok_and(|status| status.enabled == Some(false)) {
                if let Err(error) = execute(&own, consent, &AuthChange::Disable).await {
                    let what = format!("authentication may be enabled, and disabling it again failed: {error}");
                    let mut failure = failure.context(what);
                    failure.exit = Exit::Unknown;
                    let line = ctx.command_line(&["auth", "status"]);
                    failure.hints = vec![
                        self.left(ctx),
                        format!(
                            "see whether authentication is enabled: '{line}'; a user with the role root can disable it"
                        ),
                    ];
                    return failure;
                }
                print(&AuthChange::Disable, "applied");
                failure = failure.context("authentication was enabled and disabled again");
                if failure.exit != Exit::Interrupted {
                    failure.exit = Exit::Conflict;
                }
            }
        }
        match self.delete(&anonymous.for_cleanup(UNDO_TIMEOUT), consent).await {
            Ok(()) => failure,
            Err(error) => failure.hint(format!("{}: {}", self.left(ctx), error.one_line())),
        }
    }

    /// That the user is left, and how to delete it.
    fn left(&self, ctx: &Context) -> String {
        let line = ctx.command_line(&["user", "delete"]).key(self.name.as_bytes()).words(["--yes"]);
        format!("the temporary user {} is left and has the role root: run '{line}'", self.name)
    }

    async fn delete(&self, store: &Store, consent: &Consent) -> Result<(), Failure> {
        let change = AuthChange::DeleteUser { name: self.name.clone() };
        match execute(store, consent, &change).await {
            Ok(_) => Ok(()),
            // It was never added.
            Err(error) if error.is_refusal(Refusal::UserNotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
