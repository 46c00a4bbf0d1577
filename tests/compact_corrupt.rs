//! `kvadm compact --disarm` of CORRUPT alarms: only after all members are compared and agree. And `--defrag --member`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Cluster, Endpoints, Etcd, Kvadm, Plan, Run, Spoil, Spoiler, eventually};

const SOON: Duration = Duration::from_secs(20);

fn compact(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Run {
    Kvadm::new().endpoint(of).arg("compact").args(args).timeout(Duration::from_secs(60)).run()
}

/// Raises the alarm of a member through etcd's gateway; etcdctl cannot.
pub fn raise(etcd: &Etcd, member: &str) {
    let id = u64::from_str_radix(member, 16).unwrap();
    let body = json!({"action": "ACTIVATE", "memberID": id.to_string(), "alarm": "CORRUPT"}).to_string();
    let mut stream = TcpStream::connect(etcd.address()).unwrap();
    let head = format!("POST /v3/maintenance/alarm HTTP/1.0\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 OK"), "{answer}");
    assert!(alarms(etcd).contains("CORRUPT"));
}

fn alarms(etcd: &Etcd) -> String {
    etcd.etcdctl_ok(&["alarm", "list"])
}

fn members(of: &(impl Endpoints + ?Sized)) -> Vec<Value> {
    let said = Kvadm::new().endpoint(of).args(["status", "-o", "json"]).run().json();
    said["members"].as_array().unwrap().clone()
}

