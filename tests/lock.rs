//! `lock`: who gets it, in which order, with whom, and what is left behind.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::library::{OpCounter, store_observed};
use super::support::{Etcd, Kvadm, Run, Running, binary, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

fn kvadm(etcd: &Etcd) -> Kvadm {
    Kvadm::new().env("KVADM_ENDPOINTS", etcd.endpoint())
}

fn lock(etcd: &Etcd, name: &str) -> Kvadm {
    kvadm(etcd).args(["lock", name])
}

fn etcdctl_lock(etcd: &Etcd, name: &str) -> Running {
    let program = Kvadm::program(binary::etcdctl()).env("ETCDCTL_API", "3");
    program.args(["--endpoints", &etcd.endpoint(), "lock", "--ttl", "60", name]).spawn()
}

/// Each contender's state, in the order of the queue.
fn states(etcd: &Etcd, name: &str) -> Vec<String> {
    let run = kvadm(etcd).args(["lock", "--list", name, "-o", "json"]).run();
    run.ok().err_empty();
    let word = |line: &serde_json::Value| {
        let mode = if line["shared"].as_bool().unwrap() { "shared" } else { "exclusive" };
        format!("{} {mode}", line["state"].as_str().unwrap())
    };
    run.json_lines().iter().map(word).collect()
}

fn wait_for_states(etcd: &Etcd, name: &str, wanted: &[&str]) {
    eventually(&format!("{name} to be {wanted:?}"), SOON, || states(etcd, name) == wanted);
}

#[test]
fn etcdctl_and_kvadm_exclude_each_other_both_ways() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let mut theirs = etcdctl_lock(etcd, &name);
    let their_key = theirs.next_line().unwrap();
    lock(etcd, &name).arg("--try").run().code(1).out_empty().err_has(&their_key);
    let mut ours = lock(etcd, &name).spawn();
    wait_for_states(etcd, &name, &["held exclusive", "waiting exclusive"]);
    theirs.signal(Signal::SIGINT);
    theirs.wait().ok();
    let line = ours.next_line().unwrap();
    let (key, revision) = line.split_once('\t').unwrap();
    let shown = etcd.etcdctl_ok(&["get", key, "-w", "fields"]);
    assert!(shown.contains(&format!("\"CreateRevision\" : {revision}\n")), "{shown}");
    assert!(
        etcd.etcdctl_ok(&["get", key, "--print-value-only"]).starts_with("kvadm/1 host="),
        "the value names the owner"
    );

    let mut theirs = etcdctl_lock(etcd, &name);
    wait_for_states(etcd, &name, &["held exclusive", "waiting exclusive"]);
    assert_eq!(String::from_utf8_lossy(&theirs.stdout()), "");
    ours.signal(Signal::SIGTERM);
    ours.wait().signal(Signal::SIGTERM).err_empty();
    assert!(theirs.next_line().unwrap().starts_with(&name));
    theirs.signal(Signal::SIGINT);
    theirs.wait().ok();
    wait_for_states(etcd, &name, &[]);
}

#[test]
fn waiters_get_it_in_the_order_they_asked() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let folder = tempfile::tempdir().unwrap();
    let holder = lock(etcd, &name).spawn();
    wait_for_states(etcd, &name, &["held exclusive"]);
    let mut waiters = Vec::new();
    let mut wanted = vec!["held exclusive"];
    for turn in 0..5 {
        let script = format!("echo {turn} >> order; kvadm_rev=$KVADM_LOCK_REV; echo $kvadm_rev >> revs");
        // Quiet: on a slow machine a waiter says after 2 s who holds the lock.
        waiters.push(lock(etcd, &name).args(["-q", "--", "sh", "-c", &script]).folder(folder.path()).spawn());
        wanted.push("waiting exclusive");
        wait_for_states(etcd, &name, &wanted);
    }
    holder.signal(Signal::SIGINT);
    holder.wait().signal(Signal::SIGINT);
    for waiter in waiters {
        waiter.wait().ok().err_empty();
    }
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    assert_eq!(read("order"), "0\n1\n2\n3\n4\n");
    let revs: Vec<i64> = read("revs").lines().map(|line| line.parse().unwrap()).collect();
    assert!(revs.is_sorted_by(|a, b| a < b), "fencing tokens grow: {revs:?}");
}

