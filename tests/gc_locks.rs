//! `gc locks`: what blocks a lock for ever goes, what lives stays.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::{Etcd, Kvadm, Running, binary, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);
/// A lease that no server has.
const GONE: &str = "324aa1fa14dee5a6";

fn kvadm(etcd: &Etcd) -> Kvadm {
    Kvadm::new().env("KVADM_ENDPOINTS", etcd.endpoint())
}

fn gc(etcd: &Etcd, prefix: &str) -> Kvadm {
    kvadm(etcd).args(["gc", "locks", prefix])
}

fn apply(etcd: &Etcd, prefix: &str) -> Kvadm {
    gc(etcd, prefix).args(["--apply", "--yes", "--grace", "50ms"])
}

fn etcdctl_lock(etcd: &Etcd, name: &str) -> Running {
    let program = Kvadm::program(binary::etcdctl()).env("ETCDCTL_API", "3");
    program.args(["--endpoints", &etcd.endpoint(), "lock", "--ttl", "60", name]).spawn()
}

fn keys(etcd: &Etcd, prefix: &str) -> Vec<String> {
    etcd.held_under(prefix).iter().map(|held| String::from_utf8_lossy(&held.key).into_owned()).collect()
}

fn wait_for_contenders(etcd: &Etcd, name: &str, count: usize) {
    eventually(&format!("{count} contenders for {name}"), SOON, || keys(etcd, name).len() == count);
}

#[test]
fn nothing_is_garbage_where_nothing_is() {
    let etcd = shared();
    let prefix = unique_prefix();
    gc(etcd, &prefix).run().ok().out_empty().err_has("0 of 0 lock keys are garbage");
    apply(etcd, &prefix).run().ok().out_empty().within(Duration::from_secs(5));
    gc(etcd, &prefix).args(["-o", "json", "--apply", "--yes"]).run().ok().out_empty().err_has("\"removed\":0");
}

/// A waiter of etcdctl's and one of kvadm's go on by themselves once the key that blocks them is gone.
#[test]
fn a_key_without_a_lease_is_found_and_waiters_proceed_by_themselves() {
    let etcd = shared();
    let prefix = unique_prefix();
    let (one, two) = (format!("{prefix}one"), format!("{prefix}two"));
    let (stale_one, stale_two) = (format!("{one}/{GONE}"), format!("{two}/{GONE}"));
    etcd.etcdctl_ok(&["put", &stale_one, ""]);
    etcd.etcdctl_ok(&["put", &stale_two, "shared"]);
    let mut theirs = etcdctl_lock(etcd, &one);
    let ours = kvadm(etcd).args(["lock", &two, "--", "echo", "mine"]).spawn();
    wait_for_contenders(etcd, &one, 2);
    wait_for_contenders(etcd, &two, 2);

    let plan = gc(etcd, &prefix).args(["-o", "json"]).run();
    plan.code(1);
    let rows = plan.json_lines();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((rows[0]["key"].as_str(), rows[0]["waiting"].as_i64()), (Some(stale_one.as_str()), Some(1)));
    assert_eq!((rows[0]["state"].as_str(), rows[0].get("lease")), (Some("garbage"), None));
    let said = plan.err_json();
    assert_eq!((said["looked_at"].as_i64(), said["garbage"].as_i64(), said.get("removed")), (Some(4), Some(2), None));
    assert_eq!(keys(etcd, &prefix).len(), 4, "a plan removes nothing");

    let run = apply(etcd, &prefix).args(["-o", "json"]).run();
    run.ok();
    assert!(run.json_lines().iter().all(|row| row["state"] == "removed"), "{}", run.stdout_text());
    assert_eq!((run.err_json()["agreed"].as_i64(), run.err_json()["removed"].as_i64()), (Some(2), Some(2)));
    assert!(theirs.next_line().unwrap().starts_with(&one));
    theirs.signal(Signal::SIGINT);
    theirs.wait().ok();
    ours.wait().ok().out("mine\n");
    assert_eq!(keys(etcd, &prefix), [""; 0]);
}

#[test]
fn what_lives_and_what_is_data_stays() {
    let etcd = shared();
    let prefix = unique_prefix();
    let mut holder = kvadm(etcd).args(["lock", &format!("{prefix}held")]).spawn();
    assert!(holder.next_line().is_some());
    // Somebody wrote over the key and took it off its lease; the lease, and so its holder, lives.
    let lease = etcd.grant(60);
    let detached = format!("{prefix}detached/{lease}");
    etcd.etcdctl_ok(&["put", &detached, ""]);
    for (key, value) in [("users/beef", ""), (&format!("locks/{GONE}"), "a value"), ("locks/stale", ""), (GONE, "")] {
        let key = if key == GONE { format!("{prefix}0{}", &GONE[1..]) } else { format!("{prefix}{key}") };
        etcd.etcdctl_ok(&["put", &key, value]);
    }
    let before = keys(etcd, &prefix);
    let run = apply(etcd, &prefix).run();
    run.ok().out_empty().err_has(&detached).err_has("is alive; kept").err_has("1 not classifiable and kept");
    assert_eq!(keys(etcd, &prefix), before);
    etcd.etcdctl_ok(&["lease", "revoke", &lease]);
    gc(etcd, &prefix).run().code(1).out_has(&detached);
    drop(holder);
}

