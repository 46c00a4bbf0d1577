//! `lock --observe`: who leads, and with which value.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, KeyValue, LeaderUpdate, is_reserved_proposal};
use crate::output::{LeaderRow, bytes};

/// How long etcd may take to answer the read after `--timeout`.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// When it ends, besides a signal and the deadline.
#[derive(Clone, Copy, Debug)]
pub struct ObserveLimits {
    /// The number of leaders and values to print.
    pub count: Option<u64>,
    pub timeout: Option<Duration>,
}

/// Prints the leader of the election and each change.
///
/// # Errors
/// A refusal of etcd, an interruption at the end, the deadline, or a closed stdout.
pub async fn run(ctx: &Context, name: &[u8], limits: ObserveLimits) -> Result<Exit, Failure> {
    let until = limits.timeout.map(|time| Instant::now() + time);
    let shown_name = bytes::escape(name);
    let mut leaders = ctx.store().watch_leader(name);
    let (mut left, mut begun, mut interrupted) = (limits.count, false, false);
    let mut warned_of_lock = false;
    loop {
        let next = match until {
            Some(until) => timeout_at(until, leaders.next()).await,
            None => Ok(leaders.next().await),
        };
        let Ok(next) = next else {
            // A silent member is noticed later than a short timeout ends, so etcd is asked.
            let probe = PROBE_TIMEOUT.min(ctx.store().options().op_timeout);
            let answers = begun && !leaders.is_interrupted() && leaders.answers_within(probe).await;
            return match answers {
                _ if ctx.signals.cancel().is_cancelled() => Ok(Exit::Interrupted),
                true => Ok(Exit::No),
                false => Err(timed_out(begun)),
            };
        };
        let update = match next.map_err(Failure::from) {
            Ok(update) => update,
            Err(failure) if failure.is_end_by_signal() => return Ok(Exit::Interrupted),
            Err(failure) => return Err(failure),
        };
        if ctx.signals.cancel().is_cancelled() {
            return Ok(Exit::Interrupted);
        }
        if ctx.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Error::Deadline { op: "leader", last: None }.into());
        }
        if !matches!(update, LeaderUpdate::Disconnected(_)) && std::mem::take(&mut interrupted) {
            ctx.out.note("the watch has resumed");
        }
        let absolute = |key: &[u8]| ctx.store().absolute(key);
        if let LeaderUpdate::Elected(kv, _) = &update
            && is_reserved_proposal(&kv.value)
            && !std::mem::replace(&mut warned_of_lock, true)
        {
            warn_of_lock(ctx, name, kv);
        }
        match &update {
            LeaderUpdate::Elected(kv, revision) => {
                let (key, revision) = (absolute(&kv.key), *revision);
                ctx.out.live(&LeaderRow::Leader { kv, key: &key, proclaimed: false, revision })?;
            }
            LeaderUpdate::Proclaimed(kv) => {
                let (key, revision) = (absolute(&kv.key), kv.mod_revision);
                ctx.out.live(&LeaderRow::Leader { kv, key: &key, proclaimed: true, revision })?;
            }
            LeaderUpdate::Vacant(revision) => ctx.out.live(&LeaderRow::Vacant(*revision))?,
            LeaderUpdate::Disconnected(why) => {
                interrupted = true;
                ctx.out.warn(&format!("the watch is interrupted and will resume: {}", why.one_line()));
            }
            LeaderUpdate::Reconnected => {}
            LeaderUpdate::Compacted(revision) => ctx.out.warn(&format!(
                "leaders of {shown_name} may be missing here: events up to revision {revision} were compacted while etcd \
                 was not reached"
            )),
        }
        begun = true;
        if matches!(update, LeaderUpdate::Elected(..) | LeaderUpdate::Proclaimed(_)) {
            left = left.map(|left| left.saturating_sub(1));
        }
        if left == Some(0) {
            return Ok(Exit::Done);
        }
    }
}

/// Says that the leader is the holder of a lock.
fn warn_of_lock(ctx: &Context, name: &[u8], kv: &KeyValue) {
    let line = ctx.command_line(&["lock", "--list"]).key(name);
    let key = bytes::escape(&ctx.store().absolute(&kv.key));
    ctx.out.warn(&format!(
        "{} is a lock, not an election: {key} names the holder of a lock; '{line}' shows holders and waiters",
        bytes::escape(name)
    ));
}

fn timed_out(begun: bool) -> Failure {
    let what = if begun {
        "etcd did not answer when --timeout elapsed; later leaders, if any, were not shown"
    } else {
        "--timeout elapsed before the leader was read"
    };
    Failure::new(Exit::Unreachable, what).hint("run 'kvadm status' to see which members are up")
}
