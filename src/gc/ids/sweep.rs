//! Deletes masters, each under both of its locks.
//!
//! Three steps, many masters at once: take the key's lock (Cilium's agents allocate under it) and the ID's lock
//! (Cilium's operator collects under it); read the key's references under the locks; delete the master if both locks
//! are still held, the master is unchanged, and no reference is newer than that read. The first two steps are one
//! transaction if no other client has a lock; the last one also unlocks.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::allocator::{HeldLock, Id, Layout, LockSession, LockWait};
use crate::consent::Consent;
use crate::gc::{Candidate, CandidateOutcome, SweepAnswer, is_per_candidate, run_txns};
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeySelector, KeyValue, LeaseKeeper, Op, OpResult, ReadOptions, Revision,
    Store, Txn,
};

/// Masters per transaction: with up to five compares each, nested one level deep, far below etcd's limit of 128.
pub const BATCH: usize = 40;
/// References read along with the locks.
const REFERENCE_LIMIT: i64 = 64;
/// TTL of the lease of the locks, in seconds (Cilium's value).
const LOCK_TTL: i64 = 25;
/// Maximum wait for one lock.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(5);
/// Maximum wait for all locks of a run together.
const TOTAL_LOCK_WAIT: Duration = Duration::from_secs(30);
/// Wait for a lock after [`TOTAL_LOCK_WAIT`] is used up.
const MIN_LOCK_WAIT: Duration = Duration::from_millis(50);
/// Maximum time to revoke the lease.
const CLEANUP: Duration = Duration::from_secs(2);

/// A master to delete.
#[derive(Clone, Debug)]
struct CandidateMaster {
    /// Index of the candidate.
    index: usize,
    id: Id,
    /// The allocator's key.
    key: Vec<u8>,
    mod_revision: Revision,
}

/// A master whose locks are held.
struct LockedMaster {
    target: CandidateMaster,
    locks: Vec<HeldLock>,
    /// Whether a reference keeps the master, and the revision at which the references were read.
    used: bool,
    read_at: Revision,
}

/// Deletes masters under locks on one lease.
pub struct IdCollector {
    store: Store,
    layout: Layout,
    lease: LeaseKeeper,
    locks: LockSession,
    /// Remaining time to wait for locks.
    wait_budget: Duration,
}

impl IdCollector {
    /// Grants the lease of the locks. `store` must not be cancelled by the user's signal.
    ///
    /// # Errors
    /// etcd is out of space or unreachable, or rejects the request.
    pub async fn open(store: &Store, layout: &Layout) -> Result<Self, Error> {
        let lease = store.keep(LOCK_TTL).await?;
        let locks = LockSession::new(store, lease.id());
        Ok(Self { store: store.clone(), layout: layout.clone(), lease, locks, wait_budget: TOTAL_LOCK_WAIT })
    }

    /// Revokes the lease, which deletes the locks.
    ///
    /// # Errors
    /// etcd is unreachable or rejects the request.
    pub async fn close(self) -> Result<(), Error> {
        self.lease.stop();
        self.store.for_cleanup(CLEANUP).revoke_own(self.lease.id()).await.map(|_| ())
    }

