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
const KEYS_A_LEASE: usize = 1000;
/// How often one key is tried while others take the IDs it chose, or its references change.
const TRIES: u32 = 64;

/// How long a reference lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceLifetime {
    /// Until it is released.
    Permanent,
    /// So many seconds, unless it is renewed.
    For(i64),
    /// As long as a lease that somebody keeps alive.
    On(LeaseId),
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
    pub life: ReferenceLifetime,
    /// How long to wait for whoever allocates the same key.
    pub wait: Duration,
    /// Whether a master that is gone is made again where the key's references name its ID and nobody else's do.
    pub restore: bool,
    /// Whether keys that have no ID get none either.
    pub existing: bool,
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
    #[error("its references name {}, and no master of that says this key", list(.0))]
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
    #[error("its lock was lost, or others kept changing what it rests on")]
    Contended,
}

fn list(ids: &[Id]) -> String {
    let numbers: Vec<String> = ids.iter().take(5).map(Id::to_string).collect();
    let more = if ids.len() > 5 { ", …" } else { "" };
    format!("ID {}{more}", numbers.join(", "))
}

/// What is told while it goes on.
pub trait AllocationNotice {
    /// So many keys of the store were read.
    fn read(&mut self, _keys: u64) {}
    /// The key's lock is somebody else's: the key of the lock, absolute.
    fn waiting(&mut self, _key: &[u8], _blocker: &[u8]) {}
}

/// Nothing is told.
impl AllocationNotice for () {}

/// Gives IDs to keys, as many as come. [`Allocator::close`] it in the end.
pub struct Allocator {
    store: Store,
    terms: AllocatorOptions,
    kept: LeaseKeeper,
    locks: KeyLocks,
    view: Option<IdIndex>,
    /// The lease of new references, and how many are on it.
    lease: Option<(LeaseId, usize)>,
    /// The granted TTL of leases that references were found on; `None` for one that is gone.
    leases: HashMap<LeaseId, Option<i64>>,
}

/// A key whose lock is held, on the way to its ID.
struct PendingKey {
    locked: LockedKey,
    /// IDs whose masters do not say the key.
    refused: Vec<Id>,
    /// The free ID that is kept for it.
    reserved: Option<Id>,
    tries: u32,
}

type AllocationResults = HashMap<Vec<u8>, Result<AllocatedId, AllocationError>>;

