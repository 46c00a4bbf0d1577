//! Holding an ID: its reference is there as long as a lease lives, whatever others do.

use super::{AllocatedId, Layout};
use crate::kvstore::{
    Backoff, Compare, CompareOp, CompareTarget, Error, KeyRange, KeySelector, KeyValue, LeaseId, LeaseKeeper,
    LeaseLoss, LeaseMode, Op, OpResult, Refusal, Retry, Revision, Store, Txn, WatchOptions, WatchUpdate, Write,
};

/// What is held.
#[derive(Clone, Debug)]
pub struct ReferenceHold {
    /// Where.
    pub layout: Layout,
    /// The key.
    pub key: Vec<u8>,
    /// The node whose reference it is.
    pub node: Vec<u8>,
    /// Its ID.
    pub allocated: AllocatedId,
    /// Whether a master that is deleted meanwhile is made again.
    pub protect: bool,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRepair {
    /// The reference was gone and is there again.
    Reference,
    /// The master was gone and is there again.
    Master,
    /// The master is gone, and was not to be protected.
    Unprotected,
}

impl ReferenceHold {
    /// Sees to it, beside the lease's keep-alive, that the reference is there on this lease. The lease counts as lost
    /// where somebody gave the reference another ID, or the ID to another key.
    pub fn begin(self, store: &Store, kept: &LeaseKeeper, mended: impl Fn(HoldRepair) + Send + Sync + 'static) {
        let (store, lease) = (store.unbound(), kept.id());
        kept.watched_by(async move { self.keep(&store, lease, &mended).await });
    }

    fn master(&self) -> Vec<u8> {
        self.layout.master(self.allocated.id)
    }

    fn reference(&self) -> Vec<u8> {
        self.layout.reference(&self.key, &self.node)
    }

    async fn keep(&self, store: &Store, lease: LeaseId, mended: &(impl Fn(HoldRepair) + Sync)) -> LeaseLoss {
        let mut unprotected = false;
        let mut backoff = Backoff::default();
        loop {
            match self.look(store, lease, &mut unprotected, mended).await {
                Ok(Look::Whole(revision)) => {
                    backoff.reset();
                    // Whatever comes next: it is looked at anew.
                    let _ = self.change(store, revision).await;
                }
                Ok(Look::Lost) => return LeaseLoss::KeyGone,
                Err(error) if error.is_refusal(Refusal::LeaseNotFound) => return LeaseLoss::LeaseGone,
                Err(_) => tokio::time::sleep(backoff.next_delay()).await,
            }
        }
    }

    /// Mends what is missing. Gives the revision at which all was well.
    async fn look(
        &self,
        store: &Store,
        lease: LeaseId,
        unprotected: &mut bool,
        mended: &(impl Fn(HoldRepair) + Sync),
    ) -> Result<Look, Error> {
        let (master, reference) = (self.master(), self.reference());
        let found = store.get_many(&[master.clone(), reference.clone()], 0, None).await?;
        let [at_master, at_reference] = found.kvs.as_slice() else { return Ok(Look::Lost) };
        let id = self.allocated.id.to_string().into_bytes();
        if at_reference.as_ref().is_some_and(|kv| kv.value != id) {
            return Ok(Look::Lost);
        }
        match at_master {
            Some(kv) if kv.value != self.key => return Ok(Look::Lost),
            Some(_) => *unprotected = false,
            None if self.protect => {
                // Without a lock, as Cilium's master key protection: the compare is enough.
                if self.create(store, &master, &self.key, None, None).await? {
                    mended(HoldRepair::Master);
                }
                return Ok(Look::Whole(found.revision));
            }
            None if !*unprotected => {
                *unprotected = true;
                mended(HoldRepair::Unprotected);
            }
            None => {}
        }
        if at_reference.is_none() && at_master.is_some() {
            let says_key = Compare::key(&master, CompareOp::Equal, CompareTarget::Value(self.key.clone()));
            if self.create(store, &reference, &id, Some(lease), Some(says_key)).await? {
                mended(HoldRepair::Reference);
            }
            return Ok(Look::Whole(found.revision));
        }
        Ok(Look::Whole(found.revision))
    }

    /// Creates a key that is missing, under one more condition. Gives whether it was created.
    async fn create(
        &self,
        store: &Store,
        key: &[u8],
        value: &[u8],
        lease: Option<LeaseId>,
        condition: Option<Compare>,
    ) -> Result<bool, Error> {
        let lease = lease.map_or(LeaseMode::Detach, LeaseMode::Attach);
        let write = Write { key: key.to_vec(), value: value.to_vec(), lease, prev: false };
        let txn = Txn {
            compares: std::iter::once(Compare::missing(key)).chain(condition).collect(),
            then: vec![Op::Put(write)],
            otherwise: vec![Op::get_at(KeySelector::Key(key.to_vec()), 0)],
        };
        let answer = store.txn("hold", &txn, None, Retry::Idempotent).await?;
        let there = |result: &OpResult| match result {
            OpResult::Get { kvs, .. } => kvs.iter().any(|kv: &KeyValue| kv.value == value),
            _ => false,
        };
        Ok(answer.succeeded || (answer.maybe_applied && answer.results.iter().any(there)))
    }

    /// Waits for a change of the master or the reference after this revision.
    async fn change(&self, store: &Store, revision: Revision) -> Result<(), Error> {
        let watch = |key: &[u8]| {
            let ranges = vec![KeyRange::key(key)];
            store.watch(WatchOptions { ranges, start: revision + 1, known: revision, prev: false })
        };
        // Two watches: one over the range that covers both would bring everything between them too.
        let (mut master, mut reference) = (watch(&self.master()), watch(&self.reference()));
        loop {
            let told = tokio::select! {
                told = master.next() => told?,
                told = reference.next() => told?,
            };
            if matches!(told, WatchUpdate::Events(_) | WatchUpdate::Compacted(_) | WatchUpdate::Reconnected) {
                return Ok(());
            }
        }
    }
}

enum Look {
    /// All is well, or was mended after this revision.
    Whole(Revision),
    /// Somebody else has the ID, or the reference says another one.
    Lost,
}
