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
