//! `put --hold`: a key that lives as long as a command, or as kvadm.

use std::ffi::OsString;

use super::one;
use super::plan::{LeaseRequest, PutOutcome, PutRequest};
use crate::commands::lease_scope::{LeaseScope, seconds};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyValue, LockGuard};
use crate::output::bytes;

/// Writes the key on a lease that is kept alive, and holds it until a signal comes or the command ends.
///
/// # Errors
/// As `put`; [`Exit::Conflict`] also where the lease is lost.
pub async fn run(
    ctx: &Context,
    mut wish: PutRequest,
    guard: Option<LockGuard>,
    command: &[OsString],
) -> Result<Exit, Failure> {
    ctx.signals.hold();
    let store = ctx.store();
    let kept = store.keep(seconds(ctx.config.session_ttl)).await?;
    wish.lease = LeaseRequest::Attach(kept.id());
    let what = format!("the key {}", bytes::escape(&wish.key));
    let tenure = LeaseScope { what: what.clone(), kept, guard: None };
    let revision = match one::write(store, &wish, guard.as_ref()).await {
        Ok((PutOutcome::Written { .. }, revision)) => revision,
        result => {
            // Whatever may have been written goes with the lease.
            tenure.release(ctx).await;
            let (outcome, revision) = result?;
            return one::answer(ctx, &wish, None, outcome, revision);
        }
    };
    let (out, held) =
        (ctx.out.clone(), KeyValue { key: wish.key.clone(), value: wish.value.clone(), ..KeyValue::default() });
    tenure.kept.restore_key(store, held, revision, move || out.warn(&format!("{what} was deleted and is restored")));
    if !command.is_empty() {
        return tenure.while_running(ctx, command, Vec::new()).await;
    }
    let ttl = i64::try_from(tenure.kept.ttl().as_secs()).ok();
    let printed = one::show(ctx, &wish, ttl, revision);
    if let Err(failure) = printed {
        tenure.release(ctx).await;
        return Err(failure);
    }
    tenure.until_signal(ctx).await
}
