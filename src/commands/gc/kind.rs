//! What a kind of garbage has to know; the rest is the same for all.

use std::time::Duration;

use crate::context::Context;
use crate::error::Failure;
use crate::gc::{Candidate, CandidateOutcome, Plan, ScanResult, Scope};
use crate::kvstore::Store;
use crate::output::{GcPart, GcPhase, Progress, Record};

/// One kind of garbage.
pub trait GarbageKind {
    /// Its name in plans: `ids`.
    const NAME: &'static str;
    /// What its objects are called: `masters`.
    const OBJECTS: &'static str;
    /// The most candidates that [`GarbageKind::remove`] is given at once.
    const BATCH: usize;

    /// What is looked at. Two looks at other things never agree.
    fn scope(&self, store: &Store) -> Scope;

    /// What the schema hashes to, where there is one.
    fn schema(&self) -> Option<String> {
        None
    }

    /// Reads and judges everything, at one revision. The candidates' keys are absolute.
    fn scan(&mut self, ctx: &Context, progress: &Progress) -> impl Future<Output = Result<ScanResult, Failure>>;

    /// How long something may have to be seen before it is garbage.
    fn min_age(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether a candidate was seen for long enough.
    fn is_old_enough(&self, _plan: &Plan, _candidate: &Candidate) -> bool {
        true
    }

    /// Puts what is to go in the order in which it has to; given in the order of the keys.
    fn order(&self, _chosen: &mut Vec<&Candidate>) {}

    /// Gets ready to remove: takes leases and locks.
    fn begin(&mut self, _sweep: &SweepContext<'_>) -> impl Future<Output = Result<(), Failure>> {
        async { Ok(()) }
    }

    /// Once it is ready: may look again, put what is to go in another order, or refuse.
    fn prepare(
        &mut self,
        _sweep: &SweepContext<'_>,
        _chosen: &mut Vec<&Candidate>,
    ) -> impl Future<Output = Result<(), Failure>> {
        async { Ok(()) }
    }

    /// Removes candidates, each on the condition of its facts; one outcome a candidate, from the first on. Those that
    /// have none, if there is one at all, are given again. Once the user's signal came it may call those busy that it
    /// has not begun with.
    ///
    /// An error is about the store: it ends the round.
    fn remove(
        &mut self,
        sweep: &SweepContext<'_>,
        batch: &[&Candidate],
    ) -> impl Future<Output = Result<Vec<CandidateOutcome>, Failure>>;

    /// Gives back what [`GarbageKind::begin`] took, however the removals ended.
    fn end(&mut self, _sweep: &SweepContext<'_>) -> impl Future<Output = ()> {
        async {}
    }

    /// What there is, sort by sort, for the summary.
    fn parts(&self) -> Vec<GcPart> {
        Vec::new()
    }

    /// How long each part of the work took, for the summary.
    fn phases(&self) -> Vec<GcPhase> {
        Vec::new()
    }

    /// Makes a row of a candidate and gives it to `to`. The state is `garbage`, `young`, or an outcome's word.
    fn write_row(
        &self,
        plan: &Plan,
        candidate: &Candidate,
        state: &str,
        error: Option<&str>,
        to: &mut dyn FnMut(&dyn Record),
    );
}

/// What a removal has at hand.
pub struct SweepContext<'a> {
    /// The command's surroundings.
    pub ctx: &'a Context,
    /// The store, for removals: the user's signal does not cut what is in flight.
    pub store: Store,
}
