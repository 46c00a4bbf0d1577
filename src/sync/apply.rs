//! Executes plans: batches of changes, each on the condition that its key is as the plan saw it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error as ThisError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::plan::{PlanEntry, PlannedLease, UndoEntry};
use super::plan_file::PlanFileError;
use super::undo_file::UndoFile;
use crate::consent::Consent;
use crate::kvstore::{Error, KeyValue, LeaseId, LeaseKeeper, LockGuard, Op, OpResult, Retry, Revision, Store, Txn};
use crate::output::{ChangeCounts, Progress, bytes};
use crate::signal::after_cancel;

/// Concurrent batches: enough to keep one server busy.
const MAX_IN_FLIGHT: usize = 8;
/// Bytes per transaction: two thirds of etcd's default request limit (1.5 MiB). A larger change is made alone.
const BATCH_BYTES: usize = 1 << 20;
/// How long batches in flight may take after a signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a plan was not executed to its end.
#[derive(Debug, ThisError)]
pub enum ApplyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
    /// The change of one key.
    #[error("cannot change {}", bytes::name(key))]
    Key {
        /// The key.
        key: Vec<u8>,
        /// Why not.
        #[source]
        error: Error,
    },
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanFileError),
    /// The undo file cannot be written.
    #[error("cannot write the undo file: {0}")]
    Undo(std::io::Error),
    /// A task of a batch has failed.
    #[error("a batch failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// A signal.
    #[error("interrupted")]
    Interrupted,
}

/// What became of the changes of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyTally {
    /// Changes made.
    pub done: ChangeCounts,
    /// Changes not made, because another client has changed the key since the plan was made.
    pub conflicts: u64,
    /// The first keys of them.
    pub conflict_keys: Vec<Vec<u8>>,
    /// Changes of which is not known whether they were made.
    pub unknown: u64,
    /// Keys written without the lease that they had, because it does not exist any more.
    pub leases_gone: u64,
}

/// Keys of conflicts that are kept for the report.
const CONFLICT_KEYS: usize = 10;

impl ApplyTally {
    /// Counts a change that was not made, because another client has changed its key.
    pub fn conflict(&mut self, key: &[u8]) {
        self.conflicts += 1;
        if self.conflict_keys.len() < CONFLICT_KEYS {
            self.conflict_keys.push(key.to_vec());
        }
    }
}

/// Changes per transaction: a lock guard takes one operation, and each change's own transaction nests another one.
fn batch_entries(store: &Store) -> usize {
    store.max_txn_ops().saturating_sub(2).max(1)
}

/// A batch with the lease of each change.
struct Batch {
    step: u64,
    entries: Vec<(PlanEntry, Option<LeaseId>)>,
}

/// What became of each change of a batch.
enum BatchOutcome {
    /// The transaction was executed in this revision; which changes were made.
    Executed(Revision, Vec<bool>),
    /// Not known.
    Unknown,
    /// An error after which nothing more is done.
    Failed(Error),
}

/// Executes the changes of one plan.
pub struct Applier {
    /// The store without the command's cancellation: a signal does not cancel batches in flight.
    store: Store,
    guard: Option<Arc<LockGuard>>,
    cancel: CancellationToken,
    undo: Option<UndoFile>,
    /// Changes whose condition cannot hold again after they were made, and those whose condition can: a transaction of the
    /// former may be sent again.
    open: [Vec<PlanEntry>; 2],
    open_bytes: [usize; 2],
    in_flight: JoinSet<(Batch, BatchOutcome)>,
    entries_in_flight: u64,
    steps: u64,
    /// The granted lease for each lease of the source, kept alive to the end.
    granted: HashMap<LeaseId, LeaseKeeper>,
    /// Whether a lease exists.
    existing: HashMap<LeaseId, bool>,
    used: Vec<LeaseId>,
    progress: Progress,
    /// What became of the changes so far.
    pub tally: ApplyTally,
}

