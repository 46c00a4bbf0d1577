//! `kvadm compact`: the compaction itself, once and again and again.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::support::binary::defrag_needs_force;
use super::support::{Cluster, Etcd, Kvadm, Run, Running, eventually};

const SOON: Duration = Duration::from_secs(10);

fn compact(etcd: &Etcd, args: &[&str]) -> Run {
    Kvadm::new().endpoint(etcd).arg("compact").args(args).run()
}

/// Writes the same key so many times.
fn write(etcd: &Etcd, times: usize) {
    for number in 0..times {
        etcd.etcdctl_ok(&["put", "/key", &number.to_string()]);
    }
}

/// Whether the revision can still be read, as etcdctl sees it.
fn readable(etcd: &Etcd, revision: i64) -> bool {
    let output = etcd.etcdctl(&["get", "/key", &format!("--rev={revision}")]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || stderr.contains("has been compacted"), "{stderr}");
    output.status.success()
}

/// Where removing the history of 200 keys takes two seconds.
fn slow() -> Etcd {
    let (major, minor) = super::support::binary::version();
    let flag = if (major, minor) >= (3, 6) { "compaction-batch-limit" } else { "experimental-compaction-batch-limit" };
    let etcd = Etcd::options().arg(format!("--{flag}=4")).start();
    history(&etcd);
    etcd
}

fn history(etcd: &Etcd) {
    let record = |number: usize| format!("{}\n", json!({"key": format!("/h/{number:03}"), "value": "v"}));
    let records: String = (0..200).map(record).collect();
    for _ in 0..2 {
        let load = Kvadm::new().endpoint(etcd).args(["put", "--from", "-"]).stdin(&records).run();
        load.ok();
        etcd.etcdctl_ok(&["del", "--prefix", "/h/"]);
    }
}

#[test]
fn what_was_before_the_revision_is_gone_and_the_rest_stays() {
    let etcd = Etcd::start();
    write(&etcd, 5);
    let run = compact(&etcd, &["4", "-o", "json"]);
    let said = run.ok().err_has("note: compacted at revision 4").json();
    assert_eq!((&said["compacted"], &said["current"], &said["already"]), (&json!(4), &json!(6), &json!(false)));
    assert_eq!((&said["physical"], &said["disarmed"], &said["complaints"]), (&json!(true), &json!([]), &json!([])));
    let [member] = said["members"].as_array().unwrap().as_slice() else { panic!("one member: {said}") };
    assert_eq!((&member["endpoint"], &member["role"]), (&json!(etcd.endpoint()), &json!("leader")));
    assert!(u64::from_str_radix(member["id"].as_str().unwrap(), 16).unwrap() > 0);
    for figure in ["db_size_before", "db_size_after", "in_use_before", "in_use_after"] {
        assert!(member[figure].as_u64().is_some_and(|size| size > 0), "{figure}: {said}");
    }
    assert_eq!((&member["revision_before"], &member["revision_after"]), (&json!(6), &json!(6)));
    assert!(member.get("defrag").is_none(), "none was asked for: {said}");
    assert!(!readable(&etcd, 3) && readable(&etcd, 4));
    assert_eq!(etcd.held("/key").unwrap().text(), "4");

    let run = compact(&etcd, &["-q"]);
    run.ok().err_empty();
    let text = run.stdout_text();
    let fields: Vec<&str> = text.trim_end_matches('\n').split('\t').collect();
    assert_eq!((fields.len(), fields[0], fields[1]), (7, &*etcd.endpoint(), "leader"), "{text}");
    assert!(fields[2..6].iter().all(|size| size.parse::<u64>().is_ok()), "{text}");
    assert!(!readable(&etcd, 5) && readable(&etcd, 6), "the current revision");
    compact(&etcd, &["-o", "table"]).ok().out_has("DB SIZE BEFORE").out_has("IN USE AFTER");
}

#[test]
fn what_is_compacted_already_is_no_failure_and_is_said() {
    let etcd = Etcd::start();
    write(&etcd, 5);
    compact(&etcd, &["5"]).ok();
    for revision in ["5", "3"] {
        let run = compact(&etcd, &[revision, "-o", "json"]);
        let said =
            run.ok().err_has(&format!("nothing to do: already compacted to revision {revision} or later")).json();
        assert_eq!(said["already"], true);
    }
    assert!(readable(&etcd, 5));
}

