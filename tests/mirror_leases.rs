//! `kvadm mirror --with-leases`: which lease each key has, what ends with a lease, and what a restart finds.

use std::collections::{BTreeMap, BTreeSet};

use kvadm::kvstore::{LeaseId, LeaseMode, Op, Retry, Txn, Write};
use nix::sys::signal::Signal;

use super::lock_faults::Dice;
use super::mirror::{SOON, block_on, check_history, delete, follow, history, library, once, put, same};
use super::support::time_limit::seed;
use super::support::{Etcd, Kvadm, Run, Running, eventually};

#[track_caller]
pub(super) fn put_on(etcd: &Etcd, key: &str, value: &str, lease: &str) {
    etcd.etcdctl_ok(&["put", &format!("--lease={lease}"), "--", key, value]);
}

#[track_caller]
pub(super) fn revoke(etcd: &Etcd, lease: &str) {
    etcd.etcdctl_ok(&["lease", "revoke", lease]);
}

#[track_caller]
pub(super) fn with_leases(source: &Etcd, destination: &Etcd) -> Run {
    once(source, destination, &["/app/", "--with-leases", "--verify"])
}

pub(super) fn follow_leases(source: &Etcd, destination: &Etcd) -> Running {
    follow(source, destination, &["/app/", "--with-leases"])
}

/// The lease of a key.
#[track_caller]
fn lease(etcd: &Etcd, key: &str) -> Option<String> {
    etcd.held(key).unwrap_or_else(|| panic!("no {key}")).lease
}

/// The granted TTL of a lease.
fn ttl(etcd: &Etcd, lease: &str) -> i64 {
    let id = LeaseId(i64::from_str_radix(lease, 16).expect("an ID"));
    block_on(library(etcd).time_to_live(id)).expect("an answer").expect("a lease").ttl
}

/// Renews a lease of the source until it is dropped.
pub(super) fn keep_alive(etcd: &Etcd, lease: &str) -> Running {
    let renewing = Kvadm::new().endpoint(etcd).args(["lease", "renew", lease, "--every", "300ms"]).spawn();
    renewing.wait_for_stdout(lease, SOON);
    renewing
}

fn kill(running: Running) {
    running.signal(Signal::SIGKILL);
    let _ = running.wait();
}

#[test]
fn keys_share_leases_as_in_the_source() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    let (long, short) = (source.grant(500), source.grant(70));
    for (key, lease) in [("/app/a", &long), ("/app/b", &long), ("/app/c", &short)] {
        put_on(&source, key, "1", lease);
    }
    put(&source, "/app/d", "1");
    once(&source, &destination, &["/app/", "--with-leases", "--dry-run"]).ok().err_has("would create 4");
    assert_eq!((destination.leases(), destination.held_under("/app")), (Vec::new(), Vec::new()));
    with_leases(&source, &destination).ok().err_has("copied 4 keys").err_has("verified: 4 keys equal");
    let of = |key: &str| lease(&destination, key);
    let (a, c) = (of("/app/a").expect("a lease"), of("/app/c").expect("a lease"));
    assert_eq!((of("/app/b"), of("/app/d"), a == c), (Some(a.clone()), None, false));
    assert_eq!((ttl(&destination, &a), ttl(&destination, &c), destination.leases().len()), (500, 70, 2));
    assert_eq!(lease(&destination, "/app.kvadm-mirror"), None);
    // Each key changes its lease.
    put_on(&source, "/app/a", "2", &short);
    put(&source, "/app/b", "2");
    put_on(&source, "/app/d", "2", &long);
    with_leases(&source, &destination).ok().err_has("verified: 4 keys equal");
    assert_eq!(["/app/a", "/app/b", "/app/c", "/app/d"].map(of), [Some(c.clone()), None, Some(c), Some(a)]);
    assert_eq!(destination.leases().len(), 2);
    check_history(&history(&source, "/app/"), &history(&destination, "/app/"), 1);
}

