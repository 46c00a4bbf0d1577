//! Giving IDs to keys.
//!
//! Under the key's lock, one transaction creates the master and this node's reference, or adds the reference on the
//! condition that the master still says this key. What the decision rests on is compared in that very transaction.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use thiserror::Error;

use super::attempt::{AllocatedId, AllocationAttempt, AllocationOutcome, IdChoice, ReferenceAction};
use super::id_index::IdIndex;
use super::locks::{BATCH, KeyLocks, LockWaitOutcome, LockedKey, ReferenceSummary};
use super::scan::scan;
use super::{Id, IdRange, Layout};
use crate::kvstore::{Error, LeaseId, LeaseKeeper, LeaseMode, LockGuard, Op, Retry, Store, Txn};

/// The TTL of the locks' lease in seconds; Cilium's.
const LOCK_TTL: i64 = 25;
/// Keys on one lease, as Cilium has it: etcd gets slow with more (<https://github.com/etcd-io/etcd/issues/15993>).
const KEYS_PER_LEASE: usize = 1000;
/// How often one key is tried while others take the IDs it chose, or its references change.
const MAX_ATTEMPTS: u32 = 64;

/// How long a reference lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceLifetime {
    /// Until it is released.
    Permanent,
    /// So many seconds, unless it is renewed.
    Ttl(i64),
    /// As long as a lease that somebody keeps alive.
    Lease(LeaseId),
}

/// Whose IDs are given away, and for whom.
#[derive(Clone, Debug)]
pub struct AllocatorOptions {
    /// Where.
    pub layout: Layout,
    /// Which IDs.
    pub range: IdRange,
    /// The node whose references are written.
    pub node: Vec<u8>,
    /// How long these live.
    pub lifetime: ReferenceLifetime,
    /// How long to wait for whoever allocates the same key.
    pub wait: Duration,
    /// Whether a master that is gone is made again where the key's references name its ID and nobody else's do.
    pub restore: bool,
    /// Whether keys that have no ID get none either.
    pub existing_only: bool,
    /// Only while this lock is held.
    pub guard: Option<LockGuard>,
}

/// Why a key has no ID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AllocationError {
    /// Every ID is taken.
    #[error("none from {first} to {last} is free ({size} in all)", size = .0.size(), first = .0.first(), last = .0.last())]
    Full(IdRange),
    /// References name IDs whose masters are gone or say another key.
    #[error("its references name {}, and no master of that says this key", format_ids(.0))]
    Orphaned(Vec<Id>),
    /// Some reference cannot be read.
    #[error("the value of one of its references is no ID")]
    Unreadable,
    /// It has no ID, and is to get no new one.
    #[error("it has none, and no reference or master is left to tell which it had")]
    Unknown,
    /// Somebody else has the key's lock.
    #[error("somebody else is allocating it: its lock is busy")]
    Busy,
    /// The lock was lost, or others were quicker too often.
    #[error("its lock was lost, or others lock_lease changing what it rests on")]
    Contended,
}

fn format_ids(ids: &[Id]) -> String {
    let numbers: Vec<String> = ids.iter().take(5).map(Id::to_string).collect();
    let more = if ids.len() > 5 { ", …" } else { "" };
    format!("ID {}{more}", numbers.join(", "))
}

/// What is notice while it goes on.
pub trait AllocationNotice {
    /// So many keys of the store were read.
    fn keys_read(&mut self, _keys: u64) {}
    /// The key's lock is somebody else's: the key of the lock, absolute.
    fn waiting_for_lock(&mut self, _key: &[u8], _blocker: &[u8]) {}
}

/// Nothing is notice.
impl AllocationNotice for () {}

/// Gives IDs to keys, as many as come. [`Allocator::close`] it in the end.
pub struct Allocator {
    store: Store,
    options: AllocatorOptions,
    lock_lease: LeaseKeeper,
    locks: KeyLocks,
    index: Option<IdIndex>,
    /// The lease of new references, and how many are on it.
    reference_lease: Option<(LeaseId, usize)>,
    /// The granted TTL of leases that references were found on; `None` for one that is gone.
    renewed: HashMap<LeaseId, Option<i64>>,
}

