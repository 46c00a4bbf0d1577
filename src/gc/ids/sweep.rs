//! Deleting masters, each under both of its locks.
//!
//! A master goes in three steps, many masters at once: take the key's lock (Cilium's agents allocate under it) and the
//! ID's (Cilium's operator collects under it); look at the key's references once the locks are held; delete on the condition
//! that both locks are still held, that the master is the one that was seen, and that no reference is newer than that look.
//! Where nobody else has a lock, the first two are one transaction, and the last one gives the locks back.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::allocator::{Id, Layout};
use crate::gc::{Candidate, CandidateOutcome, SweepAnswer, is_per_candidate, run_txns};
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeyRange, KeySelector, KeyValue, LeaseKeeper, LeaseMode, Op, OpResult,
    ReadOptions, Retry, Revision, Store, Txn, Write,
};

/// Masters of one transaction: with up to five compares each, nested one deep, far below etcd's limit.
pub const BATCH: usize = 40;
/// References that are read along with the locks.
const REFERENCE_LIMIT: i64 = 64;
/// The LOCK_TTL of the locks' lease, in seconds: Cilium's.
const LOCK_TTL: i64 = 25;
/// The longest wait for one lock, and for all locks of a run together.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(5);
const TOTAL_LOCK_WAIT: Duration = Duration::from_secs(30);
/// What is waited even when that is used up.
const MIN_LOCK_WAIT: Duration = Duration::from_millis(50);
/// How long giving back may take.
const CLEANUP: Duration = Duration::from_secs(2);

/// One master that is to go.
#[derive(Clone, Debug)]
struct CandidateMaster {
    index: usize,
    id: Id,
    /// The allocator's key.
    key: Vec<u8>,
    seen: Revision,
}

/// A lock that is held: its key, without the namespace, and its create revision.
type HeldKeyLock = (Vec<u8>, Revision);

/// A master whose locks are held, and the revision at which its key's references were revision_read at.
struct LockedMaster {
    target: CandidateMaster,
    locks: Vec<HeldKeyLock>,
    revision_read: Revision,
    used: bool,
}

/// Deletes masters under locks on one lease.
pub struct IdCollector {
    store: Store,
    layout: Layout,
    lock_lease: LeaseKeeper,
    /// What is left of the time for waiting.
    wait_budget: Duration,
}

impl IdCollector {
    /// Grants the lease of the locks. The store must not be cut by the user's signal.
    ///
    /// # Errors
    /// No space left, or whatever lock_lease the answer away.
    pub async fn open(store: &Store, layout: &Layout) -> Result<Self, Error> {
        let lock_lease = store.keep(LOCK_TTL).await?;
        Ok(Self { store: store.clone(), layout: layout.clone(), lock_lease, wait_budget: TOTAL_LOCK_WAIT })
    }

    /// Revokes the lease; the locks go with it.
    pub async fn close(self) -> Result<(), Error> {
        self.lock_lease.stop();
        self.store.for_cleanup(CLEANUP).revoke(self.lock_lease.id()).await.map(|_| ())
    }

    /// Deletes the masters that are what their candidates say, and that nothing refers to. Once `cancel` says so, no lock
    /// is waited for any more.
    ///
    /// # Errors
    /// What is wrong with the store, rather than with one of the masters.
    pub async fn remove(
        &mut self,
        candidates: &[&Candidate],
        cancel: &CancellationToken,
    ) -> Result<Vec<CandidateOutcome>, Error> {
        let mut outcomes = vec![CandidateOutcome::Changed; candidates.len()];
        let mut left: Vec<CandidateMaster> = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            match self.target(index, candidate) {
                Some(target) => left.push(target),
                None => outcomes[index] = CandidateOutcome::Failed("its facts make no sense".to_owned()),
            }
        }
        let mut contended = Vec::new();
        while !left.is_empty() {
            let (wave, behind) = self.independent(left);
            let (ready, busy) = self.lock_many(wave, &mut outcomes).await?;
            self.delete(ready, &mut outcomes).await?;
            contended.extend(busy);
            left = behind;
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
        let (id, seen) = (self.layout.parse_master(path)?, candidate.facts.int("mod_revision")?);
        Some(CandidateMaster { index, id, key: candidate.facts.bytes("value")?, seen })
    }

    /// The names of a master's locks, in the order in which they are taken. A key such as `id/7` has the same for both
    /// where its ID is 7.
    fn lock_names(&self, target: &CandidateMaster) -> Vec<Vec<u8>> {
        let mut names = vec![self.layout.key_lock(&target.key), self.layout.id_lock(target.id)];
        names.dedup();
        names
    }

