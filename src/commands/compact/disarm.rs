//! Clears alarms whose cause is gone, and checks that the store accepts writes again.

use std::time::Duration;

use super::plan::{self, CORRUPT, ClearableAlarms, NOSPACE};
use crate::consent::Consent;
use crate::context::Context;
use crate::error::Failure;
use crate::health::{ClusterScan, ConsistencyVerdict, check_consistency};
use crate::kvstore::{Alarm, AlarmKind, Error};
use crate::plural::counted;

/// TTL of the lease that probes for space, in seconds; it expires soon if kvadm is killed before revoking it.
const PROBE_TTL_SECONDS: i64 = 10;
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(3);
/// The delay after a write until a member that is still full has raised its alarm again.
const ALARM_DELAY: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub struct DisarmOutcome {
    pub cleared: Vec<u64>,
    /// The kinds of the cleared alarms.
    pub kinds: Vec<&'static str>,
    /// Why the other alarms are still raised, one line each.
    pub remaining: Vec<String>,
}

/// Clears CORRUPT alarms if that is wanted and the members agree, and the NOSPACE alarm of each member that has space. etcd before
/// 3.6 does not report its quota: there the alarm is cleared and a lease is granted, upon which a member that is still full raises
/// the alarm again. `done` tells what was cleared, also after an error.
///
/// # Errors
/// A request failed.
pub async fn run(
    ctx: &Context,
    consent: &Consent,
    scan: &ClusterScan,
    clears_corrupt: bool,
    done: &mut DisarmOutcome,
) -> Result<(), Failure> {
    let store = ctx.store();
    let raised = store.alarms().await?;
    if clears_corrupt {
        let found = judge_corrupt(ctx, &raised).await?;
        done.remaining.extend(found.remaining);
        for id in found.clear {
            store.disarm(consent, id, AlarmKind::Corrupt).await?;
            done.cleared.push(id);
            done.kinds = vec![CORRUPT];
        }
    }
    let found = plan::alarms(&raised, scan);
    done.remaining.extend(found.remaining);
    if found.clear.is_empty() {
        if done.remaining.is_empty() && done.cleared.is_empty() {
            let kinds = if clears_corrupt { "NOSPACE or CORRUPT" } else { "NOSPACE" };
            ctx.out.note(&format!("no {kinds} alarm is raised"));
        }
        return Ok(());
    }
    done.kinds.push(NOSPACE);
    for id in &found.clear {
        store.disarm(consent, *id, AlarmKind::NoSpace).await?;
        done.cleared.push(*id);
    }
    let writes = accepts_writes(ctx).await?;
    ctx.sleep(ALARM_DELAY).await?;
    let now = store.alarms().await?;
    let raised_again = |id: &u64| now.iter().any(|alarm| alarm.kind == NOSPACE && alarm.member == *id);
    for id in found.clear.into_iter().filter(raised_again) {
        done.cleared.retain(|cleared| *cleared != id);
        done.remaining.push(format!(
            "member {id:x}: NOSPACE was raised again, because the database still exceeds the quota: run \
             'kvadm compact --reclaim'; if that is not enough, delete keys first, or start etcd with a larger quota"
        ));
    }
    if !writes && done.remaining.is_empty() {
        done.remaining.push("the store still refuses writes for lack of space".to_owned());
    }
    Ok(())
}

/// Compares the data of all members, if an alarm says that it differs. The alarms can be cleared only if all members have the same
/// hash at one revision and one compact revision. Members answer hashes although the alarm is raised.
///
/// # Errors
/// The members cannot be asked.
pub(super) async fn judge_corrupt(ctx: &Context, raised: &[Alarm]) -> Result<ClearableAlarms, Failure> {
    let ids: Vec<u64> = raised.iter().filter(|alarm| alarm.kind == CORRUPT).map(|alarm| alarm.member).collect();
    if ids.is_empty() {
        return Ok(ClearableAlarms::default());
    }
    let report = check_consistency(ctx.store(), false).await?;
    if report.verdict == ConsistencyVerdict::Consistent {
        let members = report.members.len();
        ctx.out.note(&match members {
            1 => {
                format!("the cluster has one member: there is no other copy to compare (revision {})", report.revision)
            }
            _ => format!("{} have the same data at revision {}", counted(members, "member"), report.revision),
        });
        return Ok(ClearableAlarms { clear: ids, remaining: Vec::new() });
    }
    let why = report.why.unwrap_or_default();
    let compare = ctx.command_line(&["status"]).words(["--consistency"]);
    let todo = match report.verdict {
        ConsistencyVerdict::Different | ConsistencyVerdict::HistoryDiffers => format!(
            "run '{compare}' to see the keys that differ, and give the members that are wrong the right data before you clear the alarm"
        ),
        _ => format!(
            "run '{compare}' when all members answer; members that are compacted at different revisions can be compared after each was \
             restarted, one at a time"
        ),
    };
    let alarm = |id: &u64| {
        format!("member {id:x}: CORRUPT remains: it is not proved that all members hold the same data: {why}; {todo}")
    };
    Ok(ClearableAlarms { clear: Vec::new(), remaining: ids.iter().map(alarm).collect() })
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