impl Allocator {
    /// Grants the lease of its locks.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn open(store: &Store, terms: AllocatorOptions) -> Result<Self, Error> {
        let kept = store.keep(LOCK_TTL).await?;
        let locks = KeyLocks::new(store, &terms.layout, &terms.node, kept.id());
        Ok(Self { store: store.clone(), terms, kept, locks, view: None, lease: None, leases: HashMap::new() })
    }

    /// Gives back the locks, and a lease that no reference came to be on. Whatever cannot be given back within the
    /// limit runs out by itself.
    pub async fn close(self, limit: Duration) {
        self.kept.stop();
        let store = self.store.for_cleanup(limit);
        let _ = store.revoke(self.kept.id()).await;
        if let Some((lease, 0)) = self.lease {
            let _ = store.revoke(lease).await;
        }
    }

    /// Gives an ID to each of these different keys, in their order.
    ///
    /// # Errors
    /// Whatever kept an answer away: the keys then may have IDs or not, and asking again is safe.
    pub async fn allocate(
        &mut self,
        keys: &[&[u8]],
        told: &mut impl AllocationNotice,
    ) -> Result<Vec<Result<AllocatedId, AllocationError>>, Error> {
        let mut done = AllocationResults::new();
        for some in keys.chunks(BATCH) {
            let (held, busy) = self.locks.try_many(some).await?;
            self.under_locks(held, &mut done, told).await?;
            for key in busy {
                let waiting = |blocker: &[u8]| told.waiting(&key, blocker);
                match self.locks.wait_for(&key, self.terms.wait, waiting).await? {
                    LockWaitOutcome::Held(locked) => self.under_locks(vec![*locked], &mut done, told).await?,
                    LockWaitOutcome::Busy => drop(done.insert(key, Err(AllocationError::Busy))),
                    LockWaitOutcome::Lost => drop(done.insert(key, Err(AllocationError::Contended))),
                }
            }
        }
        Ok(keys.iter().map(|key| done.remove(*key).unwrap_or(Err(AllocationError::Contended))).collect())
    }

    async fn under_locks(
        &mut self,
        held: Vec<LockedKey>,
        done: &mut AllocationResults,
        told: &mut impl AllocationNotice,
    ) -> Result<(), Error> {
        let pending =
            |locked: &LockedKey| PendingKey { locked: locked.clone(), refused: Vec::new(), reserved: None, tries: 0 };
        let mut pending: Vec<PendingKey> = held.iter().map(pending).collect();
        while !pending.is_empty() {
            pending = self.round(pending, done, told).await?;
        }
        self.locks.unlock(&held).await
    }

    /// Tries every key once, in one transaction. Gives those that are to be tried again.
    async fn round(
        &mut self,
        pending: Vec<PendingKey>,
        done: &mut AllocationResults,
        told: &mut impl AllocationNotice,
    ) -> Result<Vec<PendingKey>, Error> {
        let mut chosen = Vec::new();
        for mut one in pending {
            match self.choose(&mut one, told).await? {
                Ok(choice) => chosen.push((self.refer(&one.locked.uses, choice).await?, choice, one)),
                Err(denied) => drop(done.insert(one.locked.key, Err(denied))),
            }
        }
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let terms = self.terms.clone();
        let attempts: Vec<AllocationAttempt<'_>> = chosen
            .iter()
            .map(|(refer, choice, one)| AllocationAttempt {
                layout: &terms.layout,
                node: &terms.node,
                locked: &one.locked,
                choice: *choice,
                refer: *refer,
            })
            .collect();
        let then = attempts.iter().map(|attempt| Op::Txn(attempt.txn())).collect();
        // A second sending finds what the first one did, and only one who holds the lock could have done it.
        let answer = self
            .store
            .txn("allocate", &Txn { then, ..Txn::default() }, terms.guard.as_ref(), Retry::Idempotent)
            .await?;
        let trials: Result<Vec<AllocationOutcome>, Error> = attempts
            .iter()
            .zip(answer.results)
            .map(|(attempt, result)| attempt.read(result, answer.maybe_applied))
            .collect();
        let mut again = Vec::new();
        for ((refer, choice, mut one), trial) in chosen.into_iter().zip(trials?) {
            if let (AllocationOutcome::Done(_), ReferenceAction::Write(LeaseMode::Attach(on)), Some((lease, keys))) =
                (&trial, refer, &mut self.lease)
                && on == *lease
            {
                *keys += 1;
            }
            if let Some(outcome) = self.settle(&mut one, choice, trial).await? {
                done.insert(one.locked.key, outcome);
            } else {
                again.push(one);
            }
        }
        Ok(again)
    }

    /// Draws the lesson from a trial; `None` where the key is to be tried again.
    async fn settle(
        &mut self,
        one: &mut PendingKey,
        choice: IdChoice,
        trial: AllocationOutcome,
    ) -> Result<Option<Result<AllocatedId, AllocationError>>, Error> {
        let (key, id) = (&one.locked.key, choice.id());
        one.tries += 1;
        match trial {
            AllocationOutcome::Done(allocated) => {
                if let (true, Some(view)) = (allocated.new, &mut self.view) {
                    view.learn(key, id);
                }
                return Ok(Some(Ok(allocated)));
            }
            AllocationOutcome::LockLost => return Ok(Some(Err(AllocationError::Contended))),
            AllocationOutcome::Taken(says_key) => {
                one.reserved = None;
                if let (true, Some(view)) = (says_key, &mut self.view) {
                    view.learn(key, id);
                }
            }
            AllocationOutcome::NotIts => {
                one.refused.push(id);
                if let Some(view) = &mut self.view {
                    view.forget(key, id);
                }
            }
            AllocationOutcome::Changed => match self.locks.read(&one.locked).await? {
                Some(uses) => one.locked.uses = uses,
                None => return Ok(Some(Err(AllocationError::Contended))),
            },
        }
        Ok((one.tries >= TRIES).then_some(Err(AllocationError::Contended)))
    }

    /// The ID its references name, else the one a master has for it, else the smallest that is free.
    async fn choose(
        &mut self,
        one: &mut PendingKey,
        told: &mut impl AllocationNotice,
    ) -> Result<Result<IdChoice, AllocationError>, Error> {
        let usable = |id: &&Id| !one.refused.contains(id);
        if let Some(id) = one.locked.uses.ids.iter().find(usable) {
            return Ok(Ok(IdChoice::Existing(*id)));
        }
        if one.locked.uses.unreadable {
            return Ok(Err(AllocationError::Unreadable));
        }
        if !one.locked.uses.ids.is_empty() {
            return self.restorable(one).await;
        }
        self.bring_up_to_date(&one.locked, told).await?;
        for _ in 0..2 {
            let Some(view) = &mut self.view else { break };
            if let Some(id) = view.masters_of(&one.locked.key).iter().find(usable) {
                return Ok(Ok(IdChoice::Existing(*id)));
            }
            if self.terms.existing {
                return Ok(Err(AllocationError::Unknown));
            }
            if let Some(id) = one.reserved {
                return Ok(Ok(IdChoice::New(id)));
            }
            if let Some(id) = free(view, &self.terms.range, one.tries) {
                view.taken.insert(id);
                one.reserved = Some(id);
                return Ok(Ok(IdChoice::New(id)));
            }
            if view.is_fresh() {
                break;
            }
            // IDs may have become free since it was looked.
            self.look(told).await?;
        }
        Ok(Err(AllocationError::Full(self.terms.range)))
    }

    /// A key whose references name IDs without a master of its own.
    async fn restorable(&mut self, one: &PendingKey) -> Result<Result<IdChoice, AllocationError>, Error> {
        let ids = &one.locked.uses.ids;
        let orphaned = Err(AllocationError::Orphaned(ids.clone()));
        let ([id], true) = (ids.as_slice(), self.terms.restore) else { return Ok(orphaned) };
        let all = scan(&self.store, &self.terms.layout, |_| {}).await?;
        let own = all.keys.find(&one.locked.key);
        let others = all.references.iter().any(|reference| reference.id == Some(*id) && Some(reference.key) != own);
        let sound = !others && all.masters_of(*id).is_empty() && self.terms.range.contains(*id);
        Ok(if sound { Ok(IdChoice::New(*id)) } else { orphaned })
    }

    async fn bring_up_to_date(&mut self, locked: &LockedKey, told: &mut impl AllocationNotice) -> Result<(), Error> {
        if let Some(view) = &mut self.view
            && view.catch_up(locked).await?
        {
            return Ok(());
        }
        self.look(told).await
    }

    async fn look(&mut self, told: &mut impl AllocationNotice) -> Result<(), Error> {
        self.view = Some(IdIndex::look(&self.store, &self.terms.layout, |keys| told.read(keys)).await?);
        Ok(())
    }

    /// What to do with this node's reference. One that lives at least as long already is left where it is, its lease
    /// renewed: whoever keeps it alive goes on doing so.
    async fn refer(&mut self, uses: &ReferenceSummary, choice: IdChoice) -> Result<ReferenceAction, Error> {
        let own = uses.own.as_ref().filter(|own| Id::parse(&own.value) == Some(choice.id()));
        let there = match (own, self.terms.life) {
            (None, _) => false,
            (Some(own), ReferenceLifetime::Permanent) => own.lease.is_none(),
            (Some(own), ReferenceLifetime::On(lease)) => own.lease.is_none_or(|on| on == lease),
            (Some(own), ReferenceLifetime::For(ttl)) => match own.lease {
                None => true,
                Some(lease) => self.renewed(lease).await?.is_some_and(|granted| granted >= ttl),
            },
        };
        if there {
            return Ok(ReferenceAction::Leave);
        }
        Ok(ReferenceAction::Write(match self.terms.life {
            ReferenceLifetime::Permanent => LeaseMode::Detach,
            ReferenceLifetime::On(lease) => LeaseMode::Attach(lease),
            ReferenceLifetime::For(ttl) => LeaseMode::Attach(self.reference_lease(ttl).await?),
        }))
    }

    /// Renews a lease once in the whole command; its granted TTL.
    async fn renewed(&mut self, lease: LeaseId) -> Result<Option<i64>, Error> {
        if let Some(granted) = self.leases.get(&lease) {
            return Ok(*granted);
        }
        let granted = self.store.renew(lease).await?.map(|grant| grant.ttl);
        self.leases.insert(lease, granted);
        Ok(granted)
    }

    async fn reference_lease(&mut self, ttl: i64) -> Result<LeaseId, Error> {
        match self.lease {
            Some((lease, keys)) if keys + BATCH <= KEYS_A_LEASE => Ok(lease),
            _ => {
                let lease = self.store.grant(ttl).await?.id;
                self.lease = Some((lease, 0));
                Ok(lease)
            }
        }
    }
}

/// The smallest free ID; further on where others were quicker, so that not everybody tries the same one again.
fn free(view: &IdIndex, range: &IdRange, tries: u32) -> Option<Id> {
    let first = view.taken.free(range, 0)?;
    if tries == 0 {
        return Some(first);
    }
    let spread = 16_u64 << tries.min(12);
    let chance = RandomState::new().build_hasher().finish() % spread;
    view.taken.free(range, first.get().saturating_add(chance)).or(Some(first))
}
