//! Clears NOSPACE alarms and checks that the store accepts writes again.

use std::time::Duration;

use super::plan::{self, NOSPACE};
use crate::consent::Consent;
use crate::context::Context;
use crate::error::Failure;
use crate::health::ClusterScan;
use crate::kvstore::Error;

/// TTL of the lease that probes for space, in seconds; it expires soon if kvadm is killed before revoking it.
const PROBE_TTL_SECONDS: i64 = 10;
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(3);
/// The delay after a write until a member that is still full has raised its alarm again.
const ALARM_DELAY: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub struct DisarmOutcome {
    pub cleared: Vec<u64>,
    /// Why the other alarms are still raised, one line each.
    pub remaining: Vec<String>,
}

/// Clears the alarm of each member that has space. etcd before 3.6 does not report its quota: there the alarm is cleared
/// and a lease is granted, upon which a member that is still full raises the alarm again.
///
/// # Errors
/// A request failed.
pub async fn run(ctx: &Context, consent: &Consent, scan: &ClusterScan) -> Result<DisarmOutcome, Failure> {
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
        store.disarm_nospace(consent, *id).await?;
    }
    let writes = accepts_writes(ctx).await?;
    ctx.sleep(ALARM_DELAY).await?;
    let now = store.alarms().await?;
    let raised_again = |id: &u64| now.iter().any(|alarm| alarm.kind == NOSPACE && alarm.member == *id);
    for id in found.clear {
        if raised_again(&id) {
            done.remaining.push(format!(
                "member {id:x}: NOSPACE was raised again, because the database still exceeds the quota: run \
                 'kvadm compact --reclaim'; if that is not enough, delete keys first, or start etcd with a larger quota"
            ));
        } else {
            done.cleared.push(id);
        }
    }
    if !writes && done.remaining.is_empty() {
        done.remaining.push("the store still refuses writes for lack of space".to_owned());
    }
    Ok(done)
}

/// Grants and revokes a lease, which etcd checks against the quota like a put. `false` if there is no space.
async fn accepts_writes(ctx: &Context) -> Result<bool, Failure> {
    let store = ctx.store();
    match store.grant(PROBE_TTL_SECONDS).await {
        Ok(grant) => {
            let _ = store.for_cleanup(CLEANUP_TIMEOUT).revoke_own(grant.id).await;
            Ok(true)
        }
        Err(error) if error.is_no_space() => Ok(false),
        Err(Error::Refused { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
