//! Writes batches of records, one transaction per batch, and counts the outcomes.

use std::collections::HashSet;

use super::missing_keys::MissingKeys;
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeyValue, LeaseId, LeaseMode, LockGuard, Op, OpResult, Retry, Store, Txn,
    Write,
};
use crate::transport::DEFAULT_TXN_OPS;

/// Records per transaction, unless the user allows more operations than etcd does by default.
const BATCH_RECORDS: usize = 100;

/// Records per transaction: a lock guard takes one operation, and each record's own transaction nests another one.
pub fn batch_records(max_txn_ops: usize) -> usize {
    let most = max_txn_ops.saturating_sub(2).max(1);
    if max_txn_ops > DEFAULT_TXN_OPS { most } else { most.min(BATCH_RECORDS) }
}

/// Bytes per transaction: two thirds of etcd's default request limit (1.5 MiB). A larger record is written alone.
pub const BATCH_BYTES: usize = 1 << 20;

#[derive(Clone, Debug)]
pub struct LoadItem {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub lease: LeaseTarget,
}

/// The lease of a record, and the lease that counts as unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseTarget {
    None,
    /// A lease granted by this load; any lease of the key counts as unchanged.
    Fresh(LeaseId),
    /// The record names a lease without its TTL: it is written without a lease, and any lease counts as unchanged.
    Unspecified,
}

#[derive(Clone, Copy, Debug)]
pub struct LoadMode<'a> {
    pub create: bool,
    pub dry_run: bool,
    pub guard: Option<&'a LockGuard>,
    /// What the batches so far say about the keys of the next one.
    pub missing_keys: &'a MissingKeys,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadTally {
    pub written: u64,
    pub unchanged: u64,
    pub exists: u64,
    /// The first key that exists with another value.
    pub existing_key: Option<Vec<u8>>,
    pub unknown: u64,
    /// The granted leases that are in use.
    pub leases: HashSet<LeaseId>,
}

impl LoadTally {
    pub fn add(&mut self, other: Self) {
        self.written += other.written;
        self.unchanged += other.unchanged;
        self.exists += other.exists;
        self.existing_key = self.existing_key.take().or(other.existing_key);
        self.unknown += other.unknown;
        self.leases.extend(other.leases);
    }

    pub fn applied(&self) -> u64 {
        self.written + self.unchanged
    }

    fn count(&mut self, item: &LoadItem, outcome: RecordOutcome) {
        match outcome {
            RecordOutcome::Written => {
                self.written += 1;
                if let LeaseTarget::Fresh(lease) = item.lease {
                    self.leases.insert(lease);
                }
            }
            RecordOutcome::Unchanged => self.unchanged += 1,
            RecordOutcome::Exists => {
                self.exists += 1;
                self.existing_key.get_or_insert_with(|| item.key.clone());
            }
            RecordOutcome::Unknown => self.unknown += 1,
        }
    }
}

#[derive(Clone, Copy)]
enum RecordOutcome {
    Written,
    Unchanged,
    Exists,
    Unknown,
}

impl LoadItem {
    /// The approximate size of its transaction in bytes.
    pub fn cost(&self) -> usize {
        self.txn(false, false).size()
    }

    fn write(&self) -> Op {
        let lease =
            if let LeaseTarget::Fresh(lease) = self.lease { LeaseMode::Attach(lease) } else { LeaseMode::Detach };
        Op::Put(Write { key: self.key.clone(), value: self.value.clone(), lease, prev: false, ..Write::default() })
    }

    fn same(&self) -> Vec<Compare> {
        let mut same = vec![Compare::key(&self.key, CompareOp::Equal, CompareTarget::Value(self.value.clone()))];
        match self.lease {
            LeaseTarget::None => same.push(Compare::key(&self.key, CompareOp::Equal, CompareTarget::Lease(None))),
            LeaseTarget::Fresh(_) => {
                same.push(Compare::key(&self.key, CompareOp::NotEqual, CompareTarget::Lease(None)))
            }
            LeaseTarget::Unspecified => {}
        }
        same
    }

    fn is_satisfied_by(&self, now: &KeyValue) -> bool {
        let lease = match self.lease {
            LeaseTarget::None => now.lease.is_none(),
            LeaseTarget::Fresh(_) => now.lease.is_some(),
            LeaseTarget::Unspecified => true,
        };
        lease && now.value == self.value
    }

    /// Whether this load wrote it: only this load knows the new lease.
    fn is_from_this_load(&self, now: &KeyValue) -> bool {
        matches!(self.lease, LeaseTarget::Fresh(fresh) if now.lease == Some(fresh)) && now.value == self.value
    }

    /// Writes the record unless it is already stored; with `create`, writes it if the key is missing, else compares.
    fn txn(&self, create: bool, dry_run: bool) -> Txn {
        let write = if dry_run { Vec::new() } else { vec![self.write()] };
        let same = Txn { compares: self.same(), ..Txn::default() };
        if create {
            Txn { compares: vec![Compare::missing(&self.key)], then: write, otherwise: vec![Op::Txn(same)] }
        } else {
            Txn { otherwise: write, ..same }
        }
    }

