//! `kvadm watch` while servers, connections and histories go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::{Cluster, Etcd, Kvadm, Mode, Plan, Proxy, Running, Spoil, Spoiler, eventually, unique_prefix};
use super::watch::{check_versions, told, wait_lines};

const SOON: Duration = Duration::from_secs(20);

fn watch(endpoint: &str, args: &[&str]) -> Running {
    Kvadm::new().endpoint(endpoint).args(["watch", "-o", "json"]).args(args).timeout(Duration::from_secs(60)).spawn()
}

fn run_at(endpoint: &str, args: &[&str]) {
    Kvadm::new().endpoint(endpoint).args(args).run().ok();
}

/// Writes two keys in turn until it is told to stop; whether a write was acknowledged does not matter: the versions
/// tell.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(endpoints: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut n = 0;
            while !told.load(Ordering::SeqCst) {
                n += 1;
                let key = format!("/w/{}", n % 2);
                let args = ["put", &key, &n.to_string(), "--dial-timeout", "300ms", "--op-timeout", "1s", "-q"];
                let _ = Kvadm::new().endpoint(&endpoints).args(args).run();
            }
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
    }
}

/// Ends the writing; the watch must have told all of it, each change once.
#[track_caller]
fn check_history(endpoints: &str, writer: Writer, running: Running, at_least: usize) {
    writer.end();
    run_at(endpoints, &["put", "/w/end", "x"]);
    running.wait_for_stdout("/w/end", SOON);
    running.signal(Signal::SIGINT);
    let run = running.wait();
    let lines = run.signal(Signal::SIGINT).json_lines();
    check_versions(&lines);
    assert!(lines.len() >= at_least, "only {} events", lines.len());
    assert_eq!(lines[0]["version"], 1);
    let now = Kvadm::new().endpoint(endpoints).args(["list", "/w/", "-o", "json"]).run().ok().json_lines();
    for kv in now {
        let last = lines.iter().rfind(|line| line["key"] == kv["key"]).unwrap();
        assert_eq!(last["version"], kv["version"]);
    }
}

fn lines(running: &Running) -> Vec<Value> {
    String::from_utf8(running.stdout()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_server_that_is_killed_and_comes_back() {
    let mut etcd = Etcd::start();
    let endpoint = etcd.endpoint();
    let running = watch(&endpoint, &["/w/", "--rev", "1"]);
    let writer = Writer::start(endpoint.clone());
    for round in 1..=3 {
        wait_lines(&running, round * 10);
        etcd.kill();
        etcd.restart();
    }
    check_history(&endpoint, writer, running, 30);
}

#[test]
fn a_leader_that_dies() {
    let mut cluster = Cluster::start(3);
    let endpoints = cluster.endpoints();
    let running = watch(&endpoints, &["/w/", "--rev", "1"]);
    let writer = Writer::start(endpoints.clone());
    for round in 1..=2 {
        wait_lines(&running, round * 10);
        let leader = cluster.leader();
        cluster.members[leader].kill();
        let before = lines(&running).len();
        eventually("events under the next leader", SOON, || lines(&running).len() > before + 5);
        cluster.members[leader].relaunch();
    }
    check_history(&endpoints, writer, running, 20);
}

#[test]
fn connections_that_are_cut_again_and_again() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.address());
    let running = watch(&proxy.endpoint(), &["/w/", "--rev", "1"]);
    let writer = Writer::start(etcd.endpoint());
    for round in 1..=15 {
        wait_lines(&running, round * 4);
        proxy.cut();
    }
    assert!(running.stderr().is_empty(), "a blink is not told: {}", String::from_utf8_lossy(&running.stderr()));
    check_history(&etcd.endpoint(), writer, running, 60);
}

