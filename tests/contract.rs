//! The contract of JSON: every field is in kvadm-json(7), and a name has one type.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::support::{Cluster, Etcd, Kvadm, Run, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn kvadm(etcd: &Etcd, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(args).timeout(SOON)
}

fn json_of(etcd: &Etcd, args: &[&str]) -> Run {
    kvadm(etcd, args).args(["-o", "json"]).run()
}

/// Names with their types, the place of each first.
#[derive(Default)]
struct Fields(BTreeMap<String, BTreeMap<&'static str, String>>);

impl Fields {
    fn add(&mut self, value: &Value, place: &str) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = name.trim_end_matches("_base64").trim_end_matches("_decoded");
                    let types = self.0.entry(name.to_owned()).or_default();
                    let kind = match value {
                        Value::Null => "null",
                        Value::Bool(_) => "bool",
                        Value::Number(_) => "number",
                        Value::String(_) => "string",
                        Value::Array(_) => "array",
                        Value::Object(_) => "object",
                    };
                    types.entry(kind).or_insert_with(|| place.to_owned());
                    // What a step of a diagnosis found is free.
                    if name != "facts" {
                        self.add(value, place);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.add(item, place)),
            _ => {}
        }
    }
}

/// Output and errors of a run that are JSON.
fn objects(run: &Run) -> Vec<Value> {
    let text = run.stdout_text() + &run.stderr_text();
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_field_is_in_the_manual_and_has_one_type() {
    let etcd = Etcd::start();
    let plain = |args: &[&str]| kvadm(&etcd, args).run().ok().stdout_text();
    for (key, value) in [("/a/1", "x"), ("/a/1", "y"), ("/a/2", "z"), ("/b", "1")] {
        plain(&["put", key, value]);
    }
    plain(&["put", "/clock", "2026-01-01T00:00:00Z"]);
    plain(&["delete", "/b"]);
    plain(&["put", "/b", "2"]);
    plain(&["lease", "grant", "--ttl", "1000s", "--id", "7a00000000000001"]);
    plain(&["put", "/leased", "x", "--lease", "7a00000000000001"]);
    plain(&["allocate", "new", "k8s:app=web;", "--node", "n1"]);
    plain(&["put", "cilium/state/identities/v1/id/300", "unused;"]);
    plain(&["put", "cilium/state/identities/v1/value/lost;/n2", "301"]);
    plain(&["put", "/cron/x/7a00000000000009", ""]);
    plain(&["put", "/m/v1/ns1/content/blob/lost/size", "3"]);
    plain(&["put", "/m/v1/ns1/nonsense", "3"]);
    let mut lock = kvadm(&etcd, &["lock", "/l", "--ttl", "1000s", "-o", "json"]).spawn();
    let mut fields = Fields::default();
    fields.add(&serde_json::from_str(&lock.next_line().unwrap()).unwrap(), "lock");
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("save").to_str().unwrap().to_owned();
    let txn = folder.path().join("txn.yaml").to_str().unwrap().to_owned();
    let steps = "then:\n  - put: {key: /a/1, value: t, prev: true}\n  - get: {key: /a/1}\n  - delete: {key: /a/2, prev: true}\n";
    std::fs::write(&txn, steps).unwrap();
    let checks = folder.path().join("checks.yaml").to_str().unwrap().to_owned();
    let lines = "checks:\n  - {name: a, voters: 1, learners: 1}\n  - {name: b, key: /a/1, value: x}\n  - {name: c, certificate-days: 1}\n";
    std::fs::write(&checks, lines).unwrap();
    let metadata = &["gc", "metadata", "/m/", "--schema", "containerd"][..];
    for args in [
        &["get", "/a/1", "/leased"][..],
        &["get", "/b", "--history", "--op-timeout", "1s"],
        &["list", "/", "--with-leases"],
        &["list", "/", "--count"],
        &["list", "/", "--trailer"],
        &["list", "/", "--since-rev", "3"],
        &["list", "/", "--serializable"],
        &["list", "/", "--at", "1s", "--clock", "/clock"],
        &["list", "/", "--depth", "1"],
        &["list", "/", "--tree", "--depth", "1"],
        &["list", "/", "--du"],
        &["diff", "/", "--source", "rev:2"],
        &["diff", "/", "--source", "rev:2", "--stat"],
        &["restore", "/a/", "--source", "rev:2", "--dry-run"],
        &["restore", "/a/", "--source", "rev:2", "--yes"],
        &["put", "/a/3", "x"],
        &["put", "/a/3", "x", "--if-different"],
        &["put", "/a/3", "y", "--dry-run"],
        &["put", "/a/3", "x", "--create"],
        &["put", "/a/4", "x", "--ttl", "60s"],
        &["delete", "/a/4", "--prev"],
        &["delete", "/a/3", "--dry-run"],
        &["delete", "/a/3"],
        &["delete", "--prefix", "/none/"],
        &["lease", "list"],
        &["lease", "show", "7a00000000000001"],
        &["lease", "renew", "7a00000000000001"],
        &["lock", "--list"],
        &["watch", "/a/", "--prev", "--rev", "2", "--count", "3"],
        &["watch", "/a/", "--list", "--until", "list-done"],
        &["status"],
        &["status", "--quorum"],
        &["status", "--revision"],
        &["status", "--diagnose"],
        &["check", &checks],
        &["check", &checks, "--explain"],
        &["config"],
        &["version"],
        &["allocate", "get", "k8s:app=web;"],
        &["allocate", "lookup", "300"],
        &["allocate", "list", "--ttl"],
        &["allocate", "check", "--all"],
        &["allocate", "new", "other;", "--node", "n1"],
        &["allocate", "renew", "other;", "--node", "n1"],
        &["allocate", "release", "other;", "--node", "n1"],
        &["gc", "ids", "--save", &save],
        &["gc", "locks", "/cron/"],
        metadata,
        &[metadata, &["--explain", "/m/v1/ns1/content/blob/lost"]].concat(),
        &[metadata, &["--check"]].concat(),
        &["gc", "ids", "--apply", "--grace", "10ms", "--settle", "10ms", "--yes"],
        &["compact", "--dry-run"],
        &["compact", "--defrag", "--yes"],
        &["get", "/a/1", "--rev", "999999"],
        &["gett"],
        &["txn", &txn],
        &[metadata, &["--apply", "--yes", "--grace", "1ms", "--roots-complete", "--ignore-unparsed"]].concat(),
    ] {
        let run = json_of(&etcd, args);
        let found = objects(&run);
        assert!(!found.is_empty(), "{args:?}: {run:?}");
        found.iter().for_each(|object| fields.add(object, &args.join(" ")));
    }
    lock.signal(Signal::SIGTERM);
    let _ended = lock.wait();
    let manual = kvadm::cli::manual::JSON;
    let words: BTreeSet<&str> = manual.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let unknown: Vec<_> = fields.0.iter().filter(|(name, _)| !words.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "not in kvadm-json(7): {unknown:?}");
    // The version of a key is a number, that of a program a text.
    let several = fields.0.iter().filter(|(name, types)| types.len() > 1 && *name != "version");
    let several: Vec<_> = several.collect();
    assert!(several.is_empty(), "of several types: {several:?}");
    assert!(fields.0.len() > 90, "{}", fields.0.len());
}

#[test]
fn a_failed_condition_is_a_field_with_the_present_state() {
    let (etcd, at) = (shared(), unique_prefix());
    let (key, other) = (format!("{at}a"), format!("{at}b"));
    kvadm(etcd, &["put", &key, "old"]).run().ok();
    kvadm(etcd, &["put", &key, "now"]).run().ok();
    let record = json_of(etcd, &["get", &key]).ok().json();
    let revision = record["mod_revision"].clone();
    let present = json!([key, revision, "now"]);
    for (args, condition, state) in [
        (&["put", &key, "x", "--create"][..], "exists", &present),
        (&["put", &key, "x", "--if-rev", "1"], "revision", &present),
        (&["put", &key, "x", "--if-value", "old"], "value", &present),
        (&["put", &key, "x", "--if-value", "old", "--dry-run"], "value", &present),
        (&["put", &other, "x", "--update"], "missing", &json!([other, null, null])),
        (&["put", &key, "x", "--if-exists", &other], "missing", &json!([other, null, null])),
        (&["delete", &key, "--if-rev", "1"], "revision", &present),
        (&["delete", &key, "--if-value", "old"], "value", &present),
        (&["delete", &key, "--if-value", "old", "--dry-run"], "value", &present),
        (&["put", &key, "x", "--if-locked=/none@7"], "lock", &json!(["/none", null, null])),
        (&["get", &key, "--if-locked=/none@7"], "lock", &json!(["/none", null, null])),
    ] {
        let run = json_of(etcd, args);
        let error = run.code(5).out_empty().err_json();
        assert_eq!(error["condition"], condition, "{args:?}: {error}");
        assert_eq!(json!([error["key"], error["mod_revision"], error["value"]]), *state, "{args:?}: {error}");
        assert_eq!(error["exit_code"], 5, "{error}");
    }
    // Other failures have no condition.
    let error = json_of(etcd, &["get", &key, "--rev", "999999999"]).code(4).err_json();
    assert!(error.get("condition").is_none() && error.get("key").is_none(), "{error}");
    kvadm(etcd, &["get", &key]).run().ok().out("now\n");
}

#[test]
fn a_dry_run_of_a_put_is_machine_readable() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    let dry = |args: &[&str]| json_of(etcd, &[&["put", &key, "x", "--dry-run"], args].concat());
    assert_eq!(dry(&[]).ok().json(), json!({"outcome": "would-write", "key": key, "dry_run": true}));
    dry(&[]).err_empty();
    kvadm(etcd, &["get", &key]).run().code(1);
    kvadm(etcd, &["put", &key, "x"]).run().ok();
    let same = dry(&["--if-different"]).ok().json();
    assert_eq!((&same["outcome"], &same["dry_run"]), (&json!("unchanged"), &json!(true)));
    kvadm(etcd, &["put", &key, "x", "--dry-run"]).run().ok().out_empty().err_has("would be written");
}