/// A key whose lock is held, on the way to its ID.
struct PendingKey {
    locked: LockedKey,
    /// IDs whose masters do not say the key.
    rejected: Vec<Id>,
    /// The free ID that is lock_lease for it.
    reserved: Option<Id>,
    attempts: u32,
}

type AllocationResults = HashMap<Vec<u8>, Result<AllocatedId, AllocationError>>;

impl Allocator {
    /// Grants the lease of its locks.
    ///
    /// # Errors
    /// Whatever lock_lease the answer away.
    pub async fn open(store: &Store, options: AllocatorOptions) -> Result<Self, Error> {
        let lock_lease = store.keep(LOCK_TTL).await?;
        let locks = KeyLocks::new(store, &options.layout, &options.node, lock_lease.id());
        Ok(Self {
            store: store.clone(),
            options,
            lock_lease,
            locks,
            index: None,
            reference_lease: None,
            renewed: HashMap::new(),
        })
    }

    /// Gives back the locks, and a lease that no reference came to be on. Whatever cannot be given back within the
    /// limit runs out by itself.
    pub async fn close(self, limit: Duration) {
        self.lock_lease.stop();
        let store = self.store.for_cleanup(limit);
        let _ = store.revoke(self.lock_lease.id()).await;
        if let Some((lease, 0)) = self.reference_lease {
            let _ = store.revoke(lease).await;
        }
    }

    /// Gives an ID to each of these different keys, in their order.
    ///
    /// # Errors
    /// Whatever lock_lease an answer away: the keys then may have IDs or not, and asking again is safe.
    pub async fn allocate(
        &mut self,
        keys: &[&[u8]],
        notice: &mut impl AllocationNotice,
    ) -> Result<Vec<Result<AllocatedId, AllocationError>>, Error> {
        let mut done = AllocationResults::new();
        for some in keys.chunks(BATCH) {
            let (held, busy) = self.locks.try_lock_many(some).await?;
            self.allocate_locked(held, &mut done, notice).await?;
            for key in busy {
                let waiting = |blocker: &[u8]| notice.waiting_for_lock(&key, blocker);
                match self.locks.lock(&key, self.options.wait, waiting).await? {
                    LockWaitOutcome::Held(locked) => self.allocate_locked(vec![*locked], &mut done, notice).await?,
                    LockWaitOutcome::Busy => drop(done.insert(key, Err(AllocationError::Busy))),
                    LockWaitOutcome::Lost => drop(done.insert(key, Err(AllocationError::Contended))),
                }
            }
        }
        Ok(keys.iter().map(|key| done.remove(*key).unwrap_or(Err(AllocationError::Contended))).collect())
    }

    async fn allocate_locked(
        &mut self,
        held: Vec<LockedKey>,
        done: &mut AllocationResults,
        notice: &mut impl AllocationNotice,
    ) -> Result<(), Error> {
        let pending = |locked: &LockedKey| PendingKey {
            locked: locked.clone(),
            rejected: Vec::new(),
            reserved: None,
            attempts: 0,
        };
        let mut pending: Vec<PendingKey> = held.iter().map(pending).collect();
        while !pending.is_empty() {
            pending = self.attempt_all(pending, done, notice).await?;
        }
        self.locks.unlock(&held).await
    }