    /// Deletes the masters that are unchanged since their candidates were found and that no reference keeps. Waits for
    /// no lock after `cancel` is cancelled.
    ///
    /// # Errors
    /// A failure of the store rather than of one candidate.
    pub async fn remove(
        &mut self,
        _: &Consent,
        candidates: &[&Candidate],
        cancel: &CancellationToken,
    ) -> Result<Vec<CandidateOutcome>, Error> {
        let mut outcomes = vec![CandidateOutcome::Changed; candidates.len()];
        let mut left: Vec<CandidateMaster> = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            match self.target(index, candidate) {
                Some(target) => left.push(target),
                None => {
                    let why = "the plan's facts do not describe a master; make a new plan with --save";
                    outcomes[index] = CandidateOutcome::Failed(why.to_owned());
                }
            }
        }
        let mut contended = Vec::new();
        while !left.is_empty() {
            let (batch, rest) = self.independent(left);
            let (ready, busy) = self.lock_many(batch, &mut outcomes).await?;
            self.delete(ready, &mut outcomes).await?;
            contended.extend(busy);
            left = rest;
        }
        for target in contended {
            let index = target.index;
            outcomes[index] = match self.lock_one(target, cancel).await {
                Ok(Some(ready)) => {
                    self.delete(vec![ready], &mut outcomes).await?;
                    continue;
                }
                Ok(None) => CandidateOutcome::Busy,
                Err(error) if is_per_candidate(&error) => CandidateOutcome::Failed(error.to_string()),
                Err(error) => return Err(error),
            };
        }
        Ok(outcomes)
    }

    fn target(&self, index: usize, candidate: &Candidate) -> Option<CandidateMaster> {
        let path = candidate.key.strip_prefix(self.store.namespace())?;
        let (id, mod_revision) = (self.layout.parse_master(path)?, candidate.facts.int("mod_revision")?);
        Some(CandidateMaster { index, id, key: candidate.facts.bytes("value")?, mod_revision })
    }

    /// The names of a master's locks, in locking order. The key `id/7` of ID 7 has only one.
    fn lock_names(&self, target: &CandidateMaster) -> Vec<Vec<u8>> {
        let mut names = vec![self.layout.key_lock(&target.key), self.layout.id_lock(target.id)];
        names.dedup();
        names
    }

    /// Splits off the masters that need a lock of an earlier master in the list.
    fn independent(&self, targets: Vec<CandidateMaster>) -> (Vec<CandidateMaster>, Vec<CandidateMaster>) {
        let mut taken: HashSet<Vec<u8>> = HashSet::new();
        targets.into_iter().partition(|target| {
            let names = self.lock_names(target);
            let free = names.iter().all(|name| !taken.contains(name));
            taken.extend(names);
            free
        })
    }

    /// Locks the masters whose locks are free and reads their references, in one transaction. Also returns the masters
    /// whose locks other clients have.
    async fn lock_many(
        &mut self,
        targets: Vec<CandidateMaster>,
        outcomes: &mut [CandidateOutcome],
    ) -> Result<(Vec<LockedMaster>, Vec<CandidateMaster>), Error> {
        let mut answers = self.try_lock(&targets).await?;
        if answers.iter().any(|answer| matches!(answer, SweepAnswer::Failed { lease_expired: true, .. })) {
            // The lease and its locks expired while this process or etcd was paused.
            self.lease.stop();
            self.lease = self.store.keep(LOCK_TTL).await?;
            self.locks = LockSession::new(&self.store, self.lease.id());
            answers = self.try_lock(&targets).await?;
        }
        let (mut ready, mut contended) = (Vec::new(), Vec::new());
        for (target, answer) in targets.into_iter().zip(answers) {
            let names = self.lock_names(&target);
            let (succeeded, results, revision) = match answer {
                SweepAnswer::Done { succeeded, results, revision, .. } => (succeeded, results, revision),
                SweepAnswer::Failed { why, .. } => {
                    self.unlock(&names).await;
                    outcomes[target.index] = CandidateOutcome::Failed(why);
                    continue;
                }
            };
            let Some((locks, mut reads)) = self.locks.locked(&names, succeeded, results, revision) else {
                contended.push(target);
                continue;
            };
            let Some(OpResult::Get { kvs, more, .. }) = reads.pop() else {
                return Err(Error::Protocol { op: "lock", what: "a nested response is missing".to_owned() });
            };
            let (used, read_at) = match more {
                true => self.read_all(&target).await?,
                false => (self.is_used_by(&target, &kvs), revision),
            };
            ready.push(LockedMaster { target, locks, used, read_at });
        }
        Ok((ready, contended))
    }

    async fn try_lock(&self, targets: &[CandidateMaster]) -> Result<Vec<SweepAnswer>, Error> {
        let txn = |target: &CandidateMaster| {
            let over = KeySelector::Range(self.layout.references_of(&target.key));
            let references = Op::Get { over, revision: 0, keys_only: false, count_only: false, limit: REFERENCE_LIMIT };
            self.locks.try_lock(&self.lock_names(target), &[references])
        };
        run_txns(&self.store, "lock", targets.iter().map(txn).collect()).await
    }

    /// Locks a master, waiting for other clients, and reads its references. `None` if a client keeps a lock for too
    /// long; no lock is held then.
    async fn lock_one(
        &mut self,
        target: CandidateMaster,
        cancel: &CancellationToken,
    ) -> Result<Option<LockedMaster>, Error> {
        let names = self.lock_names(&target);
        let result = async {
            let mut locks: Vec<HeldLock> = Vec::new();
            for name in &names {
                match self.wait_for(name, cancel).await? {
                    LockWait::Held(lock) => locks.push(lock),
                    LockWait::Busy | LockWait::Lost => return Ok(None),
                }
            }
            let (used, read_at) = self.read_all(&target).await?;
            Ok(Some(LockedMaster { target, locks, used, read_at }))
        };
        let result = result.await;
        if !matches!(result, Ok(Some(_))) {
            self.unlock(&names).await;
        }
        result
    }

    async fn wait_for(&mut self, name: &[u8], cancel: &CancellationToken) -> Result<LockWait, Error> {
        let (start, limit) = (Instant::now(), MAX_LOCK_WAIT.min(self.wait_budget).max(MIN_LOCK_WAIT));
        let cancelled = async {
            cancel.cancelled().await;
            Ok(())
        };
        let waited = self.locks.lock(name, limit, cancelled, |_| {}).await;
        self.wait_budget = self.wait_budget.saturating_sub(start.elapsed());
        waited
    }

    /// Whether a reference keeps the master, and the revision at which all references were read.
    async fn read_all(&self, target: &CandidateMaster) -> Result<(bool, Revision), Error> {
        let mut reader = self.store.read(&self.layout.references_of(&target.key), ReadOptions::default());
        let mut used = false;
        while let Some(page) = reader.next().await? {
            used |= self.is_used_by(target, &page);
        }
        Ok((used, reader.revision()))
    }

    /// Whether one of these keys keeps the master: a reference to its key that names its ID or is unreadable.
    fn is_used_by(&self, target: &CandidateMaster, kvs: &[KeyValue]) -> bool {
        kvs.iter().any(|kv| {
            self.layout.parse_reference(&kv.key).is_some_and(|(key, _)| key == target.key)
                && Id::parse(&kv.value).is_none_or(|id| id == target.id)
        })
    }

    /// Deletes the unused masters and unlocks all, in one transaction.
    async fn delete(&self, ready: Vec<LockedMaster>, outcomes: &mut [CandidateOutcome]) -> Result<(), Error> {
        let txn = |one: &LockedMaster| {
            let (target, master) = (&one.target, self.layout.master(one.target.id));
            let release: Vec<Op> = one.locks.iter().map(HeldLock::release).collect();
            if one.used {
                return Txn { then: release, ..Txn::default() };
            }
            let mut compares = vec![
                Compare::unchanged(&master, target.mod_revision),
                Compare::key(&master, CompareOp::Equal, CompareTarget::Value(target.key.clone())),
                Compare::none_newer(&self.layout.references_of(&target.key), one.read_at),
            ];
            compares.extend(one.locks.iter().map(HeldLock::is_held));
            let (over, get) = (KeySelector::Key(master.clone()), Op::get_at(KeySelector::Key(master), 0));
            let then = std::iter::once(Op::Delete { over, prev: false }).chain(release.iter().cloned()).collect();
            // The lock keys contain this lease's ID: they cannot be another client's.
            Txn { compares, then, otherwise: std::iter::once(get).chain(release).collect() }
        };
        let answers = run_txns(&self.store, "gc id", ready.iter().map(txn).collect()).await?;
        let mut still_locked = Vec::new();
        for (one, answer) in ready.iter().zip(answers) {
            let outcome = answer.outcome();
            if matches!(outcome, CandidateOutcome::Failed(_) | CandidateOutcome::Unknown(_)) {
                still_locked.extend(self.lock_names(&one.target));
            }
            outcomes[one.target.index] = if one.used { CandidateOutcome::Changed } else { outcome };
        }
        if !still_locked.is_empty() {
            self.unlock(&still_locked).await;
        }
        Ok(())
    }

    /// Unlocks as far as possible; remaining locks expire with the lease.
    async fn unlock(&self, names: &[Vec<u8>]) {
        let _ = self.locks.unlock(names).await;
    }
}
