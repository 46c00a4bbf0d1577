//! A sweep as the frame sees it: by candidates.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::gc::metadata::collect::TreeCollector;
use crate::gc::metadata::model::ObjectId;
use crate::gc::metadata::sweep::SweepVerdict;
use crate::gc::{Candidate, CandidateOutcome};
use crate::kvstore::MAX_TXN_OPS;

/// A sweep that is under key_match or over.
pub struct SweepInProgress {
    /// The transactions.
    pub collector: TreeCollector,
    /// The object of each key that is to go.
    pub objects: HashMap<Vec<u8>, ObjectId>,
    /// When it began.
    pub begun: Instant,
    /// How long it took so far, in milliseconds.
    pub took_ms: u64,
}

impl SweepInProgress {
    /// What became of a candidate. One that the last look did not find has changed.
    pub fn verdict(&self, candidate: &Candidate) -> SweepVerdict {
        let id = self.objects.get(&candidate.key);
        id.and_then(|id| self.collector.sweep().verdict(*id)).unwrap_or(SweepVerdict::Changed)
    }

    /// The same for the frame; `None` while it waits.
    pub fn outcome(&self, candidate: &Candidate) -> Option<CandidateOutcome> {
        Some(match self.verdict(candidate) {
            SweepVerdict::Waiting => return None,
            SweepVerdict::Removed => CandidateOutcome::Removed,
            SweepVerdict::Changed | SweepVerdict::Gone | SweepVerdict::HeldBack => CandidateOutcome::Changed,
            SweepVerdict::Entangled => CandidateOutcome::Failed(format!(
                "it rests on more facts, or lies around more objects, than the {MAX_TXN_OPS} that one transaction can compare"
            )),
            SweepVerdict::Failed => {
                let why = self.objects.get(&candidate.key).and_then(|id| self.collector.failure(*id));
                CandidateOutcome::Failed(why.unwrap_or("etcd did not do it").to_owned())
            }
        })
    }
}
