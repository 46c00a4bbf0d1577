//! Checks responses of etcd's KV service against their requests. Pure.
//!
//! A server that answers something else is broken or is not etcd. What it sends must not end in an endless loop, nor in a
//! result that was never read.

use etcd_client::proto::{PbKeyValue, PbResponseOp, PbTxnOpResponse, PbTxnResponse};

use crate::escaped::escape;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::kv::txn::{KeySelector, Op, Txn};
use crate::kvstore::types::{MAX_REVISION, Revision};

/// What is wrong with a response, as the end of the sentence "etcd's response is invalid: ...".
pub(crate) type Invalid = String;

/// A range that was requested, absolute.
#[derive(Clone, Debug)]
pub(crate) struct RequestedRange {
    pub(crate) range: KeyRange,
    /// The revision; 0 for the latest.
    pub(crate) revision: Revision,
    /// The maximum number of keys; 0 for no limit.
    pub(crate) limit: u64,
    pub(crate) count_only: bool,
}

impl RequestedRange {
    /// All keys of the range at this revision.
    pub(crate) fn whole(range: KeyRange, revision: Revision) -> Self {
        Self { range, revision, limit: 0, count_only: false }
    }

    /// Checks the records, the number of keys in the range and whether the limit cut off keys.
    pub(crate) fn check(&self, kvs: &[PbKeyValue], count: i64, more: bool) -> Result<(), Invalid> {
        check_records(&self.range, self.revision, None, kvs)?;
        let (found, count) = (kvs.len() as u64, u64::try_from(count).map_err(|_| format!("it counts {count} keys"))?);
        if self.count_only && found > 0 {
            return Err("it has keys, although only their number was requested".to_owned());
        }
        if self.limit > 0 && found > self.limit {
            return Err(format!("it has {found} keys, although at most {} were requested", self.limit));
        }
        if more && (found == 0 || self.limit == 0) {
            return Err(format!("it announces more keys after {found} of them, which the request does not allow"));
        }
        if !self.count_only && !more && count > found {
            return Err(format!("it counts {count} keys and has {found}"));
        }
        Ok(())
    }
}

/// Checks that records lie in the range, in ascending order above the key `after`, and not after `revision` (0: any).
pub(crate) fn check_records(
    range: &KeyRange,
    revision: Revision,
    after: Option<&[u8]>,
    kvs: &[PbKeyValue],
) -> Result<(), Invalid> {
    let mut last = after;
    for kv in kvs {
        let key = kv.key.as_slice();
        if key.is_empty() || !range.contains(key) {
            return Err(format!("key '{}' was not requested", show(key)));
        }
        if let Some(last) = last.filter(|last| key <= *last) {
            return Err(format!("key '{}' follows key '{}'", show(key), show(last)));
        }
        check_record(kv)?;
        if revision > 0 && kv.mod_revision > revision {
            return Err(format!("key '{}' is from revision {}", show(key), kv.mod_revision));
        }
        last = Some(key);
    }
    Ok(())
}

fn check_record(kv: &PbKeyValue) -> Result<(), Invalid> {
    check_revisions(&kv.key, kv.create_revision, kv.mod_revision, kv.version)
}

/// Checks that a record has revisions and a version that a record can have. A deleted one has only the revision in which it
/// was modified.
pub(crate) fn check_revisions(key: &[u8], created: i64, modified: i64, version: i64) -> Result<(), Invalid> {
    if !(1..=MAX_REVISION).contains(&modified) {
        return Err(format!("key '{}' is from revision {modified}", show(key)));
    }
    if !(0..=modified).contains(&created) || version < 0 {
        let key = show(key);
        return Err(format!("version {version} of key '{key}', of revision {modified}, was created in {created}"));
    }
    Ok(())
}

/// Checks a response to a transaction: one result for each operation of the branch that ran, of its kind.
pub(crate) fn check_txn(namespace: &[u8], txn: &Txn, response: &PbTxnResponse) -> Result<(), Invalid> {
    if txn.compares.is_empty() && !response.succeeded {
        return Err("a condition failed, although there was none".to_owned());
    }
    let ops = if response.succeeded { &txn.then } else { &txn.otherwise };
    check_results(namespace, ops, &response.responses)
}