#[test]
fn a_mirror_without_leases_becomes_one_with_leases_and_back() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    let granted = source.grant(500);
    put_on(&source, "/app/a", "1", &granted);
    put(&source, "/app/b", "1");
    once(&source, &destination, &["/app/"]).ok();
    assert_eq!(lease(&destination, "/app/a"), None);
    with_leases(&source, &destination).ok().err_has("wrote 1 key again").err_has("verified: 2 keys equal");
    let copy = lease(&destination, "/app/a").expect("a lease");
    once(&source, &destination, &["/app/", "--verify"]).ok().err_has("wrote 1 key again");
    assert_eq!(lease(&destination, "/app/a"), None);
    with_leases(&source, &destination).ok();
    assert_eq!(lease(&destination, "/app/a"), Some(copy.clone()));
    // It ends there while no mirror runs, and the next mirror has no leases.
    revoke(&destination, &copy);
    once(&source, &destination, &["/app/", "--verify"]).ok().err_has("wrote 1 key again");
    same(&source, &destination, "/app/");
    assert_eq!(lease(&destination, "/app/a"), None);
    // The place says so: what is missing now was deleted by another client.
    put(&source, "/app/b", "2");
    once(&source, &destination, &["/app/"]).ok();
    delete(&destination, "/app/a");
    once(&source, &destination, &["/app/"]).code(5).err_has("another client deleted '/app/a'");
}

#[test]
fn changes_of_others_are_told_from_expired_keys() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    let granted = source.grant(500);
    for key in ["/app/a", "/app/b"] {
        put_on(&source, key, "1", &granted);
    }
    put(&source, "/app/c", "1");
    with_leases(&source, &destination).ok();
    delete(&destination, "/app/c");
    with_leases(&source, &destination).code(5).err_has("another client deleted '/app/c'");
    let overwriting = &["/app/", "--with-leases", "--verify", "--overwrite"];
    once(&source, &destination, overwriting).ok().err_has("wrote over the changes of other clients to 1 key");
    put(&destination, "/app/a", "mine");
    with_leases(&source, &destination).code(5).err_has("another client wrote '/app/a'");
    once(&source, &destination, overwriting).ok();
    // The same value without the lease, after the mirror.
    put(&destination, "/app/a", "1");
    with_leases(&source, &destination).code(5).err_has("another client wrote '/app/a'");
    once(&source, &destination, overwriting).ok();
    let running = follow_leases(&source, &destination);
    delete(&destination, "/app/c");
    put(&source, "/app/c", "2");
    running.wait().code(5).err_has("another client deleted '/app/c'");
}

#[test]
fn a_lease_that_ends_in_the_source_deletes_its_keys() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    let running = follow_leases(&source, &destination);
    let granted = source.grant(400);
    put_on(&source, "/app/b", "1", &granted);
    put_on(&source, "/app/c", "1", &granted);
    eventually("the keys", SOON, || destination.held_under("/app/").len() == 3);
    assert_eq!(ttl(&destination, &lease(&destination, "/app/c").expect("a lease")), 400);
    revoke(&source, &granted);
    eventually("their deletions", SOON, || destination.held_under("/app/").len() == 1);
    // One that expires: its lease in the destination is renewed until then, and not after.
    let short = source.grant(2);
    let renewing = keep_alive(&source, &short);
    put_on(&source, "/app/d", "1", &short);
    let renewed = destination.answered("LeaseKeepAlive");
    eventually("renewals", SOON, || destination.answered("LeaseKeepAlive") >= renewed + 4);
    assert_eq!(destination.held("/app/d").map(|held| held.version), Some(1));
    kill(renewing);
    eventually("the end of the lease", SOON, || {
        source.held("/app/d").is_none() && destination.held("/app/d").is_none()
    });
    eventually("the end of its copy", SOON, || destination.leases().len() == 1);
    put(&source, "/app/a", "2");
    eventually("a change", SOON, || destination.held("/app/a").is_some_and(|held| held.text() == "2"));
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT).err_lacks("expired");
    // No change was made twice.
    check_history(&history(&source, "/app/"), &history(&destination, "/app/"), 127);
}

