//! `kvadm status --latency`: how fast each member answers.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::auth::{LIMITED, cheap, login};
use super::failover::{cluster, heal};
use super::status::learner;
use super::support::process::free_port;
use super::support::{Etcd, Kvadm, Mode, Proxy, Run, shared};

const SOON: Duration = Duration::from_secs(10);

fn latency(endpoint: &str, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(endpoint).args(["status", "-o", "json", "--latency"]).args(args)
}

fn probes(run: &Run) -> Vec<Value> {
    run.json()["probes"].as_array().unwrap().clone()
}

fn kinds(probes: &[Value]) -> Vec<&str> {
    probes.iter().map(|probe| probe["probe"].as_str().unwrap()).collect()
}

#[test]
fn reads_and_writes_are_measured_and_nothing_is_left_behind() {
    let etcd = Etcd::start();
    let run = latency(&etcd.endpoint(), &["1s"]).run();
    let said = run.ok().err_empty().json();
    assert_eq!((&said["interrupted"], &said["complaints"]), (&json!(false), &json!([])));
    assert!((900.0..5000.0).contains(&said["took_ms"].as_f64().unwrap()), "{said}");
    let probes = probes(&run);
    assert_eq!(kinds(&probes), ["serializable-read", "linearizable-read", "write"]);
    for probe in &probes {
        assert_eq!((&probe["endpoint"], &probe["name"]), (&json!(etcd.endpoint()), &json!("default")));
        assert_eq!((&probe["state"], &probe["failures"]), (&json!("ok"), &json!(0)), "{probe}");
        let count = probe["count"].as_u64().unwrap();
        assert!((2..=11).contains(&count), "ten times a second: {probe}");
        let times: Vec<f64> =
            ["p50_ms", "p90_ms", "p99_ms", "max_ms"].iter().map(|name| probe[name].as_f64().unwrap()).collect();
        assert!(times.is_sorted() && times[0] > 0.0 && times[3] < 5000.0, "{probe}");
        assert!(probe["spread"].is_null() && probe["error"].is_null(), "{probe}");
    }
    assert_eq!(etcd.etcdctl_ok(&["get", "--prefix", "", "--keys-only"]), "");
    assert_eq!(etcd.etcdctl_ok(&["lease", "list"]).trim(), "found 0 leases");
    // One revision for each write, one for the deletion, and one to begin with.
    let writes = probes[2]["count"].as_i64().unwrap();
    let revision = Kvadm::new().endpoint(&etcd).args(["status", "--revision"]).run().ok().stdout_text();
    assert_eq!(revision.trim().parse::<i64>().unwrap(), writes + 2);
}

#[test]
fn a_dry_run_does_not_write_and_serializable_only_reads_the_member() {
    let etcd = Etcd::start();
    let run = latency(&etcd.endpoint(), &["200ms", "--dry-run"]).run();
    assert_eq!(kinds(&probes(run.ok().err_empty())), ["serializable-read", "linearizable-read"]);
    let run = latency(&etcd.endpoint(), &["200ms", "--serializable"]).run();
    assert_eq!(kinds(&probes(run.ok().err_empty())), ["serializable-read"]);
    assert_eq!(Kvadm::new().endpoint(&etcd).args(["status", "--revision"]).run().ok().stdout_text(), "1\n");
}

#[test]
fn a_slow_line_shows() {
    let mut proxy = Proxy::start(&shared().address());
    proxy.set(Mode::Delay { up: Duration::from_millis(30), down: Duration::from_millis(30) });
    let run = latency(&proxy.endpoint(), &["1s", "--dry-run"]).run();
    let probes: Vec<Value> =
        probes(run.ok()).into_iter().filter(|probe| probe["endpoint"] == proxy.endpoint()).collect();
    assert_eq!(probes.len(), 2);
    for probe in probes {
        // The connection, which takes several times as long, is not measured.
        let p50 = probe["p50_ms"].as_f64().unwrap();
        assert!((60.0..400.0).contains(&p50), "{probe}");
    }
}

