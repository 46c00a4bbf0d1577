//! Runs transactions, optionally guarded by a lock.

use etcd_client::TxnOp;
use etcd_client::proto::{PbResponseOp, PbTxnOpResponse, PbTxnResponse};

use crate::escaped::escape;
use crate::kvstore::error::Error;
use crate::kvstore::kv::response_check::{check_deletion, check_txn};
use crate::kvstore::kv::txn::{KeySelector, LockGuard, Op, OpResult, Retry, Txn, TxnResult};
use crate::kvstore::request::{Covers, Idempotency, Request, unknown_outcome};
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;
use crate::kvstore::types::{KeyValue, LeaseId};

impl Store {
    /// Runs a transaction. `op` names it in messages and in the trace.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::LockLost`] if the guard failed, or any other error of the request.
    pub async fn txn(
        &self,
        op: &'static str,
        txn: &Txn,
        guard: Option<&LockGuard>,
        retry: Retry,
    ) -> Result<TxnResult, Error> {
        match retry {
            Retry::Never => self.send_txn(op, txn, guard, Idempotency::None, Timeout::Operation).await,
            Retry::Read => self.send_txn(op, txn, guard, Idempotency::Read, Timeout::Operation).await,
            Retry::Idempotent => self.send_txn(op, txn, guard, Idempotency::Conditional, Timeout::Operation).await,
            Retry::NeverWithin(limit) => self.send_txn(op, txn, guard, Idempotency::None, Timeout::Fixed(limit)).await,
        }
    }

    pub(crate) async fn send_txn(
        &self,
        op: &'static str,
        txn: &Txn,
        guard: Option<&LockGuard>,
        idempotency: Idempotency,
        timeout: Timeout,
    ) -> Result<TxnResult, Error> {
        if self.is_local() {
            return self.local_txn(op, txn, guard).await;
        }
        if let (None, [], [Op::Delete { over, prev }]) = (guard, txn.compares.as_slice(), txn.then.as_slice()) {
            return self.send_delete(op, over, *prev, idempotency, timeout).await;
        }
        let unchecked = self.unchecked_writes(txn, guard.is_some());
        let is_plain = guard.is_none() && txn.compares.is_empty() && txn.otherwise.is_empty();
        if !is_plain {
            self.check_write_permission(op, &unchecked).await?;
        }
        let wire = match guard {
            // Without conditions, the other branch is never executed.
            None if is_plain && !unchecked.is_empty() => etcd_client::Txn::new()
                .and_then(
                    txn.then.iter().map(|op| op.to_wire(self.namespace(), self.is_serializable)).collect::<Vec<_>>(),
                )
                .or_else(self.deletions(&unchecked)),
            None => txn.to_wire(self.namespace(), self.is_serializable),
            Some(lock) => {
                let held = etcd_client::Compare::create_revision(
                    lock.key.clone(),
                    etcd_client::CompareOp::Equal,
                    lock.revision,
                );
                etcd_client::Txn::new()
                    .when([held])
                    .and_then([TxnOp::txn(txn.to_wire(self.namespace(), self.is_serializable))])
            }
        };
        let mut guard_text = txn.format_guard();
        if let Some(lock) = guard {
            guard_text = format!("lock@{} {guard_text}", lock.revision);
        }
        let key = self.absolute(txn.first_key());
        let request = Request {
            op,
            key: &key,
            covers: if has_several_keys(txn) { Covers::Several } else { Covers::FirstKey },
            guard: guard_text.trim_end(),
            idempotency,
            needs_leader: true,
            timeout,
            pinned: false,
            serializable: false,
        };
        let answer = self
            .call(request, |client| {
                let wire = wire.clone();
                async move { Self::kv(&client).txn(wire).await }
            })
            .await?;
        let revision = answer.value.header().map_or(0, etcd_client::ResponseHeader::revision);
        let mut response = answer.value.0;
        if let Some(lock) = guard {
            if !response.succeeded {
                let lost = Error::LockLost { key: escape(&lock.key), revision: lock.revision };
                return Err(if answer.maybe_applied { unknown_outcome(op, lost) } else { lost });
            }
            response = match response.responses.pop().and_then(|inner| inner.response) {
                Some(PbTxnOpResponse::ResponseTxn(inner)) if response.responses.is_empty() => inner,
                _ => return Err(request.invalid("the guarded transaction has no result")),
            };
        }
        check_txn(self.namespace(), txn, &response).map_err(|what| request.invalid(what))?;
        let (succeeded, results) = self.take_txn(op, response)?;
        Ok(TxnResult { succeeded, revision, results, maybe_applied: answer.maybe_applied })
    }

    /// What the nested transactions write, if there is a user whose permissions count. etcd 3.4 and 3.5 do not check the
    /// permissions for the operations of a nested transaction; they check those of both outer branches.
    fn unchecked_writes(&self, txn: &Txn, is_nested: bool) -> Vec<KeySelector> {
        let options = self.options();
        let mut writes = Vec::new();
        if options.credentials.is_some() || options.token.is_some() || options.tls.cert.is_some() {
            collect_writes(txn, is_nested, &mut writes);
        }
        writes
    }

    fn deletions(&self, over: &[KeySelector]) -> Vec<TxnOp> {
        let deletion = |over: &KeySelector| {
            let (key, options) = over.deletion(self.namespace(), false);
            TxnOp::delete(key, Some(options))
        };
        over.iter().map(deletion).collect()
    }

