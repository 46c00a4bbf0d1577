//! Guessing where a window of keys ends, so that it holds about as many as are wanted. Pure: no I/O.

use std::time::Duration;

use super::{KeyValue, Revision};

/// The first page: small, so that large values do no harm and the first line comes at once.
const FIRST_KEYS: u64 = 100;
/// A page is steered towards this many bytes …
const PAGE_BYTES: u64 = 1 << 20;
/// … and, where the network's round trip dominates, up to this many …
const MAX_PAGE_BYTES: u64 = 12 << 20;
/// … but no more than fast lines carry in a millisecond, for each millisecond of [`ROUND_TRIPS`].
const BYTES_PER_MS: u64 = 96 << 10;
/// A key takes at least so much memory, whatever its length.
const KEY_BYTES: u64 = 52;
/// A page's size grows by no more than this at a time.
const GROWTH: u64 = 8;
/// Of the bytes that the keys of a page have in common, so many are part of the number, for the carry.
const KEPT: usize = 3;
/// A page that takes less than this many round trips is too small for its network.
const ROUND_TRIPS: u32 = 10;

/// One answered window.
pub(super) struct Page {
    /// Where the window began.
    pub(super) start: Vec<u8>,
    /// Where it ended, if it was not the whole rest of the range.
    pub(super) end: Option<Vec<u8>>,
    /// What came back.
    pub(super) kvs: Vec<KeyValue>,
    /// How many keys it holds.
    pub(super) count: u64,
    /// Whether it holds more than came back.
    pub(super) more: bool,
    /// The revision it was read at.
    pub(super) revision: Revision,
    /// From asking to the answer.
    pub(super) took: Duration,
}

/// Guesses where a window of the wanted size ends.
///
/// The keys of a page, cut to sixteen bytes around where they begin to differ, are read as numbers: their distance
/// for each key, times the keys wanted, is the width of the next window.
#[derive(Debug)]
pub(super) struct Steering {
    /// Keys wanted in a page.
    keys: u64,
    /// Bytes wanted in a page.
    bytes: u64,
    /// How many leading bytes of a key stand before the sixteen that are read as a number.
    skip: usize,
    /// The width of a window; `None` before two different keys were seen.
    step: Option<u128>,
    /// How many windows in a row were empty.
    empty: u32,
    /// The shortest time a page took: about the network's round trip.
    fastest: Duration,
    /// How many keys there are to the end of the range, at most; `None` before the first page.
    left: Option<u64>,
    /// The end of the last window and how many keys it holds that did not come back, where there are such.
    rest: Option<(Vec<u8>, u64)>,
}

impl Steering {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self {
            keys: limit.map_or(FIRST_KEYS, |limit| limit.min(FIRST_KEYS)),
            bytes: PAGE_BYTES,
            skip: 0,
            step: None,
            empty: 0,
            fastest: Duration::MAX,
            left: None,
            rest: None,
        }
    }

    /// Twice what is wanted, so that a window that holds somewhat more is read in one go.
    pub(super) fn limit(&self) -> u64 {
        self.keys * 2
    }

    /// The guessed end of a window from `start` on; `None` for "the end of the range".
    pub(super) fn end(&self, start: &[u8]) -> Option<Vec<u8>> {
        if self.left.is_some_and(|left| left <= self.limit()) {
            return None;
        }
        if let Some((end, keys)) = &self.rest
            && *keys <= self.limit()
        {
            return Some(end.clone());
        }
        let mut skip = self.skip.min(start.len());
        let mut step = coarser(self.step?, self.skip - skip);
        loop {
            if let Some(end) = number(start, skip).checked_add(step) {
                return Some(key_of(&start[..skip], end));
            }
            // The window leaves the keys that share these leading bytes.
            let up = skip.min(KEPT);
            if up == 0 {
                return None;
            }
            (skip, step) = (skip - up, coarser(step, up));
        }
    }

    pub(super) fn learn(&mut self, page: &Page) {
        self.fastest = self.fastest.min(page.took);
        let got = page.kvs.len() as u64;
        let unread = if page.more { page.count.saturating_sub(got) } else { 0 };
        self.left = match (self.left, &page.end) {
            (Some(left), Some(_)) => Some(left.saturating_sub(got)),
            _ => Some(unread),
        };
        self.rest = page.end.clone().filter(|_| unread > 0).map(|end| (end, unread));
        let (Some(first), Some(last)) = (page.kvs.first(), page.kvs.last()) else {
            self.widen();
            return;
        };
        self.empty = 0;
        self.size(page);
        let from: &[u8] = if got > 1 { &first.key } else { &page.start };
        let common = from.iter().zip(&last.key).take_while(|(a, b)| a == b).count();
        self.skip = common.saturating_sub(KEPT);
        let width = |from: &[u8], to: &[u8]| number(to, self.skip).saturating_sub(number(from, self.skip));
        let mut each = width(from, &last.key) / u128::from(got.saturating_sub(1).max(1));
        if let (true, Some(end)) = (page.more, &page.end) {
            // The window held more than came back: what lies behind the last key is denser than the page.
            let head = |key: &[u8]| key.get(..self.skip) == last.key.get(..self.skip);
            if head(end) && head(&page.start) {
                each = each.min(width(&page.start, end) / u128::from(page.count.max(1)));
            }
        }
        self.step = Some(each.max(1).saturating_mul(u128::from(self.keys)));
    }

    /// How large the next page is to be.
    fn size(&mut self, page: &Page) {
        let got = page.kvs.len() as u64;
        let bytes: u64 = page.kvs.iter().map(|kv| (kv.size() as u64 + 32).max(KEY_BYTES)).sum();
        let far = u64::try_from(self.fastest.as_millis()).unwrap_or(u64::MAX);
        let most = far.saturating_mul(BYTES_PER_MS * u64::from(ROUND_TRIPS)).clamp(PAGE_BYTES, MAX_PAGE_BYTES);
        let (trips, took) = (self.fastest.saturating_mul(ROUND_TRIPS).as_micros(), page.took.as_micros().max(1));
        let growth = u64::try_from(trips / took).unwrap_or(GROWTH).clamp(1, GROWTH);
        self.bytes = self.bytes.max(bytes * growth).min(most);
        let fits = (self.bytes * got / bytes.max(1)).max(1);
        self.keys = fits.min(self.keys.saturating_mul(GROWTH));
    }

    /// Behind a branch that is left out: the next window takes in the branch whose name is the next one by its last
    /// byte, and no more, for etcd counts every key of a window.
    pub(super) fn step_over(&mut self, branch: &[u8]) {
        let last = branch.len().saturating_sub(2);
        self.skip = last.saturating_sub(KEPT);
        self.step = Some(1 << (8 * (15 - (last - self.skip))));
        self.keys = self.keys.min(FIRST_KEYS);
        self.empty = 0;
        self.rest = None;
    }

    /// Behind an empty window the next one is wider, each time by more.
    fn widen(&mut self) {
        self.empty += 1;
        let factor = 2u128.saturating_pow(self.empty + 1);
        let Some(step) = self.step else { return };
        self.step = Some(step.checked_mul(factor).unwrap_or_else(|| {
            let up = self.skip.min(KEPT);
            self.skip -= up;
            coarser(step, up).saturating_mul(factor)
        }));
    }
}

