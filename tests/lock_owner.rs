//! Who owns a lock: what the lock key says of its owner, and where kvadm shows it.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::{Etcd, Kvadm, Running, binary, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn lock(etcd: &Etcd, name: &str) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(["lock", name])
}

/// Holds the lock until a line comes.
fn held(etcd: &Etcd, name: &str, options: &[&str]) -> Running {
    let mut running = lock(etcd, name).args(options).args(["--", "sh", "-c", "echo up; read -r a"]).spawn();
    assert!(running.next_line().is_some());
    running
}

fn end(mut running: Running) {
    running.write("end\n");
    running.wait().ok();
}

fn list(etcd: &Etcd, name: &str) -> Vec<serde_json::Value> {
    let run = Kvadm::new().endpoint(etcd).args(["lock", "--list", name, "-o", "json"]).run();
    run.ok().err_empty();
    run.json_lines()
}

fn value(etcd: &Etcd, key: &str) -> String {
    etcd.etcdctl_ok(&["get", key, "--print-value-only"]).trim_end().to_owned()
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

#[test]
fn the_lock_key_names_its_owner() {
    let etcd = shared();
    for (mode, options) in [("exclusive", &[][..]), ("shared", &["--shared"][..])] {
        let name = format!("{}l", unique_prefix());
        let running = held(etcd, &name, options);
        let rows = list(etcd, &name);
        let row = &rows[0];
        assert_eq!(rows.len(), 1);
        assert_eq!((row["mode"].as_str(), row["state"].as_str()), (Some(mode), Some("held")));
        assert_eq!((row["host"].as_str(), row["cmd"].as_str()), (Some(host().as_str()), Some("sh")));
        assert_eq!(row["pid"].as_u64(), Some(running.pid().into()));
        assert!(!row["user"].as_str().unwrap().is_empty());
        let shown = format!("{}:{} {} sh", host(), running.pid(), row["user"].as_str().unwrap());
        assert_eq!(row["owner"].as_str(), Some(shown.as_str()));
        let table = Kvadm::new().endpoint(etcd).args(["lock", "--list", &name, "-o", "table"]).run();
        table.ok().out_has("OWNER").out_has(&shown);
        let since = row["since"].as_str().unwrap();
        let value = value(etcd, row["key"].as_str().unwrap());
        let begin = if mode == "shared" { "kvadm/1 shared host=" } else { "kvadm/1 host=" };
        assert!(value.starts_with(begin) && value.contains(&format!(" since={since} cmd=sh")), "{value}");
        end(running);
    }
}

#[test]
fn an_anonymous_lock_names_nobody() {
    let etcd = shared();
    for (options, wanted) in [(&["--anonymous"][..], ""), (&["--anonymous", "--shared"][..], "shared")] {
        let name = format!("{}l", unique_prefix());
        let running = held(etcd, &name, options);
        let row = &list(etcd, &name)[0];
        assert_eq!(value(etcd, row["key"].as_str().unwrap()), wanted);
        for field in ["host", "pid", "user", "cmd", "since", "owner"] {
            assert!(row.get(field).is_none(), "{row}");
        }
        end(running);
    }
}

#[test]
fn shared_contenders_with_and_without_an_owner_hold_together_and_exclude_an_exclusive_one() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let named = held(etcd, &name, &["--shared"]);
    let anonymous = held(etcd, &name, &["--shared", "--anonymous", "--try"]);
    lock(etcd, &name).args(["--try", "--", "true"]).run().code(1);
    end(named);
    end(anonymous);
    lock(etcd, &name).args(["--try", "--", "true"]).run().ok();
}

#[test]
fn a_busy_lock_names_its_holder_while_it_is_waited_for() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let holder = held(etcd, &name, &[]);
    let owner = format!("({}:{} ", host(), holder.pid());
    let quiet = lock(etcd, &name).args(["-q", "--", "true"]).spawn();
    let waiter = lock(etcd, &name).args(["--", "true"]).spawn();
    let lease = list(etcd, &name)[0]["lease"].as_str().unwrap().to_owned();
    waiter.wait_for_stderr(&format!("note: waiting for {name}: held by {lease} {owner}"), SOON);
    waiter.wait_for_stderr(" sh) for ", SOON);
    lock(etcd, &name).args(["--try", "--", "true"]).run().code(1).err_has(&format!("({}:", host()));
    end(holder);
    waiter.wait().ok();
    quiet.wait().ok().err_empty();
}

