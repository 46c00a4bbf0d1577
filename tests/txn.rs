//! `txn`: transactions from files.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::support::{Endpoints, Etcd, Kvadm, Mode, Proxy, Run, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

fn txn_to(of: &(impl Endpoints + ?Sized), text: &str, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(of).args(["txn", "-"]).args(args).stdin(text)
}

fn txn(text: &str, args: &[&str]) -> Run {
    txn_to(shared(), text, args).run()
}

fn value(key: &str) -> Option<String> {
    shared().held(key).map(|held| held.text())
}

fn put(key: &str, value: &str) -> i64 {
    shared().etcdctl_ok(&["put", "--", key, value]);
    shared().held(key).unwrap().modified
}

/// The branch that ran for these conditions.
#[track_caller]
fn branch(compare: &Value) -> bool {
    let run = txn(&json!({"if": [compare]}).to_string(), &["-o", "json"]);
    let told = run.json();
    let then = told["succeeded"] == json!(true);
    assert_eq!(told["branch"], json!(if then { "then" } else { "else" }));
    assert_eq!(told["results"], json!([]));
    run.code(if then { 0 } else { 5 }).err_empty();
    then
}

#[test]
fn every_target_and_every_op_on_a_key() {
    let p = unique_prefix();
    let (key, none) = (format!("{p}key"), format!("{p}none"));
    let lease = shared().grant(300);
    put(&key, "a");
    shared().etcdctl_ok(&["put", &key, "m", &format!("--lease={lease}")]);
    let held = shared().held(&key).unwrap();
    let numbers = [("version", 2), ("create", held.created), ("mod", held.modified)];
    for (target, now) in numbers {
        for (op, other, holds) in [
            ("=", now, true),
            ("=", now + 1, false),
            ("==", now, true),
            ("!=", now, false),
            ("!=", now - 1, true),
            ("<", now, false),
            ("<", now + 1, true),
            (">", now, false),
            (">", now - 1, true),
        ] {
            assert_eq!(branch(&json!({"key": key, target: other, "op": op})), holds, "{target} {op} {other}");
        }
        assert!(branch(&json!({"key": none, target: 0})) && !branch(&json!({"key": none, target: 1})));
        assert!(branch(&json!({"key": key, target: now})), "= is meant without an op");
    }
    for (op, other, holds) in [
        ("=", "m", true),
        ("=", "n", false),
        ("!=", "m", false),
        ("!=", "n", true),
        ("<", "n", true),
        (">", "n", false),
        (">", "", true),
    ] {
        assert_eq!(branch(&json!({"key": key, "value": other, "op": op})), holds, "value {op} {other}");
        let encoded = BASE64_STANDARD.encode(other);
        let key = BASE64_STANDARD.encode(&key);
        assert_eq!(branch(&json!({"key_base64": key, "value_base64": encoded, "op": op})), holds);
    }
    assert!(branch(&json!({"key": key, "lease": lease})) && !branch(&json!({"key": key, "lease": lease, "op": "!="})));
    assert!(
        !branch(&json!({"key": key, "lease": "none"})) && branch(&json!({"key": key, "lease": "none", "op": "!="}))
    );
    assert!(!branch(&json!({"key": key, "lease": 0})) && branch(&json!({"key": key, "lease": 0, "op": ">"})));
    assert!(branch(&json!({"key": none, "lease": "none"})) && branch(&json!({"key": none, "lease": "1f", "op": "<"})));
    assert!(!branch(&json!({"key": none, "value": ""})), "a missing key has no value");
}

