//! Keeps the reference to an ID in place as long as a lease lives, even if other clients delete it.

use super::{AllocatedId, Layout};
use crate::kvstore::{
    Backoff, Compare, CompareOp, CompareTarget, Error, KeyRange, KeySelector, KeyValue, LeaseId, LeaseKeeper,
    LeaseLoss, LeaseMode, Op, OpResult, Refusal, Retry, Revision, Store, Txn, WatchOptions, WatchUpdate, Write,
};

/// A reference to keep in place.
#[derive(Clone, Debug)]
pub struct ReferenceHold {
    /// Paths of the allocator's keys.
    pub layout: Layout,
    /// The key.
    pub key: Vec<u8>,
    /// The node that the reference belongs to.
    pub node: Vec<u8>,
    /// The key's ID.
    pub allocated: AllocatedId,
    /// Whether to recreate the master if it is deleted.
    pub protect: bool,
}

/// What was repaired, or could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRepair {
    /// The reference was deleted; it has been recreated.
    Reference,
    /// The master was deleted; it has been recreated.
    Master,
    /// The master was deleted; it is not protected.
    Unprotected,
}

impl ReferenceHold {
    /// Keeps the reference in place while `lease_keeper` keeps its lease alive. The lease counts as lost if another
    /// client gives the reference another ID, or the ID to another key.
    pub fn start(
        self,
        store: &Store,
        lease_keeper: &LeaseKeeper,
        on_repair: impl Fn(HoldRepair) + Send + Sync + 'static,
    ) {
        let (store, lease) = (store.unbound(), lease_keeper.id());
        lease_keeper.watched_by(async move { self.run(&store, lease, &on_repair).await });
    }

    fn master(&self) -> Vec<u8> {
        self.layout.master(self.allocated.id)
    }

    fn reference(&self) -> Vec<u8> {
        self.layout.reference(&self.key, &self.node)
    }

    async fn run(&self, store: &Store, lease: LeaseId, on_repair: &(impl Fn(HoldRepair) + Sync)) -> LeaseLoss {
        let mut unprotected = false;
        let mut backoff = Backoff::default();
        loop {
            match self.reconcile(store, lease, &mut unprotected, on_repair).await {
                // Any update, and any failure, leads to the next reconciliation.
                Ok(Reconciled::Intact(revision)) => match self.wait_for_change(store, revision).await {
                    Ok(()) => backoff.reset(),
                    Err(_) => tokio::time::sleep(backoff.next_delay()).await,
                },
                Ok(Reconciled::Lost) => return LeaseLoss::KeyGone,
                Err(error) if error.is_refusal(Refusal::LeaseNotFound) => return LeaseLoss::LeaseGone,
                Err(error @ Error::OtherStore { .. }) => return LeaseLoss::OtherStore(error.to_string()),
                Err(_) => tokio::time::sleep(backoff.next_delay()).await,
            }
        }
    }

    /// Recreates missing keys. Returns the revision at which the keys were read.
    async fn reconcile(
        &self,
        store: &Store,
        lease: LeaseId,
        unprotected: &mut bool,
        on_repair: &(impl Fn(HoldRepair) + Sync),
    ) -> Result<Reconciled, Error> {
        let (master, reference) = (self.master(), self.reference());
        let found = store.get_many(&[master.clone(), reference.clone()], 0, None).await?;
        let [at_master, at_reference] = found.kvs.as_slice() else { return Ok(Reconciled::Lost) };
        let id = self.allocated.id.to_string().into_bytes();
        if at_reference.as_ref().is_some_and(|kv| kv.value != id) {
            return Ok(Reconciled::Lost);
        }
        match at_master {
            Some(kv) if kv.value != self.key => return Ok(Reconciled::Lost),
            Some(_) => *unprotected = false,
            None if self.protect => {
                // Without a lock, like Cilium's master key protection: the compare suffices.
                if self.create(store, &master, &self.key, None, None).await? {
                    on_repair(HoldRepair::Master);
                }
                return Ok(Reconciled::Intact(found.revision));
            }
            None if !*unprotected => {
                *unprotected = true;
                on_repair(HoldRepair::Unprotected);
            }
            None => {}
        }
        if at_reference.is_none() && at_master.is_some() {
            let master_is_ours = Compare::key(&master, CompareOp::Equal, CompareTarget::Value(self.key.clone()));
            if self.create(store, &reference, &id, Some(lease), Some(master_is_ours)).await? {
                on_repair(HoldRepair::Reference);
            }
        }
        Ok(Reconciled::Intact(found.revision))
    }

    /// Creates a missing key if `condition` holds as well. Returns whether the key was created.
    async fn create(
        &self,
        store: &Store,
        key: &[u8],
        value: &[u8],
        lease: Option<LeaseId>,
        condition: Option<Compare>,
    ) -> Result<bool, Error> {
        let lease = lease.map_or(LeaseMode::Detach, LeaseMode::Attach);
        let write = Write { key: key.to_vec(), value: value.to_vec(), lease, prev: false, ..Write::default() };
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

    /// Waits until the master or the reference changes after this revision.
    async fn wait_for_change(&self, store: &Store, revision: Revision) -> Result<(), Error> {
        let watch = |key: &[u8]| {
            let ranges = vec![KeyRange::key(key)];
            store.watch(WatchOptions { ranges, start: revision + 1, known: revision, prev: false })
        };
        // Two watches: one range that covers both keys would also deliver every key between them.
        let (mut master, mut reference) = (watch(&self.master()), watch(&self.reference()));
        loop {
            let update = tokio::select! {
                update = master.next() => update?,
                update = reference.next() => update?,
            };
            if matches!(update, WatchUpdate::Events(_) | WatchUpdate::Compacted(_) | WatchUpdate::Reconnected) {
                return Ok(());
            }
        }
    }
}

enum Reconciled {
    /// The keys are in place, or were repaired after this revision.
    Intact(Revision),
    /// Another client has the ID, or the reference names another ID.
    Lost,
}
