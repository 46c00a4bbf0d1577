//! Deletes masters in waves, each master under both of its locks.
//!
//! A wave takes the key's lock (Cilium's agents allocate under it) and the ID's lock (Cilium's operator collects under
//! it) of each master, reads the key's references under the locks, and deletes the master if both locks are still held,
//! the master is unchanged, and no reference is newer than that read. Locks are taken for many masters at once if no
//! other client contends for them.
//!
//! The locks of a wave are held until the removals have settled ([`super::settle`]).

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::masters::{CandidateMaster, ReferenceReader};
use super::settle::{Removal, verify, wait_until};
use super::wave::Wave;
use crate::allocator::{HeldLock, Layout, LockSession, LockWait};
use crate::consent::Consent;
use crate::gc::{Candidate, CandidateOutcome, SweepAnswer, is_per_candidate, run_txns};
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeySelector, LeaseKeeper, Op, OpResult, Refusal, Revision, Store, Txn,
};

/// Maximum number of masters of a wave.
pub const WAVE: usize = 4000;
/// Masters per transaction: with up to six compares each, nested one level deep, far below etcd's limit of 128.
const BATCH: usize = 40;
/// Locks released per transaction, below etcd's limit of 128 operations.
const UNLOCKED_AT_ONCE: usize = 100;
/// A wave takes no further locks after this time. Cilium's operator breaks locks that are 25 s old; up to 5 s of a wait
/// and 15 s of settling follow.
const MAX_WAVE_TIME: Duration = Duration::from_secs(3);
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
    references: ReferenceReader,
    lease: LeaseKeeper,
    locks: LockSession,
    /// Time for which the locks are held after a removal.
    settle: Duration,
    /// Remaining time to wait for locks.
    wait_budget: Duration,
    /// A failure of the store, after outcomes that had to be returned first.
    failure: Option<Error>,
}

impl IdCollector {
    /// Grants the lease of the locks. `store` must not be cancelled by the user's signal. The locks are held for
    /// `settle` after removals.
    ///
    /// # Errors
    /// etcd is out of space or unreachable, or rejects the request.
    pub async fn open(store: &Store, layout: &Layout, settle: Duration) -> Result<Self, Error> {
        let lease = store.keep(LOCK_TTL).await?;
        let locks = LockSession::new(store, lease.id());
        Ok(Self {
            references: ReferenceReader::new(store, layout),
            lease,
            locks,
            settle,
            wait_budget: TOTAL_LOCK_WAIT,
            failure: None,
        })
    }

    /// Revokes the lease, which deletes the locks.
    ///
    /// # Errors
    /// etcd is unreachable or rejects the request.
    pub async fn close(self) -> Result<(), Error> {
        self.lease.stop();
        self.references.store.for_cleanup(CLEANUP).revoke_own(self.lease.id()).await.map(|_| ())
    }

