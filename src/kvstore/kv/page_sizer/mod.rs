//! Estimates the end key of a page so that the page has about the wanted number of keys. Pure.

pub(crate) mod keyspace_model;

use std::collections::VecDeque;
use std::time::Duration;

use crate::kvstore::kv::page_sizer::keyspace_model::KeyspaceModel;
use crate::kvstore::types::{KeyValue, Revision};

/// Keys of the first page: few, so that large values do no harm and the first line appears at once.
const FIRST_KEYS: u64 = 100;
/// The usual size of a page.
const PAGE_BYTES: u64 = 1 << 20;
/// The largest size of a page, used if the network's round trip dominates.
const MAX_PAGE_BYTES: u64 = 4 << 20;
/// The maximum number of windows that are requested at once: while one is read by the server, one is on the network or
/// being decoded, and one waits for the caller.
const MAX_CONCURRENCY: usize = 3;
/// A page that turns out larger than planned may have this many bytes, which stays below the store's limit of 16 MiB.
const MAX_PAGE_OVERRUN_BYTES: u64 = 14 << 20;
/// Upper bound of a page: what a fast link (100 MB/s) transfers per microsecond.
const TRANSFER_BYTES_PER_US: u64 = 100;
/// Round trips up to this duration may be caused by a busy machine rather than by the network.
const LOCAL_ROUND_TRIP_US: u64 = 20_000;
/// The number of pages whose times must agree before the network counts as slow.
const MIN_SAMPLES: u32 = 3;
/// The memory of a key is at least this, whatever its length.
const MIN_KEY_BYTES: u64 = 52;
/// The maximum factor by which a page grows at a time.
const MAX_GROWTH: u64 = 8;
/// The minimum number of combinations behind the leading bytes that the keys of a page share.
const MIN_SPAN: u128 = 1 << 40;
/// The number of skipped branches from which the next branch's position is estimated.
const MAX_BRANCHES: usize = 8;
/// Keys counted per microsecond by etcd <= 3.6 (measured, benches/RESULTS.md).
const COUNTED_KEYS_PER_US: u64 = 3;
/// Microseconds to read, send and decode a key (measured).
const US_PER_KEY: u64 = 3;
/// A page that takes fewer round trips than this is too small for its network.
const MIN_ROUND_TRIPS: u32 = 10;

/// A page that was answered.
pub(crate) struct Page {
    /// The start of the page.
    pub(crate) start: Vec<u8>,
    /// The end of the page; `None` for the end of the range.
    pub(crate) end: Option<Vec<u8>>,
    /// The records returned.
    pub(crate) kvs: Vec<KeyValue>,
    /// The number of keys in the page's range.
    pub(crate) count: u64,
    /// Whether the page's range has more keys than were returned.
    pub(crate) more: bool,
    /// The revision at which the page was read.
    pub(crate) revision: Revision,
    /// The time from request to response.
    pub(crate) took: Duration,
    /// [`PageSizer::corrections`] when the page was planned.
    pub(crate) corrections: u64,
}

impl Page {
    /// The approximate size of the response.
    fn bytes(&self) -> u64 {
        self.kvs.iter().map(|kv| (kv.size() as u64).saturating_add(32).max(MIN_KEY_BYTES)).fold(0, u64::saturating_add)
    }
}

/// Estimates where a page of the wanted size ends.
///
/// The keys of a page are read as numbers whose digits are the bytes that occur at each position. The numbers' distance
/// per key, times the wanted keys, is the width of the next page.
#[derive(Debug)]
pub(crate) struct PageSizer {
    /// Wanted keys per page.
    keys: u64,
    /// Wanted bytes per page.
    bytes: u64,
    /// The upper bound of `bytes`.
    max_bytes: u64,
    /// The maximum number of keys per request.
    max_keys: u64,
    model: KeyspaceModel,
    /// The number of leading bytes before those that form the number.
    skip: usize,
    /// The width of a page; `None` until two different keys were read.
    step: Option<u128>,
    /// The number of consecutive empty pages.
    empty: u32,
    /// The shortest time of a page without counting and transfer: about the network's round trip.
    min_round_trip: Duration,
    /// The number of pages measured for it.
    samples: u32,
    /// The maximum number of keys up to the end of the range; `None` before the first page.
    remaining: Option<u64>,
    /// Budget of keys that etcd may count without returning them: the size of the range.
    credit: u64,
    /// The number of consecutive pages that had about the wanted number of keys.
    fitting: usize,
    /// How often the width was corrected because a page was empty.
    corrections: u64,
    /// The last key read.
    last: Vec<u8>,
    /// The last two keys with empty pages between them.
    gap: Option<(Vec<u8>, Vec<u8>)>,
    /// The last skipped branches.
    branches: VecDeque<Vec<u8>>,
}