#[test]
fn it_says_once_that_it_is_away_and_once_that_it_is_back() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let running = watch(&proxy.endpoint(), &["/w/", "--rev", "1"]);
    run_at(&etcd.endpoint(), &["put", "/w/a", "1"]);
    wait_lines(&running, 1);
    proxy.set(Mode::Refuse);
    proxy.cut();
    let cut = Instant::now();
    running.wait_for_stderr("the watch is interrupted and will resume", SOON);
    assert!(cut.elapsed() < Duration::from_secs(2), "said after {:?}", cut.elapsed());
    running.wait_for_stderr("connection refused", SOON);
    run_at(&etcd.endpoint(), &["put", "/w/b", "2"]);
    // Some tries in vain, of which nothing is said.
    let vain = Instant::now();
    eventually("some tries", SOON, || vain.elapsed() > Duration::from_secs(2));
    proxy.set(Mode::Pass);
    running.wait_for_stderr("the watch has resumed", SOON);
    wait_lines(&running, 2);
    running.signal(Signal::SIGTERM);
    let run = running.wait();
    run.signal(Signal::SIGTERM);
    let said = run.stderr_text();
    assert_eq!((said.matches("is interrupted").count(), said.matches("has resumed").count()), (1, 1), "{said}");
    assert_eq!(told(&run.json_lines()), ["created /w/a", "created /w/b"]);
}

#[test]
fn a_signal_ends_it_at_once_while_it_is_away() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let running = watch(&proxy.endpoint(), &["/w/", "--list"]);
    running.wait_for_stdout("list-done", SOON);
    proxy.set(Mode::Refuse);
    proxy.cut();
    running.wait_for_stderr("interrupted", SOON);
    let sent = Instant::now();
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
    assert!(sent.elapsed() < Duration::from_secs(1));
    Kvadm::new().endpoint(&proxy.endpoint()).args(["watch", "/"]).run().code(3).err_has("connection refused");
    let run = Kvadm::new().endpoint(&proxy.endpoint()).args(["watch", "/", "--sync", "--timeout", "1500ms"]).run();
    run.code(3)
        .out("status\twait-for-datastore\n")
        .err_has("the watch is interrupted and will resume")
        .err_has("error: --timeout elapsed before the watch began");
}

/// In an outage, that nothing was seen does not mean that nothing happened.
#[test]
fn a_timeout_in_an_outage_is_not_a_no() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.address());
    for (cut, code) in [(false, 1), (true, 3)] {
        let mut proxy = Proxy::start(&etcd.address());
        let running = watch(&proxy.endpoint(), &["/w/", "--list", "--timeout", "2s"]);
        running.wait_for_stdout("list-done", SOON);
        if cut {
            proxy.set(Mode::Refuse);
            proxy.cut();
        }
        running.wait().code(code);
    }
    // It never began: etcd is gone, or frozen.
    let mut gone = Proxy::start(&etcd.address());
    for mode in [Mode::Refuse, Mode::Hang] {
        gone.set(mode);
        let wait = ["--connect-wait", "20s", "watch", "/w/", "--timeout", "1s"];
        let run = Kvadm::new().endpoint(&gone.endpoint()).args(wait).run();
        run.code(3).out_empty().err_has("error: --timeout elapsed before the watch began");
    }
    // It came back in time.
    let mut proxy = proxy;
    let running = watch(&proxy.endpoint(), &["/w/", "--list", "--timeout", "4s"]);
    running.wait_for_stdout("list-done", SOON);
    proxy.set(Mode::Refuse);
    proxy.cut();
    running.wait_for_stderr("interrupted", SOON);
    proxy.set(Mode::Pass);
    running.wait_for_stderr("resumed", SOON);
    running.wait().code(1);
}

#[test]
fn a_silent_peer_is_left() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let args = ["watch", "/w/", "--list", "-o", "json"];
    let running = Kvadm::new()
        .endpoint(&format!("{},{}", proxy.endpoint(), etcd.endpoint()))
        .config_file("etcd.yaml", "dial-keep-alive-time: 5s\ndial-keep-alive-timeout: 1s\n")
        .args(args)
        .spawn();
    running.wait_for_stdout("list-done", SOON);
    proxy.set(Mode::Hang);
    run_at(&etcd.endpoint(), &["put", "/w/a", "1"]);
    running.wait_for_stdout("/w/a", SOON);
    run_at(&etcd.endpoint(), &["put", "/w/b", "1"]);
    wait_lines(&running, 3);
    assert_eq!(told(&lines(&running)), ["list-done", "created /w/a", "created /w/b"]);
}

