//! `--serializable` while members are without a leader, behind the others, or silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::auth::{LIMITED, cheap, login};
use super::serializable::{kvadm, member_at};
use super::support::answers::{REVISION, valid};
use super::support::{Asked, FakeServer, Kvadm, Message, Reply};

/// A member with this leader; counts its logins, which are answered with `login` if there is one. Without a leader (0) it
/// does not learn of the tokens of other members, so that reads wait.
fn member(id: i64, leader: i64, logins: &Arc<AtomicU64>, login: Option<Reply>) -> FakeServer {
    let logins = Arc::clone(logins);
    FakeServer::start(move |asked: &Asked| match (asked.method.as_str(), &login) {
        ("Maintenance/Status", _) => status(id, leader, REVISION).into(),
        ("Auth/Authenticate", login) => {
            logins.fetch_add(1, Ordering::SeqCst);
            login.clone().unwrap_or_else(|| valid(asked))
        }
        ("KV/Range", _) if leader == 0 => Reply::Open(Vec::new()),
        _ => valid(asked),
    })
}

fn status(id: i64, leader: i64, revision: i64) -> Message {
    let head = Message::new().int(1, 0xc1).int(2, id).int(3, revision).int(4, 2);
    let status = Message::new().message(1, &head).bytes(2, "3.5.30").int(3, 1 << 20).int(4, leader);
    status.int(5, 90).int(6, 2).int(7, 90)
}

fn with_password(of: &str, args: &[&str]) -> Kvadm {
    let short = ["--user", "root", "--op-timeout", "1s", "--dial-timeout", "1s"];
    kvadm(of, &short).env("KVADM_PASSWORD", "hunter2").args(args)
}

const READS: [&[&str]; 4] =
    [&["get", "/a/1"], &["list", "/a/"], &["list", "/a/", "--count"], &["status", "--revision"]];

#[test]
fn a_login_is_tried_at_the_next_member_if_one_has_no_leader() {
    let (alone, led) = (Arc::default(), Arc::default());
    let no_leader = Reply::Refusal(14, "etcdserver: no leader".to_owned());
    let first = member(0xa2, 0, &alone, Some(no_leader));
    let second = member(0xa1, 0xa1, &led, None);
    let third = member(0xa3, 0xa1, &led, None);
    let note = format!("note: read from {} at revision {REVISION}, not behind any reachable", second.endpoint());
    for endpoints in [
        format!("{},{},{}", first.endpoint(), second.endpoint(), third.endpoint()),
        format!("{},127.0.0.1:1,{}", first.endpoint(), second.endpoint()),
    ] {
        for args in READS {
            let run = with_password(&endpoints, args).arg("--serializable").run();
            run.ok().err_has(&note).within(Duration::from_secs(5));
        }
        let run = with_password(&endpoints, &["diff", "/a/", "--source", "rev:39", "--serializable"]).run();
        run.ok().err_has(&note);
        let run = with_password(&endpoints, &["status", "--serializable", "-o", "json"]).run();
        run.code(6).out_has("has no leader").err_lacks("log in");
        let run =
            with_password(&endpoints, &["watch", "/a/", "--list", "--until", "list-done", "--serializable"]).run();
        run.ok().out_has("created\t/a/1\tone\n").err_has(&note);
    }
    assert_eq!(alone.load(Ordering::SeqCst), 0, "a member without a leader was asked to log in");
}

#[test]
fn a_login_is_not_tried_if_no_member_has_a_leader() {
    let alone = Arc::default();
    let (first, other) = (member(0xa2, 0, &alone, None), member(0xa3, 0, &alone, None));
    let endpoints = format!("{},{}", first.endpoint(), other.endpoint());
    for args in READS {
        let run = with_password(&endpoints, args).arg("--serializable").run();
        run.code(3).out_empty().err_has("cannot serve 'log in' now: the member has no leader");
        run.err_has(&first.endpoint()).err_has("hint: a login with a password needs a quorum");
        run.err_has("hint: if other members have a leader, add their addresses to --endpoints");
        run.within(Duration::from_secs(5));
    }
    assert_eq!(alone.load(Ordering::SeqCst), 0, "a member without a leader was asked to log in");
}

