//! `kvadm list`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::get::{kvadm, lock, put};
use super::support::{Etcd, Kvadm, shared, unique_prefix};

/// Loads keys of any bytes through `put --from -`.
#[track_caller]
pub(super) fn load<K: AsRef<[u8]>, V: AsRef<[u8]>>(etcd: &Etcd, pairs: impl IntoIterator<Item = (K, V)>) {
    let line = |(key, value): (K, V)| {
        let encode = |bytes: &[u8]| STANDARD.encode(bytes);
        format!("{}\n", json!({"key_base64": encode(key.as_ref()), "value_base64": encode(value.as_ref())}))
    };
    let lines: String = pairs.into_iter().map(line).collect();
    kvadm(etcd, ["put", "--from", "-", "-q"]).stdin(lines).run().ok();
}

/// The names below the prefix: `load` gives each its own name as the value.
fn seed(etcd: &Etcd, names: &[&str]) -> String {
    let at = unique_prefix();
    load(etcd, names.iter().map(|name| (format!("{at}{name}"), *name)));
    at
}

/// What `list` in text prints, by the last part of each line: the value.
#[track_caller]
fn values(etcd: &Etcd, args: &[&str]) -> Vec<String> {
    let run = kvadm(etcd, ["list"]).args(args).run();
    let text = run.ok().err_empty().stdout_text();
    text.lines().map(|line| line.split_once('\t').unwrap_or((line, "")).1.to_owned()).collect()
}

#[test]
fn a_prefix_is_raw_and_dir_adds_the_slash() {
    let etcd = shared();
    let at = seed(etcd, &["a", "a/1", "a/2", "ab", "b", "c/\u{e9}"]);
    let below = |name: &str| format!("{at}{name}");
    assert_eq!(values(etcd, &[&at]), ["a", "a/1", "a/2", "ab", "b", "c/\u{e9}"]);
    assert_eq!(values(etcd, &[&below("a")]), ["a", "a/1", "a/2", "ab"]);
    assert_eq!(values(etcd, &[&below("a"), "--dir"]), ["a/1", "a/2"]);
    assert_eq!(values(etcd, &[&below("a/"), "--dir"]), ["a/1", "a/2"]);
    assert_eq!(values(etcd, &[&below("none")]), [""; 0]);
    assert_eq!(values(etcd, &["--escape", &below("c/\\xc3")]), ["c/\u{e9}"]);
    kvadm(etcd, ["list", &below("none"), "-o", "json"]).run().ok().out_empty().err_empty();
}

#[test]
fn ends_make_a_half_open_range() {
    let etcd = shared();
    let at = seed(etcd, &["a", "b", "b0", "c", "d"]);
    let (b, d, space) = (format!("{at}b"), format!("{at}d"), ["--namespace", &at]);
    assert_eq!(values(etcd, &["--from", &b, "--to", &d]), ["b", "b0", "c"]);
    // Without an end (or a beginning) it is open, but never leaves the namespace.
    assert_eq!(values(etcd, &[space[0], space[1], "--from", "b"]), ["b", "b0", "c", "d"]);
    assert_eq!(values(etcd, &[space[0], space[1], "--to", "b0"]), ["a", "b"]);
    assert_eq!(values(etcd, &[space[0], space[1], "--from", "b0"]), ["b0", "c", "d"]);
    assert_eq!(values(etcd, &[space[0], space[1], "--from", "x"]), [""; 0]);
    assert_eq!(values(etcd, &[space[0], space[1], "--from", "\u{10ffff}"]), [""; 0]);
    assert!(values(etcd, &["--from", &b]).starts_with(&["b".to_owned(), "b0".into(), "c".into(), "d".into()]));
    let keys = kvadm(etcd, ["--namespace", &at, "list", "--from", "c", "--keys-only"]).run();
    keys.ok().out("c\nd\n");
}

#[test]
fn a_range_that_holds_nothing_by_itself_is_wrong_usage() {
    let run = |args: &[&str]| Kvadm::new().args(["--endpoints", "127.0.0.1:1", "list"]).args(args).run();
    run(&["--from", "/b", "--to", "/a"]).code(2).out_empty().err_has("empty range: --from /b is not less than --to /a");
    run(&["--from", "/a", "--to", "/a"]).code(2).out_empty();
    run(&["--from", "/a", "--to", ""]).code(2).out_empty();
    run(&["/p", "--from", "/a"]).code(2).out_empty().err_has("a prefix cannot be combined with --from or --to");
    run(&["--from", "/a", "--dir"]).code(2).out_empty().err_has("--dir");
    run(&["--match", "[a"]).code(2).out_empty().err_has("invalid glob in --match '[a'");
    run(&["/a", "--rev", "0"])
        .code(2)
        .out_empty()
        .err_has("revisions start at 1; omit the option for the current revision");
    run(&["/a", "--count", "--limit", "3"]).code(2).out_empty();
    run(&["/a", "--count", "--keys-only"]).code(2).out_empty();
    run(&["/a", "--sort", "lease"]).code(2).out_empty().err_has("create");
    run(&["/a", "--limit", "-1"]).code(2).out_empty();
    run(&["/a", "/b"]).code(2).out_empty();
    run(&["/a", "--if-locked"]).code(2).out_empty().err_has("KVADM_LOCK");
}

