//! `put --prev` and `put --ignore-value`.

use serde_json::json;

use super::support::{Etcd, Kvadm, shared, unique_prefix};

fn put(args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(shared()).arg("put").args(args)
}

fn lease_of(key: &str) -> Option<String> {
    let record = Kvadm::new().endpoint(shared()).args(["get", key, "-o", "json"]).run().ok().json();
    record["lease"].as_str().map(str::to_owned)
}

#[test]
fn the_record_before_is_printed() {
    let etcd = shared();
    let key = format!("{}k", unique_prefix());
    let first = put(&[&key, "one", "--prev", "-o", "json"]).run().ok().json();
    assert_eq!(
        (&first["outcome"], first.get("prev_value"), first.get("prev_mod_revision")),
        (&json!("written"), None, None)
    );
    let lease = etcd.grant(600);
    let second = put(&[&key, "two", "--prev", "--lease", &lease, "-o", "json"]).run().ok().json();
    assert_eq!((&second["prev_value"], &second["prev_mod_revision"]), (&json!("one"), &first["mod_revision"]));
    assert_eq!((second.get("prev_lease"), &second["lease"]), (None, &json!(lease)));
    // etcdctl names the same value.
    let third = put(&[&key, "three", "--prev", "--keep-lease", "-o", "json"]).run().ok().json();
    assert_eq!((&third["prev_value"], &third["prev_lease"]), (&json!("two"), &json!(lease)));
    assert_eq!(etcd.etcdctl_ok(&["put", &key, "four", "--prev-kv"]), format!("OK\n{key}\nthree\n"));
    // Text has a column for it, and bytes are escaped.
    let run = put(&[&key, "\u{1b}", "--prev"]).run();
    run.ok().err_empty().out(&format!("written\t{key}\t{}\tfour\n", etcd.held(&key).unwrap().modified));
    put(&[&key, "five", "--prev"]).run().ok().out_has("\t\\x1b\n");
    let missing = format!("{key}-missing");
    let run = put(&[&missing, "v", "--prev"]).run();
    run.ok().out(&format!("written\t{missing}\t{}\t\n", etcd.held(&missing).unwrap().modified));
}

#[test]
fn the_record_before_with_conditions_and_dry_runs() {
    let etcd = shared();
    let key = format!("{}k", unique_prefix());
    put(&[&key, "one"]).run().ok();
    let rev = etcd.held(&key).unwrap().modified.to_string();
    let json = |args: &[&str]| put(&[&[key.as_str()], args, &["--prev", "-o", "json"]].concat()).run();
    for (args, outcome) in [
        (&["two", "--dry-run"][..], "would-write"),
        (&["two", "--dry-run", "--if-different"], "would-write"),
        (&["one", "--dry-run", "--if-different"], "unchanged"),
        (&["one", "--if-different"], "unchanged"),
        (&["two", "--dry-run", "--keep-lease", "--if-rev", &rev], "would-write"),
    ] {
        let told = json(args).ok().json();
        assert_eq!((&told["outcome"], &told["prev_value"]), (&json!(outcome), &json!("one")), "{args:?}");
        assert_eq!(etcd.held(&key).unwrap().text(), "one");
    }
    put(&[&key, "two", "--dry-run", "--prev"])
        .run()
        .ok()
        .out(&format!("would-write\t{key}\t\tone\n"))
        .err_has("dry run");
    json(&["two", "--if-value", "other"]).code(5).out_empty();
    json(&["two", "--create", "--dry-run"]).code(5).out_empty();
    for (value, args) in
        [("two", &["--if-value", "one"][..]), ("three", &["--if-different"]), ("four", &["--update", "--keep-lease"])]
    {
        let before = etcd.held(&key).unwrap();
        let told = json(&[&[value], args].concat()).ok().json();
        assert_eq!((&told["prev_value"], &told["prev_mod_revision"]), (&json!(before.text()), &json!(before.modified)));
    }
    let gone = format!("{key}-gone");
    let told = put(&[&gone, "v", "--prev", "--dry-run", "-o", "json"]).run().ok().json();
    assert_eq!((&told["outcome"], told.get("prev_value")), (&json!("would-write"), None));
    put(&["--from", "-", "--prev"]).run().code(2);
    put(&[&key, "v", "--hold", "--prev"]).run().code(2);
}

#[test]
fn the_value_stays_and_the_lease_changes() {
    let etcd = shared();
    let key = format!("{}k", unique_prefix());
    let value = "v".repeat(100_000);
    put(&[&key, "-"]).stdin(&value).run().ok();
    let lease = etcd.grant(600);
    let version = || etcd.held(&key).unwrap().version;
    put(&[&key, "--ignore-value", "--lease", &lease]).run().ok().err_empty();
    assert_eq!((etcd.held(&key).unwrap().text(), version(), lease_of(&key)), (value.clone(), 2, Some(lease.clone())));
    let told = put(&[&key, "--ignore-value", "--keep-lease", "--prev", "-o", "json"]).run().ok().json();
    assert_eq!((&told["lease"], &told["prev_value"], version()), (&json!(lease), &json!(value), 3));
    let rev = etcd.held(&key).unwrap().modified;
    put(&[&key, "--ignore-value", "--ttl", "600s", "--if-rev", &rev.to_string()]).run().ok();
    assert!(lease_of(&key).is_some_and(|now| now != lease));
    put(&[&key, "--ignore-value", "--keep-lease", "--if-rev", &rev.to_string()]).run().code(5).out_empty();
    let told = put(&[&key, "--ignore-value", "--lease", &lease, "--dry-run", "-o", "json"]).run().ok().json();
    assert_eq!((&told["outcome"], version()), (&json!("would-write"), 4));
    assert_eq!(etcd.held(&key).unwrap().text(), value);
}

#[test]
fn a_missing_key_and_other_mistakes() {
    let etcd = Etcd::start();
    let put = |args: &[&str]| Kvadm::new().endpoint(&etcd).arg("put").args(args).run();
    let run = put(&["k", "--ignore-value", "--ttl", "60s"]);
    run.code(1).out_empty().err_has("error: key not found: k").err_has("to create the key, give a value");
    // The lease that was granted for the key is gone too.
    assert!(etcd.leases().is_empty() && etcd.held("k").is_none());
    put(&["k", "--ignore-value", "--keep-lease", "--dry-run"]).code(1).out_empty();
    put(&["k", "--ignore-value", "--keep-lease", "--if-exists", "other"]).code(5).out_empty();
    put(&["k", "--ignore-value"]).code(2).err_has("--ignore-value needs --lease, --ttl or --keep-lease");
    put(&["k", "--ignore-value", "--keep-lease", "--", "v"]).code(2);
    for args in [
        &["k", "v", "--ignore-value", "--keep-lease"][..],
        &["k", "--ignore-value", "--keep-lease", "--file", "f"],
        &["k", "--ignore-value", "--ttl", "60s", "--create"],
        &["k", "--ignore-value", "--ttl", "60s", "--if-different"],
        &["k", "--ignore-value", "--hold"],
        &["k", "--ignore-value", "--keep-lease", "--revert-to", "2"],
    ] {
        put(args).code(2).out_empty();
    }
    put(&["k", "--ignore-value", "--lease", "1f"]).code(1);
    put(&["k", "v"]).ok();
    put(&["k", "--ignore-value", "--lease", "1f"]).code(4).err_has("lease");
    assert_eq!(etcd.held("k").unwrap().version, 1);
}
