//! Listings of so many keys that etcd 3.7 streams them and older servers are asked window by window.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::answers::{REVISION, header, kv, valid};
use super::support::{Etcd, FakeServer, Kvadm, Message, Reply};

const KEYS: usize = 12_000;
const MINUTES: Duration = Duration::from_secs(180);

fn key(n: usize) -> String {
    format!("/much/{n:05}")
}

fn loaded() -> Etcd {
    let etcd = Etcd::start();
    let records: String = (0..KEYS).map(|n| format!("{{\"key\":\"{}\",\"value\":\"v{n}\"}}\n", key(n))).collect();
    Kvadm::new().endpoint(&etcd).args(["put", "--from", "-", "-q"]).stdin(records).run().ok();
    etcd
}

#[test]
fn every_key_once_at_one_revision_however_it_is_asked_for() {
    let etcd = loaded();
    let list = |args: &[&str]| Kvadm::new().endpoint(&etcd).args(args).run().ok().stdout_text();
    let revision = list(&["status", "--revision"]).trim().to_owned();
    Kvadm::new().endpoint(&etcd).args(["delete", "--prefix", "/much/119", "--yes"]).run().ok();
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("{}\tv{n}\n", key(n))).collect::<String>();
    let keys = |from: usize, to: usize| (from..to).map(|n| format!("{}\n", key(n))).collect::<String>();
    assert_eq!(list(&["list", "/much/"]), lines(0, 11_900));
    assert_eq!(list(&["list", "/much/", "--rev", &revision]), lines(0, KEYS));
    assert_eq!(list(&["list", "/much/", "--keys-only"]), keys(0, 11_900));
    assert_eq!(list(&["list", "/much/", "--keys-only", "--limit", "11000"]), keys(0, 11_000));
    assert_eq!(list(&["list", "/much/", "--keys-only", "--limit", "150"]), keys(0, 150));
    assert_eq!(list(&["list", "--keys-only", "--from", "/much/01000", "--to", "/much/11800"]), keys(1000, 11_800));
    assert_eq!(list(&["list", "--namespace", "/much/", "119"]), "");
    let within = list(&["list", "--namespace", "/much/", "--keys-only"]);
    assert_eq!(within, keys(0, 11_900).replace("/much/", ""));
}

#[test]
fn few_requests() {
    let etcd = loaded();
    let run = Kvadm::new().endpoint(&etcd).args(["list", "/much/", "--keys-only", "-vv"]).run();
    run.ok();
    let requests = run.stderr_text().lines().filter(|line| line.starts_with("trace: list")).count();
    if etcd.version() >= (3, 7) {
        assert_eq!(requests, 3, "the first page, a window and the stream of the rest: {}", run.stderr_text());
    } else {
        assert!((3..40).contains(&requests), "{requests} windows: {}", run.stderr_text());
    }
}

/// How long etcd took for the request that is traced with these words, in milliseconds.
fn took(trace: &str, request: &str) -> Option<f64> {
    let line = trace.lines().find(|line| line.starts_with(request) && line.contains(" rev="))?;
    line.split(' ').rev().nth(1)?.strip_suffix("ms")?.parse().ok()
}

/// The first page of a range, and a count, take etcd as long as there are keys.
#[test]
fn a_member_that_is_long_at_work_is_waited_for_beyond_the_operation_timeout() {
    const MANY: usize = 300_000;
    let etcd = Etcd::start();
    let records: String = (0..MANY).map(|n| format!("{{\"key\":\"/many/{n:06}\",\"value\":\"\"}}\n")).collect();
    Kvadm::new().endpoint(&etcd).args(["put", "--from", "-", "-q"]).stdin(records).timeout(MINUTES).run().ok();
    for (request, args, shown) in [
        ("trace: count", &["list", "/many/", "--count"][..], "300000\n"),
        ("trace: list", &["list", "/many/", "--keys-only", "--limit", "2"], "/many/000000\n/many/000001\n"),
    ] {
        let ask = |limit: f64| {
            let limit = format!("{limit:.0}ms");
            Kvadm::new().endpoint(&etcd).args(args).args(["-vv", "--op-timeout", &limit]).run()
        };
        let run = ask(60_000.0);
        let took_then = took(&run.ok().stderr_text(), request).unwrap();
        // Not each of its signs of life comes within milliseconds, on a machine with other work to do.
        let limit = (took_then / 2.5).floor().max(1.0);
        let longer = (0..50).find_map(|_| {
            let run = ask(limit);
            let took = took(&run.stderr_text(), request).filter(|took| *took > limit)?;
            run.ok().out(shown).err_has("the member is still working; waiting");
            Some(took)
        });
        assert!(longer.is_some(), "{args:?} in {took_then} ms, never with --op-timeout {limit}ms");
    }
}

/// etcd 3.7 streams a large range, which costs one request instead of one a page. A stream that breaks off is replaced by pages.
#[test]
fn the_rest_of_a_large_range_is_asked_for_as_a_stream() {
    let streams = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&streams);
    let server = FakeServer::start(move |asked| match asked.method.as_str() {
        "KV/Range" => {
            let (start, end) = (asked.message.text(1), asked.message.text(2));
            let inside = |key: &String| key.as_bytes() >= start.as_slice() && key.as_bytes() < end.as_slice();
            let keys = (0..20_000).map(|n| format!("/k/{n:05}")).filter(inside);
            let keys: Vec<String> = keys.collect();
            let limit = usize::try_from(asked.message.number(3)).unwrap();
            let kvs = keys.iter().take(limit).map(|key| kv(key, "", 10));
            let page = Message::new().message(1, &header(REVISION)).messages(2, kvs);
            page.int(3, i64::from(limit < keys.len())).int(4, i64::try_from(keys.len()).unwrap()).into()
        }
        "KV/RangeStream" => {
            counted.fetch_add(1, Ordering::SeqCst);
            Reply::Messages(vec![])
        }
        _ => valid(asked),
    });
    let run = Kvadm::new().endpoint(&server.endpoint()).args(["list", "/k/", "--keys-only"]).run();
    run.ok().err_empty();
    assert_eq!((run.stdout_text().lines().count(), streams.load(Ordering::SeqCst)), (20_000, 1));
}
