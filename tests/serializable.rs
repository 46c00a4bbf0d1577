//! `--serializable`: reads from one member, without the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::get::put;
use super::list::load;
use super::support::answers::{REVISION, valid};
use super::support::{
    Asked, Certs, Cluster, Endpoints, Etcd, FakeServer, Kvadm, Message, Mode, Plan, Proxy, Reply, Run, Spoil, Spoiler,
    eventually,
};

const SOON: Duration = Duration::from_secs(20);
const PASSWORD: &str = "Root-hunter2";

pub(super) fn kvadm(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(of).args(args).timeout(SOON)
}

/// Kills all members but the first, and waits until that one knows that it has no leader.
fn leave_one_alone(cluster: &mut Cluster, with: impl Fn(&[&str]) -> Run) {
    cluster.members[1..].iter_mut().for_each(Etcd::kill);
    eventually("a member without a leader", SOON, || {
        with(&["status", "--serializable", "--op-timeout", "1s"]).stderr_text().contains("no leader")
    });
}

#[test]
fn reads_work_without_a_quorum() {
    let mut cluster = Cluster::start(3);
    load(&cluster.members[0], (0..10_500).map(|n| (format!("/many/{n:05}"), format!("{n}"))));
    put(&cluster.members[0], "/a", "one");
    let rev = put(&cluster.members[0], "/b", "two");
    let all = cluster.endpoints();
    let alone = cluster.members[0].endpoint();
    eventually("a member that has it all", SOON, || {
        kvadm(&alone, &["get", "/b", "--serializable"]).run().code == Some(0)
    });
    // All are up.
    let note = |text: &str| format!("note: read from {alone} at revision {rev}, {text}\n");
    let run = kvadm(&all, &["get", "/a", "--serializable"]).run();
    run.ok().out("one\n");
    assert_eq!(run.stderr_text(), note("not behind any reachable member"));
    // The endpoints of the other members are found in the member list.
    let run = kvadm(&alone, &["list", "/a", "--serializable", "-o", "json"]).run();
    assert_eq!(run.ok().json()["value"], "one");
    assert_eq!(run.err_json(), json!({"endpoint": alone, "revision": rev, "behind": 0}));
    kvadm(&alone, &["get", "/a", "--serializable", "-q"]).run().ok().err_empty();

    leave_one_alone(&mut cluster, |args| kvadm(&all, args).run());
    let short = ["--op-timeout", "1s", "--dial-timeout", "1s"];
    let run = |args: &[&str]| kvadm(&all, &[&short, args].concat()).run();
    let none = note("no other member answered");
    for (args, out) in [
        (&["get", "/a"][..], "one\n"),
        (&["get", "/b", "/a"], "/b\ttwo\n/a\tone\n"),
        (&["get", "/b", "/a", "/many/00001", "/many/00002", "/many/00003", "--max-ops", "3", "--search", "o"], ""),
        (&["list", "--from", "/a", "--to", "/c"], "/a\tone\n/b\ttwo\n"),
        (&["list", "/", "--count"], "10502\n"),
        (&["list", "/", "--count", "--match", "/many/*"], "10500\n"),
        (&["list", "/", "--depth", "1"], "/a\n/b\n/many/\n"),
        (&["list", "/", "--sort", "mod", "--desc", "--limit", "1"], "/b\ttwo\n"),
        (&["status", "--revision"], &format!("{rev}\n")),
    ] {
        let done = run(&[args, &["--serializable"]].concat());
        match out {
            "" => done.code(1).out("/b\ttwo\n/a\tone\n").err_has(&none),
            out => done.ok().out(out).err_has(&none),
        };
    }
    let run_of_diff = run(&["diff", "/a", "--source", "rev:1", "--serializable"]);
    run_of_diff.code(1).out("+ /a\n").err_has(&none);
    for args in [["get", "/a"], ["list", "/a"]] {
        run(&args).code(3).out_empty().err_lacks("note: read from");
    }
    let listing = run(&["list", "/", "--serializable", "-o", "json", "--trailer"]);
    let lines = listing.ok().json_lines();
    assert_eq!(lines.len(), 10_503);
    assert_eq!(lines[10_502], json!({"trailer": {"prefix": "/", "count": 10_502, "revision": rev}}));
    assert_eq!(listing.err_json(), json!({"endpoint": alone, "revision": rev}));
    let tree = run(&["list", "/", "--tree", "--depth", "1", "--serializable", "-o", "json"]);
    assert_eq!(tree.ok().json_lines()[2]["keys"], 10_500);
    run(&["list", "/", "--du", "--serializable", "-q"]).ok().out_has("/many/");
    let before = (rev - 1).to_string();
    run(&["get", "/b", "--rev", &before, "--serializable"]).code(1).err_has("at revision").err_has("not found: /b");
    let future = run(&["list", "/", "--rev", "99999", "--serializable"]);
    future.code(4).out_empty().err_has("future revision").err_has("may be behind the other members");
}