impl PageSizer {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self {
            keys: limit.map_or(FIRST_KEYS, |limit| limit.min(FIRST_KEYS)),
            bytes: PAGE_BYTES,
            max_bytes: MAX_PAGE_BYTES,
            max_keys: FIRST_KEYS * 2,
            model: KeyspaceModel::default(),
            skip: 0,
            step: None,
            empty: 0,
            min_round_trip: Duration::MAX,
            samples: 0,
            remaining: None,
            credit: 0,
            fitting: 0,
            corrections: 0,
            last: Vec::new(),
            gap: None,
            branches: VecDeque::new(),
        }
    }

    /// Pages do not grow with the network's round trip.
    pub(crate) fn keep_small(&mut self) {
        self.max_bytes = PAGE_BYTES;
    }

    /// Twice the wanted keys if there is room, so that a page with somewhat more keys needs one request.
    pub(crate) fn limit(&self) -> u64 {
        self.keys.saturating_mul(2).min(self.max_keys)
    }

    /// The number of keys that a page is planned for.
    pub(crate) fn wanted(&self) -> u64 {
        self.keys
    }

    /// The maximum number of keys up to the end of the range; `None` before the first page.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// How often the width was corrected because a page was empty.
    pub(crate) fn corrections(&self) -> u64 {
        self.corrections
    }

    /// The number of windows that may be requested at once from this number of members: one until the guesses prove right,
    /// because a window that was planned earlier repeats the mistake of the one before it.
    pub(crate) fn concurrency(&self, members: usize) -> usize {
        self.fitting.saturating_add(1).min(MAX_CONCURRENCY.max(members.saturating_add(1)))
    }

    /// The estimated end of a page that starts at `start`, in a part of the range that ends at `end` (`None`: with the
    /// range) and has at most `left` keys.
    pub(crate) fn end(&self, start: &[u8], end: Option<&[u8]>, left: Option<u64>) -> Option<Vec<u8>> {
        let to_the_end =
            left.is_some_and(|left| left <= self.limit() || (end.is_none() && self.can_afford_counting(left)));
        let guess = if to_the_end { None } else { self.step };
        let guess = guess.and_then(|step| self.model.key_after(start, self.skip, step));
        guess.filter(|guess| end.is_none_or(|end| guess.as_slice() < end)).or_else(|| end.map(<[u8]>::to_vec))
    }

    pub(crate) fn learn(&mut self, page: &Page) {
        let got = page.kvs.len() as u64;
        let counting = page.count.div_euclid(COUNTED_KEYS_PER_US);
        let sending = got.saturating_mul(US_PER_KEY).saturating_add(page.bytes().div_euclid(TRANSFER_BYTES_PER_US));
        let work = Duration::from_micros(counting.saturating_add(sending));
        // No page takes less than a round trip, even if the work is overestimated.
        let trip = if work.saturating_mul(2) <= page.took { page.took.saturating_sub(work) } else { page.took };
        self.min_round_trip = self.min_round_trip.min(trip);
        self.samples = self.samples.saturating_add(1);
        let unread = if page.more { page.count.saturating_sub(got) } else { 0 };
        self.remaining = match (self.remaining, &page.end) {
            (Some(left), Some(_)) => Some(left.saturating_sub(got)),
            (Some(_), None) => {
                self.credit = self.credit.saturating_sub(page.count);
                Some(unread)
            }
            (None, _) => {
                self.credit = page.count;
                Some(unread)
            }
        };
        let (Some(first), Some(last)) = (page.kvs.first(), page.kvs.last()) else {
            self.fitting = 0;
            // A page that was planned before the last correction says nothing about it.
            if page.corrections == self.corrections {
                self.widen();
            }
            return;
        };
        let fits = !page.more && got >= self.keys.div_euclid(4);
        self.fitting = if fits { self.fitting.saturating_add(1) } else { 0 };
        if self.empty > 0 {
            self.gap = Some((std::mem::take(&mut self.last), first.key.clone()));
        }
        self.last.clone_from(&last.key);
        self.empty = 0;
        self.size(page);
        // What follows a page that was cut is like its end rather than like its start.
        let skipped = if page.more { page.kvs.len().div_euclid(4).saturating_mul(3) } else { 0 };
        let tail = page.kvs.get(skipped..).unwrap_or_default();
        let from: &[u8] = match tail.first() {
            Some(first) if tail.len() > 1 => &first.key,
            _ => &page.start,
        };
        self.model.learn(page.kvs.iter().map(|kv| kv.key.as_slice()));
        let common = from.iter().zip(&last.key).take_while(|(a, b)| a == b).count();
        self.skip = self.model.earlier_start(common, MIN_SPAN);
        let steps = tail.len().saturating_sub(1).max(1) as u128;
        let mut each = self.model.width(from, &last.key, self.skip).div_euclid(steps);
        if let Some(end) = &page.end {
            // The page's range has more keys than were returned: they may be denser than those returned.
            let rest = self.model.width(&last.key, end, self.skip).checked_div(u128::from(unread));
            each = each.min(rest.unwrap_or(each));
        }
        self.step = Some(each.max(1).saturating_mul(u128::from(self.keys)));
    }

    /// Sets the size of the next page.
    fn size(&mut self, page: &Page) {
        let (got, bytes) = (page.kvs.len() as u64, page.bytes());
        let for_round_trip = self
            .round_trip_us()
            .saturating_sub(LOCAL_ROUND_TRIP_US)
            .saturating_mul(TRANSFER_BYTES_PER_US * u64::from(MIN_ROUND_TRIPS));
        let for_round_trip = if self.samples < MIN_SAMPLES { 0 } else { for_round_trip };
        let most = for_round_trip.clamp(PAGE_BYTES, self.max_bytes);
        let (trips, took) =
            (self.min_round_trip.saturating_mul(MIN_ROUND_TRIPS).as_micros(), page.took.as_micros().max(1));
        let growth = u64::try_from(trips.div_euclid(took)).unwrap_or(MAX_GROWTH).clamp(1, MAX_GROWTH);
        self.bytes = self.bytes.max(bytes.saturating_mul(growth)).min(most);
        let keys_in = |room: u64| room.saturating_mul(got).div_euclid(bytes.max(1)).max(1);
        self.keys = keys_in(self.bytes).min(self.keys.saturating_mul(MAX_GROWTH));
        self.max_keys = keys_in(MAX_PAGE_OVERRUN_BYTES);
    }

    /// The network's round trip in microseconds; 0 if unknown.
    fn round_trip_us(&self) -> u64 {
        u64::try_from(self.min_round_trip.as_micros()).ok().filter(|_| self.min_round_trip < Duration::MAX).unwrap_or(0)
    }

    /// After empty pages: whether counting all remaining keys takes etcd no longer than further empty pages.
    fn can_afford_counting(&self, left: u64) -> bool {
        let worth =
            self.round_trip_us().saturating_mul(COUNTED_KEYS_PER_US).saturating_mul(4u64.saturating_pow(self.empty));
        self.empty > 0 && left <= worth && left <= self.credit
    }

    /// After a skipped branch: ends the next page behind the next branch, estimated from the distance of the last ones,
    /// but not much further, because etcd counts every key of a page.
    pub(crate) fn skip_branch(&mut self, branch: &[u8]) {
        if self.branches.len() == MAX_BRANCHES {
            self.branches.pop_front();
        }
        self.branches.push_back(branch.to_vec());
        let last = branch.len().saturating_sub(2);
        let oldest = self.branches.front().map_or(branch, Vec::as_slice);
        let common = oldest.iter().zip(branch).take_while(|(a, b)| a == b).count();
        self.skip = self.model.earlier_start(common.min(last), MIN_SPAN);
        let pairs = self.branches.iter().zip(self.branches.iter().skip(1));
        let mut gaps: Vec<u128> = pairs.map(|(a, b)| self.model.width(a, b, self.skip)).collect();
        gaps.sort_unstable();
        self.step = Some(match gaps.get(gaps.len() / 2) {
            Some(gap) => gap.div_euclid(2).saturating_mul(3),
            None => self.model.unit(self.skip, last.saturating_add(1)),
        });
        self.step = self.step.map(|step| step.max(1));
        self.keys = self.keys.min(FIRST_KEYS);
        self.empty = 0;
    }

    /// Widens the page after an empty one, each time by a larger factor.
    fn widen(&mut self) {
        self.empty = self.empty.saturating_add(1);
        self.corrections = self.corrections.saturating_add(1);
        let Some(step) = self.step else { return };
        if let (1, Some((from, to))) = (self.empty, &self.gap) {
            let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            let skip = self.model.earlier_start(common, MIN_SPAN);
            let gap = self.model.width(from, to, skip);
            if skip <= self.skip && gap > self.model.restart_at(self.skip, skip, step).1 {
                (self.skip, self.step) = (skip, Some(gap));
                return;
            }
        }
        let (skip, step) = self.model.widened(self.skip, step, 2u128.saturating_pow(self.empty.saturating_add(1)));
        (self.skip, self.step) = (skip, Some(step));
    }
}

#[cfg(test)]
mod tests;
