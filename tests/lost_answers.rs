//! Writes that etcd did and whose answers are lost on the way: the outcome is named, and nothing is done twice.

use std::time::Duration;

use super::failover::{key, version};
use super::support::containerd::{NOW, Tree};
use super::support::{Etcd, Kvadm, Mode, Plan, Proxy, Run, Spoil, Spoiler, eventually, shared, unique_prefix};

/// The transactions that `allocate release` sends before the one that deletes.
const RELEASE_READS: u64 = 0;
const SOON: Duration = Duration::from_secs(10);

/// Starts a write through a slow proxy, and lets it go through with its answer held back.
fn with_lost_answer(etcd: &Etcd, args: &[&str], done: impl Fn() -> bool, then: impl FnOnce(&mut Proxy)) -> Run {
    let mut proxy = Proxy::start(&etcd.address());
    // The request waits for the server's first words, and travels long enough for the test to act in between.
    proxy.set(Mode::Delay { up: Duration::from_millis(400), down: Duration::ZERO });
    let endpoint = proxy.endpoint();
    let running = Kvadm::new().endpoint(&endpoint).args(args).spawn();
    eventually("the server's first words", SOON, || proxy.bytes_down() > 0);
    proxy.set(Mode::HangReplies);
    eventually("the server to have done it", SOON, done);
    then(&mut proxy);
    running.wait()
}

fn cut(proxy: &mut Proxy) {
    proxy.cut();
    proxy.set(Mode::Pass);
}

#[test]
fn a_plain_put_without_an_answer_is_unknown_and_not_repeated() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    let run = with_lost_answer(etcd, &["put", &key, "v"], || version(etcd, &key).is_some(), cut);
    run.code(7)
        .out_empty()
        .err_has("was sent, but it is unknown whether etcd applied it")
        .err_has("hint: read the keys before you retry: etcd may have applied the request, or may still apply it");
    assert_eq!(version(etcd, &key), Some(1));
}

#[test]
fn an_unknown_outcome_is_one_json_object() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    let run = with_lost_answer(etcd, &["-o", "json", "put", &key, "v"], || version(etcd, &key).is_some(), cut);
    assert_eq!(run.code(7).err_json()["exit_code"], 7);
}

#[test]
fn a_creation_without_an_answer_is_not_repeated() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    let args = ["put", &key, "v", "--create"];
    let run = with_lost_answer(
        etcd,
        &args,
        || version(etcd, &key).is_some(),
        |proxy| {
            etcd.etcdctl_ok(&["del", &key]);
            cut(proxy);
        },
    );
    run.code(7).out_empty().err_has("unknown whether etcd applied it").err_has("hint:");
    assert_eq!(version(etcd, &key), None);
}

#[test]
fn a_put_on_a_value_without_an_answer_is_not_repeated() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    etcd.etcdctl_ok(&["put", &key, "old"]);
    let args = ["put", &key, "new", "--if-value", "old"];
    let run = with_lost_answer(
        etcd,
        &args,
        || version(etcd, &key) == Some(2),
        |proxy| {
            etcd.etcdctl_ok(&["put", &key, "old"]);
            cut(proxy);
        },
    );
    run.code(7).out_empty();
    assert_eq!(version(etcd, &key), Some(3));
}

#[test]
fn a_write_on_a_revision_without_an_answer_is_done_once() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    let put = Kvadm::new().endpoint(etcd).args(["put", &key, "one", "-o", "json"]).run();
    let rev = put.ok().json()["mod_revision"].to_string();
    let args = ["put", &key, "two", "--if-rev", &rev];
    let run = with_lost_answer(etcd, &args, || version(etcd, &key) == Some(2), cut);
    run.code(7).err_has("the first reply was lost");
    assert_eq!(version(etcd, &key), Some(2));
}

#[test]
fn a_put_if_different_without_an_answer_is_not_repeated() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    let args = ["put", &key, "v", "--if-different"];
    let run = with_lost_answer(
        etcd,
        &args,
        || version(etcd, &key).is_some(),
        |proxy| {
            etcd.etcdctl_ok(&["put", &key, "newer"]);
            cut(proxy);
        },
    );
    run.code(7).out_empty();
    assert_eq!(etcd.held(&key).unwrap().text(), "newer");
}

#[test]
fn loaded_records_without_an_answer_are_not_written_again() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.jsonl");
    std::fs::write(&file, serde_json::json!({"key": key, "value": "v"}).to_string()).unwrap();
    let args = ["put", "--from", file.to_str().unwrap()];
    let run = with_lost_answer(
        etcd,
        &args,
        || version(etcd, &key).is_some(),
        |proxy| {
            etcd.etcdctl_ok(&["del", &key]);
            cut(proxy);
        },
    );
    run.code(7).err_has("1 record may or may not have been written");
    assert_eq!(version(etcd, &key), None);
}