fn check_results(namespace: &[u8], ops: &[Op], results: &[PbResponseOp]) -> Result<(), Invalid> {
    if ops.len() != results.len() {
        return Err(format!("it has {} results for {} operations", results.len(), ops.len()));
    }
    ops.iter().zip(results).try_for_each(|(op, result)| check_result(namespace, op, result))
}

fn check_result(namespace: &[u8], op: &Op, result: &PbResponseOp) -> Result<(), Invalid> {
    match (op, &result.response) {
        (Op::Put(_), Some(PbTxnOpResponse::ResponsePut(put))) if put.prev_kv.is_none() => Ok(()),
        (Op::Put(write), Some(PbTxnOpResponse::ResponsePut(put))) => {
            let range = KeyRange::key(&write.key).within(namespace);
            check_records(&range, 0, None, put.prev_kv.as_slice())
        }
        (Op::Get { over, revision, count_only, limit, .. }, Some(PbTxnOpResponse::ResponseRange(range))) => {
            let (limit, count_only) = (u64::try_from(*limit).unwrap_or(0), *count_only);
            let asked = RequestedRange { range: absolute(over, namespace), revision: *revision, limit, count_only };
            asked.check(&range.kvs, range.count, range.more)
        }
        (Op::Delete { over, .. }, Some(PbTxnOpResponse::ResponseDeleteRange(delete))) => {
            check_deletion(over, namespace, delete.deleted, &delete.prev_kvs)
        }
        (Op::Txn(txn), Some(PbTxnOpResponse::ResponseTxn(response))) => check_txn(namespace, txn, response),
        (_, None) => Err("an operation has no result".to_owned()),
        _ => Err("an operation has the result of another kind of operation".to_owned()),
    }
}

/// Checks the number of deleted keys and their records.
pub(crate) fn check_deletion(
    over: &KeySelector,
    namespace: &[u8],
    deleted: i64,
    prev: &[PbKeyValue],
) -> Result<(), Invalid> {
    if deleted < 0 || (matches!(over, KeySelector::Key(_)) && deleted > 1) {
        return Err(format!("it counts {deleted} deleted keys"));
    }
    check_records(&absolute(over, namespace), 0, None, prev)
}

/// Checks the records of results without their operations.
pub(crate) fn check_records_read(results: &[PbResponseOp]) -> Result<(), Invalid> {
    results.iter().try_for_each(|result| match &result.response {
        Some(PbTxnOpResponse::ResponseRange(range)) => range.kvs.iter().try_for_each(check_record),
        Some(_) => Ok(()),
        None => Err("an operation has no result".to_owned()),
    })
}

fn absolute(over: &KeySelector, namespace: &[u8]) -> KeyRange {
    match over {
        KeySelector::Key(key) => KeyRange::key(key).within(namespace),
        KeySelector::Range(range) => range.within(namespace),
    }
}