#[test]
fn a_revision_that_is_not_there_yet_is_refused_and_nothing_is_done() {
    let etcd = Etcd::start();
    write(&etcd, 3);
    for args in [&["5"][..], &["5", "--dry-run"], &["9223372036854775807"], &["5", "--reclaim", "--yes"]] {
        let run = compact(&etcd, args);
        run.code(4).out_empty().err_has("is in the future: the store is at revision 4");
    }
    assert!(readable(&etcd, 1));
    let run = compact(&etcd, &["5", "-o", "json"]);
    assert_eq!(run.code(4).err_json()["exit_code"], 4);
}

#[test]
fn so_many_revisions_are_kept() {
    let etcd = Etcd::start();
    write(&etcd, 9);
    let run = compact(&etcd, &["--keep", "100", "-o", "json"]);
    let said = run.ok().err_has("nothing to compact: only 10 revisions exist, --keep is 100").json();
    assert!(said.get("compacted").is_none() && readable(&etcd, 1), "{said}");
    assert_eq!(compact(&etcd, &["--keep", "3", "-o", "json"]).ok().json()["compacted"], 7);
    assert!(!readable(&etcd, 6) && readable(&etcd, 7));
    assert_eq!(compact(&etcd, &["--keep", "0", "-o", "json"]).ok().json()["compacted"], 10);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let etcd = Etcd::start();
    write(&etcd, 5);
    let run = compact(&etcd, &["4", "--dry-run", "-o", "json"]);
    let said = run.ok().err_has("dry run: the store would be compacted at revision 4").json();
    assert_eq!((&said["dry_run"], &said["would_compact"], &said["already"]), (&json!(true), &json!(4), &json!(false)));
    assert!(said.get("compacted").is_none() && said["members"][0].get("db_size_after").is_none(), "{said}");
    assert!(readable(&etcd, 1));
    compact(&etcd, &["4"]).ok();
    let run = compact(&etcd, &["4", "--dry-run", "-o", "json"]);
    assert_eq!(
        run.ok().err_has("dry run: the store would be compacted at revision 4 (already done)").json()["already"],
        true
    );
    compact(&etcd, &["--every", "5m", "--dry-run"]).ok().err_has("every 5m");
    assert!(readable(&etcd, 4));
}

#[test]
fn what_makes_no_sense_is_said_before_anything_is_done() {
    for (args, why) in [
        (&["0"][..], "revisions start at 1; omit the option for the current revision"),
        (&["-5"], "-5"),
        (&["five"], "expected a revision: a whole number from 1 on"),
        (&["5", "--keep", "3"], "--keep"),
        (&["--keep", "-1"], "-1"),
        (&["--move-leader"], "--move-leader requires --defrag or --reclaim"),
        (&["--force", "--disarm"], "--force requires --defrag or --reclaim"),
        (&["--reclaim", "--physical=false"], "--physical=false"),
        (&["--every", "1h", "--if", "free-above=1MiB"], "cannot be used with"),
        (&["--every", "1h", "--pause", "1s"], "cannot be used with"),
        (&["--every"], "--every needs a period: the config has no auto-compact, or it is zero"),
        (&["--every", "0s"], "must be greater than zero"),
        (&["--every", "5"], "5"),
        (&["--every", "5ns"], "must be at least 10ms"),
        (&["--every", "1m", "--defrag"], "--defrag"),
        (&["--every", "1m", "--reclaim"], "--reclaim"),
    ] {
        let run = Kvadm::new().endpoint("127.0.0.1:1").arg("compact").args(args).run();
        run.code(2).out_empty().err_has(why);
    }
    let zero = Kvadm::new().config_file("etcd.yaml", "endpoints: ['127.0.0.1:1']\nauto-compact: 0\n");
    zero.args(["compact", "--every"]).run().code(2).err_has("--every 5m");
    // Five nanoseconds, for Ligato as well.
    let short = Kvadm::new().config_file("etcd.yaml", "endpoints: ['127.0.0.1:1']\nauto-compact: 5\n");
    let run = short.args(["compact", "--every"]).run();
    run.code(2).out_empty().err_has("the config's auto-compact is 5ns; the shortest period is 10ms").err_has("hint: ");
    for line in [&["gc", "locks", "/l/"][..], &["lease", "renew", "1f"], &["status"]] {
        let option = if line == ["status"] { "--watch" } else { "--every" };
        Kvadm::new().endpoint("127.0.0.1:1").args(line).args([option, "1ms"]).run().code(2).err_has("at least 10ms");
    }
    Kvadm::new().endpoint("127.0.0.1:1").arg("compact").run().code(3).out_empty().err_has("connection refused");
}