#[test]
fn globs_filter_whole_keys() {
    let etcd = shared();
    let at = seed(etcd, &["a.crt", "a.key", "b/c.crt", "b/c.key", "d"]);
    let all = |glob: &str| values(etcd, &[&at, "--match", glob]);
    assert_eq!(all("*.crt"), ["a.crt", "b/c.crt"]);
    assert_eq!(all("*b/?.*"), ["b/c.crt", "b/c.key"]);
    let run = kvadm(etcd, ["list", &at, "--match", "d"]).run();
    run.ok().out_empty().err_has("note: --match compares the whole key; --match '*d*' selects keys that contain 'd'\n");
    // With a wildcard, or if something was found, there is nothing to hint at.
    kvadm(etcd, ["list", &at, "--match", "*nothing"]).run().ok().out_empty().err_empty();
    assert_eq!(all("*{d,a.key}"), ["a.key", "d"]);
    assert_eq!(values(etcd, &["--namespace", &at, "--match", "d"]), ["d"]);
    assert_eq!(values(etcd, &["--namespace", &at, "b", "--match", "*.key", "--limit", "1"]), ["b/c.key"]);
    load(etcd, [([at.as_bytes(), b"\xff\x00.crt"].concat(), "binary")]);
    assert_eq!(all("*.crt"), ["a.crt", "b/c.crt", "binary"]);
}

#[test]
fn keys_only_has_everything_but_the_value() {
    let etcd = shared();
    let at = seed(etcd, &["a", "b"]);
    kvadm(etcd, ["list", &at, "--keys-only"]).run().ok().err_empty().out(&format!("{at}a\n{at}b\n"));
    for args in [&["--keys-only"][..], &["--keys-only", "--sort", "value"]] {
        let records = kvadm(etcd, ["list", &at, "-o", "json"]).args(args).run().ok().json_lines();
        assert_eq!(records.len(), 2);
        for record in &records {
            let names: Vec<&String> = record.as_object().unwrap().keys().collect();
            assert_eq!(names, ["key", "create_revision", "mod_revision", "version"]);
        }
    }
}

#[test]
fn counting_reads_no_values() {
    let etcd = shared();
    let at = unique_prefix();
    load(etcd, (0..500).map(|n| (format!("{at}{n}"), "v")));
    kvadm(etcd, ["list", &at, "--count"]).run().ok().err_empty().out_has("500");
    let counted = kvadm(etcd, ["list", &at, "--count", "-o", "json"]).run().ok().json();
    assert_eq!(counted["count"], 500);
    let rev = counted["revision"].as_i64().unwrap();
    load(etcd, [(format!("{at}1000"), "v"), (format!("{at}1001"), "v")]);
    let count = |args: &[&str]| {
        let json = kvadm(etcd, ["list", &at, "--count", "-o", "json"]).args(args).run().ok().json();
        (json["count"].as_i64().unwrap(), json["revision"].as_i64().unwrap())
    };
    assert_eq!(count(&["--rev", &rev.to_string()]), (500, rev));
    assert_eq!(count(&[]).0, 502);
    assert_eq!(count(&["--match", "*/1*"]).0, 113);
    assert_eq!(count(&["--match", "*/1*", "--rev", &rev.to_string()]), (111, rev));
    assert_eq!(count(&["--match", "none"]).0, 0);
    assert!(count(&["--match", "none"]).1 > rev);
    assert_eq!(kvadm(etcd, ["list", &format!("{at}none"), "--count", "-o", "json"]).run().ok().json()["count"], 0);
}

#[test]
fn limits_count_what_is_shown() {
    let etcd = shared();
    let at = unique_prefix();
    let names: Vec<String> = (0..450).map(|n| format!("{n:03}")).collect();
    load(etcd, names.iter().map(|name| (format!("{at}{name}"), name)));
    for limit in [1, 99, 100, 101, 200, 449, 450, 451, 100_000] {
        let shown = values(etcd, &[&at, "--limit", &limit.to_string()]);
        assert_eq!(shown, names[..limit.min(450)], "--limit {limit}");
    }
    let odd: Vec<&String> = names.iter().filter(|name| name.ends_with('7')).collect();
    for limit in [1, 10, 44, 45, 46] {
        let shown = values(etcd, &[&at, "--match", "*7", "--limit", &limit.to_string()]);
        assert!(shown.iter().eq(odd.iter().take(limit).copied()), "--limit {limit}: {shown:?}");
    }
    let last: Vec<&String> = names.iter().rev().collect();
    for limit in [1, 3, 224, 225, 226, 450, 500] {
        let shown = values(etcd, &[&at, "--desc", "--limit", &limit.to_string()]);
        assert!(shown.iter().eq(last.iter().take(limit).copied()), "--desc --limit {limit}: {shown:?}");
    }
    assert_eq!(values(etcd, &[&at, "--desc", "--match", "*9", "--limit", "2"]), ["449", "439"]);
}