#[test]
fn the_first_connection_is_waited_for() {
    let mut etcd = Etcd::start();
    etcd.stop();
    let args = ["--connect-wait", "25s", "get", "/a", "--serializable"];
    let waiting = Kvadm::new().endpoint(&etcd).args(args).spawn();
    waiting.wait_for_stderr("no etcd endpoint answers yet", Duration::from_secs(10));
    etcd.restart();
    waiting.wait().code(1).err_has("not found: /a");
}

#[test]
fn status_reports_each_member_s_own_data() {
    let mut cluster = Cluster::start(3);
    let all = cluster.endpoints();
    let run = |args: &[&str]| {
        let short = ["--op-timeout", "2s", "--dial-timeout", "1s", "status", "--serializable", "-o", "json"];
        kvadm(&all, &[&short, args].concat()).run()
    };
    let healthy = run(&[]).ok().json();
    assert_eq!((&healthy["health"], &healthy["quorum"]), (&json!("healthy"), &json!("unknown")));
    leave_one_alone(&mut cluster, |args| kvadm(&all, args).run());
    let degraded = run(&[]).code(6).json();
    assert_eq!((&degraded["health"], &degraded["quorum"]), (&json!("degraded"), &json!("unknown")));
    let health: Vec<_> = degraded["members"].as_array().unwrap().iter().map(|member| &member["health"]).collect();
    assert_eq!(health, ["unhealthy", "unreachable", "unreachable"]);
    assert!(degraded["complaints"].to_string().contains("has no leader"), "{degraded}");
    run(&["--quorum"]).code(2).out_empty().err_has("cannot be used with");
    run(&["--diagnose"]).code(2).out_empty().err_has("cannot be used with");
    kvadm(&all, &["status", "--op-timeout", "1s"]).run().code(3);
}

#[test]
fn a_watch_without_a_leader() {
    let mut cluster = Cluster::start(3);
    put(&cluster.members[0], "/a", "one");
    let all = cluster.endpoints();
    leave_one_alone(&mut cluster, |args| kvadm(&all, args).run());
    let alone = cluster.members[0].endpoint();
    let run = |args: &[&str]| kvadm(&alone, &[&["watch", "/a", "--list", "--timeout", "2s"], args].concat()).run();
    run(&["--serializable"]).code(1).out("created\t/a\tone\nlist-done\n").err_has("no other member answered");
    run(&[]).code(3).out_empty();
    kvadm(&alone, &["watch", "/a", "--serializable", "--resume", "/none"]).run().code(2).err_has("cannot be used with");
}

