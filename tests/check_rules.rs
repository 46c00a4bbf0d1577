//! `check`: each rule holds and does not hold on real servers.

use std::time::Duration;

use serde_json::{Value, json};

use super::check::{check, file, put, rule, states};
use super::failover::{cluster, heal};
use super::support::{Certs, Etcd, Kvadm, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

/// Runs one check, and returns its only rule.
fn judged(etcd: &Etcd, check_text: &str) -> Value {
    rule(&check(etcd, &[check_text]).args(["-o", "json"]).run())
}

fn assert_passes(etcd: &Etcd, text: &str) {
    let rule = judged(etcd, text);
    assert_eq!(rule["state"], "pass", "{text}: {rule}");
}

/// The rule fails, and says this.
fn assert_fails(etcd: &Etcd, text: &str, expected: &str, found: &str) {
    let rule = judged(etcd, text);
    let said = (rule["state"].as_str(), rule["expected"].as_str(), rule["found"].as_str());
    assert_eq!(said, (Some("fail"), Some(expected), Some(found)), "{text}: {rule}");
}

fn assert_error(etcd: &Etcd, text: &str, why: &str) {
    let rule = judged(etcd, text);
    assert_eq!(rule["state"], "error", "{text}: {rule}");
    assert!(rule["error"].as_str().unwrap().contains(why), "{text}: {rule}");
}

/// A time that many seconds before now.
fn ago(seconds: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    kvadm::time::Time::from_secs(i64::try_from(now).unwrap() - seconds).to_string()
}

#[test]
fn rules_about_a_key() {
    let (etcd, p) = (shared(), unique_prefix());
    let of = |name: &str, rule: &str| format!("{{name: x, key: {p}{name}, {rule}}}");
    put(etcd, &format!("{p}text"), "v1.2");
    put(etcd, &format!("{p}spec"), r#"{"spec": {"replicas": 3, "on": true}, "time": "x"}"#);
    put(etcd, &format!("{p}now"), &ago(10));
    put(etcd, &format!("{p}old"), &ago(7_300));
    put(etcd, &format!("{p}ahead"), &ago(-7_300));
    put(etcd, &format!("{p}status"), &json!({"status": {"time": ago(5)}}).to_string());
    put(etcd, &format!("{p}empty"), "");
    for (name, rule) in [
        ("text", "exists: true"),
        ("none", "absent: true"),
        ("text", "value: v1.2"),
        ("empty", "value: ''"),
        ("text", "value-matches: '^v[0-9.]+$'"),
        ("spec", "json: {path: /spec/replicas, at-least: 2, below: 4}"),
        ("spec", "json: {path: /spec/on, equals: true}"),
        ("spec", "json: {path: /spec/off, exists: false}"),
        ("now", "changed-within: 2m"),
        ("status", "changed-within: {within: 2m, path: /status/time}"),
        ("text", "leased: false"),
        ("text", "value-size-below: 5"),
    ] {
        assert_passes(etcd, &of(name, rule));
    }
    for (name, rule, expected, found) in [
        ("none", "exists: true", "the key exists", "no such key"),
        ("text", "absent: true", "no such key", "the key exists: v1.2"),
        ("text", "value: v1.3", "v1.3", "v1.2"),
        ("none", "value: ''", "(empty)", "no such key"),
        ("empty", "value: x", "x", "(empty)"),
        ("text", "value-matches: '^v[0-9]$'", "a match of ^v[0-9]$", "v1.2"),
        ("spec", "json: {path: /spec/replicas, at-least: 4}", "/spec/replicas at least 4", "/spec/replicas is 3"),
        ("spec", "json: {path: /spec/off, equals: 1}", "/spec/off equals 1", "no /spec/off"),
        ("text", "json: {path: /a, equals: 1}", "/a equals 1", "the value is not JSON: v1.2"),
        ("text", "changed-within: 2m", "a time at most 2m ago", "'v1.2', which is no RFC 3339 time"),
        ("text", "leased: true", "a lease", "no lease"),
        ("text", "lease-left-at-least: 5s", "a lease with at least 5s left", "no lease"),
        ("text", "value-size-below: 4", "values below 4 bytes", "4 bytes"),
    ] {
        assert_fails(etcd, &of(name, rule), expected, found);
    }
    for name in ["old", "ahead"] {
        let rule = judged(etcd, &of(name, "changed-within: 2h"));
        assert_eq!(rule["state"], "fail", "{name}: {rule}");
        assert!(rule["found"].as_str().unwrap().contains("(2h1m"), "{rule}");
    }
    let measured = judged(etcd, &of("old", "changed-within: 3h"));
    assert!((7_290.0..7_400.0).contains(&measured["measured"].as_f64().unwrap()), "{measured}");
    assert_eq!((&measured["limit"], &measured["unit"]), (&json!(10800.0), &json!("seconds")));
}

#[test]
fn rules_about_leases() {
    let (etcd, p) = (shared(), unique_prefix());
    let lease = etcd.grant(1_000);
    for key in ["w/a", "w/b"] {
        etcd.etcdctl_ok(&["put", &format!("{p}{key}"), "x", &format!("--lease={lease}")]);
    }
    assert_passes(etcd, &format!("{{name: x, key: {p}w/a, leased: true}}"));
    assert_passes(etcd, &format!("{{name: x, key: {p}w/a, lease-left-at-least: 900s}}"));
    assert_passes(etcd, &format!("{{name: x, prefix: {p}w/, all-leased: true}}"));
    let rule = judged(etcd, &format!("{{name: x, key: {p}w/a, lease-left-at-least: 2000s}}"));
    assert_eq!(rule["state"], "fail", "{rule}");
    assert!(rule["found"].as_str().unwrap().starts_with(&format!("lease {lease} has 16m")), "{rule}");
    put(etcd, &format!("{p}w/c"), "x");
    put(etcd, &format!("{p}w/d"), "x");
    let found = format!("2 of 4 keys do not fit, the first: {p}w/c: no lease");
    assert_fails(etcd, &format!("{{name: x, prefix: {p}w/, all-leased: true}}"), "every key is on a lease", &found);
    assert_fails(
        etcd,
        &format!("{{name: x, prefix: {p}typo/, all-leased: true}}"),
        "every key is on a lease",
        "no key with this prefix",
    );
}

#[test]
fn rules_about_a_prefix() {
    let (etcd, p) = (shared(), unique_prefix());
    for (key, value) in [("a", r#"{"ready": true}"#), ("b", r#"{"ready": false}"#), ("c", "long value that is no JSON")]
    {
        put(etcd, &format!("{p}n/{key}"), value);
    }
    let of = |rule: &str| format!("{{name: x, prefix: {p}n/, {rule}}}");
    for rule in [
        "count: 3",
        "count: {at-least: 3, below: 4}",
        "size-below: 1kB",
        "value-size-below: 27",
        "each-value-matches: '.'",
    ] {
        assert_passes(etcd, &of(rule));
    }
    let keys = 3 * (p.len() + 3) + 15 + 16 + 26;
    for (rule, expected, found) in [
        ("count: 2", "2", "3"),
        ("count: {at-least: 4}", "at least 4", "3"),
        ("size-below: 20", "below 20 bytes", &*format!("{keys} bytes in 3 keys")),
        (
            "value-size-below: 16",
            "values below 16 bytes",
            &*format!("2 values too large, the largest: {p}n/c has 26 bytes"),
        ),
        ("each-value-matches: '^\\{'", "a match of ^\\{", &*format!("{p}n/c: long value that is no JSON")),
        (
            "each-json: {path: /ready, equals: true}",
            "/ready equals true",
            &*format!("2 of 3 keys do not fit, the first: {p}n/b: /ready is false"),
        ),
    ] {
        assert_fails(etcd, &of(rule), expected, found);
    }
    assert_fails(
        etcd,
        &format!("{{name: x, prefix: {p}typo/, each-value-matches: x}}"),
        "a match of x",
        "no key with this prefix",
    );
    assert_passes(etcd, &format!("{{name: x, prefix: {p}typo/, count: 0}}"));
    let rule = judged(etcd, &of("count: {at-least: 4}"));
    assert_eq!((&rule["measured"], &rule["limit"], &rule["unit"]), (&json!(3.0), &json!(4.0), &json!("count")));
}

#[test]
fn a_prefix_is_compared_with_a_source() {
    let (etcd, p) = (shared(), unique_prefix());
    for key in ["a", "b", "c"] {
        put(etcd, &format!("{p}{key}"), key);
    }
    let folder = tempfile::tempdir().unwrap();
    let listed = Kvadm::new().endpoint(etcd).args(["list", &p, "-o", "json"]).run().ok().stdout_text();
    std::fs::write(folder.path().join("config.jsonl"), &listed).unwrap();
    let then = etcd.revision();
    let of = |source: &str| format!("{{name: x, prefix: {p}, equals: \"{source}\"}}");
    let run = |checks: &[&str]| {
        // A file that is named is beside the check file.
        let path = folder.path().join("checks.yaml");
        std::fs::write(&path, file(checks)).unwrap();
        Kvadm::new().endpoint(etcd).arg("check").arg(&path).args(["-o", "json"]).run()
    };
    run(&[&of("file:config.jsonl")]).ok();
    run(&[&of(&format!("rev:{then}"))]).ok();
    put(etcd, &format!("{p}b"), "B");
    put(etcd, &format!("{p}d"), "d");
    Kvadm::new().endpoint(etcd).args(["delete", &format!("{p}a")]).run().ok();
    for source in ["file:config.jsonl", &format!("rev:{then}")] {
        // The other rule of the prefix shares its pass.
        let found = run(&[&of(source), &format!("{{name: y, prefix: {p}, value-size-below: 9}}")]);
        assert_eq!(states(found.code(1))[1].1, "pass");
        let rule = rule(&found);
        assert_eq!(rule["found"], format!("3 differences, the first: {p}a (only in the source)"), "{rule}");
        assert_eq!(rule["measured"], 3.0);
    }
    let lines: Vec<String> =
        (0..3_000).map(|at| json!({"key": format!("{p}n{at:05}"), "value": "x"}).to_string()).collect();
    std::fs::write(folder.path().join("many.jsonl"), lines.join("\n")).unwrap();
    Kvadm::new().endpoint(etcd).args(["put", "--from"]).arg(folder.path().join("many.jsonl")).run().ok();
    let many = |rule: &str| format!("{{name: x, prefix: {p}n, {rule}}}");
    run(&[&many("equals: \"file:many.jsonl\""), &many("count: 3000").replace("name: x", "name: y")]).ok();
    let missing = run(&[&of("file:none.jsonl")]);
    assert!(rule(missing.code(4))["error"].as_str().unwrap().contains("none.jsonl"));
    let empty = format!("{{name: x, prefix: {p}typo/, equals: \"rev:{then}\"}}");
    assert_eq!(rule(run(&[&empty]).code(1))["found"], "neither side has a key with this prefix");
    // Leases count unless they are ignored.
    let lease = etcd.grant(1_000);
    etcd.etcdctl_ok(&["put", &format!("{p}c"), "c", &format!("--lease={lease}")]);
    let text = json!({"key": format!("{p}c"), "value": "c"}).to_string();
    std::fs::write(folder.path().join("c.jsonl"), text).unwrap();
    let of_c = |source: &str| format!("{{name: x, prefix: {p}c, equals: {source}}}");
    run(&[&of_c("\"file:c.jsonl\"")]).code(1);
    run(&[&of_c("{source: \"file:c.jsonl\", ignore: lease}")]).ok();
}

#[test]
fn a_change_is_waited_for() {
    let (etcd, p) = (shared(), unique_prefix());
    let none = format!("{{name: x, key: {p}k, changes-within: 300ms}}");
    assert_fails(etcd, &none, "a change within 300ms", "no change");
    for (subject, key) in [("key", "k"), ("prefix", "k/x")] {
        let text = format!("{{name: x, {subject}: {p}k, changes-within: 60s}}");
        let mut waiting = check(etcd, &[&text]).timeout(SOON * 2).spawn();
        waiting.close_stdin();
        waiting.wait_for_stderr(&format!("waiting up to 1m for a change of {p}k"), SOON);
        // A key that only begins like the key is another one.
        put(etcd, &format!("{p}other"), "x");
        put(etcd, &format!("{p}{key}"), "x");
        waiting.wait().ok();
    }
}

#[test]
fn rules_about_a_lock() {
    let (etcd, p) = (shared(), unique_prefix());
    let of = |rule: &str| format!("{{name: x, lock: {p}backup, {rule}}}");
    assert_passes(etcd, &of("held: false"));
    assert_passes(etcd, &of("held-for-less-than: 1ms"));
    assert_passes(etcd, &of("waiters: 0"));
    assert_fails(etcd, &of("held: true"), "held", "not held");
    let lock = || Kvadm::new().endpoint(etcd).args(["lock", &format!("{p}backup"), "--ttl", "60s"]);
    let mut holder = lock().spawn();
    holder.next_line().unwrap();
    let waiter = lock().spawn();
    eventually("a waiter", SOON, || etcd.held_under(format!("{p}backup/")).len() == 2);
    // A nested lock is another one, but its key is ahead of a waiter's.
    assert_passes(etcd, &of("held: true"));
    assert_passes(etcd, &of("waiters: {at-most: 1}"));
    assert_passes(etcd, &of("held-for-less-than: 1h"));
    assert_fails(etcd, &of("waiters: 0"), "0", "1");
    let rule = judged(etcd, &of("held: false"));
    assert!(rule["state"] == "fail" && rule["found"].as_str().unwrap().starts_with("held by "), "{rule}");
    assert_eq!(judged(etcd, &of("held-for-less-than: 1ms"))["state"], "fail");
    drop((holder, waiter));
    let lease = etcd.grant(1_000);
    etcd.etcdctl_ok(&["put", &format!("{p}silent/{lease}"), "", &format!("--lease={lease}")]);
    assert_error(etcd, &format!("{{name: x, lock: {p}silent, held-for-less-than: 1h}}"), "does not tell since when");
}

#[test]
fn rules_about_cilium_s_identities() {
    let etcd = Etcd::start();
    let of = |rule: &str| format!("{{name: x, allocator: {{{rule}}}}}");
    assert_fails(&etcd, &of("errors: 0"), "at most 0 errors", "no key below cilium/state/identities/v1");
    Kvadm::new().endpoint(&etcd).args(["allocate", "new", "k8s:app=web;", "--node", "n1"]).run().ok();
    assert_passes(&etcd, &of("errors: 0, warnings: 0, used-below: 1%"));
    assert_passes(&etcd, &of("base: cilium/state/identities/v1, errors: 0"));
    let full = judged(&etcd, &of("min: 256, max: 257, used-below: 50%"));
    assert_eq!((&full["state"], &full["measured"], &full["unit"]), (&json!("fail"), &json!(50.0), &json!("percent")));
    put(&etcd, "cilium/state/identities/v1/value/lost;/n2", "301");
    let found = "1 error, the first: missing-master cilium/state/identities/v1/value/lost;/n2";
    assert_fails(&etcd, &of("errors: 0"), "at most 0 errors", found);
    assert_passes(&etcd, &of("errors: 1"));
    put(&etcd, "cilium/state/identities/v1/idx/5", "x");
    assert_eq!(judged(&etcd, &of("errors: 1"))["state"], "fail", "a stray key counts");
}

#[test]
fn rules_about_a_metadata_tree() {
    let etcd = Etcd::start();
    let of = |rule: &str| format!("{{name: x, tree: {{prefix: /m/, schema: containerd, {rule}}}}}");
    assert_fails(&etcd, &of("problems: 0"), "at most 0 problems", "no key with this prefix");
    for (key, value) in
        [("image/a/createdat", "x"), ("content/blob/sha256:1/size", "3"), ("content/blob/sha256:1/createdat", "x")]
    {
        put(&etcd, &format!("/m/v1/ns/{key}"), value);
    }
    let run = check(&etcd, &[&of("garbage-below: 1%")]).args(["-o", "json"]).run();
    let rule = rule(&run);
    assert!(rule["state"] == "fail" && rule["found"].as_str().unwrap().contains("are garbage"), "{rule}");
    assert_passes(&etcd, &of("garbage-below: 100"));
    put(&etcd, "/m/v1/ns/nonsense", "3");
    let rule = judged(&etcd, &of("problems: 0"));
    assert!(rule["state"] == "fail" && rule["found"].as_str().unwrap().contains("problem"), "{rule}");
    assert_passes(&etcd, &of("problems: 99"));
}

#[test]
fn rules_about_a_single_member() {
    let etcd = Etcd::start();
    for rule in [
        "healthy: 1",
        "healthy: true",
        "reachable: true",
        "leader: true",
        "quorum: read",
        "quorum: write",
        "voters: 1",
        "learners: 0",
        "same-version: true",
        "version-at-least: \"3.4\"",
        "no-alarms: true",
        "db-size-below: 1GiB",
        "raft-lag-below: 1000",
        "latency-below: 10s",
        "history-below: 1000",
        "write-latency-below: 10s",
    ] {
        assert_passes(&etcd, &format!("{{name: x, {rule}}}"));
    }
    let (major, minor) = etcd.version();
    for (rule, expected, found) in [
        ("healthy: 2", "2 healthy members", "1"),
        ("voters: {at-least: 3}", "at least 3", "1"),
        ("learners: 1", "1", "0"),
    ] {
        assert_fails(&etcd, &format!("{{name: x, {rule}}}"), expected, found);
    }
    let old = judged(&etcd, "{name: x, version-at-least: \"9.9.9\"}");
    assert!(old["found"].as_str().unwrap().starts_with(&format!("default: {major}.{minor}.")), "{old}");
    for rule in ["db-size-below: 1", "latency-below: 1ns"] {
        assert_eq!(judged(&etcd, &format!("{{name: x, {rule}}}"))["state"], "fail", "{rule}");
    }
    let quota = judged(&etcd, "{name: x, quota-below: 80%}");
    assert_eq!(quota["state"], if etcd.version() >= (3, 6) { "pass" } else { "error" }, "{quota}");
    if etcd.version() == (3, 4) {
        let bad = judged(&etcd, "{name: x, no-known-bad-versions: true}");
        assert!(bad["state"] == "fail" && bad["found"].as_str().unwrap().contains("end-of-life"), "{bad}");
    }
    assert_error(&etcd, "{name: x, certificate-days: 14}", "the endpoints have no TLS");
}

#[test]
fn history_is_counted_from_the_last_compaction() {
    let etcd = Etcd::start();
    for at in 0..9 {
        put(&etcd, "/k", &at.to_string());
    }
    let of = |limit: u64| format!("{{name: x, history-below: {limit}}}");
    assert_fails(&etcd, &of(9), "fewer than 9 revisions", "9 revisions since revision 1");
    etcd.etcdctl_ok(&["compaction", "7"]);
    assert_passes(&etcd, &of(4));
    assert_fails(&etcd, &of(3), "fewer than 3 revisions", "3 revisions since revision 7");
}

#[test]
fn an_alarm_fails_and_a_full_store_refuses_the_probe() {
    let etcd = Etcd::options().arg("--quota-backend-bytes=1000000").start();
    let value = "x".repeat(100_000);
    eventually("a full store", SOON, || !etcd.etcdctl(&["put", "/big", &value]).status.success());
    let rule = judged(&etcd, "{name: x, no-alarms: true}");
    assert!(rule["found"].as_str().unwrap().starts_with("alarm NOSPACE of member "), "{rule}");
    let run =
        check(&etcd, &["{name: w, write-latency-below: 10s}", "{name: q, quorum: write}", "{name: h, healthy: true}"])
            .run();
    run.code(1).out_has("the store is out of space and refuses writes");
}

#[test]
fn rules_about_three_members() {
    let mut cluster = cluster();
    heal(&mut cluster);
    let run = |checks: &[&str]| {
        Kvadm::new().endpoint(&*cluster).args(["check", "-", "-o", "json"]).stdin(file(checks)).timeout(SOON * 2).run()
    };
    run(&[
        "{name: a, healthy: 3, reachable: true, leader: true, voters: 3, same-version: true, quorum: write}",
        "{name: b, consistent: true}",
    ])
    .ok();
    cluster.members[2].stop();
    let endpoints = cluster.endpoints();
    let short = |checks: &[&str]| {
        Kvadm::new()
            .endpoint(&endpoints)
            .args(["check", "-", "-o", "json", "--op-timeout", "2s"])
            .stdin(file(checks))
            .timeout(SOON * 2)
            .run()
    };
    let found = short(&[
        "{name: all, healthy: true}",
        "{name: two, healthy: 2}",
        "{name: three, healthy: 3}",
        "{name: reach, reachable: true}",
        "{name: version, same-version: true}",
        "{name: voters, voters: 3}",
        "{name: quorum, quorum: write}",
        "{name: same, consistent: true}",
    ]);
    let found = states(found.code(1));
    let states: Vec<(&str, &str)> = found.iter().map(|(name, state)| (name.as_str(), state.as_str())).collect();
    assert_eq!(
        states,
        [
            ("all", "fail"),
            ("two", "pass"),
            ("three", "fail"),
            ("reach", "fail"),
            ("version", "error"),
            ("voters", "pass"),
            ("quorum", "pass"),
            ("same", "error")
        ]
    );
    cluster.members[1].stop();
    let found =
        short(&["{name: quorum, quorum: read}", "{name: write, quorum: write}", "{name: keys, key: /k, exists: true}"]);
    let rules = found.code(1).json();
    let state = |at: usize| rules["checks"][at]["state"].clone();
    assert_eq!([state(0), state(1), state(2)], [json!("fail"), json!("fail"), json!("error")]);
    heal(&mut cluster);
}

#[test]
fn certificates_are_checked_with_their_remaining_days() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).client_auth(&certs).start();
    let run = |days: u64| {
        Kvadm::new()
            .endpoint(&etcd)
            .arg("--ca-file")
            .arg(&certs.ca)
            .arg("--cert-file")
            .arg(&certs.client.cert)
            .arg("--key-file")
            .arg(&certs.client.key)
            .args(["check", "-", "-o", "json"])
            .stdin(file(&[&format!("{{name: x, certificate-days: {days}}}")]))
            .run()
    };
    let short = run(0);
    assert_eq!((short.code, &rule(&short)["unit"]), (Some(0), &json!("seconds")), "{}", rule(&short));
    let long = rule(run(1_000_000).code(1));
    assert!(long["found"].as_str().unwrap().contains("server certificate of https://"), "{long}");
    assert!(long["found"].as_str().unwrap().contains("client certificate of /"), "{long}");
}
