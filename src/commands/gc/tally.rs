//! Counters of a round.

use tokio::time::Instant;

use super::kind::GarbageKind;
use crate::error::Failure;
use crate::gc::{CandidateOutcome, Plan, Timestamp};
use crate::output::{GcRound, SweepCounts};

/// Counters of one round.
pub struct RoundTally {
    /// The counters so far.
    pub round: GcRound,
    begun: Instant,
    left: u64,
}

/// Numbers of objects that a scan keeps although no reference does.
pub struct KeptCounts {
    /// Objects that look wrong.
    pub skipped: usize,
    /// Objects that expire with their lease.
    pub leased: u64,
}

impl RoundTally {
    /// A round that begins now.
    pub fn new<K: GarbageKind>(number: Option<u64>) -> Self {
        let time = Timestamp::now().to_string();
        let round = GcRound { kind: K::NAME, object: K::OBJECT, round: number, time, ..GcRound::default() };
        Self { round, begun: Instant::now(), left: 0 }
    }

    /// Records a scan: how many candidates are old enough, what is kept, and how many candidates are agreed on.
    pub fn scanned(&mut self, plan: &Plan, garbage: usize, kept: KeptCounts, agreed: Option<usize>) {
        let round = &mut self.round;
        round.revision = Some(plan.revision);
        round.looked_at = plan.scanned;
        round.garbage = garbage as u64;
        round.young = (plan.candidates.len() - garbage) as u64;
        round.skipped = kept.skipped as u64;
        round.leased = kept.leased;
        round.agreed = agreed.map(|agreed| agreed as u64);
    }

    /// Records that the sweep begins.
    pub fn start_sweep(&mut self) {
        self.round.swept = Some(SweepCounts::default());
    }

    /// Counts the outcome of one candidate.
    pub fn count(&mut self, outcome: &CandidateOutcome) {
        let swept = self.round.swept.get_or_insert_default();
        self.left += u64::from(outcome.is_left());
        match outcome {
            CandidateOutcome::Removed => swept.removed += 1,
            CandidateOutcome::Gone => swept.gone += 1,
            CandidateOutcome::Changed => swept.changed += 1,
            CandidateOutcome::HeldBack => swept.held_back += 1,
            CandidateOutcome::Busy => swept.busy += 1,
            CandidateOutcome::Restored => swept.restored += 1,
            CandidateOutcome::Conflict(_) => swept.conflicts += 1,
            CandidateOutcome::Unverified(_) => swept.unverified += 1,
            CandidateOutcome::Failed(_) => swept.failed += 1,
            CandidateOutcome::Unknown(_) => swept.unknown += 1,
        }
    }

    /// Candidates removed.
    pub fn removed(&self) -> u64 {
        self.round.swept.map_or(0, |swept| swept.removed)
    }

    /// Candidates after whose attempt something is left to do.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Removals with an unknown outcome.
    pub fn unknown(&self) -> u64 {
        self.round.swept.map_or(0, |swept| swept.unknown)
    }

    /// The finished round.
    pub fn finish(mut self, failure: Option<&Failure>) -> GcRound {
        self.round.took_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.round.error = failure.map(Failure::one_line);
        self.round
    }
}
