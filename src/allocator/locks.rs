//! The locks under which keys are allocated: many at once where nobody else wants them, one by one where somebody does.
//! Nothing ever waits while it holds.
//!
//! Wire format: etcd's mutex with the name `<base>/locks/<key>`, as Cilium's `LockPath` takes it, so that a Cilium agent
//! that allocates at the same moment is excluded.

use std::time::Duration;

use tokio::time::timeout;

use super::{Id, Layout};
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeyRange, KeySelector, KeyValue, LeaseId, LeaseMode, Op, OpResult,
    ReadOptions, Retry, Revision, Store, Txn, Write,
};

/// Keys that are locked in one transaction: with up to four operations each, nested one deep, far below etcd's limit.
pub const BATCH: usize = 64;
/// References that are read along with the lock. A longer key's may be among them, so that one would not do.
const REFERENCE_LIMIT: i64 = 16;

/// What a key's references say, read under its lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceSummary {
    /// The revision they were read at.
    pub revision: Revision,
    /// The IDs they name, each once, in order.
    pub ids: Vec<Id>,
    /// Whether some reference's value is no ID.
    pub unreadable: bool,
    /// This node's reference.
    pub own: Option<KeyValue>,
}

/// A key whose lock is held.
#[derive(Clone, Debug)]
pub struct LockedKey {
    /// The key.
    pub key: Vec<u8>,
    /// The lock's own key, without the namespace.
    pub lock: Vec<u8>,
    /// Its create revision.
    pub revision: Revision,
    /// What the key's references said once the lock was held. At the revision of that, the lock's key was written: a
    /// watch that has told this write has told everything that was done under the lock before.
    pub references: ReferenceSummary,
}

impl LockedKey {
    /// The lock is still held.
    pub fn held(&self) -> Compare {
        Compare::key(&self.lock, CompareOp::Equal, CompareTarget::Create(self.revision))
    }
}

/// How waiting for a lock ended.
#[derive(Debug)]
pub enum LockWaitOutcome {
    /// It is held.
    Held(Box<LockedKey>),
    /// Somebody still has it; the place in the queue was given up.
    Busy,
    /// The place in the queue was lost.
    Lost,
}

/// Takes and gives back the locks of keys, all on one lease.
pub struct KeyLocks {
    store: Store,
    layout: Layout,
    node: Vec<u8>,
    lease: LeaseId,
}

impl KeyLocks {
    /// On a lease that somebody else keeps alive.
    pub fn new(store: &Store, layout: &Layout, node: &[u8], lease: LeaseId) -> Self {
        Self { store: store.clone(), layout: layout.clone(), node: node.to_vec(), lease }
    }

    fn path(&self, key: &[u8]) -> Vec<u8> {
        [&self.layout.key_lock(key), b"/".as_slice(), self.lease.to_string().as_bytes()].concat()
    }

    fn queue(&self, key: &[u8]) -> KeyRange {
        KeyRange::prefix(&[&self.layout.key_lock(key), b"/".as_slice()].concat())
    }

    /// What reads a key's references and its node's own.
    fn reference_reads(&self, key: &[u8]) -> [Op; 2] {
        let all = KeySelector::Range(self.layout.references_of(key));
        let some = Op::Get { over: all, revision: 0, keys_only: false, count_only: false, limit: REFERENCE_LIMIT };
        [some, Op::get_at(KeySelector::Key(self.layout.reference(key, &self.node)), 0)]
    }

    /// Tries to lock each of these different keys, at most [`BATCH`], in one transaction. Gives those that are held,
    /// and the keys that somebody else has; of those nothing is left behind.
    ///
    /// # Errors
    /// Whatever kept the answer away; the locks may be there all the same, and go with their lease.
    pub async fn try_lock_many(&self, keys: &[&[u8]]) -> Result<(Vec<LockedKey>, Vec<Vec<u8>>), Error> {
        let lock = |key: &&[u8]| {
            let path = self.path(key);
            let write = Write { key: path.clone(), lease: LeaseMode::Attach(self.lease), ..Write::default() };
            let all = KeySelector::Range(self.queue(key));
            let queue = Op::Get { over: all, revision: 0, keys_only: true, count_only: false, limit: 0 };
            let reads: Vec<Op> = std::iter::once(queue).chain(self.reference_reads(key)).collect();
            Op::Txn(Txn {
                compares: vec![Compare::missing(&path)],
                then: std::iter::once(Op::Put(write)).chain(reads.clone()).collect(),
                otherwise: reads,
            })
        };
        let txn = Txn { then: keys.iter().map(lock).collect(), ..Txn::default() };
        // A second sending finds the keys that the first one made: nobody else has this lease.
        let answer = self.store.txn("lock", &txn, None, Retry::Idempotent).await?;
        let (mut held, mut behind) = (Vec::new(), Vec::new());
        for (key, result) in keys.iter().zip(answer.results) {
            let OpResult::Txn { results, .. } = result else { return Err(protocol_error("a lock without its answer")) };
            let mut reads = results.into_iter().filter_map(get_result);
            let (Some((queue, _)), Some(some), Some((own, _))) = (reads.next(), reads.next(), reads.next()) else {
                return Err(protocol_error("a lock without its queue"));
            };
            let lock = self.path(key);
            let Some(revision) = queue.iter().find(|kv| kv.key == lock).map(|kv| kv.create_revision) else {
                return Err(protocol_error("the lock's key is neither there nor missing"));
            };
            let references = self.summarize(key, some, own, answer.revision).await?;
            let entry = LockedKey { key: key.to_vec(), lock, revision, references };
            let first = queue.iter().all(|kv| kv.create_revision >= revision);
            if first { held.push(entry) } else { behind.push(entry) }
        }
        self.unlock(&behind).await?;
        Ok((held, behind.into_iter().map(|entry| entry.key).collect()))
    }

