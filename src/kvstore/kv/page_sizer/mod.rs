//! Guessing where a window of keys ends, so that it holds about as many as are wanted. Pure: no I/O.

pub(crate) mod keyspace_model;

use std::collections::VecDeque;
use std::time::Duration;

use crate::kvstore::kv::page_sizer::keyspace_model::KeyspaceModel;

use crate::kvstore::types::{KeyValue, Revision};

/// The first page: small, so that large values do no harm and the first line comes at once.
const FIRST_KEYS: u64 = 100;
/// A page is steered towards this many bytes …
const PAGE_BYTES: u64 = 1 << 20;
/// … and, where the network's round trip dominates, up to this many …
const MAX_PAGE_BYTES: u64 = 10 << 20;
/// A page that turns out larger has room for this much.
const MAX_PAGE_OVERRUN_BYTES: u64 = 14 << 20;
/// … but no more than a fast line carries in so many of them …
const TRANSFER_BYTES_PER_US: u64 = 100;
/// … and a page that took no longer than this, in microseconds, may have waited for a busy machine.
const LOCAL_ROUND_TRIP_US: u64 = 20_000;
/// So many pages must have taken longer, for the same reason.
const MIN_SAMPLES: u32 = 3;
/// A key takes at least so much memory, whatever its length.
const MIN_KEY_BYTES: u64 = 52;
/// A page's size grows by no more than this at a time.
const MAX_GROWTH: u64 = 8;
/// So many numbers at least can be counted up before the leading bytes change that the keys of a page have in common.
const MIN_SPAN: u128 = 1 << 40;
/// From so many branches that were left out it is guessed where the next one begins.
const MAX_BRANCHES: usize = 8;
/// So many keys does etcd count in a microsecond, up to 3.6.
const COUNTED_KEYS_PER_US: u64 = 3;
/// So many microseconds does it take to read, send and decode a key.
const US_PER_KEY: u64 = 3;
/// A page that takes less than this many round trips is too small for its network.
const MIN_ROUND_TRIPS: u32 = 10;

/// One answered window.
pub(crate) struct Page {
    /// Where the window began.
    pub(crate) start: Vec<u8>,
    /// Where it ended, if it was not the whole rest of the range.
    pub(crate) end: Option<Vec<u8>>,
    /// What came back.
    pub(crate) kvs: Vec<KeyValue>,
    /// How many keys it holds.
    pub(crate) count: u64,
    /// Whether it holds more than came back.
    pub(crate) more: bool,
    /// The revision it was read at.
    pub(crate) revision: Revision,
    /// From asking to the answer.
    pub(crate) took: Duration,
}

impl Page {
    /// About how many bytes the answer has.
    fn bytes(&self) -> u64 {
        self.kvs.iter().map(|kv| (kv.size() as u64 + 32).max(MIN_KEY_BYTES)).sum()
    }
}

