//! The state of a sweep, by candidate.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use crate::gc::metadata::collect::TreeCollector;
use crate::gc::metadata::model::ObjectId;
use crate::gc::metadata::sweep::SweepVerdict;
use crate::gc::{Candidate, CandidateOutcome};
use crate::plural::counted;

/// A sweep that is running or has ended.
pub struct SweepInProgress {
    /// Runs the transactions.
    pub collector: TreeCollector,
    /// The object of each candidate's key.
    pub objects: HashMap<Vec<u8>, ObjectId>,
    /// Keys of candidates that were gone when the tree was read under the lock.
    pub gone: HashSet<Vec<u8>>,
    /// When it started.
    pub begun: Instant,
    /// Its duration so far, in milliseconds.
    pub took_ms: u64,
}

impl SweepInProgress {
    /// The verdict on a candidate; a candidate that the last scan did not find to be garbage is gone or has changed.
    fn verdict(&self, candidate: &Candidate) -> SweepVerdict {
        if self.gone.contains(&candidate.key) {
            return SweepVerdict::Gone;
        }
        let id = self.objects.get(&candidate.key);
        id.and_then(|id| self.collector.sweep().verdict(*id)).unwrap_or(SweepVerdict::Changed)
    }

    /// Why a candidate was held back, if one transaction cannot compare enough.
    pub fn entangled(&self, candidate: &Candidate) -> Option<String> {
        let id = *self.objects.get(&candidate.key)?;
        let sweep = self.collector.sweep();
        let ops = sweep.options().max_ops;
        let facts = counted(sweep.facts(id), "fact");
        (sweep.verdict(id) == Some(SweepVerdict::Entangled)).then(|| {
            format!(
                "its removal depends on {facts} and on its own keys, more than the {ops} comparisons of one \
                 transaction (--max-ops)"
            )
        })
    }

    /// The outcome of a candidate; `None` while it waits.
    pub fn outcome(&self, candidate: &Candidate) -> Option<CandidateOutcome> {
        let id = self.objects.get(&candidate.key);
        let maybe_removed = id.is_some_and(|id| self.collector.maybe_removed(*id));
        Some(match self.verdict(candidate) {
            SweepVerdict::Changed | SweepVerdict::Failed if maybe_removed => {
                CandidateOutcome::Unknown("the reply to its removal was lost".to_owned())
            }
            SweepVerdict::Waiting => return None,
            SweepVerdict::Removed => CandidateOutcome::Removed,
            SweepVerdict::Gone => CandidateOutcome::Gone,
            SweepVerdict::Changed => CandidateOutcome::Changed,
            SweepVerdict::HeldBack | SweepVerdict::Entangled => CandidateOutcome::HeldBack,
            SweepVerdict::Failed => {
                let why = id.and_then(|id| self.collector.failure(*id));
                CandidateOutcome::Failed(why.unwrap_or("etcd rejected its removal").to_owned())
            }
        })
    }
}
