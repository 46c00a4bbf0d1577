//! `kvadm list --depth`, `--tree`, `--du` and `--sort size`: against a naive computation, and at the edges.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::get::{kvadm, lock, put};
use super::list::load;
use super::support::{Etcd, Kvadm, shared, unique_prefix};

type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

/// Where the branches of a key end, behind the prefix.
fn ends(key: &[u8], base: usize, separator: u8) -> Vec<usize> {
    (base + 1..key.len()).filter(|at| key[*at] == separator).map(|at| at + 1).collect()
}

fn key_of(record: &Value) -> Vec<u8> {
    match record["key"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => STANDARD.decode(record["key_base64"].as_str().unwrap()).unwrap(),
    }
}

#[track_caller]
fn records(etcd: &Etcd, prefix: &[u8], args: &[&str]) -> Vec<Value> {
    let run = kvadm(etcd, ["-o", "json", "-q", "list"]).arg(OsStr::from_bytes(prefix)).args(args).run();
    run.ok().err_empty().json_lines()
}

/// What `--depth` must show: each branch at the cut once, and the keys that lie less deep.
fn children(keys: &Keys, base: usize, separator: u8, depth: usize) -> Vec<(Vec<u8>, bool)> {
    let cut = |key: &Vec<u8>| match ends(key, base, separator).get(depth - 1) {
        Some(end) => (key[..*end].to_vec(), true),
        None => (key.clone(), false),
    };
    keys.keys().map(cut).collect::<BTreeSet<_>>().into_iter().collect()
}

/// What `--tree` must show: the branch or key, its depth, and the keys of what is cut off.
fn tree(keys: &Keys, base: usize, separator: u8, depth: usize) -> Vec<(Vec<u8>, bool, u64, Option<u64>)> {
    let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
    for key in keys.keys() {
        let ends = ends(key, base, separator);
        for (level, end) in ends.iter().take(depth).enumerate() {
            let branch = key[..*end].to_vec();
            if seen.insert(branch.clone()) {
                let inside = keys.keys().filter(|key| key.starts_with(&branch)).count() as u64;
                rows.push((branch, true, level as u64 + 1, (level + 1 == depth).then_some(inside)));
            }
        }
        if ends.len() < depth {
            rows.push((key.clone(), false, ends.len() as u64 + 1, None));
        }
    }
    rows
}

fn usage_of(keys: &Keys, prefix: &[u8]) -> [u64; 3] {
    let inside = || keys.iter().filter(|(key, _)| key.starts_with(prefix));
    let sum = |size: fn(&(&Vec<u8>, &Vec<u8>)) -> usize| inside().map(|kv| size(&kv) as u64).sum();
    [inside().count() as u64, sum(|(key, _)| key.len()), sum(|(_, value)| value.len())]
}

fn branches(keys: &Keys, base: usize, separator: u8, depth: usize) -> BTreeSet<Vec<u8>> {
    let of = |key: &Vec<u8>| -> Vec<Vec<u8>> {
        ends(key, base, separator).into_iter().take(depth).map(|end| key[..end].to_vec()).collect()
    };
    keys.keys().flat_map(of).collect()
}

fn usage(record: &Value) -> (Vec<u8>, [u64; 3]) {
    let number = |name: &str| record[name].as_u64().unwrap();
    assert_eq!(number("bytes"), number("key_bytes") + number("value_bytes"));
    (key_of(record), [number("keys"), number("key_bytes"), number("value_bytes")])
}

/// All that is asked of one set of keys below one prefix.
fn check(etcd: &Etcd, keys: &Keys, prefix: &[u8], depth: usize, separator: u8) {
    let (base, n) = (prefix.len(), depth.to_string());
    let text = char::from(separator).to_string();
    let run = |args: &[&str]| records(etcd, prefix, &[&["--separator", &text], args].concat());
    let word = |record: &Value| record["kind"].as_str().unwrap() == "branch";

    let got: Vec<_> = run(&["--depth", &n]).iter().map(|record| (key_of(record), word(record))).collect();
    assert_eq!(got, children(keys, base, separator, depth), "--depth {depth}");
    let row =
        |record: &Value| (key_of(record), word(record), record["depth"].as_u64().unwrap(), record["keys"].as_u64());
    let got: Vec<_> = run(&["--tree", "--depth", &n]).iter().map(row).collect();
    assert_eq!(got, tree(keys, base, separator, depth), "--tree --depth {depth}");
    let got: Vec<_> = run(&["--tree"]).iter().map(row).collect();
    assert_eq!(got, tree(keys, base, separator, usize::MAX), "--tree");

    let all = branches(keys, base, separator, depth);
    let mut got: Vec<_> = run(&["--du", "--depth", &n]).iter().map(usage).collect();
    assert_eq!(got.pop(), Some((prefix.to_vec(), usage_of(keys, prefix))), "the total");
    let expected: BTreeMap<_, _> = all.iter().map(|branch| (branch.clone(), usage_of(keys, branch))).collect();
    assert_eq!(got.len(), expected.len());
    assert_eq!(got.into_iter().collect::<BTreeMap<_, _>>(), expected, "--du --depth {depth}");

    let mut ranked: Vec<_> = expected.into_iter().collect();
    ranked.sort_by_key(|(branch, [_, k, v])| (std::cmp::Reverse(k + v), branch.clone()));
    ranked.truncate(3);
    let mut got: Vec<_> = run(&["--du", "--top", "3", "--depth", &n]).iter().map(usage).collect();
    got.pop();
    assert_eq!(got, ranked, "--du --top 3");
}

