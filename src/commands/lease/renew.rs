//! `lease renew`.

use std::time::Duration;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Grant, LeaseId};
use crate::output::LeaseRow;

/// Renews once, or every so often until a signal or a loss.
pub async fn run(ctx: &Context, ids: &[LeaseId], every: Option<Duration>) -> Result<Exit, Failure> {
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: {} leases would be renewed", ids.len()));
        return Ok(Exit::Done);
    }
    let Some(every) = every else {
        let renewed = renew_once(ctx, ids).await?;
        return Ok(if renewed.len() < ids.len() { Exit::No } else { Exit::Done });
    };
    loop {
        let renewed = renew_once(ctx, ids).await?;
        if renewed.len() < ids.len() {
            return Err(Failure::conflict("a lease is gone").hint("its keys are gone too; grant another one"));
        }
        if let Some(expiring) = renewed.iter().find(|grant| grant.ttl.unsigned_abs() <= every.as_secs()) {
            let (id, ttl) = (expiring.id, expiring.ttl);
            return Err(Failure::usage(format!("--every {every:?} is too slow for lease {id}, which lives {ttl} s")));
        }
        ctx.sleep(every).await?;
    }
}

async fn renew_once(ctx: &Context, ids: &[LeaseId]) -> Result<Vec<Grant>, Failure> {
    let mut renewed = Vec::new();
    let mut sink = ctx.out.stream();
    for id in ids {
        match ctx.store().renew(*id).await? {
            Some(grant) => {
                sink.push(&LeaseRow { grant, keys: None })?;
                renewed.push(grant);
            }
            None => ctx.out.note(&format!("no lease {id}")),
        }
    }
    sink.finish()?;
    Ok(renewed)
}