#[test]
fn a_sync_tells_the_exact_differences_after_a_compaction() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let direct = etcd.endpoint();
    for key in ["a", "b0", "b1", "c0", "c1", "d0", "d1", "same"] {
        run_at(&direct, &["put", &format!("/s/{key}"), "1"]);
    }
    let running = watch(&proxy.endpoint(), &["/s/", "--sync"]);
    running.wait_for_stdout("in-sync", SOON);
    for round in 0..2 {
        let before = lines(&running).len();
        proxy.set(Mode::Refuse);
        proxy.cut();
        let [b, c, d, e, f] = ["b", "c", "d", "e", "f"].map(|name| format!("/s/{name}{round}"));
        // b is changed, c goes, d goes and comes back, e comes, f comes and goes, and "same" stays.
        run_at(&direct, &["put", &b, "new"]);
        run_at(&direct, &["delete", &c]);
        run_at(&direct, &["delete", &d]);
        run_at(&direct, &["put", &d, "again"]);
        run_at(&direct, &["put", &e, "new"]);
        run_at(&direct, &["put", &f, "never seen"]);
        run_at(&direct, &["delete", &f]);
        let revision = Kvadm::new().endpoint(&direct).args(["status", "--revision"]).run().stdout_text();
        etcd.etcdctl_ok(&["compact", revision.trim()]);
        proxy.set(Mode::Pass);
        eventually("the differences", SOON, || lines(&running).len() >= before + 4);
        run_at(&direct, &["put", &c, "back"]);
        eventually("a change behind them", SOON, || lines(&running).len() >= before + 5);
        let wanted = [("modified", &b), ("modified", &d), ("created", &e), ("deleted", &c), ("created", &c)];
        assert_eq!(told(&lines(&running))[before..], wanted.map(|(event, key)| format!("{event} {key}")));
    }
    let said = told(&lines(&running)).iter().filter(|line| line.starts_with("status")).count();
    assert_eq!(said, 3, "a sync never goes back");
}

#[test]
fn a_sync_waits_for_the_store() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Refuse);
    run_at(&etcd.endpoint(), &["put", "/s/a", "1"]);
    let running = watch(&proxy.endpoint(), &["/s/", "--sync"]);
    running.wait_for_stderr("the watch is interrupted and will resume", SOON);
    assert_eq!(told(&lines(&running)), ["status wait-for-datastore"]);
    proxy.set(Mode::Pass);
    running.wait_for_stdout("in-sync", SOON);
    running.wait_for_stderr("the watch has resumed", SOON);
    let wanted = ["wait-for-datastore", "resync-in-progress"].map(|status| format!("status {status}"));
    assert_eq!(told(&lines(&running)), [&wanted[..], &["created /s/a".into(), "status in-sync".into()]].concat());
}