/// No dry run of a verb is silent in JSON, and none changes anything.
#[test]
fn dry_runs_are_machine_readable() {
    let etcd = Etcd::start();
    kvadm(&etcd, &["allocate", "new", "used;", "--node", "n"]).run().ok();
    kvadm(&etcd, &["lease", "grant", "--ttl", "100s", "--id", "1f"]).run().ok();
    let mut lock = kvadm(&etcd, &["lock", "/busy", "-o", "json"]).spawn();
    let held: Value = serde_json::from_str(&lock.next_line().unwrap()).unwrap();
    let revision = || kvadm(&etcd, &["status", "--revision"]).run().ok().stdout_text();
    let before = revision();
    for (args, expected) in [
        (&["lease", "grant", "--ttl", "60s"][..], json!([{"outcome": "would-grant", "ttl": 60}])),
        (
            &["lease", "renew", "1f", "2f"],
            json!([{"outcome": "would-renew", "lease": "1f"}, {"outcome": "would-renew", "lease": "2f"}]),
        ),
        (&["lock", "/free"], json!([{"outcome": "would-lock", "name": "/free"}])),
        (&["lock", "/busy"], json!([{"outcome": "would-wait", "name": "/busy", "key": held["key"]}])),
        (
            &["allocate", "new", "used;", "fresh;", "--node", "n"],
            json!([
                {"outcome": "existing", "key": "used;", "id": "256", "node": "n"},
                {"outcome": "new", "key": "fresh;", "id": "257", "node": "n"},
            ]),
        ),
        (
            &["allocate", "hold", "fresh;", "--node", "n"],
            json!([{"outcome": "new", "key": "fresh;", "id": "257", "node": "n"}]),
        ),
        (
            &["allocate", "release", "used;", "fresh;", "--node", "n"],
            json!([
                {"outcome": "would-release", "key": "used;", "id": "256", "node": "n"},
                {"outcome": "absent", "key": "fresh;", "node": "n"},
            ]),
        ),
        (
            &["allocate", "renew", "used;", "--node", "n"],
            json!([{"outcome": "would-renew", "key": "used;", "node": "n"}]),
        ),
    ] {
        let run = json_of(&etcd, &[args, &["--dry-run"]].concat());
        let mut rows = run.ok().err_empty().json_lines();
        for row in &mut rows {
            assert_eq!(row.as_object_mut().unwrap().remove("dry_run"), Some(json!(true)), "{args:?}: {row}");
        }
        assert_eq!(json!(rows), expected, "{args:?}");
        // In text, a note says the same.
        kvadm(&etcd, &[args, &["--dry-run"]].concat()).run().ok().out_empty().err_has("note: dry run: ");
    }
    assert_eq!(revision(), before);
    lock.signal(Signal::SIGTERM);
    let _ended = lock.wait();
}