fn id_of(of: &(impl Endpoints + ?Sized), name: &str) -> String {
    let found = members(of).into_iter().find(|member| member["name"] == name);
    found.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Waits until all members have the same revision and a leader.
fn in_step(cluster: &Cluster) {
    eventually("the members to be in step", SOON, || {
        let found = members(cluster);
        found.iter().all(|member| {
            member["revision"] == found[0]["revision"]
                && member.get("leader").is_some()
                && member["leader"] == found[0]["leader"]
        })
    });
}

#[test]
fn an_alarm_is_cleared_when_the_members_agree_and_not_before() {
    let mut cluster = Cluster::start(3);
    for (key, value) in [("/a", "1"), ("/config/mode", "marked-value-1"), ("/a", "2")] {
        cluster.members[0].etcdctl_ok(&["put", key, value]);
    }
    in_step(&cluster);
    let id = id_of(&cluster, "m1");
    raise(&cluster.members[0], &id);
    // Reads and hashes are served, writes are not.
    let run = compact(&cluster, &["--disarm", "--dry-run", "-o", "json"]);
    let said = run.ok().err_has("3 members have the same data at revision 4").json();
    assert_eq!(said["would_disarm"], json!([id]), "{said}");
    let run = compact(&cluster, &["--disarm"]);
    run.code(2)
        .err_has("Compare the data of all members, clear CORRUPT alarms if it is equal")
        .err_lacks("clear NOSPACE");
    // A reclaim is refused, by kvadm or with --force by etcd, and does not clear it.
    let run = Kvadm::new().endpoint(&cluster).args(["compact", "--reclaim", "--yes"]).unforced().run();
    let text = run.code(5).stderr_text();
    assert!(text.contains("the cluster is not healthy") && text.contains("CORRUPT"), "{text}");
    assert!(alarms(&cluster.members[0]).contains("CORRUPT"));
    let run = compact(&cluster, &["--disarm", "--yes", "-o", "json"]);
    let said = run.ok().err_has("CORRUPT is cleared; the store accepts writes again").json();
    assert_eq!((&said["disarmed"], &said["complaints"]), (&json!([id]), &json!([])), "{said}");
    assert_eq!(alarms(&cluster.members[0]), "");
    cluster.members[0].etcdctl_ok(&["put", "/a", "3"]);
    compact(&cluster, &["--disarm", "--yes"]).ok().err_has("no NOSPACE or CORRUPT alarm is raised");

    // A member that does not answer is not compared.
    raise(&cluster.members[0], &id);
    cluster.members[1].pause();
    let run = compact(&cluster, &["--disarm", "--yes", "-o", "json", "--dial-timeout", "500ms"]);
    let said = run.code(5).json();
    let why = said["complaints"][0].as_str().unwrap();
    assert!(why.contains("CORRUPT remains: it is not proved that all members hold the same data"), "{why}");
    assert!(why.contains("kvadm --endpoints") && why.contains("status --consistency"), "{why}");
    assert_eq!(said["disarmed"], json!([]), "{said}");
    cluster.members[1].resume();

    // Data that differs.
    let member = &mut cluster.members[1];
    member.stop();
    let path = member.dir().join("data/member/snap/db");
    let mut bytes = std::fs::read(&path).unwrap();
    let marked = b"marked-value-1";
    let mut count = 0;
    for at in 0..bytes.len() - marked.len() {
        if bytes[at..].starts_with(marked) {
            bytes[at + marked.len() - 1] = b'X';
            count += 1;
        }
    }
    assert!(count > 0, "the file does not have the value");
    std::fs::write(&path, bytes).unwrap();
    member.restart();
    in_step(&cluster);
    compact(&cluster, &["--disarm", "--dry-run", "-o", "json"]).code(5).out_has("CORRUPT remains");
    let run = compact(&cluster, &["--disarm", "--yes", "-o", "json"]);
    let said = run.code(5).json();
    assert!(said["complaints"][0].as_str().unwrap().contains("the hashes differ"), "{said}");
    assert!(alarms(&cluster.members[0]).contains("CORRUPT"));
    let run = Kvadm::new().endpoint(&cluster).args(["status", "--consistency", "-o", "json"]).run();
    assert_eq!(run.code(6).json()["differences"][0]["key"], "/config/mode", "reads are served under the alarm");
}

#[test]
fn the_alarm_of_a_single_member_is_cleared_and_a_lost_answer_is_read_back() {
    let etcd = Etcd::start();
    let id = members(&etcd)[0]["id"].as_str().unwrap().to_owned();
    for (spoil, then_gone, code) in
        [(Spoil::CutBefore, false, 0), (Spoil::Http(502), false, 0), (Spoil::CutWithin, true, 7)]
    {
        raise(&etcd, &id);
        // One request of the scan and one of the disarming list the alarms.
        let plan = Plan { spoil, methods: &["Alarm"], skip: 3, times: 1, then_gone };
        let spoiler = Spoiler::start(&etcd.address(), plan);
        let args = ["compact", "--disarm", "--yes"];
        let run = Kvadm::new().arg("--endpoints").arg(spoiler.endpoint()).args(args).run();
        run.code(code).err_has("there is no other copy to compare");
        assert_eq!(alarms(&etcd), "", "{spoil:?}");
    }
}

#[test]
fn only_the_named_members_are_defragmented() {
    let cluster = Cluster::start(3);
    in_step(&cluster);
    let [leader, other] = [cluster.leader(), (cluster.leader() + 1) % 3];
    let name = |index: usize| format!("m{index}");
    let defrag = |args: &[&str]| {
        let run = compact(&cluster, &[&["--defrag", "-o", "json"][..], args].concat());
        (run.code, run)
    };
    let outcome = |said: &Value, index: usize| {
        let found = said["members"].as_array().unwrap().iter().find(|member| member["name"] == name(index).as_str());
        let member = found.unwrap_or_else(|| panic!("{said}"));
        (member["defrag"].as_str().unwrap().to_owned(), member.get("reason").is_some())
    };
    let id = id_of(&cluster, &name(other));
    let url = cluster.members[other].endpoint();
    for text in [name(other).as_str(), &id, &url, url.strip_prefix("http://").unwrap()] {
        let (_, run) = defrag(&["--dry-run", "--member", text]);
        assert_eq!(run.ok().json()["would_defrag"], json!([url]), "{text}");
    }
    let (_, run) = defrag(&["--member", &name(leader), "--member", &id, "--member", &url, "--dry-run"]);
    assert_eq!(run.ok().json()["would_defrag"], json!([url, cluster.members[leader].endpoint()]), "the leader last");
    let (_, run) = defrag(&["--member", &id, "--yes"]);
    let said = run.ok().json();
    for index in 0..3 {
        let wanted = if index == other { ("done".to_owned(), false) } else { ("skipped".to_owned(), true) };
        assert_eq!(outcome(&said, index), wanted, "{said}");
    }
    let (_, run) = defrag(&["--member", &id]);
    run.code(2).err_has("Defragment 1 member: cannot ask");
    let (_, run) = defrag(&["--member", "etcd-9", "--yes"]);
    run.code(2)
        .out_empty()
        .err_has("no member has the ID, name or URL 'etcd-9'")
        .err_has(&format!("m0 ({}", id_of(&cluster, "m0")));
    let (_, run) = defrag(&["--member", &id, "--if", "size-above=9GiB", "--yes"]);
    run.ok().err_has("no member qualifies");
    compact(&cluster, &["--member", "m0"]).code(2).err_has("--member requires --defrag or --reclaim");
    // Health counts for all members, also those that are not named.
    let silent = (0..3).find(|index| *index != leader && *index != other).unwrap();
    cluster.members[silent].pause();
    let run = compact(&cluster, &["--defrag", "--member", &id, "--yes", "--dial-timeout", "500ms"]);
    if !super::support::binary::defrag_needs_force() {
        run.code(5).err_has("the cluster is not healthy; nothing was done");
    }
    // A member that does not respond is no mistake of the command line.
    let args = ["--defrag", "--member", &name(silent), "--force", "--yes", "--dial-timeout", "500ms"];
    compact(&cluster, &args).code(3).out_empty().err_has(&format!("the member '{}' does not respond", name(silent)));
    cluster.members[silent].resume();
}
