//! `kvadm auth status`: what etcd tells about its authentication and about the caller.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::words::{ROOT, shown};
use crate::commands::denied::no_user;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{AuthStatus, Caller, Error, Refusal, Store};
use crate::output::AuthStatusAnswer;

/// Upper bound of the claims of a JWT that are read, in base64.
const CLAIMS_BYTES: usize = 8 << 10;
/// Upper bound of the name of a user that is shown.
const USER_BYTES: usize = 200;

/// Prints the status.
///
/// # Errors
/// Any error other than that the caller may not read something.
pub async fn run(ctx: &Context) -> Result<Exit, Failure> {
    // etcd prefers a token to a certificate.
    let token = ctx.config.connect.token.as_ref().map(|token| claimed_user(token.expose()));
    let caller = ctx.store().caller().filter(|_| token.is_none());
    // Without credentials: whether etcd asks for them is the question. A wrong password must not hide the answer.
    let anonymous = ctx.store().anonymous();
    let AuthStatus { enabled, mut revision } = anonymous.auth_status().await?;
    let store = if enabled == Some(false) { &anonymous } else { ctx.store() };
    if revision.is_none() && enabled == Some(true) && matches!(caller, Some(Caller::Password(_))) {
        // A refused login is the subject of the next request.
        revision = store.auth_status().await.ok().and_then(|status| status.revision);
    }
    let mut refused = None;
    let mut missing = false;
    let administrator = match &caller {
        Some(caller) => match root_role_of_caller(store, caller, &mut missing).await {
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
        // etcd answers that the caller is not found, whoever is asked for.
        Some(_) if missing && enabled != Some(false) => None,
        Some(caller) if caller.user() == ROOT => administrator,
        _ => has_root_role(store, ROOT).await?,
    };
    let user = caller.as_ref().map(Caller::user);
    if refused.is_none() {
        let missing = caller.as_ref().filter(|_| missing).map(no_user);
        let who = match (&token, missing) {
            (Some(claimed), _) => user_of_token(claimed.as_deref()),
            (None, Some(missing)) => missing,
            (None, None) => who(user, administrator),
        };
        ctx.out.note(&format!("{}; {who}", state(enabled)));
    }
    let login = match &caller {
        Some(Caller::Password(_)) => Some("password"),
        Some(Caller::Certificate(_)) => Some("certificate"),
        None => token.as_ref().map(|_| "token"),
    };
    ctx.out.properties(&AuthStatusAnswer {
        enabled,
        auth_revision: revision,
        user,
        login,
        administrator,
        root_ready,
    })?;
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

/// The same for the caller. The common name of a certificate may be no user.
async fn root_role_of_caller(store: &Store, caller: &Caller, missing: &mut bool) -> Result<Option<bool>, Error> {
    if matches!(caller, Caller::Certificate(_)) {
        *missing =
            matches!(store.user_roles(caller.user()).await, Err(error) if error.is_refusal(Refusal::UserNotFound));
    }
    has_root_role(store, caller.user()).await
}

fn state(enabled: Option<bool>) -> &'static str {
    match enabled {
        Some(true) => "authentication is enabled",
        Some(false) => "authentication is disabled: everyone can read and write everything",
        None => "the server does not tell whether authentication is enabled",
    }
}

fn who(user: Option<&str>, administrator: Option<bool>) -> String {
    match (user, administrator) {
        (None, _) => "this command has no user".to_owned(),
        (Some(user), Some(true)) => format!("this command is user {}, who has the role root", shown(user)),
        (Some(user), Some(false)) => format!("this command is user {}, without the role root", shown(user)),
        (Some(user), None) => format!("this command is user {}", shown(user)),
    }
}

fn user_of_token(claimed: Option<&str>) -> String {
    match claimed {
        Some(user) => format!(
            "this command is the user of the token, which is for user {} by its own account (etcd does not tell its name)",
            shown(user)
        ),
        None => "this command is the user of the token (etcd does not tell its name)".to_owned(),
    }
}

/// The user whom a JWT names. Its signature is not checked.
fn claimed_user(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    if claims.len() > CLAIMS_BYTES {
        return None;
    }
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let user = claims.get("username")?.as_str()?;
    (!user.is_empty() && user.len() <= USER_BYTES).then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_names_its_user() {
        let token = |claims: &str| format!("head.{}.signature", URL_SAFE_NO_PAD.encode(claims));
        let named = token(r#"{"username":"app","revision":3}"#);
        assert_eq!(claimed_user(&named).as_deref(), Some("app"));
        assert_eq!(claimed_user(&format!("{named}.more")), None);
        for claims in ["{}", "[]", "x", r#"{"username":7}"#, r#"{"username":""}"#] {
            assert_eq!(claimed_user(&token(claims)), None, "{claims}");
        }
        assert_eq!(claimed_user(&token(&format!(r#"{{"username":"{}"}}"#, "x".repeat(USER_BYTES + 1)))), None);
        assert_eq!(claimed_user(&token(&"x".repeat(CLAIMS_BYTES))), None);
        for token in ["", "QWERTYUIOP.1", "a.b.c", "..", "a.é.c"] {
            assert_eq!(claimed_user(token), None, "{token}");
        }
        let hostile = token("{\"username\":\"a\\u001b[31m\"}");
        let said = user_of_token(claimed_user(&hostile).as_deref());
        assert!(said.contains("for user") && !said.contains('\u{1b}'), "{said}");
    }
}
