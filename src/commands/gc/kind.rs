//! What differs between kinds of garbage.

use std::time::Duration;

use crate::consent::Consent;
use crate::context::Context;
use crate::error::Failure;
use crate::gc::{Candidate, CandidateOutcome, Plan, ScanResult, Scope};
use crate::kvstore::{KeyRange, Store};
use crate::output::{GcPart, GcPhase, Progress, Record, bytes};

/// One kind of garbage.
pub trait GarbageKind {
    /// Name in plans: `ids`.
    const NAME: &'static str;
    /// Name of one of its objects: `master`.
    const OBJECT: &'static str;
    /// Maximum number of candidates passed to [`GarbageKind::remove`].
    fn batch(&self, store: &Store) -> usize;

    /// What is scanned. Scans of different scopes never agree.
    fn scope(&self, store: &Store) -> Scope;

    /// The keys that are scanned, relative to the namespace.
    fn range(&self, store: &Store) -> KeyRange {
        let scope = self.scope(store);
        KeyRange::prefix(scope.prefix.strip_prefix(store.namespace()).unwrap_or(&scope.prefix))
    }

    /// Hash of the schema, if there is one.
    fn schema(&self) -> Option<String> {
        None
    }

    /// Reads and classifies all objects, at one revision. The candidates' keys are absolute.
    fn scan(&mut self, ctx: &Context, progress: &Progress) -> impl Future<Output = Result<ScanResult, Failure>>;

    /// Minimum time between two scans for candidates to become garbage.
    fn min_age(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether a candidate has been seen for long enough.
    fn is_old_enough(&self, _plan: &Plan, _candidate: &Candidate) -> bool {
        true
    }

    /// With a limited rate, the removals of this time are made at once.
    fn pace_period(&self) -> Duration {
        Duration::from_millis(250)
    }

    /// Sorts the candidates, which come in key order, into the order in which they are shown.
    fn sort_rows(&self, _candidates: &mut [Candidate]) {}

    /// Sorts the candidates, which come in the order of [`GarbageKind::sort_rows`], into the order of removal.
    fn order(&self, _chosen: &mut Vec<&Candidate>) {}

    /// Takes leases and locks before removals.
    fn begin(&mut self, _sweep: &SweepContext<'_>) -> impl Future<Output = Result<(), Failure>> {
        async { Ok(()) }
    }

    /// Called after [`GarbageKind::begin`]: may scan again, reorder the candidates, or refuse.
    fn prepare(
        &mut self,
        _sweep: &SweepContext<'_>,
        _chosen: &mut Vec<&Candidate>,
    ) -> impl Future<Output = Result<(), Failure>> {
        async { Ok(()) }
    }

    /// Removes candidates whose facts still hold. Returns outcomes of the first candidates, at least one; the others
    /// are passed again. After the user's signal, candidates may be reported as busy without an attempt.
    ///
    /// An error concerns the store and ends the round.
    fn remove(
        &mut self,
        sweep: &SweepContext<'_>,
        batch: &[&Candidate],
    ) -> impl Future<Output = Result<Vec<CandidateOutcome>, Failure>>;

    /// Releases what [`GarbageKind::begin`] took, regardless of how the removals ended.
    fn end(&mut self, _sweep: &SweepContext<'_>) -> impl Future<Output = ()> {
        async {}
    }

    /// Counters for the summary, per part.
    fn parts(&self) -> Vec<GcPart> {
        Vec::new()
    }

    /// Durations of the phases, for the summary.
    fn phases(&self) -> Vec<GcPhase> {
        Vec::new()
    }

    /// A candidate in one line of text, for the user who is asked.
    fn describe(&self, candidate: &Candidate) -> String {
        format!("{}: {}", bytes::escape(&candidate.key), candidate.why)
    }

    /// Passes a row about a candidate to `to`. The state is `garbage`, `young`, or an outcome's name.
    fn write_row(
        &self,
        plan: &Plan,
        candidate: &Candidate,
        state: &str,
        error: Option<&str>,
        to: &mut dyn FnMut(&dyn Record),
    );
}

/// What removals need.
pub struct SweepContext<'a> {
    /// The command's surroundings.
    pub ctx: &'a Context,
    /// The user's agreement to the removals.
    pub consent: &'a Consent,
    /// The store for removals: the user's signal does not cancel requests in flight.
    pub store: Store,
}
