//! `lease renew`: renews leases once or periodically.

use std::time::Duration;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Grant, LeaseId};
use crate::output::{DryRunRow, LeaseRow};
use crate::plural::counted;

/// Renews once; or every period until a signal, or until a lease has expired.
pub async fn run(ctx: &Context, ids: &[LeaseId], every: Option<Duration>) -> Result<Exit, Failure> {
    if ctx.safety.dry_run {
        if !ctx.out.is_data() {
            ctx.out.note(&format!("dry run: {} would be renewed", counted(ids.len(), "lease")));
            return Ok(Exit::Done);
        }
        for id in ids {
            let row = DryRunRow { outcome: "would-renew", lease: Some(*id), ..DryRunRow::default() };
            ctx.out.one(&row)?;
        }
        return Ok(Exit::Done);
    }
    let Some(every) = every else {
        let renewed = renew_once(ctx, ids).await?;
        return Ok(if renewed.len() < ids.len() { Exit::No } else { Exit::Done });
    };
    loop {
        let renewed = match renew_once(ctx, ids).await {
            Err(failure) if failure.is_end_by_signal() => return Ok(Exit::Interrupted),
            renewed => renewed?,
        };
        if renewed.len() < ids.len() {
            return Err(Failure::conflict("a lease has expired or was revoked")
                .hint("etcd deleted its keys; 'kvadm lease grant --ttl D' grants a new one"));
        }
        if let Some(expiring) = renewed.iter().find(|grant| grant.ttl.unsigned_abs() <= every.as_secs()) {
            let (id, ttl) = (expiring.id, expiring.ttl);
            return Err(Failure::usage(format!("--every {every:?} is too long for lease {id} with a TTL of {ttl} s"))
                .hint(format!("renew at least three times per TTL: --every {}s", (ttl / 3).max(1))));
        }
        match ctx.sleep(every).await {
            Err(failure) if failure.is_end_by_signal() => return Ok(Exit::Interrupted),
            slept => slept?,
        }
    }
}

async fn renew_once(ctx: &Context, ids: &[LeaseId]) -> Result<Vec<Grant>, Failure> {
    let mut renewed = Vec::new();
    let mut sink = ctx.out.stream();
    for id in ids {
        match ctx.store().renew(*id).await? {
            Some(grant) => {
                sink.push(&LeaseRow::of(grant))?;
                renewed.push(grant);
            }
            None => ctx.out.note(&format!("lease not found: {id}")),
        }
    }
    sink.finish()?;
    Ok(renewed)
}
