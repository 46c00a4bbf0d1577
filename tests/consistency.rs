//! `kvadm status --consistency`: members whose data differs, which the tests damage themselves.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Cluster, Endpoints, Etcd, Kvadm, Run, eventually};

const SOON: Duration = Duration::from_secs(20);
const ROOT: &str = "root-pass";

fn consistency(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Run {
    Kvadm::new().endpoint(of).args(["status", "--consistency"]).args(args).timeout(Duration::from_secs(60)).run()
}

fn compared(of: &(impl Endpoints + ?Sized), code: i32) -> Value {
    let run = consistency(of, &["-o", "json"]);
    run.code(code).json()
}

fn database(member: &Etcd) -> PathBuf {
    member.dir().join("data/member/snap/db")
}

/// Replaces bytes in the database of a stopped member, wherever they are, and starts it again. etcd has no checksums for the
/// pages of keys and values.
fn edit(member: &mut Etcd, from: &[u8], to: &[u8]) {
    edit_each(member, &[(from, to)]);
}

fn edit_each(member: &mut Etcd, edits: &[(&[u8], &[u8])]) {
    member.stop();
    let mut bytes = std::fs::read(database(member)).unwrap();
    for (from, to) in edits {
        assert_eq!(from.len(), to.len());
        let mut count = 0;
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(from.len()).position(|part| part == *from) {
            bytes[at + found..at + found + to.len()].copy_from_slice(to);
            at += found + to.len();
            count += 1;
        }
        assert!(count > 0, "the file does not have {}", String::from_utf8_lossy(from));
    }
    std::fs::write(database(member), bytes).unwrap();
    member.restart();
}

/// Three members that have applied the same writes.
fn cluster(writes: &[(&str, &str)]) -> Cluster {
    let cluster = Cluster::start(3);
    for (key, value) in writes {
        cluster.members[0].etcdctl_ok(&["put", key, value]);
    }
    in_step(&cluster);
    cluster
}

/// Waits until all members have the same revision and a leader.
fn in_step(cluster: &Cluster) {
    eventually("the members to be in step", SOON, || {
        let run = Kvadm::new().endpoint(cluster).args(["status", "-o", "json"]).run();
        if run.code != Some(0) {
            return false;
        }
        let said = run.json();
        let members = said["members"].as_array().unwrap();
        members.iter().all(|member| member["revision"] == said["revision"])
    });
}

fn member<'a>(said: &'a Value, of: &Etcd) -> &'a Value {
    let members = said["members"].as_array().unwrap();
    members.iter().find(|member| member["endpoint"] == of.endpoint()).unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn members_with_the_same_data_are_consistent() {
    let cluster = cluster(&[("/a", "1"), ("/b", "2"), ("/a", "3")]);
    // The others are found in the cluster's list.
    let said = compared(&cluster.members[1], 0);
    assert_eq!(
        (&said["verdict"], &said["difference_count"], &said["revision"]),
        (&json!("consistent"), &json!(0), &json!(4))
    );
    let members = said["members"].as_array().unwrap();
    assert_eq!(members.len(), 3, "{said}");
    for member in members {
        assert_eq!((&member["state"], &member["compact_revision"]), (&json!("agrees"), &json!(0)), "{said}");
        assert_eq!(member["hash"], members[0]["hash"], "{said}");
    }
    cluster.members[0].etcdctl_ok(&["compact", "3"]);
    let said = compared(&cluster, 0);
    assert_eq!(
        (&said["verdict"], &said["members"][2]["compact_revision"]),
        (&json!("consistent"), &json!(3)),
        "{said}"
    );
    let run = consistency(&cluster, &[]);
    run.ok().err_has("consistent: 3 members with the same data at revision 4").out_has("\tagrees\t");
    // A namespace does not hide a part of the store.
    Kvadm::new().endpoint(&cluster).args(["--namespace", "/none/", "status", "--consistency"]).run().ok();
}

