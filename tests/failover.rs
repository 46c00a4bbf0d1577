//! Members that die, freeze and come back under a running command, and answers that are lost on the way.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Cluster, Etcd, Kvadm, Mode, Proxy, Run, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);
/// The keys that a cluster is seeded with.
pub(super) const KEYS: usize = 20_000;

/// A cluster of three with [`KEYS`] keys under `/big/`, for one test at a time; whoever takes it finds all members up.
pub(super) fn cluster() -> MutexGuard<'static, Cluster> {
    static POOL: [OnceLock<Mutex<Cluster>>; 2] = [const { OnceLock::new() }; 2];
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let seeded = || {
        let cluster = Cluster::start(3);
        Kvadm::new().endpoint(&cluster).args(["put", "--from", "-"]).stdin(records("/big/", 0..KEYS)).run().ok();
        for member in &cluster.members {
            commit(member);
        }
        cluster
    };
    let free = POOL.iter().find_map(|cluster| cluster.get()?.try_lock().ok());
    let next = || POOL[NEXT.fetch_add(1, Ordering::Relaxed) % POOL.len()].get_or_init(|| Mutex::new(seeded())).lock();
    let mut cluster = free.unwrap_or_else(|| next().unwrap_or_else(PoisonError::into_inner));
    heal(&mut cluster);
    if !cluster.members.iter().all(|member| keys_alone(member) == KEYS) {
        // A member was killed within 100 ms after it had applied a transaction: see `commit`.
        assert_eq!(cluster.members[0].version(), (3, 5), "the members differ");
        *cluster = seeded();
    }
    cluster
}

/// The number of seeded keys that the member has, whatever the others have.
fn keys_alone(member: &Etcd) -> usize {
    let args = ["get", "--prefix", "/big/", "--limit=1", "--keys-only", "--consistency=s", "--write-out=json"];
    let answer: Value = serde_json::from_str(&member.etcdctl_ok(&args)).unwrap();
    answer["count"].as_u64().unwrap_or(0).try_into().unwrap()
}

/// Lets a member write what it has applied to its file, as it does before it sends a snapshot. etcd 3.5.0 to 3.5.2 can lose a
/// transaction that was applied within 100 ms before SIGKILL (etcd issue 13766).
fn commit(member: &Etcd) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.db");
    member.etcdctl_ok(&["snapshot", "save", file.to_str().unwrap()]);
}

/// Brings every member back.
pub(super) fn heal(cluster: &mut Cluster) {
    for member in &mut cluster.members {
        member.resume();
        if TcpStream::connect(member.address()).is_err() {
            member.relaunch();
        }
    }
    for member in &cluster.members {
        eventually("a member to be back", Duration::from_secs(20), || {
            member.etcdctl(&["--command-timeout=1s", "get", "/none"]).status.success()
        });
    }
}

/// A key that no other number has.
pub(super) fn key(prefix: &str, number: usize) -> String {
    format!("{prefix}{number:06}")
}

/// Some 250 bytes each, so that a listing is much larger than what a pipe and the client hold.
pub(super) fn records(prefix: &str, numbers: std::ops::Range<usize>) -> Vec<u8> {
    sized(prefix, numbers, 200)
}

/// Records for `put --from` with values of this many bytes.
pub(super) fn sized(prefix: &str, numbers: std::ops::Range<usize>, bytes: usize) -> Vec<u8> {
    let record = |number| format!("{}\n", json!({"key": key(prefix, number), "value": "v".repeat(bytes)}));
    numbers.map(record).collect::<String>().into_bytes()
}

/// All endpoints, this member's first: it is the one in use.
pub(super) fn with_first(cluster: &Cluster, first: usize) -> String {
    let count = cluster.members.len();
    (0..count).map(|at| cluster.members[(first + at) % count].endpoint()).collect::<Vec<_>>().join(",")
}

/// The number of a key's changes; `None` where it is not there.
pub(super) fn version(etcd: &Etcd, key: &str) -> Option<u64> {
    let answer: Value = serde_json::from_str(&etcd.etcdctl_ok(&["get", key, "--write-out=json"])).unwrap();
    answer["kvs"][0]["version"].as_u64()
}