impl Applier {
    /// Executes changes of this store, each only while the lock is held, if there is one.
    pub fn new(
        _: &Consent,
        store: &Store,
        guard: Option<LockGuard>,
        cancel: CancellationToken,
        undo: Option<UndoFile>,
        progress: Progress,
    ) -> Self {
        Self {
            store: store.with_cancel(CancellationToken::new()),
            guard: guard.map(Arc::new),
            cancel,
            undo,
            open: [Vec::new(), Vec::new()],
            open_bytes: [0, 0],
            in_flight: JoinSet::new(),
            entries_in_flight: 0,
            steps: 0,
            granted: HashMap::new(),
            existing: HashMap::new(),
            used: Vec::new(),
            progress,
            tally: ApplyTally::default(),
        }
    }

    /// Adds a change, and sends a batch if one is full.
    ///
    /// # Errors
    /// An error after which nothing more is done; [`Applier::finish`] must follow.
    pub async fn push(&mut self, entry: PlanEntry) -> Result<(), ApplyError> {
        if self.cancel.is_cancelled() {
            return Err(ApplyError::Interrupted);
        }
        let class = usize::from(entry.may_hold_again());
        let size = entry.size();
        if self.open[class].len() >= batch_entries(&self.store)
            || (self.open_bytes[class] + size > BATCH_BYTES && !self.open[class].is_empty())
        {
            self.send(class).await?;
        }
        self.open_bytes[class] += size;
        self.open[class].push(entry);
        Ok(())
    }

    /// Sends what is left, unless there was an error, and waits for all batches in flight; after a signal for a second.
    ///
    /// # Errors
    /// The error that ended the plan.
    pub async fn finish(&mut self, result: Result<(), ApplyError>) -> Result<(), ApplyError> {
        let mut result = result;
        for class in 0..self.open.len() {
            if result.is_ok() && !self.open[class].is_empty() {
                result = self.send(class).await;
            }
        }
        let drain_timeout = after_cancel(&self.cancel, DRAIN_TIMEOUT);
        tokio::pin!(drain_timeout);
        loop {
            tokio::select! {
                biased;
                () = &mut drain_timeout => {
                    self.tally.unknown += self.entries_in_flight;
                    self.in_flight.abort_all();
                    break;
                }
                finished = self.in_flight.join_next() => match finished {
                    None => break,
                    Some(finished) => {
                        let counted = self.finish_batch(finished);
                        result = result.and(counted);
                    }
                },
            }
        }
        if self.cancel.is_cancelled() {
            result = result.and(Err(ApplyError::Interrupted));
        }
        if let Some(undo) = &mut self.undo {
            result = result.and(undo.sync().map_err(ApplyError::Undo));
        }
        self.revoke_unused_leases().await;
        result
    }