/// A key for a message.
pub(crate) fn show(key: &[u8]) -> String {
    escape(key)
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::{PbDeleteResponse, PbPutResponse, PbRangeResponse};

    use super::*;
    use crate::kvstore::kv::txn::{Compare, Write};

    fn kv(key: &str, revision: Revision) -> PbKeyValue {
        PbKeyValue { key: key.into(), mod_revision: revision, ..PbKeyValue::default() }
    }

    fn prefix(limit: u64, revision: Revision) -> RequestedRange {
        RequestedRange { limit, ..RequestedRange::whole(KeyRange::prefix(b"/a/"), revision) }
    }

    #[test]
    fn a_range_response_has_what_was_requested() {
        let kvs = [kv("/a/1", 5), kv("/a/2", 7)];
        for (asked, kvs, count, more, right) in [
            (prefix(0, 0), kvs.as_slice(), 2, false, true),
            (prefix(2, 0), &kvs, 9, true, true),
            (prefix(0, 7), &kvs, 2, false, true),
            (prefix(0, 0), &[], 0, false, true),
            // A server that does not count.
            (prefix(0, 0), &kvs, 0, false, true),
            (prefix(0, 0), &kvs, 3, false, false),
            (prefix(0, 0), &[], 5, false, false),
            (prefix(0, 0), &kvs, -1, false, false),
            (prefix(1, 0), &kvs, 2, false, false),
            (prefix(2, 0), &[], 9, true, false),
            (prefix(0, 0), &kvs, 9, true, false),
            (prefix(0, 6), &kvs, 2, false, false),
            (prefix(0, 0), &[kv("/a/1", 5), kv("/a/1", 5)], 2, false, false),
            (prefix(0, 0), &[kv("/a/2", 5), kv("/a/1", 5)], 2, false, false),
            (prefix(0, 0), &[kv("/b", 5)], 1, false, false),
            (prefix(0, 0), &[kv("", 5)], 1, false, false),
            (prefix(0, 0), &[kv("/a/1", 0)], 1, false, false),
        ] {
            let found = asked.check(kvs, count, more);
            assert_eq!(found.is_ok(), right, "{asked:?} {kvs:?} {count} {more}: {found:?}");
        }
        let count = RequestedRange { count_only: true, ..prefix(0, 0) };
        assert!(count.check(&[], 5, false).is_ok() && count.check(&kvs, 2, false).is_err());
    }

    fn result(response: PbTxnOpResponse) -> PbResponseOp {
        PbResponseOp { response: Some(response) }
    }

    #[test]
    fn a_transaction_has_one_result_of_its_kind_for_each_operation() {
        let put = || result(PbTxnOpResponse::ResponsePut(PbPutResponse::default()));
        let get = |kvs: Vec<PbKeyValue>| {
            let count = kvs.len() as i64;
            result(PbTxnOpResponse::ResponseRange(PbRangeResponse { kvs, count, ..PbRangeResponse::default() }))
        };
        let deleted = |deleted| {
            let response = PbDeleteResponse { deleted, ..PbDeleteResponse::default() };
            result(PbTxnOpResponse::ResponseDeleteRange(response))
        };
        let inner = |succeeded, responses| {
            let response = PbTxnResponse { succeeded, responses, ..PbTxnResponse::default() };
            result(PbTxnOpResponse::ResponseTxn(response))
        };
        let key = || KeySelector::Key(b"k".to_vec());
        let nested = Txn { then: vec![Op::get_at(key(), 0)], ..Txn::default() };
        let txn = Txn {
            compares: vec![Compare::missing(b"k")],
            then: vec![
                Op::Put(Write { key: b"k".to_vec(), ..Write::default() }),
                Op::Delete { over: key(), prev: false },
                Op::Txn(nested),
            ],
            otherwise: vec![Op::get_at(key(), 0)],
        };
        let check = |succeeded, responses: Vec<PbResponseOp>| {
            check_txn(b"ns/", &txn, &PbTxnResponse { succeeded, responses, ..PbTxnResponse::default() })
        };
        let found = || inner(true, vec![get(vec![kv("ns/k", 3)])]);
        assert_eq!(check(true, vec![put(), deleted(1), found()]), Ok(()));
        assert_eq!(check(false, vec![get(vec![])]), Ok(()));
        for (succeeded, responses) in [
            (true, vec![put(), deleted(1)]),
            (true, vec![put(), deleted(2), found()]),
            (true, vec![put(), deleted(-1), found()]),
            (true, vec![put(), put(), found()]),
            (true, vec![put(), deleted(1), inner(true, vec![])]),
            (true, vec![put(), deleted(1), inner(false, vec![])]),
            (true, vec![put(), deleted(1), inner(true, vec![get(vec![kv("k", 3)])])]),
            (true, vec![put(), deleted(1), PbResponseOp { response: None }]),
            (false, vec![]),
            (false, vec![get(vec![kv("ns/other", 3)])]),
        ] {
            assert!(check(succeeded, responses.clone()).is_err(), "{succeeded} {responses:?}");
        }
    }
}
