//! `compact --every`: periodic compaction, like etcd's own auto-compaction.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::plan::CompactTarget;
use super::step::{current_revision, with_progress};
use crate::context::Context;
use crate::duration::format_duration;
use crate::error::{Exit, Failure};
use crate::kvstore::{CompactionOutcome, Revision};
use crate::output::RoundRow;
use crate::plural::counted;

struct CompactRound {
    outcome: &'static str,
    compacted: Option<Revision>,
    current: Option<Revision>,
    error: Option<String>,
}

/// Compacts every period until a signal, which is no error unless the outcome of a request is unknown.
///
/// # Errors
/// A refusal that the next round would meet again. An unreachable etcd fails only the round.
pub async fn run(ctx: &Context, period: Duration, keep: Option<Revision>, physical: bool) -> Result<Exit, Failure> {
    match run_rounds(ctx, period, keep, physical).await {
        Err(failure) if failure.is_end_by_signal() => Ok(Exit::Interrupted),
        ended => ended,
    }
}

async fn run_rounds(ctx: &Context, period: Duration, keep: Option<Revision>, physical: bool) -> Result<Exit, Failure> {
    if ctx.safety.dry_run {
        let what = match keep {
            Some(keep) => format!("all but the last {}", counted(keep, "revision")),
            None => "the revision that was current one period before".to_owned(),
        };
        ctx.out.note(&format!("dry run: every {}, kvadm would compact {what}", format_duration(period)));
        return Ok(Exit::Done);
    }
    ctx.signals.hold();
    let mut previous = match current_revision(ctx).await {
        Ok(revision) => Some(revision),
        Err(failure) if is_transient(&failure) => {
            ctx.out.warn(&format!("{}; retrying every {}", failure.view().error, format_duration(period)));
            None
        }
        Err(failure) => return Err(failure),
    };
    let mut compacted = None;
    let mut due = Instant::now();
    for number in 1.. {
        // Missed rounds are not repeated.
        due = (due + period).max(Instant::now());
        ctx.sleep(due.saturating_duration_since(Instant::now())).await?;
        let started = Instant::now();
        let round = compact_once(ctx, previous, compacted, keep, physical).await?;
        match round.current {
            // After a failed round, the same revision stays due.
            Some(now) if round.error.is_none() => (previous, compacted) = (Some(now), round.compacted.or(compacted)),
            _ => {}
        }
        ctx.out.one(&RoundRow {
            round: number,
            outcome: round.outcome,
            compacted: round.compacted,
            current: round.current,
            took_ms: started.elapsed().as_secs_f64() * 1e3,
            error: round.error.as_deref(),
        })?;
        ctx.out.flush()?;
    }
    Ok(Exit::Done)
}

/// Whether the next round may succeed.
fn is_transient(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Unreachable | Exit::Unknown)
}

async fn compact_once(
    ctx: &Context,
    previous: Option<Revision>,
    last: Option<Revision>,
    keep: Option<Revision>,
    physical: bool,
) -> Result<CompactRound, Failure> {
    let mut round = CompactRound { outcome: "nothing", compacted: None, current: None, error: None };
    let now = match current_revision(ctx).await {
        Ok(now) => now,
        Err(failure) if is_transient(&failure) => {
            return Ok(CompactRound { outcome: "failed", error: Some(failure.one_line()), ..round });
        }
        Err(failure) => return Err(failure),
    };
    round.current = Some(now);
    let target = match keep {
        Some(keep) => CompactTarget::Keep(keep).revision(now),
        None => previous.filter(|previous| *previous <= now),
    };
    let Some(target) = target.filter(|target| last != Some(*target)) else { return Ok(round) };
    round.compacted = Some(target);
    // etcd does not stop a compaction that it has received, so a signal waits for it.
    let store = ctx.store().with_cancel(CancellationToken::new());
    match with_progress(ctx, "compacting", store.compact(target, physical)).await.map_err(Failure::from) {
        Ok(CompactionOutcome::Already) => round.outcome = "already",
        Ok(_) => round.outcome = "compacted",
        Err(failure) if is_transient(&failure) => {
            round.outcome = "failed";
            round.error = Some(failure.one_line());
        }
        Err(failure) => return Err(failure),
    }
    Ok(round)
}