#[test]
fn compares_over_prefixes_and_ranges() {
    let p = unique_prefix();
    let at = |key: &str| format!("{p}{key}");
    for key in ["a", "b", "c"] {
        put(&at(key), key);
    }
    let last = shared().held(at("c")).unwrap().modified;
    assert!(branch(&json!({"prefix": p, "mod": last + 1, "op": "<"})));
    assert!(!branch(&json!({"prefix": p, "mod": last, "op": "<"})), "it has to hold for each");
    assert!(branch(&json!({"from": at("a"), "to": at("c"), "mod": last, "op": "<"})));
    assert!(!branch(&json!({"from": at("a"), "to": at("c\u{1}"), "mod": last, "op": "<"})));
    assert!(branch(&json!({"from": at("c"), "to": at("d"), "value": "c"})));
    assert!(branch(&json!({"prefix_base64": BASE64_STANDARD.encode(at("b")), "value": "b"})));
    assert!(branch(&json!({"prefix": at("none"), "version": 0})), "an empty range has version 0");
    assert!(!branch(&json!({"prefix": at("none"), "version": 0, "op": ">"})));
    // All conditions have to hold.
    let both = |second: &str| {
        let text = json!({"if": [{"key": at("a"), "value": "a"}, {"key": at("b"), "value": second}]}).to_string();
        txn(&text, &[]).code
    };
    assert_eq!((both("b"), both("x")), (Some(0), Some(5)));
}

#[test]
fn operations_and_what_they_return() {
    let p = unique_prefix();
    let at = |key: &str| format!("{p}{key}");
    let lease = shared().grant(300);
    for (key, value) in [("old", "o"), ("d/1", "1"), ("d/2", "2"), ("e", "e"), ("g/1", "x"), ("g/2", "y"), ("g/3", "z")]
    {
        put(&at(key), value);
    }
    shared().etcdctl_ok(&["put", &at("leased"), "l", &format!("--lease={lease}")]);
    let text = json!({
        "if": [{"key": at("old"), "value": "o"}],
        "then": [
            {"put": {"key": at("old"), "value": "n", "prev": true}},
            {"put": {"key": at("new"), "value": "-", "lease": lease, "prev": true}},
            {"put": {"key": at("leased"), "value": "m", "keep_lease": true}},
            {"delete": {"prefix": at("d/"), "prev": true}},
            {"delete": {"key": at("e")}},
            {"delete": {"key": at("none")}},
            {"get": {"prefix": at("g/"), "limit": 2}},
            {"get": {"from": at("g/"), "to": at("g/3"), "keys_only": true}},
            {"get": {"prefix": at("g/"), "count": true}},
            {"get": {"key": at("old")}},
            {"txn": {"if": [{"key": at("none"), "version": 1}], "then": [], "else": [{"get": {"key": at("none")}}]}},
        ],
        "else": [{"delete": {"prefix": p}}],
    });
    let before = shared().held(at("old")).unwrap();
    let run = txn(&text.to_string(), &["-o", "json"]);
    run.ok().err_empty();
    let told = run.json();
    let old = shared().held(at("old")).unwrap();
    assert_eq!((&told["branch"], &told["revision"]), (&json!("then"), &json!(old.modified)));
    let results = told["results"].as_array().unwrap();
    let was = json!({"key": at("old"), "value": "o", "create_revision": before.created, "mod_revision": before.modified, "version": 1});
    assert_eq!(results[0], json!({"op": "put", "prev": [was]}));
    assert_eq!(results[1], json!({"op": "put"}));
    assert_eq!(results[2], json!({"op": "put"}));
    assert_eq!((&results[3]["deleted"], results[3]["prev"].as_array().unwrap().len()), (&json!(2), 2));
    assert_eq!(results[4], json!({"op": "delete", "deleted": 1}));
    assert_eq!(results[5], json!({"op": "delete", "deleted": 0}));
    assert_eq!((&results[6]["count"], &results[6]["more"]), (&json!(3), &json!(true)));
    assert_eq!(results[6]["kvs"].as_array().unwrap().len(), 2);
    assert_eq!(results[7]["kvs"].as_array().unwrap().len(), 2);
    assert_eq!(results[8], json!({"op": "get", "count": 3, "more": false, "kvs": []}));
    assert_eq!(results[9]["kvs"][0]["value"], "n", "it sees what stands before it");
    assert_eq!(results[10]["branch"], "else");
    assert_eq!(results[10]["results"], json!([{"op": "get", "count": 0, "more": false, "kvs": []}]));

    assert_eq!(old.text(), "n");
    let (new, leased) = (shared().held(at("new")).unwrap(), shared().held(at("leased")).unwrap());
    assert_eq!((new.lease.as_ref(), new.modified), (Some(&lease), old.modified));
    assert_eq!((leased.lease.as_ref(), leased.text().as_str()), (Some(&lease), "m"));
    assert_eq!((value(&at("d/1")), value(&at("e"))), (None, None));

    // The same again: the other branch.
    let run = txn(&text.to_string(), &[]);
    run.code(5).err_empty().out_has("else\t");
    assert_eq!(shared().held_under(&p), []);
    // A get of the past.
    let run = txn(&json!({"then": [{"get": {"key": at("old"), "rev": before.modified}}]}).to_string(), &["-o", "json"]);
    assert_eq!(run.ok().json()["results"][0]["kvs"][0], was);
}

