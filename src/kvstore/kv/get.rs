//! Reads single keys and counts ranges.

use etcd_client::GetOptions;
use tokio::task::JoinSet;

use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::kv::response_check::RequestedRange;
use crate::kvstore::kv::txn::{KeySelector, LockGuard, Op, OpResult, Txn};
use crate::kvstore::local::LocalQuery;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Covers, Idempotency, Request};
use crate::kvstore::response_header::ResponseHeader;
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;
use crate::kvstore::types::{KeyValue, Revision};

/// Keys that are read at the same time, each with a request of its own.
const CONCURRENT_READS: usize = 32;

/// The result of reading several keys.
#[derive(Clone, Debug)]
pub struct KeysRead {
    /// One entry per requested key, in order; `None` for a key that does not exist.
    pub kvs: Vec<Option<KeyValue>>,
    /// The revision at which all keys were read.
    pub revision: Revision,
}

/// The number of keys in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeCount {
    /// The number of keys.
    pub count: u64,
    /// The revision at which they were counted.
    pub revision: Revision,
}

impl Store {
    /// Reads one key at `revision` (0: the latest).
    ///
    /// # Errors
    /// [`Refusal::Compacted`], [`Refusal::FutureRevision`], [`Error::LockLost`], or any other error of the request.
    pub async fn get(
        &self,
        key: &[u8],
        revision: Revision,
        guard: Option<&LockGuard>,
    ) -> Result<(Option<KeyValue>, Revision), Error> {
        let found = self.get_many(&[key.to_vec()], revision, guard).await?;
        Ok((found.kvs.into_iter().next().flatten(), found.revision))
    }