#[test]
fn a_revoked_lease_whose_id_was_granted_again_is_not_revoked_twice() {
    let etcd = shared();
    let granted = Kvadm::new().endpoint(etcd).args(["lease", "grant", "--ttl", "600s", "-o", "json"]).run();
    let lease = granted.ok().json()["lease"].as_str().unwrap().to_owned();
    let again = lease.clone();
    let plan = Plan { spoil: Spoil::CutBefore, methods: &["LeaseRevoke"], skip: 0, times: 1, then_gone: false };
    let spoiler = Spoiler::with(&etcd.address(), plan, move || {
        Kvadm::new().endpoint(etcd).args(["lease", "grant", "--ttl", "600s", "--id", &again]).run().ok();
    });
    let run = Kvadm::new().endpoint(&spoiler.endpoint()).args(["lease", "revoke", "--yes", &lease]).run();
    run.code(7).out_empty().err_has("'lease revoke' was sent");
    assert!(etcd.leases().contains(&lease));
}

#[test]
fn a_delete_without_an_answer_is_unknown_and_not_repeated() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    etcd.etcdctl_ok(&["put", &key, "v"]);
    let run = with_lost_answer(etcd, &["delete", &key], || version(etcd, &key).is_none(), cut);
    run.code(7).out_empty().err_has("'delete' was sent").err_has("hint:");
}

#[test]
fn a_delete_on_a_value_without_an_answer_is_not_repeated() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    etcd.etcdctl_ok(&["put", &key, "v"]);
    let args = ["delete", &key, "--if-value", "v"];
    let run = with_lost_answer(
        etcd,
        &args,
        || version(etcd, &key).is_none(),
        |proxy| {
            etcd.etcdctl_ok(&["put", &key, "v"]);
            cut(proxy);
        },
    );
    run.code(7).out_empty();
    assert_eq!(version(etcd, &key), Some(1));
}

#[test]
fn a_deadline_under_a_blind_write_is_unknown() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    let args = ["--deadline", "1500ms", "put", &key, "v"];
    let run = with_lost_answer(etcd, &args, || version(etcd, &key).is_some(), |_| {});
    run.code(7).err_has("unknown").err_has("deadline").within(Duration::from_secs(3));
}

#[test]
fn a_deadline_under_a_read_is_a_timeout() {
    let etcd = shared();
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::HangReplies);
    let endpoint = proxy.endpoint();
    let run = Kvadm::new().endpoint(&endpoint).args(["--deadline", "300ms", "get", "/none"]).run();
    run.code(3).out_empty().err_has("deadline").within(Duration::from_secs(2));
}

#[test]
fn a_write_without_an_answer_in_the_operations_time_is_unknown() {
    let (etcd, key) = (shared(), key(&unique_prefix(), 1));
    let args = ["--op-timeout", "900ms", "put", &key, "v"];
    let run = with_lost_answer(etcd, &args, || version(etcd, &key).is_some(), |_| {});
    run.code(7).err_has("within 900ms").within(Duration::from_secs(4));
    assert_eq!(version(etcd, &key), Some(1));
}

/// Runs a command whose first writing transaction is performed and loses its answer, and writes keys before the next sending.
fn rewritten_meanwhile(skip: u64, args: &[&str], keys: &[(String, String)]) -> Run {
    let etcd = shared();
    let plan = Plan { spoil: Spoil::CutBefore, methods: &["Txn", "DeleteRange"], skip, times: 1, then_gone: false };
    let keys = keys.to_vec();
    let spoiler = Spoiler::with(&etcd.address(), plan, move || {
        for (key, value) in &keys {
            etcd.etcdctl_ok(&["put", "--", key, value]);
        }
    });
    Kvadm::new().endpoint(&spoiler.endpoint()).args(args).run()
}

#[test]
fn a_deleted_key_that_was_written_again_is_neither_deleted_twice_nor_called_kept() {
    let (etcd, prefix) = (shared(), unique_prefix());
    let (one, two) = (format!("{prefix}1"), format!("{prefix}2"));
    let third = |key: &String| [(key.clone(), "third".to_owned())];
    let cases: [(&[&str], &str); 4] = [
        (&["delete", "--yes", "--prefix", &prefix], "the first reply was lost, and now a key in the range is newer"),
        (&["delete", "--yes", "--prefix", &prefix, "--match", "*"], "the first reply was lost"),
        (&["delete", "--yes", "--prefix", &prefix, "--prev"], "the first reply was lost"),
        (&["delete", "--yes", &one, &two], "it is unknown which of the keys were deleted"),
    ];
    for (args, text) in cases {
        // Several named keys are read first, in a transaction.
        let skip = u64::from(args.contains(&one.as_str()));
        etcd.etcdctl_ok(&["put", &one, "old"]);
        etcd.etcdctl_ok(&["put", &two, "old"]);
        rewritten_meanwhile(skip, args, &third(&one)).code(7).out_empty().err_has(text);
        assert_eq!(etcd.held(&one).unwrap().text(), "third", "{args:?}");
    }
}