/// The same width where the number begins so many bytes earlier.
fn coarser(step: u128, bytes: usize) -> u128 {
    u32::try_from(bytes * 8).ok().and_then(|bits| step.checked_shr(bits)).unwrap_or(0).max(1)
}

/// Sixteen bytes behind `skip`, as a number; bytes that are not there count as zero.
fn number(key: &[u8], skip: usize) -> u128 {
    let mut bytes = [0u8; 16];
    let tail = key.get(skip..).unwrap_or_default();
    let len = tail.len().min(16);
    bytes[..len].copy_from_slice(&tail[..len]);
    u128::from_be_bytes(bytes)
}

/// The shortest key with this head whose next sixteen bytes read as the number.
fn key_of(head: &[u8], number: u128) -> Vec<u8> {
    let mut key = [head, &number.to_be_bytes()].concat();
    while key.len() > head.len() && key.last() == Some(&0) {
        key.pop();
    }
    key
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::range::successor;
    use super::*;

    /// Walks a set of keys the way the reader does, with the store played by the set: what etcd answers to a limited
    /// range is plain arithmetic.
    fn walk(keys: &BTreeSet<Vec<u8>>) -> (Vec<Vec<u8>>, usize) {
        let mut steering = Steering::new(None);
        let (mut start, mut seen, mut asked) = (Vec::new(), Vec::new(), 0);
        loop {
            asked += 1;
            let end = steering.end(&start);
            if let Some(end) = &end {
                assert!(*end > start, "a window must not be empty by itself");
            }
            let limit = steering.limit();
            let window = keys.range(start.clone()..).take_while(|key| end.as_ref().is_none_or(|end| *key < end));
            let all: Vec<_> = window.cloned().collect();
            let kvs = all.iter().take(limit as usize);
            let page = Page {
                start: start.clone(),
                end: end.clone(),
                kvs: kvs.map(|key| KeyValue { key: key.clone(), value: vec![0; 200], ..KeyValue::default() }).collect(),
                count: all.len() as u64,
                more: all.len() as u64 > limit,
                revision: 1,
                took: Duration::from_millis(50),
            };
            steering.learn(&page);
            seen.extend(page.kvs.iter().map(|kv| kv.key.clone()));
            start = match (page.more, page.kvs.last(), page.end) {
                (true, Some(last), _) => successor(&last.key),
                (_, _, Some(end)) => end,
                _ => return (seen, asked),
            };
        }
    }

    fn check(keys: impl IntoIterator<Item = String>) -> usize {
        let keys: BTreeSet<Vec<u8>> = keys.into_iter().map(String::into_bytes).collect();
        let (seen, asked) = walk(&keys);
        assert!(seen.iter().eq(keys.iter()), "every key once and in order");
        asked
    }

    #[test]
    fn few_requests_for_the_shapes_that_keys_have() {
        // 100 000 keys of about 230 bytes are some 22 pages of 1 MiB.
        assert!(check((0..100_000).map(|n| format!("/registry/pods/{n:010}"))) < 120);
        assert!(check((0..100_000).map(|n| format!("/registry/pods/{n}"))) < 200);
        let mix = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert!(check((0..100_000).map(|n| format!("/ids/{:016x}", mix(n)))) < 200);
        assert!(check((0..100_000u64).map(|n| format!("/{:02}/{:04}/{:x}/leaf", n % 7, n % 977, mix(n)))) < 1500);
    }

    #[test]
    fn clusters_far_apart() {
        let far = (0..20_000).map(|n| format!("/a/very/long/common/prefix/{n:06}"));
        let near = (0..20_000).map(|n| format!("/z/{n:06}"));
        assert!(check(far.chain(near)) < 150);
    }

    proptest! {
        #[test]
        fn every_key_once_whatever_the_guess(
            keys in proptest::collection::btree_set(
                proptest::collection::vec(prop_oneof![Just(0u8), Just(0xff), Just(b'a'), any::<u8>()], 1..24),
                0..1500,
            )
        ) {
            let (seen, _) = walk(&keys);
            prop_assert!(seen.iter().eq(keys.iter()));
        }
    }
}
