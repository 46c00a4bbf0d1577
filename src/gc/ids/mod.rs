//! `gc ids`: masters without references.
//!
//! Protocol: `RunGC` of Cilium's `pkg/kvstore/allocator`, without its race: references are read, and the master is
//! deleted, under the lock that a client needs to allocate the ID again.

mod masters;
mod settle;
mod sweep;
mod wave;

use std::collections::{BTreeSet, HashMap};

use super::{Candidate, Facts, ScanResult, Skipped, Timestamp};
use crate::allocator::{self, AllocatorScan, Id, IdRange, Layout, MasterKey, UnknownKeyReason, check_key};
use crate::kvstore::{Error, Store};

pub use sweep::{IdCollector, WAVE};

/// Which masters are scanned.
#[derive(Clone, Debug)]
pub struct IdRule {
    /// Paths of the allocator's keys.
    pub layout: Layout,
    /// The allocator's range of IDs.
    pub range: IdRange,
}

/// Scans all masters and references, at one revision. `read` receives the number of keys of each page.
///
/// # Errors
/// etcd is unreachable or rejects a request, or the revision was compacted meanwhile.
pub async fn scan(store: &Store, rule: &IdRule, read: impl FnMut(u64)) -> Result<ScanResult, Error> {
    let scan = allocator::scan(store, &rule.layout, read).await?;
    let mut found = classify(&scan, rule, Timestamp::now());
    for skipped in &mut found.skipped {
        skipped.key = store.absolute(&skipped.key);
    }
    for candidate in &mut found.candidates {
        candidate.key = store.absolute(&candidate.key);
    }
    Ok(found)
}

/// Classifies the masters of a scan. Keys are without the namespace. Pure.
fn classify(scan: &AllocatorScan, rule: &IdRule, first_seen: Timestamp) -> ScanResult {
    let mut found = ScanResult { revision: scan.revision, ..ScanResult::default() };
    let named = keys_naming(scan);
    for master in &scan.masters {
        found.scanned += u64::from(rule.range.contains(master.id));
        match verdict(scan, rule, &named, master) {
            MasterVerdict::InUse => {}
            MasterVerdict::Leased => found.leased += 1,
            MasterVerdict::Skipped(why) => found.skipped.push(Skipped { key: path(rule, master), why }),
            MasterVerdict::Garbage(why) => {
                let key = scan.keys.text(master.key);
                found.candidates.push(Candidate {
                    key: path(rule, master),
                    why,
                    first_seen,
                    facts: Facts::default().with("mod_revision", master.mod_revision).with_bytes("value", key),
                    more: Facts::default().with("id", master.id.to_string()),
                });
            }
        }
    }
    let strange = |(key, why): &(Vec<u8>, UnknownKeyReason)| {
        let why = match why {
            UnknownKeyReason::MasterPath => "its last part is not an ID",
            UnknownKeyReason::ReferencePath => "it has no key or no node",
        };
        Skipped { key: key.clone(), why: why.to_owned() }
    };
    found.skipped.extend(scan.unknown_keys.iter().map(strange));
    found
}

enum MasterVerdict {
    InUse,
    /// It expires with its lease: clustermesh-apiserver and kvstoremesh mirror identities without references.
    Leased,
    Skipped(String),
    Garbage(String),
}

fn verdict(
    scan: &AllocatorScan,
    rule: &IdRule,
    named: &HashMap<Id, BTreeSet<u32>>,
    master: &MasterKey,
) -> MasterVerdict {
    let (key, skip) = (scan.keys.text(master.key), |why: &str| MasterVerdict::Skipped(why.to_owned()));
    if master.odd_path.is_some() {
        return skip("its path is not the canonical path of its ID");
    }
    if key.is_empty() {
        return skip("it holds no key");
    }
    if let Err(why) = check_key(key) {
        return MasterVerdict::Skipped(format!("its key {why}: its references cannot be determined"));
    }
    if scan.users(master).next().is_some() {
        return MasterVerdict::InUse;
    }
    if master.lease.is_some() {
        return MasterVerdict::Leased;
    }
    if !rule.range.contains(master.id) {
        let (first, last) = (rule.range.first(), rule.range.last());
        return MasterVerdict::Skipped(format!("no reference names it, but its ID is not between {first} and {last}"));
    }
    if named.get(&master.id).is_some_and(|keys| keys.iter().any(|key| *key != master.key)) {
        return skip("only references of another key name its ID");
    }
    let others: BTreeSet<Id> = scan.references_of(master.key).iter().filter_map(|reference| reference.id).collect();
    if others.is_empty() {
        return MasterVerdict::Garbage("no reference".to_owned());
    }
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    MasterVerdict::Garbage(format!("duplicate: its key's references name {}", others.join(", ")))
}