/// Guesses where a window of the wanted size ends.
///
/// The keys of a page are read as numbers whose digits are the bytes that occur at each place: their distance for each
/// key, times the keys wanted, is the width of the next window.
#[derive(Debug)]
pub(crate) struct PageSizer {
    /// Keys wanted in a page.
    keys: u64,
    /// Bytes wanted in a page.
    bytes: u64,
    /// No more bytes are wanted in a page, however for_round_trip away the server is.
    max_bytes: u64,
    /// More keys than this are never asked for at once.
    max_keys: u64,
    model: KeyspaceModel,
    /// How many leading bytes of a key stand before those that are read as a number.
    skip: usize,
    /// The width of a window; `None` before two different keys were seen.
    step: Option<u128>,
    /// How many windows in a row were empty.
    empty: u32,
    /// The shortest time a page took, but for the counting and the bytes: about the network's round trip.
    min_round_trip: Duration,
    /// How many pages that is taken from.
    samples: u32,
    /// How many keys there are to the end of the range, at most; `None` before the first page.
    remaining: Option<u64>,
    /// How many keys etcd may be made to count in vain: as many as there are.
    credit: u64,
    /// The end of the last window and how many keys it holds that did not come back, where there are such.
    rest: Option<(Vec<u8>, u64)>,
    /// The last key read, and the last two keys between which there were empty windows.
    last: Vec<u8>,
    gap: Option<(Vec<u8>, Vec<u8>)>,
    /// The last branches that were left out.
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
            rest: None,
            last: Vec::new(),
            gap: None,
            branches: VecDeque::new(),
        }
    }

    /// Pages do not grow with the network's round trip.
    pub(crate) fn keep_small(&mut self) {
        self.max_bytes = PAGE_BYTES;
    }

    /// Twice what is wanted where there is room for it, so that a window that holds somewhat more is read in one go.
    pub(crate) fn limit(&self) -> u64 {
        (self.keys * 2).min(self.max_keys)
    }

    /// The guessed end of a window from `start` on; `None` for "the end of the range".
    pub(crate) fn end(&self, start: &[u8]) -> Option<Vec<u8>> {
        if self.remaining.is_some_and(|left| left <= self.limit() || self.can_afford_counting(left)) {
            return None;
        }
        if let Some((end, keys)) = &self.rest
            && *keys <= self.limit()
            && end.as_slice() > start
        {
            return Some(end.clone());
        }
        self.model.key_after(start, self.skip, self.step?)
    }

    pub(crate) fn learn(&mut self, page: &Page) {
        let got = page.kvs.len() as u64;
        let work = page.count / COUNTED_KEYS_PER_US + got * US_PER_KEY + page.bytes() / TRANSFER_BYTES_PER_US;
        let work = Duration::from_micros(work);
        // No page comes in less than a round trip, however wrong the guess at the work is.
        let trip = if work <= page.took / 2 { page.took - work } else { page.took };
        self.min_round_trip = self.min_round_trip.min(trip);
        self.samples += 1;
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
        self.rest = page.end.clone().filter(|_| unread > 0).map(|end| (end, unread));
        let (Some(first), Some(last)) = (page.kvs.first(), page.kvs.last()) else {
            self.widen();
            return;
        };
        if self.empty > 0 {
            self.gap = Some((std::mem::take(&mut self.last), first.key.clone()));
        }
        self.last.clone_from(&last.key);
        self.empty = 0;
        self.size(page);
        let from: &[u8] = if got > 1 { &first.key } else { &page.start };
        self.model.learn(page.kvs.iter().map(|kv| kv.key.as_slice()));
        let common = from.iter().zip(&last.key).take_while(|(a, b)| a == b).count();
        self.skip = self.model.earlier_start(common, MIN_SPAN);
        let mut each = self.model.width(from, &last.key, self.skip) / u128::from(got.saturating_sub(1).max(1));
        if let Some((end, keys)) = &self.rest {
            // The window held more than came back: what lies behind the last key may be denser than the page.
            each = each.min(self.model.width(&last.key, end, self.skip) / u128::from(*keys));
        }
        self.step = Some(each.max(1).saturating_mul(u128::from(self.keys)));
    }

    /// How large the next page is to be.
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
        let growth = u64::try_from(trips / took).unwrap_or(MAX_GROWTH).clamp(1, MAX_GROWTH);
        self.bytes = self.bytes.max(bytes * growth).min(most);
        let fits = (self.bytes * got / bytes.max(1)).max(1);
        self.keys = fits.min(self.keys.saturating_mul(MAX_GROWTH));
        self.max_keys = (MAX_PAGE_OVERRUN_BYTES * got / bytes.max(1)).max(1);
    }

    /// The network's round trip in microseconds; 0 where it is not known.
    fn round_trip_us(&self) -> u64 {
        u64::try_from(self.min_round_trip.as_micros()).ok().filter(|_| self.min_round_trip < Duration::MAX).unwrap_or(0)
    }

    /// Behind empty windows: whether counting all the keys that are left takes etcd no longer than what it saves.
    fn can_afford_counting(&self, left: u64) -> bool {
        let worth =
            self.round_trip_us().saturating_mul(COUNTED_KEYS_PER_US).saturating_mul(4u64.saturating_pow(self.empty));
        self.empty > 0 && left <= worth && left <= self.credit
    }

    /// Behind a branch that is left out: the next window takes in the next branch, as for_round_trip away as the last ones were
    /// from each other, and not many more, for etcd counts every key of a window.
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
            Some(gap) => gap / 2 * 3,
            None => self.model.unit(self.skip, last + 1),
        });
        self.step = self.step.map(|step| step.max(1));
        self.keys = self.keys.min(FIRST_KEYS);
        self.empty = 0;
        self.rest = None;
    }

    /// Behind an empty window the next one is wider, each time by more.
    fn widen(&mut self) {
        self.empty += 1;
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
        let (skip, step) = self.model.widened(self.skip, step, 2u128.saturating_pow(self.empty + 1));
        (self.skip, self.step) = (skip, Some(step));
    }
}

#[cfg(test)]
mod tests;
