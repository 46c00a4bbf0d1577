//! Reads a tree at one revision, and runs the sweep's transactions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use thiserror::Error;

use super::model::{Model, ModelBuilder, ModelError, ObjectId, Totals};
use super::schema::Schema;
use super::sweep::{Sweep, SweepBatch};
use crate::consent::Consent;
use crate::kvstore::{Error, KeyRange, LockGuard, OpResult, ReadOptions, Refusal, Retry, Revision, Store, TxnResult};

/// Attempts to read a tree while its revision is compacted.
const MAX_READS: u32 = 5;

/// Why a tree could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The prefix ends within a name.
    #[error("the prefix must end with a slash, otherwise it includes siblings")]
    Prefix,
    /// The keys do not form a tree of the schema.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// etcd is unreachable or rejects a request; [`Refusal::Compacted`] if history is compacted faster than the tree is
    /// read.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Reads the tree below `prefix` at the current revision. After each page, `on_page` receives the totals so far and the
/// number of keys, if known. A read whose revision is compacted starts over, up to [`MAX_READS`] times.
///
/// # Errors
/// See [`ReadError`].
pub async fn read_tree(
    store: &Store,
    schema: &Arc<Schema>,
    prefix: &[u8],
    mut on_page: impl FnMut(Totals, Option<u64>),
) -> Result<Model, ReadError> {
    if !prefix.is_empty() && !prefix.ends_with(b"/") {
        return Err(ReadError::Prefix);
    }
    let mut reads = 1;
    loop {
        match read_once(store, schema, prefix, &mut on_page).await {
            Err(ReadError::Store(error)) if reads < MAX_READS && error.is_refusal(Refusal::Compacted) => {
                reads += 1;
            }
            other => return other,
        }
    }
}

async fn read_once(
    store: &Store,
    schema: &Arc<Schema>,
    prefix: &[u8],
    on_page: &mut impl FnMut(Totals, Option<u64>),
) -> Result<Model, ReadError> {
    let mut reader = store.read(&KeyRange::prefix(prefix), ReadOptions::default());
    let mut builder = ModelBuilder::new(Arc::clone(schema), prefix, 0);
    while let Some(page) = reader.next().await? {
        for kv in &page {
            builder.push(kv)?;
        }
        on_page(builder.totals(), reader.total());
    }
    builder.set_revision(reader.revision());
    Ok(builder.finish()?)
}

/// A sweep and the store it runs on.
pub struct TreeCollector {
    store: Store,
    sweep: Sweep,
    lock: Option<LockGuard>,
    /// Objects that a transaction may have removed although its response was lost.
    maybe_removed: HashSet<ObjectId>,
    /// Why single objects could not be removed.
    failures: HashMap<ObjectId, String>,
    revision: Revision,
    batches: u64,
    refused: u64,
}

/// Result of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepStep {
    /// Number of objects in the transaction.
    pub objects: usize,
    /// Whether they were removed.
    pub removed: bool,
}

impl TreeCollector {
    /// A collector that has not started. If a lock is given, every transaction compares it, and
    /// [`SweepOptions::locked`](super::sweep::SweepOptions::locked) must be set.
    pub fn new(store: Store, sweep: Sweep, lock: Option<LockGuard>) -> Self {
        Self {
            store,
            sweep,
            lock,
            maybe_removed: HashSet::new(),
            failures: HashMap::new(),
            revision: 0,
            batches: 0,
            refused: 0,
        }
    }

    /// Runs the next transaction, with at most `max_objects` objects; `None` at the end. An error that concerns single
    /// objects is recorded as their verdict and not returned.
    ///
    /// # Errors
    /// The lock was lost, the command was interrupted, or etcd is unreachable: the sweep cannot continue, and the
    /// objects of the transaction count as failed.
    pub async fn step(&mut self, _: &Consent, max_objects: usize) -> Result<Option<SweepStep>, Error> {
        let Some(batch) = self.sweep.next_batch(max_objects) else { return Ok(None) };
        self.batches += 1;
        let done = self.store.txn("gc", &batch.txn, self.lock.as_ref(), Retry::Idempotent).await;
        let step = SweepStep { objects: batch.objects.len(), removed: matches!(&done, Ok(result) if result.succeeded) };
        match done {
            Ok(result) if result.succeeded => {
                let deleted: Vec<u64> = result.results.iter().map(deleted).collect();
                if deleted.iter().any(|keys| *keys > 0) {
                    self.revision = self.revision.max(result.revision);
                }
                // An earlier attempt without a response may have deleted the keys.
                if result.maybe_applied {
                    self.sweep.removed(&batch);
                } else {
                    self.sweep.applied(&batch, &deleted);
                }
            }
            Ok(result) => self.refused(&batch, &result),
            // A smaller transaction may succeed: limits are the server's, and permissions depend on the key.
            Err(error) if is_by_size_or_key(&error) => {
                self.refused += 1;
                if let [id] = batch.objects.as_slice() {
                    self.failures.insert(*id, error.to_string());
                }
                self.sweep.too_large(&batch);
            }
            Err(error) => {
                if matches!(error, Error::Unknown { .. }) {
                    self.maybe_removed.extend(&batch.objects);
                }
                self.sweep.failed(&batch);
                return Err(error);
            }
        }
        Ok(Some(step))
    }

    fn refused(&mut self, batch: &SweepBatch, result: &TxnResult) {
        self.refused += 1;
        if result.maybe_applied {
            self.maybe_removed.extend(&batch.objects);
        }
        let left: u64 = result
            .results
            .iter()
            .map(|result| match result {
                OpResult::Get { count, .. } => *count,
                _ => 0,
            })
            .sum();
        let [id] = batch.objects.as_slice() else { return self.sweep.refused(batch, false) };
        if left == 0 && self.maybe_removed.contains(id) {
            self.sweep.removed(batch);
        } else {
            self.sweep.refused(batch, left == 0);
        }
    }

    /// The state of the sweep.
    pub fn sweep(&self) -> &Sweep {
        &self.sweep
    }

    /// Why etcd did not remove the object, if it failed.
    pub fn failure(&self, id: ObjectId) -> Option<&str> {
        self.failures.get(&id).map(String::as_str)
    }

    /// Whether etcd may have removed the object although its removal was not confirmed.
    pub fn maybe_removed(&self, id: ObjectId) -> bool {
        self.maybe_removed.contains(&id)
    }

    /// The revision of the last removal; 0 if there is none.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Number of transactions sent, and of those that etcd refused.
    pub fn batches(&self) -> (u64, u64) {
        (self.batches, self.refused)
    }
}

/// Number of keys that an operation deleted.
fn deleted(result: &OpResult) -> u64 {
    match result {
        OpResult::Delete { deleted, .. } => *deleted,
        _ => 0,
    }
}

fn is_by_size_or_key(error: &Error) -> bool {
    [Refusal::TooManyOps, Refusal::TooLarge, Refusal::Permission].iter().any(|kind| error.is_refusal(*kind))
}
