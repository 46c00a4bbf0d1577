use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::kvstore::key_range::prefix_end;
use crate::kvstore::kv::window_queue::{Front, Window, WindowQueue};

const NEAR: Duration = Duration::from_micros(700);
const FAR: Duration = Duration::from_millis(50);
/// How long a busy machine keeps an answer.
const BUSY: Duration = Duration::from_millis(150);
const VALUE: usize = 256;

type Keys = BTreeSet<Vec<u8>>;

/// What a reading cost.
#[derive(Debug, Default)]
struct Cost {
    requests: u64,
    /// Requests that no other one was sent ahead of.
    alone: u64,
    /// Keys that etcd visits to answer, those that it sends among them.
    counted: u64,
    /// The most bytes of an answer.
    largest: u64,
}

/// A set of keys that plays the store: what etcd answers to a limited range is plain arithmetic.
struct Played {
    keys: Vec<Vec<u8>>,
    trip: Duration,
    value: usize,
    /// Every Nth answer waits for a busy machine.
    busy: u64,
    cost: Cost,
}

impl Played {
    fn new(keys: &Keys, trip: Duration, value: usize) -> Self {
        Self { keys: keys.iter().cloned().collect(), trip, value, busy: u64::MAX, cost: Cost::default() }
    }

    /// Answers a request.
    fn answer(&mut self, window: &Window) -> Page {
        let Window { start, end, limit, corrections } = window.clone();
        assert!(end.as_ref().is_none_or(|end| *end > start), "a window must not be empty by itself");
        let from = self.keys.partition_point(|key| *key < start);
        let to = end.as_ref().map_or(self.keys.len(), |end| self.keys.partition_point(|key| key < end));
        let count = (to - from) as u64;
        let got = count.min(limit);
        let value = |key: &Vec<u8>| KeyValue { key: key.clone(), value: vec![0; self.value], ..KeyValue::default() };
        let kvs: Vec<_> = self.keys[from..to].iter().take(got as usize).map(value).collect();
        let bytes: u64 = kvs.iter().map(|kv| kv.size() as u64).sum();
        self.cost.requests += 1;
        self.cost.counted += count;
        self.cost.largest = self.cost.largest.max(bytes);
        // Counting, and a line of 100 MB a second.
        let mut took = self.trip + Duration::from_micros(count / COUNTED_KEYS_PER_US + bytes / 100);
        if self.cost.requests.is_multiple_of(self.busy) {
            took += BUSY;
        }
        Page { start, end, kvs, count, more: count > got, revision: 1, took, corrections }
    }

    /// Requests windows the way the reader does, at most `ahead` of them at once, and returns the page of the first one and
    /// how many were requested at the same time.
    fn next(&mut self, sizer: &mut PageSizer, queue: &mut WindowQueue<Window>, ahead: usize) -> Option<(Page, usize)> {
        while queue.has_room(ahead.min(sizer.concurrency(1))) && queue.request(sizer, None, None, |window| window) {}
        let requested = queue.requested();
        match queue.take_front() {
            Front::Requested(window) => {
                let page = self.answer(&window);
                sizer.learn(&page);
                queue.continue_after(&page);
                Some((page, requested))
            }
            Front::Unread => panic!("nothing was requested"),
            Front::End => None,
        }
    }

    /// Reads it all.
    fn walk(self) -> Cost {
        self.walk_by(PageSizer::new(None))
    }

    fn walk_by(mut self, mut sizer: PageSizer) -> Cost {
        let (mut queue, mut seen) = (WindowQueue::from(Vec::new()), 0);
        while let Some((page, requested)) = self.next(&mut sizer, &mut queue, usize::MAX) {
            self.cost.alone += u64::from(requested == 1);
            let found = page.kvs.iter().map(|kv| &kv.key);
            assert!(found.eq(&self.keys[seen..seen + page.kvs.len()]), "every key once and in order");
            seen += page.kvs.len();
        }
        assert_eq!(seen, self.keys.len());
        self.cost
    }

    /// Reads on behind each branch of which it has met a whole page; `list --depth 1` below `/k/`.
    fn skip(mut self) -> Cost {
        let branch = |key: &[u8]| {
            let name = key[3..].iter().position(|byte| *byte == b'/');
            name.map(|end| key[..3 + end + 1].to_vec())
        };
        let (mut sizer, mut queue, mut met) = (PageSizer::new(None), WindowQueue::from(Vec::new()), BTreeSet::new());
        while let Some((page, _)) = self.next(&mut sizer, &mut queue, 1) {
            met.extend(page.kvs.iter().filter_map(|kv| branch(&kv.key)));
            if let (Some(first), Some(last)) = (page.kvs.first(), page.kvs.last())
                && let Some(branch) = branch(&last.key).filter(|branch| first.key.starts_with(branch))
                && !queue.is_empty()
            {
                sizer.skip_branch(&branch);
                queue = prefix_end(&branch).map_or_else(WindowQueue::empty, WindowQueue::from);
            }
        }
        assert!(met.into_iter().eq(self.keys.iter().filter_map(|key| branch(key)).collect::<BTreeSet<_>>()));
        self.cost
    }
}