#[test]
fn results_as_text_and_yaml() {
    let p = unique_prefix();
    put(&format!("{p}a"), "1\t2");
    let text =
        format!("then:\n- get: {{prefix: {p}}}\n- put: {{key: {p}b, value: x}}\n- delete: {{key: {p}a, prev: true}}\n");
    let run = txn(&text, &["--dry-run"]);
    let revision = shared().held(format!("{p}a")).unwrap().modified;
    run.ok().err_has("dry run: 'then' would run").err_has("nothing was written");
    run.out_has("would-then\t").out_has(&format!("\nget\t1\nkv\t{p}a\t1\\t2\n")).out_lacks("put");
    let run = txn(&text, &[]);
    let after = shared().held(format!("{p}b")).unwrap().modified;
    run.ok().err_empty();
    run.out(&format!("then\t{after}\nget\t1\nkv\t{p}a\t1\\t2\nput\ndelete\t1\nprev\t{p}a\t1\\t2\n"));
    assert!(after > revision);
    let run = txn(&text, &["-o", "yaml"]);
    run.ok()
        .out_has("branch: \"then\"\n")
        .out_has("succeeded: true\n")
        .out_has("- op: \"get\"\n")
        .out_has("deleted: 0");
}

#[test]
fn json_and_yaml_from_files_with_any_bytes() {
    let p = unique_prefix();
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        Kvadm::new().endpoint(shared()).args(["txn", name]).folder(folder.path()).run()
    };
    run("a.yaml", &format!("# a comment\nif:\n  - {{key: '{p}a', version: 0}}\nthen:\n  - put:\n      key: {p}a\n      value: |\n        two\n        lines\n")).ok();
    assert_eq!(value(&format!("{p}a")).unwrap(), "two\nlines\n");
    let key = [p.as_bytes(), &[0xff, 0]].concat();
    let encoded = BASE64_STANDARD.encode(&key);
    let put = json!({"then": [{"put": {"key_base64": encoded, "value_base64": "/w=="}}]});
    run("b.json", &put.to_string()).ok();
    run("b.json", &serde_json::to_string_pretty(&put).unwrap()).ok();
    let held = shared().held_under(&p);
    assert_eq!((held[1].key.as_slice(), held[1].value.as_slice(), held[1].version), (&key[..], &[0xff][..], 2));
    run("c.json", r#"{"then": [{"put": {"key": "KEY", "value": "\u00e9\ud83d\ude00\t"}}]}"#.replace("KEY", &format!("{p}c")).as_str()).ok();
    assert_eq!(value(&format!("{p}c")).unwrap(), "é😀\t");
    run("d.yaml", &format!("then: [{{delete: {{prefix_base64: {encoded}}}}}]")).ok();
    assert_eq!(shared().held_under(&p).len(), 2);
    run("e.yaml", "{}").ok().out_has("then\t");
}

