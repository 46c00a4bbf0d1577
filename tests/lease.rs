//! `kvadm lease`, against a real etcd.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::{Kvadm, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

fn kvadm(args: &[&str]) -> super::support::Run {
    Kvadm::new().endpoint(shared()).args(args).run()
}

/// Grants a lease and gives its ID.
fn granted(ttl: &str) -> String {
    let run = kvadm(&["lease", "grant", "--ttl", ttl, "-o", "json"]);
    run.ok().err_empty();
    run.json()["lease"].as_str().unwrap().to_owned()
}

#[test]
fn a_lease_from_its_grant_to_its_end() {
    let prefix = unique_prefix();
    let id = granted("100s");
    for key in ["b", "a"] {
        kvadm(&["put", &format!("{prefix}{key}"), "v", "--lease", &id]).ok();
    }
    let listed = kvadm(&["lease", "list", "-o", "json"]);
    listed.ok();
    let row = listed.json_lines().into_iter().find(|row| row["lease"] == *id).unwrap();
    assert_eq!((row["ttl"].as_i64(), row["keys"].as_i64()), (Some(100), Some(2)));
    assert!((90..=100).contains(&row["left"].as_i64().unwrap()));

    let shown = kvadm(&["lease", "show", &id]);
    shown.ok().out(&format!("{prefix}a\n{prefix}b\n")).err_has(&format!("lease {id}: "));
    let json = kvadm(&["lease", "show", &id, "-o", "json"]).json();
    assert_eq!((&json["keys"], &json["attached"][1]["key"]), (&2.into(), &format!("{prefix}b").into()));
    assert_eq!(kvadm(&["get", &format!("{prefix}a"), "-o", "json"]).json()["lease"], *id);
    // etcdctl means the same lease by this ID.
    assert!(shared().etcdctl_ok(&["lease", "timetolive", &id]).contains("granted with TTL(100s)"));

    kvadm(&["lease", "revoke", &id])
        .code(2)
        .err_has("note: Found 1 lease with 2 keys")
        .err_has("Revoke 1 lease and delete 2 keys")
        .err_has("--yes");
    kvadm(&["lease", "revoke", &id, "--dry-run"]).ok().err_has("dry run: 1 lease with 2 keys would be revoked");
    kvadm(&["get", &format!("{prefix}a")]).ok().out("v\n");
    kvadm(&["lease", "revoke", &id, "--yes"]).ok().out_has(&id);
    kvadm(&["get", &format!("{prefix}a")]).code(1);
    for gone in [vec!["lease", "show", &id], vec!["lease", "renew", &id], vec!["lease", "revoke", &id, "--yes"]] {
        kvadm(&gone).code(1).out_empty().err_has(&format!("lease not found: {id}"));
    }
}

#[test]
fn the_ttl_that_was_granted_is_told() {
    let run = kvadm(&["lease", "grant", "--ttl", "1s", "-o", "json"]);
    run.ok();
    let ttl = run.json()["ttl"].as_i64().unwrap();
    if ttl == 1 {
        run.err_empty();
    } else {
        run.err_has(&format!("requested a TTL of 1 s, etcd granted {ttl} s"));
    }
    kvadm(&["lease", "grant", "--ttl", "900ms"]).code(2).err_has("at least 1s");
    kvadm(&["lease", "grant", "--ttl", "5"]).code(2).err_has("did you mean 5s");
    kvadm(&["lease", "grant", "--ttl", "9000000001s"]).code(4).err_has("TTL");
}

#[test]
fn an_id_of_ones_own_is_taken_once() {
    let id = format!("{:x}", 0x7000_0000_0000_0000u64 + u64::from(std::process::id()));
    kvadm(&["lease", "grant", "--ttl", "60s", "--id", &id]).ok().out(&format!("{id}\t60\t60\t\n"));
    kvadm(&["lease", "grant", "--ttl", "60s", "--id", &id]).code(4).out_empty().err_has("lease already exists");
    for bad in ["0", "xyz", ""] {
        kvadm(&["lease", "grant", "--ttl", "60s", "--id", bad]).code(2);
    }
    kvadm(&["lease", "revoke", &id, "--yes"]).ok();
}

