//! Requests to a local store: [`Store`] adds the namespace, and ends each read with the command.

use std::sync::Arc;

use tokio::time::Instant;

use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::kv::txn::{
    Compare, CompareOp, CompareTarget, KeySelector, LockGuard, Op, OpResult, Txn, TxnResult,
};
use crate::kvstore::lease::{Grant, LeaseWithKeys};
use crate::kvstore::local::{LocalAnswer, LocalError, LocalQuery, LocalStore};
use crate::kvstore::store::Store;
use crate::kvstore::types::{KeyValue, LeaseId, Revision};
use crate::transport::Trace;

impl Store {
    /// Whether a file answers the reads.
    pub fn is_local(&self) -> bool {
        self.inner.local.is_some()
    }

    /// Refuses a request that only a cluster can answer.
    ///
    /// # Errors
    /// [`Error::Local`] if a file answers the reads.
    pub(crate) fn refuse_if_local(&self, op: &'static str) -> Result<(), Error> {
        match &self.inner.local {
            Some(local) => Err(Error::Local { store: local.name(), cause: LocalError::NeedsCluster(op) }),
            None => Ok(()),
        }
    }

    /// Reads a range of a local store. The keys of the query and of the answer are without the namespace.
    pub(crate) async fn local_range(&self, op: &'static str, query: LocalQuery) -> Result<LocalAnswer, Error> {
        let range = query.range.within(self.namespace());
        let (key, revision) = (range.start.clone(), query.revision);
        let query = LocalQuery { range, ..query };
        let mut answer = self.ask_local(op, &key, revision, move |local| local.range(&query)).await?;
        for kv in &mut answer.kvs {
            kv.key = self.relative(std::mem::take(&mut kv.key));
        }
        Ok(answer)
    }

    /// The granted TTL of a lease. The remaining TTL, which a file does not tell, is given as the granted one.
    pub(crate) async fn local_lease(&self, id: LeaseId) -> Result<Option<LeaseWithKeys>, Error> {
        let ttl = self.ask_local("lease ttl", &[], 0, move |local| local.lease_ttl(id)).await?;
        Ok(ttl.map(|ttl| LeaseWithKeys { grant: Grant { id, ttl, left: ttl }, keys: Vec::new(), foreign: 0 }))
    }

    /// Runs a transaction that only reads.
    pub(crate) async fn local_txn(
        &self,
        op: &'static str,
        txn: &Txn,
        guard: Option<&LockGuard>,
    ) -> Result<TxnResult, Error> {
        if guard.is_some() {
            self.refuse_if_local("--if-locked")?;
        }
        let keys = txn.then.iter().chain(&txn.otherwise).filter_map(|read| match read {
            Op::Get { over: KeySelector::Key(key), .. } => Some(self.absolute(key)),
            _ => None,
        });
        let keys: Vec<Vec<u8>> = keys.collect();
        let first = self.absolute(txn.first_key());
        self.ask_local(op, &first, 0, move |local| local.prepare(&keys)).await?;
        let mut succeeded = true;
        for compare in &txn.compares {
            succeeded = succeeded && self.local_compare(op, compare).await?;
        }
        let mut results = Vec::new();
        for read in if succeeded { &txn.then } else { &txn.otherwise } {
            let Op::Get { over, revision, keys_only, count_only, limit } = read else {
                self.refuse_if_local(op)?;
                continue;
            };
            let query = LocalQuery {
                range: range_of(over),
                revision: *revision,
                limit: u64::try_from(*limit).unwrap_or(0),
                keys_only: *keys_only,
                count_only: *count_only,
            };
            let LocalAnswer { kvs, count, more, .. } = self.local_range(op, query).await?;
            results.push(OpResult::Get { kvs, count, more });
        }
        let revision = self.revision_at_key(&[]).await?;
        Ok(TxnResult { succeeded, revision, results, maybe_applied: false })
    }

    /// Whether a condition holds for each key that it is about.
    async fn local_compare(&self, op: &'static str, compare: &Compare) -> Result<bool, Error> {
        let found = self.local_range(op, LocalQuery::of(range_of(&compare.over))).await?.kvs;
        if found.is_empty() {
            // etcd compares a missing key as one without revisions, and never by its value.
            let missing = KeyValue::default();
            return Ok(!matches!(compare.target, CompareTarget::Value(_)) && holds(compare, &missing));
        }
        Ok(found.iter().all(|kv| holds(compare, kv)))
    }

    /// Asks the local store on a thread that may block. A signal or the deadline ends the wait at once.
    async fn ask_local<T: Send + 'static>(
        &self,
        op: &'static str,
        key: &[u8],
        revision: Revision,
        ask: impl FnOnce(&dyn LocalStore) -> Result<T, LocalError> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(local) = self.inner.local.clone() else {
            return Err(Error::Internal { op, what: "the store is no file".to_owned() });
        };
        let (sent, name) = (Instant::now(), local.name());
        let asked = Arc::clone(&local);
        let task = tokio::task::spawn_blocking(move || ask(&*asked));
        let result = tokio::select! {
            biased;
            error = self.ended(op) => return Err(error),
            answer = task => match answer {
                Ok(answer) => answer.map_err(|cause| Error::Local { store: name.clone(), cause }),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime is shutting down.
                Err(_) => return Err(Error::Interrupted { op, unknown: false }),
            },
        };
        if self.session.observer.traces() {
            let error = result.as_ref().err().map(ToString::to_string);
            self.session.observer.request(&Trace {
                op,
                key,
                guard: "",
                revision,
                took: sent.elapsed(),
                endpoint: &name,
                error: error.as_deref(),
            });
        }
        result
    }
}

fn range_of(over: &KeySelector) -> KeyRange {
    match over {
        KeySelector::Key(key) => KeyRange::key(key),
        KeySelector::Range(range) => range.clone(),
    }
}

fn holds(compare: &Compare, kv: &KeyValue) -> bool {
    let order = match &compare.target {
        CompareTarget::Value(value) => kv.value.cmp(value),
        CompareTarget::Version(version) => kv.version.cmp(version),
        CompareTarget::Create(revision) => kv.create_revision.cmp(revision),
        CompareTarget::Mod(revision) => kv.mod_revision.cmp(revision),
        CompareTarget::Lease(lease) => kv.lease.map_or(0, |id| id.0).cmp(&lease.map_or(0, |id| id.0)),
    };
    match compare.op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Less => order.is_lt(),
        CompareOp::Greater => order.is_gt(),
    }
}
