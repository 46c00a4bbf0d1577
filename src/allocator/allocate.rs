//! Allocation of IDs to keys.
//!
//! Under the key's lock, one transaction creates the master and this node's reference, or adds the reference if the
//! master still holds this key. The transaction compares every key that the decision depends on.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use thiserror::Error;

use super::attempt::{AllocatedId, AllocationAttempt, AllocationOutcome, IdChoice, ReferenceAction};
use super::id_index::IdIndex;
use super::locks::{BATCH, KeyLocks, LockWaitOutcome, LockedKey, ReferenceSummary};
use super::repair::may_restore;
use super::scan::{AllocatorScan, scan};
use super::{Id, IdRange, Layout};
use crate::kvstore::{Error, LeaseId, LeaseKeeper, LeaseMode, LockGuard, Op, Retry, Store, Txn};

/// TTL of the lease of the key locks, in seconds (Cilium's value).
const LOCK_TTL: i64 = 25;
/// Keys attached to one lease, as in Cilium; etcd slows down with more
/// (<https://github.com/etcd-io/etcd/issues/15993>).
const KEYS_PER_LEASE: usize = 1000;
/// Attempts per key while other clients take the chosen ID or change the key's references.
const MAX_ATTEMPTS: u32 = 64;

/// How long a reference lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceLifetime {
    /// Until it is released.
    Permanent,
    /// For this TTL in seconds, unless its lease is renewed.
    Ttl(i64),
    /// As long as this lease, which the caller keeps alive.
    Lease(LeaseId),
}

/// Parameters of an [`Allocator`].
#[derive(Clone, Debug)]
pub struct AllocatorOptions {
    /// Paths of the allocator's keys.
    pub layout: Layout,
    /// IDs that may be allocated.
    pub range: IdRange,
    /// Node whose references are written.
    pub node: Vec<u8>,
    /// Lifetime of new references.
    pub lifetime: ReferenceLifetime,
    /// Maximum time to wait for a key's lock.
    pub wait: Duration,
    /// Whether to use only IDs that keys already have.
    pub existing_only: bool,
    /// Lock that must be held for every write.
    pub guard: Option<LockGuard>,
}

/// Why a key got no ID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AllocationError {
    /// Every ID of the range is taken.
    #[error("all IDs from {first} to {last} are taken ({size} in total)", size = .0.size(), first = .0.first(), last = .0.last())]
    Full(IdRange),
    /// References name IDs whose masters are missing or hold another key.
    #[error("its references name {}, which no master assigns to the key", format_ids(.0))]
    Orphaned(Vec<Id>),
    /// The value of a reference is not an ID.
    #[error("the value of one of its references is not an ID")]
    Unreadable,
    /// The key has no ID, and no new one may be allocated.
    #[error("no reference or master records its ID")]
    Unknown,
    /// Another client holds the key's lock.
    #[error("another client holds its lock")]
    Busy,
    /// The lock was lost, or other clients changed the key too often.
    #[error("its lock was lost, or other clients kept changing its master or references")]
    Contended,
}

fn format_ids(ids: &[Id]) -> String {
    let numbers: Vec<String> = ids.iter().take(5).map(Id::to_string).collect();
    let more = if ids.len() > 5 { ", …" } else { "" };
    format!("{} {}{more}", if ids.len() == 1 { "ID" } else { "IDs" }, numbers.join(", "))
}

/// Receives the progress of an allocation.
pub trait AllocationNotice {
    /// Reports how many more keys were read from etcd.
    fn keys_read(&mut self, _keys: u64) {}
    /// Reports that the key's lock is held by another client, with the absolute key of that client's lock.
    fn waiting_for_lock(&mut self, _key: &[u8], _blocker: &[u8]) {}
}

impl AllocationNotice for () {}

/// Allocates IDs to any number of keys. Call [`Allocator::close`] when done.
pub struct Allocator {
    store: Store,
    options: AllocatorOptions,
    lock_lease: LeaseKeeper,
    locks: KeyLocks,
    index: Option<IdIndex>,
    /// All masters and references, read when the first missing master was found.
    all: Option<AllocatorScan>,
    /// The lease of new references, and how many references are attached to it.
    reference_lease: Option<(LeaseId, usize)>,
    /// Granted TTL of every lease that was renewed; `None` for an expired lease.
    renewed: HashMap<LeaseId, Option<i64>>,
}

