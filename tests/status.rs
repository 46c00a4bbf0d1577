//! `kvadm status`: each member, the quorum, watching and waiting.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::failover::{cluster, heal};
use super::support::process::free_port;
use super::support::screen::shown;
use super::support::{Certs, Cluster, Etcd, Kvadm, Proxy, Run, binary, eventually, shared};

const SOON: Duration = Duration::from_secs(10);

fn status(etcd: &Etcd, args: &[&str]) -> Run {
    Kvadm::new().endpoint(etcd).arg("status").args(args).run()
}

#[test]
fn a_healthy_server_is_shown_in_every_format() {
    let etcd = shared();
    let run = status(etcd, &[]);
    run.ok().err_empty();
    let text = run.stdout_text();
    let fields: Vec<&str> = text.trim_end_matches('\n').split('\t').collect();
    assert_eq!((fields[0], fields[1], fields[6], fields.len()), (&*etcd.endpoint(), "healthy", "leader", 8), "{text}");
    assert!(fields[2].parse::<f64>().is_ok() && fields[3].starts_with("3."), "{text}");

    let run = status(etcd, &["-o", "json"]);
    let said = run.ok().err_empty().json();
    assert_eq!(run.stdout_text().lines().count(), 1, "one object on one line");
    assert_eq!(
        (&said["health"], &said["quorum"], &said["complaints"]),
        (&json!("healthy"), &json!("read"), &json!([]))
    );
    assert!(said["revision"].as_i64().unwrap() > 0);
    let ids = |value: &Value| u64::from_str_radix(value.as_str().unwrap(), 16).unwrap();
    assert_ne!(ids(&said["cluster"]), 0);
    let [member] = said["members"].as_array().unwrap().as_slice() else { panic!("one member: {said}") };
    assert_eq!(member["endpoint"], etcd.endpoint());
    assert_eq!(
        (&member["name"], &member["role"], &member["learner"]),
        (&json!("default"), &json!("leader"), &json!(false))
    );
    assert_eq!(ids(&member["id"]), ids(&member["leader"]));
    assert_eq!(member["alarms"], json!([]));
    let (major, minor) = etcd.version();
    assert!(member["version"].as_str().unwrap().starts_with(&format!("{major}.{minor}.")), "{member}");
    for number in ["db_size", "in_use", "term", "index", "applied", "revision"] {
        assert!(member[number].as_u64().is_some_and(|number| number > 0), "{number}: {member}");
    }
    assert!(member["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 5000.0), "{member}");
    assert_eq!(member["quota"].is_u64(), etcd.version() >= (3, 6), "only newer servers tell: {member}");

    let run = status(etcd, &["-o", "table"]);
    run.ok().out_has("ENDPOINT").out_has("HEALTH").out_has("ROLE").out_has("leader");
    status(etcd, &["-o", "yaml"]).ok().out_has("health: \"healthy\"").out_has("members:\n- endpoint:");
}

#[test]
fn the_revision_alone_is_a_number() {
    let etcd = Etcd::start();
    status(&etcd, &["--revision"]).ok().out("1\n").err_empty();
    etcd.etcdctl_ok(&["put", "/a", "v"]);
    status(&etcd, &["--revision"]).ok().out("2\n");
    assert_eq!(status(&etcd, &["--revision", "-o", "json"]).ok().json(), json!({"revision": 2}));
    status(&etcd, &["--revision", "--quorum"]).code(2);
}

#[test]
fn a_member_that_is_down_is_named_with_its_cause() {
    let mut cluster = cluster();
    let down = (cluster.leader() + 1) % 3;
    cluster.members[down].kill();
    let run = Kvadm::new().endpoint(&*cluster).args(["status", "-o", "json"]).run();
    let said = run.code(6).json();
    assert_eq!((&said["health"], &said["quorum"]), (&json!("degraded"), &json!("read")));
    let members = said["members"].as_array().unwrap();
    let found = members.iter().find(|member| member["health"] == "unreachable").unwrap();
    let endpoint = cluster.members[down].endpoint();
    assert_eq!((&found["endpoint"], &found["name"]), (&json!(endpoint), &json!(format!("m{down}"))));
    assert!(found["latency_ms"].is_null() && found["version"].is_null(), "nothing is known of it: {found}");
    assert_eq!(members.iter().filter(|member| member["health"] == "healthy").count(), 2);
    assert_eq!(said["complaints"], json!([format!("{endpoint}: connection refused")]));

    let run = Kvadm::new().endpoint(&*cluster).args(["status", "--quorum"]).run();
    run.code(6)
        .out_has(&format!("{endpoint}\tunreachable"))
        .err_has(&format!("warning: {endpoint}: connection refused"));
    heal(&mut cluster);
    Kvadm::new().endpoint(&*cluster).args(["status", "--quorum"]).run().ok().err_empty();
}

#[test]
fn a_frozen_member_does_not_hold_up_the_others() {
    let cluster = cluster();
    let frozen = (cluster.leader() + 1) % 3;
    cluster.members[frozen].pause();
    let run = Kvadm::new().endpoint(&*cluster).args(["status", "-o", "json"]).run();
    let said = run.code(6).within(Duration::from_secs(3)).json();
    assert_eq!(said["members"][frozen]["health"], "unreachable");
    assert!(said["complaints"][0].as_str().unwrap().contains("connection accepted, but no response"), "{said}");
}

#[test]
fn members_that_only_the_cluster_knows_are_asked_too() {
    let cluster = cluster();
    let run = Kvadm::new().endpoint(&cluster.members[1]).args(["status", "-o", "json"]).run();
    let said = run.ok().json();
    let mut endpoints: Vec<_> = said["members"].as_array().unwrap().iter().map(|member| &member["endpoint"]).collect();
    assert_eq!(endpoints[0], &json!(cluster.members[1].endpoint()), "the named one first");
    endpoints.sort_by_key(|endpoint| endpoint.to_string());
    let mut wanted: Vec<_> = cluster.members.iter().map(|member| json!(member.endpoint())).collect();
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(endpoints, wanted.iter().collect::<Vec<_>>());
}

#[test]
fn a_unix_socket_is_the_member_itself() {
    let etcd = Etcd::options().unix_socket().start();
    let run = Kvadm::new().endpoint(&etcd.unix_endpoint()).args(["status", "-o", "json"]).run();
    let said = run.ok().json();
    assert_eq!(said["members"].as_array().unwrap().len(), 1, "not once more by its address: {said}");
    assert_eq!(said["members"][0]["endpoint"], etcd.unix_endpoint());
}

#[test]
fn endpoints_of_two_clusters_are_reported() {
    let other = Etcd::start();
    let both = format!("{},{}", shared().endpoint(), other.endpoint());
    let run = Kvadm::new().endpoint(&both).args(["status"]).run();
    run.code(6).err_has("the endpoints belong to different clusters");
}

#[test]
fn the_proof_of_the_quorum_leaves_nothing_behind() {
    let etcd = Etcd::start();
    let run = status(&etcd, &["--quorum", "-o", "json"]);
    let said = run.ok().json();
    assert_eq!(said["quorum"], "proved");
    assert!(said["quorum_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{said}");
    assert_eq!(etcd.etcdctl_ok(&["get", "--prefix", "", "--keys-only"]), "");
    assert_eq!(etcd.etcdctl_ok(&["lease", "list"]).trim(), "found 0 leases");
    assert_eq!(status(&etcd, &["--revision"]).ok().stdout_text(), "3\n", "a write and its removal");
}

/// A server whose database file is larger than its quota: it refuses every put, and versions such as 3.5.1 every
/// transaction. The file's size is only looked at behind a commit, so that commits are what the test says.
pub(super) fn full() -> Etcd {
    let etcd = Etcd::options().arg("--quota-backend-bytes=2097152").arg("--backend-batch-interval=1h").start();
    let value = "x".repeat(900_000);
    for number in 0..4 {
        Kvadm::new().endpoint(&etcd).args(["put", &format!("/{number}"), "-"]).stdin(&value).run().ok();
    }
    etcd.etcdctl_ok(&["compact", "2"]);
    let refused = Kvadm::new().endpoint(&etcd).args(["put", "/more", "v"]).run();
    refused.code(7).err_has("database space exceeded").err_has("hint:");
    etcd
}

#[test]
fn a_full_store_is_degraded_and_not_without_quorum() {
    let etcd = full();
    for args in [&["status", "-o", "json"][..], &["status", "--quorum", "-o", "json"]] {
        let run = Kvadm::new().endpoint(&etcd).args(args).run();
        let said = run.code(6).json();
        assert_eq!(said["health"], "degraded", "{said}");
        assert_eq!(said["quorum"], if args.contains(&"--quorum") { "proved" } else { "read" });
        assert_eq!(said["members"][0]["alarms"], json!(["NOSPACE"]));
        assert_eq!(said["members"][0]["health"], "unhealthy");
    }
    // The way out begins with deletions, which some versions take only outside of transactions.
    Kvadm::new().endpoint(&etcd).args(["delete", "/0"]).run().ok();
    let ranged = Kvadm::new().endpoint(&etcd).args(["delete", "--prefix", "/1", "--yes"]).run();
    if ranged.code != Some(0) {
        ranged.code(4).out_empty().err_has("refuses conditional deletes").err_has("kvadm compact --reclaim");
    }
    Kvadm::new().endpoint(&etcd).args(["delete", "--prefix", "/", "--yes", "--atomic"]).run().ok();
    assert_eq!(etcd.etcdctl_ok(&["get", "--prefix", "", "--keys-only"]), "");
    let run = status(&etcd, &["--quorum"]);
    run.code(6).out_has("NOSPACE").err_has("out of space").err_has("the quorum exists").err_lacks("no quorum");
}

/// The member `late` of the server's cluster, which has been added as a learner with this peer address.
pub(super) fn learner(etcd: &Etcd, peer: &str) -> Etcd {
    let listed = etcd.etcdctl_ok(&["member", "list"]);
    let first = listed.lines().find(|line| line.contains("default")).unwrap();
    let first = first.split(", ").find(|field| field.starts_with("http")).unwrap();
    Etcd::options()
        .arg(format!("--initial-cluster=default={first},late={peer}"))
        .arg("--initial-cluster-state=existing")
        .arg("--name=late")
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .start()
}

#[test]
fn a_learner_is_shown_and_one_that_has_not_started_is_named() {
    let etcd = Etcd::start();
    let peer = format!("http://127.0.0.1:{}", free_port());
    etcd.etcdctl_ok(&["member", "add", "late", "--learner", &format!("--peer-urls={peer}")]);
    let run = status(&etcd, &[]);
    run.code(6).err_has("has not started").out_has("leader");

    let learner = learner(&etcd, &peer);
    let run = status(&etcd, &["-o", "json"]);
    let said = run.ok().json();
    let found = said["members"].as_array().unwrap().iter().find(|member| member["name"] == "late").unwrap();
    assert_eq!((&found["learner"], &found["role"]), (&json!(true), &json!("learner")));
    assert_eq!((&found["endpoint"], &found["health"]), (&json!(learner.endpoint()), &json!("healthy")));
    // A learner takes few requests: they go to the next endpoint.
    let both = format!("{},{}", learner.endpoint(), etcd.endpoint());
    let run = Kvadm::new().endpoint(&both).args(["status", "-o", "json"]).run();
    assert_eq!(run.ok().within(Duration::from_secs(2)).json()["members"].as_array().unwrap().len(), 2);
    Kvadm::new().endpoint(&both).args(["put", "/a", "v"]).run().ok().within(Duration::from_secs(2));
}

#[test]
fn a_learner_alone_does_not_know_of_the_quorum() {
    let etcd = Etcd::start();
    let peer = format!("http://127.0.0.1:{}", free_port());
    etcd.etcdctl_ok(&["member", "add", "late", "--learner", &format!("--peer-urls={peer}")]);
    let learner = learner(&etcd, &peer);
    let run = status(&learner, &["-o", "json"]);
    let said = run.code(6).json();
    assert_eq!((&said["health"], &said["quorum"]), (&json!("unknown"), &json!("unknown")), "{said}");
    assert_eq!(said["members"].as_array().map(Vec::len), Some(1));
    let run = status(&learner, &[]);
    run.code(6).out_has("learner").err_lacks("no quorum");
    run.err_has("only a learner was asked, which cannot tell whether the cluster has a quorum: add a voting member to --endpoints");
    // With --quorum, the proof by a write does not come about.
    status(&learner, &["--quorum"]).code(6).err_lacks("no quorum");
}

#[test]
fn waiting_ends_when_the_server_comes() {
    let mut etcd = Etcd::start();
    etcd.stop();
    let waiting = Kvadm::new().endpoint(&etcd).args(["status", "--wait", "25s"]).spawn();
    etcd.restart();
    waiting.wait().ok().out_has("healthy").err_empty();
}

#[test]
fn waiting_ends_when_the_time_is_over() {
    let run = Kvadm::new().endpoint("127.0.0.1:1").args(["status", "--wait", "700ms"]).run();
    run.code(3).out_empty().err_has("connection refused").within(Duration::from_millis(1500));
    assert!(run.took >= Duration::from_millis(400), "it did wait: {:?}", run.took);
    let etcd = Etcd::start();
    etcd.pause();
    let run = status(&etcd, &["--wait", "1s"]);
    run.code(3)
        .err_has("connection accepted, but no response (the process may be frozen, or not etcd)")
        .within(Duration::from_millis(3500));
}

#[test]
fn waiting_at_a_healthy_server_takes_no_time() {
    status(shared(), &["--wait", "20s", "-q"]).ok().err_empty().within(Duration::from_secs(2));
}

#[test]
fn watching_prints_round_after_round_until_a_signal() {
    let mut watching = Kvadm::new().endpoint(shared()).args(["-o", "json", "status", "--watch=200ms"]).spawn();
    let started = std::time::Instant::now();
    for _ in 0..4 {
        let line: Value = serde_json::from_str(&watching.next_line().unwrap()).unwrap();
        assert_eq!(line["health"], "healthy");
    }
    assert!(started.elapsed() >= Duration::from_millis(550), "a pause between the rounds");
    watching.signal(Signal::SIGINT);
    watching.wait().signal(Signal::SIGINT);
}

#[test]
fn watching_goes_on_while_the_server_is_away() {
    let mut etcd = Etcd::start();
    let mut watching = Kvadm::new().endpoint(&etcd).args(["-o", "json", "status", "--watch=100ms"]).spawn();
    assert!(watching.next_line().unwrap().contains("\"healthy\""));
    etcd.kill();
    watching.wait_for_stderr("connection refused", SOON);
    let before = watching.stdout().len();
    etcd.restart();
    eventually("a healthy round again", SOON, || {
        String::from_utf8_lossy(&watching.stdout()[before..]).contains("\"health\":\"healthy\"")
    });
    watching.signal(Signal::SIGTERM);
    watching.wait().signal(Signal::SIGTERM);
}

/// The member is away in one round and back in a later one: nothing of the longer round remains.
#[test]
fn watching_through_one_endpoint_goes_on_with_the_other_members() {
    let mut cluster = Cluster::start(3);
    let mut watching =
        Kvadm::new().endpoint(&cluster.members[0]).args(["-o", "json", "status", "--watch=200ms"]).spawn();
    let first: Value = serde_json::from_str(&watching.next_line().unwrap()).unwrap();
    assert_eq!(first["members"].as_array().unwrap().len(), 3, "{first}");
    cluster.members[0].kill();
    let down = cluster.members[0].endpoint();
    super::support::eventually("a round without the endpoint", SOON, || {
        let round: Value = serde_json::from_str(&watching.next_line().unwrap()).unwrap();
        let members = round["members"].as_array().unwrap();
        let healthy = members.iter().filter(|member| member["health"] == "healthy").count();
        let missing = members.iter().find(|member| member["endpoint"] == down);
        healthy == 2
            && members.len() == 3
            && members.iter().all(|member| member["name"] != "")
            && missing.is_some_and(|member| member["health"] == "unreachable")
            && round["health"] == "degraded"
    });
    watching.signal(Signal::SIGINT);
    watching.wait().signal(Signal::SIGINT);
}

#[test]
fn on_a_terminal_watching_redraws_in_place_with_its_errors() {
    let mut etcd = Etcd::start();
    let running = Kvadm::new().endpoint(&etcd).args(["status", "--watch=200ms"]).pty().spawn();
    running.wait_for_stdout("\x1b[32mhealthy", SOON);
    etcd.kill();
    let error = || shown(&running.stdout(), 24, 80).iter().any(|line| line.contains("connection refused"));
    eventually("the error on the screen", SOON, error);
    let lines = shown(&running.stdout(), 24, 80);
    assert!(lines[0].ends_with("  unreachable") && lines[0].contains('T'), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("hint: ")), "{lines:#?}");
    etcd.restart();
    eventually("a healthy round", SOON, || shown(&running.stdout(), 24, 80)[0].ends_with("  healthy"));
    let lines = shown(&running.stdout(), 24, 80);
    assert!(!lines.iter().any(|line| line.contains("refused") || line.contains("hint")), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("ENDPOINT")).count(), 1, "{lines:#?}");
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT).out_lacks("\x1b[?").out_lacks("interrupted");
}

