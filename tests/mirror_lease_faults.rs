//! `kvadm mirror --with-leases` while answers are lost, connections are cut, and leases end in between.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::lock_faults::Dice;
use super::mirror::{SOON, check_history, delete, history, mirror, put};
use super::mirror_auth;
use super::mirror_leases::{follow_leases, keep_alive, model_of, put_on, revoke, with_leases};
use super::support::spoiler::{Plan, Spoil, Spoiler};
use super::support::time_limit::seed;
use super::support::{Etcd, Proxy, eventually};

#[test]
fn a_grant_whose_answer_is_lost_is_found() {
    for (method, spoil) in
        [("LeaseGrant", Spoil::CutBefore), ("LeaseGrant", Spoil::Http(502)), ("Txn", Spoil::CutWithin)]
    {
        let (source, destination) = (Etcd::start(), Etcd::start());
        put_on(&source, "/app/a", "1", &source.grant(300));
        put_on(&source, "/app/b", "1", &source.grant(300));
        let methods: &'static [&'static str] = if method == "Txn" { &["Txn"] } else { &["LeaseGrant"] };
        let plan = Plan { spoil, methods, skip: 0, times: 2, then_gone: false };
        let spoiler = Spoiler::start(&destination.address(), plan);
        let args = ["/app/", "--with-leases", "--verify", "--once", "--op-timeout", "5s"];
        mirror(&source.endpoint(), &spoiler.endpoint(), &args).run().ok().err_has("verified: 2 keys equal");
        assert!(spoiler.seen() >= 4, "{method}: {}", spoiler.seen());
        assert_eq!(destination.leases().len(), 2);
    }
}

#[test]
fn no_other_permissions_are_needed() {
    let (source, destination) = mirror_auth::pair();
    let lease = mirror_auth::root(&source, &["lease", "grant", "2"]);
    let lease = String::from_utf8_lossy(&lease).split_whitespace().nth(1).expect("an ID").to_owned();
    mirror_auth::root(&source, &["put", "/app/leased", "1", &format!("--lease={lease}")]);
    // A key on the same lease that the mirror cannot read.
    mirror_auth::root(&source, &["put", "/other/leased", "1", &format!("--lease={lease}")]);
    let running = mirror_auth::kvadm(&source, &destination).arg("--with-leases").spawn();
    running.wait_for_stderr("of the source", SOON);
    let renewed = |least: u64| eventually("renewals", SOON, || destination.answered("LeaseKeepAlive") >= least);
    for least in 1..4 {
        mirror_auth::root(&source, &["lease", "keep-alive", "--once", &lease]);
        renewed(least);
    }
    eventually("the end", SOON, || mirror_auth::root(&destination, &["get", "/app/leased"]).is_empty());
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT).err_lacks("denied");
}

#[test]
fn a_destination_that_was_away_for_longer_than_a_ttl() {
    let (source, mut destination) = (Etcd::start(), Etcd::start());
    let granted = source.grant(2);
    let _renewing = keep_alive(&source, &granted);
    put_on(&source, "/app/a", "1", &granted);
    let running = follow_leases(&source, &destination);
    let renewed = source.answered("LeaseKeepAlive");
    destination.stop();
    put_on(&source, "/app/b", "1", &granted);
    eventually("some time", SOON, || source.answered("LeaseKeepAlive") > renewed + 8);
    destination.restart();
    eventually("all keys", Duration::from_secs(40), || destination.held_under("/app/").len() == 2);
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT).err_has("the destination does not answer");
}

/// Keys whose lease has ended in the source before the mirror asks for its TTL: their deletions follow.
#[test]
fn leases_that_have_ended_are_not_granted() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    let granted = source.grant(300);
    put_on(&source, "/app/a", "1", &granted);
    put(&source, "/app/b", "1");
    with_leases(&source, &destination).ok();
    let copy = destination.leases();
    // Both have ended while no mirror ran: the key does not come back.
    revoke(&destination, &copy[0]);
    revoke(&source, &granted);
    with_leases(&source, &destination).ok().err_lacks("again").err_has("verified: 1 key equal");
    // It lived shorter than no mirror ran.
    let granted = source.grant(300);
    put_on(&source, "/app/c", "1", &granted);
    revoke(&source, &granted);
    with_leases(&source, &destination).ok().err_has("verified: 1 key equal");
    // It ends after the revision that is to be reached.
    let granted = source.grant(300);
    put_on(&source, "/app/d", "1", &granted);
    let plan = Plan { spoil: Spoil::CutBefore, methods: &["LeaseTimeToLive"], skip: 0, times: 1, then_gone: false };
    let endpoint = source.endpoint();
    let revoke_now = move || {
        super::support::Kvadm::new().endpoint(&endpoint).args(["lease", "revoke", &granted, "--yes"]).run().ok();
    };
    let spoiler = Spoiler::with(&source.address(), plan, revoke_now);
    let args = ["/app/", "--with-leases", "--verify", "--once", "--op-timeout", "5s"];
    mirror(&spoiler.endpoint(), &destination.endpoint(), &args).run().ok().err_has("equal");
    with_leases(&source, &destination).ok().err_has("verified: 1 key equal");
    assert_eq!(destination.leases(), Vec::<String>::new());
    check_history(&history(&source, "/app/"), &history(&destination, "/app/"), 1);
}

#[test]
fn cuts_and_kills_lose_no_lease() {
    let seed = seed("KVADM_TEST_SEED");
    let mut dice = Dice(seed);
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/first", "1");
    with_leases(&source, &destination).ok();
    let proxies = [Proxy::start(&source.address()), Proxy::start(&destination.address())];
    let launch = || {
        let args = ["/app/", "--with-leases", "--op-timeout", "1s", "--dial-timeout", "500ms"];
        mirror(&proxies[0].endpoint(), &proxies[1].endpoint(), &args).spawn()
    };
    let mut running = launch();
    let mut leases: BTreeMap<u64, String> = BTreeMap::new();
    for step in 0..150 {
        let lease = dice.below(5);
        let key = format!("/app/{}", dice.below(15));
        match dice.below(10) {
            0..=4 => {
                let lease = leases.entry(lease).or_insert_with(|| source.grant(500));
                put_on(&source, &key, &step.to_string(), lease);
            }
            5 => {
                if let Some(lease) = leases.remove(&lease) {
                    revoke(&source, &lease);
                }
            }
            6 => delete(&source, &key),
            7 => put(&source, &key, &step.to_string()),
            _ => proxies[dice.below(2) as usize].cut(),
        }
        if step % 50 == 49 || running.ended().is_some() {
            if running.ended().is_none() {
                running.signal(Signal::SIGKILL);
            }
            let run = std::mem::replace(&mut running, launch()).wait();
            // A cut before both sides have answered ends it.
            assert!(run.signal.is_some() || run.code == Some(3), "seed {seed}: {}", run.stderr_text());
        }
    }
    if running.ended().is_none() {
        running.signal(Signal::SIGINT);
    }
    let _ = running.wait();
    let run = with_leases(&source, &destination);
    assert!(run.code == Some(0), "seed {seed}: {}", run.stderr_text());
    assert_eq!(model_of(&destination), model_of(&source), "seed {seed}");
    check_history(&history(&source, "/app/"), &history(&destination, "/app/"), 1);
}