/// How many keys the prefix has, as etcdctl sees it.
pub(super) fn count(etcd: &Etcd, prefix: &str) -> usize {
    // etcdctl 3.4 has no --count-only; the count of a limited read is that of the whole.
    let answer = etcd.etcdctl_ok(&["get", "--prefix", prefix, "--limit=1", "--keys-only", "--write-out=json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["count"].as_u64().unwrap_or(0).try_into().unwrap()
}

/// Each key of the prefix is there and was written once.
#[track_caller]
pub(super) fn each_once(etcd: &Etcd, prefix: &str, wanted: usize) {
    let run = Kvadm::new().endpoint(etcd).args(["list", "-o", "json", prefix]).run();
    let found = run.ok().json_lines();
    assert_eq!(found.len(), wanted);
    let twice: Vec<_> = found.iter().filter(|record| record["version"] != 1).collect();
    assert!(twice.is_empty(), "written more than once: {twice:?}");
}

/// Loads in two halves with something in between; gives the run.
fn load_in_halves(endpoints: &str, etcd: &Etcd, prefix: &str, total: usize, between: impl FnOnce()) -> Run {
    let args = ["put", "--from", "-", "-o", "json"];
    let mut load = Kvadm::new().endpoint(endpoints).args(args).timeout(Duration::from_secs(60)).spawn();
    load.write(records(prefix, 0..total / 2));
    eventually("the first records to be in", SOON, || count(etcd, prefix) > 0);
    between();
    load.write(records(prefix, total / 2..total));
    load.close_stdin();
    load.wait()
}

#[track_caller]
pub(super) fn loaded(run: &Run, total: usize) {
    let said = run.json();
    let sum: u64 = ["written", "unchanged", "unknown"].iter().map(|count| said[count].as_u64().unwrap()).sum();
    assert_eq!(sum, total as u64, "{said}");
    // What was in flight when the connection broke is unknown; the same command again completes the load.
    run.code(if said["unknown"] == 0 { 0 } else { 7 });
}

/// Runs a load again, which writes what is still missing.
#[track_caller]
pub(super) fn complete(endpoints: &str, prefix: &str, total: usize) {
    let again = Kvadm::new().endpoint(endpoints).args(["put", "--from", "-", "-o", "json"]);
    assert_eq!(again.stdin(records(prefix, 0..total)).run().ok().json()["unknown"], 0);
}

#[test]
fn a_load_outlives_the_leader() {
    let mut cluster = cluster();
    let (leader, prefix) = (cluster.leader(), unique_prefix());
    let endpoints = with_first(&cluster, leader);
    let mut load = Kvadm::new().endpoint(&endpoints).args(["put", "--from", "-", "-o", "json"]).spawn();
    load.write(records(&prefix, 0..3000));
    let survivor = (leader + 1) % 3;
    eventually("the first records to be in", SOON, || count(&cluster.members[survivor], &prefix) > 0);
    cluster.members[leader].kill();
    load.write(records(&prefix, 3000..6000));
    load.close_stdin();
    loaded(&load.wait(), 6000);
    complete(&endpoints, &prefix, 6000);
    each_once(&cluster.members[survivor], &prefix, 6000);
    let again = Kvadm::new().endpoint(&endpoints).args(["put", "--from", "-", "-o", "json"]);
    let said = again.stdin(records(&prefix, 0..6000)).run().ok().json();
    assert_eq!((&said["written"], &said["unchanged"]), (&json!(0), &json!(6000)), "a rerun changes nothing");
}

#[test]
fn a_load_outlives_its_connection() {
    let (etcd, prefix) = (shared(), unique_prefix());
    let proxy = Proxy::start(&etcd.address());
    loaded(&load_in_halves(&proxy.endpoint(), etcd, &prefix, 4000, || proxy.cut()), 4000);
    complete(&proxy.endpoint(), &prefix, 4000);
    each_once(etcd, &prefix, 4000);
    assert!(proxy.connections() > 1);
}

/// The server does what the load never hears of: it is read back, not written again.
#[test]
fn a_load_whose_answers_are_lost_writes_each_record_once() {
    let (etcd, prefix) = (shared(), unique_prefix());
    let mut proxy = Proxy::start(&etcd.address());
    let endpoint = proxy.endpoint();
    let mut load = Kvadm::new().endpoint(&endpoint).args(["put", "--from", "-", "-o", "json"]).spawn();
    // Small ones: what tells the client that there is room for more is held back as well.
    load.write(sized(&prefix, 0..101, 1));
    eventually("the first batch to be in", SOON, || count(etcd, &prefix) == 100);
    proxy.set(Mode::HangReplies);
    load.write(sized(&prefix, 101..401, 1));
    eventually("more batches to be in", SOON, || count(etcd, &prefix) >= 400);
    proxy.cut();
    proxy.set(Mode::Pass);
    load.close_stdin();
    let run = load.wait();
    loaded(&run, 401);
    assert!(run.json()["unknown"].as_u64().unwrap() >= 300, "{}", run.json());
    each_once(etcd, &prefix, 401);
}

/// Runs single writes one after the other while the member that leads is killed; gives each key's run.
fn write_over_a_kill(cluster: &mut Cluster, extra: &[&str]) -> (String, Vec<(String, Run)>) {
    let (leader, prefix) = (cluster.leader(), unique_prefix());
    let endpoints = with_first(cluster, leader);
    let mut runs = Vec::new();
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (endpoints, writer) = (&endpoints, &prefix);
        scope.spawn(move || {
            for number in 0..40 {
                let key = key(writer, number);
                let run =
                    Kvadm::new().endpoint(endpoints).args(["--op-timeout", "2s", "put", &key, "v"]).args(extra).run();
                if sender.send((key, run)).is_err() {
                    return;
                }
            }
        });
        runs.extend(receiver.iter().take(10));
        cluster.members[leader].kill();
        runs.extend(receiver.iter());
    });
    heal(cluster);
    (prefix, runs)
}