/// A login goes through raft.
#[test]
fn a_password_needs_a_quorum_and_a_client_certificate_does_not() {
    let certs = Certs::new();
    let mut cluster = Cluster::start_with(3, &Etcd::options().arg("--bcrypt-cost=4").client_auth(&certs));
    let first = &cluster.members[0];
    first.etcdctl_ok(&["put", "/a", "one"]);
    first.etcdctl_ok(&["user", "add", &format!("root:{PASSWORD}")]);
    first.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    first.etcdctl_ok(&["auth", "enable"]);
    let all = cluster.endpoints();
    let by = |user: Option<&str>, args: &[&str]| {
        let kvadm = kvadm(&all, &["--dial-timeout", "1s"]).arg("--ca-file").arg(&certs.ca);
        let kvadm = kvadm.arg("--cert-file").arg(&certs.client.cert).arg("--key-file").arg(&certs.client.key);
        let kvadm = user.iter().fold(kvadm, |kvadm, user| kvadm.args(["--user", user]).env("KVADM_PASSWORD", PASSWORD));
        kvadm.args(args).run()
    };
    let get = ["get", "/a", "--serializable", "--op-timeout", "10s"];
    by(Some("root"), &get).ok().out("one\n").err_has("not behind any reachable member");
    by(None, &get).ok().out("one\n");
    leave_one_alone(&mut cluster, |args| by(None, args));
    by(None, &get).ok().out("one\n").err_has("no other member answered");
    for args in [&get[..], &["list", "/", "--serializable"], &["status", "--serializable"]] {
        let run = by(Some("root"), args);
        run.code(3)
            .out_empty()
            .within(Duration::from_secs(5))
            .err_has("cannot serve 'log in' now: the member has no leader");
        run.err_has("hint: a login with a password needs a quorum, also with --serializable; a client certificate");
    }
}

/// A member that is at this revision; `serializable` counts its range requests of that kind, `others` the rest.
pub(super) fn member_at(revision: i64, id: i64, serializable: &Arc<AtomicU64>, others: &Arc<AtomicU64>) -> FakeServer {
    let (serializable, others) = (Arc::clone(serializable), Arc::clone(others));
    FakeServer::start(move |asked: &Asked| match asked.method.as_str() {
        "Maintenance/Status" => {
            let head = Message::new().int(1, 0xc1).int(2, id).int(3, revision).int(4, 2);
            let status = Message::new().message(1, &head).bytes(2, "3.5.30").int(3, 1 << 20).int(4, 0xa1);
            Reply::from(status.int(5, 90).int(6, 2).int(7, 90))
        }
        "KV/Range" => {
            let kind = if asked.message.number(7) == 1 { &serializable } else { &others };
            kind.fetch_add(1, Ordering::SeqCst);
            valid(asked)
        }
        _ => valid(asked),
    })
}

#[test]
fn the_note_says_how_far_the_member_is_behind() {
    let (serializable, others) = (Arc::default(), Arc::default());
    let first = member_at(REVISION, 0xa1, &serializable, &others);
    let ahead = member_at(REVISION + 4, 0xa2, &others, &others);
    let further = member_at(REVISION + 3, 0xa3, &others, &others);
    // Another address of the first member.
    let same = member_at(REVISION + 9, 0xa1, &others, &others);
    let endpoints =
        |servers: &[&FakeServer]| servers.iter().map(|server| server.endpoint()).collect::<Vec<_>>().join(",");
    let all = endpoints(&[&first, &ahead, &further, &same]);
    let address = first.endpoint();
    let behind =
        format!("note: read from {address} at revision {REVISION}, 4 behind the most advanced reachable member\n");
    for args in [&["get", "/a/1"][..], &["list", "/a/"], &["list", "/a/", "--count"], &["status", "--revision"]] {
        let run = kvadm(&all, args).arg("--serializable").run();
        assert_eq!(run.ok().stderr_text(), behind, "{args:?}");
    }
    let run = kvadm(&all, &["get", "/a/1", "--rev", "20", "--serializable"]).run();
    run.ok().err_has("at revision 20, 4 behind the most advanced");
    let run = kvadm(&all, &["get", "/a/1", "--serializable", "-o", "json"]).run();
    assert_eq!(run.ok().err_json(), json!({"endpoint": address, "revision": REVISION, "behind": 4}));
    // The other members are asked for nothing but their revision, and every read is serializable.
    assert_eq!(others.load(Ordering::SeqCst), 0);
    assert!(serializable.load(Ordering::SeqCst) >= 5);
    let run = kvadm(&endpoints(&[&ahead, &first]), &["get", "/a/1", "--serializable"]).run();
    run.ok().err_has("not behind any reachable member");
    let run = kvadm(&endpoints(&[&first, &same]), &["get", "/a/1", "--serializable"]).run();
    run.ok().err_has("no other member answered");
}