#[test]
fn an_alarm_stands_out_while_watching() {
    let etcd = full();
    let running = Kvadm::new().endpoint(&etcd).args(["status", "--watch=10s"]).pty().spawn();
    running.wait_for_stdout("NOSPACE", SOON);
    running.wait_for_stdout("warning:", SOON);
    let lines = shown(&running.stdout(), 24, 80);
    assert!(lines[0].ends_with("  degraded"), "{lines:#?}");
    running.wait_for_stdout("\x1b[31mNOSPACE", SOON);
}

#[test]
fn followers_tell_how_far_they_are_behind_the_leader() {
    let cluster = cluster();
    let run = Kvadm::new().endpoint(&*cluster).args(["status", "-o", "json"]).run();
    let said = run.ok().json();
    for member in said["members"].as_array().unwrap() {
        assert_eq!(member["lag"].is_u64(), member["role"] == "follower", "{member}");
    }
    Kvadm::new().endpoint(&*cluster).args(["status", "-o", "table"]).run().ok().out_has("LAG");
    status(shared(), &["-o", "table"]).ok().out_lacks("LAG");
}

#[test]
fn options_that_need_each_other_say_so() {
    status(shared(), &["--nodes", "3"]).code(2).err_has("--watch");
    status(shared(), &["--watch=1s", "--wait", "1s"]).code(2);
    status(shared(), &["--watch=0s"]).code(2);
    status(shared(), &["--watch", "--nodes", "0"]).code(2);
    assert!(binary::version() >= (3, 4));
}