#[test]
fn bad_files_are_refused_with_the_place() {
    let p = unique_prefix();
    let before = put(&format!("{p}a"), "1");
    let refused = |text: &str, words: &str| {
        let run = txn(text, &[]);
        run.code(2).out_empty().err_has(&format!("error: stdin: {words}")).err_has("kvadm txn --help");
    };
    refused("", "the file must be a mapping with if, then and else");
    refused("nonsense", "the file must be a mapping with if, then and else");
    refused("if: [", "");
    refused("whem: []", "unknown field 'whem' (expected one of if, then, else)");
    refused("then: {put: {key: a, value: b}}", "then: must be a list");
    refused("then: [put]", "then[0]: must be a mapping");
    refused("then: [{put: {key: a, value: b}, get: {key: a}}]", "then[0]: expected one of put, delete, get or txn");
    refused("then: [{push: {key: a}}]", "then[0].push: 'push' is not one of put, delete, get, txn");
    refused("then: [{get: {key: a}}, {put: {key: a, valeu: b}}]", "then[1].put: unknown field 'valeu'");
    refused("then: [{put: {key: a, value: 5}}]", "then[0].put.value: must be a string; put it in quotes");
    refused(
        "then: [{put: {key: a, value: b, lease: 1f, keep_lease: true}}]",
        "then[0].put: lease and keep_lease cannot be combined",
    );
    refused(
        "then: [{put: {key: a, value: b, lease: 0x1f}}]",
        "then[0].put.lease: must be a string; put the hex ID in quotes",
    );
    refused("then: [{put: {key: a, value: b, lease: xyz}}]", "then[0].put.lease: 'xyz' is not a lease ID in hex");
    refused("then: [{put: {prefix: a, value: b}}]", "then[0].put: unknown field 'prefix'");
    refused("else: [{delete: {}}]", "else[0].delete: the key, prefix or from is missing");
    refused("else: [{delete: {to: a}}]", "else[0].delete:");
    refused("else: [{delete: {key: a, prefix: b}}]", "else[0].delete: key, prefix and from cannot be combined");
    refused("else: [{delete: {from: b, to: b}}]", "else[0].delete: empty range: from is not less than to");
    refused("then: [{get: {key: a, limit: -1}}]", "then[0].get.limit: must be a whole number");
    refused("then: [{get: {key: a, rev: 0}}]", "then[0].get.rev: must be greater than 0");
    refused("then: [{get: {key: a, keys_only: 1}}]", "then[0].get.keys_only: must be true or false");
    refused(
        "then: [{txn: {then: [{txn: {if: [{key: a}]}}]}}]",
        "then[0].txn.then[0].txn.if[0]: nothing to compare: add value, version, create, mod or lease",
    );
    refused("if: [{key: a, value: b, mod: 3}]", "if[0]: value and mod cannot be combined");
    refused("if: [{key: a, mod: -3}]", "if[0].mod: must be a whole number");
    refused("if: [{key: a, mod: 3, op: '=>'}]", "if[0].op: '=>' is not one of =, !=, <, >");
    refused("if: [{key_base64: a, mod: 3}]", "if[0].key_base64:");
    let run = txn_to(shared(), "", &[]).stdin(b"then: [\xff]").run();
    run.code(2).err_has("stdin: the file is not UTF-8");
    let run = Kvadm::new().endpoint(shared()).args(["txn", "/no/such/file"]).run();
    run.code(2).out_empty().err_has("cannot read /no/such/file: No such file");
    Kvadm::new().endpoint(shared()).arg("txn").run().code(2);
    assert_eq!(shared().held(format!("{p}a")).unwrap().modified, before);
}

/// An empty prefix is what a template makes of a variable that is not set.
#[test]
fn a_deletion_of_every_key_must_be_meant() {
    let etcd = Etcd::start();
    etcd.etcdctl_ok(&["put", "/a", "v"]);
    for delete in [json!({"prefix": ""}), json!({"from": ""}), json!({"prefix": "", "all": false})] {
        let nested = json!({"else": [{"txn": {"then": [{"delete": delete}]}}]});
        txn_to(&etcd, &json!({"then": [{"delete": delete}]}).to_string(), &[])
            .run()
            .code(2)
            .out_empty()
            .err_has("then[0].delete: this deletes every key; add 'all: true' if that is meant");
        txn_to(&etcd, &nested.to_string(), &[])
            .run()
            .code(2)
            .err_has("else[0].txn.then[0].delete: this deletes every key");
    }
    assert_eq!(etcd.held_under("/").len(), 1);
    txn_to(&etcd, &json!({"then": [{"delete": {"prefix": "", "all": true}}]}).to_string(), &[]).run().ok();
    assert_eq!(etcd.held_under("/").len(), 0);
}