#[test]
fn renewing_again_and_again_keeps_it_and_tells_its_loss() {
    let prefix = unique_prefix();
    let id = granted("3s");
    kvadm(&["put", &format!("{prefix}k"), "v", "--lease", &id]).ok();
    let mut renewing =
        Kvadm::new().endpoint(shared()).args(["lease", "renew", &id, "--every", "300ms", "-o", "json"]).spawn();
    // Twelve times 300 ms is longer than the lease would live by itself.
    for _ in 0..12 {
        let row: serde_json::Value = serde_json::from_str(&renewing.next_line().unwrap()).unwrap();
        assert_eq!((row["lease"].as_str(), row["left"].as_i64() >= Some(2)), (Some(id.as_str()), true));
    }
    kvadm(&["get", &format!("{prefix}k")]).ok();
    kvadm(&["lease", "revoke", &id, "--yes"]).ok();
    renewing.wait().code(5).err_has("a lease has expired or was revoked");

    kvadm(&["lease", "renew", &granted("3s"), "--every", "4s"]).code(2).err_has("is too long for lease");
}

#[test]
fn a_signal_ends_the_renewing_and_the_lease_lives_on() {
    let id = granted("60s");
    let mut renewing = Kvadm::new().endpoint(shared()).args(["lease", "renew", &id, "--every", "10s"]).spawn();
    renewing.next_line().unwrap();
    renewing.signal(Signal::SIGINT);
    renewing.wait().signal(Signal::SIGINT);
    kvadm(&["lease", "show", &id]).ok();
    kvadm(&["lease", "revoke", &id, "--yes"]).ok();
    eventually("the lease to be gone", SOON, || !kvadm(&["lease", "list"]).stdout_text().contains(&id));
}

#[test]
fn a_dry_run_grants_nothing() {
    let run = Kvadm::new().endpoint(shared()).args(["lease", "grant", "--ttl", "77777s", "--dry-run"]).run();
    run.ok().out_empty().err_has("would be granted");
    let listed = kvadm(&["lease", "list", "-o", "json"]);
    assert!(listed.json_lines().iter().all(|row| row["ttl"] != 77777));
}

/// The lease of one tenant's namespace also has keys of another one.
#[test]
fn keys_of_other_namespaces_are_counted_and_deleted_only_with_an_option() {
    let (ours, theirs) = (unique_prefix(), unique_prefix());
    let id = granted("100s");
    for key in [format!("{ours}a"), format!("{theirs}secret1"), format!("{theirs}secret2")] {
        kvadm(&["put", &key, "v", "--lease", &id]).ok();
    }
    let within = |args: &[&str]| kvadm(&[&["--namespace", &ours], args].concat());
    within(&["lease", "show", &id])
        .ok()
        .out("a\n")
        .err_has("1 key and 2 keys outside the namespace")
        .err_lacks("secret");
    let json = within(&["lease", "show", &id, "-o", "json"]).json();
    assert_eq!(json["attached"], serde_json::json!([{"key": "a"}]));
    assert_eq!(json["outside"], 2);
    let row =
        within(&["lease", "list", "-o", "json"]).json_lines().into_iter().find(|row| row["lease"] == *id).unwrap();
    assert_eq!((row["keys"].as_i64(), row["outside"].as_i64()), (Some(1), Some(2)));

    let warning = format!("warning: lease {id}: 2 keys outside the namespace would be deleted with it");
    within(&["lease", "revoke", &id])
        .code(2)
        .err_has(&warning)
        .err_has("Revoke 1 lease and delete 1 key and 2 keys outside the namespace")
        .err_lacks("secret");
    within(&["lease", "revoke", &id, "--yes"])
        .code(5)
        .out_empty()
        .err_has(&warning)
        .err_has("no lease was revoked")
        .err_has("hint: add --outside-namespace");
    let row = within(&["lease", "revoke", &id, "--dry-run", "-o", "json"]).json();
    assert_eq!((row["dry_run"].as_bool(), row["keys"].as_i64()), (Some(true), Some(1)));
    within(&["lease", "revoke", &id, "--dry-run"]).ok().err_has("outside the namespace would be revoked");
    assert!(shared().held(format!("{theirs}secret1")).is_some());
    within(&["lease", "revoke", &id, "--yes", "--outside-namespace"]).ok();
    assert!(shared().held(format!("{theirs}secret1")).is_none());
}