#[test]
fn a_dry_run_of_a_deletion_says_what_it_would_delete() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    kvadm(etcd, &["put", &key, "x"]).run().ok();
    for (args, said) in [
        (&["delete", &key][..], "note: dry run: would delete 1 key\n".to_owned()),
        (&["delete", "--prefix", &at], format!("note: dry run: would delete 1 key with prefix '{at}'\n")),
    ] {
        let args = [args, &["--dry-run"]].concat();
        kvadm(etcd, &args).run().ok().out("1\n").err_has(&said);
        let run = json_of(etcd, &args);
        assert_eq!(run.ok().err_empty().json()["would_delete"], 1);
    }
    kvadm(etcd, &["get", &key]).run().ok();
}

#[test]
fn a_watch_tells_the_revision_of_the_previous_value() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    let put = |value: &str| json_of(etcd, &["put", &key, value]).ok().json()["mod_revision"].as_i64().unwrap();
    let (first, second) = (put("one"), put("two"));
    kvadm(etcd, &["delete", &key]).run().ok();
    let from = first.to_string();
    let events = json_of(etcd, &["watch", &key, "--prev", "--rev", &from, "--count", "3"]).ok().json_lines();
    let prev: Vec<_> = events.iter().map(|event| (&event["prev_value"], &event["prev_mod_revision"])).collect();
    let expected = [(Value::Null, Value::Null), ("one".into(), first.into()), ("two".into(), second.into())];
    assert_eq!(prev, expected.iter().map(|(value, revision)| (value, revision)).collect::<Vec<_>>());
}

