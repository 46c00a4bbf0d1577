//! `kvadm compact --defrag`, `--disarm` and `--reclaim`: the way out of "database space exceeded".

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::support::process::free_port;
use super::support::{Cluster, Endpoints, Etcd, Kvadm, Run, Running, eventually};

const QUOTA: u64 = 2 << 20;
const SOON: Duration = Duration::from_secs(20);

fn compact(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Run {
    Kvadm::new().endpoint(of).arg("compact").args(args).run()
}

/// As [`compact`], without --force where the version of the server needs it.
fn unforced(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Run {
    Kvadm::new().endpoint(of).arg("compact").args(args).unforced().run()
}

fn put(of: &(impl Endpoints + ?Sized), key: &str, bytes: usize) -> Run {
    Kvadm::new().endpoint(of).args(["put", key, "-"]).stdin("x".repeat(bytes)).run()
}

/// The size of a database is only looked at behind a commit, so that more than the quota can be written before etcd
/// takes no more.
fn small() -> super::support::Options {
    Etcd::options().arg(format!("--quota-backend-bytes={QUOTA}")).arg("--backend-batch-interval=1h")
}

/// Writes twice the quota: the same key again and again, or another one each time.
fn fill(of: &(impl Endpoints + ?Sized), etcd: &Etcd, key: impl Fn(usize) -> String) {
    for number in 0..5 {
        put(of, &key(number), 900_000).ok();
    }
    etcd.etcdctl_ok(&["compact", "2"]);
    put(of, "/key", 1).code(7).err_has("database space exceeded").err_has("kvadm compact --reclaim");
}

fn same(_: usize) -> String {
    "/key".to_owned()
}

fn alarms(etcd: &Etcd) -> String {
    etcd.etcdctl_ok(&["alarm", "list"])
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_else(|| panic!("{name}: {of}"))
}

#[test]
fn a_full_server_takes_writes_again() {
    let etcd = small().start();
    fill(&etcd, &etcd, same);
    assert!(alarms(&etcd).contains("NOSPACE"));
    // etcd itself names the member in decimal in its errors.
    let status = Kvadm::new().endpoint(&etcd).args(["status", "-o", "json"]).run().code(6).json();
    let (id, complaint) = (status["members"][0]["id"].as_str().unwrap(), status["complaints"][0].as_str().unwrap());
    assert!(complaint.contains("NOSPACE") && complaint.contains(&format!(" memberID:{id} ")), "{status}");

    // Clearing the alarm alone is no way out, and says so.
    let run = compact(&etcd, &["--disarm", "--yes"]);
    run.code(5).err_has("NOSPACE").err_has(if etcd.version() >= (3, 6) {
        "of 2,097,152 bytes"
    } else {
        "NOSPACE was raised again"
    });
    put(&etcd, "/key", 1).code(7);

    let run = compact(&etcd, &["--reclaim", "--dry-run", "-o", "json"]);
    let planned = run.ok().err_has("would be cleared, if there is space by then").json();
    let run = compact(&etcd, &["--reclaim", "--yes", "-o", "json"]);
    let said = run.ok().err_has("NOSPACE is cleared").json();
    let [member] = said["members"].as_array().unwrap().as_slice() else { panic!("one member: {said}") };
    assert_eq!(said["disarmed"], json!([member["id"]]));
    assert_eq!((&planned["would_disarm"], &planned["would_compact"]), (&said["disarmed"], &said["compacted"]));
    assert_eq!((&member["defrag"], &member["alarms"]), (&json!("done"), &json!([])));
    assert_eq!((&said["physical"], &said["complaints"]), (&json!(true), &json!([])));
    assert!(number(member, "db_size_after") < QUOTA, "{said}");
    assert!(number(member, "db_size_before") > number(member, "db_size_after"), "{said}");
    assert!(number(member, "in_use_before") > number(member, "in_use_after"), "{said}");
    put(&etcd, "/key", 900_000).ok();
    assert_eq!(alarms(&etcd), "");

    // Once more there is nothing to clear, and that is no failure.
    let run = compact(&etcd, &["--reclaim", "--yes"]);
    run.ok().err_has("no NOSPACE alarm is raised").out_has("\tdone\n");
}

#[test]
fn a_full_cluster_takes_writes_again() {
    let cluster = Cluster::start_with(3, &small());
    fill(&cluster, &cluster.members[0], same);
    let run = compact(&cluster, &["--reclaim", "--yes", "--keep", "0", "-o", "json"]);
    let said = run.ok().json();
    let members = said["members"].as_array().unwrap();
    assert_eq!(members.len(), 3, "{said}");
    for member in members {
        assert_eq!(member["defrag"], "done", "{said}");
        assert!(number(member, "db_size_after") < QUOTA, "{said}");
        assert!(number(member, "db_size_before") > number(member, "db_size_after"), "{said}");
    }
    assert!(!said["disarmed"].as_array().unwrap().is_empty(), "{said}");
    for member in &cluster.members {
        put(member, "/key", 100_000).ok();
    }
    assert_eq!(alarms(&cluster.members[0]), "");
}

#[test]
fn where_the_keys_themselves_are_too_many_the_alarm_stays() {
    let etcd = small().start();
    fill(&etcd, &etcd, |number| format!("/many/{number}"));
    let run = compact(&etcd, &["--reclaim", "--yes", "-o", "json"]);
    let said = run.code(6).json();
    let why = said["complaints"][0].as_str().unwrap();
    assert!(why.contains("NOSPACE") && why.contains("delete keys"), "{said}");
    assert_eq!((&said["disarmed"], &said["members"][0]["defrag"]), (&json!([]), &json!("done")));
    put(&etcd, "/key", 1).code(7);

    for number in 0..4 {
        Kvadm::new().endpoint(&etcd).args(["delete", &format!("/many/{number}")]).run().ok();
    }
    let said = compact(&etcd, &["--reclaim", "--yes", "-o", "json"]).ok().json();
    assert_eq!((&said["complaints"], said["disarmed"].as_array().unwrap().len()), (&json!([]), 1));
    put(&etcd, "/key", 900_000).ok();
}

#[test]
fn defragmenting_alone_leaves_the_history() {
    let etcd = Etcd::start();
    for value in ["a", "b", "c"] {
        etcd.etcdctl_ok(&["put", "/key", value]);
    }
    let said = compact(&etcd, &["--defrag", "--yes", "-o", "json"]).ok().json();
    assert!(said.get("compacted").is_none() && said["members"][0]["defrag"] == "done", "{said}");
    assert_eq!(etcd.etcdctl_ok(&["get", "/key", "--rev=2", "--print-value-only"]), "a\n");
    let run = compact(&etcd, &["--disarm", "--yes"]);
    run.ok().err_has("no NOSPACE or CORRUPT alarm is raised");
    assert_eq!(etcd.etcdctl_ok(&["get", "/key", "--rev=2", "--print-value-only"]), "a\n");
    let said = compact(&etcd, &["3", "--defrag", "--move-leader", "--yes", "-o", "json"]);
    assert_eq!(said.ok().err_has("no other member can lead").json()["compacted"], 3);
    assert!(!etcd.etcdctl(&["get", "/key", "--rev=2"]).status.success());
}

#[test]
fn nothing_happens_without_a_yes() {
    let etcd = Etcd::start();
    etcd.etcdctl_ok(&["put", "/key", "a"]);
    etcd.etcdctl_ok(&["put", "/key", "b"]);
    for (args, what) in [
        (&["--reclaim"][..], "Compact at revision 3, defragment 1 member, clear NOSPACE alarms"),
        (&["--defrag"], "Defragment 1 member"),
        (&["--disarm"], "Clear NOSPACE alarms"),
    ] {
        compact(&etcd, args).code(2).out_empty().err_has(what).err_has("--yes");
    }
    let run = compact(&etcd, &["--reclaim", "--dry-run"]);
    run.ok().err_has("dry run: the store would be compacted at revision 3").out_lacks("left");
    assert_eq!(etcd.etcdctl_ok(&["get", "/key", "--rev=2", "--print-value-only"]), "a\n");
    let mut asked = Kvadm::new().endpoint(&etcd).args(["compact", "--reclaim"]).pty().spawn();
    asked.wait_for_stdout("clear NOSPACE alarms (http://", Duration::from_secs(10));
    asked.wait_for_stdout(")? [y/N]", Duration::from_secs(10));
    asked.write("n\n");
    asked.wait().code(5).out_has("nothing was changed");
    assert_eq!(etcd.etcdctl_ok(&["get", "/key", "--rev=2", "--print-value-only"]), "a\n");
}

/// The endpoints in the order in which they were defragmented.
fn turns(run: &Run) -> Vec<String> {
    let line = |line: &str| {
        let rest = line.strip_prefix("info: defragmenting ")?;
        Some(rest.split_once(": ").expect("an endpoint").0.to_owned())
    };
    run.stderr_text().lines().filter_map(line).collect()
}

#[test]
fn followers_go_first_and_the_leader_last_or_leads_no_more() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    let endpoint = |at: usize| cluster.members[at].endpoint();
    // One endpoint is enough: the others are found in the cluster's own list.
    let one = cluster.members[leader].endpoint();
    let planned = compact(&one, &["--defrag", "--dry-run", "-o", "json"]).ok().json();
    let run = compact(&one, &["--defrag", "--yes", "-v"]);
    let order = turns(run.ok());
    assert_eq!((order.len(), &order[2]), (3, &endpoint(leader)), "{order:?}");
    assert_eq!(planned["would_defrag"], json!(order));
    assert_eq!(cluster.leader(), leader);

    let run = compact(&cluster, &["--defrag", "--yes", "-v", "--move-leader"]);
    run.ok().err_has(&format!("leadership moved from {} to ", endpoint(leader)));
    let order = turns(&run);
    assert_eq!((order.len(), &order[2]), (3, &endpoint(leader)), "{order:?}");
    assert_ne!(cluster.leader(), leader);
}

#[test]
fn a_cluster_with_a_member_down_is_left_alone_unless_forced() {
    let mut cluster = Cluster::start(3);
    let down = cluster.leader();
    cluster.members[(down + 1) % 3].etcdctl_ok(&["put", "/key", "a"]);
    cluster.members[(down + 1) % 3].etcdctl_ok(&["put", "/key", "b"]);
    cluster.members[down].kill();
    let next = cluster.leader();
    let endpoint = cluster.members[down].endpoint();
    let run = unforced(&cluster, &["--reclaim", "--yes"]);
    run.code(5).out_empty().err_has(&format!("{endpoint}: connection refused")).err_has("--force");
    compact(&cluster, &["--defrag", "--dry-run"]).code(5);
    assert_eq!(cluster.members[next].etcdctl_ok(&["get", "/key", "--rev=2", "--print-value-only"]), "a\n");

    let run = compact(&cluster, &["--reclaim", "--force", "--yes", "-v", "-o", "json"]);
    let said = run.code(6).json();
    let order = turns(&run);
    assert_eq!((order.len(), &order[1]), (2, &cluster.members[next].endpoint()), "the new leader last: {order:?}");
    for member in said["members"].as_array().unwrap() {
        if member["endpoint"] == endpoint {
            assert_eq!((&member["defrag"], &member["error"]), (&json!("failed"), &json!("connection refused")));
        } else {
            assert_eq!(member["defrag"], "done", "{said}");
        }
    }
    cluster.members[down].restart();
    eventually("all to be healthy", SOON, || compact(&cluster, &["--defrag", "--yes"]).code == Some(0));
}

/// Begins to defragment a cluster, slowly, and kills a follower whose turn has not come. Gives it and the run, which
/// waits for it.
fn stopped_in_mid_roll(cluster: &mut Cluster) -> (usize, Running) {
    let leader = cluster.leader();
    let followers: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    // Between two turns there is a look at all members, which takes a second.
    let args = ["--qps", "8", "compact", "--defrag", "--yes", "-v", "-o", "json"];
    let running = Kvadm::new().endpoint(&*cluster).args(args).timeout(SOON * 2).spawn();
    running.wait_for_stderr("info: defragmenting", SOON);
    cluster.members[followers[1]].kill();
    running.wait_for_stderr("waiting for all members to be healthy", SOON);
    (followers[1], running)
}

fn how_many(said: &Value, word: &str) -> usize {
    said["members"].as_array().unwrap().iter().filter(|member| member["defrag"] == word).count()
}

#[test]
fn a_member_that_stops_is_waited_for_before_the_next_turn() {
    let mut cluster = Cluster::start(3);
    let (down, running) = stopped_in_mid_roll(&mut cluster);
    cluster.members[down].restart();
    let run = running.wait();
    assert_eq!(how_many(&run.ok().json(), "done"), 3);
    assert_eq!(turns(&run).len(), 3);
}

#[test]
fn a_signal_leaves_the_members_whose_turn_has_not_come() {
    let mut cluster = Cluster::start(3);
    let (_, running) = stopped_in_mid_roll(&mut cluster);
    running.signal(Signal::SIGTERM);
    let run = running.wait();
    run.signal(Signal::SIGTERM).err_has("interrupted with 2 members not defragmented");
    let said = run.json();
    assert_eq!((how_many(&said, "done"), how_many(&said, "left")), (1, 2), "{said}");
    let done = said["members"].as_array().unwrap().iter().find(|member| member["defrag"] == "done").unwrap();
    assert!(number(done, "db_size_after") > 0, "{said}");
}

#[test]
fn a_learner_and_an_endpoint_that_is_no_member_do_not_stand_in_the_way() {
    let etcd = Etcd::start();
    let peer = format!("http://127.0.0.1:{}", free_port());
    etcd.etcdctl_ok(&["member", "add", "late", "--learner", &format!("--peer-urls={peer}")]);
    let run = unforced(&etcd, &["--defrag", "--yes"]);
    run.code(5).out_empty().err_has("has not started").err_has("--force");
    let listed = etcd.etcdctl_ok(&["member", "list"]);
    let first = listed.lines().find(|line| line.contains("default")).unwrap();
    let first = first.split(", ").find(|field| field.starts_with("http")).unwrap();
    let learner = Etcd::options()
        .arg(format!("--initial-cluster=default={first},late={peer}"))
        .arg("--initial-cluster-state=existing")
        .arg("--name=late")
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .start();
    let both = format!("{},127.0.0.1:1", etcd.endpoint());
    let said = compact(&both, &["--defrag", "--yes", "-o", "json"]).ok().json();
    let of = |endpoint: &str| {
        let members = said["members"].as_array().unwrap();
        members.iter().find(|member| member["endpoint"] == endpoint).unwrap().clone()
    };
    assert_eq!(of(&etcd.endpoint())["defrag"], "done");
    let told = of(&learner.endpoint());
    assert!(told["role"] == "learner" && (told["defrag"] == "done" || told["defrag"] == "skipped"), "{said}");
    let stray = of("http://127.0.0.1:1");
    assert!(stray.get("defrag").is_none() && stray["error"] == "connection refused", "{said}");
}