#[test]
fn sharers_hold_it_together_and_queue_behind_who_does_not_share() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let share = || lock(etcd, &name).arg("--shared").spawn();
    let (mut one, mut two) = (share(), share());
    assert!(one.next_line().is_some() && two.next_line().is_some(), "both hold it");
    lock(etcd, &name).arg("--try").run().code(1).out_empty();
    lock(etcd, &name).args(["--try", "--shared", "--", "true"]).run().ok();
    let mut theirs = etcdctl_lock(etcd, &name);
    wait_for_states(etcd, &name, &["held shared", "held shared", "waiting exclusive"]);
    let mut late = share();
    wait_for_states(etcd, &name, &["held shared", "held shared", "waiting exclusive", "waiting shared"]);
    lock(etcd, &name).args(["--try", "--shared"]).run().code(1);
    one.signal(Signal::SIGINT);
    one.wait().signal(Signal::SIGINT);
    wait_for_states(etcd, &name, &["held shared", "waiting exclusive", "waiting shared"]);
    two.signal(Signal::SIGINT);
    two.wait().signal(Signal::SIGINT);
    assert!(theirs.next_line().is_some());
    wait_for_states(etcd, &name, &["held exclusive", "waiting shared"]);
    theirs.signal(Signal::SIGINT);
    theirs.wait().ok();
    let key = late.next_line().unwrap();
    let key = key.split('\t').next().unwrap();
    assert!(etcd.etcdctl_ok(&["get", key, "--print-value-only"]).starts_with("kvadm/1 shared "));
    late.signal(Signal::SIGINT);
    late.wait().signal(Signal::SIGINT);
}

#[test]
fn a_busy_lock_is_left_at_once_or_after_a_while() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let mut holder = lock(etcd, &name).args(["-o", "json", "--ttl", "7s"]).spawn();
    let held: serde_json::Value = serde_json::from_str(&holder.next_line().unwrap()).unwrap();
    let (key, revision) = (held["key"].as_str().unwrap(), held["revision"].as_i64().unwrap());
    assert_eq!(key, format!("{name}/{}", held["lease"].as_str().unwrap()));
    assert_eq!((held["ttl"].as_i64(), held["shared"].as_bool()), (Some(7), Some(false)));
    assert_eq!(held["token"], format!("{key}@{revision}"));
    let busy = lock(etcd, &name).arg("--try").run();
    busy.code(1).out_empty().err_has(&format!("lock {name} is taken; ")).err_has(key);
    let busy = lock(etcd, &name).args(["--wait", "300ms", "--", "touch", "/nowhere/at/all"]).run();
    busy.code(1).out_empty().err_has("is taken").within(SOON);
    assert!(busy.took >= Duration::from_millis(300));
    let late = lock(etcd, &name).args(["--deadline", "300ms"]).run();
    late.code(3).err_has("deadline");
    lock(etcd, &name).args(["--dry-run"]).run().ok().out_empty().err_has(key);
    wait_for_states(etcd, &name, &["held exclusive"]);
    let row = kvadm(etcd).args(["lock", "--list", &name, "-o", "json"]).run().json();
    assert_eq!(
        (row["name"].as_str(), row["key"].as_str(), row["order"].as_i64()),
        (Some(name.as_str()), Some(key), Some(1))
    );
    assert_eq!((row["create_revision"].as_i64(), row["ttl"].as_i64()), (Some(revision), Some(7)));
    assert!(row["left"].as_i64().unwrap() >= 4, "{row}");
    holder.signal(Signal::SIGHUP);
    holder.wait().signal(Signal::SIGHUP);
    lock(etcd, &name).args(["--dry-run"]).run().ok().err_has("free");
}

#[test]
fn only_contenders_are_listed() {
    let etcd = shared();
    let prefix = unique_prefix();
    let lease = etcd.etcdctl_ok(&["lease", "grant", "60"]);
    // etcdctl pads an ID with zeros, and Go's mutex does not.
    let id = lease.split_whitespace().nth(1).unwrap().trim_start_matches('0');
    etcd.etcdctl_ok(&["put", &format!("{prefix}data"), "1"]);
    etcd.etcdctl_ok(&["put", &format!("{prefix}l/{id}"), "cilium writes nothing here", &format!("--lease={id}")]);
    etcd.etcdctl_ok(&["put", &format!("{prefix}m/beef"), "", &format!("--lease={id}")]);
    etcd.etcdctl_ok(&["put", &format!("{prefix}n/{id}"), ""]);
    let run = kvadm(etcd).args(["lock", "--list", &prefix, "-o", "json"]).run();
    let names: Vec<_> = run.json_lines().iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, [format!("{prefix}l")]);
    kvadm(etcd).args(["--namespace", &prefix, "lock", "--list"]).run().ok().out_has("l\theld\t1\texclusive\t");
}