#[test]
fn a_member_that_is_down_is_a_row_with_failures() {
    let mut cluster = cluster();
    let down = (cluster.leader() + 1) % 3;
    let run = latency(&cluster.endpoints(), &["300ms"]).run();
    assert_eq!(probes(run.ok().err_empty()).len(), 9);
    cluster.members[down].kill();
    let run = latency(&cluster.endpoints(), &["500ms"]).run();
    let endpoint = cluster.members[down].endpoint();
    let said = run.code(6).within(SOON).json();
    let (failed, well): (Vec<Value>, Vec<Value>) =
        probes(&run).into_iter().partition(|probe| probe["endpoint"] == endpoint);
    assert_eq!(kinds(&failed), ["serializable-read", "linearizable-read", "write"]);
    for probe in &failed {
        assert_eq!((&probe["state"], &probe["count"]), (&json!("failed"), &json!(0)), "{probe}");
        assert!(probe["failures"].as_u64() > Some(0) && probe["p50_ms"].is_null(), "{probe}");
        assert_eq!(probe["error"], "connection refused", "{probe}");
    }
    assert!(well.len() == 6 && well.iter().all(|probe| probe["state"] == "ok"), "{well:?}");
    assert_eq!(said["complaints"][0], format!("{endpoint}: serializable read failed: connection refused"));
    heal(&mut cluster);
}

#[test]
fn a_member_that_hangs_does_not_hold_up_the_end() {
    let cluster = cluster();
    let frozen = (cluster.leader() + 1) % 3;
    cluster.members[frozen].pause();
    let run = latency(&cluster.endpoints(), &["500ms"]).run();
    run.code(6).within(Duration::from_secs(8));
    let probes = probes(&run);
    let of_it = probes.iter().filter(|probe| probe["endpoint"] == cluster.members[frozen].endpoint());
    assert!(of_it.clone().count() == 3 && of_it.clone().all(|probe| probe["state"] == "failed"), "{probes:?}");
    cluster.members[frozen].resume();
}

#[test]
fn without_a_quorum_the_exit_code_is_that_of_an_unreachable_cluster() {
    let mut cluster = cluster();
    heal(&mut cluster);
    let others: Vec<usize> = (1..3).collect();
    others.iter().for_each(|at| cluster.members[*at].pause());
    let args = ["500ms", "--dial-timeout", "500ms"];
    let run = latency(&cluster.members[0].endpoint(), &args).run();
    run.code(3).err_has("the cluster has no quorum");
    let own = &probes(&run)[0];
    assert_eq!((&own["probe"], &own["state"]), (&json!("serializable-read"), &json!("ok")), "{own}");
    others.iter().for_each(|at| cluster.members[*at].resume());
}

#[test]
fn keys_that_cannot_be_deleted_are_named() {
    let etcd = Etcd::start();
    let running = latency(&etcd.endpoint(), &["1s", "--op-timeout", "3s"]).spawn();
    super::support::eventually("a write", SOON, || !etcd.etcdctl_ok(&["get", "--prefix", "kvadm/"]).is_empty());
    etcd.pause();
    let run = running.wait();
    run.code(6).err_has("warning: cannot delete the keys below kvadm/.latency/").err_has("they expire within 31s");
    run.err_lacks("within 2s").out_has("after the request, when the measurement ended");
    etcd.resume();
}