    fn outcome(create: bool, result: &OpResult) -> RecordOutcome {
        match (create, result) {
            (false, OpResult::Txn { succeeded: true, .. }) => RecordOutcome::Unchanged,
            (true, OpResult::Txn { succeeded: false, results }) => match results.first() {
                Some(OpResult::Txn { succeeded: true, .. }) => RecordOutcome::Unchanged,
                _ => RecordOutcome::Exists,
            },
            _ => RecordOutcome::Written,
        }
    }
}

/// Writes a batch in one transaction; a record that is too large for a batch is written alone. A batch whose keys are expected
/// to be missing is first sent as creations, which etcd makes all or none of. After a lost reply nothing is written again:
/// another client may have changed the keys meanwhile.
///
/// # Errors
/// A failure after which the load cannot continue; the tally counts the records before it.
pub async fn send(store: &Store, items: Vec<LoadItem>, mode: LoadMode<'_>) -> (LoadTally, Result<(), Error>) {
    let mut tally = LoadTally::default();
    let result = match items.as_slice() {
        [item] if item.cost() > BATCH_BYTES => write_single(store, item, mode, &mut tally).await,
        items => write_batch(store, items, mode, &mut tally).await,
    };
    match result {
        Err(error @ Error::Unknown { .. }) => {
            count_applied(store, &items, mode, &mut tally).await;
            let continues = !error.is_no_space();
            (tally, if continues { Ok(()) } else { Err(error) })
        }
        other => (tally, other),
    }
}

async fn write_batch(
    store: &Store,
    items: &[LoadItem],
    mode: LoadMode<'_>,
    tally: &mut LoadTally,
) -> Result<(), Error> {
    // A value that is compared is sent and logged twice: etcd 3.5 then needs half as much CPU again, and 1.4 times the disk.
    let creates = !mode.dry_run && mode.missing_keys.are_expected();
    if creates {
        if create_all(store, items, mode.guard).await? {
            mode.missing_keys.were_created();
            items.iter().for_each(|item| tally.count(item, RecordOutcome::Written));
            return Ok(());
        }
        mode.missing_keys.were_found();
    }
    let nested = |item: &LoadItem| Op::Txn(item.txn(mode.create, mode.dry_run));
    let txn = Txn { then: items.iter().map(nested).collect(), ..Txn::default() };
    let (op, retry) = if mode.dry_run { ("put (dry run)", Retry::Read) } else { ("put", Retry::Never) };
    let answer = store.txn(op, &txn, mode.guard, retry).await?;
    let mut all_written = true;
    for (item, result) in items.iter().zip(&answer.results) {
        let outcome = LoadItem::outcome(mode.create, result);
        all_written &= matches!(outcome, RecordOutcome::Written);
        tally.count(item, outcome);
    }
    if all_written && !creates {
        mode.missing_keys.were_written();
    }
    Ok(())
}

/// Writes all records if none of their keys exists; otherwise writes nothing and returns `false`.
async fn create_all(store: &Store, items: &[LoadItem], guard: Option<&LockGuard>) -> Result<bool, Error> {
    let txn = Txn {
        compares: items.iter().map(|item| Compare::missing(&item.key)).collect(),
        then: items.iter().map(LoadItem::write).collect(),
        otherwise: Vec::new(),
    };
    Ok(store.txn("put", &txn, guard, Retry::Never).await?.succeeded)
}

/// Counts the records of a write with an unknown outcome. Only a lease that this load has granted proves that this load wrote
/// the record: another client may have written the same value.
async fn count_applied(store: &Store, items: &[LoadItem], mode: LoadMode<'_>, tally: &mut LoadTally) {
    for item in items {
        let ours = match item.lease {
            LeaseTarget::Fresh(_) => match store.get(&item.key, 0, mode.guard).await {
                Ok((Some(now), _)) => item.is_from_this_load(&now),
                _ => false,
            },
            LeaseTarget::None | LeaseTarget::Unspecified => false,
        };
        tally.count(item, if ours { RecordOutcome::Written } else { RecordOutcome::Unknown });
    }
}

/// Reads one record's key and writes the record if it differs and the key has not changed since.
async fn write_single(store: &Store, item: &LoadItem, mode: LoadMode<'_>, tally: &mut LoadTally) -> Result<(), Error> {
    loop {
        let (now, _) = store.get(&item.key, 0, mode.guard).await?;
        let outcome = match &now {
            Some(now) if item.is_satisfied_by(now) => Some(RecordOutcome::Unchanged),
            Some(_) if mode.create => Some(RecordOutcome::Exists),
            _ if mode.dry_run => Some(RecordOutcome::Written),
            _ => None,
        };
        if let Some(outcome) = outcome {
            tally.count(item, outcome);
            return Ok(());
        }
        let known = now.map_or(0, |kv| kv.mod_revision);
        let txn =
            Txn { compares: vec![Compare::unchanged(&item.key, known)], then: vec![item.write()], otherwise: vec![] };
        if store.txn("put", &txn, mode.guard, Retry::Never).await?.succeeded {
            tally.count(item, RecordOutcome::Written);
            return Ok(());
        }
    }
}