/// SplitMix64.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn hash(n: u64) -> String {
    format!("{:016x}{:016x}", mix(n), mix(!n))
}

const SIXTY_FOUR: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn keys(count: u64, name: impl Fn(u64) -> Vec<u8>) -> Keys {
    (0..count).map(|n| [b"/k/".as_slice(), &name(n)].concat()).collect()
}

/// The shapes that keys have, and how many requests a listing of 50 000 of them takes at most, near and far, and how
/// many keys etcd counts for each key. Each listing has 12 to 18 MB, that is 12 to 18 pages.
fn shapes() -> Vec<(&'static str, Keys, u64, u64, u64)> {
    let of = |name: &'static str, near, far, counted, key: &dyn Fn(u64) -> Vec<u8>| {
        (name, keys(50_000, key), near, far, counted)
    };
    vec![
        of("decimal", 20, 8, 3, &|n| format!("{n:010}/{}", hash(n)).into_bytes()),
        of("counter", 28, 8, 4, &|n| n.to_string().into_bytes()),
        of("uuid", 20, 8, 3, &|n| format!("{:016x}-{:016x}", mix(n), mix(!n)).into_bytes()),
        of("binary", 20, 8, 3, &|n| [mix(n).to_be_bytes(), n.to_be_bytes()].concat()),
        of("base64", 20, 8, 3, &|n| (0..20).map(|i| SIXTY_FOUR[mix(n * 20 + i) as usize % 64]).collect()),
        of("deep", 20, 8, 3, &|n| {
            let h = mix(n);
            format!("{:x}/{:x}/{:x}/{n:x}", h & 15, (h >> 4) & 255, (h >> 12) & 15).into_bytes()
        }),
        of("skewed", 30, 11, 4, &|n| match n % 10 {
            0 => hash(n).into_bytes(),
            _ => format!("aaaa/{n:010}").into_bytes(),
        }),
        of("clusters", 32, 10, 4, &|n| format!("{}/{:06}", hash(n / 1000), n % 1000).into_bytes()),
        of("hosts", 26, 10, 4, &|n| format!("https://{}.example.com/{n}", n % 100).into_bytes()),
    ]
}

#[test]
fn few_requests_and_little_counting_for_the_shapes_that_keys_have() {
    for (name, keys, near, far, counted) in shapes() {
        for (place, trip, most) in [("near", NEAR, near), ("far", FAR, far)] {
            let cost = Played::new(&keys, trip, VALUE).walk();
            let fine = cost.requests <= most && cost.counted <= counted * keys.len() as u64;
            assert!(fine, "{name}, {place}: {cost:?}, not {most} requests");
            assert!(
                cost.largest <= if place == "near" { 2 * PAGE_BYTES } else { MAX_PAGE_OVERRUN_BYTES },
                "{name}, {place}: {cost:?}"
            );
        }
    }
}

#[test]
fn pages_that_are_to_stay_small_do_so_far_away() {
    for (name, keys, ..) in shapes() {
        let mut sizer = PageSizer::new(None);
        sizer.keep_small();
        let cost = Played::new(&keys, FAR, VALUE).walk_by(sizer);
        assert!(cost.largest <= 2 * PAGE_BYTES, "{name}: {cost:?}");
    }
}

#[test]
fn a_busy_server_is_not_taken_for_a_far_one() {
    for (name, keys, ..) in shapes() {
        for (value, busy) in [(0, 2), (0, 5), (VALUE, 2), (VALUE, 5)] {
            let mut played = Played::new(&keys, NEAR, value);
            played.busy = busy;
            let cost = played.walk();
            assert!(cost.largest <= 2 * PAGE_BYTES, "{name}, {value}, every {busy}th: {cost:?}");
        }
    }
}

#[test]
fn two_clusters_far_apart() {
    let far = (0..20_000).map(|n| format!("/a/very/long/common/prefix/{n:06}").into_bytes());
    let near = (0..20_000).map(|n| format!("/z/{n:06}").into_bytes());
    let cost = Played::new(&far.chain(near).collect(), NEAR, VALUE).walk();
    assert!(cost.requests <= 22 && cost.counted <= 160_000, "{cost:?}");
}

/// The guesses prove right, so that the server, the network and the caller work at the same time.
#[test]
fn several_windows_at_once_for_even_keys() {
    for (name, keys, ..) in
        shapes().into_iter().filter(|(name, ..)| ["decimal", "uuid", "binary", "base64", "deep"].contains(name))
    {
        let cost = Played::new(&keys, NEAR, VALUE).walk();
        assert!(cost.alone <= 5, "{name}: {cost:?}");
    }
}