    /// Tries every key once, in one transaction. Gives those that are to be tried again.
    async fn attempt_all(
        &mut self,
        pending: Vec<PendingKey>,
        done: &mut AllocationResults,
        notice: &mut impl AllocationNotice,
    ) -> Result<Vec<PendingKey>, Error> {
        let mut chosen = Vec::new();
        for mut one in pending {
            match self.choose_id(&mut one, notice).await? {
                Ok(choice) => chosen.push((self.reference_action(&one.locked.references, choice).await?, choice, one)),
                Err(error) => drop(done.insert(one.locked.key, Err(error))),
            }
        }
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let options = self.options.clone();
        let attempts: Vec<AllocationAttempt<'_>> = chosen
            .iter()
            .map(|(action, choice, one)| AllocationAttempt {
                layout: &options.layout,
                node: &options.node,
                locked: &one.locked,
                choice: *choice,
                action: *action,
            })
            .collect();
        let then = attempts.iter().map(|attempt| Op::Txn(attempt.txn())).collect();
        // A second sending finds what the first one did, and only one who holds the lock could have done it.
        let answer = self
            .store
            .txn("allocate", &Txn { then, ..Txn::default() }, options.guard.as_ref(), Retry::Idempotent)
            .await?;
        let outcomes: Result<Vec<AllocationOutcome>, Error> = attempts
            .iter()
            .zip(answer.results)
            .map(|(attempt, result)| attempt.outcome(result, answer.maybe_applied))
            .collect();
        let mut again = Vec::new();
        for ((action, choice, mut one), outcome) in chosen.into_iter().zip(outcomes?) {
            if let (AllocationOutcome::Allocated(_), ReferenceAction::Write(LeaseMode::Attach(on)), Some((lease, keys))) =
                (&outcome, action, &mut self.reference_lease)
                && on == *lease
            {
                *keys += 1;
            }
            if let Some(result) = self.apply_outcome(&mut one, choice, outcome).await? {
                done.insert(one.locked.key, result);
            } else {
                again.push(one);
            }
        }
        Ok(again)
    }

    /// Draws the lesson from a outcome; `None` where the key is to be tried again.
    async fn apply_outcome(
        &mut self,
        one: &mut PendingKey,
        choice: IdChoice,
        outcome: AllocationOutcome,
    ) -> Result<Option<Result<AllocatedId, AllocationError>>, Error> {
        let (key, id) = (&one.locked.key, choice.id());
        one.attempts += 1;
        match outcome {
            AllocationOutcome::Allocated(allocated) => {
                if let (true, Some(index)) = (allocated.new, &mut self.index) {
                    index.add_master(key, id);
                }
                return Ok(Some(Ok(allocated)));
            }
            AllocationOutcome::LockLost => return Ok(Some(Err(AllocationError::Contended))),
            AllocationOutcome::IdTaken(same_key) => {
                one.reserved = None;
                if let (true, Some(index)) = (same_key, &mut self.index) {
                    index.add_master(key, id);
                }
            }
            AllocationOutcome::OtherKey => {
                one.rejected.push(id);
                if let Some(index) = &mut self.index {
                    index.remove_master(key, id);
                }
            }
            AllocationOutcome::ReferencesChanged => match self.locks.read_references(&one.locked).await? {
                Some(references) => one.locked.references = references,
                None => return Ok(Some(Err(AllocationError::Contended))),
            },
        }
        Ok((one.attempts >= MAX_ATTEMPTS).then_some(Err(AllocationError::Contended)))
    }

    /// The ID its references name, else the one a master has for it, else the smallest that is free.
    async fn choose_id(
        &mut self,
        one: &mut PendingKey,
        notice: &mut impl AllocationNotice,
    ) -> Result<Result<IdChoice, AllocationError>, Error> {
        let usable = |id: &&Id| !one.rejected.contains(id);
        if let Some(id) = one.locked.references.ids.iter().find(usable) {
            return Ok(Ok(IdChoice::Existing(*id)));
        }
        if one.locked.references.unreadable {
            return Ok(Err(AllocationError::Unreadable));
        }
        if !one.locked.references.ids.is_empty() {
            return self.choose_orphaned(one).await;
        }
        self.update_index(&one.locked, notice).await?;
        for _ in 0..2 {
            let Some(index) = &mut self.index else { break };
            if let Some(id) = index.masters_of(&one.locked.key).iter().find(usable) {
                return Ok(Ok(IdChoice::Existing(*id)));
            }
            if self.options.existing_only {
                return Ok(Err(AllocationError::Unknown));
            }
            if let Some(id) = one.reserved {
                return Ok(Ok(IdChoice::New(id)));
            }
            if let Some(id) = free_id(index, &self.options.range, one.attempts) {
                index.taken.insert(id);
                one.reserved = Some(id);
                return Ok(Ok(IdChoice::New(id)));
            }
            if index.is_fresh() {
                break;
            }
            // IDs may have become free since it was looked.
            self.rebuild_index(notice).await?;
        }
        Ok(Err(AllocationError::Full(self.options.range)))
    }