/// Until its election timeout ends, a member that is cut off names a leader and does not answer logins.
#[test]
fn a_login_that_fails_is_tried_at_the_next_member_and_a_refused_one_is_not() {
    let (silent, led) = (Arc::default(), Arc::default());
    for failure in [Reply::Open(Vec::new()), Reply::Refusal(14, "etcdserver: request timed out".to_owned())] {
        let first = member(0xa2, 0xa1, &silent, Some(failure));
        let second = member(0xa1, 0xa1, &led, None);
        let endpoints = format!("{},{}", first.endpoint(), second.endpoint());
        let run = with_password(&endpoints, &["get", "/a/1", "--serializable"]).run();
        run.ok().out("one\n").err_has(&format!("read from {}", second.endpoint())).within(Duration::from_secs(5));
        // Without --serializable, too.
        with_password(&endpoints, &["get", "/a/1"]).run().ok().out("one\n");
    }
    let (asked, never) = (Arc::default(), Arc::default());
    let wrong = Reply::Refusal(3, "etcdserver: authentication failed, invalid user ID or password".to_owned());
    let first = member(0xa2, 0xa1, &asked, Some(wrong));
    let second = member(0xa1, 0xa1, &never, None);
    let endpoints = format!("{},{}", first.endpoint(), second.endpoint());
    let run = with_password(&endpoints, &["get", "/a/1", "--serializable"]).run();
    run.code(4).out_empty().err_has("authentication failed");
    assert_eq!((asked.load(Ordering::SeqCst), never.load(Ordering::SeqCst)), (1, 0));
}

/// A member that lags behind waits for the login that a token came from: it answers health checks, but no reads.
#[test]
fn a_health_check_takes_one_operation_timeout() {
    let server = FakeServer::start(|asked| match asked.method.as_str() {
        "KV/Range" => Reply::Open(Vec::new()),
        _ => valid(asked),
    });
    let run = |args: &[&str]| kvadm(&server.endpoint(), &["--op-timeout", "700ms"]).args(args).run();
    let soon = Duration::from_secs(4);
    for args in [&["status", "--serializable"][..], &["status"]] {
        run(args).err_has("no response from").err_has("within 700ms").within(soon);
    }
    for args in [&["status", "--revision"][..], &["watch", "/a/"], &["status", "--serializable", "--revision"]] {
        run(args).code(3).out_empty().err_has("within 700ms").within(soon);
    }
}

#[test]
fn a_revision_needs_no_read_permission() {
    let etcd = cheap();
    let revision =
        format!("{}\n", login(&etcd, "root", "Root-hunter2").args(["status", "--revision"]).run().stdout_text().trim());
    for args in [&["status", "--revision"][..], &["status", "--revision", "--serializable"]] {
        login(&etcd, "app", LIMITED).args(args).run().ok().out(&revision);
    }
}

#[test]
fn a_watch_says_how_far_the_member_is_behind() {
    let (reads, others) = (Arc::default(), Arc::default());
    let first = member_at(REVISION, 0xa1, &reads, &others);
    let ahead = member_at(REVISION + 4, 0xa2, &others, &others);
    let (address, all) = (first.endpoint(), format!("{},{}", first.endpoint(), ahead.endpoint()));
    let watch = |args: &[&str]| kvadm(&all, &["watch", "/a/", "--serializable"]).args(args).run();
    let note =
        format!("note: read from {address} at revision {REVISION}, 4 behind the most advanced reachable member\n");
    for args in [&["--list", "--until", "list-done"][..], &["--sync", "--until", "in-sync"], &["--count", "1"]] {
        let run = watch(args);
        assert_eq!(run.ok().stderr_text(), note, "{args:?}");
        watch(&[args, &["-q"]].concat()).ok().err_empty();
    }
    let run = watch(&["--sync", "--until", "in-sync", "-o", "json"]);
    assert_eq!(run.ok().err_json(), json!({"endpoint": address, "revision": REVISION, "behind": 4}));
    assert_eq!(others.load(Ordering::SeqCst), 0, "a read went elsewhere");
    kvadm(&all, &["watch", "/a/", "--list", "--until", "list-done"]).run().ok().err_empty();
}