#[test]
fn a_member_with_another_value_is_found_with_the_key() {
    let mut cluster = cluster(&[("/a", "one"), ("/config/mode", "marked-value-1"), ("/z", "last")]);
    edit(&mut cluster.members[1], b"marked-value-1", b"marked-value-X");
    in_step(&cluster);
    let said = compared(&cluster, 6);
    assert_eq!((&said["verdict"], &said["difference_count"]), (&json!("different"), &json!(1)), "{said}");
    let difference = &said["differences"][0];
    assert_eq!((&difference["key"], &difference["differs"]), (&json!("/config/mode"), &json!(["value"])), "{said}");
    assert_eq!(difference["copies"].as_array().unwrap().len(), 2, "one for each hash: {said}");
    assert_eq!(difference["copies"][0]["value_bytes"], 14, "{said}");
    for (at, state) in [(0, "agrees"), (1, "deviates"), (2, "agrees")] {
        assert_eq!(member(&said, &cluster.members[at])["state"], state, "{said}");
    }
    assert_eq!(member(&said, &cluster.members[1])["name"], "m1", "{said}");
    let run = consistency(&cluster, &[]);
    let deviates = format!("{} deviates from the majority", cluster.members[1].endpoint());
    run.code(6).out_has("/config/mode").err_has("the hashes differ; 1 key differs").err_has(&deviates);
    run.out_lacks("marked-value").err_lacks("marked-value");
    run.out_has("m1: 14 bytes, mod revision 3, version 1\n");
    // A namespace does not hide the key.
    let namespace = ["--namespace", "/none/", "status", "--consistency"];
    Kvadm::new().endpoint(&cluster).args(namespace).run().code(6).out_has("/config/mode");
}

#[test]
fn a_member_with_another_key_lacks_one_and_has_one_too_many() {
    let mut cluster = cluster(&[("/marked-key-1", "value"), ("/z", "last")]);
    edit(&mut cluster.members[2], b"/marked-key-1", b"/marked-key-0");
    in_step(&cluster);
    let said = compared(&cluster, 6);
    assert_eq!((&said["verdict"], &said["difference_count"]), (&json!("different"), &json!(2)), "{said}");
    for (at, key) in [(0, "/marked-key-0"), (1, "/marked-key-1")] {
        let difference = &said["differences"][at];
        assert_eq!((&difference["key"], &difference["differs"]), (&json!(key), &json!(["missing"])), "{said}");
        let copies = difference["copies"].as_array().unwrap();
        assert_eq!(copies.iter().filter(|copy| copy.get("mod_revision").is_some()).count(), 1, "{said}");
    }
    consistency(&cluster, &[]).code(6).out_has("no such key");
}

#[test]
fn a_difference_of_the_history_alone_is_called_so() {
    let mut cluster = cluster(&[("/a", "marked-value-1"), ("/a", "second"), ("/b", "other")]);
    edit(&mut cluster.members[0], b"marked-value-1", b"marked-value-2");
    in_step(&cluster);
    let said = compared(&cluster, 6);
    assert_eq!((&said["verdict"], &said["difference_count"]), (&json!("history-differs"), &json!(0)), "{said}");
    assert_eq!(member(&said, &cluster.members[0])["state"], "deviates", "{said}");
    let run = consistency(&cluster, &[]);
    run.code(6).err_has("only older revisions differ").err_has(&cluster.members[0].endpoint());
    run.err_has("do not remove a member").err_lacks("member remove").err_lacks("empty data directory");
}

/// From 3.6 on, the members that were not restarted answer the hash of the compaction, with the compact revision of before.
#[test]
fn a_restart_after_a_compaction_accuses_nobody() {
    let mut cluster = cluster(&[("/a", "1"), ("/b", "2"), ("/a", "3")]);
    Kvadm::new().endpoint(&cluster).args(["compact", "--yes"]).run().ok();
    cluster.members[1].stop();
    cluster.members[1].restart();
    in_step(&cluster);
    let said = compared(&cluster, 0);
    let verdict = if cluster.members[0].version() >= (3, 6) { "history-unknown" } else { "consistent" };
    assert_eq!((&said["verdict"], &said["difference_count"]), (&json!(verdict), &json!(0)), "{said}");
    for member in said["members"].as_array().unwrap() {
        assert_eq!(member["state"], "agrees", "{said}");
    }
    let run = consistency(&cluster, &[]);
    run.ok().out_lacks("deviates").err_lacks("deviates").err_lacks("remove");
    if verdict == "history-unknown" {
        run.err_has("all keys and values are equal").err_has("before the next write");
    }
    // After the next write there is a revision at which all compute their hashes.
    cluster.members[0].etcdctl_ok(&["put", "/c", "4"]);
    in_step(&cluster);
    assert_eq!(compared(&cluster, 0)["verdict"], "consistent");
}