#[test]
fn a_signal_prints_what_was_measured_and_deletes_the_key() {
    let etcd = Etcd::start();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let running = latency(&etcd.endpoint(), &["10m"]).spawn();
        // kvadm sends the second write when it has the answer of the first.
        super::support::eventually("a second write", SOON, || {
            let said = etcd.etcdctl_ok(&["get", "--prefix", "kvadm/", "-w", "json"]);
            let said: Value = serde_json::from_str(&said).unwrap();
            said["kvs"][0]["version"].as_i64() >= Some(2)
        });
        running.signal(signal);
        let run = running.wait();
        run.signal(signal).err_empty();
        let said = run.json();
        assert_eq!(said["interrupted"], true);
        assert!(said["probes"][2]["count"].as_u64() > Some(0), "{said}");
        assert_eq!(etcd.etcdctl_ok(&["get", "--prefix", "", "--keys-only"]), "");
        assert_eq!(etcd.etcdctl_ok(&["lease", "list"]).trim(), "found 0 leases");
    }
}

#[test]
fn a_user_who_may_not_write_gets_the_reads_and_a_note() {
    let etcd = cheap();
    let run = login(&etcd, "app", LIMITED).args(["status", "-o", "json", "--latency", "300ms"]).run();
    run.ok().err_has("note: writes were not measured: ").err_has("permission denied");
    assert_eq!(kinds(&probes(&run)), ["serializable-read", "linearizable-read", "write"]);
    let write = &probes(&run)[2];
    assert_eq!(
        (&write["state"], &write["count"], &write["failures"]),
        (&json!("denied"), &json!(0), &json!(0)),
        "{write}"
    );
    assert!(write["error"].as_str().unwrap().contains("permission denied"), "{write}");
    // Below a prefix of its own it may.
    let run =
        login(&etcd, "app", LIMITED).args(["--namespace", "/app/", "status", "-o", "json", "--latency", "300ms"]).run();
    assert_eq!(kinds(&probes(run.ok().err_empty())), ["serializable-read", "linearizable-read", "write"]);
}

#[test]
fn a_learner_is_asked_for_its_own_data_only() {
    let etcd = Etcd::start();
    let peer = format!("http://127.0.0.1:{}", free_port());
    etcd.etcdctl_ok(&["member", "add", "late", "--learner", &format!("--peer-urls={peer}")]);
    let learner = learner(&etcd, &peer);
    let both = format!("{},{}", etcd.endpoint(), learner.endpoint());
    let run = latency(&both, &["300ms"]).run();
    let probes = probes(run.ok().err_empty());
    let of_it: Vec<&str> = probes
        .iter()
        .filter(|probe| probe["endpoint"] == learner.endpoint())
        .map(|probe| probe["probe"].as_str().unwrap())
        .collect();
    assert_eq!(of_it, ["serializable-read"]);
}

#[test]
fn a_limit_of_requests_is_kept_and_not_measured() {
    let etcd = Etcd::start();
    let run = latency(&etcd.endpoint(), &["2s", "--qps", "10"]).run();
    let probes = probes(run.ok());
    let count: u64 = probes.iter().map(|probe| probe["count"].as_u64().unwrap()).sum();
    assert!((5..=30).contains(&count), "{probes:?}");
    assert!(probes.iter().all(|probe| probe["p50_ms"].as_f64() < Some(90.0)), "without the pauses: {probes:?}");
}

#[test]
fn a_terminal_gets_a_table_with_the_spread() {
    let run = Kvadm::new().endpoint(shared()).args(["status", "--latency=300ms", "--no-progress"]).pty().run();
    run.ok().out_has("ENDPOINT").out_has("P50").out_has("\x1b[32mok");
    let run = Kvadm::new().endpoint(shared()).args(["status", "--latency=300ms", "-o", "table"]).run();
    run.ok().out_has("P99 MS").out_lacks("SPREAD").out_lacks("\x1b");
}

#[test]
fn it_is_a_way_of_its_own() {
    for other in [&["--watch=1s"][..], &["--wait", "1s"], &["--quorum"], &["--revision"], &["--diagnose"]] {
        Kvadm::new().endpoint(shared()).args(["status", "--latency=1s"]).args(other).run().code(2).out_empty();
    }
    latency("127.0.0.1:1", &["1s"]).run().code(3).out_empty().err_has("connection refused");
}