#[test]
fn a_context_that_diff_compares_with_is_read_from_one_member_too() {
    let (reads, others) = (Arc::default(), Arc::default());
    let here = member_at(REVISION, 0xa1, &reads, &others);
    let there = member_at(REVISION - 1, 0xa1, &reads, &others);
    let ahead = member_at(REVISION + 2, 0xa2, &others, &others);
    let other = |endpoints: &str| format!("endpoints: [{endpoints}]\noperation-timeout: 500ms\n");
    let diff = |source: &str, args: &[&str]| {
        let diff = ["diff", "/a/", "--source", "context:other", "--source-prefix", "/b/", "--op-timeout", "1s"];
        kvadm(&here.endpoint(), &diff).config_file("other.yaml", other(source)).args(args).run()
    };
    let both = format!("\"{}\",\"{}\"", there.endpoint(), ahead.endpoint());
    let run = diff(&both, &["--serializable"]);
    run.code(1).out_has("+ /a/1\n");
    run.err_has(&format!(
        "note: context 'other' was read from {} at revision {REVISION}, 2 behind the most advanced",
        there.endpoint()
    ));
    run.err_has(&format!("note: read from {} at revision {REVISION}, no other member answered", here.endpoint()));
    assert_eq!(others.load(Ordering::SeqCst), 0, "a read was not serializable");
    let run = diff(&both, &["--serializable", "-o", "json"]);
    let rows = run.code(1).stderr_text();
    assert!(
        rows.contains(&format!(
            "{{\"source\":\"context:other\",\"endpoint\":\"{}\",\"revision\":{REVISION},\"behind\":2}}\n",
            there.endpoint()
        )),
        "{rows}"
    );
    assert!(rows.contains(&format!("\n{{\"endpoint\":\"{}\",\"revision\":{REVISION}}}\n", here.endpoint())), "{rows}");
    // The hint is about the member that was read.
    let broken = FakeServer::start(|asked| match asked.method.as_str() {
        "KV/Range" if asked.message.text(2).is_empty() => valid(asked),
        "KV/Range" => Reply::Refusal(14, "etcdserver: no leader".to_owned()),
        _ => valid(asked),
    });
    let one = format!("\"{}\"", broken.endpoint());
    let run = diff(&one, &["--serializable"]);
    run.code(3).err_has("cannot read the source, context 'other'");
    run.err_has(&format!("--serializable reads at the revision of one member, here {};", broken.endpoint()));
    run.err_lacks(&here.endpoint());
    let run = diff(&one, &[]);
    run.code(3).err_has("cannot read the source, context 'other'").err_lacks("--serializable");
    let source_of_here = ["diff", "/b/", "--source", "context:other", "--source-prefix", "/a/", "--serializable"];
    let run = kvadm(&broken.endpoint(), &source_of_here).arg("--op-timeout=1s");
    let run = run.config_file("other.yaml", other(&format!("\"{}\"", here.endpoint()))).run();
    run.code(3).err_has(&format!("reads at the revision of one member, here {};", broken.endpoint()));
}

/// What fails because of the data names the member that has it.
#[test]
fn a_failure_says_how_far_the_member_is_behind() {
    let counter = Arc::default();
    let first = member_at(REVISION, 0xa1, &counter, &counter);
    let ahead = member_at(REVISION + 4, 0xa2, &counter, &counter);
    let all = format!("{},{}", first.endpoint(), ahead.endpoint());
    let behind = format!("note: read from {} at revision {REVISION}, 4 behind", first.endpoint());
    for (code, args, why) in [
        (1, &["list", "/a/", "--at", "10m"][..], "the clock key cilium/.heartbeat does not exist"),
        (4, &["list", "/a/", "--at", "10m", "--clock", "/a/1"], "is not a time: 'one'"),
        (4, &["list", "/a/", "--since-rev", "42"], "--since-rev 42: the store is at revision 40"),
    ] {
        kvadm(&all, args).arg("--serializable").run().code(code).out_empty().err_has(why).err_has(&behind);
        kvadm(&all, args).run().code(code).out_empty().err_has(why).err_lacks("read from");
    }
    let future = FakeServer::start(|asked| match asked.method.as_str() {
        "KV/Range" => Reply::Refusal(11, "etcdserver: mvcc: required revision is a future revision".to_owned()),
        "Maintenance/Status" => status(0xa1, 0xa1, REVISION).into(),
        _ => valid(asked),
    });
    let all = format!("{},{}", future.endpoint(), ahead.endpoint());
    let behind = format!("note: read from {} at revision {REVISION}, 4 behind", future.endpoint());
    for args in
        [&["get", "/a/1", "--rev", "42"][..], &["list", "/a/", "--rev", "42"], &["diff", "/a/", "--source", "rev:42"]]
    {
        let run = kvadm(&all, args).arg("--serializable").run();
        run.code(4).out_empty().err_has("future revision").err_has(&behind);
        run.err_has("'kvadm status --revision --serializable' prints the current one");
        let run = kvadm(&future.endpoint(), args).run();
        run.code(4).err_has("'kvadm status --revision' prints the current one").err_lacks("--serializable");
    }
}