/// `etcd --max-txn-ops`: 500, and 10 on a second server.
#[test]
fn the_servers_limit_of_operations_can_be_used() {
    let etcd = Etcd::options().arg("--max-txn-ops=500").start();
    let puts: Vec<Value> = (0..500).map(|i| json!({"put": {"key": format!("/{i:03}"), "value": ""}})).collect();
    let text = json!({"then": puts}).to_string();
    txn_to(&etcd, &text, &[]).run().code(4).err_has("the limit here is 128 (--max-ops raises it");
    let more: Vec<Value> = (0..501).map(|i| json!({"put": {"key": format!("/{i:03}"), "value": ""}})).collect();
    let run = txn_to(&etcd, &json!({"then": more}).to_string(), &["--max-ops", "501"]).run();
    run.code(4).err_has("too many operations").err_has("hint: set --max-ops");
    assert_eq!(etcd.held_under("/").len(), 0);
    txn_to(&etcd, &text, &["--max-ops", "500"]).run().ok();
    assert_eq!(etcd.held_under("/").len(), 500);
    let keys: Vec<String> = (0..500).map(|i| format!("/{i:03}")).collect();
    let delete = Kvadm::new().endpoint(&etcd).env("KVADM_MAX_TXN_OPS", "500").args(["delete", "--yes"]).args(&keys);
    let before = etcd.revision();
    delete.run().ok();
    assert_eq!((etcd.held_under("/").len(), etcd.revision() - before), (0, 2), "499 keys and one");

    let small = Etcd::options().arg("--max-txn-ops=10").start();
    let lines: String = (0..50).map(|i| format!("{}\n", json!({"key": format!("/{i:03}"), "value": "v"}))).collect();
    let load =
        |args: &[&str]| Kvadm::new().endpoint(&small).args(["put", "--from", "-"]).args(args).stdin(&lines).run();
    load(&[]).code(4).err_has("too many operations").err_has("hint: set --max-ops");
    assert_eq!(small.held_under("/").len(), 0);
    load(&["--max-ops", "10"]).ok();
    assert_eq!(small.held_under("/").len(), 50);
    let run = Kvadm::new().endpoint(&small).args(["get", "--max-ops", "10"]).args(&keys[..50]).run();
    run.ok();
    assert_eq!(run.stdout_text().lines().count(), 50);
    Kvadm::new().args(["get", "/a", "--max-ops", "2"]).run().code(2).err_has("from 3 to 65536");
}