    /// A key whose references name IDs without a master of its own.
    async fn choose_orphaned(&mut self, one: &PendingKey) -> Result<Result<IdChoice, AllocationError>, Error> {
        let ids = &one.locked.references.ids;
        let orphaned = Err(AllocationError::Orphaned(ids.clone()));
        let ([id], true) = (ids.as_slice(), self.options.restore) else { return Ok(orphaned) };
        let all = scan(&self.store, &self.options.layout, |_| {}).await?;
        let own = all.keys.find(&one.locked.key);
        let others = all.references.iter().any(|reference| reference.id == Some(*id) && Some(reference.key) != own);
        let sound = !others && all.masters_of(*id).is_empty() && self.options.range.contains(*id);
        Ok(if sound { Ok(IdChoice::New(*id)) } else { orphaned })
    }

    async fn update_index(&mut self, locked: &LockedKey, notice: &mut impl AllocationNotice) -> Result<(), Error> {
        if let Some(index) = &mut self.index
            && index.catch_up(locked).await?
        {
            return Ok(());
        }
        self.rebuild_index(notice).await
    }

    async fn rebuild_index(&mut self, notice: &mut impl AllocationNotice) -> Result<(), Error> {
        self.index = Some(IdIndex::build(&self.store, &self.options.layout, |keys| notice.keys_read(keys)).await?);
        Ok(())
    }

    /// What to do with this node's reference. One that lives at least as long already is left where it is, its lease
    /// renewed: whoever keeps it alive goes on doing so.
    async fn reference_action(
        &mut self,
        references: &ReferenceSummary,
        choice: IdChoice,
    ) -> Result<ReferenceAction, Error> {
        let own = references.own.as_ref().filter(|own| Id::parse(&own.value) == Some(choice.id()));
        let there = match (own, self.options.lifetime) {
            (None, _) => false,
            (Some(own), ReferenceLifetime::Permanent) => own.lease.is_none(),
            (Some(own), ReferenceLifetime::Lease(lease)) => own.lease.is_none_or(|on| on == lease),
            (Some(own), ReferenceLifetime::Ttl(ttl)) => match own.lease {
                None => true,
                Some(lease) => self.renew_once(lease).await?.is_some_and(|granted| granted >= ttl),
            },
        };
        if there {
            return Ok(ReferenceAction::Keep);
        }
        Ok(ReferenceAction::Write(match self.options.lifetime {
            ReferenceLifetime::Permanent => LeaseMode::Detach,
            ReferenceLifetime::Lease(lease) => LeaseMode::Attach(lease),
            ReferenceLifetime::Ttl(ttl) => LeaseMode::Attach(self.lease_for_reference(ttl).await?),
        }))
    }

    /// Renews a lease once in the whole command; its granted TTL.
    async fn renew_once(&mut self, lease: LeaseId) -> Result<Option<i64>, Error> {
        if let Some(granted) = self.renewed.get(&lease) {
            return Ok(*granted);
        }
        let granted = self.store.renew(lease).await?.map(|grant| grant.ttl);
        self.renewed.insert(lease, granted);
        Ok(granted)
    }

    async fn lease_for_reference(&mut self, ttl: i64) -> Result<LeaseId, Error> {
        match self.reference_lease {
            Some((lease, keys)) if keys + BATCH <= KEYS_PER_LEASE => Ok(lease),
            _ => {
                let lease = self.store.grant(ttl).await?.id;
                self.reference_lease = Some((lease, 0));
                Ok(lease)
            }
        }
    }
}

/// The smallest free ID; further on where others were quicker, so that not everybody attempts the same one again.
fn free_id(index: &IdIndex, range: &IdRange, attempts: u32) -> Option<Id> {
    let first = index.taken.first_free(range, 0)?;
    if attempts == 0 {
        return Some(first);
    }
    let spread = 16_u64 << attempts.min(12);
    let chance = RandomState::new().build_hasher().finish() % spread;
    index.taken.first_free(range, first.get().saturating_add(chance)).or(Some(first))
}