    /// Those that need no lock that one before them needs as well, and the rest.
    fn independent(&self, targets: Vec<CandidateMaster>) -> (Vec<CandidateMaster>, Vec<CandidateMaster>) {
        let mut taken: HashSet<Vec<u8>> = HashSet::new();
        targets.into_iter().partition(|target| {
            let names = self.lock_names(target);
            let free = names.iter().all(|name| !taken.contains(name));
            taken.extend(names);
            free
        })
    }

    fn lock_path(&self, name: &[u8]) -> Vec<u8> {
        [name, b"/", self.lock_lease.id().to_string().as_bytes()].concat()
    }

    /// Takes the locks that nobody contends for, and looks, in one transaction. Gives those that are held, and the
    /// masters of the others.
    async fn lock_many(
        &mut self,
        targets: Vec<CandidateMaster>,
        outcomes: &mut [CandidateOutcome],
    ) -> Result<(Vec<LockedMaster>, Vec<CandidateMaster>), Error> {
        let txn = |collector: &Self, target: &CandidateMaster| {
            let names = collector.lock_names(target);
            let queue = |name: &Vec<u8>| KeySelector::Range(KeyRange::prefix(&[name.as_slice(), b"/"].concat()));
            let nobody = |name| Compare { over: queue(name), op: CompareOp::Equal, target: CompareTarget::Version(0) };
            let lease = LeaseMode::Attach(collector.lock_lease.id());
            let take = |name: &Vec<u8>| Op::Put(Write { key: collector.lock_path(name), lease, ..Write::default() });
            let over = KeySelector::Range(collector.layout.references_of(&target.key));
            let look = Op::Get { over, revision: 0, keys_only: false, count_only: false, limit: REFERENCE_LIMIT };
            Txn {
                compares: names.iter().map(nobody).collect(),
                then: names.iter().map(take).chain([look]).collect(),
                otherwise: Vec::new(),
            }
        };
        let mut answers =
            run_txns(&self.store, "lock", targets.iter().map(|target| txn(self, target)).collect()).await?;
        if answers.iter().any(|answer| matches!(answer, SweepAnswer::Failed(why) if why.contains("lease not found"))) {
            // It ran out while this program or etcd stood still, and with it went every lock: once more, with a new one.
            self.lock_lease.stop();
            self.lock_lease = self.store.keep(LOCK_TTL).await?;
            answers = run_txns(&self.store, "lock", targets.iter().map(|target| txn(self, target)).collect()).await?;
        }
        let (mut ready, mut contended) = (Vec::new(), Vec::new());
        for (target, answer) in targets.into_iter().zip(answers) {
            match answer {
                SweepAnswer::Done { succeeded: true, mut results, revision, .. } => {
                    let Some(OpResult::Get { kvs, more, .. }) = results.pop() else {
                        return Err(Error::Protocol { op: "lock", what: "a look without its answer".to_owned() });
                    };
                    let locks = self.lock_names(&target).iter().map(|name| (self.lock_path(name), revision)).collect();
                    let (used, revision_read) = match more {
                        true => self.read_all(&target).await?,
                        false => (self.is_used_by(&target, &kvs), revision),
                    };
                    ready.push(LockedMaster { target, locks, revision_read, used });
                }
                // Also where its first answer was lost: the locks are this lease's own then, and found so.
                SweepAnswer::Done { .. } => contended.push(target),
                SweepAnswer::Failed(why) => {
                    self.unlock(self.lock_names(&target).iter().map(|name| self.lock_path(name)).collect()).await;
                    outcomes[target.index] = CandidateOutcome::Failed(why);
                }
            }
        }
        Ok((ready, contended))
    }

    /// Takes one lock after the other, waiting for whoever has it, and looks then. `None` where somebody has one for too
    /// long; nothing is left behind.
    async fn lock_one(
        &mut self,
        target: CandidateMaster,
        cancel: &CancellationToken,
    ) -> Result<Option<LockedMaster>, Error> {
        let names = self.lock_names(&target);
        let result = async {
            let mut locks: Vec<HeldKeyLock> = Vec::new();
            for name in &names {
                match self.wait_for(name, cancel).await? {
                    Some(lock) => locks.push(lock),
                    None => return Ok(None),
                }
            }
            let (used, revision_read) = self.read_all(&target).await?;
            Ok(Some(LockedMaster { target, locks, revision_read, used }))
        };
        let result = result.await;
        if !matches!(result, Ok(Some(_))) {
            self.unlock(names.iter().map(|name| self.lock_path(name)).collect()).await;
        }
        result
    }

