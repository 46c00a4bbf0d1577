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
const ROOM: u64 = 14 << 20;
/// … but no more than a fast line carries in so many of them …
const BYTES_PER_US: u64 = 100;
/// … and a page that took no longer than this, in microseconds, may have waited for a busy machine.
const NEAR_US: u64 = 20_000;
/// So many pages must have taken longer, for the same reason.
const TIMED: u32 = 3;
/// A key takes at least so much memory, whatever its length.
const KEY_BYTES: u64 = 52;
/// A page's size grows by no more than this at a time.
const GROWTH: u64 = 8;
/// So many numbers at least can be counted up before the leading bytes change that the keys of a page have in common.
const CARRY: u128 = 1 << 40;
/// From so many branches that were left out it is guessed where the next one begins.
const BRANCHES: usize = 8;
/// So many keys does etcd count in a microsecond, up to 3.6.
const COUNTED_PER_US: u64 = 3;
/// So many microseconds does it take to read, send and decode a key.
const US_A_KEY: u64 = 3;
/// A page that takes less than this many round trips is too small for its network.
const ROUND_TRIPS: u32 = 10;

/// One answered window.
pub(crate) struct AnsweredWindow {
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

impl AnsweredWindow {
    /// About how many bytes the answer has.
    fn bytes(&self) -> u64 {
        self.kvs.iter().map(|kv| (kv.size() as u64 + 32).max(KEY_BYTES)).sum()
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
    /// No more bytes are wanted in a page, however far away the server is.
    largest: u64,
    /// More keys than this are never asked for at once.
    most: u64,
    scale: KeyspaceModel,
    /// How many leading bytes of a key stand before those that are read as a number.
    skip: usize,
    /// The width of a window; `None` before two different keys were seen.
    step: Option<u128>,
    /// How many windows in a row were empty.
    empty: u32,
    /// The shortest time a page took, but for the counting and the bytes: about the network's round trip.
    fastest: Duration,
    /// How many pages that is taken from.
    timed: u32,
    /// How many keys there are to the end of the range, at most; `None` before the first page.
    left: Option<u64>,
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
            largest: MAX_PAGE_BYTES,
            most: FIRST_KEYS * 2,
            scale: KeyspaceModel::default(),
            skip: 0,
            step: None,
            empty: 0,
            fastest: Duration::MAX,
            timed: 0,
            left: None,
            credit: 0,
            rest: None,
            last: Vec::new(),
            gap: None,
            branches: VecDeque::new(),
        }
    }

    /// Pages do not grow with the network's round trip.
    pub(crate) fn keep_small(&mut self) {
        self.largest = PAGE_BYTES;
    }

    /// Twice what is wanted where there is room for it, so that a window that holds somewhat more is read in one go.
    pub(crate) fn limit(&self) -> u64 {
        (self.keys * 2).min(self.most)
    }

    /// The guessed end of a window from `start` on; `None` for "the end of the range".
    pub(crate) fn end(&self, start: &[u8]) -> Option<Vec<u8>> {
        if self.left.is_some_and(|left| left <= self.limit() || self.affords(left)) {
            return None;
        }
        if let Some((end, keys)) = &self.rest
            && *keys <= self.limit()
            && end.as_slice() > start
        {
            return Some(end.clone());
        }
        self.scale.beyond(start, self.skip, self.step?)
    }

    pub(crate) fn learn(&mut self, page: &AnsweredWindow) {
        let got = page.kvs.len() as u64;
        let work = page.count / COUNTED_PER_US + got * US_A_KEY + page.bytes() / BYTES_PER_US;
        let work = Duration::from_micros(work);
        // No page comes in less than a round trip, however wrong the guess at the work is.
        let trip = if work <= page.took / 2 { page.took - work } else { page.took };
        self.fastest = self.fastest.min(trip);
        self.timed += 1;
        let unread = if page.more { page.count.saturating_sub(got) } else { 0 };
        self.left = match (self.left, &page.end) {
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
        self.scale.learn(page.kvs.iter().map(|kv| kv.key.as_slice()));
        let common = from.iter().zip(&last.key).take_while(|(a, b)| a == b).count();
        self.skip = self.scale.up(common, CARRY);
        let mut each = self.scale.width(from, &last.key, self.skip) / u128::from(got.saturating_sub(1).max(1));
        if let Some((end, keys)) = &self.rest {
            // The window held more than came back: what lies behind the last key may be denser than the page.
            each = each.min(self.scale.width(&last.key, end, self.skip) / u128::from(*keys));
        }
        self.step = Some(each.max(1).saturating_mul(u128::from(self.keys)));
    }

    /// How large the next page is to be.
    fn size(&mut self, page: &AnsweredWindow) {
        let (got, bytes) = (page.kvs.len() as u64, page.bytes());
        let far = self.trip().saturating_sub(NEAR_US).saturating_mul(BYTES_PER_US * u64::from(ROUND_TRIPS));
        let far = if self.timed < TIMED { 0 } else { far };
        let most = far.clamp(PAGE_BYTES, self.largest);
        let (trips, took) = (self.fastest.saturating_mul(ROUND_TRIPS).as_micros(), page.took.as_micros().max(1));
        let growth = u64::try_from(trips / took).unwrap_or(GROWTH).clamp(1, GROWTH);
        self.bytes = self.bytes.max(bytes * growth).min(most);
        let fits = (self.bytes * got / bytes.max(1)).max(1);
        self.keys = fits.min(self.keys.saturating_mul(GROWTH));
        self.most = (ROOM * got / bytes.max(1)).max(1);
    }

    /// The network's round trip in microseconds; 0 where it is not known.
    fn trip(&self) -> u64 {
        u64::try_from(self.fastest.as_micros()).ok().filter(|_| self.fastest < Duration::MAX).unwrap_or(0)
    }

    /// Behind empty windows: whether counting all the keys that are left takes etcd no longer than what it saves.
    fn affords(&self, left: u64) -> bool {
        let worth = self.trip().saturating_mul(COUNTED_PER_US).saturating_mul(4u64.saturating_pow(self.empty));
        self.empty > 0 && left <= worth && left <= self.credit
    }

    /// Behind a branch that is left out: the next window takes in the next branch, as far away as the last ones were
    /// from each other, and not many more, for etcd counts every key of a window.
    pub(crate) fn step_over(&mut self, branch: &[u8]) {
        if self.branches.len() == BRANCHES {
            self.branches.pop_front();
        }
        self.branches.push_back(branch.to_vec());
        let last = branch.len().saturating_sub(2);
        let oldest = self.branches.front().map_or(branch, Vec::as_slice);
        let common = oldest.iter().zip(branch).take_while(|(a, b)| a == b).count();
        self.skip = self.scale.up(common.min(last), CARRY);
        let pairs = self.branches.iter().zip(self.branches.iter().skip(1));
        let mut gaps: Vec<u128> = pairs.map(|(a, b)| self.scale.width(a, b, self.skip)).collect();
        gaps.sort_unstable();
        self.step = Some(match gaps.get(gaps.len() / 2) {
            Some(gap) => gap / 2 * 3,
            None => self.scale.unit(self.skip, last + 1),
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
            let skip = self.scale.up(common, CARRY);
            let gap = self.scale.width(from, to, skip);
            if skip <= self.skip && gap > self.scale.rise(self.skip, skip, step).1 {
                (self.skip, self.step) = (skip, Some(gap));
                return;
            }
        }
        let (skip, step) = self.scale.widened(self.skip, step, 2u128.saturating_pow(self.empty + 1));
        (self.skip, self.step) = (skip, Some(step));
    }
}

#[cfg(test)]
mod tests;
