//! The locks under which IDs are allocated: many keys at once if no other client locks them, else one by one.
//!
//! A client never waits for a lock while it holds another one.

use std::time::Duration;

use super::lock_session::{HeldLock, LockSession, LockWait};
use super::{Id, Layout};
use crate::kvstore::{Error, KeySelector, KeyValue, LeaseId, Op, OpResult, ReadOptions, Retry, Revision, Store, Txn};

/// Keys locked in one transaction: with three operations each, nested one level deep, far below etcd's limit of 128.
pub const BATCH: usize = 64;
/// References read along with a lock. They may include references of longer keys, so one is not enough.
const REFERENCE_LIMIT: i64 = 16;

/// What a key's references say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceSummary {
    /// The revision at which they were read.
    pub revision: Revision,
    /// The IDs they name, in ascending order, without duplicates.
    pub ids: Vec<Id>,
    /// Whether the value of a reference is not an ID.
    pub unreadable: bool,
    /// This node's reference.
    pub own: Option<KeyValue>,
}

/// A key whose lock is held.
#[derive(Clone, Debug)]
pub struct LockedKey {
    /// The key.
    pub key: Vec<u8>,
    /// The key's lock.
    pub lock: HeldLock,
    /// The key's references, read under the lock. The lock's key was written at that revision: a watch that delivers
    /// this write has delivered everything that earlier holders of the lock wrote.
    pub references: ReferenceSummary,
}

/// How waiting for a key's lock ended.
#[derive(Debug)]
pub enum LockWaitOutcome {
    /// The lock is held.
    Held(Box<LockedKey>),
    /// Another client still holds the lock; this client no longer waits for it.
    Busy,
    /// The lock was lost.
    Lost,
}

/// Locks and unlocks keys, all on one lease.
pub struct KeyLocks {
    store: Store,
    layout: Layout,
    node: Vec<u8>,
    session: LockSession,
}

impl KeyLocks {
    /// The locks of an allocator on a lease that the caller keeps alive.
    pub fn new(store: &Store, layout: &Layout, node: &[u8], lease: LeaseId) -> Self {
        let session = LockSession::new(store, lease);
        Self { store: store.clone(), layout: layout.clone(), node: node.to_vec(), session }
    }

    /// Number of keys to lock in one transaction.
    pub fn batch(&self) -> usize {
        self.store.nested_txns(BATCH)
    }

    /// Reads of a key's references and of this node's own one.
    fn reference_reads(&self, key: &[u8]) -> [Op; 2] {
        let over = KeySelector::Range(self.layout.references_of(key));
        let some = Op::Get { over, revision: 0, keys_only: false, count_only: false, limit: REFERENCE_LIMIT };
        [some, Op::get_at(KeySelector::Key(self.layout.reference(key, &self.node)), 0)]
    }

    /// Tries to lock each of these distinct keys, at most [`BATCH`], in one transaction. Returns the locked keys, and
    /// the keys that other clients lock.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request; locks that are held then expire with their lease.
    pub async fn try_lock_many(&self, keys: &[&[u8]]) -> Result<(Vec<LockedKey>, Vec<Vec<u8>>), Error> {
        let lock =
            |key: &&[u8]| Op::Txn(self.session.try_lock(&[self.layout.key_lock(key)], &self.reference_reads(key)));
        let txn = Txn { then: keys.iter().map(lock).collect(), ..Txn::default() };
        let answer = self.store.txn("lock", &txn, None, Retry::Idempotent).await?;
        let (mut held, mut busy) = (Vec::new(), Vec::new());
        for (key, result) in keys.iter().zip(answer.results) {
            let OpResult::Txn { succeeded, results } = result else { return Err(missing_response()) };
            match self.session.locked(&[self.layout.key_lock(key)], succeeded, results, answer.revision) {
                Some((mut locks, reads)) => {
                    let references = self.summarize(key, reads, answer.revision).await?;
                    let lock = locks.pop().ok_or_else(missing_response)?;
                    held.push(LockedKey { key: key.to_vec(), lock, references });
                }
                None => busy.push(key.to_vec()),
            }
        }
        Ok((held, busy))
    }

