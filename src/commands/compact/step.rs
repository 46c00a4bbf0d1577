//! What the steps of a compaction share: the current revision, waiting with progress, and what to say.

use std::future::Future;
use std::time::Duration;

use crate::context::Context;
use crate::error::Failure;
use crate::kvstore::{CompactionOutcome, Refusal, Revision};

/// How often a bar that has no count is drawn.
const TICK: Duration = Duration::from_millis(100);

/// The store's revision; for a user who may read no key, as far as the member in use is.
pub(super) async fn current_revision(ctx: &Context) -> Result<Revision, Failure> {
    let store = ctx.store();
    match store.revision().await {
        Err(error) if error.is_refusal(Refusal::Permission) => Ok(store.member_status().await?.revision),
        other => Ok(other?),
    }
}

/// Says what a compaction has come to, where that is not plain.
pub(super) fn note_outcome(ctx: &Context, revision: Revision, outcome: CompactionOutcome, physical: bool) {
    match outcome {
        CompactionOutcome::Already => {
            ctx.out.note(&format!("the store was compacted at revision {revision} or later before"))
        }
        CompactionOutcome::Removing if physical => ctx.out.note(&format!(
            "the store is compacted at revision {revision}, but the answer was lost: etcd may still be removing"
        )),
        CompactionOutcome::Removing | CompactionOutcome::Removed => {
            ctx.out.note(&format!("compacted at revision {revision}"))
        }
    }
}

/// Shows that something is waited for.
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
            () = tokio::time::sleep(TICK) => progress.wait(),
        }
    }
}

/// A failure and its causes in a line.
pub(super) fn one_line(failure: &Failure) -> String {
    let view = failure.view();
    std::iter::once(view.error).chain(view.caused_by).collect::<Vec<_>>().join(": ")
}