#[test]
fn the_remedy_names_members_and_commands() {
    let mut cluster = cluster(&[("/a", "one"), ("/config/mode", "marked-value-1"), ("/z", "last")]);
    edit(&mut cluster.members[1], b"marked-value-1", b"marked-value-X");
    in_step(&cluster);
    let (good, bad) = (cluster.members[0].endpoint(), cluster.members[1].endpoint());
    let run = consistency(&cluster, &[]);
    run.code(6)
        .err_has(&format!("kvadm --endpoints {bad} get /config/mode --serializable"))
        .err_has(&format!("kvadm --endpoints {good} get /config/mode --serializable"))
        .err_has(&format!("kvadm --endpoints {good} snapshot save majority.db"))
        .err_has(&format!("kvadm --endpoints {good} member remove "));
    // The commands that read the copies do so.
    let read = |of: &str| Kvadm::new().endpoint(of).args(["get", "/config/mode", "--serializable"]).run();
    read(&bad).ok().out_has("marked-value-X");
    read(&good).ok().out_has("marked-value-1");
    // The leader is not removed without a word.
    let leader = cluster.leader();
    if leader != 1 {
        let id = member(&compared(&cluster, 6), &cluster.members[1])["id"].as_str().unwrap().to_owned();
        cluster.members[leader].etcdctl_ok(&["move-leader", &id]);
        in_step(&cluster);
    }
    consistency(&cluster, &[]).code(6).err_has(&format!("{bad} is the leader: 'kvadm member remove' moves leadership"));
}

#[test]
fn one_member_has_nothing_to_agree_with() {
    let etcd = Etcd::start();
    assert_eq!(member(&compared(&etcd, 0), &etcd)["state"], "single");
    consistency(&etcd, &[]).ok().err_has("there is no other copy to compare").err_lacks("consistent:");
}

#[test]
fn a_member_that_is_compacted_differently_is_compared_by_its_keys() {
    let mut cluster = cluster(&[("/a", "1"), ("/a", "2"), ("/a", "3"), ("/b", "4")]);
    cluster.members[0].etcdctl_ok(&["compact", "4"]);
    // 3.4 repeats a compaction after a restart if no write follows.
    cluster.members[0].etcdctl_ok(&["put", "/c", "5"]);
    eventually("all to have compacted", SOON, || {
        let run = consistency(&cluster, &["-o", "json"]);
        run.code == Some(0) && run.json()["members"][1]["compact_revision"] == 4
    });
    // The finished and the scheduled compaction, as the member has stored them.
    let stored = |name: &[u8], revision: u8| [name, &[0, 0, 0, 0, 0, 0, 0, revision, b'_']].concat();
    let (scheduled, finished) = (b"scheduledCompactRev".as_slice(), b"finishedCompactRev".as_slice());
    let edits: [(&[u8], &[u8]); 2] =
        [(&stored(finished, 4), &stored(finished, 3)), (&stored(scheduled, 4), &stored(scheduled, 3))];
    edit_each(&mut cluster.members[1], &edits);
    in_step(&cluster);
    let said = compared(&cluster, 0);
    assert_eq!((&said["verdict"], &said["difference_count"]), (&json!("history-unknown"), &json!(0)), "{said}");
    assert_eq!(member(&said, &cluster.members[1])["compact_revision"], 3, "{said}");
    assert!(said["why"].as_str().unwrap().contains("compacted at different revisions"), "{said}");
}

#[test]
fn many_differences_are_counted_and_the_first_are_shown() {
    let cluster = Cluster::start(3);
    let writes: Vec<String> =
        (0..25).map(|at| format!("{{\"key\":\"/k/{at:02}\",\"value\":\"marked-value-1\"}}")).collect();
    Kvadm::new().endpoint(&cluster).args(["put", "--from", "-"]).stdin(writes.join("\n")).run().ok();
    in_step(&cluster);
    let mut cluster = cluster;
    edit(&mut cluster.members[1], b"marked-value-1", b"marked-value-X");
    in_step(&cluster);
    let said = compared(&cluster, 6);
    let shown = said["differences"].as_array().unwrap();
    assert_eq!((&said["difference_count"], shown.len()), (&json!(25), 20), "{said}");
    assert_eq!((&shown[0]["key"], &shown[19]["key"]), (&json!("/k/00"), &json!("/k/19")), "{said}");
    consistency(&cluster, &[]).code(6).err_has("25 keys differ").err_has("5 differing keys more not shown");
}