#[test]
fn limits_are_refused_before_anything_is_sent() {
    let etcd = Etcd::start();
    let refused = |text: &Value, words: &str| {
        let run = txn_to(&etcd, &text.to_string(), &["-vv"]).run();
        let code = if words.contains("only once") { 2 } else { 4 };
        run.code(code).out_empty().err_has("error: stdin: ").err_has(words).err_has("hint: nothing was sent");
        run.err_lacks("trace:");
    };
    let puts =
        |n: usize| -> Vec<Value> { (0..n).map(|i| json!({"put": {"key": format!("/{i}"), "value": ""}})).collect() };
    let put = |key: &str| json!({"put": {"key": key, "value": "v"}});
    let before = etcd.revision();
    refused(
        &json!({"then": puts(129)}),
        "129 operations in 'then'; the limit here is 128 (--max-ops raises it, if the servers' --max-txn-ops allows it)",
    );
    refused(&json!({"else": puts(129)}), "129 operations in 'else'");
    let compares: Vec<Value> = (0..129).map(|i| json!({"key": format!("/{i}"), "version": 0})).collect();
    refused(&json!({"if": compares}), "129 compares");
    refused(&json!({"then": [put("/a"), {"txn": {"then": puts(128)}}]}), "nested");
    refused(
        &json!({"then": [put("/a"), put("/b"), put("/a")]}),
        "/a is written twice; a transaction may write each key only once",
    );
    refused(
        &json!({"then": [put("/a"), {"delete": {"prefix": "/"}}]}),
        "/a is both written and deleted; a transaction may write each key only once",
    );
    refused(
        &json!({"else": [put("/a"), {"txn": {"then": [put("/a")]}}]}),
        "/a is written twice; a transaction may write each key only once",
    );
    let large = json!({"put": {"key": "/a", "value": "x".repeat(1_600_000)}});
    refused(&json!({"then": [large]}), "--max-request-bytes");
    assert_eq!(etcd.revision(), before);

    // What is at the limit goes through.
    txn_to(&etcd, &json!({"then": puts(128)}).to_string(), &[]).run().ok();
    assert_eq!((etcd.held_under("/").len(), etcd.revision()), (128, before + 1));
    let most = json!({"put": {"key": "/a", "value": "x".repeat(1_570_000)}});
    txn_to(&etcd, &json!({"then": [most]}).to_string(), &[]).run().ok();
    let both = json!({"if": [{"key": "/a", "version": 1}], "then": [put("/c")], "else": [put("/c")]});
    txn_to(&etcd, &both.to_string(), &[]).run().ok();
    // With a lock one place less.
    let lock = format!("--if-locked={}", etcd.lock_token("/lock"));
    let run = txn_to(&etcd, &json!({"then": puts(128)}).to_string(), &[&lock]).run();
    run.code(4).err_has("128 operations in 'then'; the limit here is 127");
    txn_to(&etcd, &json!({"then": puts(127)}).to_string(), &[&lock]).run().ok();
}

#[test]
fn what_etcd_refuses() {
    let p = unique_prefix();
    let run = txn(&format!("then: [{{put: {{key: {p}a, value: b, lease: 123abc}}}}]"), &[]);
    run.code(4).out_empty().err_has("requested lease not found");
    let run = txn(&format!("then: [{{put: {{key: {p}a, value: b, keep_lease: true}}}}]"), &[]);
    run.code(4).out_empty().err_has("key not found");
    let run = txn(&format!("then: [{{get: {{key: {p}a, rev: 99999999}}}}]"), &["-o", "json"]);
    run.code(4).out_empty();
    assert_eq!(run.err_json()["exit_code"], 4);
    assert_eq!(shared().held_under(&p), []);
}

#[test]
fn a_dry_run_compares_and_reads_only() {
    let p = unique_prefix();
    let rev = put(&format!("{p}a"), "1");
    let text = |value: &str| {
        let write = json!({"put": {"key": format!("{p}a"), "value": "2"}});
        let gone = json!({"delete": {"prefix": p}});
        let nested = json!({"txn": {"then": [write, {"get": {"key": format!("{p}a")}}]}});
        json!({"if": [{"key": format!("{p}a"), "value": value}], "then": [nested], "else": [gone]}).to_string()
    };
    let run = txn(&text("1"), &["--dry-run", "-o", "json"]);
    let told = run.ok().json();
    assert_eq!((&told["dry_run"], &told["branch"]), (&json!(true), &json!("then")));
    assert_eq!(told["results"][0]["results"][0]["kvs"][0]["value"], "1");
    txn(&text("x"), &["--dry-run", "-o", "json"]).code(5);
    assert_eq!(shared().held(format!("{p}a")).unwrap().modified, rev);
    assert_eq!(txn(&text("1"), &["-o", "json"]).ok().json().get("dry_run"), None);
}

