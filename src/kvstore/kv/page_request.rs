//! Requests one page of a listing.

use std::sync::Arc;

use tokio::time::Instant;

use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::kv::member_pool::{MemberPool, may_differ_at_another_member};
use crate::kvstore::kv::page_sizer::Page;
use crate::kvstore::kv::response_check::RequestedRange;
use crate::kvstore::kv::txn::{KeySelector, LockGuard, Op, OpResult, Txn};
use crate::kvstore::kv::window_queue::Window;
use crate::kvstore::local::LocalQuery;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Covers, Request};
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;
use crate::kvstore::types::{KeyValue, Revision};

/// A page to be requested.
pub(crate) struct PageRequest {
    pub(crate) store: Store,
    /// The members that may answer instead of the store's endpoint.
    pub(crate) pool: Option<Arc<MemberPool>>,
    pub(crate) range: KeyRange,
    pub(crate) window: Window,
    pub(crate) revision: Revision,
    pub(crate) keys_only: bool,
    pub(crate) guard: Option<LockGuard>,
}

impl PageRequest {
    /// Reads the page, from another member if one fails.
    ///
    /// # Errors
    /// As [`RangeReader::next`](crate::kvstore::kv::range_reader::RangeReader::next).
    pub(crate) async fn read(mut self) -> Result<Page, Error> {
        let Some(pool) = self.pool.take() else { return self.read_at_one().await };
        let mut failed = None;
        while let Some(member) = pool.take_turn().await {
            self.store.clone_from(&member.store);
            match self.read_at_one().await {
                Err(error) if may_differ_at_another_member(&error) => {
                    member.leave_out(&error);
                    failed = Some(error);
                }
                other => return other,
            }
        }
        // All members have failed, this one too: its own error says why.
        match failed {
            Some(error) => Err(error),
            None => self.read_at_one().await,
        }
    }

    async fn read_at_one(&mut self) -> Result<Page, Error> {
        loop {
            match self.fetch().await {
                // Large values: request half as many keys.
                Err(error) if self.window.limit > 1 && error.is_refusal(Refusal::OversizedAnswer) => {
                    self.window.limit /= 2;
                }
                other => return other,
            }
        }
    }

    async fn fetch(&self) -> Result<Page, Error> {
        let end = self.window.end.clone().or_else(|| self.range.end.clone());
        let range = KeyRange { start: self.window.start.clone(), end };
        let sent = Instant::now();
        let (kvs, count, more, revision) = match &self.guard {
            Some(guard) => self.fetch_guarded(range, guard).await?,
            None => self.fetch_unguarded(&range).await?,
        };
        if revision < 1 {
            return Err(Error::Protocol { op: "list", what: format!("the store is at revision {revision}") });
        }
        Ok(Page {
            start: self.window.start.clone(),
            end: self.window.end.clone(),
            corrections: self.window.corrections,
            kvs,
            count,
            more,
            revision: if self.revision == 0 { revision } else { self.revision },
            took: sent.elapsed(),
        })
    }

    async fn fetch_guarded(
        &self,
        range: KeyRange,
        guard: &LockGuard,
    ) -> Result<(Vec<KeyValue>, u64, bool, Revision), Error> {
        let op = Op::Get {
            over: KeySelector::Range(range),
            revision: self.revision,
            keys_only: self.keys_only,
            count_only: false,
            limit: i64::try_from(self.window.limit).unwrap_or(i64::MAX),
        };
        let txn = Txn { then: vec![op], ..Txn::default() };
        let mut answer = self.store.read_txn("list", txn, Some(guard), Timeout::WhileResponsive).await?;
        match answer.results.pop() {
            Some(OpResult::Get { kvs, count, more }) => Ok((kvs, count, more, answer.revision)),
            _ => Err(Error::Protocol { op: "list", what: "an operation has no result".to_owned() }),
        }
    }

    async fn fetch_unguarded(&self, range: &KeyRange) -> Result<(Vec<KeyValue>, u64, bool, Revision), Error> {
        if self.store.is_local() {
            let (revision, limit, keys_only) = (self.revision, self.window.limit, self.keys_only);
            let query = LocalQuery { revision, limit, keys_only, ..LocalQuery::of(range.clone()) };
            let answer = self.store.local_range("list", query).await?;
            return Ok((answer.kvs, answer.count, answer.more, answer.revision));
        }
        let range = range.within(self.store.namespace());
        let (start, end) = range.to_wire();
        let limit = i64::try_from(self.window.limit).unwrap_or(i64::MAX);
        let mut options =
            self.store.get_options().with_range(end.clone()).with_revision(self.revision).with_limit(limit);
        if self.keys_only {
            options = options.with_keys_only();
        }
        let pinned = self.revision > 0;
        if pinned {
            // A revision never changes, so any member may answer; a member that lags is retried on another one.
            options = options.with_serializable();
        }
        let covers = Covers::Range(&end);
        let request = Request { covers, pinned, timeout: Timeout::WhileResponsive, ..Request::read("list", &start) };
        let answer = self
            .store
            .call(request, |client| {
                let (start, options) = (start.clone(), options.clone());
                let mut kv = if limit == 1 { Store::kv_for_one(&client) } else { Store::kv(&client) };
                async move { kv.get(start, Some(options)).await }
            })
            .await?;
        let mut response = answer.value;
        let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        let at = if pinned { self.revision } else { revision };
        let asked = RequestedRange { range, revision: at, limit: self.window.limit, count_only: false };
        let (count, more) = (response.count(), response.more());
        asked.check(&response.0.kvs, count, more).map_err(|what| request.invalid(what))?;
        let count = u64::try_from(count).unwrap_or(0);
        let kvs = response.take_kvs().into_iter().map(|kv| self.store.take(kv)).collect();
        Ok((kvs, count, more, revision))
    }
}
