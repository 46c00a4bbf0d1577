//! Which requests read the keys of all rules: each distinct prefix once, and nested prefixes with the outer one. Pure.

use crate::kvstore::KeyRange;

/// What a rule reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The keys.
    pub range: KeyRange,
    /// How it reads them.
    pub kind: WantedKind,
}

/// How a rule reads its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedKind {
    /// One key.
    Key,
    /// All keys of a prefix.
    Keys,
    /// Only the number of keys of a prefix.
    Count,
}

/// The requests; rules are indexes into what was wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// Ranges to read, each with the rules that use its keys.
    pub ranges: Vec<(KeyRange, Vec<usize>)>,
    /// Ranges to count, each with the rules that use the number.
    pub counts: Vec<(KeyRange, Vec<usize>)>,
    /// Single keys, each with the rules that use it.
    pub keys: Vec<(Vec<u8>, Vec<usize>)>,
}

fn is_inside(inner: &KeyRange, outer: &KeyRange) -> bool {
    inner.start >= outer.start
        && match (&inner.end, &outer.end) {
            (_, None) => true,
            (Some(inner), Some(outer)) => inner <= outer,
            (None, Some(_)) => false,
        }
}

/// Groups what the rules want.
pub fn plan_passes(wanted: &[Wanted]) -> Passes {
    let mut passes = Passes::default();
    let mut read: Vec<(&KeyRange, usize)> = of_kind(wanted, WantedKind::Keys).collect();
    // An outer prefix comes before those that it contains.
    read.sort_by(|(one, _), (other, _)| {
        one.start.cmp(&other.start).then_with(|| match (&one.end, &other.end) {
            (None, None) => std::cmp::Ordering::Equal,
            (None, Some(_)) => std::cmp::Ordering::Less,
            (Some(_), None) => std::cmp::Ordering::Greater,
            (Some(one), Some(other)) => other.cmp(one),
        })
    });
    for (range, index) in read {
        match passes.ranges.last_mut().filter(|(outer, _)| is_inside(range, outer)) {
            Some((_, rules)) => rules.push(index),
            None => passes.ranges.push((range.clone(), vec![index])),
        }
    }
    for (range, index) in of_kind(wanted, WantedKind::Count) {
        if let Some((_, rules)) = passes.ranges.iter_mut().find(|(outer, _)| is_inside(range, outer)) {
            rules.push(index);
        } else if let Some((_, rules)) = passes.counts.iter_mut().find(|(counted, _)| counted == range) {
            rules.push(index);
        } else {
            passes.counts.push((range.clone(), vec![index]));
        }
    }
    for (range, index) in of_kind(wanted, WantedKind::Key) {
        let key = &range.start;
        if let Some((_, rules)) = passes.ranges.iter_mut().find(|(outer, _)| outer.contains(key)) {
            rules.push(index);
        } else if let Some((_, rules)) = passes.keys.iter_mut().find(|(known, _)| known == key) {
            rules.push(index);
        } else {
            passes.keys.push((key.clone(), vec![index]));
        }
    }
    passes
}

fn of_kind(wanted: &[Wanted], kind: WantedKind) -> impl Iterator<Item = (&KeyRange, usize)> {
    let indexed = wanted.iter().enumerate().filter(move |(_, wanted)| wanted.kind == kind);
    indexed.map(|(index, wanted)| (&wanted.range, index))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted() -> impl Strategy<Value = Vec<Wanted>> {
        let text = proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0xff)], 0..4);
        let one = (text, 0..3u8).prop_map(|(text, kind)| match kind {
            0 => Wanted { range: KeyRange::key(&[b"k".as_slice(), &text].concat()), kind: WantedKind::Key },
            1 => Wanted { range: KeyRange::prefix(&text), kind: WantedKind::Count },
            _ => Wanted { range: KeyRange::prefix(&text), kind: WantedKind::Keys },
        });
        proptest::collection::vec(one, 0..20)
    }

    proptest! {
        /// Each rule gets all its keys from exactly one request, and no key is read by two passes.
        #[test]
        fn every_rule_is_served_once(wanted in wanted()) {
            let passes = plan_passes(&wanted);
            let mut served = vec![0; wanted.len()];
            for (range, rules) in passes.ranges.iter().chain(&passes.counts) {
                for rule in rules {
                    served[*rule] += 1;
                    prop_assert!(is_inside(&wanted[*rule].range, range));
                }
            }
            for (key, rules) in &passes.keys {
                for rule in rules {
                    served[*rule] += 1;
                    prop_assert_eq!(&wanted[*rule].range.start, key);
                }
            }
            prop_assert!(served.iter().all(|times| *times == 1), "{:?}", passes);
            for (at, (range, _)) in passes.ranges.iter().enumerate() {
                for (other, _) in passes.ranges.iter().skip(at + 1) {
                    prop_assert!(range.intersection(other).is_empty(), "{:?} {:?}", range, other);
                }
            }
        }
    }

    #[test]
    fn a_count_alone_reads_no_keys() {
        let prefix = |text: &str, kind| Wanted { range: KeyRange::prefix(text.as_bytes()), kind };
        let passes = plan_passes(&[
            prefix("", WantedKind::Count),
            prefix("/a/", WantedKind::Keys),
            prefix("/a/b/", WantedKind::Count),
            prefix("/a/b/", WantedKind::Keys),
            Wanted { range: KeyRange::key(b"/a/x"), kind: WantedKind::Key },
            Wanted { range: KeyRange::key(b"/x"), kind: WantedKind::Key },
        ]);
        assert_eq!(passes.ranges, [(KeyRange::prefix(b"/a/"), vec![1, 3, 2, 4])]);
        assert_eq!(passes.counts, [(KeyRange::prefix(b""), vec![0])]);
        assert_eq!(passes.keys, [(b"/x".to_vec(), vec![5])]);
    }
}