#[test]
fn keys_that_have_expired_while_no_mirror_ran_are_there_again() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    let granted = source.grant(2);
    let _renewing = keep_alive(&source, &granted);
    put_on(&source, "/app/a", "1", &granted);
    put_on(&source, "/app/b", "1", &granted);
    put(&source, "/app/c", "1");
    kill(follow_leases(&source, &destination));
    eventually("the expiry", SOON, || destination.held_under("/app/").len() == 1);
    let running = follow_leases(&source, &destination);
    running.wait_for_stderr("continuing after", SOON);
    same(&source, &destination, "/app/");
    assert!(lease(&destination, "/app/a").is_some());
    kill(running);
    // Again, and the source's history is gone too.
    eventually("the expiry", SOON, || destination.held_under("/app/").len() == 1);
    put(&source, "/app/c", "2");
    super::mirror::compact(&source);
    with_leases(&source, &destination).ok().err_has("are compacted").err_has("verified: 3 keys equal");
    same(&source, &destination, "/app/");
}

#[test]
fn a_restarted_mirror_finds_its_leases() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    let granted = source.grant(6);
    let _renewing = keep_alive(&source, &granted);
    put_on(&source, "/app/a", "1", &granted);
    kill(follow_leases(&source, &destination));
    let leases = destination.leases();
    let running = follow_leases(&source, &destination);
    // It is renewed although no key was written.
    eventually("a renewal", SOON, || destination.answered("LeaseKeepAlive") > 0);
    put_on(&source, "/app/b", "1", &granted);
    eventually("the change", SOON, || destination.held("/app/b").is_some());
    assert_eq!((destination.leases(), leases.len()), (leases, 1));
    assert_eq!(lease(&destination, "/app/a"), lease(&destination, "/app/b"));
    assert_eq!(destination.held("/app/a").map(|held| held.version), Some(1));
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT).err_lacks("again whose leases");
}

#[test]
fn keys_that_expire_under_a_running_mirror_are_there_again() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    let granted = source.grant(900);
    put_on(&source, "/app/a", "1", &granted);
    put_on(&source, "/app/b", "1", &granted);
    let running = follow_leases(&source, &destination);
    let copy = lease(&destination, "/app/a").expect("a lease");
    // A change needs the lease.
    revoke(&destination, &copy);
    put_on(&source, "/app/c", "1", &granted);
    eventually("all keys", SOON, || destination.held_under("/app/").len() == 3);
    assert_eq!(lease(&destination, "/app/a"), Some(copy.clone()));
    // A change compares a key that is gone.
    revoke(&destination, &copy);
    put(&source, "/app/c", "2");
    eventually("all keys", SOON, || destination.held_under("/app/").len() == 3);
    eventually("the change", SOON, || lease(&destination, "/app/c").is_none());
    // A deletion of a key that is gone is done.
    revoke(&destination, &copy);
    delete(&source, "/app/b");
    // A renewal finds the lease gone.
    let short = source.grant(3);
    let _renewing = keep_alive(&source, &short);
    put_on(&source, "/app/d", "1", &short);
    eventually("the key", SOON, || destination.held("/app/d").is_some());
    revoke(&destination, &lease(&destination, "/app/d").expect("a lease"));
    eventually("all keys", SOON, || destination.held_under("/app/").len() == 3);
    same(&source, &destination, "/app/");
    running.signal(Signal::SIGINT);
    let run = running.wait();
    // The deletion needed no comparison.
    let comparisons = run.stderr_text().matches("leases have expired in the destination; comparing both sides").count();
    assert_eq!(comparisons, 3, "{}", run.stderr_text());
    run.signal(Signal::SIGINT);
    with_leases(&source, &destination).ok().err_has("verified: 3 keys equal").err_lacks("again");
}

/// The keys with their values, and which of them share a lease.
pub(super) type Model = (BTreeMap<String, String>, BTreeSet<BTreeSet<String>>);