    /// Queues up for a lock and waits for as long as there is wait_budget.
    async fn wait_for(&mut self, name: &[u8], cancel: &CancellationToken) -> Result<Option<HeldKeyLock>, Error> {
        let entry = self.store.enqueue(name, self.lock_lease.id(), false).await?;
        let held = (self.lock_path(name), entry.guard.revision);
        if entry.first {
            return Ok(Some(held));
        }
        let (begun, limit) = (Instant::now(), MAX_LOCK_WAIT.min(self.wait_budget).max(MIN_LOCK_WAIT));
        let turn = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            turn = timeout(limit, self.store.wait_turn(&entry, |_| {})) => turn.ok(),
        };
        self.wait_budget = self.wait_budget.saturating_sub(begun.elapsed());
        Ok((turn.transpose()? == Some(true)).then_some(held))
    }

    /// Whether some reference keeps the master, at which revision.
    async fn read_all(&self, target: &CandidateMaster) -> Result<(bool, Revision), Error> {
        let mut reader = self.store.read(&self.layout.references_of(&target.key), ReadOptions::default());
        let mut used = false;
        while let Some(page) = reader.next().await? {
            used |= self.is_used_by(target, &page);
        }
        Ok((used, reader.revision()))
    }

    /// Whether one of these keeps the master: a reference of exactly its key that names its ID, or whose value is no ID.
    fn is_used_by(&self, target: &CandidateMaster, kvs: &[KeyValue]) -> bool {
        kvs.iter().any(|kv| {
            self.layout.parse_reference(&kv.key).is_some_and(|(key, _)| key == target.key)
                && Id::parse(&kv.value).is_none_or(|id| id == target.id)
        })
    }

    /// Deletes what is not used and gives the locks of all back, in one transaction.
    async fn delete(&self, ready: Vec<LockedMaster>, outcomes: &mut [CandidateOutcome]) -> Result<(), Error> {
        let drop = |(path, _): &HeldKeyLock| Op::Delete { over: KeySelector::Key(path.clone()), prev: false };
        let txn = |one: &LockedMaster| {
            let (target, master) = (&one.target, self.layout.master(one.target.id));
            let release: Vec<Op> = one.locks.iter().map(drop).collect();
            if one.used {
                return Txn { then: release, ..Txn::default() };
            }
            let mut compares = vec![
                Compare::unchanged(&master, target.seen),
                Compare::key(&master, CompareOp::Equal, CompareTarget::Value(target.key.clone())),
                Compare::none_newer(&self.layout.references_of(&target.key), one.revision_read),
            ];
            compares.extend(one.locks.iter().map(held));
            let (over, look) = (KeySelector::Key(master.clone()), Op::get_at(KeySelector::Key(master), 0));
            let then = std::iter::once(Op::Delete { over, prev: false }).chain(release.iter().cloned()).collect();
            // The locks are named after this lease: nobody else's can be there.
            Txn { compares, then, otherwise: std::iter::once(look).chain(release).collect() }
        };
        let answers = run_txns(&self.store, "gc id", ready.iter().map(txn).collect()).await?;
        let mut lock_lease = Vec::new();
        for (one, answer) in ready.iter().zip(answers) {
            let outcome = answer.outcome();
            if matches!(outcome, CandidateOutcome::Failed(_)) {
                lock_lease.extend(one.locks.iter().map(|(path, _)| path.clone()));
            }
            outcomes[one.target.index] = if one.used { CandidateOutcome::Changed } else { outcome };
        }
        if !lock_lease.is_empty() {
            self.unlock(lock_lease).await;
        }
        Ok(())
    }

    /// Gives locks back by their names, which are this lease's own. What cannot be given back goes with the lease.
    async fn unlock(&self, paths: Vec<Vec<u8>>) {
        let delete = |path| Op::Delete { over: KeySelector::Key(path), prev: false };
        let txn = Txn { then: paths.into_iter().map(delete).collect(), ..Txn::default() };
        let _ = self.store.txn("unlock", &txn, None, Retry::Idempotent).await;
    }
}

fn held((path, revision): &HeldKeyLock) -> Compare {
    Compare::key(path, CompareOp::Equal, CompareTarget::Create(*revision))
}