fn check_sort(etcd: &Etcd, keys: &Keys, prefix: &[u8]) {
    let mut sorted: Vec<_> = keys.iter().map(|(key, value)| (key.len() + value.len(), key.clone())).collect();
    sorted.sort();
    let expected: Vec<_> = sorted.into_iter().map(|(_, key)| key).collect();
    let got = |args: &[&str]| records(etcd, prefix, args).iter().map(key_of).collect::<Vec<_>>();
    assert_eq!(got(&["--sort", "size"]), expected);
    let most = expected.len().min(5);
    assert_eq!(got(&["--sort", "size", "--limit", "5"]), expected[..most]);
    let reverse: Vec<_> = expected.into_iter().rev().take(5).collect();
    assert_eq!(got(&["--sort", "size", "--desc", "--limit", "5", "--keys-only"]), reverse);
}

#[test]
fn random_keys_against_the_naive_computation() {
    let etcd = shared();
    let part = prop_oneof![4 => Just(b'/'), 3 => Just(b'a'), 1 => Just(0u8), 1 => Just(0xffu8), 1 => any::<u8>()];
    let keys = btree_map(vec(part, 1..9), vec(any::<u8>(), 0..20), 1..120);
    let separator = prop_oneof![3 => Just(b'/'), 1 => Just(b'a')];
    let config = Config { cases: 8, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(keys, 1usize..4, separator), |(keys, depth, separator)| {
            let prefix = unique_prefix().into_bytes();
            let keys: Keys = keys.into_iter().map(|(k, v)| ([&prefix[..], &k].concat(), v)).collect();
            load(etcd, &keys);
            check(etcd, &keys, &prefix, depth, separator);
            check_sort(etcd, &keys, &prefix);
            Ok(())
        })
        .unwrap();
}

#[test]
fn branches_larger_than_a_page_are_left_out_and_counted() {
    let etcd = Etcd::start();
    let mut keys = Keys::new();
    for branch in ["00", "01", "09", "10", "a", "a0", "z\u{e9}", "zz"] {
        keys.extend((0..900).map(|n| (format!("/b/{branch}/{n:04}").into_bytes(), vec![b'x'; n % 7])));
        keys.extend((0..300).map(|n| (format!("/b/{branch}/deep/{n}/x").into_bytes(), Vec::new())));
    }
    keys.extend((0..900).map(|n| ([b"/b/\xff\xff/", format!("{n}").as_bytes()].concat(), Vec::new())));
    keys.insert(b"/b/b".to_vec(), b"leaf".to_vec());
    keys.insert(b"/b/zz".to_vec(), b"leaf".to_vec());
    keys.insert(b"/b/a/".to_vec(), b"in its own branch".to_vec());
    load(&etcd, &keys);
    for depth in 1..4 {
        check(&etcd, &keys, b"/b/", depth, b'/');
    }
    // It is what the trace says: far fewer requests than pages, and hardly any keys.
    let run = kvadm(&etcd, ["list", "/b/", "--depth", "1", "-vv"]).run();
    let requests = run.ok().stderr_text().lines().filter(|line| line.starts_with("trace: ")).count();
    assert!(requests < 120, "{requests} requests");
    let limited = kvadm(&etcd, ["list", "/b/", "--depth", "1", "--limit", "3"]).run();
    limited.ok().out("/b/00/\n/b/01/\n/b/09/\n");
    let matched = kvadm(&etcd, ["list", "/b/", "--tree", "--depth", "1", "--match", "*/deep/1*"]).run();
    matched.ok().out_has("00/\t111\n").out_lacks("\nb");
    // Ends cut a branch: what lies outside is not counted.
    let ends = ["list", "--from", "/b/a/0500", "--to", "/b/b", "--tree", "--depth", "2", "-o", "json"];
    let lines = kvadm(&etcd, ends).run().ok().json_lines();
    let counted: Vec<_> = lines.iter().filter_map(|line| line["keys"].as_u64()).collect();
    assert_eq!(counted.iter().sum::<u64>(), 700 + 1200, "{lines:?}");
}

