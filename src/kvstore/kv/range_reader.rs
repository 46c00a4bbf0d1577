//! Reads whole ranges page by page: at one revision, in constant memory, in linear time.
//!
//! etcd <= 3.6 counts all keys from a limited read's start to its range end, so paging to the true end takes quadratic
//! time. Here each page ends at a guessed nearby key, so that etcd counts the page only. [`PageSizer`] adjusts the
//! guess from the keys and counts returned. A wrong guess costs time only: a page with more keys than requested is
//! continued after its last key, and pages are adjacent, so no key is skipped or read twice. While the guesses prove right,
//! several windows are requested at once ([`WindowQueue`]).
//!
//! From etcd 3.7 on, RangeStream reads large ranges after the first pages.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::{JoinHandle, JoinSet};

use crate::kvstore::error::Error;
use crate::kvstore::key_range::{KeyRange, prefix_end, successor};
use crate::kvstore::kv::member_pool::{MemberPool, PooledListing};
use crate::kvstore::kv::page_request::PageRequest;
use crate::kvstore::kv::page_sizer::{Page, PageSizer};
use crate::kvstore::kv::range_stream::{RangeStream, StreamChunk, StreamRequest};
use crate::kvstore::kv::txn::LockGuard;
use crate::kvstore::kv::window_queue::{Front, UnreadRange, WindowQueue};
use crate::kvstore::store::Store;
use crate::kvstore::types::{KeyValue, Revision};

/// The smallest range for which asking the server for RangeStream, or connecting to other members, is worth it.
const MIN_LARGE_RANGE_KEYS: u64 = 10_000;

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

/// Reads a range page by page, in key order. Requests the next pages while the caller uses the current one.
pub struct RangeReader {
    store: Store,
    range: KeyRange,
    options: ReadOptions,
    remaining: Option<u64>,
    revision: Revision,
    total: Option<u64>,
    /// The number of keys read so far.
    keys_read: u64,
    /// Whether keys were left out by [`RangeReader::skip`].
    has_skipped: bool,
    page_sizer: PageSizer,
    /// The maximum number of pages that are requested while the caller uses the current one.
    prefetch: usize,
    /// Whether RangeStream may be used: it has not failed during this read.
    may_stream: bool,
    rest: WindowQueue<RangeRequest>,
    /// The members that the windows of a large serializable listing are read from.
    pool: Option<Arc<MemberPool>>,
    /// Asks the other members whether they can serve.
    pool_questions: JoinSet<()>,
}

/// A request for a part of the range.
enum RangeRequest {
    Page(PageTask),
    /// The rest arrives as a stream; if the stream fails, the next page starts at this key.
    Stream(RangeStream, Vec<u8>),
}

/// A page that is being requested. Dropping it ends the request.
struct PageTask(JoinHandle<Result<Page, Error>>);

