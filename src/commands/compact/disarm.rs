//! Clearing the NOSPACE alarm, and proving that the store takes writes again.

use std::time::Duration;

use super::plan::{self, NOSPACE};
use crate::commands::status::scan::ClusterScan;
use crate::context::Context;
use crate::error::Failure;
use crate::kvstore::{Error, Refusal};

/// The TTL of the lease that proves it, in seconds: should kvadm be killed in the middle, it is gone after it.
const PROBE_TTL_SECONDS: i64 = 10;
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(3);
/// A member that is still too full raises its alarm only a moment behind the write.
const ALARM_DELAY: Duration = Duration::from_millis(250);

/// What became of the alarms.
#[derive(Debug, Default)]
pub struct DisarmOutcome {
    /// The members whose alarm is gone.
    pub cleared: Vec<u64>,
    /// Why others are still raised, a line each.
    pub remaining: Vec<String>,
}

/// Clears the alarm of each member that has room. A server before 3.6 does not tell its quota: there the alarm is
/// cleared and a lease granted, and if it was too early the alarm is back at once.
///
/// # Errors
/// Whatever kept an answer away.
pub async fn run(ctx: &Context, scan: &ClusterScan) -> Result<DisarmOutcome, Failure> {
    let store = ctx.store();
    let found = plan::alarms(&store.alarms().await?, scan);
    let mut done = DisarmOutcome { cleared: Vec::new(), remaining: found.remaining };
    if found.clear.is_empty() {
        if done.remaining.is_empty() {
            ctx.out.note("no NOSPACE alarm is raised");
        }
        return Ok(done);
    }
    for id in &found.clear {
        store.disarm_nospace(*id).await?;
    }
    let writes = accepts_writes(ctx).await?;
    ctx.sleep(ALARM_DELAY).await?;
    let now = store.alarms().await?;
    let raised_again = |id: &u64| now.iter().any(|alarm| alarm.kind == NOSPACE && alarm.member == *id);
    for id in found.clear {
        if raised_again(&id) {
            done.remaining.push(format!(
                "member {id:x}: NOSPACE came back at once, for its database is still over the quota: \
                 'kvadm compact --reclaim' gives back what is not in use; where that is not enough, delete keys before \
                 it, or start etcd with a larger quota"
            ));
        } else {
            done.cleared.push(id);
        }
    }
    if !writes && done.remaining.is_empty() {
        done.remaining.push("the store still refuses writes for want of space".to_owned());
    }
    Ok(done)
}

/// Grants a lease, which etcd holds against the quota as it does a put, and gives it back. `false` where there is no
/// space.
async fn accepts_writes(ctx: &Context) -> Result<bool, Failure> {
    let store = ctx.store();
    match store.grant(PROBE_TTL_SECONDS).await {
        Ok(grant) => {
            let _ = store.for_cleanup(CLEANUP_TIMEOUT).revoke(grant.id).await;
            Ok(true)
        }
        Err(error) if error.is_refusal(Refusal::NoSpace) => Ok(false),
        Err(Error::Refused { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