#[test]
fn a_tree_is_drawn_by_indentation() {
    let (etcd, at) = (shared(), unique_prefix());
    load(etcd, ["a", "b/c", "b/d/e", "b/d/f", "g//h"].map(|name| (format!("{at}{name}"), "v")));
    let tree = |args: &[&str]| kvadm(etcd, ["list", &at, "--tree"]).args(args).run();
    tree(&[]).ok().err_empty().out("a\nb/\n  c\n  d/\n    e\n    f\ng/\n  /\n    h\n");
    tree(&["--depth", "2"]).ok().out("a\nb/\n  c\n  d/\t2\ng/\n  /\t1\n");
    kvadm(etcd, ["list", &at, "--depth", "1"]).run().ok().err_empty().out(&format!("{at}a\n{at}b/\n{at}g/\n"));
    kvadm(etcd, ["list", &format!("{at}none"), "--tree"]).run().ok().out_empty();
    kvadm(etcd, ["list", &at, "--depth", "1", "--separator", "d"])
        .run()
        .ok()
        .out(&format!("{at}a\n{at}b/c\n{at}b/d\n{at}g//h\n"));
    let table = tree(&["--depth", "2", "-o", "table"]).ok().stdout_text();
    assert!(table.contains("TREE") && table.contains("\n  d/") && table.contains("KEYS"), "{table}");
}

#[test]
fn shares_are_told_where_the_quota_is() {
    let etcd = Etcd::start();
    put(&etcd, "/a/b", "12345");
    let run = kvadm(&etcd, ["list", "/", "--du", "-o", "json"]).run();
    let total = run.ok().json_lines().pop().unwrap();
    assert_eq!((total["kind"].as_str(), total["keys"].as_u64()), (Some("total"), Some(1)));
    if etcd.version() >= (3, 6) {
        run.err_empty();
        assert!(total["percent"].is_number(), "{total}");
    } else {
        run.err_has("does not report its quota; the PERCENT column is omitted");
        assert!(total.get("percent").is_none(), "{total}");
    }
    kvadm(&etcd, ["list", "/", "--du", "-q"]).run().ok().err_empty().out("/a/\t1\t9\n/\t1\t9\n");
}

#[test]
fn under_a_lock_at_a_revision_and_in_the_wrong_company() {
    let (etcd, at) = (shared(), unique_prefix());
    let rev = put(etcd, format!("{at}a/b"), "one").to_string();
    put(etcd, format!("{at}c/d"), "two");
    let (token, lease) = lock(etcd, &unique_prefix());
    let guard = format!("--if-locked={token}");
    for mode in [&["--depth", "1"][..], &["--tree", "--depth", "1"], &["--du", "-q"]] {
        let list = || kvadm(etcd, ["list", &at]).args(mode);
        list().args(["--rev", &rev]).run().ok().out_has("a/").out_lacks("c/");
        list().arg(&guard).run().ok().out_has("c/");
    }
    etcd.etcdctl_ok(&["lease", "revoke", &lease]);
    for mode in [&["--depth", "1"][..], &["--tree"], &["--du", "-q"]] {
        kvadm(etcd, ["list", &at, &guard]).args(mode).run().code(5).out_empty();
    }
    let wrong = |args: &[&str]| Kvadm::new().args(["--endpoints", "127.0.0.1:1", "list"]).args(args).run();
    for args in [
        &["--depth", "0"][..],
        &["--tree", "--du"],
        &["--top", "3"],
        &["--du", "--top", "0"],
        &["--tree", "--limit", "3"],
        &["--du", "--sort", "key"],
        &["--depth", "1", "--count"],
        &["--tree", "--separator", "ab"],
        &["--tree", "--separator", ""],
    ] {
        wrong(args).code(2).out_empty();
    }
}

#[test]
fn tables_fit_eighty_columns_on_a_terminal() {
    let etcd = shared();
    let at = format!("{}{}/", unique_prefix(), "long-name-of-a-branch/".repeat(4));
    load(etcd, (0..5).map(|n| (format!("{at}{n}/{}", "k".repeat(70)), "value ".repeat(90))));
    for args in [
        &["list"][..],
        &["list", "--keys-only"],
        &["list", "--with-leases"],
        &["list", "--depth", "1"],
        &["list", "--tree"],
        &["list", "--tree", "--depth", "1"],
        &["list", "--du"],
    ] {
        let run = kvadm(etcd, args).arg(&at).arg("--no-progress").pty().run();
        let text = run.ok().stdout_text();
        let rows: Vec<&str> = text.split("\r\n").filter(|line| !line.contains("quota")).collect();
        assert!(rows.len() > 2, "{args:?}: {text}");
        for row in rows {
            let plain = row.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
            assert!(plain.chars().count() <= 80, "{args:?}: {plain:?}");
        }
    }
}

#[test]
fn a_signal_ends_it_at_once_and_a_closed_pipe_quietly() {
    let etcd = Etcd::start();
    load(&etcd, (0..30_000).map(|n| (format!("/k/{n}/x"), "value")));
    for mode in ["--tree", "--du"] {
        let running = kvadm(&etcd, ["list", "/", mode, "--depth", "2", "--qps", "5", "-vv"]).spawn();
        running.wait_for_stderr("trace: list", Duration::from_secs(10));
        running.signal(Signal::SIGINT);
        running.wait().signal(Signal::SIGINT).within(Duration::from_secs(5));
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvadm"));
    command.env_clear().env("HOME", "/nonexistent").args(["--endpoints", &etcd.endpoint(), "list", "/", "--tree"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // More than the pipe and the buffer hold, so that it is still writing when its reader goes away.
    let mut some = vec![0; 1000];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{output:?}");
}