#[test]
fn a_long_removal_is_waited_for_beyond_the_timeout_of_operations() {
    let etcd = slow();
    let run = compact(&etcd, &["--op-timeout", "300ms", "-o", "json"]);
    let said = run.ok().json();
    assert_eq!((&said["physical"], &said["already"]), (&json!(true), &json!(false)));
    assert!(run.took > Duration::from_millis(900), "it was waited for: {:?}", run.took);

    history(&etcd);
    let run = compact(&etcd, &["--physical=false", "-o", "json"]);
    run.ok().within(Duration::from_millis(900));
    assert_eq!(run.json()["physical"], false, "nobody waited for it");
    assert!(!readable(&etcd, etcd.revision() - 1));
}

#[test]
fn a_compaction_that_outlives_the_deadline_is_no_failure() {
    let etcd = slow();
    let revision = etcd.revision();
    let run = compact(&etcd, &["--deadline", "600ms", "-o", "json"]);
    let said = run
        .within(Duration::from_secs(3))
        .err_has("the reply was lost, and etcd may still be removing old revisions")
        .json();
    assert_eq!((&said["compacted"], &said["physical"]), (&json!(revision), &json!(false)));
    assert!(!readable(&etcd, revision - 1));
}

#[test]
fn an_interrupted_wait_says_that_etcd_goes_on() {
    let etcd = slow();
    let revision = etcd.revision();
    let running = Kvadm::new().endpoint(&etcd).arg("compact").spawn();
    eventually("the compaction to begin", SOON, || !readable(&etcd, revision - 1));
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT)
        .within(Duration::from_secs(5))
        .err_has("a request was in flight: etcd may have applied it, or may still apply it");
}

