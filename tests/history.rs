//! `kvadm get --history` and `kvadm put --revert-to`.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::get::{kvadm, lock, put};
use super::support::{Etcd, Kvadm, shared, unique_prefix};

/// `value@revision`, or `deleted@revision`, of each record.
#[track_caller]
fn history(etcd: &Etcd, args: &[&str]) -> Vec<String> {
    let records = kvadm(etcd, ["-o", "json", "--op-timeout", "1s", "get", "--history"]).args(args).run();
    let one = |record: &serde_json::Value| {
        assert!(record["key"].is_string(), "{record}");
        let value = if record["event"] == "deleted" { "deleted" } else { record["value"].as_str().unwrap() };
        format!("{value}@{}", record["mod_revision"])
    };
    records.ok().json_lines().iter().map(one).collect()
}

fn delete(etcd: &Etcd, key: &str) -> i64 {
    kvadm(etcd, ["delete", key]).run().ok();
    kvadm(etcd, ["status", "--revision"]).run().ok().stdout_text().trim().parse().unwrap()
}

/// A life, a death, and a second life; what it all is, newest first.
fn two_lives(etcd: &Etcd, key: &str) -> Vec<String> {
    let mut all = Vec::new();
    for value in ["a0", "a1", "a2"] {
        all.push(format!("{value}@{}", put(etcd, key, value)));
    }
    // Another key's events are none of this one's.
    put(etcd, format!("{key}/"), "x");
    all.push(format!("deleted@{}", delete(etcd, key)));
    for value in ["b0", "b1"] {
        all.push(format!("{value}@{}", put(etcd, key, value)));
    }
    all.reverse();
    all
}

#[test]
fn it_is_newest_first_and_shows_deletions() {
    let etcd = Etcd::start();
    let all = two_lives(&etcd, "/a");
    assert_eq!(history(&etcd, &["/a"]), all);
    for n in 1..=all.len() {
        let run = kvadm(&etcd, ["get", "/a", "-o", "json", &format!("--history={n}")]).run();
        assert_eq!(run.ok().err_empty().json_lines().len(), n);
    }
    let rev_of = |entry: &str| entry.rsplit_once('@').unwrap().1.to_owned();
    assert_eq!(history(&etcd, &["/a", "--rev", &rev_of(&all[4])]), all[4..]);
    // At a revision at which it was missing.
    assert_eq!(history(&etcd, &["/a", "--rev", &rev_of(&all[2])]), all[2..]);
    kvadm(&etcd, ["get", "/a", "--history"])
        .run()
        .ok()
        .err_empty()
        .out("/a\tb1\n/a\tb0\n/a\t\tdeleted\n/a\ta2\n/a\ta1\n/a\ta0\n");
    kvadm(&etcd, ["get", "/a", "--history", "-o", "table"]).run().ok().out_has("MOD REVISION");
    kvadm(&etcd, ["get", "/a", "--history=2", "-o", "yaml"]).run().ok().out_has("b0");
}

#[test]
fn a_key_that_is_deleted_now_has_a_history() {
    let etcd = Etcd::start();
    let mut all = two_lives(&etcd, "/a");
    let gone = delete(&etcd, "/a");
    all.insert(0, format!("deleted@{gone}"));
    assert_eq!(history(&etcd, &["/a"]), all);
    kvadm(&etcd, ["get", "/never", "--history", "--op-timeout", "300ms"])
        .run()
        .code(1)
        .out_empty()
        .err_has("key not found: /never");
}

#[test]
fn it_ends_where_compaction_ended_it() {
    let etcd = Etcd::start();
    let all = two_lives(&etcd, "/a");
    let rev_of = |entry: &str| entry.rsplit_once('@').unwrap().1.to_owned();
    // In the middle of the first life: its state there is still known.
    let at = rev_of(&all[4]);
    etcd.etcdctl_ok(&["compact", &at]);
    assert_eq!(history(&etcd, &["/a"]), all[..5]);
    let said = format!("revisions before {at} have been compacted");
    kvadm(&etcd, ["get", "/a", "--history"]).run().ok().err_has(&said);
    kvadm(&etcd, ["get", "/a", "--history=5"]).run().ok().err_empty();
    // In the present one.
    let at = rev_of(&all[0]);
    etcd.etcdctl_ok(&["compact", &at]);
    assert_eq!(history(&etcd, &["/a"]), all[..1]);
    kvadm(&etcd, ["get", "/a", "--history"]).run().ok().err_has("have been compacted");
}

#[test]
fn a_signal_ends_the_search_at_once() {
    let etcd = Etcd::start();
    let running = kvadm(&etcd, ["-vv", "get", "/never", "--history", "--op-timeout", "60s"]).spawn();
    running.wait_for_stderr("trace: get /never", Duration::from_secs(10));
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT).within(Duration::from_secs(5));
}

#[test]
fn a_value_is_put_back_byte_for_byte() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    let value = b"\xff\0\n-\x80";
    let old = put(etcd, &key, value).to_string();
    let new = put(etcd, &key, "broken");
    let revert = || kvadm(etcd, ["put", &key, "--revert-to", &old]);
    revert().arg("--dry-run").run().ok().out_empty().err_has("would be written");
    kvadm(etcd, ["get", &key]).run().ok().out("broken\n");
    revert().args(["--if-rev", &(new - 1).to_string()]).run().code(5).out_empty().err_has("was last modified in");
    revert().args(["--if-rev", &new.to_string(), "-o", "json"]).run().ok().out_has("\"outcome\":\"written\"");
    kvadm(etcd, ["get", &key, "-o", "raw"]).run().ok().out_bytes(value);
    revert().args(["--if-different", "-o", "json"]).run().ok().out_has("\"outcome\":\"unchanged\"");
    let (token, _) = lock(etcd, &format!("{at}lock"));
    revert().arg(format!("--if-locked={token}")).run().ok();
    revert().arg(format!("--if-locked={at}none@5")).run().code(5);
}

#[test]
fn what_was_not_there_cannot_be_put_back() {
    let etcd = Etcd::start();
    let before = put(&etcd, "/other", "x").to_string();
    let first = put(&etcd, "/a", "one");
    let second = put(&etcd, "/a", "two");
    let revert = |rev: &str| kvadm(&etcd, ["put", "/a", "--revert-to", rev]).run();
    revert(&before).code(1).out_empty().err_has("key not found: /a (revision ").err_has("hint: ").err_has("delete");
    revert("9999").code(4).out_empty();
    etcd.etcdctl_ok(&["compact", &second.to_string()]);
    revert(&first.to_string()).code(4).out_empty().err_has("compacted");
    kvadm(&etcd, ["get", "/a"]).run().ok().out("two\n");
    let wrong = |args: &[&str]| Kvadm::new().args(["--endpoints", "127.0.0.1:1", "put"]).args(args).run();
    wrong(&["/a", "v", "--revert-to", "5"]).code(2).out_empty();
    wrong(&["/a", "--revert-to", "0"]).code(2).out_empty();
    wrong(&["--revert-to", "5"]).code(2).out_empty();
    wrong(&["--from", "-", "--revert-to", "5"]).code(2).out_empty();
}