    /// Locks a key, waiting for whoever has it, at most so long. Tells whom it waits for.
    ///
    /// # Errors
    /// Whatever kept an answer away.
    pub async fn lock(
        &self,
        key: &[u8],
        limit: Duration,
        mut waiting: impl FnMut(&[u8]),
    ) -> Result<LockWaitOutcome, Error> {
        let entry = self.store.enqueue(&self.layout.key_lock(key), self.lease, false).await?;
        let references = ReferenceSummary::default();
        let mut locked =
            LockedKey { key: key.to_vec(), lock: self.path(key), revision: entry.guard.revision, references };
        if !entry.first {
            let turn = self.store.wait_turn(&entry, |blocker| waiting(&blocker.key));
            let turn = async {
                tokio::select! {
                    biased;
                    error = self.store.ended("lock") => Err(error),
                    turn = turn => turn,
                }
            };
            match timeout(limit, turn).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Ok(LockWaitOutcome::Lost),
                Ok(Err(error)) => return Err(error),
                Err(_) => return self.unlock(std::slice::from_ref(&locked)).await.map(|()| LockWaitOutcome::Busy),
            }
        }
        let Some(references) = self.read_references(&locked).await? else { return Ok(LockWaitOutcome::Lost) };
        locked.references = references;
        Ok(LockWaitOutcome::Held(Box::new(locked)))
    }

    /// Reads what a key's references say now; `None` where its lock was lost. Writes the lock's key once more, as it is:
    /// its creation, which is what counts, stays.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn read_references(&self, locked: &LockedKey) -> Result<Option<ReferenceSummary>, Error> {
        let lease = LeaseMode::Attach(self.lease);
        let write = Op::Put(Write { key: locked.lock.clone(), lease, ..Write::default() });
        let then = std::iter::once(write).chain(self.reference_reads(&locked.key)).collect();
        let txn = Txn { compares: vec![locked.held()], then, otherwise: Vec::new() };
        let answer = self.store.txn("references", &txn, None, Retry::Idempotent).await?;
        if !answer.succeeded {
            return Ok(None);
        }
        let mut reads = answer.results.into_iter().filter_map(get_result);
        let (Some(some), Some((own, _))) = (reads.next(), reads.next()) else {
            return Err(protocol_error("a read without its answer"));
        };
        self.summarize(&locked.key, some, own, answer.revision).await.map(Some)
    }

    /// Reads what a key's references say now, whoever has its lock.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn read_references_unlocked(&self, key: &[u8]) -> Result<ReferenceSummary, Error> {
        let txn = Txn { then: self.reference_reads(key).into(), ..Txn::default() };
        let answer = self.store.txn("references", &txn, None, Retry::Idempotent).await?;
        let mut reads = answer.results.into_iter().filter_map(get_result);
        let (Some(some), Some((own, _))) = (reads.next(), reads.next()) else {
            return Err(protocol_error("a read without its answer"));
        };
        self.summarize(key, some, own, answer.revision).await
    }

    async fn summarize(
        &self,
        key: &[u8],
        (some, more): (Vec<KeyValue>, bool),
        own: Vec<KeyValue>,
        at: Revision,
    ) -> Result<ReferenceSummary, Error> {
        let mut references =
            ReferenceSummary { revision: at, own: own.into_iter().next(), ..ReferenceSummary::default() };
        let mut take = |kvs: &[KeyValue]| {
            for kv in kvs.iter().filter(|kv| self.layout.parse_reference(&kv.key).is_some_and(|(of, _)| of == key)) {
                match Id::parse(&kv.value) {
                    Some(id) if references.ids.contains(&id) => {}
                    Some(id) => references.ids.push(id),
                    None => references.unreadable = true,
                }
            }
        };
        take(&some);
        if more {
            let options = ReadOptions { revision: at, ..ReadOptions::default() };
            let mut reader = self.store.read(&self.layout.references_of(key), options);
            while let Some(page) = reader.next().await? {
                take(&page);
            }
        }
        references.ids.sort_unstable();
        Ok(references)
    }

    /// Gives locks back, as far as they are still these.
    ///
    /// # Errors
    /// Whatever kept the answer away; they go with their lease then.
    pub async fn unlock(&self, locked: &[LockedKey]) -> Result<(), Error> {
        for some in locked.chunks(BATCH) {
            let unlock = |one: &LockedKey| {
                let delete = Op::Delete { over: KeySelector::Key(one.lock.clone()), prev: false };
                Op::Txn(Txn { compares: vec![one.held()], then: vec![delete], otherwise: Vec::new() })
            };
            let txn = Txn { then: some.iter().map(unlock).collect(), ..Txn::default() };
            self.store.txn("unlock", &txn, None, Retry::Idempotent).await?;
        }
        Ok(())
    }
}

fn get_result(result: OpResult) -> Option<(Vec<KeyValue>, bool)> {
    match result {
        OpResult::Get { kvs, more, .. } => Some((kvs, more)),
        _ => None,
    }
}

fn protocol_error(what: &str) -> Error {
    Error::Protocol { op: "lock", what: what.to_owned() }
}
