//! Listings that take long: members die, freeze and restart meanwhile, and readers rest.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::failover::{KEYS, cluster, complete, count, each_once, key, loaded, records, with_first};
use super::support::{Cluster, Etcd, Kvadm, Mode, Proxy, eventually, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

/// A kvadm whose standard output is read by the test, line by line, so that a full pipe holds it up.
struct Slow {
    child: Child,
    lines: BufReader<ChildStdout>,
    read: Vec<String>,
}

impl Slow {
    fn start(endpoints: &str, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kvadm"))
            .env_clear()
            .env("HOME", "/nonexistent")
            .args(["-v", "--endpoints", endpoints])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::with_capacity(512, child.stdout.take().unwrap());
        Self { child, lines, read: Vec::new() }
    }

    fn read(&mut self, count: usize) {
        for _ in 0..count {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return;
            }
            self.read.push(line);
        }
    }

    /// Reads the rest; gives the keys with their revisions, standard error and the exit code.
    fn finish(mut self) -> (Vec<(String, i64)>, String, Option<i32>) {
        self.read(usize::MAX);
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let parse = |line: &String| {
            let record: Value = serde_json::from_str(line).unwrap();
            (record["key"].as_str().unwrap().to_owned(), record["mod_revision"].as_i64().unwrap())
        };
        (self.read.iter().map(parse).collect(), stderr, self.child.wait().unwrap().code())
    }

    /// Reads the rest, which has to be every key of `/big/` once, in order, none newer than `revision`.
    #[track_caller]
    fn finish_whole(self, revision: i64) -> String {
        let (keys, stderr, code) = self.finish();
        assert_eq!(code, Some(0), "{stderr}");
        let found: BTreeSet<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
        let missing: Vec<String> = (0..KEYS).map(|at| key("/big/", at)).filter(|key| !found.contains(&**key)).collect();
        assert!(missing.is_empty(), "{} keys from {:?} on are missing: {stderr}", missing.len(), missing[0]);
        assert_eq!(keys.len(), KEYS, "{stderr}");
        assert!(keys.iter().enumerate().all(|(at, (found, _))| *found == key("/big/", at)), "every key once, in order");
        assert!(keys.iter().all(|(_, at)| *at <= revision), "all at one revision");
        stderr
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn revision(cluster: &Cluster) -> i64 {
    let run = Kvadm::new().endpoint(cluster).args(["status", "--revision"]).run();
    run.ok().stdout_text().trim().parse().unwrap()
}

/// Kills `victim` while a listing that uses it is being read slowly, and changes what has not been read yet.
fn kill_in_mid_list(choose: impl Fn(usize) -> usize) {
    let mut cluster = cluster();
    let victim = choose(cluster.leader());
    let at = revision(&cluster);
    // One request a second: the listing must not be complete before the member dies.
    let args = ["--qps", "1", "list", "/big/", "-o", "json"];
    let mut listing = Slow::start(&with_first(&cluster, victim), &args);
    listing.read(200);
    cluster.members[victim].kill();
    let survivor = (victim + 1) % 3;
    eventually("a leader that takes writes", SOON, || {
        let late = &cluster.members[survivor];
        late.etcdctl(&["--command-timeout=1s", "put", "/big/019000", "later"]).status.success()
            && late.etcdctl(&["--command-timeout=1s", "put", "/big/019000x", "later"]).status.success()
    });
    cluster.members[survivor].etcdctl_ok(&["del", "/big/019000x"]);
    let stderr = listing.finish_whole(at);
    let moved = format!("{}: switched to", cluster.members[victim].endpoint());
    assert!(stderr.contains(&moved), "the listing used the member that was killed: {stderr}");
}

#[test]
fn a_listing_outlives_the_leader() {
    kill_in_mid_list(|leader| leader);
}

#[test]
fn a_listing_outlives_a_follower_in_use() {
    kill_in_mid_list(|leader| (leader + 1) % 3);
}

#[test]
fn a_listing_outlives_a_member_that_freezes() {
    let cluster = cluster();
    let victim = (cluster.leader() + 1) % 3;
    let at = revision(&cluster);
    let args = ["--op-timeout", "700ms", "list", "/big/", "-o", "json"];
    let mut listing = Slow::start(&with_first(&cluster, victim), &args);
    listing.read(200);
    cluster.members[victim].pause();
    let stderr = listing.finish_whole(at);
    assert!(stderr.contains("switched to"), "{stderr}");
}

/// `list | less`: the reader may rest for longer than any request may take.
#[test]
fn a_listing_outlives_a_reader_that_rests() {
    let cluster = cluster();
    let at = revision(&cluster);
    let endpoints = cluster.endpoints();
    let mut listing = Slow::start(&endpoints, &["--op-timeout", "200ms", "list", "/big/", "-o", "json"]);
    for _ in 0..3 {
        listing.read(1000);
        // What passes here is the time that is being tested, not a wait for something to happen.
        std::thread::sleep(Duration::from_millis(500));
    }
    listing.finish_whole(at);
}

#[test]
fn a_listing_and_a_load_outlive_a_restart_of_the_only_server() {
    let (mut etcd, prefix) = (Etcd::start(), unique_prefix());
    let endpoint = etcd.endpoint();
    Kvadm::new().endpoint(&endpoint).args(["put", "--from", "-"]).stdin(records("/big/", 0..KEYS)).run().ok();
    let mut listing = Slow::start(&endpoint, &["list", "/big/", "-o", "json"]);
    listing.read(200);
    let mut load = Kvadm::new().endpoint(&endpoint).args(["put", "--from", "-", "-o", "json"]).spawn();
    load.write(records(&prefix, 0..1000));
    eventually("the first records to be in", SOON, || count(&etcd, &prefix) > 0);
    etcd.restart();
    load.write(records(&prefix, 1000..2000));
    load.close_stdin();
    loaded(&load.wait(), 2000);
    complete(&endpoint, &prefix, 2000);
    each_once(&etcd, &prefix, 2000);
    listing.finish_whole(i64::MAX);
}

#[test]
fn a_listing_outlives_its_connection() {
    let cluster = cluster();
    let at = revision(&cluster);
    let mut proxy = Proxy::start(&cluster.members[0].address());
    // What follows the first page is still on its way when that is read.
    let way = Duration::from_millis(50);
    proxy.set(Mode::Delay { up: way, down: way });
    let mut listing = Slow::start(&proxy.endpoint(), &["list", "/big/", "-o", "json"]);
    listing.read(1);
    proxy.cut();
    proxy.set(Mode::Pass);
    for _ in 0..3 {
        listing.read(2000);
        proxy.cut();
    }
    listing.finish_whole(at);
    assert!(proxy.connections() > 1, "the cut was felt");
}

#[test]
fn a_listing_over_a_long_line_is_whole() {
    let cluster = cluster();
    let at = revision(&cluster);
    let mut proxy = Proxy::start(&cluster.members[0].address());
    let way = Duration::from_millis(25);
    proxy.set(Mode::Delay { up: way, down: way });
    let started = std::time::Instant::now();
    Slow::start(&proxy.endpoint(), &["list", "/big/", "-o", "json"]).finish_whole(at);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// Every member goes down and comes back, one after the other, under a listing and a load.
#[test]
fn a_rolling_restart_is_survived_by_a_listing_and_a_load() {
    let mut cluster = cluster();
    let (at, prefix) = (revision(&cluster), unique_prefix());
    let endpoints = cluster.endpoints();
    let mut listing = Slow::start(&endpoints, &["list", "/big/", "-o", "json"]);
    let mut load = Kvadm::new().endpoint(&endpoints).args(["put", "--from", "-", "-o", "json"]).spawn();
    for round in 0..3 {
        listing.read(4000);
        load.write(records(&prefix, round * 1000..(round + 1) * 1000));
        cluster.members[round].restart();
    }
    load.close_stdin();
    let run = load.wait();
    loaded(&run, 3000);
    assert!(run.json()["written"].as_u64().unwrap() > 0, "{}", run.json());
    complete(&endpoints, &prefix, 3000);
    each_once(&cluster.members[0], &prefix, 3000);
    listing.finish_whole(at);
}