#[test]
fn without_a_majority_no_member_is_accused() {
    let mut cluster = Cluster::start(2);
    cluster.members[0].etcdctl_ok(&["put", "/a", "marked-value-1"]);
    in_step(&cluster);
    edit(&mut cluster.members[1], b"marked-value-1", b"marked-value-X");
    in_step(&cluster);
    let said = compared(&cluster, 6);
    assert_eq!((&said["verdict"], &said["members"][0]["state"]), (&json!("different"), &json!("differs")), "{said}");
    consistency(&cluster, &[])
        .code(6)
        .err_has("no hash is in the majority")
        .err_lacks("deviates")
        .err_lacks("member remove");
}

#[test]
fn a_member_that_does_not_answer_makes_the_result_unknown() {
    let mut cluster = cluster(&[("/a", "1")]);
    cluster.members[2].kill();
    let down = cluster.members[2].endpoint();
    // It is one of the cluster's, even if it is not among the endpoints.
    let said = compared(&cluster.members[0], 6);
    assert_eq!(said["verdict"], "unknown", "{said}");
    let missing = member(&said, &cluster.members[2]);
    assert_eq!((&missing["state"], &missing["error"]), (&json!("unknown"), &json!("connection refused")), "{said}");
    assert_eq!(member(&said, &cluster.members[0])["state"], "agrees", "{said}");
    consistency(&cluster, &[]).code(6).err_has("unknown whether").err_has(&format!("{down}: connection refused"));
    // No quorum is needed for what the last member tells.
    cluster.members[1].kill();
    let said = compared(&cluster, 3);
    assert_eq!(said["verdict"], "unknown", "{said}");
    assert_eq!(member(&said, &cluster.members[0])["state"], "unknown", "one answer agrees with no other: {said}");
    consistency(&cluster, &[]).code(3).err_has("the cluster has no quorum");
    cluster.members[0].kill();
    consistency(&cluster, &[]).code(3).out_empty();
}

#[test]
fn a_member_that_is_silent_is_waited_for_with_a_bound() {
    let cluster = cluster(&[("/a", "1")]);
    cluster.members[1].pause();
    let run = Kvadm::new()
        .endpoint(&cluster)
        .args(["--op-timeout", "1s", "--dial-timeout", "1s", "status", "--consistency", "-o", "json"])
        .run();
    cluster.members[1].resume();
    let said = run.code(6).within(SOON).json();
    assert_eq!(
        (&said["verdict"], &member(&said, &cluster.members[1])["state"]),
        (&json!("unknown"), &json!("unknown")),
        "{said}"
    );
}

#[test]
fn with_authentication_it_needs_root() {
    let etcd = Etcd::start();
    for args in [
        &["user", "add", &format!("root:{ROOT}")][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "app:app-pass"],
        &["auth", "enable"],
    ] {
        etcd.etcdctl_ok(args);
    }
    let run = |user: &str, password: &str| {
        let args = ["--user", user, "status", "--consistency"];
        Kvadm::new().endpoint(&etcd).env("KVADM_PASSWORD", password).args(args).run()
    };
    run("root", ROOT).ok();
    run("app", "app-pass").code(4).out_empty().err_has("the members cannot be compared").err_has("--user root");
    consistency(&etcd, &[]).code(4).out_empty().err_has("--user root");
}

#[test]
fn a_compaction_meanwhile_does_not_look_like_a_difference() {
    let cluster = cluster(&[("/a", "1")]);
    let endpoint = cluster.members[0].endpoint();
    let writer = std::thread::spawn(move || {
        for round in 0..40 {
            Kvadm::new().endpoint(&endpoint).args(["put", "/a", &round.to_string()]).run().ok();
            let run = Kvadm::new().endpoint(&endpoint).args(["compact", "--keep", "0", "--physical=false"]).run();
            run.ok();
        }
    });
    let mut verdicts = Vec::new();
    while !writer.is_finished() {
        let run = consistency(&cluster, &["-o", "json"]);
        let said = run.json();
        verdicts.push(said["verdict"].as_str().unwrap().to_owned());
        assert!(["consistent", "unknown"].contains(&said["verdict"].as_str().unwrap()), "{said}");
    }
    writer.join().unwrap();
    assert!(verdicts.iter().any(|verdict| verdict == "consistent"), "{verdicts:?}");
    assert_eq!(compared(&cluster, 0)["verdict"], "consistent");
}
