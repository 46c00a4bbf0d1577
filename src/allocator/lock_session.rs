//! etcd mutexes on one lease, taken together in one transaction or one by one.
//!
//! Wire format: etcd's mutex, as Cilium's `LockPath` takes it, so that Cilium's agents and operators are excluded. A
//! client's key in a mutex is `<name>/<lease ID in hex>`; the oldest key holds the mutex.

use std::time::Duration;

use tokio::time::timeout;

use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeyRange, KeySelector, LeaseId, LeaseMode, LockLabel, LockMode, Op,
    OpResult, Retry, Revision, Store, Txn, Write,
};

/// A mutex that this process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// This client's key in the mutex, without the namespace.
    pub key: Vec<u8>,
    /// The key's create revision.
    pub revision: Revision,
}

impl HeldLock {
    /// Holds as long as the mutex is held.
    pub fn is_held(&self) -> Compare {
        Compare::key(&self.key, CompareOp::Equal, CompareTarget::Create(self.revision))
    }

    /// Unlocks the mutex.
    pub fn release(&self) -> Op {
        Op::Delete { over: KeySelector::Key(self.key.clone()), prev: false }
    }
}

/// How waiting for a mutex ended.
#[derive(Debug)]
pub enum LockWait {
    /// It is held.
    Held(HeldLock),
    /// Another client still holds it; this client no longer waits for it.
    Busy,
    /// This client's key in the mutex was deleted.
    Lost,
}

/// Locks and unlocks mutexes, all on one lease that the caller keeps alive.
#[derive(Clone)]
pub struct LockSession {
    store: Store,
    lease: LeaseId,
}

impl LockSession {
    /// A session on this lease.
    pub fn new(store: &Store, lease: LeaseId) -> Self {
        Self { store: store.clone(), lease }
    }

    fn key(&self, name: &[u8]) -> Vec<u8> {
        [name, b"/", self.lease.to_string().as_bytes()].concat()
    }

    /// This client's key in a mutex, to be written.
    pub fn put(&self, name: &[u8]) -> Op {
        Op::Put(Write { key: self.key(name), lease: LeaseMode::Attach(self.lease), ..Write::default() })
    }

    /// A transaction that locks all of these mutexes if no client contends for any of them. `reads` run in any case.
    /// [`LockSession::locked`] interprets the response.
    pub fn try_lock(&self, names: &[Vec<u8>], reads: &[Op]) -> Txn {
        let queue = |name: &Vec<u8>| KeySelector::Range(KeyRange::prefix(&[name.as_slice(), b"/"].concat()));
        let is_free = |name| Compare { over: queue(name), op: CompareOp::Equal, target: CompareTarget::Version(0) };
        let read_queue =
            |name| Op::Get { over: queue(name), revision: 0, keys_only: true, count_only: false, limit: 0 };
        Txn {
            compares: names.iter().map(is_free).collect(),
            then: names.iter().map(|name| self.put(name)).chain(reads.iter().cloned()).collect(),
            otherwise: names.iter().map(read_queue).chain(reads.iter().cloned()).collect(),
        }
    }

    /// The locks held after a transaction of [`LockSession::try_lock`], which ran at `revision`, and the results of its
    /// reads; `None` if another client contends for one of the mutexes.
    pub fn locked(
        &self,
        names: &[Vec<u8>],
        succeeded: bool,
        mut results: Vec<OpResult>,
        revision: Revision,
    ) -> Option<(Vec<HeldLock>, Vec<OpResult>)> {
        let reads = results.split_off(names.len().min(results.len()));
        let lock = |(name, result): (&Vec<u8>, OpResult)| {
            let key = self.key(name);
            if succeeded {
                return Some(HeldLock { key, revision });
            }
            // The transaction was applied before, and its first response was lost.
            let OpResult::Get { kvs, .. } = result else { return None };
            let own = kvs.iter().find(|kv| kv.key == key)?.create_revision;
            kvs.iter().all(|kv| kv.create_revision >= own).then_some(HeldLock { key, revision: own })
        };
        Some((names.iter().zip(results).map(lock).collect::<Option<_>>()?, reads))
    }

    /// Locks a mutex, waiting at most `limit` for other clients. `on_wait` receives the absolute key of the client that
    /// is waited for. The wait is given up when `stop` resolves.
    ///
    /// # Errors
    /// `stop` fails, or etcd is unreachable or rejects a request.
    pub async fn lock(
        &self,
        name: &[u8],
        limit: Duration,
        stop: impl Future<Output = Result<(), Error>>,
        mut on_wait: impl FnMut(&[u8]),
    ) -> Result<LockWait, Error> {
        let entry = self.store.enqueue(name, self.lease, LockMode::default(), LockLabel::Owner(None)).await?;
        let held = HeldLock { key: self.key(name), revision: entry.guard.revision };
        if entry.first {
            return Ok(LockWait::Held(held));
        }
        let turn = tokio::select! {
            biased;
            stopped = stop => stopped.map(|()| None)?,
            turn = timeout(limit, self.store.wait_turn(&entry, |blocker| on_wait(&blocker.key))) => turn.ok(),
        };
        match turn.transpose()? {
            Some(true) => Ok(LockWait::Held(held)),
            Some(false) => Ok(LockWait::Lost),
            None => self.unlock(&[name]).await.map(|()| LockWait::Busy),
        }
    }

    /// Deletes this client's keys in these mutexes, whether it holds them or waits for them.
    ///
    /// # Errors
    /// etcd is unreachable or rejects the request; the locks then expire with their lease.
    pub async fn unlock(&self, names: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        let delete = |name: &[u8]| Op::Delete { over: KeySelector::Key(self.key(name)), prev: false };
        for some in names.chunks(self.store.max_txn_ops()) {
            let then: Vec<Op> = some.iter().map(|name| delete(name.as_ref())).collect();
            self.store.txn("unlock", &Txn { then, ..Txn::default() }, None, Retry::Idempotent).await?;
        }
        Ok(())
    }
}
