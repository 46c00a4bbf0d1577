//! `kvadm status --advice`.

use serde_json::{Value, json};

use super::support::{Certs, Cluster, Endpoints, Etcd, Kvadm, Run, eventually};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

fn advice(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Run {
    Kvadm::new().endpoint(of).args(args).args(["status", "--advice"]).run()
}

fn found(of: &(impl Endpoints + ?Sized), code: i32) -> Vec<Value> {
    let said = advice(of, &["-o", "json"]).code(code).json();
    said["advice"].as_array().unwrap_or_else(|| panic!("{said}")).clone()
}

fn rules(advice: &[Value]) -> Vec<&str> {
    let is_of_version = |rule: &&str| ["known-problems", "quota"].contains(rule);
    advice.iter().map(|advice| advice["rule"].as_str().unwrap()).filter(|rule| !is_of_version(rule)).collect()
}

/// The exit code of a cluster without other urgent advice: etcd 3.5.1 can lose data.
fn quiet_code(etcd: &Etcd) -> i32 {
    if etcd.version() == (3, 5) { 6 } else { 0 }
}

#[test]
fn a_healthy_cluster_on_one_machine_has_no_advice_but_its_version() {
    let cluster = Cluster::start(3);
    let code = quiet_code(&cluster.members[0]);
    assert!(rules(&found(&cluster.members[1], code)).is_empty());
    let run = advice(&cluster, &[]);
    if cluster.members[0].version() >= (3, 6) {
        run.ok().out_empty().err_has("no advice");
    }
}

/// etcd tells its quota since 3.6.
#[test]
fn an_unknown_quota_is_called_so_and_can_be_given() {
    let etcd = Etcd::start();
    let all = found(&etcd, quiet_code(&etcd));
    let quota = all.iter().find(|advice| advice["rule"] == "quota");
    assert_eq!(quota.is_none(), etcd.version() >= (3, 6), "{all:?}");
    if let Some(quota) = quota {
        assert_eq!((&quota["severity"], &quota["certainty"]), (&json!("suggestion"), &json!("possible")), "{quota}");
        assert!(quota["remedy"].as_str().unwrap().contains("--quota SIZE"), "{quota}");
        let with = |quota: &str| {
            Kvadm::new().endpoint(&etcd).args(["status", "--advice", "-o", "json", "--quota", quota]).run()
        };
        let large = with("2GiB").json();
        assert!(!large.to_string().contains("\"quota\""), "{large}");
        let small = with("16KiB").code(6).json();
        let judged = small["advice"].as_array().unwrap().iter().find(|advice| advice["rule"] == "quota").unwrap();
        assert_eq!((&judged["severity"], &judged["certainty"]), (&json!("critical"), &json!("certain")), "{small}");
    }
}

#[test]
fn a_member_with_other_data_is_found() {
    let mut cluster = Cluster::start(3);
    cluster.members[0].etcdctl_ok(&["put", "/a", "marked-value-1"]);
    eventually("all members to have the key", SOON, || {
        cluster
            .members
            .iter()
            .all(|member| Kvadm::new().endpoint(member).args(["get", "/a", "--serializable"]).run().code == Some(0))
    });
    let member = &mut cluster.members[1];
    member.stop();
    let file = member.dir().join("data/member/snap/db");
    let mut bytes = std::fs::read(&file).unwrap();
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(14).position(|part| part == b"marked-value-1") {
        bytes[at + found + 13] = b'X';
        at += found + 14;
    }
    assert!(at > 0);
    std::fs::write(&file, bytes).unwrap();
    member.restart();
    cluster.leader();
    let mut all = Vec::new();
    eventually("all members to be compared", SOON, || {
        all = found(&cluster, 6);
        all.iter().any(|advice| advice["rule"] == "data" && advice["severity"] == "critical")
    });
    let data = all.iter().find(|advice| advice["rule"] == "data").unwrap();
    assert_eq!((&data["subject"], &data["certainty"]), (&json!(cluster.members[1].endpoint()), &json!("certain")));
    assert_eq!(data["command"], format!("kvadm --endpoints {} status --consistency", cluster.endpoints()), "{data}");
}

#[test]
fn data_that_may_not_be_compared_is_called_so() {
    let cluster = Cluster::start(3);
    for args in [
        &["user", "add", "root:root-pass"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "app:app-pass"],
        &["auth", "enable"],
    ] {
        cluster.members[0].etcdctl_ok(args);
    }
    let run = |user: &str, password: &str| {
        let args = ["--user", user, "status", "--advice", "-o", "json"];
        let run = Kvadm::new().endpoint(&cluster).env("KVADM_PASSWORD", password).args(args).run();
        run.json()["advice"].as_array().unwrap().clone()
    };
    let all = run("app", "app-pass");
    let data = all.iter().find(|advice| advice["rule"] == "data").unwrap_or_else(|| panic!("{all:?}"));
    assert_eq!(data["severity"], "suggestion", "{data}");
    assert!(
        data["finding"].as_str().unwrap().contains("not compared")
            && data["finding"].as_str().unwrap().contains("root")
    );
    assert!(run("root", "root-pass").iter().all(|advice| advice["rule"] != "data"));
}

#[test]
fn a_bad_version_is_named_with_what_to_do() {
    let etcd = Etcd::start();
    let all = found(&etcd, quiet_code(&etcd));
    let version = all.iter().find(|advice| advice["rule"] == "known-problems");
    match etcd.version() {
        (3, 4) => {
            let version = version.unwrap();
            assert_eq!((&version["severity"], &version["subject"]), (&json!("warning"), &json!(etcd.endpoint())));
            assert!(version["problems"].as_array().unwrap().contains(&json!("end-of-life")), "{version}");
        }
        (3, 5) => {
            let version = version.unwrap();
            assert_eq!((&version["severity"], &version["certainty"]), (&json!("critical"), &json!("certain")));
            assert_eq!((&version["problems"][0], &all[0]["rule"]), (&json!("#13766"), &json!("known-problems")));
            assert!(version["remedy"].as_str().unwrap().contains("etcd 3.5.33"), "{version}");
            advice(&etcd, &[])
                .code(6)
                .out_has("critical: etcd 3.5.1 has 11 known problems (certain)")
                .out_has("#13766");
        }
        _ => assert_eq!(version, None),
    }
    // One member is worth a word, and no failure.
    let voters = all.iter().find(|advice| advice["rule"] == "voters").unwrap();
    let command = voters["command"].as_str().unwrap();
    assert_eq!(command, format!("kvadm --endpoints {} snapshot save backup.db", etcd.endpoint()));
    assert_eq!(voters["severity"], "suggestion");
}

#[test]
fn a_member_that_is_down_is_urgent_if_it_is_the_last_one_to_lose() {
    let mut cluster = Cluster::start(3);
    cluster.members[1].kill();
    cluster.leader();
    let all = found(&cluster, 6);
    let down = all.iter().find(|advice| advice["rule"] == "member-down").unwrap_or_else(|| panic!("{all:?}"));
    assert_eq!((&down["severity"], &down["certainty"]), (&json!("critical"), &json!("likely")), "{down}");
    assert!(down["finding"].as_str().unwrap().contains("connection refused"), "{down}");
    assert!(down["why"].as_str().unwrap().contains("2 of 3 voting members serve"), "{down}");
    // The command looks at the member that does not answer.
    assert_eq!(down["command"], format!("kvadm --endpoints {} status --diagnose", cluster.members[1].endpoint()));
    cluster.members[0].kill();
    let run = Kvadm::new().endpoint(&cluster).args(["--op-timeout", "1s", "status", "--advice", "-o", "json"]).run();
    let said = run.code(3).json();
    assert_eq!((&said["health"], &said["advice"][0]["rule"]), (&json!("no-quorum"), &json!("no-quorum")), "{said}");
    cluster.members[2].kill();
    advice(&cluster, &[]).code(3).out_empty();
}

#[test]
fn a_full_store_is_urgent() {
    let etcd = Etcd::options().arg("--quota-backend-bytes=2097152").arg("--backend-batch-interval=1h").start();
    for _ in 0..5 {
        Kvadm::new().endpoint(&etcd).args(["put", "/key", "-"]).stdin("x".repeat(900_000)).run().ok();
    }
    etcd.etcdctl_ok(&["compact", "2"]);
    Kvadm::new().endpoint(&etcd).args(["put", "/key", "x"]).run().code(7);
    let all = found(&etcd, 6);
    let alarm = all.iter().find(|advice| advice["rule"] == "alarm").unwrap_or_else(|| panic!("{all:?}"));
    assert_eq!((&alarm["severity"], &alarm["finding"]), (&json!("critical"), &json!("alarm NOSPACE")), "{alarm}");
    assert_eq!(alarm["command"], format!("kvadm --endpoints {} compact --reclaim", etcd.endpoint()));
    let has_quota = all.iter().any(|advice| advice["rule"] == "quota");
    assert!(!has_quota, "the alarm's command does it all: {all:?}");
}

#[test]
fn a_certificate_that_has_expired_is_named() {
    let certs = &Certs::new();
    let good = Etcd::options().tls(certs).start();
    let file = certs.ca.to_str().unwrap();
    let cacert = ["--ca-file", file];
    let said = Kvadm::new().endpoint(&good).args(cacert).args(["status", "--advice", "-o", "json"]).run().json();
    assert!(!said.to_string().contains("\"certificate\""), "{said}");
    let expired = Etcd::options().tls_with(certs, &certs.expired).start();
    // The scan of the members does not get that far; without verification it does, and the certificate is still expired.
    let run = Kvadm::new()
        .endpoint(&expired)
        .args(cacert)
        .arg("--insecure-skip-tls-verify")
        .args(["status", "--advice", "-o", "json"])
        .run();
    let said = run.code(6).json();
    let all = said["advice"].as_array().unwrap();
    let certificate = all.iter().find(|advice| advice["rule"] == "certificate").unwrap_or_else(|| panic!("{said}"));
    assert_eq!((&certificate["severity"], &certificate["subject"]), (&json!("critical"), &json!(expired.endpoint())));
    assert!(certificate["finding"].as_str().unwrap().contains("expired on"), "{certificate}");
}

#[test]
fn a_member_that_was_added_and_never_started_is_named() {
    let etcd = Etcd::start();
    etcd.etcdctl_ok(&["member", "add", "late", "--learner", "--peer-urls=http://127.0.0.1:1"]);
    let all = found(&etcd, quiet_code(&etcd));
    let late = all.iter().find(|advice| advice["rule"] == "not-started").unwrap_or_else(|| panic!("{all:?}"));
    let id = late["subject"].as_str().unwrap();
    let command = late["command"].as_str().unwrap();
    assert!(command.ends_with(&format!(" member remove {id}")) && command.starts_with("kvadm "), "{command}");
}

#[test]
fn an_even_number_of_voters_is_a_warning_and_exits_0() {
    let cluster = Cluster::start(2);
    advice(&cluster, &[]).out_has("warning: 2 voting members");
    let all = found(&cluster, quiet_code(&cluster.members[0]));
    let voters = all.iter().find(|advice| advice["rule"] == "voters").unwrap_or_else(|| panic!("{all:?}"));
    assert_eq!((&voters["severity"], &voters["finding"]), (&json!("warning"), &json!("2 voting members")), "{voters}");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    for args in [
        &["--advice", "--consistency"][..],
        &["--advice", "--watch"],
        &["--consistency", "--wait", "1s"],
        &["--forecast", "--quorum"],
        &["--quota", "1GiB"],
        &["--advice", "--keep-below", "1GiB"],
        &["--latency", "--advice"],
        &["--latency", "--consistency"],
        &["--latency", "--forecast"],
        &["--consistency", "--quota", "1GiB"],
        &["--forecast", "0s"],
        &["--forecast", "1s", "--quota", "many"],
    ] {
        Kvadm::new().arg("status").args(args).run().code(2).out_empty();
    }
}

#[test]
fn advice_fits_a_terminal() {
    let etcd = Etcd::start();
    let run = Kvadm::new().endpoint(&etcd).args(["status", "--advice"]).pty().run();
    let text = run.stdout_text().replace("\u{1b}[0m", "");
    assert!(!text.lines().any(|line| line.contains("warning:") && !line.contains("warning: ")), "{text}");
    run.out_has("where").out_has("why").out_has("run   kvadm --endpoints");
}