/// The password would go there in plaintext.
#[test]
fn an_address_that_a_server_names_must_be_as_safe_as_the_configured_ones() {
    let (certs, plain) = (Certs::new(), Etcd::start());
    let proxy = Proxy::start(&plain.address());
    for url in [proxy.endpoint(), "unix://kvadm:1".to_owned()] {
        let options = Etcd::options().tls(&certs).arg(format!("--advertise-client-urls={url}"));
        let cluster = Cluster::start_with(2, &options);
        let kvadm = |args: &[&str]| {
            let kvadm =
                Kvadm::new().args(["--endpoints", &cluster.members[0].endpoint()]).arg("--ca-file").arg(&certs.ca);
            kvadm.args(args).unforced().run()
        };
        let run = kvadm(&["status"]);
        run.code(6)
            .out_has(&url)
            .out_has("unreachable")
            .err_has("not reachable safely: the cluster lists this address");
        for verb in [["compact", "--defrag", "--yes"], ["compact", "--reclaim", "--yes"]] {
            // The harness adds --force for etcd 3.5.0 to 3.5.5, with which kvadm goes on without the member.
            let run = kvadm(&verb);
            if !binary::defrag_needs_force() {
                run.code(5).err_has("not reachable safely");
            }
        }
        let _ = kvadm(&["compact", "--defrag", "--yes", "--force"]);
    }
    assert_eq!(proxy.connections(), 0);
}
