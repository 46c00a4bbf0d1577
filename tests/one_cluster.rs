//! Endpoints of two clusters in one list: a command that began with one cluster never goes on with the other.

use std::time::{Duration, Instant};

use super::support::{Etcd, Kvadm, Mode, Proxy, Run, Running, eventually};

const SOON: Duration = Duration::from_secs(20);

/// Cluster A behind a proxy, and cluster B.
struct Two {
    first: Etcd,
    other: Etcd,
    proxy: Proxy,
}

impl Two {
    fn start() -> Self {
        Self::of(Etcd::start(), Etcd::start())
    }

    /// Two clusters with one ID: etcd derives it from the peer URLs and the token.
    fn alike() -> Self {
        let url = "http://127.0.0.1:1";
        let options = || {
            let initial = format!("--initial-cluster=default={url}");
            Etcd::options().arg(initial).arg(format!("--initial-advertise-peer-urls={url}"))
        };
        Self::of(options().start(), options().start())
    }

    fn of(first: Etcd, other: Etcd) -> Self {
        let proxy = Proxy::start(&first.address());
        Self { first, other, proxy }
    }

    fn kvadm(&self, args: &[&str]) -> Kvadm {
        let endpoints = format!("{},{}", self.proxy.endpoint(), self.other.endpoint());
        Kvadm::new().args(["--endpoints", &endpoints]).args(args)
    }

    /// Ends cluster A as far as kvadm can see.
    fn end_first(&mut self) {
        self.proxy.set(Mode::Refuse);
        self.proxy.cut();
    }

    /// Exit 4, and both clusters named by ID and endpoint.
    #[track_caller]
    fn refused<'a>(&self, run: &'a Run) -> &'a Run {
        let began = format!("but this command began with cluster {} ({})", id(&self.first), self.proxy.endpoint());
        let other = format!("{} belongs to cluster {}", self.other.endpoint(), id(&self.other));
        run.code(4).err_has(&other).err_has(&began).err_has("list endpoints of one cluster only")
    }
}

fn id(etcd: &Etcd) -> String {
    let text = etcd.etcdctl_ok(&["get", "/", "-w", "json"]);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    format!("{:x}", told["header"]["cluster_id"].as_u64().unwrap())
}

/// Records of more than one transaction, so that a load sends the first ones before its input ends.
const BATCHES: usize = 600;

fn records(prefix: &str, value: &str, count: usize) -> String {
    (0..count).map(|n| format!("{{\"key\":\"{prefix}{n:05}\",\"value\":\"{value}\"}}\n")).collect()
}

/// Waits until a load has written something and has no request in flight.
fn wait_quiet(etcd: &Etcd) {
    let mut before = etcd.revision();
    eventually("the first records", SOON, || {
        std::thread::sleep(Duration::from_millis(300));
        let now = etcd.revision();
        let quiet = now > 1 && now == std::mem::replace(&mut before, now);
        quiet && !etcd.held_under("/").is_empty()
    });
}

fn fill(etcd: &Etcd, value: &str, count: usize) {
    Kvadm::new().endpoint(etcd).args(["put", "--from", "-"]).stdin(records("/k/", value, count)).run().ok();
}

fn spawned(kvadm: Kvadm) -> Running {
    kvadm.timeout(Duration::from_secs(60)).spawn()
}

#[test]
fn a_listing_ends_where_the_other_cluster_would_go_on() {
    let mut two = Two::start();
    fill(&two.first, "a", 3000);
    fill(&two.other, "b", 3000);
    let running = spawned(two.kvadm(&["list", "/k/", "-o", "json", "--qps", "1"]));
    running.wait_for_stdout("/k/00050", SOON);
    two.end_first();
    let run = running.wait();
    two.refused(&run).out_has("\"a\"").out_lacks("\"b\"");
    assert!(run.stdout_text().lines().count() < 3000);
}