#[test]
fn a_lock_lives_in_the_namespace_and_its_token_does_not() {
    let etcd = shared();
    let prefix = unique_prefix();
    let name = format!("{prefix}l");
    let mut holder = kvadm(etcd).args(["--namespace", &prefix, "lock", "l"]).spawn();
    assert!(holder.next_line().unwrap().starts_with(&format!("{name}/")));
    lock(etcd, &name).arg("--try").run().code(1);
    let script = "\"$K\" --namespace \"$P\" put k v --if-locked -q";
    let inner = kvadm(etcd).env("K", env!("CARGO_BIN_EXE_kvadm")).env("P", &prefix);
    inner.args(["--namespace", &prefix, "lock", "m", "--", "sh", "-c", script]).run().ok().out_has("written");
    assert_eq!(etcd.etcdctl_ok(&["get", &format!("{prefix}k"), "--print-value-only"]), "v\n");
    drop(holder);
}

#[test]
fn a_waiter_whose_place_is_taken_away_does_not_get_the_lock() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let mut holder = lock(etcd, &name).spawn();
    let held = holder.next_line().unwrap();
    let waiter = lock(etcd, &name).args(["--", "echo", "never"]).spawn();
    wait_for_states(etcd, &name, &["held exclusive", "waiting exclusive"]);
    let keys = etcd.etcdctl_ok(&["get", "--prefix", &format!("{name}/"), "--keys-only"]);
    let own = held.split('\t').next().unwrap();
    let waiting = keys.lines().find(|key| !key.is_empty() && *key != own).unwrap();
    etcd.etcdctl_ok(&["del", waiting]);
    waiter.wait().code(5).out_empty().err_has("its key was deleted");
    holder.signal(Signal::SIGINT);
    holder.wait().signal(Signal::SIGINT);
}

#[test]
fn a_key_without_a_lease_is_named_as_what_blocks() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let stale = format!("{name}/stale");
    etcd.etcdctl_ok(&["put", &stale, ""]);
    let waiter = lock(etcd, &name).args(["--", "echo", "mine"]).spawn();
    waiter.wait_for_stderr(&format!("{stale} has no lease and blocks the lock until it is deleted"), SOON);
    etcd.etcdctl_ok(&["del", &stale]);
    waiter.wait().ok().out("mine\n");
}

/// Whatever the end, neither key nor lease stays.
#[test]
fn every_way_out_leaves_no_key_and_no_lease() {
    let etcd = Etcd::start();
    let clean = |after: &str| {
        let leases = etcd.etcdctl_ok(&["lease", "list"]);
        assert!(leases.starts_with("found 0 leases"), "after {after}: {leases}");
        assert_eq!(etcd.etcdctl_ok(&["get", "--prefix", "/l", "--keys-only"]), "", "after {after}");
    };
    let run = |args: &[&str]| -> Run { lock(&etcd, "/l").args(args).run() };
    run(&["--", "true"]).ok().out_empty().err_empty();
    clean("success");
    run(&["--", "false"]).code(1);
    clean("failure");
    run(&["--", "/no/such/program"]).code(127).err_has("/no/such/program");
    clean("a missing program");
    run(&["--", "/"]).code(126);
    clean("a program that cannot be run");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut holding = lock(&etcd, "/l").spawn();
        assert!(holding.next_line().is_some());
        let waiting = lock(&etcd, "/l").args(["--", "true"]).spawn();
        wait_for_states(&etcd, "/l", &["held exclusive", "waiting exclusive"]);
        waiting.signal(signal);
        waiting.wait().signal(signal);
        run(&["--try"]).code(1);
        run(&["--wait", "100ms"]).code(1);
        wait_for_states(&etcd, "/l", &["held exclusive"]);
        holding.signal(signal);
        holding.wait().signal(signal);
        clean(&format!("{signal}"));
        let mut running = lock(&etcd, "/l").args(["--", "sh", "-c", "echo up; exec sleep 60"]).spawn();
        assert!(running.next_line().is_some());
        running.signal(signal);
        running.wait().code(128 + signal as i32);
        clean(&format!("{signal} while a command ran"));
    }
}

/// The key in front is watched: a poll each second would cost a request a second for each waiter.
#[test]
fn a_waiter_watches_and_does_not_poll() {
    let etcd = Etcd::start();
    etcd.etcdctl_ok(&["put", "/k", ""]);
    let looks = Arc::new(OpCounter::new("lock look"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let observer = Arc::clone(&looks);
        let store = store_observed(&etcd.endpoint(), b"", Duration::from_secs(30), observer);
        let (found, known) = store.get(b"/k", 0, None).await.unwrap();
        let created = found.unwrap().create_revision;
        let waited = tokio::time::timeout(Duration::from_secs(2), store.wait_deleted(b"/k", created, known)).await;
        assert!(waited.is_err());
        assert!(looks.count() <= 1, "{} looks at the key", looks.count());
        let (gone, ()) = tokio::join!(store.wait_deleted(b"/k", created, known), async {
            tokio::task::block_in_place(|| drop(etcd.etcdctl_ok(&["del", "/k"])));
        });
        assert!(gone.unwrap() > known);
    });
}