pub(super) fn model_of(etcd: &Etcd) -> Model {
    let mut sharing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut values = BTreeMap::new();
    for held in etcd.held_under("/app/") {
        let key = String::from_utf8(held.key.clone()).expect("text");
        if let Some(lease) = &held.lease {
            sharing.entry(lease.clone()).or_default().insert(key.clone());
        }
        values.insert(key, held.text());
    }
    (values, sharing.into_values().collect())
}

#[test]
fn random_histories_with_leases() {
    let seed = seed("KVADM_TEST_SEED");
    let mut dice = Dice(seed);
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/first", "1");
    let mut leases: Vec<String> = Vec::new();
    let mut keys: BTreeMap<String, (String, Option<String>)> =
        BTreeMap::from([("/app/first".into(), ("1".into(), None))]);
    let mut running = None;
    for round in 0..6 {
        if round % 2 == 0 {
            running = Some(follow_leases(&source, &destination));
        }
        for step in 0..40 {
            let key = format!("/app/{}", dice.below(12));
            let value = format!("{round}.{step}");
            match dice.below(10) {
                0..=1 => leases.push(source.grant(300 + dice.below(300) as u32)),
                2..=5 if !leases.is_empty() => {
                    let lease = leases[dice.below(leases.len() as u64) as usize].clone();
                    put_on(&source, &key, &value, &lease);
                    keys.insert(key, (value, Some(lease)));
                }
                6 if !leases.is_empty() => {
                    let lease = leases.swap_remove(dice.below(leases.len() as u64) as usize);
                    revoke(&source, &lease);
                    keys.retain(|_, (_, of)| of.as_ref() != Some(&lease));
                }
                7 => {
                    delete(&source, &key);
                    keys.remove(&key);
                }
                8 if step % 4 == 0 && !destination.leases().is_empty() => {
                    let all = destination.leases();
                    revoke(&destination, &all[dice.below(all.len() as u64) as usize]);
                }
                _ => {
                    put(&source, &key, &value);
                    keys.insert(key, (value, None));
                }
            }
        }
        if let Some(running) = running.take_if(|_| round % 2 == 1) {
            running.signal(Signal::SIGINT);
            let run = running.wait();
            assert!(run.signal.is_some(), "seed {seed}: {}", run.stderr_text());
            let run = with_leases(&source, &destination);
            assert!(run.code == Some(0), "seed {seed}: {}", run.stderr_text());
            let mut sharing: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
            for (key, (_, lease)) in &keys {
                if let Some(lease) = lease {
                    sharing.entry(lease).or_default().insert(key.clone());
                }
            }
            let values = keys.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect();
            let expected: Model = (values, sharing.into_values().collect());
            assert_eq!(model_of(&source), expected, "seed {seed}");
            assert_eq!(model_of(&destination), expected, "seed {seed}");
        }
    }
}

/// As a run leaves it that is killed between two transactions of one revision.
#[test]
fn a_revision_that_was_applied_in_part_is_continued_with_leases() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    let granted = source.grant(300);
    put_on(&source, "/app/a", "1", &granted);
    with_leases(&source, &destination).ok();
    let copy = lease(&destination, "/app/a").expect("a lease");
    let on = LeaseMode::Attach(LeaseId(i64::from_str_radix(&granted, 16).expect("an ID")));
    let write =
        |key: &str| Op::Put(Write { key: key.into(), value: b"2".into(), lease: on, prev: false, ..Write::default() });
    let txn = Txn { then: ["/app/b", "/app/c"].map(write).into(), ..Txn::default() };
    block_on(library(&source).txn("test", &txn, None, Retry::Never)).expect("a write");
    put_on(&destination, "/app/b", "2", &copy);
    let place = destination.held("/app.kvadm-mirror").expect("a place").text();
    let part = place.replace("\"state\"", "\"within\":{\"revision\":3,\"ops\":1},\"state\"");
    put(&destination, "/app.kvadm-mirror", &part);
    with_leases(&source, &destination).ok().err_lacks("again").err_has("verified: 3 keys equal");
    put(&destination, "/app.kvadm-mirror", &part);
    revoke(&destination, &copy);
    with_leases(&source, &destination).ok().err_has("wrote 2 keys again").err_has("verified: 3 keys equal");
}
