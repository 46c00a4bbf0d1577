//! Reads whole ranges page by page: at one revision, in constant memory, in linear time.
//!
//! etcd <= 3.6 counts all keys from a limited read's start to its range end, so paging to the true end takes quadratic
//! time. Here each page ends at a guessed nearby key, so that etcd counts the page only. [`PageSizer`] adjusts the
//! guess from the keys and counts returned. A wrong guess costs time only: a page with more keys than requested is
//! continued after its last key, and pages are adjacent, so no key is skipped or read twice.
//!
//! From etcd 3.7 on, RangeStream reads large ranges after the first page.

use std::sync::atomic::Ordering;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::kvstore::error::Error;
use crate::kvstore::key_range::{KeyRange, prefix_end, successor};
use crate::kvstore::kv::page_sizer::{Page, PageSizer};
use crate::kvstore::kv::range_stream::{RangeStream, StreamChunk, StreamRequest};
use crate::kvstore::kv::response_check::RequestedRange;
use crate::kvstore::kv::txn::{KeySelector, LockGuard, Op, OpResult, Txn};
use crate::kvstore::local::LocalQuery;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Covers, Request};
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;
use crate::kvstore::types::{KeyValue, Revision};

/// The smallest range for which asking the server for RangeStream is worth a request.
const MIN_STREAM_KEYS: u64 = 10_000;

/// Options of a range read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The revision to read; 0 for the latest.
    pub revision: Revision,
    /// Whether to read keys without values.
    pub keys_only: bool,
    /// The maximum number of keys.
    pub limit: Option<u64>,
    /// Read only while this lock is held; checked with every page.
    pub guard: Option<LockGuard>,
}

/// Reads a range page by page, in key order. Requests the next page while the caller uses the current one.
pub struct RangeReader {
    store: Store,
    range: KeyRange,
    options: ReadOptions,
    remaining: Option<u64>,
    revision: Revision,
    total: Option<u64>,
    /// The number of keys read so far.
    keys_read: u64,
    page_sizer: PageSizer,
    /// Whether the next page is requested while the caller uses the current one.
    prefetch: bool,
    /// Whether RangeStream may be used: it has not failed during this read.
    may_stream: bool,
    next: Next,
}

enum Next {
    /// The start of the next page.
    From(Vec<u8>),
    /// The next page is being requested.
    Prefetched(JoinHandle<Result<Page, Error>>),
    /// The rest arrives as a stream; if the stream fails, the next page starts at this key.
    Streaming(RangeStream, Vec<u8>),
    End,
}

impl Store {
    /// Creates a reader; the first [`RangeReader::next`] sends its request.
    pub fn read(&self, range: &KeyRange, options: ReadOptions) -> RangeReader {
        RangeReader {
            store: self.clone(),
            range: range.clone(),
            remaining: options.limit,
            revision: options.revision,
            total: None,
            keys_read: 0,
            page_sizer: PageSizer::new(options.limit),
            prefetch: true,
            may_stream: true,
            next: if range.is_empty() || options.limit == Some(0) {
                Next::End
            } else {
                Next::From(range.start.clone())
            },
            options,
        }
    }
}

impl RangeReader {
    /// The revision of the read; 0 before the first page.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The number of keys in the range; known after the first page.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Requests each page only when it is needed: for callers that [`RangeReader::skip`] often.
    #[must_use]
    pub fn without_prefetch(mut self) -> Self {
        self.prefetch = false;
        self
    }

    /// Reads small pages regardless of the network's round trip: for callers that process a page more slowly than it is
    /// read. While a server reads a large page, writes of other clients wait.
    #[must_use]
    pub fn in_small_pages(mut self) -> Self {
        self.page_sizer.keep_small();
        self
    }

    /// Skips the remaining keys with prefix `branch`, which the last key read has.
    pub fn skip(&mut self, branch: &[u8]) {
        if matches!(self.next, Next::End) {
            return;
        }
        self.next = match prefix_end(branch) {
            Some(start) if self.range.contains(&start) => Next::From(start),
            _ => Next::End,
        };
        self.page_sizer.skip_branch(branch);
    }

    /// The next page, never empty; `None` at the end.
    ///
    /// # Errors
    /// [`Refusal::Compacted`](crate::kvstore::refusal::Refusal::Compacted) if the revision is compacted during the read,
    /// [`Error::LockLost`], or any other error of a request. No page follows an error.
    pub async fn next(&mut self) -> Result<Option<Vec<KeyValue>>, Error> {
        loop {
            let page = match std::mem::replace(&mut self.next, Next::End) {
                Next::End => return Ok(None),
                Next::From(start) => self.page_request(start).read().await?,
                Next::Prefetched(task) => match task.await {
                    Ok(page) => page?,
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    // The runtime is shutting down.
                    Err(_) => return Err(Error::Interrupted { op: "list", unknown: false }),
                },
                Next::Streaming(mut stream, start) => match stream.next().await {
                    StreamChunk::Keys(kvs) => {
                        self.count_keys(kvs.len())?;
                        let next_start = kvs.last().map_or(start, |kv| successor(&kv.key));
                        self.next = Next::Streaming(stream, next_start);
                        return Ok(Some(kvs));
                    }
                    StreamChunk::End => return Ok(None),
                    StreamChunk::Failed(error) => return Err(error),
                    StreamChunk::Broken => {
                        self.may_stream = false;
                        self.next = if self.range.contains(&start) && self.remaining != Some(0) {
                            Next::From(start)
                        } else {
                            Next::End
                        };
                        continue;
                    }
                },
            };
            let kvs = self.accept(page)?;
            if !kvs.is_empty() {
                self.start_next().await;
                return Ok(Some(kvs));
            }
        }
    }