/// The keys whose references name each ID.
fn keys_naming(scan: &AllocatorScan) -> HashMap<Id, BTreeSet<u32>> {
    let mut named: HashMap<Id, BTreeSet<u32>> = HashMap::new();
    for reference in &scan.references {
        if let Some(id) = reference.id {
            named.entry(id).or_default().insert(reference.key);
        }
    }
    named
}

fn path(rule: &IdRule, master: &MasterKey) -> Vec<u8> {
    match &master.odd_path {
        None => rule.layout.master(master.id),
        Some(odd) => [rule.layout.masters().start.as_slice(), odd].concat(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::kvstore::KeyValue;
    use proptest::prelude::*;

    fn rule() -> IdRule {
        IdRule { layout: Layout::new(b"b").unwrap(), range: IdRange::new(1, 99, 0).unwrap() }
    }

    fn judged(pairs: &[(String, String)]) -> ScanResult {
        let (rule, mut scan) = (rule(), AllocatorScan::default());
        for ((path, value), revision) in pairs.iter().zip(1..) {
            let kv = KeyValue {
                key: path.clone().into(),
                value: value.clone().into(),
                mod_revision: revision,
                ..KeyValue::default()
            };
            if path.starts_with("b/id/") {
                scan.add_master(&rule.layout, &kv);
            } else {
                scan.add_reference(&rule.layout, &kv);
            }
        }
        scan.sort();
        classify(&scan, &rule, Timestamp::default())
    }

    fn text(key: &[u8]) -> String {
        String::from_utf8_lossy(key).into_owned()
    }

    fn all(pairs: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let found = judged(&pairs);
        let garbage = found.candidates.iter().map(|one| (text(&one.key), one.why.clone())).collect();
        (garbage, found.skipped.iter().map(|one| text(&one.key)).collect())
    }

    /// `TestRunGC` of Cilium: one key is the beginning of another; a duplicate of a used key.
    #[test]
    fn masters_without_references_and_duplicates_that_nobody_names() {
        let (garbage, skipped) = all(&[
            ("b/id/10", "k8s:foo=bar;"),
            ("b/id/11", "k8s:foo=bar;k8s:x=y;"),
            ("b/id/12", "k8s:foo=bar;/k8s:z;"),
            ("b/id/13", "k8s:foo=bar;k8s:x=y;"),
            ("b/value/k8s:foo=bar;k8s:x=y;/n1", "11"),
            ("b/value/k8s:foo=bar;/k8s:z;/n1", "12"),
        ]);
        let wanted = [("b/id/10", "no reference"), ("b/id/13", "duplicate: its key's references name 11")];
        assert_eq!(garbage, wanted.map(|(key, why)| (key.to_owned(), why.to_owned())));
        assert_eq!(skipped, [""; 0]);
    }

    #[test]
    fn what_cannot_be_judged_is_left_alone_and_said() {
        let (garbage, skipped) = all(&[
            ("b/id/7", ""),
            ("b/id/007", "a"),
            ("b/id/8", "a//b"),
            ("b/id/9", "/a"),
            ("b/id/10", "mine"),
            ("b/id/11", "unreadable"),
            ("b/id/100", "elsewhere"),
            ("b/id/101", "elsewhere, used"),
            ("b/id/x", "a"),
            ("b/value/other/n", "10"),
            ("b/value/unreadable/n", "what?"),
            ("b/value/elsewhere, used/n", "101"),
            ("b/value/x", "1"),
        ]);
        assert_eq!(garbage, []);
        assert_eq!(
            skipped,
            ["b/id/7", "b/id/007", "b/id/8", "b/id/9", "b/id/10", "b/id/100", "b/id/x", "b/value/x"],
            "and nothing that is used"
        );
    }

    proptest! {
        /// Whatever is garbage is named by no reference at all, and whatever is not is named by one of its key's.
        #[test]
        fn garbage_is_what_no_reference_names(
            masters in proptest::collection::btree_map(1u64..12, "[ab](/[ab])?", 0..8),
            references in proptest::collection::btree_map(("[ab](/[ab])?", "[mn]"), 1u64..12, 0..8),
        ) {
            let mut pairs: BTreeMap<String, String> = BTreeMap::new();
            pairs.extend(masters.iter().map(|(id, key)| (format!("b/id/{id}"), key.clone())));
            pairs.extend(references.iter().map(|((key, node), id)| (format!("b/value/{key}/{node}"), id.to_string())));
            let found = judged(&pairs.into_iter().collect::<Vec<_>>());
            let gone: BTreeSet<String> = found.candidates.iter().map(|one| text(&one.key)).collect();
            for (id, key) in &masters {
                let used = references.iter().any(|((of, _), named)| of == key && named == id);
                let elsewhere = references.iter().any(|((of, _), named)| of != key && named == id);
                prop_assert_eq!(gone.contains(&format!("b/id/{id}")), !used && !elsewhere, "{} {}", id, key);
            }
            prop_assert_eq!(found.scanned, masters.len() as u64);
        }
    }
}