    /// Asks etcd whether the user may write these keys, with a transaction that changes nothing: it has no conditions, and so
    /// executes the branch that is empty.
    async fn check_write_permission(&self, op: &'static str, writes: &[KeySelector]) -> Result<(), Error> {
        for chunk in writes.chunks(self.max_txn_ops().max(1)) {
            let key = self.absolute(chunk.first().map_or(&[], KeySelector::start));
            let request = Request { covers: Covers::Several, ..Request::read(op, &key) };
            let wire = etcd_client::Txn::new().or_else(self.deletions(chunk));
            let answer = self
                .call(request, |client| {
                    let wire = wire.clone();
                    async move { Self::kv(&client).txn(wire).await }
                })
                .await?;
            if !answer.value.succeeded() {
                return Err(request.invalid("a transaction without conditions did not succeed"));
            }
        }
        Ok(())
    }

    /// Sends a deletion without conditions as a plain request: an etcd that is over its quota accepts it, while some
    /// versions (e.g. 3.5.1) refuse every transaction then.
    async fn send_delete(
        &self,
        op: &'static str,
        over: &KeySelector,
        prev: bool,
        idempotency: Idempotency,
        timeout: Timeout,
    ) -> Result<TxnResult, Error> {
        let (key, options) = over.deletion(self.namespace(), prev);
        let (_, end) = over.to_wire(self.namespace());
        let covers = end.as_deref().map_or(Covers::FirstKey, Covers::Range);
        let request = Request { covers, idempotency, timeout, ..Request::read(op, &key) };
        let answer = self
            .call(request, |client| {
                let (key, options) = (key.clone(), options.clone());
                async move { Self::kv(&client).delete(key, Some(options)).await }
            })
            .await?;
        let mut response = answer.value;
        check_deletion(over, self.namespace(), response.deleted(), &response.0.prev_kvs)
            .map_err(|what| request.invalid(what))?;
        let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        let deleted = u64::try_from(response.deleted()).unwrap_or(0);
        let prev = response.take_prev_kvs().into_iter().map(|kv| self.take(kv)).collect();
        let results = vec![OpResult::Delete { deleted, prev }];
        Ok(TxnResult { succeeded: true, revision, results, maybe_applied: answer.maybe_applied })
    }

    fn take_txn(&self, op: &'static str, response: PbTxnResponse) -> Result<(bool, Vec<OpResult>), Error> {
        let results = response.responses.into_iter().map(|one| self.take_op(op, one)).collect::<Result<_, _>>()?;
        Ok((response.succeeded, results))
    }

    fn take_op(&self, op: &'static str, response: PbResponseOp) -> Result<OpResult, Error> {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(match response.response {
            Some(PbTxnOpResponse::ResponsePut(put)) => OpResult::Put { prev: put.prev_kv.map(|kv| self.decode_kv(kv)) },
            Some(PbTxnOpResponse::ResponseRange(range)) => OpResult::Get {
                count: count(range.count),
                more: range.more,
                kvs: range.kvs.into_iter().map(|kv| self.decode_kv(kv)).collect(),
            },
            Some(PbTxnOpResponse::ResponseDeleteRange(delete)) => OpResult::Delete {
                deleted: count(delete.deleted),
                prev: delete.prev_kvs.into_iter().map(|kv| self.decode_kv(kv)).collect(),
            },
            Some(PbTxnOpResponse::ResponseTxn(txn)) => {
                let (succeeded, results) = self.take_txn(op, txn)?;
                OpResult::Txn { succeeded, results }
            }
            None => return Err(Error::Protocol { op, what: "an operation has no result".to_owned() }),
        })
    }

    /// Converts a record from the wire and removes the namespace.
    pub(crate) fn decode_kv(&self, kv: etcd_client::proto::PbKeyValue) -> KeyValue {
        KeyValue {
            key: self.relative(kv.key),
            value: kv.value,
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: LeaseId::from_wire(kv.lease),
        }
    }
}

/// Collects what nested transactions write.
fn collect_writes(txn: &Txn, is_nested: bool, writes: &mut Vec<KeySelector>) {
    for operation in txn.then.iter().chain(&txn.otherwise) {
        match operation {
            Op::Put(write) if is_nested => writes.push(KeySelector::Key(write.key.clone())),
            Op::Delete { over, .. } if is_nested => writes.push(over.clone()),
            Op::Txn(nested) => collect_writes(nested, true, writes),
            Op::Put(_) | Op::Delete { .. } | Op::Get { .. } => {}
        }
    }
}

/// Whether a transaction is about more than its first key.
fn has_several_keys(txn: &Txn) -> bool {
    let used = txn.then.iter().chain(&txn.otherwise).map(|op| match op {
        Op::Put(write) => Some(write.key.as_slice()),
        Op::Get { over, .. } | Op::Delete { over, .. } => single_key(over),
        Op::Txn(_) => None,
    });
    let compared = txn.compares.iter().map(|compare| single_key(&compare.over));
    used.chain(compared).any(|key| key != Some(txn.first_key()))
}

fn single_key(over: &KeySelector) -> Option<&[u8]> {
    match over {
        KeySelector::Key(key) => Some(key),
        KeySelector::Range(_) => None,
    }
}
