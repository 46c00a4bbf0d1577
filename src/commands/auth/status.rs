//! `kvadm auth status`: what etcd tells about its authentication and about the caller.

use crate::access::words::{ROOT, shown};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{AuthStatus, Caller, Error, Refusal, Store};
use crate::output::AuthStatusAnswer;

/// Prints the status.
///
/// # Errors
/// Any error other than that the caller may not read something.
pub async fn run(ctx: &Context) -> Result<Exit, Failure> {
    let caller = ctx.store().caller();
    // Without credentials: whether etcd asks for them is the question. A wrong password must not hide the answer.
    let anonymous = ctx.store().anonymous();
    let AuthStatus { enabled, mut revision } = anonymous.auth_status().await?;
    let store = if enabled == Some(false) { &anonymous } else { ctx.store() };
    if revision.is_none() && enabled == Some(true) && matches!(caller, Some(Caller::Password(_))) {
        // A refused login is the subject of the next request.
        revision = store.auth_status().await.ok().and_then(|status| status.revision);
    }
    let mut refused = None;
    let administrator = match &caller {
        Some(caller) => match has_root_role(store, caller.user()).await {
            Err(error) if error.is_refusal(Refusal::BadPassword) => {
                refused = Some(error);
                None
            }
            known => known?,
        },
        None => None,
    };
    let root_ready = match &caller {
        _ if refused.is_some() => None,
        Some(caller) if caller.user() == ROOT => administrator,
        _ => has_root_role(store, ROOT).await?,
    };
    let user = caller.as_ref().map(Caller::user);
    if refused.is_none() {
        ctx.out.note(&sentence(enabled, user, administrator));
    }
    let login = caller.as_ref().map(|caller| match caller {
        Caller::Password(_) => "password",
        Caller::Certificate(_) => "certificate",
    });
    ctx.out.one(&AuthStatusAnswer { enabled, auth_revision: revision, user, login, administrator, root_ready })?;
    match refused {
        Some(error) => Err(Failure::from(error).context("the login of this command's user is refused")),
        None => Ok(Exit::Done),
    }
}

/// Whether the user exists and has the role root; `None` if the caller may not know.
async fn has_root_role(store: &Store, user: &str) -> Result<Option<bool>, Error> {
    match store.user_roles(user).await {
        Ok(roles) => Ok(Some(roles.iter().any(|role| role == ROOT))),
        Err(error) if error.is_refusal(Refusal::UserNotFound) => Ok(Some(false)),
        Err(error) if error.is_refusal(Refusal::Permission) || error.is_refusal(Refusal::NoUser) => Ok(None),
        Err(error) => Err(error),
    }
}

fn sentence(enabled: Option<bool>, user: Option<&str>, administrator: Option<bool>) -> String {
    let state = match enabled {
        Some(true) => "authentication is enabled",
        Some(false) => "authentication is disabled: everyone can read and write everything",
        None => "the server does not tell whether authentication is enabled",
    };
    let who = match (user, administrator) {
        (None, _) => "this command has no user".to_owned(),
        (Some(user), Some(true)) => format!("this command is user {}, who has the role root", shown(user)),
        (Some(user), Some(false)) => format!("this command is user {}, without the role root", shown(user)),
        (Some(user), None) => format!("this command is user {}", shown(user)),
    };
    format!("{state}; {who}")
}