#[track_caller]
fn check_truth(cluster: &Cluster, runs: &[(String, Run)]) {
    assert_eq!(runs.len(), 40);
    for (key, run) in runs {
        let version = version(&cluster.members[0], key);
        match run.code {
            Some(0) => assert_eq!(version, Some(1), "{key} was said to be written: {run:?}"),
            Some(7) => {
                run.err_has("unknown").err_has("hint:");
                assert!(version.is_none_or(|version| version == 1), "{key}: written {version:?} times");
            }
            _ => panic!("{key}: {run:?}"),
        }
    }
    let done = runs.iter().filter(|(_, run)| run.code == Some(0)).count();
    assert!(done >= 35, "the cluster went on: {done} of 40 done");
}

#[test]
fn single_puts_tell_the_truth_when_the_leader_dies() {
    let mut cluster = cluster();
    let (_, runs) = write_over_a_kill(&mut cluster, &[]);
    check_truth(&cluster, &runs);
}

#[test]
fn creations_are_done_exactly_once_when_the_leader_dies() {
    let mut cluster = cluster();
    let (_, runs) = write_over_a_kill(&mut cluster, &["--create"]);
    check_truth(&cluster, &runs);
}

#[test]
fn a_frozen_member_is_passed_by() {
    let cluster = cluster();
    let frozen = (cluster.leader() + 1) % 3;
    cluster.members[frozen].pause();
    let endpoints = with_first(&cluster, frozen);
    let run = Kvadm::new().endpoint(&endpoints).args(["get", "/big/000007"]).run();
    run.ok().out(&format!("{}\n", "v".repeat(200))).err_empty().within(Duration::from_secs(1));
    let prefix = unique_prefix();
    let run = Kvadm::new().endpoint(&endpoints).args(["put", &key(&prefix, 1), "v"]).run();
    run.ok().within(Duration::from_secs(1));
    assert_eq!(version(&cluster.members[(frozen + 1) % 3], &key(&prefix, 1)), Some(1));
}

#[test]
fn a_dead_endpoint_among_live_ones_costs_next_to_nothing() {
    let cluster = cluster();
    let endpoints = format!("127.0.0.1:1,{}", cluster.endpoints());
    let run = Kvadm::new().endpoint(&endpoints).args(["get", "/big/000007"]).run();
    run.ok().err_empty().within(Duration::from_millis(500));
    let run = Kvadm::new().endpoint(&endpoints).args(["-v", "get", "/big/000007"]).run();
    run.ok().err_has("http://127.0.0.1:1: connection refused");
}

#[test]
fn a_lonely_member_never_says_done() {
    let mut cluster = cluster();
    let (lonely, others) = (0, [1, 2]);
    for other in others {
        cluster.members[other].kill();
    }
    let endpoint = cluster.members[lonely].endpoint();
    let quick = |args: &[&str]| Kvadm::new().endpoint(&endpoint).args(["--op-timeout", "500ms"]).args(args).run();
    eventually("the member to miss its leader", SOON, || {
        quick(&["get", "/big/000007"]).stderr_text().contains("no leader")
    });
    let run = quick(&["get", "/big/000007"]);
    run.code(3).out_empty().err_has("no leader").err_has("kvadm status").within(Duration::from_secs(3));
    let key = key(&unique_prefix(), 1);
    let run = quick(&["put", &key, "v"]);
    run.code(3).out_empty().err_has("no leader").within(Duration::from_secs(3));
    let run = quick(&["status", "-o", "json"]);
    run.code(3).err_has("no quorum");
    let said = run.json();
    assert_eq!((&said["health"], &said["quorum"]), (&json!("no-quorum"), &json!("none")));
    assert!(run.took < Duration::from_secs(6), "{:?}", run.took);
    heal(&mut cluster);
    assert_eq!(version(&cluster.members[lonely], &key), None, "what was not done stays undone");
}
