//! Holds a lock until a signal or while a command runs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::acquire::AcquiredLock;
use crate::child::PreparedChild;
use crate::commands::lease_scope::LeaseScope;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{LockAnswer, bytes};

/// Prints the lock and holds it until a signal.
pub async fn until_signal(ctx: &Context, held: AcquiredLock) -> Result<Exit, Failure> {
    let answer = LockAnswer {
        key: &held.guard.key,
        revision: held.guard.revision,
        token: &held.token(),
        lease: held.kept.id(),
        ttl: held.kept.ttl().as_secs(),
        shared: held.shared,
        value: held.proposal.as_deref(),
    };
    let printed = ctx.out.one(&answer).and_then(|()| ctx.out.flush());
    let lease_scope = lease_scope(held);
    if let Err(error) = printed {
        lease_scope.release(ctx).await;
        return Err(error.into());
    }
    lease_scope.until_signal(ctx).await
}

/// Runs the prepared command under the lock.
pub async fn while_command_runs(ctx: &Context, held: AcquiredLock, child: PreparedChild) -> Result<Exit, Failure> {
    ctx.out.detail(&format!("holding lock {} as {}", held.name, held.token()));
    let environment = environment(&held);
    lease_scope(held).while_child_runs(ctx, child, &environment).await
}

fn lease_scope(held: AcquiredLock) -> LeaseScope {
    LeaseScope { what: format!("the lock {}", held.name), kept: held.kept, guard: Some(held.guard) }
}

fn environment(held: &AcquiredLock) -> Vec<(&'static str, OsString)> {
    let key = &held.guard.key;
    // An environment variable cannot contain NUL.
    let key: OsString = if key.contains(&0) { bytes::escape(key).into() } else { OsStr::from_bytes(key).to_owned() };
    let revision = held.guard.revision.to_string();
    vec![
        ("KVADM_LOCK", held.token().into()),
        ("KVADM_LOCK_KEY", key.clone()),
        ("KVADM_LOCK_REV", revision.clone().into()),
        ("ETCD_LOCK_KEY", key),
        ("ETCD_LOCK_REV", revision.into()),
    ]
}
