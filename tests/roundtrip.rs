//! What `list -o json --with-leases` prints, `put --from` takes: the same keys, values, and leases or none.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::support::{Etcd, Held, Kvadm, shared, unique_prefix};

/// A value, and the number of the lease that the key is on.
type Content = (Vec<u8>, Option<u8>);

fn bytes(least: usize) -> impl Strategy<Value = Vec<u8>> {
    let sharp =
        prop_oneof![Just(0u8), Just(b'\n'), Just(b'"'), Just(b'\\'), Just(0x7f), Just(0xc3), Just(0xa9), Just(0xff)];
    prop_oneof![
        vec(prop_oneof![sharp, any::<u8>()], least..20),
        "[\\PC\t\r\n\u{85}\u{2028}\u{feff}]{1,12}".prop_map(String::into_bytes),
    ]
}

fn store() -> impl Strategy<Value = BTreeMap<Vec<u8>, Content>> {
    btree_map(bytes(1), (bytes(0), proptest::option::of(0u8..3)), 0..150)
}

/// The records, with everything in base64, as they might come from another tool.
fn records(prefix: &[u8], store: &BTreeMap<Vec<u8>, Content>) -> String {
    let line = |(key, (value, lease)): (&Vec<u8>, &Content)| {
        let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let mut record = json!({"key_base64": encode(&[prefix, key].concat()), "value_base64": encode(value)});
        if let Some(lease) = lease {
            record["lease"] = json!(format!("{:x}", lease + 1));
            record["ttl"] = json!(1000 + u32::from(*lease));
        }
        format!("{record}\n")
    };
    store.iter().map(line).collect()
}

/// Key, value and lease, the leases numbered by their first appearance.
fn content(held: &[Held], prefix: usize) -> Vec<(Vec<u8>, Vec<u8>, Option<usize>)> {
    let mut leases: Vec<String> = Vec::new();
    let mut number = |lease: &String| {
        leases.iter().position(|known| known == lease).unwrap_or_else(|| {
            leases.push(lease.clone());
            leases.len() - 1
        })
    };
    held.iter()
        .map(|held| (held.key[prefix..].to_vec(), held.value.clone(), held.lease.as_ref().map(&mut number)))
        .collect()
}

fn check(empty: Option<&Etcd>, store: &BTreeMap<Vec<u8>, Content>) {
    let (from, to) = (unique_prefix(), unique_prefix());
    let run = |args: &[&str], of: &Etcd, input: &[u8]| {
        let run = Kvadm::new().endpoint(of).args(args).stdin(input).run();
        run.ok().err_empty();
        run.stdout
    };
    run(&["put", "--from", "-"], shared(), records(from.as_bytes(), store).as_bytes());
    let before = content(&shared().held_under(&from), from.len());
    let wanted: Vec<_> = store.iter().map(|(key, (value, lease))| (key, value, lease.is_some())).collect();
    assert_eq!(before.iter().map(|(key, value, lease)| (key, value, lease.is_some())).collect::<Vec<_>>(), wanted);

    let list = ["list", "-o", "json", "--with-leases"];
    if let Some(etcd) = empty {
        let listed = run(&[&list[..], &[&from]].concat(), shared(), b"");
        run(&["put", "--from", "-"], etcd, &listed);
        assert_eq!(content(&etcd.held_under(&from), from.len()), before);
        assert_eq!(etcd.held_under("/").len(), before.len());
        // And once more: nothing is written.
        let again = run(&["put", "--from", "-", "-o", "json"], etcd, &listed);
        let told: serde_json::Value = serde_json::from_slice(&again).unwrap();
        assert_eq!((&told["written"], &told["unchanged"]), (&json!(0), &json!(before.len())));
    } else {
        let listed = run(&[&list[..], &["--namespace", &from]].concat(), shared(), b"");
        run(&["put", "--from", "-", "--namespace", &to], shared(), &listed);
        assert_eq!(content(&shared().held_under(&to), to.len()), before);
        let again = run(&[&list[..], &["--namespace", &to]].concat(), shared(), b"");
        let strip = |listed: &[u8]| -> Vec<_> {
            let lines = listed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines
                .map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap())
                .map(|line| {
                    let field = |name: &str| line.get(name).cloned();
                    (field("key"), field("key_base64"), field("value"), field("value_base64"), field("ttl"))
                })
                .collect()
        };
        assert_eq!(strip(&again), strip(&listed));
    }
}

fn cases(count: u32, check: impl Fn(&BTreeMap<Vec<u8>, Content>)) {
    let config = Config { cases: count, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    let run = |contents| {
        check(&contents);
        Ok(())
    };
    TestRunner::new(config).run(&store(), run).unwrap();
}

#[test]
fn into_an_empty_etcd() {
    let etcd = Etcd::start();
    cases(5, |store| {
        etcd.etcdctl_ok(&["del", "--prefix", ""]);
        check(Some(&etcd), store);
    });
}

#[test]
fn into_another_namespace() {
    cases(5, |store| check(None, store));
}