/// Below the base's own folder there is nothing but locks: what is none is said.
#[test]
fn below_a_base_everything_strange_is_said() {
    let etcd = shared();
    let base = unique_prefix();
    let base = base.trim_end_matches('/');
    etcd.etcdctl_ok(&["put", &format!("{base}/locks/k8s:app=web;/{GONE}"), ""]);
    etcd.etcdctl_ok(&["put", &format!("{base}/locks/odd"), "x"]);
    etcd.etcdctl_ok(&["put", &format!("{base}/locksmith/{GONE}"), ""]);
    let run = kvadm(etcd).args(["gc", "locks", "--base", base]).run();
    run.code(1)
        .out_has("k8s:app=web;")
        .out_lacks("locksmith")
        .err_has("locks/odd: it has no lease, but its name or value is not a lock key's; kept");
    let inside = kvadm(etcd).args(["--namespace", &format!("{base}/"), "gc", "locks", "locks/"]);
    inside.args(["--apply", "--yes", "--grace", "50ms"]).run().ok().out_has(&format!("{base}/locks/k8s"));
    assert_eq!(keys(etcd, base), [format!("{base}/locks/odd"), format!("{base}/locksmith/{GONE}")]);
}

/// `TestRunLocksGC`: the holder goes once two looks saw it, the waiter gets the lock, and both unlock well.
#[test]
fn a_stale_holder_goes_and_its_waiter_never() {
    let etcd = shared();
    let prefix = unique_prefix();
    let name = format!("{prefix}1;");
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    let mut holder = etcdctl_lock(etcd, &name);
    let held = holder.next_line().unwrap();
    let mut waiter = etcdctl_lock(etcd, &name);
    wait_for_contenders(etcd, &name, 2);
    gc(etcd, &prefix).run().ok().out_empty().err_has("0 of 2 lock keys");
    let stale = ["--stale-after", "400ms"];
    let first = gc(etcd, &prefix).args(stale).arg("--save").arg(&plan).args(["-o", "json"]).run();
    first.ok();
    let row = first.json();
    assert_eq!((row["state"].as_str(), row["key"].as_str()), (Some("young"), Some(held.as_str())));
    assert_eq!((row["waiting"].as_i64(), row["ttl"].as_i64()), (Some(1), Some(60)));
    assert!(row["left"].as_i64().unwrap() > 30 && held.ends_with(row["lease"].as_str().unwrap()));
    let since = || gc(etcd, &prefix).args(stale).arg("--since").arg(&plan);
    eventually("the holder to be stale", SOON, || since().run().code == Some(1));
    since().arg("--save").arg(&plan).args(["--apply", "--yes"]).run().ok().out_has("removed").out_has(&held);
    assert!(waiter.next_line().unwrap().starts_with(&name));
    // Its plan is of the first holder: the next one has to be seen for as long again.
    since().args(["--apply", "--yes"]).run().ok().out_empty().err_has("not seen for long enough");
    for who in [holder, waiter] {
        who.signal(Signal::SIGINT);
        who.wait().ok();
    }
    eventually("both to unlock", SOON, || keys(etcd, &name).is_empty());
}

#[test]
fn all_who_share_a_lock_are_its_holders() {
    let etcd = shared();
    let prefix = unique_prefix();
    let name = format!("{prefix}l");
    let share = || kvadm(etcd).args(["lock", &name, "--shared"]).spawn();
    let (mut one, mut two) = (share(), share());
    assert!(one.next_line().is_some() && two.next_line().is_some());
    let mut next = etcdctl_lock(etcd, &name);
    wait_for_contenders(etcd, &name, 3);
    let late = share();
    wait_for_contenders(etcd, &name, 4);
    let run = apply(etcd, &prefix).args(["--stale-after", "1ms", "-o", "json"]).run();
    run.ok();
    assert_eq!(run.err_json()["removed"], 2, "{}", run.stderr_text());
    assert!(next.next_line().unwrap().starts_with(&name));
    one.wait().code(5).err_has("its key was deleted");
    two.wait().code(5);
    drop(late);
}

/// The holder is another one when the removal comes: it is not touched.
#[test]
fn a_new_holder_under_the_old_name_is_another_one() {
    let etcd = shared();
    let prefix = unique_prefix();
    let key = format!("{prefix}l/{GONE}");
    etcd.etcdctl_ok(&["put", &key, ""]);
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    gc(etcd, &prefix).arg("--save").arg(&plan).run().code(1);
    etcd.etcdctl_ok(&["del", &key]);
    etcd.etcdctl_ok(&["put", &key, ""]);
    let run = gc(etcd, &prefix).arg("--since").arg(&plan).args(["--apply", "--yes"]).run();
    run.ok().out_empty().err_has("1 of 1 lock key is garbage, 0 confirmed by earlier scans");
    assert_eq!(keys(etcd, &prefix), [key]);
}

#[test]
fn many_go_in_few_requests() {
    let etcd = Etcd::start();
    let mut load = String::new();
    for number in 0..1000 {
        load += &format!("{{\"key\":\"/l/{number:04}/{GONE}\",\"value\":\"\"}}\n");
    }
    kvadm(&etcd).args(["put", "--from", "-"]).stdin(&load).run().ok();
    let all = apply(&etcd, "/l/").run();
    all.code(5).err_has("1000 of 1000 would be removed, more than --max-percent 50").err_has("nothing was removed");
    assert_eq!(keys(&etcd, "/l/").len(), 1000);
    let run = apply(&etcd, "/l/").args(["--max-percent", "100", "-vv"]).run();
    run.ok().err_has("1,000 removed");
    assert_eq!(run.stderr_text().matches("trace: gc lock ").count(), 25);
    assert_eq!(keys(&etcd, "/l/"), [""; 0]);
}