#[test]
fn a_status_that_is_watched_ends_at_the_other_cluster() {
    let two = Two::start();
    // Only the proxy is an endpoint, as a load balancer would be.
    let args = ["--endpoints", &two.proxy.endpoint(), "status", "--watch=200ms", "-o", "json"];
    let running = spawned(Kvadm::new().args(args));
    running.wait_for_stdout("healthy", SOON);
    two.proxy.retarget(&two.other.address());
    two.proxy.cut();
    let run = running.wait();
    run.code(4)
        .err_has(&format!("belongs to cluster {}", id(&two.other)))
        .err_has("but this command began with cluster");
}

#[test]
fn a_deletion_deletes_nothing_in_the_other_cluster() {
    let mut two = Two::start();
    fill(&two.first, "a", 3000);
    fill(&two.other, "b", 3000);
    let before = two.other.revision();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved");
    let save = file.to_str().unwrap();
    let running =
        spawned(two.kvadm(&["delete", "--prefix", "/k/", "--save", save, "--yes", "--qps", "2", "--op-timeout", "3s"]));
    eventually("the first deletion", SOON, || two.first.held("/k/00000").is_none());
    two.end_first();
    let run = running.wait();
    two.refused(&run).err_has("deletion stopped after").err_lacks("run the same command again");
    assert_eq!(two.other.revision(), before);
}

#[test]
fn a_load_writes_nothing_to_the_other_cluster() {
    let mut two = Two::start();
    let before = two.other.revision();
    let mut running = spawned(two.kvadm(&["put", "--from", "-", "--op-timeout", "3s"]));
    running.write(records("/k/1", "a", BATCHES));
    wait_quiet(&two.first);
    two.end_first();
    running.write(records("/k/2", "a", BATCHES));
    running.close_stdin();
    let run = running.wait();
    two.refused(&run).err_has("records loaded").err_lacks("un the same command again");
    assert_eq!(two.other.revision(), before);
}

#[test]
fn a_watch_tells_nothing_of_the_other_cluster() {
    for more in [&[][..], &["--sync"], &["--list"]] {
        let mut two = Two::start();
        two.first.etcdctl_ok(&["put", "/k/1", "a"]);
        let running = spawned(two.kvadm(&[&["watch", "/k/"], more].concat()));
        if more.is_empty() {
            // The watch begins with the present revision, whenever it comes to that.
            eventually("the watch", SOON, || {
                two.first.etcdctl_ok(&["put", "/k/1", "a"]);
                !running.stdout().is_empty()
            });
        } else {
            running.wait_for_stdout("/k/1", SOON);
        }
        for n in 0..20 {
            two.other.etcdctl_ok(&["put", &format!("/k/{n}"), "b"]);
        }
        two.end_first();
        let run = running.wait();
        two.refused(&run).out_lacks("b");
    }
}

#[test]
fn a_lock_and_a_held_key_end_with_their_cluster() {
    let (lock, held): (&[&str], &[&str]) = (&["lock", "/l", "--ttl", "4s"], &["put", "/held", "x", "--hold"]);
    for (what, key) in [(lock, "/l"), (held, "/held")] {
        let mut two = Two::start();
        let before = two.other.revision();
        let command = ["--", "sh", "-c", "echo runs; exec sleep 60"];
        let running = spawned(two.kvadm(&[what, &command].concat()));
        running.wait_for_stdout("runs", SOON);
        assert_eq!(two.first.held_under(key).len(), 1);
        two.end_first();
        let run = running.wait();
        run.within(Duration::from_secs(20)).err_has("was lost").err_has("the command was stopped");
        let other = format!("{} belongs to cluster {}", two.other.endpoint(), id(&two.other));
        run.code(4).err_has(&other).err_has(&id(&two.first));
        assert_eq!(two.other.revision(), before);
    }
}

/// The same IDs, an older store: the lock's lease does not exist there, and another client can hold the lock at once.
#[test]
fn a_lock_ends_at_once_if_its_store_is_set_back() {
    let mut etcd = Etcd::start();
    let command = ["--", "sh", "-c", "echo runs; exec sleep 60"];
    let kvadm = Kvadm::new().endpoint(&etcd).args(["lock", "/l", "--ttl", "40s"]).args(command);
    let running = kvadm.timeout(Duration::from_secs(60)).spawn();
    running.wait_for_stdout("runs", SOON);
    etcd.kill();
    std::fs::remove_dir_all(etcd.dir().join("data")).unwrap();
    etcd.restart();
    let restarted = Instant::now();
    let run = running.wait();
    assert!(restarted.elapsed() < Duration::from_secs(8), "{run:?}");
    run.code(4).err_has("the store was restored from a backup").err_has("the command was stopped");
}

