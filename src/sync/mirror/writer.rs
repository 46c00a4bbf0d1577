//! Transactions that apply changes and write the place.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::batch::{MirrorBatch, SourceChange};
use super::error::MirrorError;
use super::known::KnownRevisions;
use super::lease_mapping::LeaseMapping;
use super::leases::MirrorLeases;
use super::outage::{Outage, persist};
use super::place::{MirrorIdentity, MirrorPlace, MirrorPosition, PlaceState};
use crate::kvstore::{
    Compare, Error, KeySelector, KeyValue, LeaseId, LeaseMode, Op, OpResult, Refusal, Retry, Revision, Store, Txn,
    Write,
};

/// The name of the transactions in messages and in the trace.
const OP: &str = "mirror";

/// The operation of a change.
pub(super) fn operation(change: &SourceChange, leases: LeaseMapping) -> Op {
    match &change.value {
        Some(value) => {
            let lease = leases.of(change.lease).map_or(LeaseMode::Detach, LeaseMode::Attach);
            Op::Put(Write { key: change.key.clone(), value: value.clone(), lease, prev: false, ..Write::default() })
        }
        None => Op::Delete { over: KeySelector::Key(change.key.clone()), prev: false },
    }
}

/// The place key that a refused transaction has read.
pub(super) fn place_read(results: Vec<OpResult>) -> Option<KeyValue> {
    match results.into_iter().next() {
        Some(OpResult::Get { mut kvs, .. }) => kvs.pop(),
        _ => None,
    }
}

/// The place of this mirror, as last read or written.
#[derive(Debug)]
pub struct PlaceWriter {
    key: Vec<u8>,
    identity: MirrorIdentity,
    session: String,
    sequence: u64,
    /// The place key's mod revision; 0 if it does not exist.
    mod_revision: Revision,
    /// Whether keys may have leases.
    leases: bool,
}

/// A transaction that writes the place.
#[derive(Clone, Debug)]
pub struct PlaceTxn {
    txn: Txn,
    session: String,
    sequence: u64,
    /// The place key's mod revision before the transaction.
    before: Revision,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceOutcome {
    /// It was applied in this revision of the destination.
    Applied(Revision),
    /// A key was not as expected; nothing was applied.
    KeyChanged,
    /// The place was written by somebody else, or deleted; nothing was applied.
    PlaceChanged {
        /// Whether the key is gone.
        deleted: bool,
    },
}

impl PlaceWriter {
    /// A writer of a new session, for the place key as it was read.
    pub fn new(key: &[u8], identity: MirrorIdentity, mod_revision: Revision, leases: bool) -> Self {
        let session = format!("{:x}", RandomState::new().build_hasher().finish());
        Self { key: key.to_vec(), identity, session, sequence: 0, mod_revision, leases }
    }

    /// The place key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The place key's mod revision, which guards the writes of this mirror.
    pub fn mod_revision(&self) -> Revision {
        self.mod_revision
    }

    /// The transaction that applies a batch, on the condition that its keys are as known.
    pub fn apply(&mut self, batch: &MirrorBatch, known: &KnownRevisions, leases: LeaseMapping) -> PlaceTxn {
        let compares = batch.changes.iter().map(|change| Compare::unchanged(&change.key, known.get(&change.key)));
        let then = batch.changes.iter().map(|change| operation(change, leases)).collect();
        self.txn(compares.collect(), then, batch.end, PlaceState::Following)
    }

    /// The transaction that only writes the place.
    pub fn set(&mut self, position: MirrorPosition, state: PlaceState) -> PlaceTxn {
        self.txn(Vec::new(), Vec::new(), position, state)
    }