#[test]
fn every_order_and_its_reverse() {
    let etcd = shared();
    let at = unique_prefix();
    for (name, value) in [("a", "3"), ("b", "2"), ("c", "1"), ("b", "2"), ("a", "3"), ("a", "3"), ("c", "1")] {
        put(etcd, format!("{at}{name}"), value);
    }
    // Created a b c; last changed b a c; changed b 2, c 2, a 3 times.
    let ordered = |args: &[&str]| values(etcd, &[&[at.as_str()], args].concat()).concat();
    for (order, expected) in [("key", "321"), ("create", "321"), ("mod", "231"), ("version", "213"), ("value", "123")] {
        assert_eq!(ordered(&["--sort", order]), expected, "--sort {order}");
        let reverse: String = expected.chars().rev().collect();
        assert_eq!(ordered(&["--sort", order, "--desc"]), reverse, "--sort {order} --desc");
        assert_eq!(ordered(&["--sort", order, "--limit", "2"]), expected[..2], "--sort {order} --limit 2");
    }
    assert_eq!(ordered(&["--desc"]), "123");
    let keys = kvadm(etcd, ["list", &at, "--sort", "value", "--keys-only"]).run();
    keys.ok().out(&format!("{at}c\n{at}b\n{at}a\n"));
}

#[test]
fn an_earlier_revision_is_listed_as_it_was() {
    let etcd = shared();
    let at = unique_prefix();
    put(etcd, format!("{at}a"), "one");
    let rev = put(etcd, format!("{at}b"), "two").to_string();
    put(etcd, format!("{at}a"), "three");
    kvadm(etcd, ["delete", &format!("{at}b")]).run().ok();
    put(etcd, format!("{at}c"), "four");
    assert_eq!(values(etcd, &[&at]), ["three", "four"]);
    assert_eq!(values(etcd, &[&at, "--rev", &rev]), ["one", "two"]);
    assert_eq!(values(etcd, &[&at, "--rev", &rev, "--desc"]), ["two", "one"]);
    kvadm(etcd, ["list", &at, "--rev", "99999999"]).run().code(4).out_empty().err_has("status --revision");
    kvadm(etcd, ["list", &at, "--count", "--rev", "99999999"]).run().code(4).out_empty();
}

#[test]
fn leases_come_with_their_granted_ttl() {
    let etcd = shared();
    let at = unique_prefix();
    let (token, lease) = lock(etcd, &format!("{at}leased"));
    put(etcd, format!("{at}none"), "v");
    let key = token.rsplit_once('@').unwrap().0;
    let record = |args: &[&str]| kvadm(etcd, ["list", &at, "-o", "json"]).args(args).run().ok().json_lines();
    let records = record(&["--with-leases"]);
    assert_eq!((&records[0]["key"], &records[0]["ttl"]), (&json!(key), &json!(300)));
    assert!(records[1].get("lease").is_none() && records[1].get("ttl").is_none(), "{records:?}");
    assert!(record(&[])[0].get("ttl").is_none());
    let rev = records[1]["mod_revision"].to_string();
    etcd.etcdctl_ok(&["lease", "revoke", &lease]);
    let records = record(&["--with-leases", "--rev", &rev]);
    assert_eq!(records.len(), 2);
    assert!(records[0].get("lease").is_some() && records[0].get("ttl").is_none(), "{records:?}");
}

#[test]
fn under_a_lock_every_page_is_guarded() {
    let etcd = shared();
    let at = unique_prefix();
    load(etcd, (0..700).map(|n| (format!("{at}{n:03}"), "v")));
    let (token, lease) = lock(etcd, &format!("{}lock", unique_prefix()));
    let guard = format!("--if-locked={token}");
    assert_eq!(values(etcd, &[&at, &guard]).len(), 700);
    let trace = kvadm(etcd, ["list", &at, "--if-locked", "-vv"]).env("KVADM_LOCK", &token).run();
    let text = trace.ok().stderr_text();
    let pages: Vec<&str> = text.lines().filter(|line| line.starts_with("trace: list ")).collect();
    assert!(pages.len() > 1 && pages.iter().all(|page| page.contains("if[lock@")), "{text}");
    kvadm(etcd, ["list", &at, "--count", &guard]).run().ok().out_has("700");
    kvadm(etcd, ["--namespace", &at, "list", "69", "--keys-only", &guard]).run().ok().out_has("699\n");
    etcd.etcdctl_ok(&["lease", "revoke", &lease]);
    for more in [&[][..], &["--count"], &["--desc"], &["--match", "*", "--count"]] {
        kvadm(etcd, ["list", &at, &guard]).args(more).run().code(5).out_empty().err_has("lock").err_has("hint: ");
    }
}
