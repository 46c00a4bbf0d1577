//! Builds the transaction of a conditional write. No I/O.

use crate::commands::conditions::Conditions;
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, KeySelector, KeyValue, LeaseId, LeaseMode, Op, OpResult, Txn, Write,
};

#[derive(Clone, Debug)]
pub struct PutRequest {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Keep the present value; `value` is empty, and the conditions demand that the key exists.
    pub keep_value: bool,
    /// Whether the previous record is to be shown.
    pub prev: bool,
    pub conditions: Conditions,
    /// Do not write if the key already has the value (and the lease).
    pub only_if_different: bool,
    pub lease: LeaseRequest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseRequest {
    None,
    Attach(LeaseId),
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    Written {
        /// The lease kept by [`LeaseRequest::Keep`].
        kept: Option<LeaseId>,
        /// The record that was replaced, if requested.
        prev: Option<KeyValue>,
    },
    /// The key already had the value (and lease).
    Unchanged(KeyValue),
    /// A condition failed; the results of the else branch.
    Refused(Vec<OpResult>),
}

impl PutRequest {
    pub fn txn(&self) -> Txn {
        let mut write = self.write();
        if self.only_if_different {
            write =
                vec![Op::Txn(Txn { compares: self.unchanged_compares(), then: vec![self.read()], otherwise: write })];
        }
        let compares = self.conditions.compares(&self.key);
        // etcd asks for the permission to read, even if a branch is not taken.
        let otherwise = if compares.is_empty() { Vec::new() } else { self.conditions.reads(&self.key) };
        Txn { compares, then: write, otherwise }
    }

    /// The transaction of a dry run: the same conditions without the writes.
    pub fn dry_run_txn(&self) -> Txn {
        let mut txn = self.txn();
        for op in &mut txn.then {
            if let Op::Txn(nested) = op {
                nested.otherwise.clear();
            }
        }
        if !self.only_if_different {
            txn.then.clear();
        }
        if self.prev {
            txn.then.push(self.read());
        }
        txn
    }

    /// Takes the present record from the results of a dry run that reads it.
    pub fn take_present(&self, succeeded: bool, results: &mut Vec<OpResult>) -> Option<KeyValue> {
        match results.pop_if(|_| self.prev && succeeded) {
            Some(OpResult::Get { kvs, .. }) => kvs.into_iter().next(),
            _ => None,
        }
    }

    pub fn outcome(succeeded: bool, results: Vec<OpResult>) -> PutOutcome {
        if !succeeded {
            return PutOutcome::Refused(results);
        }
        if let [OpResult::Txn { succeeded: true, results: read }] = results.as_slice()
            && let Some(OpResult::Get { kvs, .. }) = read.first()
            && let Some(unchanged_compares) = kvs.first()
        {
            return PutOutcome::Unchanged(unchanged_compares.clone());
        }
        PutOutcome::Written { kept: kept(&results), prev: replaced(results) }
    }

    /// Whether the key already is as requested.
    pub fn is_satisfied_by(&self, now: &KeyValue) -> bool {
        let lease = match self.lease {
            LeaseRequest::Attach(lease) => now.lease == Some(lease),
            LeaseRequest::None | LeaseRequest::Keep => true,
        };
        lease && now.value == self.value
    }

    fn unchanged_compares(&self) -> Vec<Compare> {
        let mut unchanged_compares =
            vec![Compare::key(&self.key, CompareOp::Equal, CompareTarget::Value(self.value.clone()))];
        if let LeaseRequest::Attach(lease) = self.lease {
            unchanged_compares.push(Compare::key(&self.key, CompareOp::Equal, CompareTarget::Lease(Some(lease))));
        }
        unchanged_compares
    }

    /// Includes the value, because etcd 3.7 omits the lease from a read without values.
    fn read(&self) -> Op {
        Op::get_at(KeySelector::Key(self.key.clone()), 0)
    }