#[test]
fn a_cluster_is_compacted_although_a_member_is_down() {
    let mut cluster = Cluster::start(3);
    let down = (cluster.leader() + 1) % 3;
    let up = (down + 1) % 3;
    write(&cluster.members[up], 4);
    cluster.members[down].kill();
    let run = Kvadm::new().endpoint(&cluster).args(["compact", "-o", "json"]).run();
    let said = run.ok().json();
    let endpoint = cluster.members[down].endpoint();
    assert_eq!(said["complaints"], json!([format!("{endpoint} did not respond: connection refused")]));
    let members = said["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    let of = |endpoint: &str| members.iter().find(|member| member["endpoint"] == endpoint).unwrap();
    assert!(of(&endpoint).get("db_size_before").is_none(), "{said}");
    assert!(of(&cluster.members[up].endpoint())["in_use_after"].is_u64(), "{said}");
    assert!(!readable(&cluster.members[up], 4) && readable(&cluster.members[up], 5));
    cluster.members[down].restart();
    eventually("the member to follow", SOON, || !readable(&cluster.members[down], 4));
}

#[test]
fn who_may_not_is_told() {
    let etcd = Etcd::options().arg("--bcrypt-cost=4").start();
    write(&etcd, 3);
    etcd.etcdctl_ok(&["user", "add", "root:r"]);
    etcd.etcdctl_ok(&["user", "add", "app:a"]);
    etcd.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    etcd.etcdctl_ok(&["auth", "enable"]);
    let as_user = |user: &str, args: &[&str]| {
        let run = Kvadm::new().endpoint(&etcd).args(["--user", user]).env("KVADM_PASSWORD", &user[..1]);
        run.arg("compact").args(args).run()
    };
    // Not all versions ask who compacts; all ask who defragments.
    let run = as_user("app", &["2"]);
    if run.code != Some(0) {
        run.code(4).out_empty().err_has("permission denied");
    }
    let denied = as_user("app", &["--defrag", "--yes"]);
    if defrag_needs_force() {
        // With --force the failure of a member does not end the run.
        denied.code(6).err_has("permission denied");
    } else {
        denied.code(4).err_has("permission denied").err_has("role root");
    }
    as_user("root", &["3"]).ok();
    as_user("root", &["--reclaim", "--yes"]).ok();
    let anonymous = Kvadm::new().endpoint(&etcd).args(["compact", "--defrag", "--yes"]).run();
    if defrag_needs_force() {
        anonymous.code(6).err_has("user name is empty");
    } else {
        anonymous.code(4).err_has("--user");
    }
}

/// Begins to compact every so often, in JSON.
fn every(etcd: &Etcd, args: &[&str]) -> Running {
    Kvadm::new().endpoint(etcd).args(["-o", "json", "compact", "--every"]).args(args).spawn()
}

fn round(running: &mut Running) -> Value {
    serde_json::from_str(&running.next_line().expect("a round")).expect("a line of JSON")
}

/// The next round with this outcome.
fn round_of(running: &mut Running, outcome: &str) -> Value {
    for _ in 0..50 {
        let said = round(running);
        if said["outcome"] == outcome {
            return said;
        }
    }
    panic!("no round was {outcome}")
}

#[test]
fn each_period_what_was_current_a_period_before_goes() {
    let etcd = Etcd::start();
    write(&etcd, 3);
    let started = Instant::now();
    let mut running = every(&etcd, &["400ms"]);
    let first = round(&mut running);
    assert!(started.elapsed() >= Duration::from_millis(400), "the first time is after a period");
    assert_eq!((&first["round"], &first["outcome"]), (&json!(1), &json!("compacted")));
    assert_eq!((&first["compacted"], &first["current"]), (&json!(4), &json!(4)), "what was current at the beginning");
    assert!(first["took_ms"].is_f64() && first.get("error").is_none(), "{first}");

    write(&etcd, 2);
    let mut last = first;
    let mut outcomes = Vec::new();
    while last["compacted"] != 6 {
        let said = round(&mut running);
        match said["outcome"].as_str().unwrap() {
            "compacted" => assert_eq!(said["compacted"], last["current"], "{last}, then {said}"),
            "nothing" => assert!(said.get("compacted").is_none(), "{said}"),
            other => panic!("{other}"),
        }
        outcomes.push(said["outcome"].clone());
        last = said;
    }
    assert!(!readable(&etcd, 5) && readable(&etcd, 6));
    assert_eq!(round(&mut running)["outcome"], "nothing", "no revision since: nothing is sent");
    assert_eq!(outcomes[0], "nothing", "the history of a period is kept: {outcomes:?}");
    running.signal(Signal::SIGTERM);
    running.wait().signal(Signal::SIGTERM);
}

#[test]
fn the_config_says_how_often_and_keep_how_much() {
    let etcd = Etcd::start();
    write(&etcd, 3);
    let config = format!("endpoints: ['{}']\nauto-compact: 200ms\n", etcd.endpoint());
    let loops = Kvadm::new().config_file("etcd.yaml", config).args(["compact", "--keep", "1", "--every"]);
    let mut running = loops.spawn();
    let line = running.next_line().unwrap();
    let fields: Vec<&str> = line.split('\t').collect();
    assert_eq!(fields[..4], ["1", "compacted", "3", "4"], "{line}");
    assert_eq!(fields.len(), 5, "{line}");
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
    assert!(!readable(&etcd, 2) && readable(&etcd, 3));
}

#[test]
fn the_rounds_go_on_while_etcd_is_away() {
    let mut etcd = Etcd::start();
    write(&etcd, 3);
    let mut running = every(&etcd, &["200ms"]);
    round_of(&mut running, "compacted");
    write(&etcd, 2);
    etcd.kill();
    let failed = round_of(&mut running, "failed");
    assert!(failed["error"].as_str().unwrap().contains("connection refused"), "{failed}");
    etcd.restart();
    write(&etcd, 1);
    while round_of(&mut running, "compacted")["compacted"] != etcd.revision() {}
    running.signal(Signal::SIGTERM);
    running.wait().signal(Signal::SIGTERM);
}

#[test]
fn the_rounds_begin_where_etcd_comes_later() {
    let mut etcd = Etcd::start();
    write(&etcd, 3);
    etcd.stop();
    let mut running = every(&etcd, &["200ms"]);
    running.wait_for_stderr("retrying every 200ms", SOON);
    etcd.restart();
    assert_eq!(round_of(&mut running, "compacted")["compacted"], 4);
    running.signal(Signal::SIGTERM);
    running.wait().signal(Signal::SIGTERM);
}

#[test]
fn a_signal_lets_the_round_end() {
    let etcd = slow();
    let revision = etcd.revision();
    let mut running = every(&etcd, &["100ms"]);
    eventually("the compaction to begin", SOON, || !readable(&etcd, revision - 1));
    running.signal(Signal::SIGTERM);
    let said = round(&mut running);
    assert_eq!((&said["outcome"], &said["compacted"]), (&json!("compacted"), &json!(revision)), "{said}");
    assert!(running.next_line().is_none(), "no further round");
    running.wait().signal(Signal::SIGTERM);
}