#[test]
fn one_deep_branch_after_many_flat_keys() {
    let flat = (0..100_000).map(|n| format!("/a/{}", hash(n)).into_bytes());
    let deep = (0..1_000).map(|n| format!("/b/{}/{n:04}", "deep/".repeat(200)).into_bytes());
    let cost = Played::new(&flat.chain(deep).collect(), NEAR, VALUE).walk();
    assert!(cost.requests <= 60 && cost.counted <= 350_000, "{cost:?}");
}

#[test]
fn large_values_make_small_pages() {
    // The first page takes a share of them, whatever their size.
    let cost = Played::new(&keys(500, |n| hash(n).into_bytes()), NEAR, 50_000).walk();
    assert!((10..=25).contains(&cost.requests) && cost.largest < MAX_PAGE_OVERRUN_BYTES, "{cost:?}");
}

fn branches(names: impl IntoIterator<Item = String>, each: usize) -> Keys {
    let below = |name: String| (0..each).map(move |n| format!("/k/{name}/{n:06}").into_bytes());
    names.into_iter().flat_map(below).collect()
}

/// Branches, how many there are, how many requests each takes at most, in hundredths, and how many keys etcd counts
/// for each key.
fn trees() -> Vec<(&'static str, Keys, u64, u64, u64)> {
    let words = ["api", "cache", "db", "queue", "web", "x"];
    let mut mixed = branches((0..1000).map(hash), 20);
    mixed.append(&mut branches(["0-large".to_owned()], 50_000));
    vec![
        ("hashes", branches((0..200).map(hash), 500), 200, 180, 8),
        ("decimal", branches((0..200).map(|n| format!("branch-{n:04}")), 500), 200, 110, 4),
        ("counter", branches((0..200).map(|n| n.to_string()), 500), 200, 130, 6),
        ("few and large", branches(words.map(str::to_owned), 20_000), 6, 400, 5),
        ("mixed lengths", branches((0..100).map(|n| hash(n)[..3 + n as usize % 20].to_owned()), 500), 100, 200, 8),
        ("words", branches((0..120).map(|n| format!("{}-{}", words[n % 6], n / 6)), 500), 120, 200, 9),
        // Not worth a request each.
        ("small", branches((0..2000).map(hash), 20), 2000, 2, 4),
        ("one large, many small", mixed, 1001, 3, 4),
    ]
}

#[test]
fn few_requests_for_a_branch_that_is_left_out() {
    for (name, keys, branches, hundredths, counted) in trees() {
        for trip in [NEAR, FAR] {
            let cost = Played::new(&keys, trip, 0).skip();
            let fine = cost.requests * 100 <= branches * hundredths && cost.counted <= counted * keys.len() as u64;
            assert!(fine, "{name}, {branches} branches, {} keys: {cost:?}", keys.len());
        }
    }
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(0u8), Just(0xff), Just(b'a'), Just(b'/'), any::<u8>()], 1..24)
}

/// Keys with a common prefix that their numbers follow.
fn numbered() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let number = |(prefix, count): (Vec<u8>, u32)| {
        (0..count).map(|n| [prefix.as_slice(), format!("{n:05}").as_bytes()].concat()).collect()
    };
    (key(), 1..600u32).prop_map(number)
}

/// Keys of which each is a prefix of the next one.
fn nested() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let grow = |(prefix, byte, count): (Vec<u8>, u8, usize)| {
        (0..count).map(|n| [prefix.as_slice(), &vec![byte; n]].concat()).collect()
    };
    (key(), prop_oneof![Just(0), Just(0xff), Just(b'/')], 1..80usize).prop_map(grow)
}

/// Keys of 1 to 64 KiB that differ at their end.
fn long() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let end = |(byte, length, count): (u8, usize, u8)| {
        (0..count).map(|n| [vec![byte; length].as_slice(), &[n]].concat()).collect()
    };
    (any::<u8>(), 1024..65_536usize, 1..20u8).prop_map(end)
}

fn adversarial() -> impl Strategy<Value = Keys> {
    let groups = prop_oneof![4 => numbered(), 2 => nested(), 1 => long()];
    proptest::collection::vec(groups, 1..8).prop_map(|groups| groups.into_iter().flatten().collect())
}

proptest! {
    #[test]
    fn every_key_once_whatever_the_shape(keys in adversarial(), far in any::<bool>()) {
        Played::new(&keys, if far { FAR } else { NEAR }, 200).walk();
    }

    #[test]
    fn every_key_once_whatever_the_guess(keys in proptest::collection::btree_set(key(), 0..1500)) {
        Played::new(&keys, NEAR, 200).walk();
    }

    #[test]
    fn every_branch_whatever_the_guess(keys in proptest::collection::btree_set(key(), 0..500)) {
        let keys = keys.into_iter().map(|key| [b"/k/".as_slice(), &key[key.len() / 2..]].concat()).collect();
        Played::new(&keys, FAR, 0).skip();
    }
}