/// A holder of another program has a lease, but no name and no age.
#[test]
fn a_holder_that_names_no_owner_is_shown_by_its_lease() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let program = Kvadm::program(binary::etcdctl()).env("ETCDCTL_API", "3");
    let mut holder = program.args(["--endpoints", &etcd.endpoint(), "lock", "--ttl", "60", &name]).spawn();
    assert!(holder.next_line().is_some());
    let waiter = lock(etcd, &name).args(["--", "true"]).spawn();
    eventually("both", SOON, || list(etcd, &name).len() == 2);
    let lease = list(etcd, &name)[0]["lease"].as_str().unwrap().to_owned();
    waiter.wait_for_stderr(&format!("note: waiting for {name}: held by {lease}; place 2 in the queue\n"), SOON);
    holder.signal(Signal::SIGINT);
    holder.wait().ok();
    waiter.wait().ok();
}

/// The value of a key may come from anybody.
#[test]
fn hostile_owners_are_escaped_and_cut() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let lease = etcd.grant(60);
    let key = format!("{name}/{lease}");
    let value = format!(
        "kvadm/1 host=%1b]52;c;x%07 pid=-1 user=%e2%80%ae{} since=now cmd=%0anote: all is well",
        "u".repeat(1 << 20)
    );
    let put = Kvadm::new().endpoint(etcd).args(["put", &key, "-", "--lease", &lease, "-q"]);
    put.stdin(value).run().ok();
    for format in ["table", "json", "yaml"] {
        let run = Kvadm::new().endpoint(etcd).args(["lock", "--list", &name, "-o", format]).run();
        let text = run.ok().stdout_text();
        let unsafe_text = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(unsafe_text), "{format}: {text:?}");
        assert!(text.contains("52;c;x") && text.contains("uuu") && text.len() < 2000, "{format}: {text:?}");
    }
    let waiter = lock(etcd, &name).args(["--wait", "8s", "--", "true"]).spawn();
    waiter.wait_for_stderr(&format!("waiting for {name}: held by {lease} (\\x1b]52;c;x\\x07 "), SOON);
    let stderr = String::from_utf8_lossy(&waiter.stderr()).into_owned();
    assert!(!stderr.contains(['\x1b', '\u{202e}']) && !stderr.contains("\nnote: all is well"), "{stderr:?}");
    etcd.etcdctl_ok(&["lease", "revoke", &lease]);
    waiter.wait().ok();
}

/// `lock --list` and `lock` print the same key, and `--if-locked` accepts it with and without the namespace.
#[test]
fn the_key_of_a_lock_is_the_same_everywhere_under_a_namespace() {
    let etcd = shared();
    let space = format!("{}space/", unique_prefix());
    let kvadm = || Kvadm::new().endpoint(etcd).args(["--namespace", &space]);
    let mut holder = kvadm().args(["lock", "l", "-o", "json"]).spawn();
    let held: serde_json::Value = serde_json::from_str(&holder.next_line().unwrap()).unwrap();
    let row = kvadm().args(["lock", "--list", "l", "-o", "json"]).run().json();
    assert_eq!((&row["key"], &row["name"].as_str()), (&held["key"], &Some("l")));
    let (key, revision) = (held["key"].as_str().unwrap(), held["revision"].as_i64().unwrap());
    assert!(key.starts_with(&space));
    let relative = key.strip_prefix(&space).unwrap();
    let put = |lock: &str| kvadm().args(["put", "k", "v", "-q", &format!("--if-locked={lock}")]).run();
    put(&format!("{key}@{revision}")).ok();
    put(&format!("{relative}@{revision}")).ok();
    put(&format!("{relative}@{}", revision + 1)).code(5);
    put(&format!("{key}@{}", revision + 1)).code(5);
    // A lock outside the namespace is named by its whole key.
    let outside = format!("{}l", unique_prefix());
    let mut other = lock(etcd, &outside).args(["-o", "json"]).spawn();
    let token = serde_json::from_str::<serde_json::Value>(&other.next_line().unwrap()).unwrap();
    put(token["token"].as_str().unwrap()).ok();
    for running in [holder, other] {
        running.signal(Signal::SIGINT);
        running.wait().signal(Signal::SIGINT);
    }
}