#[test]
fn a_lost_lock_does_not_run_the_other_branch() {
    let p = unique_prefix();
    let token = shared().lock_token(&format!("{p}lock"));
    let held = format!("--if-locked={token}");
    let text = |value: &str| {
        let put = |value: &str| json!([{"put": {"key": format!("{p}a"), "value": value}}]);
        json!({"if": [{"key": format!("{p}a"), "value": value}], "then": put("then"), "else": put("else")}).to_string()
    };
    let run = txn(&text("no"), &[&held, "-o", "json"]);
    run.code(5).err_empty();
    assert_eq!((&run.json()["branch"], value(&format!("{p}a")).as_deref()), (&json!("else"), Some("else")));
    txn_to(shared(), &text("else"), &["--if-locked"]).env("KVADM_LOCK", &token).run().ok().out_has("then\t");
    shared().etcdctl_ok(&["del", &format!("{p}lock")]);
    for args in [&[held.as_str()][..], &["--if-locked"], &[&held, "--dry-run"]] {
        for value in ["then", "no"] {
            let run = txn_to(shared(), &text(value), args).env("KVADM_LOCK", &token).run();
            run.code(5).out_empty().err_has(&format!("the lock {p}lock at revision")).err_has("is no longer held");
        }
    }
    assert_eq!(shared().held(format!("{p}a")).unwrap().version, 2);
    txn(&text("then"), &["--if-locked"]).code(2).err_has("KVADM_LOCK is not set");
}

#[test]
fn an_answer_that_is_lost_is_unknown() {
    let etcd = Etcd::start();
    let text =
        "if: [{key: /a, version: 0}]\nthen: [{put: {key: /a, value: b}}]\nelse: [{put: {key: /else, value: b}}]\n";
    // The answer never comes.
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Delay { up: Duration::ZERO, down: Duration::from_millis(300) });
    let child = txn_to(&proxy.endpoint(), text, &["--op-timeout", "1s"]).spawn();
    let mut child = child;
    child.close_stdin();
    eventually("the transaction", SOON, || etcd.held("/a").is_some());
    proxy.set(Mode::HangReplies);
    let run = child.wait();
    run.code(7).out_empty().err_has("'txn' was sent, but it is unknown whether etcd applied it");
    run.err_has("no response from")
        .err_has("hint: read the keys before you retry: etcd may have applied the request, or may still apply it");
    proxy.set(Mode::Pass);
    drop(proxy);

    // The connection is cut under it.
    etcd.etcdctl_ok(&["del", "/a"]);
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Delay { up: Duration::ZERO, down: Duration::from_millis(300) });
    let mut child = txn_to(&proxy.endpoint(), text, &["-o", "json"]).spawn();
    child.close_stdin();
    eventually("the transaction", SOON, || etcd.held("/a").is_some());
    proxy.cut();
    proxy.set(Mode::Pass);
    let run = child.wait();
    assert_eq!(run.code(7).err_json()["exit_code"], 7);
    assert_eq!(etcd.held("/a").unwrap().version, 1, "it was not sent again");
    assert_eq!(etcd.held("/else"), None);
}

#[test]
fn a_namespace_goes_before_every_key() {
    let p = unique_prefix();
    put(&format!("{p}a"), "1");
    put(&format!("{p}d/1"), "1");
    let text = json!({
        "if": [{"key": "a", "value": "1"}, {"prefix": "d/", "version": 1}],
        "then": [{"put": {"key": "b", "value": "2"}}, {"get": {"from": "a"}}, {"delete": {"prefix": "", "all": true}},],
    });
    let bad = txn(&text.to_string(), &["--namespace", &p]);
    bad.code(2).err_has("b is both written and deleted; a transaction may write each key only once");
    let text = text.to_string().replace(r#"{"delete":{"prefix":"","all":true}}"#, r#"{"delete":{"prefix":"d"}}"#);
    let run = txn(&text, &["--namespace", &p, "-o", "json"]);
    let told = run.ok().json();
    let keys: Vec<&Value> = told["results"][1]["kvs"].as_array().unwrap().iter().map(|kv| &kv["key"]).collect();
    assert_eq!(keys, [&json!("a"), &json!("b"), &json!("d/1")]);
    assert_eq!(shared().held_under(&p).len(), 2);
}
