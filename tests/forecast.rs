//! `kvadm status --forecast`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::support::{Cluster, Endpoints, Etcd, Kvadm, Run, Running, eventually};

const SOON: Duration = Duration::from_secs(20);

fn forecast(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Run {
    Kvadm::new().endpoint(of).args(["status", "--forecast"]).args(args).run()
}

/// Begins a forecast, and waits until its first sample is taken.
fn begin(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Running {
    let running = Kvadm::new().endpoint(of).args(["status", "--forecast"]).args(args).spawn();
    running.wait_for_stderr("taking the second sample", SOON);
    running
}

fn write(etcd: &Etcd, times: usize, bytes: usize) {
    // Each value is new: a load does not write what is there.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let value = "x".repeat(bytes);
    let new = || NEXT.fetch_add(1, Ordering::Relaxed);
    let line = |at: usize| format!("{{\"key\":\"/key/{}\",\"value\":\"{value}{}\"}}", at % 10, new());
    for chunk in (0..times).map(line).collect::<Vec<_>>().chunks(10) {
        Kvadm::new().endpoint(etcd).args(["put", "--from", "-"]).stdin(chunk.join("\n")).run().ok();
    }
}

fn member(said: &Value) -> &Value {
    &said["members"][0]
}

#[test]
fn a_store_that_grows_has_a_time_to_its_quota_and_a_period() {
    let etcd = Etcd::start();
    write(&etcd, 10, 100);
    let running = begin(&etcd, &["4s", "--quota", "1GiB", "--keep-below", "100MiB", "-o", "json"]);
    write(&etcd, 60, 50_000);
    let said = running.wait().ok().json();
    let own = member(&said);
    let growth = own["in_use_per_second"].as_i64().unwrap();
    assert!(said["revisions_per_second"].as_f64().unwrap() > 0.5, "{said}");
    assert!(growth > 100_000, "3 MB in 4 s: {said}");
    assert_eq!((&own["state"], &said["compacted_meanwhile"]), (&json!("growing"), &json!(false)), "{said}");
    // The quota of the member counts, if it tells one: 2 GiB.
    let quota = if etcd.version() >= (3, 6) { 2 << 30 } else { 1_i64 << 30 };
    let wanted = (quota - own["in_use"].as_i64().unwrap()) / growth;
    let told = own["quota_seconds"].as_i64().unwrap();
    assert!((wanted - told).abs() <= wanted / 100 + 1, "{wanted} {said}");
    let period = own["compact_every_seconds"].as_i64().unwrap();
    let most = (100 << 20) / (2 * growth) + 1;
    assert!((1..=most).contains(&period), "at most {most}: {said}");
    assert_eq!(own["keep_below"], 100 << 20, "{said}");
}

#[test]
fn a_store_at_rest_is_never_full() {
    let etcd = Etcd::start();
    // The first commits of a new server change the figures.
    eventually("a store at rest", SOON, || {
        let run = forecast(&etcd, &["500ms", "--quota", "1GiB"]);
        run.ok().err_has("0.0 revisions/s").err_has("more certain");
        run.stdout_text().contains("\tnot growing\tany\n")
    });
    let said = forecast(&etcd, &["300ms", "-o", "json"]).ok().json();
    let state = if etcd.version() >= (3, 6) { "not-growing" } else { "unknown" };
    assert_eq!(member(&said)["state"], state, "{said}");
    assert!(member(&said).get("quota_seconds").is_none(), "{said}");
    let run = forecast(&etcd, &["300ms"]);
    if etcd.version() < (3, 6) {
        run.ok().err_has("--quota SIZE");
    } else {
        run.ok().err_lacks("--quota SIZE");
    }
}

#[test]
fn a_compaction_between_the_samples_is_noticed() {
    let etcd = Etcd::start();
    write(&etcd, 20, 1000);
    let running = begin(&etcd, &["2s", "-o", "json"]);
    write(&etcd, 20, 1000);
    let compacted = Kvadm::new().endpoint(&etcd).args(["compact", "--keep", "3", "-o", "json"]).run();
    compacted.ok();
    let run = running.wait();
    let said = run.ok().err_has("it grows faster than shown").json();
    assert_eq!((&said["compacted_meanwhile"], &said["history"]), (&json!(true), &json!(3)), "{said}");
    let again = forecast(&etcd, &["300ms", "-o", "json"]).ok().json();
    assert_eq!((&again["compacted_meanwhile"], &again["history"]), (&json!(false), &json!(3)), "{again}");
}

#[test]
fn ctrl_c_ends_the_waiting_at_once() {
    let etcd = Etcd::start();
    let running = begin(&etcd, &["1h"]);
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT).out_empty().err_has("error: interrupted").within(SOON);
}

#[test]
fn a_deadline_ends_it_too() {
    let etcd = Etcd::start();
    let run = Kvadm::new().endpoint(&etcd).args(["--deadline", "1s", "status", "--forecast", "1h"]).run();
    run.code(3).out_empty().err_has("deadline").within(SOON);
}

#[test]
fn a_user_without_a_right_to_read_gets_what_the_members_tell() {
    let etcd = Etcd::start();
    for args in [
        &["put", "/key", "a"][..],
        &["user", "add", "root:root-pass"],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "app:app-pass"],
        &["auth", "enable"],
    ] {
        etcd.etcdctl_ok(args);
    }
    let args = ["--user", "app", "status", "--forecast", "300ms", "-o", "json"];
    let said = Kvadm::new().endpoint(&etcd).env("KVADM_PASSWORD", "app-pass").args(args).run().ok().json();
    assert!(said.get("compacted_meanwhile").is_none() && said.get("history").is_none(), "{said}");
    assert!(member(&said)["in_use"].as_i64().unwrap() > 0, "{said}");
}

#[test]
fn a_member_that_does_not_answer_is_a_row() {
    let mut cluster = Cluster::start(3);
    cluster.members[1].kill();
    cluster.leader();
    let down = cluster.members[1].endpoint();
    let run = forecast(&cluster, &["300ms", "-o", "json"]);
    let said = run.code(6).err_has(&format!("warning: no forecast for {down}: connection refused")).json();
    let members = said["members"].as_array().unwrap();
    let row = members.iter().find(|member| member["endpoint"] == down).unwrap_or_else(|| panic!("{said}"));
    assert_eq!((&row["state"], &row["error"]), (&json!("unreachable"), &json!("connection refused")), "{said}");
    assert_eq!(members.len(), 3, "{said}");
    cluster.members[0].kill();
    let args = ["--op-timeout", "1s", "status", "--forecast", "300ms"];
    Kvadm::new().endpoint(&cluster).args(args).run().code(3).out_has("unreachable");
}

#[test]
fn at_the_quota_the_way_out_is_named() {
    let etcd = Etcd::start();
    write(&etcd, 10, 100);
    let run = forecast(&etcd, &["300ms", "--quota", "4KiB"]);
    if etcd.version() < (3, 6) {
        run.ok().out_has("reached").err_has(&format!("kvadm --endpoints {} compact --reclaim", etcd.endpoint()));
    } else {
        run.ok().err_lacks("--reclaim");
    }
}