impl Drop for PageTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl PageTask {
    async fn page(mut self) -> Result<Page, Error> {
        match (&mut self.0).await {
            Ok(page) => page,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => Err(Error::Interrupted { op: "list", unknown: false }),
        }
    }
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
            has_skipped: false,
            page_sizer: PageSizer::new(options.limit),
            // A file is read by one thread.
            prefetch: if self.is_local() { 1 } else { usize::MAX },
            may_stream: true,
            rest: if range.is_empty() || options.limit == Some(0) {
                WindowQueue::empty()
            } else {
                WindowQueue::from(range.start.clone())
            },
            pool: None,
            pool_questions: JoinSet::new(),
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
        self.prefetch = 0;
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
        if self.rest.is_empty() {
            return;
        }
        self.rest = match prefix_end(branch) {
            Some(start) if self.range.contains(&start) => WindowQueue::from(start),
            _ => WindowQueue::empty(),
        };
        self.has_skipped = true;
        self.page_sizer.skip_branch(branch);
    }

    /// The next page, never empty; `None` at the end.
    ///
    /// # Errors
    /// [`Refusal::Compacted`](crate::kvstore::refusal::Refusal::Compacted) if the revision is compacted during the read,
    /// [`Error::LockLost`], or any other error of a request. No page follows an error.
    pub async fn next(&mut self) -> Result<Option<Vec<KeyValue>>, Error> {
        let page = self.next_page().await;
        if page.is_err() {
            self.rest.clear();
        }
        page
    }

    async fn next_page(&mut self) -> Result<Option<Vec<KeyValue>>, Error> {
        loop {
            let page = match self.rest.take_front() {
                Front::End => return self.end(),
                Front::Unread => {
                    self.request_page();
                    continue;
                }
                Front::Requested(RangeRequest::Page(task)) => task.page().await?,
                Front::Requested(RangeRequest::Stream(mut stream, start)) => match stream.next().await {
                    StreamChunk::Keys(kvs) => {
                        let next_start = kvs.last().map_or(start, |kv| successor(&kv.key));
                        self.rest.resume(RangeRequest::Stream(stream, next_start));
                        return Ok(Some(self.take_keys(kvs)?));
                    }
                    StreamChunk::End => return self.end(),
                    StreamChunk::Failed(error) => return Err(error),
                    StreamChunk::Broken => {
                        self.may_stream = false;
                        if self.range.contains(&start) {
                            self.rest.put_back(UnreadRange { start, end: None, keys: None });
                            self.request_ahead().await;
                        }
                        continue;
                    }
                },
            };
            let kvs = self.accept(page)?;
            self.request_ahead().await;
            if !kvs.is_empty() {
                return Ok(Some(kvs));
            }
        }
    }

    /// Checks that the listing has as many keys as were counted at its revision. The pages may come from several members, and
    /// members that differ would otherwise make an incomplete listing look complete.
    fn end(&self) -> Result<Option<Vec<KeyValue>>, Error> {
        match self.total.filter(|total| self.keys_read < *total && self.remaining.is_none() && !self.has_skipped) {
            Some(total) => {
                let (found, revision) = (self.keys_read, self.revision);
                let what = format!(
                    "{found} of the {total} keys counted at revision {revision} were found; 'kvadm status --consistency' \
                     compares the members"
                );
                Err(Error::Protocol { op: "list", what })
            }
            None => Ok(None),
        }
    }

    /// Updates the page sizer with the page of the first part of the rest.
    fn accept(&mut self, page: Page) -> Result<Vec<KeyValue>, Error> {
        if self.revision == 0 {
            self.revision = page.revision;
        }
        if self.total.is_none() && page.end.is_none() {
            self.total = Some(page.count);
        }
        self.page_sizer.learn(&page);
        self.rest.continue_after(&page);
        self.take_keys(page.kvs)
    }

    /// Counts keys that were read, and drops those beyond the limit: later windows are requested before it is known how many
    /// keys the earlier ones have.
    fn take_keys(&mut self, mut kvs: Vec<KeyValue>) -> Result<Vec<KeyValue>, Error> {
        if let Some(left) = self.remaining.and_then(|left| usize::try_from(left).ok()) {
            kvs.truncate(left);
        }
        self.count_keys(kvs.len())?;
        if self.remaining == Some(0) {
            self.rest.clear();
        }
        Ok(kvs)
    }

    /// Counts keys that were read. A revision has no more keys than the server counted: without this check, a server could
    /// send new keys for ever.
    fn count_keys(&mut self, keys: usize) -> Result<(), Error> {
        self.remaining = self.remaining.map(|left| left.saturating_sub(keys as u64));
        self.keys_read = self.keys_read.saturating_add(keys as u64);
        match self.total.filter(|total| self.keys_read > *total) {
            Some(total) => {
                let what = format!(
                    "the range has more than the {total} keys counted at revision {}; 'kvadm status --consistency' compares \
                     the members",
                    self.revision
                );
                Err(Error::Protocol { op: "list", what })
            }
            None => Ok(()),
        }
    }

    /// Whether the listing is large, as far as known.
    fn is_large(&self) -> bool {
        let keys = self.total.unwrap_or(0).min(self.remaining.unwrap_or(u64::MAX));
        keys >= MIN_LARGE_RANGE_KEYS && self.options.guard.is_none() && !self.store.is_local()
    }

    /// Reads from other members too if the listing is a large one that any of them may answer.
    fn start_pool(&mut self) {
        let others = &self.store.other_members;
        if self.pool.is_none()
            && !others.is_empty()
            && self.is_large()
            && let Some(keys) = self.total
        {
            let listing = PooledListing { range: self.range.clone(), revision: self.revision, keys };
            let (pool, questions) = MemberPool::start(&self.store, others, listing);
            (self.pool, self.pool_questions) = (Some(pool), questions);
        }
    }

    /// Requests the next pages, as many as the page sizer allows.
    async fn request_ahead(&mut self) {
        if self.prefetch == 0 || self.rest.is_empty() {
            return;
        }
        self.start_pool();
        let members = self.pool.as_ref().map_or(1, |pool| pool.serving());
        let most = self.prefetch.min(self.page_sizer.concurrency(members));
        while self.rest.has_room(most) && self.request_page() {}
        if self.is_large() && self.may_stream && !self.store.inner.lacks_range_stream.load(Ordering::Relaxed) {
            // If the server cannot stream, the window before the stream has been on its way meanwhile.
            let (store, range, revision) = (self.store.clone(), &self.range, self.revision);
            let (keys_only, limit) = (self.options.keys_only, self.remaining.unwrap_or(0));
            self.rest.request_last(|unread| {
                let range = KeyRange { start: unread.start.clone(), end: range.end.clone() };
                let request = StreamRequest { range, revision, keys_only, limit };
                RangeRequest::Stream(RangeStream::start(&store, request), unread.start.clone())
            });
        }
        // Lets the tasks send their requests before the caller uses this page.
        tokio::task::yield_now().await;
    }

    /// Requests the next window. Returns whether there was something to request.
    fn request_page(&mut self) -> bool {
        let (store, pool, range) = (&self.store, &self.pool, &self.range);
        let (revision, keys_only, guard) = (self.revision, self.options.keys_only, &self.options.guard);
        self.rest.request(&self.page_sizer, range.end.as_deref(), self.remaining, |window| {
            let request = PageRequest {
                store: store.clone(),
                pool: pool.clone(),
                range: range.clone(),
                window,
                revision,
                keys_only,
                guard: guard.clone(),
            };
            RangeRequest::Page(PageTask(tokio::spawn(request.read())))
        })
    }
}
