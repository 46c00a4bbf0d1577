//! `lock --observe`: who leads, and with which value.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, LeaderUpdate};
use crate::output::{LeaderRow, bytes};

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
    loop {
        let next = match until {
            Some(until) => timeout_at(until, leaders.next()).await,
            None => Ok(leaders.next().await),
        };
        let Ok(next) = next else {
            return match begun && !leaders.is_interrupted() {
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

fn timed_out(begun: bool) -> Failure {
    let what = if begun {
        "the watch was interrupted when --timeout elapsed; later leaders, if any, were not shown"
    } else {
        "--timeout elapsed before the leader was read"
    };
    Failure::new(Exit::Unreachable, what).hint("run 'kvadm status' to see which members are up")
}
