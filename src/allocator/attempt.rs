//! One attempt to allocate an ID: its transaction and the meaning of the response. Pure.

use super::locks::LockedKey;
use super::{Id, Layout};
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeySelector, KeyValue, LeaseId, LeaseMode, Op, OpResult, Revision, Txn,
    Write,
};

/// ID of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocatedId {
    /// The ID.
    pub id: Id,
    /// Whether the ID is new.
    pub new: bool,
    /// Whether its master was missing and has been written again.
    pub restored: bool,
    /// The lease of this node's reference; `None` for a permanent one.
    pub lease: Option<LeaseId>,
}

/// The ID that an attempt tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdChoice {
    /// An ID whose master should hold the key.
    Existing(Id),
    /// One without a master.
    New(Id),
    /// The key's own ID, whose master is missing.
    Restored(Id),
}

impl IdChoice {
    /// The ID.
    pub fn id(self) -> Id {
        match self {
            Self::Existing(id) | Self::New(id) | Self::Restored(id) => id,
        }
    }
}

/// What to do with this node's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceAction {
    /// Leave it unchanged.
    Keep,
    /// Write it.
    Write(LeaseMode),
}

/// Result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocationOutcome {
    /// The key has its ID.
    Allocated(AllocatedId),
    /// The ID has a master although it was expected to be free; `true` if the master holds this key.
    IdTaken(bool),
    /// The master is missing or holds another key.
    OtherKey,
    /// The key's references changed and must be read again.
    ReferencesChanged,
    /// The key's lock was lost.
    LockLost,
}

/// An attempt.
#[derive(Clone, Debug)]
pub struct AllocationAttempt<'a> {
    /// Paths of the allocator's keys.
    pub layout: &'a Layout,
    /// The node that the reference belongs to.
    pub node: &'a [u8],
    /// The locked key.
    pub locked: &'a LockedKey,
    /// The ID to allocate.
    pub choice: IdChoice,
    /// What to do with the reference.
    pub action: ReferenceAction,
}

impl AllocationAttempt<'_> {
    /// The transaction, to be nested.
    ///
    /// A new master and its reference are written together, so that no master lacks a reference. A reference to an
    /// existing master is written only if the master still holds the key.
    pub fn txn(&self) -> Txn {
        let (id, key) = (self.choice.id(), &self.locked.key);
        let (master, reference) = (self.layout.master(id), self.layout.reference(key, self.node));
        let mut compares = vec![self.locked.lock.is_held()];
        let mut then = Vec::new();
        match self.choice {
            IdChoice::New(_) | IdChoice::Restored(_) => {
                compares.push(Compare::missing(&master));
                compares.push(Compare::none_newer(&self.layout.references_of(key), self.locked.references.revision));
                then.push(Op::Put(Write { key: master.clone(), value: key.clone(), ..Write::default() }));
            }
            IdChoice::Existing(_) => {
                compares.push(Compare::key(&master, CompareOp::Equal, CompareTarget::Value(key.clone())));
                let seen: Revision = self.locked.references.own.as_ref().map_or(0, |own| own.mod_revision);
                compares.push(Compare::unchanged(&reference, seen));
            }
        }
        if let ReferenceAction::Write(lease) = self.action {
            let value = id.to_string().into_bytes();
            then.push(Op::Put(Write { key: reference.clone(), value, lease, prev: false, ..Write::default() }));
        }
        let otherwise =
            [&master, &reference, &self.locked.lock.key].map(|key| Op::get_at(KeySelector::Key(key.clone()), 0));
        Txn { compares, then, otherwise: otherwise.into() }
    }

    /// Interprets the response of the nested transaction. `maybe_applied`: it may have been applied before.
    ///
    /// # Errors
    /// The response does not belong to such a transaction.
    pub fn outcome(&self, result: OpResult, maybe_applied: bool) -> Result<AllocationOutcome, Error> {
        let unexpected = || Error::Protocol { op: "allocate", what: "a nested response is missing".to_owned() };
        let OpResult::Txn { succeeded, results } = result else { return Err(unexpected()) };
        let done = AllocationOutcome::Allocated(AllocatedId {
            id: self.choice.id(),
            new: matches!(self.choice, IdChoice::New(_)),
            restored: matches!(self.choice, IdChoice::Restored(_)),
            lease: self.lease(),
        });
        if succeeded {
            return Ok(done);
        }
        let mut found = Vec::new();
        for result in results {
            let OpResult::Get { mut kvs, .. } = result else { return Err(unexpected()) };
            found.push(kvs.pop());
        }
        let [master, reference, lock] = found.as_slice() else { return Err(unexpected()) };
        let same_key = master.as_ref().is_some_and(|kv| kv.value == self.locked.key);
        if maybe_applied && same_key && reference.as_ref().is_some_and(|kv| self.is_ours(kv)) {
            return Ok(done);
        }
        if lock.as_ref().map(|kv| kv.create_revision) != Some(self.locked.lock.revision) {
            return Ok(AllocationOutcome::LockLost);
        }
        Ok(match self.choice {
            IdChoice::New(_) | IdChoice::Restored(_) if master.is_some() => AllocationOutcome::IdTaken(same_key),
            IdChoice::Existing(_) if !same_key => AllocationOutcome::OtherKey,
            _ => AllocationOutcome::ReferencesChanged,
        })
    }

    fn lease(&self) -> Option<LeaseId> {
        match self.action {
            ReferenceAction::Write(LeaseMode::Attach(lease)) => Some(lease),
            ReferenceAction::Write(_) => None,
            ReferenceAction::Keep => self.locked.references.own.as_ref().and_then(|own| own.lease),
        }
    }

    fn is_ours(&self, reference: &KeyValue) -> bool {
        Id::parse(&reference.value) == Some(self.choice.id()) && reference.lease == self.lease()
    }
}