    /// Updates the page sizer with a page and determines the start of the next one.
    fn accept(&mut self, page: Page) -> Result<Vec<KeyValue>, Error> {
        if self.revision == 0 {
            self.revision = page.revision;
        }
        if self.total.is_none() && page.end.is_none() {
            self.total = Some(page.count);
        }
        self.page_sizer.learn(&page);
        self.count_keys(page.kvs.len())?;
        let next_start = if page.more { page.kvs.last().map(|kv| successor(&kv.key)) } else { page.end };
        self.next = match next_start {
            _ if self.remaining == Some(0) => Next::End,
            Some(start) if self.range.contains(&start) => Next::From(start),
            _ => Next::End,
        };
        Ok(page.kvs)
    }

    /// Counts keys that were read. A revision has no more keys than the server counted: without this check, a server could
    /// send new keys for ever.
    fn count_keys(&mut self, keys: usize) -> Result<(), Error> {
        self.remaining = self.remaining.map(|left| left.saturating_sub(keys as u64));
        self.keys_read = self.keys_read.saturating_add(keys as u64);
        match self.total.filter(|total| self.keys_read > *total) {
            Some(total) => {
                Err(Error::Protocol { op: "list", what: format!("the range has more than the {total} keys counted") })
            }
            None => Ok(()),
        }
    }

    /// Whether the rest is large enough for a stream, as far as known.
    fn is_large(&self) -> bool {
        let lacking = self.store.is_local() || self.store.inner.lacks_range_stream.load(Ordering::Relaxed);
        let keys = self.total.unwrap_or(0).min(self.remaining.unwrap_or(u64::MAX));
        self.may_stream && !lacking && self.options.guard.is_none() && keys >= MIN_STREAM_KEYS
    }

    async fn start_next(&mut self) {
        if let (true, Next::From(start)) = (self.prefetch, &self.next) {
            if self.is_large() {
                let request = StreamRequest {
                    range: KeyRange { start: start.clone(), end: self.range.end.clone() },
                    revision: self.revision,
                    keys_only: self.options.keys_only,
                    limit: self.remaining.unwrap_or(0),
                };
                self.next = Next::Streaming(RangeStream::start(&self.store, request), start.clone());
                tokio::task::yield_now().await;
                return;
            }
            let request = self.page_request(start.clone());
            self.next = Next::Prefetched(tokio::spawn(request.read()));
            // Lets the task send its request before the caller uses this page.
            tokio::task::yield_now().await;
        }
    }

    fn page_request(&self, start: Vec<u8>) -> PageRequest {
        let end = self.page_sizer.end(&start).filter(|end| self.range.contains(end));
        let limit = self.remaining.map_or(self.page_sizer.limit(), |left| left.min(self.page_sizer.limit()));
        PageRequest {
            store: self.store.clone(),
            range: self.range.clone(),
            start,
            end,
            limit,
            revision: self.revision,
            keys_only: self.options.keys_only,
            guard: self.options.guard.clone(),
        }
    }
}

impl Drop for RangeReader {
    fn drop(&mut self) {
        if let Next::Prefetched(task) = &self.next {
            task.abort();
        }
    }
}

/// A page to be requested.
struct PageRequest {
    store: Store,
    range: KeyRange,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    limit: u64,
    revision: Revision,
    keys_only: bool,
    guard: Option<LockGuard>,
}

impl PageRequest {
    async fn read(mut self) -> Result<Page, Error> {
        loop {
            match self.fetch().await {
                // Large values: request half as many keys.
                Err(error) if self.limit > 1 && error.is_refusal(Refusal::OversizedAnswer) => self.limit /= 2,
                other => return other,
            }
        }
    }

    async fn fetch(&self) -> Result<Page, Error> {
        let end = self.end.clone().or_else(|| self.range.end.clone());
        let range = KeyRange { start: self.start.clone(), end };
        let sent = Instant::now();
        let (kvs, count, more, revision) = match &self.guard {
            Some(guard) => self.fetch_guarded(range, guard).await?,
            None => self.fetch_unguarded(&range).await?,
        };
        if revision < 1 {
            return Err(Error::Protocol { op: "list", what: format!("the store is at revision {revision}") });
        }
        Ok(Page {
            start: self.start.clone(),
            end: self.end.clone(),
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
            limit: i64::try_from(self.limit).unwrap_or(i64::MAX),
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
            let (revision, limit, keys_only) = (self.revision, self.limit, self.keys_only);
            let query = LocalQuery { revision, limit, keys_only, ..LocalQuery::of(range.clone()) };
            let answer = self.store.local_range("list", query).await?;
            return Ok((answer.kvs, answer.count, answer.more, answer.revision));
        }
        let range = range.within(self.store.namespace());
        let (start, end) = range.to_wire();
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
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
        let asked = RequestedRange { range, revision: at, limit: self.limit, count_only: false };
        let (count, more) = (response.count(), response.more());
        asked.check(&response.0.kvs, count, more).map_err(|what| request.invalid(what))?;
        let count = u64::try_from(count).unwrap_or(0);
        let kvs = response.take_kvs().into_iter().map(|kv| self.store.take(kv)).collect();
        Ok((kvs, count, more, revision))
    }
}
