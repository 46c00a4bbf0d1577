//! Reading a tree at one revision, and doing the sweep's transactions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use thiserror::Error;

use super::model::{Model, ModelBuilder, ModelError, ObjectId, Totals};
use super::schema::Schema;
use super::sweep::{Sweep, SweepBatch};
use crate::kvstore::{Error, KeyRange, LockGuard, OpResult, ReadOptions, Refusal, Retry, Revision, Store, TxnResult};

/// How often a reading begins anew because its revision was compacted meanwhile.
const MAX_READS: u32 = 5;

/// Why a tree could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A prefix that ends within a name.
    #[error("the prefix must end with a slash, or the keys of its neighbours would count as well")]
    Prefix,
    /// What was read makes no tree.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// etcd did not answer, or refused. [`Refusal::Compacted`]: the history is cut faster than the tree can be read.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Reads the tree below `prefix`, all of it at one revision; at the present. `on_page` is shown how much was read, and how
/// many keys there are, after each page.
///
/// # Errors
/// As [`ReadError`]. A reading whose revision is compacted begins anew, a few times.
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

/// A sweep and where it is done.
pub struct TreeCollector {
    store: Store,
    sweep: Sweep,
    lock: Option<LockGuard>,
    /// What may have been removed by a transaction whose answer was lost.
    maybe_removed: HashSet<ObjectId>,
    /// Why single objects could not be removed.
    failures: HashMap<ObjectId, String>,
    revision: Revision,
    batches: u64,
    refused: u64,
}

/// What one transaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepStep {
    /// The objects it was about.
    pub objects: usize,
    /// Whether they went.
    pub removed: bool,
}

impl TreeCollector {
    /// Begins. Every transaction stands in one that compares the lock, where there is one: the sweep must know.
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

    /// Does the next transaction, of at max_objects `max_objects` objects; `None` at the end. An error at single objects is counted
    /// as their verdict and is not returned.
    ///
    /// # Errors
    /// The lock was lost, the command was told to end, or etcd cannot be reached: nothing more can be done. What the
    /// transaction was about counts as failed.
    pub async fn step(&mut self, max_objects: usize) -> Result<Option<SweepStep>, Error> {
        let Some(batch) = self.sweep.next_batch(max_objects) else { return Ok(None) };
        self.batches += 1;
        let done = self.store.txn("gc", &batch.txn, self.lock.as_ref(), Retry::Idempotent).await;
        let step = SweepStep { objects: batch.objects.len(), removed: matches!(&done, Ok(result) if result.succeeded) };
        match done {
            Ok(result) if result.succeeded => {
                self.revision = self.revision.max(result.revision);
                self.sweep.removed(&batch);
            }
            Ok(result) => self.refused(&batch, &result),
            // A smaller one may do: the server's limits are its own, and permissions go by key.
            Err(error) if is_by_size_or_key(&error) => {
                self.refused += 1;
                if let [id] = batch.objects.as_slice() {
                    self.failures.insert(*id, error.to_string());
                }
                self.sweep.too_large(&batch);
            }
            Err(error) => {
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

    /// The state of the work.
    pub fn sweep(&self) -> &Sweep {
        &self.sweep
    }

    /// Why the object could not be removed, where etcd said so.
    pub fn failure(&self, id: ObjectId) -> Option<&str> {
        self.failures.get(&id).map(String::as_str)
    }

    /// The last revision it made; 0 for none.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How many transactions were sent, and how many of them were refused.
    pub fn batches(&self) -> (u64, u64) {
        (self.batches, self.refused)
    }
}

fn is_by_size_or_key(error: &Error) -> bool {
    [Refusal::TooManyOps, Refusal::TooLarge, Refusal::Permission].iter().any(|kind| error.is_refusal(*kind))
}
