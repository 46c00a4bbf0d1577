//! What helps a command whose client certificate names no user of etcd. Such a command gets the same refusal as a user without
//! the permission.

use std::time::Duration;

use crate::access::words::shown;
use crate::context::Context;
use crate::error::Failure;
use crate::kvstore::{Caller, Refusal};

/// Time limit for looking whether the user exists.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// That the user of this command does not exist.
pub fn no_user(caller: &Caller) -> String {
    match caller {
        Caller::Certificate(name) => format!("the certificate's common name '{}' is no user of etcd", shown(name)),
        Caller::Password(name) => format!("user {} does not exist", shown(name)),
    }
}

/// Replaces the hint of a refused permission if the certificate's common name is no user: a user may always be told about
/// itself.
pub async fn explain_certificate(ctx: &Context, failure: Failure) -> Failure {
    let kinds = [Refusal::Permission, Refusal::UserNotFound];
    if !failure.store_error().is_some_and(|error| kinds.iter().any(|kind| error.is_refusal(*kind))) {
        return failure;
    }
    let Some(caller @ Caller::Certificate(_)) = ctx.store().caller() else { return failure };
    match ctx.store().for_cleanup(LOOK_TIMEOUT).user_roles(caller.user()).await {
        Err(error) if error.is_refusal(Refusal::UserNotFound) => {
            let hint =
                "a user with the role root can add it: 'kvadm user add NAME --no-password', then 'kvadm user grant'";
            Failure { hints: vec![no_user(&caller), hint.to_owned()], ..failure }
        }
        _ => failure,
    }
}