    fn txn(
        &mut self,
        mut compares: Vec<Compare>,
        mut then: Vec<Op>,
        position: MirrorPosition,
        state: PlaceState,
    ) -> PlaceTxn {
        self.sequence += 1;
        let value = MirrorPlace::new(&self.identity, position, state, &self.session, self.sequence);
        let value = value.with_leases(self.leases).to_value();
        compares.push(Compare::unchanged(&self.key, self.mod_revision));
        then.push(Op::Put(Write { key: self.key.clone(), value, ..Write::default() }));
        let otherwise = vec![Op::get_at(KeySelector::Key(self.key.clone()), 0)];
        let txn = Txn { compares, then, otherwise };
        PlaceTxn { txn, session: self.session.clone(), sequence: self.sequence, before: self.mod_revision }
    }

    /// Whether keys may have leases.
    pub fn may_have_leases(&self) -> bool {
        self.leases
    }

    /// Sets whether keys may have leases from now on.
    pub fn set_leases(&mut self, leases: bool) {
        self.leases = leases;
    }

    /// Records that a transaction was applied in this revision.
    pub fn applied(&mut self, revision: Revision) {
        self.mod_revision = revision;
    }

    /// The error for a place that somebody else has changed.
    pub fn changed(&self, deleted: bool) -> MirrorError {
        MirrorError::PlaceChanged { key: self.key.clone(), deleted }
    }

    /// Writes the place alone.
    ///
    /// # Errors
    /// Somebody else has changed the place, or etcd refuses.
    pub async fn write(
        &mut self,
        store: &Store,
        position: MirrorPosition,
        state: PlaceState,
        outage: &Outage,
    ) -> Result<(), MirrorError> {
        match self.set(position, state).deliver(store, outage).await.map_err(MirrorError::Destination)? {
            PlaceOutcome::Applied(revision) => self.applied(revision),
            PlaceOutcome::PlaceChanged { deleted } => return Err(self.changed(deleted)),
            // The transaction compares nothing but the place.
            PlaceOutcome::KeyChanged => return Err(self.changed(false)),
        }
        Ok(())
    }
}

impl PlaceTxn {
    /// Grants the leases of these changes, in the order of the operations, and delivers the transaction. A key whose lease has ended in the
    /// source is written without a lease.
    ///
    /// # Errors
    /// A refusal that does not pass.
    pub async fn deliver_with_leases(
        mut self,
        of_changes: Vec<Option<LeaseId>>,
        leases: &MirrorLeases,
        store: &Store,
        outage: &Outage,
    ) -> Result<PlaceOutcome, MirrorError> {
        let gone = leases.prepare(of_changes.iter().copied().flatten()).await?;
        for (op, of_change) in self.txn.then.iter_mut().zip(of_changes) {
            if let (Op::Put(write), Some(id)) = (op, of_change)
                && gone.contains(&id)
            {
                write.lease = LeaseMode::Detach;
            }
        }
        self.deliver(store, outage).await.map_err(MirrorError::Destination)
    }

    /// Sends the transaction until its outcome is known. Sending it again is safe: it compares the place's mod revision, so
    /// it is applied once at most, and the place then says so.
    ///
    /// # Errors
    /// A refusal that does not pass.
    pub async fn deliver(&self, store: &Store, outage: &Outage) -> Result<PlaceOutcome, Error> {
        let sent = persist(outage, || store.txn(OP, &self.txn, None, Retry::Idempotent)).await;
        let result = match sent {
            Ok(result) if result.succeeded => return Ok(PlaceOutcome::Applied(result.revision)),
            Ok(result) => result,
            // etcd may apply a write and answer that there is no space; the place tells.
            Err(Error::Unknown { cause, .. }) if cause.is_refusal(Refusal::NoSpace) => return Err(*cause),
            Err(error) => return Err(error),
        };
        let Some(place) = place_read(result.results) else { return Ok(PlaceOutcome::PlaceChanged { deleted: true }) };
        let is_ours = || MirrorPlace::parse(&place.value).is_ok_and(|place| place.is_of(&self.session, self.sequence));
        Ok(if place.mod_revision == self.before {
            PlaceOutcome::KeyChanged
        } else if is_ours() {
            PlaceOutcome::Applied(place.mod_revision)
        } else {
            PlaceOutcome::PlaceChanged { deleted: false }
        })
    }
}