#[test]
fn a_collected_key_that_was_written_again_has_an_unknown_outcome() {
    let (etcd, prefix) = (shared(), unique_prefix());
    let stale = format!("{prefix}lock/324aa1fa14dee5a6");
    etcd.etcdctl_ok(&["put", &stale, ""]);
    let args = ["gc", "locks", &prefix, "--apply", "--yes", "--grace", "20ms"];
    let run = rewritten_meanwhile(0, &args, &[(stale.clone(), "again".to_owned())]);
    run.code(7).err_has("1 removal may or may not have been applied").err_has("1 with an unknown outcome");
    assert_eq!(etcd.held(&stale).unwrap().text(), "again");
}

#[test]
fn a_collected_object_that_was_written_again_has_an_unknown_outcome() {
    let (etcd, prefix) = (shared(), unique_prefix());
    Tree::new(etcd, &prefix).content("ns1", "d1", &[]).load();
    let before = etcd.held_under(&prefix);
    let again: Vec<_> =
        before.iter().map(|held| (String::from_utf8(held.key.clone()).unwrap(), "again".to_owned())).collect();
    let args = ["gc", "metadata", &prefix, "--schema", "containerd", "--now", NOW, "--skew", "0s", "--apply", "--yes"];
    let limits = ["--roots-complete", "--grace", "1ms", "--max-percent", "100", "--allow-empty", "content"];
    let run = rewritten_meanwhile(0, &[&args[..], &limits].concat(), &again);
    run.code(7).out_has("unknown").err_has("1 removal may or may not have been applied");
    assert_eq!(etcd.held_under(&prefix).len(), before.len());
}

#[test]
fn a_released_reference_that_was_taken_again_is_not_released_twice() {
    let (etcd, base) = (shared(), format!("{}ids", unique_prefix()));
    let allocate = |action: &str| Kvadm::new().endpoint(etcd).args(["allocate", action, "web", "--base", &base]);
    allocate("new").args(["--node", "n1"]).run().ok();
    let reference = format!("{base}/value/web/n1");
    let id = etcd.held(&reference).unwrap().text();
    let args = ["allocate", "release", "web", "--base", &base, "--node", "n1"];
    // The first transaction only reads.
    let run = rewritten_meanwhile(RELEASE_READS, &args, &[(reference.clone(), id)]);
    run.code(7).out_empty().err_has("changed after a lost reply");
    assert!(etcd.held(&reference).is_some());
}

/// A lease that expired between two sendings of its grant is not granted again: its keys are gone.
#[test]
fn a_lock_whose_lease_is_unknown_runs_nothing() {
    let (etcd, prefix) = (shared(), unique_prefix());
    let methods = &["LeaseGrant", "LeaseTimeToLive"];
    let plan = Plan { spoil: Spoil::Grpc(14), methods, skip: 0, times: u64::MAX, then_gone: false };
    let spoiler = Spoiler::start(&etcd.address(), plan);
    let name = format!("{prefix}lock");
    let args = ["--op-timeout", "1500ms", "lock", &name, "--ttl", "2s", "--", "false"];
    Kvadm::new().endpoint(&spoiler.endpoint()).args(args).run().code(7).out_empty().err_has("'lease grant' was sent");
    let plan = Plan { spoil: Spoil::Grpc(14), methods, skip: 0, times: 1, then_gone: false };
    let spoiler = Spoiler::start(&etcd.address(), plan);
    Kvadm::new().endpoint(&spoiler.endpoint()).args(["lock", &name, "--", "echo", "in"]).run().ok().out("in\n");
}

#[test]
fn writes_that_show_or_keep_the_value_are_not_repeated_either() {
    let (etcd, prefix) = (shared(), unique_prefix());
    let one = key(&prefix, 1);
    for args in [&["put", &one, "v", "--prev"][..], &["put", &one, "--ignore-value", "--keep-lease"]] {
        etcd.etcdctl_ok(&["put", &one, "old"]);
        let before = version(etcd, &one);
        let run = with_lost_answer(etcd, args, || version(etcd, &one) > before, cut);
        run.code(7).out_empty().err_has("it is unknown whether etcd applied it");
        assert_eq!(version(etcd, &one), before.map(|before| before + 1), "{args:?}");
    }
    let two = key(&prefix, 2);
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Delay { up: Duration::from_millis(400), down: Duration::ZERO });
    let mut running = Kvadm::new().endpoint(&proxy.endpoint()).args(["txn", "-i"]).spawn();
    running.write(format!("\nput {two} v\n\n\n"));
    running.close_stdin();
    eventually("the server's first words", SOON, || proxy.bytes_down() > 0);
    proxy.set(Mode::HangReplies);
    eventually("the server to have done it", SOON, || version(etcd, &two).is_some());
    cut(&mut proxy);
    running.wait().code(7).out_empty().err_has("it is unknown whether etcd applied it");
    assert_eq!(version(etcd, &two), Some(1));
}
