//! `kvadm member replace`: under load, of dead members, and after interruptions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::member::{SOON, id, initial_cluster, listed, member, named};
use super::support::{Cluster, Kvadm, Newcomer};

/// Writes numbered keys until it is stopped; the numbers that etcd has acknowledged, and the exit codes of the others.
fn write_until(stop: &AtomicBool, endpoints: &str) -> (Vec<u32>, Vec<Option<i32>>) {
    let (mut written, mut failed) = (Vec::new(), Vec::new());
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("/load/{number:06}");
        let run = Kvadm::new().endpoint(endpoints).args(["put", &key, "v", "--op-timeout", "10s"]).run();
        if run.code == Some(0) { written.push(number) } else { failed.push(run.code) }
    }
    (written, failed)
}

#[test]
fn the_leader_is_replaced_under_load_without_a_lost_write() {
    let mut cluster = Cluster::start(3);
    let endpoints = cluster.endpoints();
    let leader = cluster.leader();
    let old = format!("m{leader}");
    let new = Newcomer::new("m3");
    let url = new.peer_url();
    let plan = member(&cluster, &["replace", &old, "--name", "m3", "--peer-urls", &url, "--dry-run"]).run();
    plan.ok()
        .err_has("step 1: 3 of 3 voters started; adding m3 as a learner does not change that")
        .err_has("step 2: 3 of 3 voters started; promoting m3, when it has caught up, makes it 4 of 4: one more voter may fail")
        .err_has(&format!("step 3: 4 of 4 voters started; removing {old} leaves 3 of 3: one more voter may fail"))
        .out_has("ETCD_NAME=\"m3\"")
        .out_has("would-promote")
        .out_has("would-remove");
    assert_eq!(listed(&cluster).len(), 3);

    let stop = AtomicBool::new(false);
    let (written, failed) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&stop, &endpoints));
        let args = ["replace", &old, "--name", "m3", "--peer-urls", &url, "--wait", "60s", "--yes"];
        let replacing = member(&cluster, &args).spawn();
        replacing.wait_for_stdout("# or: etcd", SOON);
        cluster.members.push(new.join(&initial_cluster(&replacing.stdout())));
        let run = replacing.wait();
        stop.store(true, Ordering::SeqCst);
        let result = writer.join().unwrap();
        run.ok().out_has("leader-moved").out_has("started\t").out_has("promoted\t");
        run.out_has(&format!("\t{old}\n")).err_has("m3 has replaced");
        result
    });
    let rest: Vec<String> = (0..3).filter(|at| *at != leader).map(|at| cluster.members[at].endpoint()).collect();
    let rest = format!("{},{}", rest.join(","), cluster.members[3].endpoint());
    let members = listed(&rest);
    assert_eq!(members.len(), 3);
    assert!(members.iter().all(|member| member["health"] == "healthy" && member["name"] != old), "{members:?}");
    let found = Kvadm::new().endpoint(&rest).args(["list", "/load/", "--keys-only"]).run();
    let text = found.ok().stdout_text();
    let lost: Vec<&u32> = written.iter().filter(|number| !text.contains(&format!("/load/{number:06}"))).collect();
    assert!(lost.is_empty() && written.len() >= 5, "{} written, lost: {lost:?}", written.len());
    assert!(failed.iter().all(|code| *code == Some(7)), "{failed:?}");
    eprintln!("{} acknowledged writes, none lost; {} of unknown outcome", written.len(), failed.len());
    // The same command again has nothing to do.
    member(&rest, &["replace", &old, "--name", "m3", "--peer-urls", &url]).run().ok().out_has("unchanged");
}

#[test]
fn a_dead_member_is_replaced_at_its_own_address_in_several_runs() {
    let mut cluster = Cluster::start(3);
    let endpoints = cluster.endpoints();
    cluster.members[2].kill();
    let new = Newcomer::in_place_of("m2", &cluster.members[2]);
    let url = new.peer_url();
    let args = ["replace", "m2", "--name", "m2", "--peer-urls", &url, "--wait", "60s", "--yes"];
    let first = member(&endpoints, &args).spawn();
    first.wait_for_stderr("m2 has not started", SOON);
    first.signal(Signal::SIGINT);
    let run = first.wait();
    run.signal(Signal::SIGINT)
        .err_has("m2 does not answer and is removed first")
        .err_has("step 1: 2 of 3 voters answer; removing m2 leaves 2 of 2: one more failure stops the cluster")
        .err_has("m2 is added as a learner: start its process")
        .err_has("to go on: 'kvadm --endpoints")
        .err_has("stopped waiting: m2 has not started");
    assert_eq!(named(&listed(&endpoints), &url)["role"], "learner");

    cluster.members[2] = new.join(&initial_cluster(&run.stdout));
    let run = member(&endpoints, &args).run();
    run.ok().out_has("promoted\t").out_lacks("removed").out_lacks("added").err_has("m2 has replaced");
    let members = listed(&endpoints);
    assert!(members.len() == 3 && members.iter().all(|member| member["health"] == "healthy"), "{members:?}");
}

#[test]
fn a_frozen_learner_is_not_promoted_and_a_second_dead_voter_refuses() {
    let mut cluster = Cluster::start(3);
    let endpoints = cluster.endpoints();
    let new = Newcomer::new("m3");
    let added = member(&endpoints, &["add", "m3", "--peer-urls", &new.peer_url(), "--learner"]).run();
    added.ok();
    let learner = new.join(&initial_cluster(&added.stdout));
    super::support::eventually("the learner to start", SOON, || {
        let members = listed(&endpoints);
        members.iter().any(|member| member["name"] == "m3" && member["health"] == "healthy")
    });
    learner.pause();
    let quick = ["--op-timeout", "500ms"];
    let run = member(&endpoints, &["promote", "m3"]).args(quick).run();
    run.code(5).out_empty().err_has("was not promoted: it has not caught up").err_has("m3 does not answer");
    let run = member(&endpoints, &["promote", "m3", "--wait", "2500ms"]).args(quick).run();
    run.code(1).err_has("m3 does not answer").err_has("to go on");
    assert_eq!(named(&listed(&endpoints), "m3")["role"], "learner");
    learner.resume();
    let id = id(&listed(&endpoints), "m3");
    member(&endpoints, &["promote", &id, "--wait", "30s"]).run().ok();
    // Four voters, two of them dead: nothing can be replaced.
    cluster.members.push(learner);
    cluster.members[1].kill();
    let args = ["replace", "m0", "--name", "m4", "--peer-urls", &Newcomer::new("m4").peer_url(), "--yes"];
    let run = member(&endpoints, &args).args(quick).run();
    run.code(5).err_has("does not answer either").err_has("kvadm member remove MEMBER");
    assert!(Duration::from_secs(30) > run.took);
    assert_eq!(listed(&endpoints).len(), 4);
}
