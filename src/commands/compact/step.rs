//! Helpers of the steps: the current revision, progress and messages.

use std::future::Future;
use std::time::Duration;

use crate::context::Context;
use crate::error::Failure;
use crate::kvstore::{CompactionOutcome, Refusal, Revision};

/// The interval between redraws of a progress bar without a count.
const TICK: Duration = Duration::from_millis(100);

/// The store's revision; for a user without read permission, the revision of the connected member.
pub(super) async fn current_revision(ctx: &Context) -> Result<Revision, Failure> {
    let store = ctx.store();
    match store.revision().await {
        Err(error) if error.is_refusal(Refusal::Permission) => Ok(store.member_status().await?.revision),
        other => Ok(other?),
    }
}

/// Prints a note about the outcome of a compaction.
pub(super) fn note_outcome(ctx: &Context, revision: Revision, outcome: CompactionOutcome, physical: bool) {
    ctx.out.note(&match outcome {
        CompactionOutcome::Already => {
            format!("nothing to do: already compacted to revision {revision} or later")
        }
        CompactionOutcome::Removing if physical => format!(
            "compacted at revision {revision}; the reply was lost, and etcd may still be removing old revisions"
        ),
        CompactionOutcome::Removing | CompactionOutcome::Removed => format!("compacted at revision {revision}"),
    });
}

/// Awaits `work` with a progress bar.
pub(super) async fn with_progress<T>(ctx: &Context, label: &'static str, work: impl Future<Output = T>) -> T {
    let progress = ctx.out.progress(label, None);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                progress.finish();
                return done;
            }
            () = tokio::time::sleep(TICK) => progress.tick(),
        }
    }
}
