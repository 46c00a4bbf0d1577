//! `list --serializable` of many keys: the windows come from several members, at one revision.

use std::time::Duration;

use super::list::load;
use super::serializable::kvadm;
use super::support::{Cluster, Etcd, Plan, Run, Spoil, Spoiler, eventually};

const KEYS: usize = 14_000;
const SOON: Duration = Duration::from_secs(20);

fn loaded(etcd: &Etcd) {
    load(etcd, (0..KEYS).map(|n| (format!("/k/{n:05}"), format!("{n:0400}"))));
}

fn list(endpoints: &str) -> Run {
    kvadm(endpoints, &["list", "/k/", "--serializable", "--keys-only", "-vv", "--op-timeout", "3s"]).run()
}

/// Every key once and in order.
fn complete(run: &Run) {
    let expected: String = (0..KEYS).map(|n| format!("/k/{n:05}\n")).collect();
    assert!(run.ok().stdout_text() == expected, "{}", run.stderr_text());
}

/// The number of windows that this endpoint answered.
fn windows(run: &Run, endpoint: &str) -> usize {
    let end = format!(" {endpoint}");
    let text = run.stderr_text();
    text.lines()
        .filter(|line| line.starts_with("trace: list") && line.contains(" rev=") && line.ends_with(&end))
        .count()
}

#[test]
fn a_long_listing_reads_from_every_member() {
    let cluster = Cluster::start(3);
    loaded(&cluster.members[0]);
    let endpoints: Vec<String> = cluster.members.iter().map(Etcd::endpoint).collect();
    let all = endpoints.join(",");
    let streams = cluster.members[0].version() >= (3, 7);
    eventually("windows from every member", SOON, || {
        // With values, so that there are several pages.
        let run = kvadm(&all, &["list", "/k/", "--serializable", "-vv"]).run();
        run.ok();
        assert_eq!(run.stdout_text().lines().count(), KEYS);
        streams || endpoints.iter().all(|endpoint| windows(&run, endpoint) > 0)
    });
    complete(&list(&all));
    // A short listing connects to no other member.
    let run = kvadm(&all, &["list", "/k/0000", "--serializable", "-vv"]).run();
    assert_eq!(run.ok().stdout_text().lines().count(), 10);
    assert_eq!((windows(&run, &endpoints[1]), windows(&run, &endpoints[2])), (0, 0));
}

fn cut(skip: u64) -> Plan {
    Plan { spoil: Spoil::CutWithin, methods: &["Range", "RangeStream"], skip, times: 9999, then_gone: false }
}

#[test]
fn a_member_that_fails_is_left_out_and_nothing_is_lost_or_read_twice() {
    let etcd = Etcd::start();
    loaded(&etcd);
    // Another member does not answer whether it has the keys, or fails at each of its windows.
    for skip in [0, 1] {
        let spoiler = Spoiler::start(&etcd.address(), cut(skip));
        let all = format!("{},{}", etcd.endpoint(), spoiler.endpoint());
        complete(&list(&all));
    }
    // The member that the listing began at fails at its second window, and at all later ones.
    for skip in [1, 2] {
        let spoiler = Spoiler::start(&etcd.address(), cut(skip));
        let all = format!("{},{}", spoiler.endpoint(), etcd.endpoint());
        let run = list(&all);
        complete(&run);
        run.err_has(&format!("{} is left out", spoiler.endpoint()));
    }
    // Without another member, it is an error.
    let spoiler = Spoiler::start(&etcd.address(), cut(1));
    let run = list(&spoiler.endpoint());
    run.code(3).err_has("the listing is incomplete");
    // A member that is not there holds nothing up.
    complete(&list(&format!("{},127.0.0.1:1", etcd.endpoint())));
}