    async fn send(&mut self, class: usize) -> Result<(), ApplyError> {
        self.open_bytes[class] = 0;
        let entries = std::mem::take(&mut self.open[class]);
        while self.in_flight.len() >= MAX_IN_FLIGHT {
            let cancel = self.cancel.clone();
            let finished = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(ApplyError::Interrupted),
                finished = self.in_flight.join_next() => finished,
            };
            if let Some(finished) = finished {
                self.finish_batch(finished)?;
            }
        }
        self.steps += 1;
        let mut batch = Batch { step: self.steps, entries: Vec::with_capacity(entries.len()) };
        for entry in entries {
            let lease = self.lease(&entry).await?;
            batch.entries.push((entry, lease));
        }
        if self.undo.is_some() {
            self.write_undo(&mut batch).await?;
        }
        if batch.entries.is_empty() {
            return Ok(());
        }
        let retry = if class == 0 { Retry::Idempotent } else { Retry::Never };
        let (store, guard) = (self.store.clone(), self.guard.clone());
        self.entries_in_flight += batch.entries.len() as u64;
        self.in_flight.spawn(async move {
            let outcome = execute(&store, &batch, guard.as_deref(), retry).await;
            (batch, outcome)
        });
        Ok(())
    }

    /// The lease that a change attaches, found or granted.
    async fn lease(&mut self, entry: &PlanEntry) -> Result<Option<LeaseId>, Error> {
        match entry.lease {
            PlannedLease::None | PlannedLease::Keep => Ok(None),
            PlannedLease::Attach(lease) => {
                let exists = match self.existing.get(&lease) {
                    Some(exists) => *exists,
                    None => {
                        let exists = self.store.time_to_live(lease).await?.is_some();
                        self.existing.insert(lease, exists);
                        exists
                    }
                };
                self.tally.leases_gone += u64::from(!exists);
                Ok(exists.then_some(lease))
            }
            PlannedLease::Grant { source, ttl } => {
                if let Some(granted) = self.granted.get(&source) {
                    return Ok(Some(granted.id()));
                }
                let granted = self.store.keep(ttl).await?;
                let id = granted.id();
                self.granted.insert(source, granted);
                Ok(Some(id))
            }
        }
    }

    /// Writes how the batch is taken back, and syncs it. Changes of keys that are not any more as the plan saw them are
    /// left out of the batch.
    async fn write_undo(&mut self, batch: &mut Batch) -> Result<(), ApplyError> {
        let known: Vec<Vec<u8>> =
            batch.entries.iter().filter(|(entry, _)| entry.expected > 0).map(|(entry, _)| entry.key.clone()).collect();
        let found = match known.is_empty() {
            true => Vec::new(),
            false => self.store.get_each(&known, 0).await?,
        };
        let mut before: HashMap<Vec<u8>, KeyValue> =
            found.into_iter().flatten().map(|kv| (kv.key.clone(), kv)).collect();
        let mut undo = Vec::with_capacity(batch.entries.len());
        for (entry, lease) in std::mem::take(&mut batch.entries) {
            let old = before.remove(&entry.key);
            if old.as_ref().map_or(0, |kv| kv.mod_revision) != entry.expected {
                self.tally.conflict(&entry.key);
                self.progress.inc(1);
                continue;
            }
            undo.push(UndoEntry::of(batch.step, &entry, old));
            batch.entries.push((entry, lease));
        }
        match &mut self.undo {
            Some(file) => file.write(&undo).map_err(ApplyError::Undo),
            None => Ok(()),
        }
    }

    fn finish_batch(
        &mut self,
        finished: Result<(Batch, BatchOutcome), tokio::task::JoinError>,
    ) -> Result<(), ApplyError> {
        let (batch, outcome) = finished?;
        let entries = batch.entries.len() as u64;
        self.entries_in_flight -= entries;
        self.progress.inc(entries);
        match outcome {
            BatchOutcome::Executed(revision, made) => {
                let mut left = Vec::new();
                for (((entry, lease), made), index) in batch.entries.iter().zip(&made).zip(0..) {
                    if *made {
                        self.tally.done.add(entry.kind);
                        self.used.extend(lease);
                    } else {
                        self.tally.conflict(&entry.key);
                        left.push(index);
                    }
                }
                match &mut self.undo {
                    Some(undo) => undo.step_done(batch.step, revision, left).map_err(ApplyError::Undo),
                    None => Ok(()),
                }
            }
            BatchOutcome::Unknown => {
                self.tally.unknown += entries;
                Ok(())
            }
            BatchOutcome::Failed(error) => {
                if matches!(error, Error::Unknown { .. }) {
                    self.tally.unknown += entries;
                }
                match batch.entries.as_slice() {
                    [(entry, _)] if matches!(error, Error::Refused { .. }) => {
                        Err(ApplyError::Key { key: entry.key.clone(), error })
                    }
                    _ => Err(error.into()),
                }
            }
        }
    }

    async fn revoke_unused_leases(&mut self) {
        if self.tally.unknown > 0 {
            return;
        }
        let store = self.store.for_cleanup(DRAIN_TIMEOUT);
        for granted in self.granted.values() {
            granted.stop();
            if !self.used.contains(&granted.id()) {
                let _ = store.revoke_own(granted.id()).await;
            }
        }
    }
}

/// Executes a batch: each change is a transaction of its own inside, so that a changed key stops only its own change.
async fn execute(store: &Store, batch: &Batch, guard: Option<&LockGuard>, retry: Retry) -> BatchOutcome {
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
            BatchOutcome::Executed(result.revision, made)
        }
        Err(error @ Error::Unknown { .. }) if !error.is_no_space() => BatchOutcome::Unknown,
        Err(error) => BatchOutcome::Failed(error),
    }
}