#[test]
fn a_verbose_listing_tells_its_revision() {
    let (etcd, at) = (shared(), unique_prefix());
    kvadm(etcd, &["put", &format!("{at}a"), "x"]).run().ok();
    let put = json_of(etcd, &["put", &format!("{at}b"), "x"]).ok().json()["mod_revision"].to_string();
    for more in [&[][..], &["--sort", "mod"], &["--depth", "1"], &["--tree"], &["--du"]] {
        let args = [&["list", &at, "-v", "--rev", &put], more].concat();
        let run = json_of(etcd, &args);
        run.ok().err_has(&format!("info: listed 2 keys at revision {put}\n"));
        assert!(!kvadm(etcd, &["list", &at]).run().ok().stderr_text().contains("revision"));
    }
}

#[test]
fn a_signal_is_told_by_its_own_code() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let args = ["--dial-timeout", "15s", "get", "/a", "-o", "json"];
        let running = Kvadm::new().endpoint(&endpoint).args(args).timeout(SOON).spawn();
        let peer = silent.accept().unwrap();
        running.signal(signal);
        let run = running.wait();
        assert_eq!(run.signal(signal).err_json()["exit_code"], code);
        drop(peer);
    }
}

#[test]
fn a_member_without_a_leader_names_none() {
    let cluster = Cluster::start(3);
    let (alone, others) = cluster.members.split_first().unwrap();
    others.iter().for_each(|member| member.pause());
    let leaderless = || {
        let run = json_of(alone, &["status", "--op-timeout", "1s"]);
        let found = objects(&run).into_iter().find_map(|object| object["members"].as_array().cloned());
        let member = found?.into_iter().find(|member| member["role"] == "no leader")?;
        Some(member.get("leader").is_none())
    };
    super::support::eventually("a member that knows no leader", Duration::from_secs(30), || leaderless() == Some(true));
    others.iter().for_each(|member| member.resume());
}