    /// Reads several keys, all at the same `revision` (0: the latest).
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn get_many(
        &self,
        keys: &[Vec<u8>],
        revision: Revision,
        guard: Option<&LockGuard>,
    ) -> Result<KeysRead, Error> {
        if let ([key], None) = (keys, guard) {
            return self.get_alone(key, revision).await;
        }
        let mut found = KeysRead { kvs: Vec::with_capacity(keys.len()), revision };
        // The guard needs one operation of the transaction.
        let (mut rest, mut most) = (keys, self.max_txn_ops().saturating_sub(1));
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(rest.len().min(most));
            let read = |key: &Vec<u8>| Op::get_at(KeySelector::Key(key.clone()), found.revision);
            let txn = Txn { then: chunk.iter().map(read).collect(), ..Txn::default() };
            let answer = match self.read_txn("get", txn, guard, Timeout::Operation).await {
                // Large values: request half as many.
                Err(error) if chunk.len() > 1 && error.is_refusal(Refusal::OversizedAnswer) => {
                    most = chunk.len() / 2;
                    continue;
                }
                answer => answer?,
            };
            rest = behind;
            if found.revision == 0 {
                found.revision = answer.revision;
            }
            found.kvs.extend(answer.results.into_iter().map(|result| match result {
                OpResult::Get { mut kvs, .. } => kvs.pop(),
                _ => None,
            }));
        }
        Ok(found)
    }

    /// Reads several keys with a request each, at `revision`, or each at its latest. etcd <= 3.5.4 panics if it cannot end a
    /// transaction that only reads: because the client is gone, or the revision is compacted meanwhile
    /// (<https://github.com/etcd-io/etcd/issues/14110>).
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn get_each(&self, keys: &[Vec<u8>], revision: Revision) -> Result<Vec<Option<KeyValue>>, Error> {
        let mut found = vec![None; keys.len()];
        let mut unread = keys.iter().cloned().enumerate();
        let mut reads = JoinSet::new();
        loop {
            while reads.len() < CONCURRENT_READS
                && let Some((index, key)) = unread.next()
            {
                let store = self.clone();
                reads.spawn(async move { (index, store.get_alone(&key, revision).await) });
            }
            let Some(read) = reads.join_next().await else { return Ok(found) };
            // The runtime is shutting down.
            let Ok((index, read)) = read else { return Err(Error::Interrupted { op: "get", unknown: false }) };
            if let Some(place) = found.get_mut(index) {
                *place = read?.kvs.pop().flatten();
            }
        }
    }

    async fn get_alone(&self, key: &[u8], revision: Revision) -> Result<KeysRead, Error> {
        if self.is_local() {
            let query = LocalQuery { revision, ..LocalQuery::of(KeyRange::key(key)) };
            let mut answer = self.local_range("get", query).await?;
            return Ok(KeysRead { kvs: vec![answer.kvs.pop()], revision: answer.revision });
        }
        let absolute = self.absolute(key);
        let options = self.get_options().with_revision(revision);
        let request = Request::read("get", &absolute);
        let answer = self
            .call(request, |client| {
                let (key, options) = (absolute.clone(), options.clone());
                async move { Self::kv_for_one(&client).get(key, Some(options)).await }
            })
            .await?;
        let mut response = answer.value;
        let now = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        let at = if revision == 0 { now } else { revision };
        let asked = RequestedRange::whole(KeyRange::key(&absolute), at);
        let (count, more) = (response.count(), response.more());
        asked.check(&response.0.kvs, count, more).map_err(|what| request.invalid(what))?;
        let kv = response.take_kvs().pop().map(|kv| self.take(kv));
        Ok(KeysRead { kvs: vec![kv], revision: at })
    }

    /// Counts the keys of a range in one request.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn count(
        &self,
        range: &KeyRange,
        revision: Revision,
        guard: Option<&LockGuard>,
    ) -> Result<RangeCount, Error> {
        if let Some(guard) = guard {
            let op = Op::Get {
                over: KeySelector::Range(range.clone()),
                revision,
                keys_only: false,
                count_only: true,
                limit: 0,
            };
            let answer = self
                .read_txn("count", Txn { then: vec![op], ..Txn::default() }, Some(guard), Timeout::WhileResponsive)
                .await?;
            let at = if revision == 0 { answer.revision } else { revision };
            return match answer.results.as_slice() {
                [OpResult::Get { count, .. }] => Ok(RangeCount { count: *count, revision: at }),
                _ => Err(Error::Protocol { op: "count", what: "an operation has no result".to_owned() }),
            };
        }
        self.count_alone(range, revision, Timeout::WhileResponsive).await
    }

    async fn count_alone(&self, range: &KeyRange, revision: Revision, timeout: Timeout) -> Result<RangeCount, Error> {
        if self.is_local() {
            let query = LocalQuery { revision, count_only: true, ..LocalQuery::of(range.clone()) };
            let answer = self.local_range("count", query).await?;
            return Ok(RangeCount { count: answer.count, revision: answer.revision });
        }
        let range = range.within(self.namespace());
        let (start, end) = range.to_wire();
        let options = self.get_options().with_range(end.clone()).with_count_only().with_revision(revision);
        let request = Request { covers: Covers::Range(&end), timeout, ..Request::read("count", &start) };
        let answer = self
            .call(request, |client| {
                let (key, options) = (start.clone(), options.clone());
                async move { Self::kv(&client).get(key, Some(options)).await }
            })
            .await?
            .value;
        let asked = RequestedRange { count_only: true, ..RequestedRange::whole(range, revision) };
        asked.check(&answer.0.kvs, answer.count(), answer.more()).map_err(|what| request.invalid(what))?;
        let now = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        let count = u64::try_from(answer.count()).unwrap_or(0);
        Ok(RangeCount { count, revision: if revision == 0 { now } else { revision } })
    }

    /// The ID of the cluster.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn cluster_of(&self, key: &[u8]) -> Result<u64, Error> {
        if self.is_local() {
            // A file does not tell it.
            return Ok(0);
        }
        let absolute = self.absolute(key);
        let answer = self
            .call(Request::read("cluster", &absolute), |client| {
                let (key, options) = (absolute.clone(), self.get_options().with_keys_only());
                async move { Self::kv(&client).get(key, Some(options)).await }
            })
            .await?;
        Ok(answer.value.header().map_or(0, etcd_client::ResponseHeader::cluster_id))
    }

    /// The latest revision of the store.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn revision(&self) -> Result<Revision, Error> {
        // Counting the smallest possible key reads nothing; the header has the revision.
        self.revision_at_key(b"\0").await
    }

    /// The latest revision of the store, from a count of one key. That takes etcd no time, so that one operation timeout is
    /// enough: a member that answers health checks may be waiting for the login that a token came from.
    ///
    /// # Errors
    /// Any error of the request.
    pub(crate) async fn revision_at_key(&self, key: &[u8]) -> Result<Revision, Error> {
        if self.is_local() {
            // A range without keys: a file is not searched for it.
            return Ok(self.local_range("revision", LocalQuery::of(KeyRange::between(key, Some(key)))).await?.revision);
        }
        Ok(self.count_alone(&KeyRange::key(key), 0, Timeout::Operation).await?.revision)
    }

    pub(crate) async fn read_txn(
        &self,
        op: &'static str,
        txn: Txn,
        guard: Option<&LockGuard>,
        timeout: Timeout,
    ) -> Result<crate::kvstore::kv::txn::TxnResult, Error> {
        self.send_txn(op, &txn, guard, Idempotency::Read, timeout).await
    }

    /// Converts the library's record and removes the namespace.
    pub(crate) fn take(&self, kv: etcd_client::KeyValue) -> KeyValue {
        self.decode_kv(kv.0)
    }

    /// Reads the smallest possible key, which does not exist in practice, and returns the revision.
    ///
    /// # Errors
    /// Any error of the request.
    pub(crate) async fn read_empty_key(&self, op: &'static str, linearizable: bool) -> Result<Revision, Error> {
        let none = GetOptions::new().with_count_only();
        let options = if linearizable { none } else { none.with_serializable() };
        let request = Request { needs_leader: linearizable, serializable: !linearizable, ..Request::read(op, &[]) };
        let read = |client: etcd_client::Client| {
            let options = options.clone();
            async move { client.kv_client().get(vec![0], Some(options)).await }
        };
        Ok(self.call(request, read).await?.value.revision())
    }
}
