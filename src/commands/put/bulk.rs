//! Batches of records, each batch one transaction, and what became of them.

use std::collections::HashSet;

use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeyValue, LeaseId, LeaseMode, LockGuard, Op, OpResult, Refusal, Retry,
    Store, Txn, Write,
};

/// Records in one transaction. etcd takes 128 operations and counts what is nested on top.
pub const BATCH_RECORDS: usize = 100;
/// Bytes of one transaction; a record whose own transaction is larger goes alone.
pub const BATCH_BYTES: usize = 1 << 20;
/// How often a record is tried whose outcome stays unknown.
const MAX_ATTEMPTS: usize = 5;

/// One record to be written.
#[derive(Clone, Debug)]
pub struct LoadItem {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The lease it is to have.
    pub lease: LeaseTarget,
}

/// Which lease a record is to have, and which one counts as "already so".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseTarget {
    /// None.
    None,
    /// A fresh one, granted for this load; any lease that the key has counts as already so.
    Fresh(LeaseId),
    /// It had one, of which nothing is known: whatever the key has counts as already so.
    Unspecified,
}

/// How the records are written.
#[derive(Clone, Copy, Debug)]
pub struct LoadMode<'a> {
    /// Only keys that are not there.
    pub create: bool,
    /// Compare only, write nothing.
    pub dry_run: bool,
    /// Only while this lock is held.
    pub guard: Option<&'a LockGuard>,
}

/// How many records ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadTally {
    /// Written (or, in a dry run, to be written).
    pub written: u64,
    /// So already.
    pub unchanged: u64,
    /// There with another value, under `--create`.
    pub exists: u64,
    /// Perhaps written.
    pub unknown: u64,
    /// The fresh leases that are in use now.
    pub leases: HashSet<LeaseId>,
}

impl LoadTally {
    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        self.written += other.written;
        self.unchanged += other.unchanged;
        self.exists += other.exists;
        self.unknown += other.unknown;
        self.leases.extend(other.leases);
    }

    /// How many records are in.
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
            RecordOutcome::Exists => self.exists += 1,
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
    /// The bytes that its transaction has, about.
    pub fn cost(&self) -> usize {
        self.txn(false, false).size()
    }

    fn write(&self) -> Op {
        let lease =
            if let LeaseTarget::Fresh(lease) = self.lease { LeaseMode::Attach(lease) } else { LeaseMode::Detach };
        Op::Put(Write { key: self.key.clone(), value: self.value.clone(), lease, prev: false })
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

    /// Whether this very load wrote it: nobody else knows the fresh lease.
    fn is_from_this_load(&self, now: &KeyValue) -> bool {
        matches!(self.lease, LeaseTarget::Fresh(fresh) if now.lease == Some(fresh)) && now.value == self.value
    }

    /// "If it is so already nothing, else write it"; under `create`, "if it is not there write it, else see whether
    /// it is so already".
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

/// Writes a batch: in one transaction, or each record alone where one is too large for that. Where the answer is
/// lost, it reads back and writes only what differs, on the condition that nobody changed it meanwhile.
///
/// # Errors
/// Whatever etcd refused, with what was written before it.
pub async fn send(store: &Store, items: Vec<LoadItem>, mode: LoadMode<'_>) -> (LoadTally, Result<(), Error>) {
    let mut tally = LoadTally::default();
    if let [item] = items.as_slice()
        && item.cost() > BATCH_BYTES
    {
        let result = write_single(store, item, mode, false, &mut tally).await;
        return (tally, result);
    }
    let nested = |item: &LoadItem| Op::Txn(item.txn(mode.create, mode.dry_run));
    let txn = Txn { then: items.iter().map(nested).collect(), ..Txn::default() };
    let op = if mode.dry_run { "put (dry run)" } else { "put" };
    match store.txn(op, &txn, mode.guard, Retry::Never).await {
        Ok(answer) => {
            for (item, result) in items.iter().zip(&answer.results) {
                tally.count(item, LoadItem::outcome(mode.create, result));
            }
            (tally, Ok(()))
        }
        Err(Error::Unknown { .. }) => {
            for (index, item) in items.iter().enumerate() {
                if let Err(error) = write_single(store, item, mode, true, &mut tally).await {
                    tally.unknown += (items.len() - index - 1) as u64;
                    return (tally, Err(error));
                }
            }
            (tally, Ok(()))
        }
        Err(error) => {
            if error.is_refusal(Refusal::NoSpace) {
                count_applied(store, &items, mode, &mut tally).await;
            }
            (tally, Err(error))
        }
    }
}

/// Counts what is in. To writes that race to fill the store etcd answers "no space" and does them all the same: its
/// `quotaApplierV3` in `server/etcdserver/apply.go`.
async fn count_applied(store: &Store, items: &[LoadItem], mode: LoadMode<'_>, tally: &mut LoadTally) {
    for item in items {
        match store.get(&item.key, 0, mode.guard).await {
            Ok((Some(now), _)) if item.is_from_this_load(&now) => tally.count(item, RecordOutcome::Written),
            Ok((Some(now), _)) if item.is_satisfied_by(&now) => tally.count(item, RecordOutcome::Unchanged),
            Ok(_) => {}
            Err(_) => tally.count(item, RecordOutcome::Unknown),
        }
    }
}

/// Reads one record's key and writes it if it differs and has not changed since. `sent` says that a write of it is on
/// its way already, of which nothing is known: if it fails then, the record counts as unknown.
async fn write_single(
    store: &Store,
    item: &LoadItem,
    mode: LoadMode<'_>,
    mut sent: bool,
    tally: &mut LoadTally,
) -> Result<(), Error> {
    let result = read_then_write(store, item, mode, &mut sent, tally).await;
    if result.is_err() && sent {
        tally.count(item, RecordOutcome::Unknown);
    }
    result
}

async fn read_then_write(
    store: &Store,
    item: &LoadItem,
    mode: LoadMode<'_>,
    sent: &mut bool,
    tally: &mut LoadTally,
) -> Result<(), Error> {
    for _ in 0..MAX_ATTEMPTS {
        let (now, _) = store.get(&item.key, 0, mode.guard).await?;
        let outcome = match &now {
            Some(now) if item.is_from_this_load(now) => Some(RecordOutcome::Written),
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
        match store.txn("put", &txn, mode.guard, Retry::Never).await {
            Ok(answer) if answer.succeeded => {
                tally.count(item, RecordOutcome::Written);
                return Ok(());
            }
            Ok(_) => {}
            Err(Error::Unknown { .. }) => *sent = true,
            Err(error) => {
                if error.is_refusal(Refusal::NoSpace) {
                    count_applied(store, std::slice::from_ref(item), mode, tally).await;
                    *sent = false;
                }
                return Err(error);
            }
        }
    }
    tally.count(item, RecordOutcome::Unknown);
    Ok(())
}