#[test]
fn what_is_compacted_is_said() {
    let etcd = Etcd::start();
    let endpoint = etcd.endpoint();
    for n in 0..6 {
        run_at(&endpoint, &["put", &format!("/c/{n}"), "1"]);
    }
    etcd.etcdctl_ok(&["compact", "5"]);
    let run = Kvadm::new().endpoint(&etcd).args(["watch", "/c/", "--rev", "3"]).run();
    run.code(4).out_empty().err_has("events from revision 3 on are compacted").err_has("--rev 5");
    let run = Kvadm::new().endpoint(&etcd).args(["watch", "/c/", "--rev", "5", "--count", "1", "-o", "json"]).run();
    assert_eq!(run.ok().json()["mod_revision"], 5);

    // While away.
    let mut proxy = Proxy::start(&etcd.address());
    let running = watch(&proxy.endpoint(), &["/c/", "--list"]);
    running.wait_for_stdout("list-done", SOON);
    proxy.set(Mode::Refuse);
    proxy.cut();
    run_at(&endpoint, &["put", "/c/7", "1"]);
    run_at(&endpoint, &["put", "/c/8", "1"]);
    etcd.etcdctl_ok(&["compact", "9"]);
    proxy.set(Mode::Pass);
    running.wait().code(4).err_has("events from revision 8 on are compacted").err_has("--rev 9");

    // Between two runs.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("place");
    let resume = ["watch", "/c/", "--resume", file.to_str().unwrap(), "-o", "json", "--timeout", "1s"];
    std::fs::write(&file, r#"{"next_revision":8}"#).unwrap();
    Kvadm::new().endpoint(&etcd).args(resume).run().code(4).err_has("--rev 9");
    let run = Kvadm::new().endpoint(&etcd).args(resume).arg("--sync").run();
    let wanted = ["status wait-for-datastore", "status resync-in-progress", "created /c/7", "created /c/8"];
    assert_eq!(told(&run.code(1).json_lines())[..4], wanted);
    run.err_has("deletions up to revision");
    assert_eq!(run.json_lines().len(), 5);
}

#[test]
fn rights_are_checked_and_a_lost_token_is_replaced() {
    let mut etcd = Etcd::start();
    for args in [
        &["user", "add", "root:pw"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "ok"],
        &["role", "grant-permission", "ok", "--prefix=true", "readwrite", "/ok/"],
        &["user", "add", "u:pw"],
        &["user", "grant-role", "u", "ok"],
        &["auth", "enable"],
    ] {
        etcd.etcdctl_ok(args);
    }
    let endpoint = etcd.endpoint();
    let user = |args: &[&str]| {
        let kvadm = Kvadm::new().endpoint(&endpoint).args(["--user", "u"]).env("KVADM_PASSWORD", "pw");
        kvadm.args(args).timeout(SOON)
    };
    user(&["watch", "/no/"]).run().code(4).err_has("permission denied");
    user(&["watch", "/ok/", "/zz/"])
        .run()
        .code(4)
        .err_has("permission denied")
        .err_has("The user needs read permission on the whole range '/ok/'..'/zz0'");
    Kvadm::new().endpoint(&endpoint).args(["watch", "/ok/"]).run().code(4);
    let running = user(&["watch", "/ok/", "--list", "-o", "json"]).spawn();
    running.wait_for_stdout("list-done", SOON);
    user(&["put", "/ok/a", "1"]).run().ok();
    wait_lines(&running, 2);
    // A server that restarts forgets its tokens.
    etcd.kill();
    etcd.restart();
    user(&["put", "/ok/b", "1"]).run().ok();
    wait_lines(&running, 3);
    assert_eq!(told(&lines(&running)), ["list-done", "created /ok/a", "created /ok/b"]);
}

#[test]
fn another_history_under_the_same_address_is_no_silence() {
    let mut etcd = Etcd::start();
    let endpoint = etcd.endpoint();
    for n in 0..5 {
        run_at(&endpoint, &["put", "/h/a", &n.to_string()]);
    }
    let running = watch(&endpoint, &["/h/", "--list"]);
    running.wait_for_stdout("list-done", SOON);
    etcd.kill();
    std::fs::remove_dir_all(etcd.dir().join("data")).unwrap();
    etcd.restart();
    run_at(&endpoint, &["put", "/h/b", "1"]);
    running.wait().code(4).err_has(
        "but this command has already seen revision 6: the store was restored from a backup, or it is a different store",
    );
}

#[test]
fn a_backlog_of_many_revisions_comes_whole() {
    let etcd = Etcd::start();
    let endpoint = etcd.endpoint();
    // One transaction a record, for the key is the same: each record is a revision.
    let value = "y".repeat(2000);
    let records = format!("{{\"key\":\"/f/k\",\"value\":\"1\"}}\n{{\"key\":\"/f/k\",\"value\":\"{value}\"}}\n");
    Kvadm::new()
        .endpoint(&etcd)
        .args(["put", "--from", "-", "-q"])
        .stdin(records.repeat(5200))
        .timeout(SOON * 3)
        .run()
        .ok();
    let revision = Kvadm::new().endpoint(&etcd).args(["status", "--revision"]).run().stdout_text();
    assert!(revision.trim().parse::<u64>().unwrap() > 10_300, "{revision}");
    let args = ["watch", "/f/", "--rev", "1", "--count", "10400", "-o", "json"];
    let run = Kvadm::new().endpoint(&endpoint).args(args).timeout(SOON * 3).run();
    let lines = run.ok().json_lines();
    assert_eq!(lines.len(), 10_400);
    check_versions(&lines);
}

/// One change of one of six keys, chosen by the seed.
fn change(endpoint: &str, seed: &mut u64) {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let (key, what) = (format!("/s/{}", (*seed >> 33) % 6), (*seed >> 43) % 3);
    let value = seed.to_string();
    let _ = match what {
        0 => Kvadm::new().endpoint(endpoint).args(["delete", &key]).run(),
        _ => Kvadm::new().endpoint(endpoint).args(["put", &key, &value]).run(),
    };
}

/// What one gets who applies the events; each of them must change something.
#[track_caller]
fn applied(lines: &[Value]) -> std::collections::BTreeMap<String, i64> {
    let mut mirror = std::collections::BTreeMap::new();
    for line in lines.iter().filter(|line| line["key"].is_string()) {
        let key = line["key"].as_str().unwrap().to_owned();
        let revision = line["mod_revision"].as_i64().unwrap_or_default();
        match line["event"].as_str().unwrap() {
            "deleted" => assert!(mirror.remove(&key).is_some(), "gone already: {line}"),
            "created" => assert_eq!(mirror.insert(key, revision), None, "there already: {line}"),
            _ => assert!(mirror.insert(key, revision).is_some_and(|before| before < revision), "not changed: {line}"),
        }
    }
    mirror
}

#[test]
fn a_sync_converges_under_cuts_and_compactions() {
    let mut etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let direct = etcd.endpoint();
    let running = watch(&proxy.endpoint(), &["/s/", "--sync"]);
    let mut seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    for round in 0..6 {
        (0..4).for_each(|_| change(&direct, &mut seed));
        proxy.set(Mode::Refuse);
        proxy.cut();
        (0..8).for_each(|_| change(&direct, &mut seed));
        if round == 2 {
            etcd.kill();
            etcd.restart();
        }
        if round % 2 == 1 {
            let revision = Kvadm::new().endpoint(&direct).args(["status", "--revision"]).run().stdout_text();
            // Nothing may have changed since the last one.
            let _ = etcd.etcdctl(&["compact", revision.trim()]);
        }
        (0..2).for_each(|_| change(&direct, &mut seed));
        proxy.set(Mode::Pass);
        run_at(&direct, &["put", "/s/round", &format!("round {round}")]);
        running.wait_for_stdout(&format!("round {round}"), SOON);
    }
    let now = Kvadm::new().endpoint(&direct).args(["list", "/s/", "-o", "json"]).run().ok().json_lines();
    let wanted = now.iter().map(|kv| (kv["key"].as_str().unwrap().to_owned(), kv["mod_revision"].as_i64().unwrap()));
    let wanted: std::collections::BTreeMap<String, i64> = wanted.collect();
    // The keys that are gone come last in the last differences.
    eventually("the final state", SOON, || {
        let all = lines(&running);
        all.iter().filter(|line| line["key"].is_string()).count() > 0 && applied(&all) == wanted
    });
}

/// A load balancer that answers instead of etcd for a while interrupts a watch and does not end it.
#[test]
fn an_answer_that_is_not_etcds_is_an_interruption() {
    let etcd = Etcd::start();
    for spoil in [Spoil::Http(500), Spoil::Http(404), Spoil::Http(503), Spoil::Grpc(13), Spoil::Grpc(2)] {
        let plan = Plan { spoil, methods: &["Watch"], skip: 0, times: 2, then_gone: false };
        let spoiler = Spoiler::start(&etcd.address(), plan);
        let prefix = unique_prefix();
        let running = watch(&spoiler.endpoint(), &[&prefix, "--count", "1"]);
        eventually("a watch that is not spoiled", SOON, || spoiler.seen() > 2);
        etcd.etcdctl_ok(&["put", &format!("{prefix}k"), "v"]);
        running.wait().ok().out_has("v");
    }
}