/// Members that do not answer cost no more than the dial timeout, all together.
#[test]
fn silent_members_do_not_hold_up_a_read() {
    let etcd = Etcd::start();
    put(&etcd, "/a", "one");
    let silent: Vec<Proxy> = (0..3)
        .map(|_| {
            let mut proxy = Proxy::start(&etcd.address());
            proxy.set(Mode::Hang);
            proxy
        })
        .collect();
    // This one speaks HTTP/2, and then says nothing.
    let mute = FakeServer::start(|asked| match asked.method.as_str() {
        "Maintenance/Status" => Reply::Open(Vec::new()),
        _ => valid(asked),
    });
    let names: Vec<String> = silent.iter().map(Proxy::address).chain([mute.endpoint()]).collect();
    let all = format!("{},{}", etcd.address(), names.join(","));
    let run = kvadm(&all, &["get", "/a", "--serializable", "--dial-timeout", "700ms", "--op-timeout", "15s"]).run();
    run.ok().out("one\n").err_has("no other member answered").within(Duration::from_secs(4));
    let run = kvadm(&all, &["list", "/", "--serializable", "--dial-timeout", "700ms", "--op-timeout", "15s"]).run();
    run.ok().out("/a\tone\n").err_has("no other member answered").within(Duration::from_secs(4));
}

/// The first endpoint that answers is the one that is read.
#[test]
fn silent_endpoints_are_passed_over() {
    let etcd = Etcd::start();
    put(&etcd, "/a", "one");
    let mut silent = Proxy::start(&etcd.address());
    silent.set(Mode::Hang);
    let mute = FakeServer::start(|_| Reply::Open(Vec::new()));
    for first in [silent.address(), mute.endpoint(), "127.0.0.1:1".to_owned()] {
        let all = format!("{first},{}", etcd.address());
        let run = kvadm(&all, &["get", "/a", "--serializable", "--dial-timeout", "700ms", "--op-timeout", "1s"]).run();
        run.ok().out("one\n").err_has(&format!("read from {} at revision 2, ", etcd.endpoint()));
    }
}

/// A listing does not go on at another member.
#[test]
fn a_member_that_goes_away_ends_the_listing() {
    let etcd = Etcd::start();
    load(&etcd, (0..2_000).map(|n| (format!("/k/{n:04}"), "v".repeat(500))));
    let plan = || Plan { spoil: Spoil::CutWithin, methods: &["Range"], skip: 1, times: 99, then_gone: true };
    let spoiler = Spoiler::start(&etcd.address(), plan());
    let all = format!("{},{}", spoiler.endpoint(), etcd.endpoint());
    let before = etcd.answered("Range");
    let run = kvadm(&all, &["list", "/k/", "--serializable", "--op-timeout", "2s"]).run();
    run.code(3).err_has("the listing is incomplete: it ended after").err_has(&spoiler.endpoint());
    run.err_has("hint: --serializable reads at the revision of one member, here").err_lacks("note: read from");
    assert!(etcd.answered("Range") <= before + 3, "the pages came from elsewhere");
    assert!(run.stdout_text().lines().count() < 2_000);
    // Without the option, the other endpoint serves the rest.
    let spoiler = Spoiler::start(&etcd.address(), plan());
    let all = format!("{},{}", spoiler.endpoint(), etcd.endpoint());
    assert_eq!(kvadm(&all, &["list", "/k/"]).run().ok().stdout_text().lines().count(), 2_000);
}

#[test]
fn options_that_need_the_others_exclude_it() {
    let run = |args: &[&str]| kvadm("127.0.0.1:1", args).arg("--serializable").run();
    for args in [
        &["get", "/a", "--if-locked=/l@3"][..],
        &["get", "/a", "--history"],
        &["list", "/a", "--if-locked=/l@3"],
        &["list", "/a", "--with-leases"],
    ] {
        run(args).code(2).out_empty().err_has("cannot be used with");
    }
    for verb in [&["put", "/a", "x"][..], &["delete", "/a"], &["lock", "/a"], &["txn", "-"]] {
        run(verb).code(2).out_empty().err_has("--serializable");
    }
    run(&["get", "/a"]).code(3).out_empty().err_has("no etcd endpoint could be reached");
}