    /// Locks a key, waiting at most `limit` for other clients. `on_wait` receives the absolute key of the client that
    /// is waited for.
    ///
    /// # Errors
    /// The command was interrupted, or etcd is unreachable or rejects a request.
    pub async fn lock(
        &self,
        key: &[u8],
        limit: Duration,
        on_wait: impl FnMut(&[u8]),
    ) -> Result<LockWaitOutcome, Error> {
        let interrupted = async { Err(self.store.ended("lock").await) };
        let lock = match self.session.lock(&self.layout.key_lock(key), limit, interrupted, on_wait).await? {
            LockWait::Held(lock) => lock,
            LockWait::Busy => return Ok(LockWaitOutcome::Busy),
            LockWait::Lost => return Ok(LockWaitOutcome::Lost),
        };
        let mut locked = LockedKey { key: key.to_vec(), lock, references: ReferenceSummary::default() };
        let Some(references) = self.read_references(&locked).await? else { return Ok(LockWaitOutcome::Lost) };
        locked.references = references;
        Ok(LockWaitOutcome::Held(Box::new(locked)))
    }

    /// Reads a key's references; `None` if its lock was lost. Writes the lock's key again, which keeps its create
    /// revision and so the lock.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request.
    pub async fn read_references(&self, locked: &LockedKey) -> Result<Option<ReferenceSummary>, Error> {
        let put = self.session.put(&self.layout.key_lock(&locked.key));
        let then = std::iter::once(put).chain(self.reference_reads(&locked.key)).collect();
        let txn = Txn { compares: vec![locked.lock.is_held()], then, otherwise: Vec::new() };
        let mut answer = self.store.txn("references", &txn, None, Retry::Idempotent).await?;
        if !answer.succeeded || answer.results.is_empty() {
            return Ok(None);
        }
        answer.results.remove(0);
        self.summarize(&locked.key, answer.results, answer.revision).await.map(Some)
    }

    /// Reads a key's references without its lock.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request.
    pub async fn read_references_unlocked(&self, key: &[u8]) -> Result<ReferenceSummary, Error> {
        let txn = Txn { then: self.reference_reads(key).into(), ..Txn::default() };
        let answer = self.store.txn("references", &txn, None, Retry::Idempotent).await?;
        self.summarize(key, answer.results, answer.revision).await
    }

    /// Summarizes the results of [`KeyLocks::reference_reads`], and reads the remaining references.
    async fn summarize(&self, key: &[u8], reads: Vec<OpResult>, revision: Revision) -> Result<ReferenceSummary, Error> {
        let Ok([OpResult::Get { kvs: some, more, .. }, OpResult::Get { kvs: own, .. }]) = <[_; 2]>::try_from(reads)
        else {
            return Err(missing_response());
        };
        let own = own.into_iter().next();
        let mut references = ReferenceSummary { revision, own, ..ReferenceSummary::default() };
        let mut add = |kvs: &[KeyValue]| {
            for kv in kvs.iter().filter(|kv| self.layout.parse_reference(&kv.key).is_some_and(|(of, _)| of == key)) {
                match Id::parse(&kv.value) {
                    Some(id) => references.ids.push(id),
                    None => references.unreadable = true,
                }
            }
        };
        add(&some);
        if more {
            let options = ReadOptions { revision, ..ReadOptions::default() };
            let mut reader = self.store.read(&self.layout.references_of(key), options);
            while let Some(page) = reader.next().await? {
                add(&page);
            }
        }
        references.ids.sort_unstable();
        references.ids.dedup();
        Ok(references)
    }

    /// Unlocks keys.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request; the locks then expire with their lease.
    pub async fn unlock(&self, locked: &[LockedKey]) -> Result<(), Error> {
        let names: Vec<Vec<u8>> = locked.iter().map(|locked| self.layout.key_lock(&locked.key)).collect();
        self.session.unlock(&names).await
    }
}

fn missing_response() -> Error {
    Error::Protocol { op: "lock", what: "a nested response is missing".to_owned() }
}
