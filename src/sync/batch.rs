//! Executes one batch of a plan.

use super::plan::PlanEntry;
use crate::kvstore::{Error, LeaseId, LockGuard, Op, OpResult, Retry, Revision, Store, Txn};

/// A batch with the lease of each change.
pub(super) struct PlanBatch {
    pub(super) step: u64,
    pub(super) entries: Vec<(PlanEntry, Option<LeaseId>)>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryOutcome {
    /// It was made.
    Made,
    /// The key already is as planned.
    NotNeeded,
    /// Another client has changed the key.
    Conflict,
}

/// What became of a batch.
pub(super) enum BatchOutcome {
    /// The transaction was executed in this revision.
    Executed(Revision, Vec<EntryOutcome>),
    /// Not known.
    Unknown,
    /// An error after which nothing more is done.
    Failed(Error),
}

/// Executes a batch: each change is a transaction of its own inside, so that a changed key stops only its own change.
pub(super) async fn execute(store: &Store, batch: &PlanBatch, guard: Option<&LockGuard>, retry: Retry) -> BatchOutcome {
    let nested = batch.entries.iter().map(|(entry, lease)| Op::Txn(entry.txn(*lease)));
    let txn = Txn { then: nested.collect(), ..Txn::default() };
    match store.txn("restore", &txn, guard, retry).await {
        Ok(result) => {
            let made: Vec<bool> =
                result.results.iter().map(|result| matches!(result, OpResult::Txn { succeeded: true, .. })).collect();
            // Conditions that all fail at the second sending may have held at the first one. If one holds, the first was not
            // executed: a revision does not come back.
            if result.maybe_applied && !made.contains(&true) {
                return BatchOutcome::Unknown;
            }
            match judge(store, batch, &made).await {
                Ok(outcomes) => BatchOutcome::Executed(result.revision, outcomes),
                Err(error) => BatchOutcome::Failed(error),
            }
        }
        Err(error @ Error::Unknown { .. }) if !error.is_no_space() => BatchOutcome::Unknown,
        Err(error) => BatchOutcome::Failed(error),
    }
}

/// What became of the changes of an executed batch. The keys of those that were not made are read.
async fn judge(store: &Store, batch: &PlanBatch, made: &[bool]) -> Result<Vec<EntryOutcome>, Error> {
    let refused = batch.entries.iter().zip(made).filter(|(_, made)| !**made).map(|((entry, _), _)| entry.key.clone());
    let mut now = store.get_each(&refused.collect::<Vec<_>>(), 0).await?.into_iter();
    let outcome = |((entry, _), made): (&(PlanEntry, Option<LeaseId>), &bool)| match made {
        true => EntryOutcome::Made,
        false if entry.is_satisfied_by(now.next().flatten().as_ref()) => EntryOutcome::NotNeeded,
        false => EntryOutcome::Conflict,
    };
    Ok(batch.entries.iter().zip(made).map(outcome).collect())
}