    /// Deletes the masters that are unchanged since their candidates were found and that no reference keeps: a wave of
    /// masters whose locks are free, then the masters whose locks other clients have. Returns the outcomes of the first candidates, at least one. Waits for no lock after `cancel` is cancelled.
    ///
    /// # Errors
    /// A failure of the store rather than of one candidate. If it happens after removals, the next call returns it.
    pub async fn remove(
        &mut self,
        _: &Consent,
        candidates: &[&Candidate],
        cancel: &CancellationToken,
    ) -> Result<Vec<CandidateOutcome>, Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let mut wave = Wave::new();
        let mut contended = Vec::new();
        let swept = self.sweep(&mut wave, candidates, &mut contended).await;
        self.finish(&mut wave, cancel).await;
        let swept = match swept {
            Ok(()) => self.sweep_contended(&mut wave, contended, cancel).await,
            failed => failed,
        };
        match swept {
            Err(error) if wave.outcomes.is_empty() => return Err(error),
            Err(error) => self.failure = Some(error),
            Ok(()) => {}
        }
        Ok(wave.outcomes)
    }

    /// Deletes the masters of the first candidates. Passes the masters whose locks other clients have to `contended`.
    async fn sweep(
        &mut self,
        wave: &mut Wave,
        candidates: &[&Candidate],
        contended: &mut Vec<CandidateMaster>,
    ) -> Result<(), Error> {
        while wave.outcomes.len() < candidates.len() && wave.begun.elapsed() < MAX_WAVE_TIME {
            let begun = wave.outcomes.len();
            let batch = self.next_batch(wave, candidates);
            if wave.outcomes.len() == begun {
                break;
            }
            let result = async {
                let (ready, busy) = self.lock_many(batch, wave).await?;
                contended.extend(busy);
                self.delete(ready, wave).await
            };
            if let Err(error) = result.await {
                contended.clear();
                wave.outcomes.truncate(begun);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Deletes masters whose locks other clients have, in as many waves as that takes.
    async fn sweep_contended(
        &mut self,
        wave: &mut Wave,
        contended: Vec<CandidateMaster>,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        for target in contended {
            if wave.begun.elapsed() > MAX_WAVE_TIME {
                self.finish(wave, cancel).await;
            }
            let index = target.index;
            let attempt = async {
                match self.lock_one(target, wave, cancel).await? {
                    Some(ready) => self.delete(vec![ready], wave).await,
                    None => Ok(()),
                }
            };
            if let Err(error) = attempt.await {
                wave.set(index, CandidateOutcome::Failed(error.one_line()));
                if !is_per_candidate(&error) {
                    result = Err(error);
                    break;
                }
            }
        }
        self.finish(wave, cancel).await;
        result
    }

    /// Ends a wave: waits until its removals have settled, verifies them, and unlocks.
    async fn finish(&mut self, wave: &mut Wave, cancel: &CancellationToken) {
        let removals = std::mem::take(&mut wave.removals);
        if !removals.is_empty() {
            wait_until(wave.deleted_at + self.settle, cancel).await;
            for (index, outcome) in verify(&self.references, &removals).await {
                wave.set(index, outcome);
            }
        }
        self.unlock(wave.held.keys()).await;
        wave.held.clear();
        wave.begun = Instant::now();
    }

    /// The next masters that can be locked in one request. Their locks are distinct, and none of them contends with a
    /// lock of the wave.
    fn next_batch(&self, wave: &mut Wave, candidates: &[&Candidate]) -> Vec<CandidateMaster> {
        let mut batch: Vec<CandidateMaster> = Vec::new();
        let mut names: Vec<Vec<u8>> = Vec::new();
        while let Some(candidate) = candidates.get(wave.outcomes.len()).filter(|_| batch.len() < BATCH) {
            let Some(target) = self.target(wave.outcomes.len(), candidate) else {
                let why = "the plan's facts do not describe a master; make a new plan with --save";
                wave.outcomes.push(CandidateOutcome::Failed(why.to_owned()));
                continue;
            };
            let wanted = self.lock_names(&target);
            if wanted.iter().any(|name| names.contains(name) || wave.contends(name)) {
                break;
            }
            names.extend(wanted);
            batch.push(target);
            wave.outcomes.push(CandidateOutcome::Busy);
        }
        batch
    }

    fn target(&self, index: usize, candidate: &Candidate) -> Option<CandidateMaster> {
        let path = candidate.key.strip_prefix(self.references.store.namespace())?;
        let (id, mod_revision) = (self.references.layout.parse_master(path)?, candidate.facts.int("mod_revision")?);
        Some(CandidateMaster { index, id, key: candidate.facts.bytes("value")?, mod_revision })
    }

    /// The names of a master's locks, in locking order. The key `id/7` of ID 7 has only one.
    fn lock_names(&self, target: &CandidateMaster) -> Vec<Vec<u8>> {
        let mut names = vec![self.references.layout.key_lock(&target.key), self.references.layout.id_lock(target.id)];
        names.dedup();
        names
    }

    /// Locks the masters whose locks are free and reads their references, in one transaction. Also returns the masters
    /// whose locks other clients have.
    async fn lock_many(
        &mut self,
        targets: Vec<CandidateMaster>,
        wave: &mut Wave,
    ) -> Result<(Vec<LockedMaster>, Vec<CandidateMaster>), Error> {
        let mut answers = self.try_lock(&targets, wave).await?;
        if answers.iter().any(|answer| matches!(answer, SweepAnswer::Failed { lease_expired: true, .. })) {
            // The lease and its locks expired while this process or etcd was paused.
            self.lease.stop();
            self.lease = self.references.store.keep(LOCK_TTL).await?;
            self.locks = LockSession::new(&self.references.store, self.lease.id());
            wave.held.clear();
            answers = self.try_lock(&targets, wave).await?;
        }
        let (mut ready, mut contended) = (Vec::new(), Vec::new());
        for (target, answer) in targets.into_iter().zip(answers) {
            let names = self.names_to_take(&target, wave);
            let (succeeded, results, revision) = match answer {
                SweepAnswer::Done { succeeded, results, revision, .. } => (succeeded, results, revision),
                SweepAnswer::Failed { why, .. } => {
                    self.unlock(&names).await;
                    wave.set(target.index, CandidateOutcome::Failed(why));
                    continue;
                }
            };
            let Some((locks, mut reads)) = self.locks.locked(&names, succeeded, results, revision) else {
                contended.push(target);
                continue;
            };
            wave.held.extend(names.into_iter().zip(locks));
            let Some(OpResult::Get { kvs, more, .. }) = reads.pop() else {
                return Err(Error::Protocol { op: "lock", what: "a nested response is missing".to_owned() });
            };
            let (used, read_at) = match more {
                true => self.read_all(&target).await?,
                false => (self.references.user_among(&target, &kvs).is_some(), revision),
            };
            ready.push(self.locked(target, wave, used, read_at));
        }
        Ok((ready, contended))
    }

    /// The names of the locks that a master needs and the wave does not have. Several masters of one key share its lock.
    fn names_to_take(&self, target: &CandidateMaster, wave: &Wave) -> Vec<Vec<u8>> {
        self.lock_names(target).into_iter().filter(|name| !wave.held.contains_key(name)).collect()
    }

    fn locked(&self, target: CandidateMaster, wave: &Wave, used: bool, read_at: Revision) -> LockedMaster {
        let locks = self.lock_names(&target).iter().filter_map(|name| wave.held.get(name).cloned()).collect();
        LockedMaster { target, locks, used, read_at }
    }

    async fn try_lock(&self, targets: &[CandidateMaster], wave: &Wave) -> Result<Vec<SweepAnswer>, Error> {
        let txn = |target: &CandidateMaster| {
            let references = self.references.first_references(target);
            self.locks.try_lock(&self.names_to_take(target, wave), &[references])
        };
        run_txns(&self.references.store, "lock", targets.iter().map(txn).collect()).await
    }

    /// Locks a master, waiting for other clients, and reads its references. `None` if a client keeps a lock for too
    /// long.
    async fn lock_one(
        &mut self,
        target: CandidateMaster,
        wave: &mut Wave,
        cancel: &CancellationToken,
    ) -> Result<Option<LockedMaster>, Error> {
        for name in self.lock_names(&target) {
            if wave.held.contains_key(&name) {
                continue;
            }
            if wave.contends(&name) {
                return Ok(None);
            }
            match self.wait_for(&name, cancel).await {
                Ok(LockWait::Held(lock)) => wave.held.insert(name, lock),
                Ok(LockWait::Busy | LockWait::Lost) => return Ok(None),
                Err(error) => {
                    self.unlock([&name]).await;
                    return Err(error);
                }
            };
        }
        let (used, read_at) = self.read_all(&target).await?;
        Ok(Some(self.locked(target, wave, used, read_at)))
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
        let (user, read_at) = self.references.find_user(target).await?;
        Ok((user.is_some(), read_at))
    }

    /// Deletes the unused masters.
    async fn delete(&self, mut ready: Vec<LockedMaster>, wave: &mut Wave) -> Result<(), Error> {
        ready.retain(|one| {
            if one.used {
                wave.set(one.target.index, CandidateOutcome::Changed);
            }
            !one.used
        });
        let txn = |one: &LockedMaster| {
            let (target, master) = (&one.target, self.references.layout.master(one.target.id));
            let mut compares = vec![
                Compare::unchanged(&master, target.mod_revision),
                Compare::key(&master, CompareOp::Equal, CompareTarget::Value(target.key.clone())),
                Compare::key(&master, CompareOp::Equal, CompareTarget::Lease(None)),
                Compare::none_newer(&self.references.layout.references_of(&target.key), one.read_at),
            ];
            compares.extend(one.locks.iter().map(HeldLock::is_held));
            let (over, get) = (KeySelector::Key(master.clone()), Op::get_at(KeySelector::Key(master), 0));
            Txn { compares, then: vec![Op::Delete { over, prev: false }], otherwise: vec![get] }
        };
        let answers = run_txns(&self.references.store, "gc id", ready.iter().map(txn).collect()).await?;
        wave.deleted_at = Instant::now();
        for (one, answer) in ready.into_iter().zip(answers) {
            let (index, outcome) = (one.target.index, answer.outcome());
            if matches!(outcome, CandidateOutcome::Removed | CandidateOutcome::Unknown(_)) {
                wave.removals.push(Removal { master: one.target, outcome: outcome.clone() });
            }
            wave.set(index, outcome);
        }
        Ok(())
    }

    /// Unlocks as far as possible; remaining locks expire with the lease.
    async fn unlock(&self, names: impl IntoIterator<Item = &Vec<u8>>) {
        let names: Vec<&Vec<u8>> = names.into_iter().collect();
        for some in names.chunks(UNLOCKED_AT_ONCE) {
            // Servers may have a lower limit than --max-ops says: then one by one.
            if self.locks.unlock(some).await.is_err_and(|error| error.is_refusal(Refusal::TooManyOps)) {
                for name in some {
                    let _ = self.locks.unlock(&[name]).await;
                }
            }
        }
    }
}