    fn write(&self) -> Vec<Op> {
        let put = |lease| {
            let Self { key, value, keep_value, prev, .. } = self;
            Op::Put(Write { key: key.clone(), value: value.clone(), keep_value: *keep_value, lease, prev: *prev })
        };
        match self.lease {
            LeaseRequest::None => vec![put(LeaseMode::Detach)],
            LeaseRequest::Attach(lease) => vec![put(LeaseMode::Attach(lease))],
            // The read after the write finds out which lease was kept.
            LeaseRequest::Keep if self.conditions.need_key() => vec![put(LeaseMode::Keep), self.read()],
            // etcd refuses to keep the lease of a missing key. Both branches hold the value.
            LeaseRequest::Keep => vec![Op::Txn(Txn {
                compares: vec![Compare::exists(&self.key)],
                then: vec![put(LeaseMode::Keep), self.read()],
                otherwise: vec![put(LeaseMode::Detach)],
            })],
        }
    }
}

/// The lease of the key as read after the write.
fn kept(results: &[OpResult]) -> Option<LeaseId> {
    results.iter().find_map(|result| match result {
        OpResult::Get { kvs, .. } => kvs.first().and_then(|kv| kv.lease),
        OpResult::Txn { results, .. } => kept(results),
        OpResult::Put { .. } | OpResult::Delete { .. } => None,
    })
}

/// The record that the write replaced, if it was requested.
fn replaced(results: Vec<OpResult>) -> Option<KeyValue> {
    results.into_iter().find_map(|result| match result {
        OpResult::Put { prev } => prev,
        OpResult::Txn { results, .. } => replaced(results),
        OpResult::Get { .. } | OpResult::Delete { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> PutRequest {
        PutRequest {
            key: b"k".to_vec(),
            value: b"v".to_vec(),
            keep_value: false,
            prev: false,
            conditions: Conditions { update: true, ..Conditions::default() },
            only_if_different: true,
            lease: LeaseRequest::Keep,
        }
    }

    fn writes(ops: &[Op]) -> bool {
        ops.iter().any(|op| match op {
            Op::Put(_) | Op::Delete { .. } => true,
            Op::Get { .. } => false,
            Op::Txn(txn) => writes(&txn.then) || writes(&txn.otherwise),
        })
    }

    #[test]
    fn a_dry_run_writes_nothing_and_keeps_every_compare() {
        for only_if_different in [false, true] {
            let request = PutRequest { only_if_different, ..request() };
            assert!(writes(&request.txn().then));
            assert!(!writes(&request.dry_run_txn().then) && !writes(&request.dry_run_txn().otherwise));
            assert_eq!(request.dry_run_txn().compares, request.txn().compares);
        }
    }

    #[test]
    fn the_replaced_record_is_found_in_every_form_of_the_write() {
        let old = KeyValue { key: b"k".to_vec(), mod_revision: 4, ..KeyValue::default() };
        let put = OpResult::Put { prev: Some(old.clone()) };
        let read = OpResult::Get { kvs: vec![KeyValue::default()], count: 1, more: false };
        let nested = |results| OpResult::Txn { succeeded: false, results };
        for results in [vec![put.clone()], vec![put.clone(), read.clone()], vec![nested(vec![nested(vec![put, read])])]]
        {
            let PutOutcome::Written { prev, .. } = PutRequest::outcome(true, results) else { panic!("not written") };
            assert_eq!(prev.as_ref(), Some(&old));
        }
        for only_if_different in [false, true] {
            let request = PutRequest { prev: true, only_if_different, ..request() };
            let mut then = request.dry_run_txn().then;
            assert!(matches!(then.pop(), Some(Op::Get { .. })));
            assert_eq!(then, PutRequest { prev: false, ..request }.dry_run_txn().then);
        }
    }

    #[test]
    fn the_value_is_sent_once_if_the_key_exists_for_sure() {
        let size = |conditions| {
            let value = vec![b'v'; 1000];
            PutRequest { value, conditions, only_if_different: false, ..request() }.txn().size()
        };
        let once = Conditions { revision: Some(7), ..Conditions::default() };
        assert!(size(once) < 2000 && size(Conditions { update: true, ..Conditions::default() }) < 2000);
        assert!(size(Conditions::default()) > 2000);
        assert!(size(Conditions { revision: Some(0), ..Conditions::default() }) > 2000);
    }

    #[test]
    fn the_nested_branch_shows_whether_it_wrote() {
        let kv = KeyValue { key: b"k".to_vec(), mod_revision: 4, ..KeyValue::default() };
        let unchanged_compares = OpResult::Txn {
            succeeded: true,
            results: vec![OpResult::Get { kvs: vec![kv.clone()], count: 1, more: false }],
        };
        assert_eq!(PutRequest::outcome(true, vec![unchanged_compares]), PutOutcome::Unchanged(kv));
        let other = OpResult::Txn { succeeded: false, results: vec![OpResult::Put { prev: None }] };
        assert_eq!(PutRequest::outcome(true, vec![other]), PutOutcome::Written { kept: None, prev: None });
        // --keep-lease nests as well: its compare says whether the key was there, not whether it was written.
        let leased = KeyValue { lease: Some(LeaseId(7)), ..KeyValue::default() };
        let read = OpResult::Get { kvs: vec![leased], count: 1, more: false };
        let kept = OpResult::Txn { succeeded: true, results: vec![OpResult::Put { prev: None }, read] };
        assert_eq!(
            PutRequest::outcome(true, vec![kept.clone()]),
            PutOutcome::Written { kept: Some(LeaseId(7)), prev: None }
        );
        let OpResult::Txn { results, .. } = kept.clone() else { return };
        assert_eq!(PutRequest::outcome(true, results), PutOutcome::Written { kept: Some(LeaseId(7)), prev: None });
        let nested = OpResult::Txn { succeeded: false, results: vec![kept] };
        assert_eq!(PutRequest::outcome(true, vec![nested]), PutOutcome::Written { kept: Some(LeaseId(7)), prev: None });
    }
}