#[test]
fn a_lease_is_not_renewed_in_the_other_cluster() {
    let mut two = Two::start();
    let lease = two.first.grant(60);
    let running = spawned(two.kvadm(&["lease", "renew", &lease, "--every", "200ms", "-o", "json"]));
    running.wait_for_stdout(&lease, SOON);
    two.end_first();
    two.refused(&running.wait());
}

#[test]
fn a_revision_that_decreases_is_another_store_although_the_ids_are_equal() {
    let mut two = Two::alike();
    assert_eq!(id(&two.first), id(&two.other));
    fill(&two.first, "a", 3000);
    let mut running = spawned(two.kvadm(&["put", "--from", "-", "--op-timeout", "3s"]));
    running.write(records("/x/", "a", BATCHES));
    wait_quiet(&two.first);
    two.end_first();
    running.write(records("/y/", "a", BATCHES));
    running.close_stdin();
    let run = running.wait();
    // The other store has executed the write: nothing told it apart before.
    run.code(7).err_has("but this command has already seen revision").err_has("was executed there");
    let mut two = Two::alike();
    fill(&two.first, "a", 1000);
    let running = spawned(two.kvadm(&["watch", "/k/", "--sync"]));
    running.wait_for_stdout("in-sync", SOON);
    two.end_first();
    let run = running.wait();
    run.code(4).err_has("the store was restored from a backup, or it is a different store");
}

#[test]
fn a_restart_and_a_silent_proxy_are_no_other_cluster() {
    let mut etcd = Etcd::start();
    let lease = etcd.grant(60);
    let running =
        spawned(Kvadm::new().endpoint(&etcd).args(["lease", "renew", &lease, "--every", "50ms", "-o", "json"]));
    running.wait_for_stdout(&lease, SOON);
    let lines = |running: &Running| String::from_utf8_lossy(&running.stdout()).lines().count();
    for _ in 0..2 {
        etcd.restart();
        let before = lines(&running);
        eventually("renewals after the restart", SOON, || lines(&running) > before + 2);
    }
    running.signal(nix::sys::signal::Signal::SIGINT);
    running.wait().signal(nix::sys::signal::Signal::SIGINT);
}

#[test]
fn a_resume_file_is_bound_to_its_cluster_namespace_and_keys() {
    let (first, other) = (Etcd::start(), Etcd::start());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("place");
    let watch = |etcd: &Etcd, more: &[&str]| {
        let args = ["watch", "--resume", file.to_str().unwrap()];
        Kvadm::new().endpoint(etcd).args(args).args(more).run()
    };
    watch(&first, &["/k/", "--timeout", "1s"]).code(1).err_empty();
    let saved = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved()["cluster"], id(&first));
    other.etcdctl_ok(&["put", "/k/1", "b"]);
    other.etcdctl_ok(&["put", "/k/1", "b"]);
    for sync in [&[][..], &["--sync"]] {
        let run = watch(&other, &[&["/k/"], sync].concat());
        run.code(4)
            .out_lacks("/k/1")
            .err_has(&id(&first))
            .err_has(&id(&other))
            .err_has("delete the file to start anew");
    }
    watch(&first, &["/k"]).code(2).out_empty().err_has("the file belongs to a watch on other keys");
    watch(&first, &["/k/", "--namespace", "/n"]).code(2).out_empty().err_has("with another --namespace");
    // A file of kvadm 0.1.0 is completed.
    std::fs::write(&file, r#"{"next_revision":1}"#).unwrap();
    watch(&other, &["/k/", "--count", "2"]).ok().out_has("/k/1");
    assert_eq!(saved()["cluster"], id(&other));
}