/// A locked key that has no ID yet.
struct PendingKey {
    locked: LockedKey,
    /// IDs whose masters do not hold the key.
    rejected: Vec<Id>,
    /// The free ID chosen for the key.
    reserved: Option<Id>,
    attempts: u32,
}

type AllocationResults = HashMap<Vec<u8>, Result<AllocatedId, AllocationError>>;

impl Allocator {
    /// Grants the lease of the key locks.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request.
    pub async fn open(store: &Store, options: AllocatorOptions) -> Result<Self, Error> {
        let lock_lease = store.keep(LOCK_TTL).await?;
        let locks = KeyLocks::new(store, &options.layout, &options.node, lock_lease.id());
        Ok(Self {
            store: store.clone(),
            options,
            lock_lease,
            locks,
            index: None,
            all: None,
            reference_lease: None,
            renewed: HashMap::new(),
        })
    }

    /// Revokes the leases of the locks and of unused references. Leases that cannot be revoked within `limit` expire on
    /// their own.
    pub async fn close(self, limit: Duration) {
        self.lock_lease.stop();
        let store = self.store.for_cleanup(limit);
        let _ = store.revoke_own(self.lock_lease.id()).await;
        if let Some((lease, 0)) = self.reference_lease {
            let _ = store.revoke_own(lease).await;
        }
    }

    /// Allocates an ID to each of these distinct keys; the results have the order of the keys.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request. Some keys may have IDs then; calling it again is safe.
    pub async fn allocate(
        &mut self,
        keys: &[&[u8]],
        notice: &mut impl AllocationNotice,
    ) -> Result<Vec<Result<AllocatedId, AllocationError>>, Error> {
        let mut done = AllocationResults::new();
        for some in keys.chunks(self.locks.batch()) {
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

    /// Makes one attempt for every key, in one transaction. Returns the keys to retry.
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
        // Safe to resend: a resent transaction finds the keys of the first one, which only the lock holder can have
        // written.
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

    /// Applies the outcome of an attempt; `None` if the key must be retried.
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
                if let (true, Some(index)) = (allocated.new || allocated.restored, &mut self.index) {
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

    /// Chooses the ID that the key's references name, else the ID of one of its masters, else the smallest free ID.
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
            return self.choose_orphaned(one, notice).await;
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
            // IDs may have been freed since the index was built.
            self.rebuild_index(notice).await?;
        }
        Ok(Err(AllocationError::Full(self.options.range)))
    }

    /// Chooses the ID of a key whose references only name IDs without a master for the key: the ID that all of them
    /// name, if nothing else claims it. Its master is written again.
    async fn choose_orphaned(
        &mut self,
        one: &PendingKey,
        notice: &mut impl AllocationNotice,
    ) -> Result<Result<IdChoice, AllocationError>, Error> {
        let ids = &one.locked.references.ids;
        let orphaned = Err(AllocationError::Orphaned(ids.clone()));
        let [id] = ids.as_slice() else { return Ok(orphaned) };
        // Agents restore masters without a lock: the master may have come back.
        match self.store.get(&self.options.layout.master(*id), 0, None).await?.0 {
            Some(master) if master.value == one.locked.key => return Ok(Ok(IdChoice::Existing(*id))),
            Some(_) => return Ok(orphaned),
            None => {}
        }
        // An earlier read suffices: the transaction compares that the master is missing, and no allocator gives an ID
        // to a key without writing its master.
        let all = match &mut self.all {
            Some(all) => all,
            none => none.insert(scan(&self.store, &self.options.layout, |keys| notice.keys_read(keys)).await?),
        };
        let sound = may_restore(all, &self.options.range, *id, &one.locked.key);
        Ok(if sound { Ok(IdChoice::Restored(*id)) } else { orphaned })
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

    /// Decides what to do with this node's reference. A reference that already lives long enough keeps its lease, which
    /// is renewed: the process that keeps it alive continues to do so.
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

    /// Renews a lease, once per allocator. Returns its granted TTL.
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

/// The smallest free ID; after a conflict a random larger one, so that clients do not collide on the same ID again.
fn free_id(index: &IdIndex, range: &IdRange, attempts: u32) -> Option<Id> {
    let first = index.taken.first_free(range, 0)?;
    if attempts == 0 {
        return Some(first);
    }
    let spread = 16_u64 << attempts.min(12);
    let chance = RandomState::new().build_hasher().finish() % spread;
    index.taken.first_free(range, first.get().saturating_add(chance)).or(Some(first))
}
