//! `put --hold`: a key that exists while a command or kvadm runs.

use std::ffi::OsString;

use super::plan::{LeaseRequest, PutOutcome, PutRequest};
use super::single;
use crate::commands::lease_scope::{LeaseScope, seconds};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyValue, LockGuard};
use crate::output::bytes;

/// Writes the key on a lease, and keeps the lease alive until a signal or the end of the command.
///
/// # Errors
/// As `put`; also [`Exit::Conflict`] if the lease is lost.
pub async fn run(
    ctx: &Context,
    mut request: PutRequest,
    guard: Option<LockGuard>,
    command: &[OsString],
) -> Result<Exit, Failure> {
    ctx.signals.hold();
    let store = ctx.store();
    let kept = store.keep(seconds(ctx.config.session_ttl)).await?;
    request.lease = LeaseRequest::Attach(kept.id());
    let what = format!("the key {}", bytes::name(&request.key));
    let scope = LeaseScope { what: what.clone(), kept, guard: None };
    let revision = match single::write(ctx, &request, guard.as_ref()).await {
        Ok((PutOutcome::Written { .. }, revision)) => revision,
        result => {
            // Revoking the lease deletes what may have been written.
            scope.release(ctx).await;
            let (outcome, revision) = result?;
            return single::report(ctx, &request, None, outcome, revision);
        }
    };
    let (out, held) =
        (ctx.out.clone(), KeyValue { key: request.key.clone(), value: request.value.clone(), ..KeyValue::default() });
    scope.kept.restore_key(store, held, revision, move || {
        out.warn(&format!("{what} was deleted by someone else and has been restored"))
    });
    if !command.is_empty() {
        return scope.while_running(ctx, command, Vec::new()).await;
    }
    let ttl = i64::try_from(scope.kept.ttl().as_secs()).ok();
    let printed = single::print_written(ctx, &request, ttl, revision);
    if let Err(failure) = printed {
        scope.release(ctx).await;
        return Err(failure);
    }
    scope.until_signal(ctx).await
}
